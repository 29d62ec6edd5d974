"""Figures with sliders where widgets are alive, and the same figure without where they are not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kdhelpers._values import check_callable, check_type, is_number, require, short_repr
from kdhelpers.plots.drawing import Picture


class Sliders:
    """`draw(**values)` as a figure; in JupyterLab a slider for each argument redraws it.

        def draw(first, second):
            return plots.temperature_bars([first, 0.0], [second])

        plots.Sliders(draw, first=([1.0, 2.0, 3.0], 2.0), second=([1.0, 4.0], 4.0))

    A notebook that is only read (on a web page, in a terminal, as a PDF) shows the figure at the
    values that the sliders start with, with its alternative text.

    Args:
        draw: values by name to a `Picture`: what the functions of `kdhelpers.plots` return.
        controls: for each argument of `draw` what its slider offers, in order, and where it starts:
            numbers, or names.

    Raises:
        ValueError: a start that is not offered, values that are no list of numbers or of texts, or
            `draw` is no function; once it is shown, `draw` returns no `Picture`.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        **controls: tuple[Sequence[float | str], float | str],
    ) -> None:
        require(callable(draw), f"draw must be a function, got {short_repr(draw)}.")
        self.draw = draw
        self.controls = {
            name: _offered(*given, which=f" of {name}") for name, given in controls.items()
        }

    def _picture(self, values: Mapping[str, Any]) -> Picture:
        drawn = self.draw(**values)
        check_type(drawn, Picture, name="what draw returns")
        return drawn

    def widget(self) -> Any:
        """The sliders above their figure, as an ipywidgets box."""
        import ipywidgets

        sliders = {
            name: ipywidgets.SelectionSlider(
                options=[(f"{v:g}" if is_number(v) else str(v), v) for v in values],
                value=start,
                description=name,
                continuous_update=False,
            )
            for name, (values, start) in self.controls.items()
        }
        shown = ipywidgets.HTML()  # an ipywidgets.Image would have no alternative text

        def redraw(_: Any = None) -> None:
            values = {name: slider.value for name, slider in sliders.items()}
            # In a block of its own the image keeps its size; alone it is stretched to the cell's.
            shown.value = f"<div>{self._picture(values).html}</div>"

        redraw()
        for slider in sliders.values():
            slider.observe(redraw, names="value")
        return ipywidgets.VBox([*sliders.values(), shown])

    def _repr_mimebundle_(self, **arguments: Any) -> dict[str, Any]:
        try:
            alive = self.widget()._repr_mimebundle_(**arguments)
        except Exception:  # no ipywidgets, or no kernel to talk to: the figure says it too
            alive = {}
        starts = {name: start for name, (_, start) in self.controls.items()}
        return {**alive, **self._picture(starts)._repr_mimebundle_()}


class Slider(Sliders):
    """`draw(value)` as a figure, with one slider; for the rest see `Sliders`.

    Args:
        draw: a value to a `Picture`.
        values: what the slider offers, in order.
        value: where it starts; one of `values`.
        label: what the slider says.

    Raises:
        ValueError: as for `Sliders`.
    """

    def __init__(
        self,
        draw: Callable[[Any], Picture],
        values: Sequence[float | str],
        *,
        value: float | str,
        label: str,
    ) -> None:
        check_callable(draw, name="draw", called="draw(value)")
        _offered(values, value)
        super().__init__(lambda **chosen: draw(*chosen.values()), **{label: (values, value)})


def _offered(values: Any, value: Any, *, which: str = "") -> tuple[Sequence[Any], Any]:
    listed = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    fits = listed and (all(map(is_number, values)) or all(isinstance(v, str) for v in values))
    told = f"values{which} must be a list of numbers or of texts, got {short_repr(values)}."
    require(fits, told)
    fits = (isinstance(value, str) or is_number(value)) and value in values
    told = f"value{which} must be one of {short_repr(list(values))}, got {short_repr(value)}."
    require(fits, told)
    return values, value
