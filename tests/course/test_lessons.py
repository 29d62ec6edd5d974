"""Finding lessons and reading what they declare."""

from pathlib import Path

import pytest
from tiny_course import write_lesson

from kdhelpers.course import lesson as lessons
from kdhelpers.course import records
from kdhelpers.course.lesson import Notebook as Lesson
from kdhelpers.course.records import CourseError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "Kurs {Übung}"
    write_lesson(root, "01_mnist_kd", title="# Distil *MNIST*")
    write_lesson(root, "02_temperature")
    write_lesson(root, "10_capstone")
    (root / "notebooks" / "scratch.ipynb").write_text("not a lesson")
    monkeypatch.chdir(root)
    return root


def names(found: list[Lesson]) -> list[str]:
    return [lesson.name for lesson in found]


def test_the_root_is_the_nearest_folder_with_lessons(root: Path, tmp_path: Path) -> None:
    deep = root / "notebooks" / "profiles"
    assert records.find_root(deep) == root
    write_lesson(root / "inner", "01_other")
    assert records.find_root(root / "inner") == root / "inner"


def test_without_lessons_there_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        records, "__file__", str(tmp_path / "site-packages" / "kdhelpers" / "course" / "lessons.py")
    )
    with pytest.raises(CourseError, match=r"no lessons found at or above .*the one that holds"):
        records.find_root(tmp_path)


def test_an_editable_installation_finds_its_own_lessons(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "__file__", str(root / "kdhelpers" / "course" / "lessons.py"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert records.find_root(elsewhere) == root


@pytest.mark.parametrize("name", ["01", "1", "01_mnist_kd", "notebooks/01_mnist_kd.ipynb"])
def test_a_lesson_has_many_names(root: Path, name: str) -> None:
    assert names(lessons.find_lessons([name])) == ["01_mnist_kd"]


def test_no_name_means_all_and_a_name_counts_once(root: Path) -> None:
    assert names(lessons.find_lessons()) == ["01_mnist_kd", "02_temperature", "10_capstone"]
    twice = ["02", "1", root / "notebooks" / "02_temperature.ipynb", "2"]
    assert names(lessons.find_lessons(twice)) == ["02_temperature", "01_mnist_kd"]
    assert names(lessons.find_lessons("10")) == ["10_capstone"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01_mnist", "unknown lesson '01_mnist'; did you mean '01_mnist_kd'?"),
        ("temperature", "unknown lesson 'temperature'; did you mean '02_temperature'?"),
        ("7", "unknown lesson '7'; there are 01_mnist_kd, 02_temperature, 10_capstone"),
        ("", "unknown lesson ''; there are 01_mnist_kd, 02_temperature, 10_capstone"),
        ("notebooks/07_x.ipynb", "there is no notebook 'notebooks/07_x.ipynb'"),
    ],
)
def test_unknown_lessons(root: Path, name: str, message: str) -> None:
    with pytest.raises(CourseError) as caught:
        lessons.find_lessons([name])
    assert str(caught.value) == message


def test_a_number_must_be_unique_and_so_must_the_name_of_the_results(root: Path) -> None:
    write_lesson(root, "01_again")
    with pytest.raises(CourseError, match="'1' may be 01_again or 01_mnist_kd"):
        lessons.find_lessons(["1"])
    other = write_lesson(root / "inner", "02_temperature")
    with pytest.raises(CourseError, match="have the same name"):
        lessons.find_lessons(["2", other])


def test_title_and_parameters(root: Path) -> None:
    lesson = lessons.find_lessons(["1"])[0]
    assert lesson.title == "Distil *MNIST*"
    declared = lesson.parameters
    assert list(declared) == [
        *("epochs", "rate", "seeds", "name", "verbose", "weights", "record_file"),
    ]
    assert declared["epochs"] == lessons.Parameter(
        "epochs", "int", 3, "passes over the training images"
    )
    assert declared["weights"].default == {"a": 1}
    assert declared["verbose"].default is False


def test_a_notebook_without_parameters_has_none(root: Path) -> None:
    assert Lesson(write_lesson(root, "03_plain", "1 + 1", parameters=None)).parameters == {}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("epochs = 3", "'epochs' must be annotated"),
        ("epochs: complex = 3", "'epochs' must be annotated"),
        ("epochs: int = 2 + 1", "'epochs' wants a literal int as its default, not 2 \\+ 1"),
        ("epochs: int = 3.5", "'epochs' wants a literal int"),
        ("alpha: float | None = None", "'alpha' must be annotated"),
        ("alpha: float", "'alpha' wants a literal float as its default, not nothing"),
        ("%matplotlib inline\nepochs: int = 3", "not plain Python"),
    ],
)
def test_a_parameter_that_papermill_would_pass_over_is_an_error(
    root: Path, cell: str, message: str
) -> None:
    lesson = Lesson(write_lesson(root, "03_odd", parameters=cell))
    with pytest.raises(CourseError, match=message):
        _ = lesson.parameters


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": 3}', "\x00", '{"nbformat": 4}'])
def test_a_file_that_is_no_notebook(root: Path, content: str) -> None:
    path = root / "notebooks" / "03_odd.ipynb"
    path.write_text(content)
    for attribute in ("title", "parameters"):
        with pytest.raises(CourseError, match=r"03_odd\.ipynb cannot be read as ") as error:
            getattr(Lesson(path), attribute)
        assert "\n" not in str(error.value)
