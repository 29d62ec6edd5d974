"""What an objective and a hook of one's own return is looked at; what own code keeps is kept."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import Small, same, split, weights
from torch import Tensor, nn

from kdhelpers.models import initial_weights
from kdhelpers.objectives.objective import Objective, Supervised
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit

LEARN: dict[str, Any] = dict(batch_size=20, lr=0.01, device="cpu", progress=False)


def linear(seed: int = 0) -> nn.Sequential:
    with initial_weights(seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))


def test_an_optimiser_gets_a_list_that_it_may_cut_into_groups() -> None:
    def groups(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        first, rest = parameters[:2], parameters[2:]
        return torch.optim.SGD([{"params": first}, {"params": list(rest)}], lr=lr)

    first, second = linear(), linear()
    fit(first, Supervised(), split(), epochs=1, optimizer=groups, **LEARN)
    fit(second, Supervised(), split(), epochs=1, optimizer=torch.optim.SGD, **LEARN)
    assert same(weights(first), weights(second))


class Own(Objective):
    def __init__(self, terms: Callable[[Tensor], dict[str, Tensor]]) -> None:
        super().__init__()
        self.terms = terms

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        return self.terms(student(batch.inputs))


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (lambda z: z.mean(), "Own must return a dict of terms by name"),
        (lambda z: {}, "Own must return a dict of terms by name"),
        (lambda z: {"hard": z[:, 0]}, r"the term 'hard' of Own .* shape \[20\]; take its mean"),
        (lambda z: {"hard": 1.0}, "the term 'hard' of Own must be a tensor"),
        (lambda z: {"epoch": z.mean()}, "the term 'epoch' of Own needs another name"),
        (lambda z: {"loss": z.mean(), "other": z.mean()}, "the term 'loss' of Own needs another"),
        (lambda z: {"mean": z.detach().mean()}, "no term of Own depends on a weight"),
    ],
)
def test_what_is_no_term_or_would_mislead_is_refused(terms: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(linear(), Own(terms), split(), epochs=1, **LEARN)


def test_a_figure_may_not_have_the_name_of_a_term_or_of_the_history() -> None:
    for name in ("hard", "loss", "epoch"):
        told = Supervised()
        told.figures = lambda name=name: {name: 0.0}  # type: ignore[method-assign]
        with pytest.raises(ValueError, match=f"figure '{name}' of Supervised .* rename it"):
            fit(linear(), told, split(), epochs=1, **LEARN)


def test_the_terms_are_the_same_in_every_step_and_may_be_buffers() -> None:
    steps, buffer = [], torch.zeros(())

    def counted(logits: Tensor) -> dict[str, Tensor]:
        steps.append(buffer.add_(1))
        return {"mean": logits.mean(), "step": buffer}

    (row,) = fit(linear(), Own(counted), split(60), epochs=1, **LEARN)
    assert row["step"] == 2.0  # the mean of 1, 2 and 3

    def once(logits: Tensor) -> dict[str, Tensor]:
        steps.append(buffer)
        return {"mean": logits.mean()} | ({"first": buffer} if len(steps) == 4 else {})

    told = r"the terms \['mean', 'first'\], and in a later step \['mean'\]; return the same"
    with pytest.raises(ValueError, match=told):
        fit(linear(), Own(once), split(60), epochs=1, **LEARN)
    assert len(steps) == 5  # in the first step that differs


def test_no_tensor_is_written_out_for_an_error_that_does_not_happen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tensor, "__repr__", lambda self: pytest.fail("it takes as long as a step"))
    fit(linear(), Supervised(), split(), epochs=2, validation=split(), **LEARN)


def test_a_single_term_may_be_called_loss() -> None:
    (row,) = fit(linear(), Own(lambda z: {"loss": z.square().mean()}), split(), epochs=1, **LEARN)
    assert row.keys() == {"epoch", "seconds", "loss"}


@pytest.mark.parametrize(
    ("answer", "epochs"), [(17, 3), ("stop", 3), (0.5, 3), (None, 3), (True, 1), (np.True_, 1)]
)
def test_only_true_ends_a_run(answer: Any, epochs: int) -> None:
    history = fit(linear(), Supervised(), split(), epochs=3, on_epoch=lambda row: answer, **LEARN)
    assert len(history) == epochs


def test_validation_that_is_normalised_in_another_way_is_told() -> None:
    train, other = split(), replace(split(), mean=(0.5,))
    with pytest.warns(UserWarning, match="another mean and deviation than train; .*like=train"):
        fit(linear(), Supervised(), train, validation=other, epochs=1, **LEARN)


class Remembers(Small):
    """A buffer that is computed with, but not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + inputs.mean()
        return super().forward(inputs) * (1 + self.mean)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_buffers_that_are_not_saved_are_resumed(tmp_path: Path, ema: float) -> None:
    plain, whole, stopped, resumed = (Remembers() for _ in range(4))
    run = partial(fit, objective=Supervised(), train=split(), **LEARN)
    run(plain, epochs=3)
    run(whole, epochs=3, ema=ema)
    run(stopped, epochs=1, ema=ema, checkpoint=tmp_path / "run.pt")
    run(resumed, epochs=3, ema=ema, checkpoint=tmp_path / "run.pt")
    assert same(weights(whole), weights(resumed))
    assert torch.equal(whole.mean, resumed.mean)
    assert whole.mean != 0  # replaced in every step
    assert torch.equal(whole.mean, plain.mean) == (ema == 0)  # else it is averaged


class Keeping(Supervised):
    """Keeps something of its own, from which a factor of the loss follows."""

    def __init__(self, kept: Any, factor: Callable[[Any], Any]) -> None:
        super().__init__()
        self.kept, self.factor = kept, factor
        self.register_buffer("buffer", torch.zeros(1), persistent=False)
        self.calls, self.centre, self.text = 0, None, ""

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        (hard,) = super().forward(student, batch).values()
        self.calls += 1
        self.text += "a"
        self.centre = (0 if self.centre is None else self.centre) + 0.1 * hard.detach()
        self.buffer += 0.1
        return {"hard": hard * self.factor(self)}


class CountingLoss:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


@pytest.mark.parametrize(
    ("made", "factor"),
    [
        (lambda: None, lambda own: own.calls),
        (lambda: None, lambda own: len(own.text)),
        (lambda: None, lambda own: own.centre),
        (lambda: None, lambda own: own.buffer.sum()),
        (CountingLoss, lambda own: own.kept()),
        (lambda: np.random.default_rng(0), lambda own: own.kept.random()),
        (lambda: np.random.RandomState(0), lambda own: own.kept.rand()),
        (lambda: random.Random(0), lambda own: own.kept.random()),
        (lambda: torch.zeros(3), lambda own: own.kept.add_(own.buffer).sum()),
        (
            lambda: torch.Generator().manual_seed(0),
            lambda own: torch.rand(1, generator=own.kept).sum(),
        ),
    ],
)
def test_what_own_code_keeps_is_resumed(
    tmp_path: Path, made: Callable[[], Any], factor: Callable[[Any], Any]
) -> None:
    whole, resumed, file = linear(), linear(), tmp_path / "run.pt"
    fit(whole, Keeping(made(), factor), split(), epochs=3, **LEARN)
    fit(linear(), Keeping(made(), factor), split(), epochs=1, checkpoint=file, **LEARN)
    fit(resumed, Keeping(made(), factor), split(), epochs=3, checkpoint=file, **LEARN)
    assert same(weights(whole), weights(resumed))
    content = torch.load(file, weights_only=True)
    del content["state"]["besides"]  # as the first versions wrote it
    torch.save(content, file)
    with pytest.raises(CheckpointError, match="was written by another version"):
        fit(linear(), Keeping(made(), factor), split(), epochs=3, checkpoint=file, **LEARN)


class Lookahead(torch.optim.SGD):  # around whose `step` PyTorch puts its own
    count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        super().step(closure)
        for own in self.param_groups[0]["params"]:
            slow = self.state[own].setdefault("slow", own.detach().clone())
            if self.count % 3 == 0:
                own.data.copy_(slow.lerp_(own.detach(), 0.5))


class Decorated(Supervised):
    count = 0

    @torch.autocast("cpu", torch.bfloat16)
    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        self.count += 1
        return {"hard": self.count * super().forward(student, batch)["hard"]}


@pytest.mark.parametrize(
    ("objective", "optimizer"), [(Supervised, Lookahead), (Decorated, torch.optim.SGD)]
)
def test_what_a_decorated_method_sets_is_resumed(
    tmp_path: Path, objective: type[Objective], optimizer: Any
) -> None:
    run, file = partial(fit, train=split(), optimizer=optimizer, **LEARN), tmp_path / "run.pt"
    whole, resumed = linear(), linear()
    run(whole, objective(), epochs=4)
    run(linear(), objective(), epochs=2, checkpoint=file)
    run(resumed, objective(), epochs=4, checkpoint=file)
    assert same(weights(whole), weights(resumed))


class Meter:
    def __init__(self) -> None:
        self.count, self.mean = 0, torch.zeros(())

    def update(self, value: Tensor) -> Tensor:
        self.count += 1
        self.mean = self.mean + (value - self.mean) / self.count
        return self.mean


class Metered(Supervised):
    def __init__(self) -> None:
        super().__init__()
        self.meter = Meter()

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        (hard,) = super().forward(student, batch).values()
        return {"hard": hard / self.meter.update(hard.detach())}


def test_what_an_object_of_an_objective_counts_is_resumed(tmp_path: Path) -> None:
    run, file = partial(fit, train=split(), **LEARN), tmp_path / "run.pt"
    whole, resumed = linear(), linear()
    run(whole, Metered(), epochs=4)
    run(linear(), Metered(), epochs=2, checkpoint=file)
    run(resumed, Metered(), epochs=4, checkpoint=file)
    assert same(weights(whole), weights(resumed))


def test_a_checkpoint_of_the_first_versions_is_gone_on_from(tmp_path: Path) -> None:
    whole, resumed, file = linear(), linear(), tmp_path / "run.pt"
    fit(whole, Supervised(), split(), epochs=2, **LEARN)
    fit(linear(), Supervised(), split(), epochs=1, checkpoint=file, **LEARN)
    content = torch.load(file, weights_only=True)
    assert content["state"].pop("besides") == {}
    torch.save(content, file)
    fit(resumed, Supervised(), split(), epochs=2, checkpoint=file, **LEARN)
    assert same(weights(whole), weights(resumed))


def test_a_scripted_student_trains() -> None:
    plain, scripted = linear(), torch.jit.script(linear())
    for network in (plain, scripted):
        fit(network, Supervised(), split(), epochs=1, **LEARN)
    for own, other in zip(plain.parameters(), scripted.parameters(), strict=True):
        torch.testing.assert_close(own, other)


class ViewsInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(144, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.conv(inputs)
        flat = maps.view(len(maps), -1) if self.training else maps.flatten(1)
        logits: Tensor = self.head(flat)
        return logits


def test_a_view_that_only_training_takes_is_told_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="give channels_last=False"):
        fit(ViewsInTraining(), Supervised(), split(), epochs=1, **LEARN)
    fit(ViewsInTraining(), Supervised(), split(), epochs=1, channels_last=False, **LEARN)


def test_a_link_to_a_checkpoint_is_written_through(tmp_path: Path) -> None:
    real, link = tmp_path / "big disk" / "run.pt", tmp_path / "run.pt"
    real.parent.mkdir()
    link.symlink_to(real)
    for epochs in (1, 2):
        fit(linear(), Supervised(), split(), epochs=epochs, checkpoint=link, **LEARN)
    assert link.is_symlink()
    assert len(torch.load(real, weights_only=True)["history"]) == 2
