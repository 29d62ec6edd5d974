"""Lesson 01: `answer(trial)` → the learning rate that serves the student alone best.

`trial(rate)` trains five students alone with Adam at that rate, and returns their accuracies on the
validation images in %. At most 12 rates.
"""

from functools import cache

from kdhelpers.checks.bench import distilled, labelled, teacher, told, train
from kdhelpers.checks.choice import Decision, Measured, Trials, best_of_trials
from kdhelpers.checks.running import Answer
from kdhelpers.checks.verdict import Verdict

REPORTED = 0.2  # the rate of the report, chosen for the distilled student
FEW = dict(size=300, steps=60)


@cache
def alone(rate: float) -> Measured:
    return train(labelled, range(5), lr=rate, **FEW)[0]


def _decide(answer: Answer) -> Verdict:
    rate, remark = best_of_trials(answer, Trials(alone, "rate"), (0.02, 0.03, 0.05))
    after = train(distilled(teacher()[0]), range(5), lr=REPORTED, **FEW)[0]["test"]
    before, tuned = (alone(each)["test"] for each in (REPORTED, rate))
    gains = [(after - each).mean().item() for each in (before, tuned)]
    return Verdict(
        "right",
        f"on the test images, which you have not seen, the students alone rise from {told(before)} "
        f"at {REPORTED:g} to {told(tuned)} at {rate:g}. The report's gain of {gains[0]:.1f} points "
        f"was mostly the baseline's bad rate; {gains[1]:.1f} are left. (The distilled students may "
        "have their rate tuned, too: with as many trials.)" + remark,
    )


baseline_rate = Decision(__doc__, _decide)
