"""How many seeds an effect needs: exact, checked against an integral and against simulation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as scipy_stats

from kdhelpers.stats.power import detectable, power, seeds_needed

SIZES = st.floats(0.05, 5)
COUNTS = st.integers(2, 200)


def integrated(size: float, count: int, confidence: float) -> float:
    """Power without the noncentral t distribution: over all values that the std may be seen at."""
    degrees = count - 1
    bound = scipy_stats.t.ppf(0.5 + confidence / 2, degrees)

    def found(seen: float) -> float:
        reach = bound * seen
        shift = size * math.sqrt(count)
        outside = scipy_stats.norm.sf(reach - shift) + scipy_stats.norm.cdf(-reach - shift)
        # The law of the observed std (in units of the true one) is chi / √degrees.
        return outside * scipy_stats.chi.pdf(seen * math.sqrt(degrees), degrees)

    value, _ = integrate.quad(found, 0, 1 + 10 / math.sqrt(degrees), limit=200)
    return value * math.sqrt(degrees)


@pytest.mark.parametrize("count", [2, 3, 10, 1_000])
@pytest.mark.parametrize("size", [0.0, 0.2, 1.0, 4.4375])
@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_power_is_that_of_the_integral(count: int, size: float, confidence: float) -> None:
    expected = integrated(size, count, confidence)
    assert power(3 * size, 3, count, confidence=confidence) == pytest.approx(expected, abs=1e-6)


def test_power_is_that_of_published_tables() -> None:
    # Cohen 1988: a one-sample d of 0.5 needs 34 pairs for 80 %, 0.8 needs 15, 0.2 needs 199.
    assert [seeds_needed(effect, 1) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert seeds_needed(0.5, 1, power=0.9) == 44


def test_the_rule_of_thumb_is_too_hopeful_as_the_module_says() -> None:
    std = 0.15 * math.sqrt(2)  # of the difference between two independent runs
    rule = [math.ceil((1.95996 + 0.84162) ** 2 * (std / e) ** 2) for e in (0.5, 0.3, 0.1)]
    assert rule == [2, 4, 36]
    assert [seeds_needed(effect, std) for effect in (0.5, 0.3, 0.1)] == [4, 7, 38]


@given(SIZES, st.floats(0.3, 0.99), st.floats(0.5, 0.99))
def test_seeds_needed_is_the_first_count_with_enough_power(
    size: float, wanted: float, confidence: float
) -> None:
    if wanted < 1 - confidence + 2e-6:
        return
    count = seeds_needed(size, 1, wanted, confidence)
    assert power(size, 1, count, confidence=confidence) >= wanted
    assert count == 2 or power(size, 1, count - 1, confidence=confidence) < wanted


@given(COUNTS, st.floats(0.3, 0.99), st.floats(0.01, 100))
@settings(max_examples=30)
def test_detectable_is_the_effect_with_just_that_power(
    count: int, wanted: float, std: float
) -> None:
    effect = detectable(std, count, power=wanted)
    assert power(effect, std, count) == pytest.approx(wanted, abs=1e-6)


def test_extremes_are_certain_and_finite() -> None:
    assert power(1e6, 0.1, 5) == power(100, 0.1, 500) == 1.0
    assert power(-0.2, 0.15, 5) == power(0.2, 0.15, 5)
    assert seeds_needed(1e6, 0.1) == 2
    assert power(1e-300, 1e-3, 5) == pytest.approx(0.05)
    assert detectable(0.15, 2, power=0.999) > detectable(0.15, 2) > detectable(0.15, 1_000) > 0
    assert seeds_needed(np.float64(0.01), 1) == pytest.approx(78_490, abs=5)
    assert power(np.float32(1), np.int64(1), np.int64(5)) == power(1, 1, 5)


WRONG = [math.nan, 10**400, "big", True, None, [0.1, 0.2]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("effect", value) for value in (*WRONG, math.inf)),
        *(("std", value) for value in (*WRONG, math.inf, -0.15, 0)),
        *(("count", value) for value in (*WRONG, 1, 2.5, "5", 2**20 + 1)),
        *(("confidence", value) for value in (*WRONG, 95, 0, 1)),
        *(("power", value) for value in (*WRONG, 80, 0, 1, 0.05)),
    ],
)
def test_what_is_out_of_range_is_named(name: str, value: Any) -> None:
    right = {"effect": 0.2, "std": 0.15, "count": 10, "confidence": 0.95, "power": 0.8}
    for function, names in (
        (power, ("effect", "std", "count", "confidence")),
        (seeds_needed, ("effect", "std", "power", "confidence")),
        (detectable, ("std", "count", "power", "confidence")),
    ):
        if name in names:
            with pytest.raises(ValueError, match=f"^{name} must be "):
                function(**{key: right[key] for key in names} | {name: value})


def test_what_cannot_be_found_is_told_with_the_bound() -> None:
    for effect in (0, 1e-9):
        message = f"effect of {effect} at a std of 0.15 needs more than 1,048,576 seed pairs; it ca"
        with pytest.raises(ValueError, match=message):
            seeds_needed(effect, 0.15)
    with pytest.raises(ValueError, match=r"power must be a number from 0\.200001 to"):
        seeds_needed(0.2, 0.15, power=0.15, confidence=0.8)
