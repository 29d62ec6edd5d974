"""Every figure of the course shows what it is given, labelled."""

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from figure_reading import assert_drawn, assert_labelled, errorbars, texts
from hostile_values import BRIEF
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from kdhelpers import plots
from kdhelpers.data.split import Split
from kdhelpers.stats.intervals import mean_interval

ALONE = {50: [0.78, 0.80, 0.79], 200: [0.91, 0.92, 0.90]}
DISTILLED = {50: [0.86, 0.89, 0.87], 200: [0.93, 0.94, 0.93]}
DIFFERENCES = {
    "helps": [1.0, 1.2, 1.1],
    "hurts": [-1.0, -1.2, -1.1],
    "seems to help": [-1.0, 1.0, 0.1],
    "seems to hurt": [-1.0, 1.0, -0.1],
}
BELIEFS = {"at T = 1": [0.9, 0.1, 0.0], "at T = 4": [0.5, 0.3, 0.2]}
CLASSES = ("cat", "dog", "frog")


def split(count: int, channels: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, channels, 4, 4), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 3, (0.5,), (0.5,), CLASSES)


TRAJECTORIES = {
    "constant": [4.0] * 20,
    "exponential": [max(1, 5 * 0.95**epoch) for epoch in range(20)],
    "one epoch": [8.0],
}


def trajectories() -> Figure:
    return plots.temperature_trajectories(TRAJECTORIES)


def bars() -> Figure:
    return plots.soft_target_bars(split(1, 1), 0, BELIEFS)


def curve() -> Figure:
    return plots.transfer_curve(ALONE, DISTILLED, teacher=0.979)


def points() -> Figure:
    return plots.paired_points(DIFFERENCES)


@pytest.mark.parametrize(
    "draw",
    [
        plots.distillation_diagram,
        lambda: plots.image_grid(split(6, 1), columns=3, rows=2),
        lambda: plots.image_grid(split(6, 3), columns=3, rows=2),
        bars,
        curve,
        points,
        trajectories,
    ],
    ids=["diagram", "grey images", "colour images", "bars", "curve", "points", "trajectories"],
)
def test_every_figure_is_drawn_and_becomes_a_png(draw: Callable[[], Figure]) -> None:
    assert_drawn(draw())


@pytest.mark.parametrize("draw", [bars, curve, points, trajectories])
def test_every_chart_labels_its_axes(draw: Callable[[], Figure]) -> None:
    assert_labelled(draw())


def test_the_diagram_names_its_parts() -> None:
    written = texts(plots.distillation_diagram())
    for word in ("image", "teacher", "student", "soft targets", "label", "soft term", "hard term"):
        assert word in written


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_grid_shows_the_first_images_with_their_classes(channels: int) -> None:
    shown = split(9, channels)
    figure = plots.image_grid(shown, columns=3, rows=2)
    assert len(figure.figure.axes) == 6
    for axes, image, label in zip(figure.figure.axes, shown.images, shown.labels, strict=False):
        pixels = axes.images[0].get_array()
        expected = image[0] if channels == 1 else image.permute(1, 2, 0)
        assert np.array_equal(pixels, expected.numpy())
        assert axes.get_title() == CLASSES[int(label)]


@pytest.mark.parametrize(("count", "columns", "rows"), [(2, 3, 2), (1, 1, 1)])
def test_an_image_grid_may_have_more_places_than_images(
    count: int, columns: int, rows: int
) -> None:
    figure = plots.image_grid(split(count, 1), columns=columns, rows=rows)
    assert sum(len(axes.images) for axes in figure.figure.axes) == count
    assert not any(axes.axison for axes in figure.figure.axes)


def test_soft_target_bars_are_as_high_as_the_probabilities() -> None:
    picture, *charts = bars().figure.axes
    assert picture.get_title() == "labelled cat"
    assert np.array_equal(picture.images[0].get_array(), split(1, 1).images[0, 0].numpy())
    for axes, (title, values) in zip(charts, BELIEFS.items(), strict=True):
        assert axes.get_title() == title
        assert [bar.get_height() for bar in axes.patches] == values
        assert [tick.get_text() for tick in axes.get_xticklabels()] == list(CLASSES)
        # Each number that can be read off is written, a vanishing one is not.
        written = [text.get_text() for text in axes.texts]
        assert written == [f"{value:.2f}" for value in values if value >= 0.01]
    assert charts[0].get_ylabel() == "probability"


def test_a_transfer_curve_shows_means_and_intervals_in_percent() -> None:
    (axes,) = curve().figure.axes
    for drawn, arm in zip(errorbars(axes), (ALONE, DISTILLED), strict=True):
        line, _, (segments,) = drawn.lines
        expected = [mean_interval([100 * v for v in arm[size]]) for size in sorted(arm)]
        assert list(line.get_ydata()) == pytest.approx([each.mean for each in expected])
        bounds = [(low[1], high[1]) for low, high in segments.get_segments()]
        assert np.allclose(bounds, [(each.low, each.high) for each in expected])
    written = texts(axes.figure)
    assert all(word in written for word in ("student alone", "distilled student", "teacher"))
    assert any(np.allclose(line.get_ydata(), 97.9) for line in axes.lines)


def test_the_arms_of_a_curve_differ_in_more_than_colour() -> None:
    (axes,) = curve().figure.axes
    assert len({drawn.lines[0].get_marker() for drawn in errorbars(axes)}) == 2


def test_paired_points_show_every_seed_and_a_verdict_in_colour() -> None:
    (axes,) = points().figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(DIFFERENCES)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in dots] == list(DIFFERENCES.values())
    diamonds = [drawn.lines[0] for drawn in errorbars(axes)]
    colours = [plots.DISTILLED, plots.ALONE, plots.NEUTRAL, plots.NEUTRAL]
    assert [to_hex(line.get_color()).upper() for line in diamonds] == colours
    for line, values in zip(diamonds, DIFFERENCES.values(), strict=True):
        assert line.get_xdata()[0] == pytest.approx(np.mean(values))


def test_temperature_trajectories_are_drawn_from_epoch_1_and_differ_in_more_than_colour() -> None:
    figure = plots.temperature_trajectories({str(n): [2.0, 1.0 + n] for n in range(8)})
    (axes,) = figure.figure.axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2]] * 8
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 1.0 + n] for n in range(8)]
    assert len({(line.get_marker(), line.get_linestyle()) for line in axes.lines}) == 8
    assert len({line.get_color() for line in axes.lines}) == len(plots.PALETTE)
    (legend,) = figure.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list("01234567")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "temperature T")
    assert axes.get_ylim()[0] == 0


def test_paired_points_name_their_unit() -> None:
    assert "points" in texts(points())
    assert "ms" in texts(plots.paired_points(DIFFERENCES, unit="ms"))


def test_jupyter_gets_a_png_with_alternative_text() -> None:
    picture = plots.show(curve(), alt="Accuracy rises with the size of the transfer set.", dpi=40)
    shown, metadata = DisplayFormatter().format(picture)
    content = shown["image/png"]
    png = base64.b64decode(content) if isinstance(content, str) else content
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert metadata["image/png"]["alt"] == picture.alt
    assert shown["text/plain"] == picture.alt == repr(picture)


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alternative_text_is_refused(alt: str) -> None:
    with pytest.raises(ValueError, match="alt must describe the figure"):
        plots.show(Figure(), alt=alt)


@pytest.mark.parametrize("told", BRIEF)
@pytest.mark.parametrize("argument", ["figure", "alt", "dpi"])
def test_what_cannot_be_shown_is_named(argument: str, told: str) -> None:
    value = BRIEF[told]()
    if argument == "alt" and isinstance(value, str):  # that is what it should be
        value = " "
    right = dict(figure=Figure(figsize=(1, 1)), alt="an empty square", dpi=10)
    with pytest.raises(ValueError, match=f"^{argument} must "):
        plots.show(**right | {argument: value})


def test_resolution_can_be_chosen() -> None:
    small, large = (
        Image.open(io.BytesIO(plots.show(curve(), alt="a curve", dpi=dpi).png)) for dpi in (40, 80)
    )
    assert large.size[0] == pytest.approx(2 * small.size[0], abs=4)
