"""Is a claimed effect there? Forests of differences, power, and a chart that misleads."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import PercentFormatter

from kdhelpers._values import require
from kdhelpers.plots.curves import draw_lines
from kdhelpers.plots.drawing import DISTILLED, NEUTRAL, Drawn, drawing, listed, percent, subplots
from kdhelpers.plots.results import in_words, name_rows, name_sides, verdict_colour
from kdhelpers.stats.arms import Results, is_share, label, less_is_better
from kdhelpers.stats.comparisons import compare
from kdhelpers.stats.tables import digits, verdict
from kdhelpers.stats.tables import percent as told


@drawing
def forest(
    results: Results,
    *,
    baseline: str,
    claim: tuple[float, float] | None = None,
    key: str = "accuracy",
) -> Drawn:
    """The paired difference of every arm from one baseline, a row each.

    The thick line holds for the arm alone and the thin one, which colour and verdict go by, for
    all arms together (see `kdhelpers.stats.compare`).

    Args:
        results: the arms (see `kdhelpers.stats`).
        baseline: the name of the arm that is subtracted.
        claim: the effect somebody claims, (least, most) in points, or in the unit of a `key` that
            is no share: a shaded band. From five seeds on, a gain is ruled out by an interval
            that ends below it, a fall by one that begins above it.
        key: the figure of the runs that is compared.

    Raises:
        ValueError: no arm, a claim whose least effect is not below its most, or as for `compare`.
    """
    compared = compare(baseline, results, key=key, points=is_share(key))
    require(compared, "there is nothing to draw; give at least one arm beside the baseline.")
    ordered = claim is None or claim[0] < claim[1]
    require(ordered, f"a claim is (least, most) with least < most, got {claim}.")
    # The sign of a claim says which it is; one across zero is for the better.
    falls = claim is not None and claim[0] < 0 and (claim[1] <= 0 or less_is_better(key))
    figure, axes = subplots(7.2, 1.5 + 0.42 * len(compared))
    said, refuted = [], []
    for row, (name, each) in enumerate(compared.items()):
        alone, together = each.difference, each.simultaneous
        style: dict[str, Any] = dict(color=verdict_colour(together, key), solid_capstyle="butt")
        axes.plot((together.low, together.high), (row, row), linewidth=1.3, **style)
        axes.plot((alone.low, alone.high), (row, row), linewidth=4, **style)
        axes.plot(alone.mean, row, "D", color=style["color"], markersize=6, markeredgecolor="white")
        margin = format(together.margin, digits(alone, key))
        wide = f", ± {margin} with all arms together" if together.count > 1 else ""
        said.append(
            f"{label(name)} {told(alone, sign=True, key=key)}{wide} ({verdict(together, key)})"
        )
        beyond = claim and (together.low > claim[1] if falls else together.high < claim[0])
        if beyond and together.allows_verdict:
            refuted.append(label(name))
    axes.axvline(0, color="k", linewidth=1)
    if claim is not None:
        shown = f"claimed: {claim[0]:+g} to {claim[1]:+g}{' points' * is_share(key)}"
        axes.axvspan(*claim, color="#F0E442", alpha=0.5, linewidth=0, label=shown)
        figure.legend(frameon=False, loc="outside upper right", fontsize=9)
    name_rows(axes, compared)
    name_sides(axes, key)
    legend = "diamond: mean; thick: 95 % interval of one arm; thin: of all arms together"
    axes.set_xlabel(f"difference in {in_words(key)}{' (points)' * is_share(key)}\n{legend}")
    of = f"{in_words(key)} from {label(baseline)}"
    alt = f"Paired differences in {of}{', in points' * is_share(key)}: {'; '.join(said)}."
    if claim is not None:
        alt += f" A band shows the {'fall' if falls else 'gain'} {shown.replace(':', ',')}; "
        alt += f"it is ruled out for {listed(refuted) if refuted else 'no arm'}."
    return figure, alt


@drawing
def power_curve(counts: Sequence[int], powers: Mapping[str, Sequence[float]]) -> Drawn:
    """The chance of finding an effect against the number of seed pairs; a line at 80 %.

    Args:
        counts: numbers of seed pairs.
        powers: effect ("0.3 points") → for each count the power in 0..1 (`kdhelpers.stats.power`).

    Raises:
        ValueError: no effect, a power outside 0..1, or not one for each count.
    """
    figure, axes = subplots(7.0, 3.9)
    lines = {effect: (counts, percent(each)) for effect, each in powers.items()}
    draw_lines(axes, lines)
    axes.axhline(80, color="k", linestyle="--", linewidth=1, label="80 %, usually asked for")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes.set(xlabel="pairs of runs with common seeds", ylabel="power", ylim=(0, 103))
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    said = []
    for effect, (_, shares) in lines.items():
        enough = [count for count, share in zip(counts, shares, strict=True) if share >= 80]
        reached = f"80 % by {min(enough)} pairs" if enough else "80 % by none of these"
        said.append(f"{effect} {shares[0]:.0f} % to {shares[-1]:.0f} %, {reached}")
    return figure, (
        f"Power in % against the number of pairs of runs, {counts[0]} to {counts[-1]}, a line for "
        f"each effect: {'; '.join(said)}."
    )


@drawing
def misleading_bars(values: Mapping[str, float], *, title: str = "") -> Drawn:
    """A chart that misleads on purpose, for an exercise; `arms` shows the same honestly.

    One number an arm, such as its best run, without seeds or intervals, and bars that start just
    below the smallest: their lengths say nothing.

    Args:
        values: arm → one accuracy in 0..1; the largest is coloured.
        title: the claim the chart makes.

    Raises:
        ValueError: fewer than two arms, or an accuracy outside 0..1.
    """
    require(len(values) > 1, f"a comparison needs at least two arms, got {len(values)}.")
    heights = percent(list(values.values()))
    low, high = min(heights), max(heights)
    span = (high - low) or 1.0
    figure, axes = subplots(max(4.0, 1.2 + 1.0 * len(values)), 3.6)
    colours = [DISTILLED if height == high else NEUTRAL for height in heights]
    axes.bar(list(values), heights, color=colours, width=0.65)
    bottom, top = low - 0.1 * span, high + 0.08 * span
    axes.set(ylim=(bottom, top), xlabel="method", ylabel="accuracy (%)")
    axes.set_title(title)
    named = [f"{name} {height:.2f}" for name, height in zip(values, heights, strict=True)]
    return figure, (  # as much as the eye sees: the flaw is for the reader to find
        f"{title + ': ' if title else ''}Bars of accuracy in %, {listed(named)}, on an axis from "
        f"{bottom:.2f} to {top:.2f}."
    )
