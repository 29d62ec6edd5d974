"""Lesson 04: `answer(student_features, teacher_features, regressor)` → loss.

The mean of (regressor(student_features) - teacher_features)² over all elements, features
[B, channels, H, W] with different channels; no gradient reaches the teacher's.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.networks import with_fixed_weights
from kdhelpers.checks.running import Answer, call, reached, to_loss
from kdhelpers.losses import features as feature_losses


def _as_it_is(features: Tensor, regressor: nn.Module) -> Tensor:
    return features


def solution(
    student_features: Tensor,
    teacher_features: Tensor,
    regressor: nn.Module,
    *,
    student_side: Way = lambda features, regressor: regressor(features),
    teacher_side: Way = _as_it_is,
    prepare: Way = lambda s, t: (s, t),
    error: Way = lambda s, t: (s - t).square(),
    reduce: Way = torch.mean,
) -> Any:
    s = student_side(student_features, regressor)
    t = teacher_side(teacher_features.detach(), regressor)
    return reduce(error(*prepare(s, t)))


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student = inputs["student_features"].requires_grad_()
    teacher = inputs["teacher_features"].requires_grad_()
    regressor, weight = inputs["regressor"], inputs["regressor"].weight
    calls: list[None] = []
    handle = regressor.register_forward_hook(lambda *_: calls.append(None))
    result = call(answer, inputs)
    handle.remove()
    loss = to_loss(result)
    if loss.requires_grad:
        loss.sum().backward()
    gradients = {
        f"gradient of the loss for {name}": tensor.grad
        for name, tensor in (("student_features", student), ("the regressor's weight", weight))
        if reached(tensor)
    }
    s, r = reached(student), reached(weight)
    return Observation(
        values={"loss": loss.detach(), **gradients},
        effects={
            "nothing learns": not s and not r,
            "student cut off": r and not s,
            "regressor cut off": s and not r and bool(calls),
            "regressor unused": s and not r and not calls,
            "teacher with gradient": reached(teacher),
        },
    )


def _inputs(seed: int, own: int, teachers: int, batch: int, size: int) -> dict[str, Any]:
    """Features with the student's `own` and the teacher's channels."""
    return {
        "student_features": numbers(seed, batch, own, size, size),
        "teacher_features": numbers(seed + 1, batch, teachers, size, size),
        "regressor": with_fixed_weights(nn.Conv2d(own, teachers, kernel_size=1), seed + 2),
    }


def _on_both(change: Way) -> Way:
    return lambda s, t: (change(s), change(t))


def _cosine_distance(s: Tensor, t: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(s, t, dim=1)


def _kl(s: Tensor, t: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(s, dim=1), F.softmax(t, dim=1), reduction="none")


_ACTIVATION = (
    "A hint is taken before the activation, where negative values still say something. Leave the "
    "ReLU out."
)

# What a training step can take over from a wrong loss, too.
# fmt: off
IN_A_STEP: Mistakes = {
    "The regressor gets the teacher's features. It belongs on the student's side alone, "
    "`regressor(student_features)`. A regressor that changes the teacher's features can turn them "
    "into 0, and then a student that puts out 0 has matched them and learnt nothing.":
        [dict(student_side=_as_it_is, teacher_side=lambda f, r: r(f)),
         dict(teacher_side=lambda f, r: r(f))],
    "The student's features are compared as they are, but they have other channels than the "
    "teacher's. Map them first: `regressor(student_features)`.":
        [dict(student_side=_as_it_is),
         dict(student_side=_as_it_is, error=lambda s, t: (t - s).square()),
         dict(student_side=_as_it_is, error=feature_losses.hint_loss)],
    "You sum over all elements, so the loss grows with the batch and the map. Take the mean.":
        dict(reduce=torch.sum),
    "You sum over channels and pixels and average over the batch only. The mean runs over all "
    "elements, as in `F.mse_loss`.": dict(reduce=lambda e: e.sum() / len(e)),
    "You sum over the channels. The mean runs over all elements, channels too.":
        dict(reduce=lambda e: e.sum(dim=1).mean()),
    "You add up the losses of the images. Average over the batch, too.":
        dict(reduce=lambda e: e.flatten(1).mean(dim=1).sum()),
    "You average the length of the difference over the batch. The hint is the mean of the squared "
    "differences, with no root.": dict(reduce=lambda e: e.flatten(1).sum(dim=1).sqrt().mean()),
    "The differences are not squared, so those of opposite sign cancel. Square each of them: "
    "`F.mse_loss`.": dict(error=lambda s, t: s - t),
    "The features are added. Subtract them, and square the difference.":
        dict(error=lambda s, t: (s + t).square()),
    "This is a KL divergence, which is for probabilities. Features are compared by their MSE.":
        [dict(error=_kl, reduce=reduce)
         for reduce in (torch.mean, torch.sum, lambda e: e.sum() / len(e))],
    "You square the mean of the differences, in which those of opposite sign cancel. Square each "
    "difference first, then take the mean.":
        dict(error=lambda s, t: s - t, reduce=lambda e: e.mean().square()),
    "You compare by absolute differences (L1). Square them: `F.mse_loss`.":
        dict(error=lambda s, t: (s - t).abs()),
    "You use the smooth L1 loss, which is linear in large differences. Use `F.mse_loss`.":
        dict(error=partial(F.smooth_l1_loss, reduction="none")),
    "This is a cosine distance, which ignores the size of the features. A hint is the MSE.":
        [dict(error=_cosine_distance),
         dict(error=lambda s, t: _cosine_distance(s.flatten(1), t.flatten(1)))],
    "You normalise the features before comparing them, so the hint says nothing on their size. "
    "Compare them as they are.":
        [dict(prepare=_on_both(lambda f: F.normalize(f, dim=1))),
         dict(prepare=_on_both(lambda f: F.normalize(f.flatten(1), dim=1)))],
    "You average the maps over their pixels first. A hint compares them pixel by pixel.":
        dict(prepare=_on_both(lambda f: f.mean(dim=(2, 3)))),
    f"You apply a ReLU to the teacher's features alone. {_ACTIVATION}":
        dict(prepare=lambda s, t: (s, t.relu())),
    "You apply a ReLU to the regressor's output, so it can never reach the teacher's negative "
    "values. Leave the ReLU out.": dict(prepare=lambda s, t: (s.relu(), t)),
    f"You apply a ReLU to the student's features. {_ACTIVATION}":
        dict(student_side=lambda f, r: r(f.relu())),
}
MISTAKES: Mistakes = {
    **IN_A_STEP,
    "You return the squared difference of each element. Take the mean of them all.":
        dict(reduce=lambda e: e),
    "You return one loss for each image. Average over the batch, too.":
        dict(reduce=lambda e: e.flatten(1).mean(dim=1)),
    f"You apply a ReLU to both sides. {_ACTIVATION}":
        [dict(prepare=_on_both(torch.relu)),
         dict(student_side=lambda f, r: r(f.relu()), teacher_side=lambda f, r: f.relu())],
}
# fmt: on

hint_loss = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=Case.each_of(_inputs, (450, 2, 3, 2, 2), (460, 5, 4, 3, 3), (470, 3, 3, 4, 2)),
    mistakes=MISTAKES,
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
