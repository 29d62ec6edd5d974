"""Lesson 06: `answer(baseline, tips)` → the name of the tip to adopt, or None.

Validation accuracies, one for each seed: a list for the baseline, and one for each tip by its name.
The one with the largest mean gain among those whose 95 % interval of the paired difference,
corrected for the number of tips, lies above zero.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import gt
from statistics import fmean
from typing import Any

from kdhelpers import stats
from kdhelpers.checks.exercise import SINGLE, Case, Exercise, Mistakes, chosen

Row = Sequence[float]


def _those(
    fits: Callable[[stats.Interval], bool],
    baseline: Row,
    tips: Mapping[str, Row],
    confidence: float = 0.95,
) -> list[str]:
    """The tips whose simultaneous interval fits."""
    found = stats.compare(baseline, tips, confidence=confidence)
    return [name for name, each in found.items() if fits(each.simultaneous)]


_clear = partial(_those, lambda interval: interval.low > 0)
_clear_losses = partial(_those, lambda interval: interval.high < 0)
_perhaps = partial(_those, lambda interval: interval.high > 0)


def _each_alone(baseline: Row, tips: Mapping[str, Row]) -> list[str]:
    return [n for n, row in tips.items() if stats.paired_difference(baseline, row).low > 0]


def _every_seed(baseline: Row, tips: Mapping[str, Row]) -> list[str]:
    return [n for n, row in tips.items() if all(map(gt, row, baseline))]


def _apart(baseline: Row, tips: Mapping[str, Row]) -> list[str]:
    high = stats.mean_interval(baseline).high
    return [name for name, row in tips.items() if stats.mean_interval(row).low > high]


def _largest_if_clear(baseline: Row, tips: Mapping[str, Row]) -> list[str]:
    largest = max(tips, key=lambda name: _gain(baseline, tips[name]))
    return [largest] if largest in _clear(baseline, tips) else []


def _clear_changes(baseline: Row, tips: Mapping[str, Row]) -> list[str]:
    return _clear(baseline, tips) + _clear_losses(baseline, tips)


def _told(name: str, inputs: dict[str, Any]) -> str:
    found = stats.compare(inputs["baseline"], inputs["tips"])[name]
    low, high = found.simultaneous.low, found.simultaneous.high
    return (
        f"{name}, with a mean gain of {found.difference.mean:+.4f} and the simultaneous interval "
        f"{low:+.4f} to {high:+.4f}, among {', '.join(inputs['tips'])}"
    )


def _gain(baseline: Row, row: Row) -> float:
    return fmean(row) - fmean(baseline)


def solution(
    baseline: Row,
    tips: Mapping[str, Row],
    *,
    candidates: Callable[[Row, Mapping[str, Row]], list[str]] = _clear,
    worth: Callable[[Row, Row], float] = _gain,
    otherwise: Callable[[Mapping[str, Row]], str | None] = lambda tips: None,
) -> str | None:
    found = candidates(baseline, tips)
    if not found:
        return otherwise(tips)
    return max(found, key=lambda name: worth(baseline, tips[name]))


BASE = [0.60, 0.61, 0.62, 0.60, 0.63]
CLEAR = [0.64, 0.652, 0.659, 0.641, 0.671]  # +4 points, the same for every seed
SMALL = [0.612, 0.62, 0.633, 0.611, 0.642]  # +1 point, surer still
WIDE = [0.71, 0.58, 0.74, 0.60, 0.72]  # +5.8 points, by luck or not
UNEVEN = [0.601, 0.612, 0.70, 0.604, 0.634]  # better for every seed, mostly by one of them
LUCKY = [0.607, 0.611, 0.635, 0.612, 0.636]  # its own interval excludes 0, the corrected one not
BROAD = [0.63, 0.64, 0.64, 0.635, 0.635]  # +2.4 points, less sure than the small one
WORSE = [0.56, 0.57, 0.58, 0.56, 0.59]
NOISY = [0.59, 0.63, 0.60, 0.61, 0.615]  # -0.3 points, and nobody can tell

# fmt: off
MISTAKES: Mistakes = {
    "You take the tip with the largest mean, whether or not its gain can be told from chance. "
    "Look at the corrected intervals first.": dict(candidates=lambda baseline, tips: list(tips)),
    "You look at the interval of each tip alone. With several tips one of them excludes zero by "
    "luck: take the `simultaneous` interval.": dict(candidates=_each_alone),
    "You take a tip that is better for every seed, by however little. Large and small gains may "
    "still be chance: take the `simultaneous` interval.": dict(candidates=_every_seed),
    "You take the tip with the largest mean gain if that is above zero or some other number. A "
    "gain of any size may be chance: look for an interval above zero.": [
        dict(
            candidates=lambda baseline, tips, least=least: [
                name for name, row in tips.items() if _gain(baseline, row) > least - 1e-9
            ]
        )
        for least in (1e-6, 0.005, 0.01, 0.02, 0.03, 0.05)
    ],
    "You ask that the upper end of the interval lies above zero. Its lower end has to.":
        dict(candidates=_perhaps),
    "You never adopt a tip, whatever it gains. An accuracy goes from 0 to 1, and a gain of 1 point "
    "is 0.01.": dict(candidates=lambda baseline, tips: []),
    "Your intervals are too wide: 95 % are asked for, corrected once for the number of tips, and "
    "of a mean, whose spread is divided by the root of n.":
        [dict(candidates=partial(_clear, confidence=1 - 0.05 / by)) for by in (5, 10, 20, 50)],
    "You take any clear change, a loss, too: the interval has to lie above zero.":
        [dict(candidates=_clear_changes),
         dict(candidates=_clear_changes, worth=lambda b, row: abs(_gain(b, row)))],
    "You compare the accuracies without their pairs, by an interval each or by an unpaired one, "
    "which sees large gains only. Seeds are paired: take the interval of the paired difference.":
        dict(candidates=_apart),
    "Of those that are clear you take the surest, with the largest lower bound, in place of that "
    "with the largest mean gain.":
        dict(worth=lambda baseline, row: stats.paired_difference(baseline, row).low),
    "Of those that are clear you take the one with the best single seed.":
        dict(worth=lambda baseline, row: max(row)),
    "Of those that are clear you take the first.": dict(worth=lambda baseline, row: 0.0),
    "Of those that are clear you take the one with the smallest gain.":
        dict(worth=lambda baseline, row: -_gain(baseline, row)),
    "You test the tip with the largest mean gain, and no other. A smaller gain may be clear.":
        dict(candidates=_largest_if_clear),
    "You take tips that clearly lose: the interval has to lie above zero, not below.":
        dict(candidates=_clear_losses),
    "If none is clear, adopt none: return None.": dict(otherwise=lambda tips: next(iter(tips))),
}
# fmt: on

adopted_tip = Exercise(
    task=__doc__,
    observe=chosen("tips", noun="tip", told=_told),
    solution=solution,
    cases=Case.table(
        "baseline tips",
        (BASE, {"small": SMALL, "clear": CLEAR, "wide": WIDE}),
        (BASE, {"lucky": LUCKY, "worse": WORSE, "wide": WIDE}),
        (BASE, {"worse": WORSE, "lucky": LUCKY, "uneven": UNEVEN, "more": list(WORSE)}),
        (BASE, {"worse": WORSE, "small": SMALL, "wide": WIDE}),
        (BASE, {"worse": WORSE, "small": SMALL, "broad": BROAD}),
        (BASE, {"worse": WORSE}),
        (BASE, {"worse": WORSE, "noisy": NOISY}),
        (BASE, {"worse": WORSE, "broad": BROAD}),
    ),
    mistakes=MISTAKES,
    search=SINGLE,
    praise=(
        "On the test pictures the tip that you kept gains, and the ones that only looked better do "
        "not. A rule that may answer None is one that can be trusted when it names something."
    ),
)
