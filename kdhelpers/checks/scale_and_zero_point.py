"""Lesson 08: `answer(values, bits)` → the scale and the zero point, two numbers.

Floats [N] are to become codes 0 … 2^bits − 1: code = round(value / scale) + zero point. The codes
span the range from the smallest to the largest value, widened to include 0, which must become a
code exactly: the zero point is a whole number.
"""

from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, two_numbers


def solution(
    values: Tensor,
    bits: int,
    *,
    low: Way = lambda values: values.min().clamp(max=0),
    high: Way = lambda values: values.max().clamp(min=0),
    steps: Way = lambda bits: 2**bits - 1,
    scale: Way = lambda low, high, steps: (high - low) / steps,
    zero: Way = lambda low, scale, bits: torch.round(-low / scale),
) -> Any:
    least, most = low(values), high(values)
    step = scale(least, most, steps(bits))
    return step, zero(least, step, bits)


def _symmetric(low: Tensor, high: Tensor) -> Tensor:
    return torch.maximum(low.abs(), high.abs())


# fmt: off
MISTAKES: Mistakes = {
    "You divide by the number of codes. Between 2^bits codes lie 2^bits − 1 steps.":
        dict(steps=lambda bits: 2**bits),
    "You divide by 255 whatever the bits. That is right for 8: use `2**bits - 1`.":
        dict(steps=lambda bits: 255),
    "`2 * bits`, or `bits` alone, is not 2 to the power of bits: use `2**bits`.":
        [dict(steps=lambda bits, by=by, less=less: by * bits - less)
         for by in (2, 1) for less in (1, 0)],
    '`^` is no power in Python but a bitwise "either or": use `2**bits`.':
        [dict(steps=lambda bits: 2 ^ bits - 1), dict(steps=lambda bits: (2 ^ bits) - 1)],
    "You round the scale, and most scales are small. Only the zero point is a whole number.":
        [dict(scale=lambda low, high, steps: ((high - low) / steps).round()),
         dict(scale=lambda low, high, steps: ((high - low) / steps).round().clamp(min=1)),
         dict(scale=lambda low, high, steps: ((high - low) / steps).ceil())],
    "Your range leaves out the outermost values, by quantiles. Take the smallest and the largest.":
        [dict(low=lambda v, q=q: v.quantile(q).clamp(max=0),
              high=lambda v, q=q: v.quantile(1 - q).clamp(min=0))
         for q in (0.001, 0.005, 0.01, 0.02, 0.025, 0.05)],
    "The zero point is counted from the upper end. Code 0 is the smallest value: `-low / scale`.":
        dict(zero=lambda low, scale, bits: torch.round(low / scale + 2**bits - 1)),
    "Your range does not include 0. Padding and ReLU make zeros, which have to stay exactly 0: "
    "let the range begin at 0 at the latest, and end there at the earliest.":
        dict(low=torch.min, high=torch.max),
    "Your range begins above 0 if all values are positive. It has to include 0: `min(low, 0)`.":
        dict(low=torch.min),
    "Your range ends below 0 if all values are negative. It has to include 0: `max(high, 0)`.":
        dict(high=torch.max),
    "Your range ends at 0 or begins there, always. Only widen it to 0 where it does not reach so "
    "far.": [dict(low=lambda v: torch.zeros(())), dict(high=lambda v: torch.zeros(()))],
    "The zero point has the wrong sign: the smallest value becomes code 0, so 0 becomes `-low / "
    "scale`.": dict(zero=lambda low, scale, bits: torch.round(low / scale)),
    "The zero point is a code, a whole number: round it.":
        dict(zero=lambda low, scale, bits: -low / scale),
    "You cut the zero point off, or round it up. Round it to the nearest whole number.":
        [dict(zero=lambda low, scale, bits: torch.floor(-low / scale)),
         dict(zero=lambda low, scale, bits: torch.ceil(-low / scale))],
    "Your zero point is a value, not a code. Divide it by the scale.":
        [dict(zero=lambda low, scale, bits: -low),
         dict(zero=lambda low, scale, bits: torch.round(-low)),
         dict(zero=lambda low, scale, bits: low)],
    "You multiply by the scale. A code is a value *divided* by the scale, so the zero point is "
    "`-low / scale`.": dict(zero=lambda low, scale, bits: torch.round(-low * scale)),
    "This is the zero point for codes from −2^(bits−1), as int8 has them. Here they begin at 0: "
    "do not subtract.":
        dict(zero=lambda low, scale, bits: torch.round(-low / scale) - 2 ** (bits - 1)),
    "This is the symmetric way, with 0 in the middle of the codes. It wastes codes where one side "
    "of 0 reaches further: span the range from the smallest to the largest value.":
        [dict(scale=lambda low, high, steps: 2 * _symmetric(low, high) / steps,
              zero=lambda low, scale, bits: torch.tensor(2.0 ** (bits - 1))),
         dict(scale=lambda low, high, steps: _symmetric(low, high) / (steps // 2),
              zero=lambda low, scale, bits: torch.zeros(()))],
    "Your zero point is 0, always. The smallest value is code 0, so value 0 is some code above it.":
        dict(zero=lambda low, scale, bits: torch.zeros(())),
    "Your scale is upside down: it says how many codes a unit has. It is asked for as the value "
    "of one step, `(high - low) / steps`.":
        dict(scale=lambda low, high, steps: steps / (high - low)),
    "You divide the largest value alone. The codes span the whole range, `high - low`.":
        dict(scale=lambda low, high, steps: high / steps),
    "You add the bounds of the range. Its width is `high - low`.":
        dict(scale=lambda low, high, steps: (high + low) / steps),
    "The range is not divided into steps: that is its width.":
        dict(scale=lambda low, high, steps: high - low),
    "The two results are swapped: first the scale.": dict(then=lambda both: both[::-1]),
}
# fmt: on


def _values(bits: int, *values: float) -> dict[str, Any]:
    return {"values": torch.tensor(values, dtype=torch.float32), "bits": bits}


scale_and_zero_point = Exercise(
    task=__doc__,
    observe=two_numbers("scale", "zero point"),
    solution=solution,
    cases=(
        *Case.each_of(
            _values,
            (2, -1.0, 0.0, 0.5, 2.0),
            (8, 0.3, -1.7, 2.9, 0.01, 1.1),
            (4, 0.8, 3.1, 1.9),
            (8, -2.2, -0.7, -1.3),
        ),
        Case(lambda: _values(3, -0.9, 0.25, 0.4), edge=True),  # 3 ^ 2 is 1, and then 0 steps
    ),
    mistakes=MISTAKES,
    praise=(
        "no value moves by more than about half a scale, and 0 not at all. One outlier among the "
        "values makes the scale of all others coarse."
    ),
)
