"""Logit standardisation: identities, mistakes, references, refusals."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from kdhelpers.losses import kd_loss, soft_targets
from kdhelpers.temperature import standardize_logits


def normal(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def close(actual: Tensor, expected: Tensor, *, relative: float = 1e-6) -> None:
    torch.testing.assert_close(actual, expected, rtol=relative, atol=1e-9)


def has_mean_zero_and_length(standardize: Callable[[Tensor], Tensor]) -> None:
    """Mean 0, and ‖z‖² = C − 1, since the standard deviation divides by C − 1."""
    z = standardize(normal(5, 7))
    close(z.sum(1), torch.zeros(5, dtype=torch.float64))
    close(z.square().sum(1), torch.full((5,), 6.0, dtype=torch.float64))


def ignores_scale_and_offset_of_a_sample(standardize: Callable[[Tensor], Tensor]) -> None:
    z = normal(5, 7)
    scale, offset = torch.linspace(0.5, 50, 5).unsqueeze(1), torch.linspace(-9, 9, 5).unsqueeze(1)
    close(standardize(scale * z + offset), standardize(z))


def treats_samples_alone(standardize: Callable[[Tensor], Tensor]) -> None:
    z = normal(5, 7)
    close(standardize(z[2:3]), standardize(z)[2:3])


def keeps_the_order(standardize: Callable[[Tensor], Tensor]) -> None:
    z = normal(5, 7)
    assert torch.equal(standardize(z).argsort(1), z.argsort(1))


def turns_equal_logits_into_zeros(standardize: Callable[[Tensor], Tensor]) -> None:
    z = torch.full((2, 4), 3.0, requires_grad=True)
    result = standardize(z)
    assert torch.equal(result, torch.zeros(2, 4))
    (slope,) = torch.autograd.grad(result[0, 0], z)
    assert slope.isfinite().all()


def is_differentiable(standardize: Callable[[Tensor], Tensor]) -> None:
    """The gradient is orthogonal to the logits and to a constant: scale and offset do not count."""
    z = normal(2, 4).requires_grad_()
    (slope,) = torch.autograd.grad(standardize(z)[0, 0], z)
    assert slope[0].norm() > 1e-3
    assert abs((slope * z).sum()) < 1e-6
    assert abs(slope.sum()) < 1e-9


IDENTITIES = [
    has_mean_zero_and_length,
    ignores_scale_and_offset_of_a_sample,
    treats_samples_alone,
    keeps_the_order,
    turns_equal_logits_into_zeros,
    is_differentiable,
]

MISTAKES: dict[str, Callable[[Tensor], Tensor]] = {
    "biased std": lambda z: (
        (z - z.mean(1, keepdim=True)) / (1e-7 + z.std(1, keepdim=True, correction=0))
    ),
    "over the batch": lambda z: (z - z.mean(0)) / (1e-7 + z.std(0)),
    "over everything": lambda z: (z - z.mean()) / (1e-7 + z.std()),
    "not centred": lambda z: z / (1e-7 + z.std(1, keepdim=True)),
    "variance": lambda z: (z - z.mean(1, keepdim=True)) / (1e-7 + z.var(1, keepdim=True)),
    "no epsilon": lambda z: (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True),
    "detached": lambda z: standardize_logits(z.detach()) + 0 * z,
    "std detached": lambda z: (
        (z - z.mean(1, keepdim=True)) / (1e-7 + z.std(1, keepdim=True).detach())
    ),
    "turned round": lambda z: -standardize_logits(z),
}


@pytest.mark.parametrize("identity", IDENTITIES)
def test_identity(identity: Callable[[Callable[[Tensor], Tensor]], None]) -> None:
    identity(standardize_logits)


@pytest.mark.filterwarnings("ignore:std.*degrees of freedom")
@pytest.mark.parametrize("what", MISTAKES)
def test_mistake_is_caught(what: str) -> None:
    broken = []
    for identity in IDENTITIES:
        try:
            identity(MISTAKES[what])
        except AssertionError:
            broken.append(identity.__name__)
    assert broken


def test_agrees_with_scipy() -> None:
    z = normal(5, 7)
    expected = stats.zscore(z.numpy(), axis=1, ddof=1)
    np.testing.assert_allclose(standardize_logits(z).numpy(), expected, rtol=1e-6)
    # 1e-7 beside a std of 3 is seen at the eighth digit only; taken into account, 1e-10 holds.
    std = z.numpy().std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_allclose(standardize_logits(z).numpy() * (1e-7 + std) / std, expected, 1e-10)


def test_distillation_agrees_with_the_public_form() -> None:
    """KD of standardised logits as the authors' code computes it, value and gradient."""
    student, teacher = normal(5, 7, seed=1).requires_grad_(), normal(5, 7, seed=2)

    def theirs(z: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(z, dim=-1, keepdim=True)
        return (z - mean) / (1e-7 + deviation) / 2

    rows = F.kl_div(
        theirs(student).log_softmax(1), theirs(teacher).softmax(1), reduction="none"
    ).sum(1)
    ours = kd_loss(standardize_logits(student), standardize_logits(teacher), temperature=2.0)
    close(ours, 4 * rows.mean())
    close(*(torch.autograd.grad(v, student)[0] for v in (ours, 4 * rows.mean())))


def test_gradient_is_that_of_the_value() -> None:
    assert torch.autograd.gradcheck(standardize_logits, (normal(3, 4).requires_grad_(),))


def test_caps_the_teachers_top_probability() -> None:
    """With ten classes at T = 2, even the surest teacher says at most 0.351."""
    sure = torch.zeros(1, 10, dtype=torch.float64)
    sure[0, 3] = 1e4
    top = soft_targets(standardize_logits(sure), temperature=2.0).max()
    assert top == pytest.approx(0.3506, abs=1e-4)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    batch=st.integers(1, 6),
    classes=st.integers(2, 20),
    scale=st.floats(1e-3, 1e4),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
)
def test_any_logits(batch: int, classes: int, scale: float, dtype: torch.dtype) -> None:
    logits = normal(batch, classes, scale=scale / 3).to(dtype).clamp(-6e4, 6e4).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = standardize_logits(logits)
    assert z.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert z.shape == logits.shape
    assert z.abs().max() <= (classes - 1) / math.sqrt(classes) * (1 + 1e-5)
    z.square().sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(3, dtype=torch.float32), r"\(batch, classes\), but has \(3,\)"),
        (torch.zeros(3, 1), "has 1 class; at least 2"),
        (torch.zeros(3, 4, dtype=torch.int64), "floating point, but is torch.int64"),
        (torch.full((3, 4), math.nan), "has 12 NaN or infinite values of 12"),
        (torch.zeros(0, 4), "at least one sample"),
    ],
)
def test_refuses(logits: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        standardize_logits(logits)
