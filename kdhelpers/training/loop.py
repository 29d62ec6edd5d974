"""The loop: epochs, and the steps within them, from top to bottom.

Whatever is learned is the objective's business.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from kdhelpers._random import mixed_seed, random_state_kept, seed_all
from kdhelpers._values import is_number, require, short_repr
from kdhelpers.data.batching import Batch, batches, steps_per_epoch
from kdhelpers.data.split import Split
from kdhelpers.evaluation import accuracy, predict, unwrapped, uses_view
from kdhelpers.objectives.frozen import fingerprint, unsaved_buffers
from kdhelpers.objectives.objective import Objective, Terms, describe
from kdhelpers.training import checkpoint as checkpoints
from kdhelpers.training.checkpoint import plain
from kdhelpers.training.devices import PRECISIONS, device_for, placed
from kdhelpers.training.gate import check_optimizer, check_schedule, check_terms
from kdhelpers.training.own_code import own_code
from kdhelpers.training.recipe import Recipe
from kdhelpers.training.threads import end_if_stopped, no_random_numbers

Row = dict[str, float]
Tensors = tuple[Tensor, ...] | list[Tensor]
OnEpoch = Callable[[Row], bool | None]


class History(list[Row]):
    """The figures of each epoch, and the `precision` that its steps were computed in."""

    def __init__(self, rows: Iterable[Row] = (), *, precision: str = "fp32") -> None:
        super().__init__(rows)
        self.precision = precision


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


_in_use: set[nn.Module] = set()
_using = threading.Lock()


@contextmanager
def _own(objective: Objective) -> Iterator[None]:
    """An objective that prepares something for its run is nobody else's meanwhile."""
    nested = [part for part in objective.modules() if isinstance(part, Objective)]
    parts = {part for part in nested if type(part).prepare is not Objective.prepare}
    with _using:
        told = f"{type(objective).__name__} is in use by another run that has not ended"
        remedy = "make an objective for each (a Teacher may be shared)"
        require(not parts & _in_use, f"{told}; {remedy}.")
        _in_use.update(parts)
    try:
        yield
    finally:
        with _using:
            _in_use.difference_update(parts)


def validated(student: nn.Module, split: Split) -> Row:
    """The accuracy of a student whose logits are numbers: a finite loss does not say so."""
    logits = predict(student, split)
    told = "the student answers the validation images with NaN or infinite logits; lower lr, or"
    remedy = "look for layers that behave differently in eval mode"
    require(logits.isfinite().all(), f"{told} {remedy}.", TrainingError)
    return {"validation_accuracy": accuracy(logits, split.labels)}


def train_student(
    student: nn.Module,
    objective: Objective,
    train: Split,
    recipe: Recipe,
    *,
    seed: int,
    validation: Split | None,
    path: Path | None,
    on_epoch: OnEpoch | None,
    progress: bool,
    stream: Callable[..., Iterator[Batch]] = batches,
    validate: Callable[[nn.Module, Split], Row] = validated,
) -> History:
    """Train `student` in place; everything has been checked, and precision "auto" replaced.

    `stream` gives the batches of an epoch, and `validate` the figures of a student on a split.
    """
    device = device_for(recipe.device)
    epochs = recipe.epochs_for(train)
    validation = None if validation is None else validation.labelled()
    with (
        _own(objective),
        placed(student, device, channels_last=recipe.channels_last),
        placed(objective, device),
        torch.enable_grad(),
        # The recipe's precision counts, not an autocast that the caller left on. No copies of the
        # weights are kept: PyTorch would forget them when this context ends, after all steps.
        torch.autocast(device.type, enabled=False, cache_enabled=False),
        random_state_kept(device),
    ):
        train = train.to(device)
        code = own_code(student, objective, recipe.optimizer, recipe.schedule) if path else {}
        with no_random_numbers(objective):
            objective.check(student, train)
            objective.prepare(train, recipe.views, epochs)  # now its settings may name the epochs
        settings = _settings(student, objective, train, recipe, epochs, seed)
        settings |= {f"code of {name}": digest for name, digest in code.items()}
        seen: set[nn.Module] = set()  # an objective may hold the student, too
        asleep = [
            (name, part)
            for whole in (student, objective)
            for name, part in whole.named_modules(seen)
            if whole.training and not part.training
        ]
        settings |= {"in eval mode": [name for name, _ in asleep]} if asleep else {}
        held = nn.ModuleDict({"student": unwrapped(student), "objective": objective})
        frozen = [name for name, own in held.named_parameters() if not own.requires_grad]
        settings |= {"frozen weights": frozen} if frozen else {}
        steps = steps_per_epoch(len(train), recipe.batch_size)

        model = cast(nn.Module, torch.compile(student)) if recipe.compile else student
        step: nn.Module = _Step(model, objective)
        if recipe.precision == "bf16":
            in_bf16 = torch.autocast(device.type, torch.bfloat16)  # no copies either
            step.forward = in_bf16(step.forward)
        optimizer = recipe.optimizer([*step.parameters()], lr=float(recipe.lr))
        check_optimizer(optimizer, student)
        schedule = recipe.schedule(optimizer, epochs * steps) if recipe.schedule else None
        check_schedule(schedule, recipe)
        average = _average(student, recipe.ema) if recipe.ema else None
        result = average.module if average else student
        parts: dict[str, Any] = dict(student=unwrapped(student), objective=objective)
        parts |= dict(optimizer=optimizer, schedule=schedule, average=average)
        parts = {name: part for name, part in parts.items() if part is not None}
        parts["besides"] = checkpoints.Besides(parts)
        begun = checkpoints.load(path, parts, settings, epochs) if path else []
        history = History(begun, precision=recipe.precision)

        ended = True in [_ends(on_epoch, row) for row in history]
        written = time.perf_counter()
        with tqdm(
            total=epochs * steps, initial=len(history) * steps, desc=type(objective).__name__,
            unit="step", leave=False, delay=10, mininterval=0.5, disable=not progress,
        ) as bar:  # fmt: skip
            for epoch in range(len(history), 0 if ended else epochs):
                # Seeded by epoch: a resumed run draws what an uninterrupted one would have drawn.
                seed_all(mixed_seed(seed, epoch), device)
                started = time.perf_counter()
                objective.start_epoch(epoch, epochs)
                step.train()
                for _, part in asleep:
                    part.training = False
                optimizer.zero_grad()
                torch.clear_autocast_cache()  # of copies that a check or a validation has made
                means = _Means()
                # Looking for random numbers takes half a step: it is done every 20 steps or so.
                now_and_then = epoch % max(1, min(10, 20 // steps)) == 0
                looked = not now_and_then and epoch not in (len(begun), epochs - 1)
                for batch in stream(
                    train, recipe.batch_size, seed=seed, epoch=epoch, views=recipe.views,
                    channels_last=recipe.channels_last,
                ):  # fmt: skip
                    end_if_stopped()
                    with nullcontext() if looked else no_random_numbers(step):
                        terms: Terms = step(batch)
                    looked = True
                    if not means.sizes:
                        check_terms(terms, objective, _figures(objective))
                    loss = reduce(add, terms.values())
                    loss.backward()
                    optimizer.step()
                    # An autocast of the student's own may keep copies of the weights all the same.
                    torch.clear_autocast_cache()
                    optimizer.zero_grad()
                    if schedule:
                        schedule.step()
                    if average:
                        average.update_parameters(student)
                    means.add(terms, len(batch.labels))
                    bar.update()

                figures = means.row(epoch, recipe.lr)  # waits for the device
                row: Row = {"epoch": epoch + 1, "seconds": time.perf_counter() - started}
                row |= figures | _figures(objective)
                if validation is not None:
                    row |= validate(result, validation)
                history.append(row)
                due = time.perf_counter() - written >= recipe.checkpoint_interval
                due = due or epoch + 1 == epochs
                if path and due:  # before the hook, which may fail
                    checkpoints.save(path, parts, settings, history)
                    written = time.perf_counter()
                if _ends(on_epoch, row):
                    if path and not due:
                        checkpoints.save(path, parts, settings, history)
                    break
        if average:
            student.load_state_dict(average.module.state_dict())
            for name, buffer in unsaved_buffers(average.module).items():
                student.get_buffer(name).copy_(buffer)
    return history


class _Step(nn.Module):
    """Student and objective as one module: what a step computes, and all that it trains."""

    def __init__(self, student: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective

    def forward(self, batch: Batch) -> Terms:
        try:
            terms: Terms = self.objective(self.student, batch)
        except RuntimeError as error:
            if uses_view(error):  # in a branch that only training takes
                told = "the code of a network uses view, which channels last does not allow"
                raise ValueError(f"{told}; give channels_last=False.") from error
            raise
        return terms


def _ends(on_epoch: OnEpoch | None, row: Row) -> bool:
    """Whether the hook asks to end: by True, not by what a logger happens to return."""
    answer = on_epoch(dict(row)) if on_epoch else None
    return isinstance(answer, bool | np.bool_) and bool(answer)


class _Means:
    """Means of the terms; they stay on the device until the epoch ends, so no step waits."""

    def __init__(self) -> None:
        self.terms: dict[str, list[Tensor]] = {}
        self.sizes: list[int] = []

    def add(self, terms: Terms, size: int) -> None:
        if self.sizes and terms.keys() != self.terms.keys():
            told = f"the objective had the terms {[*self.terms]}, and in a later step {[*terms]}"
            raise ValueError(f"{told}; return the same terms in every step.")
        for name, term in terms.items():
            self.terms.setdefault(name, []).append(term.detach().clone())  # it may be a buffer
        self.sizes.append(size)

    def row(self, epoch: int, lr: float) -> Row:
        each = [torch.stack(terms).float() for terms in self.terms.values()]
        weights = each[0].new_tensor(self.sizes)
        sums = [terms @ weights for terms in each]
        means = (torch.stack(sums) / weights.sum()).tolist()
        loss = sum(means)
        told = f"the loss became {loss} in epoch {epoch + 1}; lower lr={lr}, or look for NaN in"
        remedy = "the data or in the teacher's logits"
        require(math.isfinite(loss), f"{told} {remedy}.", TrainingError)
        return {"loss": loss, **dict(zip(self.terms, means, strict=True))}


def _average(student: nn.Module, decay: float) -> AveragedModel:
    average = get_ema_multi_avg_fn(decay)

    def averaged(own: Tensors, new: Tensors, count: Tensor | int) -> None:
        if own[0].is_floating_point() or own[0].is_complex():  # they come sorted by their types
            average(own, new, count)
        else:  # whole numbers, such as batches seen, have no average
            for before, now in zip(own, new, strict=True):
                before.copy_(now)

    return AveragedModel(student, multi_avg_fn=averaged, use_buffers=True)


def _figures(objective: Objective) -> Row:
    figures = plain(objective.figures())
    for name, value in figures.items():
        told = f"figures of {type(objective).__name__}: {name} must be a number, got"
        require(is_number(value), f"{told} {short_repr(value)}")
    return cast(Row, figures)


def _settings(
    student: nn.Module, objective: Objective, train: Split, recipe: Recipe, epochs: int, seed: int
) -> dict[str, Any]:
    """What a run must share with the checkpoint that it goes on from."""
    schedule = recipe.schedule
    return {
        "student": fingerprint(unwrapped(student)),
        "data": train.fingerprint,
        "batch_size": int(recipe.batch_size),
        "lr": float(recipe.lr),
        "optimizer": describe(recipe.optimizer),
        "schedule": f"{describe(schedule)} over {epochs} epochs" if schedule else None,
        "views": repr(recipe.views),
        "seed": seed,
        "precision": PRECISIONS[recipe.precision],
        "channels_last": recipe.channels_last,
        "ema": float(recipe.ema),
        **objective.settings(),
    }
