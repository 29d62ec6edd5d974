"""The losses against formulas in NumPy and SciPy, and the properties that their docstrings promise.

Each loss has a `Case` (`loss_cases.py`), by which the tests of gradients, extreme values, autocast
and refusals find it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import (
    CASES,
    LABELS,
    Case,
    Loss,
    close,
    gradient,
    is_zero_at_the_teacher,
    normal,
)
from scipy import special, stats
from scipy.spatial import distance as spatial
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kdhelpers import _tensors, losses
from kdhelpers.temperature import standardized_kd_loss

NUMPY_LABELS = LABELS.numpy()

IDENTITIES = [
    pytest.param(case, identity, id=f"{name}-{identity.__name__}")
    for name, case in CASES.items()
    for identity in case.identities
]
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
LOGIT_CASES = [name for name, case in CASES.items() if case.shapes == ((7,), (7,))]


@pytest.mark.parametrize(("case", "identity"), IDENTITIES)
def test_identity(case: Case, identity: Callable[[Loss, Case], None]) -> None:
    identity(case.loss, case)


def test_every_loss_has_a_case() -> None:
    assert {*CASES, "soft_targets"} == set(losses.__all__)
    assert all(getattr(losses, name) is case.loss for name, case in CASES.items())


# --- soft targets ---------------------------------------------------------------------------------


def test_soft_targets_by_hand() -> None:
    logits = torch.tensor([[math.log(1.0), math.log(4.0), math.log(16.0)]], dtype=torch.float64)
    close(losses.soft_targets(logits, temperature=1.0), [[1 / 21, 4 / 21, 16 / 21]])
    close(losses.soft_targets(logits, temperature=2.0), [[1 / 7, 2 / 7, 4 / 7]])
    close(losses.soft_targets(logits, temperature=3e6), torch.full((1, 3), 1 / 3), relative=1e-5)
    close(losses.soft_targets(logits, temperature=1e-3), [[0.0, 0.0, 1.0]])
    attached = losses.soft_targets(logits.requires_grad_(), temperature=2.0)[0, 0]
    assert gradient(attached, logits).abs().min() > 0


# --- the same formulas, written in NumPy and SciPy ------------------------------------------------


def numpy_kd(s: np.ndarray, t: np.ndarray, temperature: float) -> float:
    p_s, p_t = (special.softmax(z / temperature, axis=1) for z in (s, t))
    return float(temperature**2 * special.rel_entr(p_t, p_s).sum(axis=1).mean())


def numpy_hard(s: np.ndarray) -> float:
    return float(-special.log_softmax(s, axis=1)[np.arange(5), NUMPY_LABELS].mean())


def numpy_dkd(s: np.ndarray, t: np.ndarray, temperature: float, alpha: float, beta: float) -> float:
    total = 0.0
    for z_s, z_t, y in zip(s / temperature, t / temperature, NUMPY_LABELS, strict=True):
        p_s, p_t = special.softmax(z_s), special.softmax(z_t)
        first = stats.entropy([p_t[y], 1 - p_t[y]], [p_s[y], 1 - p_s[y]])
        second = stats.entropy(np.delete(p_t, y), np.delete(p_s, y))  # normalises both
        total += temperature**2 * (alpha * first + beta * second)
    return total / len(s)


def numpy_dist(s: np.ndarray, t: np.ndarray, temperature: float, beta: float, gamma: float) -> Any:
    p_s, p_t = (special.softmax(z / temperature, axis=1) for z in (s, t))
    rows = [stats.pearsonr(a, b).statistic for a, b in zip(p_s, p_t, strict=True)]
    columns = [stats.pearsonr(a, b).statistic for a, b in zip(p_s.T, p_t.T, strict=True)]
    return temperature**2 * (beta * (1 - np.mean(rows)) + gamma * (1 - np.mean(columns)))


def numpy_attention(f: np.ndarray) -> np.ndarray:
    energy = np.sqrt((np.einsum("bchw,bchw->bhw", f, f) ** 2).sum(axis=(1, 2), keepdims=True))
    return np.einsum("bchw,bchw->bhw", f, f) / energy


def numpy_similarity(s: np.ndarray, t: np.ndarray) -> float:
    s, t = s @ s.T, t @ t.T
    s, t = s / np.sqrt((s**2).sum(1))[:, None], t / np.sqrt((t**2).sum(1))[:, None]
    return float(((s - t) ** 2).sum() / len(s) ** 2)


def numpy_relations(f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = spatial.pdist(f)
    cosines = np.zeros((len(f),) * 3)
    for i, j, k in np.ndindex(cosines.shape):
        if i not in (j, k):
            cosines[i, j, k] = 1 - spatial.cosine(f[j] - f[i], f[k] - f[i])
    return spatial.squareform(pairs / pairs.mean()), cosines


def numpy_relational(s: np.ndarray, t: np.ndarray) -> float:
    (d_s, a_s), (d_t, a_t) = numpy_relations(s), numpy_relations(t)
    return float(25 * special.huber(1, d_s - d_t).mean() + 50 * special.huber(1, a_s - a_t).mean())


def numpy_attention_loss(s: np.ndarray, t: np.ndarray, *, paper: bool) -> float:
    gap = np.square(numpy_attention(s) - numpy_attention(t))
    return float(np.sqrt(gap.sum((1, 2))).mean() if paper else gap.mean())


def numpy_cse(s: np.ndarray, t: np.ndarray) -> float:
    return float(-16 * (special.softmax(t / 4, 1) * special.log_softmax(s / 4, 1)).sum(1).mean())


def numpy_pmse(s: np.ndarray, t: np.ndarray) -> float:
    return float(8 * np.square(special.softmax(s / 4, 1) - special.softmax(t / 4, 1)).mean())


def numpy_mse(s: np.ndarray, t: np.ndarray) -> float:
    return float(np.square(s - t).mean())


NUMPY: list[tuple[str, dict[str, Any], Callable[..., float]]] = [
    ("kd_loss", {"temperature": 3.0}, lambda s, t: numpy_kd(s, t, 3.0)),
    ("kd_loss", {"temperature": 1.0}, lambda s, t: numpy_kd(s, t, 1.0)),
    ("kd_loss", {}, lambda s, t: numpy_kd(s, t, 4.0)),
    ("soft_cross_entropy", {}, numpy_cse),
    ("probability_mse", {}, numpy_pmse),
    ("logit_mse", {}, numpy_mse),
    ("distillation_loss", {}, lambda s, t: 0.9 * numpy_kd(s, t, 4.0) + 0.1 * numpy_hard(s)),
    ("decoupled_kd_loss", {}, lambda s, t: numpy_dkd(s, t, 4.0, 1.0, 8.0)),
    (
        "decoupled_kd_loss", {"temperature": 1.0, "alpha": 0.3, "beta": 2.0},
        lambda s, t: numpy_dkd(s, t, 1.0, 0.3, 2.0),
    ),
    ("dist_loss", {}, lambda s, t: numpy_dist(s, t, 1.0, 1.0, 1.0)),
    (
        "dist_loss", {"temperature": 4.0, "beta": 2.0, "gamma": 0.5},
        lambda s, t: numpy_dist(s, t, 4.0, 2.0, 0.5),
    ),
    ("hint_loss", {}, numpy_mse),
    ("attention_transfer_loss", {}, partial(numpy_attention_loss, paper=False)),
    ("attention_transfer_loss", {"form": "paper"}, partial(numpy_attention_loss, paper=True)),
    ("similarity_loss", {}, numpy_similarity),
    ("relational_loss", {}, numpy_relational),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "formula"), NUMPY)
def test_agrees_with_numpy(
    name: str, options: dict[str, Any], formula: Callable[..., float]
) -> None:
    case = CASES[name]
    student, teacher = case.sample()
    expected = formula(student.detach().numpy(), teacher.numpy())
    close(case.call(case.loss, student, teacher, **options), expected, relative=1e-10)


# --- gradients, extremes, precision ---------------------------------------------------------------


@each_case
def test_gradient_is_that_of_the_value(case: Case) -> None:
    student, teacher = case.sample()
    assert torch.autograd.gradcheck(lambda s: case.call(case.loss, s, teacher), (student,))


@pytest.mark.parametrize("name", [n for n in LOGIT_CASES if CASES[n].softened])
def test_learned_temperature_stays_in_the_graph(name: str) -> None:
    case = CASES[name]
    student, teacher = case.sample()
    temperature = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t: case.call(case.loss, student, teacher, temperature=t), (temperature,)
    )
    close(
        case.call(case.loss, student, teacher, temperature=temperature),
        case.call(case.loss, student, teacher, temperature=2.5),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_case
def test_extreme_values_stay_finite(case: Case, dtype: torch.dtype) -> None:
    student, teacher = (z.detach().sign().mul(1e4).to(dtype) for z in case.sample())
    for other in (teacher, -teacher, torch.zeros_like(teacher)):
        leaf = student.clone().requires_grad_()
        value = case.call(case.loss, leaf, other)
        assert value.dtype == dtype
        assert value.isfinite()
        assert gradient(value, leaf).isfinite().all()


@pytest.mark.parametrize("temperature", [1e-2, 1.0, 300.0])
def test_extreme_logits_with_a_learned_temperature(temperature: float) -> None:
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    learned = torch.tensor(temperature, requires_grad=True)
    losses.kd_loss(student, -student, temperature=learned).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert learned.grad is not None
    assert learned.grad.isfinite()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@each_case
def test_autocast_computes_in_full_precision(case: Case, dtype: torch.dtype) -> None:
    """Half-precision outputs under autocast give what their exact float32 copies give outside."""
    raw_student, raw_teacher = (z.detach().to(dtype) for z in case.sample())
    student = raw_student.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = case.call(case.loss, student, raw_teacher)
    wide = raw_student.float().requires_grad_()
    expected = case.call(case.loss, wide, raw_teacher.float())
    assert value.dtype == torch.float32
    close(value, expected, relative=1e-6)
    half, full = gradient(value, student), gradient(expected, wide)
    assert half.dtype == dtype
    close(half, full.to(dtype), relative=2e-2)


@each_case
def test_works_under_function_transforms(case: Case) -> None:
    student, teacher = case.sample()
    slope = torch.func.grad(lambda s: case.call(case.loss, s, teacher))(student.detach())
    close(slope, gradient(case.call(case.loss, student, teacher), student))


def test_computes_in_the_students_dtype() -> None:
    student, teacher = CASES["kd_loss"].sample()
    assert losses.kd_loss(student.float(), teacher).dtype == torch.float32
    assert losses.kd_loss(student, teacher.half()).dtype == torch.float64


def test_similarity_and_relations_of_coinciding_samples() -> None:
    """Duplicates, a sample of zeros, a collapsed student: finite, and no gradient of 1/epsilon."""
    teacher = normal(4, 6, seed=1)
    student = normal(4, 6, seed=2)
    student[1] = student[0]
    student[2] = 0.0
    nearly = student.clone()  # apart by rounding only
    nearly[1] = nearly[0].nextafter(nearly[3])
    for features in (student, nearly, torch.zeros(4, 6), torch.ones(4, 6)):
        for loss in (losses.relational_loss, losses.similarity_loss):
            features = features.clone().requires_grad_()
            value = loss(features, teacher)
            assert value.isfinite()
            assert gradient(value, features).abs().max() < 1e3
            assert loss(teacher, features).isfinite()


def test_two_samples_have_no_relations_to_learn() -> None:
    """So an epoch may end with a batch of two."""
    student, teacher = normal(2, 6, seed=1).float().requires_grad_(), normal(2, 4, seed=2).float()
    value = losses.relational_loss(student, teacher)
    assert value < 1e-9
    assert gradient(value, student).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", [losses.dist_loss, standardized_kd_loss])
def test_a_head_of_zeros_learns_by_moderate_steps(loss: Loss, dtype: torch.dtype) -> None:
    teacher = normal(4, 6, seed=1)
    for bias in (0.0, 3.7):  # the mean of equal numbers may be off by rounding
        student = torch.full((4, 6), bias, dtype=dtype, requires_grad=True)
        value = loss(student, teacher, temperature=1.0)
        assert value.isfinite()
        assert 1e-3 < gradient(value, student).abs().max() < 1
        assert loss(teacher, student, temperature=1.0).isfinite()


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    name=st.sampled_from(LOGIT_CASES),
    batch=st.integers(1, 6),
    classes=st.integers(2, 12),
    scale=st.floats(1e-3, 1e4),
    temperature=st.floats(0.25, 50.0),
    seed=st.integers(0, 2**16),
)
def test_any_logits(
    name: str, batch: int, classes: int, scale: float, temperature: float, seed: int
) -> None:
    case = CASES[name]
    batch = max(batch, case.smallest)
    options = {"temperature": temperature} if case.softened else {}
    student = normal(batch, classes, seed=seed, scale=scale).requires_grad_()
    teacher = normal(batch, classes, seed=seed + 1, scale=scale)
    value = case.call(case.loss, student, teacher, **options)
    assert value.isfinite()
    assert value >= -1e-12
    assert gradient(value, student).isfinite().all()
    if is_zero_at_the_teacher in case.identities and (name != "dist_loss" or scale < 10.0):
        close(case.call(case.loss, teacher.clone(), teacher, **options), 0.0, relative=0.0)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    name=st.sampled_from([n for n in CASES if n not in LOGIT_CASES]),
    batch=st.integers(1, 5),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
    scale=st.floats(1e-3, 1e4),
    seed=st.integers(0, 2**16),
)
def test_any_features(
    name: str,
    batch: int,
    channels: tuple[int, int],
    sizes: tuple[int, int, int, int],
    scale: float,
    seed: int,
) -> None:
    case = CASES[name]
    batch = max(batch, case.smallest)
    student = normal(batch, channels[0], *sizes[:2], seed=seed, scale=scale).requires_grad_()
    teacher = normal(batch, channels[1], *sizes[2:], seed=seed + 1, scale=scale)
    if case.shapes[0] == case.shapes[1]:
        teacher = teacher.new_ones(student.shape)
    value = case.loss(student, teacher)
    assert value.isfinite()
    assert value >= 0
    assert gradient(value, student).isfinite().all()
    close(case.loss(teacher.clone(), teacher), 0.0)


# --- refusals -------------------------------------------------------------------------------------


GOOD, MAPS = torch.zeros(4, 3), torch.zeros(4, 3, 2, 2)
ZEROS = torch.zeros(4, dtype=torch.long)


def row(*values: float) -> Tensor:
    return torch.tensor([values]).expand(4, 3)


NO_NUMBERS = "4 of 12 values that are NaN, infinite or beyond 1,000,000"
BAD_PAIRS = {
    "unequal batches": (GOOD, GOOD[:2], r"\(4, .* differs from the teacher's \(2, "),
    "one sample": (GOOD, GOOD[:1], "differs from the teacher's"),  # PyTorch would broadcast it
    "integers": (GOOD.long(), GOOD, r"student_\w+ must be floating point, but is torch.int64"),
    "integer teacher": (GOOD, GOOD.long(), r"teacher_\w+ must be floating point"),
    "NaN": (row(0, math.nan, 1), GOOD, rf"student's \w+ have {NO_NUMBERS}"),
    "NaN teacher": (GOOD, row(0, math.nan, 1), rf"teacher's \w+ have {NO_NUMBERS}"),
    "infinite": (row(0, math.inf, 0), GOOD, rf"student's \w+ have {NO_NUMBERS}"),
    "no tensor": ([[0.0]], GOOD, r"student_\w+ must be a Tensor, got \[\["),
    "empty": (GOOD[:0], GOOD[:0], r"student_\w+ must have the shape \(batch, .*has \(0, "),
    "0-d": (GOOD[0, 0], GOOD[0, 0], r"student_\w+ must have the shape \(batch, .*has \(\)"),
}


def shaped(case: Case, tensor: Any) -> Any:
    """Rows as maps of one channel, for the loss that takes nothing else."""
    maps = case is CASES["attention_transfer_loss"] and getattr(tensor, "ndim", 0) == 2
    return tensor[:, None, None] if maps else tensor


def refuses(message: str, loss: Loss, *arguments: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        loss(*arguments, **options)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", BAD_PAIRS)
@each_case
def test_refuses_bad_pairs(case: Case, what: str) -> None:
    *pair, message = BAD_PAIRS[what]
    student, teacher = (shaped(case, each) for each in pair)
    refuses(message, case.loss, student, teacher, *[ZEROS] * case.labelled)


@pytest.mark.parametrize("name", LOGIT_CASES)
def test_refuses_other_shapes_of_logits(name: str) -> None:
    case = CASES[name]
    labels = [ZEROS] * case.labelled
    refuses(r"\(4, 3\) differs from .* \(4, 5\)", case.loss, GOOD, torch.zeros(4, 5), *labels)
    if case.softened:
        refuses(r"put the classes last .*has \(4, 3, 2, 2\)", case.loss, MAPS, MAPS, *labels)
        refuses(r"two logits \[0, z\]", case.loss, GOOD[:, :1], GOOD[:, :1], *labels)


def test_soft_targets_refuse_what_the_losses_refuse() -> None:
    refuses("classes last and flatten", losses.soft_targets, MAPS, temperature=1.0)
    refuses(r"two logits \[0, z\]", losses.soft_targets, GOOD[:, :1], temperature=1.0)
    refuses(NO_NUMBERS, losses.soft_targets, row(0, math.nan, 0), temperature=1.0)
    refuses("got 0.0", losses.soft_targets, GOOD, temperature=0.0)


def test_the_told_ways_out_give_the_right_value() -> None:
    """Maps with classes last and flattened; a sigmoid head as the two logits [0, z]."""
    student, teacher = normal(2, 5, 3, 4, seed=0), normal(2, 5, 3, 4, seed=1)
    flat = [z.movedim(1, -1).flatten(0, -2) for z in (student, teacher)]
    terms = [losses.kd_loss(student[:, :, i, j], teacher[:, :, i, j])
             for i in range(3) for j in range(4)]  # fmt: skip
    close(losses.kd_loss(*flat), torch.stack(terms).mean())
    z, v = normal(6, 1, seed=0), normal(6, 1, seed=1)
    pairs = [torch.cat([torch.zeros_like(head), head], 1) for head in (z, v)]
    p, q = (v / 4).sigmoid(), (z / 4).sigmoid()
    by_hand = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    close(losses.kd_loss(*pairs), 16 * by_hand.mean())


BAD_TEMPERATURES: dict[str, tuple[Any, str]] = {
    **{repr(value): (value, f"must be a number from 1e-06 to 300 in torch.float32, got {value!r};")
       for value in (0.0, math.nan, True, "4", 301.0, 1e-7)},
    "tensor of 0": (torch.tensor(0.0), "from 1e-06 to 300 in torch.float32, got 0.0"),
    "1-d tensor": (torch.tensor([4.0]), r"must be a number .* got tensor\(\[4"),
    "integer tensor": (torch.tensor(4), r"must be a number .* got tensor\(4"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_TEMPERATURES)
@pytest.mark.parametrize("name", [n for n in LOGIT_CASES if CASES[n].softened])
def test_refuses_bad_temperatures(name: str, what: str) -> None:
    temperature, message = BAD_TEMPERATURES[what]
    case = CASES[name]
    refuses(message, case.loss, GOOD, GOOD, *[ZEROS] * case.labelled, temperature=temperature)


@pytest.mark.parametrize(("dtype", "hottest"), [(torch.float32, 300.0), (torch.float64, 3e6)])
def test_the_hottest_temperature_leaves_the_value_right(dtype: torch.dtype, hottest: float) -> None:
    """Within 1 % of the limit T → ∞; further on, rounding would take over."""
    student, teacher = (z - z.mean(1, keepdim=True) for z in (normal(64, 10, seed=0),
                                                              normal(64, 10, seed=1)))  # fmt: skip
    value = losses.kd_loss(student.to(dtype), teacher.to(dtype), temperature=hottest)
    close(value, 0.5 * losses.logit_mse(student, teacher), relative=1e-2)
    refuses("rounding|to .* in torch", losses.kd_loss, GOOD.to(dtype), GOOD.to(dtype),
            temperature=2 * hottest)  # fmt: skip


@pytest.mark.parametrize("value", [-0.1, math.nan, 1e10, True, "1", None])
def test_refuses_bad_weights(value: Any) -> None:
    for case in CASES.values():
        for weight in filter(None, case.weights):
            message = rf"{weight} must be a number from 0 to 1e\+09, got {value!r}"
            refuses(message, case.loss, GOOD, GOOD, *[ZEROS] * case.labelled, **{weight: value})
    refuses(f"alpha .* from 0 to 1, got {value!r}", losses.distillation_loss, GOOD, GOOD, ZEROS,
            alpha=value)  # fmt: skip


BAD_LABELS: dict[str, tuple[Any, str]] = {
    "too large": (torch.tensor([0, 1, 2, 3]), r"0\.\.2, but reach from 0 to 3"),
    "padding": (torch.tensor([0, -100, 2, 1]), "reach from -100 to 2; .* drop unlabelled rows"),
    "floating": (torch.zeros(4), r"class indices \(4,\), but are torch.float32"),
    "list": ([0, 1, 2, 0], "labels must be a Tensor, got \\["),
    "one-hot": (torch.eye(3)[[0, 1, 2, 0]], r"of the shape \(4, 3\); give one class per image"),
    "too few": (ZEROS[:3], r"class indices \(4,\), but are torch.int64 of the shape \(3,\)"),
}


@pytest.mark.parametrize("what", BAD_LABELS)
@pytest.mark.parametrize("loss", [losses.distillation_loss, losses.decoupled_kd_loss])
def test_refuses_bad_labels(loss: Loss, what: str) -> None:
    labels, message = BAD_LABELS[what]
    refuses(message, loss, GOOD, GOOD, labels)


def test_padding_is_not_left_out_where_labels_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own check for the CPU stands for the assert in its kernels for a GPU."""
    monkeypatch.setattr(_tensors, "_is_read", lambda tensor: False)
    with pytest.raises(IndexError, match="-100 is out of bounds"):
        losses.distillation_loss(GOOD, GOOD, BAD_LABELS["padding"][0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_accepts_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    student, teacher = CASES["distillation_loss"].sample()
    for loss in (losses.distillation_loss, losses.decoupled_kd_loss):
        close(loss(student, teacher, LABELS.to(dtype)), loss(student, teacher, LABELS))


def test_refuses_batches_that_are_too_small() -> None:
    for case in CASES.values():
        student, teacher = (x[: case.smallest] for x in case.sample())
        case.call(case.loss, student, teacher)
        if case.smallest > 1:
            with pytest.raises(ValueError, match=f"use at least {case.smallest}"):
                case.call(case.loss, student[:-1], teacher[:-1])
    student, teacher = CASES["dist_loss"].sample()
    assert losses.dist_loss(student[:1], teacher[:1], gamma=0.0) > 0  # rows alone need no batch


def test_refuses_features_it_cannot_compare() -> None:
    refuses(r"\(4, 3\) differs .* Regressor", losses.hint_loss, GOOD, torch.zeros(4, 5))
    for pair, side in (((GOOD, MAPS), "student"), ((MAPS, GOOD), "teacher")):
        refuses(f"{side}_features must have the shape", losses.attention_transfer_loss, *pair)
    refuses("form must be one of code, paper, got 'book'", losses.attention_transfer_loss,
            MAPS, MAPS, form="book")  # fmt: skip


def test_what_would_teach_nothing_whatever_the_networks_say_is_refused() -> None:
    pixel, two = torch.randn(4, 5, 1, 1), torch.randn(4, 2)
    refuses("a map of one pixel .* before the pooling", losses.attention_transfer_loss, MAPS, pixel)
    refuses("two classes always correlate by 1 or -1", losses.dist_loss, two, -two, gamma=0.0)
    assert losses.dist_loss(two, -two) > 1
    refuses("two standardised logits .* take kd_loss", standardized_kd_loss, two, two)


@each_case
@pytest.mark.parametrize("value", [2e6, 1e30])
def test_large_values_are_refused_or_do_no_harm(case: Case, value: float) -> None:
    large, labels = row(0, 0, value), [ZEROS] * case.labelled
    for pair, side in (((GOOD, large), "teacher"), ((large, GOOD), "student")):
        try:
            assert case.loss(*(shaped(case, each) for each in pair), *labels).isfinite()
        except ValueError as error:
            assert f"{side}'s" in str(error)  # noqa: PT017
            assert NO_NUMBERS in str(error)  # noqa: PT017
    if case.loss in (losses.kd_loss, losses.distillation_loss):
        certain = case.loss(GOOD, row(0, 0, 1e5), *labels)
        close(case.loss(GOOD, large, *labels), certain, relative=1e-6)


# --- no step waits for an accelerator -------------------------------------------------------------


class NoReading(TorchDispatchMode):
    """Fails on the operations for which a GPU has to hand a value to Python."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "item", "nonzero", "masked_select"), name
        return func(*args, **(kwargs or {}))


@each_case
def test_reads_no_value_where_reading_is_slow(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = case.sample()
    options = {}
    if case.softened:
        options["temperature"] = torch.tensor(2.0)
    with NoReading(), pytest.raises(AssertionError):
        case.call(case.loss, student, teacher, **options)
    monkeypatch.setattr(_tensors, "_is_read", lambda tensor: False)
    with NoReading():
        case.call(case.loss, student, teacher, **options).backward()


def test_only_cpu_tensors_are_read() -> None:
    """Reading a value of a "meta" tensor would raise: it has none."""
    logits = torch.zeros(4, 3, device="meta")
    labels = torch.zeros(4, dtype=torch.long, device="meta")
    temperature = torch.tensor(4.0, device="meta")
    assert losses.distillation_loss(logits, logits, labels, temperature=temperature).is_meta
