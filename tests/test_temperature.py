"""Logit standardisation, schedules and the learned T: formulas, training, refusals."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import Small, interrupted_at, same, split, weights
from torch import Tensor

from kdhelpers.losses.logits import kd_loss, soft_targets
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised
from kdhelpers.temperature import (
    Cosine,
    ExponentialDecay,
    LearnedTemperature,
    Linear,
    Schedule,
    reverse_gradient,
    standardize_logits,
    standardized_kd_loss,
)
from kdhelpers.training import fit as training
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.optimizers import adam

fit = partial(training.fit, device="cpu", progress=False)


# -- logit standardisation ------------------------------------------------------------------------


def normal(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def close(actual: Tensor, expected: Tensor, *, relative: float = 1e-6) -> None:
    torch.testing.assert_close(actual, expected, rtol=relative, atol=1e-9)


def test_equal_logits_become_zeros() -> None:
    z = torch.full((2, 4), 3.0, requires_grad=True)
    result = standardize_logits(z)
    assert torch.equal(result, torch.zeros(2, 4))
    assert torch.autograd.grad(result[0, 0], z)[0].isfinite().all()


def test_standardised_distillation_is_the_public_form_and_does_not_see_a_scale() -> None:
    """KD of standardised logits as the authors' code computes it, value and gradient."""
    student, teacher = normal(5, 7, seed=1).requires_grad_(), normal(5, 7, seed=2)

    def theirs(z: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(z, dim=-1, keepdim=True)
        return (z - mean) / (1e-7 + deviation) / 2

    log_p_s, p_t = theirs(student).log_softmax(1), theirs(teacher).softmax(1)
    expected = 4 * F.kl_div(log_p_s, p_t, reduction="none").sum(1).mean()
    ours = standardized_kd_loss(student, teacher)  # T = 2 is the default
    close(ours, expected, relative=1e-10)  # 1e-7 beside a std of 3 is seen at the eighth digit
    close(*(torch.autograd.grad(value, student)[0] for value in (ours, expected)))
    close(standardized_kd_loss(3 * student, 0.2 * teacher + 1, temperature=2.0), expected)


def test_caps_the_teachers_top_probability() -> None:
    """With ten classes at T = 2, even the surest teacher says at most 0.351."""
    sure = 1e4 * F.one_hot(torch.tensor([3]), 10).double()
    top = soft_targets(standardize_logits(sure), temperature=2.0).max()
    assert top == pytest.approx(0.3506, abs=1e-4)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    batch=st.integers(1, 6),
    classes=st.integers(3, 20),
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
    assert torch.autograd.grad(z.square().sum(), logits)[0].isfinite().all()


# -- schedules ------------------------------------------------------------------------------------


def halving(epoch: int, epochs: int) -> float:
    """A schedule as a reader may write it."""
    return 8 / 2**epoch


SCHEDULES: dict[str, tuple[Schedule, list[float]]] = {
    "exponential": (ExponentialDecay(), [5, 4.75, 4.5125, 4.286875]),
    "floor": (ExponentialDecay(start=4, floor=1.5, factor=0.5), [4, 2, 1.5, 1.5]),
    "linear": (Linear(start=8, end=2), [8, 6, 4, 2]),
    "rising": (Linear(start=1, end=4), [1, 2, 3, 4]),
    "cosine": (Cosine(start=8, end=2), [8, 6.5, 3.5, 2]),
    "rising cosine": (Cosine(start=2, end=8), [2, 3.5, 6.5, 8]),
    "function": (halving, [8, 4, 2, 1]),
}


@pytest.mark.parametrize(("schedule", "expected"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_by_hand_in_every_step_and_in_the_history(
    schedule: Schedule, expected: list[float]
) -> None:
    assert [schedule(epoch, 4) for epoch in range(4)] == pytest.approx(expected, rel=1e-12)
    assert schedule(0, 1) == expected[0]  # a run of one epoch
    used = []

    def recording(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
        used.append(temperature)
        return kd_loss(student, teacher, temperature=temperature)

    objective = Distillation(Small(seed=1), temperature=schedule, soft_loss=recording)
    history = fit(Small(), objective, split(20), epochs=4, batch_size=10)
    assert [row["temperature"] for row in history] == pytest.approx(expected)
    assert used == [row["temperature"] for row in history for _ in range(2)]


def test_the_decay_does_not_look_at_the_length_of_the_run_and_stops_at_its_floor() -> None:
    decay = ExponentialDecay()
    assert decay(4, 5) == decay(4, 500) == pytest.approx(4.07253125)
    assert decay(31, 500) == pytest.approx(1.0195, abs=1e-4)
    assert decay(32, 500) == decay(400, 500) == 1


def test_a_number_stays_what_it_was_and_equal_schedules_are_the_same() -> None:
    objective = Distillation(Small(seed=1), temperature=3)
    told = {"objective", "temperature", "alpha", "soft_loss", "teacher"}
    assert objective.settings().keys() == told
    assert objective.settings()["temperature"] == 3.0
    assert "temperature" not in fit(Small(), objective, split(), epochs=1)[0]
    assert objective.state_dict() == {}
    assert Linear(start=4, end=1) == Linear(start=np.float32(4), end=1.0)
    assert repr(Linear(start=4, end=1)) == repr(Linear(start=np.float64(4), end=1.0))


REFUSED = [
    (ExponentialDecay, {"start": 0}, "start must be a number from 1e-06 to 300, got 0"),
    (ExponentialDecay, {"floor": 6}, "floor must be at most start, got 6; Linear can rise"),
    (ExponentialDecay, {"factor": 1.1}, "factor must be a number from 0 to 1, got 1.1"),
    (Linear, {"start": 5, "end": 0}, "end must be .* got 0"),
    (Cosine, {"start": 301, "end": 1}, "start must be a number from 1e-06 to 300, got 301"),
    (LearnedTemperature, {"theta": math.nan}, "theta must be a number .* got nan"),
    (LearnedTemperature, {"low": 0}, "low must be a number from 1e-06 to 150, got 0"),
    (LearnedTemperature, {"width": -1}, "width must be a number from 1e-06 to 150, got -1"),
    (LearnedTemperature, {"ramp": 0}, "ramp must be at least 1, got 0"),
    *(
        (Distillation, {"teacher": Small(), "temperature": wrong}, f"temperature must be {message}")
        for wrong, message in (
            (1000, "a number from 1e-06 to 300 .* got 1000"),
            (lambda epoch, epochs: -2.0, r"a number .* got -2\.0"),
            (lambda epoch, epochs: torch.tensor(0.0), r"a number .* got 0\.0"),
            (lambda: 4.0, r"a number or a function of \(epoch, epochs\) .* got <func"),
            (True, "a number .* got True"),
            (LearnedTemperature, r".* \(call a class first\), got <class .*LearnedTemperature"),
        )
    ),
    *(
        (standardize_logits, {"logits": wrong}, message)
        for wrong, message in (
            (torch.zeros(3), r"\(batch, classes\): .* but has \(3,\)"),
            (torch.zeros(3, 1), "has 1 class; its softmax"),
            (torch.full((3, 4), math.nan), "logits have 12 of 12 values that are NaN"),
        )
    ),
]


@pytest.mark.parametrize(("call", "values", "message"), REFUSED)
def test_refuses(call: Callable[..., Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(**values)


# -- a learned temperature ------------------------------------------------------------------------


def test_the_learned_temperature_by_hand() -> None:
    learned = LearnedTemperature()
    assert learned(0, 100).item() == pytest.approx(1 + 20 / (1 + math.exp(-1)))  # 15.62
    assert LearnedTemperature(theta=0, low=2, width=6)(0, 1).item() == 5
    strengths = [learned.strength(epoch) for epoch in (0, 1, 5, 10, 11, 100)]
    assert strengths == pytest.approx([0, 0.0244717, 0.5, 1, 1, 1], rel=1e-5)
    assert LearnedTemperature(ramp=1).strength(1) == 1


@pytest.mark.parametrize("theta", [-1e4, -20.0, -1.0, 0.0, 1.0, 20.0, 1e4])
def test_the_learned_temperature_stays_in_its_range(theta: float) -> None:
    learned = LearnedTemperature(theta=theta)
    value = learned(10, 20)
    assert 1 <= value.item() <= 21
    assert (1 < value.item() < 21) or abs(theta) > 15  # float32 cannot tell the ends
    loss = kd_loss(normal(4, 3).float(), normal(4, 3, seed=1).float(), temperature=value)
    assert torch.autograd.grad(loss, learned.theta)[0].isfinite()


def test_a_reversed_gradient_changes_the_gradient_only() -> None:
    value, slope = torch.tensor([0.1, -3e7, 1e-30], requires_grad=True), torch.arange(1.0, 4.0)
    for strength in (0.0, 0.3, 1.0):
        same_value = reverse_gradient(value, strength)
        assert torch.equal(same_value, value)
        close(torch.autograd.grad(same_value, value, slope)[0], -strength * slope)


@pytest.mark.parametrize("epoch", [0, 1, 5, 10, 30])
@pytest.mark.parametrize("theta", [-2.0, 1.0])
def test_the_gradient_of_theta_is_reversed_and_scaled(epoch: int, theta: float) -> None:
    """Against finite differences of the loss as a plain function of θ."""
    z, v, step = normal(6, 5, seed=1), normal(6, 5, seed=2), 1e-5
    learned = LearnedTemperature(theta=theta).double()
    kd_loss(z, v, temperature=learned(epoch, 40)).backward()
    more, less = (
        kd_loss(z, v, temperature=1 + 20 / (1 + math.exp(-at))).item()
        for at in (theta + step, theta - step)
    )
    slope = (more - less) / (2 * step)
    assert abs(slope) > 1e-3
    assert learned.theta.grad is not None  # also at strength 0
    assert learned.theta.grad.item() == pytest.approx(-learned.strength(epoch) * slope, rel=1e-6)


def sure_teacher() -> Small:
    """A teacher with large logits, so that T makes a difference."""
    teacher = Small(seed=2)
    with torch.no_grad():
        teacher.head.weight *= 20
    return teacher


@pytest.mark.parametrize(
    "options", [{"optimizer": adam}, {"optimizer": torch.optim.SGD}, {"precision": "bf16"}]
)
def test_theta_rests_in_the_first_epoch_and_moves_in_the_second(options: dict[str, Any]) -> None:
    learned = LearnedTemperature()
    objective = Distillation(sure_teacher(), temperature=learned)
    history = fit(Small(), objective, split(), epochs=2, batch_size=10, lr=1e-2, **options)
    assert history[0]["temperature"] == LearnedTemperature()(0, 1).item()
    assert history[1]["temperature"] == learned(1, 2).item() != history[0]["temperature"]
    assert learned.theta.dtype == torch.float32  # in mixed precision too


def test_without_a_soft_term_theta_rests_and_the_student_learns_from_labels() -> None:
    learned, students = LearnedTemperature(ramp=1), (Small(), Small())
    distillation = Distillation(Small(seed=1), temperature=learned, alpha=0.0)
    for student, objective in zip(students, (distillation, Supervised()), strict=True):
        assert fit(student, objective, split(), epochs=3)[-1]["hard"] > 0
    assert learned.theta.item() == 1.0
    assert same(*map(weights, students))


def test_a_learned_temperature_is_never_read_on_the_way() -> None:
    """Reading a value of a "meta" tensor would raise: it has none."""
    logits = torch.zeros(4, 3, device="meta", requires_grad=True)
    learned = LearnedTemperature().to("meta")
    loss = kd_loss(logits, logits, temperature=learned(5, 10))
    assert torch.autograd.grad(loss, learned.theta)[0].is_meta


# -- the same again -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [partial(Linear, start=8, end=2), partial(LearnedTemperature, ramp=2)]
)
def test_interrupted_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, make: Callable[[], Schedule]
) -> None:
    run = partial(fit, train=split(), epochs=4, batch_size=20, seed=2, lr=1e-2)
    straight, resumed = Small(), Small()
    objectives = [Distillation(Small(seed=1), temperature=make()) for _ in range(3)]
    expected = run(straight, objectives[0])
    with interrupted_at(5):  # in the third epoch
        run(Small(), objectives[1], checkpoint=tmp_path / "run.pt")
    history = run(resumed, objectives[2], checkpoint=tmp_path / "run.pt")
    assert same(weights(straight), weights(resumed))
    assert same(objectives[0].state_dict(), objectives[2].state_dict())
    for key in ("temperature", "loss"):
        assert [row[key] for row in history] == [row[key] for row in expected]


LINEAR, LEARNED = Linear(start=4, end=1), partial(LearnedTemperature, ramp=1)


@pytest.mark.parametrize(
    ("first", "then", "epochs", "message"),
    [
        (4.0, LINEAR, 2, r" is 4\.0, this run has 'Linear\(start=4"),
        (LINEAR, Linear(start=4, end=2), 2, r"end=1\.0\)', this run .* end=2\.0\)'"),
        (LINEAR, Cosine(start=4, end=1), 2, r" is 'Linear.*, this run has 'Cosine"),
        (LINEAR, LINEAR, 4, "_epochs is 2, this run has 4"),  # other temperatures from the first on
        (halving, ExponentialDecay(), 2, r"halving', this run has 'Exponential"),
        (LEARNED(), LEARNED(theta=0), 2, "theta=1, .*, this run .*theta=0,"),
        (LEARNED(), LearnedTemperature(), 2, r"ramp=1\)', this run .*ramp=10\)'"),
        (same_one := LEARNED(), same_one, 2, r" is 'LearnedTemperature\(theta=1,"),  # has learned
    ],
)
def test_a_checkpoint_of_another_schedule_is_refused(
    tmp_path: Path, first: Any, then: Any, epochs: int, message: str
) -> None:
    run = partial(fit, train=split(), lr=1e-2, checkpoint=tmp_path / "run.pt")
    teacher = Small(seed=1)
    run(Small(), Distillation(teacher, temperature=first), epochs=2)
    with pytest.raises(CheckpointError, match=f"another run: its temperature.*{message}"):
        run(Small(), Distillation(teacher, temperature=then), epochs=epochs)


def test_a_schedule_may_divide_by_all_epochs_but_the_first() -> None:
    falling = Distillation(Small(), temperature=lambda epoch, epochs: 8 - 7 * epoch / (epochs - 1))
    falling.start_epoch(2, 3)
    assert falling.temperature_now() == 1.0
