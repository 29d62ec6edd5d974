"""What is to be run: lessons, or the points of a grid, all checked before anything starts.

A value comes from four places, the later before the earlier: the notebook's own, the profile's, a
file's and the caller's.
"""

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kdhelpers._files import read_text
from kdhelpers._values import check_type, did_you_mean, is_number, short_path, short_repr
from kdhelpers.course.notebook import Notebook, convert, find_lessons
from kdhelpers.course.records import RECORD_FILE, WHERE, without_folders
from kdhelpers.course.root import CourseError

CHECKPOINTS = "checkpoint_dir"
KEPT = (CHECKPOINTS, "parts_dir")
START = 120.0  # seconds that a kernel may take to start, on a crowded machine
MOST_POINTS = 10_000  # more are a slip of the keyboard such as 0:100000
NUMBER = r"([+-]?\d{1,18})"
RANGE = re.compile(rf"\s*{NUMBER}:{NUMBER}(?::{NUMBER})?\s*", flags=re.ASCII)


@dataclass(frozen=True)
class Plan:
    """A lesson with checked parameters: `values` are those that differ from the notebook's own.

    `cell_timeout` and `start_timeout` are seconds that a cell and the kernel's start may take.
    `moved` names the parameters of `KEPT` that the caller has not set.
    """

    lesson: Notebook
    profile: str
    values: dict[str, Any]
    cell_timeout: float | None = None
    start_timeout: float = START
    moved: tuple[str, ...] = KEPT

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, the notebook's defaults included; `record_file` is the runner's own."""
        declared = self.lesson.parameters.values()
        return {p.name: p.default for p in declared if p.name != RECORD_FILE} | self.values

    def values_in(self, folder: Path) -> dict[str, Any]:
        """The values for runs into the folder: what the profiles keep in `runs/` is kept there,
        what they keep elsewhere lies in the course, whatever folder one works in.
        """
        own, course = self.parameters, self.lesson.path.resolve().parent.parent
        moved = {}
        for name in filter(own.get, self.moved):
            first, *rest = Path(own[name]).parts or (".",)
            moved[name] = str(folder.joinpath(*rest) if first == "runs" else course / own[name])
        return self.values | moved

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same: records tell it, and `records.belongs_to` compares it."""
        lesson = self.lesson
        return {"notebook": lesson.name, "profile": self.profile, "lesson": lesson.digest,
                "parameters": self.parameters}  # fmt: skip


def plan(
    lessons: str | Path | Sequence[str | Path] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    parameter_file: str | Path | None = None,
    cell_timeout: float | None = None,
    start_timeout: float = START,
) -> list[Plan]:
    """Find the lessons and check everything asked for.

    Args:
        lessons: a number, name or path, or several of them; none means all.
        profile: "quick" (the notebook's own values), or NAME for `profiles/NAME/NN_name.yaml`:
            every lesson has "full".
        parameters: values that go before those of the file, which go before the profile's. With
            several lessons each takes those that it has. Text is converted to the declared type.
            Where the profile keeps checkpoints, those of other values get a folder of their own
            below its `checkpoint_dir`; other seeds or another device share it.
        parameter_file: a YAML file in papermill's `-f` format.
        cell_timeout: seconds after which a cell that is still running fails; default: never.
        start_timeout: seconds that a kernel may take to start.

    Raises:
        CourseError: a lesson, profile, file or parameter does not exist, or a value does not fit.
    """
    check_type(profile, str, name="profile")
    check_type(parameters, Mapping, type(None), name="parameters")
    check_type(parameter_file, str, Path, type(None), name="parameter_file")
    _check_limit("a kernel's start", start_timeout)
    if cell_timeout is not None:
        _check_limit("a cell", cell_timeout)
    chosen = find_lessons(lessons)
    if empty := next((each for each in chosen if not any(map(str.strip, each.code))), None):
        raise CourseError(f"{empty.path.name} has no code cell, so there is nothing to run")
    layers = [_from_file(Path(parameter_file))] if parameter_file else []
    layers.append((parameters or {}, ""))
    known = {name for lesson in chosen for name in lesson.parameters}
    planned = []
    for lesson in chosen:
        if profile not in lesson.profiles:
            hint = did_you_mean(profile[:100], lesson.profiles)
            raise CourseError(f"{lesson.name} has no profile {short_repr(profile)}{hint}")
        one = Plan(lesson, profile, {}, cell_timeout, start_timeout)
        if profile != "quick":
            own = refine(one, *_from_file(lesson.profile(profile)))
            one = replace(one, values=own.values)
        for values, source in layers:
            one = refine(one, values, source, known)
        planned.append(one)
    return planned


def _check_limit(what: str, seconds: object) -> None:
    if not is_number(seconds) or not 0 < seconds < 1e9:
        raise CourseError(f"the limit of {what} is a number of seconds, not {short_repr(seconds)}")


def refine(
    plan: Plan, given: Mapping[str, Any], source: str = "", known: Collection[str] = ()
) -> Plan:
    """The plan with further values, checked in the same way, that go before its own.

    Args:
        source: begins what is said of them: the name of a file.
        known: names that may be among them though this lesson does not have them.
    """
    declared = plan.lesson.parameters
    known = {*declared, *known}
    if RECORD_FILE in given:
        own = f"{source}{RECORD_FILE!r} is set by the runner"
        raise CourseError(f"{own}; choose the folder of the records with --out (out_dir)")
    if unknown := [name for name in given if name not in known]:
        hint = did_you_mean(short_repr(unknown[0]).strip("'"), sorted(known - {RECORD_FILE}))
        raise CourseError(f"{source}unknown parameter {short_repr(unknown[0])}{hint}")
    values = {}
    for name, parameter in declared.items():
        if name not in given:
            continue
        value, kind = given[name], parameter.type
        try:
            if isinstance(value, str) and kind not in ("int", "float", "bool", "str"):
                with suppress(ValueError):  # then text is what does not fit
                    value = _parse(value)
            values[name] = convert(value, kind)
        except ValueError as error:
            where = f"{source}parameter {name!r} of {plan.lesson.name}"
            raise CourseError(f"{where} {error}") from error
    values = plan.values | _checkpoints_apart(plan.parameters, values)
    return replace(plan, values=values, moved=tuple(n for n in plan.moved if n not in given))


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

    Of a path it tells the last part: a record names its folder of checkpoints.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    words = ",".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in without_folders(dict(values)).items()
    )
    return f"{re.sub(r'[^A-Za-z0-9._=,+-]+', '_', words)[:60]}-{digest[:12]}"


# -- the points of a grid -------------------------------------------------------------------------


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

    Values are converted to the declared type as `kdhelpers run -p` does. For a number the
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
        # As the records will tell it: of files without their folders.
        if (written := json.dumps(without_folders(told), sort_keys=True)) in axis:
            remedy = "; give relative paths" * (axis[written][0] != told)
            raise CourseError(f"the grid has {name} = {short_repr(told)} twice{remedy}")
        axis[written] = told, given
    return list(axis.values())


def _items(plan: Plan, name: str, target: str, values: Iterable[Any]) -> list[Any]:
    """The values as they were written, ranges spelt out."""
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise CourseError(f"the grid's {name!r} wants a list of values, not {short_repr(values)}")
    declared = plan.lesson.parameters.get(target)
    number = target != name or (declared is not None and declared.type in ("int", "float"))
    items: list[Any] = []
    for value in [values] if isinstance(values, str) else values:
        found = RANGE.fullmatch(value) if isinstance(value, str) else None
        if found and number:
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


# -- parameters in YAML ---------------------------------------------------------------------------


def _from_file(path: Path) -> tuple[Mapping[str, Any], str]:
    """The parameters in a YAML file, and how an error about them begins.

    An empty file has none, as with `papermill -f`.
    """
    told = short_path(path)[1:-1]
    try:
        content = _parse(read_text(path))
    except OSError as error:
        raise CourseError(f"{told} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{told} is not UTF-8 text") from error
    except ValueError as error:
        raise CourseError(f"{told} is not valid YAML ({error})") from error
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise CourseError(f"{told} must map parameter names to values, one 'name: value' a line")
    return content, f"{told}: "


class _Loader(yaml.SafeLoader):
    """YAML as papermill reads it (dates stay text), without aliases, which can grow endlessly, and
    without a key that stands twice, of which one would be lost unseen.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases such as *name are not supported")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        counted = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for key, count in counted.items() if count > 1]:
            raise ValueError(f"the key {short_repr(twice[0])} stands twice")
        return node


# Numbers are those of YAML 1.2: 1e-3 is one, and 1:10 is text, not 70.
_Loader.yaml_implicit_resolvers = {
    letter: [rule for rule in rules if not rule[0].endswith((":timestamp", ":int", ":float"))]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
REAL = re.compile(
    r"[-+]?((?=[0-9]*[.eE])(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?|\.inf)$|\.nan$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", WHOLE, [*"-+0123456789"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", REAL, [*"-+.0123456789"])


def _parse(text: str) -> Any:
    """What YAML holds."""
    try:
        return yaml.load(text, _Loader)  # it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except Exception as error:  # a tag that does not fit (!!int x) raises whatever it likes
        raise ValueError(str(error).partition("\n")[0]) from error
