"""Lesson 02: `answer(trial)` → the temperature to distil from this teacher with.

`trial(T)` distils five students at that temperature, and returns their accuracies on the validation
images in %. At most 12 temperatures.
"""

from functools import cache

from kdhelpers.checks.bench import distilled, teacher, told, train
from kdhelpers.checks.choice import Decision, Measured, Trials, best_of_trials
from kdhelpers.checks.running import Answer
from kdhelpers.checks.verdict import Verdict

SCALE = 3.0  # the logits of this teacher are so many times as large


@cache
def at(temperature: float) -> Measured:
    return train(distilled(SCALE * teacher()[0], temperature), range(5), lr=0.05)[0]


def _decide(answer: Answer) -> Verdict:
    chosen, remark = best_of_trials(answer, Trials(at, "temperature"), (16.0, 24.0, 32.0, 48.0))
    return Verdict(
        "right",
        f"on the test images, which you have not seen, {told(at(chosen)['test'])} at T = "
        f"{chosen:g}, and {told(at(4.0)['test'])} at the T = 4 of the rule of thumb. This "
        f"teacher's logits are {SCALE:g} times those of a usual one: a rule for T that does not "
        "know their scale cannot know the answer." + remark,
    )


choose_temperature = Decision(__doc__, _decide)
