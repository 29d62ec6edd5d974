"""Records and sweeps at a glance: one HTML file that needs nothing else to be read.

Figures are inside as PNG with alternative text, every text is escaped, and no network is used.
"""

import base64
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdhelpers._files import write_bytes, write_text
from kdhelpers._values import did_you_mean, short_path
from kdhelpers.course import records
from kdhelpers.course.root import CourseError, unless_lost
from kdhelpers.course.sweep import (
    LIST,
    Row,
    by_figure,
    columns,
    is_drawable,
    is_per_seed,
    rows,
    seed_count,
)
from kdhelpers.plots import Picture
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table

STATUSES = ("ok", "failed", "missing")
SEEDS = ("seed", "seeds")  # the parameter whose values repeat an experiment
LONGEST = 80  # letters of a label
# Okabe and Ito; the marker and the line tell the same for whoever sees no colour.
COLOURS = ("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#555555", "#E69F00", "#56B4E9")
MARKERS, LINES = "soD^vPX", ("-", "--", ":", "-.")

# The lines of a figure by label: for each value of x, the results of all seeds.
Lines = dict[str, dict[Any, list[float]]]


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
        metric: what to show of the sweeps; default: see `chosen`.

    Returns:
        That file, and the names of those, and of folders, that hold no readable record.

    Raises:
        CourseError: the folder has no records, no sweep has such a metric, or the file cannot be
            written or is one of another kind.
    """
    folder, sections, swept = Path(folder), list[Section](), list[Path]()
    nothing = f"{short_path(folder)} has no records; `kdhelpers run` and `sweep` write them"
    left_out: dict[str, str] = {}
    without, found = None, False  # whether a sweep has the metric
    for path in _json_files(folder, left_out):
        name = path.relative_to(folder).as_posix()
        if path.name == LIST:
            try:
                points = rows(path.parent)
            except CourseError as error:
                left_out[name] = str(error)
                continue
            try:
                shown = chosen(points, metric)
            except CourseError as error:
                without, shown = error, chosen(points)
            found = found or shown == metric
            swept.append(path.parent)
            sections.append(of_sweep(points, shown, path.parent.relative_to(folder).as_posix()))
        elif not any(place / "points" in path.parents for place in swept):
            try:
                sections.append(of_record(records.read_record(path), name))
            # No record, or one with numbers beyond all figures or parts that are none.
            except (ValueError, TypeError, AttributeError):
                if not _is_part(path):
                    left_out[name] = nothing
    if not sections:
        raise CourseError(next(iter(left_out.values()), nothing))
    if without and not found:
        raise without
    target = Path(out) if out else folder / "report.html"
    page = _render(f"Records in {folder.resolve().name}", sections, list(left_out))
    told = short_path(target)
    with unless_lost(f"cannot write {told}", "; choose another --out"):
        if target.is_file() and not target.read_bytes().startswith(page[:15].encode()):
            raise CourseError(f"{told} is there and no page; choose another --out")
        write_text(target, page)
    return target, list(left_out)


def _is_part(path: Path) -> bool:
    """Whether it is a finished run of those that a record is joined from."""
    with suppress(CourseError):
        content = records.read_json(path)
        return isinstance(content, dict) and {"function", "figures"} <= content.keys()
    return False


def _json_files(folder: Path, left_out: dict[str, str]) -> list[Path]:
    """All that may be records, after the lists of the sweeps; `left_out` gets unread folders."""

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            told = f"{short_path(error.filename)} cannot be read: {error.strerror}"
            left_out[Path(error.filename).relative_to(folder).as_posix()] = told

    with unless_lost(f"{short_path(folder)} cannot be read"):
        if folder.is_file():
            raise CourseError(f"{short_path(folder)} is a file; give its folder")
        files = []
        for place, folders, names in os.walk(folder, onerror=note):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files += [Path(place, n) for n in names if n.endswith(".json") and n[0] != "."]
        files = [path for path in files if path.is_file()]  # a pipe would be waited for
    return sorted(files, key=lambda path: (path.name != LIST, path))


def _render(title: str, sections: Sequence[Section], left_out: Sequence[str]) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("kdhelpers.course", "templates"),
    )  # fmt: skip
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    template = environment.get_template("report.html")
    page = template.render(title=title, sections=sections, left_out=left_out)
    return page.encode(errors="replace").decode()  # a file's name may be no UTF-8


# -- one sweep, one record ------------------------------------------------------------------------


def of_sweep(points: Sequence[Row], metric: str = "", name: str = ".") -> Section:
    """A figure and a summary of one metric, the failures, and the whole table folded up."""
    count = Counter(row.status for row in points)
    told = ", ".join(f"{count[status]} {status}" for status in STATUSES if count[status])
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
    headline, profile = metrics.get("headline"), records.profile(record)
    section = Section(
        f"{record['notebook']} ({name})",
        [headline] * isinstance(headline, str) + [f"{profile}, {records.provenance(record)}"],
    )
    section.tables |= records.tables(record)
    leaves = _leaves({key: metrics[key] for key in metrics if key != "headline"})
    shown = [[key, _result(each, count)] for key, each in leaves]
    section.tables["Metrics"] = Table(["metric", "value"], shown)
    parameters = [[key, in_text(value)] for key, value in record["parameters"].items()]
    section.details["Parameters"] = Table(["parameter", "value"], parameters)
    return section


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested mappings that is no mapping, by dotted name; runs by their figures."""
    inner = value if isinstance(value, dict) else by_figure(value)
    if not inner and value != {}:
        yield name, value
    for key, each in inner.items():
        yield from _leaves(each, f"{name}.{key}" if name else key)


def _result(value: Any, seeds: int) -> str:
    if is_per_seed(value, seeds):
        return interval(value)
    text = in_text(value)
    return text if len(text) <= 120 else f"{text[:120]} …"


# -- one metric of a sweep against one parameter: a figure, and the same as a table ---------------


def chosen(points: Sequence[Row], metric: str = "") -> str:
    """The metric to show: `metric`, else the likeliest of interest, or "" where there is none.

    Metrics are numbers, or a number of each seed. Likeliest is an accuracy that differs between
    the points, and not the teacher's, else anything that does.

    Raises:
        CourseError: the points have numbers, and none is called like this.
    """
    found: dict[str, set[tuple[float, ...]]] = {}
    for row in points:
        for name, value in row.metrics.items():
            if numbers := _per_seed(value):
                found.setdefault(name, set()).add(numbers)

    def unlikely(name: str) -> tuple[bool, bool, bool]:
        word = name.lower()
        return len(found[name]) == 1, "accuracy" not in word, "teacher" in word

    known = sorted(found, key=unlikely)
    if metric and known and metric not in known:
        raise CourseError(f"no point has the number {metric!r}{did_you_mean(metric, known)}")
    return metric if metric in known else "".join(known[:1])


def _per_seed(metric: Any) -> tuple[float, ...]:
    """What can be drawn of a metric: a number, one of each seed, or nothing."""
    values = metric if isinstance(metric, list) else [metric]
    return tuple(values) if all(map(is_drawable, values)) else ()


def series(points: Sequence[Row], metric: str) -> tuple[str, Lines]:
    """The name of x (the first parameter that is no seed, or "") and the lines over it.

    Each combination of the other parameters is a line. A parameter with one value at all points
    is told only where there is no other. Points without the metric are left out.
    """
    first = points[0].values if points else {}
    names = [name for name in first if name not in SEEDS]
    names = [n for n in names if any(row.values.get(n) != first[n] for row in points)] or names[:1]
    x, others = (names[0], names[1:]) if names else ("", [])
    lines: Lines = {}
    for row in points:
        if found := _per_seed(row.metrics.get(metric)):
            label = ", ".join(f"{name} = {in_text(row.values.get(name))}" for name in others)
            at = row.values.get(x) if x else "all points"
            at = at if is_drawable(at) else in_text(at)
            lines.setdefault(label, {}).setdefault(at, []).extend(found)
    return x, lines


def picture(x: str, lines: Lines, ylabel: str) -> Picture:
    """Means with 95 % intervals where there are two results or more, and a dot per result."""
    figure = Figure(figsize=(6.6, 3.8), layout="constrained")
    axes = figure.subplots()
    places = _places(lines)
    numeric = len(places) > 1 and all(map(is_drawable, places))
    place = {at: float(at) if numeric else float(row) for row, at in enumerate(places)}
    styles = zip(itertools.cycle(COLOURS), itertools.cycle(MARKERS), itertools.cycle(LINES))
    for (label, line), (colour, marker, style) in zip(lines.items(), styles, strict=False):
        order = sorted(line, key=lambda at: place[at])
        bars = [mean_interval(line[at]) for at in order]
        axes.errorbar(
            [place[at] for at in order], [bar.mean for bar in bars],
            yerr=[bar.margin for bar in bars], label=_shown(label), color=colour, marker=marker,
            capsize=4, linewidth=1.8, linestyle=style if numeric else "",
        )  # fmt: skip
        for at, numbers in line.items():
            axes.plot([place[at]] * len(numbers), numbers, "k.", alpha=0.5, markersize=4, zorder=3)
    _name_places(axes, place, numeric)
    key = "mean with 95 % interval; dots: seeds"
    axes.set(xlabel=f"{_shown(x)}\n" * bool(x) + key, ylabel=_shown(ylabel))
    axes.grid(alpha=0.3)
    if any(lines):
        axes.legend(frameon=False, fontsize=8)
    return Picture(figure, _words(x, lines, ylabel), dpi=120)


def _places(lines: Lines) -> list[Any]:
    return list(dict.fromkeys(at for line in lines.values() for at in line))


def _name_places(axes: Axes, place: dict[Any, float], numeric: bool) -> None:
    if numeric and min(place.values()) > 0 and max(place.values()) >= 8 * min(place.values()):
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
    if len(place) <= 12:
        axes.set_xticks(list(place.values()), [_shown(in_text(at)) for at in place])
    if not numeric:
        axes.set_xlim(-0.5, len(place) - 0.5)


def _shown(text: str) -> str:
    """A text as a figure has room for it, and without the formulas that matplotlib sees in it."""
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return cut.replace("$", r"\$")


def _words(x: str, lines: Lines, ylabel: str) -> str:
    """The figure for whoever cannot see it."""
    against = f" against {x}" if x else ""
    parts = [f"{ylabel}{against}, mean and half of the 95 % interval over the seeds."]
    for label, line in lines.items():
        told = [f"{in_text(at)}: {interval(numbers)}" for at, numbers in line.items()]
        parts.append(f"{label}: " * bool(label) + "; ".join(told) + ".")
    return " ".join(parts)


def summary(x: str, lines: Lines) -> Table:
    """A row for each value of x, a column for each line."""
    cells = [
        [in_text(at), *(interval(line[at]) if at in line else "" for line in lines.values())]
        for at in _places(lines)
    ]
    return Table([x, *(label or "result" for label in lines)], cells)


def write_figure(path: Path, points: Sequence[Row]) -> None:
    """Draw the metric that `chosen` names into a PNG file, if there is one."""
    if name := chosen(points):
        write_bytes(path, picture(*series(points, name), name).png)
    else:
        path.unlink(missing_ok=True)  # of an earlier start


def in_text(value: Any) -> str:
    """A value in a table or at an axis; None is an empty cell."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def interval(numbers: Sequence[float]) -> str:
    """`0.6 ± 1.3 (2 seeds)`, or the number if there is one."""
    found = mean_interval(numbers)
    margin = f" ± {found.margin:.2g} ({found.count} seeds)" if found.count > 1 else ""
    return f"{found.mean:.4g}{margin}"
