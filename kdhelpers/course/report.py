"""One HTML file about all records in a folder: nothing else is needed to read it.

Figures are inside as PNG with alternative text, every text is escaped, and no network is used.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from kdhelpers._files import write_text
from kdhelpers._values import short_path
from kdhelpers.course import sweep_plots, sweep_tables
from kdhelpers.course.records import FIELDS, CourseError, read_record, wanted
from kdhelpers.course.sweep_plots import Series
from kdhelpers.course.sweep_tables import LIST, Row, is_per_seed, seed_count
from kdhelpers.plots import Picture, show
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table

__all__ = ["Section", "of_record", "of_sweep", "render", "report"]


@dataclass
class Section:
    """What the page tells about one record or one sweep. `details` are folded up at first."""

    heading: str
    lines: list[str]
    tables: dict[str, Table] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    details: dict[str, Table] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def report(folder: str | Path, out: str | Path | None = None, *, metric: str = "") -> Path:
    """Render every record and every sweep at or below `folder` into one HTML file.

    Args:
        out: the file to write; default `report.html` in the folder.
        metric: what to show of the sweeps; default as for `sweep_plots.numbers`.

    Raises:
        CourseError: the folder has no records, a sweep has no such metric, the file cannot be
            written, or an argument is of another type.
    """
    wanted(folder, str, Path, name="folder")
    wanted(out, str, Path, type(None), name="out")
    wanted(metric, str, name="metric")
    folder = Path(folder)
    files = _json_files(folder)
    sweeps = [path.parent for path in files if path.name == LIST]
    sections = [of_sweep(place, metric, _name(place, folder)) for place in sweeps]
    left_out = []
    for path in files:
        if path.name == LIST or any(place / "points" in path.parents for place in sweeps):
            continue
        try:
            sections.append(of_record(read_record(path), _name(path, folder)))
        except ValueError:  # no record, or one with numbers beyond all figures
            left_out.append(_name(path, folder))
    if not sections:
        raise CourseError(
            f"{short_path(folder)} has no records; `kdhelpers run` and `sweep` write them"
        )
    target = Path(out) if out else folder / "report.html"
    title = f"Records in {folder.resolve().name}"
    try:
        write_text(target, render(title, sections, left_out))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise CourseError(f"cannot write {short_path(target)}: {reason}") from error
    return target


def _json_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.rglob("*.json") if not path.name.startswith("."))
    except (OSError, ValueError) as error:  # longer than a path can be, or with a NUL
        reason = getattr(error, "strerror", None) or "it is no path"
        raise CourseError(f"{short_path(folder)} cannot be read: {reason}") from error


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def of_sweep(folder: Path, metric: str = "", name: str = ".") -> Section:
    """A figure and a summary of one metric, the failures, and the whole table folded up.

    Raises:
        CourseError: the folder's list of points is damaged, or there is no such metric.
    """
    rows = sweep_tables.rows(folder)
    count = {status: sum(row.status == status for row in rows) for status in sweep_tables.STATUSES}
    told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    section = Section(f"Sweep {name}", [f"{len(rows)} points: {told}"])
    if chosen := sweep_plots.chosen(rows, metric):
        x, lines = sweep_plots.series(rows, chosen)
        section.pictures = [_picture(x, lines, chosen)]
        section.tables[f"{chosen}, mean ± half of the 95 % interval"] = sweep_plots.summary(
            x, lines
        )
    section.details["All points"] = _whole_table(rows)
    section.failures = {row.point: row.failure for row in rows if row.failure}
    return section


def _whole_table(rows: Sequence[Row]) -> Table:
    columns = sweep_tables.columns(rows)
    cells = [[_told(value) for value in row] for row in zip(*columns.values(), strict=True)]
    return Table(list(columns), cells)


def of_record(record: Mapping[str, Any], name: str) -> Section:
    """The headline, every metric, a figure of those with a value per seed, and the parameters.

    A list in the metrics that is as long as the parameter `seeds` holds one value per seed.

    Raises:
        CourseError: no record.
    """
    wanted(record, Mapping, name="record")
    wanted(name, str, name="name")
    if not record.keys() >= FIELDS.keys():
        raise CourseError(f"a record has the keys {', '.join(FIELDS)}")
    parameters, metrics = record["parameters"], record["metrics"]
    count = seed_count(parameters)
    headline = metrics.get("headline")
    section = Section(
        f"{record['notebook']} ({name})",
        [headline] * isinstance(headline, str) + [_provenance(record)],
    )
    shown = {name: _result(value, count) for name, value in _leaves(metrics) if name != "headline"}
    section.tables["Metrics"] = Table(["metric", "value"], list(shown.items()))
    for title, lines in _groups(metrics, count).items():
        section.pictures.append(_picture("", lines, title))
    section.details["Parameters"] = Table(
        ["parameter", "value"], [[key, _told(value)] for key, value in parameters.items()]
    )
    return section


def _provenance(record: Mapping[str, Any]) -> str:
    environment = record["environment"]
    versions = environment.get("versions")
    torch = versions.get("torch", "unknown") if isinstance(versions, dict) else "unknown"
    return (
        f"{record['profile'] or 'plain papermill'}, {environment.get('device', 'unknown device')}, "
        f"PyTorch {torch}, {record['seconds']:.1f} s, {str(environment.get('date'))[:10]}, "
        f"commit {str(environment.get('commit') or 'unknown')[:12]}"
    )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested mappings that is no mapping, by dotted name."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{name}.{key}" if name else key)


def _result(value: Any, seeds: int) -> str:
    if is_per_seed(value, seeds):
        interval = mean_interval(value)
        return f"{interval.mean:.4g} ± {interval.margin:.2g} ({seeds} seeds)"
    text = _told(value)
    return text if len(text) <= 120 else f"{text[:120]} …"


def _groups(metrics: Any, seeds: int, name: str = "") -> dict[str, list[Series]]:
    """Mappings to values per seed that stand side by side with equal keys share a figure."""
    groups: dict[str, list[Series]] = {}
    if own := {key: value for key, value in metrics.items() if is_per_seed(value, seeds)}:
        groups[name or "results"] = [Series("", own)]
    inside = {key: value for key, value in metrics.items() if isinstance(value, dict) and value}
    same: dict[tuple[str, ...], list[str]] = {}
    for key, value in inside.items():
        if all(is_per_seed(item, seeds) for item in value.values()):
            same.setdefault(tuple(value), []).append(key)
        else:
            groups |= _groups(value, seeds, f"{name}.{key}" if name else key)
    for places, keys in same.items():
        title = f"{name}: {', '.join(keys)}" if name else ", ".join(keys)
        at = _numbers(places)
        groups[title] = [Series(key, dict(zip(at, inside[key].values(), strict=True)))
                         for key in keys]  # fmt: skip
    return groups


def _numbers(places: Sequence[str]) -> Sequence[Any]:
    """Keys of a record are text, even where they were numbers."""
    try:
        numbers = [float(place) for place in places]
    except ValueError:
        return places
    return numbers if len(set(numbers)) == len(numbers) else places


def _picture(x: str, lines: Sequence[Series], ylabel: str) -> Picture:
    figure: Figure = sweep_plots.draw(x, lines, ylabel=ylabel)
    return show(figure, alt=sweep_plots.describe(x, lines, ylabel=ylabel))


def _told(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def render(title: str, sections: Sequence[Section], left_out: Sequence[str] = ()) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("kdhelpers.course", "templates"),
    )  # fmt: skip
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    template = environment.get_template("report.html")
    return template.render(title=title, sections=sections, left_out=left_out)
