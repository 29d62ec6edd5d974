"""A figure with a slider, and without."""

from typing import Any

import ipywidgets
import pytest
from matplotlib.figure import Figure

from kdhelpers import plots
from kdhelpers.plots import Slider, Sliders

WIDGET = "application/vnd.jupyter.widget-view+json"
drawn: list[float] = []


def draw(value: float) -> plots.Picture:
    drawn.append(value)
    figure = Figure(figsize=(value, 1))
    figure.subplots().bar([0], [value])
    return plots.Picture(figure, f"A bar as high as {value}.")


def slider(**changes: Any) -> Slider:
    return Slider(**({"draw": draw, "values": [1, 2, 4, 8], "value": 4, "label": "T"} | changes))


def test_moving_the_slider_draws_the_figure_anew_and_tells_it_anew() -> None:
    control, image = slider().widget().children
    for value in (4, 8):
        control.value = value
        assert drawn[-1] == value
        assert image.value == f"<div>{draw(value).html}</div>"


def test_several_sliders_draw_with_all_their_values_and_offer_names_too() -> None:
    def named(height: float, at: str) -> plots.Picture:
        return plots.Picture(draw(height).figure, f"{at} {height:g}")

    both = Sliders(named, height=([1, 2], 1), at=(["stage1", "stage2"], "stage2"))
    height, at, image = both.widget().children
    height.value, at.value = 2, "stage1"
    assert [option for option, _ in at.options] == ["stage1", "stage2"]
    assert 'alt="stage1 2"' in image.value
    assert both._repr_mimebundle_()["text/plain"] == "stage2 1"
    with pytest.raises(ValueError, match="value of at must be one of"):
        Sliders(named, height=([1, 2], 1), at=(["stage1"], "stage2"))


def test_readers_without_widgets_get_the_still_figure_with_its_text() -> None:
    data = slider()._repr_mimebundle_()
    assert WIDGET in data
    assert data["text/plain"] == "A bar as high as 4."
    assert ' alt="A bar as high as 4."' in data["text/html"]
    assert len(data["image/png"]) > 500


def test_a_figure_without_alternative_text_is_refused() -> None:
    bare = slider(draw=lambda value: draw(value).figure)
    with pytest.raises(ValueError, match="what draw returns must be a Picture"):
        bare._repr_mimebundle_()


def test_without_ipywidgets_the_still_figure_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(ipywidgets, "SelectionSlider", broken)
    data = slider()._repr_mimebundle_()
    assert data.keys() == {"text/html", "image/png", "text/plain"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": 3}, r"value must be one of \[1, 2, 4, 8\], got 3"),
        ({"values": "1248"}, "values must be a list of numbers or of texts, got '1248'"),
        ({"draw": None}, "draw must be a function"),
    ],
)
def test_a_slider_that_cannot_slide_is_refused(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slider(**changes)
