"""What a teacher is worth where images are few: accuracy against the size of the transfer set."""

from kdhelpers.plots.drawing import ALONE, DISTILLED, TEACHER, Drawn, drawing, subplots
from kdhelpers.plots.results import draw_intervals, in_words
from kdhelpers.stats.arms import Results, by_size, is_share
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import difference
from kdhelpers.stats.tables import percent as told


@drawing
def transfer_curve(results: Results, *, teacher: float, key: str = "accuracy") -> Drawn:
    """The accuracy against the size of the transfer set: mean and 95 % interval over seeds.

    Args:
        results: by (size, arm), with the arms "alone" and "distilled" (see `kdhelpers.stats`).
        teacher: its accuracy in 0..1, or its figure, a dashed line.
        key: the figure of the runs to show.

    Raises:
        ValueError: as for `tables.transfer_table`.
    """
    pairs, share = by_size(results), is_share(key)
    level = mean_interval([teacher], points=share)
    figure, axes = subplots(6.4, 3.6)
    axes.axhline(level.mean, color=TEACHER, linestyle="--", label="teacher")
    for arm, label, colour, marker, shift in (
        (0, "student alone", ALONE, "o", 0.96),
        (1, "distilled student", DISTILLED, "s", 1.04),
    ):
        bars = [mean_interval(pair[arm], key=key, points=share) for pair in pairs.values()]
        places = [size * shift for size in pairs]
        draw_intervals(axes, places, bars, label=label, color=colour, marker=marker)
    axes.set_xscale("log")
    axes.set_xticks(list(pairs), [f"{size:,}" for size in pairs])
    axes.minorticks_off()
    axes.set(xlabel="images in the transfer set", ylabel=f"{in_words(key)}{' (%)' * share}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    rows = []
    for size, arms in pairs.items():
        means = [told(mean_interval(arm, key=key, points=share), key=key) for arm in arms]
        rows.append(
            f" With {size:,} images: alone {means[0]}, distilled {means[1]}, a difference of "
            f"{difference(*arms, key=key)}."
        )
    return figure, (
        f"{in_words(key)}{' in %' * share} of a student alone and of a distilled one against "
        f"the number of images in the transfer set, means with 95 % intervals.{''.join(rows)} "
        f"The teacher, a dashed line, has {told(level, key=key)}."
    )
