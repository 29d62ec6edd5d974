"""Lines over epochs or steps, told apart by colour, marker and dashes."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kdhelpers._values import require
from kdhelpers.plots.drawing import PALETTE, Drawn, drawing, percent, plain_decades, subplots

Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name → (x, y)


def draw_lines(axes: Axes, series: Lines) -> None:
    """A line per entry of `series`, each (x, y), with a few markers on it.

    Raises:
        ValueError: no line, one without points, or one with more x than y or the reverse.
    """
    require(series, "there is nothing to draw; give at least one named series.")
    for (label, (x, y)), colour, marker, style in zip(
        series.items(), cycle(PALETTE), cycle("osD^vP*"), cycle(("-", "--", "-.", ":"))
    ):
        told = f"{label!r} has {len(y)} values for {len(x)} places"
        require(0 < len(x) == len(y), f"a line needs one value for each place, but {told}.")
        axes.plot(
            x, y, label=label, color=colour, linestyle=style, marker=marker,
            markevery=max(1, len(x) // 8), markersize=5, linewidth=1.8,
        )  # fmt: skip
    axes.grid(alpha=0.3)


def from_one(series: Mapping[str, Sequence[float]]) -> Lines:
    """Values at the places 1, 2, 3, …: epochs count from 1."""
    return {name: (range(1, len(values) + 1), values) for name, values in series.items()}


def lines_text(series: Lines) -> str:
    """Where every line begins and ends, in words."""
    return "; ".join(f"{name} {course(x, y)}" for name, (x, y) in series.items())


def course(x: Sequence[float], y: Sequence[float]) -> str:
    """Where a line begins and ends and how far it reaches: "falls from 2 at 1 to 0.5 at 9"."""
    values = np.asarray(y, dtype=np.float64)
    first, last, low, high = (
        f"{each:.3g}" for each in (values[0], values[-1], values.min(), values.max())
    )
    if low == high:
        return f"stays at {first} from {x[0]:g} to {x[-1]:g}" if len(values) > 1 else f"is {first}"
    ends = f"from {first} at {x[0]:g} to {last} at {x[-1]:g}"
    steps = np.diff(values)
    if (steps >= 0).all() or (steps <= 0).all():
        return f"{'rises' if steps.sum() > 0 else 'falls'} {ends}"
    return f"goes {ends}, between {low} and {high}"


@drawing
def log_series(
    series: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    xlabel: str = "step",
    places: Sequence[float] | None = None,
) -> Drawn:
    """Values over many powers of ten, on a logarithmic axis: a norm that collapses.

    Args:
        series: name → its values; a line has a gap where they are 0.
        ylabel: the values' name and unit.
        xlabel: what is counted along x.
        places: where along x the values are; default 1, 2, 3, …

    Raises:
        ValueError: no series, a value below 0 or not finite, or values and places that differ in
            number.
    """
    for name, values in series.items():
        for value in values:
            told = f"a logarithmic axis shows finite values from 0, but {name!r} has {value}."
            require(0 <= value < math.inf, told)
    figure, axes = subplots(7.0, 3.6)
    axes.set_yscale("log", nonpositive="mask")
    lines = from_one(series) if places is None else {n: (places, y) for n, y in series.items()}
    draw_lines(axes, lines)
    above = [value for values in series.values() for value in values if value]
    if above and max(above) < 100 * min(above):
        plain_decades(axes.yaxis, above)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
    return figure, f"{ylabel} against the {xlabel}, on a logarithmic axis: {lines_text(lines)}."


@drawing
def stages(
    stage1: Sequence[float],
    stage2: Mapping[str, Sequence[float]],
    *,
    ylabel: str = "validation accuracy (%)",
) -> Drawn:
    """The two stages of FitNets beside each other: the hint loss, then the accuracies (%).

    Args:
        stage1: the hint loss of every epoch of stage 1.
        stage2: run → the accuracy in 0..1 of every epoch of stage 2, or of all its epochs if it
            had no stage 1. All end together: a shorter one had its stage 1 before.
        ylabel: what the accuracies are of.

    Raises:
        ValueError: no epoch, no run, or an accuracy outside 0..1.
    """
    figure, (first, second) = subplots(7.4, 3.6, 1, 2, width_ratios=[1.0, 1.5])
    draw_lines(first, from_one({"hint loss": stage1}))
    first.lines[0].set_color(PALETTE[4])  # no run on the right has it, up to four
    first.set(title="stage 1: the hint", ylabel="hint loss")
    first.set_ylim(bottom=0)
    last = max(map(len, stage2.values()), default=0)
    runs = {
        name: (range(last - len(values) + 1, last + 1), percent(values))
        for name, values in stage2.items()
    }
    draw_lines(second, runs)
    second.set(title="stage 2, or training without a hint", ylabel=ylabel)
    for axes in (first, second):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    named = second.get_legend_handles_labels()
    figure.legend(*named, frameon=False, loc="outside lower right", ncols=2, fontsize=9)
    return figure, (
        f"Left, stage 1: the hint loss {course(range(1, len(stage1) + 1), stage1)}, by epoch. "
        f"Right, stage 2 or training without a hint: {ylabel} by epoch: {lines_text(runs)}."
    )
