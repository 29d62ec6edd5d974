"""Lesson 04: `answer(history)` → True to stop stage 1, False to go on.

It is asked after every epoch of several trainings of a hint. `history` is a list, one dictionary an
epoch so far: "loss" and "validation", the hint's loss on training and validation images, and
"target", the root mean square of what the student is to match. The weights with the lowest
validation loss are kept.
"""

from copy import deepcopy
from functools import cache

import numpy as np
import torch
from torch import Tensor

from kdhelpers.checks.bench import digits, fresh, teacher
from kdhelpers.checks.choice import Decision
from kdhelpers.checks.running import Answer, Misuse, call
from kdhelpers.checks.verdict import Verdict

History = list[dict[str, float]]


@cache
def training(
    kind: str, size: int, width: int, lr: float, epochs: int, noise: float
) -> tuple[History, list[float]]:
    """What there is to see after each epoch, and the loss on the test images."""
    generator = torch.Generator().manual_seed(0)
    first, shift = (weight[0] for weight in teacher()[1][:2])
    seen = {name: pictures for name, (pictures, _) in digits().items()}
    seen["train"] = seen["train"][:size]
    targets = {name: torch.relu(pictures @ first + shift) for name, pictures in seen.items()}
    drawn = torch.randn(targets["train"].shape, generator=generator, dtype=torch.float32)
    targets["train"] = targets["train"] + noise * drawn
    ends = (width, 96) if kind == "student's side" else (96, width)
    lower, regressor = fresh([generator], 64, width), fresh([generator], *ends)
    optimizer = torch.optim.Adam([*lower, *regressor], lr=lr)

    def hint(name: str) -> tuple[Tensor, Tensor]:
        own, target = torch.relu(seen[name] @ lower[0] + lower[1]), targets[name]
        if kind == "student's side":
            own = own @ regressor[0] + regressor[1]
        else:
            target = target @ regressor[0] + regressor[1]
        return (own - target).square().mean(), target.square().mean().sqrt()

    history: History = []
    test: list[float] = []
    for _ in range(epochs):
        for _ in range(5):
            optimizer.zero_grad()
            hint("train")[0].backward()
            optimizer.step()
        with torch.no_grad():
            (loss, target), (validation, _), (of_test, _) = map(hint, seen)
        history.append(dict(loss=loss.item(), validation=validation.item(), target=target.item()))
        test.append(of_test.item())
    return history, test


def stops_at(answer: Answer, history: History) -> int:
    """After how many epochs the learner's function stops this training."""
    for epoch in range(1, len(history) + 1):
        said = call(answer, {"history": deepcopy(history[:epoch])})
        if isinstance(said, Tensor | np.ndarray | np.bool_) and np.size(said) == 1:
            said = bool(said)
        if not isinstance(said, bool):
            what = "nothing" if said is None else f"a value of type {type(said).__name__}"
            raise Misuse(
                "Return True to stop and False to go on, after every epoch; after epoch "
                f"{epoch} your function returned {what}."
            )
        if said:
            return epoch
    return len(history)


def _rose(key: str) -> Answer:
    return lambda history: len(history) > 1 and history[-1][key] > history[-2][key]


def _guess(stops: list[tuple[History, int]]) -> str:
    """The hasty rules that end these trainings where the learner's function does."""
    first = stops[0][1]
    rules: dict[str, Answer] = {
        f"after {first} epochs, whatever the losses": lambda history: len(history) >= first,
        "as soon as the validation loss rises once": _rose("validation"),
        "as soon as the training loss rises once": _rose("loss"),
        "as soon as the validation loss lies above the training loss (some gap is usual)": (
            lambda history: history[-1]["validation"] > history[-1]["loss"]
        ),
    }
    if first == 1:
        rules = {
            "after the first epoch, at once, or as if True meant to go on": lambda history: True
        }
    fitting = [way for way, rule in rules.items() if all(stops_at(rule, h) == e for h, e in stops)]
    return f" It looks as if you stop {', or '.join(fitting)}." if fitting else ""


def _decide(answer: Answer) -> Verdict:
    problems = []
    call(answer, {"history": [dict(loss=1.0, validation=1.0, target=1.0)]})  # a stub trains nothing
    few, of_few = training("student's side", 40, 48, 0.02, 60, 1.0)
    history, test = training("student's side", 300, 24, 0.1, 40, 0.0)
    end, end_of_few = stops_at(answer, history), stops_at(answer, few)
    kept = test[_best(history[:end])]
    if kept > 1.25 * min(test):
        problems.append(
            f"A healthy training was stopped after {end} of {len(history)} epochs, with a loss of "
            f"{kept:.2f} on the test images where {min(test):.2f} could be had. A single epoch may "
            "be worse than the one before, and the slow part is progress, too: have patience."
            + _guess([(history, end), (few, end_of_few)])
        )
    history, test, end, best = few, of_few, end_of_few, _best(few) + 1
    if end > best + 12:
        problems.append(
            f"Overfitting went on: the validation loss was lowest after epoch {best}, and you "
            f"{'stopped' if end < len(few) else 'had still not stopped'} after {end}. So does "
            "too long a patience, and any rule on the training loss, which falls to the end."
        )
    elif test[_best(history[:end])] > 1.25 * min(test):
        problems.append(
            f"A training on few noisy images was stopped after {end} epochs, too early: the "
            f"validation loss was still falling, up to epoch {best}."
        )
    history, _ = training("teacher's side", 900, 12, 0.02, 40, 0.0)
    if (end := stops_at(answer, history)) > 12:
        sizes = [history[epoch]["target"] for epoch in (0, 11)]
        problems.append(
            f"A collapse went on for {end} epochs. Both losses fall, and so does what they are "
            f"measured against: the target shrinks from {sizes[0]:.2f} to {sizes[1]:.2f} in twelve "
            "epochs. Watch it."
        )
    if problems:
        return Verdict("wrong", "\n".join(problems))
    return Verdict(
        "right",
        "the healthy training went on over its bumps, the overfitted one and the collapsed one "
        "were stopped in time, and on test images, which you have not seen, the weights that were "
        "kept are as good as any.",
    )


def _best(history: History) -> int:
    return min(range(len(history)), key=lambda epoch: history[epoch]["validation"])


stop_or_go_on = Decision(__doc__, _decide)
