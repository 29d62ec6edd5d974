"""The one loop: it learns, repeats itself, survives being killed, and refuses what cannot work."""

import math
import os
import pickle
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from forked import forked, forks, in_two_processes
from lightning_fabric import Fabric
from small_data import Small, same, split, weights
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from kdhelpers import models
from kdhelpers.data.batching import Batch, Views
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Objective, Supervised, Terms
from kdhelpers.objectives.teacher import Teacher, fingerprint
from kdhelpers.training import checkpoint
from kdhelpers.training import fit as training
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit
from kdhelpers.training.loop import TrainingError

fit = partial(fit, device="cpu", progress=False)
sgd = partial(torch.optim.SGD, momentum=0.9, nesterov=True)


def one_cycle(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    return OneCycleLR(optimizer, max_lr=0.05, total_steps=total_steps)


class Scaled(Objective):
    """An objective with a parameter of its own, and an interruption at a chosen step."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.stop_at = stop_at
        self.step = 0

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        if self.step == self.stop_at:
            raise KeyboardInterrupt
        self.step += 1
        return {"hard": F.cross_entropy(student(batch.inputs) * self.scale, batch.labels)}


# -- learning -------------------------------------------------------------------------------------


def test_supervised_training_learns_what_the_labels_say() -> None:
    train, test, student = split(200), split(200, seed=1), Small()
    untrained = accuracy(predict(student, test), test.labels)
    history = fit(student, Supervised(), train, epochs=6, batch_size=16, lr=1e-2)
    assert untrained < 0.6
    assert accuracy(predict(student, test), test.labels) > 0.95
    assert history[-1]["loss"] < history[0]["loss"] / 2


def test_distillation_alone_passes_on_what_the_teacher_knows() -> None:
    train, test, teacher = split(200), split(200, seed=1), Small(width=8)
    fit(teacher, Supervised(), train, epochs=6, batch_size=16, lr=1e-2)
    lied_to = replace(train, labels=torch.zeros_like(train.labels))
    student = Small(seed=1)
    fit(student, Distillation(teacher, alpha=1.0), lied_to, epochs=8, batch_size=16, lr=1e-2)
    assert accuracy(predict(student, test), test.labels) > 0.9


def test_the_history_tells_every_epoch() -> None:
    train = split(40)
    history = fit(
        Small(), Distillation(Small(seed=1)), train, epochs=3, batch_size=16, validation=train
    )
    assert [figures["epoch"] for figures in history] == [1, 2, 3]
    for figures in history:
        assert figures.keys() == {
            "epoch", "seconds", "loss", "soft", "hard", "validation_accuracy",
        }  # fmt: skip
        assert figures["loss"] == pytest.approx(figures["soft"] + figures["hard"])
        assert 0 <= figures["validation_accuracy"] <= 1
        assert figures["seconds"] > 0


def test_figures_are_means_over_samples_not_over_batches() -> None:
    class Labels(Objective):
        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            zero = sum(p.sum() for p in student.parameters()) * 0
            return {"mean": batch.labels.float().mean() + zero}

    train = split(37)
    (figures,) = fit(Small(), Labels(), train, epochs=1, batch_size=10)
    assert figures["mean"] == pytest.approx(train.labels.float().mean().item())


def test_the_student_trains_in_train_mode_also_after_validation() -> None:
    modes = []

    class Watching(Supervised):
        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            modes.append(all(module.training for module in student.modules()))
            return super().forward(student, batch)

    fit(Small().eval(), Watching(), split(), epochs=3, batch_size=20, validation=split())
    assert modes == [True] * 6


def test_the_parameters_of_an_objective_are_trained_too() -> None:
    objective = Scaled()
    fit(Small(), objective, split(), epochs=1, batch_size=16)
    assert objective.scale.item() != 1.0


def test_cached_and_live_teachers_train_the_same_student() -> None:
    train, students = split(), (Small(seed=1), Small(seed=1))
    for student, cache in zip(students, (True, False), strict=True):
        objective = Distillation(Teacher(Small(seed=2), cache=cache))
        fit(student, objective, train, epochs=3, batch_size=16, views=Views(flip=True, shift=1))
    for one, other in zip(students[0].parameters(), students[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_the_memory_layout_changes_nothing_but_speed() -> None:
    train, students = split(), (Small(seed=1), Small(seed=1))
    for student, channels_last in zip(students, (True, False), strict=True):
        fit(student, Supervised(), train, epochs=2, batch_size=16, channels_last=channels_last)
    for one, other in zip(students[0].parameters(), students[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_mixed_precision_trains() -> None:
    train, student = split(100), Small()
    history = fit(student, Supervised(), train, epochs=3, batch_size=16, lr=1e-2, precision="bf16")
    assert history[-1]["loss"] < history[0]["loss"]
    assert all(p.dtype == torch.float32 for p in student.parameters())


# -- the same again -------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {},
    {"views": Views(flip=True, shift=1)},
    {"optimizer": sgd, "lr": 0.05, "schedule": one_cycle},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_same_seed_gives_the_same_bits(options: dict[str, Any]) -> None:
    students = [Small(), Small()]
    for student in students:
        torch.rand(3)  # the global random state must not matter
        fit(student, Supervised(), split(), epochs=2, batch_size=16, seed=4, **options)
    assert same(*map(weights, students))


def test_another_seed_gives_another_run() -> None:
    students = [Small(), Small()]
    for seed, student in enumerate(students):
        fit(student, Supervised(), split(), epochs=1, batch_size=16, seed=seed)
    assert not same(*map(weights, students))


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    fit(Small(), Supervised(), split(), epochs=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("stop_at", [0, 1, 3, 4, 7, 8])
def test_interrupted_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, options: dict[str, Any], stop_at: int
) -> None:
    arguments: dict[str, Any] = {"epochs": 3, "batch_size": 16, "seed": 2, **options}
    straight, objective = Small(), Scaled()
    expected = fit(straight, objective, split(), **arguments)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(Small(), Scaled(stop_at=stop_at), split(), checkpoint=path, **arguments)
    resumed, again = Small(), Scaled()
    history = fit(resumed, again, split(), checkpoint=path, **arguments)

    assert again.step == 9 - stop_at // 3 * 3  # three steps an epoch; whole epochs are kept
    assert same(weights(straight), weights(resumed))
    assert same(objective.state_dict(), again.state_dict())
    assert [h["loss"] for h in history] == [h["loss"] for h in expected]


def run_to_the_end(path: Path) -> None:
    student = Small(width=16, seed=1)
    fit(
        student,
        Distillation(Small(seed=2)),
        split(400),
        epochs=25,
        batch_size=8,
        seed=3,
        views=Views(flip=True),
        device="cpu",
        checkpoint=path,
        progress=False,
    )
    path.with_suffix(".end").write_text(fingerprint(student))


@forks
def test_killed_at_any_moment_and_started_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "killed.pt"
    for moment in (0.0, 0.217):
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


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    first, second, objective = Small(), Small(), Scaled()
    history = fit(first, Scaled(), split(), epochs=2, checkpoint=path)
    assert fit(second, objective, split(), epochs=2, checkpoint=path) == history
    assert objective.step == 0
    assert same(weights(first), weights(second))


def test_fewer_epochs_than_the_checkpoint_holds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=3, checkpoint=path)
    with pytest.raises(CheckpointError, match="holds 3 epochs, more than the 2 asked for"):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)


def test_numpy_numbers_make_a_readable_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    first, again = Small(), Small()
    options = {"seed": np.int64(1), "lr": np.float64(1e-3), "batch_size": np.int64(16)}
    fit(first, Supervised(), split(), epochs=2, checkpoint=path, **options)
    fit(again, Supervised(), split(), epochs=2, checkpoint=path, **options)
    assert same(weights(first), weights(again))


def test_another_version_or_an_incomplete_state_is_refused_and_changes_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=1, checkpoint=path)
    for change in ({"format": 0}, {"state": {"student": Small(seed=5).state_dict()}}):
        torch.save(torch.load(path, weights_only=True) | change, tmp_path / "other.pt")
        student = Small()
        with pytest.raises(CheckpointError):
            fit(student, Supervised(), split(), epochs=2, checkpoint=tmp_path / "other.pt")
        assert same(weights(student), weights(Small()))


def test_a_flipped_bit_in_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=1, checkpoint=path)
    content = bytearray(path.read_bytes())
    place = content.index(Small().head.bias.detach().numpy().tobytes()[:0] + b"data/0") + 200
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"run\.pt"):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)


def test_random_numbers_inside_the_network_differ_between_epochs() -> None:
    class Noisy(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.drawn: list[float] = []

        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            self.drawn.append(torch.rand(()).item())
            return {"hard": F.cross_entropy(student(batch.inputs), batch.labels)}

    objective = Noisy()
    fit(Small(), objective, split(16), epochs=3, batch_size=16)
    assert len(set(objective.drawn)) == 3


@pytest.mark.parametrize("place", ["", ".", "file/run.pt"])
def test_a_checkpoint_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    objective = Scaled()
    with pytest.raises(ValueError, match="checkpoint"):
        fit(Small(), objective, split(), epochs=1, checkpoint=place)
    assert objective.step == 0


def test_a_student_without_anything_to_train_is_refused() -> None:
    frozen = Small().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter to train"):
        fit(frozen, Supervised(), split(), epochs=1)


def test_training_works_inside_no_grad_and_with_huge_seeds() -> None:
    with torch.no_grad():
        history = fit(Small(), Supervised(), split(), epochs=1, seed=2**62)
    assert math.isfinite(history[0]["loss"])


def test_checkpoints_are_written_no_more_often_than_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    save = checkpoint.save

    def counting(path: Path, parts: Any, settings: Any, history: list[Any]) -> None:
        written.append(len(history))
        save(path, parts, settings, history)

    monkeypatch.setattr(checkpoint, "save", counting)
    for name, interval in (("all", 0.0), ("last", 1e6)):
        fit(
            Small(), Supervised(), split(), epochs=3, checkpoint=tmp_path / name,
            checkpoint_interval=interval,
        )  # fmt: skip
    assert written == [1, 2, 3, 3]


def test_more_epochs_continue_a_finished_run(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    longer, straight = Small(), Small()
    fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)
    fit(longer, Supervised(), split(), epochs=4, checkpoint=path)
    fit(straight, Supervised(), split(), epochs=4)
    assert same(weights(longer), weights(straight))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lr": 2e-3}, "lr is 0.001, this run has 0.002"),
        ({"batch_size": 20}, "batch_size"),
        ({"seed": 1}, "seed"),
        ({"views": Views(flip=True)}, "views"),
        ({"precision": "bf16"}, "precision"),
        ({"channels_last": False}, "channels_last"),
        ({"optimizer": sgd}, "optimizer"),
        ({"schedule": one_cycle}, "schedule"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=1, checkpoint=path)
    with pytest.raises(CheckpointError, match=named):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path, **change)


@pytest.mark.parametrize(
    ("student", "objective", "data_seed", "named"),
    [
        (Small(seed=9), Distillation(Small()), 0, "student"),
        (Small(), Distillation(Small(), temperature=2.0), 0, "temperature is 4.0"),
        (Small(), Distillation(Small(), alpha=0.5), 0, "alpha"),
        (Small(), Distillation(Small(seed=5)), 0, "teacher"),
        (Small(), Supervised(), 0, "alpha"),
        (Small(), Distillation(Small()), 1, "data"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, student: nn.Module, objective: Objective, data_seed: int, named: str
) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Distillation(Small()), split(), epochs=1, checkpoint=path)
    with pytest.raises(CheckpointError, match=f"belongs to another run: its {named}"):
        fit(student, objective, split(seed=data_seed), epochs=1, checkpoint=path)


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("payload-was-executed",)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "pickle", "other", "empty"])
def test_a_damaged_or_hostile_checkpoint_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=1, checkpoint=path)
    content = path.read_bytes()
    if damage == "pickle":
        torch.save({"format": 1, "settings": Payload()}, path)
    elif damage == "other":
        torch.save({"weights": torch.ones(2)}, path)
    else:
        path.write_bytes({"truncated": content[:-500], "garbage": b"x" * 900, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"run\.pt' cannot be read as a checkpoint"):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)
    assert not (tmp_path / "payload-was-executed").exists()


def test_the_payload_of_the_test_above_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Payload()))
    assert (tmp_path / "payload-was-executed").exists()


# -- what cannot work is said before any work -----------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be a number from 1e-30 to 1e\\+30, got 0.0"),
        ({"lr": math.nan}, "lr must be a number from 1e-30 to 1e\\+30, got nan"),
        ({"lr": math.inf}, "lr must be a number from 1e-30 to 1e\\+30, got inf"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda, cuda:N or mps, got 'gpu'"),
        ({"device": "cuda:x"}, "device must be"),
        ({"device": "cuda:99"}, "this machine has no device 'cuda:99'"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"batch_size": 32.0}, "batch_size must be a whole number, got 32.0"),
        ({"lr": "0.1"}, "lr must be a number from 1e-30 to 1e\\+30, got '0.1'"),
        ({"precision": "fp16"}, "precision 'fp16' needs a GPU"),
        ({"precision": "fp8"}, "precision must be one of fp32, bf16, fp16, got 'fp8'"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"epochs": 1, "device": "cpu"} | change
    with pytest.raises(ValueError, match=message):
        fit(Small(), Supervised(), split(), **arguments)


def test_too_few_classes_for_the_labels_are_named() -> None:
    with pytest.raises(ValueError, match="labels run from 0 to 2, but the student has 2 classes"):
        fit(Small(classes=2), Supervised(), split(classes=3), epochs=1)


def test_negative_labels_are_named() -> None:
    train = split()
    train.labels[3] = -1
    with pytest.raises(ValueError, match="labels must start at 0, got -1"):
        fit(Small(), Supervised(), train, epochs=1)


def test_a_teacher_with_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        fit(Small(classes=3), Distillation(Small(classes=4)), split(), epochs=1)


def test_a_wrong_image_size_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"MNISTCNN takes images \[B, 1, 28, 28\], got \[2, 1, 8"):
        fit(models.build("mnist_cnn_student"), Supervised(), split(), epochs=1)


def test_a_student_without_one_logit_per_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must return logits \[B, C\], got \[2, 4, 8, 8\]"):
        fit(nn.Conv2d(1, 4, 3, padding=1), Supervised(), split(), epochs=1)


def test_an_empty_split_is_refused() -> None:
    empty = replace(split(), images=split().images[:0], labels=split().labels[:0])
    with pytest.raises(ValueError, match="empty"):
        fit(Small(), Supervised(), empty, epochs=1)


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


def test_a_full_disk_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), Supervised(), split(), epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    told = r"run.pt' cannot be written \({}; [\d.]+ MB are free on its disk\); make room, or its "
    with pytest.raises(OSError, match=told.format("No space left on device")):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.pt"]

    def cut(*_: object) -> None:
        raise RuntimeError("unexpected pos 64 vs 0")  # what PyTorch says of a full disk

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(OSError, match=told.format("unexpected pos 64 vs 0")):
        fit(Small(), Supervised(), split(), epochs=2, checkpoint=path)
    assert path.read_bytes() == before


# -- several processes ----------------------------------------------------------------------------


def train_small(fabric: Fabric, path: Path) -> None:
    def network(seed: int, width: int) -> nn.Module:
        torch.manual_seed(seed)
        layers = nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 3)
        return nn.Sequential(*layers)

    student = network(0, 4)
    history = training.fit(
        student,
        Distillation(network(1, 8)),
        split(43),
        epochs=3,
        batch_size=16,
        seed=3,
        views=Views(flip=True),
        fabric=fabric,
        progress=False,
        checkpoint=path.with_suffix(".run"),
    )
    if fabric.is_global_zero:
        torch.save({"state": student.state_dict(), "loss": [h["loss"] for h in history]}, path)


@forks
def test_two_processes_give_what_one_gives_at_the_same_batch_size(tmp_path: Path) -> None:
    train_small(Fabric(accelerator="cpu", devices=1), tmp_path / "1.pt")
    in_two_processes(train_small, tmp_path / "2.pt")
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("1.pt", "2.pt"))
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
    for name, tensor in one["state"].items():
        torch.testing.assert_close(tensor, two["state"][name], atol=1e-5, rtol=1e-4)


def test_logits_of_the_wrong_shape_are_no_riddle() -> None:
    def scalar(logits: Tensor) -> Tensor:
        return logits.mean()

    class Flat(Small):
        def forward(self, inputs: Tensor) -> Tensor:
            return scalar(super().forward(inputs))

    with pytest.raises(ValueError, match=r"must return logits \[B, C\], got \[\]"):
        fit(Flat(), Supervised(), split(), epochs=1)


# -- what changes over time -----------------------------------------------------------------------


class FadingOut(Supervised):
    """A term whose weight falls from epoch to epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = 1.0
        self.told: list[tuple[int, int]] = []

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.told.append((epoch, epochs))
        self.weight = 1 - epoch / epochs

    def figures(self) -> dict[str, float]:
        return {"weight": self.weight}

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        return {name: self.weight * term for name, term in super().forward(student, batch).items()}


def test_an_objective_is_told_the_epoch_and_tells_its_figures(tmp_path: Path) -> None:
    whole, file = FadingOut(), tmp_path / "run.pt"
    history = fit(Small(), whole, split(20), epochs=4, checkpoint=file)
    assert whole.told == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert [row["weight"] for row in history] == [1.0, 0.75, 0.5, 0.25]
    again = FadingOut()
    assert fit(Small(), again, split(20), epochs=4, checkpoint=file) == history
    assert again.told == []  # nothing was left to do
