"""Lesson 07: `answer(labelled, sets, margin)` → the name of the transfer set to take, or None.

`labelled` holds the validation accuracies (0..1) of students that had labels, one for each seed;
`sets` maps the name of each transfer set to a dict: its `cost`, and `validation` and `test`,
accuracies over the same seeds. The cheapest whose 95 % interval of the paired difference on
validation images excludes a loss of `margin` or more; None if there is none.
"""

from collections.abc import Mapping, Sequence
from operator import sub
from statistics import fmean
from typing import Any

from kdhelpers import stats
from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, chosen

Row = Sequence[float]
TransferSet = dict[str, Any]


def solution(
    labelled: Row,
    sets: Mapping[str, TransferSet],
    margin: float,
    *,
    among: Way = list,
    good: Way = lambda interval, margin, labelled, row: interval.low > -margin,
    judged_on: str = "validation",
    rank: Way = lambda each: each["cost"],
    otherwise: Way = lambda sets: None,
) -> Any:
    """`good` gets the interval of the paired difference, the margin and the rows themselves."""
    rows = {name: sets[name][judged_on] for name in among(sets)}
    found = {name: stats.paired_difference(labelled, row) for name, row in rows.items()}
    fit = [name for name, of in found.items() if good(of, margin, labelled, rows[name])]
    return min(fit, key=lambda name: rank(sets[name])) if fit else otherwise(sets)


LABELLED = (0.950, 0.960, 0.955, 0.965, 0.945)
GAINS = {  # what each set changes on validation and on test images, seed by seed; and its cost
    "unlabelled": ((0.006, 0.004, 0.005, 0.005, 0.005), -0.03, 40),
    "other camera": ((-0.009, -0.011, -0.010, -0.012, -0.008), -0.01, 20),  # a small, sure loss
    "few": ((0.020, -0.055, 0.025, -0.050, 0.030), -0.03, 5),  # nobody can tell
    "found": ((-0.019, -0.019, 0.0, -0.018, -0.019), 0.01, 8),  # each seed, not the interval
    "borrowed": ((-0.019, -0.001, -0.010, -0.019, -0.001), -0.01, 10),  # a 90 % interval would do
    "noise": ((-0.080, -0.090, -0.085, -0.070, -0.075), -0.08, 1),
    "bought": ((0.014, 0.016, 0.015, 0.015, 0.015), 0.015, 90),
}


def _experiment(margin: float, *names: str) -> dict[str, Any]:
    sets = {
        name: dict(
            cost=cost,
            validation=[base + gain for base, gain in zip(LABELLED, gains, strict=True)],
            test=[base + of_test + gain / 10 for base, gain in zip(LABELLED, gains, strict=True)],
        )
        for name, (gains, of_test, cost) in ((name, GAINS[name]) for name in names)
    }
    return {"labelled": list(LABELLED), "sets": sets, "margin": margin}


def _told(name: str, inputs: dict[str, Any]) -> str:
    each = inputs["sets"][name]
    of = stats.paired_difference(inputs["labelled"], each["validation"])
    return f"{name}, which costs {each['cost']} and changes {of.low:+.4f} to {of.high:+.4f}"


# fmt: off
MISTAKES: Mistakes = {
    "You take the cheapest set, however much it loses. Look at the intervals first.":
        dict(good=lambda interval, margin, a, b: True),
    "You take a set with no clear difference from labels. Not to see a loss is not to exclude one: "
    "with few seeds the interval is wide, and its lower end tells what may be lost.":
        [dict(good=lambda interval, margin, a, b: interval.high >= 0),
         dict(good=lambda interval, margin, a, b: interval.low <= 0 <= interval.high)],
    "You compare the mean loss with the margin. The mean may be right by luck: the whole interval "
    "has to lie above −margin.":
        [dict(good=lambda interval, margin, a, b: interval.mean > -margin),
         dict(good=lambda interval, margin, a, b: abs(interval.mean) < margin)],
    "You ask that the upper end of the interval lies above −margin. The lower end tells the worst "
    "that the seeds allow.": dict(good=lambda interval, margin, a, b: interval.high > -margin),
    "You allow no loss at all, or a hundredth of the margin. The margin is a share: leave the "
    "differences in shares, too (no points=True), and compare with −margin.":
        [dict(good=lambda interval, margin, a, b, by=by: interval.low > -margin * by)
         for by in (0.0, 0.01)],
    "You look whether the cheapest set will do, and at no other. The next one may.":
        dict(among=lambda sets: [min(sets, key=lambda name: sets[name]["cost"])]),
    "The sign of the margin: a loss is a negative difference, so compare with −margin.":
        dict(good=lambda interval, margin, a, b: interval.low > margin),
    "You subtract the other way round: the difference is that of the set minus that of the "
    "labels.": dict(good=lambda interval, margin, a, b: interval.high < margin),
    "You ask of every seed that it loses less than the margin. The interval also tells what other "
    "seeds may do.":
        dict(good=lambda interval, margin, a, b: min(map(sub, b, a)) > -margin),
    "Your interval is too narrow: 1.96 or 2 standard errors are for many seeds, and 95 % leave out "
    "2.5 % on each side. With five seeds Student's t reaches 2.78 standard errors.":
        [dict(good=lambda interval, margin, a, b, t=t:  # its own t is 2.776
              interval.mean - t / 2.776 * interval.margin > -margin)
         for t in (1.96, 2.0, 2.132)],
    "You compare the accuracies without their pairs. The seeds are paired: take the interval of "
    "the paired difference.":
        dict(good=lambda interval, margin, a, b:
             stats.mean_interval(b).low > stats.mean_interval(a).high - margin),
    "You decide on the test images. They judge what was decided, and can do so once: decide on "
    "`validation`.": dict(judged_on="test"),
    "Of the sets that will do you take the most accurate. The cheapest was asked for.":
        dict(rank=lambda each: -fmean(each["validation"])),
    "Of the sets that will do you take the most expensive.": dict(rank=lambda each: -each["cost"]),
    "Of the sets that will do you take the first. Compare their costs.":
        dict(rank=lambda each: 0.0),
    "If none will do, take none: return None.":
        [dict(otherwise=lambda sets: min(sets, key=lambda name: sets[name]["cost"])),
         dict(otherwise=lambda sets: next(iter(sets)))],
}
# fmt: on

cheapest_set = Exercise(
    task=__doc__,
    observe=chosen("sets", noun="transfer set", told=_told),
    solution=solution,
    cases=Case.each_of(
        _experiment,
        (0.02, "bought", "unlabelled", "other camera", "few", "found", "noise"),
        (0.005, "noise", "bought", "unlabelled", "other camera", "few"),
        (0.02, "noise", "bought", "found", "other camera"),
        (0.02, "few", "noise"),
        (0.02, "few", "found", "unlabelled"),
        (0.10, "unlabelled", "found", "noise"),
        (0.02, "unlabelled", "borrowed"),
        (0.02, "noise", "found"),
    ),
    mistakes=MISTAKES,
    praise=(
        "a set that you may call as good as labels, up to the margin. 'No clear difference' would "
        "have let every set pass that was tried too seldom."
    ),
)
