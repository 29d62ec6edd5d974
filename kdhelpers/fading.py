"""An objective whose terms do not weigh the same from the first epoch to the last."""

from typing import Any

from torch import nn

from kdhelpers import _validate
from kdhelpers._values import instance, told
from kdhelpers.data import Batch, Split, Views
from kdhelpers.distillation import Objective, Terms


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
        _validate.weight(first, name="first")
        _validate.weight(last, name="last")
        instance(objective, Objective, name="objective")
        instance(term, str, name="term")
        self.objective = objective
        self.term = term
        self.first, self.last = float(first), float(last)
        self.factor, self.epochs = self.first, 1

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        self.epochs = epochs
        self.objective.prepare(train, views, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.factor = self.first + (self.last - self.first) * epoch / max(1, epochs - 1)
        self.objective.start_epoch(epoch, epochs)

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        terms: Terms = self.objective(student, batch)
        if self.term not in terms:
            raise ValueError(
                f"the objective has no term {told(self.term)} to fade, it has "
                f"{', '.join(map(repr, terms))}."
            )
        return terms | {self.term: self.factor * terms[self.term]}

    def figures(self) -> dict[str, float]:
        return self.objective.figures() | {f"{self.term}_factor": self.factor}

    def settings(self) -> dict[str, Any]:
        inner = self.objective.settings()
        return inner | {
            "objective": f"{inner['objective']}, faded",
            "faded": f"{self.term} from {self.first} to {self.last} in {self.epochs} epochs",
        }
