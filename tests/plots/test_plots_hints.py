"""The figures of hidden layers as hints show what they are given."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from figure_reading import assert_drawn, assert_labelled, errorbars, texts, tick_names
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path

from kdhelpers import plots
from kdhelpers.stats.intervals import mean_interval

LAYERS = {"block 1": [0.70, 0.71, 0.73], "block 2": [0.74, 0.75, 0.77]}
ALONE = [0.70, 0.72, 0.71]
COLLAPSE = {"on the student": [5.0, 5.5, 5.2, 5.1], "on the teacher": [5.0, 0.5, 1e-9, 0.0]}
STAGE2 = {"plain": [0.5, 0.6, 0.65], "hint, then KD": [0.6, 0.7, 0.75]}


def by_layer() -> Figure:
    return plots.by_layer(LAYERS, ALONE)


def collapse() -> Figure:
    return plots.log_series(COLLAPSE, ylabel="norm of the aligned features")


def stages() -> Figure:
    return plots.stages([1.0, 0.5], STAGE2)


def maps(channels: int, side: int) -> torch.Tensor:
    values = torch.arange(channels * side * side, dtype=torch.float32)
    return values.reshape(channels, side, side)


def feature_maps() -> Figure:
    return plots.feature_maps({"teacher": maps(6, 3), "student": maps(2, 5) - 1}, columns=4)


CHARTS = [by_layer, collapse, stages]


@pytest.mark.parametrize("draw", [plots.hint_diagram, feature_maps, *CHARTS])
def test_every_figure_is_drawn_and_becomes_a_png(draw: Callable[[], Figure]) -> None:
    assert_drawn(draw())


@pytest.mark.parametrize("draw", CHARTS)
def test_every_chart_labels_its_axes(draw: Callable[[], Figure]) -> None:
    assert_labelled(draw())


def test_the_diagram_has_the_regressor_on_the_students_side() -> None:
    (axes,) = plots.hint_diagram().figure.axes
    places = {text.get_text(): text.get_position() for text in axes.texts}
    for name in ("hint layer", "guided layer", "teacher: wide and shallow (frozen)"):
        assert name in places
    # From above: teacher, MSE, regressor, student.
    heights = [places[name][1] for name in ("hint layer", "MSE", "regressor", "guided layer")]
    assert heights == sorted(heights, reverse=True)


def test_stage_1_of_the_diagram_is_the_guided_layer_and_what_lies_below_it() -> None:
    (axes,) = plots.hint_diagram().figure.axes
    (region,) = (patch for patch in axes.patches if isinstance(patch, Polygon))
    inside = Path(region.get_xy())
    layers = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    student = [patch for patch in layers if patch.get_y() < 2]
    trained = [inside.contains_points(patch.get_corners()).all() for patch in student]
    guided = max(student, key=lambda patch: patch.get_facecolor()[3])
    assert trained == [patch.get_x() <= guided.get_x() for patch in student]
    assert 1 < sum(trained) < len(student)
    assert len(student) > 2 * len([patch for patch in layers if patch not in student])
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    centres = [patch.get_bbox().get_points().mean(0) for patch in boxes]
    (regressor,) = (centre for centre in centres if inside.contains_point(centre))
    assert regressor[0] == pytest.approx(guided.get_x() + guided.get_width() / 2, abs=0.05)


def test_feature_maps_are_rows_of_channels_on_one_scale() -> None:
    figure = feature_maps()
    grid = np.array(figure.figure.axes).reshape(2, 4)
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["teacher", "student"]
    for column, axes in enumerate(grid[0]):
        (image,) = axes.images
        assert np.array_equal(image.get_array(), maps(6, 3)[column])
        assert image.get_clim() == (0, 53)  # of all six, also those not shown
        assert image.get_cmap().name == "gray"
    assert [len(axes.images) for axes in grid[1]] == [1, 1, 0, 0]
    assert grid[1, 0].images[0].get_clim() == (-1, 48)


def test_feature_maps_may_begin_with_the_image() -> None:
    colours = torch.arange(3 * 4, dtype=torch.uint8).reshape(3, 2, 2)
    figure = plots.feature_maps({"teacher": maps(2, 3)}, image=colours)
    grid = np.array(figure.figure.axes).reshape(2, 2)
    assert np.array_equal(grid[0, 0].images[0].get_array(), colours.permute(1, 2, 0))
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["image", "teacher"]
    assert not grid[0, 1].images
    assert [len(axes.images) for axes in grid[1]] == [1, 1]
    assert_drawn(figure)


def test_feature_maps_may_require_a_gradient_and_be_few() -> None:
    figure = plots.feature_maps(
        {"a": torch.zeros(2, 1, 1, dtype=torch.float16, requires_grad=True)}
    )
    assert len(figure.figure.axes) == 2
    assert_drawn(figure)


@pytest.mark.parametrize(
    ("rows", "columns", "match"),
    [
        ({}, 8, "got 0 and 8"),
        ({"a": maps(1, 1)}, 0, "got 1 and 0"),
        ({"a": maps(1, 1)[None]}, 8, r"'a' has \(1, 1, 1, 1\); select one image"),
        ({"a": maps(0, 1)}, 8, "finite and have the shape"),
        ({"a": maps(1, 1) * float("nan")}, 8, "finite and have the shape"),
    ],
)
def test_feature_maps_that_cannot_be_shown_are_refused(
    rows: dict, columns: int, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        plots.feature_maps(rows, columns=columns)


def test_a_collapse_is_drawn_on_a_logarithmic_axis() -> None:
    (axes,) = collapse().figure.axes
    assert axes.get_yscale() == "log"
    assert [list(line.get_ydata()) for line in axes.lines] == list(COLLAPSE.values())
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2, 3, 4]] * 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "norm of the aligned features")
    assert all(name in texts(axes.figure) for name in COLLAPSE)


def test_the_places_of_a_series_can_be_given() -> None:
    (axes,) = plots.log_series(
        {"a": [1, 2]}, ylabel="y", xlabel="epoch", places=[10, 20]
    ).figure.axes
    assert list(axes.lines[0].get_xdata()) == [10, 20]
    assert axes.get_xlabel() == "epoch"


@pytest.mark.parametrize(
    ("series", "places", "match"),
    [
        ({}, None, "nothing to draw"),
        ({"a": [1.0, -2.0]}, None, "'a' has -2.0"),
        ({"a": [1.0, float("nan")]}, None, "'a' has nan"),
        ({"a": [1.0, float("inf")]}, None, "'a' has inf"),
        ({"a": [1.0, 2.0]}, [1], "2 values for 1 places"),
    ],
)
def test_series_that_have_no_logarithm_are_refused(
    series: dict, places: list[float] | None, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        plots.log_series(series, ylabel="y", places=places)


def test_the_stages_stand_side_by_side() -> None:
    first, second = stages().figure.axes
    assert first.get_title().startswith("stage 1")
    assert second.get_title().startswith("stage 2")
    assert list(first.lines[0].get_ydata()) == [1.0, 0.5]
    assert first.get_ylim()[0] == 0
    drawn = [list(line.get_ydata()) for line in second.lines]
    assert np.allclose(drawn, [[100 * value for value in values] for values in STAGE2.values()])
    assert [list(line.get_xdata()) for line in (*first.lines, *second.lines)][:2] == [
        [1, 2],
        [1, 2, 3],
    ]
    written = texts(first.figure)
    assert all(name in written for name in STAGE2)


@pytest.mark.parametrize(
    ("stage1", "stage2", "match"),
    [
        ([], STAGE2, "'hint loss' has 0 values"),
        ([1.0], {}, "nothing to draw"),
        ([1.0], {"plain": [50.0]}, r"shares in 0\.\.1, got 50\.0"),
    ],
)
def test_stages_that_cannot_be_drawn_are_refused(stage1: list, stage2: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.stages(stage1, stage2)


def test_each_layer_has_its_seeds_and_interval_above_its_name() -> None:
    (axes,) = by_layer().figure.axes
    assert tick_names(axes)[0] == list(LAYERS)
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    for column, (line, drawn, values) in enumerate(
        zip(marks, errorbars(axes), LAYERS.values(), strict=True)
    ):
        assert list(line.get_xdata()) == [column] * 3
        assert np.allclose(line.get_ydata(), [100 * value for value in values])
        ((_, low), (_, high)) = drawn.lines[2][0].get_segments()[0]
        expected = mean_interval([100 * value for value in values])
        assert (low, high) == pytest.approx((expected.low, expected.high))


def test_layers_are_compared_with_no_hint() -> None:
    (axes,) = by_layer().figure.axes
    (level,) = (line for line in axes.lines if line.get_linestyle() == ":")
    assert level.get_ydata()[0] == pytest.approx(71.0)
    (band,) = axes.patches
    expected = mean_interval([100 * value for value in ALONE])
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx(
        (expected.low, expected.high)
    )
    assert "no hint" in texts(axes.figure)
    assert "hinted layer" in axes.get_xlabel()
    named = plots.by_layer(LAYERS, ALONE, xlabel="guided layer", baseline_name="KD alone")
    assert "KD alone" in texts(named)
    assert "guided layer" in texts(named)


@pytest.mark.parametrize(
    ("values", "baseline", "match"),
    [
        ({}, ALONE, "at least one layer"),
        ({"a": [70.0, 71.0]}, ALONE, "shares in"),
        (LAYERS, [70.0, 71.0], "shares in"),
        (LAYERS, [0.5], "at least two values"),
    ],
)
def test_layers_that_cannot_be_compared_are_refused(
    values: dict, baseline: list[float], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        plots.by_layer(values, baseline)
