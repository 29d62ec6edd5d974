"""The points of a grid: every combination of its values, each checked before anything runs."""

import itertools
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kdhelpers._values import check_type, short_repr
from kdhelpers.course.plans import Plan, folder_name, refine
from kdhelpers.course.root import CourseError

MOST_POINTS = 10_000  # more are a slip of the keyboard such as 0:100000
NUMBER = r"([+-]?\d{1,18})"
RANGE = re.compile(rf"\s*{NUMBER}:{NUMBER}(?::{NUMBER})?\s*", flags=re.ASCII)


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
        identity = [self.plan.lesson.name, self.plan.profile, self.plan.parameters]
        return folder_name(self.values, identity)


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
    check_type(grid, Mapping, name="the grid")
    if not grid:
        raise CourseError("the grid is empty; give at least one parameter with its values")
    targets = {name: _target(plan, name) for name in grid}
    for name, target in targets.items():
        if target in fixed:
            raise CourseError(f"{target!r} has one fixed value, so the grid cannot change {name!r}")
    if len(set(targets.values())) < len(targets):
        raise CourseError("the grid has both 'seed' and 'seeds'; one of them must go")
    axes = [_axis(plan, name, targets[name], values) for name, values in grid.items()]
    if (size := math.prod(map(len, axes))) > MOST_POINTS:
        raise CourseError(f"the grid has {size:,} points; at most {MOST_POINTS:,} are possible")
    points = []
    for combination in itertools.product(*axes):
        values = dict(zip(grid, (told for told, _ in combination), strict=True))
        own = dict(zip(targets.values(), (given for _, given in combination), strict=True))
        points.append(Point(values, refine(plan, own)))
    return points


def _target(plan: Plan, name: str) -> str:
    """The lesson's parameter that the grid's `name` sets."""
    declared = plan.lesson.parameters
    lone_seed = name == "seed" and "seed" not in declared and "seeds" in declared
    return "seeds" if lone_seed and declared["seeds"].type == "list[int]" else name


def _axis(plan: Plan, name: str, target: str, values: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Each value as the grid tells it and as the parameter takes it, of the declared type."""
    axis: dict[str, tuple[Any, Any]] = {}
    for item in _items(plan, name, target, values):
        given = refine(plan, {target: item if target == name else [item]}).values[target]
        told = given if target == name else given[0]
        if (written := json.dumps(told, sort_keys=True)) in axis:
            raise CourseError(f"the grid has {name} = {short_repr(told)} twice")
        axis[written] = told, given
    return list(axis.values())


def _items(plan: Plan, name: str, target: str, values: Iterable[Any]) -> list[Any]:
    """The values as they were written, ranges spelt out."""
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise CourseError(f"the grid's {name!r} wants a list of values, not {short_repr(values)}")
    declared = plan.lesson.parameters.get(target)
    whole = target != name or (declared is not None and declared.type == "int")
    items: list[Any] = []
    for value in [values] if isinstance(values, str) else values:
        found = RANGE.fullmatch(value) if isinstance(value, str) else None
        if found and whole:
            items += _range(name, value, found)
        elif found and target == "seeds":
            raise CourseError(
                f"each value of 'seeds' is a list such as '[0, 1, 2]'; for a point per seed write "
                f"seed {value}"
            )
        else:
            items.append(value)
        if len(items) > MOST_POINTS:
            raise CourseError(f"the grid's {name!r} has more than {MOST_POINTS:,} values")
    if not items:
        raise CourseError(f"the grid has no value for {name!r}")
    return items


def _range(name: str, text: str, found: re.Match[str]) -> range:
    start, stop, step = (int(number or 1) for number in found.groups())
    numbers = range(start, stop, step) if step else range(0)
    if not numbers:
        raise CourseError(f"the range {text!r} of {name!r} is empty; 0:3 means 0, 1, 2")
    return numbers[: MOST_POINTS + 1]
