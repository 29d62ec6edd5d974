"""Many seeds: intervals hold what they promise."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from kdhelpers.stats import Interval, mean_interval, paired_difference

BASELINE = [91.2, 92.8, 90.4, 92.0, 91.1]
TREATMENT = [93.0, 93.1, 92.9, 94.2, 92.0]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_a_mean_has_the_interval_of_scipys_t_test(confidence: float) -> None:
    interval = mean_interval(BASELINE, confidence=confidence)
    expected = scipy_stats.ttest_1samp(BASELINE, 0).confidence_interval(confidence)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.mean == pytest.approx(np.mean(BASELINE))
    assert interval.count == 5


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_a_paired_difference_has_the_interval_of_scipys_paired_t_test(confidence: float) -> None:
    interval = paired_difference(BASELINE, TREATMENT, confidence=confidence)
    test = scipy_stats.ttest_rel(TREATMENT, BASELINE)
    expected = test.confidence_interval(confidence)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_95_percent_is_the_default() -> None:
    assert mean_interval(BASELINE) == mean_interval(BASELINE, confidence=0.95)
    assert paired_difference(BASELINE, TREATMENT) == paired_difference(
        BASELINE, TREATMENT, confidence=0.95
    )


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    repetitions, seeds, effect = 2_000, 5, 0.7
    shared = random.normal(0, 5, (repetitions, seeds))  # what a seed does to both arms
    baseline = shared + random.normal(0, 1, (repetitions, seeds))
    treatment = shared + random.normal(effect, 2, (repetitions, seeds))
    intervals = [paired_difference(a, b) for a, b in zip(baseline, treatment, strict=True)]
    coverage = np.mean([interval.low <= effect <= interval.high for interval in intervals])
    # A normal interval (± 1.96 errors) would cover 0.88 at five seeds.
    assert abs(coverage - 0.95) < 4 * math.sqrt(0.95 * 0.05 / repetitions)


def test_what_a_seed_does_to_both_arms_cancels() -> None:
    shift = [100, -300, 50, 7, -9]
    noisy = paired_difference(
        [a + s for a, s in zip(BASELINE, shift, strict=True)],
        [b + s for b, s in zip(TREATMENT, shift, strict=True)],
    )
    quiet = paired_difference(BASELINE, TREATMENT)
    assert (noisy.low, noisy.high) == pytest.approx((quiet.low, quiet.high))


def test_the_difference_is_treatment_minus_baseline() -> None:
    forward, backward = (
        paired_difference(BASELINE, TREATMENT),
        paired_difference(TREATMENT, BASELINE),
    )
    assert forward.mean > 0
    assert (backward.low, backward.high) == pytest.approx((-forward.high, -forward.low))


def test_the_margin_is_half_the_width() -> None:
    assert Interval(1.0, -1.0, 3.0, 5).margin == 2.0
    interval = mean_interval(BASELINE)
    assert interval.mean + interval.margin == pytest.approx(interval.high)


def test_equal_values_have_no_spread() -> None:
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"at least two values in a row, got shape \(0,\)"),
        ([1.0], "at least two values"),
        ([[1.0, 2.0], [3.0, 4.0]], r"got shape \(2, 2\)"),
        ([1.0, math.nan], "all values must be finite"),
        ([1.0, math.inf], "all values must be finite"),
    ],
)
def test_values_without_an_interval_are_refused(values: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_interval(values)
    with pytest.raises(ValueError, match=message):
        paired_difference([0.0] * len(values) if np.ndim(values) == 1 else values, values)


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 95, math.nan])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        mean_interval(BASELINE, confidence=confidence)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        paired_difference(BASELINE, TREATMENT, confidence=confidence)


def test_arms_with_different_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="paired arms need the same seeds, got 5 and 4 values"):
        paired_difference(BASELINE, TREATMENT[:4])
