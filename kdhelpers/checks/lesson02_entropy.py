"""Lesson 02, entropy: probabilities [B, C] to nats [B], right and in its usual mistakes."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Observation, mistake, numbers
from kdhelpers.checks.running import Answer, call, to_tensor

Summands = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]  # p [B, C], log -> [B, C]


def _p_log_p(p: Tensor, log: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.where(p > 0, p * log(p.clamp(min=1e-30)), torch.zeros_like(p))


def entropy_made_of(
    *,
    log: Callable[[Tensor], Tensor] = torch.log,
    summands: Summands = _p_log_p,
    sign: float = -1.0,
    add_up: Callable[[Tensor], Tensor] = lambda table: table.sum(dim=1),
    before: Callable[[Tensor], Tensor] = lambda p: p,
    after: Callable[[Tensor], Tensor] = lambda h: h,
) -> Answer:
    """The entropy [B] of probabilities [B, C] from these decisions; the defaults are right."""
    return lambda probabilities: after(sign * add_up(summands(before(probabilities), log)))


def _observe_entropy(answer: Answer, inputs: dict[str, Any]) -> Observation:
    result = to_tensor(call(answer, inputs), wanted="one entropy for each row, a tensor [B]")
    return Observation(values={"entropy": result})


def _entropy_case(seed: int, batch: int, classes: int, dtype: torch.dtype = torch.float32) -> Case:
    return Case(lambda: {"probabilities": numbers(seed, batch, classes, dtype=dtype).softmax(1)})


_WITH_ZEROS = ((0.5, 0.5, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25))

ENTROPY = Exercise(
    observe=_observe_entropy,
    reference=lambda p: torch.special.entr(p).sum(dim=1),
    build=entropy_made_of,
    cases=(
        _entropy_case(61, 2, 3),
        _entropy_case(62, 5, 4),
        _entropy_case(63, 4, 10, torch.float64),
        Case(lambda: {"probabilities": torch.tensor(_WITH_ZEROS, dtype=torch.float32)}),
    ),
    mistakes=(
        mistake(
            "This is the entropy in bits (`log2`). In nats the logarithm is `torch.log`.",
            log=torch.log2,
        ),
        mistake(
            "This uses the logarithm to base 10. Take the natural one, `torch.log`.",
            log=torch.log10,
        ),
        mistake(
            "The sign is missing: log p is negative, and the entropy is MINUS the sum of p log p.",
            sign=1.0,
        ),
        mistake(
            "A probability of 0 gives nan (0 times -inf), but p log p goes to 0 there. Use "
            "`torch.special.entr(p)` or `p * p.clamp(min=1e-12).log()`.",
            depth=4,
            summands=lambda p, log: p * log(p),
        ),
        mistake(
            "You sum log p alone. Weight each logarithm with its probability: `p * p.log()`.",
            summands=lambda p, log: log(p),
        ),
        mistake(
            "You add up the whole batch. Each row has its own entropy: `.sum(dim=1)`.",
            add_up=torch.sum,
        ),
        mistake(
            "You average over the batch. Each row has its own entropy: return a tensor [B].",
            add_up=lambda table: table.sum(dim=1).mean(),
        ),
        mistake(
            "You sum over the batch (`dim=0`), one number for each class. Sum over the classes: "
            "`dim=1`.",
            add_up=lambda table: table.sum(dim=0),
        ),
        mistake(
            "You average over the classes. The entropy is a sum over them: `.sum(dim=1)`.",
            add_up=lambda table: table.mean(dim=1),
        ),
        mistake(
            "You average over everything. Each row has its own entropy, a sum over its classes.",
            add_up=torch.mean,
        ),
        mistake(
            "The values are right, but they have the shape [B, 1]. Leave out `keepdim=True`.",
            add_up=lambda table: table.sum(dim=1, keepdim=True),
        ),
        mistake(
            "This is p log p for each class. Add it up over the classes: `.sum(dim=1)`.",
            add_up=lambda table: table,
        ),
        mistake(
            "You apply a softmax first, but the argument holds probabilities already.",
            before=lambda p: p.softmax(dim=1),
        ),
        mistake(
            "This is the exponential of the entropy (the perplexity). Leave out the last `exp`.",
            after=torch.exp,
        ),
        mistake(
            "You divide by log C, which gives a value between 0 and 1. Leave that division out.",
            add_up=lambda table: table.sum(dim=1) / math.log(table.shape[1]),
        ),
    ),
    praise="0 for a certain row, log C for a uniform one, and in between the more spread the more.",
)
