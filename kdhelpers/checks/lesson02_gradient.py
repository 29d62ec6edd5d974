"""Lesson 02, the gradient of T² KL for the student's logits [B, C], by hand.

As in the lesson, q is the student's softmax at T and p the teacher's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Observation, mistake, numbers
from kdhelpers.checks.running import Answer, call, to_tensor


def gradient_made_of(
    *,
    factor: Callable[[float], float] = lambda temperature: temperature,
    sign: float = 1.0,
    count: Callable[[Tensor], int] = len,
    soften: Callable[[Tensor, float], Tensor] = lambda z, temperature: z / temperature,
    dim: int = 1,
) -> Answer:
    """T (q - p) / B from these decisions; the defaults are right."""

    def gradient(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
        q = F.softmax(soften(student_logits, temperature), dim=dim)
        p = F.softmax(soften(teacher_logits, temperature), dim=dim)
        return sign * factor(temperature) * (q - p) / count(q)

    return gradient


def _by_autograd(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    student_logits.requires_grad_()
    loss = losses.kd_loss(student_logits, teacher_logits, temperature=temperature)
    return torch.autograd.grad(loss, student_logits)[0]


def _observe_gradient(answer: Answer, inputs: dict[str, Any]) -> Observation:
    result = to_tensor(call(answer, inputs), wanted="the gradient, a tensor [B, C]")
    return Observation(values={"gradient": result.detach()})


def _pair(seed: int, batch: int, classes: int, temperature: float) -> dict[str, Any]:
    return {
        "student_logits": numbers(seed, batch, classes),
        "teacher_logits": numbers(seed + 1, batch, classes),
        "temperature": temperature,
    }


GRADIENT_RATIO = Exercise(
    observe=_observe_gradient,
    reference=_by_autograd,
    build=gradient_made_of,
    cases=(
        Case(partial(_pair, 80, 2, 3, 2.0)),
        Case(partial(_pair, 82, 5, 4, 4.0)),
        Case(partial(_pair, 84, 3, 10, 1.0)),
        Case(partial(_pair, 86, 4, 4, 3.0)),
    ),
    mistakes=(
        mistake(
            "This is the gradient of the KL divergence alone, T² times too small. The factor T² "
            "in front of the loss turns its 1/T into T.",
            factor=lambda temperature: 1 / temperature,
        ),
        mistake(
            "Your factor is T²: the 1/T of the chain rule is forgotten. The loss depends on "
            "z / T, so one T is lost, and T² · 1/T = T stays.",
            factor=lambda temperature: temperature**2,
        ),
        mistake(
            "The factor T is missing: T² from the loss times 1/T from the chain rule.",
            factor=lambda temperature: 1.0,
        ),
        mistake(
            "Your gradient has one 1/T too much: T² from the loss, but 1/T from the chain rule "
            "only once.",
            factor=lambda temperature: temperature**-2,
        ),
        mistake(
            "The sign is turned round: it is q - p, student minus teacher. Where the student "
            "gives too much, the gradient is positive, and the step goes down.",
            sign=-1.0,
        ),
        mistake(
            "The average over the batch is missing: divide by B, the number of rows.",
            count=lambda p: 1,
        ),
        mistake(
            "You divide by all entries, B · C. The loss is averaged over the batch only: divide "
            "by B.",
            count=lambda p: p.numel(),
        ),
        mistake(
            "You divide by the number of classes. The average runs over the batch: divide by B.",
            count=lambda p: p.shape[1],
        ),
        mistake(
            "Both softmaxes are taken at T = 1. Divide both logits by the temperature before the "
            "softmax.",
            soften=lambda z, temperature: z,
        ),
        mistake(
            "The softmax runs over the images of the batch. It belongs over the classes: `dim=1`.",
            dim=0,
        ),
    ),
    praise=(
        "T² from the loss and 1/T from the chain rule leave T (q - p) / B; as q - p itself "
        "shrinks like 1/T, the gradient keeps its size."
    ),
)
