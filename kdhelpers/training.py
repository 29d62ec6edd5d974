"""The one training loop: `fit`.

Supervised training, distillation and everything after them differ in the objective alone.
"""

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from kdhelpers import checkpoint as checkpoints
from kdhelpers.checkpoint import CheckpointError
from kdhelpers.data import Batch, Split, Views, batches, mixed_seed, steps_per_epoch
from kdhelpers.distillation import Objective, Terms, describe, fingerprint
from kdhelpers.prediction import evaluating, move, predict

__all__ = ["CheckpointError", "History", "TrainingError", "adam", "fit", "make_fabric"]

History = list[dict[str, float]]
MakeOptimizer = Callable[..., Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}

# One fused kernel updates all weights: the same arithmetic with less overhead per step.
adam: MakeOptimizer = partial(torch.optim.Adam, fused=True)


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


def fit(
    student: nn.Module,
    objective: Objective,
    train: Split,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: MakeOptimizer = adam,
    schedule: MakeSchedule | None = None,
    views: Views | None = None,
    validation: Split | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    channels_last: bool = True,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_interval: float = 0.0,
    progress: bool = True,
) -> History:
    """Train `student` in place on `objective`; return one dict of figures per epoch.

    Args:
        student: logits [B, C] from float images [B, channels, H, W].
        objective: what to minimise; its own parameters are trained too.
        train: uint8 images in memory; they are moved to the device once.
        epochs: passes over `train`.
        batch_size: samples per step, over all processes together; default 128.
        lr: learning rate, default 1e-3.
        optimizer: called as `optimizer(parameters, lr=lr)`; default Adam (Kingma & Ba 2014,
            arXiv 1412.6980), fused.
        schedule: called as `schedule(optimizer, total_steps)`, stepped after every step.
        views: random augmentation (see `Views`); default none.
        validation: if given, its accuracy is measured after each epoch.
        seed: fixes the order, the views and the random numbers of each epoch (dropout); the
            global random state is left as it was.
        device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1" or "mps".
        precision: "fp32", or "bf16" / "fp16" for automatic mixed precision.
        channels_last: lay out image tensors channel by channel within a pixel, which speeds up
            convolution and pooling on most devices; the numbers stay the same up to rounding.
        fabric: a launched `Fabric`, for several processes; replaces `device` and `precision`.
        checkpoint: a file that is written after every epoch, whole or not at all. Where it
            exists, training goes on after its last epoch, and ends with the weights of an
            uninterrupted run (bit for bit on a CPU).
        checkpoint_interval: seconds that must have passed since the last write before an epoch
            is written again (the last epoch always is); default 0, every epoch.
        progress: show a bar for runs of more than a few seconds.

    Returns:
        For each epoch: `epoch` (from 1), `seconds`, `loss`, each term of the objective (means
        over the samples), the objective's own `figures`, and `validation_accuracy` if
        `validation` was given.

    Raises:
        ValueError: an argument out of range, or data that do not fit the student; on a CPU also
            logits that became NaN, which the distillation losses refuse at once.
        CheckpointError: the checkpoint is damaged or belongs to another run.
        TrainingError: the loss became NaN or infinite.
    """
    _check_range(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
    epochs, batch_size, seed, lr = int(epochs), int(batch_size), int(seed), float(lr)
    path = _checked_path(checkpoint)
    fabric = fabric or make_fabric(str(device), precision)
    views = views or Views()
    train = train.to(fabric.device)
    move(student, fabric.device, channels_last=channels_last)
    objective.to(fabric.device)
    _check_match(student, train)
    objective.prepare(train, views, epochs)
    settings = {
        "student": fingerprint(student),
        "data": train.fingerprint,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": describe(optimizer),
        "schedule": f"{describe(schedule)} over {epochs} epochs" if schedule else None,
        "views": repr(views),
        "seed": seed,
        "precision": str(fabric._precision.precision),
        "channels_last": channels_last,
        **objective.settings(),
    }
    steps = steps_per_epoch(len(train), batch_size, fabric.world_size)
    loop = _Loop(fabric, student, objective, partial(optimizer, lr=lr), schedule, epochs * steps)
    history = checkpoints.load(path, loop.parts, settings) if path and path.exists() else []
    if len(history) > epochs:
        raise CheckpointError(
            f"'{path}' holds {len(history)} epochs, more than the {epochs} asked for; delete it "
            "or give another path."
        )
    bar = tqdm(
        total=epochs * steps,
        initial=len(history) * steps,
        desc=type(objective).__name__,
        unit="step",
        leave=False,
        delay=10,
        mininterval=0.5,
        disable=not progress or not fabric.is_global_zero,
    )
    written = time.perf_counter()
    with bar, torch.enable_grad(), torch.random.fork_rng(devices=_cuda_index(fabric)):
        for epoch in range(len(history), epochs):
            # Seeded by epoch: a resumed run draws what an uninterrupted one would have drawn.
            torch.manual_seed(mixed_seed(seed, epoch))
            started = time.perf_counter()
            stream = batches(
                train,
                batch_size,
                seed=seed,
                epoch=epoch,
                views=views,
                channels_last=channels_last,
                rank=fabric.global_rank,
                world_size=fabric.world_size,
            )
            objective.start_epoch(epoch, epochs)
            figures = loop.epoch(stream, bar)
            if not all(map(math.isfinite, figures.values())):
                raise TrainingError(
                    f"the loss became {figures['loss']} in epoch {epoch + 1}; lower lr={lr}, or "
                    "look for NaN in the data or in the teacher's logits."
                )
            seconds = time.perf_counter() - started
            figures = {"epoch": epoch + 1, "seconds": seconds, **figures, **objective.figures()}
            if validation is not None:
                figures["validation_accuracy"] = _accuracy(student, validation)
            history.append(figures)
            due = time.perf_counter() - written >= checkpoint_interval or epoch + 1 == epochs
            if path is not None and due and fabric.is_global_zero:
                checkpoints.save(path, loop.parts, settings, history)
                written = time.perf_counter()
    fabric.barrier()  # no process goes on before the last checkpoint is written
    return history


class _Step(nn.Module):
    """Student and objective as one module: several processes then average all gradients."""

    def __init__(self, student: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective

    def forward(self, batch: Batch) -> Terms:
        terms: Terms = self.objective(self.student, batch)
        return terms


class _Loop:
    """What stays the same from epoch to epoch: the step, the optimiser and the schedule."""

    def __init__(
        self,
        fabric: Fabric,
        student: nn.Module,
        objective: Objective,
        optimizer: MakeOptimizer,
        schedule: MakeSchedule | None,
        total_steps: int,
    ) -> None:
        self.fabric = fabric
        step = _Step(student, objective)
        inner = optimizer(step.parameters())
        self.schedule = schedule(inner, total_steps) if schedule else None
        self.parts: dict[str, Any] = {"student": student, "objective": objective}
        self.parts["optimizer"] = inner
        if self.schedule:
            self.parts["schedule"] = self.schedule
        self.step, self.optimizer = fabric.setup(step, inner)

    def epoch(self, stream: Iterable[Batch], bar: tqdm) -> dict[str, float]:
        """One pass; sums stay on the device until its end, so that no step waits for them."""
        self.step.train()
        totals: dict[str, Tensor] = {}
        count = 0
        for batch in stream:
            terms = self.step(batch)
            self.fabric.backward(sum(terms.values()) * batch.share)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.schedule:
                self.schedule.step()
            size = len(batch.labels)
            for name, term in terms.items():
                totals[name] = term.detach() * size + totals.get(name, 0.0)
            count += size
            bar.update()
        sums = torch.stack(
            [*totals.values(), torch.tensor(float(count), device=self.fabric.device)]
        )
        sums = cast(Tensor, self.fabric.all_reduce(sums, reduce_op="sum"))
        *means, _ = (sums / sums[-1]).tolist()
        return {"loss": sum(means), **dict(zip(totals, means, strict=True))}


def make_fabric(device: str = "auto", precision: str = "fp32") -> Fabric:
    """A `Fabric` on one device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        ValueError: an unknown precision, or a device that this machine does not have.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    kind, _, number = device.partition(":")
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    index = int(number) if number.isdigit() else 0
    if kind not in available or (number and (kind != "cuda" or not number.isdigit())):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {device!r}.")
    if not available[kind] or (kind == "cuda" and index >= torch.cuda.device_count()):
        raise ValueError(f"this machine has no device {device!r}; use device='auto'.")
    on_cpu = kind == "cpu" or (kind == "auto" and not (available["cuda"] or available["mps"]))
    if precision == "fp16" and on_cpu:
        raise ValueError("precision 'fp16' needs a GPU; use 'bf16' or 'fp32' on a CPU.")
    devices: list[int] | int = [index] if kind == "cuda" else 1
    fabric = Fabric(accelerator=kind, devices=devices, precision=PRECISIONS[precision])
    fabric.launch()
    return fabric


def _check_range(*, epochs: int, batch_size: int, lr: float, seed: int) -> None:
    for name, value, smallest in (
        ("epochs", epochs, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise ValueError(f"{name} must be a whole number, got {value!r}.")
        if value < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value}.")
    if not isinstance(lr, int | float | np.floating) or isinstance(lr, bool):
        raise ValueError(f"lr must be a number, got {lr!r}.")
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr must be greater than 0, got {lr}.")


def _checked_path(checkpoint: str | Path | None) -> Path | None:
    """The checkpoint's path, its folder made: a place that cannot be written shows now."""
    if checkpoint is None:
        return None
    path = Path(checkpoint).expanduser()
    if str(checkpoint) == "" or path.is_dir():
        raise ValueError(f"checkpoint must name a file, got {str(checkpoint)!r}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"checkpoint {str(path)!r} cannot be written: {error}.") from error
    return path


def _check_match(student: nn.Module, train: Split) -> None:
    """One forward pass of two images: shapes and labels that do not fit show now, not later."""
    if len(train) == 0:
        raise ValueError("the split is empty: there is nothing to learn from.")
    if not any(p.requires_grad for p in student.parameters()):
        raise ValueError("the student has no parameter to train: none requires a gradient.")
    lowest, highest = (int(bound) for bound in torch.aminmax(train.labels))
    with evaluating(student):
        logits = student(train.normalise(train.images[:2]))
    if logits.ndim != 2:
        raise ValueError(f"the student must return logits [B, C], got {list(logits.shape)}.")
    if lowest < 0:
        raise ValueError(f"labels must start at 0, got {lowest}; number the classes from 0.")
    if highest >= logits.shape[1]:
        raise ValueError(
            f"labels run from {lowest} to {highest}, but the student has {logits.shape[1]} "
            f"classes (0 to {logits.shape[1] - 1}); build it with num_classes={highest + 1}."
        )


def _accuracy(model: nn.Module, split: Split) -> float:
    logits = predict(model, split)
    return (logits.argmax(1) == split.labels.to(logits.device)).float().mean().item()


def _cuda_index(fabric: Fabric) -> list[int]:
    return [fabric.device.index or 0] if fabric.device.type == "cuda" else []
