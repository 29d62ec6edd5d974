"""Choosing and checking parameters, and running lessons with real kernels."""

import ast
import errno
import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from filelock import FileLock
from tiny_course import RECORD, START, run_lessons, write_lesson

from kdhelpers import _files, course
from kdhelpers.course import plans, records, run, sweep
from kdhelpers.course.notebook import INSTALL, Notebook
from kdhelpers.course.plans import expand
from kdhelpers.course.root import CourseError

DEFAULTS = {
    "epochs": 3,
    "rate": 0.1,
    "seeds": [0, 1],
    "name": "digits",
    "verbose": False,
    "weights": {"a": 1},
}
NASTY = 'x"; raise SystemExit(5)  # \\"\\\n\'\'\'"""\t{epochs} $(id) Ünïcode \x00'
NASTY += "\n!mkdir ran\n%%bash\nmkdir ran\u2028import os; os.mkdir('ran')"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with two lessons; the folder's name would trip a careless runner."""
    root = tmp_path / "Kurs {Übung} 1"
    write_lesson(root, "01_first", full="epochs: 10\nrate: 1e-2\n")
    write_lesson(root, "02_second", parameters="temperature: float = 4.0\nepochs: float = 1.5\n")
    monkeypatch.chdir(root)
    return root


# -- planning: no kernel is started ---------------------------------------------------------------


def test_neither_text_nor_the_cell_that_installs_makes_another_lesson(root: Path) -> None:
    path = root / "notebooks" / "01_first.ipynb"
    before, notebook = Notebook(path).digest, nbformat.read(path, as_version=4)
    notebook.cells[0].source += " More."
    install = nbformat.v4.new_code_cell("%pip install it", metadata={"tags": [INSTALL]})
    notebook.cells.insert(1, install)
    nbformat.write(notebook, path)
    assert Notebook(path).digest == before
    notebook.cells[-1].source += "\n1 + 1"
    nbformat.write(notebook, path)
    assert Notebook(path).digest != before


def test_notebook_then_profile_then_file_then_argument(root: Path) -> None:
    (root / "mine.yaml").write_text("rate: 0.3\nname: mnist\n")
    first, second = plans.plan()
    assert (first.lesson.name, first.profile, first.values) == ("01_first", "quick", {})
    assert (second.lesson.name, second.parameters["temperature"]) == ("02_second", 4.0)
    assert first.parameters == DEFAULTS
    for extra, expected in [
        ({}, {"epochs": 10, "rate": 0.01}),
        ({"parameter_file": "mine.yaml"}, {"epochs": 10, "rate": 0.3, "name": "mnist"}),
        (
            {"parameter_file": "mine.yaml", "parameters": {"name": "x", "epochs": "7"}},
            {"epochs": 7, "rate": 0.3, "name": "x"},
        ),
    ]:
        planned = plans.plan(["1"], profile="full", **extra)[0]
        assert planned.values == expected
        assert planned.parameters == DEFAULTS | expected


def test_each_lesson_takes_the_parameters_that_it_has(root: Path) -> None:
    first, second = plans.plan(parameters={"epochs": "2", "temperature": "8"})
    assert first.values == {"epochs": 2}
    assert second.values == {"epochs": 2.0, "temperature": 8.0}
    assert isinstance(second.values["epochs"], float)
    assert plans.plan(["2"], parameters={"epochs": "2.5"})[0].values == {"epochs": 2.5}
    with pytest.raises(CourseError, match="parameter 'epochs' of 01_first wants a whole number"):
        plans.plan(parameters={"epochs": "2.5"})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epoch": 3}, "unknown parameter 'epoch'; did you mean 'epochs'?"),
        ({"epochs\nimport os": 3}, r"unknown parameter 'epochs\nimport os'; there are epochs, na"),
        ({"epochs": "many"}, "parameter 'epochs' of 01_first wants a whole number (int), not "),
        ({"record_file": "x"}, "'record_file' is set by the runner; choose the folder of the "),
    ],
)
def test_wrong_names_and_types(root: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(CourseError) as caught:
        plans.plan(["1"], parameters=parameters)
    assert str(caught.value).startswith(message)
    (root / "mine.yaml").write_text(json.dumps(parameters))
    with pytest.raises(CourseError) as caught:
        plans.plan(["1"], parameter_file="mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml: {message}")


KEEPS = """\
temperature: float = 4.0
seeds: list[int] = [0, 1]
few_seeds: list[int] = [0]
device: str = "auto"
weights: str = ""
checkpoint_dir: str = ""
"""


def test_checkpoints_of_other_values_go_to_a_folder_of_their_own(root: Path) -> None:
    full = "temperature: 3.0\ncheckpoint_dir: runs/kept\n"
    write_lesson(root, "03_keeps", parameters=KEEPS, full=full)
    (root / "mine.yaml").write_text("temperature: 8\n")

    def kept(profile: str = "full", file: str | None = None, **parameters: Any) -> Any:
        (plan,) = plans.plan(["3"], profile=profile, parameter_file=file, parameters=parameters)
        return plan.parameters["checkpoint_dir"]

    hot = kept(temperature="8")
    assert re.fullmatch(r"runs/kept/temperature=8\.0-[0-9a-f]{12}", hot)
    assert hot == kept(temperature=8, device="cpu") == kept(file="mine.yaml")
    assert hot != kept(temperature=9)
    assert kept(weights=str(root / "a.pt")).startswith("runs/kept/weights=a.pt-")  # in a record
    # what the profile says; files are named after the seed; the device changes no network
    for same in ({}, {"temperature": 3.0}, {"seeds": [5, 6], "few_seeds": []}, {"device": "cpu"}):
        assert kept(**same) == "runs/kept"
    # a folder that is asked for is taken, and none stays none
    assert kept(temperature=8, checkpoint_dir="mine") == "mine"
    assert kept("quick", temperature=8, checkpoint_dir="mine") == "mine"
    assert kept("quick", temperature=8) == ""
    (plan,) = plans.plan(["3"], profile="full")
    points = expand(plan, {"temperature": [3, 8], "seed": [0, 1]})
    folders = [point.plan.parameters["checkpoint_dir"] for point in points]
    assert folders == ["runs/kept", "runs/kept", hot, hot]


def test_checkpoints_lie_where_the_results_do_unless_another_folder_is_asked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lesson(root, "03_keeps", parameters=KEEPS, full="checkpoint_dir: runs/kept\n")
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **o: seen.append(o["parameters"]))
    for given in ({}, {"checkpoint_dir": "runs/mine"}, {"seeds": [5]}, {"temperature": 8}):
        run_lessons("3", profile="full", parameters=given, out_dir="out")
    (plan,) = plans.plan("3", profile="full")
    sweep.run_point(plan, "swept/points/one")
    *folders, hot, swept = (each["checkpoint_dir"] for each in seen)
    assert folders == ["out/kept", "runs/mine", "out/kept"]
    assert hot.startswith("out/kept/temperature=8")
    assert swept == "swept/kept"
    assert plan.identity["parameters"]["checkpoint_dir"] == "runs/kept"  # the same run anywhere


def test_every_folder_of_profiles_is_a_profile_and_a_wrong_one_is_told(root: Path) -> None:
    with pytest.raises(CourseError, match="02_second has no profile 'full'; there are quick"):
        plans.plan(profile="full")
    with pytest.raises(CourseError, match="has no profile 'ful'; did you mean 'full'"):
        plans.plan(["1"], profile="ful")
    with pytest.raises(CourseError, match=r"has no profile '[.][.]/full'"):
        plans.plan(["1"], profile="../full")
    (lesson,) = course.find_lessons("2")
    laptop = lesson.profile("laptop")
    laptop.parent.mkdir()
    laptop.write_text("temperature: 2.5\n")
    assert lesson.profiles == ["quick", "laptop"]
    assert plans.plan("2", profile="laptop")[0].values == {"temperature": 2.5}
    profile = lesson.profile("full")
    # `rate` exists in the other lesson, but a profile belongs to its own
    for text, message in [("rate: 1", "unknown parameter 'rate'"), ("- 1", "must map")]:
        profile.write_text(text)
        with pytest.raises(CourseError, match=f"02_second.yaml.*{message}"):
            plans.plan(profile="full")


def test_the_folder_of_the_results(root: Path) -> None:
    planned = plans.plan()
    run.prepare_folder("neu & schön/a", planned)
    assert list(Path("neu & schön/a").iterdir()) == []
    Path("file").touch()
    for folder in ("file", "file/below"):
        with pytest.raises(CourseError, match=f"write to '{folder}': .*; choose another --out"):
            run.prepare_folder(folder, planned)


def test_a_notebook_of_any_name_and_any_folder_of_checkpoints(root: Path) -> None:
    path = write_lesson(root, "my [1]", parameters='checkpoint_dir: str = "."\n', full="{}")
    (planned,) = plans.plan(path)
    assert planned.lesson.profiles == ["quick", "full"]
    assert planned.values_in(Path("out"))["checkpoint_dir"] == str(root.resolve())


# -- running: each test starts a kernel or two ----------------------------------------------------


def test_a_run_leaves_the_executed_notebook_and_a_complete_record(root: Path) -> None:
    here = root / "anderswo"
    here.mkdir()
    os.chdir(here)  # the fixture's monkeypatch goes back
    write_lesson(root, "01_first", START, RECORD, "import os; print(os.getcwd())",
                 full="epochs: 10\nrate: 1e-2\n")  # fmt: skip
    stale = here / "neue Läufe" / "01_first.json"
    _files.write_text(stale, "{}")
    unfinished = stale.with_name("01_first.unfinished.ipynb")
    unfinished.touch()
    values = {"name": NASTY, "weights": {NASTY: [NASTY, -1e-9]}, "seeds": "[5]", "verbose": "true"}
    (outcome,) = run_lessons("1", profile="full", parameters=values, out_dir="neue Läufe")

    assert outcome.failure is None
    assert outcome.headline == "10 epochs"
    assert outcome.notebook == Path("neue Läufe/01_first.ipynb")
    assert not unfinished.exists()
    executed = nbformat.read(outcome.notebook, as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    record = json.loads(stale.read_text(encoding="utf-8"))
    assert record == outcome.record
    assert (record["notebook"], record["profile"]) == ("01_first", "full")
    given = {"epochs": 10, "rate": 0.01, "seeds": [5], "verbose": True}
    assert record["parameters"] == DEFAULTS | values | given
    # what the notebook saw: the very same values, not code
    seen = ast.literal_eval(record["metrics"]["seen"])
    assert seen == [0.01, [5], NASTY, True, {NASTY: [NASTY, -1e-9]}]
    assert 0 < record["seconds"] <= outcome.seconds + 0.01
    assert str(root) not in stale.read_text(encoding="utf-8")
    assert not any(Path(place, "ran").exists() for place in (".", root, root / "notebooks"))
    # a kernel works where the caller is
    assert executed.cells[-1].outputs[0].text == f"{here}\n"


def test_failures_are_told_and_leave_no_record_but_an_older_one(root: Path) -> None:
    lessons = root / "kaputt"
    write_lesson(lessons, "02_forged", "open(record_file, 'w').write('{\"metrics\": 3}')")
    elsewhere = "import pathlib; pathlib.Path('runs/03_silent.json').write_text('not ours')"
    write_lesson(lessons, "03_silent", elsewhere)
    os.chdir(lessons)
    Path("runs").mkdir()
    older = [Path(f"runs/02_forged.{end}") for end in ("json", "ipynb")]
    for path in older:
        path.write_text("an older result")
    Path("runs/.02_forged-run-x").mkdir()  # of a run that was killed

    forged, silent = (str(outcome.failure) for outcome in run_lessons())
    assert "02_forged.json is not a record: its keys must be notebook, profile" in forged
    assert silent == "stopped before its last cell: it wrote no record"
    assert [path.read_text() for path in older] == ["an older result"] * 2
    names = {path.name for path in Path("runs").iterdir() if path.suffix != ".lock"}
    unfinished = {f"{name}.unfinished.ipynb" for name in ("02_forged", "03_silent")}
    assert names == unfinished | {path.name for path in older} | {"03_silent.json"}


def test_a_notebook_is_written_when_that_is_due_and_at_the_end(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = papermill.engines.write_ipynb

    def counted(*to: Any) -> None:
        written.append(1)
        monkeypatch.setattr(run, "SAVED", 0 if len(written) < 5 else 1e9)
        write(*to)

    monkeypatch.setattr(papermill.engines, "write_ipynb", counted)
    write_lesson(root, "03_many", *["1"] * 9)
    (outcome,) = run_lessons("3")
    executed = nbformat.read(outcome.notebook, as_version=4)
    assert sum(cell.get("outputs", []) != [] for cell in executed.cells) >= 9
    assert len(written) == 6


def test_a_full_disk_costs_no_record_and_cuts_no_notebook(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lesson(root, "03_late", START, RECORD, "open('full', 'w')", "1", "1")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.suffix == ".ipynb" and Path("full").exists():
            write(path, content[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(run, "SAVED", 0.0)
    (outcome,) = run_lessons("3")
    told = "the executed notebook could not be written (No space left on device); the record is "
    assert outcome.failure == f"{told}kept"
    assert outcome.record == json.loads(Path("runs/03_late.json").read_text())
    assert outcome.record["profile"] == "quick"
    assert outcome.notebook == Path("runs/03_late.unfinished.ipynb")
    assert nbformat.read(outcome.notebook, as_version=4).cells
    assert not Path("runs/03_late.ipynb").exists()


def test_a_cell_may_have_a_limit(root: Path) -> None:
    write_lesson(root, "03_endless", "import time", "x = 1\ntime.sleep(60)")
    (outcome,) = run_lessons("3", cell_timeout=0.5)
    assert outcome.failure == (
        "cell In [4]:\n    x = 1\n    time.sleep(60)\n"
        "stopped: this cell took longer than it may (--cell-timeout)"
    )


SILENT = "import time; open('starts', 'a').write('1'); time.sleep(60)"


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        (None, "\nthe kernel did not start; `kdhelpers doctor` looks for the reason"),
        (SILENT, "the kernel did not start in time; give it longer (--start-timeout), or "
         "`kdhelpers doctor` looks for the reason"),
    ],
)  # fmt: skip
def test_a_kernel_that_does_not_start_leads_to_the_doctor(
    root: Path, monkeypatch: pytest.MonkeyPatch, kernel: str | None, told: str
) -> None:
    if kernel:
        spec = {"argv": [sys.executable, "-c", kernel], "display_name": "mine", "language": "x"}
        _files.write_text(root / "kernels" / "mine" / "kernel.json", json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(root))
    monkeypatch.setattr(run, "KERNEL", "mine")
    (outcome,) = run_lessons("1", start_timeout=0.5)
    assert str(outcome.failure).endswith(told)
    assert not kernel or Path("starts").read_text() == "1"


def test_an_interrupt_that_got_lost_ends_the_run_and_what_is_finished_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = papermill.execute_notebook

    def losing(*paths: Any, **options: Any) -> Any:
        with suppress(KeyboardInterrupt):  # as in a callback whose errors nobody sees
            signal.raise_signal(signal.SIGINT)
        return execute(*paths, **options)

    monkeypatch.setattr(papermill, "execute_notebook", losing)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_lessons("1")
    assert signal.getsignal(signal.SIGINT) is before
    assert {path.name for path in Path("runs").iterdir()} >= {"01_first.ipynb", "01_first.json"}


def test_a_lesson_that_has_begun_is_not_started_again(root: Path) -> None:
    begins = "import os\nopen('begun', 'a').write('1')\nos.kill(os.getpid(), 9)"
    write_lesson(root, "03_dies", begins)
    (outcome,) = run_lessons("3")
    assert outcome.died
    assert Path("begun").read_text() == "1"


def test_what_a_killed_run_had_executed_is_kept_unless_there_is_something_newer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: 1 / 0)
    left, kept = Path("runs/.01_first-run-x/01_first.ipynb"), Path("runs/01_first.unfinished.ipynb")
    for text, age in (("the last", 0), ("an older one", 99)):
        _files.write_text(left, text)
        os.utime(left, (time.time() - age,) * 2)
        run_lessons("1")
        assert kept.read_text() == "the last"
        assert not left.parent.exists()


def test_a_record_that_cannot_be_moved_stays_where_it_is_told(root: Path) -> None:
    Path("runs/01_first.json").mkdir(parents=True)
    Path("runs/01_first.json/in it").touch()
    (outcome,) = run_lessons("1")
    (aside,) = Path("runs").resolve().glob(".01_first-run-*")
    told = f"its result stays in {str(aside)!r}, for it cannot be moved: Is a directory"
    assert outcome.failure == told
    Path("runs/01_first.json").rename("runs/else")
    assert run_lessons("1")[0].ok
    record = json.loads((aside / "01_first.json").read_text())
    assert record["profile"] == "quick"


def test_a_kernel_whose_port_was_taken_starts_again_and_a_lesson_may_write_no_record(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Any] = []

    def unlucky(*arguments: Any, **options: Any) -> Any:
        starts.append(arguments)
        if len(starts) < 3:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return execute(*arguments, **options)

    execute = papermill.execute_notebook
    monkeypatch.setattr(papermill, "execute_notebook", unlucky)
    path = write_lesson(root, "03_plain", "1 + 1", parameters="a: int = 1")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.clear()  # nor has every notebook a language
    nbformat.write(notebook, path)
    (outcome,) = run_lessons("3", parameters={"a": 2})
    assert (outcome.ok, outcome.record, outcome.headline) == (True, None, "")
    assert len(starts) == 3


def test_a_full_run_is_replaced_neither_by_a_quick_one_nor_by_one_of_other_values(
    root: Path,
) -> None:
    write_lesson(root, "01_first", parameters=KEEPS, full="weights: /a/b.pt\n")
    record = course.write_record(
        "", notebook="01_first", metrics={}, device="cpu", started=0.0,
        parameters=plans.plan("1", profile="full")[0].parameters | {"gone": 1, "device": "cpu"},
    )  # fmt: skip
    _files.write_text(Path("runs/01_first.json"), json.dumps(record | {"profile": "full"}))
    with pytest.raises(CourseError, match="'runs' holds a full run of 01_first, which a quick one"):
        run.prepare_folder("runs", plans.plan("1"))
    run.prepare_folder("runs", plans.plan("1", profile="full"))
    run.prepare_folder("runs", plans.plan("1", profile="full", parameters={"checkpoint_dir": "x"}))
    few = {"seeds": [0], "temperature": 2}
    with pytest.raises(CourseError, match="'runs' holds a full run of 01_first with other values"):
        run.prepare_folder("runs", plans.plan("1", profile="full", parameters=few))


def test_seeds_of_a_record_that_keeps_its_parts_are_shared_out(root: Path) -> None:
    parameters = 'seeds: list[int] = [0, 1]\nparts_dir: str = ""\nrecord_file: str = ""\n'
    write_lesson(root, "01_first", parameters=parameters, full="parts_dir: results/parts/01\n")
    (some,) = plans.plan("1", profile="full", parameters={"seeds": [0]})
    record = course.write_record(
        "", notebook="01_first", metrics={}, device="cpu", started=0.0, parameters=some.parameters
    )
    _files.write_text(Path("runs/01_first.json"), json.dumps(record | {"profile": "full"}))
    run.prepare_folder("runs", plans.plan("1", profile="full"))


def test_a_cell_that_changes_a_parameter_is_told_and_its_record_kept(root: Path) -> None:
    write_lesson(root, "01_first", "epochs = 7", START, RECORD)
    (outcome,) = run_lessons("1")
    assert outcome.failure is not None
    assert outcome.failure.startswith(
        "a cell has changed epochs before kd.lesson: the record tells"
    )
    assert records.read_record(Path("runs/01_first.json"))["parameters"]["epochs"] == 7
    assert outcome.notebook == Path("runs/01_first.ipynb")


def test_a_lesson_that_changes_before_its_turn_is_not_run(root: Path) -> None:
    (planned,) = plans.plan("1")
    path = planned.lesson.path
    path.write_text(path.read_text(encoding="utf-8").replace("int = ", "int = 7"), encoding="utf-8")
    outcome = run.execute(planned, "out")
    assert outcome.failure == "01_first.ipynb has changed meanwhile; start again, with the new code"
    assert not Path("out").exists()


def test_what_a_profile_keeps_in_the_course_is_found_from_any_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = 'parts_dir: str = ""\nrecord_file: str = ""\n'
    write_lesson(root, "04_parts", parameters=parameters, full="parts_dir: results/parts/04\n")
    monkeypatch.chdir(root / "notebooks")
    (planned,) = plans.plan("4", profile="full")
    found = planned.values_in(Path("out"))["parts_dir"]
    assert found == str(root.resolve() / "results" / "parts" / "04")
    assert planned.identity["parameters"]["parts_dir"] == "results/parts/04"
    (mine,) = plans.plan("4", parameters={"parts_dir": "here"})
    assert mine.values_in(Path("out"))["parts_dir"] == "here"


@pytest.mark.parametrize("folder", ["out", "link", "link/../out"])
def test_a_second_run_into_the_same_folder_is_refused(root: Path, folder: str) -> None:
    (plan, _) = plans.plan()
    run.prepare_folder("out", [plan])
    Path("link").symlink_to("out")
    with FileLock(Path("out/.01_first.lock")):
        outcome = run.execute(plan, folder, progress=False)
    assert not outcome.ok
    assert f"another run is writing to '{folder}'" in str(outcome.failure)
