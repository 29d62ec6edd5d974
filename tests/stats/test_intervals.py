"""Many seeds: intervals hold what they promise."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from kdhelpers.stats.intervals import (
    Interval,
    bootstrap_difference,
    bootstrap_interval,
    describe,
    mean_interval,
    p_value,
    paired_difference,
)
from kdhelpers.stats.power import power
from kdhelpers.stats.tables import verdict

BASELINE = [91.2, 92.8, 90.4, 92.0, 91.1]
TREATMENT = [93.0, 93.1, 92.9, 94.2, 92.0]
DATA = [0.31, 0.12, -0.05, 0.44, 0.27, 0.09, 0.18, 0.36, 0.02, 0.21]


@pytest.mark.parametrize("options", [{}, *({"confidence": c} for c in (0.5, 0.9, 0.99))])
def test_intervals_are_those_of_scipys_t_tests(options: dict[str, float]) -> None:
    gains = np.subtract(TREATMENT, BASELINE)
    for interval, test, mean in (
        (mean_interval(BASELINE, **options), scipy_stats.ttest_1samp(BASELINE, 0), 91.5),
        (
            paired_difference(BASELINE, TREATMENT, **options),
            scipy_stats.ttest_rel(TREATMENT, BASELINE),
            gains.mean(),
        ),
    ):
        expected = test.confidence_interval(options.get("confidence", 0.95))
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
        assert interval.mean == pytest.approx(mean)
        assert interval.mean + interval.margin == pytest.approx(interval.high)
        assert interval.count == 5


SINGLE, PAIRED = (mean_interval, bootstrap_interval), (paired_difference, bootstrap_difference)
REFUSED = [
    *((f, [[]], {}, "an arm has no value; run one seed at least") for f in (*SINGLE, p_value)),
    (bootstrap_interval, [[1.0]], {}, "1 seeds cover at most 0 %, below 95 %; run at least 6"),
    *((f, [[[1.0, 2.0], [3.0, 4.0]]], {}, "a figure of an arm must") for f in (*SINGLE, p_value)),
    *((f, [[1.0, math.nan]], {}, "a figure of an arm must be") for f in (*SINGLE, p_value)),
    *((f, [DATA], {"confidence": c}, "confidence must be a number from 1e-06 to")
      for f in SINGLE for c in (0, 1, -0.1, 95, math.nan, None)),
    *((f, [BASELINE, TREATMENT[:4]], {}, "paired arms need the same seeds") for f in PAIRED),
    (bootstrap_interval, [DATA], {"resamples": 999}, "resamples must be at least 1,000, got 999"),
    (bootstrap_interval, [DATA], {"resamples": 1e4}, "resamples must be a whole number"),
    (bootstrap_interval, [DATA], {"seed": -1}, "seed must be at least 0, got -1"),
    (bootstrap_interval, [DATA], {"seed": None}, "seed must be a whole number, got None"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arms", "options", "message"), REFUSED)
def test_what_has_no_interval_is_refused(
    function: Any, arms: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(*arms, **options)


def test_one_seed_has_an_interval_that_reaches_everywhere() -> None:
    one = paired_difference([{"accuracy": 0.91, "seed": 3}], {3: 0.93}, points=True)
    assert one == Interval(pytest.approx(2.0), -math.inf, math.inf, 1)
    assert not one.degenerate
    assert f"{one:+.1f}" == "+2.0"
    assert f"{mean_interval([1, 3], confidence=0.5):+.1f}" == "+2.0 ± 1.0"
    assert (verdict(one), verdict(one.scaled(100))) == ("one seed", "one seed")
    assert (
        describe(one, unit="points") == "+2 points with one seed, which says nothing of its error"
    )
    assert p_value([2.0]) == 1.0
    with pytest.raises(ValueError, match="confidence must be"):
        mean_interval([2.0], confidence=1)


def test_results_say_what_their_numbers_say() -> None:
    baseline, treatment = [[value / 100 for value in (*arm, 90.0)] for arm in (BASELINE, TREATMENT)]
    first = [{"accuracy": a, "seed": seed} for seed, a in enumerate(baseline)]
    second = [{"accuracy": a, "seed": seed} for seed, a in enumerate(treatment)][::-1]
    points = [[100 * value for value in arm] for arm in (baseline, treatment)]
    assert mean_interval(first) == mean_interval(baseline)
    assert mean_interval(first, points=True) == mean_interval(points[0])
    for compare in (paired_difference, bootstrap_difference):
        assert compare(first, second) == compare(baseline, treatment)
        assert compare(first, second, points=True) == compare(*points)
    assert bootstrap_interval(first, points=True) == bootstrap_interval(points[0])
    assert p_value(first) == p_value(baseline)
    losses = [{"loss": value} for value in BASELINE]
    assert mean_interval(losses, key="loss") == mean_interval(BASELINE)


def test_an_interval_can_be_told_in_another_unit() -> None:
    assert Interval(0.5, 0.25, 0.75, 5).scaled(100) == Interval(50, 25, 75, 5)
    for factor in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="factor must be a number from 1e-100"):
            Interval(0.5, 0.25, 0.75, 5).scaled(factor)


# --- the bootstrap


def test_the_bootstrap_is_that_of_resampled_means() -> None:
    interval = bootstrap_interval(DATA, resamples=50_000)
    random = np.random.default_rng(1)
    means = random.choice(DATA, (50_000, len(DATA))).mean(axis=1)
    # As far out, in standard errors as the resamples have them, as t is in those of the sample.
    bound = scipy_stats.t.isf(0.025, 9) * math.sqrt(10 / 9)
    expected = np.quantile(means, [scipy_stats.norm.sf(bound), scipy_stats.norm.cdf(bound)])
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.004)
    assert interval.mean == pytest.approx(np.mean(DATA))
    assert interval.count == 10


def test_the_bootstrap_is_the_same_for_the_same_seed() -> None:
    assert bootstrap_interval(DATA) == bootstrap_interval(DATA) == bootstrap_interval(DATA, seed=0)
    other = bootstrap_interval(DATA, seed=1)
    assert other != bootstrap_interval(DATA)
    assert other.margin == pytest.approx(bootstrap_interval(DATA).margin, rel=0.1)


@pytest.mark.parametrize("options", [{}, dict(confidence=0.8, resamples=2_000, seed=1)])
def test_the_bootstrap_draws_pairs(options: dict[str, Any]) -> None:
    shared = np.linspace(-50, 50, 10)
    difference = bootstrap_difference(shared, shared + DATA, **options)
    interval = bootstrap_interval(DATA, **options)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))


@given(
    st.lists(st.floats(-100, 100), min_size=6, max_size=12),
    st.floats(-100, 100),
    st.floats(0.1, 100),
)
@settings(max_examples=25)
def test_intervals_move_and_stretch_with_their_values(
    values: list[float], shift: float, factor: float
) -> None:
    data = np.array(values)

    def small_bootstrap(values: Any) -> Interval:
        return bootstrap_interval(values, resamples=1_000)

    for interval in (mean_interval, small_bootstrap):
        before, after = interval(data), interval(shift + factor * data)
        assert before.low <= before.mean + 1e-9
        assert before.mean <= before.high + 1e-9
        expected = before.scaled(factor)
        for name in ("low", "mean", "high"):
            assert getattr(after, name) == pytest.approx(
                shift + getattr(expected, name), rel=1e-6, abs=1e-5
            )
    inside = small_bootstrap(data)
    assert data.min() - 1e-9 <= inside.low <= inside.high <= data.max() + 1e-9


@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_equal_differences_have_an_interval_of_no_width(value: float) -> None:
    interval = bootstrap_interval([value] * 6)
    assert interval == Interval(interval.mean, interval.mean, interval.mean, 6)
    assert interval.mean == pytest.approx(value)
    assert interval.degenerate
    assert mean_interval([value] * 6).degenerate


@pytest.mark.parametrize(
    ("count", "confidence", "enough"),
    [(2, 0.95, 6), (5, 0.95, 6), (3, 0.9, 5), (7, 0.99, 8), (2, 0.6, 3)],
)
def test_a_bootstrap_that_cannot_cover_is_refused(
    count: int, confidence: float, enough: int
) -> None:
    with pytest.raises(ValueError, match=f"so {count} seeds cover at most .* at least {enough}"):
        bootstrap_interval(DATA[:count], confidence=confidence)
    with pytest.raises(ValueError, match=f"run at least {enough} seeds"):
        bootstrap_interval(DATA[: enough - 1], confidence=confidence)
    assert bootstrap_interval(DATA[:enough], confidence=confidence).count == enough


# --- p values


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12, unique=True))
def test_a_p_value_is_that_of_scipys_t_test(values: list[float]) -> None:
    largest = np.abs(values).max()
    if np.ptp(values) > 1e-6 * largest:
        expected = scipy_stats.ttest_1samp(values / largest, 0).pvalue
        assert p_value(values) == pytest.approx(expected, rel=1e-6)


def test_equal_differences_have_the_p_value_of_the_sign_test() -> None:
    for count in (2, 5, 10):
        sign_test = scipy_stats.binomtest(count, count).pvalue
        assert p_value([0.3] * count) == p_value([-0.3] * count) == pytest.approx(sign_test)
        # Equal but for the rounding of floats is equal.
        assert p_value(np.arange(90, 90 + count) + 0.3 - np.arange(90, 90 + count)) == sign_test
        assert p_value([0.0] * count) == 1.0


# --- known truths: effects of 0.2 and 1.0 points where one run varies by 0.15

STD = 0.15 * math.sqrt(2)  # of the difference between two runs


def noise(share: float, repetitions: int) -> float:
    """Four standard errors of a share seen in so many experiments: one in 16,000 is outside."""
    return 4 * math.sqrt(share * (1 - share) / repetitions)


def test_the_bootstrap_with_10_seeds_errs_a_little_more_often() -> None:
    repetitions = 600
    gains = np.random.default_rng(8).normal(0, STD, (repetitions, 10))
    intervals = [bootstrap_interval(row, resamples=1_000) for row in gains]
    low, high = np.array([(interval.low, interval.high) for interval in intervals]).T
    covered = float(np.mean((low <= 0) & (high >= 0)))
    assert abs(covered - 0.94) <= noise(0.94, repetitions)  # plain percentiles and BCa: 0.89
    for effect in (0.2, 1.0):  # an effect moves an interval and does not change it
        found, expected = np.mean(low + effect > 0), power(effect, STD, 10)
        assert -noise(expected, repetitions) <= found - expected
        assert found - expected <= noise(expected, repetitions) + 0.03


# --- sentences


ZERO = "not distinguishable from zero with 5 seeds; an effect above"
SENTENCES = [
    ((0.8, 0.5, 1.1, 10), "helps by 0.8 points (0.5 to 1.1) with 10 seeds"),
    ((-0.8, -1.1, -0.5, 10), "hurts by 0.8 points (0.5 to 1.1) with 10 seeds"),
    ((0.05, -0.2, 0.3, 5), f"{ZERO} 0.3 points is ruled out, as is one below -0.2 points"),
    # Bounds go outwards: what is called ruled out is.
    ((0.05, -0.2001, 0.3001, 5), f"{ZERO} 0.31 points is ruled out, as is one below -0.21 points"),
    ((0.806, 0.509, 1.103, 9), "helps by 0.81 points (0.5 to 1.11) with 9 seeds"),
    ((-0.806, -1.103, -0.509, 9), "hurts by 0.81 points (0.5 to 1.11) with 9 seeds"),
    # Floats that are not quite 1.1 are 1.1.
    ((0.8, 0.5, 0.8 + 0.3000000000000003, 9), "helps by 0.8 points (0.5 to 1.1) with"),
    # An effect stays on its side of zero.
    ((0.3, 0.004, 0.6, 5), "helps by 0.3 points (0.004 to 0.6) with 5 seeds"),
    ((-0.3, -0.6, -0.004, 5), "hurts by 0.3 points (0.004 to 0.6) with 5 seeds"),
    ((39, 0.1875, 78, 5), "helps by 39 points (0.1 to 78) with 5 seeds"),
    ((-39, -78, -0.1875, 5), "hurts by 39 points (0.1 to 78) with 5 seeds"),
    ((0.3, 0.0, 0.6, 5), ZERO),
    ((0.3, -0.0, 0.6, 5), "ruled out, as is one below 0 points"),
    ((120.4, 100.2, 140.6, 5), "helps by 120 points (100 to 141) with 5 seeds"),
    ((0.00123, 0.001, 0.00146, 5), "helps by 0.00123 points (0.001 to 0.00146)"),
    ((1e30, 5e29, 1.5e30, 5), f"helps by 1{'0' * 30} points (5{'0' * 29} to 15{'0' * 29}) with"),
    ((-1e200, -1e200, -1e200, 5), f"worse by the same 1{'0' * 200} points"),
    ((0, 0, 0, 3), "no difference with any of 3 seeds"),
    ((0.3, 0.3, 0.3, 3), "better by the same 0.3 points with each of 3 seeds; without spread there "
                         "is no inter"),
    ((-0.3, -0.3, -0.3, 3), "worse by the same 0.3 points with each of 3 seeds"),
]  # fmt: skip


@pytest.mark.parametrize(("interval", "said"), SENTENCES)
def test_a_sentence_says_what_the_interval_allows(interval: Any, said: str) -> None:
    assert said in describe(Interval(*interval), unit="points")


def test_the_unit_can_be_named_or_left_out() -> None:
    interval = Interval(0.8, 0.5, 1.1, 10)
    assert describe(interval, unit="seconds") == "helps by 0.8 seconds (0.5 to 1.1) with 10 seeds"
    assert describe(interval) == "helps by 0.8 (0.5 to 1.1) with 10 seeds"


def test_less_of_a_loss_or_an_error_helps() -> None:
    more, less = Interval(0.8, 0.5, 1.1, 10), Interval(-0.8, -1.1, -0.5, 10)
    assert describe(less, key="nll") == "helps by 0.8 (0.5 to 1.1) with 10 seeds"
    assert describe(more, key="nll") == "hurts by 0.8 (0.5 to 1.1) with 10 seeds"
    assert describe(less, key="calibration_error").startswith("helps by 0.8 (")
    same = Interval(-0.3, -0.3, -0.3, 3)
    assert describe(same, key="ms", unit="ms").startswith("better by the same 0.3 ms with each")


@given(st.floats(-50, 50), st.floats(0.001, 50))
def test_a_sentence_agrees_with_the_short_verdict(mean: float, margin: float) -> None:
    interval = Interval(mean, mean - margin, mean + margin, 10)
    said = describe(interval)
    opening = {"no clear difference": "not distinguishable"}.get(verdict(interval))
    assert said.startswith(opening or verdict(interval))
    numbers = [float(found) for found in re.findall(r"-?[\d.]+", said)]
    if opening:
        seeds, high, low = numbers
        assert low <= interval.low + 1e-7 <= interval.high <= high + 1e-7
    else:
        by, near, far, seeds = numbers
        size = sorted([abs(interval.low), abs(interval.high)])
        assert 0 < near <= size[0] + 1e-7
        assert far >= size[1] - 1e-7
        assert by == pytest.approx(abs(mean), abs=0.06 * margin)
    assert seeds == 10
