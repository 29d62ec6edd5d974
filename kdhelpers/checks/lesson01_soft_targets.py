"""Lesson 01, soft targets: right and in their usual mistakes. Logits [B, C]."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Observation, mistake, numbers
from kdhelpers.checks.running import Answer, call, to_tensor


def soft_targets_made_of(
    *,
    scale: Callable[[Tensor, float], Tensor] = lambda z, t: z / t,
    normalise: Callable[..., Tensor] = F.softmax,
    dim: int = 1,
    afterwards: Callable[[Tensor, float], Tensor] = lambda p, t: p,
) -> Answer:
    """Probabilities [B, C] from these decisions; the defaults are right."""

    def soft_targets(logits: Tensor, temperature: float) -> Tensor:
        p = normalise(scale(logits, temperature), dim=dim)
        return afterwards(p, temperature)

    return soft_targets


def _over_everything(z: Tensor, dim: int) -> Tensor:
    return F.softmax(z.flatten(), dim=0).reshape(z.shape)


def _divided_by(fixed: float, z: Tensor, temperature: float) -> Tensor:
    return z / fixed


def _over_lost_dimension(z: Tensor, dim: int) -> Tensor:
    """By a sum [B], which lines up with the classes instead of the rows."""
    return z.exp() / z.exp().sum(dim)


def _one_hot(z: Tensor, dim: int) -> Tensor:
    return (z == z.amax(dim=dim, keepdim=True)).to(z.dtype)


def _observe_soft_targets(answer: Answer, inputs: dict[str, Any]) -> Observation:
    result = to_tensor(call(answer, inputs), wanted="the probabilities, a tensor [B, C]")
    return Observation(values={"soft targets": result})


def _logits_case(seed: int, shape: tuple[int, int], temperature: float, size: float = 1.0) -> Case:
    return Case(lambda: {"logits": size * numbers(seed, *shape), "temperature": temperature})


SOFT_TARGETS = Exercise(
    observe=_observe_soft_targets,
    reference=lambda logits, temperature: losses.soft_targets(logits, temperature=temperature),
    build=soft_targets_made_of,
    cases=(
        _logits_case(11, (2, 3), 2.0),
        _logits_case(12, (5, 4), 4.0),
        _logits_case(13, (4, 10), 1.0),
        _logits_case(14, (3, 3), 0.5),
    ),
    mistakes=(
        mistake(
            "Your logits are multiplied by the temperature, which sharpens the probabilities. "
            "Divide: `logits / temperature`.",
            scale=lambda z, t: z * t,
        ),
        mistake(
            "The temperature is not used. Divide the logits by it before the softmax: "
            "`logits / temperature`.",
            scale=lambda z, t: z,
        ),
        *(
            mistake(
                f"Your temperature is always {fixed}. Divide by the argument `temperature`.",
                scale=partial(_divided_by, fixed),
            )
            for fixed in (2, 3, 4, 5, 10, 20)
        ),
        mistake(
            "You divide by temperature². Divide the logits by the temperature itself; the square "
            "belongs to the loss.",
            scale=lambda z, t: z / t**2,
        ),
        mistake(
            "You divide the probabilities by the temperature, after the softmax, so a row no "
            "longer sums to 1. Divide the logits, before the softmax.",
            scale=lambda z, t: z,
            afterwards=lambda p, t: p / t,
        ),
        mistake(
            "The softmax, or the sum you divide by, runs over the images of the batch: each column "
            "sums to 1. It belongs over the classes: `dim=1` (and `keepdim=True` for a sum).",
            dim=0,
        ),
        mistake(
            "The softmax runs over the whole batch at once, so only the sum of everything is 1. "
            "Take it for each row: `dim=1`.",
            normalise=_over_everything,
        ),
        mistake(
            "Your sum over the classes has the shape [B], which does not line up with the rows of "
            "[B, C]. Keep the dimension: `.sum(dim=1, keepdim=True)`.",
            normalise=_over_lost_dimension,
        ),
        mistake(
            "These are log-probabilities. Use `F.softmax`, or take `.exp()` of your result.",
            normalise=F.log_softmax,
        ),
        mistake(
            "This is a sigmoid for each class; a row should sum to 1. Use `F.softmax(…, dim=1)`.",
            normalise=lambda z, dim: torch.sigmoid(z),
        ),
        mistake(
            "These are the divided logits, not yet probabilities. Apply `F.softmax` with `dim=1`.",
            normalise=lambda z, dim: z,
        ),
        mistake(
            "The softmax is applied twice. Once is enough: `F.softmax(logits / T, dim=1)`.",
            normalise=lambda z, dim: F.softmax(F.softmax(z, dim=dim), dim=dim),
        ),
        mistake(
            "Each row has a single 1 and zeros: `argmax` keeps the best class and drops the rest. "
            "Soft targets keep a probability for every class: use `F.softmax` with `dim=1`.",
            normalise=_one_hot,
        ),
        mistake(
            "Your rows are not divided by their sum, so they do not add up to 1. Divide "
            "`torch.exp(logits / temperature)` by its sum over the classes.",
            normalise=lambda z, dim: z.exp(),
        ),
    ),
    praise="the temperature divides the logits, and the softmax turns each row into probabilities.",
    extreme=_logits_case(15, (2, 3), 1.0, size=1e3),
    extreme_remark=(
        "with logits in the thousands `exp` overflows and the result is nan; `F.softmax` subtracts "
        "the largest logit first and stays finite."
    ),
)
