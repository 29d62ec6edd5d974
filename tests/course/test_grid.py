"""Grids: every value is checked before anything runs, and names of points are stable."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_lesson
from tiny_course import write_lesson

from kdhelpers.course import plans
from kdhelpers.course.plans import Point
from kdhelpers.course.plans import expand as expanded
from kdhelpers.course.root import CourseError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sweep_lesson.write(tmp_path)
    write_lesson(tmp_path, "06_own_seed", parameters="seed: int = 0\nseeds: list[int] = [1]")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expand(lesson: str = "05", **grid: Iterable[Any]) -> list[Point]:
    return expanded(plans.plan([lesson])[0], grid)


def values(points: list[Point]) -> list[tuple[Any, ...]]:
    return [tuple(point.values.values()) for point in points]


def test_the_last_parameter_runs_fastest_and_text_is_converted() -> None:
    points = expand(temperature=["1", 2.5, "4e0"], seed="0:2")
    assert values(points) == [(1.0, 0), (1.0, 1), (2.5, 0), (2.5, 1), (4.0, 0), (4.0, 1)]
    assert points[3].plan.values == {"temperature": 2.5, "seeds": [1]}
    assert points[3].plan.parameters["mode"] == "plain"
    assert list(points[3].values) == ["temperature", "seed"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["0:3"], [0, 1, 2]),
        (["-4:5:4"], [-4, 0, 4]),
        (["3:0:-1"], [3, 2, 1]),
        (["0:2", "7", 9], [0, 1, 7, 9]),
        (range(3), [0, 1, 2]),
        (np.arange(2), [0, 1]),
        ("5", [5]),
    ],
)
def test_ranges_of_whole_numbers(given: Any, expected: list[int]) -> None:
    for name in ("shift", "seed", "temperature"):
        assert [point.values[name] for point in expand(**{name: given})] == expected
    assert all(type(point.values["shift"]) is int for point in expand(shift=given))
    assert all(type(point.values["temperature"]) is float for point in expand(temperature=given))


def test_seed_is_one_value_of_seeds_unless_the_lesson_has_a_seed() -> None:
    assert [point.plan.values for point in expand(seed=[3])] == [{"seeds": [3]}]
    assert [point.plan.values for point in expand("06", seed=[3])] == [{"seed": 3}]
    assert values(expand(seeds=["[0, 1]", [2]])) == [([0, 1],), ([2],)]
    assert values(expand(mode=["0:3"])) == [("0:3",)]  # only numbers have ranges


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"seeds": ["0:3"]}, "for a point per seed write seed 0:3"),
        ({}, "the grid is empty; give at least one parameter"),
        ({"temperature": []}, "the grid has no value for 'temperature'"),
        ({"seed": ["5:5"]}, "the range '5:5' of 'seed' is empty"),
        ({"seed": ["0:5:0"]}, "the range '0:5:0' of 'seed' is empty"),
        ({"temprature": [1]}, "unknown parameter 'temprature'; did you mean 'temperature'?"),
        ({"record_file": ["x"]}, "'record_file' is set by the runner"),
        ({"temperature": [1, "hot"]}, "'temperature' of 05_tiny wants a finite number"),
        ({"seed": [1, 1.5]}, "'seeds' of 05_tiny wants a list of whole numbers"),
        ({"temperature": 4}, "the grid's 'temperature' wants a list of values, not 4"),
        ({"temperature": {"a": 1}}, "the grid's 'temperature' wants a list of values"),
        ({"temperature": ["1", 1.0]}, "the grid has temperature = 1.0 twice"),
        ({"seed": ["0:5", 3]}, "the grid has seed = 3 twice"),
        ({"mode": ["/a/t.pt", "/b/t.pt"]}, "the grid has mode = '/b/t.pt' twice; give relative"),
        ({"seed": [1], "seeds": [[2]]}, "the grid has both 'seed' and 'seeds'"),
        ({"seed": ["0:100000000000"]}, "the grid's 'seed' has more than 10,000 values"),
        ({"seed": ["0:101"], "shift": ["0:100"]}, "the grid has 10,100 points; at most 10,000"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(grid: dict[str, Any], message: str) -> None:
    with pytest.raises(CourseError) as caught:
        expand(**grid)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parameter_is_fixed_or_swept() -> None:
    plan = plans.plan(["05"])[0]
    with pytest.raises(CourseError, match="'seeds' has one fixed value, so the grid cannot cha"):
        expanded(plan, {"seed": [1]}, fixed={"seeds"})
    assert len(expanded(plan, {"seed": [1]}, fixed={"shift"})) == 1


def test_the_folder_of_a_point_depends_on_the_whole_run_and_on_nothing_else() -> None:
    def name(**grid: Any) -> str:
        return expand(**grid)[0].folder

    first = name(temperature=["1"], seed=["0:1"])
    assert first == name(temperature=[1.0], seed=[0])
    assert first.startswith("temperature=1.0,seed=0-")
    assert len({first, name(temperature=[1], seed=[1]), name(seed=[0], temperature=[2])}) == 3
    cold = expanded(plans.plan(["05"], parameters={"shift": 3})[0], {"temperature": [1]})[0]
    assert cold.folder.rpartition("-")[2] != name(temperature=[1]).rpartition("-")[2]
    nasty = [name(mode=[text]) for text in ("../../x y", "x" * 300, "é/", "ö/", "")]
    assert len(set(nasty)) == 5
    assert all(len(folder) < 80 and not set("/\\ :é") & set(folder) for folder in nasty)
    assert nasty[0].startswith("mode=.._.._x_y-")
