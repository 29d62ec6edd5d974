"""Objectives on logits: their terms are the losses, weighted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_data import Small, split
from torch import Tensor, nn

from kdhelpers import losses
from kdhelpers.data.batching import batches
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised
from kdhelpers.temperature import LearnedTemperature, Linear
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit

BATCH = next(batches(split(), 16))
WITHOUT_T = {"soft_loss": partial(losses.kd_loss, temperature=2.0)}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_supervised_is_cross_entropy_with_mixed_labels(smoothing: float) -> None:
    student = Small().eval()
    mixed = (1 - smoothing) * F.one_hot(BATCH.labels, 3) + smoothing / 3
    expected = -(mixed * F.log_softmax(student(BATCH.inputs), 1)).sum(1).mean()
    terms = Supervised(label_smoothing=smoothing)(student, BATCH)
    torch.testing.assert_close(terms, {"hard": expected})


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.0), (4.0, 0.9), (8.0, 1.0)])
def test_the_terms_add_up_to_the_distillation_loss(temperature: float, alpha: float) -> None:
    student, teacher = Small(seed=1).eval(), Small(seed=2)
    objective = Distillation(teacher, temperature=temperature, alpha=alpha)
    assert list(objective.parameters()) == []  # the teacher is not among the trained
    terms = objective(student, BATCH)
    expected = losses.distillation_loss(
        student(BATCH.inputs), teacher.eval()(BATCH.inputs), BATCH.labels,
        temperature=temperature, alpha=alpha,
    )  # fmt: skip
    assert terms.keys() == {"soft", "hard"}
    torch.testing.assert_close(sum(terms.values()), expected)


def constant(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    return (student.sum() * 0 + temperature) * 2


@pytest.mark.parametrize("make", [Supervised, partial(Distillation, Small(), alpha=0.5)])
def test_the_hard_term_of_logits_in_half_precision_is_computed_in_full(make: Any) -> None:
    logits = torch.tensor([[8.0, 0.0, 0.0]]).repeat(8, 1)
    batch = next(batches(split(8), 8))._replace(labels=torch.zeros(8, dtype=torch.int64))
    hard = make()(lambda images: logits.bfloat16(), batch)["hard"]
    share = 1.0 if make is Supervised else 0.5
    assert hard.item() == pytest.approx(share * F.cross_entropy(logits, batch.labels).item())
    assert hard.item() > 0


@pytest.mark.parametrize(
    "make", [Supervised, partial(Supervised, label_smoothing=0.1), partial(Distillation, Small())]
)
def test_the_hard_term_leaves_no_padded_row_out(make: Any) -> None:
    padded = BATCH._replace(labels=torch.where(BATCH.labels == 1, -100, BATCH.labels))
    with pytest.raises(IndexError, match="-100 is out of bounds"):
        make()(Small(), padded)


def test_the_soft_loss_can_be_exchanged_and_is_among_the_settings() -> None:
    objective = Distillation(Small(), temperature=3.0, alpha=0.5, soft_loss=constant)
    assert objective(Small(), BATCH)["soft"].item() == 3.0
    named = [
        Distillation(Small(), soft_loss=loss).settings()["soft_loss"]
        for loss in (losses.kd_loss, constant, partial(constant, temperature=1.0))
    ]
    assert len(set(named)) == 3
    bound = Distillation(Small(), temperature=3.0, soft_loss=partial(constant, temperature=1.0))
    assert bound(Small(), BATCH)["soft"].item() == pytest.approx(0.9 * 2)
    assert "temperature" not in bound.settings()  # which the loss does not see


class Config:
    def __init__(self, scale: float) -> None:
        self.scale = scale


def with_config(student: Tensor, *_: Tensor, config: Any, temperature: float = 1.0) -> Tensor:
    return student.square().mean() * temperature


@dataclass
class Scaled:
    inner: Callable[[], float]

    def __call__(self, epoch: int, epochs: int) -> float:
        return self.inner()


def made(parameters: Any, lr: float, *, config: Config) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr * config.scale)


def long(middle: float) -> Tensor:
    values = torch.zeros(2000)
    values[1000] = middle
    return values


@pytest.mark.parametrize(
    "settings",
    [
        lambda x: {"soft_loss": partial(with_config, config=Config(x))},
        lambda x: {"soft_loss": partial(with_config, config=[lambda: x])},
        lambda x: {"soft_loss": partial(with_config, config=long(x))},
        lambda x: {"soft_loss": partial(with_config, config=long(x).numpy())},
        lambda x: {"temperature": Scaled(lambda: x)},
        lambda x: {"optimizer": partial(made, config=Config(x))},
    ],
)
def test_objects_in_a_setting_are_told_by_what_they_hold_not_by_where_they_lie(
    settings: Callable[[float], dict[str, Any]], tmp_path: Path
) -> None:
    def run(x: float) -> None:
        own = settings(x)
        common = {"optimizer": own.pop("optimizer", "adam"), "checkpoint": tmp_path / "run.pt"}
        objective = Distillation(Small(), **own)
        fit(Small(), objective, split(), epochs=1, device="cpu", progress=False, **common)

    run(1.0)
    run(1.0)  # built anew, at other addresses
    with pytest.raises(CheckpointError, match="belongs to another run"):
        run(2.0)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (Distillation, {"alpha": 1.1}, "alpha must be a number from 0 to 1"),
        (Distillation, {"soft_loss": 3}, "soft_loss must be a function"),
        (Distillation, {"soft_loss": lambda s: s.sum()}, "must be a function, called as loss"),
        (Distillation, {"soft_loss": nn.MSELoss}, r"is the class MSELoss; give one.*MSELoss\(\)"),
        (Distillation, WITHOUT_T | {"temperature": Linear(start=4, end=1)}, "takes no temperature"),
        (Distillation, WITHOUT_T | {"temperature": LearnedTemperature()}, "one that changes would"),
        (Distillation, {"teacher": 3}, "the teacher must be a Module, got 3"),
        (Distillation, {"teacher": [Small(), Small()]}, "several networks in one that averages"),
        (Distillation, {"teacher": lambda images: images}, "wrap a function or a session in one"),
        (Supervised, {"label_smoothing": 1.0}, "label_smoothing must be a number from 0 to 0.99"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**({"teacher": Small()} if make is Distillation else {}) | change)
