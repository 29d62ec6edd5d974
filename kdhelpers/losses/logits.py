"""What a student is asked to match in its teacher's *outputs*: pure functions on logits.

B is the batch, C the number of classes, z the logits, T the temperature and p = softmax(z / T);
the indices s and t mean student and teacher, y is the true class. Everywhere

- logits have the shape (B, C) and the result is a scalar in the student's dtype, computed in at
  least float32, so half-precision logits from autocast are welcome;
- gradients reach the student only, because the teacher's logits are detached inside; a temperature
  may be a 0-d tensor, and then it receives a gradient as well (a learned temperature);
- wrong input raises `ValueError` with the remedy: unequal shapes, logits that are not floating
  point, fewer than two classes, a T outside of 1e-6 … 300 (in float64 3e6), where rounding outgrows
  the loss, a weight outside its range or above 1e9, labels out of range, a batch too small. Where
  the result is not a number up to 1e6, logits that are NaN, infinite or beyond it are named. Values
  are read on the CPU only, so that no step ever waits for an accelerator.

The losses on hidden features live in `kdhelpers.losses.features`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers._tensors import (
    ROWS,
    SAME_CLASSES,
    all_equal,
    check_labels,
    check_logits,
    check_pair,
    check_result,
    check_samples,
    check_temperature,
    cross_entropy,
)  # fmt: skip
from kdhelpers._values import check_number, check_weights, require

SHORTEST = 1e-8  # what a shorter vector is divided by


def soft_targets(logits: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Probabilities at a temperature: p = softmax(z / T), the "soft targets" of a teacher.

    Shape (B, C) to (B, C), nothing is detached. T = 1 is the plain softmax; a larger T brings out
    the small probabilities and T → ∞ ends in the uniform distribution.

    Raises ValueError: logits not floating point, not (B, C) or not finite; T ≤ 0.
    Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531.
    """
    logits = check_samples(logits, name="logits", dims=ROWS)
    check_temperature(temperature, logits.dtype)
    return check_result(F.softmax(logits / temperature, dim=1), logits)


def kd_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float | Tensor = 4.0
) -> Tensor:
    """Hinton's distillation loss: T² · 1/B · Σ_b Σ_c p_t (log p_t − log p_s).

    Summed over classes, averaged over the batch: PyTorch's "batchmean"; its "mean" would divide by
    C as well. T² keeps the size of the gradient when T changes, so that a weight on this loss
    means the same at every temperature. It is 0 if and only if p_s = p_t: softmaxes are compared,
    one class per image, so multi-label logits that differ by a constant per row give 0.

    Raises ValueError: wrong logits (see the module); T ≤ 0.
    Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531; RepDistiller and mdistiller agree,
    torchdistill leaves T² out when it is given no labels.
    """
    student, teacher = check_logits(student_logits, teacher_logits, temperature)
    log_p_s = F.log_softmax(student / temperature, dim=1)
    log_p_t = F.log_softmax(teacher / temperature, dim=1)
    return check_result(_kl(log_p_s, log_p_t) * temperature**2, student, teacher)


def soft_cross_entropy(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float | Tensor = 4.0
) -> Tensor:
    """Cross-entropy with soft targets: −T² · 1/B · Σ_b Σ_c p_t log p_s.

    The student's gradient is that of `kd_loss`; the value is larger by T² · H(p_t), the teacher's
    entropy, and so does not end at 0.

    Raises ValueError: wrong logits (see the module); T ≤ 0.
    Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531, who write it without the T² in front.
    """
    student, teacher = check_logits(student_logits, teacher_logits, temperature)
    targets = F.softmax(teacher / temperature, dim=1)
    loss = F.cross_entropy(student / temperature, targets) * temperature**2
    return check_result(loss, student, teacher)


def probability_mse(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float | Tensor = 4.0
) -> Tensor:
    """Half the mean squared error of soft targets: T² · ½ · 1/(B·C) · Σ_b Σ_c (p_s − p_t)².

    A tutorial's alternative to `kd_loss`. Its gradient is far weaker (C² times at a high T: a
    hundred times with ten classes) and vanishes where the student is confidently wrong.

    Raises ValueError: wrong logits (see the module); T ≤ 0.
    Source: no paper; for matching logits instead of probabilities see `logit_mse`.
    """
    student, teacher = check_logits(student_logits, teacher_logits, temperature)
    difference = F.softmax(student / temperature, dim=1) - F.softmax(teacher / temperature, dim=1)
    return check_result(difference.square().mean() * (0.5 * temperature**2), student, teacher)


def logit_mse(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared error of the logits: 1/(B·C) · Σ_b Σ_c (z_s − z_t)².

    `kd_loss` tends to half of this as T → ∞ when every sample's logits have mean zero. Unlike all
    others here, it also asks for the teacher's offset per sample, which no softmax can see.

    Raises ValueError: wrong logits (see the module).
    Source: Ba & Caruana 2013, arXiv 1312.6184, who sum over C and halve.
    """
    pair = check_pair(student_logits, teacher_logits, what="logits", remedy=SAME_CLASSES)
    return check_result(F.mse_loss(*pair), *pair)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor = 4.0,
    alpha: float = 0.9,
) -> Tensor:
    """The classic sum: alpha · kd_loss + (1 − alpha) · cross-entropy(z_s, labels) at T = 1.

    labels (B,) are class indices. `alpha` weights the SOFT term (authors disagree on this):
    0 is training without a teacher, 1 is the teacher alone.

    Raises ValueError: wrong logits or labels (see the module); T ≤ 0; alpha outside [0, 1].
    Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531.
    """
    check_number(alpha, 0, 1, name="alpha")
    soft = kd_loss(student_logits, teacher_logits, temperature=temperature)
    hard = cross_entropy(student_logits, check_labels(labels, like=student_logits))
    return alpha * soft + (1.0 - alpha) * hard


def decoupled_kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor = 4.0,
    alpha: float = 1.0,
    beta: float = 8.0,
) -> Tensor:
    """DKD: T² · 1/B · Σ_b [alpha · KL(b_t ‖ b_s) + beta · KL(q_t ‖ q_s)].

    b = (p(y), 1 − p(y)) is the target class against all others, q the distribution among the
    others alone. alpha = 1 and beta = 1 − p_t(y) give back `kd_loss`: DKD frees the second term
    from a factor that is small where the teacher is sure. Here `alpha`, the paper's name, weights
    the target term. labels (B,); C ≥ 2. The paper raises the loss from 0 over 20 epochs.

    Raises ValueError: wrong logits or labels (see the module); T ≤ 0; alpha or beta negative.
    Source: Zhao et al. 2022, arXiv 2203.08679. mdistiller agrees where it is finite: it takes the
    logarithm of probabilities, which is −∞ at large logits, and hides y behind −1000.
    """
    check_weights(alpha=alpha, beta=beta)
    student, teacher = check_logits(student_logits, teacher_logits, temperature)
    labels = check_labels(labels, like=student)
    target_s, others_s = _split_target(student / temperature, labels)
    target_t, others_t = _split_target(teacher / temperature, labels)
    loss = alpha * _kl(target_s, target_t) + beta * _kl(others_s, others_t)
    return check_result(loss * temperature**2, student, teacher)


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Tensor:
    """DIST: T² · [beta · (1 − mean_b ρ(rows b)) + gamma · (1 − mean_c ρ(columns c))].

    ρ is Pearson's correlation of p_s and p_t: of a sample across classes, and of a
    class across the batch (needs B ≥ 2, and means something in a real batch only). The student
    may be less sharp than the teacher. A constant row or column counts as ρ = 0.

    Raises ValueError: wrong logits (see the module); T ≤ 0; beta or gamma negative; B of 1
    unless gamma is 0; then two classes, whose correlation is always 1 or −1.
    Source: Huang et al. 2022, arXiv 2205.10536. Like torchdistill, each norm is at least 1e-8; the
    authors' code adds 1e-8 to their product instead, which differs for tiny columns only.
    """
    check_weights(beta=beta, gamma=gamma)
    least = 2 if gamma else 1
    student, teacher = check_logits(student_logits, teacher_logits, temperature, least=least)
    told = "with gamma=0, two classes always correlate by 1 or -1 and teach nothing; take kd_loss"
    require(gamma or student.shape[1] > 2, f"{told}.")
    p_s, p_t = F.softmax(student / temperature, dim=1), F.softmax(teacher / temperature, dim=1)
    loss = beta * _decorrelation(p_s, p_t, dim=1) + gamma * _decorrelation(p_s, p_t, dim=0)
    return check_result(loss * temperature**2, student, teacher)


def _kl(log_p_s: Tensor, log_p_t: Tensor) -> Tensor:
    """KL(p_t ‖ p_s), averaged over the batch.

    Both sides stay in log space: the log of a softmax would be −∞, and 0 · −∞ NaN, at large gaps.
    """
    return F.kl_div(log_p_s, log_p_t, reduction="batchmean", log_target=True)


def _split_target(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """log p of "the target or not" (B, 2), and of the other classes alone (B, C − 1)."""
    target = labels.unsqueeze(1)
    index = torch.arange(logits.shape[1] - 1, device=logits.device)
    # Every index from the target on moves up by one: no boolean mask, which would make a GPU wait.
    others = logits.gather(1, index + (index >= target))
    pair = torch.cat([logits.gather(1, target), others.logsumexp(dim=1, keepdim=True)], dim=1)
    return F.log_softmax(pair, dim=1), F.log_softmax(others, dim=1)


def _decorrelation(student: Tensor, teacher: Tensor, *, dim: int) -> Tensor:
    """1 − the mean Pearson correlation along a dimension: the cosine of centred vectors."""
    pair = _centred(student, dim=dim), _centred(teacher, dim=dim)
    return 1.0 - F.cosine_similarity(*pair, dim=dim, eps=SHORTEST).mean()


def _centred(values: Tensor, *, dim: int) -> Tensor:
    """Values without their mean. Equal ones have no direction; they are scaled so that they end up
    divided by 1, since `SHORTEST` would make their gradient one of millions."""
    centred = values - values.mean(dim=dim, keepdim=True)
    return torch.where(all_equal(values, dim=dim), SHORTEST * centred, centred)
