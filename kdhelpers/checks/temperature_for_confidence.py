"""Lesson 02: `answer(logits, target)` → the T at which the top soft target is `target`.

Logits [C]; exact to 0.001 in the soft target. No T reaches a target below 1/C: there the
function returns the end of its search, 1000, or raises `ValueError`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Observation
from kdhelpers.checks.running import Answer, call, to_number

LOW, HIGH = 0.01, 1000.0  # the exercise's search interval
EXACT = 1.001e-3  # how near the top soft target has to come
FAR = 20.0  # an answer that is so many times too large or too small came from an end


def _confidence(logits: Tensor, temperature: float) -> float:
    return float((logits.double() / temperature).softmax(dim=0).max())


def _bisected(logits: Tensor, target: float) -> float:
    """The right T; for a target below 1/C the end of the search interval."""
    low, high = LOW, HIGH
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _confidence(logits, middle) > target else (low, middle)
    return high


def made_of(*, after: Callable[[float], float] = lambda temperature: temperature) -> Answer:
    return lambda logits, target: after(_bisected(logits, target))


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    reachable = inputs["target"] > 1 / len(inputs["logits"])
    try:
        given = call(answer, inputs)
    except ValueError:
        if reachable:
            raise
        given = math.inf  # to refuse an impossible target is as good as the end of the search
    wanted = "one number, the temperature"
    temperature = float(to_number(given, wanted=wanted, instead="one, T"))
    right = _bisected(inputs["logits"], inputs["target"])
    confidence = _confidence(inputs["logits"], temperature) if temperature else math.nan
    far = not right / FAR < temperature < right * FAR
    near = abs(confidence - inputs["target"]) < EXACT
    return Observation(
        values={"top soft target at your temperature": torch.tensor(confidence)},
        effects={"far": reachable and far, "close": reachable and not far and not near},
        detail=f", at T = {temperature:.5g},",
    )


def _case(logits: tuple[float, ...], target: float, **settings: Any) -> Case:
    def inputs() -> dict[str, Any]:
        return {"logits": torch.tensor(logits, dtype=torch.float32), "target": target}

    return Case(inputs, **{"tolerance": EXACT / target, **settings})


temperature_for_confidence = Exercise(
    task=__doc__,
    observe=_observe,
    made_of=made_of,
    cases=(
        _case((3.0, 1.0, 0.0), 0.6),
        _case((0.5, 4.0, 1.0, -1.0), 0.5),
        _case((1.0, 1.6, 0.4), 0.7),
        _case((6.0, 2.0, 1.0, 0.0, -2.0), 0.9),
        _case(
            (2.0, 1.0, 0.0),
            0.2,
            tolerance=0.1,
            if_it_raises=(
                "Your function fails when the target cannot be reached: the top soft target is "
                "never below 1/C, here 1/3, and the target is 0.2. Return the upper end of the "
                "search then, 1000; halving the interval 100 times gets there by itself. Raising a "
                "`ValueError` is right, too."
            ),
        ),
    ),
    mistakes={
        "You return 1/T. If you searched for the factor on the logits, return 1 "
        "divided by it.": dict(after=lambda temperature: 1 / temperature),
        "You return T². Return T itself.": dict(after=lambda temperature: temperature**2),
        "You return the logarithm of T. Take `math.exp` of it.": dict(after=math.log),
        "You return -T. A temperature is positive.": dict(after=lambda temperature: -temperature),
    },
    praise="the top soft target falls as T rises, so halving the interval finds the T you want.",
    symptoms={
        "far": (
            "Your temperature is far off, as if the search ran to one end of its interval. The "
            "top soft target FALLS as T rises: where it is above the target, T has to go up."
        ),
        "close": (
            "Your temperature is not close enough. If you halve the interval, do it more often: 60 "
            "times cost nothing."
        ),
    },
    tips={"top soft target at your temperature": "Search between 0.01 and 1000."},
)
