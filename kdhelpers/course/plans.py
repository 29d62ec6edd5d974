"""What is to be run: lessons, and their parameters checked by name and type.

Values come from four places, the later before the earlier: the notebook's own, the profile's, a
file's and the caller's. Whatever is wrong with one of them is said before anything runs.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdhelpers._values import short_path, short_repr
from kdhelpers.course.lesson import Notebook, did_you_mean, find_lessons
from kdhelpers.course.parameters import convert, read_file
from kdhelpers.course.records import RECORD_FILE, CourseError, wanted

CHECKPOINTS = "checkpoint_dir"
WHERE = ("data_root", "device", "devices", "workers")  # where networks train, not which


@dataclass(frozen=True)
class Plan:
    """A lesson with checked parameters: `values` are those that differ from the notebook's own."""

    lesson: Notebook
    profile: str
    values: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, the notebook's defaults included; `record_file` is the runner's own."""
        declared = self.lesson.parameters.values()
        return {p.name: p.default for p in declared if p.name != RECORD_FILE} | self.values


def plan(
    lessons: str | Path | Sequence[str | Path] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    parameter_file: str | Path | None = None,
) -> list[Plan]:
    """Find the lessons and check every parameter by name and type; arguments as for `run`.

    Raises:
        CourseError: a lesson, profile, file or parameter does not exist, a value does not fit, or
            an argument is of another type.
    """
    wanted(profile, str, name="profile")
    wanted(parameters, Mapping, type(None), name="parameters")
    wanted(parameter_file, str, Path, type(None), name="parameter_file")
    chosen = find_lessons(lessons)
    for_all = [_Layer("", dict(parameters or {}))]
    if parameter_file:
        for_all.insert(0, _layer_from(Path(parameter_file)))
    known = {name for lesson in chosen for name in lesson.parameters}
    for layer in for_all:
        layer.check_names(known)
    return [_plan_one(lesson, profile, for_all) for lesson in chosen]


@dataclass(frozen=True)
class _Layer:
    """Parameters from one source; later layers go before earlier ones."""

    source: str  # begins the error message: a file, or nothing
    values: dict[str, Any]

    def check_names(self, known: set[str]) -> None:
        for name in self.values:
            if name == RECORD_FILE:
                raise CourseError(
                    f"{self.source}{RECORD_FILE!r} is set by the runner; choose the folder of the "
                    "records with --out (out_dir)"
                )
            if name not in known:
                hint = did_you_mean(short_repr(name).strip("'"), sorted(known - {RECORD_FILE}))
                raise CourseError(f"{self.source}unknown parameter {short_repr(name)}{hint}")


def _layer_from(path: Path) -> _Layer:
    try:
        return _Layer(f"{short_path(path)[1:-1]}: ", read_file(path))
    except ValueError as error:
        raise CourseError(str(error)) from error


def _plan_one(lesson: Notebook, profile: str, for_all: list[_Layer]) -> Plan:
    if profile not in lesson.profiles:
        hint = did_you_mean(profile[:100], lesson.profiles)
        raise CourseError(f"{lesson.name} has no profile {short_repr(profile)}{hint}")
    planned = Plan(lesson, profile, {})
    if profile != "quick":
        own = _layer_from(lesson.profile(profile))
        own.check_names(set(lesson.parameters))
        for_all = [own, *for_all]
    for layer in for_all:
        planned = _with(planned, layer)
    return planned


def refine(plan: Plan, parameters: Mapping[str, Any]) -> Plan:
    """The plan with further values, checked in the same way, that go before its own.

    Raises:
        CourseError: the lesson has no such parameter, a value does not fit, or an argument is of
            another type.
    """
    wanted(plan, Plan, name="plan")
    wanted(parameters, Mapping, name="parameters")
    layer = _Layer("", dict(parameters))
    layer.check_names(set(plan.lesson.parameters))
    return _with(plan, layer)


def _with(plan: Plan, layer: _Layer) -> Plan:
    """The plan with those values of a layer that its lesson has."""
    values = {}
    for name, declared in plan.lesson.parameters.items():
        if name not in layer.values:
            continue
        try:
            values[name] = convert(layer.values[name], declared.type)
        except ValueError as error:
            where = f"{layer.source}parameter {name!r} of {plan.lesson.name}"
            raise CourseError(f"{where} {error}") from error
    return replace(plan, values=plan.values | _checkpoints_apart(plan.parameters, values))


def _checkpoints_apart(before: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values, with a folder of their own for checkpoints if other networks come of them.

    A checkpoint goes on with the settings that it was made with, and its file is named after the
    network alone: a student of T = 8 would find that of T = 4. Files do tell seeds apart.
    """
    others = {
        name: value
        for name, value in values.items()
        if value != before.get(name) and not name.endswith(("seed", "seeds")) and name not in WHERE
    }
    folder = before.get(CHECKPOINTS)
    if not folder or not others or CHECKPOINTS in values:
        return values
    return values | {CHECKPOINTS: f"{folder}/{folder_name(others, others)}"}


def folder_name(values: Mapping[str, Any], identity: object) -> str:
    """A folder's name that tells some values, made unique by a hash of what it stands for.

    Args:
        values: what to tell, by name.
        identity: plain values, as JSON has them; the same ones give the same name.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    words = ",".join(f"{name}={_written(value)}" for name, value in values.items())
    return f"{re.sub(r'[^A-Za-z0-9._=,+-]+', '_', words)[:60]}-{digest[:12]}"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
