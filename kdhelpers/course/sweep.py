"""Run a lesson over a grid of parameter values, in parallel; what is finished is not run again.

A sweep's folder holds a list of the points, a folder of each, and one table of them all. The table
is a function of what lies there, so it does not matter in how many attempts the records came about.
"""

import csv
import io
import json
import os
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeGuard

import psutil
from filelock import FileLock, Timeout
from tqdm import tqdm

from kdhelpers._files import atomic, write_text
from kdhelpers._values import check_type, is_int, processors, short_path, short_repr
from kdhelpers.course import records, run
from kdhelpers.course.plans import START, Plan, Point, expand, plan
from kdhelpers.course.records import RECORD_FILE
from kdhelpers.course.root import CourseError

LIST, FAILURE = "sweep.json", "failure.txt"
ONE = ("notebook", "profile", "lesson")  # what all points have in common
LARGEST = 1e30  # that a mean and an axis have room for
MOST_WORKERS = 256  # kernels that all load PyTorch
ATTEMPTS = 3  # at a point whose kernel or process dies; what kills it may be the point itself
PATIENCE = 600.0  # seconds: a killed sweep may have left a worker of dask at the same point
# Two kernels with two threads each on two cores wait for each other most of the time.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

# Why a point failed or None, and whether its kernel or process died: worth another attempt.
Failure = tuple[str | None, bool]


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
    """A sweep's folder, its table (as stored in `sweep.csv`), and how many points ran just now."""

    folder: Path
    rows: list[Row]
    ran: int

    @property
    def ok(self) -> bool:
        return all(row.status == "ok" for row in self.rows)


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
    start_timeout: float = START,
    on_failure: Callable[[Row], object] = lambda row: None,
) -> SweepResult:
    """Run a lesson at every point of a grid; one that fails does not stop the others.

    Each point gets a folder of its own below `out_dir/points` with the executed notebook and the
    record. A point is finished once its record is there and is one of the same code cells,
    profile and parameters; finished points are not run again, so an interrupted sweep goes on
    where it was, and a larger grid only runs what is new.

    Args:
        notebook: a number, name or path, as for `plans.plan`.
        grid: the values of each parameter, as for `expand`: `{"temperature": [1, 2, 4],
            "seed": range(10)}`; `seed` also stands for one value of `seeds: list[int]`.
        executor: any executor of `concurrent.futures`, for instance `Client(…).get_executor()`
            of dask.distributed. Its workers need this package, and the notebook and `out_dir`
            under the same paths. Default: `workers` kernels of one thread, here.
        workers: how many kernels without an executor; default: one per core that we may use.
        profile, parameters, parameter_file, cell_timeout, start_timeout: what all points
            share, as for `plans.plan`.
        out_dir: where everything goes; default `runs/sweeps/NN_name`.
        progress: show a progress bar on stderr.
        on_failure: is called with the row of each point that failed, as soon as it has.

    Raises:
        CourseError: something asked for does not exist or does not fit, or another sweep is
            writing to the folder; nothing has been run.
        KeyboardInterrupt: after the kernels have been stopped; what is done is kept.
    """
    from kdhelpers.course.report import write_figure  # which imports from here, and matplotlib

    check_type(out_dir, str, Path, type(None), name="out_dir")
    (shared,) = plan(
        [notebook], profile=profile, parameters=parameters, parameter_file=parameter_file,
        cell_timeout=cell_timeout, start_timeout=start_timeout,
    )  # fmt: skip
    lesson = shared.lesson
    if RECORD_FILE not in lesson.parameters:
        told = f"{lesson.name} has no parameter {RECORD_FILE!r}"
        raise CourseError(f"{told}, so it writes no record and cannot be swept")
    points = expand(shared, grid, fixed=parameters or {})
    workers = _worker_count(workers, executor)
    folder = Path(out_dir) if out_dir else Path("runs") / "sweeps" / lesson.name
    run.prepare_folder(folder, [shared])
    try:
        alone = FileLock(folder / ".sweep.lock", timeout=0).acquire()
    except Timeout:
        told = f"another sweep is writing to {str(folder)!r}; choose another --out (out_dir)"
        raise CourseError(told) from None
    with alone:
        write_list(folder, points)
        todo = [point for point in points if not finished(folder, point)]
        bar = tqdm(total=len(points), initial=len(points) - len(todo), desc=lesson.name,
                   unit="point", disable=not progress)  # fmt: skip
        try:
            with bar, _started(executor, workers) as chosen:
                for row in _run(chosen, folder, todo):
                    bar.update()
                    if row:
                        on_failure(row)
        finally:
            found = rows(folder)
            write_tables(folder, found)
        write_figure(folder / "sweep.png", found)
        return SweepResult(folder, found, len(todo))


def _worker_count(workers: int | None, executor: Executor | None) -> int:
    """As many as asked for, else one per core that we may use."""
    if workers is None:
        return processors()
    if executor is not None:
        raise CourseError("workers is for a sweep without an executor of its own")
    if not is_int(workers) or not 1 <= workers <= MOST_WORKERS:
        told = f"the number of workers must be at least 1 and at most {MOST_WORKERS}"
        raise CourseError(f"{told}, got {short_repr(workers)}")
    return workers


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


def _run(executor: Executor, folder: Path, todo: list[Point]) -> Iterator[Row | None]:
    """Run the points; yield the row of each that failed, None for the others.

    Whatever goes wrong at a point is written into its folder.
    """
    for point in todo:  # what a failed or killed attempt has left, except for the notebook
        place = place_of(folder, point.folder)
        for left in [*place.glob(".part-*"), place / FAILURE]:
            left.unlink(missing_ok=True)
    attempts = {_submit(executor, folder, each): (each, 1) for each in todo}
    try:
        while attempts:
            for future in futures.wait(attempts, return_when=futures.FIRST_COMPLETED).done:
                point, attempt = attempts.pop(future)
                failure, died = _failure(future)
                if died and attempt < ATTEMPTS:
                    attempts[_submit(executor, folder, point)] = (point, attempt + 1)
                else:
                    yield write_failure(folder, point, failure) if failure else None
    finally:
        for future in attempts:
            future.cancel()


def _submit(executor: Executor, folder: Path, point: Point) -> Future[Failure]:
    place = str(place_of(folder.absolute(), point.folder))
    try:
        return executor.submit(run_point, point.plan, place)
    except Exception as error:  # it has been shut down, or a process of its pool was killed
        failed: Future[Failure] = Future()
        failed.set_exception(error)
        return failed


def _failure(future: Future[Failure]) -> Failure:
    if future.cancelled():
        return "the executor gave it up", False
    try:
        failure, died = future.result()
        return f"{failure}\n{ATTEMPTS} times" if died else failure, died
    except BrokenExecutor:
        return f"the process that ran it died {ATTEMPTS} times (killed, or out of memory)", True
    except Exception as error:
        return run.in_words(error), False


def run_point(plan: Plan, folder: str) -> Failure:
    """Run one point, in whatever process this is."""
    run.prepare_folder(folder, [plan])
    home = Path(folder).parents[1]  # that of all points
    outcome = run.execute(plan, folder, home=home, progress=False, patience=PATIENCE)
    return outcome.failure, outcome.died


# -- what its folder holds ------------------------------------------------------------------------


def place_of(folder: Path, name: str) -> Path:
    return folder / "points" / name


def write_list(folder: Path, points: Sequence[Point]) -> None:
    """Write down which points the sweep has."""
    identity = points[0].plan.identity
    content = {key: identity[key] for key in ONE} | {
        "points": [
            {"folder": point.folder}
            | records.without_folders({"values": point.values, "parameters": point.plan.parameters})
            for point in points
        ]
    }
    write_text(folder / LIST, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_failure(folder: Path, point: Point, failure: str) -> Row:
    """Keep the reason of a failure beside the executed notebook; return the point's row."""
    write_text(place_of(folder, point.folder) / FAILURE, failure + "\n")
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
    content = records.read_json(folder / LIST)
    try:
        content = records.plain(content, LIST)
        one = {key: _name(content[key]) for key in ONE}
        points = [
            (_name(each["folder"]), dict(each["values"].items()), dict(each["parameters"].items()))
            for each in content["points"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = short_path(folder / LIST)[1:-1]
        raise CourseError(f"{where} is not the list of a sweep's points") from error
    return [_row(folder, *point, one) for point in points]


def _name(value: Any) -> str:
    """A name that leads nowhere else: it is looked for inside the sweep's folder."""
    if not re.fullmatch(r"(?!\.\.$)[^/\\\0]+", value, re.DOTALL):
        raise ValueError("it is no name")
    return str(value)


def _row(
    folder: Path, name: str, values: dict[str, Any], parameters: dict[str, Any], one: dict[str, str]
) -> Row:
    record = _record(folder, name, one | {"parameters": parameters})
    if record is not None:
        metrics = _flat(record["metrics"], seed_count(parameters))
        return Row(values, "ok", record["seconds"], metrics, "", name)
    try:
        failure = (place_of(folder, name) / FAILURE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Row(values, "missing", None, {}, "", name)
    return Row(values, "failed", None, {}, failure.strip(), name)


def _record(folder: Path, name: str, one: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record = records.read_record(place_of(folder, name) / f"{one['notebook']}.json")
    except CourseError:
        return None
    return record if records.belongs_to(record, one) else None


def _flat(metrics: Any, seeds: int, name: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}, "c": [2]}` as `{"a.b": 1, "c": 2}`; a list with one value is that value.

    A list of as many numbers as there are seeds stays one, and runs that name their seeds become
    such a list for each of their figures; other lists are left to the record.
    """
    match metrics:
        case [only]:
            return _flat(only, seeds, name)
        case [dict(), *_] if runs := by_figure(metrics):
            return _flat(runs, seeds, name)
        case list():
            return {name: metrics} if is_per_seed(metrics, seeds) else {}
        case dict():
            inner = [_flat(value, seeds, f"{name}.{key}" if name else key)
                     for key, value in metrics.items()]  # fmt: skip
            return {key: value for part in inner for key, value in part.items()}
    return {name: metrics}


def by_figure(runs: Any) -> dict[str, list[Any]]:
    """Runs that name their seeds as a list for each figure of all; {} of anything else."""
    if not isinstance(runs, list) or not runs:
        return {}
    if not all(isinstance(run, dict) and "seed" in run for run in runs):
        return {}
    names = [key for key in runs[0] if key != "seed" and all(key in run for run in runs)]
    return {key: [run[key] for run in runs] for key in names}


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
    first columns gets the prefix "metrics.", a parameter that is called "seconds" or "status" the
    prefix "parameters.". Values that have no cell type (a parameter that is a list or a mapping)
    are told as JSON.
    """
    own: dict[str, list[Any]] = {
        "status": [r.status for r in table],
        "seconds": [r.seconds for r in table],
    }
    first: dict[str, list[Any]] = {}
    for name in table[0].values if table else ():
        values = [_cell(row.values.get(name)) for row in table]
        first |= {f"parameters.{name}" if name in own else name: values}
    first |= own
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


def write_tables(folder: Path, found: Sequence[Row]) -> None:
    """Write `sweep.csv` and, if pyarrow is installed, `sweep.parquet`.

    In the CSV file a text that begins like a formula (=, +, -, @) has a ' before it.
    """
    table, text = columns(found), io.StringIO()
    lines = [table, *zip(*table.values(), strict=True)]
    csv.writer(text, lineterminator="\n").writerows(map(_no_formula, line) for line in lines)
    write_text(folder / "sweep.csv", text.getvalue())
    _write_parquet(folder / "sweep.parquet", table)


def _write_parquet(path: Path, table: Mapping[str, list[Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        path.unlink(missing_ok=True)  # of an earlier start: it would tell less than the CSV file
        return

    def array(values: list[Any]) -> Any:
        try:
            return pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError):  # values of several types
            return pyarrow.array([None if value is None else str(value) for value in values])

    with atomic(path) as temporary:
        content = {name: array(values) for name, values in table.items()}
        parquet.write_table(pyarrow.table(content), temporary)
