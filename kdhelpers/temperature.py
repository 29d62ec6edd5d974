"""How soft the targets are over time: schedules of T, a learned T, and logit standardisation.

A schedule is anything called as `schedule(epoch, epochs)`, epochs numbered 0 to epochs - 1, that
returns T for that epoch: a number, or a 0-d tensor where T is learned. It depends on nothing else,
so a resumed run goes on where it would have been. `Distillation` takes a schedule wherever it takes
a number, and a number is the constant schedule.

    Distillation(teacher, temperature=ExponentialDecay(start=5, floor=1, factor=0.95))

`standardize_logits` is the alternative to all of them: every sample gets its own temperature.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdhelpers._tensors import (
    COLDEST,
    HOTTEST,
    ROWS,
    all_equal,
    check_result,
    check_samples,
    check_temperature,
)  # fmt: skip
from kdhelpers._values import HEAVIEST, check_int, check_number, require, short_repr
from kdhelpers.losses.logits import kd_loss

WARMEST = HOTTEST[torch.float32]  # networks compute in it

Schedule = Callable[[int, int], float | Tensor]


@dataclass(frozen=True, kw_only=True)
class ExponentialDecay:
    """T = max(floor, start · factor^epoch): 5, 4.75, 4.51, … and 1 from epoch 32 on, by default.

    It does not look at the length of the run: a run of five epochs ends at T = 4.07.

    Raises ValueError: start or floor not a number from 1e-6 to 300, a floor above start, a factor
    outside [0, 1].
    Source: no paper; the defaults are those of a tutorial, whose gain of 2–3 % was not measured.
    """

    start: float = 5.0
    floor: float = 1.0
    factor: float = 0.95

    def __post_init__(self) -> None:
        _keep_numbers(self, "start", "floor")
        _keep_numbers(self, "factor", low=0, high=1)
        told = f"floor must be at most start, got {self.floor:g}; Linear can rise."
        require(self.floor <= self.start, told)

    def __call__(self, epoch: int, epochs: int) -> float:
        return max(self.floor, self.start * self.factor**epoch)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """T goes from start in the first epoch to end in the last, by equal steps; it may rise.

    Raises ValueError: start or end not a number from 1e-6 to 300.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        _keep_numbers(self, "start", "end")

    def __call__(self, epoch: int, epochs: int) -> float:
        return self.start + _progress(epoch, epochs) * (self.end - self.start)


@dataclass(frozen=True, kw_only=True)
class Cosine(Linear):
    """T goes from start in the first epoch to end in the last along half a cosine; it may rise.

    It stays near both ends for longer than `Linear` and is fastest in the middle.
    """

    def __call__(self, epoch: int, epochs: int) -> float:
        return self.start + _half_cosine(_progress(epoch, epochs)) * (self.end - self.start)


class LearnedTemperature(nn.Module):
    """A curriculum temperature (CTKD): T = low + width · σ(θ), with θ trained against the student.

    The gradient that reaches θ is reversed: while the student descends the loss, θ climbs it, and
    T moves to where the task is harder. The reversal is scaled by a strength that rises from 0 in
    the first epoch to 1 after `ramp` epochs, along half a cosine. θ is a parameter of the
    objective, so it is trained by the student's optimiser and kept in checkpoints; T stays a tensor
    all the way into the loss.

    The strength scales a gradient, and Adam divides by the gradient's size: under Adam θ moves by
    about lr a step whatever the strength, once it is not 0. The authors use SGD, whose weight
    decay (5e-4) they apply to θ as well: it pulls θ to 0, T to the middle of its range.

    Raises ValueError: low or width not a number from 1e-6 to 150, θ not a number up to 1e9 in
    size, ramp not a whole number of at least 1.
    Source: Li et al. 2022, arXiv 2211.16231, the global temperature; the defaults are those of the
    authors' code (github.com/zhengli97/CTKD), whose `t_end` of 20 is a width: T lies in (1, 21).
    Their code multiplies by a λ that falls from 0 to −1, which is the same reversal, but counts
    epochs from 1: its first epoch has the strength 0.024 of our second.
    """

    def __init__(
        self, *, theta: float = 1.0, low: float = 1.0, width: float = 20.0, ramp: int = 10
    ) -> None:
        super().__init__()
        self.low, self.width = low, width
        _keep_numbers(self, "low", "width", high=WARMEST / 2)
        self.ramp = check_int(ramp, name="ramp", least=1)
        theta = check_number(theta, -HEAVIEST, HEAVIEST, name="theta")
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float32))

    def forward(self, epoch: int, epochs: int) -> Tensor:
        return self.low + self.width * reverse_gradient(self.theta, self.strength(epoch)).sigmoid()

    def strength(self, epoch: int) -> float:
        """How much of the reversed gradient reaches θ in an epoch: from 0 to 1."""
        return _half_cosine(min(epoch / self.ramp, 1.0))

    def extra_repr(self) -> str:
        theta = float(self.theta.detach())
        return f"theta={theta:.6g}, low={self.low:g}, width={self.width:g}, ramp={self.ramp}"


def reverse_gradient(value: Tensor, strength: float) -> Tensor:
    """The same value, through which a gradient g comes back as −strength · g.

    Source: Ganin & Lempitsky 2015, arXiv 1409.7495.
    """
    fixed = value.detach()
    return fixed - strength * (value - fixed)  # the bracket is 0, its gradient is not


def check(temperature: float | Schedule) -> None:
    """Refuse what is neither a number from 1e-6 to 300 nor a schedule that starts with one.

    Raises ValueError: one sentence that says what was given.
    """
    wanted = "a number or a function of (epoch, epochs) that returns one (call a class first)"
    try:
        check_temperature(at(temperature, 0, 2))
    except TypeError as error:
        given = short_repr(temperature)
        raise ValueError(f"temperature must be {wanted}, got {given} ({error}).") from error


def at(temperature: float | Schedule, epoch: int, epochs: int) -> float | Tensor:
    """T in an epoch: a schedule is asked, a number stays what it is."""
    return temperature(epoch, epochs) if callable(temperature) else temperature


def standardize_logits(logits: Tensor) -> Tensor:
    """Per sample: (z − mean(z)) / (1e-7 + std(z)), with the C − 1 of an unbiased std.

    Shape (B, C) to (B, C), C ≥ 3 (of two only the sign would be left), at least float32. Applied to
    both networks before `kd_loss`, it lets the student keep its own scale of logits: only their
    relations are taught. It also bounds what a teacher can say: with C = 10 its top probability
    stays below 0.36 at T = 2.
    Usual: T 2, soft weight 9, hard weight 0.1. Nothing is detached.

    Raises ValueError: logits not floating point, not (B, C), not finite, or of less than 3 classes
    (values are checked on the CPU only, see `kdhelpers._tensors`).
    Source: Sun et al. 2024, arXiv 2403.01427. As in the authors' code, the std is the unbiased one
    and 1e-7 is added to it; the paper fixes neither. Equal logits, as of a head of zeros, are
    divided by 1 here.
    """
    logits = check_samples(logits, name="logits", dims=ROWS)
    two = "two standardised logits are ±0.71 whatever they were, without a gradient; take kd_loss"
    require(logits.shape[1] > 2, f"{two}.")
    centred = logits - logits.mean(dim=1, keepdim=True)
    scale = 1e-7 + logits.std(dim=1, keepdim=True)
    # Equal logits have no scale of their own, and 1e-7 would make their gradient one of millions.
    result = centred / scale.masked_fill(all_equal(logits, dim=1), 1.0)
    return check_result(result, logits)


def _progress(epoch: int, epochs: int) -> float:
    """How far the run is: 0 in its first epoch, 1 in its last."""
    return epoch / (epochs - 1) if epochs > 1 else 0.0


def _half_cosine(share: float) -> float:
    """From 0 to 1, level at both ends."""
    return (1 - math.cos(math.pi * share)) / 2


def _keep_numbers(
    schedule: object, *names: str, low: float = COLDEST, high: float = WARMEST
) -> None:
    """Check named fields and keep them as plain floats: 5 and 5.0 are the same settings."""
    for name in names:
        number = check_number(getattr(schedule, name), low, high, name=name)
        object.__setattr__(schedule, name, number)


def standardized_kd_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float | Tensor = 2.0
) -> Tensor:
    """`kd_loss` of standardised logits: T no longer depends on the scale of anybody's logits.

    For `Distillation(teacher, soft_loss=standardized_kd_loss, temperature=2, alpha=9 / 9.1)`. The
    paper weights the soft term by 9 and the hard one by 0.1. Divided by their sum, 9.1, these are
    alpha = 0.989 and 0.011; the sum itself is a factor of the whole loss. Adam does not notice
    such a factor; SGD does: multiply lr by 9.1 (and divide a weight decay by 9.1).

    Raises ValueError: as `standardize_logits` and `kd_loss` do.
    Source: Sun et al. 2024, arXiv 2403.01427.
    """
    student, teacher = standardize_logits(student_logits), standardize_logits(teacher_logits)
    return kd_loss(student, teacher, temperature=temperature)
