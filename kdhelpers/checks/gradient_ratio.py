"""Lesson 02: `answer(student_logits, teacher_logits, temperature)` → gradient [B, C].

The gradient of T² · KL (averaged over the batch) for the student's logits [B, C], by hand.
"""

from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, numbers, returned


def solution(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    *,
    factor: Way = lambda T: T,
    count: Way = len,
    soften: Way = lambda s, t, T: (s / T, t / T),
    difference: Way = torch.sub,  # of q and p
    dim: int = 1,
) -> Any:
    """T (q - p) / B; as in the lesson, q is the student's softmax at T and p the teacher's."""
    softened = soften(student_logits, teacher_logits, temperature)
    q, p = (F.softmax(each, dim=dim) for each in softened)
    return factor(temperature) * difference(q, p) / count(q)


def _apart(classes: int, power: int, batch: int, z: Tensor, v: Tensor, T: float) -> Any:
    """The difference of the logits, divided by C and B or not, times a power of T."""
    return T**power * (z - v) / z.shape[1] ** classes / len(z) ** batch


def _reverse(q: Tensor, p: Tensor) -> Tensor:
    log = (q / p).log()
    return q * (log - (q * log).sum(1, keepdim=True))


def _pair(seed: int, batch: int, classes: int, temperature: float) -> dict[str, Any]:
    return {
        "student_logits": numbers(seed, batch, classes),
        "teacher_logits": numbers(seed + 1, batch, classes),
        "temperature": temperature,
    }


# fmt: off
MISTAKES: Mistakes = {
    "This is the gradient of the KL divergence alone, T² times too small. The factor T² in front "
    "of the loss turns its 1/T into T.": dict(factor=lambda temperature: 1 / temperature),
    "Your factor is T²: the 1/T of the chain rule is forgotten. The loss depends on z / T, so one "
    "T is lost, and T² · 1/T = T stays.": dict(factor=lambda temperature: temperature**2),
    "The factor T is missing: T² from the loss times 1/T from the chain rule.":
        dict(factor=lambda temperature: 1.0),
    "Your gradient has one 1/T too much: T² from the loss, but 1/T from the chain rule only once.":
        dict(factor=lambda temperature: temperature**-2),
    "The sign is turned round: it is q - p, student minus teacher. Where the student gives too "
    "much, the gradient is positive, and the step goes down.": dict(then=torch.neg),
    "The average over the batch is missing: divide by B, the number of rows.":
        dict(count=lambda p: 1),
    "You divide by all entries, B · C. The loss is averaged over the batch only: divide by B.":
        dict(count=lambda p: p.numel()),
    "You divide by the number of classes. The average runs over the batch: divide by B.":
        dict(count=lambda p: p.shape[1]),
    "Both softmaxes are taken at T = 1. Divide both logits by the temperature before the softmax.":
        dict(soften=lambda s, t, T: (s, t)),
    "The teacher's softmax is taken at T = 1. Divide its logits by the temperature, too.":
        dict(soften=lambda s, t, T: (s / T, t)),
    "The student's softmax is taken at T = 1. Divide its logits by the temperature, too.":
        dict(soften=lambda s, t, T: (s, t / T)),
    "The logits are multiplied by the temperature before the softmax. Divide them by it.":
        dict(soften=lambda s, t, T: (s * T, t * T)),
    "This is the limit for large T, (z - v) / (C · T) with its factors. It is no softmax, and for "
    "a finite T only near: use T (q - p) / B.":
        [dict(whole=partial(_apart, 1, *powers)) for powers in product((0, -1, -2, 1), (1, 0))],
    "The logits are subtracted. Subtract their softmaxes at T: q - p.":
        [dict(whole=partial(_apart, 0, *powers)) for powers in product((1, -1, 0), (1, 0))],
    "Log-probabilities are subtracted. The gradient has the probabilities: q - p.":
        [dict(difference=lambda q, p: q.log() - p.log()),
         dict(difference=lambda q, p: q.log() - p)],
    "This is the gradient for q, -p / q. The loss hangs on the logits through the softmax: its "
    "chain rule turns it into q - p.":
        [dict(difference=lambda q, p: -p / q, factor=lambda T, power=power: T**power)
         for power in (1, 2, 0)],
    "You divide one by the other. The gradient is their difference, q - p.":
        [dict(whole=lambda z, v, T: (z / T).softmax(1) / (v / T).softmax(1)),
         dict(whole=lambda z, v, T: (v / T).softmax(1) / (z / T).softmax(1)),
         dict(whole=lambda z, v, T: z / v)],
    "The softmax's own derivative, q (1 - q), is still on it. With the logarithm of the loss it "
    "cancels: q - p stays.": dict(difference=lambda q, p: (q - p) * q * (1 - q)),
    "This is the gradient of the divergence the other way round, KL(student ‖ teacher). That of "
    "KL(teacher ‖ student) is simpler: q - p.":
        dict(difference=_reverse),
    "These are the summands of the loss. Its gradient is asked for: q - p.":
        [dict(difference=lambda q, p: p * (p / q).log(), factor=lambda T, power=power: T**power)
         for power in (1, 2, 0)],
    "The teacher's best class stands where its soft targets belong, as with hard labels. Use its "
    "softmax at T.":
        [dict(difference=lambda q, p: q - F.one_hot(p.argmax(1), p.shape[1]), **more)
         for more in ({}, dict(factor=lambda T: 1.0, soften=lambda s, t, T: (s, t)))],
    "You return the loss. Its gradient is asked for, with a number for each image and class.":
        [dict(whole=lambda z, v, T, f=f: f(T) * losses.kd_loss(z, v, temperature=T))
         for f in (lambda T: 1.0, lambda T: T**-2)],
    "You add up or average over the batch, and one row is left. Each image has its own: divide by "
    "B, and keep all rows.":
        [dict(then=lambda g: g.sum(0)), dict(then=lambda g: g.mean(0)),
         dict(then=lambda g: g.mean(0, keepdim=True))],
    "The softmax runs over the images of the batch. It belongs over the classes: `dim=1`.":
        dict(dim=0),
}
# fmt: on

gradient_ratio = Exercise(
    task=__doc__,
    observe=returned(
        "gradient",
        wanted="the gradient, a tensor [B, C]",
        without=("backward", "grad", "requires_grad_"),
        remark=(
            "this lets autograd work, and the exercise asks for the gradient by hand: T times the "
            "difference of two softmaxes, over B."
        ),
    ),
    solution=solution,
    cases=Case.each_of(_pair, (80, 2, 3, 2.0), (82, 5, 4, 4.0), (84, 3, 10, 1.0), (86, 4, 4, 3.0)),
    mistakes=MISTAKES,
    parts={
        "Where the temperature is 1 your result is right, so look at where it enters: in both "
        "softmaxes, and once in front.": {"temperature": 1.0},
    },
    praise=(
        "T² from the loss and 1/T from the chain rule leave T (q - p) / B; as q - p itself "
        "shrinks like 1/T, the gradient keeps its size."
    ),
)
