"""Lesson 03: `answer(teacher, alone, distilled)` → share of the gap, one number.

The teacher's accuracy (0..1) and lists of the students' accuracies, one for each seed. The
share is (mean of distilled − mean of alone) / (teacher − mean of alone).
"""

from collections.abc import Sequence
from operator import itemgetter
from statistics import fmean, median
from typing import Any

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, number


def solution(
    teacher: float,
    alone: Sequence[float],
    distilled: Sequence[float],
    *,
    of_alone: Way = fmean,
    of_distilled: Way = fmean,
    share: Way = lambda t, a, d: (d - a) / (t - a),
) -> Any:
    return share(teacher, of_alone(alone), of_distilled(distilled))


def _both(summary: Way, **changes: Any) -> dict[str, Any]:
    return {"of_alone": summary, "of_distilled": summary, **changes}


# fmt: off
MISTAKES: Mistakes = {
    "This is what the student gains; the share is that gain divided by the gap, `teacher - alone`.":
        dict(share=lambda t, a, d: d - a),
    "You divide by the teacher's accuracy. The whole that is shared is the gap between teacher "
    "and student: divide by `teacher - alone`.": dict(share=lambda t, a, d: (d - a) / t),
    "You divide by the accuracy of the student alone, which gives its relative gain. Divide by "
    "the gap, `teacher - alone`.": dict(share=lambda t, a, d: (d - a) / a),
    "You divide by the errors of the student alone. A teacher makes errors, too: divide by the "
    "gap to the teacher, `teacher - alone`.": dict(share=lambda t, a, d: (d - a) / (1 - a)),
    "You divide by what is left to the teacher after distillation. The gap is the one before: "
    "`teacher - alone`.": dict(share=lambda t, a, d: (d - a) / (t - d)),
    "This is the share of the gap that is left. The share that is closed is 1 minus it.":
        dict(share=lambda t, a, d: (t - d) / (t - a)),
    "This is the distance to the teacher that is left, in accuracy. Ask how much of `teacher - "
    "alone` the student has gained.": dict(share=lambda t, a, d: t - d),
    "This is the gap itself. Divide what the student gains by it.":
        dict(share=lambda t, a, d: t - a),
    "The fraction is upside down: the gain, `distilled - alone`, belongs above the gap.":
        dict(share=lambda t, a, d: (t - a) / (d - a)),
    "This is the ratio of the accuracies of distilled student and teacher. It is near 1 for any "
    "decent student: subtract the student alone from both first.":
        dict(share=lambda t, a, d: d / t),
    "This is the ratio of the accuracies of the two students. Compare their difference with the "
    "gap, `teacher - alone`.": dict(share=lambda t, a, d: d / a),
    "Brackets are missing: a division is done before a subtraction. Write `(distilled - alone) / "
    "(teacher - alone)` with the means.": dict(share=lambda t, a, d: d - a / t - a),
    "The difference above the fraction line needs brackets: a division is done before a "
    "subtraction.": dict(share=lambda t, a, d: d - a / (t - a)),
    "The difference below the fraction line needs brackets: a division is done before a "
    "subtraction.": dict(share=lambda t, a, d: (d - a) / t - a),
    "You average the shares of the seeds, or add them up. A seed whose student is close to the "
    "teacher divides by almost 0 and outweighs all others: average the accuracies first, then "
    "divide once.":
        [dict(whole=lambda t, alone, distilled, of=of:
              of((d - a) / (t - a) for a, d in zip(alone, distilled, strict=True)))
         for of in (fmean, median, sum)],
    "You take the best seed of both students. That is luck, and more of it with more seeds: take "
    "the means.": _both(max),
    "You compare the best distilled seed with the mean of the students alone, which favours "
    "distillation. Take the mean on both sides.": dict(of_distilled=max),
    "You compare the mean of the distilled students with the best one alone. Take the mean on "
    "both sides.": dict(of_alone=max),
    "You take the worst seed of both students. Take the means.": _both(min),
    **{f"You use the {name} seed only. Average over all seeds, for both students.":
        _both(itemgetter(place)) for name, place in (("first", 0), ("last", -1))},
    "You take medians. The exercise asks for the mean over the seeds.": _both(median),
    "You divide the sums by n - 1, or by a fixed number of seeds. Divide each by its own n.":
        [_both(lambda x: sum(x) / (len(x) - 1)),
         *(_both(lambda x, n=n: sum(x) / n) for n in (2, 3, 4, 5, 10))],
    "You add up the accuracies without dividing by the number of seeds.": _both(sum),
    "A list has no method `mean`. Use `np.mean(alone)`, or `sum(alone) / len(alone)`.":
        _both(lambda x: x.mean()),
    "Lists cannot be subtracted. Average each list first, then subtract the means.":
        [_both(list, share=share, depth=1)
         for share in (lambda t, a, d: d - a, lambda t, a, d: t - a, lambda t, a, d: t - d)],
}
# fmt: on

gap_closed = Exercise(
    task=__doc__,
    observe=number(
        "share of the gap",
        wanted="one number, the share of the gap",
        instead="one share for all seeds together",
    ),
    solution=solution,
    cases=Case.table(
        "teacher alone distilled",
        (0.9, [0.7, 0.8], [0.82, 0.84]),
        (0.95, [0.91, 0.93, 0.92, 0.9, 0.935], [0.9, 0.921, 0.915, 0.91, 0.93]),
        (0.88, [0.8, 0.83, 0.811], [0.89, 0.885, 0.91]),
        (0.75, [0.6, 0.55, 0.7, 0.62], [0.61, 0.62, 0.68, 0.7]),
    ),
    mistakes=MISTAKES,
    praise=(
        "0 where distillation changes nothing, 1 where the student reaches its teacher; below 0 it "
        "hurts. The smaller the gap, the less the number means."
    ),
)
