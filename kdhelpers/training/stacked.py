"""Many seeds at once: students of one architecture, each on its own data, order and objective."""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._values import check_list, short_repr
from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.data.split import Split
from kdhelpers.evaluation import accuracy, evaluating, predict, to_device
from kdhelpers.objectives.objective import Objective, Terms
from kdhelpers.training import preflight
from kdhelpers.training.devices import make_fabric
from kdhelpers.training.epochs import History, train_epochs
from kdhelpers.training.optimizers import MakeOptimizer, MakeSchedule, adam
from kdhelpers.training.side_by_side import SideBySide
from kdhelpers.training.together import Together

__all__ = ["fit_stacked"]


def fit_stacked(
    students: Sequence[nn.Module],
    objectives: Sequence[Objective],
    trains: Sequence[Split],
    *,
    seeds: Sequence[int],
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: MakeOptimizer = adam,
    schedule: MakeSchedule | None = None,
    views: Views | None = None,
    validation: Split | None = None,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_interval: float = 0.0,
    progress: bool = True,
) -> list[History]:
    """Train several small students in place, all at once; each ends as `fit` alone would train it.

    Student number i learns from `trains[i]`, in the order of `seeds[i]`, on `objectives[i]`; the
    results agree with those of `fit` up to rounding. What is saved is the overhead of every step,
    which most of a small network's time goes into, and two cores share the work better.

    Args:
        students: networks of one architecture, as `SideBySide` accepts them.
        objectives: one for each, of those that ask for the student's logits only, such as
            `Supervised` and `Distillation`; none may share a learned temperature. They may share
            a `Teacher`.
        trains: one split for each, all of one size, such as `split.take(50, seed=seed)`.
        seeds: one for each.
        optimizer: as for `fit`; it must treat every weight by itself, as Adam and SGD do.

    All other arguments are those of `fit`.

    Returns:
        The history of each student; `seconds` are those of all together.

    Raises:
        ValueError: not one objective, split and seed for each student, splits of several sizes,
            students that cannot lie side by side, or as for `fit`.
        CheckpointError, OSError, TrainingError: as for `fit`.
    """
    preflight.kinds(
        optimizer=optimizer,
        schedule=schedule,
        views=views,
        validation=validation,
        checkpoint_interval=checkpoint_interval,
        device=device,
    )
    _check_counts(students, objectives, trains, seeds)
    for seed in seeds:
        preflight.ranges(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, devices=1, ema=0.0)
    path = preflight.writable(checkpoint)
    fabric = make_fabric(str(device))
    for student, train in zip(students, trains, strict=True):
        preflight.match(student, train, validation)
        to_device(student, fabric.device)
    stack = _stack(students, trains)
    seeds = tuple(int(seed) for seed in seeds)
    stacked = Stacked(objectives, seeds)
    history = train_epochs(
        fabric,
        stack,
        stacked,
        Splits(tuple(trains)),  # type: ignore[arg-type]  # all that the loop asks of a split
        epochs=int(epochs),
        batch_size=int(batch_size),
        lr=float(lr),
        optimizer=optimizer,
        schedule=schedule,
        views=views or Views(),
        validation=validation,
        seed=seeds[0],
        channels_last=True,
        ema=0.0,
        compile=False,
        path=path,
        checkpoint_interval=checkpoint_interval,
        progress=progress,
        stream=partial(_stream, seeds),
        validate=partial(_validated, students[0]),
    )
    for number, student in enumerate(students):
        student.load_state_dict(stack.state_of(number))
        student.train()
    return [[stacked.row_of(number, row) for row in history] for number in range(len(students))]


@dataclass(frozen=True)
class Splits:
    """One split for each student, all of one size."""

    each: tuple[Split, ...]

    def __len__(self) -> int:
        return len(self.each[0])

    def to(self, device: torch.device | str) -> "Splits":
        return Splits(tuple(split.to(device) for split in self.each))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(" ".join(s.fingerprint for s in self.each).encode()).hexdigest()


class Stacked(Together):
    """One objective for each of several students side by side, each with its own data."""

    def __init__(self, objectives: Sequence[Objective], seeds: tuple[int, ...]) -> None:
        super().__init__(objectives)
        self.seeds = seeds

    def prepare(self, train: Splits, views: Views, epochs: int) -> None:  # type: ignore[override]
        for objective, split in zip(self._all(), train.each, strict=True):
            objective.prepare(split, views, epochs)

    def forward(self, stack: nn.Module, batch: Batch) -> Terms:
        logits = stack(batch.inputs).unbind(1)
        images = batch.inputs.chunk(len(logits), 1)
        parts = zip(images, *(tensor.unbind(1) for tensor in batch[1:4]), strict=True)
        return self._named(
            objective(_Answer(own.inputs, answer), own)
            for objective, answer, own in zip(
                self._all(), logits, (Batch(*part) for part in parts), strict=True
            )
        )

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"seeds": list(self.seeds)}


class _Answer(nn.Module):
    """Stands for one student: its logits have already been computed along with the others'."""

    def __init__(self, inputs: Tensor, logits: Tensor) -> None:
        super().__init__()
        self.inputs, self.logits = inputs, logits

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs is not self.inputs:
            raise ValueError(
                "students trained side by side are asked about the images of the batch only; "
                "train this objective's students with fit."
            )
        return self.logits


def _stream(
    seeds: tuple[int, ...], train: Splits, batch_size: int, *, seed: int, **settings: Any
) -> Iterator[Batch]:
    """The batches of all students side by side: inputs [B, S·C, H, W], all else [B, S]."""
    streams = (
        batches(split, batch_size, seed=own, **settings)
        for split, own in zip(train.each, seeds, strict=True)
    )
    for parts in zip(*streams, strict=True):
        inputs, *others = zip(*(part[:4] for part in parts), strict=True)
        images = torch.cat(inputs, 1).contiguous(memory_format=torch.channels_last)
        labels, samples, numbers = (torch.stack(tensors, 1) for tensors in others)
        yield Batch(images, labels, samples, numbers)


def _validated(student: nn.Module, stack: SideBySide, split: Split) -> dict[str, float]:
    """The accuracy of each; the students themselves stay as they are until the end."""
    network, figures = copy.deepcopy(student), {}
    for number in range(stack.count):
        network.load_state_dict(stack.state_of(number))
        measured = accuracy(predict(network, split), split.labels)
        figures[Together.name("validation_accuracy", number)] = measured
    return figures


def _stack(students: Sequence[nn.Module], trains: Sequence[Split]) -> SideBySide:
    """The students side by side, asked once to see that all of their code can be."""
    stack = SideBySide(students)
    device = next(stack.parameters()).device
    images = [split.normalise(split.images[:2].to(device)) for split in trains]
    try:
        with evaluating(stack):
            stack(torch.cat(images, 1))
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"a {type(students[0]).__name__} cannot be trained side by side with others ({error}); "
            "train the students one after the other with fit."
        ) from error
    return stack


def _check_counts(
    students: Sequence[nn.Module],
    objectives: Sequence[Objective],
    trains: Sequence[Split],
    seeds: Sequence[int],
) -> None:
    check_list(students, nn.Module, name="students")
    check_list(objectives, Objective, name="objectives")
    check_list(trains, Split, name="trains")
    if not isinstance(seeds, Sequence):
        raise ValueError(f"seeds must be a list of whole numbers, got {short_repr(seeds)}.")
    counts = [len(objectives), len(trains), len(seeds)]
    if not students or counts != [len(students)] * 3:
        raise ValueError(
            "fit_stacked needs students and one objective, one split and one seed for each, got "
            f"{len(students)} and {counts[0]}, {counts[1]}, {counts[2]}."
        )
    sizes = sorted({len(train) for train in trains})
    if len(sizes) > 1:
        raise ValueError(
            f"students trained side by side need splits of one size, got {sizes}; "
            "take as many samples for each."
        )
    shared = len({id(one) for one in students}) + len({id(one) for one in objectives})
    learned = [id(parameter) for each in objectives for parameter in each.parameters()]
    if shared < 2 * len(students) or len(set(learned)) < len(learned):
        raise ValueError(
            "each student needs to be a network of its own with an objective of its own, also "
            "with a learned temperature of its own; build them anew for every seed."
        )
