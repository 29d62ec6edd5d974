"""One metric of a sweep against one parameter: a figure, and the same as a table."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdhelpers._files import write_bytes
from kdhelpers._values import did_you_mean
from kdhelpers.course.root import CourseError
from kdhelpers.course.table import SEEDS, Row, is_drawable
from kdhelpers.plots import Picture
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table

LONGEST = 80  # letters of a label
# Okabe and Ito; the marker and the line tell the same for whoever sees no colour.
COLOURS = ("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#555555", "#E69F00", "#56B4E9")
MARKERS, LINES = "soD^vPX", ("-", "--", ":", "-.")

# The lines of a figure by label: for each value of x, the results of all seeds.
Lines = dict[str, dict[Any, list[float]]]


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


def series(points: Sequence[Row], metric: str) -> tuple[str, Lines]:
    """The name of x (the first parameter that is no seed, or "") and the lines over it.

    Each combination of the other parameters is a line. A parameter with one value at all points
    is told only where there is no other. Points without the metric are left out.
    """
    first = points[0].values if points else {}
    names = [name for name in first if name not in SEEDS]
    names = [n for n in names if any(row.values[n] != first[n] for row in points)] or names[:1]
    x, others = (names[0], names[1:]) if names else ("", [])
    lines: Lines = {}
    for row in points:
        if found := _per_seed(row.metrics.get(metric)):
            label = ", ".join(f"{name} = {in_text(row.values[name])}" for name in others)
            at = row.values[x] if x else "all points"
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
