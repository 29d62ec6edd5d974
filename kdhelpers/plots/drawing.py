"""What all figures share: colours, numbers in words, and the picture that every one becomes."""

import base64
import html
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, wraps
from typing import Any, ParamSpec

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

from kdhelpers._values import check_int, check_type, require, short_repr
from kdhelpers.stats.arms import row

# The palette of Okabe and Ito.
TEACHER, ALONE, DISTILLED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#555555"
PALETTE = (TEACHER, ALONE, DISTILLED, NEUTRAL, "#CC79A7", "#56B4E9", "#E69F00")

LONGEST = 500  # letters of a name or label

P = ParamSpec("P")
Drawn = tuple[Figure, str]  # a figure and what it shows, in words


class Picture:
    """A figure as Jupyter shows it: an image with alternative text for screen readers.

    What a figure's function returns; of a figure of your own, make one as the last line of a cell.

    Args:
        figure: drawn by matplotlib; `picture.figure` is where to change or save it.
        alt: what the figure shows, in words.
        dpi: pixels an inch, 1 to 1,000.

    Raises:
        ValueError: `figure` is none, `alt` is no text or empty, or `dpi` is out of range.
    """

    def __init__(self, figure: Figure, alt: str, *, dpi: int = 100) -> None:
        check_type(figure, Figure, name="figure")
        fits = isinstance(alt, str) and alt.strip()
        require(fits, f"alt must describe the figure in words, got {short_repr(alt)}.")
        self.figure, self.alt = figure, alt
        self.dpi = check_int(dpi, name="dpi", least=1, most=1000)

    @cached_property
    def png(self) -> bytes:
        """The figure, drawn when it is first asked for."""
        buffer = io.BytesIO()
        self.figure.savefig(
            buffer, format="png", dpi=self.dpi, bbox_inches="tight", facecolor="white"
        )
        return buffer.getvalue()

    @property
    def html(self) -> str:
        """The figure as an `<img>`: what carries alternative text in every front end.

        As WebP, whose lossless form takes less than half of the PNG, since a notebook stores both.
        """
        buffer = io.BytesIO()
        Image.open(io.BytesIO(self.png)).convert("RGB").save(buffer, "WEBP", lossless=True)
        content = base64.b64encode(buffer.getvalue()).decode()
        return f'<img alt="{html.escape(self.alt)}" src="data:image/webp;base64,{content}">'

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        # Who cannot show HTML shows the PNG; its metadata has a place for `alt` that nobody reads.
        content = base64.b64encode(self.png).decode()
        return {"text/html": self.html, "image/png": content, "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


def drawing(make: Callable[P, Drawn]) -> Callable[P, Picture]:
    """`make` draws a figure and describes it; what it cannot draw it refuses with one sentence.

    A wrong type is often noticed deep inside matplotlib, which has other names for it.
    """

    @wraps(make)
    def made(*arguments: P.args, **options: P.kwargs) -> Picture:
        for value in (*arguments, *options.values()):
            if isinstance(value, Iterator):  # it can be read once only, and may have no end
                told = f"needs lists and mappings, got {short_repr(value)}"
                raise ValueError(f"{make.__name__} {told}.")
            if isinstance(value, str | bytes) and len(value) > LONGEST:
                raise ValueError(f"{make.__name__} has no room for the text {short_repr(value)}.")
        try:
            figure, alt = make(*arguments, **options)
            return Picture(figure, alt[:1].upper() + alt[1:])
        except ValueError as error:
            raise ValueError(f"{make.__name__}: {_line(error)}") from error
        except Exception as error:
            raise ValueError(f"{make.__name__} cannot draw this ({_line(error)}).") from error

    return made


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


def subplots(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes as `Figure.subplots` gives them."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def percent(shares: Iterable[float]) -> list[float]:
    """Accuracies and other shares in %.

    Raises:
        ValueError: one outside 0..1.
    """
    return [float(share) for share in row(list(shares), points=True)]


def count_text(number: float) -> str:
    """14,724,042 as "14.7 M", 545,098 as "545 k"."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.3g}"


def plain_decades(axis: Axis, values: Sequence[float]) -> None:
    """A logarithmic axis in plain numbers; over less than two powers of ten at 1, 2, 5, 10, …"""
    few = max(values) < 100 * min(values)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(lambda value, _: count_text(value))
    axis.set_minor_formatter(NullFormatter())


def listed(words: Iterable[object]) -> str:
    """ "a, b and c"."""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last
