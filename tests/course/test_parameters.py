"""What fits a parameter's type, and what is plain data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdhelpers.course import parameters


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
        ('{"a": 1.5}', "dict", {"a": 1.5}),
    ],
)
def test_values_that_fit(value: Any, kind: str, expected: Any) -> None:
    converted = parameters.convert(value, kind)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3.0, "int"),
        ("3.0", "int"),
        (True, "int"),
        ("many", "int"),
        (None, "int"),
        ("1" * 5000, "int"),
        (2**70, "int"),
        ("abc", "float"),
        ("nan", "float"),
        (float("inf"), "float"),
        (False, "float"),
        ([1.0], "float"),
        (1, "bool"),
        ("yes", "bool"),
        (3, "str"),
        (None, "str"),
        ("broken \udcff", "str"),
        ("0", "list[int]"),
        ("[0, 1", "list[int]"),
        ("[0, 1.5]", "list[int]"),
        ("[[0]]", "list[int]"),
        ("[1]", "list[str]"),
        ([float("nan")], "list[float]"),
        ("[1, 2]", "dict"),
        ({1: "a"}, "dict"),
        ({"a": b"bytes"}, "dict"),
        ({"a": object()}, "dict"),
        ("{a: &x [1], b: *x}", "dict"),
        ("!!python/object/apply:os.getcwd []", "dict"),
    ],
)
def test_values_that_do_not_fit(value: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=r"^wants .*, not ") as caught:
        parameters.convert(value, kind)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_the_message_says_what_is_wanted_and_what_was_given() -> None:
    with pytest.raises(ValueError, match=r"wants a whole number \(int\), not 'many'"):
        parameters.convert("many", "int")


def test_plain_data_names_the_key_that_is_not() -> None:
    with pytest.raises(ValueError, match=r"^metrics\['runs'\]\[1\]\['accuracy'\] is nan"):
        parameters.plain({"runs": [{}, {"accuracy": np.float64("nan")}]}, "metrics")
    with pytest.raises(ValueError, match=r"^metrics\['a'\] is of type ndarray"):
        parameters.plain({"a": np.zeros(3)}, "metrics")
    with pytest.raises(ValueError, match="has the key 0, and keys must be text"):
        parameters.plain({0: 1}, "metrics")


def test_plain_data_from_numpy_and_tuples() -> None:
    value = {"a": np.float32(0.5), "b": (np.int64(1), np.bool_(True)), "c": np.array(2)}
    converted = parameters.plain(value, "value")
    assert converted == {"a": 0.5, "b": [1, True], "c": 2}
    assert [type(item) for item in converted["b"]] == [int, bool]


def test_endless_nesting_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested too deeply"):
        parameters.plain(endless, "value")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- 1\n- 2\n", "must map parameter names"),
        (b"just text", "must map parameter names"),
        (b"1: 2\n", "must map parameter names"),
        (b"a: [1,\n", "not valid YAML \\(line"),
        (b"a: 1\n  b: 2\n", "not valid YAML \\(line 2"),
        (b"a: \xff\xfe", "not UTF-8"),
        (b"a: \x00", "not valid YAML"),
        (b"a: !!int x\n", "not valid YAML"),
        (b"a: !!bool x\n", "not valid YAML"),
        (b"a: !!timestamp x\n", "not valid YAML"),
        (b"a: !!python/name:os.system\n", "not valid YAML \\(line 1"),
        (b"a: &a [*a]\n", "aliases"),
        (b"a: " + b"[" * 1500, "not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_one_sentence(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "values.yaml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        parameters.read_file(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        parameters.read_file(tmp_path / "values.yaml")
    with pytest.raises(ValueError, match="cannot be read"):
        parameters.read_file(tmp_path)
    (tmp_path / "values.yaml").write_text("# nothing yet\n")
    assert parameters.read_file(tmp_path / "values.yaml") == {}


def test_dates_stay_text_as_in_papermill(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("name: 2024-01-31\nrate: 1e-3\n")
    assert parameters.read_file(file) == {"name": "2024-01-31", "rate": "1e-3"}
