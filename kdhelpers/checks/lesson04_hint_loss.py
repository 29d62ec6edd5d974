"""Lesson 04, the hint loss MSE(r(F_s), F_t): right and in its usual mistakes.

F_s [B, student channels, H, W], F_t [B, teacher channels, H, W]; r is a 1×1 convolution.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers.checks.exercise import Case, Exercise, Mistake, Observation, mistake, numbers
from kdhelpers.checks.lesson04_networks import with_fixed_weights
from kdhelpers.checks.running import Answer, call, to_tensor
from kdhelpers.losses import features as feature_losses

Mapping = Callable[[Tensor, nn.Module], Tensor]  # features, regressor -> features
Pair = tuple[Tensor, Tensor]


def _as_it_is(features: Tensor, regressor: nn.Module) -> Tensor:
    return features


def _regressed(features: Tensor, regressor: nn.Module) -> Tensor:
    mapped: Tensor = regressor(features)
    return mapped


def hint_loss_made_of(
    *,
    student_side: Mapping = _regressed,
    teacher_side: Mapping = _as_it_is,
    prepare: Callable[[Tensor, Tensor], Pair] = lambda s, t: (s, t),
    error: Callable[[Tensor, Tensor], Tensor] = lambda s, t: (s - t).square(),
    reduce: Callable[[Tensor], Tensor] = torch.mean,
    after: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Answer:
    """A hint loss from these decisions; the defaults are right."""

    def hint_loss(
        student_features: Tensor, teacher_features: Tensor, regressor: nn.Module
    ) -> Tensor:
        s = student_side(student_features, regressor)
        t = teacher_side(teacher_features.detach(), regressor)
        return after(reduce(error(*prepare(s, t))))

    return hint_loss


def _observe_loss(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student = inputs["student_features"].requires_grad_()
    teacher = inputs["teacher_features"].requires_grad_()
    regressor, weight = inputs["regressor"], inputs["regressor"].weight
    calls: list[None] = []
    handle = regressor.register_forward_hook(lambda *_: calls.append(None))
    result = call(answer, inputs)
    handle.remove()
    loss = to_tensor(result, wanted="one number, the loss of the batch")
    loss = loss.reshape(()) if loss.numel() == 1 else loss
    if loss.requires_grad:
        with torch.enable_grad():
            loss.sum().backward()
    gradients = {
        f"gradient of the loss for {name}": tensor.grad
        for name, tensor in (("student_features", student), ("the regressor's weight", weight))
        if _moves(tensor)
    }
    s, r = _moves(student), _moves(weight)
    return Observation(
        values={"loss": loss.detach(), **gradients},
        effects={
            "nothing learns": not s and not r,
            "student cut off": r and not s,
            "regressor cut off": s and not r and bool(calls),
            "regressor unused": s and not r and not calls,
            "teacher with gradient": _moves(teacher),
        },
    )


def _moves(tensor: Tensor) -> bool:
    return tensor.grad is not None and bool(tensor.grad.any())


def _loss_inputs(seed: int, channels: tuple[int, int], batch: int, size: int) -> dict[str, Any]:
    student_channels, teacher_channels = channels
    return {
        "student_features": numbers(seed, batch, student_channels, size, size),
        "teacher_features": numbers(seed + 1, batch, teacher_channels, size, size),
        "regressor": with_fixed_weights(
            nn.Conv2d(student_channels, teacher_channels, kernel_size=1), seed + 2
        ),
    }


def _on_both(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Pair]:
    return lambda s, t: (change(s), change(t))


def _cosine_distance(s: Tensor, t: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(s, t, dim=1)


_NO_REGRESSOR = (
    "The student's features are compared as they are, but they have other channels than the "
    "teacher's. Map them first: `regressor(student_features)`."
)
_ACTIVATION = (
    "A hint is taken before the activation, where negative values still say something. Leave the "
    "ReLU out."
)
_ACTIVATED = f"You apply a ReLU to both sides. {_ACTIVATION}"
_UNIT = (
    "You normalise the features before comparing them, so the hint says nothing on their size. "
    "Compare them as they are."
)
_COSINE = "This is a cosine distance, which ignores the size of the features. A hint is the MSE."

HINT_LOSS_MISTAKES: tuple[Mistake, ...] = (
    mistake(
        "The regressor is on the teacher's side: it belongs on the student's, "
        "`regressor(student_features)`. A regressor that changes the teacher's features can turn "
        "them into 0, and then a student that puts out 0 has matched them and learnt nothing.",
        student_side=_as_it_is,
        teacher_side=_regressed,
    ),
    mistake(_NO_REGRESSOR, student_side=_as_it_is),
    mistake(_NO_REGRESSOR, student_side=_as_it_is, error=lambda s, t: (t - s).square()),
    mistake(_NO_REGRESSOR, student_side=_as_it_is, error=feature_losses.hint_loss),
    mistake(
        "You sum over all elements, so the loss grows with the batch and the map. Take the mean.",
        reduce=torch.sum,
    ),
    mistake(
        "You sum over channels and pixels and average over the batch only. The mean runs over all "
        "elements, as in `F.mse_loss`.",
        reduce=lambda e: e.sum() / len(e),
    ),
    mistake(
        "You sum over the channels. The mean runs over all elements, channels too.",
        reduce=lambda e: e.sum(dim=1).mean(),
    ),
    mistake(
        "You add up the losses of the images. Average over the batch, too.",
        reduce=lambda e: e.flatten(1).mean(dim=1).sum(),
    ),
    mistake(
        "You average the length of the difference over the batch. The hint is the mean of the "
        "squared differences, with no root.",
        reduce=lambda e: e.flatten(1).sum(dim=1).sqrt().mean(),
    ),
    mistake(
        "You square the mean of the differences, in which those of opposite sign cancel. Square "
        "each difference first, then take the mean.",
        error=lambda s, t: s - t,
        reduce=lambda e: e.mean().square(),
    ),
    mistake(
        "You compare by absolute differences (L1). Square them: `F.mse_loss`.",
        error=lambda s, t: (s - t).abs(),
    ),
    mistake(
        "You use the smooth L1 loss, which is linear in large differences. Use `F.mse_loss`.",
        error=partial(F.smooth_l1_loss, reduction="none"),
    ),
    mistake(_COSINE, error=_cosine_distance),
    mistake(_COSINE, error=lambda s, t: _cosine_distance(s.flatten(1), t.flatten(1))),
    mistake(
        "The loss is halved. The paper halves a sum of squares; here it is the plain mean.",
        after=lambda loss: loss / 2,
    ),
    mistake("You take the square root of the MSE. Leave it out.", after=torch.sqrt),
    mistake(_UNIT, prepare=_on_both(lambda f: F.normalize(f, dim=1))),
    mistake(_UNIT, prepare=_on_both(lambda f: F.normalize(f.flatten(1), dim=1))),
    mistake(
        "You average the maps over their pixels first. A hint compares them pixel by pixel.",
        prepare=_on_both(lambda f: f.mean(dim=(2, 3))),
    ),
    mistake(
        f"You apply a ReLU to the teacher's features alone. {_ACTIVATION}",
        prepare=lambda s, t: (s, t.relu()),
    ),
    mistake(
        "You apply a ReLU to the regressor's output, so it can never reach the teacher's negative "
        "values. Leave the ReLU out.",
        prepare=lambda s, t: (s.relu(), t),
    ),
    mistake(
        f"You apply a ReLU to the student's features. {_ACTIVATION}",
        student_side=lambda f, r: r(f.relu()),
    ),
)

HINT_LOSS = Exercise(
    observe=_observe_loss,
    reference=lambda s, t, regressor: feature_losses.hint_loss(regressor(s), t),
    build=hint_loss_made_of,
    cases=(
        Case(partial(_loss_inputs, 450, (2, 3), 2, 2)),
        Case(partial(_loss_inputs, 460, (5, 4), 3, 3)),
        Case(partial(_loss_inputs, 470, (3, 3), 4, 2)),
    ),
    mistakes=(
        *HINT_LOSS_MISTAKES,
        mistake(
            "You return the squared difference of each element. Take the mean of them all.",
            reduce=lambda e: e,
        ),
        mistake(
            "You return one loss for each image. Average over the batch, too.",
            reduce=lambda e: e.flatten(1).mean(dim=1),
        ),
        mistake(_ACTIVATED, prepare=_on_both(torch.relu)),
        mistake(
            _ACTIVATED,
            student_side=lambda f, r: r(f.relu()),
            teacher_side=lambda f, r: f.relu(),
        ),
    ),
    praise=(
        "the regressor maps the student's features to the teacher's channels, the MSE compares "
        "them, and student and regressor learn from it."
    ),
    symptoms={
        "nothing learns": (
            "No gradient reaches the student or the regressor, so neither can learn. Something "
            "cuts the connection: `.item()`, `float()`, `.detach()`, `no_grad` or NumPy."
        ),
        "student cut off": (
            "No gradient reaches `student_features`: only the regressor would learn, and it is "
            "thrown away afterwards. Do not detach the student's side."
        ),
        "regressor cut off": (
            "No gradient reaches the regressor. It learns together with the student: do not "
            "freeze it and do not detach its weights."
        ),
        "regressor unused": (
            "The regressor that your function gets is never called. The optimiser knows that one: "
            "use it instead of making another or cutting channels away."
        ),
        "teacher with gradient": (
            "A gradient reaches `teacher_features`. The teacher is the fixed target: use "
            "`teacher_features.detach()`."
        ),
    },
    tips={"loss": "It is the mean of (regressor(student_features) - teacher_features)²."},
)
