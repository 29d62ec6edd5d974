"""The figure at the top of the README: what a teacher is worth where images are few."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from kdhelpers.plots.drawing import drawing
from kdhelpers.plots.style import ALONE, DISTILLED, NEUTRAL, TEACHER, percent
from kdhelpers.stats.intervals import mean_interval, paired_difference

TEXT = 13  # points: a page may show the figure at half of its size


@drawing
def few_images(
    alone: Mapping[int, Sequence[float]],
    distilled: Mapping[int, Sequence[float]],
    *,
    teacher: float,
) -> Figure:
    """Accuracy (%) against the size of the transfer set: seeds, means, 95 % intervals, the gap.

    Like `transfer_curve`, but made to be read from afar: large, with every seed as a dot and
    the paired difference written beside each pair.

    Args:
        alone: number of images → one accuracy in 0..1 per seed, at least two.
        distilled: the same for the distilled students, over the same seeds.
        teacher: its accuracy in 0..1, a dashed line.

    Raises:
        ValueError: the arms have other sizes or seeds, an accuracy outside 0..1, or as for
            `mean_interval`.
    """
    if not alone or alone.keys() != distilled.keys():
        raise ValueError(
            f"both arms need the same transfer sets, got {sorted(alone)} and {sorted(distilled)}."
        )
    sizes = sorted(alone)
    figure = Figure(figsize=(8.0, 4.4), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    axes = figure.subplots()
    axes.axhline(*percent([teacher]), color=TEACHER, linestyle="--", linewidth=2, label="teacher")
    for arm, name, colour, marker, side in (
        (distilled, "small network, distilled from it", DISTILLED, "s", 1.05),
        (alone, "the same small network alone", ALONE, "o", 1 / 1.05),
    ):
        _draw_arm(axes, {size: percent(arm[size]) for size in sizes}, name, colour, marker, side)
    for size in sizes:
        _tell_the_gap(axes, size, percent(alone[size]), percent(distilled[size]))
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.7, sizes[-1] * 1.7)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.tick_params(labelsize=TEXT)
    axes.set_xlabel("images that the small network may learn from", fontsize=TEXT)
    axes.set_ylabel("test accuracy (%)", fontsize=TEXT)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=TEXT, loc="lower right")
    return figure


def _draw_arm(
    axes: Axes,
    points: Mapping[int, Sequence[float]],
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
    axes: Axes, size: int, alone: Sequence[float], distilled: Sequence[float]
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
