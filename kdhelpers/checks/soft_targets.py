"""Lesson 01: `answer(logits, temperature)` → probabilities [B, C] of logits [B, C]."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Mistakes, numbers, returned
from kdhelpers.checks.running import Answer


def made_of(
    *,
    scale: Callable[[Tensor, float], Tensor] = lambda z, t: z / t,
    normalise: Callable[..., Tensor] = F.softmax,
    dim: int = 1,
    afterwards: Callable[[Tensor, float], Tensor] = lambda p, t: p,
) -> Answer:
    return lambda logits, temperature: afterwards(
        normalise(scale(logits, temperature), dim=dim), temperature
    )


def _over_everything(z: Tensor, dim: int) -> Tensor:
    return F.softmax(z.flatten(), dim=0).reshape(z.shape)


def _over_lost_dimension(z: Tensor, dim: int) -> Tensor:
    """By a sum [B], which lines up with the classes instead of the rows."""
    return z.exp() / z.exp().sum(dim)


def _one_hot(z: Tensor, dim: int) -> Tensor:
    return (z == z.amax(dim=dim, keepdim=True)).to(z.dtype)


def _logits(
    seed: int, shape: tuple[int, int], temperature: float, size: float = 1.0
) -> dict[str, Any]:
    return {"logits": size * numbers(seed, *shape), "temperature": temperature}


MISTAKES: Mistakes = {
    "Your logits are multiplied by the temperature, which sharpens the probabilities. Divide: "
    "`logits / temperature`.": dict(scale=lambda z, t: z * t),
    "The temperature is not used. Divide the logits by it before the softmax: `logits / "
    "temperature`.": dict(scale=lambda z, t: z),
    **{
        f"Your temperature is always {fixed}. Divide by the argument `temperature`.": dict(
            scale=lambda z, t, fixed=fixed: z / fixed
        )
        for fixed in (2, 3, 4, 5, 10, 20)
    },
    "You divide by temperature². Divide the logits by the temperature itself; the square belongs "
    "to the loss.": dict(scale=lambda z, t: z / t**2),
    "You divide the probabilities by the temperature, after the softmax, so a row no longer sums "
    "to 1. Divide the logits, "
    "before the softmax.": dict(scale=lambda z, t: z, afterwards=lambda p, t: p / t),
    "The softmax, or the sum you divide by, runs over the images of the batch: each column sums to "
    "1. It belongs over the classes: `dim=1` (and `keepdim=True` for a sum).": dict(dim=0),
    "The softmax runs over the whole batch at once, so only the sum of everything is 1. Take it "
    "for each row: `dim=1`.": dict(normalise=_over_everything),
    "Your sum over the classes has the shape [B], which does not line up with the rows of [B, C]. "
    "Keep the dimension: `.sum(dim=1, keepdim=True)`.": dict(normalise=_over_lost_dimension),
    "These are log-probabilities. Use `F.softmax`, or take `.exp()` of your result.": dict(
        normalise=F.log_softmax
    ),
    "This is a sigmoid for each class; a row should sum to 1. Use `F.softmax(…, dim=1)`.": dict(
        normalise=lambda z, dim: torch.sigmoid(z)
    ),
    "These are the divided logits, not yet probabilities. Apply `F.softmax` with `dim=1`.": dict(
        normalise=lambda z, dim: z
    ),
    "The softmax is applied twice. Once is enough: `F.softmax(logits / T, dim=1)`.": dict(
        normalise=lambda z, dim: F.softmax(F.softmax(z, dim=dim), dim=dim)
    ),
    "Each row has a single 1 and zeros: `argmax` keeps the best class and drops the rest. Soft "
    "targets keep a probability for every class: use "
    "`F.softmax` with `dim=1`.": dict(normalise=_one_hot),
    "Your rows are not divided by their sum, so they do not add up to 1. Divide `torch.exp(logits "
    "/ temperature)` by its sum over the classes.": dict(normalise=lambda z, dim: z.exp()),
}

soft_targets = Exercise(
    task=__doc__,
    observe=returned("soft targets", wanted="the probabilities, a tensor [B, C]"),
    made_of=made_of,
    reference=lambda logits, temperature: losses.soft_targets(logits, temperature=temperature),
    cases=Case.each_of(
        _logits, (11, (2, 3), 2.0), (12, (5, 4), 4.0), (13, (4, 10), 1.0), (14, (3, 3), 0.5)
    ),
    mistakes=MISTAKES,
    praise="the temperature divides the logits, and the softmax turns each row into probabilities.",
    extreme=Case(lambda: _logits(15, (2, 3), 1.0, size=1e3)),
    extreme_remark=(
        "with logits in the thousands `exp` overflows and the result is nan; `F.softmax` subtracts "
        "the largest logit first and stays finite."
    ),
)
