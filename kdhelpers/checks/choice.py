"""Decisions: what a learner's function chooses or concludes after running an experiment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import e, isclose, log
from statistics import fmean
from typing import Any

from torch import Tensor

from kdhelpers.checks.bench import told
from kdhelpers.checks.check import Check
from kdhelpers.checks.running import Answer, Misuse, call, to_number
from kdhelpers.checks.verdict import Verdict

MOST = 12  # trials
Measured = dict[str, Tensor]  # accuracies in %, one for each seed, by part of the data


@dataclass(eq=False, repr=False)
class Decision(Check):
    """An exercise in deciding: `decide` runs the learner's function and judges what it decided."""

    task: str
    decide: Callable[[Answer], Verdict]

    def _judge(self, answer: Answer) -> Verdict:
        return self.decide(answer)


class Trials:
    """The experiment that a learner calls with a setting: validation accuracies, one for a seed."""

    def __init__(self, run: Callable[[float], Measured], name: str) -> None:
        self.run, self.name = run, name
        self.seen: dict[float, Measured] = {}

    def __call__(self, setting: Any) -> list[float]:
        wanted = f"`trial` takes one {self.name} above 0"
        try:
            value = float(setting)
        except (TypeError, ValueError) as error:
            raise Misuse(f"{wanted}, and got a {type(setting).__name__}.") from error
        if not 0 < value < 1e9:
            raise Misuse(f"{wanted}, and got {value:g}.")
        if value not in self.seen:
            if len(self.seen) == MOST:
                raise Misuse(
                    f"You asked for more than {MOST} trials. Take steps by a factor, such as "
                    "2 or 3, and go finer only near the best."
                )
            self.seen[value] = self.run(value)
        return self.validation(value)

    def validation(self, setting: float) -> list[float]:
        values: list[float] = self.seen[setting]["validation"].tolist()
        return values


def best_of_trials(answer: Answer, trial: Trials, references: Sequence[float]) -> tuple[float, str]:
    """The setting that the learner's function chose, and a remark on the search, or none.

    `Misuse` tells what is wrong with it. On the test images it may be 1.5 points below the best of
    `references`.
    """
    name = trial.name
    result = to_number(
        call(answer, {"trial": trial}), wanted=f"the chosen {name}", instead=f"one {name}"
    )
    chosen, means = result.item(), {s: fmean(trial.validation(s)) for s in trial.seen}
    if not means:
        raise Misuse(
            f"You chose {chosen:g} without a single trial. A rule of thumb does not know this "
            f"experiment: call `trial({name})` for several values and compare."
        )
    near = [setting for setting in means if abs(setting - chosen) <= 1e-6 * setting]
    if not near:
        scores = [*means.values(), *(a for s in means for a in trial.validation(s))]
        if any(abs(chosen - k * score) < 1e-6 for score in scores for k in (1, 0.01)):
            raise Misuse(f"This is an accuracy. Return the {name} that it belongs to.")
        if chosen in range(len(means)):
            raise Misuse(
                f"You return {chosen:g}, which you have not tried. If it is a place in your list "
                f"(`argmax`), return the {name} at that place."
            )
        made = {
            "mean of those": [fmean(means)],
            "logarithm of one": [log(each, base) for base in (e, 2, 10) for each in means],
        }
        fitting = [way for way, values in made.items() if any(isclose(chosen, v) for v in values)]
        what = f" It is the {fitting[0]} that you tried." if fitting else ""
        raise Misuse(
            f"You return {chosen:g}, which you have not tried: nobody knows how good it is.{what} "
            f"Return the {name} itself with the best mean."
        )
    (chosen, *_), tried = near, sorted(means)
    best = max(means, key=means.__getitem__)
    if means[chosen] < means[best]:
        raise Misuse(_not_the_best(trial, means, chosen, best))
    if len(tried) < 3:
        raise Misuse(f"You tried {len(tried)}. Only three or more show a maximum between others.")
    edge = (
        f"{chosen:g} lies at the edge of what you tried, {tried[0]:g} to {tried[-1]:g}: beyond it "
        f"might be better still. Go on trying until the best {name} has worse ones on both sides."
    )
    top, best = max((trial.run(each)["test"].mean().item(), each) for each in references)
    reached = trial.seen[chosen]["test"].mean().item()
    at_edge, missed = chosen in (tried[0], tried[-1]), reached < top - 1.5
    if at_edge and (missed or len(tried) < MOST):
        raise Misuse(edge)
    if missed:
        place = tried.index(chosen)
        below, above = tried[place - 1], tried[place + 1]
        raise Misuse(
            f"On the test images {chosen:g} reaches {reached:.1f} %, and up to {top:.1f} % can be "
            "had. "
            + (
                f"Your search is too coarse: try values between {below:g} and {above:g}, too."
                if below < best < above
                else f"Your search ended too early, between {below:g} and {above:g}: next to one "
                "another the means differ by luck, too. Take larger steps, and go on well past the "
                "first that is no better."
            )
        )
    return chosen, f"\nOne step further: {edge}" if at_edge else ""


def _not_the_best(trial: Trials, means: dict[float, float], chosen: float, best: float) -> str:
    seeds = {setting: trial.validation(setting) for setting in means}
    ways = {
        "the one with the lowest mean": min(means, key=means.__getitem__),
        "the best by the first seed alone": max(seeds, key=lambda s: seeds[s][0]),
        "the best by the last seed alone": max(seeds, key=lambda s: seeds[s][-1]),
        "the one with the best single seed, which is luck": max(seeds, key=lambda s: max(seeds[s])),
        "the largest that you tried": max(means),
        "the smallest that you tried": min(means),
        "the first that you tried": next(iter(means)),
        "the last that you tried": list(means)[-1],
    }
    fitting = [way for way, setting in ways.items() if setting == chosen]
    guess = f" ({chosen:g} is {', or '.join(fitting)}.)" if fitting else ""
    return (
        f"You chose {chosen:g} with {told(means[chosen])} on the validation images, and your own "
        f"trial of {best:g} has {told(means[best])}. Choose by the mean over the seeds.{guess}"
    )
