"""What a record says, in words and in tables: for README, report and notebooks alike."""

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kdhelpers.course.records import is_place, load_records, without_folders
from kdhelpers.course.root import CourseError
from kdhelpers.stats.tables import Table


def provenance(record: Mapping[str, Any]) -> str:
    """One sentence on where a record comes from: data, seeds, device, versions, date, commit.

    It leaves out data and seeds where the record's parameters do not name them. Of a record that
    is joined from parts it tells the precision and the time of all parts, and their commits.
    """
    environment = record["environment"]
    versions = environment.get("versions")
    torch = versions.get("torch") if isinstance(versions, Mapping) else None
    parts = record["metrics"].get("parts") or {}
    seconds = parts["seconds"] if parts else record["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    threads, commits = environment.get("threads", "unknown"), [str(environment.get("commit"))]
    made = parts.get("commits") or commits
    told = [
        data_and_seeds(record),
        str(environment.get("device", "unknown device")),
        f"{threads} thread{'s' * (threads != 1)}",
        f"PyTorch {torch or 'unknown'}",
        " and ".join(parts.get("precisions", [])),
        f"{parts['count']} trainings of {took} together" if parts else took,
        str(environment.get("date", "no date"))[:10],
        _at(commits) if made == commits else f"joined at {_at(commits)}, trained at {_at(made)}",
    ]
    return ", ".join(filter(None, told))


def data_and_seeds(record: Mapping[str, Any]) -> str:
    """ "mnist, 5 seeds": what of the two the record's parameters name."""
    data, seeds = (record["parameters"].get(name) for name in ("dataset", "seeds"))
    told = [str(data or ""), f"{len(seeds)} seeds" if isinstance(seeds, list) else ""]
    return ", ".join(filter(None, told))


def profile(record: Mapping[str, Any]) -> str:
    """What ran the lesson: the profile of ours, or papermill's own command."""
    return str(record["profile"] or "plain papermill")


def _at(commits: Sequence[str]) -> str:
    """One commit by its name, several by their number."""
    changed = any(commit.endswith("-dirty") for commit in commits)
    if len(commits) > 1:
        return f"{len(commits)} commits{', some with changes' * changed}"
    known = commits[0][:12] if commits[0] != "None" else "unknown"
    return f"commit {known}{' with changes' * changed}"


def expected(notebook: str, profile: str, parameters: Mapping[str, Any]) -> str:
    """What the recorded run of a long profile took, in a sentence; "" if there is none.

    Those of its parameters that are others here, and so may be the time, are named; folders,
    files of weights and where it trains count as the same.
    """
    own = without_folders(dict(parameters))
    with suppress(CourseError):  # a file that is no record stops no run
        for record in load_records(notebook):
            if record["profile"] == profile:
                other = [
                    name for name, value in record["parameters"].items()
                    if own.get(name, value) != value
                    and not is_place(name) and not name.endswith("_weights")
                ]  # fmt: skip
                yours = f"; other here: {', '.join(other)}" if other else ""
                told = f"{notebook}, profile {profile}; its recorded run: {provenance(record)}"
                return told + yours
    return ""


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
        shown = [f"Profile `{text(profile(each))}`: {markdown(each)}" for each in self]
        return "\n\n".join(shown) or self._none

    def __repr__(self) -> str:
        shown = [
            "\n\n".join([provenance(each), *(f"{name}\n{t!r}" for name, t in tables(each).items())])
            for each in self
        ]
        return "\n\n".join(shown) or self._none
