"""What a student is trained on: named loss terms, whose sum is minimised.

An objective is a module called with the student and a batch; it returns a dict of weighted
terms. Its own parameters (a regressor, a learned temperature) are trained along with the student;
its teacher is not among them.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from kdhelpers._tensors import cross_entropy
from kdhelpers._values import check_number
from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.evaluation import logits_of

Terms = dict[str, Tensor]


class Objective(nn.Module):
    """The base of all objectives: nothing to prepare or tell but what objectives held in it do.

    An objective held as an attribute is called through it: `check`, `prepare`, `start_epoch` and
    `figures` pass on to it, unless they are overridden without `super()`.

    `forward(student, batch)` returns the weighted terms, scalars, by name. `needs_labels` says
    whether images without one (label −1) are refused. A network held as an attribute is trained
    along unless it is frozen (`requires_grad_(False)`; with `eval()` it stays in eval mode); keep a
    teacher as `kd.Teacher`.
    """

    REMEDY: ClassVar = "Distillation(teacher) is one"
    needs_labels: bool = True

    def check(self, student: nn.Module, train: Split) -> None:
        """Called once, before `prepare`: refuse what does not fit the student."""
        for each in _held(self):
            each.check(student, train)

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        """Called once before training, with the split on its device: remember what can be."""
        for each in _held(self):
            each.prepare(train, views, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each epoch, numbered 0 to epochs - 1: what changes over time is set here.

        A resumed run calls it for the epochs that are left, so it must depend on `epoch` alone.
        """
        for each in _held(self):
            each.start_epoch(epoch, epochs)

    def figures(self) -> dict[str, float]:
        """What the history tells of each epoch besides the loss terms, read after it."""
        return {name: value for each in _held(self) for name, value in each.figures().items()}

    def settings(self) -> dict[str, Any]:
        """Plain values that a resumed run must share with the one that it continues."""
        return {"objective": type(self).__name__}


def _held(objective: Objective) -> list[Objective]:
    """No method: a subclass may use any name."""
    return [each for each in objective.children() if isinstance(each, Objective)]


class Supervised(Objective):
    """Cross-entropy with the labels: the student alone.

    Args:
        label_smoothing: the share of each label that is spread evenly over all classes, in
            [0, 1); default 0 (Szegedy et al. 2015, arXiv 1512.00567).

    Raises:
        ValueError: `label_smoothing` is outside of its range.
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        check_number(label_smoothing, 0.0, 0.999999, name="label_smoothing")
        self.label_smoothing = label_smoothing

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        logits = logits_of(student(batch.inputs))
        smoothing = self.label_smoothing
        return {"hard": cross_entropy(logits, batch.labels, label_smoothing=smoothing)}

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"label_smoothing": float(self.label_smoothing)}


def settings_around(objective: Objective, how: str, own: dict[str, Any]) -> dict[str, Any]:
    """The settings of an objective and of another around it, also where both use a name."""
    told = dict(objective.settings())
    told["objective"] += how
    for name, value in own.items():
        while name in told:
            name = f"outer {name}"
        told[name] = value
    return told


def describe(factory: Callable[..., Any]) -> str:
    """A name for a function that is the same in the next process; of a lambda only that."""
    if isinstance(factory, partial):
        values = tuple(map(_told, factory.args))
        named = [(name, _told(value)) for name, value in sorted(factory.keywords.items())]
        return f"{describe(factory.func)} {shown(values)} {shown(named)}"
    return f"{module_of(factory)}.{getattr(factory, '__qualname__', type(factory).__name__)}"


def _told(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray):  # a long one is not shown in full
        return hashlib.sha256(repr(value.tolist()).encode()).hexdigest()
    return describe(value) if callable(value) else value


def shown(value: Any) -> str:
    """A value as text without addresses: what objects of own classes hold, `own_code` tells."""
    return re.sub(" at 0x[0-9A-Fa-f]+", "", repr(value))


def module_of(thing: Any) -> str:
    """The module of a function or class; a script has two names, one in processes it starts."""
    module = str(thing.__module__)
    return "__main__" if module == "__mp_main__" else module
