"""The rule that every figure keeps: what it cannot draw, it refuses with one sentence."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec

from matplotlib.figure import Figure

from kdhelpers._values import short_repr

P = ParamSpec("P")

LONGEST = 500  # letters of a name or label


def drawing(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """`make` says in a `ValueError` which figure could not be drawn, and why.

    A wrong type is often noticed deep inside matplotlib, which has other names for it.
    """

    @wraps(make)
    def made(*arguments: P.args, **options: P.kwargs) -> Figure:
        for value in (*arguments, *options.values()):
            if isinstance(value, Iterator):  # it can be read once only, and may have no end
                raise ValueError(
                    f"{make.__name__} needs lists and mappings, got {short_repr(value)}."
                )
            if isinstance(value, str | bytes) and len(value) > LONGEST:
                raise ValueError(f"{make.__name__} has no room for the text {short_repr(value)}.")
        try:
            return make(*arguments, **options)
        except ValueError as error:
            raise ValueError(f"{make.__name__}: {_line(error)}") from error
        except Exception as error:
            raise ValueError(f"{make.__name__} cannot draw this ({_line(error)}).") from error

    return made


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
