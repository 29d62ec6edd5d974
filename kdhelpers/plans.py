"""What is to be run: lessons, and their parameters checked by name and type.

Values come from four places, the later before the earlier: the notebook's own, the profile's, a
file's and the caller's. Whatever is wrong with one of them is said before anything runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdhelpers._values import place, told
from kdhelpers.lessons import CourseError, Lesson, did_you_mean, find_lessons, wanted
from kdhelpers.parameters import convert, read_file
from kdhelpers.records import RECORD_FILE


@dataclass(frozen=True)
class Plan:
    """A lesson with checked parameters: `values` are those that differ from the notebook's own."""

    lesson: Lesson
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
                hint = did_you_mean(told(name).strip("'"), sorted(known - {RECORD_FILE}))
                raise CourseError(f"{self.source}unknown parameter {told(name)}{hint}")


def _layer_from(path: Path) -> _Layer:
    try:
        return _Layer(f"{place(path)[1:-1]}: ", read_file(path))
    except ValueError as error:
        raise CourseError(str(error)) from error


def _plan_one(lesson: Lesson, profile: str, for_all: list[_Layer]) -> Plan:
    layers = for_all
    if profile not in lesson.profiles:
        hint = did_you_mean(profile[:100], lesson.profiles)
        raise CourseError(f"{lesson.name} has no profile {told(profile)}{hint}")
    if profile != "quick":
        own = _layer_from(lesson.profile(profile))
        own.check_names(set(lesson.parameters))
        layers = [own, *for_all]
    return Plan(lesson, profile, _converted(lesson, layers))


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
    return replace(plan, values=plan.values | _converted(plan.lesson, [layer]))


def _converted(lesson: Lesson, layers: list[_Layer]) -> dict[str, Any]:
    values = {}
    for name, declared in lesson.parameters.items():
        for layer in layers:
            if name not in layer.values:
                continue
            try:
                values[name] = convert(layer.values[name], declared.type)
            except ValueError as error:
                where = f"{layer.source}parameter {name!r} of {lesson.name}"
                raise CourseError(f"{where} {error}") from error
    return values
