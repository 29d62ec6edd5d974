"""Finding lessons and reading what they declare."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_course import PARAMETERS, write_lesson

from kdhelpers.course import lesson as lessons
from kdhelpers.course import records
from kdhelpers.course import root as roots
from kdhelpers.course.notebook import Notebook, Parameter, find_lessons
from kdhelpers.course.root import CourseError
from kdhelpers.stats.tables import Table


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "Kurs {Übung}"
    write_lesson(root, "01_mnist_kd", title="# Distil *MNIST*")
    write_lesson(root, "02_temperature")
    write_lesson(root, "10_capstone")
    (root / "notebooks" / "scratch.ipynb").write_text("not a lesson")
    monkeypatch.chdir(root)
    return root


def names(found: list[Notebook]) -> list[str]:
    return [lesson.name for lesson in found]


def test_a_lesson_has_many_names_and_counts_once_and_no_name_means_all(root: Path) -> None:
    for name in ("01", "1", "01_mnist_kd", "notebooks/01_mnist_kd.ipynb"):
        assert names(find_lessons([name])) == ["01_mnist_kd"]
    assert names(find_lessons()) == ["01_mnist_kd", "02_temperature", "10_capstone"]
    twice = ["02", "1", root / "notebooks" / "02_temperature.ipynb", "2"]
    assert names(find_lessons(twice)) == ["02_temperature", "01_mnist_kd"]
    assert names(find_lessons("10")) == ["10_capstone"]


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
        find_lessons([name])
    assert str(caught.value) == message


def test_a_number_must_be_unique_and_so_must_the_name_of_the_results(root: Path) -> None:
    write_lesson(root, "01_again")
    with pytest.raises(CourseError, match="'1' may be 01_again or 01_mnist_kd"):
        find_lessons(["1"])
    other = write_lesson(root / "inner", "02_temperature")
    with pytest.raises(CourseError, match="have the same name"):
        find_lessons(["2", other])


def test_title_and_parameters(root: Path) -> None:
    lesson = find_lessons(["1"])[0]
    assert lesson.title == "Distil *MNIST*"
    declared = lesson.parameters
    assert " ".join(declared) == "epochs rate seeds name verbose weights record_file"
    assert declared["epochs"] == Parameter("epochs", "int", 3, "passes over the training images")
    assert declared["weights"].default == {"a": 1}
    assert declared["verbose"].default is False
    # a comment may hold anything, and a value several lines
    cell = 'a: float = 0.9  # a=1 is "soft" only # so\nb: list[str] = [\n    "#x",\n]  # many\n'
    odd = Notebook(write_lesson(root, "03_odd", parameters=cell)).parameters.values()
    assert [(p.default, p.help) for p in odd] == [
        (0.9, 'a=1 is "soft" only # so'),
        (["#x"], "many"),
    ]
    assert Notebook(write_lesson(root, "03_plain", "1 + 1", parameters=None)).parameters == {}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("epochs = 3", "'epochs' must be annotated"),
        ("epochs: complex = 3", "'epochs' must be annotated"),
        ("epochs: int = 2 + 1", "'epochs' wants a literal int as its default, not 2 \\+ 1"),
        ("epochs: int = 3.5", "'epochs' wants a literal int"),
        ("alpha: float | None = None", "'alpha' must be annotated"),
        ("alpha: float", "'alpha' wants a literal float as its default, not nothing"),
        ("epochs: int = 3\x00", "not plain Python"),
        ("%matplotlib inline\nepochs: int = 3", "not plain Python"),
    ],
)
def test_a_parameter_that_papermill_would_pass_over_is_an_error(
    root: Path, cell: str, message: str
) -> None:
    lesson = Notebook(write_lesson(root, "03_odd", parameters=cell))
    with pytest.raises(CourseError, match=message):
        _ = lesson.parameters


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"cells": 3}', "\x00", '{"cells": [{"cell_type": "code"}]}'],
)
def test_a_file_that_is_no_notebook(root: Path, content: str) -> None:
    path = root / "notebooks" / "03_odd.ipynb"
    path.write_text(content)
    for attribute in ("title", "parameters"):
        with pytest.raises(CourseError, match=r"03_odd\.ipynb cannot be read as ") as error:
            getattr(Notebook(path), attribute)
        assert "\n" not in str(error.value)


# -- inside of a running lesson -------------------------------------------------------------------


@dataclass
class Size:
    parameters: int
    shape: tuple[int, ...]


def kernel(cell: str = PARAMETERS) -> dict[str, Any]:
    """What a kernel's globals hold after a parameters cell."""
    values: dict[str, Any] = {}
    exec(cell, values)
    return values


def test_a_lesson_knows_its_parameters_without_its_file(root: Path) -> None:
    values = kernel(PARAMETERS + "rate = 1\nother = 3\nobject_: object = 3\n")
    found = lessons.lesson("07_elsewhere", values).parameters
    assert found == {
        "epochs": 3, "rate": 1.0, "seeds": [0, 1], "name": "digits", "verbose": False,
        "weights": {"a": 1},
    }  # fmt: skip
    del values["__annotations__"]  # as in Python 3.14; the course's file tells
    assert lessons.lesson("01_mnist_kd", values).parameters == found
    del values["rate"]
    with pytest.raises(CourseError, match="01_mnist_kd has no value for 'rate'; run its param"):
        lessons.lesson("01_mnist_kd", values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": "fast"}, "'rate' of 01_mnist_kd wants a finite number .float., not 'fast'"),
        ({"rate": "8"}, "not the text '8'; with plain papermill write -y 'rate: 8'"),
        ({"seeds": "[0, 1]"}, "wants a list of whole .* write -y 'seeds: \\[0, 1\\]'"),
        ({"seeds": range(3)}, "wants a list of whole numbers"),
        ({"epochs": 3.0}, "wants a whole number"),
        ({"verbose": 1}, "wants true or false"),
        ({"seeds": [1, 1]}, r"seeds must be different whole numbers from 0, got \[1, 1\]"),
        ({"seeds": [-1]}, r"seeds must be different whole numbers from 0, got \[-1\]"),
        ({"control_seeds": [2, 2]}, "control_seeds must be different whole numbers"),
        ({"seeds": []}, "seeds needs at least one value"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"tuning_seeds": [7, 1]}, "tuning_seeds must differ from seeds, but both have 1"),
    ],
)
def test_a_value_that_does_not_fit_is_told_before_the_work(
    root: Path, change: dict[str, Any], message: str
) -> None:
    more = "control_seeds: list[int] = []\ntuning_seeds: list[int] = []\nworkers: int = 1\n"
    right = kernel(PARAMETERS + more)
    assert lessons.lesson("01_mnist_kd", right).parameters["control_seeds"] == []
    with pytest.raises(CourseError, match=message):
        lessons.lesson("01_mnist_kd", right | change)


def test_a_lesson_records_what_it_measured(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lesson = lessons.lesson("01_mnist_kd", kernel() | {"record_file": "out/r.json"})
    metrics = {
        "arms": {(50, "alone"): [torch.tensor(0.5)], 4.0: np.float32(0.25), 1000: None},
        "size": Size(3, (1, 28)),
    }
    table = Table(["arm", "accuracy"], [["alone", "0.5"]])
    lesson.table("All arms", Table(["of a cell that is run again"], []))
    assert lesson.table("All arms", table) is table
    record = lesson.record("it helps", **metrics)
    assert records.read_record(Path("out/r.json")) == record
    assert record["metrics"] == {
        "headline": "it helps",
        "arms": {"50, alone": [0.5], "4": 0.25, "1000": None},
        "size": {"parameters": 3, "shape": [1, 28]},
    }
    assert record["tables"] == {
        "All arms": {"headers": ["arm", "accuracy"], "rows": [["alone", "0.5"]]}
    }
    assert record["parameters"] == lesson.parameters
    assert record["notebook"] == "01_mnist_kd"
    assert capsys.readouterr().out == "it helps (0 s)\n"
    with pytest.raises(CourseError, match=r"metrics\['arms'\]\['4'\] is nan; write None"):
        lesson.record("x", arms={4.0: float("nan")})
    with pytest.raises(CourseError, match="two keys are one as text"):
        lesson.record("x", arms={1: 2, "1": 3})
    again = lessons.lesson("01_mnist_kd", kernel())
    assert "tables" not in again.record("no file, no tables")


def test_a_lesson_shows_its_recorded_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = lessons.lesson("01_mnist_kd", kernel() | {"record_file": "results/01_mnist_kd.json"})
    nothing = "No record here yet: `kdhelpers run 01 --profile full`"
    assert lesson.recorded()._repr_markdown_() == repr(lesson.recorded()) == nothing
    table = Table(["arm", "accuracy"], [["<b>alone</b>", "0.5"]])
    lesson.table("All <i>arms</i>", table)
    lesson.record("it helps")
    (record,) = recorded = lesson.recorded()
    assert record["metrics"]["headline"] == "it helps"
    shown = recorded._repr_markdown_()
    assert "seeds, cpu" in shown
    assert "**All &lt;i&gt;arms&lt;/i&gt;**\n\n| arm | accuracy |" in shown
    assert "<b>" not in shown
    assert "<details>" not in shown
    assert "All <i>arms</i>\narm           accuracy\n<b>alone</b>  0.5" in repr(recorded)
    monkeypatch.setattr(roots, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.chdir(tmp_path)  # a notebook alone
    assert repr(lesson.recorded()) == nothing
