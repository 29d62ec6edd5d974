"""Where the course lies, a folder to work in, and how a person is told what cannot be done.

The package carries the course: that of its checkout, or the copy that `setup.py` puts into a wheel.
A folder to work in gets the lessons without outputs, so that no answer stands below its question.
"""

import json
import os
import posixpath
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kdhelpers._files import read_text, write_text
from kdhelpers._values import short_path

LESSONS = "[0-9][0-9]_*.ipynb"  # in notebooks/
CARRIED = [f"notebooks/{LESSONS}", "notebooks/profiles/*/*.yaml", "results/*.json"]
CARRIED += ["docs/glossary.md", "docs/map.md"]
# Where the repository is published, https://github.com/OWNER/NAME; "" is nowhere yet. It stands
# here alone: `python tools/published.py` writes it into cells and badges, setup.py into the wheel.
ADDRESS = ""


class CourseError(ValueError):
    """What was asked for cannot be done; the message is one sentence for the person who asked."""


@contextmanager
def unless_lost(told: str, remedy: str = "") -> Iterator[None]:
    """What the disk or a path that is none stops inside, as a CourseError with the reason."""
    try:
        yield
    except CourseError:
        raise
    except (OSError, ValueError) as error:  # longer than a path can be, or with a NUL
        none = "it is no UTF-8" if isinstance(error, UnicodeError) else "it is no path"
        reason = getattr(error, "strerror", None) or none
        raise CourseError(f"{told}: {reason}{remedy}") from error


def find_root() -> Path:
    """The folder of the course: the nearest one, from here upwards, whose `notebooks/` holds
    lessons; else the one above the package, if it was installed editable.

    Raises:
        CourseError: there is none.
    """
    with unless_lost("the folder that you work in cannot be read", "; go to another"):
        here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if any(map(_is_lesson, (folder / "notebooks").glob(LESSONS))):
            return folder
    raise CourseError(
        f"no lessons found at or above {here}; `kdhelpers start course` brings them into the "
        "folder course"
    )


def _is_lesson(path: Path) -> bool:
    """Whether a cell has the tag `parameters`; somebody's own 01_eda.ipynb has none."""
    with suppress(OSError, ValueError):
        return '"parameters"' in read_text(path)
    return False


def carried() -> Path:
    """The course that comes with the package: the copy in a wheel, or the checkout around it."""
    copy = Path(__file__).resolve().parent / "material"
    return copy if copy.is_dir() else Path(__file__).resolve().parents[2]


def home() -> Path:
    """Where a running lesson finds records: `find_root`; for a file alone, what is carried."""
    try:
        return find_root()
    except CourseError:
        return carried()


def installing(extra: str) -> str:
    """The command that installs what one of the extras needs: "course", "sweep"."""
    if carried().name != "material":
        return f"python -m pip install --editable '.[{extra}]'"
    if ADDRESS:
        return f"python -m pip install 'kdhelpers[{extra}] @ git+{ADDRESS}'"
    return f"python -m pip install 'WHEEL[{extra}]', WHEEL being the file that you installed"


# -- a folder to work in ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """What `start` did: the files that are `new`, those that were there, which of them differ."""

    folder: Path
    new: list[str]
    kept: list[str]
    other_versions: list[str]

    def __str__(self) -> str:
        lessons = sum(name.endswith(".ipynb") for name in self.new)
        if not self.new:
            told = "nothing new"
        elif not self.kept:
            told = f"{lessons} lessons, their profiles and records, the glossary and the map"
        else:
            told = f"new are {', '.join(self.new)}"
        stay = f"; {len(self.kept)} files were there and stay as they are" * bool(self.kept)
        return "\n".join([f"{self.folder}: {told}{stay}", *self.other_versions])


def start(folder: str | Path = "course") -> Started:
    """Bring the course into a folder; a file that is there is never touched.

    Raises:
        CourseError: it is the course itself, or cannot be written, or what comes with the package
            is damaged.
    """
    target, told = Path(folder), short_path(folder)
    done = Started(target, [], [], [])
    with unless_lost(f"cannot write to {told}", "; choose another folder"):
        if target.resolve() == carried():
            raise CourseError(f"{told} is the course itself; choose another folder")
        for name, text in [*contents(carried())]:  # nothing is written of a damaged one
            path = target / name
            if not os.path.lexists(path):
                write_text(path, text)
                done.new.append(name)
                continue
            done.kept.append(name)
            if name.endswith(".ipynb") and (differs := _version(path)):
                done.other_versions.append(f"{name}: {differs}")
    return done


def _version(path: Path) -> str:
    from kdhelpers.course.notebook import Notebook  # which imports from here

    try:
        return Notebook(path).made_for
    except CourseError as error:  # whatever it is, it stays
        return str(error)


def contents(source: Path) -> Iterator[tuple[str, str]]:
    """The names and texts of what the course in `source` gives to its learners.

    Raises:
        CourseError: a file cannot be read, or a notebook is none.
    """
    found = (path for kind in CARRIED for path in sorted(source.glob(kind)))
    names = [path.relative_to(source).as_posix() for path in found]
    for name in names:
        try:
            yield name, _content(read_text(source / name), name, names)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            raise CourseError(f"{source / name} of the course is damaged ({reason})") from error


def _content(text: str, name: str, names: Collection[str]) -> str:
    if name.endswith(".md"):
        return linked(text, name, names)
    if not name.endswith(".ipynb"):
        return text
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        else:
            cell["source"] = linked("".join(cell["source"]), name, names)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def linked(text: str, page: str, held: Collection[str], address: str = ADDRESS) -> str:
    """The Markdown of a page: its links lead to the pages `held` beside it, else to `address`.

    Where there is no address, words are left of a link to what is not held.
    """
    base, here = f"{address}/blob/main/", posixpath.dirname(page)

    def lead(link: re.Match[str]) -> str:
        words, target = link.groups()
        own = bool(address) and target.startswith(base)
        if not own and re.match(r"[a-z]+:|#", target):
            return link[0]
        target = target.removeprefix(base) if own else posixpath.join(here, target)
        path, mark, place = target.partition("#")
        path = posixpath.normpath(path)
        if path in held:
            return f"[{words}]({posixpath.relpath(path, here or '.')}{mark}{place})"
        return f"[{words}]({base}{path}{mark}{place})" if address else words

    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", lead, text)
