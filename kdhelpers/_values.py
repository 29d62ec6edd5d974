"""Checks of plain values, with or without tensors around: numbers, counts, choices, objects.

Every refusal is a `ValueError` of one sentence that names the value, in a few words where it is
long. A wrong type is a `ValueError` too.
"""

import ast
import inspect
import os
import reprlib
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, TypeGuard, cast

MOST = 2**63 - 1  # what PyTorch and NumPy can count to
HEAVIEST = 1e9  # of weights

_reprs = reprlib.Repr()
_reprs.maxstring = _reprs.maxother = _reprs.maxlong = 60


def short_repr(value: object) -> str:
    """A value as an error message shows it: on one line, and not for long."""
    try:
        text = " ".join(_reprs.repr(value).split())
    except ValueError:  # Python does not write out an integer of thousands of digits
        return f"a {type(value).__name__} too long to write"
    return text if len(text) <= 80 else f"{text[:77]}..."


def short_path(path: object) -> str:
    """A path as an error message shows it: whole, unless it is longer than a path can be."""
    try:
        text = repr(str(path))
    except ValueError:
        return short_repr(path)
    return text if len(text) <= 400 else short_repr(str(path))


def did_you_mean(name: object, known: Iterable[str], others: Iterable[str] = ()) -> str:
    """What to add about an unknown name: the nearest known one, else others or all."""
    known, name = list(known), str(name)
    near = get_close_matches(name, known, n=1) or [k for k in known if name and name in k][:1]
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(others or known) or 'none'}"


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number of Python or NumPy; True and False are not."""
    if isinstance(value, float):
        return True
    return isinstance(value, Real) and not isinstance(value, bool | Fraction)


def is_int(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number by its type; 2.0, True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def processors() -> int:
    """How many of the machine's processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def require(ok: object, sentence: str, error: type[Exception] = ValueError) -> None:
    """Raise the error with the sentence unless the condition holds."""
    if not ok:
        raise error(sentence)


def check_number(value: object, low: float = 0.0, high: float = HEAVIEST, *, name: str) -> float:
    """The number as a float, in [low, high]."""
    if not is_number(value) or not low <= value <= high:
        wanted = f"a number from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {wanted}, got {short_repr(value)}.")
    return float(value)


def check_weights(**weights: object) -> None:
    """Numbers from 0 on, each told by its name."""
    for name, weight in weights.items():
        check_number(weight, name=name)


def check_int(value: Any, *, name: str, least: int = 0, most: int = MOST) -> int:
    """The whole number as an int, in [least, most]."""
    require(is_int(value), f"{name} must be a whole number, got {short_repr(value)}.")
    if not least <= value <= most:
        bound = f"at least {least:,}" if value < least else f"at most {most:,}"
        raise ValueError(f"{name} must be {bound}, got {short_repr(value)}.")
    return int(value)


def check_ints(values: Any, *, name: str, count: int, most: int) -> tuple[int, ...]:
    """So many whole numbers, each in [1, most]."""
    listed = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not listed or len(values) != count:
        raise ValueError(f"{name} must be {count} whole numbers, got {short_repr(values)}.")
    return tuple(check_int(each, name=f"each of {name}", least=1, most=most) for each in values)


def check_choice(value: object, allowed: Collection[str], *, name: str) -> str:
    """The text, one of those allowed."""
    known = isinstance(value, str) and value in allowed
    require(known, f"{name} must be one of {', '.join(allowed)}, got {short_repr(value)}.")
    return str(value)


def check_type(value: object, *kinds: type, name: str) -> None:
    """Check for an object of one of the classes; of a named tuple it says which parts are one.

    A class may say in `REMEDY` how one is made.
    """
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        fields = getattr(value, "_fields", ())
        parts = [f".{each}" for each in fields if isinstance(getattr(value, each, None), kinds)]
        remedy = f"give its {' or '.join(parts)}" if parts else getattr(kinds[0], "REMEDY", "")
        article = "an" if wanted.startswith(tuple("AEIOU")) else "a"
        told = f"{name} must be {article} {wanted}, got {short_repr(value)}"
        raise ValueError(f"{told}{'; ' * bool(remedy)}{remedy}.")


def check_list(values: object, *kinds: type, name: str) -> None:
    """Check for a list or another sequence of objects, each of one of the classes."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise ValueError(f"{name} must be a list, got {short_repr(values)}.")
    for number, value in enumerate(values):
        check_type(value, *kinds, name=f"{name}[{number}]")


def check_callable(value: object, *, name: str, called: str) -> None:
    """Check for something that can be called as `called` says: `loss(student, teacher)`."""
    told = f"{name} must be a function, called as {called}, got {short_repr(value)}"
    if not callable(value):
        raise ValueError(f"{told}.")
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):  # built into Python or PyTorch
        return
    call = cast(ast.Call, ast.parse(called, mode="eval").body)
    try:
        signature.bind(*call.args, **{str(each.arg): None for each in call.keywords})
    except TypeError as error:
        raise ValueError(f"{told}: {error}.") from error
