"""What fits a parameter's type, in text or not, and what is plain data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_course import write_lesson

from kdhelpers.course import plans
from kdhelpers.course.records import plain
from kdhelpers.course.root import CourseError

EMPTY = {"int": 0, "float": 0.0, "bool": False, "str": "", "dict": {}}
WANTED = {
    "int": "a whole number (int)", "float": "a finite number (float)", "dict": "a mapping",
    "bool": "true or false (bool)", "str": "text (str)", "list[int]": "a list of whole numbers",
}  # fmt: skip


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def converted(value: Any, kind: str) -> Any:
    write_lesson(Path(), "01_x", parameters=f"x: {kind} = {EMPTY.get(kind, [])!r}")
    return plans.plan("1", parameters={"x": value})[0].values["x"]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("3", "int", 3),
        (-3, "int", -3),
        (np.int64(3), "int", 3),
        ("1e-3", "float", 0.001),
        ("-1e-3", "float", -0.001),
        (2, "float", 2.0),
        (np.float32(0.5), "float", 0.5),
        ("true", "bool", True),
        ("False", "bool", False),
        (False, "bool", False),
        ("3", "str", "3"),
        ("", "str", ""),
        ("[0, 1, 2]", "list[int]", [0, 1, 2]),
        ("[]", "list[int]", []),
        ((0, 1), "list[int]", [0, 1]),
        (["1e-3", 2], "list[float]", [0.001, 2.0]),
        ("[mnist, 'a b']", "list[str]", ["mnist", "a b"]),
        ("{a: 1, b: [x, null]}", "dict", {"a": 1, "b": ["x", None]}),
        ("{a: 1e-2, b: -.5, c: 1.}", "dict", {"a": 0.01, "b": -0.5, "c": 1.0}),
        ("{a: 1:10, b: 010, c: 0, d: -3}", "dict", {"a": "1:10", "b": "010", "c": 0, "d": -3}),
        ("{a: 2024-01-31}", "dict", {"a": "2024-01-31"}),  # dates stay text, as in papermill
    ],
)
def test_values_that_fit(value: Any, kind: str, expected: Any) -> None:
    found = converted(value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *(
            (value, "int")
            for value in (3.0, "3.0", "many", True, None, "1" * 5000, 2**70, "0xfff" * 50)
        ),
        *((value, "float") for value in ("abc", "nan", float("inf"), ".inf", False, [1.0])),
        *((value, "bool") for value in (1, "1", "yes")),
        *((value, "str") for value in (3, None, "broken \udcff")),
        *((value, "list[int]") for value in ("0", "0 1", "[0, 1", "[0, 1.5]", "[[0]]")),
        ("[1]", "list[str]"),
        ([float("nan")], "list[float]"),
        *((value, "dict") for value in ("[1, 2]", {1: "a"}, {"a": b"bytes"}, {"a": object()})),
        ("{a: &x [1], b: *x}", "dict"),
        ("!!python/object/apply:os.getcwd []", "dict"),
    ],
)
def test_values_that_do_not_fit(value: Any, kind: str) -> None:
    with pytest.raises(CourseError) as caught:
        converted(value, kind)
    told = str(caught.value)
    assert told.startswith(f"parameter 'x' of 01_x wants {WANTED.get(kind, 'a list of ')}")
    assert ", not " in told
    assert "\n" not in told
    assert len(told) < 200


def test_plain_data_takes_scalars_and_tuples_and_names_the_key_of_what_is_none() -> None:
    found = plain({"a": np.float32(0.5), "b": (np.int64(1), np.bool_(True))}, "value")
    assert found == {"a": 0.5, "b": [1, True]}
    assert [type(item) for item in found["b"]] == [int, bool]
    endless: list[Any] = []
    endless.append(endless)
    for value, message in (
        ({"runs": [{}, {"loss": np.float64("nan")}]}, r"^value\['runs'\]\[1\]\['loss'\] is nan"),
        ({"a": np.zeros(3)}, r"^value\['a'\] is of type ndarray"),
        ({0: 1}, "has the key 0, and keys must be text"),
        (endless, "nested too deeply"),
    ):
        with pytest.raises(ValueError, match=message):
            plain(value, "value")


def test_files_of_thousands_of_keys_are_read_at_once_and_empty_or_missing_ones_told(
    root: Path,
) -> None:
    write_lesson(root, "01_x", parameters="x: dict = {}")
    (root / "mine.yaml").write_text("x:\n" + "".join(f"  k{n}: 1\n" for n in range(5000)))
    assert len(plans.plan("1", parameter_file="mine.yaml")[0].values["x"]) == 5000
    (root / "mine.yaml").write_text("# nothing yet\n")
    assert plans.plan("1", parameter_file="mine.yaml")[0].values == {}
    with pytest.raises(CourseError, match="cannot be read: Is a directory"):
        plans.plan("1", parameter_file=root)
