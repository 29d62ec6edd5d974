"""What `fit` refuses before any work starts."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from kdhelpers.data import Split
from kdhelpers.prediction import evaluating
from kdhelpers.together import Students


def ranges(*, epochs: int, batch_size: int, lr: float, seed: int, devices: int, ema: float) -> None:
    for name, value, smallest in (
        ("epochs", epochs, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("devices", devices, 1),
    ):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise ValueError(f"{name} must be a whole number, got {value!r}.")
        if value < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value}.")
    if not isinstance(lr, int | float | np.floating) or isinstance(lr, bool):
        raise ValueError(f"lr must be a number, got {lr!r}.")
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr must be greater than 0, got {lr}.")
    if not isinstance(ema, int | float | np.floating) or not 0 <= ema < 1:
        raise ValueError(f"ema must be at least 0 and below 1, got {ema!r}.")


def writable(checkpoint: str | Path | None) -> Path | None:
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


def match(student: nn.Module, train: Split) -> None:
    """One forward pass of two images: shapes and labels that do not fit show now, not later."""
    if len(train) == 0:
        raise ValueError("the split is empty: there is nothing to learn from.")
    for network in networks(student):
        _match_one(network, train)


def _match_one(student: nn.Module, train: Split) -> None:
    if not any(p.requires_grad for p in student.parameters()):
        raise ValueError("the student has no parameter to train: none requires a gradient.")
    lowest, highest = (int(bound) for bound in torch.aminmax(train.labels))
    with evaluating(student):
        images = train.images[:2].to(next(student.parameters()).device)
        logits = student(train.normalise(images))
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
