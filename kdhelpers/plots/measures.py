"""What a model costs and how far its confidence can be trusted, beside how often it is right."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from kdhelpers._values import check_int, is_number
from kdhelpers.plots.drawing import DISTILLED, NEUTRAL, PALETTE, count_text, drawing, plain_decades
from kdhelpers.stats.tables import measured_costs


@drawing
def accuracy_against_cost(
    costs: Mapping[str, Any], *, latency: str = "milliseconds for one image"
) -> tuple[Figure, str]:
    """Accuracy (%) against the number of parameters and against the latency, a point a model.

    Args:
        costs: model → what was measured of it, as for `tables.cost_table`; or (parameters,
            milliseconds, accuracy in 0..1).
        latency: what the milliseconds are of.

    Raises:
        ValueError: no model, a cost that is not above 0, or an accuracy outside 0..1.
    """
    rows = {}
    for name, cost in costs.items():
        plain = not isinstance(cost, Mapping) and is_number(cost[0])
        measured = measured_costs({name: ((cost[0], 0), *cost[1:]) if plain else cost})[name]
        rows[name] = [measured[key] for key in ("parameters", "latency_ms", "accuracy")]
        if not min(rows[name][:2]) > 0:
            raise ValueError(f"both costs must be above 0, but {name!r} has {rows[name][:2]}.")
    if not rows:
        raise ValueError("there is nothing to draw; give at least one model.")
    figure = Figure(figsize=(7.4, 4.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for column, (axes, xlabel) in enumerate(zip(panels, ("parameters", latency), strict=True)):
        for (name, row), colour, marker in zip(rows.items(), cycle(PALETTE), cycle("osD^vP*")):
            # Hollow, so that what lies on one point can be told apart.
            how = {"color": colour, "markersize": 10, "mew": 2, "fillstyle": "none"}
            axes.plot(row[column], 100 * row[2], marker, label=name, **how)
        axes.set_xscale("log")
        plain_decades(axes.xaxis, [row[column] for row in rows.values()])
        axes.set_xlabel(xlabel)
        axes.margins(0.12)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy (%)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    said = [
        f"{name} {100 * accuracy:.2f} % with {count_text(parameters)} parameters in {ms:.2f}"
        for name, (parameters, ms, accuracy) in sorted(rows.items(), key=lambda row: -row[1][2])
    ]
    return figure, (
        f"Test accuracy in % against the number of parameters and against {latency}, both "
        f"logarithmic, from the most accurate: {'; '.join(said)}."
    )


@drawing
def reliability(
    logits: Mapping[str, Tensor], labels: Tensor, *, bins: int = 15
) -> tuple[Figure, str]:
    """Accuracy against confidence, a panel a model; below, how often each confidence occurs.

    A point stands for the images of one bin, with the 95 % interval of Wilson (1927). On the
    diagonal, confidence says how often the model is right; below it, the model is overconfident.

    Args:
        logits: model → its logits [N, C].
        labels: the labels [N] of the same images.
        bins: equal bins of confidence, default 15, those of `evaluation.calibration_error`.

    Raises:
        ValueError: no model, logits that are not finite or not [N, C], or labels that are not [N]
            whole numbers from 0 to C - 1; bins that are not 1 to 10,000.
    """
    if not logits:
        raise ValueError("there is nothing to draw; give the logits of at least one model.")
    bins = check_int(bins, name="bins", least=1, most=10_000)
    figure = Figure(figsize=(max(3.4, 2.5 * len(logits)), 3.9), layout="constrained")
    panels = figure.subplots(
        2, len(logits), sharex=True, sharey="row", height_ratios=[3, 1], squeeze=False
    )
    said = []
    for upper, lower, (name, each) in zip(*panels, logits.items(), strict=True):
        confidence, right = _judged(each, labels)
        error = _reliability_panel(upper, lower, confidence, right, bins)
        upper.set_title(f"{name}\ncalibration error {100 * error:.1f} %", fontsize=10)
        said.append(
            f"{name} is right for {100 * right.mean():.1f} % with a mean confidence of "
            f"{100 * confidence.mean():.1f} %, calibration error {100 * error:.1f} %"
        )
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("images")
    return figure, (
        "Accuracy against confidence beside the diagonal, where they are equal, and below the "
        f"share of images at each confidence: {'; '.join(said)}."
    )


def _judged(logits: Tensor, labels: Tensor) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """The confidence of every prediction and whether it is right, both [N]."""
    fit = logits.ndim == 2 and labels.shape == logits.shape[:1] and len(labels) > 0
    if not fit or labels.dtype.is_floating_point or not logits.isfinite().all():
        raise ValueError(
            "logits must be finite and [N, C], labels [N] whole numbers, got "
            f"{list(logits.shape)} and {list(labels.shape)} of {labels.dtype}."
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"labels must lie between 0 and {logits.shape[1] - 1}.")
    confidence, predicted = logits.float().softmax(1).max(1)
    right = predicted == labels.to(predicted.device)
    return confidence.detach().cpu().numpy(), right.cpu().numpy()


def _reliability_panel(
    upper: Axes,
    lower: Axes,
    confidence: NDArray[np.floating],
    right: NDArray[np.bool_],
    bins: int,
) -> float:
    """Both charts of one model; returns its expected calibration error (Naeini et al. 2015)."""
    # A bin includes its upper end, as in Guo et al. 2017 (arXiv 1706.04599).
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    filled = counts > 0
    n = counts[filled]
    hits = np.bincount(places, weights=right, minlength=bins)[filled]
    x = np.bincount(places, weights=confidence, minlength=bins)[filled] / n
    centre, reach = _wilson(hits, n)
    upper.plot([0, 1], [0, 1], "--", color="k", linewidth=1)
    upper.vlines(x, centre - reach, centre + reach, color=NEUTRAL, linewidth=1.2)
    upper.plot(x, hits / n, "o-", color=DISTILLED, markersize=4, linewidth=1.5)
    upper.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal", xticks=(0, 0.5, 1))
    upper.grid(alpha=0.3)
    edges = np.arange(bins) / bins
    lower.bar(edges, counts / len(confidence), width=1 / bins, align="edge", color=NEUTRAL)
    lower.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    lower.set_xlabel("confidence")
    return float(np.sum(n * np.abs(hits / n - x)) / len(confidence))


def _wilson(
    hits: NDArray[Any], count: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and half width of the 95 % interval of a share (Wilson 1927)."""
    z = 1.96
    reach = z * np.sqrt(hits * (count - hits) / count + z**2 / 4) / (count + z**2)
    return (hits + z**2 / 2) / (count + z**2), reach
