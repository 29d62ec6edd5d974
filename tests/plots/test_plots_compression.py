"""The figures of a small network that learns from VGG16 show what they are given."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from figure_reading import assert_drawn, assert_labelled, dots, errorbars, texts, tick_names
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kdhelpers import plots
from kdhelpers.evaluation import Size, calibration_error
from kdhelpers.stats.intervals import Interval, mean_interval

CLASSES = ("cat", "dog", "frog")
ARMS = {"alone": [0.70, 0.71, 0.72], "distilled": [0.73, 0.74, 0.76], "shuffled": [0.6, 0.5, 0.4]}
HISTORIES = {
    "alone": [{"epoch": 4, "loss": 2.0}, {"epoch": 5, "loss": 1.0}],
    "distilled": [{"loss": 3.0}, {"loss": 1.5}, {"loss": 0.5}],
}
GAINS: dict[tuple[float, float], float | Interval] = {
    (0.9, 4.0): Interval(1.0, 0.5, 1.5, 5),
    (0.9, 1.0): Interval(-2.0, -5.0, 1.0, 5),
    (0.5, 4.0): 0.25,
}
BEFORE = [[8, 1, 1], [0, 5, 5], [0, 0, 20]]
AFTER = [[9, 1, 0], [0, 7, 3], [5, 0, 15]]
MODELS = {
    "VGG16": (15e6, 4.0, 0.94),
    "alone": (545e3, 0.2, 0.80),
    "distilled": (545e3, 0.2, 0.8001),
}


def deviation() -> Figure:
    return plots.pixel_deviation([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]], (0.25, 0.26, 0.27))


def curves() -> Figure:
    return plots.curves(HISTORIES, "loss", "training loss")


def arms() -> Figure:
    return plots.arms(ARMS, teacher=0.9, baseline="alone")


def grid() -> Figure:
    return plots.alpha_temperature_grid(GAINS)


def confusion() -> Figure:
    return plots.confusion_change(BEFORE, AFTER, CLASSES, names=("alone", "distilled"))


def cost() -> Figure:
    return plots.accuracy_against_cost(MODELS)


def logits() -> torch.Tensor:
    return 3 * torch.randn(300, 3, generator=torch.Generator().manual_seed(0))


def reliability() -> Figure:
    return plots.reliability({"teacher": logits(), "student": logits() / 9}, labels())


def labels() -> torch.Tensor:
    return torch.arange(300) % 3


def diagram() -> Figure:
    return plots.compression_diagram(
        "VGG16",
        "small CNN",
        teacher_size=Size(14_724_042, 313_200_000, 56.2),
        student_size=(999, 5),
    )


CHARTS = [deviation, curves, arms, grid, confusion, cost, reliability]


@pytest.mark.parametrize("draw", [diagram, *CHARTS])
def test_every_figure_is_drawn_and_becomes_a_png(draw: Callable[[], Figure]) -> None:
    assert_drawn(draw())


@pytest.mark.parametrize("draw", CHARTS)
def test_every_chart_labels_its_axes(draw: Callable[[], Figure]) -> None:
    assert_labelled(draw())


def test_the_diagram_names_both_networks_with_their_sizes() -> None:
    written = texts(diagram())
    assert "VGG16 (frozen): 14.7 M parameters, 313 M MACs" in written
    assert "small CNN (learns): 999 parameters, 5 MACs" in written
    assert "logits by (sample, view)" in written


def test_the_diagram_has_a_slab_for_every_convolution() -> None:
    def slabs(blocks: list[list[int]]) -> int:
        size = (1, 1)
        figure = plots.compression_diagram(
            "large", "small", teacher_size=size, student_size=size, teacher_blocks=blocks
        )
        return sum(isinstance(patch, Rectangle) for patch in figure.figure.axes[0].patches)

    assert slabs([[64], [128, 128, 128]]) - slabs([[8]]) == 3
    # However deep, the network ends before the table.
    figure = plots.compression_diagram(
        "deep", "small", teacher_size=(1, 1), student_size=(1, 1), teacher_blocks=[[8] * 40] * 3
    )
    right = [p.get_x() for p in figure.figure.axes[0].patches if isinstance(p, Rectangle)]
    assert sorted(right)[-4] < 5.0


def test_pixel_deviation_marks_the_mean_and_the_true_value_of_each_channel() -> None:
    values = torch.tensor([[0.1, 0.2, 0.6], [0.3, 0.2, 0.4]])
    figure = plots.pixel_deviation(values, (0.25, 0.26, 0.7))
    for axes, mean, true, name in zip(
        figure.figure.axes,
        (0.2, 0.2, 0.5),
        (0.25, 0.26, 0.7),
        ("red", "green", "blue"),
        strict=True,
    ):
        assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([mean, true])
        assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
        assert axes.get_title() == f"{name}: mean {mean:.3f}, true {true:.3f}"
        assert sum(bar.get_height() for bar in axes.patches) == 2
    assert "mean over images" in texts(figure)


def test_grey_images_have_one_channel() -> None:
    figure = plots.pixel_deviation([[0.1], [0.2]], [0.3], channels=("grey",))
    assert [axes.get_title() for axes in figure.figure.axes] == ["grey: mean 0.150, true 0.300"]


@pytest.mark.parametrize(
    ("per_image", "std"), [([[0.1, 0.2]], [0.1] * 3), ([0.1, 0.2, 0.3], [0.1] * 3),
                           ([[0.1, 0.2, 0.3]], [0.1]), (torch.empty(0, 3), [0.1] * 3)],
)  # fmt: skip
def test_deviations_that_do_not_fit_are_refused(per_image: list, std: list[float]) -> None:
    with pytest.raises(ValueError, match="a deviation for each channel"):
        plots.pixel_deviation(per_image, std)


def test_curves_are_drawn_against_the_epoch_a_history_reports() -> None:
    (axes,) = curves().figure.axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[4, 5], [1, 2, 3]]
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 1.0], [3.0, 1.5, 0.5]]
    assert axes.get_ylabel() == "training loss"
    written = texts(axes.figure)
    assert all(name in written for name in HISTORIES)


@pytest.mark.parametrize(
    ("histories", "match"),
    [
        ({}, "nothing to draw"),
        ({"a": []}, "'a' has 0 values"),
        (
            {"a": [{"loss": 1.0}, {"accuracy": 0.5, "seconds": 1.0}]},
            "'a' has no 'loss'.*accuracy, s",
        ),
    ],
)
def test_histories_without_the_figure_are_refused(histories: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.curves(histories, "loss", "loss")


def test_arms_show_every_seed_and_the_interval_in_percent() -> None:
    (axes,) = arms().figure.axes
    assert tick_names(axes)[1] == list(ARMS)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first arm is at the top
    assert np.allclose(dots(axes), [[100 * v for v in values] for values in ARMS.values()])
    for drawn, values in zip(errorbars(axes), ARMS.values(), strict=True):
        ((low, _), (high, _)) = drawn.lines[2][0].get_segments()[0]
        expected = mean_interval([100 * value for value in values])
        assert (low, high) == pytest.approx((expected.low, expected.high))
    assert to_hex(errorbars(axes)[0].lines[0].get_color()).upper() == plots.ALONE
    assert to_hex(errorbars(axes)[1].lines[0].get_color()).upper() == plots.DISTILLED


def test_arms_are_compared_with_the_teacher_and_the_baseline() -> None:
    (axes,) = arms().figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["teacher"].get_xdata()[0] == pytest.approx(90)
    assert lines["teacher"].get_linestyle() == "--"
    assert lines["mean of alone"].get_xdata()[0] == pytest.approx(71)
    assert lines["mean of alone"].get_linestyle() == ":"
    assert "mean of alone" in texts(axes.figure)
    assert not plots.arms(ARMS).figure.legends


@pytest.mark.parametrize(
    ("values", "options", "match"),
    [
        (ARMS, {"baseline": "nobody"}, "'nobody' is none of the arms: alone, distilled, shuffled"),
        ({}, {}, "none of the arms: none"),
        ({"a": [70.0, 71.0]}, {}, r"shares in 0\.\.1, got 70\.0"),
        ({"a": [0.5, float("nan")]}, {}, "must be finite"),
        (ARMS, {"teacher": 90.0}, "shares in"),
        ({"a": [0.5]}, {}, "at least two values"),
    ],
)
def test_arms_that_cannot_be_drawn_are_refused(values: dict, options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.arms(values, **options)


def test_the_grid_writes_every_gain_and_says_which_are_sure() -> None:
    axes = grid().figure.axes[0]
    assert tick_names(axes) == (["1", "4"], ["0.9", "0.5"])
    cells = {text.get_position(): text for text in axes.texts}
    assert cells[1, 0].get_text() == "+1.00\n± 0.50"
    assert cells[0, 0].get_text() == "−2.00\n± 3.00"
    assert cells[1, 1].get_text() == "+0.25"
    assert cells[0, 1].get_text() == "not run"
    bold = [place for place, text in cells.items() if text.get_fontweight() == "bold"]
    assert bold == [(1, 0)]
    (image,) = axes.images
    assert np.array_equal(
        image.get_array().filled(np.nan), [[-2, 1], [np.nan, 0.25]], equal_nan=True
    )
    assert image.get_clim() == (-2, 2)  # white is zero


def test_the_grid_survives_gains_of_zero() -> None:
    figure = plots.alpha_temperature_grid({(0.5, 1.0): 0.0}, unit="ms")
    assert_drawn(figure)
    assert "gain (ms)" in texts(figure)


@pytest.mark.parametrize(
    ("gains", "match"), [({}, "nothing to draw"), ({(0.5, 1.0): float("nan")}, "finite, got nan")]
)
def test_gains_that_cannot_be_drawn_are_refused(gains: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.alpha_temperature_grid(gains)


def test_confusions_are_percent_of_the_true_class_and_the_diagonal_has_no_colour() -> None:
    first, second, change, _ = confusion().figure.axes
    expected = [[80, 10, 10], [0, 50, 50], [0, 0, 100]]
    later = [[90, 10, 0], [0, 70, 30], [25, 0, 75]]
    for axes, shown in (
        (first, expected), (second, later), (change, np.subtract(later, expected))
    ):  # fmt: skip
        drawn = axes.images[0].get_array()
        assert np.array_equal(np.ma.getmaskarray(drawn), np.eye(3, dtype=bool))
        assert np.allclose(drawn[~drawn.mask], np.array(shown)[~drawn.mask])
        assert tick_names(axes) == (list(CLASSES), list(CLASSES))
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    # One scale for before and after, and zero in the middle of the change.
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 50)
    assert change.images[0].get_clim() == (-25, 25)
    written = {text.get_position(): text.get_text() for text in change.texts}
    assert written[0, 2] == "+25"
    assert written[2, 1] == "−20"
    assert written[0, 1] == ""
    assert written[2, 2] == "−25"
    assert "distilled − alone" in change.get_title()


def test_the_largest_changes_are_named() -> None:
    *_, axes = confusion().figure.axes
    names, values = tick_names(axes)[1], [bar.get_width() for bar in axes.patches]
    changed = {name: value for name, value in zip(names, values, strict=True) if value}
    assert changed == pytest.approx({"dog → frog": -20, "cat → frog": -10, "frog → cat": 25})
    assert values == sorted(values)


def test_a_perfect_pair_of_confusions_is_drawn() -> None:
    assert_drawn(plots.confusion_change(np.eye(3), np.eye(3), CLASSES))


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        ([[1, 2], [3, 4]], r"3 classes.*shape \(2, 2\)"),
        ([[1, 0, 0], [0, -1, 2], [0, 0, 1]], "not < 0"),
        ([[1, 0, 0], [0, float("nan"), 2], [0, 0, 1]], "finite"),
        ([[1, 0, 0], [0, 0, 0], [0, 0, 1]], "'dog' has no images"),
    ],
)
def test_confusions_that_cannot_be_read_are_refused(matrix: list, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plots.confusion_change(BEFORE, matrix, CLASSES)


def test_models_stand_at_their_costs_with_labels_that_do_not_touch() -> None:
    by_size, by_time = cost().figure.axes
    for axes, column in ((by_size, 0), (by_time, 1)):
        assert axes.get_xscale() == "log"
        drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
        assert drawn == [(row[column], 100 * row[2]) for row in MODELS.values()]
        assert [text.get_text() for text in axes.texts] == list(MODELS)
        assert len({line.get_marker() for line in axes.lines}) == len(MODELS)
    by_size.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in by_size.texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert "500 k" in tick_names(by_size)[0]


def test_costs_over_many_decades_keep_readable_ticks() -> None:
    axes = plots.accuracy_against_cost({"a": (1e3, 1, 0.5), "b": (1e8, 2, 0.5)}).figure.axes[0]
    assert len([tick for tick in axes.get_xticks() if 1e3 <= tick <= 1e8]) <= 6


@pytest.mark.parametrize(
    "row", [(0, 1, 0.5), (1, 0, 0.5), (1, 1, 94.0), (float("nan"), 1, 0.5), (1, 1, float("nan"))]
)
def test_impossible_models_are_refused(row: tuple[float, float, float]) -> None:
    with pytest.raises(
        ValueError, match=r"must be above 0, but 'm' has|of 'm' must be a number from 0"
    ):
        plots.accuracy_against_cost({"m": row})
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.accuracy_against_cost({})


def test_reliability_is_the_accuracy_of_each_bin_of_confidence() -> None:
    probabilities = torch.tensor([[0.95, 0.05], [0.92, 0.08], [0.92, 0.08], [0.35, 0.65]])
    truth = torch.tensor([0, 0, 1, 1])
    upper, lower = plots.reliability({"m": probabilities.log()}, truth, bins=10).figure.axes
    curve = upper.lines[1]
    assert list(curve.get_xdata()) == pytest.approx([0.65, (0.95 + 2 * 0.92) / 3])
    assert list(curve.get_ydata()) == pytest.approx([1.0, 2 / 3])
    shares = [bar.get_height() for bar in lower.patches]
    assert shares == [0, 0, 0, 0, 0, 0, 0.25, 0, 0, 0.75]
    # Wilson's interval of 2 in 3 and of 1 in 1, from its quadratic equation.
    for segment, (hits, count) in zip(
        upper.collections[0].get_segments(), ((1, 1), (2, 3)), strict=True
    ):
        for bound in segment[:, 1]:
            error = bound * (1 - bound) / count
            assert (bound - hits / count) ** 2 == pytest.approx(1.96**2 * error, abs=1e-9)


def test_reliability_names_the_calibration_error_of_each_model() -> None:
    figure = reliability()
    error = 100 * calibration_error(logits(), labels())
    assert figure.figure.axes[0].get_title() == f"teacher\ncalibration error {error:.1f} %"
    assert figure.figure.axes[1].get_title().startswith("student")
    # The mean gap between curve and diagonal, weighted by the images, is that error.
    upper, lower = figure.figure.axes[0], figure.figure.axes[2]
    shares = np.array([bar.get_height() for bar in lower.patches])
    x, y = upper.lines[1].get_data()
    assert 100 * np.sum(shares[shares > 0] * np.abs(x - y)) == pytest.approx(error, abs=1e-3)


def test_a_certain_model_is_in_the_last_bin() -> None:
    _, lower = plots.reliability(
        {"m": torch.tensor([[1000.0, 0.0]])}, torch.tensor([0])
    ).figure.axes
    assert lower.patches[-1].get_height() == 1.0


def test_a_bin_of_confidence_includes_its_upper_end() -> None:
    _, lower = plots.reliability({"m": torch.zeros(1, 2)}, torch.tensor([0]), bins=10).figure.axes
    assert [bar.get_height() for bar in lower.patches].index(1.0) == 4  # 0.5 is in 0.4 to 0.5


def test_reliability_needs_a_model() -> None:
    with pytest.raises(ValueError, match="logits of at least one model"):
        plots.reliability({}, torch.tensor([0]))
