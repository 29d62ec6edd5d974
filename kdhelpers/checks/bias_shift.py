"""Lesson 07: `answer(logits, labels, missing, shifts)` → the shift of the bias to use, one number.

Validation logits [N, C] with labels [N], the class that the student never saw, and the shifts to be
tried. The best shift, added to the logits of that class alone, gives the highest accuracy over all
images; of several equally good ones the first.
"""

from collections.abc import Callable
from itertools import accumulate, pairwise, takewhile
from operator import le, lt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, number, numbers


def _raised(logits: Tensor, missing: int, shift: float) -> Tensor:
    result = logits.clone()
    result[:, missing] += shift
    return result


def _accuracy(logits: Tensor, labels: Tensor, among: Any = slice(None)) -> float:
    return float((logits.argmax(1) == labels)[among].double().mean())


def _recall(logits: Tensor, labels: Tensor, missing: int) -> float:
    return _accuracy(logits, labels, labels == missing)


def solution(
    logits: Tensor,
    labels: Tensor,
    missing: int,
    shifts: list[float],
    *,
    raised: Callable[[Tensor, int, float], Tensor] = _raised,
    score: Callable[[Tensor, Tensor, int], float] = lambda z, y, missing: _accuracy(z, y),
    last: bool = False,
    worst: bool = False,
    patient: Callable[[float, float], bool] = lambda before, now: True,  # or it stops
    hand_on: Callable[[float, int, float], float] = lambda shift, place, best: shift,
) -> float:
    scores = [score(raised(logits, missing, shift), labels, missing) for shift in shifts]
    further = takewhile(lambda pair: patient(*pair), pairwise(scores))
    scores = scores[: 1 + len(list(further))]
    best = min(scores) if worst else max(scores)
    places = [place for place, each in enumerate(scores) if each == best]
    place = places[-1 if last else 0]
    return hand_on(shifts[place], place, best)


def _student(seed: int, missing: int, lag: float) -> dict[str, Any]:
    """A student that knows the classes, but rates one of them too low by `lag`."""
    labels = torch.arange(60) % 6
    labels = labels[(labels != missing) | (torch.arange(60) < 24)]  # which is rarer than the others
    logits = numbers(seed, len(labels), 6) + 6.0 * F.one_hot(labels, 6)
    logits[:, missing] -= lag
    shifts = [0.0, 0.8, 1.6, 2.4, 3.2, 4.0, 5.5, 7.0, 9.0]
    return {"logits": logits, "labels": labels, "missing": missing, "shifts": shifts}


# fmt: off
MISTAKES: Mistakes = {
    "You judge by the images of the missing class alone, so the largest shifts always look best. "
    "They make everything that class: judge by all images.":
        [dict(score=_recall), dict(score=_recall, last=True)],
    "You average the accuracies of the classes. Then a rare class counts as much as a common one: "
    "take the accuracy over all images.":
        dict(score=lambda z, y, missing: sum(_recall(z, y, each) for each in y.unique().tolist())),
    "You take the shift with the lowest cross-entropy. Take the one with the highest "
    "accuracy.": dict(score=lambda z, y, missing: -float(F.cross_entropy(z, y))),
    "The shift is added to the column before that of the missing class, or to the one after "
    "it.":
        [dict(raised=lambda z, missing, shift, by=by: _raised(z, (missing + by) % 6, shift))
         for by in (-1, 1)],
    "You leave out the images of the missing class, so no shift can help. Judge by all "
    "images.": dict(score=lambda z, y, missing: _accuracy(z, y, y != missing)),
    "The shift is subtracted. The student rates the class too low: add it.":
        dict(raised=lambda z, missing, shift: _raised(z, missing, -shift)),
    "The shift is added to every class, which no softmax and no argmax can see. Add it to the "
    "column of the missing class alone.": dict(raised=lambda z, missing, shift: z + shift),
    "The shift is added to a row, one image, and not to a column, the class: "
    "`logits[:, missing]`.":
        dict(raised=lambda z, missing, shift: _raised(z.T, missing, shift).T),
    "You multiply the logit. A bias is added.":
        dict(raised=lambda z, missing, shift: torch.where(
            torch.arange(z.shape[1]) == missing, z * shift, z)),
    "Of several equally good shifts you return the last. Return the first, the smallest change "
    "that does it.": dict(last=True),
    "You stop where the accuracy first falls, or no longer rises. It may rise again: try all "
    "shifts.": [dict(patient=le), dict(patient=lt)],
    "The shifts add up: each is put on top of those before. Start every shift from the logits as "
    "they were, with a new `.clone()`.":
        dict(whole=lambda logits, labels, missing, shifts: shifts[int(solution(
            logits, labels, missing, list(accumulate(shifts)),
            hand_on=lambda shift, place, best: place))]),
    "You return the shift with the lowest accuracy.": dict(worst=True),
    "You return the position of the best shift. Return the shift itself, `shifts[…]`.":
        dict(hand_on=lambda shift, place, best: float(place)),
    "You return the accuracy. Return the shift that reached it.":
        dict(hand_on=lambda shift, place, best: best),
}
# fmt: on

bias_shift = Exercise(
    task=__doc__,
    observe=number(
        "shift", wanted="one number, the best of the shifts", instead="one of the shifts"
    ),
    solution=solution,
    cases=Case.each_of(
        _student, (71, 3, 5.0), (72, 0, 3.0), (73, 5, 7.0), (74, 2, 4.0), (128, 3, 5.0)
    ),
    mistakes=MISTAKES,
    praise=(
        "one number, learned without a single image of the class to train on. It was chosen on "
        "validation images; the paper chose its own on the test images."
    ),
)
