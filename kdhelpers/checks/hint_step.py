"""Lesson 04: `answer(student, teacher, regressor, images, optimizer)` → loss.

One optimiser step of stage 1 on the hint between `student.lower` and `teacher.lower`; both
networks have a `lower` and an `upper` part. Only `student.lower` and the regressor change,
although the optimiser holds `student.upper` too. Modes and old gradients as in
`distillation_step`; `student.lower` runs once.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers import losses
from kdhelpers.checks import training_step as steps
from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.hint_loss import IN_A_STEP
from kdhelpers.checks.hint_loss import solution as loss_solution
from kdhelpers.checks.networks import halves, with_fixed_weights
from kdhelpers.checks.running import Answer, call, to_loss


def solution(
    student: nn.Module,
    teacher: nn.Module,
    regressor: nn.Module,
    images: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    features: Way = lambda network, images: network.lower(images),
    target: Way | None = None,  # the teacher's features, if they are other ones
    loss: Way = loss_solution,
    extra: Way | None = None,  # of the logits
    clear: Way = lambda optimizer, student, regressor: optimizer.zero_grad(),
    **decisions: Any,  # of `steps.taken`
) -> Any:
    def of(teacher_features: Tensor) -> Any:
        hint = loss(features(student, images), teacher_features, regressor)
        return hint + extra(student(images), teacher(images).detach()) if extra else hint

    return steps.taken(
        student,
        teacher,
        optimizer,
        lambda: (target or features)(teacher, images),
        of,
        clear=lambda: clear(optimizer, student, regressor),
        **decisions,
    )


def _inputs(seed: int, student_channels: int, teacher_channels: int) -> dict[str, Any]:
    def made(module: nn.Module, seed: int) -> nn.Module:
        return steps.with_gradients(with_fixed_weights(module, seed))

    student = made(halves(student_channels), seed).eval()
    regressor = made(nn.Conv2d(student_channels, teacher_channels, 1), seed + 20)
    parameters = [*student.parameters(), *regressor.parameters()]
    return {
        "student": student,
        "teacher": made(halves(teacher_channels), seed + 10).train(),
        "regressor": regressor,
        "images": numbers(seed + 60, 6, 1, 4, 4),
        "optimizer": torch.optim.SGD(parameters, lr=0.1, weight_decay=0.1),
    }


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student, teacher, regressor = inputs["student"], inputs["teacher"], inputs["regressor"]
    upper, lower = steps.weights(student.upper), student.lower
    above = student.upper, teacher.upper
    with steps.watched(inputs, lower, regressor, guided="lower", above=above) as watch:
        result = call(answer, inputs)
    loss = to_loss(result, wanted="the loss, one number")
    remark = _UPPER_REMARK if "above" in watch.seen else _LOSS_REMARK if loss.requires_grad else ""
    return Observation(
        values={
            "loss": loss.detach(),
            "weights of `student.lower` after the step": steps.weights(lower),
            "regressor's weights after the step": steps.weights(regressor),
            "weights of `student.upper` after the step": steps.weights(student.upper),
            "running mean of the teacher's batch norm": teacher.lower.norm.running_mean.clone(),
        },
        effects={
            **watch.effects,
            "two passes": int(lower.norm.num_batches_tracked) > 1,
            "upper changed": not torch.equal(steps.weights(student.upper), upper),
        },
        clues=tuple(watch.events),
        remark=watch.remark or remark,
    )


_UPPER_REMARK = (
    "a network runs to its end, although the hint needs nothing above the guided layer. With "
    "`student.lower(images)` and `teacher.lower(images)` the step takes less time."
)
_LOSS_REMARK = (
    "the loss that you return still hangs on its graph. Return `loss.item()` or `loss.detach()`, "
    "and a list of many losses keeps nothing else in memory."
)

# fmt: off
MISTAKES: Mistakes = {
    "The teacher runs in train mode: its batch norm makes its features depend on the batch, and "
    "its running averages change. Call `teacher.eval()` first.": dict(depth=3, teacher_mode=True),
    **steps.MODE_AND_ORDER,
    "Only a part of the old gradients is cleared, and the rest still moves the weights. "
    "`optimizer.zero_grad()` clears those of the student and of the regressor.":
        [dict(depth=1, clear=clear) for clear in (
            lambda o, student, regressor: student.zero_grad(),
            lambda o, student, regressor: student.lower.zero_grad(),
            lambda o, student, regressor: regressor.zero_grad(),
            lambda o, student, regressor: (student.lower.zero_grad(), regressor.zero_grad()),
        )],
    "The gradients of `student.upper` are 0 instead of None, so the optimiser's weight decay "
    "still moves it. Clear them with `set_to_none=True`, the default, and keep the logits out of "
    "the loss.":
        dict(depth=1,
             clear=lambda optimizer, student, regressor: optimizer.zero_grad(set_to_none=False)),
    "The regressor does not learn: its gradients are switched off. It is trained together with "
    "`student.lower`.":
        dict(loss=partial(loss_solution, student_side=lambda f, r: r.requires_grad_(False)(f))),
    "`student.lower` does not learn, only the regressor does. Run it outside `torch.no_grad()`, "
    "and do not detach its features.":
        dict(loss=partial(loss_solution, student_side=lambda f, r: r(f.detach()))),
    "These are the features AFTER the activation, through a ReLU or a hook whose tensor the "
    "in-place ReLU behind it overwrites. Take what `lower` puts out, or keep a copy of it.":
        dict(features=lambda network, images: F.relu(network.lower(images))),
    "The regressor gets logits. The hint compares the features of the guided layer, "
    "`student.lower(images)` and `teacher.lower(images)`.":
        dict(depth=1, features=lambda network, images: network(images)),
    "The student's features are compared with the teacher's logits. Both sides of the hint are "
    "features, and the teacher's are `teacher.lower(images)`.":
        [dict(depth=1, target=lambda network, images: network(images)),
         dict(depth=1, target=lambda network, images: network(images)[:, :, None, None])],
    "You compare the logits of the two networks. The hint compares the features of the guided "
    "layer, `student.lower(images)` and `teacher.lower(images)`.":
        dict(depth=1, features=lambda network, images: network(images),
             loss=lambda s, t, regressor: F.mse_loss(s, t)),
    "Your loss has a term for the logits as well. Stage 1 is the hint alone, so `student.upper` "
    "stays as it is until stage 2.":
        [dict(extra=F.mse_loss),
         *(dict(depth=1, extra=partial(losses.kd_loss, temperature=T)) for T in (1.0, 2.0, 4.0))],
    steps.COMPUTED_AGAIN: [dict(depth=1, again=mode) for mode in (True, False)],
    **steps.inside_the_loss(IN_A_STEP, loss_solution),
}
# fmt: on

hint_step = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=Case.each_of(_inputs, (4000, 3, 5), (5000, 4, 2), (6000, 3, 3)),
    mistakes=MISTAKES,
    praise=(
        "the teacher only answers, `student.lower` and the regressor take one step towards its "
        "features, and `student.upper` waits for stage 2."
    ),
    symptoms=steps.STEPS
    | {
        "two passes": (
            "`student.lower` runs over the batch more than once in train mode, and its batch norm "
            "moves its running averages at each pass. Keep the features of one pass."
        ),
        "teacher weights": (
            "The teacher's weights changed. Only the student's parameters and the regressor's "
            "belong to the optimiser."
        ),
        "upper changed": (
            "The weights of `student.upper` changed, and stage 1 trains `student.lower` and the "
            "regressor alone. Old gradients or a loss on the logits may have moved them."
        ),
        "student frozen": (
            "A part of the student no longer takes gradients after your step, and stage 2 trains "
            "all of it. The hint's gradient never reaches `student.upper`: nothing needs freezing."
        ),
    },
    tips=steps.tips("weights of `student.lower` after the step"),
)
