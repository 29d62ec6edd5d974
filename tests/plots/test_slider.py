"""A figure with a slider, and without."""

from typing import Any

import ipywidgets
import pytest
from matplotlib.figure import Figure

from kdhelpers.plots.slider import Slider

WIDGET = "application/vnd.jupyter.widget-view+json"
drawn: list[float] = []


def draw(value: float) -> Figure:
    drawn.append(value)
    figure = Figure(figsize=(1, 1))
    figure.subplots().bar([0], [value])
    return figure


def slider(**changes: Any) -> Slider:
    arguments: dict[str, Any] = {"value": 4, "label": "T", "alt": "A bar as high as T."}
    return Slider(draw, [1, 2, 4, 8], **(arguments | changes))


def test_moving_the_slider_draws_the_figure_anew() -> None:
    control, image = slider().widget().children
    before = image.value
    control.value = 8
    assert drawn[-1] == 8
    assert image.value != before
    assert bytes(image.value).startswith(b"\x89PNG")


def test_readers_without_widgets_get_the_still_figure_with_its_text() -> None:
    data, metadata = slider()._repr_mimebundle_()
    assert WIDGET in data
    assert data["text/plain"] == "A bar as high as T."
    assert metadata["image/png"]["alt"] == "A bar as high as T."
    assert len(data["image/png"]) > 500


def test_without_ipywidgets_the_still_figure_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(ipywidgets, "SelectionSlider", broken)
    data, _ = slider()._repr_mimebundle_()
    assert WIDGET not in data
    assert "image/png" in data


def test_a_start_that_is_not_on_the_slider_is_refused() -> None:
    with pytest.raises(ValueError, match=r"value must be one of \[1, 2, 4, 8\], got 3"):
        slider(value=3)
