"""A run survives being killed, ends with the same bits, and takes no other run's checkpoint."""

import math
import os
import signal
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from forked import forked, forks
from small_data import Small, interrupted_at, same, split, weights
from torch import nn

from kdhelpers.data.batching import Batch, Views
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.frozen import fingerprint
from kdhelpers.objectives.objective import Objective, Supervised, Terms
from kdhelpers.training import checkpoint
from kdhelpers.training import fit as training
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.loop import TrainingError
from kdhelpers.training.optimizers import cosine, nesterov, one_cycle

fit = partial(training.fit, device="cpu", progress=False)


class Scaled(Objective):
    """An objective with a parameter of its own that counts its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.steps: list[int] = []  # a list is not kept

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        self.steps.append(len(batch.labels))
        return {"hard": F.cross_entropy(student(batch.inputs) * self.scale, batch.labels)}


@pytest.mark.parametrize(
    ("options", "stop_at"),
    [
        *(({}, step) for step in (0, 3, 7)),  # at first, between epochs, within the last one
        ({"views": Views(flip=True, shift=1)}, 7),
        ({"optimizer": nesterov, "lr": 0.05, "schedule": one_cycle}, 3),
        ({"ema": 0.9, "schedule": cosine}, 7),
    ],
)
def test_interrupted_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, options: dict[str, Any], stop_at: int
) -> None:
    arguments: dict[str, Any] = {"epochs": 3, "batch_size": 16, "seed": 2, **options}
    straight, objective = Small(), Scaled()
    expected = fit(straight, objective, split(), **arguments)

    arguments |= {"checkpoint": tmp_path / "run.pt"}
    with interrupted_at(stop_at):
        fit(Small(), Scaled(), split(), **arguments)
    for steps in (9 - stop_at // 3 * 3, 0):  # three an epoch, whole ones are kept; then none
        resumed, again = Small(), Scaled()
        history = fit(resumed, again, split(), **arguments)
        assert len(again.steps) == steps
        assert same(weights(straight), weights(resumed))
        assert same(objective.state_dict(), again.state_dict())
        assert [h["loss"] for h in history] == [h["loss"] for h in expected]


def run_to_the_end(path: Path) -> None:
    student = Small(width=16, seed=1)
    fit(
        student, Distillation(Small(seed=2)), split(200), epochs=12, batch_size=8, seed=3,
        views=Views(flip=True), checkpoint=path,
    )  # fmt: skip
    path.with_suffix(".end").write_text(fingerprint(student))


@forks
def test_killed_at_any_moment_and_started_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "killed.pt"
    for moment in (0.0, 0.05):
        process = forked(run_to_the_end, path)
        seen = path.stat().st_mtime_ns if path.exists() else 0
        while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns == seen):
            time.sleep(0.005)
        time.sleep(moment)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run ended before it could be killed"
    for each in (path, tmp_path / "straight.pt"):
        run_to_the_end(each)
    resumed, straight = ((tmp_path / name).read_text() for name in ("killed.end", "straight.end"))
    assert len(straight) == 64
    assert resumed == straight


def test_more_epochs_continue_a_run_and_fewer_than_it_has_are_refused(tmp_path: Path) -> None:
    longer, straight = Small(), Small()
    run = partial(fit, objective=Supervised(), train=split())
    run(Small(), epochs=2, checkpoint=tmp_path / "run.pt")
    run(longer, epochs=4, checkpoint=tmp_path / "run.pt")
    run(straight, epochs=4)
    assert same(weights(longer), weights(straight))
    with pytest.raises(CheckpointError, match="holds 4 epochs, more than the 2 asked for"):
        run(Small(), epochs=2, checkpoint=tmp_path / "run.pt")


def test_a_run_with_a_name_is_kept_in_the_recipes_folder(tmp_path: Path) -> None:
    run = partial(fit, objective=Supervised(), train=split(), epochs=1)
    run(Small(), run="alone")  # no folder, no checkpoint
    run(Small(), checkpoint_dir=tmp_path / "own")  # no name, no checkpoint
    run(Small(), checkpoint_dir=tmp_path / "own", run="seed3")
    run(Small(), checkpoint_dir=str(tmp_path), run="seed4", checkpoint=tmp_path / "other.pt")
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.pt")} == {
        Path("own/seed3.pt"),
        Path("other.pt"),
    }


def test_checkpoints_are_written_no_more_often_than_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(checkpoint, "save", lambda *given: written.append(len(given[-1])))
    ended: list[Any] = []  # each hook takes a second
    clock = SimpleNamespace(perf_counter=lambda: float(len(ended)))
    monkeypatch.setattr("kdhelpers.training.loop.time", clock)
    run = partial(fit, objective=Supervised(), train=split(), epochs=6, on_epoch=ended.append)
    run(Small(), checkpoint=tmp_path / "each")
    run(Small(), checkpoint=tmp_path / "second", checkpoint_interval=2.0)
    assert (written[:6], written[6:]) == ([1, 2, 3, 4, 5, 6], [3, 5, 6])


def test_a_hook_that_fails_costs_no_epoch(tmp_path: Path) -> None:
    def failing(row: dict[str, float]) -> None:
        assert row["epoch"] < 2, "on purpose"

    path = tmp_path / "run.pt"
    with pytest.raises(AssertionError, match="on purpose"):
        fit(Small(), Supervised(), split(), epochs=3, checkpoint=path, on_epoch=failing)
    assert len(torch.load(path, weights_only=True)["history"]) == 2


# -- what cannot be written or gone on from -------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "checkpoint"),
        (".", "checkpoint"),
        (3, "checkpoint"),
        ("pipe", "checkpoint must name a file"),
        ("file/run.pt", "checkpoint"),
        ("/proc/run.pt", r"checkpoint '/proc/run.pt' cannot be written"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    if place == "pipe":
        os.mkfifo("pipe")
    objective = Scaled()
    with pytest.raises(ValueError, match=message):
        fit(Small(), objective, split(), epochs=1, checkpoint=place)
    assert not objective.steps


def frozen_in_part() -> nn.Module:
    student = Small()
    student.norm.eval()
    return student


def frozen_head() -> nn.Module:
    student = Small()
    student.head.requires_grad_(False)
    return student


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("begun") / "run.pt"
    fit(Small(), Distillation(Small()), split(), epochs=1, checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"student": Small(seed=9)}, "student"),
        ({"student": Small(width=5), "lr": 2e-3}, "student"),  # told first
        ({"student": frozen_in_part()}, "in eval mode is None"),
        ({"student": frozen_head()}, r"frozen weights is None, this run has \['student.head.we"),
        ({"objective": Distillation(Small(), temperature=2.0)}, "temperature is 4.0"),
        ({"objective": Distillation(Small(), alpha=0.5)}, "alpha"),
        ({"objective": Distillation(Small(seed=5))}, "teacher"),
        ({"objective": Supervised()}, "alpha"),
        ({"train": split(seed=1)}, "data"),
        ({"batch_size": 20}, "batch_size"),
        ({"lr": 2e-3}, "lr is 0.001, this run has 0.002"),
        ({"seed": 1}, "seed"),
        ({"views": Views(flip=True)}, "views"),
        ({"ema": 0.5}, "ema"),
        ({"precision": "bf16"}, "precision"),
        ({"channels_last": False}, "channels_last"),
        ({"optimizer": nesterov}, "optimizer"),
        ({"schedule": cosine}, "schedule"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    begun: Path, change: dict[str, Any], named: str
) -> None:
    run = dict(student=Small(), objective=Distillation(Small()), train=split(), checkpoint=begun)
    with pytest.raises(CheckpointError, match=f"belongs to another run: its {named}"):
        fit(**run | change, epochs=2)


def test_a_diverging_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    class Diverging(Supervised):
        steps = 0

        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            self.steps += 1
            terms = super().forward(student, batch)
            return {"hard": terms["hard"] * (math.inf if self.steps > 6 else 1)}

    path = tmp_path / "run.pt"
    with pytest.raises(TrainingError, match=r"epoch 3; lower lr=0\.001"):
        fit(Small(), Diverging(), split(), epochs=5, batch_size=16, checkpoint=path)
    kept = torch.load(path, weights_only=True)
    assert len(kept["history"]) == 2
    assert all(torch.isfinite(t).all() for t in kept["state"]["student"].values())


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")],
    ids=["system's", "PyTorch's"],
)
def test_a_full_disk_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(_: object, file: Path) -> None:
        Path(file).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", full)
    reason = getattr(error, "strerror", None) or error
    told = rf"run.pt' cannot be written \({reason}; [\d.]+ MB are free on its disk\); make room"
    with pytest.raises(OSError, match=told):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.pt"]
