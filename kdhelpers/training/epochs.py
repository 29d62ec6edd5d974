"""A whole training run, epoch by epoch: what `fit` does once its arguments have been checked."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm.auto import tqdm

from kdhelpers._random import mixed_seed, random_state_kept, seed_all
from kdhelpers.data.batching import Batch, Views, batches, steps_per_epoch
from kdhelpers.data.split import Split
from kdhelpers.evaluation import predict, to_device
from kdhelpers.objectives.objective import Objective, describe
from kdhelpers.objectives.teacher import fingerprint
from kdhelpers.training import checkpoint as checkpoints
from kdhelpers.training import preflight
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.loop import Loop
from kdhelpers.training.optimizers import MakeOptimizer, MakeSchedule
from kdhelpers.training.together import Students, Together

History = list[dict[str, float]]


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


def train_epochs(
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
    to_device(student, fabric.device, channels_last=channels_last)
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
