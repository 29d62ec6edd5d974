"""The figures of what a temperature does show what they are given."""

from collections.abc import Callable

import numpy as np
import pytest
from figure_reading import assert_drawn, assert_labelled, errorbars, texts, tick_names
from matplotlib.figure import Figure

from kdhelpers import plots
from kdhelpers.stats.intervals import mean_interval

GRID = [1.0, 2.0, 4.0]
CURVES = {"teacher": [0.5, 1.0, 1.9], "logits halved": [1.0, 1.9, 2.2]}
TARGETS = [[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.0, 0.05, 0.95]]
CLASSES = ("cat", "dog", "frog")
SWEEP = {
    "small": {4.0: [0.9, 0.92], 1.0: [0.8, 0.83]},
    "tiny": {1.0: [0.6, 0.61], 4.0: [0.7, 0.72]},
}
LEVELS = {"small": [0.85, 0.86], "tiny": [0.5, 0.52]}


def bars() -> Figure:
    return plots.temperature_bars([2.0, 0.0], GRID)


def entropy() -> Figure:
    return plots.entropy_curve(GRID, CURVES, classes=10)


def heatmap() -> Figure:
    return plots.soft_target_heatmap(TARGETS, CLASSES)


def logs() -> Figure:
    return plots.log_curves(GRID, CURVES, ylabel="norm", level=1.0)


def sweep() -> Figure:
    return plots.temperature_sweep(SWEEP, LEVELS, teacher=0.97)


@pytest.mark.parametrize("draw", [bars, entropy, heatmap, logs, sweep])
def test_every_figure_is_drawn_and_becomes_a_png(draw: Callable[[], Figure]) -> None:
    assert_drawn(draw())


@pytest.mark.parametrize("draw", [entropy, heatmap, logs, sweep])
def test_every_chart_labels_its_axes(draw: Callable[[], Figure]) -> None:
    assert_labelled(draw())


def test_bars_are_the_softmax_at_each_temperature() -> None:
    for axes, temperature in zip(bars().figure.axes, GRID, strict=True):
        assert axes.get_title() == f"T = {temperature:g}"
        first = 1 / (1 + np.exp(-2 / temperature))
        assert [bar.get_height() for bar in axes.patches] == pytest.approx([first, 1 - first])
        assert tick_names(axes)[0] == ["class 0\nz = 2", "class 1\nz = 0"]


def test_entropy_lies_below_its_limit() -> None:
    (axes,) = entropy().figure.axes
    *curves, limit = axes.lines
    assert [list(line.get_ydata()) for line in curves] == list(CURVES.values())
    assert len({line.get_linestyle() for line in curves}) == 2
    assert limit.get_ydata()[0] == pytest.approx(np.log(10))
    assert "ln 10" in texts(axes.figure)


def test_the_heat_map_leaves_the_diagonal_blank() -> None:
    axes, bar = heatmap().figure.axes
    assert "%" in bar.get_ylabel()
    assert axes.images[0].get_clim() == pytest.approx((0, 30))
    assert tick_names(axes) == (list(CLASSES), list(CLASSES))
    written = {text.get_position(): text.get_text() for text in axes.texts if text.get_text()}
    assert written == {
        (1, 0): "10",
        (2, 0): "0",
        (0, 1): "30",
        (2, 1): "20",
        (0, 2): "0",
        (1, 2): "5",
    }
    colours = {text.get_position(): text.get_color() for text in axes.texts}
    assert (colours[2, 0], colours[0, 1]) == ("white", "black")  # on dark, on light


def test_two_logarithmic_axes_with_a_level() -> None:
    (axes,) = logs().figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == list(CURVES.values())
    assert axes.lines[2].get_ydata()[0] == 1.0
    assert len(plots.log_curves(GRID, CURVES, ylabel="norm").figure.axes[0].lines) == 2


def test_a_sweep_shows_means_and_intervals_beside_the_student_alone() -> None:
    (axes,) = sweep().figure.axes
    for drawn, arm in zip(errorbars(axes), SWEEP.values(), strict=True):
        expected = [mean_interval([100 * v for v in arm[t]]) for t in (1.0, 4.0)]
        line, _, (segments,) = drawn.lines
        assert list(line.get_ydata()) == pytest.approx([each.mean for each in expected])
        bounds = [(low[1], high[1]) for low, high in segments.get_segments()]
        assert np.allclose(bounds, [(each.low, each.high) for each in expected])
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() in (":", "--")]
    assert levels == pytest.approx([85.5, 51.0, 97.0])
    written = texts(axes.figure)
    assert all(name in written for name in ("small, distilled", "tiny, alone", "teacher"))
    assert tick_names(axes)[0] == ["1", "4"]  # what was measured


def test_a_fourth_line_is_drawn_like_the_first() -> None:
    curves = {str(number): [1.0, 2.0, 3.0] for number in range(4)}
    entropies = plots.entropy_curve(GRID, curves, classes=10)
    norms = plots.log_curves(GRID, curves, ylabel="norm")
    arms = {name: {1.0: [0.8, 0.9], 4.0: [0.9, 0.95]} for name in curves}
    students = plots.temperature_sweep(arms, {name: [0.7, 0.8] for name in curves}, teacher=0.97)
    for figure in (entropies, norms):
        assert {line.get_label() for line in figure.figure.axes[0].lines} >= curves.keys()
    assert len(errorbars(students.figure.figure.axes[0])) == 4
