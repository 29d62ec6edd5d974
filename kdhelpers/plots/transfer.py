"""What a teacher is worth where images are few: accuracy against the size of the transfer set."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from kdhelpers.plots.drawing import ALONE, DISTILLED, NEUTRAL, TEACHER, drawing, percent
from kdhelpers.stats.arms import Results, by_size, row
from kdhelpers.stats.intervals import mean_interval, paired_difference
from kdhelpers.stats.tables import difference
from kdhelpers.stats.tables import percent as told

TEXT = 13  # points: a page may show the figure at half of its size


@drawing
def transfer_curve(
    results: Results,
    distilled: Results | None = None,
    *,
    teacher: float,
    key: str = "accuracy",
) -> tuple[Figure, str]:
    """Accuracy (%) against the size of the transfer set: mean and 95 % interval over seeds.

    Args:
        results: by (size, arm), with the arms "alone" and "distilled" (see `kdhelpers.stats`); or,
            beside `distilled`, those of the student alone by size.
        distilled: those of the distilled student by size.
        teacher: its accuracy in 0..1, a dashed line.
        key: the figure of the runs to show.

    Raises:
        ValueError: as for `tables.transfer_table`.
    """
    pairs, (level,) = by_size(results, distilled), percent([teacher])
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(level, color=TEACHER, linestyle="--", label="teacher")
    for arm, label, colour, marker, shift in (
        (0, "student alone", ALONE, "o", 0.96),
        (1, "distilled student", DISTILLED, "s", 1.04),
    ):
        bars = [mean_interval(pair[arm], key=key, points=True) for pair in pairs.values()]
        axes.errorbar(
            [size * shift for size in pairs],
            [bar.mean for bar in bars],
            yerr=[bar.margin for bar in bars],
            label=label, color=colour, marker=marker, capsize=4, linewidth=1.8,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(list(pairs), [f"{size:,}" for size in pairs])
    axes.minorticks_off()
    axes.set(xlabel="images in the transfer set", ylabel="test accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    rows = []
    for size, arms in pairs.items():
        means = [told(mean_interval(arm, key=key, points=True)) for arm in arms]
        rows.append(
            f" With {size:,} images: alone {means[0]}, distilled {means[1]}, a difference of "
            f"{difference(*arms, key=key)}."
        )
    return figure, (
        "Test accuracy in % of a student alone and of a distilled one against the number of images "
        f"in the transfer set, means with 95 % intervals.{''.join(rows)} The teacher, a dashed "
        f"line, has {level:.2f}."
    )


@drawing
def few_images(
    results: Results,
    distilled: Results | None = None,
    *,
    teacher: float,
    key: str = "accuracy",
) -> tuple[Figure, str]:
    """Accuracy (%) against the size of the transfer set: seeds, means, 95 % intervals, the gap.

    Like `transfer_curve`, but made to be read from afar: large, with every seed as a dot and
    the paired difference written beside each pair. For the arguments see there.

    Raises:
        ValueError: the arms have other sizes or seeds, an accuracy outside 0..1, or as for
            `mean_interval`.
    """
    pairs = by_size(results, distilled)
    figure = Figure(figsize=(8.0, 4.4), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    axes = figure.subplots()
    axes.axhline(*percent([teacher]), color=TEACHER, linestyle="--", linewidth=2, label="teacher")
    for arm, name, colour, marker, side in (
        (1, "small network, distilled from it", DISTILLED, "s", 1.05),
        (0, "the same small network alone", ALONE, "o", 1 / 1.05),
    ):
        points = {size: row(pair[arm], key, points=True) for size, pair in pairs.items()}
        _draw_arm(axes, points, name, colour, marker, side)
    for size, pair in pairs.items():
        _tell_the_gap(axes, size, *(row(arm, key, points=True) for arm in pair))
    sizes = list(pairs)
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.7, sizes[-1] * 1.7)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.tick_params(labelsize=TEXT)
    axes.set_xlabel("images that the small network may learn from", fontsize=TEXT)
    axes.set_ylabel("test accuracy (%)", fontsize=TEXT)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=TEXT, loc="lower right")
    ends = [f"with {n:,} images {difference(*pairs[n], key=key)}" for n in (sizes[0], sizes[-1])]
    return figure, (
        "Test accuracy of a small network against the number of images that it learns from, alone "
        "and distilled from a large teacher, with a dot for every seed and 95 % intervals. "
        f"Distilled minus alone, in points, {'; '.join(ends)}."
    )


def _draw_arm(
    axes: Axes,
    points: Mapping[int, NDArray[np.float64]],
    name: str,
    colour: str,
    marker: str,
    side: float,
) -> None:
    """Means with intervals a little to one side of each size, the seeds further out."""
    bars = [mean_interval(values) for values in points.values()]
    for size, values in points.items():
        axes.plot([size * side**2.2] * len(values), values, ".", color=colour, alpha=0.6)
    axes.errorbar(
        [size * side for size in points], [bar.mean for bar in bars],
        yerr=[bar.margin for bar in bars], label=name, color=colour, marker=marker,
        markersize=8, capsize=5, linewidth=2.4,
    )  # fmt: skip


def _tell_the_gap(
    axes: Axes, size: int, alone: NDArray[np.float64], distilled: NDArray[np.float64]
) -> None:
    """An arrow from alone to distilled with the paired difference, where there is a clear one."""
    gain = paired_difference(alone, distilled)
    start, end = (mean_interval(values).mean for values in (alone, distilled))
    place, words, side = float(size), "no clear\ndifference", "center"
    if gain.low > 0 or gain.high < 0:
        place, words, side = size * 1.2, f"{gain.mean:+.1f} points", "left"
        arrow = dict(arrowstyle="->", color=NEUTRAL, linewidth=1.5)
        axes.annotate("", (place, end), (place, start), arrowprops=arrow)
    below = min(start, end) - 1
    axes.text(place, below, words, fontsize=TEXT, va="top", ha=side, color=NEUTRAL)
