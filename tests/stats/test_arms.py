"""An arm is one number per seed, wherever it comes from; a pair is two runs of one seed."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdhelpers.course.records import load_records
from kdhelpers.stats.arms import pairs, row, values

ROW = [91.25, 92.5, 90.0]


def record(seed: Any, accuracy: Any, **parameters: Any) -> dict[str, Any]:
    named = {"seeds" if isinstance(seed, list) else "seed": seed}
    return {
        "notebook": "05_schedules",
        "profile": "quick",
        "parameters": {"dataset": "digits", **named, **parameters},
        "metrics": {"arms": {"constant": {"accuracy": accuracy}, "0.5": accuracy}, "text": "high"},
        "environment": {},
        "seconds": 1.0,
    }


PATH = "arms.constant.accuracy"


@pytest.mark.parametrize(
    "arm",
    [
        ROW,
        tuple(ROW),
        np.array(ROW),
        np.array(ROW, dtype=np.float32),
        torch.tensor(ROW),
        torch.tensor(ROW, dtype=torch.bfloat16),
        torch.tensor(ROW, requires_grad=True),
        [torch.tensor(value, requires_grad=True) for value in ROW],
        [np.float64(value) for value in ROW],
        [Fraction(value) for value in ROW],
        {0: ROW[0], 1: ROW[1], 2: ROW[2]},
    ],
)
def test_a_row_may_be_held_in_anything_that_holds_numbers(arm: Any) -> None:
    data = row(arm)
    assert data.dtype == np.float64
    np.testing.assert_allclose(data, ROW, rtol=4e-3 if "bfloat16" in repr(arm) else 0)


@pytest.mark.parametrize("arm", [[1, 2, 3], range(1, 4), np.array([1, 2, 3]), torch.arange(1, 4)])
def test_whole_numbers_are_numbers(arm: Any) -> None:
    assert row(arm).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (None, "one per seed, got None"),
        (0.9, "got a value of type float"),
        (np.float64(0.9), "got a value of type float"),
        (torch.tensor(0.9), "got a value of type float"),
        ("0.9", "got a value of type str"),
        ({0.9, 0.8}, "got a value of type set"),
        ((value for value in ROW), "got a value of type generator"),
        (["0.9", "0.8"], "got a value of type str among them"),
        ([0.9, None], "got None among them"),
        ([True, False], "got a value of type bool among them"),
        (np.array([True, False]), "got a value of type bool among them"),
        (torch.tensor([True, False]), "got a value of type bool among them"),
        ([np.True_, 1.0], "got a value of type bool among them"),
        ([1.0, 2j], "got a value of type complex among them"),
        ([Decimal("0.9"), Decimal("0.8")], "got a value of type Decimal among them"),
        ([[1.0, 2.0], [3.0, 4.0]], r"got shape \(2, 2\)"),
        (torch.zeros(2, 3), r"got shape \(2, 3\)"),
        ([[1.0, 2.0], [3.0]], "got a value of type list among them"),
        ([1.0, math.nan], "all values must be finite"),
        ([1.0, -math.inf], "all values must be finite"),
        ([1.0, 10**400], "all values must be finite"),
        ({0: [0.9, 0.8]}, r"got shape \(1, 2\)"),
        ([record(0, 0.9)], "these are records; name the metric"),
        (record(0, 0.9), "these are records; name the metric"),
    ],
)
def test_what_is_no_row_of_numbers_is_refused(arm: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row(arm)


def test_one_record_of_many_seeds_and_many_records_of_one_say_the_same() -> None:
    together = record([3, 1, 2], [0.9, 0.8, 0.7])
    apart = [record(3, 0.9), record(1, 0.8), record(2, 0.7)]
    mixed = [record([3, 1], [0.9, 0.8]), record(2, 0.7)]
    for records in (together, [together], (together,), apart, mixed):
        assert values(records, PATH) == {3: 0.9, 1: 0.8, 2: 0.7}
        assert row(records, PATH).tolist() == [0.9, 0.8, 0.7]


def test_the_records_of_the_course_can_be_read() -> None:
    (lesson,) = load_records("02_temperature")
    found = values(lesson, "sweep.tiny.4")
    assert list(found) == lesson["parameters"]["seeds"]
    assert list(found.values()) == lesson["metrics"]["sweep"]["tiny"]["4"]


def test_a_key_may_contain_the_dot() -> None:
    assert values(record([1, 2], [0.1, 0.2]), "arms.0.5") == {1: 0.1, 2: 0.2}
    twice = record(0, 0.0) | {"metrics": {"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "a.b.c": 3}}
    assert values(twice, "a.b.c") == {0: 3.0}
    del twice["metrics"]["a.b.c"]
    assert values(twice, "a.b.c") == {0: 2.0}


@given(st.permutations(range(8)))
@settings(max_examples=30)
def test_seeds_pair_the_numbers_whatever_their_order(order: list[int]) -> None:
    baseline = [record(seed, seed / 10) for seed in range(8)]
    treatment = [record(seed, seed / 10 + 0.5, temperature=4) for seed in order]
    first, second = pairs(baseline, treatment, PATH)
    np.testing.assert_allclose(second - first, 0.5)
    by_seed = values(baseline, PATH), values(treatment, PATH)
    np.testing.assert_array_equal(pairs(*by_seed), (first, second))


def test_rows_are_paired_by_position() -> None:
    first, second = pairs([1, 2], torch.tensor([4.0, 6.0]))
    assert (first.tolist(), second.tolist()) == ([1, 2], [4, 6])


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([0, 1, 3], "2 is only in the baseline and 3 is only in the treatment"),
        ([0, 1], "2 is only in the baseline and none are only in the treatment"),
        ([2, *range(10, 22)], "0, 1 are only in the baseline and 10, 11, 12, 13, 14, 7 more are"),
    ],
)
def test_arms_with_other_seeds_are_refused(seeds: list[int], message: str) -> None:
    baseline = [record(seed, 0.5) for seed in range(3)]
    with pytest.raises(ValueError, match=f"paired arms need the same seeds, but {message}"):
        pairs(baseline, [record(seed, 0.5) for seed in seeds], PATH)


def test_a_row_cannot_be_paired_with_seeds() -> None:
    for arms in ([ROW, {0: 1.0, 1: 2.0, 2: 3.0}], [{0: 1.0, 1: 2.0, 2: 3.0}, ROW]):
        with pytest.raises(ValueError, match="only one of the arms names its seeds"):
            pairs(*arms)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "got an empty one"),
        ((), "got an empty one"),
        (None, "one record or a list of records, got None"),
        (ROW, "got a value of type float without them"),
        (np.array(ROW), "got a value of type ndarray"),
        ({0: 0.9}, "records, which have 'parameters' and 'metrics'; got a value of type dict"),
        ([record(0, 0.9), {"metrics": {}}], "got a value of type dict without them"),
        ([record(0, 0.9), record(0, 0.9)], "seed 0 occurs twice"),
        (record([4, 4], [0.9, 0.8]), "seed 4 occurs twice"),
        ([record(0, 0.9), record([1, 0], [0.9, 0.8])], "seed 0 occurs twice"),
        (
            [record(0, 0.9, temperature=2), record(1, 0.9, temperature=4)],
            "differ in the seed alone, but their temperature is 2 and 4",
        ),
        ([record(0, 0.9), record(1, 0.9, epochs=3)], "their epochs is None and 3"),
        ([record(0, 0.9), record(1, 0.9) | {"notebook": "x"}], "notebook is '05_sch.*' and 'x'"),
        (record([0, 1], [0.9]), "has 1 values for 2 seeds"),
        (record(0, [0.9]), "is a list, but the record has no parameter 'seeds'"),
        (record([0, 1], 0.9), "is not a list, but the record has no parameter 'seed'"),
        (record("a", 0.9), "a seed must be a whole number, got 'a' in 'seed'"),
        (record(True, 0.9), "a seed must be a whole number, got True"),
        (record({"a": []}, 0.9), "a seed must be a whole number"),
        (record([0, [1]], [0.9, 0.8]), r"a seed must be a whole number, got \[1\]"),
        (record(0, "0.9"), "got a value of type str among them"),
        (record(0, True), "got a value of type bool among them"),
        (record(0, math.nan), "all values must be finite"),
        (record([0, 1], [[0.9], [0.8]]), r"got shape \(2, 1\)"),
    ],
)
def test_records_that_are_no_arm_are_refused(records: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values(records, PATH)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("arms.rising.accuracy", "no metric 'arms.rising.accuracy'; the record has arms, text"),
        ("arms.constant.accuracy.mean", "there is no metric"),
        ("", "there is no metric ''"),
        ("arms", "got a value of type dict among them"),
        ("text", "got a value of type str among them"),
        (3, "metric must be text such as .*, got 3"),
    ],
)
def test_a_metric_that_is_not_there_is_refused(metric: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values(record(0, 0.9), metric)


def test_a_seed_parameter_may_stand_beside_seeds() -> None:
    both = record([1, 2], [0.1, 0.2])
    both["parameters"]["seed"] = 7
    both["metrics"]["teacher"] = 0.9
    assert values(both, PATH) == {1: 0.1, 2: 0.2}
    assert values(both, "teacher") == {7: 0.9}
