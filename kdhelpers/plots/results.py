"""What students reached: accuracies over seeds with intervals, and paired differences."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kdhelpers.plots.drawing import ALONE, DISTILLED, NEUTRAL, TEACHER, Drawn, drawing, subplots
from kdhelpers.stats.arms import (
    FIGURES,
    Results,
    against,
    is_share,
    label,
    less_is_better,
    named,
    row,
)
from kdhelpers.stats.intervals import Interval, differences, mean_interval, paired_difference
from kdhelpers.stats.tables import percent as told
from kdhelpers.stats.tables import verdict

SEEDS_KEY = "dots: seeds; diamond: mean with 95 % interval"


@drawing
def arms(
    results: Results, *, teacher: float | None = None, baseline: str = "", key: str = "accuracy",
    what: str = "",
) -> Drawn:  # fmt: skip
    """The accuracy of every arm of an experiment, an arm a row, from the top.

    Args:
        results: the arms (see `kdhelpers.stats`).
        teacher: its accuracy, a dashed line; leave it out where it would squeeze the arms.
        baseline: the arm to compare with: a dotted line at its mean, and the others in the
            colours of what is better, worse, or (as with fewer than five seeds) not clearly
            different from it, seed by seed.
        key: the figure of the runs to show.
        what: its name, on the axis and in the alternative text, if not that of `key`.

    Raises:
        ValueError: no arm, a baseline that is none of the arms, an accuracy outside 0..1, or as
            for `mean_interval` and `paired_difference`.
    """
    compared, of, what = baseline != "", label(baseline), what or in_words(key)
    named(results, *[baseline] * (compared or not results))
    share = is_share(key)
    shown = {name: row(arm, key, points=share) for name, arm in results.items()}
    figure, axes = subplots(7.2, 1.3 + 0.42 * len(shown))
    lines = ""
    if teacher is not None:
        top = mean_interval([teacher], points=share)
        axes.axvline(top.mean, color=TEACHER, linestyle="--", label="teacher")
        lines = f" A dashed line marks the teacher at {told(top, key=key)}."
    if compared:
        level = float(shown[baseline].mean())
        axes.axvline(level, color=NEUTRAL, linestyle=":", label=f"mean of {of}")
    for number, (name, values) in enumerate(shown.items()):
        colour = NEUTRAL
        if compared:
            gain = paired_difference(results[baseline], results[name], key=key)
            colour = verdict_colour(gain, key)
        _seeds(axes, number, values, colour)
    name_rows(axes, shown)
    colours = f"\nseed by seed, green: better than {of}; orange: worse" if compared else ""
    axes.set_xlabel(f"{what}{' (%)' * share}\n{SEEDS_KEY}{colours}")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(frameon=False, loc="outside upper right", ncols=2, fontsize=9)
    means = {label(name): mean_interval(values) for name, values in shown.items()}
    order = sorted(means, key=lambda name: -means[name].mean)
    said = [f"{name} {told(means[name], key=key)}" for name in order]
    lines += f" A dotted line marks the mean of {of}." if compared else ""
    return figure, (
        f"{what}{' in %' * share} of every arm, a dot for each seed with the mean and its 95 % "
        f"interval, from the highest: {'; '.join(said)}.{lines}"
    )


@drawing
def paired_points(
    results: Results,
    *,
    baseline: str | None = None,
    comparisons: Sequence[tuple[Any, Any]] | None = None,
    unit: str | None = None,
    key: str = "accuracy",
) -> Drawn:
    """One row per comparison: the difference of every seed, its mean and 95 % interval.

    Args:
        results: the arms, or those of several sizes by (size, arm) (see `kdhelpers.stats`); or
            differences in `unit`, arrays by their names as `kdhelpers.stats.differences` gives
            them, without a baseline.
        baseline: the arm that is subtracted from all others, default "alone".
        comparisons: the pairs (baseline, arm) to show instead.
        unit: of rows of differences, default points; of a `key` that is no share none.
        key: the figure of the runs that is compared.

    Raises:
        ValueError: an arm that is not there, or as for `kdhelpers.stats.paired_difference`.
    """
    names = {name[-1] if isinstance(name, tuple) else name for name in results}
    arrays = all(isinstance(arm, np.ndarray) for arm in results.values())
    if baseline is None and comparisons is None and "alone" not in names and arrays:
        rows = {label(name): row(arm) for name, arm in results.items()}
    else:
        compared = against(results, "alone" if baseline is None else baseline, comparisons)
        share = is_share(key)
        rows = {name: differences(*pair, key, points=share) for name, pair in compared.items()}
    means = {name: mean_interval(values) for name, values in rows.items()}
    figure, axes = subplots(6.6, 0.9 + 0.5 * len(rows))
    for number, (name, values) in enumerate(rows.items()):
        _seeds(axes, number, values, verdict_colour(means[name], key))
    axes.axvline(0, color="k", linewidth=1)
    name_rows(axes, rows)
    name_sides(axes, key)
    unit = "points" * is_share(key) if unit is None else unit
    what = f"difference in {in_words(key)}"
    axes.set_xlabel(f"{what} ({unit})\n{SEEDS_KEY}" if unit else f"{what}\n{SEEDS_KEY}")
    said = [
        f"{name} {told(each, sign=True, key=key)} ({verdict(each, key)})"
        for name, each in means.items()
    ]
    return figure, (
        f"Paired differences in {in_words(key)}{f', in {unit}' if unit else ''}, a dot for each "
        f"seed with the mean and its 95 % interval: {'; '.join(said)}."
    )


def in_words(key: str) -> str:
    """The name of a figure in a sentence."""
    return "test accuracy" if key == "accuracy" else FIGURES.get(key, key).removesuffix(", %")


def verdict_colour(interval: Interval, key: str = "accuracy") -> str:
    """Better, worse, or neither: what the interval of a figure allows to say."""
    return {"helps": DISTILLED, "hurts": ALONE}.get(verdict(interval, key), NEUTRAL)


def sides(key: str) -> tuple[str, str]:
    """What less of a figure is and what more of it is."""
    return ("better", "worse") if less_is_better(key) else ("worse", "better")


def best(means: Mapping[Any, Interval], key: str) -> Any:
    """The name of the best mean of a figure."""
    choose = min if less_is_better(key) else max
    return choose(means, key=lambda name: means[name].mean)


def name_sides(axes: Axes, key: str = "accuracy") -> None:
    """Above a line at zero, which side of it is the better one."""
    less, more = sides(key)
    for text, side, shift in ((f"← {less}", "right", -6), (f"{more} →", "left", 6)):
        axes.annotate(
            text, (0, 1), xycoords=("data", "axes fraction"), xytext=(shift, 3), ha=side,
            textcoords="offset points", fontsize=9, color=NEUTRAL,
        )  # fmt: skip


def name_rows(axes: Axes, names: Iterable[Any]) -> None:
    """Rows 0, 1, … from the top, with their names at the left."""
    listed = list(map(label, names))
    axes.set_yticks(range(len(listed)), listed)
    axes.set_ylim(len(listed) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def draw_intervals(axes: Axes, x: Sequence[float], y: Sequence[Interval], **style: Any) -> None:
    """A line through means, each with its 95 % interval."""
    means, margins = [each.mean for each in y], [each.margin for each in y]
    axes.errorbar(x, means, yerr=margins, capsize=4, linewidth=1.8, **style)


def _seeds(axes: Axes, row: float, values: NDArray[np.float64], colour: str) -> None:
    """Every seed of a row as a dot, their mean and its 95 % interval."""
    mean = mean_interval(values)
    axes.plot(values, [row] * len(values), "o", color=NEUTRAL, alpha=0.5, markersize=5)
    axes.errorbar(mean.mean, row, xerr=mean.margin, fmt="D", color=colour, capsize=5, linewidth=2)
