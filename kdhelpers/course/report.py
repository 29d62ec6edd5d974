"""Records and sweeps at a glance: one HTML file that needs nothing else to be read.

Figures are inside as PNG with alternative text, every text is escaped, and no network is used.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from kdhelpers._files import write_text
from kdhelpers._values import short_path
from kdhelpers.course import results
from kdhelpers.course.figures import chosen, in_text, interval, picture, series, summary
from kdhelpers.course.records import read_record
from kdhelpers.course.root import CourseError, unless_lost
from kdhelpers.course.table import LIST, STATUSES, Row, columns, is_per_seed, rows, seed_count
from kdhelpers.plots import Picture
from kdhelpers.stats.tables import Table


@dataclass
class Section:
    """What the page tells about one record or one sweep. `details` are folded up at first."""

    heading: str
    lines: list[str]
    tables: dict[str, Table] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    details: dict[str, Table] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def report(
    folder: str | Path, out: str | Path | None = None, *, metric: str = ""
) -> tuple[Path, list[str]]:
    """Render every record and every sweep at or below `folder` into one HTML file.

    Args:
        out: the file to write; default `report.html` in the folder.
        metric: what to show of the sweeps; default: see `figures.chosen`.

    Returns:
        That file, and the names of those that hold no readable record.

    Raises:
        CourseError: the folder has no records, a sweep has no such metric, or the file cannot be
            written.
    """
    folder, sections, swept = Path(folder), list[Section](), list[Path]()
    nothing = f"{short_path(folder)} has no records; `kdhelpers run` and `sweep` write them"
    left_out: dict[str, str] = {}
    for path in _json_files(folder):
        name = path.relative_to(folder).as_posix()
        if path.name == LIST:
            try:
                points = rows(path.parent)
            except CourseError as error:
                left_out[name] = str(error)
                continue
            swept.append(path.parent)
            sections.append(of_sweep(points, metric, path.parent.relative_to(folder).as_posix()))
        elif not any(place / "points" in path.parents for place in swept):
            try:
                sections.append(of_record(read_record(path), name))
            except ValueError:  # no record, or one with numbers beyond all figures
                left_out[name] = nothing
    if not sections:
        raise CourseError(next(iter(left_out.values()), nothing))
    target = Path(out) if out else folder / "report.html"
    page = _render(f"Records in {folder.resolve().name}", sections, list(left_out))
    with unless_lost(f"cannot write {short_path(target)}", "; choose another --out"):
        write_text(target, page)
    return target, list(left_out)


def _json_files(folder: Path) -> list[Path]:
    """All that may be records, after the lists of the sweeps."""
    with unless_lost(f"{short_path(folder)} cannot be read"):
        if folder.is_file():
            raise CourseError(f"{short_path(folder)} is a file; give its folder")
        found = [path for path in folder.rglob("*.json") if not path.name.startswith(".")]
        files = [path for path in found if path.is_file()]  # a pipe would be waited for
    return sorted(files, key=lambda path: (path.name != LIST, path))


def _render(title: str, sections: Sequence[Section], left_out: Sequence[str]) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("kdhelpers.course", "templates"),
    )  # fmt: skip
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    template = environment.get_template("report.html")
    return template.render(title=title, sections=sections, left_out=left_out)


# -- one sweep, one record ------------------------------------------------------------------------


def of_sweep(points: Sequence[Row], metric: str = "", name: str = ".") -> Section:
    """A figure and a summary of one metric, the failures, and the whole table folded up."""
    count = {status: sum(row.status == status for row in points) for status in STATUSES}
    told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    section = Section(f"Sweep {name}", [f"{len(points)} points: {told}"])
    if shown := chosen(points, metric):
        x, lines = series(points, shown)
        section.pictures = [picture(x, lines, shown)]
        section.tables[f"{shown}, mean ± half of the 95 % interval"] = summary(x, lines)
    table = columns(points)
    cells = [[in_text(value) for value in row] for row in zip(*table.values(), strict=True)]
    section.details["All points"] = Table(list(table), cells)
    section.failures = {row.point: row.failure for row in points if row.failure}
    return section


def of_record(record: dict[str, Any], name: str) -> Section:
    """Headline, the record's own tables and every metric.

    A list in the metrics that is as long as the parameter `seeds` holds one value per seed.
    """
    metrics, count = record["metrics"], seed_count(record["parameters"])
    headline, profile = metrics.get("headline"), results.profile(record)
    section = Section(
        f"{record['notebook']} ({name})",
        [headline] * isinstance(headline, str) + [f"{profile}, {results.provenance(record)}"],
    )
    section.tables |= results.tables(record)
    shown = [[key, _result(each, count)] for key, each in _leaves(metrics) if key != "headline"]
    section.tables["Metrics"] = Table(["metric", "value"], shown)
    parameters = [[key, in_text(value)] for key, value in record["parameters"].items()]
    section.details["Parameters"] = Table(["parameter", "value"], parameters)
    return section


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested mappings that is no mapping, by dotted name."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{name}.{key}" if name else key)


def _result(value: Any, seeds: int) -> str:
    if is_per_seed(value, seeds):
        return interval(value)
    text = in_text(value)
    return text if len(text) <= 120 else f"{text[:120]} …"
