"""What a figure shows, for the tests of the figures."""

import io
import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from PIL import Image

from kdhelpers.plots import Picture


def assert_drawn(picture: Picture) -> None:
    """The figure becomes a PNG that is not an empty sheet, and says in words what it shows."""
    picture.dpi = 40
    image = Image.open(io.BytesIO(picture.png))
    assert image.format == "PNG"
    assert min(image.size) > 20
    assert len(np.unique(np.asarray(image.convert("L")))) > 2
    assert re.fullmatch(r"[A-Z0-9][^\n]{40,}\.", picture.alt), picture.alt
    assert not re.search(r"nan|\d\.\d{4}|  |array|None|[({\[]'", picture.alt), picture.alt


def assert_labelled(picture: Picture) -> None:
    """Every chart says what its axes are."""
    charts = [axes for axes in picture.figure.axes if axes.axison]
    assert charts
    for axes in charts:
        below = axes.get_shared_x_axes().get_siblings(axes)  # a column may share one label
        assert axes.get_label() == "<colorbar>" or any(each.get_xlabel() for each in below)
    first = charts[0]
    assert first.get_ylabel() or all(tick.get_text() for tick in first.get_yticklabels())


def texts(shown: Picture | Figure) -> str:
    """All that is written on the axes of a figure."""
    figure = shown if isinstance(shown, Figure) else shown.figure
    found, legends = [], [*figure.legends]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        found += [text.get_text() for text in axes.texts]
        found += [tick.get_text() for tick in axes.get_yticklabels() + axes.get_xticklabels()]
        legends += [axes.get_legend()] * bool(axes.get_legend())
    return "\n".join(found + [text.get_text() for each in legends for text in each.get_texts()])


def tick_names(axes: Axes) -> tuple[list[str], list[str]]:
    """The names along x and along y."""
    along_x, along_y = axes.get_xticklabels(), axes.get_yticklabels()
    return [tick.get_text() for tick in along_x], [tick.get_text() for tick in along_y]


def dots(axes: Axes) -> list[list[float]]:
    """Across the rows, the places of the dots that stand for seeds."""
    return [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]


def errorbars(axes: Axes) -> list[ErrorbarContainer]:
    return [each for each in axes.containers if isinstance(each, ErrorbarContainer)]


def bars_of(axes: Axes, along: int = 1) -> tuple[list[float], list[tuple[float, float]]]:
    """The places of all errorbars along y (1) or x (0), and their bounds."""
    middles, bounds = [], []
    for drawn in errorbars(axes):
        middles += list(drawn.lines[0].get_data()[along])
        bounds += [(a[along], b[along]) for a, b in drawn.lines[2][0].get_segments()]
    return middles, bounds
