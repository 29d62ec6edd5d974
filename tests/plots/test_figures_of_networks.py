"""Figures of networks, images and training show what they are given."""

import numpy as np
import pytest
import shown
import torch
from figure_reading import texts, tick_names
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path
from shown import CLASSES, CURVES, DRAW, GRID, maps, split

from kdhelpers import plots
from kdhelpers.data.split import Split


def figure_of(name: str) -> Figure:
    return DRAW[name]().figure


def lines_of(axes: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


# -- diagrams -------------------------------------------------------------------------------------


def test_the_diagrams_name_their_parts() -> None:
    for name, words in (
        ("distillation_diagram", ("image", "soft targets", "label", "soft term", "hard term")),
        (
            "compression_diagram",
            ("VGG16 (frozen): 14.7 M parameters, 313 M MACs", "logits by (sample, view)",
             "small CNN (learns): 999 parameters, 5 MACs"),
        ),
    ):  # fmt: skip
        written = texts(figure_of(name))
        assert all(word in written for word in words)


def test_the_diagram_has_a_slab_for_every_convolution() -> None:
    (axes,) = figure_of("compression_diagram").axes
    slabs = [each for each in axes.patches if isinstance(each, Rectangle)]
    teacher, student, table = slabs[:13], slabs[13:15], slabs[15:]
    assert {each.get_edgecolor() for each in teacher} == {to_rgba(plots.TEACHER)}
    assert {each.get_edgecolor() for each in student} == {to_rgba(plots.DISTILLED)}
    # The network ends before the table.
    assert max(each.get_x() for each in teacher) < min(each.get_x() for each in table) == 5.3


def test_the_diagram_has_the_regressor_on_the_students_side() -> None:
    (axes,) = figure_of("hint_diagram").axes
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert "teacher: wide and shallow (frozen)" in places
    # From above: teacher, MSE, regressor, student.
    heights = [places[name][1] for name in ("hint layer", "MSE", "regressor", "guided layer")]
    assert heights == sorted(heights, reverse=True)


def test_stage_1_of_the_diagram_is_the_guided_layer_and_what_lies_below_it() -> None:
    (axes,) = figure_of("hint_diagram").axes
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


# -- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "channels", "columns", "rows"),
    [(9, 1, 3, 2), (9, 3, 3, 2), (2, 1, 3, 2), (1, 1, 1, 1)],
)
def test_an_image_grid_shows_the_first_images_with_their_classes(
    count: int, channels: int, columns: int, rows: int
) -> None:
    data = split(count, channels)
    places = plots.image_grid(data, columns=columns, rows=rows).figure.axes
    assert len(places) == columns * rows  # there may be more than images
    assert sum(len(axes.images) for axes in places) == min(count, columns * rows)
    assert not any(axes.axison for axes in places)
    for axes, image, label in zip(places, data.images, data.labels, strict=False):
        expected = image[0] if channels == 1 else image.permute(1, 2, 0)
        assert np.array_equal(axes.images[0].get_array(), expected.numpy())
        assert axes.get_title() == CLASSES[int(label)]


def test_a_grey_image_is_no_negative() -> None:
    pixels = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    pair = Split(pixels, torch.tensor([0]), (0.5,), (0.5,), ("cat",))
    for picture in (
        plots.image_grid(pair, columns=1, rows=1),
        plots.soft_target_bars(pair, 0, {"teacher": [1.0]}),
        plots.feature_maps(shown.MAPS, image=pair.images[0]),
    ):
        (drawn,) = picture.figure.axes[0].images
        assert drawn.to_rgba(drawn.get_array())[0, :, 0].tolist() == [0, 1]  # black, white


def test_soft_target_bars_are_as_high_as_the_probabilities() -> None:
    image, *charts = figure_of("soft_target_bars").axes
    assert image.get_title() == "labelled dog"
    assert np.array_equal(image.images[0].get_array(), split(2, 1).images[1, 0].numpy())
    for axes, (title, values) in zip(charts, shown.BELIEFS.items(), strict=True):
        assert axes.get_title() == title
        assert [bar.get_height() for bar in axes.patches] == values
        assert tick_names(axes)[0] == list(CLASSES)
        # Each number that can be read off is written, a vanishing one is not.
        written = [text.get_text() for text in axes.texts]
        assert written == [f"{value:.2f}" for value in values if value >= 0.01]
    assert charts[0].get_ylabel() == "probability"
    tensors = {title: torch.tensor(values) for title, values in shown.BELIEFS.items()}
    same = plots.soft_target_bars(split(2, 1), 1, tensors)
    assert same.alt == DRAW["soft_target_bars"]().alt


def test_pixel_deviation_marks_the_mean_and_the_true_value_of_each_channel() -> None:
    values = torch.tensor([[0.1, 0.2, 0.6], [0.3, 0.2, 0.4]])
    figure = plots.pixel_deviation(values, (0.25, 0.26, 0.7)).figure
    for axes, mean, true, name in zip(
        figure.axes, (0.2, 0.2, 0.5), (0.25, 0.26, 0.7), ("red", "green", "blue"), strict=True
    ):
        assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([mean, true])
        assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
        assert axes.get_title() == f"{name}: mean {mean:.3f}, true {true:.3f}"
        assert sum(bar.get_height() for bar in axes.patches) == 2
    assert "mean over images" in texts(figure)
    grey = plots.pixel_deviation([[0.1], [0.2]], [0.3], channels=("grey",)).figure
    assert [axes.get_title() for axes in grey.axes] == ["grey: mean 0.150, true 0.300"]


def test_feature_maps_are_rows_of_channels_on_one_scale() -> None:
    grid = np.array(figure_of("feature_maps").axes).reshape(2, 4)
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
    picture = plots.feature_maps({"teacher": maps(2, 3)}, image=colours)
    grid = np.array(picture.figure.axes).reshape(2, 2)
    assert np.array_equal(grid[0, 0].images[0].get_array(), colours.permute(1, 2, 0))
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["image", "teacher"]
    assert not grid[0, 1].images
    assert [len(axes.images) for axes in grid[1]] == [1, 1]
    assert picture.alt.startswith("An image and below it rows of feature maps")


# -- temperature ----------------------------------------------------------------------------------


def test_bars_are_the_softmax_at_each_temperature() -> None:
    for axes, temperature in zip(figure_of("temperature_bars").axes, GRID, strict=True):
        assert axes.get_title() == f"T = {temperature:g}"
        first = 1 / (1 + np.exp(-2 / temperature))
        assert [bar.get_height() for bar in axes.patches] == pytest.approx([first, 1 - first])
        assert tick_names(axes)[0] == ["class 0\nz = 2", "class 1\nz = 0"]


def test_entropy_lies_below_its_limit() -> None:
    (axes,) = figure_of("entropy_curve").axes
    *curves, limit = axes.lines
    assert [list(line.get_ydata()) for line in curves] == list(CURVES.values())
    assert len({line.get_linestyle() for line in curves}) == 2
    assert limit.get_ydata()[0] == pytest.approx(np.log(10))
    assert "ln 10" in texts(axes.figure)


def test_two_logarithmic_axes_with_a_level() -> None:
    (axes,) = figure_of("log_curves").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert lines_of(axes)[:2] == [(GRID, values) for values in CURVES.values()]
    assert axes.lines[2].get_ydata()[0] == 1.0
    assert len(plots.log_curves(GRID, CURVES, ylabel="norm").figure.axes[0].lines) == 2


def test_temperature_trajectories_are_drawn_from_epoch_1_and_differ_in_more_than_colour() -> None:
    figure = plots.temperature_trajectories({str(n): [2.0, 1.0 + n] for n in range(8)}).figure
    (axes,) = figure.axes
    assert lines_of(axes) == [([1, 2], [2.0, 1.0 + n]) for n in range(8)]
    assert len({(line.get_marker(), line.get_linestyle()) for line in axes.lines}) == 8
    assert len({line.get_color() for line in axes.lines}) == len(plots.PALETTE)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list("01234567")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "temperature T")
    assert axes.get_ylim()[0] == 0


# -- training -------------------------------------------------------------------------------------


def test_a_collapse_is_drawn_on_a_logarithmic_axis() -> None:
    (axes,) = figure_of("log_series").axes
    assert axes.get_yscale() == "log"
    assert lines_of(axes) == [([1, 2, 3, 4], values) for values in shown.COLLAPSE.values()]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "norm of the aligned features")
    assert shown.COLLAPSE.keys() <= set(texts(axes.figure).splitlines())
    placed = plots.log_series({"a": [1, 2]}, ylabel="y", xlabel="epoch", places=[10, 20])
    assert {"1", "2"} <= set(tick_names(placed.figure.axes[0])[1])  # no powers of ten for few
    assert lines_of(placed.figure.axes[0]) == [([10, 20], [1, 2])]
    assert (
        placed.alt == "Y against the epoch, on a logarithmic axis: a rises from 1 at 10 to 2 at 20."
    )


def test_the_stages_stand_side_by_side() -> None:
    first, second = figure_of("stages").axes
    assert first.get_title().startswith("stage 1")
    assert second.get_title().startswith("stage 2")
    assert lines_of(first) == [([1, 2], [1.0, 0.5])]
    assert first.get_ylim()[0] == 0
    for (x, y), values in zip(lines_of(second), shown.STAGE2.values(), strict=True):
        assert x == [1, 2, 3][-len(values) :]  # the shorter one had its stage 1 before
        assert np.allclose(y, [100 * value for value in values])
    assert shown.STAGE2.keys() <= set(texts(first.figure).splitlines())


# -- tables in colour -----------------------------------------------------------------------------


def test_the_heat_map_leaves_the_diagonal_blank() -> None:
    axes, bar = figure_of("soft_target_heatmap").axes
    assert "%" in bar.get_ylabel()
    assert axes.images[0].get_clim() == pytest.approx((0, 30))
    assert tick_names(axes) == (list(CLASSES), list(CLASSES))
    written = {text.get_position(): text.get_text() for text in axes.texts if text.get_text()}
    assert written == {
        (1, 0): "10", (2, 0): "0", (0, 1): "30", (2, 1): "20", (0, 2): "0", (1, 2): "5",
    }  # fmt: skip
    colours = {text.get_position(): text.get_color() for text in axes.texts}
    assert (colours[2, 0], colours[0, 1]) == ("white", "black")  # on dark, on light


def test_confusions_are_percent_of_the_true_class_and_the_diagonal_has_no_colour() -> None:
    first, second, change, _ = figure_of("confusion_change").axes
    before, after = (
        [[80, 10, 10], [0, 50, 50], [0, 0, 100]],
        [[90, 10, 0], [0, 70, 30], [25, 0, 75]],
    )
    for axes, percents in (
        (first, before), (second, after), (change, np.subtract(after, before))
    ):  # fmt: skip
        drawn = axes.images[0].get_array()
        assert np.array_equal(np.ma.getmaskarray(drawn), np.eye(3, dtype=bool))
        assert np.allclose(drawn[~drawn.mask], np.array(percents)[~drawn.mask])
        assert tick_names(axes) == (list(CLASSES), list(CLASSES))
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    # One scale for before and after, and zero in the middle of the change.
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 50)
    assert change.images[0].get_clim() == (-25, 25)
    written = {text.get_position(): text.get_text() for text in change.texts}
    places = ((0, 2), (2, 1), (0, 1), (2, 2))
    assert [written[place] for place in places] == ["+25", "−20", "", "−25"]
    assert "distilled − alone" in change.get_title()


def test_the_largest_changes_are_named() -> None:
    *_, axes = figure_of("confusion_change").axes
    names, values = tick_names(axes)[1], [bar.get_width() for bar in axes.patches]
    changed = dict(zip(names, values, strict=True))  # and no cell that did not change
    assert changed == pytest.approx({"dog → frog": -20, "cat → frog": -10, "frog → cat": 25})
    assert values == sorted(values)


# -- measures -------------------------------------------------------------------------------------


def test_models_stand_at_their_costs_each_with_its_own_mark_in_the_legend() -> None:
    by_size, by_time = figure_of("accuracy_against_cost").axes
    for axes, column in ((by_size, "parameters"), (by_time, "latency_ms")):
        assert axes.get_xscale() == "log"
        drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
        assert drawn == [(each[column], 100 * each["accuracy"]) for each in shown.MODELS.values()]
        marks = [line.get_marker() for line in axes.lines]
        assert len(set(marks)) == len(shown.MODELS)
        (legend,) = by_size.figure.legends
        assert [text.get_text() for text in legend.get_texts()] == list(shown.MODELS)
        assert [handle.get_marker() for handle in legend.legend_handles] == marks
    assert "500 k" in tick_names(by_size)[0]
    plain = {"a": (1e3, 1, 0.5), "b": (1e8, 2, 0.5)}
    over_decades = plots.accuracy_against_cost(plain).figure.axes[0]  # ticks remain readable
    assert len([tick for tick in over_decades.get_xticks() if 1e3 <= tick <= 1e8]) <= 6
