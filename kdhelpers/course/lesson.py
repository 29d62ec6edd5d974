"""What a lesson calls as it runs: its parameters, its clock, its finished runs, and its record."""

import dataclasses
import hashlib
import inspect
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdhelpers._files import write_text
from kdhelpers._values import check_type, short_repr
from kdhelpers.course import notebook, records
from kdhelpers.course.notebook import TYPES, convert, find_lessons
from kdhelpers.course.records import RECORD_FILE, is_place, plain, read_json, without_folders
from kdhelpers.course.root import CourseError, home

if TYPE_CHECKING:
    from kdhelpers.stats.tables import Table

PARTS = "parts_dir"  # the parameter that says where finished runs are kept

Run = Callable[..., dict[str, Any]]


class Lesson:
    """A lesson as it runs: its parameters, its clock, and its record.

    `parameters` has every value of the parameters cell but `record_file`, by name.
    """

    def __init__(self, name: str, parameters: dict[str, Any], record_file: str) -> None:
        self.name, self.parameters = name, parameters
        self._record_file, self._started = record_file, time.perf_counter()
        self._device = _device(parameters.get("device"))
        self._parts: list[dict[str, Any]] = []  # the finished runs that it has used
        self._made: list[Path] = []  # the files of those that were not read, but made
        self._tables: dict[str, Table] = {}

    def kept(self, run: Run) -> Run:
        """Keep what a function returns in `parts_dir`, a file for each set of its arguments.

        Written above one that trains a student and returns its figures: `@lesson.kept`. What is
        there already is read, not computed again. With no such parameter, or "", nothing is kept.
        So a record of many hours survives a change of machine, and several machines can share it
        out: each makes some arms or seeds, and the files are put together in one folder. After a
        change of the function give another folder, or move its files away.

        Args:
            run: its arguments are plain values, it returns figures by name: numbers, text, lists.
        """
        if not self.parameters.get(PARTS):
            return run
        signature = inspect.signature(run)

        @wraps(run)
        def looked_up(*args: Any, **kwargs: Any) -> dict[str, Any]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            known = plain(bound.arguments, f"the arguments of {run.__name__}")
            key = {"lesson": self.name, "function": run.__name__, "run": known}
            part = self._part(key, lambda: run(*args, **kwargs))
            self._parts.append(part)
            return dict(part["figures"])

        return looked_up

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """The parameters that every part depends on.

        They are all but those that say *which* runs there are (the seed, lists and mappings with a
        name in the plural: what a run takes of them is among its arguments) or where they are made.
        A file is known by what it holds, wherever it lies.
        """
        return {
            name: _contents(value)
            for name, value in self.parameters.items()
            if name not in ("precision", "seed")  # each part tells its own
            and not is_place(name)
            and not (isinstance(value, list | dict) and name.endswith("s"))
        }

    def _part(self, known: dict[str, Any], compute: Callable[[], Any]) -> dict[str, Any]:
        """The finished run of a function and its arguments: read from its file, else made.

        The file is that of the lesson's `_settings`, too. It is not that of the code.
        """
        text = json.dumps([known, self._settings], sort_keys=True)
        words = "-".join(map(_key, known["run"].values()))
        safe = re.sub(r"[^A-Za-z0-9.+-]+", "_", words)[:80]
        name = f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        path = Path(self.parameters[PARTS], name)
        if path.exists():
            part = read_json(path)
            right = isinstance(part, dict) and known.items() <= part.items()
            if not right or not isinstance(part.get("figures"), dict):
                raise CourseError(f"{path} is not the part of {known['run']}; move it away")
            return dict(part)
        self._made.append(path)  # threads may append at once, not count
        started = time.perf_counter()
        figures = plain(compute(), f"the figures of {words}")
        if not isinstance(figures, dict):
            raise CourseError(f"{known['function']} must return a dict, got {short_repr(figures)}")
        part = known | {
            "parameters": self._settings,
            "figures": figures,
            "seconds": time.perf_counter() - started,
            "environment": records.environment(self._device),
        }
        write_text(path, json.dumps(part, indent=1) + "\n")
        return part

    def _joined(self) -> dict[str, Any]:
        """What a record tells of its parts: how many, how many of them were `made` by this run and
        not read, their seconds, where they were made.
        """
        made = [part.get("environment", {}) for part in self._parts]
        figures = [part["figures"] for part in self._parts]
        return {
            "count": len(self._parts),
            "made": len(self._made),
            "seconds": sum(float(part.get("seconds", 0)) for part in self._parts),
            "processors": sorted({str(each.get("processor")) for each in made}),
            "commits": sorted({str(each.get("commit")) for each in made}),
            "precisions": sorted({str(f["precision"]) for f in figures if "precision" in f}),
        }

    def table(self, title: str, table: "Table") -> "Table":
        """A table that the record shows, too, under this title: in README, report and notebook.

        It is handed back, so a cell that ends with it shows it. One of the same title is replaced.
        """
        self._tables[title] = table
        return table

    def record(self, headline: str, **metrics: Any) -> dict[str, Any]:
        """Keep what was measured where `record_file` says, print the headline, return the record.

        Args:
            headline: the result in a line.
            metrics: numbers, text, lists, mappings, dataclasses. Tensors and NumPy values of one
                number count as numbers, keys that are numbers or tuples as text (4.0 as "4").

        Raises:
            CourseError: a metric is NaN, an array, …; the message names its key.
            OSError: the file cannot be written.
        """
        check_type(headline, str, name="headline")
        joined = {"parts": self._joined()} if self.parameters.get(PARTS) else {}
        record = records.write_record(
            self._record_file,
            notebook=self.name,
            parameters=self.parameters,
            metrics={"headline": headline, **_named(metrics), **joined},
            device=self._device,
            started=self._started,
            tables=_named(self._tables) or None,
        )
        told = records.read_or_made(record)
        print(f"{headline} ({record['seconds']:.0f} s)" + f"\n{told}" * bool(told))
        return record

    def recorded(self) -> records.Recorded:
        """The recorded runs of this lesson, those in `results/` of the course, to be shown.

        Where the notebook is alone, as on Colab, they are those that come with the package.

        Raises:
            CourseError: a file there is not a record of this lesson.
        """
        return records.Recorded(self.name)


def lesson(name: str, values: Mapping[str, Any]) -> Lesson:
    """What a lesson calls after its parameters cell; it starts the clock.

        lesson = kd.lesson("01_mnist_kd", globals())

    The parameters and their types are those that the kernel has seen annotated, so the notebook's
    file need not be there; where the kernel does not say, they are those of the course's file.

    Raises:
        CourseError: a value is not of the type that its parameter declares, or there are no
            parameters.
    """
    check_type(name, str, name="name")
    check_type(values, Mapping, name="values")
    seen = {key: _kind(each) for key, each in (values.get("__annotations__") or {}).items()}
    kinds = {key: kind for key, kind in seen.items() if kind in TYPES and key in values}
    if not kinds:
        (file,) = find_lessons(name, home())
        kinds = {key: each.type for key, each in file.parameters.items()}
    if missing := kinds.keys() - values.keys():
        raise CourseError(f"{name} has no value for {min(missing)!r}; run its parameters cell")
    checked = {key: _given(name, key, values[key], kind) for key, kind in kinds.items()}
    for key, value in checked.items():
        # What nothing takes before the teacher is trained: told now, and not hours later.
        if key.endswith("seeds") and (len(set(value)) < len(value) or min(value, default=0) < 0):
            raise CourseError(f"{key} must be different whole numbers from 0, got {value}")
        if key == "seeds" and not value:
            raise CourseError("seeds needs at least one value, got []")
        if key == "workers" and value < 1:
            raise CourseError(f"workers must be at least 1, got {value}")
    if both := {*checked.get("seeds", ())} & {*checked.get("tuning_seeds", ())}:
        raise CourseError(f"tuning_seeds must differ from seeds, but both have {min(both)}")
    return Lesson(name, checked, checked.pop(RECORD_FILE, ""))


def made_for(version: str) -> None:
    """What a lesson's first cell calls: it says so if the notebook is older or newer than we are.

        kd.made_for("0.2")

    Raises:
        CourseError: it is no version of two numbers.
    """
    if told := notebook.made_for(version):
        print(f"This notebook is {told}.")


def _kind(annotation: object) -> str:
    return annotation.__name__ if type(annotation) is type else str(annotation)


def _given(lesson: str, name: str, value: Any, kind: str) -> Any:
    """The value, which has its type already: the lesson goes on with what stands in its cell."""
    where = f"parameter {name!r} of {lesson}"
    remedy = f"; with plain papermill write -y '{name}: {value}'" * (not kind.startswith("str"))
    try:
        converted = convert(value, kind)
        if converted == plain(value, name):
            return converted
    except ValueError as error:
        several = isinstance(value, str) and kind.startswith(("list", "dict"))
        raise CourseError(f"{where} {error}{remedy * several}") from error
    raise CourseError(f"{where} wants {TYPES[kind]}, not the text {short_repr(value)}{remedy}")


def _device(asked: object) -> object:
    """What was asked for; for "auto", what that means here to a lesson that has loaded PyTorch."""
    if asked not in (None, "", "auto") or "torch" not in sys.modules:
        return asked or "cpu"
    from kdhelpers.training.devices import kind_and_index

    return kind_and_index("auto")[0]


def _contents(value: Any) -> Any:
    with suppress(OSError):  # a text may be longer than a file's name
        if isinstance(value, str) and Path(value).suffix and Path(value).is_file():
            return f"sha256:{hashlib.sha256(Path(value).read_bytes()).hexdigest()}"
    return without_folders(value)


def _named(value: Any) -> Any:
    """The same with text for keys, and mappings for dataclasses."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        named = [(_key(key), _named(each)) for key, each in value.items()]
        if len(dict(named)) < len(named):
            raise CourseError(f"two keys are one as text among {short_repr(list(value))}")
        return dict(named)
    if isinstance(value, list | tuple):
        return [_named(each) for each in value]
    return value


def _key(key: Any) -> str:
    if isinstance(key, tuple):
        return ", ".join(map(_key, key))
    return f"{key:g}" if isinstance(key, float) else str(key)
