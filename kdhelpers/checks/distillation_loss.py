"""Lesson 01: `answer(student_logits, teacher_logits, labels, temperature, alpha)` → loss.

Logits [B, C], labels [B]; the loss is one number, the batch mean of
alpha · T² · KL + (1 − alpha) · cross-entropy, with a gradient for the student only.
"""

import math
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.running import Answer, call, reached, to_loss

KL = "p · (log p - log q), with the teacher's p and the student's q"


def _soft(z: Tensor, dim: int = 1) -> Any:
    """Softened logits, their probabilities and the logarithms of these."""
    return SimpleNamespace(z=z, p=z.softmax(dim), log=z.log_softmax(dim))


def _kl(t: Any, s: Any) -> Any:
    return t.p * (t.log - s.log)


def solution(
    s: Tensor,
    t: Tensor,
    y: Tensor,
    T: float,
    alpha: float,
    *,
    soften: Way = lambda s, t, T: (s / T, t / T),
    pointwise: Way = _kl,  # of the softened teacher and student -> [B, C]
    dim: int = 1,
    reduce: Way = lambda point: point.sum() / len(point),
    soft_scale: Way = lambda T: T**2,
    hard: Way = lambda s, t, y, T: F.cross_entropy(s, y),
    hard_scale: Way = lambda T: 1.0,
    weights: Way = lambda alpha: (alpha, 1.0 - alpha),
    more: Way = lambda alpha: 0.0,
) -> Any:
    t = t.detach()
    student, teacher = (_soft(z, dim) for z in soften(s, t, T))
    soft = soft_scale(T) * reduce(pointwise(teacher, student))
    soft_weight, hard_weight = weights(alpha)
    return soft_weight * soft + hard_weight * (hard_scale(T) * hard(s, t, y, T)) + more(alpha)


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    student = inputs["student_logits"].requires_grad_()
    teacher = inputs["teacher_logits"].requires_grad_()
    used: set[str] = set()
    loss = to_loss(call(answer, inputs, used))
    if loss.requires_grad:
        loss.sum().backward()
    values = {"loss": loss.detach()}
    if reached(student):
        values["gradient of the loss for student_logits"] = student.grad
    return Observation(
        values=values,
        effects={
            "student without gradient": not reached(student),
            "teacher with gradient": reached(teacher),
            "negative": bool((loss < 0).any()),
        },
        remark=_KL_DIV_REMARK if "kl_div" in used else "",
    )


_KL_DIV_REMARK = (
    "this loss calls `F.kl_div`, and the exercise asks for it without. Write its sum yourself: "
    f"{KL}."
)


def _inputs(
    seed: int, batch: int, classes: int, temperature: float, alpha: float, size: float = 1
) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return {
        "student_logits": size * numbers(seed + 1, batch, classes),
        "teacher_logits": size * numbers(seed + 2, batch, classes),
        "labels": torch.randint(classes, (batch,), generator=generator),
        "temperature": temperature,
        "alpha": alpha,
    }


# What a training step can take over from a wrong loss, too.
# fmt: off
IN_A_STEP: Mistakes = {
    "The student's probabilities stand where its LOG-probabilities belong; so the loss can even "
    "be negative. Use `F.log_softmax(student_logits / temperature, dim=1)`, which is what "
    "`F.kl_div` takes first, too.": dict(depth=4, pointwise=lambda t, s: t.p * (t.log - s.p)),
    "The divergence is turned round, KL(student ‖ teacher). Weight with the teacher's "
    f"probabilities: {KL}. In `F.kl_div` this happens when the arguments are swapped: the "
    "student's log-probabilities come first.":
        dict(depth=4, pointwise=lambda t, s: _kl(s, t)),
    "The divergence is turned round, and a probability stands where its logarithm belongs. The "
    f"sum is {KL}. `F.kl_div` takes log q first and p second.":
        dict(pointwise=lambda t, s: s.p * (s.log - t.p)),
    "The logarithm of the teacher's log-probabilities is taken, which is nan. Take only one "
    "logarithm; `F.kl_div` takes it itself, so give it `F.softmax` of the teacher or add "
    "`log_target=True`.": dict(pointwise=lambda t, s: t.log * (t.log.log() - s.log)),
    "The teacher's probabilities stand where its log-probabilities belong, inside an `exp` as "
    "well. Use `F.log_softmax` for the teacher; in `F.kl_div`, `log_target=True` asks for it.":
        dict(pointwise=lambda t, s: t.p.exp() * (t.p - s.log)),
    "The student's plain logits stand where its log-probabilities belong. Use "
    "`F.log_softmax(student_logits / temperature, dim=1)`, which is what `F.kl_div` takes first, "
    "too.": dict(pointwise=lambda t, s: t.p * (t.log - s.z)),
    "The teacher's plain logits stand where its probabilities belong. Use "
    "`F.softmax(teacher_logits / temperature, dim=1)`, which is what `F.kl_div` takes second, too.":
        dict(pointwise=lambda t, s: t.z * (t.z.log() - s.log)),
    "The sign of the soft term is turned round, so a smaller loss drives the student away from "
    f"the teacher. The teacher's logarithm is first: {KL}.":
        dict(depth=4, pointwise=lambda t, s: -_kl(t, s)),
    "The weight in your sum is the teacher's LOG-probability. The weight is its probability, "
    f"`log_p.exp()`: {KL}.":
        dict(depth=3, pointwise=lambda t, s: t.log * (t.log - s.log)),
    "The weight in your sum is the teacher's LOG-probability, and the sign is turned round. The "
    f"weight is its probability, `log_p.exp()`: {KL}.":
        dict(pointwise=lambda t, s: t.log * (s.log - t.log)),
    f"Your sum is weighted with the student's probabilities. The teacher's belong there: {KL}.":
        dict(depth=3, pointwise=lambda t, s: s.p * (t.log - s.log)),
    f"The weights are missing in your sum. Multiply with the teacher's probabilities: {KL}.":
        dict(pointwise=lambda t, s: t.log - s.log),
    "The weight is only on the teacher's logarithm. It belongs on the difference, so set "
    f"brackets: {KL}.": dict(pointwise=lambda t, s: t.p * t.log - s.log),
    f"Probabilities are subtracted where logarithms belong. Use `F.log_softmax` for both: {KL}.":
        dict(pointwise=lambda t, s: t.p * (t.p - s.p)),
    "The teacher's probability stands in the brackets, where its logarithm belongs. Use "
    f"`F.log_softmax` for the teacher: {KL}.":
        dict(pointwise=lambda t, s: t.p * (t.p - s.log)),
    "The teacher's plain logits stand in the brackets, where its logarithm belongs. Use "
    f"`F.log_softmax` for the teacher: {KL}.":
        dict(pointwise=lambda t, s: t.p * (t.z - s.log)),
    "Plain logits are subtracted where log-probabilities belong. Use `F.log_softmax` for both: "
    f"{KL}.": dict(pointwise=lambda t, s: t.p * (t.z - s.z)),
    "The soft term is Σ p · log q alone. For the KL divergence the teacher's logarithm is in the "
    f"brackets as well, and first: {KL}.":
        dict(pointwise=lambda t, s: t.p * s.log),
    "The student goes through a softmax twice in the soft term. `F.log_softmax` of the divided "
    "logits is all it needs.": dict(pointwise=lambda t, s: _kl(t, _soft(s.p))),
    "The soft term is a cross-entropy, -Σ p · log q. It has the same gradient, but it never "
    f"reaches 0. For the KL divergence add the teacher's part: {KL}.":
        dict(pointwise=lambda t, s: -t.p * s.log),
    "The soft term is a squared difference, of logits, probabilities or their logarithms. The KL "
    f"divergence is asked for: {KL}.":
        [dict(pointwise=lambda t, s: (s.p - t.p) ** 2),
         dict(pointwise=lambda t, s: (s.log - t.log) ** 2),
         *(dict(pointwise=lambda t, s: (s.z - t.z) ** 2, **softened, **reduced)
           for softened in ({}, dict(soften=lambda s, t, T: (s, t)))
           for reduced in ({}, dict(reduce=torch.mean)))],
    "The soft term takes both directions of the divergence. KL(teacher ‖ student) alone is asked "
    f"for: {KL}.":
        [dict(pointwise=lambda t, s: _kl(t, s) + _kl(s, t)),
         dict(pointwise=lambda t, s: (_kl(t, s) + _kl(s, t)) / 2)],
    "The soft term is not softened and has T in place of T², as when probabilities are divided by "
    "T: that softens nothing. Divide the logits before the softmax, and multiply by "
    "`temperature**2`.":
        [dict(soften=lambda s, t, T: (s, t), soft_scale=lambda T, power=power: T**power)
         for power in (1, -1)],
    "A softmax is taken of the teacher's probabilities again. Its divided logits need one.":
        [dict(pointwise=lambda t, s: _kl(_soft(t.p), s)),
         dict(pointwise=lambda t, s: t.p * (_soft(t.p).log - s.log))],
    "The logarithms of the soft term are to base 2 or 10. Take natural ones.":
        [dict(soft_scale=lambda T, base=base: T**2 / math.log(base)) for base in (2, 10)],
    "alpha is squared with the temperature. Write `alpha * temperature**2`.":
        dict(weights=lambda alpha: (alpha**2, 1.0 - alpha)),
    "The teacher's probabilities are missing: the sum is that of -log q alone. Multiply by p: "
    f"{KL}.":
        [dict(pointwise=lambda t, s: -s.log),
         dict(pointwise=lambda t, s: s.log)],
    "The student is detached in the soft term, so it learns nothing from the teacher. Detach the "
    "teacher alone.": dict(soften=lambda s, t, T: (s.detach() / T, t / T)),
    "The factor temperature² is missing on the soft term. Without it the gradient of this term "
    "gets smaller and smaller as the temperature grows: multiply by `temperature**2`.":
        dict(depth=4, soft_scale=lambda T: 1.0),
    "The soft term is multiplied by the temperature; it should be by its square, `temperature**2`.":
        dict(soft_scale=lambda T: T),
    "The soft term is divided by temperature²; it should be multiplied by it.":
        dict(soft_scale=lambda T: T**-2),
    "The factor temperature² belongs to the soft term only; you multiply the whole sum by it. "
    "Check the brackets.": dict(depth=4, hard_scale=lambda T: T**2),
    "The factor temperature² sits on the hard term. It belongs to the soft term.":
        dict(soft_scale=lambda T: 1.0, hard_scale=lambda T: T**2),
    "The teacher's logits are not divided by the temperature. In the soft term both sides are: "
    "`teacher_logits / temperature`.": dict(soften=lambda s, t, T: (s / T, t)),
    "The student's logits are not divided by the temperature. In the soft term both sides are: "
    "`student_logits / temperature`.": dict(soften=lambda s, t, T: (s, t / T)),
    "In the soft term neither the student's nor the teacher's logits are divided by the "
    "temperature. Divide both before the softmax.": dict(soften=lambda s, t, T: (s, t)),
    "The logits are multiplied by the temperature. Divide them by it.":
        dict(soften=lambda s, t, T: (s * T, t * T)),
    "The temperature is applied to the hard term as well. The cross-entropy with the labels takes "
    "the plain `student_logits`.": dict(depth=4, hard=lambda s, t, y, T: F.cross_entropy(s / T, y)),
    "The softmax of the soft term runs over the images of the batch. It belongs over the classes: "
    "`dim=1`.": dict(dim=0),
    "The soft term is averaged over the classes, too. Sum over the classes, then average over the "
    'batch: `.sum(dim=1).mean()`. In `F.kl_div` this is the default; `reduction="batchmean"` '
    "repairs it.": dict(depth=4, reduce=torch.mean),
    "The soft term is divided by the number of classes instead of the number of images. Sum over "
    "the classes, then average over the batch: `.sum(dim=1).mean()`.":
        dict(depth=3, reduce=lambda point: point.sum(dim=0).mean()),
    "The soft term is summed over the batch, so it grows with the number of images. Average over "
    'them: `.sum(dim=1).mean()`, or `reduction="batchmean"` in `F.kl_div`.':
        dict(depth=4, reduce=torch.sum),
    'The hard term is summed over the batch. Average it: `reduction="mean"`, which is the default '
    "of `cross_entropy`.": dict(hard=lambda s, t, y, T: F.cross_entropy(s, y, reduction="sum")),
    "The arguments of `cross_entropy` are swapped: the student's logits come first, the labels "
    "second: `F.cross_entropy(student_logits, labels)`.":
        [dict(hard=lambda s, t, y, T: F.cross_entropy(y, s)),
         dict(hard=lambda s, t, y, T: F.cross_entropy(y.float(), s)),
         dict(hard=lambda s, t, y, T: F.cross_entropy(F.one_hot(y, s.shape[1]), s)),
         dict(hard=lambda s, t, y, T: F.cross_entropy(F.one_hot(y, s.shape[1]).float(), s))],
    "The hard term gets probabilities. `cross_entropy` contains the softmax already: give it the "
    "plain `student_logits`.":
        dict(depth=4, hard=lambda s, t, y, T: F.cross_entropy(F.softmax(s, dim=1), y)),
    "The hard term gets probabilities at the temperature. `cross_entropy` contains the softmax "
    "already: give it the plain `student_logits`.":
        dict(hard=lambda s, t, y, T: F.cross_entropy(F.softmax(s / T, dim=1), y)),
    "`nll_loss` wants log-probabilities and gets logits or probabilities. Use `F.cross_entropy`.":
        [dict(hard=lambda s, t, y, T: F.nll_loss(s, y)),
         dict(hard=lambda s, t, y, T: F.nll_loss(s.softmax(1), y))],
    "The hard term compares the teacher with the labels. It is the student who learns: "
    "`F.cross_entropy(student_logits, labels)`.":
        dict(hard=lambda s, t, y, T: F.cross_entropy(t, y)),
    "The hard term compares the student with the teacher's answer. It is for the labels: "
    "`F.cross_entropy(student_logits, labels)`.":
        [dict(hard=lambda s, t, y, T: F.cross_entropy(s, t.argmax(1))),
         dict(hard=lambda s, t, y, T: F.cross_entropy(s, t.softmax(1)))],
    "The hard term does not teach the student: its logits are detached there.":
        dict(hard=lambda s, t, y, T: F.cross_entropy(s.detach(), y)),
    "The hard term is subtracted, or its sign is turned round. Both terms are to become small: "
    "add `(1 - alpha) * F.cross_entropy(student_logits, labels)`.":
        dict(weights=lambda alpha: (alpha, alpha - 1.0)),
    "Brackets are missing round `1 - alpha`: `1 - alpha * hard` takes alpha times the hard term "
    "away. Write `(1 - alpha) * hard`.":
        dict(weights=lambda alpha: (alpha, -alpha), more=lambda alpha: 1.0),
    "alpha is on the wrong term. Here alpha weights the SOFT term: `alpha * soft + (1 - alpha) * "
    "hard`.": dict(depth=4, weights=lambda alpha: (1.0 - alpha, alpha)),
    "Only the soft term is there. Add the hard one: `+ (1 - alpha) * hard`.":
        [dict(weights=lambda alpha: (alpha, 0.0)), dict(weights=lambda alpha: (1.0, 0.0))],
    "Only the hard term is there. Add the soft one: `alpha * soft`.":
        [dict(weights=lambda alpha: (0.0, 1.0 - alpha)), dict(weights=lambda alpha: (0.0, 1.0)),
         dict(weights=lambda alpha: (0.0, alpha))],
    "The two terms are added without weights. Use `alpha * soft + (1 - alpha) * hard`.":
        dict(weights=lambda alpha: (1.0, 1.0)),
    "The hard term has no weight. Use `(1 - alpha) * hard`.":
        dict(weights=lambda alpha: (alpha, 1.0)),
    "The soft term has no weight. Use `alpha * soft`.":
        dict(weights=lambda alpha: (1.0, 1.0 - alpha)),
    "Both terms are weighted by alpha. The hard one gets the rest: `(1 - alpha) * hard`.":
        dict(weights=lambda alpha: (alpha, alpha)),
}
MISTAKES: Mistakes = {
    **IN_A_STEP,
    "Your function returns one loss for each image. Average the soft term over the batch, so that "
    'it is one number: `.sum(dim=1).mean()`, or `reduction="batchmean"` in `F.kl_div`.':
        dict(reduce=lambda point: point.sum(dim=1)),
    "Your function returns one loss for each image, averaged over the classes. Sum over the "
    "classes, then average over the batch: `.sum(dim=1).mean()`.":
        dict(reduce=lambda point: point.mean(dim=1)),
    "Your function returns one number for each class. Sum over the classes, which are `dim=1`, "
    "then average over the batch: `.sum(dim=1).mean()`.":
        [dict(reduce=lambda point: point.sum(dim=0)), dict(reduce=lambda point: point.mean(dim=0))],
    "Your function returns a loss for each image. Average both terms over the batch, so that it "
    "returns one number.":
        dict(reduce=lambda point: point.sum(dim=1),
             hard=lambda s, t, y, T: F.cross_entropy(s, y, reduction="none")),
    "Your function returns a table with one value for each image and class. Sum over the classes "
    'and average over the batch: `.sum(dim=1).mean()`, or `reduction="batchmean"` in `F.kl_div`.':
        dict(reduce=lambda point: point),
}
# fmt: on

distillation_loss = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=Case.each_of(
        _inputs,
        (20, 2, 3, 2.0, 0.9),
        (30, 5, 4, 4.0, 0.25),
        (40, 6, 10, 1.0, 0.9),
        (50, 3, 3, 3.0, 0.6),
    ),
    mistakes=MISTAKES,
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
            f"signs and brackets of both terms; the soft one is {KL}."
        ),
    },
    parts={
        "With alpha = 1 your loss is right, so look at the hard term, `F.cross_entropy("
        "student_logits, labels)`, and at the weights of both.": {"alpha": 1.0},
        f"With alpha = 0 your loss is right, so look at the soft term, {KL}, times T², and at the "
        "weights of both.": {"alpha": 0.0},
        "Where the temperature is 1 your loss is right: a T, or a power of it, is missing, too "
        "much or in the wrong place.": {"temperature": 1.0},
    },
    extreme=Case(lambda: _inputs(60, 2, 3, 1.0, 0.5, size=1e3)),
    extreme_remark=(
        "when two logits are 500 apart a probability rounds to 0 and its log to -inf, so your loss "
        "is not finite; `F.log_softmax` avoids it."
    ),
)
