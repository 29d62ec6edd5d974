"""The command: its exit codes, what it says, and that it keeps what is done."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sweep_lesson
from nbclient.exceptions import DeadKernelError
from tiny_course import COMMAND, RECORD, START, call, write_lesson

from kdhelpers.course import doctor, records, run


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "Mein Kurs"
    write_lesson(root, "01_first", title="# First steps", full="epochs: 10\nrate: 1e-2\n")
    monkeypatch.chdir(root)
    return root


def names_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "kdhelpers: the following arguments are required: COMMAND"),
        ("walk", "kdhelpers: argument COMMAND: invalid choice: 'walk'"),
        ("run --profile ful", "kdhelpers: 01_first has no profile 'ful'; did you mean 'full'?"),
        ("run --fast", "kdhelpers: unrecognized arguments: --fast"),
        ("run -p epochs", "kdhelpers run: argument -p: expected 2 arguments"),
        ("list -p epochs 3", "kdhelpers: unrecognized arguments: -p"),
        ("run -p rate=1 -p epoch=3", "kdhelpers: unknown parameter 'epoch'; did you mean 'epochs"),
        ("run -p epochs=many", "kdhelpers: parameter 'epochs' of 01_first wants a whole number"),
        ("run --start-timeout -1", "kdhelpers: the limit of a kernel's start is a number of sec"),
        ("run --cell-timeout 0", "kdhelpers: the limit of a cell is a number of seconds, not 0.0"),
        ("run -p epochs 3 -p epochs 4", "kdhelpers: -p epochs is given twice\n"),
        ("run -f no.yaml", "kdhelpers: no.yaml cannot be read: No such file or directory"),
        ("run 1 --out notebooks", "kdhelpers: 'notebooks' holds the lesson itself"),
        ("run 1 --out notebooks/01_first.ipynb", "kdhelpers: cannot write to "),
        ("run notebooks/empty.ipynb", "kdhelpers: empty.ipynb has no code cell, so there is noth"),
        ("run 1 --out \udce9", "kdhelpers: cannot write to '\\udce9': it is no UTF-8; choose an"),
        (f"run {'9' * 5000}", "kdhelpers: unknown lesson '9999"),
        ("list 9", "kdhelpers: unknown lesson '9'; there are 01_first"),
        ("sweep", "kdhelpers sweep: the following arguments are required: LESSON"),
        ("sweep 05", "kdhelpers: the grid is empty; give at least one parameter"),
        ("sweep 05 -p", "kdhelpers sweep: argument -p: expected at least one argument"),
        ("sweep 05 -p seed", "kdhelpers: the grid has no value for 'seed'"),
        ("sweep 05 -p shift -1 -2:1 -1", "kdhelpers: the grid has shift = -1 twice"),
        ("sweep 05 -p temperature -1e-3 -.5 hot", "kdhelpers: parameter 'temperature' of 05_t"),
        ("sweep 05 -p seed 1 -p seed 2", "kdhelpers: -p seed is given twice; write all its"),
        ("sweep 05 -p seed 1 --workers 0", "kdhelpers: the number of workers must be at least 1"),
        ("sweep 05 -p seed 1 --cell-timeout 0", "kdhelpers: the limit of a cell is a number of"),
        ("sweep 05 -p seed 1 --workers 2 --dask x", "kdhelpers sweep: argument --dask: not all"),
        ("sweep 05 -p seed 1 --dask nonsense://x", "kdhelpers: no dask scheduler answers at 'no"),
        ("report nowhere", "kdhelpers: 'nowhere' has no records; `kdhelpers run` and `sweep`"),
    ],
)
def test_bad_arguments_end_with_2_and_one_sentence(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_lesson.write(Path())
    Path("notebooks/empty.ipynb").write_text('{"cells": []}')
    assert call(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)
    assert err.count("\n") == 1
    assert not Path("runs").exists()


def test_list_shows_lessons_and_the_parameters_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    write_lesson(Path(), "02_second_thoughts", title="## Zweite Gedanken")
    assert call("list") == 0
    assert capsys.readouterr().out == (
        "01  01_first            First steps\n02  02_second_thoughts  Zweite Gedanken\n"
    )
    assert call("list 1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "01  01_first  First steps",
        "    epochs: int = 3            passes over the training images",
    ]
    assert "    verbose: bool = False" in lines
    assert not any("record_file" in line for line in lines)
    assert call("--version") == call("run --help") == 0
    assert "goes before the profile" in " ".join(capsys.readouterr().out.split())


def test_the_list_is_there_at_once_and_may_be_cut() -> None:
    code = """
import sys
from kdhelpers.course import cli
cli.main(["list", "1"])
print({"torch", "papermill", "nbformat", "scipy", "yaml", "IPython"} & set(sys.modules))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.endswith("\nset()\n")
    reading, writing = os.pipe()
    os.close(reading)
    cut = subprocess.run(
        [*COMMAND, "list"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert cut.stderr == ""


@pytest.mark.parametrize(
    ("redirect", "code", "told"),
    [
        (">/dev/full", 1, "kdhelpers: [Errno 28] No space left on device\n"),
        (">&-", 0, ""),
        ("in a folder that is gone", 2, "kdhelpers: the folder that you work in cannot be read: "),
    ],
)
def test_an_output_or_a_folder_that_is_none(redirect: str, code: int, told: str) -> None:
    go = "mkdir x; cd x; rmdir ../x; " if "gone" in redirect else ""
    shell = f"{go}exec {shlex.join([*COMMAND, 'list'])} {redirect if not go else ''}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == bool(told)


def test_the_doctor_s_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [doctor.Check(True, "all is well")]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    assert call("doctor") == 0
    checks.insert(0, doctor.Check(False, "broken: mend it"))
    assert call("doctor") == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["!!  broken: mend it", "ok  all is well"]


# A kernel may write its own log to the terminal: a warning at its start, an error at its end.
STOPPED_WHILE_IT_WROTE = """
import sys, threading
stream = type(sys.stdout)
def flush(self, flush=stream.flush, threading=threading):
    if threading.current_thread().name == "Control":
        raise OSError("the stream is closed")
    flush(self)
stream.flush = flush
"""


def test_a_lesson_that_fails_does_not_stop_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    root = Path()
    write_lesson(root, "02_error", "def f(x):\n    return 1 / x\n", "a = 1\nb = 2\nf(0)\nc = 3")
    write_lesson(root, "03_exit", "import sys", "sys.exit(0)", "late = 1", parameters=None)
    write_lesson(root, "04_dead", "import os\nos.kill(os.getpid(), 9)", "late = 1")
    tells = "import sys\nprint('may take 12 min', file=sys.stderr)"
    write_lesson(root, "05_last", START, tells, STOPPED_WHILE_IT_WROTE, RECORD)
    assert call("run 2 3 4 5 -p rate -1e-3 --out out") == 1

    out, err = capfd.readouterr()
    table = [line.split() for line in out.splitlines()]
    assert table[0] == ["lesson", "profile", "status", "seconds", "result"]
    assert [(row[0], row[2], row[4:]) for row in table[1:5]] == [
        ("02_error", "failed", []),
        ("03_exit", "failed", []),
        ("04_dead", "failed", []),
        ("05_last", "ok", ["3", "epochs"]),
    ]
    assert out.endswith("\nExecuted notebooks and their records: out\n")

    shown = "    a = 1\n    b = 2\n  > f(0)\n    c = 3\nZeroDivisionError: division by zero\n"
    assert f"\n02_error failed: cell In [4], line 3:\n{shown}" in err
    stopped = "cell In [2]:\n    sys.exit(0)\nstopped before its last cell\n"
    assert f"\n03_exit failed: {stopped}" in err
    cell = "cell In [3]:\n    import os\n    os.kill(os.getpid(), 9)\nthe kernel "
    assert f"\n04_dead failed: {cell}was killed, most likely for want of memory;" in err
    left = Path("out/04_dead.unfinished.ipynb")
    told = f"{cell}died (killed, out of memory, or a crash in compiled code)"
    assert run.describe(DeadKernelError(), left) == (told, True)
    assert "may take 12 min\n" in err
    assert "05_last: 100%" in err  # the progress bar, also without a terminal
    for word in ("Traceback", "TCP", "the stream is closed"):
        assert word not in err

    assert names_in("out") == [
        *("02_error.unfinished.ipynb", "03_exit.unfinished.ipynb", "04_dead.unfinished.ipynb"),
        *("05_last.ipynb", "05_last.json"),
    ]
    assert json.loads(Path("out/05_last.json").read_text())["parameters"]["rate"] == -0.001
    assert "ZeroDivisionError" in Path("out/02_error.unfinished.ipynb").read_text()


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_and_the_like_stop_the_kernel_and_keep_what_is_done(sent: str) -> None:
    root = Path()
    interrupt = f"""
import os, pathlib, signal, time
pathlib.Path("kernel.pid").write_text(str(os.getpid()))
pathlib.Path(record_file).write_text("half a record")
os.kill(os.getppid(), signal.{sent})
time.sleep(60)
"""
    write_lesson(root, "02_interrupted", START, interrupt)
    write_lesson(root, "03_never")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}  # a log that cannot show an umlaut
    done = subprocess.run([*COMMAND, "run", "--out", "Läufe"], capture_output=True, text=True,
                          timeout=300, env=environment)  # fmt: skip
    assert done.returncode == 130
    assert done.stdout.endswith("their records: L?ufe\n")
    assert done.stdout.splitlines()[1].startswith("01_first  quick    ok")
    assert done.stderr.endswith("\ninterrupted: 2 of 3 lessons not finished\n")
    assert "KeyboardInterrupt" not in done.stderr
    kept = ["01_first.ipynb", "01_first.json", "02_interrupted.unfinished.ipynb"]
    assert names_in("Läufe") == kept
    assert not psutil.pid_exists(int(Path("kernel.pid").read_text()))


def test_plain_papermill_runs_a_lesson_with_its_full_profile() -> None:
    files = "notebooks/01_first.ipynb out.ipynb -f notebooks/profiles/full/01_first.yaml"
    words = f"papermill {files} -p record_file results/01_first.json --no-progress-bar"
    # A process of its own: papermill keeps a folder for all threads, which a sweep may leave set.
    command = [sys.executable, "-m", *words.split()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=300)
    record = records.read_record(Path("results/01_first.json"))
    assert record["profile"] is None
    assert record["parameters"] == {"epochs": 10}
    assert record["metrics"]["headline"] == "10 epochs"
