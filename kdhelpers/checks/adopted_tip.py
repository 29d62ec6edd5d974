"""Lesson 06: `answer(baseline, tips)` → the name of the tip to adopt, or None.

Validation accuracies, one for each seed: a list for the baseline, and one for each tip by its name.
The one with the largest mean gain among those whose 95 % interval of the paired difference,
corrected for the number of tips, lies above zero.
"""

from collections.abc import Mapping, Sequence
from operator import sub
from statistics import fmean
from typing import Any

from kdhelpers import stats
from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, chosen

Row = Sequence[float]


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
    among: Way = lambda baseline, tips: tips,
    confidence: float = 0.95,
    fits: Way = lambda b, row, interval: interval.low > 0,
    worth: Way = _gain,
    otherwise: Way = lambda tips: None,
) -> Any:
    """`fits` gets baseline, tip and the simultaneous interval of their difference."""
    found = stats.compare(baseline, tips, confidence=confidence)
    fit = [n for n in among(baseline, tips) if fits(baseline, tips[n], found[n].simultaneous)]
    return max(fit, key=lambda name: worth(baseline, tips[name])) if fit else otherwise(tips)


BASE = [0.60, 0.61, 0.62, 0.60, 0.63]
CLEAR = [0.64, 0.652, 0.659, 0.641, 0.671]  # +4 points, the same for every seed
SMALL = [0.612, 0.62, 0.633, 0.611, 0.642]  # +1 point, surer still
WIDE = [0.71, 0.58, 0.74, 0.60, 0.72]  # +5.8 points, by luck or not
UNEVEN = [0.611, 0.621, 0.70, 0.612, 0.642]  # better for every seed, mostly by one of them
LUCKY = [0.607, 0.611, 0.635, 0.612, 0.636]  # its own interval excludes 0, the corrected one not
BROAD = [0.63, 0.64, 0.64, 0.635, 0.635]  # +2.4 points, less sure than the small one
WORSE = [0.56, 0.57, 0.58, 0.56, 0.59]
NOISY = [0.59, 0.63, 0.60, 0.61, 0.615]  # -0.3 points, and nobody can tell

# fmt: off
MISTAKES: Mistakes = {
    "You take the tip with the largest mean, whether or not its gain can be told from chance. "
    "Look at the corrected intervals first.": dict(fits=lambda b, row, interval: True),
    "You look at the interval of each tip alone. With several tips one of them excludes zero by "
    "luck: take the `simultaneous` interval.":
        dict(fits=lambda b, row, interval: stats.paired_difference(b, row).low > 0),
    "You take a tip that is better for every seed, by however little. Large and small gains may "
    "still be chance: take the `simultaneous` interval.":
        [dict(fits=lambda b, row, interval, least=least: min(map(sub, row, b)) > least - 1e-9)
         for least in (1e-6, 0.005, 0.01)],
    "You take the tip with the largest mean gain if that is above zero or some other number. A "
    "gain of any size may be chance: look for an interval above zero.":
        [dict(fits=lambda b, row, interval, least=least: _gain(b, row) > least - 1e-9)
         for least in (1e-6, 0.005, 0.01, 0.02, 0.03, 0.05)],
    "You ask that the upper end of the interval lies above zero. Its lower end has to.":
        dict(fits=lambda b, row, interval: interval.high > 0),
    "You never adopt a tip, whatever it gains. An accuracy goes from 0 to 1, and a gain of 1 point "
    "is 0.01.": dict(fits=lambda b, row, interval: False),
    "Your intervals are too wide: 95 % are asked for, corrected once for the number of tips, and "
    "of a mean, whose spread is divided by the root of n.":
        [dict(confidence=1 - 0.05 / by) for by in (5, 10, 20, 50)],
    "You take any clear change, a loss, too: the interval has to lie above zero.":
        [dict(fits=lambda b, row, interval: interval.low * interval.high > 0, worth=worth)
         for worth in (_gain, lambda b, row: abs(_gain(b, row)))],
    "You compare the accuracies without their pairs, by an interval each or by an unpaired one, "
    "which sees large gains only. Seeds are paired: take the interval of the paired difference.":
        dict(fits=lambda b, row, interval:
             stats.mean_interval(row).low > stats.mean_interval(b).high),
    "Of those that are clear you take the surest, with the largest lower bound, in place of that "
    "with the largest mean gain.":
        dict(worth=lambda baseline, row: stats.paired_difference(baseline, row).low),
    "Of those that are clear you take the one with the best single seed.":
        dict(worth=lambda baseline, row: max(row)),
    "Of those that are clear you take the first.": dict(worth=lambda baseline, row: 0.0),
    "Of those that are clear you take the last.":
        dict(among=lambda b, tips: [*tips][::-1], worth=lambda baseline, row: 0.0),
    "Of those that are clear you take the one with the smallest gain.":
        dict(worth=lambda baseline, row: -_gain(baseline, row)),
    "You test the tip with the largest mean gain, and no other. A smaller gain may be clear.":
        dict(among=lambda b, tips: [max(tips, key=lambda name: _gain(b, tips[name]))]),
    "You take tips that clearly lose: the interval has to lie above zero, not below.":
        dict(fits=lambda b, row, interval: interval.high < 0),
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
        (BASE, {"clear": CLEAR, "broad": BROAD, "small": SMALL}),
        (BASE, {"lucky": LUCKY, "worse": WORSE, "wide": WIDE}),
        (BASE, {"worse": WORSE, "lucky": LUCKY, "uneven": UNEVEN, "more": list(WORSE)}),
        (BASE, {"worse": WORSE, "small": SMALL, "wide": WIDE}),
        (BASE, {"worse": WORSE, "small": SMALL, "broad": BROAD}),
        (BASE, {"worse": WORSE}),
        (BASE, {"worse": WORSE, "noisy": NOISY}),
        (BASE, {"worse": WORSE, "broad": BROAD}),
    ),
    mistakes=MISTAKES,
    praise=(
        "On the test pictures the tip that you kept gains, and the ones that only looked better do "
        "not. A rule that may answer None is one that can be trusted when it names something."
    ),
)
