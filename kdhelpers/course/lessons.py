"""The lessons: where they are, what they are called, and which parameters they declare."""

import ast
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from kdhelpers._values import check_type, short_repr
from kdhelpers.course import parameters

__all__ = ["CourseError", "Lesson", "Parameter", "did_you_mean", "find_lessons", "find_root"]
__all__ += ["for_papermill", "wanted"]

PATTERN = "[0-9][0-9]_*.ipynb"


class CourseError(ValueError):
    """What was asked for cannot be done; the message is one sentence for the person who asked."""


def wanted(value: object, *kinds: type, name: str) -> None:
    """Check for a value of one of the types.

    Raises:
        CourseError: it is none.
    """
    try:
        check_type(value, *kinds, name=name)
    except ValueError as error:
        raise CourseError(str(error).rstrip(".")) from error


@dataclass(frozen=True)
class Parameter:
    """One line of a lesson's parameters cell: `name: type = default  # help`."""

    name: str
    type: str
    default: Any
    help: str


@dataclass(frozen=True)
class Lesson:
    """A notebook of the course, or any other notebook that keeps to its conventions.

    Raises:
        CourseError: `path` is no path.
    """

    path: Path

    def __post_init__(self) -> None:
        wanted(self.path, Path, name="the path of a lesson")

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
        """The first heading.

        Raises:
            CourseError: the file is not a notebook.
        """
        texts = (cell.source for cell in self._cells if cell.cell_type == "markdown")
        headings = (line for text in texts for line in text.splitlines() if line.startswith("#"))
        return next(headings, "").lstrip("# ").strip()

    @cached_property
    def card(self) -> dict[str, str]:
        """The table of the title card, the first cell: "Time", "Runs in", "You need".

        Raises:
            CourseError: the file is not a notebook.
        """
        first = self._cells[0].source if self._cells else ""
        return dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|$", first, flags=re.M))

    @property
    def minutes(self) -> int:
        """To read and do, according to the title card; 0 if it does not say."""
        found = re.search(r"(\d+) minutes", self.card.get("Time", ""))
        return int(found.group(1)) if found else 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the code cells: a changed text or a stored output makes no other lesson.

        Raises:
            CourseError: the file is not a notebook.
        """
        code = [cell.source for cell in self._cells if cell.cell_type == "code"]
        return hashlib.sha256(json.dumps(code).encode()).hexdigest()

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declared parameters by name, in the notebook's order.

        Raises:
            CourseError: the file is not a notebook, or a parameter is not an annotated literal.
        """
        import papermill

        try:
            inspected = papermill.inspect_notebook(for_papermill(self.path))
        except Exception as error:
            raise self._unreadable(error) from error
        if lost := self._assigned() - inspected.keys():
            raise CourseError(
                f"{self.path}: papermill cannot read the parameter {min(lost)!r}; declare it on "
                "one line as 'name: type = literal  # comment' without a second '='"
            )
        return {name: self._parameter(**found) for name, found in inspected.items()}

    def _parameter(self, name: str, inferred_type_name: str, default: str, help: str) -> Parameter:
        kind = "".join(inferred_type_name.split())
        if kind not in parameters.TYPES:
            raise CourseError(
                f"{self.path}: the parameter {name!r} must be annotated with one of "
                f"{', '.join(parameters.TYPES)}"
            )
        try:
            value = parameters.convert(ast.literal_eval(default), kind)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise CourseError(
                f"{self.path}: the parameter {name!r} wants a literal {kind} as its default, "
                f"not {default}"
            ) from error
        return Parameter(name, kind, value, help)

    def _assigned(self) -> set[str]:
        """The names that the parameters cell assigns according to Python itself.

        papermill passes over a line that it cannot parse, such as one with `=` in its comment.
        """
        tagged = (c.source for c in self._cells if "parameters" in c.metadata.get("tags", []))
        try:
            statements = ast.parse(next(tagged, "")).body
        except SyntaxError as error:
            raise CourseError(
                f"{self.path}: the parameters cell is not plain Python ({error.msg})"
            ) from error
        targets: list[ast.expr] = []
        for statement in statements:
            if isinstance(statement, ast.Assign):
                targets += statement.targets
            elif isinstance(statement, ast.AnnAssign):
                targets.append(statement.target)
        return {target.id for target in targets if isinstance(target, ast.Name)}

    @cached_property
    def _cells(self) -> list[Any]:
        import nbformat  # slow to import, and a lesson's kernel imports this module without need

        try:
            return list(nbformat.read(self.path, as_version=4).cells)
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> CourseError:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0][:200]
        return CourseError(f"{self.path} cannot be read as a notebook: {reason}")


def for_papermill(path: Path) -> str:
    """papermill fills in `{fields}` in its paths; a brace in the name of a folder is none."""
    return str(path).replace("{", "{{").replace("}", "}}")


def find_root(start: Path | None = None) -> Path:
    """The folder of the course: the nearest one, from `start` (default: here) upwards, whose
    `notebooks/` holds lessons; else the one above the package, if it was installed editable.

    Raises:
        CourseError: there is none, or `start` is no path.
    """
    wanted(start, Path, type(None), name="start")
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if any((folder / "notebooks").glob(PATTERN)):
            return folder
    raise CourseError(
        f"no lessons found at or above {here}; change to the folder of the course, the one that "
        "holds notebooks/"
    )


def find_lessons(
    names: str | Path | Sequence[str | Path] = (), root: Path | None = None
) -> list[Lesson]:
    """The lessons called `names` ("01", "1", "01_mnist_kd" or a path), each once; none means all.

    Raises:
        CourseError: there is no such lesson, two of the lessons have the same name, or an argument
            is neither text nor a path.
    """
    wanted(names, str, Path, list, tuple, name="a lesson")
    wanted(root, Path, type(None), name="root")
    if isinstance(names, str | Path):
        names = [names]
    if not names:
        return _all(root)
    for name in names:
        wanted(name, str, Path, name="a lesson")
    chosen = list(dict.fromkeys(_find_one(str(name), root) for name in names))
    seen: dict[str, Path] = {}
    for lesson in chosen:
        if lesson.name in seen:
            raise CourseError(
                f"{seen[lesson.name]} and {lesson.path} have the same name and would overwrite "
                "each other's results; run them one by one with different --out"
            )
        seen[lesson.name] = lesson.path
    return chosen


def _all(root: Path | None) -> list[Lesson]:
    return [Lesson(path) for path in sorted(((root or find_root()) / "notebooks").glob(PATTERN))]


def _find_one(name: str, root: Path | None) -> Lesson:
    if name.endswith(".ipynb"):
        if not _is_file(name):
            raise CourseError(f"there is no notebook {short_repr(name)}")
        return Lesson(Path(name).resolve())
    known = _all(root)
    matches = [
        lesson
        for lesson in known
        if name == lesson.name or (name.isdecimal() and int(name) == int(lesson.number))
    ]
    if len(matches) > 1:
        raise CourseError(f"{name!r} may be {' or '.join(lesson.name for lesson in matches)}")
    if not matches:
        raise CourseError(
            f"unknown lesson {short_repr(name)}{did_you_mean(name, [k.name for k in known])}"
        )
    return matches[0]


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # longer than a path can be, or with a NUL
        return False


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, else all of them."""
    near = get_close_matches(name, known, n=1) or [k for k in known if name and name in k][:1]
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}" if known else "; there are none"
