"""What a record says, in words and in tables: for README, report and notebooks alike."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from kdhelpers.course.environment import provenance
from kdhelpers.stats.tables import Table


def text(value: object) -> str:
    """A text on one line of Markdown, and no tag of HTML."""
    return html.escape(" ".join(str(value).split()), quote=False)


def tables(record: Mapping[str, Any]) -> dict[str, Table]:
    """The tables to be shown of a record, by title."""
    return {title: Table(**shown) for title, shown in record.get("tables", {}).items()}


def markdown(record: Mapping[str, Any]) -> str:
    """Where the record comes from, and its tables."""
    shown = tables(record).items()
    body = [f"**{text(name)}**\n\n{table._repr_markdown_()}" for name, table in shown]
    return "\n\n".join([text(provenance(record)), *body])


class Recorded(list[dict[str, Any]]):
    """Recorded runs of a lesson; a notebook shows where each comes from, and its tables."""

    def __init__(self, lesson: str, records: Sequence[dict[str, Any]]) -> None:
        super().__init__(records)
        self.lesson = lesson

    @property
    def _none(self) -> str:
        number = self.lesson.partition("_")[0]
        return f"No record here yet: `kdhelpers run {number} --profile full`"

    def _repr_markdown_(self) -> str:
        shown = [f"Profile `{text(each['profile'])}`: {markdown(each)}" for each in self]
        return "\n\n".join(shown) or self._none

    def __repr__(self) -> str:
        shown = [
            "\n\n".join([provenance(each), *(f"{name}\n{t!r}" for name, t in tables(each).items())])
            for each in self
        ]
        return "\n\n".join(shown) or self._none
