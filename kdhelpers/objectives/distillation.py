"""Soft targets: a student is trained on what a teacher answers, and on labels."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._tensors import cross_entropy
from kdhelpers._values import check_number, check_type, check_weights, require, short_repr
from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.evaluation import logits_of
from kdhelpers.losses.logits import kd_loss
from kdhelpers.objectives.objective import Objective, Terms, describe, settings_around, shown
from kdhelpers.objectives.teacher import AskTeacher, Teacher, as_teacher
from kdhelpers.temperature import Schedule, at
from kdhelpers.temperature import check as check_temperature

SoftLoss = Callable[..., Tensor]


class Distillation(Objective):
    """Soft targets from a teacher and hard labels (Hinton et al. 2015, arXiv 1503.02531).

    Terms, means over the batch: `soft` = alpha · T² · KL(teacher ‖ student) at temperature T, and
    `hard` = (1 − alpha) · cross-entropy with the labels. Where the teacher's logits are kept, the
    history tells its accuracy on the transfer set, too, as `teacher_accuracy`.

    With alpha = 1 there need not be any labels (−1 stands for none). With less, all images need
    one: a mean over those of a batch that have one would weigh each by the company that it is in.

    Args:
        teacher: a network, or a `Teacher` shared by several runs.
        temperature: T > 0, default 4; or a schedule (see `kdhelpers.temperature`) that gives T
            for every epoch. The history then tells T (a learned one as it is after the epoch),
            and a checkpoint goes on with the same number of epochs only.
        alpha: the weight of the soft term, in [0, 1], default 0.9.
        soft_loss: called as `soft_loss(student_logits, teacher_logits, temperature=T)`, a
            scalar; default `kd_loss`. A loss that takes `labels` gets those of the batch, and
            one without `temperature` none: the settings then tell none.

    Raises:
        ValueError: `temperature` or `alpha` is outside of its range, `teacher` is no network,
            `soft_loss` cannot be called, or takes no T where it would change over time.
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
        check_number(alpha, 0, 1, name="alpha")
        self.teacher = as_teacher(teacher)
        self.temperature = temperature
        self.alpha = alpha
        self.soft_loss = soft_loss
        self._takes = _taken_by(soft_loss)
        told = "soft_loss takes no temperature, so one that changes would do nothing; give a number"
        require("temperature" in self._takes or not callable(temperature), f"{told}.")
        self._teacher_logits: AskTeacher | None = None
        self._teacher_accuracy: dict[str, float] = {}
        self._teacher_id = ""
        self._epoch, self._epochs = 0, 1

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        return self.alpha < 1 or "labels" in self._takes

    def check(self, student: nn.Module, train: Split) -> None:
        self.teacher.check(student, train)

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        # A number has been checked, and a learned one cannot leave its range.
        if callable(self.temperature) and not isinstance(self.temperature, nn.Module):
            for epoch in range(epochs):
                check_temperature(float(at(self.temperature, epoch, epochs)))
        self._teacher_logits = self.teacher.prepare(train, views, epochs)
        self._teacher_accuracy = self.teacher.judge(self._teacher_logits, train)
        self._teacher_id = self.teacher.identity(train)
        self.start_epoch(0, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self._epoch, self._epochs = epoch, epochs

    def temperature_now(self) -> float | Tensor:
        """T of the current epoch; a learned one is a tensor that takes a gradient."""
        return at(self.temperature, self._epoch, self._epochs)

    def figures(self) -> dict[str, float]:
        if not callable(self.temperature):
            return self._teacher_accuracy
        with torch.no_grad():
            return self._teacher_accuracy | {"temperature": float(self.temperature_now())}

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        ask = self._teacher_logits or partial(Teacher.ask, self.teacher.frozen(batch.inputs.device))
        teacher_logits = ask(batch)  # first: a student may change its inputs in place
        student_logits = logits_of(student(batch.inputs))
        given = {"temperature": self.temperature_now(), "labels": batch.labels}
        taken = {name: given[name] for name in self._takes}
        soft = self.soft_loss(student_logits, teacher_logits, **taken)
        if self.alpha == 1:  # there may be no labels
            return {"soft": soft, "hard": torch.zeros_like(soft)}
        hard = cross_entropy(student_logits, batch.labels)
        return {"soft": self.alpha * soft, "hard": (1 - self.alpha) * hard}

    def settings(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if callable(schedule := self.temperature):
            shows_values = is_dataclass(schedule) or isinstance(schedule, nn.Module)
            name = shown(schedule) if shows_values else describe(schedule)
            told = {"temperature": name, "temperature_epochs": self._epochs}
        elif "temperature" in self._takes:
            told = {"temperature": float(schedule)}
        return super().settings() | {
            **told,
            "alpha": float(self.alpha),
            "soft_loss": describe(self.soft_loss),
            "teacher": self._teacher_id or self.teacher.identity(),
        }


def _taken_by(soft_loss: SoftLoss) -> list[str]:
    """Which of temperature and labels a loss takes besides the logits of both."""
    called = "loss(student, teacher, temperature=T), with labels=… if it takes them"
    told = f"soft_loss must be a function, called as {called}, got {short_repr(soft_loss)}"
    require(callable(soft_loss), f"{told}.")
    if isinstance(soft_loss, type):
        name = soft_loss.__name__
        raise ValueError(f"soft_loss is the class {name}; give one that is made: {name}().")
    try:
        called_with = soft_loss.forward if isinstance(soft_loss, nn.Module) else soft_loss
        signature = inspect.signature(called_with)
    except ValueError:  # built into Python or PyTorch
        return ["temperature"]
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    taken = [name for name in ("temperature", "labels") if name in signature.parameters]
    if inspect.Parameter.VAR_KEYWORD in kinds and "temperature" not in taken:
        taken.append("temperature")
    if isinstance(soft_loss, partial):  # what it has already been given stays
        taken = [name for name in taken if name not in soft_loss.keywords]
    try:
        signature.bind(None, None, **dict.fromkeys(taken))
    except TypeError as error:
        raise ValueError(f"{told}: {error}.") from error
    return taken


class Faded(Objective):
    """Another objective with one of its terms scaled from epoch to epoch, in equal steps.

    The factor is `first` in the first epoch and `last` in the last; the history tells it as
    `<term>_factor`, and the term itself with the factor in it.

    Args:
        objective: such as `Distillation` or `WithFeatures`.
        term: the name of the term; default the soft one.
        first, last: the factors, at least 0; default 1 and 0.

    Raises:
        ValueError: a negative factor, what is no objective, or a term that is no text; when called,
            an objective without such a term.
    Source: Romero et al. 2014, arXiv 1412.6550, let λ of the soft term fall linearly.
    """

    def __init__(
        self, objective: Objective, *, term: str = "soft", first: float = 1.0, last: float = 0.0
    ) -> None:
        super().__init__()
        check_weights(first=first, last=last)
        check_type(objective, Objective, name="objective")
        check_type(term, str, name="term")
        self.objective = objective
        self.term = term
        self.first, self.last = float(first), float(last)
        self.factor, self.epochs = self.first, 1

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        return self.objective.needs_labels

    def check(self, student: nn.Module, train: Split) -> None:
        self.objective.check(student, train)

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        self.epochs = epochs
        self.objective.prepare(train, views, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.factor = self.first + (self.last - self.first) * epoch / max(1, epochs - 1)
        self.objective.start_epoch(epoch, epochs)

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        terms: Terms = self.objective(student, batch)
        if self.term not in terms:
            raise ValueError(f"the objective has no term {self.term!r} to fade, it has {[*terms]}.")
        return terms | {self.term: self.factor * terms[self.term]}

    def figures(self) -> dict[str, float]:
        return self.objective.figures() | {f"{self.term}_factor": self.factor}

    def settings(self) -> dict[str, Any]:
        faded = f"{self.term} from {self.first} to {self.last} in {self.epochs} epochs"
        return settings_around(self.objective, ", faded", {"faded": faded})
