"""What `fit` refuses before any work starts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from kdhelpers import _tensors
from kdhelpers._values import (
    check_callable,
    check_int,
    check_type,
    is_number,
    short_path,
    short_repr,
)
from kdhelpers.data.batching import Views
from kdhelpers.data.split import Split
from kdhelpers.evaluation import ask
from kdhelpers.training.together import Students

LONGEST = 1_000_000_000  # epochs


def ranges(*, epochs: int, batch_size: int, lr: float, seed: int, devices: int, ema: float) -> None:
    check_int(epochs, name="epochs", least=1, most=LONGEST)
    check_int(batch_size, name="batch_size", least=1)
    check_int(devices, name="devices", least=1)
    check_int(seed, name="seed")
    if not isinstance(lr, int | float | np.floating) or isinstance(lr, bool):
        raise ValueError(f"lr must be a number, got {short_repr(lr)}.")
    if not 0 < lr <= 1e30:
        raise ValueError(f"lr must be greater than 0, got {short_repr(lr)}.")
    if not isinstance(ema, int | float | np.floating) or not 0 <= ema < 1:
        raise ValueError(f"ema must be at least 0 and below 1, got {short_repr(ema)}.")


def kinds(
    *,
    optimizer: Any,
    schedule: Any,
    views: Any,
    validation: Any,
    checkpoint_interval: Any,
    device: Any,
    fabric: Any = None,
) -> None:
    """The optional arguments are what they should be; None stands for none."""
    check_callable(optimizer, name="optimizer", called="optimizer(parameters, lr=lr)")
    if schedule is not None:
        check_callable(schedule, name="schedule", called="schedule(optimizer, total_steps)")
    check_type(views, Views, type(None), name="views")
    check_type(validation, Split, type(None), name="validation")
    check_type(device, str, torch.device, name="device")
    check_type(fabric, Fabric, type(None), name="fabric")
    if not is_number(checkpoint_interval) or not checkpoint_interval >= 0:
        raise ValueError(
            f"checkpoint_interval must be seconds from 0, got {short_repr(checkpoint_interval)}."
        )


def writable(checkpoint: str | Path | None) -> Path | None:
    """The checkpoint's path, its folder made: a place that cannot be written shows now."""
    if checkpoint is None:
        return None
    check_type(checkpoint, str, Path, name="checkpoint")
    try:
        path = Path(checkpoint).expanduser()
        if str(checkpoint) == "" or path.is_dir():
            raise ValueError(f"checkpoint must name a file, got {short_path(checkpoint)}.")
        if "\0" in str(path):
            raise ValueError(f"checkpoint must be a path, got {short_path(checkpoint)}.")
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: "~somebody" who does not exist
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"checkpoint {short_path(checkpoint)} cannot be written: {reason}; give another path."
        ) from error
    return path


def match(student: nn.Module, train: Split, validation: Split | None = None) -> None:
    """One forward pass of two images: shapes and labels that do not fit show now, not later."""
    check_type(train, Split, name="train")
    _tensors.check_readable(train.images, name="the images of the split")
    if len(train) == 0:
        raise ValueError("the split is empty: there is nothing to learn from.")
    if validation is not None:
        _tensors.check_readable(validation.images, name="the images for validation")
        if len(validation) == 0:
            raise ValueError("the split for validation is empty; leave it out.")
    for network in networks(student):
        _match_one(network, train)
        if validation is not None:
            _match_one(network, validation)


def _match_one(student: nn.Module, train: Split) -> None:
    _tensors.check_network(student, name="the student")
    if not any(p.requires_grad for p in student.parameters()):
        raise ValueError("the student has no parameter to train: none requires a gradient.")
    lowest, highest = (int(bound) for bound in torch.aminmax(train.labels))
    images = train.images[:2].to(next(student.parameters()).device)
    logits = ask(student, train.normalise(images))
    if logits.ndim != 2:
        raise ValueError(f"the student must return logits [B, C], got {list(logits.shape)}.")
    if lowest < 0:
        raise ValueError(f"labels must start at 0, got {lowest}; number the classes from 0.")
    if highest >= logits.shape[1]:
        raise ValueError(
            f"labels run from {lowest} to {highest}, but the student has {logits.shape[1]} "
            f"classes (0 to {logits.shape[1] - 1}); build it with num_classes={highest + 1}."
        )


def networks(student: nn.Module) -> list[nn.Module]:
    return list(student) if isinstance(student, Students) else [student]
