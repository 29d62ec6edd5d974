"""What a right loss cannot but obey. Each identity takes a loss and says how to call it: its case.

The table that joins losses, identities and mistakes is in `loss_cases.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special, stats
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
    """A loss, what it obeys, and how people get it wrong."""

    loss: Loss
    identities: tuple[Callable[[Loss, "Case"], None], ...]
    mistakes: dict[str, Loss]
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((7,), (7,))  # student, teacher: one sample
    labelled: bool = False
    weights: tuple[str, str] = ("", "")
    smallest: int = 1  # batch

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
    _, teacher = case.sample()
    close(case.call(loss, teacher.clone(), teacher), 0.0)


def has_its_minimum_at_the_teacher(loss: Loss, case: Case) -> None:
    _, teacher = case.sample()
    student = teacher.clone().requires_grad_()
    close(gradient(case.call(loss, student, teacher), student), torch.zeros_like(student))


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


def averages_over_the_batch(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    twice = [torch.cat([x, x]) for x in (student, teacher)]
    close(case.call(loss, *twice), case.call(loss, student, teacher))


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


def is_pytorchs_mean_times_the_classes(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    mean = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="mean")
    close(loss(student, teacher, temperature=1.0), mean * student.shape[1])


def is_the_entropy_at_the_teacher(loss: Loss, case: Case) -> None:
    _, teacher = case.sample()
    entropy = stats.entropy(special.softmax(teacher / 4.0, axis=1), axis=1).mean()
    close(loss(teacher.clone(), teacher, temperature=4.0), 16.0 * entropy)


def is_that_of_uniform_guessing_for_flat_logits(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    flat = torch.zeros_like(student)
    close(loss(flat, teacher, temperature=3.0), 9.0 * math.log(student.shape[1]))


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


def second_term_ignores_the_target(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    target = 5 * F.one_hot(LABELS, 7)
    value = loss(student, teacher, LABELS, alpha=0.0, beta=1.0)
    close(loss(student + target, teacher - target, LABELS, alpha=0.0, beta=1.0), value)


def adds_its_weighted_terms(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    first, second = case.weights
    one = case.call(loss, student, teacher, **{first: 1.0, second: 0.0})
    two = case.call(loss, student, teacher, **{first: 0.0, second: 1.0})
    assert min(one, two) > 1e-4
    assert abs(one - two) > 1e-4
    close(case.call(loss, student, teacher, **{first: 0.5, second: 3.0}), 0.5 * one + 3 * two)


def forgives_a_student_mixed_with_uniform(loss: Loss, case: Case) -> None:
    """p_s = (p_t + 1/C) / 2 is an affine map of p_t: its correlation with it is 1."""
    _, teacher = case.sample()
    mixed = (0.5 * teacher.softmax(1) + 0.5 / teacher.shape[1]).log()
    close(loss(mixed, teacher, temperature=1.0), 0.0)


def is_largest_for_the_opposite_of_two_classes(loss: Loss, case: Case) -> None:
    """With C = 2 and z_s = −z_t both correlations are −1: T² · (2 · beta + 2 · gamma)."""
    teacher = normal(6, 2, seed=3)
    close(loss(-teacher, teacher, temperature=3.0, beta=1.0, gamma=0.5), 9.0 * (2.0 + 1.0))


def columns_belong_to_gamma(loss: Loss, case: Case) -> None:
    """A constant per class in p moves no column's correlation, but does move the rows'."""
    _, teacher = case.sample()
    tilt = torch.tensor([0.2, -0.1, 0.0, 0.1, -0.2, 0.05, -0.05], dtype=torch.float64)
    student = (0.5 * teacher.softmax(1) + (1 + tilt) / 14).log()
    close(loss(student, teacher, beta=0.0), 0.0)
    assert loss(student, teacher, gamma=0.0) > 1e-4


def is_free_of_scale_sign_and_channel_order(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    value = loss(student, teacher)
    signs = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64).view(3, 1, 1)
    close(loss(7 * signs * student, teacher), value)
    close(loss(student, 0.01 * teacher.flip(1)), value)


def measures_disjoint_attention(loss: Loss, case: Case) -> None:
    """One bright pixel each, at different places: Q_s − Q_t has two entries, +1 and −1."""
    student, teacher = torch.zeros(2, 3, 2, 3), torch.zeros(2, 5, 2, 3)
    student[:, :, 0, 0], teacher[:, :, 1, 2] = 4.0, 2.0
    close(loss(student, teacher), 2 / 6, relative=1e-6)
    close(loss(student, teacher, form="paper"), math.sqrt(2), relative=1e-6)


def pools_the_larger_map(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    blown_up = student.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    close(loss(blown_up, teacher), loss(student, teacher))


def is_free_of_rotation_and_scale(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    rotation = torch.linalg.qr(normal(6, 6, seed=9))[0]
    close(loss(5 * student @ rotation, teacher), loss(student, teacher))


def compares_orthogonal_with_identical_samples(loss: Loss, case: Case) -> None:
    """G_s = I and every entry of G_t is 1/√B, so ‖G_s − G_t‖²_F = 2B − 2√B."""
    batch = 4
    value = loss(torch.eye(batch), torch.ones(batch, 3))
    close(value, (2 * batch - 2 * math.sqrt(batch)) / batch**2, relative=1e-6)


def weighs_each_sample_alike(loss: Loss, case: Case) -> None:
    """The row of a sample is normalised by itself: scaling one sample leaves its row as it is."""
    batch = 4
    scaled = torch.diag(torch.tensor([100.0, 1.0, 1.0, 1.0]))
    close(loss(scaled, torch.ones(batch, 3)), loss(torch.eye(batch), torch.ones(batch, 3)))


def is_free_of_translation(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    close(loss(student + 50, teacher - 50), loss(student, teacher))


def compares_a_triangle_with_a_line(loss: Loss, case: Case) -> None:
    """By hand: distances 1, 1, 1 against ¾, ¾, 3/2; cosines ½, ½, ½ against 1, 1, −1."""
    triangle = torch.eye(3, dtype=torch.float64)
    line = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    distance = 2 * (0.25**2 + 0.25**2 + 0.5**2) / 2 / 9
    angle = 2 * (0.5**2 / 2 + 0.5**2 / 2 + (1.5 - 0.5)) / 27
    close(loss(triangle, line), 25 * distance + 50 * angle)
    close(loss(line, triangle, distance_weight=1.0, angle_weight=0.0), distance)


def is_the_mean_square_with_its_gradient(loss: Loss, case: Case) -> None:
    student, teacher = case.sample()
    value = loss(student, teacher)
    close(value, np.square((student - teacher).detach().numpy()).mean())
    close(gradient(value, student), 2 * (student - teacher) / student.numel())
