"""Sweeps: what is finished stays, what fails is told; most tests need no kernel."""

import csv
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import papermill
import psutil
import pytest
import sweep_lesson
from distributed import LocalCluster
from filelock import FileLock
from forked import forked, forks
from pyarrow import parquet
from sweep_lesson import Inline, accuracy, row
from tiny_course import COMMAND, call, write_lesson

from kdhelpers.course import cli, sweep
from kdhelpers.course.notebook import Notebook
from kdhelpers.course.plans import Plan, expand, plan
from kdhelpers.course.root import CourseError
from kdhelpers.course.sweep import Row, SweepResult

GRID = {"temperature": [1, 4], "seed": ["0:2"]}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "Kurs {Übung}"
    sweep_lesson.write(root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return root


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The parameters of the points that ran, without a kernel."""
    seen: list[dict[str, Any]] = []

    def run_point(plan: Plan, folder: str) -> tuple[str | None, bool]:
        seen.append(plan.values)
        if plan.values.get("mode") == "bad":
            return "cell In [3]:\nit is bad", False
        sweep_lesson.record(plan, folder)
        return None, False

    monkeypatch.setattr(sweep, "run_point", run_point)
    return seen


def inline(grid: dict[str, Any], lesson: str = "05", **options: Any) -> SweepResult:
    return sweep.sweep(lesson, grid, executor=Inline(), progress=False, **options)


def csv_lines(folder: Path) -> list[list[str]]:
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of the CSV file without the seconds, the only thing that may differ."""
    with (folder / "sweep.csv").open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_gone(folder: Path, count: int) -> None:
    """No kernel of the sweep is left, and there have been `count` at least."""
    numbers = [number for number, _ in sweep_lesson.kernels(folder)]
    assert len(numbers) >= count
    left = [psutil.Process(number) for number in numbers if psutil.pid_exists(number)]
    assert psutil.wait_procs(left, timeout=120)[1] == []


# -- without kernels ------------------------------------------------------------------------------


def test_a_point_runs_once(ran: list[dict[str, Any]], root: Path) -> None:
    result = inline(GRID)
    assert result.ok
    assert result.ran == len(ran) == 4
    assert ran[1] == {"temperature": 1.0, "seeds": [1]}
    assert result.folder == Path("runs/sweeps/05_tiny")
    assert [row.metrics["accuracy"] for row in result.rows] == [
        accuracy(t, seed) for t in (1, 4) for seed in (0, 1)
    ]
    csv_file, *others = (result.folder / f"sweep.{kind}" for kind in ("csv", "parquet", "png"))
    assert all(path.exists() for path in others)
    before = csv_file.read_bytes()

    assert inline(GRID).ran == 0
    assert csv_file.read_bytes() == before
    larger = inline({"temperature": [8, 1, 4], "seed": [1, 0, 2]})
    assert larger.ran == 5
    assert ran[4:] == [
        *({"temperature": 8.0, "seeds": [seed]} for seed in (1, 0, 2)),
        *({"temperature": t, "seeds": [2]} for t in (1.0, 4.0)),
    ]
    assert [tuple(row.values.values()) for row in larger.rows][:3] == [(8, 1), (8, 0), (8, 2)]


def test_a_point_runs_again_if_anything_about_it_has_changed(
    ran: list[dict[str, Any]], root: Path
) -> None:
    grid = {"temperature": [1, 2]}

    def again() -> int:
        return inline(grid).ran

    assert (again(), again()) == (2, 0)
    lesson = root / "notebooks" / "05_tiny.ipynb"
    content = lesson.read_text()
    lesson.write_text(content.replace("Welcome!", "Good day!"))
    assert again() == 0
    lesson.write_text(content.replace("started = ", "begun = started = "))
    assert (again(), again()) == (2, 0)
    place = Path("runs/sweeps/05_tiny")
    record = next(place.glob("points/temperature=1.0*/05_tiny.json"))
    good = json.loads(record.read_text())
    for damage in (
        "",
        json.dumps(good | {"profile": "full"}),
        json.dumps(good | {"notebook": "06"}),
        json.dumps(good | {"parameters": good["parameters"] | {"temperature": 2.0}}),
    ):
        record.write_text(damage)
        assert [row.status for row in sweep.rows(place)] == ["missing", "ok"]
        assert (again(), again()) == (1, 0)


def test_what_all_points_share(ran: list[dict[str, Any]], root: Path) -> None:
    Path("mine.yaml").write_text("shift: 7\ntemperature: 2\n")
    inline({"seed": [1]}, parameters={"mode": "odd"}, parameter_file="mine.yaml", out_dir="here")
    assert ran == [{"shift": 7, "temperature": 2.0, "mode": "odd", "seeds": [1]}]
    assert len(table(Path("here"))) == 1
    inline({"temperature": [3]}, parameter_file="mine.yaml")  # the grid goes before the file
    assert ran[-1]["temperature"] == 3.0
    (root / "notebooks/profiles/full/05_tiny.yaml").write_text("shift: 9\n")
    inline({"seed": [1]}, profile="full", out_dir="here")
    assert ran[-1] == {"shift": 9, "seeds": [1]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {"seeds": [1]}}, "'seeds' has one fixed value"),
        ({"lesson": "06_silent"}, "06_silent has no parameter 'record_file', so it writes no"),
        ({"workers": 2}, "workers is for a sweep without an executor"),
        ({"out_dir": "notebooks"}, "'notebooks' holds the lesson itself"),
    ],
)
def test_nothing_runs_before_everything_is_checked(
    ran: list[dict[str, Any]], root: Path, options: dict[str, Any], message: str
) -> None:
    write_lesson(root, "06_silent", parameters="seeds: list[int] = [1]\ntemperature: float = 1.0")
    with pytest.raises(CourseError, match=message):
        inline(**({"grid": GRID} | options))
    assert ran == []
    assert not Path("runs").exists()


def test_a_failed_point_is_told_and_tried_again_and_a_mended_one_is_failed_no_more(
    ran: list[dict[str, Any]],
) -> None:
    told: list[Row] = []
    grid = {"mode": ["good", "bad", "fine"]}
    result = inline(grid, on_failure=told.append)
    assert not result.ok
    assert [row.status for row in result.rows] == ["ok", "failed", "ok"]
    assert told == result.rows[1:2]
    assert (told[0].values, told[0].failure) == ({"mode": "bad"}, "cell In [3]:\nit is bad")
    place = result.folder / "points" / result.rows[0].point
    (place / "05_tiny.json").unlink()
    for left in ("failure.txt", ".part-left.json"):
        (place / left).write_text("once")
    assert inline(grid).ran == 2
    assert [path.name for path in place.iterdir()] == ["05_tiny.json"]


@pytest.mark.parametrize("kernel", [True, False])
def test_a_kernel_or_process_that_dies_is_replaced_a_few_times(
    ran: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, kernel: bool
) -> None:
    record, calls = sweep.run_point, []

    def deadly(plan: Plan, folder: str) -> tuple[str | None, bool]:
        calls.append(plan.values["temperature"])
        if calls[-1] == 2 or (calls.count(1) < 2 and calls[-1] == 1):
            if kernel:
                return "cell In [4]:\nit died", True
            raise BrokenExecutor
        return record(plan, folder)

    monkeypatch.setattr(sweep, "run_point", deadly)
    result = inline({"temperature": [1, 2, 3]})
    assert [row.status for row in result.rows] == ["ok", "failed", "ok"]
    told = "cell In [4]:\nit died\n3 times" if kernel else "the process that ran it died 3 times ("
    assert result.rows[1].failure.startswith(told)
    assert sorted(calls) == [1, 1, 2, 2, 2, 3]


class Shut(Executor):
    """Takes one call and never runs it."""

    def __init__(self) -> None:
        self.future: Future[Any] = Future()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.future.cancelled():
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.future.cancel()
        self.future.set_running_or_notify_cancel()
        return self.future


def test_an_executor_that_gives_up() -> None:
    result = sweep.sweep("05", {"temperature": [1, 2]}, executor=Shut(), progress=False)
    assert [row.failure for row in result.rows] == [
        "the executor gave it up",
        "RuntimeError: cannot schedule new futures after shutdown",
    ]
    assert not (result.folder / "sweep.png").exists()
    text = (result.folder / "sweep.csv").read_text()
    assert text.startswith("temperature,status,seconds\n1.0,failed,\n")


def test_an_interrupt_keeps_what_is_done(
    ran: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(row: Row) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inline({"mode": ["good", "bad", "fine"]}, on_failure=interrupt)
    assert [row["status"] for row in table(Path("runs/sweeps/05_tiny"))] == ["ok", "failed", "ok"]


def test_as_many_kernels_as_cores_that_we_may_use(
    ran: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(sweep, "ThreadPoolExecutor", lambda n: started.append(n) or Inline())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    before = os.environ.get("MKL_NUM_THREADS")
    for workers in (None, 2):
        sweep.sweep("05", GRID, workers=workers, out_dir=f"{workers}", progress=False)
    assert started == [3, 2]
    assert os.environ.get("MKL_NUM_THREADS") == before


def test_two_sweeps_into_one_folder_are_refused(ran: list[dict[str, Any]]) -> None:
    Path("out").mkdir()
    with (
        FileLock("out/.sweep.lock"),
        pytest.raises(CourseError, match=r"another sweep is writing to 'out'; choose another"),
    ):
        inline(GRID, out_dir="out")
    assert ran == []
    assert inline(GRID, out_dir="out").ok


def test_what_the_command_says_at_its_end_also_without_pyarrow(
    ran: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "ThreadPoolExecutor", lambda workers: Inline())
    assert call("sweep 05 -p mode bad --workers 1") == 1
    out, err = capsys.readouterr()
    assert out == (
        "1 point, 1 run now, 1 failed (the same command tries them again)\n"
        "In runs/sweeps/05_tiny: sweep.csv, sweep.parquet\n"
    )
    assert "mode = bad failed: cell In [3]:\nit is bad" in err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert call("sweep 05 -p temperature 1 4 -p seed 0:2") == 0
    out, err = capsys.readouterr()
    assert out.endswith("4 points, 4 run now\nIn runs/sweeps/05_tiny: sweep.csv, sweep.png\n")
    assert "sweep.parquet needs the package 'pyarrow'; install the extra" in err


def test_a_lesson_that_changes_meanwhile(root: Path) -> None:
    (planned,) = plan("05")
    there = pickle.loads(pickle.dumps(planned))  # as for another process
    sweep_lesson.write(root, "temperature += 1")
    assert there.lesson.digest == planned.lesson.digest != Notebook(planned.lesson.path).digest
    for each in (planned, there):
        failure, died = sweep.run_point(each, "out/points/1")
        assert failure == "05_tiny.ipynb has changed meanwhile; start again, with the new code"
        assert not died
        assert not [*Path("out").rglob("*.ipynb")]


# -- the command, without kernels -----------------------------------------------------------------


def test_a_server_that_is_no_scheduler_and_dask_is_an_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert call(f"sweep 05 -p seed 1 --dask {address}") == 2
    assert f"no dask scheduler answers at '{address}'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert call(f"sweep 05 -p seed 1 --dask {address}") == 2
    assert "--dask needs the package 'distributed'; install" in capsys.readouterr().err


def test_a_full_disk_is_told_in_one_sentence(
    ran: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sweep, "write_list", full)
    assert call("sweep 05 -p seed 1") == 2
    assert "finished points are kept: [Errno 28] No space left" in capsys.readouterr().err


# -- its table, a function of what lies in the folder ---------------------------------------------


def test_metrics_have_dotted_names_and_one_value_in_a_list_is_that_value() -> None:
    metrics = {
        "headline": "9 points",
        "accuracy": {"student": [0.5], "teacher": 1},
        "alone": [{"100": [0.25]}],
        "curve": [1, 2, 3],
        "arms": {"KD": [0.5, 1], "who": ["a", "b"], "huge": [1, 10**400], "sure": [True, False]},
        "runs": [{"seed": 0, "loss": 3, "by_epoch": [4]}, {"seed": 1, "loss": 2, "by_epoch": [5]}],
        "others": [{"loss": 3}, {"accuracy": 2}],
        "nothing": [],
        "good": True,
        "unknown": None,
    }
    assert sweep._flat(metrics, seeds=2) == {
        "headline": "9 points",
        "accuracy.student": 0.5,
        "accuracy.teacher": 1,
        "alone.100": 0.25,
        "arms.KD": [0.5, 1],
        "runs.loss": [3, 2],
        "good": True,
        "unknown": None,
    }


def test_a_column_holds_parameters_and_metrics_and_the_mean_of_several_seeds() -> None:
    found_rows = [
        row(None, layers=["a", "b"], temperature=1.0),
        row({"loss": [0.25, 0.75], "seconds": 3}, layers=["é"], temperature=2.0),
        row({"loss": 0.25, "late": 1}, layers=[], temperature=4.0),
    ]
    assert sweep.columns(found_rows) == {
        "layers": ['["a", "b"]', '["é"]', "[]"],
        "temperature": [1.0, 2.0, 4.0],
        "status": ["missing", "ok", "ok"],
        "seconds": [None, 1.5, 1.5],
        "loss": [None, 0.5, 0.25],
        "metrics.seconds": [None, 3, None],
        "late": [None, None, 1],
    }
    assert sweep.columns([]) == {"status": [], "seconds": []}
    own = sweep.columns([row({"loss": 1}, seconds=0.1, status="on")])
    assert own["parameters.seconds"] == [0.1]
    assert own["parameters.status"] == ["on"]
    assert [own["seconds"], own["status"]] == [[1.5], ["ok"]]


def test_no_text_starts_a_formula(tmp_path: Path) -> None:
    found_rows = [row({"=a()": "@b", "n": -1, "minus": "-1+1"}, mode="=cmd|' /C calc'!A0")]
    sweep.write_tables(tmp_path, found_rows)
    assert csv_lines(tmp_path) == [
        ["mode", "status", "seconds", "'=a()", "n", "minus"],
        ["'=cmd|' /C calc'!A0", "ok", "1.5", "'@b", "-1", "'-1+1"],
    ]


def test_both_files_hold_the_same(tmp_path: Path) -> None:
    found_rows = [
        row({"a": 1, "mixed": 1, "big": 2**64 - 1, "text": 'x,"y"\nz'}, seed=0),
        row({"a": 0.1 + 0.2, "mixed": "one", "big": -1, "empty": None}, seed=1),
        row(None, seed=2),
    ]
    sweep.write_tables(tmp_path, found_rows)
    head, *lines = csv_lines(tmp_path)
    assert head == ["seed", "status", "seconds", "a", "mixed", "big", "text", "empty"]
    assert lines == [
        ["0", "ok", "1.5", "1", "1", str(2**64 - 1), 'x,"y"\nz', ""],
        ["1", "ok", "1.5", "0.30000000000000004", "one", "-1", "", ""],
        ["2", "missing", "", "", "", "", "", ""],
    ]
    stored = parquet.read_table(tmp_path / "sweep.parquet")
    assert stored.column_names == head
    kinds = [str(stored.schema.field(name).type) for name in ("seed", "a", "mixed", "big")]
    assert kinds == ["int64", "double", "string", "string"]
    assert stored.to_pydict()["a"] == [1.0, 0.1 + 0.2, None]
    assert stored.to_pydict()["mixed"] == ["1", "one", None]


def test_the_list_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"sweep.json cannot be read: No such file"):
        sweep.rows(tmp_path)
    (planned,) = plan("05", parameters={"mode": str(tmp_path / "data")})
    points = expand(planned, {"layers": [[str(tmp_path / "a")], ["b"]]})
    sweep.write_list(tmp_path, points)
    assert str(tmp_path) not in (tmp_path / "sweep.json").read_text()
    for point in points:
        assert not sweep.finished(tmp_path, point)
        place = sweep.place_of(tmp_path, point.folder)
        sweep_lesson.record(point.plan, str(place))
        assert sweep.finished(tmp_path, point)
    found = [(row.values, row.status) for row in sweep.rows(tmp_path)]
    assert found == [({"layers": ["a"]}, "ok"), ({"layers": ["b"]}, "ok")]
    listed = json.loads((tmp_path / "sweep.json").read_text())["points"]
    assert [each["parameters"]["mode"] for each in listed] == ["data", "data"]


# -- with kernels ---------------------------------------------------------------------------------

TROUBLE = """\
if temperature == 2:
    raise ValueError("too <warm>")
if temperature == 4 and attempts == 1:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
"""
TROUBLED = "sweep 05 -p temperature 1 2 4 -p seed 0 --out out"


def check_trouble(folder: Path) -> None:
    """What a sweep over TROUBLE must come to, whoever runs it."""
    found = sweep.rows(folder)
    assert [row.status for row in found] == ["ok", "failed", "ok"]
    assert found[1].failure.endswith("ValueError: too <warm>")
    measured = [row.metrics.get("accuracy") for row in found]
    assert measured == [accuracy(1, 0), None, accuracy(4, 0)]
    stored = parquet.read_table(folder / "sweep.parquet").to_pydict()
    assert stored["accuracy"] == measured
    assert stored["temperature"] == [1.0, 2.0, 4.0]
    assert_gone(folder, 4)


def test_two_kernels_at_a_time_and_one_is_killed(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep_lesson.write(root, TROUBLE.replace("getppid", "getpid"))
    assert call(f"{TROUBLED} --workers 2") == 1
    out, err = capfd.readouterr()
    assert "3 points, 3 run now, 1 failed (the same command tries them again)" in out
    assert "\ntemperature = 2.0, seed = 0 failed: cell In [4], line 2:\n" in err
    assert "05_tiny: 100%" in err
    assert "Traceback" not in err
    assert [threads for _, threads in sweep_lesson.kernels(Path("out"))] == ["1"] * 4
    assert list(Path("out").glob("points/temperature=1.0,seed=0-*/05_tiny.ipynb"))
    check_trouble(Path("out"))


def test_a_worker_of_dask_is_killed(root: Path) -> None:
    sweep_lesson.write(root, TROUBLE)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as dask:
        assert call(f"{TROUBLED} --dask {dask.scheduler_address}") == 1
        with dask.get_client() as client:
            client.wait_for_workers(1, timeout=120)  # a cluster closed while one starts may hang
    check_trouble(Path("out"))


@forks
def test_a_sweep_that_is_killed_goes_on_and_ends_with_the_same_table() -> None:
    out, command = Path("out"), "sweep 05 -p seed 1 --workers 1 --out out"
    running, end = forked(call, command), time.monotonic() + 200
    while not sweep_lesson.kernels(out) and time.monotonic() < end:
        time.sleep(0.02)
    running.kill()
    running.join()
    assert call(command) == 0
    assert table(out) == [
        {"seed": "1", "status": "ok", "headline": "done", "accuracy": f"{accuracy(4, 1)}"}
    ]
    assert not list(out.rglob("failure.txt"))
    assert_gone(out, 2)


def test_ctrl_c_keeps_what_is_done_and_leaves_no_kernel(root: Path) -> None:
    group = "os.getpgid(os.getppid())"  # a terminal tells all of it
    interrupt = f"if seeds == [1]:\n    os.killpg({group}, signal.SIGINT)\n    time.sleep(60)"
    sweep_lesson.write(root, interrupt)
    command = [*COMMAND, *["sweep", "05", "-p", "seed", "0:3", "--workers", "1", "--out", "out"]]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, start_new_session=True
    )
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.endswith("the same command goes on from there\ninterrupted\n")
    assert "KeyboardInterrupt" not in done.stderr
    assert [row["status"] for row in table(Path("out"))] == ["ok", "missing", "missing"]
    assert_gone(Path("out"), 2)


def test_a_point_waits_for_the_worker_that_an_ended_sweep_has_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: 1 / 0)
    place = root / "out" / "points" / "one"
    place.mkdir(parents=True)
    other = FileLock(place / ".05_tiny.lock", thread_local=False).acquire().lock
    leaving = threading.Timer(0.5, other.release)
    leaving.start()
    failure, _ = sweep.run_point(plan("05")[0], str(place))
    leaving.join()
    assert failure == "ZeroDivisionError: division by zero"


def test_no_text_starts_a_formula_behind_a_tab_or_a_line_end(tmp_path: Path) -> None:
    sweep.write_tables(tmp_path, [row({"a": "\t=1", "b": "\r=1"})])
    text = (tmp_path / "sweep.csv").read_bytes()
    assert b"'\t=1" in text
    assert b"'\r=1" in text
