"""Lesson 04, one step of a hint's first stage: right and in its usual mistakes.

As in lesson 01 the student is handed over in eval mode with old gradients, and the teacher in train
mode. The optimiser holds the whole student and the regressor and decays weights: `student.upper`
stays as it is only when its parameters have no gradient at all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from kdhelpers import losses
from kdhelpers.checks.exercise import Case, Exercise, Mistake, Observation, mistake, numbers
from kdhelpers.checks.lesson01_step import (
    AFTER_THE_LOSS,
    LOSS_FIRST,
    ORDERS,
    TEACHER_AVERAGES,
    TEACHER_GRADIENT,
    Order,
)
from kdhelpers.checks.lesson04_hint_loss import HINT_LOSS_MISTAKES, hint_loss_made_of
from kdhelpers.checks.lesson04_networks import halves, with_fixed_weights
from kdhelpers.checks.running import Answer, call, to_tensor
from kdhelpers.losses import features as feature_losses

BATCH = 6
SIZE = 4  # pixels a side


class _Watch(NamedTuple):
    """What hooks see while the step runs."""

    events: list[str]  # "backward" and "step", without repetitions
    teacher_graph: list[bool]
    upper_passes: list[None]


def hint_step_made_of(
    *,
    teacher_mode: bool = False,
    student_mode: bool = True,
    features: Answer = lambda network, images: network.lower(images),
    loss: Answer = hint_loss_made_of(),  # noqa: B008
    extra: Callable[[Tensor, Tensor], Tensor | float] | None = None,  # of the logits
    clear: Callable[[torch.optim.Optimizer, nn.Module, nn.Module], Any] = (
        lambda optimizer, student, regressor: optimizer.zero_grad()
    ),
    order: Order = ("zero", "backward", "step"),
    freeze: bool = False,
    again: bool | None = None,  # loss computed anew after the step, in train (True) or eval mode
) -> Answer:
    """A step of stage 1 from these decisions; the defaults are right."""

    def hint_step(
        student: nn.Module,
        teacher: nn.Module,
        regressor: nn.Module,
        images: Tensor,
        optimizer: torch.optim.Optimizer,
    ) -> Tensor:
        teacher.train(teacher_mode)
        student.train(student_mode)
        regressor.requires_grad_(not freeze)
        with torch.no_grad():
            teacher_features = features(teacher, images)
        value: Tensor = loss(features(student, images), teacher_features, regressor)
        if extra is not None:
            value = value + extra(student(images), teacher(images).detach())
        actions: dict[str, Callable[[], Any]] = {
            "zero": lambda: clear(optimizer, student, regressor),
            "backward": value.backward,
            "step": optimizer.step,
        }
        for action in order:
            actions[action]()
        if again is not None:
            student.train(again)
            value = loss(features(student, images), teacher_features, regressor)
        return value

    return hint_step


def _reference(
    student: nn.Module,
    teacher: nn.Module,
    regressor: nn.Module,
    images: Tensor,
    optimizer: torch.optim.Optimizer,
) -> float:
    teacher.eval()
    student.train()
    with torch.no_grad():
        teacher_features = teacher.get_submodule("lower")(images)
    student_features = student.get_submodule("lower")(images)
    loss = feature_losses.hint_loss(regressor(student_features), teacher_features)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _step_inputs(seed: int, student_channels: int, teacher_channels: int) -> dict[str, Any]:
    student = with_fixed_weights(halves(student_channels), seed).eval()
    teacher = with_fixed_weights(halves(teacher_channels), seed + 10).train()
    regressor = with_fixed_weights(nn.Conv2d(student_channels, teacher_channels, 1), seed + 20)
    parameters = [*student.parameters(), *regressor.parameters()]
    sizes = [parameter.numel() for parameter in parameters]
    old = 0.2 * numbers(seed + 30, sum(sizes))
    for parameter, gradient in zip(parameters, old.split(sizes), strict=True):
        parameter.grad = gradient.view_as(parameter)
    return {
        "student": student,
        "teacher": teacher,
        "regressor": regressor,
        "images": numbers(seed + 60, BATCH, 1, SIZE, SIZE),
        "optimizer": torch.optim.SGD(parameters, lr=0.1, weight_decay=0.1),
    }


@contextmanager
def _watched(inputs: dict[str, Any]) -> Iterator[_Watch]:
    watch = _Watch([], [], [])

    def note(event: str) -> None:
        if watch.events[-1:] != [event]:
            watch.events.append(event)

    student, teacher, regressor = inputs["student"], inputs["teacher"], inputs["regressor"]
    handles = (
        *(
            part.register_post_accumulate_grad_hook(lambda parameter: note("backward"))
            for part in (student.lower.norm.bias, regressor.bias)
        ),
        inputs["optimizer"].register_step_pre_hook(lambda *_: note("step")),
        teacher.lower.register_forward_hook(
            lambda module, given, output: watch.teacher_graph.append(output.requires_grad)
        ),
        *(
            network.upper.register_forward_hook(lambda *_: watch.upper_passes.append(None))
            for network in (student, teacher)
        ),
    )
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _weights(module: nn.Module) -> Tensor:
    return parameters_to_vector(module.parameters()).detach().clone()


def _observe_step(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student, teacher, regressor = inputs["student"], inputs["teacher"], inputs["regressor"]
    trained = (student.lower, regressor)
    before = {module: _weights(module) for module in (teacher, student.upper, *trained)}
    with _watched(inputs) as watch:
        result = call(answer, inputs)
    loss = to_tensor(result, wanted="the loss, one number")
    same = {module: torch.equal(_weights(module), old) for module, old in before.items()}
    taught = any(parameter.grad is not None for parameter in teacher.parameters())
    return Observation(
        values={
            "loss": loss.detach().reshape(()) if loss.numel() == 1 else loss.detach(),
            "weights of `student.lower` after the step": _weights(student.lower),
            "regressor's weights after the step": _weights(regressor),
            "weights of `student.upper` after the step": _weights(student.upper),
            "running mean of the teacher's batch norm": teacher.lower.norm.running_mean.clone(),
        },
        effects={
            "teacher gradient": taught,
            "teacher weights": not same[teacher],
            "upper changed": not same[student.upper],
            "student frozen": not all(p.requires_grad for p in student.parameters()),
            "other optimiser": not all(same[m] for m in trained) and "step" not in watch.events,
        },
        clues=tuple(watch.events),
        remark=_remark(
            watch, taught, int(student.lower.norm.num_batches_tracked), loss.requires_grad
        ),
    )


_GRAPH_REMARK = (
    "the teacher runs outside `torch.no_grad()`, so torch keeps everything a gradient would need, "
    "for nothing. Inside it the step takes less memory."
)
_UPPER_REMARK = (
    "a network runs to its end, although the hint needs nothing above the guided layer. With "
    "`student.lower(images)` and `teacher.lower(images)` the step takes less time."
)
_PASSES_REMARK = (
    "`student.lower` runs over the batch more than once in train mode, which takes time, and its "
    "batch norm counts each pass. Keep the features of the first one."
)
_LOSS_REMARK = (
    "the loss that you return still hangs on its graph. Return `loss.item()` or `loss.detach()`, "
    "and a list of many losses keeps nothing else in memory."
)


def _remark(watch: _Watch, taught: bool, passes: int, graph: bool) -> str:
    if any(watch.teacher_graph) and not taught:
        return _GRAPH_REMARK
    if watch.upper_passes:
        return _UPPER_REMARK
    if passes > 1:
        return _PASSES_REMARK
    return _LOSS_REMARK if graph else ""


_HALF_CLEARED = (
    "Only a part of the old gradients is cleared, and the rest still moves the weights. "
    "`optimizer.zero_grad()` clears those of the student and of the regressor."
)
_FOR_LOGITS = (
    "Your loss has a term for the logits as well. Stage 1 is the hint alone, so `student.upper` "
    "stays as it is until stage 2."
)

STEP_MISTAKES: tuple[Mistake, ...] = (
    mistake(
        "The teacher runs in train mode: its batch norm makes its features depend on the batch, "
        "and its running averages change. Call `teacher.eval()` first.",
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
        mistake(_HALF_CLEARED, depth=1, clear=clear)
        for clear in (
            lambda optimizer, student, regressor: student.zero_grad(),
            lambda optimizer, student, regressor: student.lower.zero_grad(),
            lambda optimizer, student, regressor: regressor.zero_grad(),
            lambda optimizer, student, regressor: (
                student.lower.zero_grad(),
                regressor.zero_grad(),
            ),
        )
    ),
    mistake(
        "The gradients of `student.upper` are 0 instead of None, so the optimiser's weight decay "
        "still moves it. Clear them with `set_to_none=True`, the default, and keep the logits out "
        "of the loss.",
        depth=1,
        clear=lambda optimizer, student, regressor: optimizer.zero_grad(set_to_none=False),
    ),
    mistake(
        "The regressor does not learn: its gradients are switched off. It is trained together with "
        "`student.lower`.",
        freeze=True,
    ),
    mistake(
        "`student.lower` does not learn, only the regressor does. Run it outside "
        "`torch.no_grad()`, and do not detach its features.",
        loss=hint_loss_made_of(student_side=lambda f, r: r(f.detach())),
    ),
    mistake(
        "These are the features AFTER the activation, through a ReLU or a hook whose tensor the "
        "in-place ReLU behind it overwrites. Take what `lower` puts out, or keep a copy of it.",
        features=lambda network, images: F.relu(network.lower(images)),
    ),
    mistake(
        "The regressor gets logits. The hint compares the features of the guided layer, "
        "`student.lower(images)` and `teacher.lower(images)`.",
        depth=1,
        features=lambda network, images: network(images),
    ),
    mistake(
        "You compare the logits of the two networks. The hint compares the features of the guided "
        "layer, `student.lower(images)` and `teacher.lower(images)`.",
        depth=1,
        features=lambda network, images: network(images),
        loss=lambda s, t, regressor: F.mse_loss(s, t),
    ),
    mistake(_FOR_LOGITS, extra=F.mse_loss),
    *(
        mistake(_FOR_LOGITS, depth=1, extra=partial(losses.kd_loss, temperature=temperature))
        for temperature in (1.0, 2.0, 4.0)
    ),
    *(
        mistake(
            "You return a loss that is computed again after `optimizer.step()`, when the student "
            "has moved already. Return the one that you called `backward()` on.",
            depth=1,
            again=mode,
        )
        for mode in (True, False)
    ),
    *(
        mistake(f"Inside the loss: {m.sentence}", depth=1, loss=hint_loss_made_of(**m.changes))
        for m in HINT_LOSS_MISTAKES
    ),
)

HINT_STEP = Exercise(
    observe=_observe_step,
    reference=_reference,
    build=hint_step_made_of,
    cases=(
        Case(partial(_step_inputs, 4000, 3, 5)),
        Case(partial(_step_inputs, 5000, 4, 2)),
        Case(partial(_step_inputs, 6000, 3, 3)),
    ),
    mistakes=STEP_MISTAKES,
    praise=(
        "the teacher only answers, `student.lower` and the regressor take one step towards its "
        "features, and `student.upper` waits for stage 2."
    ),
    symptoms={
        "teacher gradient": TEACHER_GRADIENT,
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
        "other optimiser": (
            "The weights move, but not by the optimiser that your function gets. It holds their "
            "state from step to step: use it instead of a new one."
        ),
    },
    tips={
        "loss": LOSS_FIRST,
        "weights of `student.lower` after the step": AFTER_THE_LOSS,
        "regressor's weights after the step": (
            "The loss is right and `student.lower` has moved as it should. The regressor learns "
            "by the same `backward` and `step`."
        ),
        "running mean of the teacher's batch norm": TEACHER_AVERAGES,
    },
)
