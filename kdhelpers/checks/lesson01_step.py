"""Lesson 01, one distillation step: right and in its usual mistakes.

The student is handed over in eval mode with old gradients, the teacher in train mode and with
parameters that would take gradients, as they may be in the middle of a training script.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Mistake, Observation, mistake, numbers
from kdhelpers.checks.lesson01_loss_mistakes import VALUE_MISTAKES, distillation_loss_made_of
from kdhelpers.checks.running import Answer, call, to_tensor

BATCH, PIXELS, CLASSES = 6, 9, 3

Order = tuple[str, ...]  # of "zero", "backward", "step"


class _Watch(NamedTuple):
    """What hooks see while the step runs."""

    events: list[str]  # "backward" and "step", without repetitions
    teacher_graph: list[bool]


def distillation_step_made_of(
    *,
    teacher_mode: bool = False,
    student_mode: bool = True,
    teacher_context: Callable[[], AbstractContextManager[Any]] = torch.no_grad,
    loss: Answer = distillation_loss_made_of(detach=False),  # noqa: B008
    order: Order = ("zero", "backward", "step"),
    again: bool | None = None,  # loss computed anew after the step, in train (True) or eval mode
) -> Answer:
    """A training step from these decisions; the defaults are right."""

    def distillation_step(
        student: nn.Module,
        teacher: nn.Module,
        images: Tensor,
        labels: Tensor,
        optimizer: torch.optim.Optimizer,
        temperature: float,
        alpha: float,
    ) -> Tensor:
        teacher.train(teacher_mode)
        student.train(student_mode)
        with teacher_context():
            teacher_logits = teacher(images)
        value: Tensor = loss(student(images), teacher_logits, labels, temperature, alpha)
        actions: dict[str, Callable[[], Any]] = {
            "zero": optimizer.zero_grad,
            "backward": value.backward,
            "step": optimizer.step,
        }
        for action in order:
            actions[action]()
        if again is not None:
            student.train(again)
            value = loss(student(images), teacher_logits, labels, temperature, alpha)
        return value

    return distillation_step


def _network(seed: int, width: int) -> nn.Sequential:
    """A tiny network whose batch norm tells train from eval mode; fixed weights, float32."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, width), nn.BatchNorm1d(width), nn.Linear(width, CLASSES)
    ).to(dtype=torch.float32)
    parameters = list(network.parameters())
    vector_to_parameters(0.4 * numbers(seed, sum(p.numel() for p in parameters)), parameters)
    network.get_buffer("2.running_mean").copy_(0.3 * numbers(seed + 1, width))
    return network


def _step_inputs(seed: int, temperature: float, alpha: float) -> dict[str, Any]:
    student, teacher = _network(seed, 4).eval(), _network(seed + 10, 5).train()
    for place, parameter in enumerate(student.parameters()):
        parameter.grad = 0.2 * numbers(seed + 20 + place, *parameter.shape)
    return {
        "student": student,
        "teacher": teacher,
        "images": numbers(seed + 40, BATCH, 1, 3, 3),
        "labels": torch.arange(BATCH) % CLASSES,
        "optimizer": torch.optim.SGD(student.parameters(), lr=0.1),
        "temperature": temperature,
        "alpha": alpha,
    }


@contextmanager
def _watched(
    student: nn.Module, teacher: nn.Module, optimizer: torch.optim.Optimizer
) -> Iterator[_Watch]:
    watch = _Watch([], [])

    def note(event: str) -> None:
        if watch.events[-1:] != [event]:
            watch.events.append(event)

    last = list(student.parameters())[-1]
    handles = (
        last.register_post_accumulate_grad_hook(lambda parameter: note("backward")),
        optimizer.register_step_pre_hook(lambda *_: note("step")),
        teacher.register_forward_hook(
            lambda module, inputs, output: watch.teacher_graph.append(output.requires_grad)
        ),
    )
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _observe_step(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student, teacher = inputs["student"], inputs["teacher"]
    weights_before = parameters_to_vector(teacher.parameters()).detach().clone()
    with _watched(student, teacher, inputs["optimizer"]) as watch:
        result = call(answer, inputs)
    loss = to_tensor(result, wanted="the loss, one number").detach()
    weights_after = parameters_to_vector(teacher.parameters()).detach()
    taught = any(parameter.grad is not None for parameter in teacher.parameters())
    return Observation(
        values={
            "loss": loss.reshape(()) if loss.numel() == 1 else loss,
            "student's weights after the step": parameters_to_vector(student.parameters()).detach(),
            "running mean of the teacher's batch norm": teacher[2].running_mean.clone(),
        },
        effects={
            "teacher gradient": taught,
            "teacher weights": not torch.equal(weights_before, weights_after),
        },
        clues=tuple(watch.events),
        remark=_remark(watch, taught, int(student[2].num_batches_tracked)),
    )


_GRAPH_REMARK = (
    "the teacher runs outside `torch.no_grad()`, so torch keeps everything a gradient would need, "
    "for nothing. Inside it the step takes less memory."
)


_PASSES_REMARK = (
    "the student runs over the batch more than once in train mode, which takes time, and its batch "
    "norm counts each pass. Keep the logits of the first one."
)


def _remark(watch: _Watch, taught: bool, passes: int) -> str:
    if any(watch.teacher_graph) and not taught:
        return _GRAPH_REMARK
    return _PASSES_REMARK if passes > 1 else ""


def _reference(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    temperature: float,
    alpha: float,
) -> float:
    student.train()
    teacher.eval()
    with torch.no_grad():
        teacher_logits = teacher(images)
    loss = losses.distillation_loss(
        student(images), teacher_logits, labels, temperature=temperature, alpha=alpha
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


_OLD_GRADIENTS = (
    "The gradients of the step before are still there, and the new ones are added to them. Call "
    "`optimizer.zero_grad()` before `loss.backward()`."
)
_TOO_EARLY = (
    "`optimizer.step()` comes before `loss.backward()`, so it does not use the gradients of this "
    "batch. The order is zero_grad, backward, step."
)

ORDERS: tuple[tuple[Order, str], ...] = (
    (("backward", "step"), _OLD_GRADIENTS),
    (
        ("zero", "step"),
        "There is no `loss.backward()`, so there are no gradients and the student does not move.",
    ),
    (
        ("zero", "backward"),
        "There is no `optimizer.step()`: the gradients are computed but never used, and the "
        "student does not move.",
    ),
    (("zero", "step", "backward"), _TOO_EARLY),
    (("step", "zero", "backward"), _TOO_EARLY),
    (
        ("backward", "zero", "step"),
        "`optimizer.zero_grad()` stands between backward and step and wipes out the new "
        "gradients. Call it before `loss.backward()`.",
    ),
    (
        ("step",),
        "There is no `loss.backward()`: `optimizer.step()` moves the student along old gradients. "
        "The order is zero_grad, backward, step.",
    ),
    (
        (),
        "The loss is computed, but the student does not learn: `optimizer.zero_grad()`, "
        "`loss.backward()` and `optimizer.step()` are missing.",
    ),
)

_ordinary = distillation_loss_made_of()


def _after_softmax(who: str, *, at_temperature: bool) -> Answer:
    """The loss, given probabilities instead of the logits of "student", "teacher" or "both"."""

    def loss(s: Tensor, t: Tensor, y: Tensor, temperature: float, alpha: float) -> Any:
        divisor = temperature if at_temperature else 1.0
        s = s if who == "teacher" else (s / divisor).softmax(dim=1)
        t = t if who == "student" else (t / divisor).softmax(dim=1)
        return _ordinary(s, t, y, temperature, alpha)

    return loss


STEP_MISTAKES: tuple[Mistake, ...] = (
    mistake(
        "The teacher runs in train mode: its dropout and batch norm make its answers depend on "
        "chance and on the batch, and its running averages change. Call `teacher.eval()` first.",
        depth=3,
        teacher_mode=True,
    ),
    mistake(
        "The student runs in eval mode, as it may be left by a validation. Call "
        "`student.train()` first.",
        depth=3,
        student_mode=False,
    ),
    *(mistake(text, depth=3, order=order) for order, text in ORDERS),
    *(
        mistake(
            "You return a loss that is computed again after `optimizer.step()`, when the student "
            "has moved already. Return the one that you called `backward()` on.",
            again=mode,
        )
        for mode in (True, False)
    ),
    *(
        mistake(
            f"{text} Hand on the output of the network as it is: the loss takes the softmax "
            "itself.",
            loss=_after_softmax(who, at_temperature=at_temperature),
        )
        for who, text in (
            ("teacher", "Your loss gets the teacher's probabilities instead of its logits."),
            ("student", "Your loss gets the student's probabilities instead of its logits."),
            ("both", "Your loss gets probabilities of both networks instead of their logits."),
        )
        for at_temperature in (False, True)
    ),
    mistake(
        "Your step does not use its `temperature` but a fixed 4. Hand it on to the loss.",
        loss=lambda s, t, y, temperature, alpha: _ordinary(s, t, y, 4.0, alpha),
    ),
    mistake(
        "Your step does not use its `alpha` but a fixed 0.9. Hand it on to the loss.",
        loss=lambda s, t, y, temperature, alpha: _ordinary(s, t, y, temperature, 0.9),
    ),
    mistake(
        "Your step uses neither its `temperature` nor its `alpha`. Hand them on to the loss.",
        loss=lambda s, t, y, temperature, alpha: _ordinary(s, t, y, 4.0, 0.9),
    ),
    *(
        mistake(
            f"Inside the loss: {m.sentence}", depth=1, loss=distillation_loss_made_of(**m.changes)
        )
        for m in VALUE_MISTAKES
    ),
)

# Sentences that every exercise on a training step needs.
TEACHER_GRADIENT = (
    "Gradients reach the teacher's parameters. It is not trained here: run it inside "
    "`with torch.no_grad():`, which also saves memory and time."
)
AFTER_THE_LOSS = (
    "The loss is right, so look at what comes after it: `zero_grad`, `backward` and "
    "`step`, each of them once."
)
TEACHER_AVERAGES = (
    "The loss and the step are right. Call `teacher.eval()` before every call of the "
    "teacher, so that its running averages stay as they are."
)
LOSS_FIRST = "Does the loss inside your step pass the exercise before this one?"

DISTILLATION_STEP = Exercise(
    observe=_observe_step,
    reference=_reference,
    build=distillation_step_made_of,
    cases=(
        Case(partial(_step_inputs, 1000, 2.0, 0.25)),
        Case(partial(_step_inputs, 2000, 3.0, 0.8)),
        Case(partial(_step_inputs, 3000, 1.0, 0.5)),
    ),
    mistakes=STEP_MISTAKES,
    praise=(
        "the teacher only answers (eval mode, no gradients), and the student takes one step: "
        "zero_grad, backward, step."
    ),
    symptoms={
        "teacher gradient": TEACHER_GRADIENT,
        "teacher weights": (
            "The teacher's weights changed. Only the student's parameters belong to the optimiser."
        ),
    },
    tips={
        "loss": LOSS_FIRST,
        "student's weights after the step": AFTER_THE_LOSS,
        "running mean of the teacher's batch norm": TEACHER_AVERAGES,
    },
)
