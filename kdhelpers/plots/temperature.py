"""What the temperature does: soft targets, entropy, gradients and trajectories against T."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kdhelpers.plots.curves import draw_lines, from_one
from kdhelpers.plots.drawing import drawing
from kdhelpers.plots.style import ALONE, DISTILLED, TEACHER


@drawing
def temperature_bars(logits: Sequence[float], temperatures: Sequence[float]) -> Figure:
    """The softmax of the same few logits at several temperatures, side by side."""
    figure = Figure(figsize=(2.1 * len(temperatures), 2.4), layout="constrained")
    panels = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
    classes = [f"class {number}\nz = {logit:g}" for number, logit in enumerate(logits)]
    for axes, temperature in zip(panels, temperatures, strict=True):
        bars = axes.bar(classes, _softmax(logits, temperature), color=TEACHER)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        axes.set(title=f"T = {temperature:g}", ylim=(0, 1.12), xlabel="")
        axes.tick_params(axis="x", labelsize=8)
    panels[0].set_ylabel("probability")
    return figure


def _softmax(logits: Sequence[float], temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    result: np.ndarray = powers / powers.sum()
    return result


@drawing
def entropy_curve(
    temperatures: Sequence[float], curves: Mapping[str, Sequence[float]], *, classes: int
) -> Figure:
    """Entropy in nats against T, a line per entry of `curves`, below its limit ln(classes)."""
    figure = Figure(figsize=(6.2, 3.2), layout="constrained")
    axes = figure.subplots()
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
    return figure


@drawing
def temperature_trajectories(trajectories: Mapping[str, Sequence[float]]) -> Figure:
    """T against the epoch, counted from 1, a line per entry."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    draw_lines(axes, from_one(trajectories))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="epoch", ylabel="temperature T")
    figure.legend(frameon=False, loc="outside right upper", fontsize=9)
    return figure


@drawing
def log_curves(
    temperatures: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    level: float | None = None,
) -> Figure:
    """Positive values against T on two logarithmic axes, with a thin line at `level` if given."""
    figure = Figure(figsize=(6.2, 3.2), layout="constrained")
    axes = figure.subplots()
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
    return figure
