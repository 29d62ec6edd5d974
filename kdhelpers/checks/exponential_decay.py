"""Lesson 05: `answer(epoch, start, floor, factor)` → T = max(start · factor^epoch, floor).

Epochs count from 0. The check asks for them in order and then for an early one
again, which must have the same T.
"""

import math
from typing import Any

import torch

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way
from kdhelpers.checks.running import Answer, Misuse, call, to_number


def solution(
    epoch: int,
    start: float,
    floor: float,
    factor: float,
    *,
    step: Way = lambda epoch: epoch,
    curve: Way = lambda e, start, floor, factor: start * factor**e,
    bound: Way = max,
) -> Any:
    return bound(curve(step(epoch), start, floor, factor), floor)


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    """T of the epochs in order, then of an early one: a schedule must not remember its calls."""
    epochs, settings = inputs["epoch"], {k: v for k, v in inputs.items() if k != "epoch"}

    def ask(epoch: int) -> float:
        given = call(answer, {"epoch": epoch, **settings})
        return float(to_number(given, wanted="one number, the temperature", instead="T"))

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


# fmt: off
MISTAKES: Mistakes = {
    "Epoch 0 has decayed already: your exponent is one too large. Epochs count from 0, and the "
    "first one has T = start, `factor**epoch`.": dict(depth=3, step=lambda epoch: epoch + 1),
    "Your exponent is one too small, as if epochs counted from 1: they count from 0, and epoch 0 "
    "would lie above start. Use `factor**epoch`.": dict(step=lambda epoch: epoch - 1),
    "Your exponent starts at 1: epochs 0 and 1 are the same. Epochs count from 0 here, and each "
    "of them decays.": dict(step=lambda epoch: max(epoch - 1, 0)),
    "T is start in every epoch: `epoch` is not used, or `max` compares start, which is always the "
    "larger. Compare `start * factor**epoch` with the floor.": dict(step=lambda epoch: 0),
    "T decays once and then stays. Each epoch multiplies by the factor again: `factor**epoch`.":
        [dict(step=lambda epoch: 1), dict(step=lambda epoch: min(epoch, 1))],
    "`min` takes the smaller of the two, so T begins at the floor and falls below it. A floor is "
    "a lower bound: `max`.": dict(depth=3, bound=min),
    "The floor is missing: T falls towards 0. Take the larger of the decayed T and the floor at "
    "the end, with `max`.": dict(depth=3, bound=lambda T, floor: T),
    "The floor is added, so T begins above start. It is a bound: take the larger of the decayed T "
    "and the floor, with `max`.": dict(bound=lambda T, floor: T + floor),
    "Your T is the floor in every epoch. Return the larger of the decayed T and the floor.":
        dict(bound=lambda T, floor: floor),
    "Your T approaches the floor and never reaches it: only the distance to it decays. Here T "
    "itself decays, until the floor cuts it off.":
        dict(curve=lambda e, start, floor, factor: floor + (start - floor) * factor**e),
    "Your floor bounds `factor**epoch`. It is a temperature: bound the product with start.":
        dict(curve=lambda e, start, floor, factor: start * max(factor**e, floor),
             bound=lambda T, floor: T),
    "You multiply by `factor * epoch`. Decay by the factor in each epoch is a power: "
    "`factor**epoch`.": dict(curve=lambda e, start, floor, factor: start * factor * e),
    "This is linear: T loses the same amount in each epoch. Exponential decay multiplies again "
    "and again: `factor**epoch`.":
        dict(curve=lambda e, start, floor, factor: start * (1 - (1 - factor) * e)),
    "This is linear: T loses 1 - factor in each epoch. Exponential decay multiplies again and "
    "again: `factor**epoch`.": dict(curve=lambda e, start, floor, factor: start - (1 - factor) * e),
    "This is linear: T loses `factor` in each epoch. Exponential decay multiplies again and "
    "again: `factor**epoch`.": dict(curve=lambda e, start, floor, factor: start - factor * e),
    "This is linear, with `factor` as the share of start that is lost in each epoch. It is the "
    "share that stays: `factor**epoch`.":
        dict(curve=lambda e, start, floor, factor: start * (1 - factor * e)),
    "You multiply by 1 - factor. The factor is what stays: with 0.95, T loses 5 % in each epoch.":
        dict(curve=lambda e, start, floor, factor: start * (1 - factor) ** e),
    "You divide by the factor, so T grows. Multiply by `factor**epoch`.":
        dict(curve=lambda e, start, floor, factor: start * factor**-e),
    "`exp(-factor * epoch)` takes the factor for a rate. Here the factor is what stays of T after "
    "one epoch: `factor**epoch`.":
        dict(curve=lambda e, start, floor, factor: start * math.exp(-factor * e)),
    "`exp(-(1 - factor) * epoch)` is close for a factor near 1, but not the same: write "
    "`factor**epoch`.":
        dict(curve=lambda e, start, floor, factor: start * math.exp(-(1 - factor) * e)),
    "The power covers start as well. Write `start * factor**epoch`, without brackets round the "
    "product.": dict(curve=lambda e, start, floor, factor: (start * factor) ** e),
    "You round the temperature, or cut it down. Keep all its digits.":
        [dict(curve=lambda e, start, floor, factor, cut=cut: cut(start * factor**e))
         for cut in (round, math.floor, math.ceil, lambda T: round(T, 1), lambda T: round(T, 2))],
    "Your exponent is half the epoch, or twice it. Each epoch multiplies by the factor once.":
        [dict(step=lambda epoch: epoch // 2), dict(step=lambda epoch: epoch / 2),
         dict(step=lambda epoch: 2 * epoch)],
    "Base and exponent are swapped: write `factor**epoch`.":
        dict(curve=lambda e, start, floor, factor: start * e**factor),
    # A case holds a list of epochs, so `epoch` is not among the arguments that any exercise tries
    # to exchange.
    "`epoch` stands in the place of another argument. They come in the order (epoch, start, floor, "
    "factor).":
        [dict(depth=1, exchanged=(0, 1)), dict(depth=1, exchanged=(0, 2)),
         dict(depth=1, whole=lambda start, floor, factor, e: solution(e, start, floor, factor))],
    "`start` is missing. T is `start * factor**epoch`, as long as that is above the floor.":
        dict(curve=lambda e, start, floor, factor: factor**e),
}
# fmt: on

exponential_decay = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=Case.table(
        "epoch start floor factor",
        ([0, 1, 3, 10], 8.0, 1.5, 0.5),
        ([0, 1, 2, 3, 10, 31, 32, 40], 5.0, 1.0, 0.95),
        ([0, 1, 2, 3, 5], 9.0, 0.2, 0.3),
        ([0, 1, 5, 9, 10, 200], 4, 0.5, 0.8),
    ),
    mistakes=MISTAKES,
    praise=(
        "T depends on the epoch alone, so a run that is stopped and resumed goes on where it would "
        "have been."
    ),
)
