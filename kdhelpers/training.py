"""The one training loop: `fit`.

Supervised training, distillation and everything after them differ in the objective alone.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm.auto import tqdm

from kdhelpers import checkpoint as checkpoints
from kdhelpers import preflight
from kdhelpers._seeding import mixed_seed, random_state_kept, seed_all
from kdhelpers._values import instance, several
from kdhelpers.checkpoint import CheckpointError
from kdhelpers.data import Batch, Split, Views, batches, steps_per_epoch
from kdhelpers.devices import check_several, in_processes, make_fabric
from kdhelpers.distillation import Objective, describe, fingerprint
from kdhelpers.loop import Loop
from kdhelpers.optimizers import MakeOptimizer, MakeSchedule, adam
from kdhelpers.parallel import check_no_dropout
from kdhelpers.prediction import move, predict
from kdhelpers.together import Students, Together

__all__ = ["CheckpointError", "History", "TrainingError", "adam", "fit", "fit_together"]
__all__ += ["make_fabric"]

History = list[dict[str, float]]


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
    devices: int = 1,
    precision: str = "fp32",
    channels_last: bool = True,
    ema: float = 0.0,
    compile: bool = False,
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
            arXiv 1412.6980), fused; more in `kdhelpers.optimizers`.
        schedule: called as `schedule(optimizer, total_steps)`, stepped after every step.
        views: random augmentation (see `Views`); default none.
        validation: if given, its accuracy is measured after each epoch.
        seed: fixes the order, the views and the random numbers of each epoch (dropout); the
            global random state is left as it was.
        device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1" or "mps".
        devices: how many of them; above 1, as many processes start, each takes its share of every
            batch, and gradients are averaged. Batch normalisation then sees one share at a time.
        precision: "fp32", or "bf16" / "fp16" for automatic mixed precision.
        channels_last: lay out image tensors channel by channel within a pixel, which speeds up
            convolution and pooling on most devices; the numbers stay the same up to rounding.
        ema: decay per step of an exponential moving average of the weights and buffers, in
            [0, 1); the student ends with the average (Polyak & Juditsky 1992), which is also what
            `validation` measures. Default 0, none.
        compile: compile the student with `torch.compile`; the first step then takes a minute.
        fabric: a launched `Fabric`; replaces `device`, `devices` and `precision`.
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
        ValueError: an argument out of range or of another type, or data (also those for
            validation) that do not fit the student; on a CPU also
            logits that became NaN, which the distillation losses refuse at once.
        CheckpointError: the checkpoint is damaged or belongs to another run.
        TrainingError: the loss became NaN or infinite.
    """
    preflight.ranges(
        epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, devices=devices, ema=ema
    )
    epochs, batch_size, seed, lr = int(epochs), int(batch_size), int(seed), float(lr)
    preflight.kinds(
        optimizer=optimizer,
        schedule=schedule,
        views=views,
        validation=validation,
        checkpoint_interval=checkpoint_interval,
        device=device,
        fabric=fabric,
    )
    instance(objective, Objective, name="objective")
    path = preflight.writable(checkpoint)
    if fabric is None and devices == 1:
        fabric = make_fabric(str(device), precision)
    elif fabric is None:
        check_several(str(device), precision, devices)
    views = views or Views()
    preflight.match(student, train, validation)
    check_no_dropout(student)
    run = partial(
        _fit,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        schedule=schedule,
        views=views,
        validation=validation,
        seed=seed,
        channels_last=channels_last,
        ema=float(ema),
        compile=compile,
        path=path,
        checkpoint_interval=checkpoint_interval,
        progress=progress,
    )
    if fabric is None:
        place = dict(device=str(device), precision=precision, devices=devices)
        return _fit_in_processes(run, student, objective, train, **place)
    return run(fabric, student, objective, train)


def fit_together(
    students: Sequence[nn.Module],
    objectives: Sequence[Objective],
    train: Split,
    **settings: Any,
) -> list[History]:
    """Train several students in place on the same batches, each on its own objective.

    A `Teacher` that their objectives share is asked once a batch, however many students there
    are. Each student ends as `fit` alone would have trained it with the same settings, unless it
    draws random numbers of its own (dropout).

    Args:
        settings: as for `fit`.

    Returns:
        The history of each student; `seconds` are those of all together.

    Raises:
        ValueError: no student, a number of objectives that differs, or as for `fit`.
    """
    several(students, nn.Module, name="students")
    several(objectives, Objective, name="objectives")
    if not students or len(students) != len(objectives):
        raise ValueError(
            "fit_together needs students and one objective for each, got "
            f"{len(students)} and {len(objectives)}."
        )
    together = Together(objectives)
    history = fit(Students(students), together, train, **settings)
    return [[together.row_of(number, row) for row in history] for number in range(len(students))]


def _fit(
    fabric: Fabric,
    student: nn.Module,
    objective: Objective,
    train: Split,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    optimizer: MakeOptimizer,
    schedule: MakeSchedule | None,
    views: Views,
    validation: Split | None,
    seed: int,
    channels_last: bool,
    ema: float,
    compile: bool,
    path: Path | None,
    checkpoint_interval: float,
    progress: bool,
    stream: Callable[..., Iterator[Batch]] = batches,
    validate: Callable[..., dict[str, float]] | None = None,
) -> History:
    """What every process does; the arguments have been checked.

    `stream` gives the batches of an epoch, and `validate` the figures of a student on a split.
    """
    train = train.to(fabric.device)
    move(student, fabric.device, channels_last=channels_last)
    objective.to(fabric.device)
    objective.prepare(train, views, epochs)  # first: its settings may name the epochs
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
        "ema": ema,
        **objective.settings(),
    }

    steps = steps_per_epoch(len(train), batch_size, fabric.world_size)
    loop = Loop(
        fabric,
        student,
        objective,
        partial(optimizer, lr=lr),
        schedule,
        epochs * steps,
        ema=ema,
        compile=compile,
    )
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
    with bar, torch.enable_grad(), random_state_kept(_cuda_index(fabric)):
        for epoch in range(len(history), epochs):
            # Seeded by epoch: a resumed run draws what an uninterrupted one would have drawn.
            seed_all(mixed_seed(seed, epoch), fabric.device)
            started = time.perf_counter()
            epoch_batches = stream(
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
            figures = loop.epoch(epoch_batches, bar)
            if not all(map(math.isfinite, figures.values())):
                raise TrainingError(
                    f"the loss became {figures['loss']} in epoch {epoch + 1}; lower lr={lr}, or "
                    "look for NaN in the data or in the teacher's logits."
                )
            seconds = time.perf_counter() - started
            figures = {"epoch": epoch + 1, "seconds": seconds, **figures, **objective.figures()}
            if validation is not None:
                figures |= (validate or _validated)(loop.result, validation)
            history.append(figures)
            due = time.perf_counter() - written >= checkpoint_interval or epoch + 1 == epochs
            if path is not None and due and fabric.is_global_zero:
                checkpoints.save(path, loop.parts, settings, history)
                written = time.perf_counter()
    if loop.result is not student:
        student.load_state_dict(loop.result.state_dict())
    fabric.barrier()  # no process goes on before the last checkpoint is written
    return history


def _fit_in_processes(
    run: Callable[..., History],
    student: nn.Module,
    objective: Objective,
    train: Split,
    **place: Any,
) -> History:
    """Train copies in several processes and take over what the first one has learned."""
    work = partial(_in_one_process, run, train.to("cpu"))
    try:
        learned = in_processes(work, student.cpu(), objective.cpu(), **place)
    except ChildProcessError as error:
        raise TrainingError(
            "training with several devices failed in one of its processes; what is defined in a "
            f"notebook's cell cannot travel to them, put it into a module ({error})."
        ) from error
    student.load_state_dict(learned["student"])
    objective.load_state_dict(learned["objective"])
    return cast(History, learned["history"])


def _in_one_process(
    run: Callable[..., History],
    train: Split,
    fabric: Fabric,
    student: nn.Module,
    objective: Objective,
) -> dict[str, Any]:
    history = run(fabric, student, objective, train)
    states = {"student": student.state_dict(), "objective": objective.state_dict()}
    return {"history": history, **states}


def _validated(student: nn.Module, split: Split) -> dict[str, float]:
    figures = {}
    for number, network in enumerate(preflight.networks(student)):
        logits = predict(network, split)
        name = Together.name("validation_accuracy", number) if isinstance(student, Students) else ""
        correct = logits.argmax(1) == split.labels.to(logits.device)
        figures[name or "validation_accuracy"] = correct.float().mean().item()
    return figures


def _cuda_index(fabric: Fabric) -> list[int]:
    return [fabric.device.index or 0] if fabric.device.type == "cuda" else []
