"""The figures of a claim put to the test show what they are given."""

from collections.abc import Callable

import numpy as np
import pytest
from figure_reading import assert_drawn, assert_labelled, texts, tick_names
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from kdhelpers import plots
from kdhelpers.stats.comparisons import Comparison
from kdhelpers.stats.intervals import Interval

BETTER, WORSE, UNCLEAR = (
    Interval(1, 0.5, 1.5, 9),
    Interval(-1, -1.5, -0.5, 9),
    Interval(0, -1, 1, 9),
)
PLAIN = {"cosine": BETTER, "rising": WORSE, "linear": UNCLEAR}
FAMILY = {"cosine": Comparison(BETTER, Interval(1, -0.1, 2.1, 9), 0.01, 0.06)}
POWERS = {"0.3 points": [0.1, 0.5, 0.9], "0.1 points": [0.05, 0.1, 0.2]}
BARS = {"fixed T": 0.9801, "dynamic T": 0.9812, "linear": 0.9803}


def forest() -> Figure:
    return plots.forest(PLAIN, claim=(2, 3))


def family() -> Figure:
    return plots.forest(FAMILY)


def power() -> Figure:
    return plots.power_curve([2, 8, 32], POWERS)


def bars() -> Figure:
    return plots.misleading_bars(BARS, title="Dynamic temperature wins")


CHARTS = [forest, family, power, bars]


@pytest.mark.parametrize("draw", CHARTS)
def test_every_figure_is_drawn_labelled_and_becomes_a_png(draw: Callable[[], Figure]) -> None:
    assert_drawn(draw())
    assert_labelled(draw())


def test_a_forest_has_a_row_for_each_arm_with_its_mean_and_interval() -> None:
    (axes,) = forest().figure.axes
    assert tick_names(axes)[1] == list(PLAIN)
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    means = [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds]
    assert means == [(each.mean, row) for row, each in enumerate(PLAIN.values())]
    rows = [line for line in axes.lines if len(line.get_xdata()) == 2][:3]
    assert [tuple(line.get_xdata()) for line in rows] == [
        (each.low, each.high) for each in PLAIN.values()
    ]
    colours = [to_hex(line.get_color()).upper() for line in diamonds]
    assert colours == [plots.DISTILLED, plots.ALONE, plots.NEUTRAL]
    assert "diamond: mean with 95 % interval" in axes.get_xlabel()


def test_the_claim_is_a_band_with_its_numbers() -> None:
    (axes,) = forest().figure.axes
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (2, 3)
    assert "claimed: +2 to +3 points" in texts(axes.figure)
    assert not plots.forest(PLAIN).figure.axes[0].patches
    assert "claimed: -1 to +0.5 ms" in texts(plots.forest(PLAIN, claim=(-1, 0.5), unit="ms"))


def test_of_a_family_the_verdict_is_the_simultaneous_one() -> None:
    (axes,) = family().figure.axes
    thin, thick, diamond, _zero = axes.lines
    assert tuple(thin.get_xdata()) == (-0.1, 2.1)
    assert tuple(thick.get_xdata()) == (0.5, 1.5)
    assert thin.get_linewidth() < thick.get_linewidth()
    assert {line.get_color() for line in (thin, thick, diamond)} == {plots.NEUTRAL}
    assert "thin: of all arms together" in axes.get_xlabel()


@pytest.mark.parametrize(
    ("differences", "claim", "match"),
    [
        ({}, None, "at least one arm"),
        (PLAIN, (3, 2), r"least < most, got \(3, 2\)"),
        (PLAIN, (2, 2), "least < most"),
        (PLAIN, (float("nan"), 2), "least < most"),
    ],
)
def test_forests_that_cannot_be_drawn_are_refused(
    differences: dict, claim: tuple | None, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        plots.forest(differences, claim=claim)


def test_power_is_in_percent_against_the_number_of_pairs() -> None:
    (axes,) = power().figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for effect, values in POWERS.items():
        assert list(lines[effect].get_xdata()) == [2, 8, 32]
        assert np.allclose(lines[effect].get_ydata(), [100 * value for value in values])
    (level,) = (line for label, line in lines.items() if label.startswith("80 %"))
    assert list(level.get_ydata()) == [80, 80]
    axes.figure.draw_without_rendering()
    assert {"2", "8", "32"} <= set(tick_names(axes)[0])
    assert all(effect in texts(axes.figure) for effect in POWERS)


@pytest.mark.parametrize(
    ("powers", "match"),
    [
        ({}, "nothing to draw"),
        ({"a": [0.1, 0.2]}, "'a' has 2 values for 3 places"),
        ({"a": [10, 50, 80]}, r"shares in 0\.\.1, got 10"),
    ],
)
def test_powers_that_do_not_fit_are_refused(powers: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.power_curve([2, 8, 32], powers)


def test_the_misleading_bars_mislead() -> None:
    (axes,) = bars().figure.axes
    assert tick_names(axes)[0] == list(BARS)
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([98.01, 98.12, 98.03])
    low = axes.get_ylim()[0]
    assert 97.9 < low < 98.01
    assert (heights[1] - low) / (heights[0] - low) > 5  # for 0.1 points
    assert not axes.containers[1:]  # no error bars
    best = [to_hex(bar.get_facecolor()).upper() == plots.DISTILLED for bar in axes.patches]
    assert best == [False, True, False]
    assert axes.get_title() == "Dynamic temperature wins"


def test_equal_bars_are_drawn() -> None:
    assert_drawn(plots.misleading_bars({"a": 0.5, "b": 0.5}))


@pytest.mark.parametrize(
    ("values", "match"),
    [({"a": 0.5}, "at least two arms, got 1"), ({"a": 98.0, "b": 97.0}, "shares in")],
)
def test_bars_that_cannot_be_drawn_are_refused(values: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.misleading_bars(values)
