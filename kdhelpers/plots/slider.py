"""Figures with a slider where widgets are alive, and the same figure without where they are not."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure

from kdhelpers._values import check_callable, is_number, short_repr
from kdhelpers.plots.drawing import Picture


class Slider:
    """`draw(value)` as a figure; in JupyterLab a slider redraws it.

    A notebook that is only read (on a web page, in a terminal, as a PDF) shows the figure at
    `value`, with its alternative text.

    Args:
        draw: a value to a figure: what the functions of `kdhelpers.plots` return, or a `Figure`.
        values: what the slider offers, in order.
        value: where it starts; one of `values`.
        label: what the slider says.
        alt: alternative text, in place of the figure's own; needed where `draw` returns a `Figure`.

    Raises:
        ValueError: `value` is not among `values`, these are no numbers, or `draw` is no function.
    """

    def __init__(
        self,
        draw: Callable[[float], Picture | Figure],
        values: Sequence[float],
        *,
        value: float,
        label: str,
        alt: str = "",
    ) -> None:
        check_callable(draw, name="draw", called="draw(value)")
        listed = isinstance(values, Sequence) and not isinstance(values, str | bytes)
        if not listed or not all(map(is_number, values)):
            raise ValueError(f"values must be a list of numbers, got {short_repr(values)}.")
        if not is_number(value) or value not in values:
            raise ValueError(
                f"value must be one of {short_repr(list(values))}, got {short_repr(value)}."
            )
        self.draw = draw
        self.values = values
        self.value = value
        self.label = label
        self.alt = alt

    def _picture(self, value: float) -> Picture:
        drawn = self.draw(value)
        if isinstance(drawn, Picture) and not self.alt:
            return drawn
        return Picture(drawn.figure if isinstance(drawn, Picture) else drawn, self.alt)

    def widget(self) -> Any:
        """The slider above its figure, as an ipywidgets box."""
        import ipywidgets

        slider = ipywidgets.SelectionSlider(
            options=[(f"{value:g}", value) for value in self.values],
            value=self.value,
            description=self.label,
            continuous_update=False,
        )
        shown = ipywidgets.HTML()  # an ipywidgets.Image would have no alternative text

        def redraw(change: dict[str, Any]) -> None:
            shown.value = self._picture(change["new"]).html

        redraw({"new": self.value})
        slider.observe(redraw, names="value")
        return ipywidgets.VBox([slider, shown])

    def _repr_mimebundle_(self, **arguments: Any) -> dict[str, Any]:
        try:
            alive = self.widget()._repr_mimebundle_(**arguments)
        except Exception:  # no ipywidgets, or no kernel to talk to: the figure says it too
            alive = {}
        return {**alive, **self._picture(self.value)._repr_mimebundle_()}
