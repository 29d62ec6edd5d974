"""Lesson 08: `answer(candidates, most_kilobytes, most_milliseconds)` → a name, or None.

`candidates` is a dict of names; of each a dict: `validation` and `test`, accuracies (0..1), one for
each seed; `kilobytes` of its file; `milliseconds`, a list of measured calls. Ship the one with the
best mean validation accuracy of those whose file is at most so large and of whose calls at least
95 % take at most so long; None if there is none.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import and_, or_
from statistics import fmean, median, pstdev
from typing import Any

import numpy as np

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, chosen

Candidate = dict[str, Any]


def _in_time(calls: Sequence[float], limit: float, share: float = 0.95) -> bool:
    return sum(each <= limit for each in calls) >= share * len(calls)


def solution(
    candidates: Mapping[str, Candidate],
    most_kilobytes: float,
    most_milliseconds: float,
    *,
    among: Way = lambda all_: all_,
    small: Way = lambda kilobytes, limit: kilobytes <= limit,
    quick: Way = _in_time,  # all calls of one, at a limit
    enough: Way = and_,  # of both limits
    score: Way = lambda each: fmean(each["validation"]),
    otherwise: Way = lambda candidates: None,
) -> Any:
    fit = [
        name
        for name, each in among(candidates).items()
        if enough(
            small(each["kilobytes"], most_kilobytes),
            quick(each["milliseconds"], most_milliseconds),
        )
    ]
    best = max(fit, key=lambda name: score(candidates[name]), default=None)
    return otherwise(candidates) if best is None else best


# name, validation, test, kilobytes, and how many calls took how long
TABLE = (
    ("good on test", (0.89, 0.89, 0.89), (0.95, 0.95, 0.95), 100, [0.6] * 20),
    ("large", (0.97, 0.97, 0.97), (0.96, 0.96, 0.96), 900, [2.0] * 20),
    ("steady", (0.90, 0.92, 0.91), (0.88, 0.89, 0.90), 150, [0.75] * 20),
    ("one slow call", (0.93, 0.93, 0.93), (0.90, 0.90, 0.90), 160, [0.9] * 19 + [5.0]),
    ("one in ten slow", (0.94, 0.94, 0.94), (0.90, 0.90, 0.90), 170, [0.5] * 18 + [5.0] * 2),
    ("often slow", (0.95, 0.95, 0.94), (0.91, 0.91, 0.91), 140, [0.2] * 16 + [2.5] * 4),
    ("lucky seed", (0.96, 0.84, 0.90), (0.87, 0.87, 0.87), 120, [0.7] * 39 + [5.0]),
    ("tiny", (0.70, 0.71, 0.70), (0.70, 0.71, 0.70), 20, [0.1] * 20),
)


MORE = (
    *TABLE,
    ("slow by half", (0.98, 0.98, 0.97), (0.90, 0.90, 0.90), 110, [0.4] * 11 + [3.5] * 9),
    ("once quick", (0.99, 0.99, 0.98), (0.90, 0.90, 0.90), 115, [0.3] + [3.6] * 19),
    ("just late", (0.92, 0.93, 0.92), (0.90, 0.90, 0.90), 150, [0.2] * 19 + [1.6]),
    ("huge", (1.0, 1.0, 0.99), (0.99, 0.99, 0.99), 950_000, [0.5] * 20),
    ("one seed failed", (0.99, 0.40, 0.98), (0.90, 0.40, 0.90), 135, [0.5] * 20),
    ("hung", (1.0, 0.99, 1.0), (0.99, 0.99, 0.99), 130, [9_000.0] * 20),
)


def _candidates(
    without: Sequence[str], kilobytes: float, milliseconds: float, table: Any = TABLE
) -> dict[str, Any]:
    rows = {
        name: dict(
            validation=list(validation), test=list(test), kilobytes=size, milliseconds=list(calls)
        )
        for name, validation, test, size, calls in table
        if name not in without
    }
    limits = {"most_kilobytes": float(kilobytes), "most_milliseconds": float(milliseconds)}
    return {"candidates": rows, **limits}


def _told(name: str, inputs: dict[str, Any]) -> str:
    each = inputs["candidates"][name]
    calls = [call <= inputs["most_milliseconds"] for call in each["milliseconds"]]
    return (
        f"{name}, with {each['kilobytes']:g} kB, {sum(calls)} of {len(calls)} calls in time, and "
        f"{fmean(each['validation']):.3f} on validation pictures"
    )


def _best(candidates: Mapping[str, Candidate]) -> str:
    return max(candidates, key=lambda name: fmean(candidates[name]["validation"]))


# fmt: off
MISTAKES: Mistakes = {
    "You choose by the test accuracy, alone or with the others. What was chosen by it can no "
    "longer be judged by it: choose on `validation`, and report that of the chosen one.":
        [dict(score=lambda each: fmean(each["test"])),
         dict(score=lambda each: fmean(each["test"] + each["validation"]))],
    "You choose by one seed, the best or the first. That is luck: take the mean over the seeds.":
        [dict(score=lambda each: max(each["validation"])),
         dict(score=lambda each: each["validation"][0])],
    "You choose by the worst seed. The exercise asks for the mean.":
        dict(score=lambda each: min(each["validation"])),
    "You choose by the median over the seeds, which hides that one of them failed. The exercise "
    "asks for the mean.": dict(score=lambda each: median(each["validation"])),
    "You compare the mean time with the limit. A mean hides that one call in five may be slow, "
    "and a user waits for each: count the calls.": dict(quick=lambda t, limit: fmean(t) <= limit),
    "You compare the median time with the limit. Up to half of the calls may then be slow: count "
    "them.": dict(quick=lambda t, limit: median(t) <= limit),
    "You compare the mean time and some standard deviations with the limit. Times are not normally "
    "distributed: count the calls that are in time.":
        [dict(quick=lambda t, limit, by=by: fmean(t) + by * pstdev(t) <= limit)
         for by in (1, 2, 3)],
    "You demand that every call is in time. The exercise lets one in twenty be late; the slowest "
    "call says more about the machine than about the network.":
        dict(quick=lambda t, limit: max(t) <= limit),
    "You compare the quickest call with the limit, or ask for 5 % of the calls. Count the calls "
    "that are in time, and ask for 95 %.":
        [dict(quick=lambda t, limit: min(t) <= limit), dict(quick=partial(_in_time, share=0.05))],
    "For you either limit is enough. A candidate has to keep both.":
        dict(enough=or_),
    "You let too many calls be late. At most one in twenty may.":
        [dict(quick=partial(_in_time, share=share)) for share in (0.9, 0.8)],
    "A percentile between two calls is a time that no call took. Count the calls in time.":
        dict(quick=lambda t, limit: float(np.percentile(t, 95)) <= limit),
    "You ask for more than 95 % of the calls. At least 95 % is enough.":
        dict(quick=lambda t, limit: sum(each <= limit for each in t) > 0.95 * len(t)),
    "A call that takes exactly as long as allowed is in time: `<=`.":
        dict(quick=lambda t, limit: sum(each < limit for each in t) >= 0.95 * len(t)),
    "A limit and what it limits are in different units. Both sizes are in kB and all times in ms.":
        [dict(small=lambda k, limit, by=by: by * k <= limit) for by in (1e-3, 1 / 1024, 1e3, 1024)]
        + [dict(quick=lambda t, limit, by=by: _in_time(t, by * limit)) for by in (1e3, 1e-3)],
    "Your choice does not look at the time.": dict(quick=lambda t, limit: True),
    "Your choice does not look at the size of the file.": dict(small=lambda k, limit: True),
    "A file that is exactly as large as allowed fits: `<=`.":
        dict(small=lambda k, limit: k < limit),
    "You take the smallest that fits. Within the limits size is free: take the most accurate.":
        dict(score=lambda each: -each["kilobytes"]),
    "You take the quickest that fits. Within the limits time is free: take the most accurate.":
        dict(score=lambda each: -fmean(each["milliseconds"])),
    "You take the first that fits, or the last. Take the most accurate.":
        dict(score=lambda each: 0.0),
    "You take the least accurate that fits.": dict(score=lambda each: -fmean(each["validation"])),
    "You look whether the most accurate of all fits, and at no other. Choose among those that fit.":
        dict(among=lambda candidates: {_best(candidates): candidates[_best(candidates)]}),
    "If nothing fits you ship something all the same. A limit that gives way is none: return "
    "`None`, and tell whoever set it.": dict(otherwise=_best),
}
# fmt: on

what_to_ship = Exercise(
    task=__doc__,
    observe=chosen("candidates", noun="candidate", told=_told),
    solution=solution,
    cases=Case.each_of(
        _candidates,
        ((), 200, 1.0),
        (["one slow call"], 150, 0.75),
        (["one slow call", "steady"], 145, 1.5),
        (["tiny"], 90, 1.0),
        ((), 1000, 0.65),
        ((), 2000, 3.0),
        (["often slow", "large"], 125, 0.75),
        ((), 250, 1.5, MORE),
    ),
    mistakes=MISTAKES,
    praise=(
        "the limits were set before anybody looked, the choice was made on validation pictures, "
        "and what is reported of it comes from the test pictures. Only then is it a decision."
    ),
)
