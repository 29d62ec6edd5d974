"""The checks against right answers in several spellings, and against mistakes of learners.

Every wrong answer here is written out by hand; none comes from the table the checks use.
"""

import functools
import html
import itertools
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers import checks, losses
from kdhelpers.checks import exercise, running

Answer = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")

CHECKS = {
    "soft_targets": (checks.soft_targets, checks.soft_targets),
    "distillation_loss": (checks.distillation_loss, checks.distillation_loss),
    "distillation_step": (checks.distillation_step, checks.distillation_step),
    "entropy": (checks.entropy, checks.entropy),
    "temperature_for_confidence": (
        checks.temperature_for_confidence,
        checks.temperature_for_confidence,
    ),
    "gradient_ratio": (checks.gradient_ratio, checks.gradient_ratio),
}
EVERY_CHECK = pytest.mark.parametrize("check", [c for c, _ in CHECKS.values()], ids=CHECKS)


def assert_right(verdict: checks.Verdict) -> None:
    assert verdict.status == "right", verdict
    assert verdict


def assert_wrong(verdict: checks.Verdict, *words: str) -> None:
    assert verdict.status == "wrong", verdict
    assert not verdict
    for word in words:
        assert word in verdict.message, verdict


def table(**rows: Any) -> Any:
    """`pytest.mark.parametrize` with the names of the rows as test ids."""
    return pytest.mark.parametrize("row", rows.values(), ids=rows.keys())


# --- Soft targets ---------------------------------------------------------------------------------


def by_hand_soft_targets(logits: Tensor, temperature: float) -> Any:
    e = torch.exp(logits / temperature)
    return e / e.sum(dim=1, keepdim=True)


def row_by_row_soft_targets(z: Tensor, t: float) -> Any:
    rows = []
    for row in z:
        shifted = (row - row.max()) / t
        rows.append(shifted.exp() / shifted.exp().sum())
    return torch.stack(rows)


class SoftTargets:
    def __call__(self, scores: Tensor, tau: float) -> Any:
        return nn.Softmax(dim=-1)(scores * (1 / tau))


def numpy_soft_targets(logits: Tensor, temperature: float) -> Any:
    z = logits.numpy() / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@table(
    package=losses.soft_targets,
    torch=lambda z, t: F.softmax(z / t, dim=1),
    by_hand=by_hand_soft_targets,
    row_by_row=row_by_row_soft_targets,
    through_logs=lambda z, t: F.log_softmax(z / t, 1).exp(),
    callable_object=SoftTargets(),
    partial=functools.partial(lambda z, t, dim: torch.softmax(z / t, dim), dim=1),
    method=SoftTargets().__call__,
    numpy=numpy_soft_targets,
    double=lambda z, t: F.softmax(z.double() / t, dim=1),
)
def test_soft_targets_right(row: Answer) -> None:
    assert_right(checks.soft_targets(row))


def test_soft_targets_right_with_a_float64_default(float64_default: None) -> None:
    assert_right(checks.soft_targets(by_hand_soft_targets))


def test_soft_targets_that_overflow_are_right_with_a_remark() -> None:
    assert "overflow" in checks.soft_targets(by_hand_soft_targets).message
    assert "overflow" not in checks.soft_targets(row_by_row_soft_targets).message


@table(
    multiplied=(lambda z, t: F.softmax(z * t, dim=1), "multiplied"),
    unused=(lambda z, t: F.softmax(z, dim=1), "not used"),
    squared=(lambda z, t: F.softmax(z / t**2, dim=1), "temperature²"),
    after=(lambda z, t: F.softmax(z, dim=1) / t, "after the softmax"),
    dim_0=(lambda z, t: F.softmax(z / t, dim=0), "`dim=1`"),
    whole_batch=(lambda z, t: F.softmax((z / t).view(-1), 0).view_as(z), "whole batch"),
    logs=(lambda z, t: F.log_softmax(z / t, dim=1), "log-probabilities"),
    sigmoid=(lambda z, t: torch.sigmoid(z / t), "sigmoid"),
    no_softmax=(lambda z, t: z / t, "not yet probabilities"),
    twice=(lambda z, t: torch.softmax(torch.softmax(z / t, 1), 1), "twice"),
    not_normalised=(lambda z, t: torch.exp(z / t), "do not add up to 1"),
    wrong_sum=(lambda z, t: (z / t).exp() / (z / t).exp().sum(0), "`keepdim=True` for a sum"),
    no_keepdim=(lambda z, t: (z / t).exp() / (z / t).exp().sum(1), "Keep the dimension"),
    two_mistakes=(lambda z, t: F.softmax(z, dim=0), "2 things"),
    one_hot=(lambda z, t: F.one_hot((z / t).argmax(dim=1), z.shape[1]), "`argmax` keeps"),
    always_1=(lambda z, t: torch.softmax(z / 1.0, dim=1), "not used"),
    always_4=(lambda z, t: torch.softmax(z / 4.0, dim=-1), "always 4"),
    always_2=(lambda z, t, T=2: (z / T).softmax(1), "always 2"),
)
def test_soft_targets_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.soft_targets(answer), words)


# --- The distillation loss ------------------------------------------------------------------------


def usual_loss(s: Tensor, t: Tensor, labels: Tensor, temperature: Any, alpha: Any) -> Any:
    with torch.no_grad():
        p_t = F.softmax(t / temperature, dim=1)
    log_p_s = F.log_softmax(s / temperature, dim=1)
    soft = F.kl_div(log_p_s, p_t, reduction="batchmean") * temperature**2
    return alpha * soft + (1 - alpha) * F.cross_entropy(s, labels)


def loss_with_log_target(s: Tensor, t: Tensor, y: Tensor, tau: float, weight: float) -> Any:
    kl = nn.KLDivLoss(reduction="batchmean", log_target=True)
    soft = kl((s / tau).log_softmax(-1), (t.detach() / tau).log_softmax(-1))
    return weight * tau * tau * soft + (1 - weight) * nn.CrossEntropyLoss()(s, y)


def loss_by_hand(z_s: Tensor, z_t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    batch = z_s.size(0)
    p_s = torch.exp(z_s / T) / torch.exp(z_s / T).sum(1, keepdim=True)
    p_t = (torch.exp(z_t / T) / torch.exp(z_t / T).sum(1, keepdim=True)).detach()
    soft = sum((p_t[i] * (p_t[i].log() - p_s[i].log())).sum() for i in range(batch)) / batch
    log_p = z_s - z_s.exp().sum(1, keepdim=True).log()
    hard = -log_p[torch.arange(batch), y].mean()
    return alpha * T**2 * soft + (1 - alpha) * hard


def cross_entropy_minus_entropy(
    s: Tensor, t: Tensor, y: Tensor, temperature: float, alpha: float
) -> Any:
    p_t = F.softmax(t.detach() / temperature, dim=1)
    soft = F.cross_entropy(s / temperature, p_t) - torch.special.entr(p_t).sum(1).mean()
    return alpha * temperature**2 * soft + (1 - alpha) * F.nll_loss(F.log_softmax(s, 1), y)


class DistillationLoss(nn.Module):
    def forward(self, s: Tensor, t: Tensor, y: Tensor, tau: float, a: float) -> Any:
        return usual_loss(s, t, y, tau, a).reshape(1)


def loss_with_keywords(s: Tensor, t: Tensor, y: Tensor, *, alpha: float, temperature: float) -> Any:
    return usual_loss(s, t, y, temperature, alpha)


def loss_with_other_keywords(s: Tensor, t: Tensor, y: Tensor, *, tau: float, w: float) -> Any:
    return usual_loss(s, t, y, tau, w)


RIGHT_LOSSES = {
    "package": losses.distillation_loss,
    "usual": usual_loss,
    "log_target": loss_with_log_target,
    "by_hand": loss_by_hand,
    "minus_entropy": cross_entropy_minus_entropy,
    "module": DistillationLoss(),
    "keywords": loss_with_keywords,
    "other_keywords": loss_with_other_keywords,
    "partial": functools.partial(usual_loss),
    "starred": lambda *arguments: usual_loss(*arguments),
    "tensor_weights": lambda s, t, y, T, a: usual_loss(s, t, y, torch.tensor(T), torch.tensor(a)),
    "double": lambda s, t, y, T, a: usual_loss(s.double(), t.double(), y, T, a),
}


@table(**RIGHT_LOSSES)
def test_loss_right(row: Answer) -> None:
    assert_right(checks.distillation_loss(row))


@table(**RIGHT_LOSSES)
def test_loss_right_with_a_float64_default(row: Answer, float64_default: None) -> None:
    assert_right(checks.distillation_loss(row))


def test_loss_that_is_nan_at_large_gaps_is_right_with_a_remark() -> None:
    assert "not finite" in checks.distillation_loss(loss_by_hand).message
    assert "not finite" not in checks.distillation_loss(usual_loss).message


def test_loss_right_under_no_grad_and_inference_mode() -> None:
    with torch.no_grad():
        assert_right(checks.distillation_loss(usual_loss))
    with torch.inference_mode():
        assert_right(checks.distillation_loss(usual_loss))


def soft_of(s: Tensor, t: Tensor, T: float) -> Any:
    return F.kl_div(F.log_softmax(s / T, 1), F.softmax(t.detach() / T, 1), reduction="batchmean")


def total(soft: Answer, hard: Answer | None = None) -> Answer:
    """A loss whose soft term is `soft(s, t, T)`, teacher detached, hard term `hard(s, y, T)`."""

    def loss(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
        hard_term = F.cross_entropy(s, y) if hard is None else hard(s, y, T)
        return alpha * soft(s, t.detach(), T) + (1 - alpha) * hard_term

    return loss


def probabilities(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean")


def swapped(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(t / T, 1), F.softmax(s / T, 1), reduction="batchmean")


def swapped_probabilities(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.softmax(t / T, 1), F.softmax(s / T, 1), reduction="batchmean")


def log_log(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(s / T, 1), F.log_softmax(t / T, 1), reduction="batchmean")


def needless_log_target(s: Tensor, t: Tensor, T: float) -> Any:
    kl = nn.KLDivLoss(reduction="batchmean", log_target=True)
    return T**2 * kl(F.log_softmax(s / T, 1), F.softmax(t / T, 1))


def raw_first(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(s / T, F.softmax(t / T, 1), reduction="batchmean")


def raw_second(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(s / T, 1), t / T, reduction="batchmean")


def softmax_twice(s: Tensor, t: Tensor, T: float) -> Any:
    log_p = F.log_softmax(F.softmax(s / T, 1), 1)
    return T**2 * F.kl_div(log_p, F.softmax(t / T, 1), reduction="batchmean")


def mean_reduction(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * nn.KLDivLoss()(F.log_softmax(s / T, 1), F.softmax(t / T, 1))


def sum_reduction(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * nn.KLDivLoss(reduction="sum")(F.log_softmax(s / T, 1), F.softmax(t / T, 1))


def no_reduction(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="none")


def other_dim(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(s / T, 0), F.softmax(t / T, 0), reduction="batchmean")


def teacher_at_1(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(s / T, 1), F.softmax(t, 1), reduction="batchmean")


def student_at_1(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * F.kl_div(F.log_softmax(s, 1), F.softmax(t / T, 1), reduction="batchmean")


def right_soft(s: Tensor, t: Tensor, T: float) -> Any:
    return T**2 * soft_of(s, t, T)


def weighted(combine: Answer) -> Answer:
    """A loss that combines the right terms as `combine(soft, hard, alpha, T)`."""
    return lambda s, t, y, T, alpha: combine(
        T * T * soft_of(s, t, T), F.cross_entropy(s, y), alpha, T
    )


def vector_of_both(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    hard = F.cross_entropy(s, y, reduction="none")
    return alpha * no_reduction(s, t.detach(), T).sum(1) + (1 - alpha) * hard


WRONG_LOSSES = {
    "probabilities": (total(probabilities), "where its LOG-probabilities belong"),
    "swapped": (total(swapped), "divergence is turned round, KL("),
    "swapped_probabilities": (
        total(swapped_probabilities),
        "turned round, and a probability",
    ),
    "log_log": (total(log_log), "logarithm of the teacher's log-probabilities"),
    "needless_log_target": (total(needless_log_target), "inside an `exp` as well"),
    "raw_first": (total(raw_first), "student's plain logits"),
    "raw_second": (total(raw_second), "teacher's plain logits stand where its prob"),
    "softmax_twice": (total(softmax_twice), "softmax twice"),
    "soft_cross_entropy": (
        total(lambda s, t, T: T**2 * F.cross_entropy(s / T, F.softmax(t / T, 1))),
        "never reaches 0",
    ),
    "squared_difference": (
        total(
            lambda s, t, T: T**2 * (F.softmax(s / T, 1) - F.softmax(t / T, 1)).pow(2).sum(1).mean()
        ),
        "squared difference",
    ),
    "no_T2": (total(soft_of), "factor temperature² is missing"),
    "T": (total(lambda s, t, T: T * soft_of(s, t, T)), "by its square"),
    "divided_by_T2": (total(lambda s, t, T: soft_of(s, t, T) / T**2), "divided by temperature²"),
    "T2_on_all": (
        lambda s, t, y, T, a: T**2 * (a * soft_of(s, t, T) + (1 - a) * F.cross_entropy(s, y)),
        "whole sum",
    ),
    "T2_on_hard": (
        total(soft_of, lambda s, y, T: T**2 * F.cross_entropy(s, y)),
        "sits on the hard term",
    ),
    "teacher_at_1": (total(teacher_at_1), "teacher's logits are not divided"),
    "student_at_1": (total(student_at_1), "student's logits are not divided"),
    "both_at_1": (total(lambda s, t, T: T**2 * soft_of(s, t, 1.0)), "neither the student's"),
    "times_T": (total(lambda s, t, T: T**2 * soft_of(s, t, 1 / T)), "multiplied by the"),
    "hard_at_T": (
        total(right_soft, lambda s, y, T: F.cross_entropy(s / T, y)),
        "applied to the hard term",
    ),
    "dim_0": (total(other_dim), "images of the batch"),
    "mean": (total(mean_reduction), "averaged over the classes, too"),
    "sum": (total(sum_reduction), "summed over the batch"),
    "vector": (total(lambda s, t, T: no_reduction(s, t, T).sum(1)), "one loss for each image"),
    "vector_of_both": (vector_of_both, "a loss for each image"),
    "table": (total(no_reduction), "each image and class"),
    "hard_sum": (
        total(right_soft, lambda s, y, T: F.cross_entropy(s, y, reduction="sum")),
        "hard term is summed",
    ),
    "hard_swapped": (
        total(right_soft, lambda s, y, T: nn.CrossEntropyLoss()(y, s)),
        "arguments of `cross_entropy` are swapped",
    ),
    "hard_swapped_floats": (
        total(right_soft, lambda s, y, T: F.cross_entropy(y.float(), s)),
        "arguments of `cross_entropy` are swapped",
    ),
    "hard_swapped_one_hot": (
        total(right_soft, lambda s, y, T: F.cross_entropy(F.one_hot(y, s.shape[1]).float(), s)),
        "arguments of `cross_entropy` are swapped",
    ),
    "hard_softmax": (
        total(right_soft, lambda s, y, T: F.cross_entropy(s.softmax(1), y)),
        "contains the softmax already",
    ),
    "hard_softmax_at_T": (
        total(right_soft, lambda s, y, T: F.cross_entropy((s / T).softmax(1), y)),
        "probabilities at the temperature",
    ),
    "hard_nll": (total(right_soft, lambda s, y, T: F.nll_loss(s, y)), "`nll_loss` wants"),
    "hard_teacher": (
        lambda s, t, y, T, a: a * right_soft(s, t, T) + (1 - a) * F.cross_entropy(t.detach(), y),
        "compares the teacher with the labels",
    ),
    "alpha": (weighted(lambda soft, hard, a, T: (1 - a) * soft + a * hard), "the SOFT term"),
    "only_soft": (weighted(lambda soft, hard, a, T: soft), "Only the soft term"),
    "only_weighted_soft": (weighted(lambda soft, hard, a, T: a * soft), "Only the soft term"),
    "only_hard": (weighted(lambda soft, hard, a, T: hard), "Only the hard term"),
    "only_weighted_hard": (weighted(lambda soft, hard, a, T: (1 - a) * hard), "Only the hard"),
    "unweighted": (weighted(lambda soft, hard, a, T: soft + hard), "without weights"),
    "hard_unweighted": (weighted(lambda soft, hard, a, T: a * soft + hard), "hard term has no"),
    "soft_unweighted": (
        weighted(lambda soft, hard, a, T: soft + (1 - a) * hard),
        "soft term has no weight",
    ),
    "both_alpha": (weighted(lambda soft, hard, a, T: a * (soft + hard)), "weighted by alpha"),
    "item": (lambda *x: usual_loss(*x).item(), "No gradient reaches the student"),
    "detached": (lambda *x: usual_loss(*x).detach(), "No gradient reaches the student"),
    "no_grad": (torch.no_grad()(lambda *x: usual_loss(*x)), "No gradient reaches the student"),
}


@table(**WRONG_LOSSES)
def test_loss_wrong(row: tuple[Answer, str]) -> None:
    """One mistake is named, and named alone."""
    answer, words = row
    verdict = checks.distillation_loss(answer)
    assert_wrong(verdict, words)
    assert "things to repair" not in verdict.message


def seed_000(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    divergence = nn.KLDivLoss(reduction="batchmean")
    soft = divergence(F.softmax(s / T, dim=1), F.softmax(t / T, dim=1))
    return alpha * nn.CrossEntropyLoss()(s, y) + (1 - alpha) * soft


def seed_002(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    soft = F.kl_div(F.log_softmax(t / T, 1), F.softmax(s / T, 1), reduction="batchmean")
    return alpha * F.cross_entropy(s, y) + (1 - alpha) * soft


def test_loss_of_source_document_000() -> None:
    verdict = checks.distillation_loss(seed_000)
    assert_wrong(verdict, "its LOG-probabilities belong", "temperature² is missing", "SOFT term")
    assert_wrong(verdict, "A gradient reaches `teacher_logits`")


def test_loss_of_source_document_002() -> None:
    verdict = checks.distillation_loss(seed_002)
    assert_wrong(verdict, "turned round", "temperature² is missing", "the SOFT term")


def test_loss_of_source_document_004() -> None:
    def loss(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
        return alpha * nn.CrossEntropyLoss()(y, s) + (1 - alpha) * right_soft(s, t, T)

    assert_wrong(checks.distillation_loss(loss), "`cross_entropy` are swapped", "NotImplemented")


@pytest.mark.parametrize(
    ("soft", "words"),
    [
        (lambda s, t, T: probabilities(s, t, T) / T**2, "its LOG-probabilities belong"),
        (lambda s, t, T: swapped(s, t, T) / T**2, "turned round"),
        (lambda s, t, T: mean_reduction(s, t, T) / T**2, "averaged over the classes"),
        (lambda s, t, T: teacher_at_1(s, t, T) / T**2, "teacher's logits are not divided"),
    ],
    ids=["probabilities", "swapped", "mean", "teacher_at_1"],
)
def test_two_mistakes_are_both_named(soft: Answer, words: str) -> None:
    verdict = checks.distillation_loss(total(soft))
    assert_wrong(verdict, "2 things to repair", "temperature² is missing", words)


def test_a_gradient_for_the_teacher_is_found() -> None:
    def loss(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
        soft = F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean")
        return alpha * soft * T**2 + (1 - alpha) * F.cross_entropy(s, y)

    verdict = checks.distillation_loss(loss)
    assert_wrong(verdict, "A gradient reaches `teacher_logits`")
    assert "things to repair" not in verdict.message


def test_a_partly_detached_student_is_wrong() -> None:
    def loss(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
        hard = F.cross_entropy(s, y).item()
        return alpha * right_soft(s, t, T) + (1 - alpha) * hard

    assert_wrong(checks.distillation_loss(loss), "gradient of the loss for student_logits")


def test_an_unknown_loss_shows_the_smallest_case() -> None:
    verdict = checks.distillation_loss(lambda s, t, y, T, a: (s**2).mean() + 10)
    assert_wrong(verdict, "fit no mistake", "student_logits = [[", "labels = [", "temperature = 2")
    assert_wrong(verdict, "the loss should be", "and yours is")


def test_an_unknown_negative_loss_points_at_the_soft_term() -> None:
    verdict = checks.distillation_loss(lambda s, t, y, T, a: -(s**2).sum())
    assert_wrong(verdict, "Your loss is negative", "p · (log p - log q)", "and yours is")
    assert "kl_div" not in verdict.message


def by_sums(
    term: Answer = lambda p, log_p, q, log_q: p * (log_p - log_q),
    reduce: Answer = lambda point: point.sum(dim=1).mean(),
    scale: Answer = lambda T: T**2,
) -> Answer:
    """A loss as the exercise asks for it, without `kl_div`."""

    def loss(s: Tensor, t: Tensor, y: Tensor, temperature: float, alpha: float) -> Any:
        log_q = F.log_softmax(s / temperature, dim=1)
        log_p = F.log_softmax(t.detach() / temperature, dim=1)
        kl = reduce(term(log_p.exp(), log_p, log_q.exp(), log_q))
        return alpha * scale(temperature) * kl + (1 - alpha) * F.cross_entropy(s, y)

    return loss


def soft_by_sums(term: Answer) -> Answer:
    """A loss with `term(z_s / T, z_t / T)`, [B, C], in its soft term."""
    return total(lambda s, t, T: T**2 * term(s / T, t / T).sum(1).mean())


@table(
    sign=(by_sums(lambda p, log_p, q, log_q: p * (log_q - log_p)), "sign of the soft term"),
    minus=(by_sums(reduce=lambda k: -k.sum(dim=1).mean()), "sign of the soft term"),
    log_weight=(by_sums(lambda p, log_p, q, log_q: log_p * (log_p - log_q)), "`log_p.exp()`"),
    log_weight_sign=(by_sums(lambda p, log_p, q, log_q: log_p * (log_q - log_p)), "and the sign"),
    student_weight=(
        by_sums(lambda p, log_p, q, log_q: q * (log_p - log_q)),
        "weighted with the student's probabilities",
    ),
    reverse=(
        by_sums(lambda p, log_p, q, log_q: q * (log_q - log_p)),
        "divergence is turned round, KL(student",
    ),
    no_weight=(by_sums(lambda p, log_p, q, log_q: log_p - log_q), "weights are missing"),
    brackets=(by_sums(lambda p, log_p, q, log_q: p * log_p - log_q), "set brackets"),
    no_logs=(by_sums(lambda p, log_p, q, log_q: p * (p - q)), "`F.log_softmax` for both"),
    no_log_p=(by_sums(lambda p, log_p, q, log_q: p * (p - log_q)), "`F.log_softmax` for the"),
    no_log_q=(by_sums(lambda p, log_p, q, log_q: p * (log_p - q)), "LOG-probabilities belong"),
    logits=(soft_by_sums(lambda s, t: t.softmax(1) * (t - s)), "Plain logits are subtracted"),
    logits_p=(
        soft_by_sums(lambda s, t: t.softmax(1) * (t - s.log_softmax(1))),
        "teacher's plain logits stand in the brackets",
    ),
    logits_q=(
        soft_by_sums(lambda s, t: t.softmax(1) * (t.log_softmax(1) - s)),
        "student's plain logits",
    ),
    ratio=(soft_by_sums(lambda s, t: t.softmax(1) * (s.softmax(1) / t.softmax(1)).log()), "sign"),
    cross_entropy=(by_sums(lambda p, log_p, q, log_q: -p * log_q), "is a cross-entropy"),
    half=(by_sums(lambda p, log_p, q, log_q: p * log_q), "p · log q alone"),
    sum_0_mean=(by_sums(reduce=lambda k: k.sum(0).mean()), "instead of the number of images"),
    mean_sum=(by_sums(reduce=lambda k: k.mean(1).sum()), "instead of the number of images"),
    mean_mean=(by_sums(reduce=lambda k: k.mean(dim=1).mean()), "averaged over the classes, too"),
    sum_0=(by_sums(reduce=lambda k: k.sum(0)), "one number for each class"),
    mean_0=(by_sums(reduce=lambda k: k.mean(dim=0)), "one number for each class"),
    mean_1=(by_sums(reduce=lambda k: k.mean(dim=1)), "averaged over the classes. Sum"),
    sum=(by_sums(reduce=lambda k: k.sum()), "grows with the number of images"),
    default_T=(
        lambda s, t, y, T, a: a * losses.kd_loss(s, t) + (1 - a) * F.cross_entropy(s, y),
        "always 4",
    ),
    default_alpha=(
        lambda s, t, y, T, a: losses.distillation_loss(s, t, y, temperature=T),
        "always 0.9",
    ),
)
def test_loss_by_sums_wrong(row: tuple[Answer, str]) -> None:
    """One mistake is named, alone, and never as one in a call of `kl_div`."""
    answer, words = row
    verdict = checks.distillation_loss(answer)
    assert_wrong(verdict, words)
    assert "things to repair" not in verdict.message
    before = verdict.message.partition("kl_div")[0]
    assert ". " in before or "kl_div" not in verdict.message


def test_defaults_of_the_package_are_both_named() -> None:
    verdict = checks.distillation_loss(lambda s, t, y, T, a: losses.distillation_loss(s, t, y))
    assert_wrong(verdict, "2 things to repair", "always 4", "always 0.9")


def test_sums_with_two_mistakes() -> None:
    turned = by_sums(lambda p, log_p, q, log_q: p * (log_q - log_p), scale=lambda T: 1)
    assert_wrong(checks.distillation_loss(turned), "2 things", "sign of", "temperature² is missing")
    crooked = by_sums(lambda p, log_p, q, log_q: q * (log_p - log_q), lambda k: k.sum(0).mean())
    assert_wrong(checks.distillation_loss(crooked), "2 things", "student's prob", "instead of")


@pytest.mark.parametrize("name", ["usual", "log_target", "package"])
def test_a_right_loss_with_kl_div_gets_a_remark(name: str) -> None:
    verdict = checks.distillation_loss(RIGHT_LOSSES[name])
    assert_right(verdict)
    assert "calls `F.kl_div`, and the exercise asks for it without" in verdict.message


def test_a_right_loss_without_kl_div_gets_none() -> None:
    verdict = checks.distillation_loss(by_sums())
    assert_right(verdict)
    assert "One step further" not in verdict.message


@pytest.mark.filterwarnings("error::UserWarning")
def test_hints_of_torch_are_silent() -> None:
    assert_wrong(checks.distillation_loss(total(mean_reduction)), "averaged over the classes")


# --- One distillation step ------------------------------------------------------------------------


def usual_step(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    temperature: float,
    alpha: float,
) -> Any:
    teacher.eval()
    student.train()
    with torch.no_grad():
        teacher_logits = teacher(images)
    loss = usual_loss(student(images), teacher_logits, labels, temperature, alpha)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def terse_step(
    net: Any, big: Any, x: Tensor, y: Tensor, opt: Any, *, temperature: float, alpha: float
) -> float:
    net.train().zero_grad(set_to_none=False)
    with torch.no_grad():
        target = big.train(False)(x)
    value = losses.distillation_loss(net(x), target, y, temperature=temperature, alpha=alpha)
    value.backward()
    opt.step()
    opt.zero_grad()
    return float(value)


def two_backwards_step(
    student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
) -> Any:
    mode = teacher.training
    teacher.eval().requires_grad_(False)
    targets = teacher(x)
    teacher.train(mode)
    student.train()
    optimizer.zero_grad()
    logits = student(x)
    soft, hard = alpha * right_soft(logits, targets, T), (1 - alpha) * F.cross_entropy(logits, y)
    soft.backward(retain_graph=True)
    hard.backward()
    optimizer.step()
    return np.float64(soft.item() + hard.item())


def own_gradient_step(
    student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
) -> Any:
    teacher.eval()
    student.train()
    with torch.no_grad():
        targets = teacher(x)
    loss = usual_loss(student(x), targets, y, T, alpha)
    parameters = list(student.parameters())
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimizer.step()
    return loss


@table(usual=usual_step, terse=terse_step, two=two_backwards_step, own=own_gradient_step)
def test_step_right(row: Answer) -> None:
    verdict = checks.distillation_step(row)
    assert_right(verdict)
    assert "One step further" not in verdict.message


def test_step_right_with_a_float64_default(float64_default: None) -> None:
    assert_right(checks.distillation_step(usual_step))


@pytest.mark.parametrize("loss", [usual_loss, losses.distillation_loss], ids=["mine", "package"])
def test_step_that_detaches_late_is_right_with_a_remark(loss: Answer) -> None:
    def step(
        student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
    ) -> Any:
        teacher.eval()
        student.train()
        optimizer.zero_grad()
        value = loss(student(x), teacher(x).detach(), y, temperature=T, alpha=alpha)
        value.backward()
        optimizer.step()
        return value

    verdict = checks.distillation_step(step)
    assert_right(verdict)
    assert "outside `torch.no_grad()`" in verdict.message


def plain_loss(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    """Right, but it leaves the teacher's gradient to the caller."""
    soft = F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean")
    return alpha * soft * T**2 + (1 - alpha) * F.cross_entropy(s, y)


def step_of(
    actions: str = "zero backward step",
    *,
    teacher_mode: str = "eval",
    student_mode: str = "train",
    guard: Any = torch.no_grad,
    loss: Answer = plain_loss,
    before: Answer = lambda student, teacher: None,
) -> Answer:
    def step(
        student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
    ) -> Any:
        if teacher_mode:
            getattr(teacher, teacher_mode)()
        if student_mode:
            getattr(student, student_mode)()
        before(student, teacher)
        with guard():
            target = teacher(x)
        value = loss(student(x), target, y, T, alpha)
        for action in actions.split():
            if action == "zero":
                optimizer.zero_grad()
            elif action == "backward":
                value.backward()
            else:
                optimizer.step()
        return value

    return step


def nudge(student: Any, teacher: Any) -> None:
    with torch.no_grad():
        teacher[1].weight[0, 0] += 1e-5


@table(
    teacher_train=(step_of(teacher_mode=""), "teacher runs in train mode"),
    student_eval=(step_of(student_mode=""), "student runs in eval mode"),
    student_eval_called=(step_of(student_mode="eval"), "student runs in eval mode"),
    teacher_gradient=(step_of(guard=torch.enable_grad), "Gradients reach the teacher"),
    teacher_weights=(step_of(before=nudge), "teacher's weights changed"),
    no_zero=(step_of("backward step"), "gradients of the step before"),
    late_zero=(step_of("backward step zero"), "gradients of the step before"),
    no_backward=(step_of("zero step"), "no `loss.backward()`"),
    only_step=(step_of("step"), "along old gradients"),
    no_step=(step_of("zero backward"), "no `optimizer.step()`"),
    only_backward=(step_of("backward"), "no `optimizer.step()`"),
    step_first=(step_of("zero step backward"), "comes before `loss.backward()`"),
    step_very_first=(step_of("step zero backward"), "comes before `loss.backward()`"),
    step_backward=(step_of("step backward"), "comes before `loss.backward()`"),
    zero_between=(step_of("backward zero step"), "between backward and step"),
    nothing=(step_of(""), "does not learn"),
    fixed_T=(step_of(loss=lambda s, t, y, T, a: plain_loss(s, t, y, 4.0, a)), "`temperature`"),
    fixed_alpha=(step_of(loss=lambda s, t, y, T, a: plain_loss(s, t, y, T, 0.9)), "`alpha`"),
    defaults=(step_of(loss=lambda s, t, y, T, a: plain_loss(s, t, y, 4.0, 0.9)), "neither"),
    loss_mistake=(step_of(loss=total(soft_of)), "temperature² is missing"),
    nothing_returned=(lambda *x: usual_step(*x) and None, "returns nothing"),
    returns_a_pair=(lambda *x: (usual_step(*x), 1), "returned a tuple"),
    returns_a_vector=(lambda *x: usual_step(*x).expand(2), "one number"),
)
def test_step_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.distillation_step(answer), words)


def test_step_with_two_mistakes() -> None:
    verdict = checks.distillation_step(step_of("backward step", teacher_mode=""))
    assert_wrong(verdict, "2 things", "teacher runs in train mode", "gradients of the step before")


def test_step_in_train_mode_with_gradients() -> None:
    verdict = checks.distillation_step(step_of(teacher_mode="", guard=torch.enable_grad))
    assert_wrong(verdict, "2 things", "teacher runs in train mode", "Gradients reach the teacher")


def test_step_that_cuts_the_student_off() -> None:
    def step(
        student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
    ) -> Any:
        with torch.no_grad():
            loss = usual_loss(student(x), teacher(x), y, T, alpha)
        loss.backward()
        return loss

    assert_wrong(checks.distillation_step(step), "line ", "loss.backward()", "lost its connection")


def test_an_unknown_step_asks_about_the_loss() -> None:
    verdict = checks.distillation_step(step_of(loss=lambda s, t, y, T, a: (s - t).abs().mean()))
    assert_wrong(verdict, "the loss should be", "the exercise before")


def test_an_unknown_step_with_a_right_loss_does_not_ask_about_it() -> None:
    def step(student: Any, *rest: Any) -> Any:
        loss = usual_step(student, *rest)
        rest[3].step()
        return loss

    verdict = checks.distillation_step(step)
    assert_wrong(verdict, "weights after the step should be", "The loss is right")
    assert "exercise before" not in verdict.message


def reporting(mode: str) -> Answer:
    def step(
        student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
    ) -> Any:
        usual_step(student, teacher, x, y, optimizer, T, alpha)
        getattr(student, mode)()
        with torch.no_grad():
            return plain_loss(student(x), teacher(x), y, T, alpha).item()

    return step


def given(s: Answer = lambda s, T: s, t: Answer = lambda t, T: t) -> Answer:
    """A step that hands `s(student's logits, T)` and `t(teacher's logits, T)` to the loss."""
    return step_of(loss=lambda z, v, y, T, a: plain_loss(s(z, T), t(v, T), y, T, a))


@table(
    teacher=(given(t=lambda t, T: F.softmax(t, dim=1)), "the teacher's probabilities"),
    teacher_at_T=(given(t=lambda t, T: F.softmax(t / T, dim=1)), "the teacher's probabilities"),
    student=(given(lambda s, T: s.softmax(1)), "the student's probabilities"),
    both=(
        given(lambda s, T: (s / T).softmax(1), lambda t, T: (t / T).softmax(1)),
        "probabilities of both",
    ),
    after_in_train=(reporting("train"), "computed again after `optimizer.step()`"),
    after_in_eval=(reporting("eval"), "computed again after `optimizer.step()`"),
)
def test_step_around_the_loss_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    verdict = checks.distillation_step(answer)
    assert_wrong(verdict, words)
    assert "things to repair" not in verdict.message
    assert "exercise before" not in verdict.message


def two_passes_step(
    student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
) -> Any:
    teacher.eval()
    student.train()
    with torch.no_grad():
        targets = teacher(x)
    soft, hard = right_soft(student(x), targets, T), F.cross_entropy(student(x), y)
    loss = alpha * soft + (1 - alpha) * hard
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def step_with_accuracy(student: Any, teacher: Any, x: Tensor, y: Tensor, *rest: Any) -> Any:
    loss = usual_step(student, teacher, x, y, *rest)
    with torch.no_grad():
        assert 0 <= (student(x).argmax(1) == y).float().mean() <= 1
    return loss


@table(two_passes=two_passes_step, accuracy=step_with_accuracy)
def test_more_passes_are_right_with_a_remark(row: Answer) -> None:
    verdict = checks.distillation_step(row)
    assert_right(verdict)
    assert "more than once in train mode" in verdict.message


def step_with_closure(
    student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
) -> Any:
    teacher.eval()
    student.train()

    def closure() -> Any:
        optimizer.zero_grad()
        with torch.no_grad():
            targets = teacher(x)
        loss = usual_loss(student(x), targets, y, T, alpha)
        loss.backward()
        return loss

    return optimizer.step(closure)


def clearing(clear: Answer, *, look_first: bool = False) -> Answer:
    def step(
        student: Any, teacher: Any, x: Tensor, y: Tensor, optimizer: Any, T: float, alpha: float
    ) -> Any:
        if look_first:
            with torch.no_grad():
                student.eval()(x)
        student.train()
        teacher.eval()
        with torch.no_grad():
            targets = teacher(x)
        loss = usual_loss(student(x), targets, y, T, alpha)
        clear(student, optimizer)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


@table(
    closure=step_with_closure,
    student=clearing(lambda student, optimizer: student.zero_grad()),
    student_kept=clearing(lambda student, optimizer: student.zero_grad(set_to_none=False)),
    to_none=clearing(lambda student, optimizer: optimizer.zero_grad(set_to_none=True)),
    kept=clearing(lambda student, optimizer: optimizer.zero_grad(set_to_none=False)),
    by_hand=clearing(lambda student, optimizer: [p.grad.zero_() for p in student.parameters()]),
    looked=clearing(lambda student, optimizer: optimizer.zero_grad(), look_first=True),
)
def test_step_right_in_other_spellings(row: Answer) -> None:
    verdict = checks.distillation_step(row)
    assert_right(verdict)
    assert "One step further" not in verdict.message


# --- Entropy --------------------------------------------------------------------------------------


def entropy_by_loop(p: Tensor) -> Any:
    return torch.tensor([-sum(q * math.log(q) for q in row if q > 0) for row in p.tolist()])


@table(
    entr=lambda p: torch.special.entr(p).sum(-1),
    clamped=lambda p: -(p * p.clamp(min=1e-12).log()).sum(dim=1),
    epsilon=lambda probabilities: -(probabilities * torch.log(probabilities + 1e-9)).sum(1),
    xlogy=lambda p: -torch.xlogy(p, p).sum(dim=1),
    nan_to_num=lambda p: -(p * p.log()).nan_to_num(0.0).sum(1),
    distribution=lambda p: torch.distributions.Categorical(probs=p).entropy(),
    loop=entropy_by_loop,
    bits_times_log_2=lambda p: -(torch.xlogy(p, p) / math.log(2)).sum(1) * math.log(2),
)
def test_entropy_right(row: Answer) -> None:
    assert_right(checks.entropy(row))


@table(
    bits=(lambda p: -(p * p.clamp(min=1e-20).log2()).sum(1), "bits"),
    bits_and_nan=(lambda p: -(p * p.log2()).sum(1), "bits"),
    base_10=(lambda p: -(p * p.clamp(min=1e-20).log10()).sum(1), "base 10"),
    sign=(lambda p: torch.xlogy(p, p).sum(1), "sign"),
    nan=(lambda p: -(p * p.log()).sum(1), "gives nan"),
    no_weight=(lambda p: -p.log().sum(1), "log p alone"),
    whole_batch=(lambda p: torch.special.entr(p).sum(), "whole batch"),
    batch_mean=(lambda p: torch.special.entr(p).sum(1).mean(), "average over the batch"),
    dim_0=(lambda p: torch.special.entr(p).sum(dim=0), "`dim=0`"),
    class_mean=(lambda p: torch.special.entr(p).mean(1), "average over the classes"),
    mean=(lambda p: torch.special.entr(p).mean(), "average over everything"),
    keepdim=(lambda p: torch.special.entr(p).sum(1, keepdim=True), "`keepdim=True`"),
    no_sum=(lambda p: torch.special.entr(p), "for each class"),
    softmax=(lambda p: torch.special.entr(p.softmax(1)).sum(1), "probabilities already"),
    perplexity=(lambda p: torch.special.entr(p).sum(1).exp(), "perplexity"),
    normalised=(lambda p: torch.special.entr(p).sum(1) / math.log(p.shape[1]), "log C"),
    sign_and_nan=(lambda p: (p * p.log()).sum(1), "sign"),
)
def test_entropy_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.entropy(answer), words)


# --- The temperature for a confidence -------------------------------------------------------------


def top(logits: Tensor, temperature: float) -> float:
    return F.softmax(logits / temperature, dim=0).max().item()


def bisection(logits: Tensor, target: float) -> float:
    low, high = 0.01, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        if top(logits, middle) > target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def bisection_with_while(logits: Tensor, target: float) -> Any:
    low, high = torch.tensor(0.05), torch.tensor(50.0)
    while high - low > 1e-4:
        middle = (low + high) / 2
        above = F.softmax(logits / middle, dim=-1).max() > target
        low, high = (middle, high) if above else (low, middle)
    return high


def grid(logits: Tensor, target: float) -> Any:
    temperatures = torch.logspace(-1, 2, 20_001)
    tops = (logits / temperatures[:, None]).softmax(dim=1).max(dim=1).values
    return temperatures[(tops - target).abs().argmin()]


def bisection_of_the_factor(logits: Tensor, target: float) -> float:
    low, high = 0.01, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if top(logits, 1 / middle) < target else (low, middle)
    return low


def bisection_the_wrong_way(logits: Tensor, target: float) -> float:
    low, high = 0.01, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if top(logits, middle) < target else (low, middle)
    return middle


def bisection_that_raises(logits: Tensor, target: float) -> float:
    if target < 1 / len(logits):
        raise ValueError("target is unreachable")
    return bisection(logits, target)


def bisection_up_to_1000(logits: Tensor, target: float) -> float:
    low, high = 0.01, 1000.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if top(logits, middle) > target else (low, middle)
    return high


def bisection_that_asserts(logits: Tensor, target: float) -> float:
    assert target > 1 / len(logits)
    return bisection(logits, target)


def endless_search(logits: Tensor, target: float) -> float:
    low, high = 0.01, 100.0
    middle = 1.0
    while abs(F.softmax(logits / middle, dim=0).max() - target) > 5e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if top(logits, middle) > target else (low, middle)
    return middle


def few_halvings(logits: Tensor, target: float) -> float:
    low, high = 0.01, 1000.0
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (middle, high) if top(logits, middle) > target else (low, middle)
    return middle


@table(
    bisection=bisection,
    bisection_up_to_1000=bisection_up_to_1000,
    upper_end=lambda z, t: bisection(z, t) if t > 1 / len(z) else 1000,
    raises=bisection_that_raises,
    loop=bisection_with_while,
    grid=grid,
    array=lambda z, t: np.float32(bisection(z, t)),
    tensor=lambda z, t: torch.tensor([bisection(z, t)]),
    infinite=lambda z, t: bisection(z, t) if t > 1 / len(z) else math.inf,
)
def test_temperature_right(row: Answer) -> None:
    assert_right(checks.temperature_for_confidence(row))


@table(
    inverse=(bisection_of_the_factor, "1/T"),
    direction=(bisection_the_wrong_way, "FALLS as T rises"),
    asserts=(bisection_that_asserts, "cannot be reached"),
    always_raises=(lambda z, t: float("no"), "Your code stopped"),
    lower_end=(lambda z, t: bisection(z, t) if t > 1 / len(z) else 0.01, "should be"),
    endless=(endless_search, "cannot be reached"),
    square=(lambda z, t: bisection(z, t) ** 2, "T²"),
    logarithm=(lambda z, t: math.log(bisection(z, t)), "logarithm"),
    negative=(lambda z, t: -bisection(z, t), "-T"),
    fixed=(lambda z, t: 1.5, "at T = 1.5"),
    zero=(lambda z, t: 0, "far off"),
    nan=(lambda z, t: math.nan, "far off"),
    few_halvings=(few_halvings, "do it more often"),
    factor=(lambda z, t: 3 * bisection(z, t), "not close enough"),
    several=(lambda z, t: z, "3 numbers"),
    soft_targets=(lambda z, t: "hot", "returned a str"),
)
def test_temperature_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.temperature_for_confidence(answer), words)


def test_numbers_with_a_known_reason_are_not_called_unknown() -> None:
    assert "fit no mistake" not in checks.temperature_for_confidence(few_halvings).message


def test_an_endless_search_is_stopped_with_advice() -> None:
    message = checks.temperature_for_confidence(endless_search).message
    assert "did not finish" in message
    assert "`while` loop" in message


# --- The gradient by hand -------------------------------------------------------------------------


def probabilities_of(s: Tensor, t: Tensor, T: float) -> tuple[Tensor, Tensor]:
    return F.softmax(s / T, dim=1), F.softmax(t / T, dim=1)


def gradient_by_hand(s: Tensor, t: Tensor, T: float) -> Any:
    p_s, p_t = probabilities_of(s, t, T)
    return T * (p_s - p_t) / len(s)


def gradient_by_autograd(s: Tensor, t: Tensor, T: float) -> Any:
    s = s.clone().requires_grad_()
    right_soft(s, t, T).backward()
    assert s.grad is not None
    return s.grad


def gradient_by_func(student: Tensor, teacher: Tensor, tau: float) -> Any:
    return torch.func.grad(lambda s: losses.kd_loss(s, teacher, temperature=tau))(student)


@table(
    by_hand=gradient_by_hand,
    chain=lambda s, t, T: T**2 * (1 / T) * (gradient_by_hand(s, t, T) / T),
    autograd=gradient_by_autograd,
    func=gradient_by_func,
)
def test_gradient_right(row: Answer) -> None:
    assert_right(checks.gradient_ratio(row))


def scaled(factor: Answer) -> Answer:
    return lambda s, t, T: gradient_by_hand(s, t, T) * factor(s, T)


@table(
    no_T2=(scaled(lambda s, T: T**-2), "T² times too small"),
    no_chain=(scaled(lambda s, T: T), "chain rule is forgotten"),
    no_factor=(scaled(lambda s, T: 1 / T), "factor T is missing"),
    chain_twice=(scaled(lambda s, T: T**-3), "one 1/T too much"),
    sign=(scaled(lambda s, T: -1), "sign is turned round"),
    no_mean=(scaled(lambda s, T: len(s)), "divide by B, the number of rows"),
    mean=(scaled(lambda s, T: 1 / s.shape[1]), "B · C"),
    classes=(scaled(lambda s, T: s.shape[0] / s.shape[1]), "number of classes"),
    at_1=(lambda s, t, T: T * gradient_by_hand(s, t, 1.0), "taken at T = 1"),
    dim_0=(
        lambda s, t, T: T * (F.softmax(s / T, 0) - F.softmax(t / T, 0)) / len(s),
        "images of the batch",
    ),
    two=(scaled(lambda s, T: -len(s)), "2 things"),
)
def test_gradient_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.gradient_ratio(answer), words)


# --- Whatever a learner hands over ----------------------------------------------------------------


def dots(*arguments: Any) -> Any: ...


def with_docstring(*arguments: Any) -> Any:
    """Your code here."""


def passing(*arguments: Any) -> Any:
    pass


def returning_none(*arguments: Any) -> Any:
    return None


def returning_a_blank(*arguments: Any) -> Any:
    result = None
    return result


def raising(*arguments: Any) -> Any:
    raise NotImplementedError


def raising_with_text(*arguments: Any) -> Any:
    raise NotImplementedError("your turn")


def returning_dots(*arguments: Any) -> Any:
    result = ...
    return result


def half_done(*arguments: Any) -> Any:
    soft: Any = ...
    return 0.5 * soft


def half_done_method(*arguments: Any) -> Any:
    soft: Any = ...
    return soft.mean()


class StubObject:
    def __call__(self, *arguments: Any) -> Any: ...


STUBS = [
    dots,
    with_docstring,
    passing,
    returning_none,
    returning_a_blank,
    raising,
    raising_with_text,
    returning_dots,
    half_done,
    half_done_method,
    functools.partial(dots),
    StubObject(),
    StubObject().__call__,
    lambda *arguments: None,
    None,
    ...,
]


@EVERY_CHECK
@pytest.mark.parametrize("stub", STUBS)
def test_stubs_are_not_attempted_yet(check: Answer, stub: Any) -> None:
    verdict = check(stub)
    assert verdict.status == "not attempted"
    assert not verdict
    assert "not attempted yet" in str(verdict)
    assert "not attempted yet" in verdict._repr_html_()


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this")


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def raises(error: BaseException) -> Answer:
    def answer(*arguments: Any) -> Any:
        raise error

    return answer


def recursive(*arguments: Any) -> Any:
    return recursive(*arguments)


ODD_ANSWERS = {
    "a number": 3.0,
    "a tensor": torch.zeros(2),
    "text": "def f(): ...",
    "too few": lambda: 1.0,
    "too many": lambda a, b, c, d, e, f, g, h: a,
    "too many keywords": lambda a, *, b, c, d, e, f, g, h: a,
    "builtin": dict.fromkeys,
    "class": Odd,
    "object": lambda *x: Odd(),
    "text result": lambda *x: "text",
    "list result": lambda *x: [1.0, 2.0],
    "bool result": lambda *x: True,
    "first argument": lambda *x: x[0],
    "nan": lambda *x: math.nan,
    "inf": lambda *x: torch.tensor([math.inf, 1.0]),
    "empty": lambda *x: torch.zeros(0),
    "5-d": lambda *x: torch.zeros(2, 1, 1, 1, 3),
    "complex": lambda *x: torch.zeros(2, dtype=torch.complex64),
    "sparse": lambda *x: torch.eye(3).to_sparse(),
    "meta": lambda *x: torch.zeros(2, device="meta"),
    "text array": lambda *x: np.array(["a"]),
    "huge int": lambda *x: 10**400,
    "exit": raises(SystemExit(1)),
    "broken error": raises(Broken()),
    "empty error": raises(ValueError()),
    "long error": raises(ValueError("x" * 5000 + "\n" + "y" * 5000)),
    "recursion": recursive,
    "global switch": lambda *x: torch.set_grad_enabled(False),
    "random": lambda *x: torch.randn(2, 3),
}


@EVERY_CHECK
@table(**ODD_ANSWERS)
def test_no_answer_makes_a_check_raise(check: Answer, row: Any) -> None:
    verdict = check(row)
    assert verdict.status == "wrong"
    assert 10 < len(verdict.message) < 1500
    assert str(verdict).startswith("✗")
    assert torch.is_grad_enabled()


@EVERY_CHECK
def test_the_interrupt_key_still_works(check: Answer) -> None:
    with pytest.raises(KeyboardInterrupt):
        check(raises(KeyboardInterrupt()))


def test_an_error_is_shown_with_its_line() -> None:
    def answer(logits: Tensor, temperature: float) -> Any:
        divided = logits / temperature
        return divided.softmaks(1)  # type: ignore[attr-defined]

    verdict = checks.soft_targets(answer)
    line = answer.__code__.co_firstlineno + 2
    assert_wrong(verdict, f"in line {line} (`return divided.softmaks(1)", "AttributeError")
    assert len(verdict.message.splitlines()) <= 2


def test_the_line_is_the_learners_even_below_torch() -> None:
    def answer(logits: Tensor, temperature: float) -> Any:
        return F.softmax(logits / temperature, dim=7)

    line = answer.__code__.co_firstlineno + 1
    assert_wrong(checks.soft_targets(answer), f"in line {line} (`return F.softmax", "IndexError")


def test_notimplemented_of_torch_is_no_stub() -> None:
    verdict = checks.soft_targets(lambda z, t: torch.softmax(z.long(), 1))
    assert_wrong(verdict, "NotImplementedError")


def missing_import(logits: Tensor, temperature: float) -> Any:
    code = compile("F.softmax(z / t, dim=1)", "cell", "eval")
    return eval(code, {"z": logits, "t": temperature})


def power(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    return T^2 * soft_of(s, t, T)  # fmt: skip


def integer_power(s: Tensor, t: Tensor, y: Tensor, temperature: Any, alpha: float) -> Any:
    scale = temperature ^ 2
    return alpha * scale * soft_of(s, t, temperature)


def tensor_power(s: Tensor, t: Tensor, y: Tensor, T: Any, alpha: float) -> Any:
    return (s - t) ^ 2


def in_place(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    s /= T
    return usual_loss(s, t, y, 1.0, alpha)


def targets_in_inference_mode(s: Tensor, t: Tensor, y: Tensor, T: float, alpha: float) -> Any:
    with torch.inference_mode():
        p_t = F.softmax(t / T, dim=1)
    return F.kl_div(F.log_softmax(s / T, dim=1), p_t, reduction="batchmean")


@pytest.mark.parametrize(
    ("check", "answer", "words"),
    [
        (checks.soft_targets, missing_import, "import cell"),
        (checks.distillation_loss, lambda s, *x: s.numpy().sum(), "NumPy cannot follow"),
        (checks.distillation_loss, in_place, "in-place"),
        (checks.distillation_loss, power, "The power is `**`"),
        (checks.distillation_loss, integer_power, "The power is `**`"),
        (checks.distillation_loss, tensor_power, "The power is `**`"),
        (
            checks.distillation_loss,
            lambda *x: losses.distillation_loss(*x),
            "Name them: `temperature=…, alpha=…`",
        ),
        (
            checks.distillation_loss,
            lambda s, t, y, T, a: losses.kd_loss(s, t, T),  # type: ignore[misc]
            "Name it: `temperature=…`",
        ),
        (
            checks.distillation_step,
            step_of(loss=losses.distillation_loss),
            "Name them: `temperature=…, alpha=…`",
        ),
        (
            checks.soft_targets,
            lambda z, T: losses.soft_targets(z, T),  # type: ignore[misc]
            "Name it: `temperature=…`",
        ),
        (checks.distillation_loss, targets_in_inference_mode, "inference_mode"),
        (checks.distillation_step, step_of(loss=lambda s, *x: s), "average the loss"),
        (
            checks.temperature_for_confidence,
            raises(ValueError("f(a) and f(b) must have different signs")),
            "both sides",
        ),
    ],
    ids=[
        "import",
        "numpy",
        "in_place",
        "power",
        "integer_power",
        "tensor_power",
        "positional",
        "positional_kd",
        "positional_step",
        "positional_soft",
        "inference",
        "vector",
        "brentq",
    ],
)
def test_known_errors_come_with_their_cause(check: Answer, answer: Answer, words: str) -> None:
    assert_wrong(check(answer), "Your code stopped", "Likely cause", words)


@pytest.mark.parametrize("name", ["logits", "temperature"])
def test_number_and_order_of_arguments(name: str) -> None:
    def turned(temperature: float, logits: Tensor) -> Any:
        return F.softmax(logits / temperature, dim=1)

    assert_wrong(checks.soft_targets(lambda z: z), "takes (z)", "number of arguments", name)
    assert_wrong(checks.soft_targets(turned), "in the order (logits, temperature)")


def test_forgotten_return() -> None:
    def answer(logits: Tensor, temperature: float) -> None:
        F.softmax(logits / temperature, dim=1)

    assert_wrong(checks.soft_targets(answer), "returns nothing", "return")


def test_a_changed_argument_is_reported() -> None:
    def answer(logits: Tensor, temperature: float) -> Any:
        logits /= temperature
        return F.softmax(logits, dim=1)

    assert_wrong(checks.soft_targets(answer), "changes its argument `logits`")


def test_a_right_answer_that_prints_and_draws_random_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(logits: Tensor, temperature: float) -> Any:
        print(torch.rand(1).shape)
        return F.softmax(logits / temperature, dim=1)

    assert_right(checks.soft_targets(answer))
    assert "torch.Size([1])" in capsys.readouterr().out


def test_a_default_device_does_not_disturb() -> None:
    with torch.device("meta"):
        assert_right(checks.distillation_loss(usual_loss))
        assert_right(checks.distillation_step(usual_step))


# --- The tables -----------------------------------------------------------------------------------


@table(**{name: e for name, (_, e) in CHECKS.items()})
def test_reference_and_right_decisions_agree(row: exercise.Exercise) -> None:
    assert row(row.right).status == "right"
    assert row(row.made_of()).status == "right"


@table(**{name: e for name, (_, e) in CHECKS.items()})
def test_every_mistake_is_wrong_and_gets_its_own_sentence(row: exercise.Exercise) -> None:
    """No two mistakes with different sentences do the same thing in all cases."""
    in_the_loss = [m for m in row.known if m.depth == 1]  # checked as the loss's own already
    for known in [m for m in row.known if m.depth > 1] + in_the_loss[::12]:
        verdict = row(row.made_of(**known.changes))
        assert_wrong(verdict, known.sentence)
        assert "things to repair" not in verdict.message


def test_sentences_end_and_speak_plainly() -> None:
    for _, (_, e) in CHECKS.items():
        sentences = [m.sentence for m in e.known] + list(e.symptoms.values()) + [e.praise]
        for sentence in sentences:
            assert sentence.endswith((".", "`."))
            assert sentence.count("`") % 2 == 0
            assert len(sentence) < 330
            assert len(re.findall(r"[.?!]`?(?= [A-Z`]|$)", sentence)) <= 3


def test_cases_are_the_same_at_every_call() -> None:
    for _, (_, e) in CHECKS.items():
        for case in e.cases:
            with running.sandbox():
                first, second = case.inputs(), case.inputs()
            for a, b in zip(first.values(), second.values(), strict=True):
                if isinstance(a, Tensor):
                    assert torch.equal(a, b)
                    assert a is not b


# --- Verdicts -------------------------------------------------------------------------------------


def test_verdict_as_text() -> None:
    assert str(checks.Verdict("right", "well done.")) == "✓ right: well done."
    assert repr(checks.Verdict("wrong", "look again.")) == "✗ not yet: look again."
    assert str(checks.Verdict("not attempted", "begin.")) == "○ not attempted yet: begin."


def test_verdict_is_frozen_and_true_only_when_right() -> None:
    verdict = checks.Verdict("right", "")
    assert [bool(checks.Verdict(s, "")) for s in ("right", "wrong", "not attempted")] == [
        True,
        False,
        False,
    ]
    with pytest.raises(AttributeError):
        verdict.status = "wrong"  # type: ignore[misc]


def test_verdict_as_html_is_escaped_and_sets_code() -> None:
    text = checks.Verdict("wrong", "<script>alert(1)</script> & `a < b` \n2. x")._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>a &lt; b</code>" in text
    assert "✗ not yet" in text
    assert "white-space:pre-wrap" in text
    assert 'role="status"' in text


def test_html_of_an_error_of_the_learner_is_escaped() -> None:
    verdict = checks.soft_targets(raises(ValueError("<b onclick='x'>")))
    assert "<b" not in verdict._repr_html_()
    assert html.escape("<b onclick='x'>") in verdict._repr_html_()


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("status", ["right", "wrong", "not attempted"])
def test_badges_can_be_read_and_the_text_takes_the_colour_of_the_theme(status: Any) -> None:
    text = checks.Verdict(status, "m")._repr_html_()
    colours = SimpleNamespace(
        background=text.split("background:")[1][:7], text=text.split(";color:")[1][:7]
    )
    assert (luminance(colours.text) + 0.05) / (luminance(colours.background) + 0.05) > 4.5
    assert text.count("color:") == 1  # only the badge, never the message


# --- The framework on its own ---------------------------------------------------------------------


def test_groups_hold_one_change_for_each_decision() -> None:
    pairs = [group for group, _ in itertools.islice(checks.distillation_loss.groups(), 3000)]
    assert all(len(group) <= 4 for group in pairs)
    for group in pairs:
        keys = [key for m in group for key in m.changes]
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ([1.0, 2.0], [1.0, 2.0001], True),
        ([1.0, 2.0], [1.0, 2.001], False),
        ([0.0], [1e-8], True),
        ([0.0], [1e-5], False),
        ([math.nan, 1.0], [math.nan, 1.0], True),
        ([math.nan, 1.0], [0.0, 1.0], False),
        ([math.inf], [math.inf], True),
        ([math.inf], [-math.inf], False),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_close(got: list[float], expected: list[float], same: bool) -> None:
    assert exercise.close(torch.tensor(got), torch.tensor(expected), 1e-4) is same


def test_failures_of_the_same_kind_and_text_are_equal() -> None:
    assert running.Failure.of(ValueError("a")) == running.Failure.of(ValueError("a"))
    assert running.Failure.of(ValueError("a")) != running.Failure.of(TypeError("a"))
    assert running.Failure.of(Broken()) == running.Failure("Broken", "")
