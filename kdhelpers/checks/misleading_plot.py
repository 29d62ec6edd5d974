"""Lesson 05: `answer()` → the letters of a figure's flaws, among a to g.

A text or a collection of texts, in any order, in capitals or not.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Observation
from kdhelpers.checks.running import Answer, Misuse, Unfinished, call

CHOICES = "abcdefg"

# What to look at for a flaw that is missing; the letter is for the learner to find.
HINTS = {
    "a": (
        "There is another flaw. Look where the axis begins: how many times as long is one bar as "
        "the other, and how many times as large is its accuracy?"
    ),
    "b": (
        "There is another flaw. Think of the same two runs with another seed: what in the figure "
        "says how much the bars would move?"
    ),
    "d": (
        "There is another flaw. Count the tries: how many settings was each of the two sides "
        "allowed?"
    ),
    "f": (
        "There is another flaw. Ask on which images the winner was picked, and on which images it "
        "was then scored."
    ),
}
FALSE_ALARMS = {
    "c": "(c) is no flaw: the colours tell the two bars apart and claim nothing.",
    "e": "(e) is no flaw: percent is the usual unit, and it is the same for both bars.",
    "g": (
        "(g) is no flaw: students of the same size are what makes the comparison fair. Nothing "
        "but the temperature should differ."
    ),
}


def _letters(result: Any) -> set[str]:
    """The letters in a text or in any collection of texts; of a mapping those that are true."""
    if isinstance(result, Mapping):
        result = [key for key, value in result.items() if value]
    many = isinstance(result, Iterable) and not isinstance(result, str | Tensor)
    texts = list(islice(result, 100)) if many else [result]
    if not all(isinstance(text, str) for text in texts):
        what = "nothing" if result is None else f"a value of type {type(result).__name__}"
        raise Misuse(f"Your function returned {what}. Return the letters of the flaws as a text.")
    words = [word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())]
    found = {letter for word in words if word != "and" for letter in word}
    if unknown := sorted(found - set(CHOICES)):
        raise Misuse(
            f"The choices are a to {CHOICES[-1]}, and your answer holds '{unknown[0]}'. Return "
            "the letters alone, as one text or a list."
        )
    if not found:
        raise Unfinished("return the letters of the flaws that you see.")
    return found


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    """False alarms all at once, missing flaws one at a time: the rest is still to be found."""
    found = _letters(call(answer, inputs))
    missing = next((flaw for flaw in HINTS if flaw not in found), None)
    false = {letter: letter in found for letter in FALSE_ALARMS}
    return Observation(values={}, effects=false | {flaw: flaw == missing for flaw in HINTS})


misleading_plot = Exercise(
    task=__doc__,
    observe=_observe,
    solution=lambda: "".join(HINTS),
    cases=(Case(dict),),
    symptoms=FALSE_ALARMS | HINTS,
    praise=(
        "a cut axis, no intervals, an untuned rival and a choice made on the test images: each "
        "one alone can make a difference out of nothing."
    ),
)
