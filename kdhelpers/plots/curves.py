"""Lines over epochs or steps, told apart by colour, marker and dashes."""

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kdhelpers.plots.style import PALETTE


def draw_lines(axes: Axes, series: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
    """A line per entry of `series`, each (x, y), with a few markers on it.

    Raises:
        ValueError: no line, one without points, or one with more x than y or the reverse.
    """
    if not series:
        raise ValueError("there is nothing to draw; give at least one named series.")
    for (label, (x, y)), colour, marker, style in zip(
        series.items(), cycle(PALETTE), cycle("osD^vP*"), cycle(("-", "--", "-.", ":"))
    ):
        if not len(x) or len(x) != len(y):
            raise ValueError(
                f"a line needs one value for each place, but {label!r} has {len(y)} values for "
                f"{len(x)} places."
            )
        axes.plot(
            x, y, label=label, color=colour, linestyle=style, marker=marker,
            markevery=max(1, len(x) // 8), markersize=5, linewidth=1.8,
        )  # fmt: skip
    axes.grid(alpha=0.3)


def from_one(
    series: Mapping[str, Sequence[float]],
) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Values at the places 1, 2, 3, …: epochs count from 1."""
    return {name: (range(1, len(values) + 1), values) for name, values in series.items()}


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]], key: str, ylabel: str) -> Figure:
    """What `fit` reported as `key` ("loss", "validation_accuracy") against the epoch.

    Args:
        histories: what `fit` returned, by the name of the run.
        key: what to read from each epoch.
        ylabel: its name and unit on the axis; percent are the caller's to make.

    Raises:
        ValueError: no history, one without epochs, or one that does not report `key`.
    """
    lines = {}
    for name, history in histories.items():
        for row in history:
            if key not in row:
                raise ValueError(
                    f"the history of {name!r} has no {key!r} in each epoch; it has "
                    f"{', '.join(row)}."
                )
        epochs = [row.get("epoch", number) for number, row in enumerate(history, start=1)]
        lines[name] = (epochs, [row[key] for row in history])
    figure = Figure(figsize=(7.0, 3.9), layout="constrained")
    axes = figure.subplots()
    draw_lines(axes, lines)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=ylabel)
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
    return figure
