"""Lesson 02: `answer(logits, target)` → the T at which the top soft target is `target`.

Logits [C]; exact to 0.001 in the soft target. No T reaches a target below 1/C: there the
function returns the end of its search, 1000.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way
from kdhelpers.checks.running import Answer, Misuse, call, to_number

LOW, HIGH = 0.01, 1000.0  # the exercise's search interval
EXACT = 1.001e-3  # how near the top soft target has to come
_IMPOSSIBLE = (
    "Your function fails when the target cannot be reached: the top soft target is never below "
    "1/C, here 1/3, and the target is 0.2. Return the upper end of the search then, 1000; halving "
    "the interval 100 times gets there by itself."
)


def _softened(logits: Tensor, temperature: float) -> Tensor:
    return (logits.double() / temperature).softmax(dim=0)


def _geometric(low: float, high: float) -> float:
    return math.copysign(abs(low * high) ** 0.5, high)


def _arithmetic(low: float, high: float) -> float:
    return (low + high) / 2


def solution(
    logits: Tensor,
    target: float,
    *,
    low: float = LOW,
    high: float = HIGH,
    middle: Way = _geometric,
    rounds: int = 60,
    move: tuple[bool, bool] = (True, True),  # whether the lower and the upper end move
    end: int = 1,  # which of them is returned
    measure: Way = lambda logits, T: _softened(logits, T).max(),
    too_large: Way = lambda top, target: top > target,
) -> Any:
    ends = low, high
    for _ in range(rounds):
        T = middle(*ends)
        place = 0 if too_large(measure(logits, T), target) else 1
        if move[place]:
            ends = (T, ends[1]) if place == 0 else (ends[0], T)
    return ends[end]


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    given = call(answer, inputs)
    impossible = inputs["target"] < 1 / len(inputs["logits"])
    if impossible and given is None:
        raise Misuse(_IMPOSSIBLE.replace("fails", "returns nothing"))
    wanted = "one number, the temperature"
    T = float(to_number(given, wanted=wanted, instead="one, T"))
    if isinstance(given, Tensor) and given.dtype == torch.int64:
        raise Misuse("Your temperature is a whole number, as an index is. Return T itself.")
    top = float(_softened(inputs["logits"], T).max()) if T else math.nan
    values = {"top soft target at your temperature": torch.tensor(top)}
    if impossible:
        values = {"temperature where none is high enough": torch.tensor(T)}
    return Observation(values=values, detail=f", at T = {T:.5g},")


def _case(logits: tuple[float, ...], target: float, **settings: Any) -> Case:
    def inputs() -> dict[str, Any]:
        return {"logits": torch.tensor(logits, dtype=torch.float32), "target": target}

    return Case(inputs, **{"tolerance": EXACT / target, **settings})


def _in_both(**changes: Any) -> list[dict[str, Any]]:
    """With either way of halving: where a search ends up can hang on it."""
    return [dict(changes, depth=1, middle=middle) for middle in (_geometric, _arithmetic)]


def _of_two(logits: Tensor, target: float) -> float:
    first, second = logits.topk(2).values.tolist()
    odds = math.log(target / (1 - target))
    return (first - second) / odds if odds else math.inf


def _right(logits: Tensor, target: float, otherwise: float) -> float:
    return solution(logits, target) if target > 1 / len(logits) else otherwise


# fmt: off
MISTAKES: Mistakes = {
    "Where no temperature is high enough your function returns the lower end, 1, or infinity. "
    "Return the upper end, 1000.":
        [dict(whole=lambda logits, target, other=other: _right(logits, target, other))
         for other in (LOW, 1.0, -1.0, math.inf)],
    "You return 1/T. If you searched for the factor on the logits, return 1 divided by it.":
        dict(then=lambda T: 1 / T),
    "You return T². Return T itself.": dict(then=lambda T: T**2),
    "You return the logarithm of T. Take `math.exp` of it.": dict(then=math.log),
    "You return -T. A temperature is positive.": dict(then=lambda T: -T),
    "You return the top soft target that was reached, and the exercise asks for the temperature.":
        [dict(whole=lambda logits, target: max(target, 1 / len(logits))),
         dict(whole=lambda logits, target: target)],
    "The wrong half is kept. The top soft target FALLS as T rises: where it is above the target, "
    "T has to go up, so the middle becomes the lower end.":
        _in_both(too_large=lambda top, target: top < target),
    **{
        f"You compare the soft target of the {name} class. The exercise asks for the largest one: "
        "`.max()`.": _in_both(measure=lambda logits, T, place=place: _softened(logits, T)[place])
        for name, place in (("first", 0), ("last", -1))
    },
    "You compare the second largest soft target. The largest one is asked for: `.max()`.":
        _in_both(measure=lambda logits, T: _softened(logits, T).sort().values[-2]),
    "You round T, and so it is not exact. Return it with all its digits.":
        [dict(then=lambda T, digits=digits: round(T, digits)) for digits in (0, 1, 2)],
    "You compare the smallest soft target. The largest one is asked for: `.max()`.":
        _in_both(measure=lambda logits, T: _softened(logits, T).min()),
    "You compare the mean of the soft targets, which is always 1/C. Take the largest: `.max()`.":
        _in_both(measure=lambda logits, T: 1 / len(logits)),
    "You compare the number of the class (`argmax`) with the target. Take its soft target: "
    "`.max()`.": _in_both(measure=lambda logits, T: int(logits.argmax())),
    "The softmax does not hang on the T in the middle, so every comparison says the same. Divide "
    "the logits by it: `logits / middle`.":
        _in_both(measure=lambda logits, T: _softened(logits, 1.0).max()),
    "The logits are multiplied by T. Divide them by it: `logits / T`.":
        _in_both(measure=lambda logits, T: _softened(logits, 1 / T).max()),
    "Log-probabilities are compared with the target, which is a probability. Use `softmax`, not "
    "`log_softmax`.":
        [*_in_both(measure=lambda logits, T: _softened(logits, T).log().max()),
         *_in_both(measure=lambda logits, T: -_softened(logits, T).log().max())],
    "The largest logit itself is compared, without a softmax over all classes.":
        _in_both(measure=lambda logits, T: logits.max() / T),
    "Only whole numbers are tried, as with `//`, `int`, `range` or steps of 1. The answer lies "
    "between two of them: go on with `/`.":
        [dict(middle=lambda low, high: (low + high) // 2),
         dict(middle=lambda low, high: (low + high) // 2,  # which may give T = 0, and then nan
              too_large=lambda top, target: not top < target)],
    "Only one end of the interval moves, and the search stops short. Where the top soft target is "
    "above the target the lower end becomes the middle, otherwise the upper one.":
        [way
         for move in ((True, False), (False, True))
         for end in (0, 1)
         for way in _in_both(move=move, end=end)],
    "You search among the logarithms of T and divide the logits by the logarithm. Divide by "
    "`math.exp` of the middle, and return that.":
        [dict(low=math.log(LOW), high=math.log(HIGH), middle=_arithmetic, **more)
         for more in ({}, dict(then=math.exp))],
    "This is half the DIFFERENCE of the ends. The middle is half their sum.":
        dict(middle=lambda low, high: (high - low) / 2),
    "The soft target is divided by T, after the softmax. Divide the logits, before it.":
        _in_both(measure=lambda logits, T: _softened(logits, 1.0).max() / T),
    "The middle is not computed anew in the loop, or the loop ends after its first round. Put it "
    "first in the loop, and the `return` behind the loop.":
        [*_in_both(rounds=1), dict(whole=lambda logits, target: _geometric(LOW, HIGH)),
         dict(whole=lambda logits, target: _arithmetic(LOW, HIGH))],
    "This is the formula for two classes. With more of them there is none: halve the interval.":
        dict(whole=_of_two),
    **{f"Your search begins at {low:g}, and the right T can lie below. Begin at 0.01.":
        dict(low=low) for low in (0.1, 0.5, 1.0, 2.0)},
    **{f"Your search ends at {high:g}, and the right T can lie above. End at 1000.":
        dict(high=high) for high in (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0)},
    "Your search halves too few times to be exact. 60 times cost nothing.":
        [*(dict(rounds=rounds) for rounds in (5, 8, 10)),
         *(dict(rounds=rounds, middle=_arithmetic) for rounds in (5, 8, 10, 15, 18))],
}
# fmt: on

temperature_for_confidence = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=(
        _case((3.0, 1.0, 0.0), 0.6),
        _case((0.5, 4.0, 1.0, -1.0), 0.5),
        _case((1.0, 0.4, 1.6), 0.7),
        _case((6.0, 2.0, 1.0, 0.0, -2.0), 0.9),
        _case((400.0, 100.0, 0.0), 0.6),  # T above 100
        _case((0.03, 0.11, 0.05), 0.7, tolerance=0.015),  # T below 0.1
        _case((2.0, 1.0, 0.0), 0.2, tolerance=0.01, if_it_raises=_IMPOSSIBLE),
    ),
    mistakes=MISTAKES,
    praise="the top soft target falls as T rises, so halving the interval finds the T you want.",
    tips={
        "top soft target at your temperature": (
            "Either the search is not exact enough (60 halvings are), or it goes another way: "
            "search between 0.01 and 1000 for the T whose `(logits / T).softmax(0).max()` is the "
            "target."
        ),
    },
)
