"""Lesson 01: `answer(logits, temperature)` → probabilities [B, C] of logits [B, C]."""

from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, numbers, returned


def solution(
    logits: Tensor,
    temperature: float,
    *,
    scale: Way = lambda z, t: z / t,
    below: Way | None = None,  # below the fraction line, if other
    power: Way = torch.exp,
    total: Way = lambda e, dim: e.sum(dim, keepdim=True),
    dim: int = 1,
    afterwards: Way = lambda p, t: p,
) -> Any:
    above, under = (f(logits, temperature) for f in (scale, below or scale))
    return afterwards(power(above) / total(power(under), dim), temperature)


def _logits(seed: int, batch: int, classes: int, temperature: float, size: float = 1) -> Any:
    return {"logits": size * numbers(seed, batch, classes), "temperature": temperature}


# fmt: off
MISTAKES: Mistakes = {
    "Your logits are multiplied by the temperature, which sharpens the probabilities. Divide: "
    "`logits / temperature`.": dict(scale=lambda z, t: z * t),
    "The temperature has no effect: it is not used, or it divides `exp(logits)` or is subtracted "
    "from the logits, where it cancels. Divide the logits by it first: `logits / temperature`.":
        dict(scale=lambda z, t: z),
    "You divide by temperature². Divide the logits by the temperature itself; the square belongs "
    "to the loss.": dict(scale=lambda z, t: z / t**2),
    "You divide by the root of the temperature. Divide the logits by the temperature itself.":
        dict(scale=lambda z, t: z / t**0.5),
    "`//` cuts the divided logits down to whole numbers. Divide them with `/`.":
        dict(scale=lambda z, t: z // t),
    "The temperature is subtracted from the logits, or added to them. Divide by it, on both sides "
    "of the fraction line: `logits / temperature`.":
        [dict(scale=lambda z, t, by=by: z + by * t, below=lambda z, t: z) for by in (-1, 1)],
    "Above the fraction line the logits are divided by the temperature, below it they are not. "
    "Both sides need `logits / temperature`.": dict(below=lambda z, t: z),
    "Below the fraction line the logits are divided by the temperature, above it they are not. "
    "Both sides need `logits / temperature`.": dict(scale=lambda z, t: z, below=lambda z, t: z / t),
    "You divide the probabilities by the temperature, after the softmax, so a row no longer sums "
    "to 1. Divide the logits, before the softmax.":
        dict(scale=lambda z, t: z, afterwards=lambda p, t: p / t),
    "The temperature divides twice, the logits and then the probabilities as well. Leave out the "
    "second division.": dict(afterwards=lambda p, t: p / t),
    "You take the probabilities to the power 1 / temperature, and then a row no longer sums to 1. "
    "Divide by its sum again, or divide the logits before.":
        dict(scale=lambda z, t: z, afterwards=lambda p, t: p ** (1 / t)),
    "Your exponent has a minus, so the least likely class becomes the most likely. Use "
    "`torch.exp(logits / temperature)`.": dict(power=lambda z: (-z).exp()),
    "`exp` is missing: the divided logits themselves are divided by their sum, and can be "
    "negative.": dict(power=lambda z: z),
    "The base is 2 instead of e. Use `torch.exp`.": dict(power=torch.exp2),
    "The softmax, or the sum you divide by, runs over the images of the batch: each column sums "
    "to 1. It belongs over the classes: `dim=1` (and `keepdim=True` for a sum).": dict(dim=0),
    "The softmax runs over the whole batch at once, so only the sum of everything is 1. Take it "
    "for each row: `dim=1`.": dict(total=lambda e, dim: e.sum()),
    "Your sum over the classes has the shape [B], which does not line up with the rows of [B, C]. "
    "Keep the dimension: `.sum(dim=1, keepdim=True)`.": dict(total=lambda e, dim: e.sum(dim)),
    "You divide by the mean of each row, so a row sums to C. Divide by its sum.":
        dict(total=lambda e, dim: e.mean(dim, keepdim=True)),
    "You divide by the largest value of each row, which becomes 1. Divide by the row's sum.":
        dict(total=lambda e, dim: e.amax(dim, keepdim=True)),
    "Your rows are not divided by their sum, so they do not add up to 1. Divide `torch.exp(logits "
    "/ temperature)` by its sum over the classes.": dict(total=lambda e, dim: torch.ones(1)),
    "These are log-probabilities. Use `F.softmax`, or take `.exp()` of your result.":
        dict(afterwards=lambda p, t: p.log()),
    "This is a sigmoid for each class; a row should sum to 1. Divide by the sum over the classes.":
        dict(total=lambda e, dim: 1 + e),
    "These are the divided logits, not yet probabilities. Take `exp`, and divide by the sum over "
    "the classes.": dict(power=lambda z: z, total=lambda e, dim: torch.ones(1)),
    "The softmax is applied twice. Once is enough, to `logits / temperature`.":
        [dict(afterwards=lambda p, t: p.softmax(1)),
         dict(afterwards=lambda p, t: (p / t).softmax(1)),
         dict(scale=lambda z, t: z, afterwards=lambda p, t: (p / t).softmax(1))],
    "Each row has a single 1 and zeros: `argmax` keeps the best class and drops the rest. Soft "
    "targets keep a probability for every class.":
        dict(afterwards=lambda p, t: (p == p.amax(1, keepdim=True)).to(p.dtype)),
}
# fmt: on

soft_targets = Exercise(
    task=__doc__,
    observe=returned(
        "soft targets",
        wanted="the probabilities, a tensor [B, C]",
        without=("softmax", "log_softmax"),
        remark=(
            "this calls torch's softmax, and the exercise asks for it from scratch: `exp`, `sum` "
            "and a division."
        ),
        sums=True,
    ),
    solution=solution,
    cases=Case.each_of(
        _logits, (11, 2, 3, 2.0), (12, 5, 4, 4.0), (13, 4, 10, 1.0), (14, 3, 3, 0.5)
    ),
    mistakes=MISTAKES,
    praise="the temperature divides the logits, and the softmax turns each row into probabilities.",
    symptoms={
        "sums": (
            "Your rows do not all sum to 1. Each of them should: divide by its own sum over the "
            "classes, `.sum(dim=1, keepdim=True)`, as the last step."
        ),
    },
    parts={
        "Where the temperature is 1 your result is right, so look at where it enters: it divides "
        "the logits, before `exp` and everywhere.": {"temperature": 1.0},
    },
    extreme=Case(lambda: _logits(15, 2, 3, 1.0, size=1e3)),
    extreme_remark=(
        "with logits in the thousands `exp` overflows and the result is nan; subtract the largest "
        "logit of each row first, as torch's softmax does."
    ),
)
