"""Execute the lessons with papermill, and tell in a few lines why one failed."""

import functools
import glob
import itertools
import math
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdhelpers._files import write_text
from kdhelpers._values import short_path
from kdhelpers.course import records
from kdhelpers.course.notebook import Notebook
from kdhelpers.course.plans import Plan
from kdhelpers.course.records import RECORD_FILE
from kdhelpers.course.root import CourseError, unless_lost

KERNEL = "python3"  # whatever name an editor stored in the notebook
SAVED = 5.0  # seconds between two states of a notebook that is being executed, each up to 1.5 MB
OUTPUT = 600  # seconds that what a cell has put out may take to arrive after its end
STARTS = 3  # at once two kernels may be given one port, and the second of them does not start
# The kernel's own log would go to the terminal: a warning about TCP at every start (since
# ipykernel 7.3), now and then an error about being stopped, which it may also log as Tornado's.
# Errors in cells do not go there.
QUIET = (
    "--log-level=CRITICAL",
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('tornado').setLevel('CRITICAL')",
)
LATE = "Kernel didn't respond"  # what Jupyter says of it
CONTEXT, MESSAGE_LINES = 2, 3  # lines of a failed cell on each side, lines of its error
DIED = "the kernel died (killed, out of memory, or a crash in compiled code)"
SIGKILL = -9  # what a process leaves that was ended so: how Linux gets memory back
KILLED = "the kernel was killed, most likely for want of memory; see `kdhelpers doctor`"
SLOW = "stopped: this cell took longer than it may (--cell-timeout)"
DOCTOR = "`kdhelpers doctor` looks for the reason"
TOO_LATE = f"the kernel did not start in time; give it longer (--start-timeout), or {DOCTOR}"
OWN = "kdhelpers:"  # before a path: papermill asks by it who writes there
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Outcome:
    """How the run of one lesson ended: with a record, or with a `failure` told in a few lines.

    `died` says that its kernel did, which may be no fault of the lesson.
    """

    lesson: str
    profile: str
    seconds: float
    notebook: Path
    record: dict[str, Any] | None
    failure: str | None
    died: bool = False

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def headline(self) -> str:
        """The one result that the lesson wants in the table, or ""."""
        headline = self.record["metrics"].get("headline") if self.record else None
        return headline if isinstance(headline, str) else ""


def prepare_folder(out_dir: str | Path, plans: Sequence[Plan]) -> None:
    """Create the folder of the results, and make sure that they can be written there.

    Raises:
        CourseError: they cannot, or would replace the lessons themselves, or those of another
            profile than the quick one, or of other parameters, where no parts are kept.
    """
    folder, told = Path(out_dir), short_path(out_dir)
    with unless_lost(f"cannot write to {told}", "; choose another --out (out_dir)"):
        str(folder.resolve()).encode()  # JSON, and so every notebook, has no room for another name
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    for each in plans:
        target = folder / each.lesson.path.name
        if target.exists() and target.samefile(each.lesson.path):
            raise CourseError(f"{told} holds the lesson itself; choose another --out")
        try:
            record = records.read_record(target.with_suffix(".json"))
        except CourseError:  # there is none
            continue
        other = record["profile"]
        if other not in (each.profile, "quick", None):
            raise CourseError(
                f"{told} holds a {other} run of {each.lesson.name}, which a {each.profile} one "
                "would replace; choose another --out, or delete it"
            )
        others = records.changed(record, each.parameters)
        if others and other == each.profile != "quick" and not each.parameters.get("parts_dir"):
            raise CourseError(
                f"{told} holds a {other} run of {each.lesson.name} with other values of "
                f"{', '.join(others)}; choose another --out, or delete it"
            )


def execute(
    plan: Plan,
    out_dir: str | Path = "runs",
    *,
    home: Path | None = None,
    progress: bool = True,
    patience: float = 0.0,
) -> Outcome:
    """Execute one lesson into a prepared folder. Whatever goes wrong in it is in the outcome.

    Args:
        out_dir: receives `NN_name.ipynb` and `NN_name.json`, or `NN_name.unfinished.ipynb` of a
            run that fails, which leaves an older result alone.
        home: the folder for what several runs share, their checkpoints; default: `out_dir`.
        progress: show a progress bar on stderr.
        patience: seconds to wait for another run of the lesson into this folder.

    Raises:
        KeyboardInterrupt: after the kernel has been stopped; the executed part is kept.
    """
    folder, name, lesson = Path(out_dir), plan.lesson.name, plan.lesson
    try:
        if Notebook(lesson.path).digest != lesson.digest:  # the record would tell of another
            told = f"{lesson.path.name} has changed meanwhile"
            raise CourseError(f"{told}; start again, with the new code")
        with FileLock(folder.resolve() / f".{name}.lock", timeout=patience):
            for left in folder.glob(f".{glob.escape(name)}-run-*"):  # by one that was killed
                if not _is_complete(left / f"{name}.json"):  # which could not be moved
                    _keep(left / f"{name}.ipynb", folder / f"{name}.unfinished.ipynb")
                    shutil.rmtree(left, ignore_errors=True)
            # A folder that only this run's kernel knows: what another one writes is not ours.
            aside = Path(tempfile.mkdtemp(dir=folder.resolve(), prefix=f".{name}-run-"))
            stays = ""
            try:
                return _execute(plan, folder, home or folder, aside, progress)
            except OSError as error:
                stays = f"its result stays in {short_path(aside)}, for it cannot be moved"
                raise CourseError(f"{stays}: {error.strerror}") from error
            finally:
                if not stays:
                    shutil.rmtree(aside, ignore_errors=True)
    except Timeout:
        reason = f"another run is writing to {str(out_dir)!r}; choose another --out"
    except OSError as error:
        reason = f"cannot write to {str(out_dir)!r}: {error.strerror}; choose another --out"
    except CourseError as error:
        reason = str(error)
    return Outcome(name, plan.profile, 0.0, folder / f"{name}.ipynb", None, reason)


def _is_complete(record_file: Path) -> bool:
    with suppress(CourseError):
        return "lesson" in records.read_record(record_file)["environment"]
    return False


def _keep(notebook: Path, unfinished: Path) -> None:
    """Keep what was executed of a notebook, unless there is a newer one."""
    made = [path.stat().st_mtime if path.exists() else 0.0 for path in (notebook, unfinished)]
    if made[0] > made[1]:
        notebook.replace(unfinished)


def _execute(plan: Plan, folder: Path, home: Path, aside: Path, progress: bool) -> Outcome:
    """Execute the lesson `aside`; what comes of it goes to the folder at the end.

    Raises:
        OSError: it cannot go there.
    """
    import nbformat

    lesson = plan.lesson
    notebook, record_file = aside / f"{lesson.name}.ipynb", aside / f"{lesson.name}.json"
    kept = folder / f"{lesson.name}.unfinished.ipynb"
    record, failure, died, finished = None, None, False, False
    ends: list[int | None] = []
    started = time.perf_counter()
    try:
        with _no_interrupt_lost():  # what has been finished is kept first
            identity = plan.identity  # of what is executed, should the file change meanwhile
            writes_record = RECORD_FILE in lesson.parameters
            own = {RECORD_FILE: str(record_file)} if writes_record else {}
            values = plan.values_in(home) | own
            executed = _papermill(plan, values, notebook, progress, ends)
            failure = _stopped_early(executed, record_file if writes_record else None)
            if failure is None:
                finished = True
                if writes_record:
                    seconds = time.perf_counter() - started
                    record = records.complete(record_file, identity, seconds)
                    record_file.replace(folder / record_file.name)
                    if others := records.changed(record, plan.parameters):
                        failure = f"a cell has changed {', '.join(others)} before kd.lesson: the "
                        failure += "record tells its values, which are not those of this run"
                try:
                    write_text(notebook, nbformat.writes(executed))
                    kept.unlink(missing_ok=True)  # of an earlier run
                    kept = folder / notebook.name
                except OSError as error:
                    failure = f"the executed notebook could not be written ({error.strerror})"
                    failure += "; the record is kept" * (record is not None)
    except Exception as error:  # a lesson may fail in any way, and the others still run
        if finished and isinstance(error, OSError):
            raise
        failure, died = describe(error, notebook, killed=SIGKILL in ends)
    finally:  # after Ctrl-C, too
        if notebook.exists():
            notebook.replace(kept)
    seconds = time.perf_counter() - started
    return Outcome(lesson.name, plan.profile, seconds, kept, record, failure, died)


@contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Raise an interrupt at the end, whatever became of it inside a callback of the kernel's."""
    arrived = threading.Event()

    def note(number: int, frame: Any) -> None:
        arrived.set()
        signal.default_int_handler(number, frame)

    here = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals() if here}
    ours = [number for number in handlers if handlers[number] is signal.default_int_handler]
    try:
        for number in ours:
            signal.signal(number, note)
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is note:
                signal.signal(number, signal.default_int_handler)
        if arrived.is_set():
            raise KeyboardInterrupt


def _papermill(
    plan: Plan, values: dict[str, Any], notebook: Path, progress: bool, ends: list[int | None]
) -> Any:
    """The executed notebook; a kernel that dies as it starts gets another attempt."""
    import papermill  # slow to import, and a lesson's kernel imports this module without need
    from tqdm.contrib import DummyTqdmFile

    for attempt in itertools.count(1):
        try:
            return papermill.execute_notebook(
                _for_papermill(plan.lesson.path),
                OWN + _for_papermill(notebook),
                parameters=values,
                engine_name=_engine(),
                kernel_name=KERNEL,
                language="python",  # not every editor stores it
                progress_bar={"desc": plan.lesson.name} if progress else False,
                start_timeout=math.ceil(plan.start_timeout),
                execution_timeout=plan.cell_timeout and math.ceil(plan.cell_timeout),
                iopub_timeout=OUTPUT,
                kernel_manager_class=_noting(ends),
                # What a lesson tells as it runs, how long it may take, stands above the bar.
                stderr_file=DummyTqdmFile(sys.stderr) if progress else None,
                shutdown_kernel="immediate",  # else it takes PyTorch apart, for seconds
                extra_arguments=[*QUIET],
            )
        except RuntimeError as error:
            if attempt == STARTS or LATE in str(error) or _started_cells(notebook):
                raise


@functools.cache
def _engine() -> str:
    """Papermill's engine, less its writing of the whole notebook before and after every cell.

    What lies behind `OWN` is written whole or not at all.
    """
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.iorw import LocalHandler, papermill_io

    class Whole(LocalHandler):
        def write(self, buf: str, path: str) -> None:
            target = Path(path.removeprefix(OWN))
            try:
                write_text(target, buf)
            except OSError:  # a full disk stops no lesson; the state before stays
                if not target.exists():
                    raise

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, *args: Any, **kwargs: Any) -> Any:
            save = nb_man.save

            def when_due() -> None:
                if (nb_man.now() - nb_man.last_save_time).total_seconds() >= SAVED:
                    save()

            nb_man.save = when_due
            try:
                return super().execute_managed_notebook(nb_man, *args, **kwargs)
            finally:  # the last state is always written
                nb_man.save = save

    papermill_engines.register("kdhelpers", Engine)
    papermill_io.register(OWN, Whole())
    return "kdhelpers"


def _noting(ends: list[int | None]) -> type:
    """A manager of a kernel that notes how its process ended, where it ended by itself."""
    from jupyter_client.manager import AsyncKernelManager

    class Noting(AsyncKernelManager):
        async def cleanup_resources(self, restart: bool = False) -> None:  # type: ignore[override]
            process = getattr(self.provisioner, "process", None)
            ends.append(process.poll() if process else None)
            await super().cleanup_resources(restart)

    return Noting


def _for_papermill(path: Path) -> str:
    """papermill fills in `{fields}` in its paths; a brace in the name of a folder is none."""
    return str(path).replace("{", "{{").replace("}", "}}")


# -- where and why a notebook failed, in a few lines ----------------------------------------------


def describe(error: Exception, notebook: Path, killed: bool = False) -> tuple[str, bool]:
    """The failing cell, the line at fault and the error; and whether the kernel died."""
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    dead = KILLED if killed else DIED
    if isinstance(error, PapermillExecutionError):
        # papermill's own word for a cell that stopped and left no error
        died = error.ename == "CellExecutionError" and not error.evalue
        message = dead if died else _first_lines(f"{error.ename}: {error.evalue}")
        traceback = COLOURS.sub("", "\n".join(error.traceback))
        lines = re.findall(rf"Cell In\[{error.exec_count}\], line (\d+)", traceback)
        at = int(lines[-1]) if lines else None
        return _excerpt(error.exec_count, error.source, message, line=at), died
    died, message = isinstance(error, DeadKernelError), in_words(error)
    started = _started_cells(notebook)
    if started and (died or isinstance(error, CellTimeoutError)):
        # A kernel may die before it has told the cell's number, so count.
        return _excerpt(len(started), started[-1]["source"], dead if died else SLOW), died
    if not started and isinstance(error, RuntimeError | NoSuchKernel):
        message = TOO_LATE if LATE in message else f"{message}\nthe kernel did not start; {DOCTOR}"
    return message, died


def in_words(error: BaseException) -> str:
    """The error's type and the first lines of what it says."""
    return _first_lines(f"{type(error).__name__}: {error}" if str(error) else repr(error))


def _stopped_early(executed: Any, record_file: Path | None) -> str | None:
    """Why an executed notebook is not finished although it raised no error; None if it is.

    papermill takes `sys.exit(0)` for a good end.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    if any(cell.metadata.papermill.status == "pending" for cell in code):
        message = "stopped before its last cell"
        at = next((cell for cell in code if cell.metadata.papermill.exception), None)
        return _excerpt(at.execution_count, at.source, message) if at else message
    if record_file is not None and not record_file.exists():
        return "stopped before its last cell: it wrote no record"
    return None


def _started_cells(notebook: Path) -> list[Any]:
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except Exception:
        return []
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in code if cell.metadata.get("papermill", {}).get("start_time")]


def _excerpt(number: int, source: str, message: str, line: int | None = None) -> str:
    """The cell around `line`, marked; its first lines if nobody knows where it stopped."""
    middle = line or CONTEXT + 1
    around = range(max(1, middle - CONTEXT), middle + CONTEXT + 1)
    shown = [
        f"  {'>' if at == line else ' '} {text}"
        for at, text in enumerate(source.splitlines(), start=1)
        if at in around
    ]
    where = f"cell In [{number}]" + (f", line {line}" if line else "")
    return "\n".join([f"{where}:", *shown, message])


def _first_lines(message: str) -> str:
    lines = [line.rstrip() for line in COLOURS.sub("", message).splitlines() if line.strip()]
    return "\n".join(line[:300] for line in lines[:MESSAGE_LINES])
