"""The script that holds the lessons' numbers over a change."""

import pytest

from tools.compare_commits import differences


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0]}, []),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0000000000000004]}, [".a[1]: 2.0 -> 2.0000000000000004"]),
        ({"a": 1}, {"b": 1}, [".a: 1 -> '(not there)'", ".b: '(not there)' -> 1"]),
        ({"a": [1]}, {"a": [1, 2]}, [".a: [1] -> [1, 2]"]),
        ({"latency_ms": 1.0, "x": {"seconds": 2}}, {"latency_ms": 3.0, "x": {"seconds": 4}}, []),
        ({"times": {"first": 1}}, {"times": {"first": 2}}, []),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": 0.0}, {"a": -0.0}, [".a: 0.0 -> -0.0"]),
    ],
)
def test_whatever_differs_is_told_but_times(old: object, new: object, found: list[str]) -> None:
    assert list(differences(old, new)) == found
