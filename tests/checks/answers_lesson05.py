"""Lesson 05: right answers in several spellings, and mistakes of learners."""

import functools
import itertools
import math
import statistics

import numpy as np
import torch
from answers_lesson01 import Table
from scipy import stats

from kdhelpers import checks
from kdhelpers.stats.intervals import paired_difference
from kdhelpers.temperature import ExponentialDecay

# --- Exponential decay ----------------------------------------------------------------------------


def decay(epoch, start, floor, factor):
    return max(start * factor**epoch, floor)


def decay_by_loop(epoch, start, floor, factor):
    temperature = start
    for _ in range(epoch):
        temperature = max(temperature * factor, floor)
    return temperature


def decay_by_if(epoch, start, floor, factor):
    temperature = start * math.exp(epoch * math.log(factor))
    if temperature < floor:
        return floor
    return temperature


@functools.cache
def decay_recursively(epoch, start, floor, factor):
    if epoch == 0:
        return start
    return max(decay_recursively(epoch - 1, start, floor, factor) * factor, floor)


def decay_without_else(epoch, start, floor, factor):
    if start * factor**epoch > floor:
        return start * factor**epoch
    return None


class Remembering:
    """T of the last call times the factor, whatever the epoch; a new run begins at epoch 0."""

    def __init__(self, *, step_first):
        self.step_first = step_first
        self.temperature = 8.0

    def __call__(self, epoch, start, floor, factor):
        before = self.temperature
        self.temperature = max(self.temperature * factor, floor)
        return self.temperature if self.step_first else before


def restarting():
    """Right as long as the epochs come in order."""
    now = [0.0]

    def answer(epoch, start, floor, factor):
        now[0] = start if epoch == 0 else max(now[0] * factor, floor)
        return now[0]

    return answer


# --- The paired interval --------------------------------------------------------------------------


def interval(d, quantile=None, error=None):
    n, mean = len(d), np.mean(d)
    error = np.std(d, ddof=1) / n**0.5 if error is None else error
    reach = (stats.t.ppf(0.975, n - 1) if quantile is None else quantile) * error
    return mean, mean - reach, mean + reach


def interval_of(**changes):
    """`interval` of the differences, with functions of their number or of themselves."""
    return lambda b, t: interval(t - b, **{k: f(t - b) for k, f in changes.items()})


def interval_by_lists(baseline, treatment):
    d = [y - x for x, y in zip(baseline, treatment, strict=True)]
    mean, error = statistics.mean(d), statistics.stdev(d) / math.sqrt(len(d))
    low, high = stats.t.interval(0.95, len(d) - 1, mean, error)
    return [mean, low, high]


def interval_by_test(baseline, treatment):
    low, high = stats.ttest_rel(treatment, baseline).confidence_interval()
    return (low + high) / 2, low, high


def interval_in_torch(baseline, treatment):
    d = torch.tensor(treatment) - torch.tensor(baseline)
    reach = stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5
    return torch.stack([d.mean(), d.mean() - reach, d.mean() + reach])


def unrelated(equal_var):
    def answer(baseline, treatment):
        result = stats.ttest_ind(treatment, baseline, equal_var=equal_var)
        return treatment.mean() - baseline.mean(), *result.confidence_interval(0.95)

    return answer


def unrelated_by_hand(baseline, treatment, quantile=None):
    error = math.sqrt((baseline.var(ddof=1) + treatment.var(ddof=1)) / len(baseline))
    return interval(treatment - baseline, quantile, error)


def two_intervals(baseline, treatment):
    m, low, high = interval(baseline)
    m2, low2, high2 = interval(treatment)
    return m2 - m, low2 - high, high2 - low


def margin(d):
    return stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5


def in_place(baseline, treatment):
    treatment -= baseline
    return interval(treatment)


def t_interval(d, coverage):
    return np.mean(d), *stats.t.interval(coverage, len(d) - 1, np.mean(d), stats.sem(d))


def permuted(*order):
    return lambda b, t: [interval(t - b)[i] for i in order]


def nothing_after_some_work():
    set("abdf")


RIGHT: Table = {
    checks.exponential_decay: {
        "": [
            decay,
            decay_by_loop,
            decay_by_if,
            decay_recursively,
            lambda e, s, f, k: ExponentialDecay(start=s, floor=f, factor=k)(e, e + 1),
            lambda e, s, f, k: torch.tensor(s * k**e).clamp(min=f),
            lambda e, s, f, k: np.maximum(s * np.power(k, e), f),
            lambda e, s, f, k: np.array([max(s * k**e, f)]),
            lambda epoch, *, start, floor, factor: decay(epoch, start, floor, factor),
        ],
    },
    checks.paired_interval: {
        "": [
            lambda b, t: interval(t - b),
            interval_by_lists,
            interval_by_test,
            interval_in_torch,
            paired_difference,
            lambda b, t: interval(t.astype(np.float32) - b.astype(np.float32)),
            lambda b, t: np.array(interval(t - b)),
            interval_of(error=lambda d: d.std() / (len(d) - 1) ** 0.5),
        ],
    },
    checks.misleading_plot: {
        "": [
            lambda: "abdf",
            lambda: "FDBA",
            lambda: "a, b, (d) and f.",
            lambda: ["f", "a", "d", "B"],
            lambda: {"a", "b", "d", "f"},
            lambda: ("ab", "df"),
            lambda: (letter for letter in "abdf"),
            lambda: itertools.cycle("abdf"),
            lambda: np.array(["a", "b", "d", "f"]),
            lambda: {letter: letter in "abdf" for letter in "abcdefg"},
            lambda: dict.fromkeys("abdf", "because").keys(),
            lambda: "aabbddff",
        ],
    },
}

WRONG: Table = {
    checks.exponential_decay: {
        "Epoch 0 has decayed already": [
            lambda e, s, f, k: max(s * k ** (e + 1), f),
            lambda e, s, f, k: decay_by_loop(e + 1, s, f, k),
        ],
        "as if epochs counted from 1": lambda e, s, f, k: max(s * k ** (e - 1), f),
        "0 and 1 are the same": lambda e, s, f, k: decay_by_loop(max(e - 1, 0), s, f, k),
        "not used": lambda e, s, f, k: s,
        "decays once": lambda e, s, f, k: max(s * k, f),
        "`min` takes the smaller": lambda e, s, f, k: min(s * k**e, f),
        "floor is missing": lambda e, s, f, k: s * k**e,
        "2 things | decayed already | floor is missing": lambda e, s, f, k: s * k ** (e + 1),
        "2 things | decayed already | `min`": lambda e, s, f, k: min(s * k ** (e + 1), f),
        "floor is added": lambda e, s, f, k: s * k**e + f,
        "floor in every epoch": lambda e, s, f, k: f,
        "approaches the floor": lambda e, s, f, k: f + (s - f) * k**e,
        "bounds `factor**epoch`": lambda e, s, f, k: s * max(k**e, f),
        "`factor * epoch`": lambda e, s, f, k: max(s * k * e, f),
        "the same amount": lambda e, s, f, k: max(s - s * (1 - k) * e, f),
        "loses 1 - factor": lambda e, s, f, k: max(s - (1 - k) * e, f),
        "loses `factor`": lambda e, s, f, k: max(s - k * e, f),
        "what stays": lambda e, s, f, k: max(s * (1 - k) ** e, f),
        "T grows": lambda e, s, f, k: max(s / k**e, f),
        "for a rate": lambda e, s, f, k: max(s * math.exp(-k * e), f),
        "close for a factor": lambda e, s, f, k: max(s * math.exp(-(1 - k) * e), f),
        "covers start as well": lambda e, s, f, k: max((s * k) ** e, f),
        "Base and exponent": lambda e, s, f, k: max(s * e**k, f),
        "`start` is missing": lambda e, s, f, k: max(k**e, f),
        "always 0.95": lambda e, s, f, k: max(s * 0.95**e, f),
        "always 1.": lambda e, s, f, k: max(s * k**e, 1.0),
        "round T": lambda e, s, f, k: round(decay(e, s, f, k)),
        "cut T down": lambda e, s, f, k: int(decay(e, s, f, k)),
        "epoch = [0, 1, 3, 10]": lambda e, s, f, k: decay(e, s, f, k) + 0.5,
        "returns nothing": decay_without_else,
        "returned a list": lambda e, s, f, k: [s, f],
        "2 numbers": lambda e, s, f, k: np.array([s, f]),
        "numbers differ": lambda e, s, f, k: math.nan,
        "The power is `**`": lambda e, s, f, k: max(s * k ^ e, f),
        "a resumed run would get another T | `epoch` alone | not: steps before it is read": [
            Remembering(step_first=False),
            restarting(),
        ],
        "a resumed run would get another T | steps before it is read": Remembering(step_first=True),
    },
    checks.paired_interval: {
        "sign is turned round": lambda b, t: interval(b - t),
        "2 things | sign | 1.96": lambda b, t: interval(b - t, 1.96),
        "relative": lambda b, t: interval((t - b) / b),
        "baseline is not used": lambda b, t: interval(t),
        "as unrelated": [unrelated(True), unrelated(False), unrelated_by_hand],
        "2 things | as unrelated | 1.96": lambda b, t: unrelated_by_hand(b, t, 1.96),
        "add up the margins": two_intervals,
        "treatment's own": lambda b, t: interval(t - b, error=t.std(ddof=1) / len(t) ** 0.5),
        "the variance": interval_of(error=lambda d: d.var(ddof=1) / len(d) ** 0.5),
        "median": lambda b, t: np.median(t - b) + np.array([0, -1, 1]) * margin(t - b),
        "normal law's 1.96": [
            interval_of(quantile=lambda d: 1.96),
            interval_of(quantile=lambda d: stats.norm.ppf(0.975)),
        ],
        "rule of thumb": interval_of(quantile=lambda d: 2),
        "one standard error": interval_of(quantile=lambda d: 1),
        "90 % interval": interval_of(quantile=lambda d: stats.t.ppf(0.95, len(d) - 1)),
        "99 % interval": interval_of(quantile=lambda d: stats.t.ppf(0.995, len(d) - 1)),
        "wants the coverage": lambda b, t: t_interval(t - b, 0.975),
        "always that of 10 seeds": interval_of(quantile=lambda d: 2.262),
        "always that of 5 seeds": interval_of(quantile=lambda d: 2.776),
        "n degrees of freedom": interval_of(quantile=lambda d: stats.t.ppf(0.975, len(d))),
        "2n - 2 degrees": interval_of(quantile=lambda d: stats.t.ppf(0.975, 2 * len(d) - 2)),
        "`std(ddof=1)`": interval_of(error=lambda d: d.std() / len(d) ** 0.5),
        "2 things | `std(ddof=1)` | 1.96": interval_of(
            error=lambda d: d.std() / len(d) ** 0.5, quantile=lambda d: 1.96
        ),
        "root of n is missing": interval_of(error=lambda d: d.std(ddof=1)),
        "2 things | root of n is missing": interval_of(error=lambda d: d.std()),
        "3 things": interval_of(error=lambda d: d.std(), quantile=lambda d: 1.96),
        "falls with the root": interval_of(error=lambda d: d.std(ddof=1) / len(d)),
        "root of n - 1": interval_of(error=lambda d: d.std(ddof=1) / (len(d) - 1) ** 0.5),
        "points of accuracy": lambda b, t: interval(100 * (t - b)),
        "return the margin": lambda b, t: (np.mean(t - b), margin(t - b)),
        "relative to the mean": lambda b, t: (np.mean(t - b), -margin(t - b), margin(t - b)),
        "mean is missing": lambda b, t: interval(t - b)[1:],
        "another order": [permuted(1, 0, 2), permuted(1, 2, 0)],
        "bounds are swapped": [
            permuted(0, 2, 1),
            interval_of(quantile=lambda d: stats.t.ppf(0.025, len(d) - 1)),
        ],
        "in place": in_place,
        "`return mean, low, high`. One of yours": lambda b, t: (0.1, (0.1, 0.2)),
        "no number": lambda b, t: ("a", "b", "c"),
        "mean alone": lambda b, t: np.mean(t - b),
        "the shape [3]; yours has the shape [4]": lambda b, t: (*interval(t - b), 0.95),
        "baseline = [0.951, 0.962": lambda b, t: interval(t - b, 3.3),
    },
    checks.misleading_plot: {
        "numbers at the axis": lambda: "bdf",
        "another seed": lambda: "adf",
        "Count the tries": lambda: "abf",
        "on which images": lambda: "abd",
        "(c) is no flaw": lambda: "abcdf",
        "(e) is no flaw": lambda: "abdef",
        "(g) is no flaw": lambda: "abdfg",
        "'h'": lambda: "abdfh",
        "'i'": lambda: "axis",
        "of type int": lambda: 3,
        "of type list": lambda: [1, 2],
        "returned nothing": nothing_after_some_work,
    },
}
