"""The lessons: where they are, which parameters they declare, and what one calls as it runs.

A `Notebook` is a file of the course; a `Lesson` is what `kd.lesson` returns inside of one.
"""

import ast
import dataclasses
import hashlib
import io
import json
import re
import sys
import time
import tokenize
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdhelpers._values import require, short_repr
from kdhelpers.course import records
from kdhelpers.course.parts import K, Parts, Run
from kdhelpers.course.records import LESSONS, RECORD_FILE, CourseError, find_root, plain, wanted

if TYPE_CHECKING:
    from kdhelpers.course.results import Recorded
    from kdhelpers.stats.tables import Table

__all__ = ["TYPES", "Lesson", "Notebook", "Parameter", "convert", "did_you_mean", "find_lessons"]
__all__ += ["lesson"]

PARTS = "parts_dir"  # the parameter that says where finished runs are kept

# What a person is told who gave something else.
TYPES = {
    "int": "a whole number (int)",
    "float": "a finite number (float)",
    "bool": "true or false (bool)",
    "str": "text (str)",
    "list[int]": "a list of whole numbers such as [0, 1, 2]",
    "list[float]": "a list of finite numbers such as [0.5, 1.0]",
    "list[str]": "a list of texts such as [mnist, digits]",
    "dict": "a mapping such as {conv1: 0.5, conv2: 1.0}",
}


def convert(value: Any, kind: str) -> Any:
    """`value` as the type `kind`, one of `TYPES`; text may stand for a number or a truth value.

    Raises:
        ValueError: it does not fit; the message says what is wanted.
    """
    try:
        value, of, item = plain(value, "the value"), *kind.rstrip("]").partition("[")[::2]
        if of == "list" and isinstance(value, list):
            return [_converted(each, item) for each in value]
        return _converted(value, of)
    except (ValueError, KeyError):
        raise ValueError(f"wants {TYPES[kind]}, not {short_repr(value)}") from None


def _converted(value: Any, of: str) -> Any:
    """A value of one of the types there, else a ValueError or KeyError."""
    return plain(_CONVERTERS[of, type(value)](value), "the value")


_CONVERTERS: dict[tuple[str, type], Callable[[Any], Any]] = {
    ("int", int): int,
    ("int", str): int,
    # YAML takes 1e-3 for text (it wants 1.0e-3), so text must do here, too.
    **dict.fromkeys([("float", int), ("float", float), ("float", str)], float),
    ("bool", bool): bool,
    ("bool", str): lambda text: {"true": True, "false": False}[text.strip().lower()],
    ("str", str): str,
    ("dict", dict): dict,
}


# -- the files of the course ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One line of a lesson's parameters cell: `name: type = default  # help`."""

    name: str
    type: str
    default: Any
    help: str


@dataclasses.dataclass(frozen=True)
class Notebook:
    """A notebook of the course, or any other notebook that keeps to its conventions.

    What reads its file raises `CourseError` if that is not a notebook.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def number(self) -> str:
        return self.name.partition("_")[0]

    def profile(self, name: str) -> Path:
        """The file with the parameters of a profile, in the format of `papermill -f`."""
        return self.path.parent / "profiles" / name / f"{self.name}.yaml"

    @property
    def profiles(self) -> list[str]:
        """The profiles that the lesson has: "quick", its own values, and those with a file."""
        files = self.path.parent.glob(f"profiles/*/{self.name}.yaml")
        return ["quick", *sorted(file.parent.name for file in files)]

    @cached_property
    def title(self) -> str:
        """The first heading."""
        texts = (source for kind, source, _ in self._cells if kind == "markdown")
        headings = (line for text in texts for line in text.splitlines() if line.startswith("#"))
        return next(headings, "").lstrip("# ").strip()

    @cached_property
    def card(self) -> dict[str, str]:
        """The table of the title card, the first cell: "Time", "Runs in", "You need"."""
        first = self._cells[0][1] if self._cells else ""
        return dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|$", first, flags=re.M))

    @cached_property
    def lead(self) -> str:
        """What the title card says of the lesson, in bold; "" if nothing."""
        first = self._cells[0][1] if self._cells else ""
        found = re.search(r"^\*\*(.+)\*\*$", first, flags=re.M)
        return found.group(1) if found else ""

    @property
    def minutes(self) -> int:
        """To read and do, according to the title card; 0 if it does not say."""
        found = re.search(r"(\d+) minutes", self.card.get("Time", ""))
        return int(found.group(1)) if found else 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the code cells: a changed text or a stored output makes no other lesson."""
        code = [source for kind, source, _ in self._cells if kind == "code"]
        return hashlib.sha256(json.dumps(code).encode()).hexdigest()

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declared parameters by name, in the notebook's order.

        Raises:
            CourseError: the file is not a notebook, or a parameter is not an annotated literal.
        """
        cell = next((source for _, source, tags in self._cells if "parameters" in tags), "")
        try:
            statements = ast.parse(cell).body
            words = tokenize.generate_tokens(io.StringIO(cell).readline)
            comments = {
                w.start[0]: w.string.lstrip("# ") for w in words if w.type == tokenize.COMMENT
            }
        except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError) as error:
            reason = getattr(error, "msg", None) or str(error) or type(error).__name__
            raise CourseError(
                f"{self.path}: the parameters cell is not plain Python ({reason})"
            ) from error
        found = {}
        for statement in statements:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                for parameter in self._declared(statement, comments):
                    found[parameter.name] = parameter
        return found

    def _declared(
        self, statement: ast.Assign | ast.AnnAssign, comments: dict[int, str]
    ) -> list[Parameter]:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
        kind = ast.unparse(statement.annotation) if isinstance(statement, ast.AnnAssign) else ""
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if names:
            told = f"{self.path}: the parameter {names[0]!r} must be annotated with one of"
            require(kind in TYPES, f"{told} {', '.join(TYPES)}", CourseError)
        help_ = comments.get(statement.end_lineno or 0, "").strip()
        return [Parameter(name, kind, self._default(name, kind, statement.value), help_)
                for name in names]  # fmt: skip

    def _default(self, name: str, kind: str, value: ast.expr | None) -> Any:
        try:
            return convert(ast.literal_eval(value or ""), kind)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise CourseError(
                f"{self.path}: the parameter {name!r} wants a literal {kind} as its default, "
                f"not {ast.unparse(value) if value else 'nothing'}"
            ) from error

    @cached_property
    def _cells(self) -> list[tuple[str, str, list[str]]]:
        """Type, source and tags; read as JSON, for nbformat takes seconds to import."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return [
                (
                    str(cell["cell_type"]),
                    "".join([*cell["source"]]),
                    list(cell.get("metadata", {}).get("tags", [])),
                )
                for cell in content["cells"]
            ]
        except OSError as error:
            reason = error.strerror or str(error)
        except KeyError as error:
            reason = f"it has no {error.args[0]!r}"
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error).partition("\n")[0][:200]
        raise CourseError(f"{self.path} cannot be read as a notebook: {reason}")


def find_lessons(
    names: str | Path | Sequence[str | Path] = (), root: Path | None = None
) -> list[Notebook]:
    """The lessons called `names` ("01", "1", "01_mnist_kd" or a path), each once; none means all.

    Raises:
        CourseError: there is no such lesson, two of the lessons have the same name, or an argument
            is neither text nor a path.
    """
    wanted(names, str, Path, list, tuple, name="a lesson")
    if isinstance(names, str | Path):
        names = [names]
    for name in names:
        wanted(name, str, Path, name="a lesson")
    if not names:
        return _all(root)
    chosen = list(dict.fromkeys(_find_one(str(name), root) for name in names))
    seen: dict[str, Path] = {}
    for notebook in chosen:
        first = seen.setdefault(notebook.name, notebook.path)
        told = f"{first} and {notebook.path} have the same name and would overwrite each other's"
        apart = "results; run them one by one with different --out"
        require(first is notebook.path, f"{told} {apart}", CourseError)
    return chosen


def _all(root: Path | None) -> list[Notebook]:
    return [Notebook(path) for path in sorted((root or find_root()).glob(f"notebooks/{LESSONS}"))]


def _find_one(name: str, root: Path | None) -> Notebook:
    if name.endswith(".ipynb"):
        there = False
        with suppress(OSError, ValueError):  # longer than a path can be, or with a NUL
            there = Path(name).is_file()
        require(there, f"there is no notebook {short_repr(name)}", CourseError)
        return Notebook(Path(name).resolve())
    known = _all(root)
    number = int(name) if name.isdecimal() else None
    found = [each for each in known if name == each.name or number == int(each.number)]
    several = f"{name!r} may be {' or '.join(match.name for match in found)}"
    require(len(found) < 2, several, CourseError)
    hint = did_you_mean(name, [each.name for each in known])
    require(found, f"unknown lesson {short_repr(name)}{hint}", CourseError)
    return found[0]


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, else all of them."""
    near = get_close_matches(name, known, n=1) or [k for k in known if name and name in k][:1]
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}" if known else "; there are none"


# -- inside of a running lesson -------------------------------------------------------------------


class Lesson:
    """A lesson as it runs: its parameters, its clock, and its record.

    `parameters` has every value of the parameters cell but `record_file`, by name.
    """

    def __init__(self, name: str, parameters: dict[str, Any], record_file: str) -> None:
        self.name, self.parameters = name, parameters
        self._record_file, self._started = record_file, time.perf_counter()
        self._device = _device(parameters.get("device"))
        folder = parameters.get(PARTS)
        self._parts = Parts(Path(folder), name, parameters, self._device) if folder else None

    def kept(self, arms: "Mapping[K, Run]", group: str = "") -> "Mapping[K, Run]":
        """The arms for `run_arms`, each run kept as a file in `parts_dir` as soon as it ends.

        A run that is there already is read, not repeated. With no such parameter, or "", nothing
        is kept.

        Args:
            arms: functions of a seed that return figures: numbers, text, lists, mappings.
            group: tells arms of one name apart.
        """
        return self._parts.kept(arms, group) if self._parts else arms

    def record(
        self,
        headline: str,
        *,
        tables: "Mapping[str, Table] | None" = None,
        device: object = None,
        **metrics: Any,
    ) -> dict[str, Any]:
        """Keep what was measured where `record_file` says, print the headline, return the record.

        Args:
            headline: the result in a line.
            tables: what README, report and notebook show of it, by title.
            device: where it was computed; default: what "auto" means here.
            metrics: numbers, text, lists, mappings, dataclasses. Tensors and NumPy values of one
                number count as numbers, keys that are numbers or tuples as text (4.0 as "4").

        Raises:
            CourseError: a metric is NaN, an array, …; the message names its key.
            OSError: the file cannot be written.
        """
        wanted(headline, str, name="headline")
        shown = {
            title: {"headers": list(table.headers), "rows": [list(row) for row in table.rows]}
            for title, table in (tables or {}).items()
        }
        record = records.write_record(
            self._record_file,
            notebook=self.name,
            parameters=self.parameters,
            metrics={"headline": headline, **_named(metrics), **self._joined()},
            device=self._device if device is None else device,
            started=self._started,
            tables=None if tables is None else shown,
        )
        print(f"{headline} ({record['seconds']:.0f} s)")
        return record

    def _joined(self) -> dict[str, Any]:
        return {"parts": self._parts.summary()} if self._parts else {}

    def recorded(self) -> "Recorded":
        """The recorded runs of this lesson, those in `results/` of the course, to be shown.

        Raises:
            CourseError: a file there is not a record of this lesson.
        """
        from kdhelpers.course.results import Recorded  # scipy takes a second to import

        try:
            root = find_root()
        except CourseError:  # a notebook alone, as on Colab
            return Recorded(self.name, [])
        return Recorded(self.name, records.load_records(self.name, root / "results"))


def lesson(name: str, values: Mapping[str, Any]) -> Lesson:
    """What a lesson calls after its parameters cell; it starts the clock.

        lesson = kd.lesson("01_mnist_kd", globals())

    The parameters and their types are those that the kernel has seen annotated, so the notebook's
    file need not be there; where the kernel does not say, they are those of the course's file.

    Raises:
        CourseError: a value is not of the type that its parameter declares, or there are no
            parameters.
    """
    wanted(name, str, name="name")
    wanted(values, Mapping, name="values")
    given = values.get("__annotations__") or {}
    kinds = {key: kind if isinstance(kind, str) else getattr(kind, "__name__", "")
             if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
             for key, kind in given.items()}  # fmt: skip
    kinds = {key: kind for key, kind in kinds.items() if kind in TYPES and key in values}
    if not kinds:
        kinds = {key: each.type for key, each in _find_one(name, None).parameters.items()}
    if missing := kinds.keys() - values.keys():
        raise CourseError(f"{name} has no value for {min(missing)!r}; run its parameters cell")
    checked = {key: _given(name, key, values[key], kind) for key, kind in kinds.items()}
    for key, value in checked.items():
        # What nothing takes before the teacher is trained: told now, and not hours later.
        if key.endswith("seeds") and (len(set(value)) < len(value) or min(value, default=0) < 0):
            raise CourseError(f"{key} must be different whole numbers from 0, got {value}")
        require(value or key != "seeds", "seeds needs at least one value, got []", CourseError)
        if key == "workers" and value < 1:
            raise CourseError(f"workers must be at least 1, got {value}")
    return Lesson(name, checked, checked.pop(RECORD_FILE, ""))


def _given(lesson: str, name: str, value: Any, kind: str) -> Any:
    """The value, which has its type already: the lesson goes on with what stands in its cell."""
    where = f"parameter {name!r} of {lesson}"
    try:
        converted = convert(value, kind)
        if converted == plain(value, name):
            return converted
    except ValueError as error:
        raise CourseError(f"{where} {error}") from error
    raise CourseError(
        f"{where} wants {TYPES[kind]}, not the text {short_repr(value)}"
        + f"; with plain papermill write -y '{name}: {value}'" * (not kind.startswith("str"))
    )


def _device(asked: object) -> object:
    torch = sys.modules.get("torch")
    if asked not in (None, "", "auto") or torch is None:
        return asked or "cpu"
    return torch.accelerator.current_accelerator(check_available=True) or "cpu"


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
