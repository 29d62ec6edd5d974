"""Lesson 01, the distillation loss: what is observed, and the exercise. Logits [B, C]."""

from functools import partial
from typing import Any

import torch

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Observation, numbers
from kdhelpers.checks.lesson01_loss_mistakes import (
    FIXED_MISTAKES,
    KL,
    SHAPE_MISTAKES,
    VALUE_MISTAKES,
    distillation_loss_made_of,
)
from kdhelpers.checks.running import Answer, call, to_tensor


def _observe_loss(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student = inputs["student_logits"].requires_grad_()
    teacher = inputs["teacher_logits"].requires_grad_()
    used: set[str] = set()
    loss = to_tensor(call(answer, inputs, used), wanted="one number, the loss of the batch")
    loss = loss.reshape(()) if loss.numel() == 1 else loss
    if loss.requires_grad:
        with torch.enable_grad():
            loss.sum().backward()
    values = {"loss": loss.detach()}
    if student.grad is not None and bool(student.grad.any()):
        values["gradient of the loss for student_logits"] = student.grad
    return Observation(
        values=values,
        effects={
            "student without gradient": len(values) == 1,
            "teacher with gradient": teacher.grad is not None and bool(teacher.grad.any()),
            "negative": bool((loss < 0).any()),
        },
        remark=_KL_DIV_REMARK if "kl_div" in used else "",
    )


_KL_DIV_REMARK = (
    "this loss calls `F.kl_div`, and the exercise asks for it without. Write its sum yourself: "
    f"{KL}."
)


def _loss_inputs(seed: int, batch: int, classes: int, temperature: float, alpha: float) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return {
        "student_logits": numbers(seed + 1, batch, classes),
        "teacher_logits": numbers(seed + 2, batch, classes),
        "labels": torch.randint(classes, (batch,), generator=generator),
        "temperature": temperature,
        "alpha": alpha,
    }


DISTILLATION_LOSS = Exercise(
    observe=_observe_loss,
    reference=lambda s, t, y, temperature, alpha: losses.distillation_loss(
        s, t, y, temperature=temperature, alpha=alpha
    ),
    build=distillation_loss_made_of,
    cases=(
        Case(partial(_loss_inputs, 20, 2, 3, 2.0, 0.9)),
        Case(partial(_loss_inputs, 30, 5, 4, 4.0, 0.25)),
        Case(partial(_loss_inputs, 40, 6, 10, 1.0, 0.9)),
        Case(partial(_loss_inputs, 50, 3, 3, 3.0, 0.6)),
    ),
    mistakes=VALUE_MISTAKES + FIXED_MISTAKES + SHAPE_MISTAKES,
    praise=(
        "T² times the KL divergence, weighted by alpha, plus the cross-entropy with the labels; "
        "only the student learns from it."
    ),
    symptoms={
        "student without gradient": (
            "No gradient reaches the student, so it cannot learn from this loss. Something cuts "
            "the connection: `.item()`, `float()`, `.detach()`, `no_grad` or NumPy. Return the "
            "torch number itself."
        ),
        "teacher with gradient": (
            "A gradient reaches `teacher_logits`. The teacher is the fixed target: use "
            "`teacher_logits.detach()`, or compute its probabilities under `torch.no_grad()`."
        ),
        "negative": (
            "Your loss is negative, and a KL divergence or a cross-entropy never is. Check the "
            f"soft term: {KL}. The logarithms stand in the brackets, and the teacher's is first."
        ),
    },
    extreme=Case(
        lambda: {
            "student_logits": torch.tensor([[0.0, 500.0, 0.0], [0.0, 0.0, 500.0]]),
            "teacher_logits": torch.tensor([[500.0, 0.0, 0.0], [0.0, 500.0, 0.0]]),
            "labels": torch.tensor([0, 1]),
            "temperature": 1.0,
            "alpha": 0.5,
        }
    ),
    extreme_remark=(
        "when two logits are 500 apart a probability rounds to 0 and its log to -inf, so your loss "
        "is not finite; `F.log_softmax` avoids it."
    ),
)
