"""Objectives: what a student is trained on, as named loss terms.

An objective is a module called with the student and a batch; it returns a dict of weighted
terms whose sum is minimised. Its own parameters (a regressor, a learned temperature) are trained
along with the student; its teacher is not among them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers import _validate
from kdhelpers._values import function, instance, is_number, told, whole
from kdhelpers.data import Batch, Split, Views
from kdhelpers.losses import kd_loss
from kdhelpers.prediction import evaluating, move, predict
from kdhelpers.temperature import Schedule, at, standardize_logits
from kdhelpers.temperature import check as check_temperature

Terms = dict[str, Tensor]
SoftLoss = Callable[..., Tensor]
AskTeacher = Callable[[Batch], Tensor]


class Objective(nn.Module):
    """The base of all objectives: nothing to prepare, nothing to tell."""

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        """The weighted terms, scalars, by name."""
        raise NotImplementedError

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        """Called once before training, with the split on its device: remember what can be."""

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each epoch, numbered 0 to epochs - 1: what changes over time is set here.

        A resumed run calls it for the epochs that are left, so it must depend on `epoch` alone.
        """

    def figures(self) -> dict[str, float]:
        """What the history tells of each epoch besides the loss terms, read after it."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Plain values that a resumed run must share with the one that it continues."""
        return {"objective": type(self).__name__}


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
        if not is_number(label_smoothing) or not 0 <= label_smoothing < 1:
            raise ValueError(
                f"label_smoothing must be at least 0 and below 1, got {told(label_smoothing)}."
            )
        self.label_smoothing = label_smoothing

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        logits = student(batch.inputs)
        smoothing = self.label_smoothing
        return {"hard": F.cross_entropy(logits, batch.labels, label_smoothing=smoothing)}

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"label_smoothing": float(self.label_smoothing)}


class Teacher:
    """A frozen network whose logits are computed once where that is exact.

    Always in eval mode and without gradients. Logits are kept for every (sample, view) of a
    split, under a key made of the teacher's weights, the data and the views, so neither
    shuffling nor another data set nor further training of the teacher can misalign them. One
    `Teacher` may serve many students: they share what it remembers.

    Args:
        model: the network, logits [B, C] from images [B, channels, H, W].
        cache: True keeps logits, False asks the network at every step, None (default) keeps
            them where it saves work: if there are no more views than epochs.

    Raises:
        ValueError: `model` is no network, or `cache` none of the three.
    """

    def __init__(self, model: nn.Module, *, cache: bool | None = None) -> None:
        instance(model, nn.Module, name="the teacher")
        instance(cache, bool, type(None), name="cache")
        self.model = model
        self.cache = cache
        self._tables: dict[tuple[str, str, Views], Tensor] = {}
        self._last: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, teacher: "nn.Module | Teacher") -> "Teacher":
        """`teacher` itself where it is one, else a new one around the network.

        It is no module, so its weights are not among those of an objective that holds it.
        """
        return teacher if isinstance(teacher, Teacher) else cls(teacher)

    def prepare(self, train: Split, views: Views, epochs: int) -> "AskTeacher":
        """The function that gives the logits [B, C] of each batch of `train`.

        It looks them up in a table, computed now unless it is remembered, or asks the network
        at every step. Each run holds its own function, so runs that share a teacher cannot get
        each other's logits. The network moves to the device of `train`.

        Raises:
            ValueError: another split, views or number of epochs; a network without weights, or
                one that does not take the images.
        """
        instance(train, Split, name="train")
        instance(views, Views, name="views")
        whole(epochs, name="epochs", least=1)
        move(self.model, train.images.device)
        wanted = len(views) <= epochs if self.cache is None else self.cache
        if not wanted:
            return self.ask
        key = (fingerprint(self.model), train.fingerprint, views)
        if key not in self._tables:
            self._tables[key] = self._every_view(train, views)
        table = self._tables[key].to(train.images.device)
        return partial(_look_up, table)

    def _every_view(self, train: Split, views: Views) -> Tensor:
        """Logits [views, N, C] of all samples, in a fixed order and batch size."""
        return torch.stack(
            [predict(self.model, train, views=views, view=view) for view in range(len(views))]
        )

    def ask(self, batch: Batch) -> Tensor:
        """The network's logits [B, C] for a batch; students that share the batch share them."""
        if self._last is None or self._last[0] is not batch.inputs:
            with evaluating(self.model):
                self._last = (batch.inputs, self.model(batch.inputs))
        return self._last[1]


class Distillation(Objective):
    """Soft targets from a teacher and hard labels (Hinton et al. 2015, arXiv 1503.02531).

    Terms, means over the batch: `soft` = alpha · T² · KL(teacher ‖ student) at temperature T, and
    `hard` = (1 − alpha) · cross-entropy with the labels.

    Args:
        teacher: a network, or a `Teacher` shared by several runs.
        temperature: T > 0, default 4; or a schedule (see `kdhelpers.temperature`) that gives T
            for every epoch. The history then tells T (a learned one as it is after the epoch),
            and a checkpoint goes on with the same number of epochs only.
        alpha: the weight of the soft term, in [0, 1], default 0.9.
        soft_loss: called as `soft_loss(student_logits, teacher_logits, temperature=T)`, a
            scalar; default `kd_loss`.

    Raises:
        ValueError: `temperature` or `alpha` is outside of its range, `teacher` is no network, or
            `soft_loss` cannot be called.
    """

    def __init__(
        self,
        teacher: nn.Module | Teacher,
        *,
        temperature: float | Schedule = 4.0,
        alpha: float = 0.9,
        soft_loss: SoftLoss = kd_loss,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if not is_number(alpha) or not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {told(alpha)}.")
        function(
            soft_loss, name="soft_loss", called="(student_logits, teacher_logits, temperature=T)"
        )
        self.teacher = Teacher.of(teacher)
        self.temperature = temperature
        self.alpha = alpha
        self.soft_loss = soft_loss
        self._teacher_logits: AskTeacher = self.teacher.ask
        self._epoch, self._epochs = 0, 1

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        self._teacher_logits = self.teacher.prepare(train, views, epochs)
        self.start_epoch(0, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self._epoch, self._epochs = epoch, epochs

    def temperature_now(self) -> float | Tensor:
        """T of the current epoch; a learned one is a tensor that takes a gradient."""
        return at(self.temperature, self._epoch, self._epochs)

    def figures(self) -> dict[str, float]:
        if not callable(self.temperature):
            return {}
        with torch.no_grad():
            return {"temperature": float(self.temperature_now())}

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        student_logits = student(batch.inputs)
        teacher_logits = self._teacher_logits(batch)
        soft = self.soft_loss(student_logits, teacher_logits, temperature=self.temperature_now())
        hard = F.cross_entropy(student_logits, batch.labels)
        return {"soft": self.alpha * soft, "hard": (1 - self.alpha) * hard}

    def settings(self) -> dict[str, Any]:
        return super().settings() | {
            **self._temperature_settings(),
            "alpha": float(self.alpha),
            "soft_loss": describe(self.soft_loss),
            "teacher": fingerprint(self.teacher.model),
        }

    def _temperature_settings(self) -> dict[str, Any]:
        """A number; or a schedule with its values, and the epochs that it is spread over."""
        schedule = self.temperature
        if not callable(schedule):
            return {"temperature": float(schedule)}
        shows_values = is_dataclass(schedule) or isinstance(schedule, nn.Module)
        name = repr(schedule) if shows_values else describe(schedule)
        return {"temperature": name, "temperature_epochs": self._epochs}


def standardized_kd_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float | Tensor = 2.0
) -> Tensor:
    """`kd_loss` of standardised logits: T no longer depends on the scale of anybody's logits.

    For `Distillation(teacher, soft_loss=standardized_kd_loss, temperature=2, alpha=9 / 9.1)`. The
    paper weights the soft term by 9 and the hard one by 0.1. Divided by their sum, 9.1, these are
    alpha = 0.989 and 0.011; the sum itself is a factor of the whole loss. Adam does not notice
    such a factor; SGD does: multiply lr by 9.1 (and divide a weight decay by 9.1).

    Raises ValueError: as `standardize_logits` and `kd_loss` do.
    Source: Sun et al. 2024, arXiv 2403.01427.
    """
    student, teacher = standardize_logits(student_logits), standardize_logits(teacher_logits)
    return kd_loss(student, teacher, temperature=temperature)


def describe(factory: Callable[..., Any]) -> str:
    """A name for a function that is the same in the next process; of a lambda only that.

    Raises:
        ValueError: no function.
    """
    function(factory, name="this", called="the docstring says")
    if isinstance(factory, partial):
        return f"{describe(factory.func)} {factory.args} {sorted(factory.keywords.items())}"
    return f"{factory.__module__}.{getattr(factory, '__qualname__', type(factory).__name__)}"


def _look_up(table: Tensor, batch: Batch) -> Tensor:
    return table[batch.view, batch.sample]


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of a network's structure (its `repr`), weights and buffers.

    Two networks with the same one compute the same, unless the code of a `forward` was edited.

    Raises:
        ValueError: no network, or one without weights, on the device "meta".
    """
    _validate.network(model)
    digest = hashlib.sha256(f"{type(model).__qualname__} {model!r}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
