"""Where the course lies, and how a person is told that something cannot be done."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LESSONS = "[0-9][0-9]_*.ipynb"  # in notebooks/
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
        reason = getattr(error, "strerror", None) or "it is no path"
        raise CourseError(f"{told}: {reason}{remedy}") from error


def find_root() -> Path:
    """The folder of the course: the nearest one, from here upwards, whose `notebooks/` holds
    lessons; else the one above the package, if it was installed editable.

    Raises:
        CourseError: there is none.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if any((folder / "notebooks").glob(LESSONS)):
            return folder
    raise CourseError(
        f"no lessons found at or above {here}; `kdhelpers start course` brings them into the "
        "folder course"
    )


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
