"""The table of a sweep is a function of what lies in its folder."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import sweep_lesson
from pyarrow import parquet

from kdhelpers.course import plans, table
from kdhelpers.course.plans import expand
from kdhelpers.course.root import CourseError
from kdhelpers.course.table import Row


def row(metrics: dict[str, Any] | None = None, **values: Any) -> Row:
    if metrics is None:
        return Row(values, "missing", None, {}, "", "x")
    return Row(values, "ok", 1.5, metrics, "", "x")


def test_metrics_have_dotted_names_and_one_value_in_a_list_is_that_value() -> None:
    metrics = {
        "headline": "9 points",
        "accuracy": {"student": [0.5], "teacher": 1},
        "alone": [{"100": [0.25]}],
        "curve": [1, 2, 3],
        "arms": {"KD": [0.5, 1], "who": ["a", "b"], "huge": [1, 10**400], "sure": [True, False]},
        "nothing": [],
        "good": True,
        "unknown": None,
    }
    assert table._flat(metrics, seeds=2) == {
        "headline": "9 points",
        "accuracy.student": 0.5,
        "accuracy.teacher": 1,
        "alone.100": 0.25,
        "arms.KD": [0.5, 1],
        "good": True,
        "unknown": None,
    }


def test_a_column_holds_parameters_and_metrics_and_the_mean_of_several_seeds() -> None:
    found_rows = [
        row(None, layers=["a", "b"], temperature=1.0),
        row({"loss": [0.25, 0.75], "seconds": 3}, layers=["é"], temperature=2.0),
        row({"loss": 0.25, "late": 1}, layers=[], temperature=4.0),
    ]
    assert table.columns(found_rows) == {
        "layers": ['["a", "b"]', '["é"]', "[]"],
        "temperature": [1.0, 2.0, 4.0],
        "status": ["missing", "ok", "ok"],
        "seconds": [None, 1.5, 1.5],
        "loss": [None, 0.5, 0.25],
        "metrics.seconds": [None, 3, None],
        "late": [None, None, 1],
    }
    assert table.columns([]) == {"status": [], "seconds": []}


def test_no_text_starts_a_formula(tmp_path: Path) -> None:
    found_rows = [row({"=a()": "@b", "n": -1, "minus": "-1+1"}, mode="=cmd|' /C calc'!A0")]
    table.write_tables(tmp_path, found_rows)
    with (tmp_path / "sweep.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["mode", "status", "seconds", "'=a()", "n", "minus"],
            ["'=cmd|' /C calc'!A0", "ok", "1.5", "'@b", "-1", "'-1+1"],
        ]


def test_both_files_hold_the_same(tmp_path: Path) -> None:
    found_rows = [
        row({"a": 1, "mixed": 1, "big": 2**64 - 1, "text": 'x,"y"\nz'}, seed=0),
        row({"a": 0.1 + 0.2, "mixed": "one", "big": -1, "empty": None}, seed=1),
        row(None, seed=2),
    ]
    table.write_tables(tmp_path, found_rows)
    with (tmp_path / "sweep.csv").open(encoding="utf-8", newline="") as file:
        head, *lines = list(csv.reader(file))
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
    lesson = sweep_lesson.write(tmp_path)
    with pytest.raises(CourseError, match=r"sweep.json cannot be read: No such file"):
        table.rows(tmp_path)
    plan = plans.plan([lesson], parameters={"mode": str(tmp_path / "data")})[0]
    points = expand(plan, {"layers": [[str(tmp_path / "a")], ["b"]]})
    table.write_list(tmp_path, points)
    assert str(tmp_path) not in (tmp_path / "sweep.json").read_text()
    for point in points:
        assert not table.finished(tmp_path, point)
        place = table.place_of(tmp_path, point.folder)
        sweep_lesson.record(point.plan, str(place), plan.lesson.digest)
        assert table.finished(tmp_path, point)
    found = [(row.values, row.status) for row in table.rows(tmp_path)]
    assert found == [({"layers": ["a"]}, "ok"), ({"layers": ["b"]}, "ok")]
    listed = json.loads((tmp_path / "sweep.json").read_text())["points"]
    assert [each["parameters"]["mode"] for each in listed] == ["data", "data"]
