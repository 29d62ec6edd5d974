"""Run a lesson over a grid of parameter values, in parallel; what is finished is not run again.

The table of a sweep is a function of what lies in its folder (a list of the points, their records),
so it does not matter in how many attempts the records came about.
"""

import csv
import io
import itertools
import json
import math
import os
import re
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any, TypeGuard

import psutil
from filelock import FileLock, Timeout
from tqdm import tqdm

from kdhelpers._files import atomic, write_text
from kdhelpers._values import check_int, require, short_path, short_repr
from kdhelpers.course import records, run
from kdhelpers.course.lesson import Notebook
from kdhelpers.course.records import CourseError, as_course_error, wanted, without_folders
from kdhelpers.course.run import Plan

__all__ = ["LIST", "SEEDS", "STATUSES", "Point", "Row", "SweepResult", "columns", "expand"]
__all__ += ["finished", "is_drawable", "is_per_seed", "rows", "seed_count", "sweep"]
__all__ += ["write_failure", "write_list", "write_tables"]

LIST, FAILURE = "sweep.json", "failure.txt"
STATUSES = ("ok", "failed", "missing")
SEEDS = ("seed", "seeds")  # the parameter whose values repeat an experiment
MOST_POINTS = 10_000  # more are a slip of the keyboard such as 0:100000
RANGE = re.compile(r"\s*([+-]?\d+):([+-]?\d+)(?::([+-]?\d+))?\s*", flags=re.ASCII)
LARGEST = 1e30  # that a mean and an axis have room for

MOST_WORKERS = 256  # kernels that all load PyTorch
ATTEMPTS = 3  # at a point whose kernel or process dies; what kills it may be the point itself
PATIENCE = 600.0  # seconds: a killed sweep may have left a worker of dask at the same point
# Two kernels with two threads each on two cores wait for each other most of the time.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


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
        return run.folder_name(self.values, identity)


def expand(
    plan: Plan, grid: Mapping[str, Iterable[Any]], *, fixed: Collection[str] = ()
) -> list[Point]:
    """Every combination of the grid's values, the last parameter running fastest.

    Values are converted to the declared type as `kdhelpers run -p` does. For a whole number the
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
    wanted(grid, Mapping, name="the grid")
    require(grid, "the grid is empty; give at least one parameter with its values", CourseError)
    targets = {name: _target(plan, name) for name in grid}
    for name, target in targets.items():
        if target in fixed:
            raise CourseError(f"{target!r} has one fixed value, so the grid cannot change {name!r}")
    if len(set(targets.values())) < len(targets):
        raise CourseError("the grid has both 'seed' and 'seeds'; one of them must go")
    written = {name: _items(plan, name, values) for name, values in grid.items()}
    axes = {name: _axis(plan, name, items) for name, items in written.items()}
    if (size := math.prod(map(len, axes.values()))) > MOST_POINTS:
        raise CourseError(f"the grid has {size:,} points; at most {MOST_POINTS:,} are possible")
    points = []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        own = {targets[name]: _given(plan, name, value) for name, value in values.items()}
        points.append(Point(values, run.refine(plan, own)))
    return points


def _target(plan: Plan, name: str) -> str:
    """The lesson's parameter that the grid's `name` sets."""
    declared = plan.lesson.parameters
    lone_seed = name == "seed" and "seed" not in declared and "seeds" in declared
    return "seeds" if lone_seed and declared["seeds"].type == "list[int]" else name


def _given(plan: Plan, name: str, value: Any) -> Any:
    return value if _target(plan, name) == name else [value]


def _items(plan: Plan, name: str, values: Iterable[Any]) -> list[Any]:
    """The values as they were written, ranges spelt out."""
    target = _target(plan, name)
    declared = plan.lesson.parameters.get(target)
    whole = declared is not None and (declared.type == "int" or target != name)
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise CourseError(f"the grid's {name!r} wants a list of values, not {short_repr(values)}")
    items: list[Any] = []
    for value in [values] if isinstance(values, str) else values:
        found = RANGE.fullmatch(value) if isinstance(value, str) else None
        if found and whole:
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
    require(items, f"the grid has no value for {name!r}", CourseError)
    return items


def _range(name: str, text: str, found: re.Match[str]) -> list[int]:
    told = f"the range {short_repr(text)} of {name!r}"
    short = all(len(number or "") <= 20 for number in found.groups())
    require(short, f"{told} has numbers of too many digits", CourseError)
    start, stop, step = (int(number or 1) for number in found.groups())
    numbers = range(start, stop, step) if step else range(0)
    require(numbers, f"{told} is empty; 0:3 means 0, 1, 2", CourseError)
    return list(numbers[: MOST_POINTS + 1])


def _axis(plan: Plan, name: str, items: list[Any]) -> list[Any]:
    """The values converted to the declared type, each there once."""
    target = _target(plan, name)
    axis: dict[str, Any] = {}
    for item in items:
        value = run.refine(plan, {target: _given(plan, name, item)}).values[target]
        value = value if target == name else value[0]
        if (written := json.dumps(value, sort_keys=True)) in axis:
            raise CourseError(f"the grid has {name} = {short_repr(value)} twice")
        axis[written] = value
    return list(axis.values())


# -- running them ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One point: its values in the grid, and what came of it.

    `status` is "ok", "failed" (`failure` says why) or "missing"; only "ok" has `metrics`, what
    the record holds by dotted name: scalars, and lists of one number for each of the run's seeds.
    """

    values: dict[str, Any]
    status: str
    seconds: float | None
    metrics: dict[str, Any]
    failure: str
    point: str


@dataclass(frozen=True)
class SweepResult:
    """A sweep's folder: its table (`rows` as stored in `csv`), and how many points ran just now.

    `parquet` is None where pyarrow is missing, `figure` where no point has a number to draw.
    """

    folder: Path
    rows: list[Row]
    ran: int
    csv: Path
    parquet: Path | None
    figure: Path | None

    @property
    def ok(self) -> bool:
        return all(row.status == "ok" for row in self.rows)


class KernelDied(BrokenExecutor):
    """A point's kernel died, perhaps for lack of memory: worth another attempt."""


def sweep(
    notebook: str | Path,
    grid: Mapping[str, Iterable[Any]],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    parameter_file: str | Path | None = None,
    out_dir: str | Path | None = None,
    progress: bool = True,
    cell_timeout: float | None = None,
    on_failure: Callable[[Row], object] = lambda row: None,
) -> SweepResult:
    """Run a lesson at every point of a grid; one that fails does not stop the others.

    Each point gets a folder of its own below `out_dir/points` with the executed notebook and the
    record. A point is finished once its record is there and is one of the same code cells,
    profile and parameters; finished points are not run again, so an interrupted sweep goes on
    where it was, and a larger grid only runs what is new.

    Args:
        notebook: a number, name or path, as for `run.run`.
        grid: the values of each parameter, as for `expand`: `{"temperature": [1, 2, 4],
            "seed": range(10)}`; `seed` also stands for one value of `seeds: list[int]`.
        executor: any executor of `concurrent.futures`, for instance `Client(…).get_executor()`
            of dask.distributed. Its workers need this package, and the notebook and `out_dir`
            under the same paths. Default: `workers` kernels of one thread, here.
        workers: how many kernels without an executor; default: one per core that we may use.
        profile, parameters, parameter_file, cell_timeout: what all points share, as for `run.run`.
        out_dir: where everything goes; default `runs/sweeps/NN_name`.
        progress: show a progress bar on stderr.
        on_failure: is called with the row of each point that failed, as soon as it has.

    Raises:
        CourseError: something asked for does not exist or does not fit, or another sweep is
            writing to the folder; nothing has been run.
        KeyboardInterrupt: after the kernels have been stopped; what is done is kept.
    """
    wanted(notebook, str, Path, name="a lesson")
    wanted(out_dir, str, Path, type(None), name="out_dir")
    (shared,) = run.plan(
        [notebook], profile=profile, parameters=parameters, parameter_file=parameter_file
    )
    lesson = shared.lesson
    told = f"{lesson.name} has no parameter {records.RECORD_FILE!r}, so it writes no record"
    require(records.RECORD_FILE in lesson.parameters, f"{told} and cannot be swept", CourseError)
    points = expand(shared, grid, fixed=parameters or {})
    workers = _worker_count(workers, executor)
    folder = Path(out_dir) if out_dir else Path("runs") / "sweeps" / lesson.name
    run.prepare_folder(folder, [shared], cell_timeout)
    with _alone_in(folder):
        write_list(folder, points)
        todo = [point for point in points if not finished(folder, point)]
        try:
            with (
                tqdm(
                    total=len(points), initial=len(points) - len(todo), desc=lesson.name,
                    unit="point", disable=not progress,
                ) as bar,
                _started(executor, workers) as chosen,
            ):  # fmt: skip
                for row in _run(chosen, folder, todo, cell_timeout):
                    bar.update()
                    if row:
                        on_failure(row)
        finally:
            found = rows(folder)
            table, parquet = write_tables(folder, found)
        return SweepResult(folder, found, len(todo), table, parquet, _draw(folder, found))


def _worker_count(workers: int | None, executor: Executor | None) -> int:
    """As many as asked for, else one per core that we may use."""
    if workers is None:
        allowed = getattr(os, "sched_getaffinity", None)
        return len(allowed(0)) if allowed else os.cpu_count() or 1
    told = "workers is for a sweep without an executor of its own"
    require(executor is None, told, CourseError)
    with as_course_error():
        return check_int(workers, name="the number of workers", least=1, most=MOST_WORKERS)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".sweep.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CourseError(
            f"another sweep is writing to {str(folder)!r}; choose another --out (out_dir)"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _started(executor: Executor | None, workers: int) -> Iterator[Executor]:
    """The executor, or threads: a run is a process of its own already, its kernel."""
    if executor is not None:
        yield executor
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # the kernels inherit it
    threads = ThreadPoolExecutor(workers)
    try:
        yield threads
    except BaseException:
        ending = Thread(target=threads.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        ending.start()
        while ending.is_alive():
            _kill_kernels()  # also one that was just starting
            ending.join(0.1)
        raise
    finally:
        threads.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _kill_kernels() -> None:
    """End the kernels that the runner has started in this process, and what they have started."""
    for kernel in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if run.QUIET[-1] in kernel.cmdline():
                for process in (*kernel.children(recursive=True), kernel):
                    process.kill()


def _run(
    executor: Executor, folder: Path, todo: list[Point], cell_timeout: float | None
) -> Iterator[Row | None]:
    """Run the points; yield the row of each that failed, None for the others.

    Whatever goes wrong at a point is written into its folder.
    """
    for point in todo:  # what a failed or killed attempt has left, except for the notebook
        place = _place(folder, point.folder)
        for left in [*place.glob(".part-*"), place / FAILURE]:
            left.unlink(missing_ok=True)
    attempts = {_submit(executor, folder, each, cell_timeout): (each, 1) for each in todo}
    try:
        while attempts:
            for future in futures.wait(attempts, return_when=futures.FIRST_COMPLETED).done:
                point, attempt = attempts.pop(future)
                failure, died = _failure(future)
                if died and attempt < ATTEMPTS:
                    attempts[_submit(executor, folder, point, cell_timeout)] = (point, attempt + 1)
                else:
                    yield write_failure(folder, point, failure) if failure else None
    finally:
        for future in attempts:
            future.cancel()


def _submit(
    executor: Executor, folder: Path, point: Point, cell_timeout: float | None
) -> Future[str | None]:
    lesson = point.plan.lesson
    bare = replace(point.plan, lesson=Notebook(lesson.path))  # without the cells that were read
    place = str(_place(folder.absolute(), point.folder))
    try:
        return executor.submit(run_point, bare, place, lesson.digest, cell_timeout)
    except Exception as error:  # it has been shut down, or a process of its pool was killed
        failed: Future[str | None] = Future()
        failed.set_exception(error)
        return failed


def _failure(future: Future[str | None]) -> tuple[str | None, bool]:
    """Why a point failed, and whether its process died, not the point alone."""
    if future.cancelled():
        return "the executor gave it up", False
    try:
        return future.result(), False
    except KernelDied as error:
        return f"{error}\n{ATTEMPTS} times", True
    except BrokenExecutor:
        return f"the process that ran it died {ATTEMPTS} times (killed, or out of memory)", True
    except Exception as error:
        return run.describe(error)[0], False


def run_point(
    plan: Plan, folder: str, digest: str, cell_timeout: float | None = None
) -> str | None:
    """Run one point, in whatever process this is; return why it failed, or None.

    Raises:
        KernelDied: its kernel died.
    """
    if plan.lesson.digest != digest:
        return f"{plan.lesson.path.name} has changed since the sweep began; start the sweep again"
    run.prepare_folder(folder, [plan])
    outcome = run.execute(
        plan, folder, progress=False, patience=PATIENCE, cell_timeout=cell_timeout
    )
    if outcome.died:
        raise KernelDied(outcome.failure)
    return outcome.failure


def _draw(folder: Path, rows: list[Row]) -> Path | None:
    from kdhelpers.course import report  # matplotlib is slow to import, and a worker needs none

    return report.write_figure(folder / "sweep.png", rows)


# -- the folder: a list of the points, a folder of each, and one table of them all ----------------


def _place(folder: Path, name: str) -> Path:
    return folder / "points" / name


def write_list(folder: Path, points: Sequence[Point]) -> None:
    """Write down which points the sweep has.

    Raises:
        OSError: the file cannot be written.
    """
    identity = points[0].plan.identity
    content = {key: identity[key] for key in ("notebook", "profile", "lesson")} | {
        "points": [
            {
                "folder": point.folder,
                "values": without_folders(point.values),
                "parameters": without_folders(point.plan.parameters),
            }
            for point in points
        ],
    }
    write_text(folder / LIST, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_failure(folder: Path, point: Point, failure: str) -> Row:
    """Keep the reason of a failure beside the executed notebook; return the point's row.

    Raises:
        OSError: the file cannot be written.
    """
    write_text(_place(folder, point.folder) / FAILURE, failure + "\n")
    return Row(dict(point.values), "failed", None, {}, failure, point.folder)


def finished(folder: Path, point: Point) -> bool:
    """Whether the point has a readable record of the same lesson, profile and parameters.

    The lesson is the same if the code of its cells is. Whether the package has changed is not
    asked: every record names the commit.
    """
    return _record(folder, point.folder, point.plan.identity) is not None


def rows(folder: Path) -> list[Row]:
    """The points of the sweep in `folder`, in the order of its grid.

    Raises:
        CourseError: there is no list of points, or it is damaged.
    """
    path, where = folder / LIST, short_path(folder / LIST)[1:-1]
    content = records.read_json(path, where)
    try:
        content = records.plain(content, LIST)
        one = {key: _name(content[key]) for key in ("notebook", "profile", "lesson")}
        points = [
            (_name(each["folder"]), dict(each["values"].items()), dict(each["parameters"].items()))
            for each in content["points"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(f"{where} is not the list of a sweep's points") from error
    return [_row(folder, *point, one) for point in points]


def _name(value: Any) -> str:
    """A name that leads nowhere else: it is looked for inside the sweep's folder."""
    require(re.fullmatch(r"(?!\.\.$)[^/\\\0]+", value, re.DOTALL), "it is no name")
    return str(value)


def _row(
    folder: Path, name: str, values: dict[str, Any], parameters: dict[str, Any], one: dict[str, str]
) -> Row:
    record = _record(folder, name, one | {"parameters": parameters})
    if record is not None:
        metrics = _flat(record["metrics"], seed_count(parameters))
        return Row(values, "ok", record["seconds"], metrics, "", name)
    try:
        failure = (_place(folder, name) / FAILURE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Row(values, "missing", None, {}, "", name)
    return Row(values, "failed", None, {}, failure.strip(), name)


def _record(folder: Path, name: str, one: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record = records.read_record(_place(folder, name) / f"{one['notebook']}.json")
    except CourseError:
        return None
    return record if records.belongs_to(record, one) else None


def _flat(metrics: Any, seeds: int, name: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}, "c": [2]}` as `{"a.b": 1, "c": 2}`; a list with one value is that value.

    A list of as many numbers as there are seeds stays one; others are left to the record.
    """
    match metrics:
        case [only]:
            return _flat(only, seeds, name)
        case list():
            return {name: metrics} if is_per_seed(metrics, seeds) else {}
        case dict():
            inner = [_flat(value, seeds, f"{name}.{key}" if name else key)
                     for key, value in metrics.items()]  # fmt: skip
            return {key: value for part in inner for key, value in part.items()}
    return {name: metrics}


def seed_count(parameters: Mapping[str, Any]) -> int:
    """How many seeds a run was given; 0 where it has no list of them."""
    seeds = parameters.get("seeds")
    return len(seeds) if isinstance(seeds, list) else 0


def is_per_seed(value: Any, seeds: int) -> TypeGuard[list[float]]:
    """Whether a record's value is a list of one number for each of two or more seeds."""
    return isinstance(value, list) and len(value) == seeds >= 2 and all(map(is_drawable, value))


def is_drawable(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a mean and an axis have room for."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def columns(table: Sequence[Row]) -> dict[str, list[Any]]:
    """The table by column: the grid's parameters, status, seconds, then the metrics.

    The cell of one result for each seed is their mean. A metric that is called like one of the
    first columns gets the prefix "metrics.". Values that have no cell type (a parameter that is a
    list or a mapping) are told as JSON.
    """
    names = list(table[0].values) if table else []
    first = {name: [_cell(row.values.get(name)) for row in table] for name in names}
    first |= {"status": [r.status for r in table], "seconds": [r.seconds for r in table]}
    metrics = dict.fromkeys(name for row in table for name in row.metrics)
    return first | {
        f"metrics.{name}" if name in first else name: [
            statistics.fmean(value) if isinstance(value, list) else value
            for value in (row.metrics.get(name) for row in table)
        ]
        for name in metrics
    }


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _no_formula(cell: Any) -> Any:
    """A text that a spreadsheet takes for one; a program of it would run a command."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r")) else cell


def write_tables(folder: Path, found: Sequence[Row]) -> tuple[Path, Path | None]:
    """Write `sweep.csv` and, if pyarrow is installed, `sweep.parquet`; return their paths.

    In the CSV file a text that begins like a formula (=, +, -, @) has a ' before it.

    Raises:
        OSError: a file cannot be written.
    """
    table, text = columns(found), io.StringIO()
    lines = [table, *zip(*table.values(), strict=True)]
    csv.writer(text, lineterminator="\n").writerows(map(_no_formula, line) for line in lines)
    write_text(folder / "sweep.csv", text.getvalue())
    return folder / "sweep.csv", _write_parquet(folder / "sweep.parquet", table)


def _write_parquet(path: Path, table: Mapping[str, list[Any]]) -> Path | None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        path.unlink(missing_ok=True)  # of an earlier start: it would tell less than the CSV file
        return None

    def array(values: list[Any]) -> Any:
        try:
            return pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError):  # values of several types
            return pyarrow.array([None if value is None else str(value) for value in values])

    with atomic(path) as temporary:
        content = {name: array(values) for name, values in table.items()}
        parquet.write_table(pyarrow.table(content), temporary)
    return path
