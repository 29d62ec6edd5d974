"""Lesson 01: the distillation loss as a list of decisions, and the usual wrong ones.

Shapes: logits [B, C], labels [B], temperature and alpha numbers; the loss is one number.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers.checks.exercise import mistake
from kdhelpers.checks.running import Answer

KL = "p · (log p - log q), with the teacher's p and the student's q"

Pointwise = Callable[[Tensor, Tensor, int], Tensor]  # softened logits of both, dim -> [B, C]


def _kl(first: Callable[..., Tensor], second: Callable[..., Tensor], *, swap: bool = False) -> Any:
    """`kl_div(first(student), second(teacher))`, or with student and teacher exchanged."""

    def pointwise(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
        if swap:
            student, teacher = teacher, student
        return F.kl_div(first(student, dim=dim), second(teacher, dim=dim), reduction="none")

    return pointwise


def _by_hand(formula: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Pointwise:
    """`formula(p, log_p, q, log_q)`, with the teacher's p and the student's q."""

    def pointwise(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
        log_p, log_q = F.log_softmax(teacher, dim=dim), F.log_softmax(student, dim=dim)
        return formula(log_p.exp(), log_p, log_q.exp(), log_q)

    return pointwise


def _logits_of_the_teacher(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    return F.softmax(teacher, dim=dim) * (teacher - F.log_softmax(student, dim=dim))


def _logits_of_both(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    return F.softmax(teacher, dim=dim) * (teacher - student)


def _raw(z: Tensor, dim: int) -> Tensor:
    return z


def _log_of_softmax_twice(z: Tensor, dim: int) -> Tensor:
    return F.log_softmax(F.softmax(z, dim=dim), dim=dim)


def _log_target_of_probabilities(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    log_p_s, p_t = F.log_softmax(student, dim=dim), F.softmax(teacher, dim=dim)
    return F.kl_div(log_p_s, p_t, reduction="none", log_target=True)


def _cross_entropy_of_soft_targets(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    return -F.softmax(teacher, dim=dim) * F.log_softmax(student, dim=dim)


def _squared_difference(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    return (F.softmax(student, dim=dim) - F.softmax(teacher, dim=dim)) ** 2


Hard = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # student, teacher, labels, T -> number


def _labels_first(prepare: Callable[[Tensor, int], Tensor]) -> Hard:
    return lambda s, t, y, temperature: F.cross_entropy(prepare(y, s.shape[1]), s)


def distillation_loss_made_of(
    *,
    soften: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]] = lambda s, t, temperature: (
        s / temperature,
        t / temperature,
    ),
    pointwise: Pointwise = _kl(F.log_softmax, F.softmax),  # noqa: B008
    dim: int = 1,
    reduce: Callable[[Tensor], Tensor] = lambda point: point.sum() / len(point),
    soft_scale: Callable[[float], float] = lambda temperature: temperature**2,
    hard: Hard = lambda s, t, y, temperature: F.cross_entropy(s, y),
    hard_scale: Callable[[float], float] = lambda temperature: 1.0,
    weights: Callable[[float], tuple[float, float]] = lambda alpha: (alpha, 1.0 - alpha),
    detach: bool = True,
) -> Answer:
    """The loss from these decisions; the defaults are right."""

    def distillation_loss(
        student_logits: Tensor,
        teacher_logits: Tensor,
        labels: Tensor,
        temperature: float,
        alpha: float,
    ) -> Tensor:
        teacher = teacher_logits.detach() if detach else teacher_logits
        softened = soften(student_logits, teacher, temperature)
        soft = soft_scale(temperature) * reduce(pointwise(*softened, dim))
        hard_term = hard_scale(temperature) * hard(student_logits, teacher, labels, temperature)
        soft_weight, hard_weight = weights(alpha)
        return soft_weight * soft + hard_weight * hard_term

    return distillation_loss


VALUE_MISTAKES = (
    # the divergence
    mistake(
        "The student's probabilities stand where its LOG-probabilities belong; so the loss can "
        "even be negative. Use `F.log_softmax(student_logits / temperature, dim=1)`, which is "
        "what `F.kl_div` takes first, too.",
        depth=4,
        pointwise=_kl(F.softmax, F.softmax),
    ),
    mistake(
        "The divergence is turned round, KL(student ‖ teacher). Weight with the teacher's "
        f"probabilities: {KL}. In `F.kl_div` this happens when the arguments are swapped: the "
        "student's log-probabilities come first.",
        depth=4,
        pointwise=_kl(F.log_softmax, F.softmax, swap=True),
    ),
    mistake(
        "The divergence is turned round, and a probability stands where its logarithm belongs. "
        f"The sum is {KL}. `F.kl_div` takes log q first and p second.",
        pointwise=_kl(F.softmax, F.softmax, swap=True),
    ),
    mistake(
        "The logarithm of the teacher's log-probabilities is taken, which is nan. Take only one "
        "logarithm; `F.kl_div` takes it itself, so give it `F.softmax` of the teacher or add "
        "`log_target=True`.",
        pointwise=_kl(F.log_softmax, F.log_softmax),
    ),
    mistake(
        "The teacher's probabilities stand where its log-probabilities belong, inside an `exp` as "
        "well. Use `F.log_softmax` for the teacher; in `F.kl_div`, `log_target=True` asks for it.",
        pointwise=_log_target_of_probabilities,
    ),
    mistake(
        "The student's plain logits stand where its log-probabilities belong. Use "
        "`F.log_softmax(student_logits / temperature, dim=1)`, which is what `F.kl_div` takes "
        "first, too.",
        pointwise=_kl(_raw, F.softmax),
    ),
    mistake(
        "The teacher's plain logits stand where its probabilities belong. Use "
        "`F.softmax(teacher_logits / temperature, dim=1)`, which is what `F.kl_div` takes second, "
        "too.",
        pointwise=_kl(F.log_softmax, _raw),
    ),
    mistake(
        "The sign of the soft term is turned round, so a smaller loss drives the student away from "
        f"the teacher. The teacher's logarithm is first: {KL}.",
        depth=4,
        pointwise=_by_hand(lambda p, log_p, q, log_q: p * (log_q - log_p)),
    ),
    mistake(
        "The weight in your sum is the teacher's LOG-probability. The weight is its probability, "
        f"`log_p.exp()`: {KL}.",
        depth=3,
        pointwise=_by_hand(lambda p, log_p, q, log_q: log_p * (log_p - log_q)),
    ),
    mistake(
        "The weight in your sum is the teacher's LOG-probability, and the sign is turned round. "
        f"The weight is its probability, `log_p.exp()`: {KL}.",
        pointwise=_by_hand(lambda p, log_p, q, log_q: log_p * (log_q - log_p)),
    ),
    mistake(
        f"Your sum is weighted with the student's probabilities. The teacher's belong there: {KL}.",
        depth=3,
        pointwise=_by_hand(lambda p, log_p, q, log_q: q * (log_p - log_q)),
    ),
    mistake(
        f"The weights are missing in your sum. Multiply with the teacher's probabilities: {KL}.",
        pointwise=_by_hand(lambda p, log_p, q, log_q: log_p - log_q),
    ),
    mistake(
        "The weight is only on the teacher's logarithm. It belongs on the difference, so set "
        f"brackets: {KL}.",
        pointwise=_by_hand(lambda p, log_p, q, log_q: p * log_p - log_q),
    ),
    mistake(
        "Probabilities are subtracted where logarithms belong. Use `F.log_softmax` for both: "
        f"{KL}.",
        pointwise=_by_hand(lambda p, log_p, q, log_q: p * (p - q)),
    ),
    mistake(
        "The teacher's probability stands in the brackets, where its logarithm belongs. Use "
        f"`F.log_softmax` for the teacher: {KL}.",
        pointwise=_by_hand(lambda p, log_p, q, log_q: p * (p - log_q)),
    ),
    mistake(
        "The teacher's plain logits stand in the brackets, where its logarithm belongs. Use "
        f"`F.log_softmax` for the teacher: {KL}.",
        pointwise=_logits_of_the_teacher,
    ),
    mistake(
        "Plain logits are subtracted where log-probabilities belong. Use `F.log_softmax` for both: "
        f"{KL}.",
        pointwise=_logits_of_both,
    ),
    mistake(
        "The soft term is Σ p · log q alone. For the KL divergence the teacher's logarithm is in "
        f"the brackets as well, and first: {KL}.",
        pointwise=_by_hand(lambda p, log_p, q, log_q: p * log_q),
    ),
    mistake(
        "The student goes through a softmax twice in the soft term. `F.log_softmax` of the divided "
        "logits is all it needs.",
        pointwise=_kl(_log_of_softmax_twice, F.softmax),
    ),
    mistake(
        "The soft term is a cross-entropy, -Σ p · log q. It has the same gradient, but it never "
        f"reaches 0. For the KL divergence add the teacher's part: {KL}.",
        pointwise=_cross_entropy_of_soft_targets,
    ),
    mistake(
        "The soft term is a squared difference of probabilities. The KL divergence is asked for: "
        f"{KL}.",
        pointwise=_squared_difference,
    ),
    # temperature
    mistake(
        "The factor temperature² is missing on the soft term. Without it the gradient of this term "
        "gets smaller and smaller as the temperature grows: multiply by `temperature**2`.",
        depth=4,
        soft_scale=lambda temperature: 1.0,
    ),
    mistake(
        "The soft term is multiplied by the temperature; it should be by its square, "
        "`temperature**2`.",
        soft_scale=lambda temperature: temperature,
    ),
    mistake(
        "The soft term is divided by temperature²; it should be multiplied by it.",
        soft_scale=lambda temperature: temperature**-2,
    ),
    mistake(
        "The factor temperature² belongs to the soft term only; you multiply the whole sum by it. "
        "Check the brackets.",
        depth=4,
        hard_scale=lambda temperature: temperature**2,
    ),
    mistake(
        "The factor temperature² sits on the hard term. It belongs to the soft term.",
        soft_scale=lambda temperature: 1.0,
        hard_scale=lambda temperature: temperature**2,
    ),
    mistake(
        "The teacher's logits are not divided by the temperature. In the soft term both sides "
        "are: `teacher_logits / temperature`.",
        soften=lambda s, t, temperature: (s / temperature, t),
    ),
    mistake(
        "The student's logits are not divided by the temperature. In the soft term both sides "
        "are: `student_logits / temperature`.",
        soften=lambda s, t, temperature: (s, t / temperature),
    ),
    mistake(
        "In the soft term neither the student's nor the teacher's logits are divided by the "
        "temperature. Divide both before the softmax.",
        soften=lambda s, t, temperature: (s, t),
    ),
    mistake(
        "The logits are multiplied by the temperature. Divide them by it.",
        soften=lambda s, t, temperature: (s * temperature, t * temperature),
    ),
    mistake(
        "The temperature is applied to the hard term as well. The cross-entropy with the labels "
        "takes the plain `student_logits`.",
        depth=4,
        hard=lambda s, t, y, temperature: F.cross_entropy(s / temperature, y),
    ),
    # dimension and reduction
    mistake(
        "The softmax of the soft term runs over the images of the batch. It belongs over the "
        "classes: `dim=1`.",
        dim=0,
    ),
    mistake(
        "The soft term is averaged over the classes, too. Sum over the classes, then average over "
        "the batch: `.sum(dim=1).mean()`. In `F.kl_div` this is the default; "
        '`reduction="batchmean"` repairs it.',
        depth=4,
        reduce=torch.mean,
    ),
    mistake(
        "The soft term is divided by the number of classes instead of the number of images. Sum "
        "over the classes, then average over the batch: `.sum(dim=1).mean()`.",
        depth=3,
        reduce=lambda point: point.sum(dim=0).mean(),
    ),
    mistake(
        "The soft term is summed over the batch, so it grows with the number of images. Average "
        'over them: `.sum(dim=1).mean()`, or `reduction="batchmean"` in `F.kl_div`.',
        depth=4,
        reduce=torch.sum,
    ),
    mistake(
        'The hard term is summed over the batch. Average it: `reduction="mean"`, which is the '
        "default of `cross_entropy`.",
        hard=lambda s, t, y, temperature: F.cross_entropy(s, y, reduction="sum"),
    ),
    # the hard term
    *(
        mistake(
            "The arguments of `cross_entropy` are swapped: the student's logits come first, the "
            "labels second: `F.cross_entropy(student_logits, labels)`.",
            hard=_labels_first(prepare),
        )
        for prepare in (
            lambda y, classes: y,
            lambda y, classes: y.float(),
            lambda y, classes: F.one_hot(y, classes),
            lambda y, classes: F.one_hot(y, classes).float(),
        )
    ),
    mistake(
        "The hard term gets probabilities. `cross_entropy` contains the softmax already: give it "
        "the plain `student_logits`.",
        depth=4,
        hard=lambda s, t, y, temperature: F.cross_entropy(F.softmax(s, dim=1), y),
    ),
    mistake(
        "The hard term gets probabilities at the temperature. `cross_entropy` contains the softmax "
        "already: give it the plain `student_logits`.",
        hard=lambda s, t, y, temperature: F.cross_entropy(F.softmax(s / temperature, dim=1), y),
    ),
    mistake(
        "`nll_loss` wants log-probabilities and got plain logits. Use `F.cross_entropy`.",
        hard=lambda s, t, y, temperature: F.nll_loss(s, y),
    ),
    mistake(
        "The hard term compares the teacher with the labels. It is the student who learns: "
        "`F.cross_entropy(student_logits, labels)`.",
        hard=lambda s, t, y, temperature: F.cross_entropy(t, y),
    ),
    # alpha
    mistake(
        "alpha is on the wrong term. Here alpha weights the SOFT term: "
        "`alpha * soft + (1 - alpha) * hard`.",
        depth=4,
        weights=lambda alpha: (1.0 - alpha, alpha),
    ),
    *(
        mistake(
            "Only the soft term is there. Add the hard one: `+ (1 - alpha) * hard`.",
            weights=weights,
        )
        for weights in (lambda alpha: (alpha, 0.0), lambda alpha: (1.0, 0.0))
    ),
    *(
        mistake(
            "Only the hard term is there. Add the soft one: `alpha * soft`.",
            weights=weights,
        )
        for weights in (
            lambda alpha: (0.0, 1.0 - alpha),
            lambda alpha: (0.0, 1.0),
            lambda alpha: (0.0, alpha),
        )
    ),
    mistake(
        "The two terms are added without weights. Use `alpha * soft + (1 - alpha) * hard`.",
        weights=lambda alpha: (1.0, 1.0),
    ),
    mistake(
        "The hard term has no weight. Use `(1 - alpha) * hard`.",
        weights=lambda alpha: (alpha, 1.0),
    ),
    mistake(
        "The soft term has no weight. Use `alpha * soft`.",
        weights=lambda alpha: (1.0, 1.0 - alpha),
    ),
    mistake(
        "Both terms are weighted by alpha. The hard one gets the rest: `(1 - alpha) * hard`.",
        weights=lambda alpha: (alpha, alpha),
    ),
)

_ALWAYS_4 = (
    "The temperature of your soft term is always 4, the default of the package's losses. Use the "
    "argument `temperature`."
)

FIXED_MISTAKES = (
    mistake(
        _ALWAYS_4,
        soften=lambda s, t, temperature: (s / 4, t / 4),
    ),
    mistake(
        _ALWAYS_4,
        soften=lambda s, t, temperature: (s / 4, t / 4),
        soft_scale=lambda temperature: 16.0,
    ),
    mistake(
        "Your alpha is always 0.9, the default of the package's loss. Use the argument `alpha`.",
        weights=lambda alpha: (0.9, 0.1),
    ),
)

SHAPE_MISTAKES = (
    mistake(
        "Your function returns one loss for each image. Average the soft term over the batch, so "
        'that it is one number: `.sum(dim=1).mean()`, or `reduction="batchmean"` in `F.kl_div`.',
        reduce=lambda point: point.sum(dim=1),
    ),
    mistake(
        "Your function returns one loss for each image, averaged over the classes. Sum over the "
        "classes, then average over the batch: `.sum(dim=1).mean()`.",
        reduce=lambda point: point.mean(dim=1),
    ),
    *(
        mistake(
            "Your function returns one number for each class. Sum over the classes, which are "
            "`dim=1`, then average over the batch: `.sum(dim=1).mean()`.",
            reduce=reduce,
        )
        for reduce in (lambda point: point.sum(dim=0), lambda point: point.mean(dim=0))
    ),
    mistake(
        "Your function returns a loss for each image. Average both terms over the batch, so that "
        "it returns one number.",
        reduce=lambda point: point.sum(dim=1),
        hard=lambda s, t, y, temperature: F.cross_entropy(s, y, reduction="none"),
    ),
    mistake(
        "Your function returns a table with one value for each image and class. Sum over the "
        'classes and average over the batch: `.sum(dim=1).mean()`, or `reduction="batchmean"` in '
        "`F.kl_div`.",
        reduce=lambda point: point,
    ),
)
