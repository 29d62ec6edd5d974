"""Where the course is found; what a folder to work in holds, and that nothing there is lost."""

import json
import re
from pathlib import Path

import pytest
from tiny_course import call, write_lesson

from kdhelpers.course import root as roots
from kdhelpers.course.notebook import find_lessons
from kdhelpers.course.root import CourseError, carried, find_root, linked, start

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_root_is_the_nearest_folder_with_lessons_or_that_of_an_editable_installation(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, inner = here / "Kurs {Übung}", here / "Kurs {Übung}" / "inner"
    for course in (outer, inner):
        write_lesson(course, "01_mnist_kd")
        monkeypatch.chdir(course / "notebooks" / "profiles")
        assert find_root() == course
    monkeypatch.chdir(here)
    for name, text in (("01_eda", '"source": "\\"parameters\\""'), ("02_x", "\xff")):
        (here / "notebooks").mkdir(exist_ok=True)
        (here / f"notebooks/{name}.ipynb").write_text(text, encoding="latin-1")
    monkeypatch.setattr(roots, "__file__", str(outer / "kdhelpers" / "course" / "root.py"))
    assert find_root() == outer
    monkeypatch.setattr(roots, "__file__", str(here / "site" / "kdhelpers" / "a" / "b.py"))
    with pytest.raises(CourseError, match=r"no lessons found at or above .*`kdhelpers start"):
        find_root()


def test_a_started_course_has_the_lessons_without_outputs_and_all_that_they_lead_to(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("start 'mein Kurs'") == 0
    lessons = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    told = capsys.readouterr().out.splitlines()
    assert told[0] == (
        f"mein Kurs: {len(lessons)} lessons, their profiles and records, the glossary and the map"
    )
    assert told[3] == "  cd 'mein Kurs'"
    # A folder behind `jupyter lab` would be its root, and links to the glossary lead above it.
    assert told[4].split("#")[0].split() == ["jupyter", "lab"]
    course = here / "mein Kurs"
    for pages in ("notebooks/*.ipynb", "notebooks/profiles/*/*.yaml", "results/*.json"):
        wanted = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pages)}
        assert wanted <= names_in(course), pages
    for path in [*course.glob("notebooks/*.ipynb"), *course.glob("docs/*.md")]:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            code = [each for each in cells if each["cell_type"] == "code"]
            assert all(not each["outputs"] and each["execution_count"] is None for each in code)
            text = "\n".join(each["source"] for each in cells if each["cell_type"] == "markdown")
        links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
        inside = [link for link in links if not link.startswith("http")]
        assert inside, path
        assert all((path.parent / link).is_file() for link in inside), path
    monkeypatch.chdir(course / "notebooks")
    assert find_root() == course
    assert [each.digest for each in find_lessons()] == [
        each.digest for each in find_lessons(root=ROOT)
    ]


def test_a_second_start_brings_what_is_new_and_touches_nothing(here: Path) -> None:
    first = start("a/b")
    begun, gone, link = (here / "a" / "b" / name for name in sorted(first.new)[-3:])
    begun.write_text("my answers")
    gone.unlink()
    link.unlink()
    link.symlink_to("nowhere")
    there = {name: (here / "a/b" / name).read_bytes() for name in names_in(here / "a/b")}
    again = start(Path("a/b"))
    assert again.new == [gone.relative_to(here / "a" / "b").as_posix()]
    assert str(again) == (
        f"{Path('a/b')}: new are {again.new[0]}; {len(again.kept)} files were there and stay as "
        "they are"
    )
    assert {name: (here / "a/b" / name).read_bytes() for name in there} == there
    assert link.readlink() == Path("nowhere")
    assert str(start("a/b")).startswith(f"{Path('a/b')}: nothing new; {len(first.new)} files")


def test_a_second_start_tells_lessons_of_another_version(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setattr("kdhelpers.course.notebook.__version__", "99.1.0")
    (here / "course/notebooks/02_temperature.ipynb").write_text("no notebook")
    told = str(start()).splitlines()
    assert told[0].startswith("course: nothing new")
    assert told[1].startswith("notebooks/01_mnist_kd.ipynb: made for kdhelpers 0.")
    assert told[1].endswith(
        "and this is 99.1.0: `kdhelpers start NEW_FOLDER` brings that of this one"
    )
    assert "cannot be read as a notebook" in told[2]


def test_a_folder_that_cannot_hold_the_course(here: Path) -> None:
    (here / "file").touch()
    with pytest.raises(CourseError, match=r"cannot write to 'file': .*; choose another folder"):
        start("file")
    with pytest.raises(CourseError, match="is the course itself; choose another folder"):
        start(ROOT)
    with pytest.raises(CourseError, match="it is no path"):
        start("a\0b")


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"cells": [3]}', '{"cells": [{}]}'])
def test_a_damaged_lesson_of_the_course_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    write_lesson(here, "01_mnist_kd").write_text(text)
    monkeypatch.setattr(roots, "carried", lambda: here)
    with pytest.raises(CourseError, match=r"01_mnist_kd\.ipynb of the course is damaged \(\w+: "):
        start("learn")
    assert not Path("learn").exists()


def test_a_wheel_s_copy_goes_before_what_lies_around_the_package(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = here / "site" / "kdhelpers" / "course"
    (package / "material").mkdir(parents=True)
    monkeypatch.setattr(roots, "__file__", str(package / "root.py"))
    assert carried() == roots.home() == package / "material"
    assert roots.installing("course").startswith("python -m pip install 'WHEEL[course]', WHEEL be")
    monkeypatch.setattr(roots, "ADDRESS", "https://github.com/a/b")
    assert roots.installing("sweep") == (
        "python -m pip install 'kdhelpers[sweep] @ git+https://github.com/a/b'"
    )


def test_links_lead_to_what_is_there_else_to_the_address_else_nowhere() -> None:
    text = "[a](../docs/x.md#y) [b](../README.md) [c](#here) [d](https://d.org) `f[0](x)`"
    held, address = ["docs/x.md", "notebooks/01.ipynb"], "https://github.com/a/b"
    assert linked(text, "notebooks/01.ipynb", held, "").startswith(
        "[a](../docs/x.md#y) b [c](#here) [d](https://d.org)"
    )
    absolute = linked(text, "notebooks/01.ipynb", (), address)
    assert f"[a]({address}/blob/main/docs/x.md#y) [b]({address}/blob/main/README.md)" in absolute
    back = linked(absolute, "notebooks/01.ipynb", held, address)
    assert back.startswith(f"[a](../docs/x.md#y) [b]({address}/blob/main/README.md)")
    assert linked("[n](notebooks/01.ipynb)", "README.md", held, "") == "[n](notebooks/01.ipynb)"
