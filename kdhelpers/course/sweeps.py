"""Run a lesson over a grid of parameter values, in parallel; what is finished is not run again."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from kdhelpers import course
from kdhelpers._values import is_int, short_repr
from kdhelpers.course import failures, grids, sweep_tables
from kdhelpers.course.grids import Point
from kdhelpers.course.lesson import Notebook
from kdhelpers.course.plans import Plan
from kdhelpers.course.processes import Processes
from kdhelpers.course.records import RECORD_FILE, CourseError, wanted
from kdhelpers.course.sweep_tables import Row

__all__ = ["SweepResult", "sweep"]

MOST_WORKERS = 256  # processes that all load PyTorch
ATTEMPTS = 3  # at a point whose process dies; what kills it may be the point itself
PATIENCE = 600.0  # seconds: a killed sweep may have left a worker of dask at the same point

OnFailure = Callable[[Row], object]


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
    on_failure: OnFailure | None = None,
) -> SweepResult:
    """Run a lesson at every point of a grid; one that fails does not stop the others.

    Each point gets a folder of its own below `out_dir/points` with the executed notebook and the
    record. A point is finished once its record is there and is one of the same code cells,
    profile and parameters; finished points are not run again, so an interrupted sweep goes on
    where it was, and a larger grid only runs what is new. In a script, call this below
    `if __name__ == "__main__":`, for the processes import the script.

    Args:
        notebook: a number, name or path, as for `course.run`.
        grid: the values of each parameter, as for `grids.expand`: `{"temperature": [1, 2, 4],
            "seed": range(10)}`; `seed` also stands for one value of `seeds: list[int]`.
        executor: any executor of `concurrent.futures`, for instance `Client(…).get_executor()`
            of dask.distributed. Its workers need this package, and the notebook and `out_dir`
            under the same paths. Default: `workers` processes of one thread.
        workers: how many processes without an executor; default: one per processor core.
        profile, parameters, parameter_file: what all points share, as for `course.run`.
        out_dir: where everything goes; default `runs/sweeps/NN_name`.
        progress: show a progress bar on stderr.
        on_failure: is called with the row of each point that failed, as soon as it has.

    Raises:
        CourseError: something asked for does not exist or does not fit, or another sweep is
            writing to the folder; nothing has been run.
        KeyboardInterrupt: after the processes have been stopped; what is done is kept.
    """
    points = _points(notebook, grid, profile, parameters, parameter_file)
    workers = _checked_workers(workers, executor)
    lesson = points[0].plan.lesson
    wanted(out_dir, str, Path, type(None), name="out_dir")
    folder = Path(out_dir) if out_dir else Path("runs") / "sweeps" / lesson.name
    course.prepare_folder(folder, [points[0].plan])
    with _alone_in(folder):
        sweep_tables.write_list(folder, points)
        todo = [point for point in points if not sweep_tables.finished(folder, point)]
        try:
            with (
                tqdm(
                    total=len(points), initial=len(points) - len(todo), desc=lesson.name,
                    unit="point", disable=not progress,
                ) as bar,
                _started(executor, workers) as chosen,
            ):  # fmt: skip
                _run(chosen, folder, todo, bar, on_failure or (lambda row: None))
        finally:
            rows = sweep_tables.rows(folder)
            csv, parquet = sweep_tables.write_tables(folder, rows)
        return SweepResult(folder, rows, len(todo), csv, parquet, _draw(folder, rows))


def _points(
    notebook: str | Path,
    grid: Mapping[str, Iterable[Any]],
    profile: str,
    parameters: Mapping[str, Any] | None,
    parameter_file: str | Path | None,
) -> list[Point]:
    wanted(notebook, str, Path, name="a lesson")
    plan = course.plan(
        [notebook], profile=profile, parameters=parameters, parameter_file=parameter_file
    )[0]
    if RECORD_FILE not in plan.lesson.parameters:
        raise CourseError(
            f"{plan.lesson.name} has no parameter {RECORD_FILE!r}, so it writes no record and "
            "cannot be swept"
        )
    return grids.expand(plan, grid, fixed=parameters or {})


def _checked_workers(workers: int | None, executor: Executor | None) -> int:
    if workers is None:
        return os.cpu_count() or 1
    if executor is not None:
        raise CourseError("workers is for a sweep without an executor of its own")
    if not is_int(workers) or workers < 1:
        raise CourseError(f"a sweep needs at least one worker, not {short_repr(workers)}")
    if workers > MOST_WORKERS:
        raise CourseError(
            f"a sweep takes at most {MOST_WORKERS} workers, not {short_repr(workers)}"
        )
    return int(workers)


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
    if executor is not None:
        yield executor
        return
    processes = Processes(workers)
    try:
        yield processes
    except BaseException:
        processes.kill()
        raise
    processes.shutdown()


def _run(
    executor: Executor, folder: Path, todo: list[Point], bar: Any, on_failure: OnFailure
) -> None:
    """Run the points; whatever goes wrong at one of them is written into its folder."""
    for point in todo:
        sweep_tables.clear(folder, point)
    attempts = {_submit(executor, folder, point): (point, 1) for point in todo}
    try:
        while attempts:
            for future in wait(attempts, return_when=FIRST_COMPLETED).done:
                point, attempt = attempts.pop(future)
                if _died(future) and attempt < ATTEMPTS:
                    attempts[_submit(executor, folder, point)] = (point, attempt + 1)
                    continue
                if failure := _failure(future):
                    on_failure(sweep_tables.write_failure(folder, point, failure))
                bar.update()
    finally:
        for future in attempts:
            future.cancel()


def _submit(executor: Executor, folder: Path, point: Point) -> Future[str | None]:
    lesson = point.plan.lesson
    plan = replace(point.plan, lesson=Notebook(lesson.path))  # without the cells that were read
    place = sweep_tables.point_folder(folder.absolute(), point.folder)
    try:
        return executor.submit(run_point, plan, str(place), lesson.digest)
    except Exception as error:  # it has been shut down, or a process of its pool was killed
        failed: Future[str | None] = Future()
        failed.set_exception(error)
        return failed


def _died(future: Future[str | None]) -> bool:
    """Whether the process died, not the point alone."""
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _failure(future: Future[str | None]) -> str | None:
    if future.cancelled():
        return "the executor gave it up"
    try:
        return future.result()
    except BrokenExecutor:
        return f"the process that ran it died {ATTEMPTS} times (killed, or out of memory)"
    except Exception as error:
        return failures.describe(error, Path())


def run_point(plan: Plan, folder: str, digest: str) -> str | None:
    """Run one point, in whatever process this is; return why it failed, or None."""
    if plan.lesson.digest != digest:
        return f"{plan.lesson.path.name} has changed since the sweep began; start the sweep again"
    course.prepare_folder(folder, [plan])
    return course.execute(plan, folder, progress=False, patience=PATIENCE).failure


def _draw(folder: Path, rows: list[Row]) -> Path | None:
    from kdhelpers.course import (
        sweep_plots,  # matplotlib is slow to import, and a worker needs none
    )

    return sweep_plots.write(folder / "sweep.png", rows)
