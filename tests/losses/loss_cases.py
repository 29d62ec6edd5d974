"""Every loss with how it is called and the properties that its docstring promises.

That the values are right, formulas in NumPy hold (`test_losses.py`).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from scipy import special
from torch import Tensor

from kdhelpers import losses

Loss = Callable[..., Tensor]
LABELS = torch.tensor([0, 3, 6, 2, 0])  # for 5 samples of 7 classes


def normal(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def gradient(value: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(value, student)[0]


def close(actual: Tensor | float, expected: Any, *, relative: float = 1e-10) -> None:
    actual = torch.as_tensor(actual).detach()
    expected = torch.as_tensor(expected, dtype=actual.dtype).detach()
    torch.testing.assert_close(actual, expected, rtol=relative, atol=1e-12)


@dataclass(frozen=True)
class Case:
    """A loss, what it obeys, and what it takes."""

    loss: Loss
    identities: tuple[Callable[[Loss, "Case"], None], ...]
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((7,), (7,))  # student, teacher: one sample
    labelled: bool = False
    weights: tuple[str, str] = ("", "")
    smallest: int = 1  # batch

    @property
    def softened(self) -> bool:
        return "temperature" in inspect.signature(self.loss).parameters

    def call(self, loss: Loss, student: Tensor, teacher: Tensor, **options: Any) -> Tensor:
        if self.labelled:
            labels = LABELS[torch.arange(len(student)) % len(LABELS)] % student.shape[1]
            return loss(student, teacher, labels, **options)
        return loss(student, teacher, **options)

    def sample(self, batch: int = 5) -> tuple[Tensor, Tensor]:
        student, teacher = (
            normal(batch, *shape, seed=seed, scale=2.0) for seed, shape in enumerate(self.shapes)
        )
        return student.requires_grad_(), teacher


def is_zero_at_the_teacher(loss: Loss, case: Case) -> None:
    """And it rests there: a root or a norm would have no gradient."""
    _, teacher = case.sample()
    student = teacher.clone().requires_grad_()
    value = case.call(loss, student, teacher)
    close(value, 0.0)
    close(gradient(value, student), torch.zeros_like(teacher))


def is_positive_and_pulls_every_sample(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    value = case.call(loss, student, teacher)
    assert value.dim() == 0
    assert value > 1e-4
    assert (gradient(value, student).flatten(1).norm(dim=1) > 1e-6).all()


def leaves_the_teacher_alone(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    teacher.requires_grad_()
    case.call(loss, student, teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None


def ignores_a_constant_per_sample(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    offset = torch.linspace(-20, 20, len(student), dtype=torch.float64).unsqueeze(1)
    expected = case.call(loss, student, teacher)
    close(case.call(loss, student + offset, teacher), expected)
    close(case.call(loss, student, teacher - 3 * offset), expected)


def gradient_is_the_gap_of_probabilities(loss: Loss, case: Case) -> None:
    """d/dz_s of T²·KL is T (p_s − p_t) / B, and that of the soft cross-entropy is the same."""
    student, teacher = case.sample()
    for temperature in (1.0, 4.0):
        value = loss(student, teacher, temperature=temperature)
        p_s, p_t = (special.softmax(z.detach() / temperature, axis=1) for z in (student, teacher))
        close(gradient(value, student), temperature * (p_s - p_t) / len(student))


def becomes_logit_matching_at_high_temperature(loss: Loss, case: Case) -> None:
    """½ · mean over classes of the squared difference of centred logits, as T → ∞."""
    student, teacher = case.sample()
    centred = [z - z.mean(dim=1, keepdim=True) for z in (student, teacher)]
    limit = 0.5 * losses.logit_mse(*centred)
    close(loss(student, teacher, temperature=1e5), limit, relative=1e-4)


def becomes_scaled_logit_matching_at_high_temperature(loss: Loss, case: Case) -> None:
    """p = (1 + z/T) / C for large T, so that T² · ½ · mean (Δp)² → ½ · mean (Δz)² / C²."""
    student, teacher = case.sample()
    centred = [z - z.mean(dim=1, keepdim=True) for z in (student, teacher)]
    limit = 0.5 * losses.logit_mse(*centred) / student.shape[1] ** 2
    close(loss(student, teacher, temperature=1e5), limit, relative=1e-4)


def sees_a_constant(loss: Loss, case: Case) -> None:
    _, teacher = case.sample()
    close(loss(teacher + 3, teacher), 9.0)


def ends_at_its_two_terms(loss: Loss, case: Case) -> None:
    """alpha = 1 is the soft term alone, alpha = 0 the hard one alone, and between is between."""
    student, teacher = case.sample()
    soft = losses.kd_loss(student, teacher, temperature=3.0)
    hard = -student.log_softmax(1)[torch.arange(5), LABELS].mean()
    for alpha in (0.0, 0.25, 1.0):
        value = loss(student, teacher, LABELS, temperature=3.0, alpha=alpha)
        close(value, alpha * soft + (1 - alpha) * hard)


def gives_back_kd(loss: Loss, case: Case) -> None:
    """alpha = 1 and beta = 1 − p_t(y), sample by sample, is Hinton's loss."""
    student, teacher = case.sample()
    for temperature in (1.0, 4.0):
        for i, y in enumerate(LABELS):
            s, t = student[i : i + 1], teacher[i : i + 1]
            beta = 1 - losses.soft_targets(t, temperature=temperature)[0, y].item()
            value = loss(s, t, y[None], temperature=temperature, alpha=1.0, beta=beta)
            expected = losses.kd_loss(s, t, temperature=temperature)
            close(value, expected)
            close(gradient(value, student), gradient(expected, student))


def forgives_a_student_mixed_with_uniform(loss: Loss, case: Case) -> None:
    """p_s = (p_t + 1/C) / 2 is an affine map of p_t: its correlation with it is 1."""
    _, teacher = case.sample()
    mixed = (0.5 * teacher.softmax(1) + 0.5 / teacher.shape[1]).log()
    close(loss(mixed, teacher, temperature=1.0), 0.0)


def pools_the_larger_map(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    blown_up = student.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    close(loss(blown_up, teacher), loss(student, teacher))


def compares_a_triangle_with_a_line(loss: Loss, case: Case) -> None:
    """By hand: distances 1, 1, 1 against ¾, ¾, 3/2; cosines ½, ½, ½ against 1, 1, −1."""
    triangle = torch.eye(3, dtype=torch.float64)
    line = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    distance = 2 * (0.25**2 + 0.25**2 + 0.5**2) / 2 / 9
    angle = 2 * (0.5**2 / 2 + 0.5**2 / 2 + (1.5 - 0.5)) / 27
    close(loss(triangle, line), 25 * distance + 50 * angle)
    close(loss(line, triangle, distance_weight=1.0, angle_weight=0.0), distance)


COMMON = (leaves_the_teacher_alone, is_positive_and_pulls_every_sample)
AT_TEACHER = (*COMMON, is_zero_at_the_teacher)

CASES = {
    "kd_loss": Case(
        losses.kd_loss,
        (
            *AT_TEACHER,
            ignores_a_constant_per_sample,
            gradient_is_the_gap_of_probabilities,
            becomes_logit_matching_at_high_temperature,
        ),
    ),
    "soft_cross_entropy": Case(
        losses.soft_cross_entropy,
        (*COMMON, ignores_a_constant_per_sample, gradient_is_the_gap_of_probabilities),
    ),
    "probability_mse": Case(
        losses.probability_mse,
        (
            *AT_TEACHER,
            ignores_a_constant_per_sample,
            becomes_scaled_logit_matching_at_high_temperature,
        ),
    ),
    "logit_mse": Case(losses.logit_mse, (*AT_TEACHER, sees_a_constant)),
    "distillation_loss": Case(
        losses.distillation_loss,
        (*COMMON, ignores_a_constant_per_sample, ends_at_its_two_terms),
        labelled=True,
    ),
    "decoupled_kd_loss": Case(
        losses.decoupled_kd_loss,
        (*AT_TEACHER, ignores_a_constant_per_sample, gives_back_kd),
        labelled=True,
        weights=("alpha", "beta"),
    ),
    "dist_loss": Case(
        losses.dist_loss,
        (*AT_TEACHER, ignores_a_constant_per_sample, forgives_a_student_mixed_with_uniform),
        weights=("beta", "gamma"),
        smallest=2,
    ),
    "hint_loss": Case(losses.hint_loss, AT_TEACHER, shapes=((3, 4, 4), (3, 4, 4))),
    "attention_transfer_loss": Case(
        losses.attention_transfer_loss,
        (*AT_TEACHER, pools_the_larger_map),
        shapes=((3, 4, 5), (6, 4, 5)),
    ),
    "similarity_loss": Case(losses.similarity_loss, AT_TEACHER, shapes=((6,), (9,)), smallest=2),
    "relational_loss": Case(
        losses.relational_loss,
        (*AT_TEACHER, compares_a_triangle_with_a_line),
        shapes=((6,), (9,)),
        weights=("distance_weight", "angle_weight"),
        smallest=2,
    ),
}
