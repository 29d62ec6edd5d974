"""Run the lessons: plan them, with every parameter checked, and execute them with papermill.

`run` does everything; `plan` and `execute` are its two halves, for whoever wants to do something
between two lessons. Nothing is executed before everything asked for has been checked.
"""

import hashlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdhelpers._values import short_path
from kdhelpers.course import failures, records
from kdhelpers.course.plans import Plan, plan
from kdhelpers.course.records import RECORD_FILE, CourseError, wanted

__all__ = ["Outcome", "execute", "prepare_folder", "run"]

KERNEL = "python3"  # whatever name an editor stored in the notebook
# The kernel's own log would go to the terminal: a warning about TCP at every start (since
# ipykernel 7.3), now and then an error about being stopped, which it may also log as Tornado's.
# Errors in cells do not go there.
QUIET = (
    "--log-level=CRITICAL",
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('tornado').setLevel('CRITICAL')",
)


@dataclass(frozen=True)
class Outcome:
    """How the run of one lesson ended: with a record, or with a `failure` told in a few lines."""

    lesson: str
    profile: str
    seconds: float
    notebook: Path
    record: dict[str, Any] | None
    failure: str | None

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def headline(self) -> str:
        """The one result that the lesson wants in the table, or ""."""
        headline = self.record["metrics"].get("headline") if self.record else None
        return headline if isinstance(headline, str) else ""


def run(
    lessons: str | Path | Sequence[str | Path] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    parameter_file: str | Path | None = None,
    out_dir: str | Path = "runs",
    progress: bool = True,
) -> list[Outcome]:
    """Execute lessons one after the other; one that fails does not stop the others.

    Args:
        lessons: a number, name or path, or several of them; none means all.
        profile: "quick" (the notebook's own values), or NAME for `profiles/NAME/NN_name.yaml`:
            every lesson has "full".
        parameters: values that go before those of the file, which go before the profile's. With
            several lessons each takes those that it has. Text is converted to the declared type.
            Where the profile keeps checkpoints, those of other values get a folder of their own
            below its `checkpoint_dir`; other seeds or another device share it.
        parameter_file: a YAML file in papermill's `-f` format.
        out_dir: receives `NN_name.ipynb` and `NN_name.json`; created if need be.
        progress: show a progress bar for each lesson on stderr.

    Raises:
        CourseError: something asked for does not exist or does not fit; nothing has been run.
    """
    plans = plan(lessons, profile=profile, parameters=parameters, parameter_file=parameter_file)
    prepare_folder(out_dir, plans)
    return [execute(each, out_dir, progress=progress) for each in plans]


def prepare_folder(out_dir: str | Path, plans: Sequence[Plan]) -> None:
    """Create the folder of the results, and make sure that they can be written there.

    Raises:
        CourseError: they cannot, or would replace the lessons themselves.
    """
    wanted(out_dir, str, Path, name="out_dir")
    wanted(plans, list, tuple, name="plans")
    for each in plans:
        wanted(each, Plan, name="each of plans")
    folder = Path(out_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a character that no path can have
        reason = getattr(error, "strerror", None) or "it is no path"
        raise CourseError(
            f"cannot write to {short_path(folder)}: {reason}; choose another --out (out_dir)"
        ) from error
    for each in plans:
        target = folder / each.lesson.path.name
        if target.exists() and target.samefile(each.lesson.path):
            raise CourseError(f"{short_path(folder)} holds the lesson itself; choose another --out")


def execute(
    plan: Plan, out_dir: str | Path = "runs", *, progress: bool = True, patience: float = 0.0
) -> Outcome:
    """Execute one lesson into a prepared folder. Whatever goes wrong in it is in the outcome.

    Args:
        patience: seconds to wait for another run of the lesson into this folder.

    Raises:
        KeyboardInterrupt: after the kernel has been stopped; the executed part is kept.
    """
    lock = _lock(plan, out_dir)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        notebook = Path(out_dir) / f"{plan.lesson.name}.ipynb"
        reason = f"another run is writing to {str(out_dir)!r}; choose another --out"
        return Outcome(plan.lesson.name, plan.profile, 0.0, notebook, None, reason)
    try:
        return _execute(plan, out_dir, progress)
    finally:
        lock.release()


def _lock(plan: Plan, out_dir: str | Path) -> FileLock:
    """Two runs must not mix their results; the lock lies outside of the results' folder."""
    place = f"{Path(out_dir).absolute()}/{plan.lesson.name}"
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"kdhelpers-{name}.lock")


def _execute(plan: Plan, out_dir: str | Path, progress: bool) -> Outcome:
    import papermill  # slow to import, and a lesson's kernel imports this module without need

    lesson = plan.lesson
    notebook = Path(out_dir) / f"{lesson.name}.ipynb"
    record_file = Path(out_dir).absolute() / f"{lesson.name}.json"
    writes_record = RECORD_FILE in lesson.parameters
    injected = plan.values | ({RECORD_FILE: str(record_file)} if writes_record else {})
    record, failure, finished = None, None, False
    started = time.perf_counter()
    try:
        digest = lesson.digest  # of what is executed, should the file change meanwhile
        record_file.unlink(missing_ok=True)  # of an earlier run
        executed = papermill.execute_notebook(
            for_papermill(lesson.path),
            for_papermill(notebook),
            parameters=injected,
            kernel_name=KERNEL,
            progress_bar={"desc": lesson.name} if progress else False,
            extra_arguments=[*QUIET],
        )
        failure = failures.stopped_early(executed, record_file if writes_record else None)
        if writes_record and failure is None:
            record = records.complete(
                record_file,
                notebook=lesson.name,
                profile=plan.profile,
                parameters=plan.parameters,
                lesson=digest,
                seconds=time.perf_counter() - started,
            )
        finished = failure is None
    except Exception as error:  # a lesson may fail in any way, and the others still run
        failure = failures.describe(error, notebook)
    finally:
        if not finished:  # nor may half a record stay after Ctrl-C
            with suppress(OSError):
                record_file.unlink()
    seconds = time.perf_counter() - started
    return Outcome(lesson.name, plan.profile, seconds, notebook, record, failure)


def for_papermill(path: Path) -> str:
    """papermill fills in `{fields}` in its paths; a brace in the name of a folder is none."""
    return str(path).replace("{", "{{").replace("}", "}}")
