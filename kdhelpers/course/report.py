"""Records and sweeps at a glance: figures, and one HTML file that needs nothing else to be read.

Figures are inside as PNG with alternative text, every text is escaped, and no network is used.
"""

import base64
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdhelpers._files import atomic, write_text
from kdhelpers._values import short_path
from kdhelpers.course import results
from kdhelpers.course.lesson import did_you_mean
from kdhelpers.course.records import CourseError, read_record, unless_lost, wanted
from kdhelpers.course.sweep import (
    LIST,
    SEEDS,
    STATUSES,
    Row,
    columns,
    is_drawable,
    is_per_seed,
    rows,
    seed_count,
)
from kdhelpers.plots import Picture
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table

__all__ = ["Section", "Series", "chosen", "describe", "draw", "of_record", "of_sweep", "report"]
__all__ += ["series", "summary", "write_figure"]

LONGEST = 80  # letters of a label
# Okabe and Ito; the marker and the line tell the same for whoever sees no colour.
COLOURS = ("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#555555", "#E69F00", "#56B4E9")
MARKERS, LINES = "soD^vPX", ("-", "--", ":", "-.")


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
        metric: what to show of the sweeps; default as for `numbers`.

    Raises:
        CourseError: the folder has no records, a sweep has no such metric, the file cannot be
            written, or an argument is of another type.
    """
    wanted(folder, str, Path, name="folder")
    wanted(out, str, Path, type(None), name="out")
    wanted(metric, str, name="metric")
    folder, sections, left_out = Path(folder), list[Section](), dict[Path, str]()
    files, swept = _json_files(folder), list[Path]()
    for path in files:
        if path.name != LIST:
            continue
        try:
            points = rows(path.parent)
        except CourseError as error:
            left_out[path] = str(error)
        else:
            swept.append(path.parent)
            sections.append(of_sweep(points, metric, _name(path.parent, folder)))
    nothing = f"{short_path(folder)} has no records; `kdhelpers run` and `sweep` write them"
    for path in files:
        if path.name == LIST or any(place / "points" in path.parents for place in swept):
            continue
        try:
            sections.append(of_record(read_record(path), _name(path, folder)))
        except ValueError:  # no record, or one with numbers beyond all figures
            left_out[path] = nothing
    if not sections:
        raise CourseError(next(iter(left_out.values()), nothing))
    target = Path(out) if out else folder / "report.html"
    title = f"Records in {folder.resolve().name}"
    page = _render(title, sections, [_name(path, folder) for path in left_out])
    with unless_lost(f"cannot write {short_path(target)}"):
        write_text(target, page)
    return target


def _json_files(folder: Path) -> list[Path]:
    with unless_lost(f"{short_path(folder)} cannot be read"):
        found = sorted(path for path in folder.rglob("*.json") if not path.name.startswith("."))
        return [path for path in found if path.is_file()]  # a pipe would be waited for


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _render(title: str, sections: Sequence[Section], left_out: Sequence[str]) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("kdhelpers.course", "templates"),
    )  # fmt: skip
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    template = environment.get_template("report.html")
    return template.render(title=title, sections=sections, left_out=left_out)


# -- one record, one sweep ------------------------------------------------------------------------


def of_sweep(points: Sequence[Row], metric: str = "", name: str = ".") -> Section:
    """A figure and a summary of one metric, the failures, and the whole table folded up.

    Raises:
        CourseError: there is no such metric.
    """
    count = {status: sum(row.status == status for row in points) for status in STATUSES}
    told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    section = Section(f"Sweep {name}", [f"{len(points)} points: {told}"])
    if shown := chosen(points, metric):
        x, lines = series(points, shown)
        section.pictures = [_picture(x, lines, shown)]
        section.tables[f"{shown}, mean ± half of the 95 % interval"] = summary(x, lines)
    table = columns(points)
    cells = [[_value(value) for value in row] for row in zip(*table.values(), strict=True)]
    section.details["All points"] = Table(list(table), cells)
    section.failures = {row.point: row.failure for row in points if row.failure}
    return section


def of_record(record: Mapping[str, Any], name: str) -> Section:
    """Headline, the record's own tables, every metric, figures of what has a value per seed.

    A list in the metrics that is as long as the parameter `seeds` holds one value per seed.
    """
    parameters, metrics = record["parameters"], record["metrics"]
    count, headline = seed_count(parameters), metrics.get("headline")
    profile = record["profile"] or "plain papermill"
    section = Section(
        f"{record['notebook']} ({name})",
        [headline] * isinstance(headline, str) + [f"{profile}, {results.provenance(record)}"],
    )
    with suppress(ValueError):  # an older record that only looks like one of the course's
        section.tables |= results.tables(record)
    shown = {name: _result(value, count) for name, value in _leaves(metrics) if name != "headline"}
    section.tables["Metrics"] = Table(["metric", "value"], list(shown.items()))
    section.pictures = [
        _picture("", lines, each) for each, lines in _groups(metrics, count).items()
    ]
    section.details["Parameters"] = Table(
        ["parameter", "value"], [[key, _value(value)] for key, value in parameters.items()]
    )
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
        return _interval(value)
    text = _value(value)
    return text if len(text) <= 120 else f"{text[:120]} …"


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _groups(metrics: Any, seeds: int, name: str = "") -> "dict[str, list[Series]]":
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


# -- one metric against one parameter -------------------------------------------------------------


@dataclass
class Series:
    """One line of a figure: for each value of x, the results of all seeds."""

    label: str
    results: dict[Any, list[float]] = field(default_factory=dict)


def chosen(points: Sequence[Row], metric: str = "") -> str:
    """The metric to show: `metric`, else the likeliest of interest, or "" where there is none.

    Metrics are numbers, or a number of each seed. Likeliest is an accuracy that differs between
    the points, else anything that does.

    Raises:
        CourseError: the points have numbers, and none is called like this.
    """
    found: dict[str, set[tuple[float, ...]]] = {}
    for row in points:
        for name, value in row.metrics.items():
            if numbers := _per_seed(value):
                found.setdefault(name, set()).add(numbers)
    known = sorted(found, key=lambda name: (len(found[name]) == 1, "accuracy" not in name.lower()))
    if metric and known and metric not in known:
        raise CourseError(f"no point has the number {metric!r}{did_you_mean(metric, known)}")
    return metric if metric in known else "".join(known[:1])


def _per_seed(metric: Any) -> tuple[float, ...]:
    """What can be drawn of a metric: a number, one of each seed, or nothing."""
    values = metric if isinstance(metric, list) else [metric]
    return tuple(values) if all(map(is_drawable, values)) else ()


def series(points: Sequence[Row], metric: str) -> tuple[str, list[Series]]:
    """The name of x (the first parameter that is no seed, or "") and the lines over it.

    Each combination of the other parameters is a line. Points without the metric are left out.
    """
    names = [name for name in points[0].values if name not in SEEDS] if points else []
    x, others = (names[0], names[1:]) if names else ("", [])
    lines: dict[str, Series] = {}
    for row in points:
        if found := _per_seed(row.metrics.get(metric)):
            label = ", ".join(f"{name} = {_value(row.values[name])}" for name in others)
            line = lines.setdefault(label, Series(label)).results
            at = row.values[x] if x else "all points"
            line.setdefault(at if is_drawable(at) else _value(at), []).extend(found)
    return x, list(lines.values())


def draw(x: str, lines: Sequence[Series], *, ylabel: str) -> Figure:
    """Means with 95 % intervals where there are two results or more, and a dot per result."""
    figure = Figure(figsize=(6.6, 3.8), layout="constrained")
    axes = figure.subplots()
    places = _places(lines)
    numeric = len(places) > 1 and all(is_drawable(at) for at in places)
    place = {at: float(at) if numeric else float(row) for row, at in enumerate(places)}
    styles = zip(itertools.cycle(COLOURS), itertools.cycle(MARKERS), strict=False)
    for number, (line, (colour, marker)) in enumerate(zip(lines, styles, strict=False)):
        order = sorted(line.results, key=lambda at: place[at])
        bars = [_mean_and_margin(line.results[at]) for at in order]
        axes.errorbar(
            [place[at] for at in order],
            [mean for mean, _ in bars],
            yerr=[margin for _, margin in bars],
            label=_shown(line.label), color=colour, marker=marker, capsize=4, linewidth=1.8,
            linestyle=LINES[number % len(LINES)] if numeric else "",
        )  # fmt: skip
        for at in order:
            numbers = line.results[at]
            axes.plot([place[at]] * len(numbers), numbers, "k.", alpha=0.5, markersize=4, zorder=3)
    _name_places(axes, place, numeric)
    key = "mean with 95 % interval; dots: seeds"
    axes.set(xlabel=f"{_shown(x)}\n" * bool(x) + key, ylabel=_shown(ylabel))
    axes.grid(alpha=0.3)
    if any(line.label for line in lines):
        axes.legend(frameon=False, fontsize=8)
    return figure


def _places(lines: Sequence[Series]) -> list[Any]:
    return list(dict.fromkeys(at for line in lines for at in line.results))


def _name_places(axes: Axes, place: dict[Any, float], numeric: bool) -> None:
    if numeric and min(place.values()) > 0 and max(place.values()) >= 8 * min(place.values()):
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
    if len(place) <= 12:
        axes.set_xticks(list(place.values()), [_shown(_value(at)) for at in place])
    if not numeric:
        axes.set_xlim(-0.5, len(place) - 0.5)


def _shown(text: str) -> str:
    """A text as a figure has room for it, and without the formulas that matplotlib sees in it."""
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return cut.replace("$", r"\$")


def describe(x: str, lines: Sequence[Series], *, ylabel: str) -> str:
    """The same in words, for whoever cannot see the figure."""
    against = f" against {x}" if x else ""
    parts = [f"{ylabel}{against}, mean and half of the 95 % interval over the seeds."]
    for line in lines:
        told = [f"{_value(at)}: {_interval(numbers)}" for at, numbers in line.results.items()]
        parts.append(f"{line.label}: " * bool(line.label) + "; ".join(told) + ".")
    return " ".join(parts)


def summary(x: str, lines: Sequence[Series]) -> Table:
    """A row for each value of x, a column for each line."""
    cells = [
        [_value(at), *(_interval(line.results[at]) if at in line.results else "" for line in lines)]
        for at in _places(lines)
    ]
    return Table([x, *(line.label or "result" for line in lines)], cells)


def write_figure(path: Path, points: Sequence[Row]) -> Path | None:
    """Draw the metric that `chosen` names into a PNG file; None if there is nothing.

    Raises:
        OSError: the file cannot be written.
    """
    name = chosen(points)
    if not name:
        path.unlink(missing_ok=True)  # of an earlier start
        return None
    x, lines = series(points, name)
    with atomic(path) as temporary:
        draw(x, lines, ylabel=name).savefig(temporary, dpi=120, facecolor="white")
    return path


def _picture(x: str, lines: Sequence[Series], ylabel: str) -> Picture:
    return Picture(draw(x, lines, ylabel=ylabel), describe(x, lines, ylabel=ylabel))


def _interval(numbers: Sequence[float]) -> str:
    mean, margin = _mean_and_margin(numbers)
    return f"{mean:.4g}" + (f" ± {margin:.2g} ({len(numbers)} seeds)" if len(numbers) > 1 else "")


def _mean_and_margin(numbers: Sequence[float]) -> tuple[float, float]:
    if len(numbers) < 2:
        return numbers[0], 0.0
    interval = mean_interval(numbers)
    return interval.mean, interval.margin
