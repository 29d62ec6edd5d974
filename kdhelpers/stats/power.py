"""How many seeds an effect needs, before they are run: the power of the paired t test.

`std` is always the standard deviation *of the differences* between the two runs of a pair, not
of one run. Two arms whose runs vary by s, with correlation r between the runs of a pair, have
std = s·√(2(1 − r)); that is s·√2 where the common seed brings nothing.

The usual rule of thumb n = (1.96 + 0.84)²·(std / effect)² takes std as known. Estimating it from
the same few pairs costs more seeds: at s = 0.15 and r = 0 the rule gives 2, 4 and 36 pairs for
effects of 0.5, 0.3 and 0.1, and the exact answer is 4, 7 and 38.
"""

import math
from bisect import bisect_left

from scipy import optimize, stats

from kdhelpers._values import check_int, check_number, require, short_repr
from kdhelpers.stats.intervals import CONFIDENCE, t_bound

__all__ = ["detectable", "power", "seeds_needed"]

# More seeds than anybody trains; beyond it the noncentral t distribution loses its digits.
MOST = 2**20
LARGEST = 1e30  # in whatever unit


def power(effect: float, std: float, count: int, *, confidence: float = 0.95) -> float:
    """The chance that `count` pairs show an effect: that their interval leaves out zero.

    Exact for normal differences: the two-sided t test under the noncentral t distribution with
    noncentrality effect·√count / std.

    Args:
        effect: the true mean difference, in the units of `std`; its sign is of no matter, and at
            0 the result is the error rate 1 - confidence.
        std: the standard deviation of the differences (see the module), above 0.
        count: the number of seed pairs, at least 2, at most a million.
        confidence: the coverage of the interval, default 95 %.

    Raises:
        ValueError: an argument outside what is said above.
    """
    count = check_int(count, name="count", least=2, most=MOST)
    return _power(_size(effect, std) * math.sqrt(count), count, confidence)


def seeds_needed(effect: float, std: float, power: float = 0.8, confidence: float = 0.95) -> int:
    """The fewest seed pairs that show an effect with the given power.

    Args:
        effect: the mean difference to be found, not 0.
        std: the standard deviation of the differences (see the module), above 0.
        power: the chance of finding it, default 80 %.
        confidence: the coverage of the interval, default 95 %.

    Raises:
        ValueError: an argument outside what is said above, a power that is not between
            1 - confidence and 1, or an effect so small that it needs over a million pairs.
    """
    size = _size(effect, std)
    _check_power(power, confidence)

    def enough(count: int) -> bool:
        return _power(size * math.sqrt(count), count, confidence) >= power

    many = 2
    while not enough(many):
        told = f"an effect of {short_repr(effect)} at a std of {short_repr(std)} needs more than"
        require(many < MOST, f"{told} {MOST:,} seed pairs; it cannot be found this way.")
        many *= 2
    return bisect_left(range(many), True, lo=many // 2 + 1, key=enough)


def detectable(std: float, count: int, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """The smallest effect that `count` seed pairs show with the given power, in units of `std`.

    Args:
        std: the standard deviation of the differences (see the module), above 0.
        count: the number of seed pairs, at least 2.
        power: the chance of finding the effect, default 80 %.
        confidence: the coverage of the interval, default 95 %.

    Raises:
        ValueError: as for `power` and `seeds_needed`.
    """
    count = check_int(count, name="count", least=2, most=MOST)
    scale = _spread(std) / math.sqrt(count)
    _check_power(power, confidence)
    reach = 1.0
    while _power(reach, count, confidence) < power:
        reach *= 2
    solution = optimize.brentq(lambda x: _power(x, count, confidence) - power, 0.0, reach)
    return float(solution) * scale


def _power(noncentrality: float, count: int, confidence: float) -> float:
    bound = t_bound(count, confidence)
    above = float(stats.nct.sf(bound, count - 1, noncentrality))
    below = float(stats.nct.cdf(-bound, count - 1, noncentrality))
    # Far out, scipy gives NaN for the tail on the wrong side: wherever that is below 1e-12.
    return min(1.0, above + (below if below > 0 else 0.0))


def _size(effect: float, std: float) -> float:
    """The effect in standard deviations (Cohen's d of the differences), at least 0."""
    return abs(check_number(effect, -LARGEST, LARGEST, name="effect")) / _spread(std)


def _spread(std: float) -> float:
    """The standard deviation; without spread, nothing is open."""
    return check_number(std, 1 / LARGEST, LARGEST, name="std")


def _check_power(power: float, confidence: float) -> None:
    """Check both; with no effect at all, the power is the error rate."""
    confidence = check_number(confidence, *CONFIDENCE, name="confidence")
    check_number(power, 1 - confidence + 1e-6, 1 - 1e-6, name="power")
