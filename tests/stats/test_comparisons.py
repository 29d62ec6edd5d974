"""Several arms at once: each verdict is corrected for their number."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdhelpers.stats.comparisons import compare, holm
from kdhelpers.stats.intervals import mean_interval, p_value, paired_difference

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def closed(p_values: list[float]) -> list[float]:
    """Holm's p values from first principles: a test of every subset, each by Bonferroni."""
    indices = range(len(p_values))
    subsets = [s for size in indices for s in combinations(indices, size + 1)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets}
    return [max(bonferroni[s] for s in subsets if i in s) for i in indices]


@given(P_VALUES)
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(closed(p_values))


@pytest.mark.parametrize("wrong", [-0.01, 1.01, math.nan, "0.05", None])
def test_what_is_no_p_value_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="a p value must be a number from 0 to 1, got"):
        holm([0.5, wrong])


@pytest.mark.parametrize(("effects", "confidence"), [([0, 0.2, 1.0, 0.1], 0.95), ([0.2], 0.9)])
def test_each_arm_has_its_own_interval_and_the_one_that_holds_with_all_others(
    effects: list[float], confidence: float
) -> None:
    random = np.random.default_rng(0)
    baseline = random.normal(95, 0.15, 10)
    others = {f"arm {i}": random.normal(95 + e, 0.15, 10) for i, e in enumerate(effects)}
    result = compare(baseline, others, confidence=confidence)
    assert list(result) == list(others)
    wide = 1 - (1 - confidence) / len(effects)  # of a single arm, the same
    corrected = holm([p_value(arm - baseline) for arm in others.values()])
    for (name, found), p in zip(result.items(), corrected, strict=True):
        expected = paired_difference(baseline, others[name], confidence=wide)
        assert found.difference == paired_difference(baseline, others[name], confidence=confidence)
        bounds = found.simultaneous.low, found.simultaneous.high
        assert bounds == pytest.approx((expected.low, expected.high))
        assert found.p_value == p_value(others[name] - baseline)
        assert found.corrected_p == p
    if confidence == 0.95:
        assert result == compare(baseline, others)
        assert result["arm 2"].simultaneous.low > 0


def test_results_are_compared_by_seed_and_the_baseline_may_be_named() -> None:
    baseline = [{"accuracy": 0.9 + seed / 100, "seed": seed} for seed in range(5)]
    rising = [
        {"accuracy": 0.91 + 0.011 * seed, "seed": seed} for seed in (4, 2, 0, 3, 1)
    ]  # 0.01 and a tenth of it more from seed to seed
    results = {"rising": rising, "fixed": baseline}
    assert compare("fixed", results) == compare(baseline, {"rising": rising})
    found = compare("fixed", results, points=True)
    assert list(found) == ["rising"]
    assert found["rising"].difference.mean == pytest.approx(1.2)
    expected = mean_interval([1 + seed / 10 for seed in range(5)])
    assert found["rising"].difference.low == pytest.approx(expected.low)
    with pytest.raises(ValueError, match="baseline 'constant' is none of the arms: rising, fixed"):
        compare("constant", results)


@pytest.mark.parametrize("name", [(0.5, 0.9), (50, "alone"), 0.0, None])
def test_what_names_an_arm_is_its_name(name: Any) -> None:
    expected = compare([0.9, 0.91], {"other": [0.92, 0.94]})
    assert compare(name, {name: [0.9, 0.91], "other": [0.92, 0.94]}) == expected
    # And what cannot name one is an arm.
    assert compare(({"accuracy": 0.9}, {"accuracy": 0.91}), {"other": [0.92, 0.94]}) == expected


@pytest.mark.parametrize(
    ("baseline", "others", "message"),
    [
        ([1.0, 2.5], [[1.0, 2.0]], r"results must be a Mapping, got \[\["),
        ([1.0, 2.5], None, "results must be a Mapping"),
        ([1.0, 2.5], {"a": [1, 3.0], "b": [1]}, "arm 'b': paired arms need the same seeds"),
        ([1.0, 2.5], {"a": [1.0, math.nan]}, "arm 'a': a figure of an arm must be a number"),
        ([1.0, 2.5], {"a": 0.9}, "arm 'a': an arm is a row of numbers"),
        ([1.0, 2.5], {"a": {0: 1.0, 1: 2.0}}, "arm 'a': paired arms need the same seeds"),
        ([1.0, math.inf], {"a": [1.0, 2.0]}, "a figure of an arm must be"),  # none is blamed
        ([], {"a": []}, "an arm has no value"),
    ],
)
def test_what_cannot_be_compared_is_named(baseline: Any, others: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        compare(baseline, others)


def test_without_another_arm_there_is_nothing_to_compare() -> None:
    assert compare([1.0, 2.5], {}) == compare("a", {"a": [1.0, 2.5]}) == {}
    with pytest.raises(ValueError, match=r"^confidence must be"):
        compare([1.0, 2.5], {}, confidence=1.5)
