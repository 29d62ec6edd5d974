"""The settings of an experiment, checked in its first seconds and not after its first hour."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kdhelpers._values import MOST, check_int, short_repr
from kdhelpers.models.build import names

LARGEST = 1e300


def check(*, available: int, fewest_seeds: int = 2, **settings: Any) -> None:
    """Refuse settings that cannot work, before any training starts.

    Args:
        available: how many training images there are.
        fewest_seeds: how many `seeds` are needed; default 2, so that there is an interval. 1 is
            for a lesson that also runs as one point of a sweep.
        settings: what to check, by name: `seeds`, `control_seeds`, `tuning_seeds` and
            `grid_seeds` (at least one),
            `temperature`, `temperatures`, `alpha`, `alphas`, `transfer_size`, `transfer_sizes`,
            `steps`, `epochs`, `teacher_epochs`, `stem_epochs`, `batch_size`,
            `teacher_batch_size`, `learning_rate`, `teacher_learning_rate`, `student_width`,
            `teacher_width`, `workers`, `students` (names of networks); and for hints `width`,
            `teacher_size`, `few_seeds`, `guided_layers`, `variants`,
            `stage1_epochs`, `stage2_epochs`, `stage1_learning_rate`, `stage2_learning_rate`,
            `kd_learning_rate`.

    Raises:
        ValueError: one sentence that names the setting, its value and what is wanted; also for
            `available` and `fewest_seeds`.
        TypeError: a name that is none of the above.
    """
    check_int(available, name="available")
    check_int(fewest_seeds, name="fewest_seeds")
    rules = {"seeds": partial(_seeds, fewest=fewest_seeds)} | _RULES
    for name, value in settings.items():
        if name not in rules:
            raise TypeError(f"no rule for {name!r}; there are {', '.join(rules)}.")
        problem = rules[name](value, available)
        if problem:
            raise ValueError(f"{name} {problem}, got {short_repr(value)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _seeds(value: Any, _: int, *, fewest: int = 1) -> str:
    if not _is_list(value) or not all(_is_whole(seed) and seed >= 0 for seed in value):
        return "must be a list of whole numbers from 0"
    if not value:
        return "needs at least one value"
    if len(value) < fewest:
        return f"needs at least {fewest} values: an interval over one run does not exist"
    return "" if len(set(value)) == len(value) else "must not repeat a value: that is the same run"


def _networks(value: Any, _: int) -> str:
    if not _is_list(value) or not value:
        return "must be a list of networks, at least one"
    unknown = [name for name in value if name not in names()]
    return f"must be networks that models.build knows ({', '.join(names())})" if unknown else ""


def _some_seeds(value: Any, _: int) -> str:
    """Runs that are shown one by one need no interval, and may be left out."""
    if not _is_list(value) or not all(_is_whole(seed) and seed >= 0 for seed in value):
        return "must be a list of whole numbers from 0; an empty one leaves these runs out"
    return "" if len(set(value)) == len(value) else "must not repeat a value: that is the same run"


def _names(*known: str) -> Callable[[Any, int], str]:
    """A list of names, of `known` ones if any are given."""

    def of_list(value: Any, _: int) -> str:
        if not _is_list(value):
            return "must be a list of names"
        if not all(isinstance(name, str) for name in value):
            return "must be a list with at least one name, and nothing else"
        if known and not set(value) <= set(known):
            return f"must be among {', '.join(known)}"
        if not known and not value:
            return "must be a list with at least one name"
        return "" if len(set(value)) == len(value) else "must not repeat a name"

    return of_list


def _positive(value: Any, _: int) -> str:
    return "" if _is_number(value) and value > 0 else "must be a number greater than 0"


def _share(value: Any, _: int) -> str:
    return "" if _is_number(value) and 0 <= value <= 1 else "must lie between 0 and 1"


def _count(value: Any, _: int) -> str:
    return "" if _is_whole(value) and value >= 1 else "must be a whole number of at least 1"


def _count_or_none(value: Any, _: int) -> str:
    return "" if _is_whole(value) and value >= 0 else "must be a whole number from 0"


def _size(value: Any, available: int) -> str:
    if _is_whole(value) and 1 <= value <= available:
        return ""
    return f"must be whole numbers from 1 to the {available:,} training images there are"


def _each(rule: Callable[[Any, int], str]) -> Callable[[Any, int], str]:
    def of_list(value: Any, available: int) -> str:
        if not _is_list(value) or not value:
            return "must be a list with at least one value"
        return next(filter(None, (rule(item, available) for item in value)), "")

    return of_list


_RULES: dict[str, Callable[[Any, int], str]] = {
    "tuning_seeds": _seeds,
    "temperature": _positive,
    "temperatures": _each(_positive),
    "alpha": _share,
    "alphas": _each(_share),
    "transfer_size": _size,
    "transfer_sizes": _each(_size),
    "steps": _count,
    "epochs": _count,
    "teacher_epochs": _count,
    "stem_epochs": _count_or_none,
    "batch_size": _count,
    "teacher_batch_size": _count,
    "learning_rate": _positive,
    "teacher_learning_rate": _positive,
    "student_width": _positive,
    "teacher_width": _positive,
    "workers": _count,
    "grid_seeds": _seeds,
    "control_seeds": partial(_seeds, fewest=2),
    "students": _networks,
    "width": _positive,
    "few_seeds": _some_seeds,
    "teacher_size": _size,
    "guided_layers": _names(),
    "variants": _names("hint", "attention", "similarity", "relational"),
    "stage1_epochs": _count,
    "stage2_epochs": _count,
    "stage1_learning_rate": _positive,
    "stage2_learning_rate": _positive,
    "kd_learning_rate": _positive,
}
