"""What is to be run: lessons with every parameter checked before anything starts.

A value comes from four places, the later before the earlier: the notebook's own, the profile's, a
file's and the caller's.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kdhelpers._files import read_text
from kdhelpers._values import check_type, did_you_mean, is_number, short_path, short_repr
from kdhelpers.course.notebook import Notebook, convert, find_lessons
from kdhelpers.course.records import RECORD_FILE, WHERE
from kdhelpers.course.root import CourseError

CHECKPOINTS = "checkpoint_dir"
KEPT = (CHECKPOINTS, "parts_dir")
START = 120.0  # seconds that a kernel may take to start, on a crowded machine

# Parameters from one source; its name begins the error message: a file, or nothing.
Layer = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """A lesson with checked parameters: `values` are those that differ from the notebook's own.

    `cell_timeout` and `start_timeout` are seconds that a cell and the kernel's start may take.
    """

    lesson: Notebook
    profile: str
    values: dict[str, Any]
    cell_timeout: float | None = None
    start_timeout: float = START

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, the notebook's defaults included; `record_file` is the runner's own."""
        declared = self.lesson.parameters.values()
        return {p.name: p.default for p in declared if p.name != RECORD_FILE} | self.values

    def values_in(self, folder: Path) -> dict[str, Any]:
        """The values for runs into the folder: what the profiles keep in `runs/` is kept there."""
        own = self.parameters
        kept = {name: Path(own[name]).parts for name in KEPT if own.get(name)}
        moved = {name: str(folder.joinpath(*parts[1:])) for name, parts in kept.items()
                 if parts[0] == "runs"}  # fmt: skip
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
    layers.append(("", dict(parameters or {})))
    known = {name for lesson in chosen for name in lesson.parameters}
    for layer in layers:
        _check_names(layer, known)
    planned = []
    for lesson in chosen:
        one = _of_profile(Plan(lesson, profile, {}, cell_timeout, start_timeout))
        for layer in layers:
            one = _with(one, layer)
        planned.append(one)
    return planned


def _check_limit(what: str, seconds: object) -> None:
    if not is_number(seconds) or not 0 < seconds < 1e9:
        raise CourseError(f"the limit of {what} is a number of seconds, not {short_repr(seconds)}")


def _of_profile(plan: Plan) -> Plan:
    """The plan with the values of its profile."""
    lesson, profile = plan.lesson, plan.profile
    if profile not in lesson.profiles:
        hint = did_you_mean(profile[:100], lesson.profiles)
        raise CourseError(f"{lesson.name} has no profile {short_repr(profile)}{hint}")
    if profile == "quick":
        return plan
    source, own = _from_file(lesson.profile(profile))
    return refine(plan, own, source)


def refine(plan: Plan, parameters: Mapping[str, Any], source: str = "") -> Plan:
    """The plan with further values, checked in the same way, that go before its own.

    `source` begins what is said of them: a file.
    """
    layer = (source, dict(parameters))
    _check_names(layer, set(plan.lesson.parameters))
    return _with(plan, layer)


def _check_names(layer: Layer, known: set[str]) -> None:
    source, values = layer
    if RECORD_FILE in values:
        own = f"{source}{RECORD_FILE!r} is set by the runner"
        raise CourseError(f"{own}; choose the folder of the records with --out (out_dir)")
    if unknown := [name for name in values if name not in known]:
        hint = did_you_mean(short_repr(unknown[0]).strip("'"), sorted(known - {RECORD_FILE}))
        raise CourseError(f"{source}unknown parameter {short_repr(unknown[0])}{hint}")


def _with(plan: Plan, layer: Layer) -> Plan:
    """The plan with those values of a layer that its lesson has."""
    source, given = layer
    values = {}
    for name, declared in plan.lesson.parameters.items():
        if name not in given:
            continue
        value = given[name]
        try:
            if isinstance(value, str) and declared.type not in ("int", "float", "bool", "str"):
                with suppress(ValueError):  # then text is what does not fit
                    value = _parse(value)
            values[name] = convert(value, declared.type)
        except ValueError as error:
            where = f"{source}parameter {name!r} of {plan.lesson.name}"
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
    """A folder's name that tells some values, made unique by a hash of what it stands for."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    words = ",".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
    )
    return f"{re.sub(r'[^A-Za-z0-9._=,+-]+', '_', words)[:60]}-{digest[:12]}"


# -- parameters in YAML ---------------------------------------------------------------------------


def _from_file(path: Path) -> Layer:
    """The parameters in a YAML file; an empty file has none, as with `papermill -f`."""
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
    return f"{told}: ", content


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


_Loader.yaml_implicit_resolvers = {
    letter: [rule for rule in rules if not rule[0].endswith(":timestamp")]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
