"""Lesson 05: `answer(baseline, treatment)` → (mean, low, high) of treatment − baseline.

NumPy arrays [n], one accuracy for each seed, in the same order; the bounds are those of the
95 % Student t interval of the differences.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.running import Answer, call, to_numbers

Row = NDArray[np.float64]


def solution(
    baseline: Row,
    treatment: Row,
    *,
    difference: Way = lambda b, t: t - b,
    centre: Way = np.mean,
    spread: Way = lambda b, t, d, ddof: d.std(ddof=ddof),
    ddof: int = 1,
    divisor: Way = lambda n: n**0.5,
    freedom: Way = lambda b, t: len(b) - 1,
    quantile: Way = lambda df: special.stdtrit(df, 0.975),
    form: Way = lambda m, r: (m, m - r, m + r),
) -> Any:
    d = difference(baseline, treatment)
    error = spread(baseline, treatment, d, ddof) / divisor(len(d))
    reach = quantile(freedom(baseline, treatment)) * error
    return form(centre(d), reach)


def _t(share: float, df: float) -> float:
    """The quantile of Student's t below which this share lies."""
    return float(special.stdtrit(df, share))


def _unpaired(b: Row, t: Row, d: Row, ddof: int) -> float:
    return float((b.var(ddof=ddof) + t.var(ddof=ddof)) ** 0.5)


def _welch(b: Row, t: Row) -> float:
    """Degrees of freedom of Welch's test for two rows of one length."""
    v, w = b.var(ddof=1), t.var(ddof=1)
    return float((v + w) ** 2 / (v**2 + w**2) * (len(b) - 1))


WANTED = "three numbers: `return mean, low, high`"


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    result = call(answer, inputs)
    if all(hasattr(result, name) for name in ("mean", "low", "high")):
        result = result.mean, result.low, result.high  # as of `kdhelpers.stats`
    otherwise = f"Your function should return {WANTED}. One of yours is no number."
    values = to_numbers(result, wanted=WANTED, otherwise=otherwise)
    return Observation({"mean, low, high": values.flatten()})


def _drawn(seed: int, count: int, effect: float) -> dict[str, Any]:
    """Accuracies that vary with the seed by 0.008 and, within a pair, by 0.003."""
    luck, noise = numbers(seed, 2, count, dtype=torch.float64).numpy()
    baseline = 0.95 + 0.004 * luck
    return {"baseline": baseline, "treatment": baseline + effect + 0.0015 * noise}


def _written() -> dict[str, Any]:
    baseline = np.array([0.951, 0.962, 0.947, 0.955, 0.958])
    gains = np.array([0.004, 0.007, 0.002, 0.009, 0.003])
    return {"baseline": baseline, "treatment": baseline + gains}


# fmt: off
MISTAKES: Mistakes = {
    "The sign is turned round. It is treatment minus baseline, so a gain is positive.":
        dict(depth=3, difference=lambda b, t: b - t),
    "These are relative differences. Leave out the division by the baseline.":
        dict(difference=lambda b, t: (t - b) / b),
    "The baseline is not used. Take the differences of the pairs, `treatment - baseline`.":
        dict(difference=lambda b, t: t),
    "Your interval treats the two rows as unrelated, and so keeps the luck that both runs of a "
    "seed share. Take the differences of the pairs first, then one mean and one standard "
    "deviation of them.":
        [dict(depth=3, spread=_unpaired, freedom=lambda b, t: 2 * len(b) - 2),
         dict(depth=3, spread=_unpaired, freedom=_welch),
         dict(depth=3, spread=_unpaired, freedom=lambda b, t: len(b) - 1)],
    "You add up the margins of both rows. Take the differences of the pairs first: what a seed "
    "does to both runs cancels there.":
        dict(spread=lambda b, t, d, ddof: b.std(ddof=ddof) + t.std(ddof=ddof)),
    "Your margin is that of one row, or the difference of both. Take the standard deviation of "
    "the differences.":
        [dict(spread=lambda b, t, d, ddof: t.std(ddof=ddof)),
         dict(spread=lambda b, t, d, ddof: b.std(ddof=ddof)),
         dict(spread=lambda b, t, d, ddof: t.std(ddof=ddof) - b.std(ddof=ddof))],
    "You take absolute differences, so a loss counts as a gain. Keep their signs.":
        dict(difference=lambda b, t: abs(t - b)),
    "You use the variance. The standard error comes from its square root, the standard deviation.":
        dict(spread=lambda b, t, d, ddof: d.var(ddof=ddof)),
    "You take the median of the differences. The t interval lies round their mean.":
        dict(centre=np.median),
    "Your quantile is the normal law's 1.96. With few seeds the spread itself is uncertain and "
    "the interval wider: take Student's t with n - 1 degrees of freedom.":
        dict(depth=3, quantile=lambda df: 1.96),
    "Your quantile is the rule of thumb, 2. Take that of Student's t with n - 1 degrees of "
    "freedom.": dict(quantile=lambda df: 2.0),
    "This is the mean plus and minus one standard error, which covers about 68 %. Multiply the "
    "error with the t quantile for 95 %.": dict(depth=3, quantile=lambda df: 1.0),
    "This is a 90 % interval: your quantile leaves out 5 % on each side. For 95 % leave out 2.5 % "
    "on each, which is the quantile at 0.975.":
        [dict(depth=3, quantile=partial(_t, 0.95)), dict(quantile=lambda df: 1.645)],
    "This is a 97.5 % interval. `t.interval` wants the coverage, 0.95; the quantile at 0.975 "
    "belongs to `t.ppf`.": dict(quantile=partial(_t, 0.9875)),
    "This is a 99 % interval. For 95 % take the quantile at 0.975.":
        dict(quantile=partial(_t, 0.995)),
    **{
        f"Your quantile is always that of {fixed} seeds. Take the one for n - 1 degrees of "
        "freedom.": dict(quantile=lambda df, fixed=fixed: _t(0.975, fixed - 1))
        for fixed in (5, 10)
    },
    "You take n degrees of freedom. One is used up by the mean: n - 1.":
        dict(freedom=lambda b, t: len(b)),
    "You take n - 2 degrees of freedom. The mean uses up one: n - 1.":
        dict(freedom=lambda b, t: len(b) - 2),
    "The arguments of the quantile are swapped, which gives nan. It is `special.stdtrit(n - 1, "
    "0.975)` or `stats.t.ppf(0.975, n - 1)`.": dict(quantile=lambda df: special.stdtrit(0.975, df)),
    "You count the runs of both rows. There are n differences, and n - 1 degrees of freedom.":
        [dict(freedom=lambda b, t: 2 * len(b) - 1, divisor=lambda n: (2 * n) ** 0.5),
         dict(freedom=lambda b, t: 2 * len(b) - 1), dict(divisor=lambda n: (2 * n) ** 0.5)],
    "You sort both rows, which tears the pairs apart: the two runs of one seed belong together. "
    "Leave the order as it is.": dict(difference=lambda b, t: np.sort(t) - np.sort(b)),
    "These are percentiles or the ends of the differences, where single seeds lie. The interval "
    "is for their mean: mean ± t · std / √n.":
        [dict(whole=lambda b, t, ends=ends: ((t - b).mean(), *np.percentile(t - b, ends)))
         for ends in ((2.5, 97.5), (5, 95), (0, 100), (25, 75))],
    "The margin is halved or doubled. The bounds are the mean minus and plus the margin.":
        [dict(form=lambda m, r, by=by: (m, m - by * r, m + by * r)) for by in (0.5, 2.0)],
    "You take 2n - 2 degrees of freedom, those of two unrelated rows. n differences have n - 1.":
        dict(freedom=lambda b, t: 2 * len(b) - 2),
    "Your standard deviation divides by n, as NumPy does by itself, and is too small for few "
    "seeds. Divide by n - 1: `std(ddof=1)`.": dict(depth=3, ddof=0),
    "The division by the root of n is missing: this is where single differences lie, not their "
    "mean. The standard error is std / √n.": dict(depth=3, divisor=lambda n: 1.0),
    "You divide by n. The error of a mean falls with the root: std / √n.":
        dict(divisor=lambda n: float(n)),
    "You divide by the root of n - 1. The n - 1 belongs inside the standard deviation; the error "
    "of the mean is std / √n.": dict(divisor=lambda n: (n - 1) ** 0.5),
    "This is the mean alone. Return the bounds of its interval as well: `return mean, low, high`.":
        dict(form=lambda m, r: (m,)),
    "You return the margin. The bounds are the mean minus and plus it: `return mean, mean - "
    "margin, mean + margin`.": dict(form=lambda m, r: (m, r)),
    "Your bounds are relative to the mean. Add the mean to both: `return mean, mean - margin, "
    "mean + margin`.": dict(form=lambda m, r: (m, -r, r)),
    "The mean is missing. Return it first: `return mean, low, high`.":
        dict(form=lambda m, r: (m - r, m + r)),
    "The values are right, in another order. Return the mean first, then the bounds: `return "
    "mean, low, high`.":
        [dict(form=lambda m, r: (m - r, m, m + r)), dict(form=lambda m, r: (m - r, m + r, m))],
    "The bounds are swapped: low comes before high. A quantile at 0.025 is negative; take the one "
    "at 0.975.": dict(form=lambda m, r: (m, m + r, m - r)),
}
# fmt: on

paired_interval = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=(
        Case(_written),
        *Case.each_of(_drawn, (111, 10, 0.001), (112, 3, -0.006), (113, 25, -0.002)),
    ),
    mistakes=MISTAKES,
    praise=(
        "what a seed does to both runs is gone from the differences. An interval that leaves out "
        "0 is the least that a claimed gain should show."
    ),
)
