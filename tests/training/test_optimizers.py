"""Optimisers and schedules: the learning rates are those of the formulas."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, PolynomialLR

from kdhelpers.training.optimizers import MakeSchedule, adam, cosine, nesterov, one_cycle
from kdhelpers.training.recipe import Recipe


def rates(schedule: MakeSchedule, steps: int) -> list[float]:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = adam([parameter], lr=2.0)
    stepped, used = schedule(optimizer, steps), []
    for _ in range(steps):
        parameter.grad = torch.ones(1)
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stepped.step()
    return used


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100])
def test_cosine_is_half_a_cosine(steps: int) -> None:
    expected = [1 + math.cos(math.pi * step / steps) for step in range(steps)]
    assert rates(cosine, steps) == pytest.approx(expected)


@pytest.mark.parametrize(
    "kind", [CosineAnnealingLR, CosineAnnealingWarmRestarts, partial(PolynomialLR, power=2.0)]
)
def test_classes_that_take_the_number_of_steps_fall_to_nothing_in_these(kind: MakeSchedule) -> None:
    used = rates(Recipe(epochs=1, schedule=kind).schedule, 100)
    assert used[0] == 2.0
    assert used == sorted(used, reverse=True)
    assert used[-1] < 0.001


@pytest.mark.parametrize("steps", [10, 100, 1000])
def test_one_cycle_rises_over_a_third_and_falls_to_nothing(steps: int) -> None:
    used = rates(one_cycle, steps)
    top = used.index(max(used))
    assert used[0] == pytest.approx(2 / 25)
    assert 0.2 * steps <= top <= 0.35 * steps
    assert 1.9 < used[top] <= 2.0
    assert used[:top] == sorted(used[:top])
    assert used[top:] == sorted(used[top:], reverse=True)
    assert used[-1] < 0.06 * used[top]


def test_one_cycle_takes_each_group_up_to_its_own_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (2.0, 0.5)]
    optimizer = torch.optim.SGD(groups)
    one_cycle(optimizer, 10)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2 / 25, 0.5 / 25])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_schedules_take_very_short_runs(steps: int) -> None:
    assert all(0 < rate <= 2.0 for rate in rates(one_cycle, steps))


def test_a_recipe_knows_them_by_name() -> None:
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "nesterov": torch.optim.SGD}
    for name, kind in kinds.items():
        made = Recipe(epochs=1, optimizer=name).optimizer([nn.Parameter(torch.ones(1))], lr=0.1)
        assert type(made) is kind
        assert made.defaults.get("nesterov", False) == (name == "nesterov")
        assert made.defaults.get("momentum", 0.9) == 0.9
    assert Recipe(epochs=1, schedule="one_cycle").schedule is one_cycle
    assert Recipe(epochs=1, schedule="constant") == Recipe(epochs=1)


def test_nesterov_is_sgd_with_momentum_ahead() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    optimizer = nesterov([parameter], lr=0.1)
    weight, velocity = 1.0, 0.0
    for _ in range(3):
        parameter.grad = torch.tensor([0.5])
        optimizer.step()
        gradient = 0.5 + 5e-4 * weight
        velocity = 0.9 * velocity + gradient
        weight -= 0.1 * (gradient + 0.9 * velocity)
    assert parameter.item() == pytest.approx(weight)


def test_optimisers_are_fused() -> None:
    for make in (adam, nesterov):
        assert make([nn.Parameter(torch.zeros(1))], lr=0.1).defaults["fused"] is True
