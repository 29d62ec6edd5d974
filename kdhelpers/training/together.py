"""Several students trained on the same batches, so that they share one teacher's answers."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from torch import nn

from kdhelpers._values import check_list
from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.objectives.objective import Objective, Terms


class Students(nn.ModuleList):
    """Several students that see the same batches; trained on a `Together`."""


class Together(Objective):
    """One objective for each of several students; the sum of all is minimised.

    No student's term depends on another's weights, so the gradients are those of each alone.

    Raises:
        ValueError: no objective, or something else among them.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        check_list(objectives, Objective, name="objectives")
        if not objectives:
            raise ValueError("objectives must be at least one.")
        self.objectives = nn.ModuleList(objectives)

    @staticmethod
    def name(figure: str, number: int) -> str:
        """What a figure of student `number` is called among those of all."""
        return f"{figure}.{number}"

    def row_of(self, number: int, row: dict[str, float]) -> dict[str, float]:
        """The figures of one student from a row of the common history."""
        end = self.name("", number)
        own = {name.removesuffix(end): row[name] for name in row if name.endswith(end)}
        not_terms = {"validation_accuracy", *self._all()[number].figures()}
        loss = sum(own[name] for name in own.keys() - not_terms)
        return {"epoch": row["epoch"], "seconds": row["seconds"], "loss": loss, **own}

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        for objective in self._all():
            objective.prepare(train, views, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        for objective in self._all():
            objective.start_epoch(epoch, epochs)

    def figures(self) -> dict[str, float]:
        return self._named(objective.figures() for objective in self._all())

    def forward(self, students: nn.Module, batch: Batch) -> Terms:
        pairs = zip(self._all(), students.children(), strict=True)
        return self._named(objective(student, batch) for objective, student in pairs)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"objectives": [each.settings() for each in self._all()]}

    def _all(self) -> list[Objective]:
        return cast(list[Objective], list(self.objectives))

    def _named(self, each: Iterable[dict[str, Any]]) -> dict[str, Any]:
        return {
            self.name(figure, number): value
            for number, figures in enumerate(each)
            for figure, value in figures.items()
        }
