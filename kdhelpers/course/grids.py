"""A grid of parameter values, checked as a whole, as the points that it consists of."""

import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kdhelpers._values import short_repr
from kdhelpers.course import plans
from kdhelpers.course.plans import Plan
from kdhelpers.course.records import CourseError, wanted

__all__ = ["LARGEST", "SEEDS", "Point", "expand"]

LARGEST = 10_000  # points; more are a slip of the keyboard such as 0:100000
SEEDS = ("seed", "seeds")  # the parameter whose values repeat an experiment
RANGE = re.compile(r"\s*([+-]?\d+):([+-]?\d+)(?::([+-]?\d+))?\s*", flags=re.ASCII)


@dataclass(frozen=True)
class Point:
    """One combination of the grid: its values by name, and the run that they make."""

    values: dict[str, Any]
    plan: Plan

    @property
    def folder(self) -> str:
        """A name from the values, and from a hash of all parameters, the profile and the lesson.

        The same run has the same name in every sweep over the same parameters.
        """
        run = [self.plan.lesson.name, self.plan.profile, self.plan.parameters]
        return plans.folder_name(self.values, run)


def expand(
    plan: Plan, grid: Mapping[str, Iterable[Any]], *, fixed: Collection[str] = ()
) -> list[Point]:
    """Every combination of the grid's values, the last parameter running fastest.

    Values are converted to the declared type as `kdhelpers run -p` does. For a whole number the
    text "0:10" stands for 0, 1 … 9, and "0:10:2" for every second of them. Where a lesson
    declares `seeds: list[int]` and no `seed`, the name `seed` runs each value n as `seeds = [n]`.

    Args:
        plan: the lesson with the values that all points share.
        grid: the values of each parameter; a single text counts as one value.
        fixed: names that may not be in the grid because they have been given a value already.

    Raises:
        CourseError: the grid is empty or too large, names what the lesson does not have, holds a
            value that does not fit, or holds one twice.
    """
    wanted(plan, Plan, name="plan")
    wanted(grid, Mapping, name="the grid")
    wanted(fixed, list, tuple, set, frozenset, Mapping, name="fixed")
    fixed = [name for name in fixed if isinstance(name, str)]
    if not grid:
        raise CourseError("the grid is empty; give at least one parameter with its values")
    targets = {name: _target(plan, name) for name in grid}
    for name, target in targets.items():
        if target in fixed:
            raise CourseError(f"{target!r} has one fixed value, so the grid cannot change {name!r}")
    if len(set(targets.values())) < len(targets):
        raise CourseError("the grid has both 'seed' and 'seeds'; one of them must go")
    written = {name: _items(plan, name, values) for name, values in grid.items()}
    axes = {name: _axis(plan, name, items) for name, items in written.items()}
    if (size := _product(axes)) > LARGEST:
        raise CourseError(f"the grid has {size:,} points; at most {LARGEST:,} are possible")
    points = []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        own = {targets[name]: _given(plan, name, value) for name, value in values.items()}
        points.append(Point(values, plans.refine(plan, own)))
    return points


def _target(plan: Plan, name: str) -> str:
    """The lesson's parameter that the grid's `name` sets."""
    declared = plan.lesson.parameters
    lone_seed = name == "seed" and "seed" not in declared and "seeds" in declared
    return "seeds" if lone_seed and declared["seeds"].type == "list[int]" else name


def _given(plan: Plan, name: str, value: Any) -> Any:
    return value if _target(plan, name) == name else [value]


def _items(plan: Plan, name: str, values: Iterable[Any]) -> list[Any]:
    """The values as they were written, ranges spelt out."""
    target = _target(plan, name)
    declared = plan.lesson.parameters.get(target)
    whole = declared is not None and (declared.type == "int" or target != name)
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise CourseError(f"the grid's {name!r} wants a list of values, not {short_repr(values)}")
    items: list[Any] = []
    for value in [values] if isinstance(values, str) else values:
        found = RANGE.fullmatch(value) if isinstance(value, str) else None
        if found and whole:
            items += _range(name, value, found)
        elif found and declared and target == "seeds":
            raise CourseError(
                f"each value of 'seeds' is a list such as '[0, 1, 2]'; for a point per seed write "
                f"seed {value}"
            )
        else:
            items.append(value)
        if len(items) > LARGEST:
            raise CourseError(f"the grid's {name!r} has more than {LARGEST:,} values")
    if not items:
        raise CourseError(f"the grid has no value for {name!r}")
    return items


def _range(name: str, text: str, found: re.Match[str]) -> list[int]:
    if any(len(number or "") > 20 for number in found.groups()):
        raise CourseError(
            f"the range {short_repr(text)} of {name!r} has numbers of too many digits"
        )
    start, stop, step = (int(number or 1) for number in found.groups())
    numbers = range(start, stop, step) if step else range(0)
    if not numbers:
        raise CourseError(f"the range {text!r} of {name!r} is empty; 0:3 means 0, 1, 2")
    return list(numbers[: LARGEST + 1])


def _axis(plan: Plan, name: str, items: list[Any]) -> list[Any]:
    """The values converted to the declared type, each there once."""
    target = _target(plan, name)
    axis, seen = [], set()
    for item in items:
        value = plans.refine(plan, {target: _given(plan, name, item)}).values[target]
        value = value if target == name else value[0]
        written = json.dumps(value, sort_keys=True)
        if written in seen:
            raise CourseError(f"the grid has {name} = {short_repr(value)} twice")
        seen.add(written)
        axis.append(value)
    return axis


def _product(axes: Mapping[str, list[Any]]) -> int:
    size = 1
    for axis in axes.values():
        size *= len(axis)
    return size
