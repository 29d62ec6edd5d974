"""A figure as Jupyter shows it, with alternative text."""

import base64
import io

from matplotlib.figure import Figure

from kdhelpers._values import check_int, check_type, short_repr


class Picture:
    """A figure as Jupyter shows it: a PNG with alternative text for screen readers."""

    def __init__(self, png: bytes, alt: str) -> None:
        self.png = png
        self.alt = alt

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, object], dict[str, object]]:
        content = base64.b64encode(self.png).decode()
        return {"image/png": content, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}

    def __repr__(self) -> str:
        return self.alt


def show(figure: Figure, *, alt: str, dpi: int = 100) -> Picture:
    """`figure` as a picture with alternative text; make it the last line of a cell.

    Raises:
        ValueError: `figure` is none, `alt` is no text or empty, or `dpi` is not from 1 to 1,000.
    """
    check_type(figure, Figure, name="figure")
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must describe the figure in words, got {short_repr(alt)}.")
    dpi = check_int(dpi, name="dpi", least=1, most=1000)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return Picture(buffer.getvalue(), alt)
