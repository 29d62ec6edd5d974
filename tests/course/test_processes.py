"""Processes: each dies alone, and none outlives the program."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

import psutil
import pytest

from kdhelpers.course.processes import Processes


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with Processes(2) as started:
        yield started


def meet(folder: Path, number: int) -> int:
    """Wait until two of us are at work; only then is it certain that they are two processes."""
    (folder / f"{number}-{os.getpid()}").touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return os.getpid()


def wait_for(file: Path) -> int:
    (file.parent / "waiting").write_text(str(os.getpid()))
    while not file.exists():
        time.sleep(0.01)
    return os.getpid()


def number_in(file: Path) -> int:
    while not (file.exists() and file.read_text()):
        time.sleep(0.01)
    return int(file.read_text())


def test_who_dies_takes_only_its_own_work_along(processes: Processes, tmp_path: Path) -> None:
    together = [processes.submit(meet, tmp_path, number) for number in range(2)]
    first, second = (future.result() for future in together)
    assert len({first, second, os.getpid()}) == 3
    assert processes.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    go = tmp_path / "go"
    kept = processes.submit(wait_for, go)
    waiting = number_in(tmp_path / "waiting")
    dead = processes.submit(os.kill, first + second - waiting, signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        dead.result()
    fresh = processes.submit(os.getpid).result()
    go.touch()
    assert kept.result() == waiting
    assert fresh not in (first, second)


def test_an_error_is_the_caller_s_and_the_process_lives(processes: Processes) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        processes.submit(int, "x").result()
    assert processes.submit(int, "3").result() == 3


def test_kill_ends_what_is_under_way_and_what_waits(tmp_path: Path) -> None:
    processes = Processes(1)
    running = processes.submit(wait_for, tmp_path / "never")
    waiting = processes.submit(os.getpid)
    number = number_in(tmp_path / "waiting")
    processes.kill()
    assert isinstance(running.exception(), BrokenExecutor)
    assert waiting.cancelled() or isinstance(waiting.exception(), BrokenExecutor)
    assert not psutil.pid_exists(number)
    processes.kill()  # once more does no harm


def test_a_process_that_starts_after_the_end_is_killed() -> None:
    processes = Processes(1)
    processes._killed = True  # as if `kill` came while the process was starting
    with pytest.raises(BrokenExecutor):
        processes.submit(time.sleep, 60).result()
    processes.shutdown()


def test_nothing_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, sys\n"
        "from kdhelpers.course.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    child = [sys.executable, '-c', \"import os, time; open('child', 'w').write("
        'str(os.getpid())); time.sleep(60)"]\n'
        "    Processes(1).submit(subprocess.run, child).result()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    program = subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environment)
    child = psutil.Process(number_in(tmp_path / "child"))
    family = [child, *child.parents()[:1]]
    assert family[1].pid != program.pid
    program.kill()
    program.wait()
    assert psutil.wait_procs(family, timeout=120)[1] == []
