"""What a record says, in words and in tables: for README, report and notebooks alike.

A record carries the tables to be shown. The first five have none; what they measured tells which
tables they need.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from kdhelpers.course.environment import provenance
from kdhelpers.course.older import known
from kdhelpers.stats.tables import Table, made_of


def _text(value: object) -> str:
    """A text on one line of Markdown, and no tag of HTML."""
    return html.escape(" ".join(str(value).split()), quote=False)


def title(record: Mapping[str, Any]) -> str:
    """What the record is about, in the README: its lesson's number, and its headline."""
    number, headline = record["notebook"].partition("_")[0], record["metrics"].get("headline", "")
    words = "" if "tables" in record else known(record)[0]
    return f"**Lesson {_text(number)}**:{words and f' {words}'} *{_text(headline)}*"


@made_of("results of a lesson")
def tables(record: Mapping[str, Any]) -> dict[str, Table]:
    """The tables to be shown of a record, by title; an older one's titles are so many spaces.

    Raises:
        ValueError: a record without tables, whose metrics are not those that they seem to be.
    """
    if "tables" in record:
        return {title: Table(**shown) for title, shown in record["tables"].items()}
    _, make = known(record)
    return {" " * number: table for number, table in enumerate(make(record))}


def markdown(record: Mapping[str, Any], *, folded: bool = False) -> str:
    """The record's provenance and tables; `folded` below its title, for a page of many."""
    shown = tables(record).items()
    body = "\n\n".join(
        f"**{_text(name)}**\n\n" * bool(name.strip()) + table._repr_markdown_()
        for name, table in shown
    )
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
        return f"No record here yet: kdhelpers run {number} --profile full"

    def _repr_markdown_(self) -> str:
        shown = [f"Profile `{_text(each['profile'])}`: {markdown(each)}" for each in self]
        return "\n\n".join(shown) or self._none

    def __repr__(self) -> str:
        shown = [
            "\n\n".join([provenance(each), *(f"{name.strip()}\n{table!r}".lstrip()
                                             for name, table in tables(each).items())])
            for each in self
        ]  # fmt: skip
        return "\n\n".join(shown) or self._none
