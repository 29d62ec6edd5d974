"""Lesson 05, exponential decay: the temperature of an epoch, with a floor."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from kdhelpers.checks.exercise import Case, Exercise, Observation, mistake
from kdhelpers.checks.running import Answer, Misuse, call, to_tensor

Curve = Callable[[int, float, float, float], float]  # epoch, start, floor, factor -> T


def decay_made_of(
    *,
    step: Callable[[int], int] = lambda epoch: epoch,
    curve: Curve = lambda e, start, floor, factor: start * factor**e,
    bound: Callable[[float, float], float] = max,
    after: Callable[[float], float] = lambda temperature: temperature,
) -> Answer:
    """The temperature from these decisions; the defaults are right."""

    def decay(epoch: int, start: float, floor: float, factor: float) -> float:
        return after(bound(curve(step(epoch), start, floor, factor), floor))

    return decay


def _fixed_factor(fixed: float, e: int, start: float, floor: float, factor: float) -> float:
    return start * fixed**e


def _fixed_floor(fixed: float, temperature: float, floor: float) -> float:
    return max(temperature, fixed)


def _observe_decay(answer: Answer, inputs: dict[str, Any]) -> Observation:
    """T of the epochs in order, then of an early one: a schedule must not remember its calls."""
    epochs, settings = inputs["epoch"], {k: v for k, v in inputs.items() if k != "epoch"}

    def ask(epoch: int) -> float:
        given = call(answer, {"epoch": epoch, **settings})
        result = to_tensor(given, wanted="one number, the temperature")
        if result.numel() != 1:
            raise Misuse(f"Your function returned {result.numel()} numbers; it should return T.")
        return float(result)

    temperatures = [ask(epoch) for epoch in epochs]
    first, again = temperatures[1], ask(epochs[1])
    if not math.isclose(first, again, rel_tol=1e-6) and not math.isnan(first):
        early = math.isclose(temperatures[0], settings["start"] * settings["factor"])
        raise Misuse(
            f"Asked for epoch {epochs[1]} a second time, after epoch {epochs[-1]}, your function "
            f"answered {again:.4g} and no longer {first:.4g}. T depends on the calls before, and a "
            "resumed run would get another T: compute it from `epoch` alone."
            + (" It also steps before it is read: epoch 0 should have T = start." * early)
        )
    return Observation(values={"temperature": torch.tensor(temperatures, dtype=torch.float64)})


def _decay_case(start: float, floor: float, factor: float, *epochs: int) -> Case:
    return Case(
        lambda: {"epoch": list(epochs), "start": start, "floor": floor, "factor": factor},
    )


EXPONENTIAL_DECAY = Exercise(
    observe=_observe_decay,
    reference=decay_made_of(),
    build=decay_made_of,
    cases=(
        _decay_case(8.0, 1.5, 0.5, 0, 1, 3, 10),
        _decay_case(5.0, 1.0, 0.95, 0, 1, 2, 3, 10, 31, 32, 40),
        _decay_case(4, 0.5, 0.8, 0, 1, 5, 9, 10, 200),
    ),
    mistakes=(
        mistake(
            "Epoch 0 has decayed already: your exponent is one too large. Epochs count from 0, and "
            "the first one has T = start, `factor**epoch`.",
            depth=3,
            step=lambda epoch: epoch + 1,
        ),
        mistake(
            "Your exponent is one too small, as if epochs counted from 1: they count from 0, and "
            "epoch 0 would lie above start. Use `factor**epoch`.",
            step=lambda epoch: epoch - 1,
        ),
        mistake(
            "Your exponent starts at 1: epochs 0 and 1 are the same. Epochs count from 0 here, "
            "and each of them decays.",
            step=lambda epoch: max(epoch - 1, 0),
        ),
        mistake(
            "`epoch` is not used: T is start in every epoch. Multiply by `factor**epoch`.",
            step=lambda epoch: 0,
        ),
        mistake(
            "T decays once and then stays. Each epoch multiplies by the factor again: "
            "`factor**epoch`.",
            step=lambda epoch: 1,
        ),
        mistake(
            "`min` takes the smaller of the two, so T begins at the floor and falls below it. A "
            "floor is a lower bound: `max`.",
            depth=3,
            bound=min,
        ),
        mistake(
            "The floor is missing: T falls towards 0. Take the larger of the decayed T and the "
            "floor at the end, with `max`.",
            depth=3,
            bound=lambda temperature, floor: temperature,
        ),
        mistake(
            "The floor is added, so T begins above start. It is a bound: take the larger of the "
            "decayed T and the floor, with `max`.",
            bound=lambda temperature, floor: temperature + floor,
        ),
        mistake(
            "Your T is the floor in every epoch. Return the larger of the decayed T and the floor.",
            bound=lambda temperature, floor: floor,
        ),
        mistake(
            "Your T approaches the floor and never reaches it: only the distance to it decays. "
            "Here T itself decays, until the floor cuts it off.",
            curve=lambda e, start, floor, factor: floor + (start - floor) * factor**e,
        ),
        mistake(
            "Your floor bounds `factor**epoch`. It is a temperature: bound the product with start.",
            curve=lambda e, start, floor, factor: start * max(factor**e, floor),
            bound=lambda temperature, floor: temperature,
        ),
        mistake(
            "You multiply by `factor * epoch`. Decay by the factor in each epoch is a power: "
            "`factor**epoch`.",
            curve=lambda e, start, floor, factor: start * factor * e,
        ),
        mistake(
            "This is linear: T loses the same amount in each epoch. Exponential decay multiplies "
            "again and again: `factor**epoch`.",
            curve=lambda e, start, floor, factor: start * (1 - (1 - factor) * e),
        ),
        mistake(
            "This is linear: T loses 1 - factor in each epoch. Exponential decay multiplies again "
            "and again: `factor**epoch`.",
            curve=lambda e, start, floor, factor: start - (1 - factor) * e,
        ),
        mistake(
            "This is linear: T loses `factor` in each epoch. Exponential decay multiplies again "
            "and again: `factor**epoch`.",
            curve=lambda e, start, floor, factor: start - factor * e,
        ),
        mistake(
            "You multiply by 1 - factor. The factor is what stays: with 0.95, T loses 5 % in each "
            "epoch.",
            curve=lambda e, start, floor, factor: start * (1 - factor) ** e,
        ),
        mistake(
            "You divide by the factor, so T grows. Multiply by `factor**epoch`.",
            curve=lambda e, start, floor, factor: start * factor**-e,
        ),
        mistake(
            "`exp(-factor * epoch)` takes the factor for a rate. Here the factor is what stays of "
            "T after one epoch: `factor**epoch`.",
            curve=lambda e, start, floor, factor: start * math.exp(-factor * e),
        ),
        mistake(
            "`exp(-(1 - factor) * epoch)` is close for a factor near 1, but not the same: write "
            "`factor**epoch`.",
            curve=lambda e, start, floor, factor: start * math.exp(-(1 - factor) * e),
        ),
        mistake(
            "The power covers start as well. Write `start * factor**epoch`, without brackets round "
            "the product.",
            curve=lambda e, start, floor, factor: (start * factor) ** e,
        ),
        mistake(
            "Base and exponent are swapped: write `factor**epoch`.",
            curve=lambda e, start, floor, factor: start * e**factor,
        ),
        mistake(
            "`start` is missing. T is `start * factor**epoch`, as long as that is above the floor.",
            curve=lambda e, start, floor, factor: factor**e,
        ),
        *(
            mistake(
                f"Your factor is always {fixed}. Use the argument `factor`.",
                curve=partial(_fixed_factor, fixed),
            )
            for fixed in (0.95, 0.9, 0.5)
        ),
        mistake(
            "Your floor is always 1. Use the argument `floor`.",
            bound=partial(_fixed_floor, 1.0),
        ),
        mistake(
            "You round T to a whole number. T is any number above 0.",
            after=round,
        ),
        mistake(
            "You cut T down to a whole number. T is any number above 0.",
            after=math.floor,
        ),
    ),
    praise=(
        "T depends on the epoch alone, so a run that is stopped and resumed goes on where it would "
        "have been."
    ),
)
