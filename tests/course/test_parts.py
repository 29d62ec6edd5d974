"""A long record is joined from parts: finished runs are read, missing ones are made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdhelpers.course.lesson import Lesson
from kdhelpers.course.root import CourseError
from kdhelpers.training.many import run_arms

made: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _none_made() -> None:
    made.clear()


def arm(name: str) -> Callable[[int], dict[str, Any]]:
    def run(seed: int) -> dict[str, Any]:
        made.append((name, seed))
        return {"accuracy": 0.5 + seed / 10, "precision": "bf16"}

    return run


def lesson(folder: Path | str, **parameters: Any) -> Lesson:
    values = {"epochs": 3, "seeds": [0, 1], "students": ["small_cnn"], "workers": 1}
    return Lesson("03_test", values | {"parts_dir": str(folder)} | parameters, "")


ARMS = {"alone": arm("alone"), "distilled": arm("distilled")}


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = run_arms(lesson(tmp_path).kept(ARMS), [0, 1])
    assert len(made) == len(list(tmp_path.glob("*.json"))) == 4
    again = run_arms(lesson(tmp_path, seeds=[0, 1, 2], workers=2).kept(ARMS), [0, 1, 2], workers=2)
    assert sorted(made[4:]) == [("alone", 2), ("distilled", 2)]
    assert {name: rows[:2] for name, rows in again.items()} == first
    assert again["alone"][2] == {"accuracy": 0.7, "precision": "bf16", "seed": 2}


def test_other_parameters_make_other_parts(tmp_path: Path) -> None:
    run_arms(lesson(tmp_path).kept(ARMS), [0])
    run_arms(lesson(tmp_path, epochs=4).kept(ARMS), [0])
    run_arms(lesson(tmp_path, students=["vgg_small", "small_cnn"]).kept(ARMS), [0])
    assert len(made) == 4


def test_groups_and_arms_of_any_name_are_told_apart(tmp_path: Path) -> None:
    kept = lesson(tmp_path).kept({(0.5, 4.0): arm("point"), "a/b ü": arm("odd")}, "grid")
    run_arms(kept, [0])
    run_arms(lesson(tmp_path).kept({(0.5, 4.0): arm("other")}), [0])
    assert [name for name, _ in made] == ["point", "odd", "other"]
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*.json"))


def test_without_a_folder_nothing_is_kept() -> None:
    assert lesson("").kept(ARMS) is ARMS
    assert "parts" not in lesson("").record("done")["metrics"]


def test_a_run_that_fails_leaves_the_finished_ones(tmp_path: Path) -> None:
    def fails(seed: int) -> dict[str, Any]:
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        run_arms(lesson(tmp_path).kept(ARMS | {"third": fails}), [0])
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_figures_that_are_no_numbers_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the figures of alone\['accuracy'\] is nan"):
        run_arms(lesson(tmp_path).kept({"alone": lambda seed: {"accuracy": float("nan")}}), [0])
    assert not list(tmp_path.glob("*"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"lesson": "03_test", "run": "alone"}'])
def test_a_file_that_is_not_the_part_is_named(content: str, tmp_path: Path) -> None:
    run_arms(lesson(tmp_path).kept({"alone": ARMS["alone"]}), [0])
    (path,) = tmp_path.glob("*.json")
    path.write_text(content)
    with pytest.raises(CourseError, match=r"alone\.seed0"):
        run_arms(lesson(tmp_path).kept({"alone": ARMS["alone"]}), [0])


def test_the_record_tells_what_it_was_joined_from(tmp_path: Path) -> None:
    run_arms(lesson(tmp_path).kept(ARMS), [0])
    (path, _) = sorted(tmp_path.glob("*.json"))
    part = json.loads(path.read_text())
    part["environment"]["commit"], part["seconds"] = "another", 7.0
    path.write_text(json.dumps(part))
    second = lesson(tmp_path)
    run_arms(second.kept(ARMS), [0])
    parts = second.record("done")["metrics"]["parts"]
    assert parts["count"] == 2
    assert parts["seconds"] == pytest.approx(7, abs=1)
    assert "another" in parts["commits"]
    assert parts["precisions"] == ["bf16"]
