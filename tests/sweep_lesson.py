"""A tiny lesson to sweep over, and the means to run its points with and without kernels."""

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from tiny_course import write_lesson

from kdhelpers import course
from kdhelpers.course import records
from kdhelpers.course.plans import Plan
from kdhelpers.course.sweep import Row

PARAMETERS = """\
temperature: float = 4.0  # softness
seeds: list[int] = [0, 1]  # one run each
shift: int = 0
mode: str = "plain"
layers: list[str] = []
record_file: str = ""
"""
START = """\
import os, pathlib, signal, time
started = time.perf_counter()
here = pathlib.Path(record_file).parent.parent  # the run's own folder goes at its end
with (here / "kernels.log").open("a") as log:
    log.write(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\\n")
attempts = len((here / "kernels.log").read_text().splitlines())
"""
RECORD = """\
from kdhelpers import course
course.write_record(
    record_file, notebook="", parameters={}, device="cpu", started=started,
    metrics={"headline": "done", "accuracy": [0.9 - temperature / 100 + seeds[0] / 1000]},
);"""


def write(root: Path, trouble: str = "", name: str = "05_tiny") -> Path:
    """A lesson with an optional cell that makes trouble; it may ask for `attempts`."""
    return write_lesson(root, name, START, trouble, RECORD, parameters=PARAMETERS)


def accuracy(temperature: float, seed: int) -> float:
    """What the lesson measures."""
    return 0.9 - temperature / 100 + seed / 1000


def kernels(folder: Path) -> list[tuple[int, str]]:
    """Number and threads of every kernel that a sweep into `folder` has started."""
    logs = sorted(folder.glob("points/*/kernels.log"))
    lines = [line.split() for log in logs for line in log.read_text().splitlines()]
    return [(int(number), threads) for number, threads in lines]


def record(plan: Plan, folder: str) -> None:
    """Do what a kernel does, without one."""
    place = Path(folder)
    file = place / f"{plan.lesson.name}.json"
    values = plan.parameters
    metrics = {"accuracy": [accuracy(values["temperature"], values["seeds"][0])]}
    course.write_record(
        file, notebook="", parameters={}, metrics=metrics, device="cpu", started=0.0
    )
    records.complete(file, plan.identity, 1.5)


def row(metrics: dict[str, Any] | None = None, **values: Any) -> Row:
    """A point that has these metrics, or none yet."""
    if metrics is None:
        return Row(values, "missing", None, {}, "", "x")
    return Row(values, "ok", 1.5, metrics, "", "x")


class Inline(Executor):
    """Runs every call at once, here."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
