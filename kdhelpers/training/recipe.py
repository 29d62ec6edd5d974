"""How students are trained, apart from what they learn: `Recipe`, the settings that runs share."""

import tempfile
import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from kdhelpers import _tensors
from kdhelpers._values import (
    check_callable,
    check_choice,
    check_int,
    check_number,
    check_type,
    require,
    short_path,
    short_repr,
)
from kdhelpers.data.batching import Views, steps_per_epoch
from kdhelpers.data.split import Split
from kdhelpers.evaluation import ask, products_of, uses_view, warn_if_probabilities
from kdhelpers.training import checkpoint as checkpoints
from kdhelpers.training.devices import PRECISIONS, kind_and_index, placed, precision_for
from kdhelpers.training.optimizers import OPTIMIZERS, SCHEDULES, adam

LONGEST = 1_000_000_000  # epochs or steps
TAKES_STEPS = ("CosineAnnealingLR", "CosineAnnealingWarmRestarts", "PolynomialLR")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of training; several runs of an experiment share one.

    Args:
        epochs: passes over the training images; or else
        steps: how many steps, rounded to the nearest number of whole epochs (at least one).
        batch_size: samples per step; default 128.
        lr: learning rate, default 1e-3.
        optimizer: called as `optimizer(parameters, lr=lr)`, or a name: "adam" (the default; Kingma
            & Ba 2014, arXiv 1412.6980), "sgd" or "nesterov"; see `kdhelpers.optimizers`.
        schedule: called as `schedule(optimizer, total_steps)`, stepped after every step; or a name:
            "one_cycle", "cosine" or "constant", which is the same as None, the default.
        views: random augmentation (see `Views`); default none.
        device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1" or "mps".
        precision: "fp32", or "bf16" for automatic mixed precision; default "auto": bf16 where the
            hardware is made for it and the network is large enough to gain, else fp32.
            It goes by the hardware and the multiply-accumulates of a step, so it is the same every
            time; a checkpoint goes on in the precision that it began with. The history tells it.
        channels_last: lay out image tensors channel by channel within a pixel, which speeds up
            convolution and pooling on most devices; the numbers stay the same up to rounding. A
            student whose code uses `view` goes without.
        ema: decay per step of an exponential moving average of the weights and buffers, in
            [0, 1); the student ends with the average (Polyak & Juditsky 1992), which is also what
            `validation` measures. Default 0, none.
        compile: compile the student with `torch.compile`; the first step then takes a minute.
        checkpoint_dir: the folder of the checkpoints of all runs that have a name (see `fit`);
            default "", none are kept.
        checkpoint_interval: seconds that must have passed since the last write before an epoch
            is written again (the last epoch always is); default 0, every epoch.

    Raises:
        ValueError: a setting out of range or of another type, both or neither of `epochs` and
            `steps`, or a device that this machine does not have.
    """

    epochs: int = 0
    steps: int = 0
    batch_size: int = 128
    lr: float = 1e-3
    optimizer: Any = field(default=adam)  # a name becomes its function
    schedule: Any = None
    views: Views = field(default_factory=Views)
    device: str = "auto"
    precision: str = "auto"
    channels_last: bool = True
    ema: float = 0.0
    compile: bool = False
    checkpoint_dir: str | Path = ""
    checkpoint_interval: float = 0.0

    def __post_init__(self) -> None:
        if self.views is None:
            object.__setattr__(self, "views", Views())
        for name, known, called in (
            ("optimizer", OPTIMIZERS, "optimizer(parameters, lr=lr)"),
            ("schedule", SCHEDULES, "schedule(optimizer, total_steps)"),
        ):
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, known[check_choice(value, known, name=name)])
            elif value is not None or name == "optimizer":
                check_callable(value, name=name, called=called)
        _check_class(self.schedule)
        check_int(self.epochs, name="epochs", most=LONGEST)
        check_int(self.steps, name="steps", most=LONGEST)
        told = f"give epochs or steps, at least 1 and not both, got {self.epochs} and {self.steps}"
        require(bool(self.epochs) != bool(self.steps), f"{told}.")
        check_int(self.batch_size, name="batch_size", least=1)
        check_number(self.lr, 1e-30, 1e30, name="lr")
        check_number(self.ema, 0.0, 0.999999, name="ema")
        check_number(self.checkpoint_interval, name="checkpoint_interval")
        check_type(self.views, Views, name="views")
        check_type(self.channels_last, bool, name="channels_last")
        check_type(self.compile, bool, name="compile")
        check_type(self.checkpoint_dir, str, Path, name="checkpoint_dir")
        check_choice(self.precision, ["auto", *PRECISIONS], name="precision")
        kind_and_index(self.device)

    def epochs_for(self, train: Split) -> int:
        """How many epochs of this split the recipe asks for."""
        if self.epochs:
            return int(self.epochs)
        return max(1, round(self.steps / steps_per_epoch(len(train), self.batch_size)))


def _check_class(schedule: Any) -> None:
    """Refuse a class of PyTorch that would take the number of steps for something else."""
    kind = schedule.func if isinstance(schedule, partial) else schedule
    name = getattr(kind, "__name__", "")
    if getattr(kind, "__module__", "") == lr_scheduler.__name__ and name not in TAKES_STEPS:
        told = f"the second argument of {name} is not the number of steps"
        remedy = f"lambda optimizer, total_steps: {name}(optimizer, …), with values of your own"
        remedy = "cosine or one_cycle" if name == "ReduceLROnPlateau" else remedy
        raise ValueError(f"{told}; give {remedy}.")


def file_of_run(recipe: Recipe, run: str, checkpoint: str | Path | None) -> Path | None:
    """Where the checkpoint of a run lies, its folder made: what cannot be written shows now."""
    check_type(run, str, name="run")
    if checkpoint is None and run and recipe.checkpoint_dir:
        checkpoint = Path(recipe.checkpoint_dir) / f"{run}.pt"
    if checkpoint is None:
        return None
    check_type(checkpoint, str, Path, name="checkpoint")
    try:
        path = Path(checkpoint).expanduser()
        if path.is_symlink():  # whoever links to another disk wants it written there
            path = path.resolve()
        other = path.exists() and not path.is_file()  # a folder, or a pipe that would be waited for
        if str(checkpoint) == "" or "\0" in str(path) or other:
            raise ValueError(f"checkpoint must name a file, got {short_path(checkpoint)}.")
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()  # can it be written?
    except (OSError, RuntimeError) as error:  # RuntimeError: "~somebody" who does not exist
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"checkpoint {short_path(checkpoint)} cannot be written: {reason}; give another path."
        ) from error
    return path


def with_layout(recipe: Recipe, student: nn.Module, train: Split) -> Recipe:
    """The recipe without channels last, if the code of a checked student cannot take it."""
    if not recipe.channels_last:
        return recipe
    device = next(student.parameters()).device
    images = train.normalise(train.images[:2].to(device))
    with placed(student, device, channels_last=True):
        try:
            ask(student, images.contiguous(memory_format=torch.channels_last))
        except ValueError as error:
            if uses_view(error):
                return replace(recipe, channels_last=False)
    return recipe


def with_precision(recipe: Recipe, student: nn.Module, train: Split, path: Path | None) -> Recipe:
    """The recipe with what "auto" stands for in the run of a checked student."""
    if recipe.precision != "auto":
        return recipe

    def macs() -> int:  # forward and backward, which costs twice as much as forward
        image = train.normalise(train.images[:1].to(next(student.parameters()).device))
        return 3 * recipe.batch_size * products_of(student, image)

    begun = checkpoints.precision_of(path) if path else None
    return replace(recipe, precision=begun or precision_for(str(recipe.device), macs))


def check_student(
    student: nn.Module, train: Split, validation: Split | None, needs_labels: bool
) -> None:
    """One forward pass of two images: shapes and labels that do not fit show now, not later."""
    _tensors.check_network(student, name="the student")
    if not any(p.requires_grad for p in student.parameters()):
        raise ValueError("the student has no parameter to train: none requires a gradient.")
    given = {"train": train} if validation is None else {"train": train, "validation": validation}
    for what, split in given.items():
        check_type(split, Split, name=what)
        require(len(split), f"the split {what} is empty: it needs at least one image.")
        images = split.images[:2].to(next(student.parameters()).device)
        logits = ask(student, split.normalise(images))
        if logits.ndim != 2:
            raise ValueError(f"the student must return logits [B, C], got {list(logits.shape)}.")
        if what == "train":
            warn_if_probabilities(logits, "student")
        lowest, highest = (int(bound) for bound in torch.aminmax(split.labels))
        asked = needs_labels or what == "validation"
        if asked and highest >= (classes := logits.shape[1]):
            told = f"labels run from {lowest} to {highest}, but the student has {classes} classes"
            remedy = f"build it with num_classes={highest + 1}"
            remedy = "subtract 1" if lowest == 1 and highest == classes else remedy
            raise ValueError(f"{told} (0 to {classes - 1}); {remedy}.")
        without = int((split.labels < 0).sum())
        if needs_labels and without and what == "train":
            told = f"{without} of {len(split)} images have no label (−1), which this objective"
            remedy = "take Distillation(alpha=1), which needs none, or train.labelled()"
            remedy += " (an objective of yours that needs none says needs_labels = False)"
            raise ValueError(f"{told} needs; {remedy}.")
        if any(own != other for own, other in zip(split.classes, train.classes, strict=False)):
            told = f"the classes of validation are {short_repr(split.classes)}, those of train"
            raise ValueError(f"{told} {short_repr(train.classes)}; give both the same: like=train.")
        if (*split.mean, *split.std) != (*train.mean, *train.std):
            told = "validation has another mean and deviation than train; make it with like=train"
            warnings.warn(f"{told}, unless it is meant so.", stacklevel=3)
        if without == len(split) and what == "validation":
            raise ValueError("no image of validation has a label: there is nothing to judge by.")
