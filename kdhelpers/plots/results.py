"""What students reached: accuracies over seeds with intervals, and paired differences."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdhelpers.plots.drawing import drawing
from kdhelpers.plots.style import ALONE, DISTILLED, NEUTRAL, TEACHER, percent
from kdhelpers.stats.intervals import Interval, mean_interval

SEEDS_KEY = "dots: seeds; diamond: mean with 95 % interval"


@drawing
def transfer_curve(
    alone: Mapping[int, Sequence[float]],
    distilled: Mapping[int, Sequence[float]],
    *,
    teacher: float,
) -> Figure:
    """Accuracy (%) against the size of the transfer set: mean and 95 % interval over seeds.

    `alone` and `distilled` map a number of images to one accuracy in 0..1 per seed.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for arm, label, colour, marker, shift in (
        (alone, "student alone", ALONE, "o", 0.96),
        (distilled, "distilled student", DISTILLED, "s", 1.04),
    ):
        sizes = sorted(arm)
        bars = [mean_interval([100 * value for value in arm[size]]) for size in sizes]
        axes.errorbar(
            [size * shift for size in sizes],
            [bar.mean for bar in bars],
            yerr=[bar.margin for bar in bars],
            label=label,
            color=colour,
            marker=marker,
            capsize=4,
            linewidth=1.8,
        )
    axes.axhline(100 * teacher, color=TEACHER, linestyle="--", label="teacher")
    axes.set_xscale("log")
    axes.set_xticks(sorted(alone), [f"{size:,}" for size in sorted(alone)])
    axes.minorticks_off()
    axes.set(xlabel="images in the transfer set", ylabel="test accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


@drawing
def temperature_sweep(
    arms: Mapping[str, Mapping[float, Sequence[float]]],
    alone: Mapping[str, Sequence[float]],
    *,
    teacher: float,
) -> Figure:
    """Accuracy (%) against T with 95 % intervals, a line per student; `alone` as level lines.

    `arms` maps a student to {T: one accuracy in 0..1 per seed}; `alone` to its accuracies
    without a teacher.
    """
    figure = Figure(figsize=(6.6, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, ((student, sweep), colour, marker) in enumerate(
        zip(arms.items(), cycle((DISTILLED, ALONE, NEUTRAL)), cycle("soD^"))
    ):
        temperatures = sorted(sweep)
        bars = [mean_interval([100 * value for value in sweep[t]]) for t in temperatures]
        axes.errorbar(
            [t * (1 + 0.04 * number) for t in temperatures],
            [bar.mean for bar in bars],
            yerr=[bar.margin for bar in bars],
            label=f"{student}, distilled",
            color=colour, marker=marker, capsize=4, linewidth=1.8,
        )  # fmt: skip
        level = mean_interval([100 * value for value in alone[student]])
        axes.axhline(level.mean, color=colour, linestyle=":", label=f"{student}, alone")
    axes.axhline(100 * teacher, color=TEACHER, linestyle="--", label="teacher")
    axes.margins(y=0.08)
    axes.set_xscale("log", base=2)
    measured = sorted({t for sweep in arms.values() for t in sweep})
    axes.set_xticks(measured, [f"{t:g}" for t in measured])
    axes.minorticks_off()
    axes.set(xlabel="temperature T", ylabel="test accuracy (%)")
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    return figure


@drawing
def arms(
    values: Mapping[str, Sequence[float]], *, teacher: float | None = None, baseline: str = ""
) -> Figure:
    """The accuracy (%) of every arm of an experiment, an arm a row, from the top.

    Args:
        values: arm → one accuracy in 0..1 per seed, at least two.
        teacher: its accuracy, a dashed line; leave it out where it would squeeze the arms.
        baseline: the arm to compare with: a dotted line at its mean, and another colour.

    Raises:
        ValueError: no arm, a baseline that is none of the arms, an accuracy outside 0..1, or as
            for `mean_interval`.
    """
    if not values or (baseline and baseline not in values):
        raise ValueError(
            f"baseline {baseline!r} is none of the arms: {', '.join(values) or 'none'}."
        )
    figure = Figure(figsize=(7.2, 1.3 + 0.42 * len(values)), layout="constrained")
    axes = figure.subplots()
    if teacher is not None:
        axes.axvline(percent([teacher])[0], color=TEACHER, linestyle="--", label="teacher")
    if baseline:
        level = float(np.mean(percent(values[baseline])))
        axes.axvline(level, color=ALONE, linestyle=":", label=f"mean of {baseline}")
    for row, (name, accuracies) in enumerate(values.items()):
        _seeds(axes, row, percent(accuracies), ALONE if name == baseline else DISTILLED)
    name_rows(axes, values)
    axes.set_xlabel(f"test accuracy (%)\n{SEEDS_KEY}")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(frameon=False, loc="outside upper right", ncols=2, fontsize=9)
    return figure


@drawing
def by_layer(
    values: Mapping[str, Sequence[float]],
    baseline: Sequence[float],
    *,
    xlabel: str = "hinted layer",
    baseline_name: str = "no hint",
) -> Figure:
    """The accuracy (%) with a hint at each layer, in the order given, against none at all.

    Args:
        values: layer → one accuracy in 0..1 per seed, at least two.
        baseline: the accuracies without a hint: a dotted line at the mean in its 95 % interval.
        xlabel: what the names in `values` are.
        baseline_name: what the legend calls the baseline.

    Raises:
        ValueError: no layer, an accuracy outside 0..1, or as for `mean_interval`.
    """
    if not values:
        raise ValueError("there is nothing to draw; give the accuracies of at least one layer.")
    figure = Figure(figsize=(max(4.5, 1.6 + 0.9 * len(values)), 3.8), layout="constrained")
    axes = figure.subplots()
    level = mean_interval(percent(baseline))
    axes.axhline(level.mean, color=ALONE, linestyle=":", label=baseline_name)
    axes.axhspan(level.low, level.high, color=ALONE, alpha=0.12, label="its 95 % interval")
    for column, accuracies in enumerate(values.values()):
        _seeds(axes, column, percent(accuracies), DISTILLED, upright=True)
    axes.set_xticks(range(len(values)), list(values))
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set(xlabel=f"{xlabel}\n{SEEDS_KEY}", ylabel="test accuracy (%)")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(frameon=False, loc="outside upper right", ncols=2, fontsize=9)
    return figure


@drawing
def paired_points(differences: Mapping[str, Sequence[float]], *, unit: str = "points") -> Figure:
    """One row per comparison: the difference of every seed, its mean and 95 % interval."""
    figure = Figure(figsize=(6.6, 0.9 + 0.5 * len(differences)), layout="constrained")
    axes = figure.subplots()
    for row, values in enumerate(differences.values()):
        _seeds(axes, row, values, verdict_colour(mean_interval(values)))
    axes.axvline(0, color="k", linewidth=1)
    name_rows(axes, differences)
    name_sides(axes)
    axes.set_xlabel(f"difference in test accuracy ({unit})\n{SEEDS_KEY}")
    return figure


def verdict_colour(interval: Interval) -> str:
    """Better, worse, or neither: what the interval allows to say."""
    if interval.low > 0:
        return DISTILLED
    return ALONE if interval.high < 0 else NEUTRAL


def name_sides(axes: Axes) -> None:
    """Above a line at zero, which side of it is the better one."""
    for text, side, shift in (("← worse", "right", -6), ("better →", "left", 6)):
        axes.annotate(
            text, (0, 1), xycoords=("data", "axes fraction"), xytext=(shift, 3), ha=side,
            textcoords="offset points", fontsize=9, color=NEUTRAL,
        )  # fmt: skip


def name_rows(axes: Axes, names: Iterable[str]) -> None:
    """Rows 0, 1, … from the top, with their names at the left."""
    listed = list(names)
    axes.set_yticks(range(len(listed)), listed)
    axes.set_ylim(len(listed) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _seeds(
    axes: Axes, row: float, values: Sequence[float], colour: str, *, upright: bool = False
) -> None:
    """Every seed as a dot, their mean and its 95 % interval: along a row or, upright, a column."""
    mean, rows = mean_interval(values), [row] * len(values)
    style: dict[str, Any] = dict(fmt="D", color=colour, capsize=5, linewidth=2)
    seeds: dict[str, Any] = dict(marker="o", linestyle="", color=NEUTRAL, alpha=0.5, markersize=5)
    if upright:
        axes.plot(rows, values, **seeds)
        axes.errorbar(row, mean.mean, yerr=mean.margin, **style)
    else:
        axes.plot(values, rows, **seeds)
        axes.errorbar(mean.mean, row, xerr=mean.margin, **style)
