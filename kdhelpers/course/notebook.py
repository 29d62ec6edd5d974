"""The notebooks of the course: where they are, and which parameters they declare."""

import ast
import glob
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kdhelpers import __version__
from kdhelpers._files import read_text
from kdhelpers._values import check_type, did_you_mean, short_repr
from kdhelpers.course.records import plain
from kdhelpers.course.root import LESSONS, CourseError, find_root

INSTALL = "install"  # the tag of a lesson's first code cell

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
        value = plain(value, "the value")
        of, _, item = kind.rstrip("]").partition("[")
        if item and isinstance(value, list):
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


@dataclass(frozen=True)
class Parameter:
    """One line of a lesson's parameters cell: `name: type = default  # help`."""

    name: str
    type: str
    default: Any
    help: str


@dataclass(frozen=True)
class Notebook:
    """A notebook of the course, or any other notebook that keeps to its conventions.

    What reads its file raises `CourseError` if that is not a notebook.
    """

    path: Path

    def __getstate__(self) -> dict[str, Any]:
        """For another process: what the code was, without the cells that were read."""
        return {"path": self.path, "digest": self.digest}

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
        files = self.path.parent.glob(f"profiles/*/{glob.escape(self.name)}.yaml")
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
        return dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|$", self._first, flags=re.M))

    @property
    def lead(self) -> str:
        """What the title card says of the lesson, in bold; "" if nothing."""
        found = re.search(r"^\*\*(.+)\*\*$", self._first, flags=re.M)
        return found.group(1) if found else ""

    @property
    def minutes(self) -> int:
        """To read and do, according to the title card; 0 if it does not say."""
        found = re.search(r"(\d+) minutes", self.card.get("Time", ""))
        return int(found.group(1)) if found else 0

    @property
    def made_for(self) -> str:
        """What is to be said of the version that the notebook was made for, as `made_for` does."""
        own = (source for _, source, tags in self._cells if INSTALL in tags)
        found = re.search(r"made_for\(\"([\d.]+)\"\)", next(own, ""))
        return made_for(found.group(1)) if found else ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the code cells: a changed text or a stored output makes no other lesson.

        The cell that installs the package is not of the lesson.
        """
        return hashlib.sha256(json.dumps(self.code).encode()).hexdigest()

    @property
    def code(self) -> list[str]:
        """The sources of the code cells, without that of `INSTALL`."""
        return [source for kind, source, tags in self._cells
                if kind == "code" and INSTALL not in tags]  # fmt: skip

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declared parameters by name, in the notebook's order.

        Raises:
            CourseError: the file is not a notebook, or a parameter is not an annotated literal.
        """
        cell = next((source for _, source, tags in self._cells if "parameters" in tags), "")
        try:
            statements = ast.parse(cell).body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error) or type(error).__name__
            raise CourseError(
                f"{self.path}: the parameters cell is not plain Python ({reason})"
            ) from error
        lines, found = cell.split("\n"), {}
        for statement in statements:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name)):
                    kind = ast.unparse(statement.annotation)
                case ast.Assign(targets=[ast.Name(id=name), *_]):
                    kind = ""
                case _:
                    continue
            if kind not in TYPES:
                told = f"{self.path}: the parameter {name!r} must be annotated with one of"
                raise CourseError(f"{told} {', '.join(TYPES)}")
            last = lines[(statement.end_lineno or 1) - 1].encode()[statement.end_col_offset :]
            comment = last.decode().partition("#")[2].lstrip("# ").strip()
            found[name] = Parameter(name, kind, self._default(name, kind, statement.value), comment)
        return found

    def _default(self, name: str, kind: str, value: ast.expr | None) -> Any:
        try:
            return convert(ast.literal_eval(value or ""), kind)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise CourseError(
                f"{self.path}: the parameter {name!r} wants a literal {kind} as its default, "
                f"not {ast.unparse(value) if value else 'nothing'}"
            ) from error

    @property
    def _first(self) -> str:
        return self._cells[0][1] if self._cells else ""

    @cached_property
    def _cells(self) -> list[tuple[str, str, list[str]]]:
        """Type, source and tags; read as JSON, for nbformat takes seconds to import."""
        try:
            return [
                (
                    str(cell["cell_type"]),
                    "".join(cell["source"]),
                    list(cell.get("metadata", {}).get("tags", [])),
                )
                for cell in json.loads(read_text(self.path))["cells"]
            ]
        except OSError as error:
            reason = error.strerror or str(error)
        except KeyError as error:
            reason = f"it has no {error}"
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error).partition("\n")[0][:200]
        raise CourseError(f"{self.path} cannot be read as a notebook: {reason}")


def made_for(version: str) -> str:
    """A sentence where a notebook of this version ("0.2") is older or newer than the package.

    Raises:
        CourseError: it is no version.
    """
    check_type(version, str, name="version")
    if not re.fullmatch(r"\d+\.\d+", version):
        raise CourseError(f"a version is two numbers such as 0.2, not {short_repr(version)}")
    given, own = (tuple(map(int, each.split(".")[:2])) for each in (version, __version__))
    if given == own:
        return ""
    start = "`kdhelpers start NEW_FOLDER` brings that of this one"
    remedy = start if given < own else f"install the newer kdhelpers; or {start}"
    return f"made for kdhelpers {version}, and this is {__version__}: {remedy}"


def find_lessons(
    names: str | Path | Sequence[str | Path] = (), root: Path | None = None
) -> list[Notebook]:
    """The lessons called `names` ("01", "1", "01_mnist_kd" or a path), each once; none means all.

    Raises:
        CourseError: there is no such lesson, or two of the lessons have the same name.
    """
    check_type(names, str, Path, list, tuple, name="a lesson")
    if isinstance(names, str | Path):
        names = [names]
    for name in names:
        check_type(name, str, Path, name="a lesson")
    if not names:
        return _all(root)
    chosen = list(dict.fromkeys(_find_one(str(name), root) for name in names))
    for one, other in itertools.combinations(chosen, 2):
        if one.name == other.name:
            told = f"{one.path} and {other.path} have the same name: one's results would overwrite"
            raise CourseError(f"{told} the other's; run them one by one with different --out")
    return chosen


def _all(root: Path | None) -> list[Notebook]:
    return [Notebook(path) for path in sorted((root or find_root()).glob(f"notebooks/{LESSONS}"))]


def _find_one(name: str, root: Path | None) -> Notebook:
    if name.endswith(".ipynb"):
        # Path.is_file fails at a name that is longer than a path can be.
        if not os.path.isfile(name):  # noqa: PTH113
            raise CourseError(f"there is no notebook {short_repr(name)}")
        return Notebook(Path(name).resolve())
    known = _all(root)
    number = int(name) if name.isdecimal() and len(name) < 9 else None
    found = [each for each in known if name == each.name or number == int(each.number)]
    if not found:
        hint = did_you_mean(name, [each.name for each in known])
        raise CourseError(f"unknown lesson {short_repr(name)}{hint}")
    if len(found) > 1:
        raise CourseError(f"{name!r} may be {' or '.join(match.name for match in found)}")
    return found[0]
