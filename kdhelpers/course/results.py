"""What a record says, in words and in tables: for README, report and notebooks alike."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from kdhelpers.course.environment import provenance
from kdhelpers.stats.tables import Table


def _text(value: object) -> str:
    """A text on one line of Markdown, and no tag of HTML."""
    return html.escape(" ".join(str(value).split()), quote=False)


def title(record: Mapping[str, Any]) -> str:
    """What the record is about, in the README: its lesson, profile and headline."""
    number, headline = record["notebook"].partition("_")[0], record["metrics"].get("headline", "")
    return f"**Lesson {_text(number)}**, {_text(record['profile'])}: *{_text(headline)}*"


def tables(record: Mapping[str, Any]) -> dict[str, Table]:
    """The tables to be shown of a record, by title."""
    return {title: Table(**shown) for title, shown in record.get("tables", {}).items()}


def markdown(record: Mapping[str, Any], *, folded: bool = False) -> str:
    """The record's provenance and tables; `folded` below its title, for a page of many."""
    shown = tables(record).items()
    body = "\n\n".join(f"**{_text(name)}**\n\n{table._repr_markdown_()}" for name, table in shown)
    told = _text(provenance(record))
    if not folded:
        return f"{told}\n\n{body}"
    return f"{title(record)}\n\n<details><summary>{told}</summary>\n\n{body}\n\n</details>"


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
        shown = [f"Profile `{_text(each['profile'])}`: {markdown(each)}" for each in self]
        return "\n\n".join(shown) or self._none

    def __repr__(self) -> str:
        shown = [
            "\n\n".join([provenance(each), *(f"{name}\n{t!r}" for name, t in tables(each).items())])
            for each in self
        ]
        return "\n\n".join(shown) or self._none
