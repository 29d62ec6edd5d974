"""What is rendered into the pages, and the times of the quick runs."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image
from tiny_course import write_lesson

from kdhelpers import course
from kdhelpers.course import plans
from kdhelpers.course.root import CourseError
from tools import readme

ROOT = Path(__file__).parent.parent


# -- the pages ------------------------------------------------------------------------------------


def test_without_markers_nothing_is_written() -> None:
    with pytest.raises(CourseError, match=r"README.md needs the markers <!-- figure: .* /figure"):
        readme.updated("# A page")
    with pytest.raises(CourseError, match=r"docs/map.md needs the markers <!-- order: "):
        readme.updated("# A page", "docs/map.md")


def test_every_lesson_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    rendered = readme.lessons()
    for lesson in course.find_lessons():
        link = f"[{lesson.title}](notebooks/{lesson.name}.ipynb)"
        assert f"| {link} | {lesson.lead} | {lesson.minutes} |" in rendered
        assert 15 <= len(lesson.lead.split()) <= 60
        assert lesson.minutes >= 30
        assert {"Time", "Runs in", "You need"} <= lesson.card.keys()
    plain = course.Notebook(write_lesson(tmp_path, "01_plain"))
    assert (plain.card, plain.lead, plain.minutes) == ({}, "", 0)


def test_the_pages_follow_what_they_are_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("docs", "results", "notebooks", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    copy = Path(shutil.copy(ROOT / "README.md", tmp_path)).parent
    monkeypatch.chdir(copy)
    record = copy / readme.FIGURE_RECORD
    changed = json.loads(record.read_text(encoding="utf-8"))
    changed["metrics"]["arms"]["distilled"][0]["accuracy"] -= 0.001
    changed["metrics"]["headline"] = "a | b\nc"
    changed["profile"] = changed["parameters"].pop("seeds") and None  # as any other lesson's
    record.write_text(json.dumps(changed), encoding="utf-8")
    times = json.loads((copy / readme.QUICK_TIMES).read_text())
    times["seconds"] = {"02_temperature": 61.4}
    (copy / readme.QUICK_TIMES).write_text(json.dumps(times))
    readme.main()
    page = (copy / "README.md").read_text(encoding="utf-8")
    before = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page != before
    assert page.count("| 61 s |") == 1
    assert page.count("| 03 | plain papermill | cifar10 | a &#124; b c |") == 1
    assert page.count("| — |") == len(course.find_lessons()) - 1
    image = Image.open(copy / readme.FIGURE)
    assert image.text == {"Source": readme.source()}  # type: ignore[attr-defined]
    assert image.text["Source"] != Image.open(ROOT / readme.FIGURE).text["Source"]  # type: ignore[attr-defined]
    assert readme.updated(page) == page


# -- the times ------------------------------------------------------------------------------------


@pytest.fixture
def times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a course of two tiny lessons."""
    write_lesson(tmp_path, "01_mnist_kd")
    write_lesson(tmp_path, "02_temperature")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "tools")
    monkeypatch.delitem(sys.modules, "times", raising=False)
    return importlib.import_module("times")


def write_record(name: str, seconds: float, environment: Any = None, **changes: Any) -> None:
    (plan,) = plans.plan(name)
    place = {
        "processor": "A", "device": "cpu", "threads": 2, "versions": {"torch": "2.15.0"},
        "commit": "abc", "date": "2026-11-21T10:00:00+00:00", "lesson": plan.lesson.digest,
    }  # fmt: skip
    record = dict(
        notebook=name, profile="quick", parameters=plan.parameters, metrics={},
        environment=place | (environment or {}), seconds=seconds,
    )  # fmt: skip
    Path("runs", f"{name}.json").write_text(json.dumps(record | changes))


def test_times_are_read_from_records(times: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    write_record("01_mnist_kd", 41.2)
    times.main(["runs"])
    assert capsys.readouterr().out == "01_mnist_kd: 41 s\n02_temperature: no record\n"
    write_record("02_temperature", 50.7, environment={"date": "2026-11-21T10:02:00+00:00"})
    times.main(["runs"])
    assert json.loads(Path(readme.QUICK_TIMES).read_text()) == {
        "device": "A, cpu, 2 threads",
        "torch": "2.15.0",
        "commit": "abc",
        "date": "2026-11-21T10:02:00+00:00",
        "seconds": {"01_mnist_kd": 41.2, "02_temperature": 50.7},
    }
    assert "| 41 s |" in readme.lessons()
    assert "2026-11-21, commit abc." in readme.lessons()
    for name in ("01_mnist_kd", "02_temperature"):
        write_record(name, 41.2, environment={"commit": f"{'a' * 40}-dirty"})
    times.main(["runs"])
    assert f"commit {'a' * 12} with changes." in readme.lessons()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(profile="full"), "not a quick run"),
        (dict(parameters={"epochs": 1}), "not a quick run"),
        (dict(environment={"lesson": "of yesterday"}), "not a quick run"),
        (dict(environment={"threads": 1}), "differ in machine"),
        (dict(environment={"commit": "abd"}), "differ in machine"),
        (dict(environment={"versions": {"torch": "2.16.0"}}), "differ in machine"),
    ],
)
def test_times_of_other_runs_are_refused(
    times: ModuleType, changes: dict[str, Any], words: str
) -> None:
    write_record("01_mnist_kd", 41.2)
    write_record("02_temperature", 50.7, **changes)
    with pytest.raises(SystemExit, match=words):
        times.main(["runs"])
    assert not Path(readme.QUICK_TIMES).exists()


def test_times_need_a_folder_with_records(times: ModuleType) -> None:
    with pytest.raises(SystemExit, match="has no records"):
        times.main(["runs"])
    with pytest.raises(SystemExit, match="usage: "):
        times.main([])
