"""Training on a pretended GPU: every tensor where it belongs, and no step that waits for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pretended_gpu import pretended_gpu
from small_data import Small, split
from torch import nn

import kdhelpers as kd
from kdhelpers import data, losses, temperature
from kdhelpers.models import initial_weights
from kdhelpers.training.loop import History

TRAIN, VALIDATION = split(40, seed=1), split(20, seed=2)
FLIPPED = data.Views(flip=True)
HOW = dict(epochs=2, lr=1e-2, precision="fp32")


def teacher(*, cache: bool = False) -> kd.Teacher:
    return kd.Teacher(Small(width=6, seed=9), cache=cache)


def hint(*, keep: bool) -> kd.Objective:
    asked = teacher()
    regressor = kd.regressor_between(Small(), asked, TRAIN, "norm", "norm")
    return kd.Hint(asked, kd.LayerPair("norm", "norm", regressor=regressor), keep=keep)


def attention() -> kd.Objective:
    pair = kd.LayerPair("norm", "norm", loss=losses.attention_transfer_loss)
    return kd.WithFeatures(kd.Supervised(), teacher(), attention=pair)


def learned() -> kd.Objective:
    return kd.Distillation(teacher(), temperature=temperature.LearnedTemperature())


OBJECTIVES: dict[str, Callable[[], kd.Objective]] = {
    "supervised": lambda: kd.Supervised(label_smoothing=0.1),
    "asked": lambda: kd.Distillation(teacher()),
    "kept": lambda: kd.Distillation(teacher(cache=True)),
    "recorded": lambda: kd.Distillation(kd.RecordedTeacher.of(teacher(), TRAIN, views=FLIPPED)),
    "shuffled": lambda: kd.Distillation(kd.ShuffledTeacher(teacher())),
    "faded": lambda: kd.Faded(kd.Distillation(teacher())),
    "learned temperature": learned,
    "decoupled": lambda: kd.Distillation(teacher(), soft_loss=losses.decoupled_kd_loss),
    "hint": lambda: hint(keep=False),
    "kept hint": lambda: hint(keep=True),
    "attention": attention,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_gpu_gives_what_a_cpu_gives_and_no_step_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    views = data.Views() if name == "kept hint" else FLIPPED  # more of them it does not keep

    def trained(device: str, batch_size: int = 8) -> tuple[History, nn.Module]:
        """Ended after an epoch, and gone on with."""
        for ends in (True, False):
            student = Small()
            history = kd.fit(
                student, OBJECTIVES[name](), TRAIN, batch_size=batch_size, device=device, ema=0.5,
                validation=None if "hint" in name else VALIDATION, on_epoch=lambda row, e=ends: e,
                checkpoint=tmp_path / f"{device} {batch_size}.pt", views=views, **HOW,
            )  # fmt: skip
        return history, student

    expected, on_cpu = trained("cpu")
    with pretended_gpu(monkeypatch) as gpu:
        found, on_gpu = trained("cuda")
        reads = len(gpu.reads)
        trained("cuda", batch_size=20)
    assert gpu.operations > 100
    for row, other in zip(found, expected, strict=True):
        assert row == pytest.approx(other | {"seconds": row["seconds"]}, abs=1e-5)
    torch.testing.assert_close(on_gpu.state_dict(), on_cpu.state_dict())
    assert len(gpu.reads) == 2 * reads, gpu.reads  # as many in fewer steps


def test_students_side_by_side_and_their_evaluation_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trained(device: str) -> list[dict[str, float]]:
        with initial_weights(3):
            students = [
                nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
                for _ in "12"
            ]
        objectives = [kd.Distillation(teacher(cache=True)) for _ in students]
        splits = [TRAIN.take(32, seed=seed) for seed in (1, 2)]
        kd.fit_many(
            students, objectives, splits, seeds=[1, 2], batch_size=8, device=device, views=FLIPPED,
            **HOW,
        )  # fmt: skip
        return [kd.evaluate(student.to(device), VALIDATION) for student in students]

    expected = trained("cpu")
    with pretended_gpu(monkeypatch) as gpu:
        found = trained("cuda:0")
    assert gpu.operations > 100
    for figures, other in zip(found, expected, strict=True):
        assert figures == pytest.approx(other, abs=1e-5)


def test_what_a_gpu_would_refuse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch):
        there = torch.ones(2, 2).to("cuda:0")
        for wrong in (
            lambda: there @ torch.ones(2, 2),
            lambda: torch.rand(2, device="cuda:0", generator=torch.Generator()),
            there.numpy,
        ):
            with pytest.raises((AssertionError, TypeError)):
                wrong()
