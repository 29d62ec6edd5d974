"""Lesson 01: `answer(student, teacher, images, labels, optimizer, temperature, alpha)` → loss.

The function takes one optimiser step. The check hands over the student in eval mode with old
gradients and the teacher in train mode, so the step has to set both modes itself. Free are the
modes and the student's gradients afterwards, a teacher whose parameters take no more gradients,
whether the loss keeps its graph, and a second pass of the student, which is remarked on.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers.checks import training_step as steps
from kdhelpers.checks.distillation_loss import IN_A_STEP
from kdhelpers.checks.distillation_loss import solution as loss_solution
from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.networks import with_fixed_weights
from kdhelpers.checks.running import Answer, call, to_loss

BATCH, PIXELS, CLASSES = 6, 9, 3


def solution(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    temperature: float,
    alpha: float,
    *,
    loss: Way = loss_solution,
    **decisions: Any,  # of `steps.taken`
) -> Any:
    def of(teacher_logits: Tensor) -> Any:
        return loss(student(images), teacher_logits, labels, temperature, alpha)

    return steps.taken(student, teacher, optimizer, lambda: teacher(images), of, **decisions)


def _network(seed: int, width: int) -> nn.Sequential:
    """A tiny network whose batch norm tells train from eval mode."""
    hidden = nn.Linear(PIXELS, width), nn.BatchNorm1d(width)
    return with_fixed_weights(nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, CLASSES)), seed)


def _inputs(seed: int, temperature: float, alpha: float) -> dict[str, Any]:
    student = steps.with_gradients(_network(seed, 4).eval())
    return {
        "student": student,
        "teacher": steps.with_gradients(_network(seed + 10, 5).train()),
        "images": numbers(seed + 40, BATCH, 1, 3, 3),
        "labels": torch.arange(BATCH) % CLASSES,
        "optimizer": torch.optim.SGD(student.parameters(), lr=0.1),
        "temperature": temperature,
        "alpha": alpha,
    }


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student, teacher = inputs["student"], inputs["teacher"]
    with steps.watched(inputs, student) as watch:
        result = call(answer, inputs)
    passes = int(student[2].num_batches_tracked)
    return Observation(
        values={
            "loss": to_loss(result, wanted="the loss, one number").detach(),
            "student's weights after the step": steps.weights(student),
            "running mean of the teacher's batch norm": teacher[2].running_mean.clone(),
        },
        effects=watch.effects,
        clues=tuple(watch.events),
        remark=watch.remark or (_PASSES_REMARK if passes > 1 else ""),
    )


_PASSES_REMARK = (
    "the student runs over the batch more than once in train mode, which takes time, and its batch "
    "norm counts each pass. Keep the logits of the first one."
)


def _of_probabilities(
    of: str, power: int, s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float
) -> Any:
    """The loss with probabilities in place of the logits `of` "s", "t" or both, at T^power."""
    s = (s / T**power).softmax(dim=1) if "s" in of else s
    t = (t / T**power).softmax(dim=1) if "t" in of else t
    return loss_solution(s, t, y, T, alpha)


def _logits(student: nn.Module, *others: Any) -> Tensor:
    """Of the student as it was: the step comes after them."""
    logits: Tensor = student.train()(others[1])
    solution(student, *others)
    return logits


# fmt: off
MISTAKES: Mistakes = {
    "The teacher runs in train mode: its dropout and batch norm make its answers depend on chance "
    "and on the batch, and its running averages change. Call `teacher.eval()` first.":
        dict(depth=3, teacher_mode=True),
    **steps.MODE_AND_ORDER,
    steps.COMPUTED_AGAIN: [dict(again=mode) for mode in (True, False)],
    **{
        f"Your loss gets {what} logits. Hand on the output of the network as it is: the loss takes "
        "the softmax itself.":
            [dict(loss=partial(_of_probabilities, of, power)) for power in (0, 1)]
        for of, what in (("t", "the teacher's probabilities instead of its"),
                         ("s", "the student's probabilities instead of its"),
                         ("st", "probabilities of both networks instead of their"))
    },
    "Both logits come from the student, whose own answer teaches it nothing. Ask the teacher.":
        dict(loss=lambda s, t, y, T, alpha: loss_solution(s, s, y, T, alpha)),
    "You return the logits. Return the loss that you called `backward()` on.":
        dict(whole=_logits),
    **steps.inside_the_loss(IN_A_STEP, loss_solution),
}
# fmt: on

distillation_step = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=Case.each_of(_inputs, (1000, 2.0, 0.25), (2000, 3.0, 0.8), (3000, 1.0, 0.5)),
    mistakes=MISTAKES,
    praise=(
        "the teacher only answers (eval mode, no gradients), and the student takes one step: "
        "zero_grad, backward, step."
    ),
    symptoms=steps.STEPS
    | {
        "teacher weights": (
            "The teacher's weights changed. Only the student's parameters belong to the optimiser."
        ),
    },
    tips=steps.tips("student's weights after the step"),
)
