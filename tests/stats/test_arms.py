"""An arm is one number per seed, in whatever holds it; a pair is two runs of one seed."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdhelpers.stats.arms import against, by_size, pairs, row

ROW = [0.25, 0.5, 0.125]
RUNS = [{"accuracy": value, "loss": 2 * value, "seed": seed} for seed, value in enumerate(ROW)]


def runs(values: dict[int, float]) -> list[dict[str, Any]]:
    return [{"accuracy": value, "seed": seed} for seed, value in values.items()]


@pytest.mark.parametrize(
    "arm",
    [ROW, tuple(ROW), np.array(ROW), np.array(ROW, dtype=np.float32), torch.tensor(ROW),
     torch.tensor(ROW, dtype=torch.bfloat16), torch.tensor(ROW, requires_grad=True),
     [torch.tensor(value, requires_grad=True) for value in ROW], [np.float64(v) for v in ROW],
     {0: ROW[0], 1: ROW[1], 2: ROW[2]}, RUNS, tuple(RUNS),
     [{"accuracy": torch.tensor(value)} for value in ROW]],
)  # fmt: skip
def test_an_arm_may_be_held_in_anything_that_holds_numbers(arm: Any) -> None:
    data = row(arm)
    assert data.dtype == np.float64
    assert data.tolist() == ROW
    assert row(arm, points=True).tolist() == [25.0, 50.0, 12.5]


@pytest.mark.parametrize("arm", [[1, 2, 3], range(1, 4), np.array([1, 2, 3]), torch.arange(1, 4)])
def test_whole_numbers_are_numbers(arm: Any) -> None:
    assert row(arm).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "arm", [None, 0.9, np.float64(0.9), torch.tensor(0.9), "0.9", {0.9, 0.8}, (v for v in ROW)]
)
def test_what_is_no_row_is_refused(arm: Any) -> None:
    with pytest.raises(ValueError, match="an arm is a row of numbers, one per seed, got "):
        row(arm)


@pytest.mark.parametrize(
    "value", ["0.9", None, True, np.True_, torch.tensor(True), 2j, Decimal("0.9"), [0.9], [[0.9]],
              math.nan, -math.inf, 10**400],
)  # fmt: skip
def test_every_figure_of_an_arm_is_a_finite_number(value: Any) -> None:
    for arm in ([0.5, value], {0: 0.5, 1: value}, runs({0: 0.5, 1: value})):
        with pytest.raises(ValueError, match="a figure of an arm must be a number from -1e"):
            row(arm)


def test_runs_need_the_figure_and_a_seed_of_their_own() -> None:
    assert row(RUNS, "loss").tolist() == [0.5, 1.0, 0.25]
    with pytest.raises(ValueError, match="no figure 'accuracy'; it has loss, seed"):
        row([{"loss": 1.0, "seed": 0}])
    with pytest.raises(ValueError, match="seed 1 occurs twice"):
        row([*RUNS, RUNS[1]])
    with pytest.raises(ValueError, match=r"seed of a run must be a whole number, got \[0\]"):
        row([{"accuracy": 1.0, "seed": [0]}])


@pytest.mark.parametrize(
    "arm", [{"accuracy": 0.9, "calibration_error": 0.1}, {"alone": 0.9, "kd": 0.95}, {0.5: 0.9}]
)
def test_a_mapping_is_an_arm_only_from_seeds(arm: dict[Any, float]) -> None:
    assert row({"0": 0.5, "10": 0.25}).tolist() == [0.5, 0.25]  # as JSON has them
    for each in (arm, Series(arm)):
        with pytest.raises(ValueError, match="one number per seed, and the seed of a run must be"):
            row(each)


@pytest.mark.parametrize("value", [-0.01, 1.01, 93.4])
def test_points_are_made_of_shares_alone(value: float) -> None:
    assert row([0.5, value]).tolist() == [0.5, value]
    with pytest.raises(ValueError, match=f"percent by 100. must be a number .* got {value}"):
        row([0.5, value], points=True)


class Series:
    """What is seen here of one of pandas."""

    def __init__(self, by_seed: dict[int, float]) -> None:
        self.index, self.items, self.tolist = [*by_seed], by_seed.items, [*by_seed.values()].copy


@given(st.permutations(range(8)), st.integers(2, 8))
@settings(max_examples=30)
def test_seeds_pair_the_numbers_whatever_their_order_and_number(order: list[int], n: int) -> None:
    baseline = runs({seed: seed / 16 for seed in range(8)})
    treatment = runs({seed: seed / 16 + 0.5 for seed in order[:n]})
    for sign, arms in ((1, (baseline, treatment)), (-1, (treatment, baseline))):
        first, second = pairs(*arms)
        assert (second - first).tolist() == [0.5 * sign] * n
        by_seed = [{run["seed"]: run["accuracy"] for run in arm} for arm in arms]
        np.testing.assert_array_equal(pairs(*by_seed), (first, second))
        np.testing.assert_array_equal(pairs(*map(Series, by_seed)), (first, second))
        np.testing.assert_array_equal(pairs(*arms, points=True), (100 * first, 100 * second))


def test_rows_are_paired_by_position() -> None:
    first, second = pairs([1, 2], torch.tensor([4.0, 6.0]))
    assert (first.tolist(), second.tolist()) == ([1, 2], [4, 6])
    with pytest.raises(ValueError, match=r"need the same seeds, .*place 1 of 3.*place 1 of 2"):
        pairs(ROW, [4, 6])
    for arms in (([], ROW), (ROW, [])):
        with pytest.raises(ValueError, match="an arm has no value; run one seed at least"):
            pairs(*arms)


def test_arms_without_common_seeds_are_refused() -> None:
    baseline, treatment = (runs(dict.fromkeys(seeds, 0.5)) for seeds in ((0, 1, 2), (3, 0, 10)))
    seeds = r"\[1, 2\] are only in the baseline and \[3, 10\] only in the treatment"
    for arms, what in (
        ((baseline, treatment), seeds), ((ROW, RUNS), ""), ((RUNS, ROW), ""),
        ((ROW, {0: 1.0, 1: 2.0, 2: 3.0}), ""),  # a row cannot be paired with seeds
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"paired arms need the same seeds, but {what}"):
            pairs(*arms)


# -- which arms are compared ----------------------------------------------------------------------

SIZED = {(200, "alone"): [1], (200, "distilled"): [2], (50, "distilled"): [3], (50, "alone"): [4]}


def test_every_arm_is_compared_with_the_baseline_or_with_the_one_named() -> None:
    arms = {"alone": [1], "KD": [2], "hint": [3]}
    assert against(arms) == {"KD": ([1], [2]), "hint": ([1], [3])}
    assert against(arms, "KD") == {"alone": ([2], [1]), "hint": ([2], [3])}
    chosen = against(arms, comparisons=[("KD", "hint"), ("alone", "KD")])
    assert chosen == {"hint − KD": ([2], [3]), "KD − alone": ([1], [2])}
    for options in ({"baseline": "none"}, {"comparisons": [("KD", "none")]}):
        with pytest.raises(ValueError, match="'none' is none of the arms: alone, KD, hint"):
            against(arms, **options)


def test_arms_of_a_size_are_compared_among_themselves() -> None:
    assert against(SIZED) == {"200 images": ([1], [2]), "50 images": ([4], [3])}
    assert list(against(SIZED, "distilled")) == ["200 images", "50 images"]
    assert list(against({("2000", arm): [1] for arm in ("alone", "distilled")})) == ["2,000 images"]
    more = list(against(SIZED | {(50, "own"): [5]}))
    assert more[1:] == ["50, distilled", "50, own"]
    with pytest.raises(ValueError, match=r"\(1000, 'alone'\) is none of the arms"):
        against(SIZED | {(1000, "distilled"): [5]})


def test_a_whole_number_in_a_name_is_no_number_of_images() -> None:
    """It may be a temperature."""
    assert list(against({"alone": [1], 4: [2], 8: [3]})) == ["4", "8"]
    assert list(against({("small", "alone"): [1], ("small", 4): [2]})) == ["small"]
    both = {"alone": [1], (4, "distilled"): [2]}
    assert list(against(both, comparisons=[tuple(both)])) == ["4, distilled − alone"]
    by_T = {(T, arm): [T] for T in (4, 8) for arm in ("labels", "KD")}
    assert list(against(by_T, "labels")) == ["4", "8"]


def test_results_by_size_are_sorted_by_size() -> None:
    found = by_size(SIZED)
    assert list(found.items()) == [(50, ([4], [3])), (200, ([1], [2]))]
    assert by_size({(str(size), arm): runs for (size, arm), runs in SIZED.items()}) == found
    more = {(size, arm): [1] for size in ("200", "1000") for arm in ("alone", "distilled")}
    assert list(by_size(more)) == [200, 1000]  # by size, not by text


@pytest.mark.parametrize(
    ("sized", "message"),
    [
        ({}, r"the same transfer sets, .* got \[\] and"),
        ({(50, "alone"): [1], (200, "distilled"): [1]}, r"sets, .* got \[50\] and \[200\]"),
        (SIZED | {(9, "alone"): [1]}, "the same transfer sets"),
        ({"alone": [1], "distilled": [1]}, "the same transfer sets"),
        ({("few", "alone"): [1], ("few", "distilled"): [1]}, "whole number of images"),
        ([1], "results must be a Mapping"),
    ],
)
def test_results_without_both_arms_of_a_size_are_refused(sized: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_size(sized)
