"""Lesson 02: `answer(student_logits, teacher_logits, temperature)` → gradient [B, C].

The gradient of T² · KL (averaged over the batch) for the student's logits [B, C], by hand.
"""

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
    factor: Callable[[float], float] = lambda T: T,
    sign: float = 1.0,
    count: Callable[[Tensor], int] = len,
    soften: Callable[[Tensor, float], Tensor] = lambda z, T: z / T,
    dim: int = 1,
) -> Answer:
    """T (q - p) / B; as in the lesson, q is the student's softmax at T and p the teacher's."""

    def gradient(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
        q = F.softmax(soften(student_logits, temperature), dim=dim)
        p = F.softmax(soften(teacher_logits, temperature), dim=dim)
        return sign * factor(temperature) * (q - p) / count(q)

    return gradient


def _by_autograd(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    student_logits.requires_grad_()
    loss = losses.kd_loss(student_logits, teacher_logits, temperature=temperature)
    return torch.autograd.grad(loss, student_logits)[0]


def _pair(seed: int, batch: int, classes: int, temperature: float) -> dict[str, Any]:
    return {
        "student_logits": numbers(seed, batch, classes),
        "teacher_logits": numbers(seed + 1, batch, classes),
        "temperature": temperature,
    }


MISTAKES: Mistakes = {
    "This is the gradient of the KL divergence alone, T² times too small. The factor T² in front "
    "of the loss turns its 1/T into T.": dict(factor=lambda temperature: 1 / temperature),
    "Your factor is T²: the 1/T of the chain rule is forgotten. The loss depends on z / T, so one "
    "T is lost, and T² · 1/T = T stays.": dict(factor=lambda temperature: temperature**2),
    "The factor T is missing: T² from the loss times 1/T from the chain rule.": dict(
        factor=lambda temperature: 1.0
    ),
    "Your gradient has one 1/T too much: T² from the loss, but 1/T from the chain "
    "rule only once.": dict(factor=lambda temperature: temperature**-2),
    "The sign is turned round: it is q - p, student minus teacher. Where the student gives too "
    "much, the gradient is positive, and the step goes down.": dict(sign=-1.0),
    "The average over the batch is missing: divide by B, the number of rows.": dict(
        count=lambda p: 1
    ),
    "You divide by all entries, B · C. The loss is averaged over the batch only: "
    "divide by B.": dict(count=lambda p: p.numel()),
    "You divide by the number of classes. The average runs over the batch: divide by B.": dict(
        count=lambda p: p.shape[1]
    ),
    "Both softmaxes are taken at T = 1. Divide both logits by the temperature "
    "before the softmax.": dict(soften=lambda z, temperature: z),
    "The softmax runs over the images of the batch. It belongs over the classes: `dim=1`.": dict(
        dim=0
    ),
}

gradient_ratio = Exercise(
    task=__doc__,
    observe=returned("gradient", wanted="the gradient, a tensor [B, C]"),
    made_of=made_of,
    reference=_by_autograd,
    cases=Case.each_of(_pair, (80, 2, 3, 2.0), (82, 5, 4, 4.0), (84, 3, 10, 1.0), (86, 4, 4, 3.0)),
    mistakes=MISTAKES,
    praise=(
        "T² from the loss and 1/T from the chain rule leave T (q - p) / B; as q - p itself "
        "shrinks like 1/T, the gradient keeps its size."
    ),
)
