"""Lesson 05: `answer(trial, claim)` → (verdict, what becomes of the claim).

`trial(n)` trains n new pairs of students and returns treatment − baseline in points, one number
for each pair, measured on validation images; 40 pairs in all. The verdict is "helps", "hurts" or
"no clear difference" (95 %); the claim, a gain of at least `claim` points, is "possible" or
"ruled out".
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdhelpers import stats
from kdhelpers.checks.bench import distilled, labelled, teacher, train
from kdhelpers.checks.choice import Decision, Measured
from kdhelpers.checks.missing_control import class_means
from kdhelpers.checks.running import Answer, Misuse, call
from kdhelpers.checks.verdict import Verdict

PAIRS = 40
VERDICTS, FATES = ("helps", "hurts", "no clear difference"), ("possible", "ruled out")
Reading = tuple[str, str]


@cache
def arm(name: str) -> Measured:
    true = teacher()[0]
    losses = {
        "labels": labelled,
        "class means": distilled(class_means(true)),
        **{f"T = {T}": distilled(true, T) for T in (1, 2, 4, 16, 32)},
    }
    return train(losses[name], range(PAIRS), lr=1e-2)[0]


def _ends(interval: stats.Interval) -> str:
    return f"{interval.low:+.2f} to {interval.high:+.2f}"


def reading(low: float, high: float, upper: float, claim: float) -> Reading:
    verdict = VERDICTS[0] if low > 0 else VERDICTS[1] if high < 0 else VERDICTS[2]
    return verdict, FATES[bool(upper < claim)]


def _ways(differences: Any, claim: float) -> dict[str, Reading]:
    """Wrong ways to read these pairs, and what they come to."""
    interval = stats.mean_interval(differences)
    mean, low, high = interval.mean, interval.low, interval.high
    spread = differences.std(ddof=1)
    error = spread / np.sqrt(len(differences))
    verdict, fate = reading(low, high, high, claim)

    def wide(reach: float) -> Reading:
        return reading(mean - reach, mean + reach, mean + reach, claim)

    return {
        "the mean alone decides": wide(0.0),
        "the sign of the mean is the verdict": (wide(0.0)[0], fate),
        "the claim is compared with the mean": reading(low, high, mean, claim),
        "the claim is compared with the lower end": reading(low, high, low, claim),
        "the claim is divided by 100, and it is in points already": reading(
            low, high, high, claim / 100
        ),
        "a claim that lies below the interval is ruled out, too: the gain is larger still": (
            verdict, FATES[not low <= claim <= high]
        ),
        "only what helps makes the claim possible; without a clear difference, too, the upper end "
        "tells": (verdict, fate if low > 0 else FATES[1]),
        "the spread of single pairs is taken for that of the mean (no square root of n)": wide(
            2 * spread
        ),
        "one standard error each side stands for the interval (68 %)": wide(error),
        "the interval is narrower than one of 95 % (90 %, for instance)": wide(1.685 * error),
        "the interval is wider than one of 95 % (99 %, for instance)": wide(2.7 * error),
        "helps and hurts are exchanged": (
            {VERDICTS[0]: VERDICTS[1], VERDICTS[1]: VERDICTS[0]}.get(verdict, verdict), fate
        ),
        "the difference has the wrong sign": reading(-high, -low, -low, claim),
        "the verdict asks for the claim instead of 0": (
            reading(low - claim, high - claim, high, claim)[0], fate
        ),
    }  # fmt: skip


class Misread(NamedTuple):
    """What was said of some pairs, and whether their interval says so."""

    said: Reading
    differences: Any
    claim: float
    right: bool


def _explained(seen: Sequence[Misread]) -> str:
    """The first that does not hold, and the wrong ways that fit all that was said."""
    said, values, claim, _ = next(each for each in seen if not each.right)
    ways = [
        way
        for way in _ways(values, claim)
        if all(_ways(each.differences, each.claim)[way] == each.said for each in seen)
    ]
    guess = f" It looks as if {', or '.join(ways)}." if ways else ""
    of = stats.mean_interval(values)
    return (
        f"Your {of.count} pairs give {of.mean:+.2f} points, {_ends(of)}, and you say "
        f'"{said[0]}" and "{said[1]}". A verdict needs the whole interval on one side of 0; a claim'
        f" of {claim:g} points is ruled out where the whole interval lies below it, its upper end, "
        f"too.{guess}"
    )


def _said(result: Any) -> Reading:
    words = [str(w).strip().lower() for w in result] if isinstance(result, tuple | list) else []
    if len(words) != 2 or words[0] not in VERDICTS or words[1] not in FATES:
        got = "nothing" if result is None else repr(result)[:80]
        raise Misuse(
            f"Return two texts: one of {', '.join(map(repr, VERDICTS))}, and one of "
            f"{', '.join(map(repr, FATES))}. Your function returned {got}."
        )
    return words[0], words[1]


def _bench(gains: Tensor) -> tuple[Callable[[Any], Any], list[Tensor]]:
    """The `trial` of an experiment with these gains, and what has been looked at so far."""
    looks: list[Tensor] = []

    def trial(n: Any) -> Any:
        taken = sum(map(len, looks))
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise Misuse("`trial` takes how many new pairs to train, a whole number from 1.")
        if taken + n > PAIRS:
            raise Misuse(f"There are {PAIRS} pairs in all, and you asked for {taken + n}.")
        looks.append(gains[taken : taken + n])
        return looks[-1].numpy().copy()

    return trial, looks


def _is_planned(answer: Answer, claim: float) -> bool:
    """Whether it asks for the same numbers of pairs whatever it sees."""
    plans = []
    for gain in (-9.0, 0.0, 9.0):
        trial, looks = _bench(gain + torch.tensor([1.0, -1.0]).repeat(PAIRS // 2))
        with suppress(Misuse):
            call(answer, {"trial": trial, "claim": claim})
        plans.append([len(each) for each in looks])
    return all(plan == plans[0] for plan in plans)


def _judged(answer: Answer, baseline: str, treatment: str, claim: float) -> tuple[Misread, str]:
    """What the learner's function said of this pair of arms, and the same beside test images."""
    gains = arm(treatment)["validation"] - arm(baseline)["validation"]
    trial, looks = _bench(gains)
    said = _said(call(answer, {"trial": trial, "claim": claim}))
    taken = sum(map(len, looks))
    if taken < 3:
        raise Misuse(f"You judge by {taken} pairs. No interval worth the name comes of so few.")
    if len(looks) > 2 and not _is_planned(answer, claim):
        raise Misuse(
            f"You looked {len(looks)} times. Whoever looks again and again and stops when it suits "
            "finds more than 5 % of differences where there are none: one small pilot, then all "
            "the pairs that you need at once."
        )
    samples = [gains[:taken], *(each for each in looks if len(each) > 2)]
    intervals = [stats.mean_interval(each.numpy()) for each in samples]
    fitting = [of for of in intervals if reading(of.low, of.high, of.high, claim) == said]
    if fitting and said == (VERDICTS[2], FATES[0]) and taken < PAIRS:
        raise Misuse(
            f"After {taken} pairs you say what the interval says, {_ends(fitting[0])}: no "
            f"clear difference, and a gain of {claim:g} is possible. That decides nothing, and "
            f"{PAIRS - taken} pairs are left: plan to take them, too, at once."
        )
    test = stats.mean_interval((arm(treatment)["test"] - arm(baseline)["test"]).numpy())
    seen = Misread(said, samples[0].numpy(), claim, bool(fitting))
    return seen, (
        f"{treatment} against {baseline} {said[0]}, {said[1]} (on test images {_ends(test)})"
    )


WORLDS = (  # baseline, treatment, and the claimed gain: 3.5 is out of reach at 90 %, not at 95 %
    ("T = 2", "T = 4", 3.5), ("labels", "T = 1", 1.15), ("T = 16", "T = 32", 1.0),
    ("T = 4", "class means", 2.0), ("T = 32", "T = 16", 0.3),
    ("class means", "T = 4", 1.5),
)  # fmt: skip


def _decide(answer: Answer) -> Verdict:
    call(answer, {"trial": lambda n: np.arange(float(n)), "claim": 1.0})  # a stub trains nothing
    seen, told = zip(*(_judged(answer, *arms) for arms in WORLDS), strict=True)
    if not all(each.right for each in seen):
        return Verdict("wrong", _explained(seen))
    return Verdict(
        "right",
        f"read as they should be, six pairs of arms: {'; '.join(told)}. The test images, which "
        "you have not seen, tell the same story, except where the truth lies next to a limit.",
    )


judge_claim = Decision(__doc__, _decide)
