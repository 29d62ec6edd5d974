"""What the temperature does: soft targets, entropy, gradients and trajectories against T."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy import special

from kdhelpers._values import require
from kdhelpers.plots.curves import draw_lines, from_one, lines_text
from kdhelpers.plots.drawing import (
    ALONE,
    DISTILLED,
    NEUTRAL,
    TEACHER,
    Drawn,
    drawing,
    listed,
    subplots,
)
from kdhelpers.plots.results import best, draw_intervals, in_words
from kdhelpers.stats.arms import Arm, is_share
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import percent as told


@drawing
def temperature_bars(logits: Sequence[float], temperatures: Sequence[float]) -> Drawn:
    """The softmax of the same few logits at several temperatures, side by side."""
    count = len(temperatures)
    figure, (panels,) = subplots(max(2.1 * count, 3.2), 2.4, 1, count, sharey=True, squeeze=False)
    classes = [f"class {number}\nz = {logit:g}" for number, logit in enumerate(logits)]
    said = []
    for axes, temperature in zip(panels, temperatures, strict=True):
        shares = special.softmax(np.asarray(logits, dtype=np.float64) / temperature)
        said.append(f"{listed(f'{share:.2f}' for share in shares)} at T = {temperature:g}")
        bars = axes.bar(classes, shares, color=TEACHER)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        axes.set(title=f"T = {temperature:g}", ylim=(0, 1.12), xlabel="")
        axes.tick_params(axis="x", labelsize=8)
    panels[0].set_ylabel("probability")
    return figure, (
        f"Bars of the softmax of the logits {listed(f'{logit:g}' for logit in logits)}: "
        f"{'; '.join(said)}."
    )


@drawing
def entropy_curve(
    temperatures: Sequence[float], curves: Mapping[str, Sequence[float]], *, classes: int
) -> Drawn:
    """Entropy in nats against T, a line per entry of `curves`, below its limit ln(classes)."""
    figure, axes = subplots(6.2, 3.2)
    for (label, values), colour, style in zip(
        curves.items(), cycle((TEACHER, DISTILLED, ALONE)), cycle(("-", "--", ":", "-."))
    ):
        axes.plot(temperatures, values, label=label, color=colour, linestyle=style, linewidth=2)
    axes.axhline(np.log(classes), color="k", linewidth=1)
    axes.annotate(
        f"ln {classes}: all classes equal", (temperatures[0], np.log(classes)),
        xytext=(0, -4), textcoords="offset points", va="top", fontsize=9,
    )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature T", ylabel="entropy (nats)", ylim=(0, 1.1 * np.log(classes)))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    return figure, (
        f"Entropy in nats against the temperature T, below its limit {np.log(classes):.2f}, the "
        f"logarithm of {classes} classes: "
        f"{lines_text({name: (temperatures, values) for name, values in curves.items()})}."
    )


@drawing
def temperature_trajectories(trajectories: Mapping[str, Sequence[float]]) -> Drawn:
    """T against the epoch, counted from 1, a line per entry."""
    figure, axes = subplots(7.2, 3.6)
    lines = from_one(trajectories)
    draw_lines(axes, lines)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="epoch", ylabel="temperature T")
    figure.legend(frameon=False, loc="outside right upper", fontsize=9)
    return figure, f"Temperature T against the epoch: {lines_text(lines)}."


@drawing
def log_curves(
    temperatures: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    level: float | None = None,
) -> Drawn:
    """Positive values against T on two logarithmic axes, with a thin line at `level` if given."""
    figure, axes = subplots(6.2, 3.2)
    for (label, values), colour, marker in zip(
        curves.items(), cycle((DISTILLED, ALONE, TEACHER)), cycle("osD^")
    ):
        axes.plot(temperatures, values, label=label, color=colour, marker=marker, linewidth=1.8)
    if level is not None:
        axes.axhline(level, color="k", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature T", ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    said = lines_text({name: (temperatures, values) for name, values in curves.items()})
    line = "" if level is None else f" A thin line marks {level:g}."
    return figure, f"{ylabel} against the temperature T, both axes logarithmic: {said}.{line}"


@drawing
def temperature_sweep(
    results: Mapping[Any, Any], *, teacher: float, key: str = "accuracy"
) -> Drawn:
    """The accuracy against T with 95 % intervals, a line per student; "alone" as level lines.

    Args:
        results: by (student, T), and by (student, "alone") without a teacher (see
            `kdhelpers.stats`).
        teacher: its accuracy in 0..1, or its figure, a dashed line.
        key: the figure of the runs to show.

    Raises:
        ValueError: a student without runs alone, an accuracy outside 0..1, or as for
            `mean_interval`.
    """
    sweeps: dict[str, dict[float, Arm]] = {}
    levels: dict[str, Arm] = {}
    for (student, T), arm in results.items():
        if T == "alone":
            levels[student] = arm
        else:
            sweeps.setdefault(student, {})[T] = arm
    got = f"{list(levels)} and {list(sweeps)}"
    fits = sweeps and sweeps.keys() <= levels.keys()
    require(fits, f"every student needs runs alone and at some T, got {got}.")
    figure, axes = subplots(6.6, 3.8)
    said, share = [], is_share(key)
    for number, ((student, sweep), colour, marker) in enumerate(
        zip(sweeps.items(), cycle((DISTILLED, ALONE, NEUTRAL)), cycle("soD^"))
    ):
        bars = {t: mean_interval(sweep[t], key=key, points=share) for t in sorted(sweep)}
        style = {"label": f"{student}, distilled", "color": colour, "marker": marker}
        places = [t * (1 + 0.04 * number) for t in bars]
        draw_intervals(axes, places, list(bars.values()), **style)
        level = mean_interval(levels[student], key=key, points=share)
        dots = (3 * number, (1, 3))  # those of one line between those of another at its height
        axes.axhline(level.mean, color=colour, linestyle=dots, label=f"{student}, alone")
        at = ", ".join(f"{told(bar, key=key)} at T = {t:g}" for t, bar in bars.items())
        at += f", best at {best(bars, key):g}"
        said.append(f" {student}: alone {told(level, key=key)} (dotted); distilled {at}.")
    top = mean_interval([teacher], points=share)
    axes.axhline(top.mean, color=TEACHER, linestyle="--", label="teacher")
    axes.margins(y=0.08)
    axes.set_xscale("log", base=2)
    measured = sorted({t for sweep in sweeps.values() for t in sweep})
    axes.set_xticks(measured, [f"{t:g}" for t in measured])
    axes.minorticks_off()
    axes.set(xlabel="temperature T", ylabel=f"{in_words(key)}{' (%)' * share}")
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    return figure, (
        f"{in_words(key)}{' in %' * share} against the temperature T, means with 95 % "
        f"intervals.{''.join(said)} The teacher (dashed): {told(top, key=key)}."
    )
