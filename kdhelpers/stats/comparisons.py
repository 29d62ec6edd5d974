"""Several arms against one baseline: verdicts that stay honest when many are read at once.

Of 20 arms that change nothing, one will "help" at 95 % by luck. Corrected, the chance that any
of them does is 5 %.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdhelpers._values import check_number
from kdhelpers.stats.arms import Arm, Results, is_name, named, naming
from kdhelpers.stats.intervals import Interval, differences, mean_interval, p_value


@dataclass(frozen=True)
class Comparison:
    """One arm against the baseline, alone and as one of a family.

    `difference` is the paired t interval that holds for this arm alone; `simultaneous` is wider
    (Bonferroni), so that the intervals of all arms hold together: take verdicts from this one.
    `p_value` is that of the paired t test, `corrected_p` is Holm's. Where `corrected_p` is below
    1 - confidence the arm differs from the baseline even if `simultaneous` just includes zero:
    Holm rejects whatever Bonferroni does, and sometimes more, but gives no interval.
    """

    difference: Interval
    simultaneous: Interval
    p_value: float
    corrected_p: float


def compare(
    baseline: Arm | Hashable,
    arms: Results,
    *,
    confidence: float = 0.95,
    key: str = "accuracy",
    points: bool = False,
) -> dict[Any, Comparison]:
    """Every arm minus the baseline, over common seeds, corrected for the number of arms.

    Args:
        baseline: the name of one of `arms`, or else an arm that is not among them
            (`kdhelpers.stats`).
        arms: results. All arms that were tried belong here: leaving out the losers undoes the
            correction.
        confidence: that all simultaneous intervals hold, default 95 %.
        key, points: as for `mean_interval`.

    Raises:
        ValueError: a name that is none of theirs, or as for
            `kdhelpers.stats.paired_difference`; the message names the arm.
    """
    named(arms)
    others = dict(arms)
    first: Any = baseline
    if is_name(arms, baseline) or isinstance(baseline, str):
        named(arms, baseline)
        first = others.pop(baseline)
    # An error here is not that of the first arm.
    mean_interval(first, confidence=confidence, key=key, points=points)
    found, alone = {}, {}
    for name, arm in others.items():
        with naming(name):
            found[name] = differences(first, arm, key, points=points)
            alone[name] = mean_interval(found[name], confidence=confidence)
    wide = 1 - (1 - confidence) / max(1, len(found))
    raw = [p_value(values) for values in found.values()]
    return {
        name: Comparison(alone[name], mean_interval(values, confidence=wide), single, corrected)
        for (name, values), single, corrected in zip(found.items(), raw, holm(raw), strict=True)
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in the order given (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below an
    earlier one or exceeds 1. Calling an effect real where the result is below 0.05 is wrong
    anywhere in the family with a chance of at most 5 %, however the tests depend on each other.

    Raises:
        ValueError: one outside [0, 1].
    """
    values = np.array([check_number(value, 0, 1, name="a p value") for value in p_values])
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * values[order]))
    return [float(value) for value in corrected]
