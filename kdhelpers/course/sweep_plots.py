"""A sweep at a glance: one metric against the first parameter, with intervals over the seeds.

It knows no tensor, so that the runner can draw it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdhelpers._files import atomic
from kdhelpers.course.grids import SEEDS
from kdhelpers.course.lesson import did_you_mean
from kdhelpers.course.records import CourseError
from kdhelpers.course.sweep_tables import Row, is_drawable
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table

__all__ = ["Series", "chosen", "describe", "draw", "numbers", "series", "summary"]
__all__ += ["shown", "write"]

LONGEST = 80  # letters of a label

# Okabe and Ito; the marker and the line tell the same for whoever sees no colour.
COLOURS = ("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#555555", "#E69F00", "#56B4E9")
MARKERS, LINES = "soD^vPX", ("-", "--", ":", "-.")


@dataclass
class Series:
    """One line of a figure: for each value of x, the results of all seeds."""

    label: str
    results: dict[Any, list[float]] = field(default_factory=dict)


def numbers(rows: Sequence[Row]) -> list[str]:
    """The metrics that are numbers, or a number of each seed; the likeliest of interest first.

    That is an accuracy that differs between the points, else anything that does.
    """
    found: dict[str, list[tuple[float, ...]]] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if results := _results(value):
                found.setdefault(name, []).append(results)
    return sorted(
        found, key=lambda name: (len(set(found[name])) == 1, "accuracy" not in name.lower())
    )


def chosen(rows: Sequence[Row], metric: str = "") -> str:
    """`metric` if there is one of that name, by default the first of `numbers`, or "".

    Raises:
        CourseError: the points have numbers, and none is called like this.
    """
    known = numbers(rows)
    if metric and known and metric not in known:
        raise CourseError(f"no point has the number {metric!r}{did_you_mean(metric, known)}")
    return metric if metric in known else "".join(known[:1])


def series(rows: Sequence[Row], metric: str) -> tuple[str, list[Series]]:
    """The name of x (the first parameter that is no seed, or "") and the lines over it.

    Each combination of the other parameters is a line. Points without the metric are left out.
    """
    names = [name for name in rows[0].values if name not in SEEDS] if rows else []
    x, others = (names[0], names[1:]) if names else ("", [])
    lines: dict[str, Series] = {}
    for row in rows:
        found = _results(row.metrics.get(metric))
        if not found:
            continue
        label = ", ".join(f"{name} = {_told(row.values[name])}" for name in others)
        results = lines.setdefault(label, Series(label)).results
        at = row.values[x] if x else "all points"
        results.setdefault(at if is_drawable(at) else _told(at), []).extend(found)
    return x, list(lines.values())


def draw(x: str, lines: Sequence[Series], *, ylabel: str) -> Figure:
    """Means with 95 % intervals where there are two results or more, and a dot per result."""
    figure = Figure(figsize=(6.6, 3.8), layout="constrained")
    axes = figure.subplots()
    places = list(dict.fromkeys(at for line in lines for at in line.results))
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
            label=shown(line.label), color=colour, marker=marker, capsize=4, linewidth=1.8,
            linestyle=LINES[number % len(LINES)] if numeric else "",
        )  # fmt: skip
        for at in order:
            results = line.results[at]
            axes.plot([place[at]] * len(results), results, "k.", alpha=0.5, markersize=4, zorder=3)
    _name_places(axes, place, numeric)
    key = "mean with 95 % interval; dots: seeds"
    axes.set(xlabel=f"{shown(x)}\n" * bool(x) + key, ylabel=shown(ylabel))
    axes.grid(alpha=0.3)
    if any(line.label for line in lines):
        axes.legend(frameon=False, fontsize=8)
    return figure


def _name_places(axes: Axes, place: dict[Any, float], numeric: bool) -> None:
    if numeric and min(place.values()) > 0 and max(place.values()) >= 8 * min(place.values()):
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
    if len(place) <= 12:
        axes.set_xticks(list(place.values()), [shown(_told(at)) for at in place])
    if not numeric:
        axes.set_xlim(-0.5, len(place) - 0.5)


def shown(text: str) -> str:
    """A text as a figure has room for it, and without the formulas that matplotlib sees in it."""
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return cut.replace("$", r"\$")


def describe(x: str, lines: Sequence[Series], *, ylabel: str) -> str:
    """The same in words, for whoever cannot see the figure."""
    against = f" against {x}" if x else ""
    parts = [f"{ylabel}{against}, mean and half of the 95 % interval over the seeds."]
    for line in lines:
        told = [f"{_told(at)}: {_interval(results)}" for at, results in line.results.items()]
        parts.append(f"{line.label}: " * bool(line.label) + "; ".join(told) + ".")
    return " ".join(parts)


def summary(x: str, lines: Sequence[Series]) -> Table:
    """A row for each value of x, a column for each line."""
    places = list(dict.fromkeys(at for line in lines for at in line.results))
    rows = [
        [_told(at), *(_interval(line.results[at]) if at in line.results else "" for line in lines)]
        for at in places
    ]
    return Table([x, *(line.label or "result" for line in lines)], rows)


def _interval(results: Sequence[float]) -> str:
    mean, margin = _mean_and_margin(results)
    return f"{mean:.4g}" + (f" ± {margin:.2g} ({len(results)} seeds)" if len(results) > 1 else "")


def write(path: Path, rows: Sequence[Row], metric: str = "") -> Path | None:
    """Draw `metric` (default as for `chosen`) into a PNG file; None if there is nothing.

    Raises:
        CourseError: the points have no such metric.
        OSError: the file cannot be written.
    """
    name = chosen(rows, metric)
    if not name:
        path.unlink(missing_ok=True)  # of an earlier start
        return None
    x, lines = series(rows, name)
    with atomic(path) as temporary:
        draw(x, lines, ylabel=name).savefig(temporary, dpi=120, facecolor="white")
    return path


def _mean_and_margin(results: Sequence[float]) -> tuple[float, float]:
    if len(results) < 2:
        return results[0], 0.0
    interval = mean_interval(results)
    return interval.mean, interval.margin


def _results(metric: Any) -> tuple[float, ...]:
    """What can be drawn of a metric: a number, one of each seed, or nothing."""
    values = metric if isinstance(metric, list) else [metric]
    return tuple(values) if all(map(is_drawable, values)) else ()


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
