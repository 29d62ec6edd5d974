"""Every figure is drawn, labelled and told in words, or refused in words."""

import base64
import inspect
import io
import math
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from figure_reading import assert_drawn, assert_labelled
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image
from shown import ARMS, CLASSES, DRAW, MODELS, STAGE2, WORDS, maps, split

from kdhelpers import plots

NO_CHART = {
    "distillation_diagram", "compression_diagram", "hint_diagram", "copied_layers",
    "deployment_diagram", "image_grid", "feature_maps", "temperature_bars",
}  # fmt: skip


def test_every_figure_is_tested() -> None:
    functions = {name for name in plots.__all__ if inspect.isfunction(getattr(plots, name))}
    assert DRAW.keys() == WORDS.keys() == functions - {"show"}


@pytest.mark.parametrize("name", DRAW)
def test_every_figure_is_drawn_labelled_and_told_in_words(name: str) -> None:
    picture = DRAW[name]()
    assert_drawn(picture)
    if name not in NO_CHART:
        assert_labelled(picture)
    for words in WORDS[name].split(" | "):
        assert words.strip() in picture.alt


NAN = math.nan
FROM_ALONE = {"baseline": "alone"}
CONFUSED = [[8, 1, 1], [0, 5, 5], [0, 0, 20]]
REFUSED: list[tuple[Callable[..., Any], tuple, dict, str]] = [
    (plots.forest, ({"a": [0.5, 0.6]},), {"baseline": "a"}, "at least one arm beside the baseline"),
    (plots.forest, (ARMS,), FROM_ALONE | {"claim": (2, 2)}, r"least < most, got \(2, 2\)"),
    (plots.forest, (ARMS,), FROM_ALONE | {"claim": (NAN, 2)}, "least < most"),
    (plots.forest, (ARMS,), {"baseline": "nobody"}, "'nobody' is none of the arms: alone"),
    (plots.power_curve, ([2, 8, 32], {}), {}, "nothing to draw"),
    (plots.power_curve, ([2, 8, 32], {"a": [0.1, 0.2]}), {}, "'a' has 2 values for 3 places"),
    (plots.power_curve, ([2, 8], {"a": [10, 50]}), {}, "divide percent by 100.* got 10"),
    (plots.misleading_bars, ({"a": 0.5},), {}, "at least two arms, got 1"),
    (plots.misleading_bars, ({"a": 98.0, "b": 97.0},), {}, "divide percent"),
    (plots.soft_target_bars, (split(2, 1), 0, {"T": [1.0]}), {}, "'T' has 1 of 3 classes"),
    (plots.pixel_deviation, ([[0.1, 0.2]], [0.1] * 3), {}, "a deviation for each channel"),
    (plots.pixel_deviation, ([0.1, 0.2, 0.3], [0.1] * 3), {}, "a deviation for each channel"),
    (plots.pixel_deviation, ([[0.1, 0.2, 0.3]], [0.1]), {}, "a deviation for each channel"),
    (plots.pixel_deviation, (torch.empty(0, 3), [0.1] * 3), {}, "a deviation for each channel"),
    (plots.log_series, ({},), {"ylabel": "y"}, "nothing to draw"),
    (plots.log_series, ({"a": [1.0, -2.0]},), {"ylabel": "y"}, "'a' has -2.0"),
    (plots.log_series, ({"a": [1.0, NAN]},), {"ylabel": "y"}, "'a' has nan"),
    (plots.log_series, ({"a": [1.0, math.inf]},), {"ylabel": "y"}, "'a' has inf"),
    (plots.log_series, ({"a": [1, 2]},), {"ylabel": "y", "places": [1]}, "2 values for 1 places"),
    (plots.stages, ([], STAGE2), {}, "'hint loss' has 0 values"),
    (plots.stages, ([1.0], {}), {}, "nothing to draw"),
    (plots.stages, ([1.0], {"plain": [50.0]}), {}, "divide percent by 100.* got 50.0"),
    (plots.arms, (ARMS,), {"baseline": "nobody"}, "is none of the arms: alone, distilled, shuf"),
    (plots.arms, ({},), {}, "none of the arms: none"),
    (plots.arms, ({"a": [70.0, 71.0]},), {}, "divide percent by 100.* got 70.0"),
    (plots.arms, ({"a": [0.5, NAN]},), {}, "a number from 0 to 1, got nan"),
    (plots.arms, (ARMS,), {"teacher": 90.0}, "divide percent"),
    (plots.arms, ({"a": []},), {}, "an arm has no value"),
    (plots.paired_points, ({"KD": [{"accuracy": 0.5}]},), {}, "'alone' is none of the arms: KD"),
    (plots.transfer_curve, ({(50, "alone"): [0.8]},), {"teacher": 0.9}, "the same transfer sets"),
    (plots.transfer_curve, (ARMS,), {"teacher": 0.9}, "the same transfer sets"),
    (plots.temperature_sweep, ({("small", 4.0): [0.8, 0.9]},), {"teacher": 0.9}, "runs alone"),
    (plots.alpha_temperature_grid, ({}, [0.5]), {}, "nothing to draw"),
    (plots.alpha_temperature_grid, ({(0.5, 1.0): [NAN]}, [0.5]), {}, "from 0 to 1, got nan"),
    (plots.confusion_change, (CONFUSED, [[1, 2], [3, 4]], CLASSES), {}, r"3 cl.*shape \(2, 2\)"),
    (plots.confusion_change, (CONFUSED, [[1, 0, 0], [0, -1, 2], [0, 0, 1]], CLASSES), {}, "not <"),
    (plots.confusion_change, (CONFUSED, np.diag([1, NAN, 1]), CLASSES), {}, "finite"),
    (plots.confusion_change, (np.diag([1, 0, 1]), CONFUSED, CLASSES), {}, "'dog' has no images"),
    (plots.accuracy_against_cost, ({},), {}, "nothing to draw"),
    (plots.accuracy_against_cost, ({"m": (0, 1, 0.5)},), {}, "must be above 0, but 'm' has"),
    (plots.accuracy_against_cost, ({"m": (1, 0, 0.5)},), {}, "must be above 0, but 'm' has"),
    (plots.accuracy_against_cost, ({"m": (1, 1, 94.0)},), {}, "accuracy of 'm' must be a number"),
    (plots.accuracy_against_cost, ({"m": (NAN, 1, 0.5)},), {}, "parameters of 'm' must be"),
    (plots.accuracy_against_cost, ({"m": (1, 1, NAN)},), {}, "accuracy of 'm' must be a number"),
    (plots.accuracy_against_cost, ({"m": MODELS["VGG16"] | {"macs": -1}},), {}, "macs of 'm'"),
    (plots.feature_maps, ({},), {}, "got 0 and 8"),
    (plots.feature_maps, ({"a": maps(1, 1)},), {"columns": 0}, "got 1 and 0"),
    (plots.feature_maps, ({"a": maps(1, 1)[None]},), {}, r"'a' has \(1, 1, 1, 1\); select one"),
    (plots.feature_maps, ({"a": maps(0, 1)},), {}, "finite and have the shape"),
    (plots.feature_maps, ({"a": maps(1, 1) * NAN},), {}, "finite and have the shape"),
    # The gate of all figures.
    (plots.arms, (iter(ARMS),), {}, "needs lists and mappings, got"),
    (plots.misleading_bars, ({"a": 0.5, "b": 0.6},), {"title": "x" * 501}, "no room for the text"),
    (plots.arms, (3,), {}, "results must be a Mapping, got 3"),
    (plots.temperature_bars, ([1.0, "high"], [1.0]), {}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("draw", "arguments", "options", "message"), REFUSED)
def test_what_cannot_be_drawn_is_refused_in_words(
    draw: Callable[..., Any], arguments: tuple, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{draw.__name__}.*{message}") as raised:
        draw(*arguments, **options)
    assert "\n" not in str(raised.value)


def test_gains_of_zero_equal_bars_and_perfect_matrices_are_drawn() -> None:
    for picture in (
        plots.alpha_temperature_grid({(0.5, 1.0): [0.5, 0.6]}, [0.5, 0.6]),
        plots.misleading_bars({"a": 0.5, "b": 0.5}),
        plots.confusion_change(np.eye(3), np.eye(3), CLASSES),
        plots.feature_maps({"a": torch.zeros(2, 1, 1, dtype=torch.float16, requires_grad=True)}),
    ):
        assert_drawn(picture)


# -- a picture ------------------------------------------------------------------------------------


def test_jupyter_gets_the_same_image_twice_with_the_alternative_text() -> None:
    quoted = plots.Picture(Figure(), 'an "empty" sheet, 0 < 1')
    for picture in (DRAW["alpha_temperature_grid"](), quoted):
        shown, _ = DisplayFormatter().format(picture)
        assert shown["text/plain"] == picture.alt == repr(picture)
        (image,) = ElementTree.fromstring(f"<p>{shown['text/html'][:-1]}/></p>")
        assert image.get("alt") == picture.alt
        kind, _, content = image.get("src").partition(",")
        assert kind == "data:image/webp;base64"
        pixels = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB"))
            for each in (shown["image/png"], content)
        ]
        assert np.array_equal(*pixels)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("figure", "a sheet"), ("alt", None), ("alt", "  \n"), ("dpi", 0), ("dpi", 1001), ("dpi", 1.5),
     pytest.param("dpi", 10**5000, id="dpi of 5,001 digits")],
)  # fmt: skip
def test_what_cannot_be_shown_is_named(argument: str, value: Any) -> None:
    right = dict(figure=Figure(figsize=(1, 1)), alt="an empty square", dpi=10)
    with pytest.raises(ValueError, match=f"^{argument} must "):
        plots.Picture(**right | {argument: value})


def test_resolution_can_be_chosen() -> None:
    figure = Figure(figsize=(2, 1))
    small, large = (
        Image.open(io.BytesIO(plots.Picture(figure, "a sheet", dpi=dpi).png)) for dpi in (40, 80)
    )
    assert large.size[0] == pytest.approx(2 * small.size[0], abs=4)
