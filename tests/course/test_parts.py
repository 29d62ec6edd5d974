"""A long record is joined from parts: finished runs are read, missing ones are made."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kdhelpers.course.lesson import Lesson
from kdhelpers.course.root import CourseError
from kdhelpers.training.many import run_arms

made: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def _none_made() -> None:
    made.clear()


def lesson(folder: Path | str, **parameters: Any) -> Lesson:
    values = {"epochs": 3, "seeds": [0, 1], "students": ["small_cnn"], "workers": 1}
    return Lesson("03_test", values | {"parts_dir": str(folder)} | parameters, "")


def student(seed: int, arm: str, lr: float = 0.1) -> dict[str, Any]:
    made.append((arm, seed, lr))
    return {"accuracy": 0.5 + seed / 10, "precision": "bf16"}


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = lesson(tmp_path).kept(student)
    figures = [first(0, "alone"), first(1, "alone"), first(0, "distilled", lr=0.2)]
    assert len(made) == len(list(tmp_path.glob("*.json"))) == 3
    again = lesson(tmp_path, seeds=[0, 1, 2], workers=2, device="cpu").kept(student)
    calls = [(0, "alone", 0.1), (1, "alone"), (0, "distilled", 0.2)]
    assert [again(*arguments) for arguments in calls] == figures
    again(2, "alone")
    again(0, "alone", lr=0.2)
    assert made[3:] == [("alone", 2, 0.1), ("alone", 0, 0.2)]


def test_runs_in_threads_keep_their_parts(tmp_path: Path) -> None:
    kept = lesson(tmp_path).kept(student)
    arms = {name: lambda seed, name=name: kept(seed, name) for name in ("alone", "distilled")}
    first = run_arms(arms, [0, 1], workers=2)
    assert run_arms(arms, [0, 1], workers=2) == first
    assert len(made) == 4


def test_other_parameters_make_other_parts_and_other_lists_do_not(tmp_path: Path) -> None:
    for parameters in ({}, {"epochs": 4}, {"students": ["vgg_small", "small_cnn"]}):
        lesson(tmp_path, **parameters).kept(student)(0, "alone")
    assert len(made) == 2
    lesson(tmp_path, seed=7, precision="bf16").kept(student)(0, "alone")
    assert len(made) == 2  # nor do what says which runs there are, and what each part tells
    for recipe in ({"epochs": 4}, {"epochs": 40}):  # one thing, of which no run takes a part
        lesson(tmp_path, teacher_recipe=recipe).kept(student)(0, "alone")
    lesson(tmp_path, data_seed=7).kept(student)(0, "alone")
    assert len(made) == 5


def test_every_part_of_the_records_is_found_by_its_name() -> None:
    found = list((Path(__file__).parents[2] / "results/parts").glob("*/*.json"))
    assert found
    for path in found:
        part = json.loads(path.read_text())
        known = {key: part[key] for key in ("lesson", "function", "run")}
        kept = Lesson(part["lesson"], part["parameters"] | {"parts_dir": str(path.parent)}, "")
        assert kept._part(known, lambda path=path: pytest.fail(str(path))) == part  # type: ignore[misc]


def test_a_part_knows_a_file_by_what_it_holds_wherever_it_lies(tmp_path: Path) -> None:
    parts, names = tmp_path / "parts", ("ana/vgg16.pt", "ben/mine.pt", "cem/vgg16.pt")
    for name in names:
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text("others" if name == names[2] else "weights")
        lesson(parts, weights=str(file)).kept(student)(0, "alone")
    assert len(made) == len(list(parts.glob("*.json"))) == 2
    for part in parts.glob("*.json"):
        assert re.fullmatch(
            "sha256:[0-9a-f]{64}", json.loads(part.read_text())["parameters"]["weights"]
        )


def test_two_functions_with_the_same_arguments_keep_their_own(tmp_path: Path) -> None:
    def width(seed: int, arm: str) -> dict[str, Any]:
        return {"width": seed}

    both = lesson(tmp_path)
    assert both.kept(student)(0, "alone") != both.kept(width)(0, "alone") == {"width": 0}
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_names_of_any_kind_make_files_in_the_folder(tmp_path: Path) -> None:
    kept = lesson(tmp_path).kept(student)
    for name in ("a/b ü", "a/b ö", "../up", "x" * 300):
        kept(0, name)
    assert len(list(tmp_path.glob("*.json"))) == len(made) == 4


def test_without_a_folder_nothing_is_kept() -> None:
    assert lesson("").kept(student) is student
    assert "parts" not in lesson("").record("done")["metrics"]
    assert lesson("").record("done", parts=[1, 2])["metrics"]["parts"] == [1, 2]  # a lesson's own


def test_arguments_and_figures_that_no_file_holds_are_named(tmp_path: Path) -> None:
    def diverges(seed: int) -> dict[str, Any]:
        return {"accuracy": float("nan")}

    def one_number(seed: int) -> Any:
        return 0.5

    with pytest.raises(ValueError, match=r"the figures of 0\['accuracy'\] is nan"):
        lesson(tmp_path).kept(diverges)(0)
    with pytest.raises(ValueError, match=r"one_number must return a dict, got 0\.5"):
        lesson(tmp_path).kept(one_number)(0)
    with pytest.raises(ValueError, match=r"the arguments of student.*is of type object"):
        lesson(tmp_path).kept(student)(0, object())
    assert not list(tmp_path.glob("*"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"lesson": "03_test", "run": {"seed": 0}}'])
def test_a_file_that_is_not_the_part_is_named(content: str, tmp_path: Path) -> None:
    lesson(tmp_path).kept(student)(0, "alone")
    (path,) = tmp_path.glob("*.json")
    path.write_text(content)
    with pytest.raises(CourseError, match=r"0-alone-0\.1"):
        lesson(tmp_path).kept(student)(0, "alone")


def test_the_part_of_another_run_is_not_taken_for_this_one(tmp_path: Path) -> None:
    kept = lesson(tmp_path).kept(student)
    kept(0, "alone")
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(CourseError, match=r"is not the part of \{'seed': 0, .*; move it away"):
        kept(0, "alone")


def test_a_part_that_cannot_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("kdhelpers._files._flush", full)
    with pytest.raises(OSError, match="no space"):
        lesson(tmp_path).kept(student)(0, "alone")
    assert not any(tmp_path.iterdir())


def test_the_record_tells_what_it_was_joined_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = lesson(tmp_path)
    for name in ("alone", "distilled"):
        first.kept(student)(0, name)
    assert first.record("done")["metrics"]["parts"]["made"] == 2
    assert "read from" not in capsys.readouterr().out
    told = ("a", 7.0, {"precision": "bf16"}), ("b", 5.0, {})  # the second in whatever precision
    for path, (commit, seconds, figures) in zip(tmp_path.glob("*.json"), told, strict=True):
        part = json.loads(path.read_text())
        part["environment"]["commit"], part["seconds"] = commit, seconds
        part["figures"] = figures
        path.write_text(json.dumps(part))
    second = lesson(tmp_path)
    for name in ("alone", "distilled"):
        second.kept(student)(0, name)
    parts = second.record("done")["metrics"]["parts"]
    assert (parts["count"], parts["made"]) == (2, 0)
    assert parts["seconds"] == 12.0
    assert parts["commits"] == ["a", "b"]
    assert parts["precisions"] == ["bf16"]
    assert "0 of 2 runs made now, the others were read from" in capsys.readouterr().out
