"""Lesson 08: `answer(reference, exported)` → share of the same answers, largest difference.

Both get logits [N, C] of the same images: the network's and those of its export. The share (0..1)
is that of the images whose largest logit is at the same class. The difference is the largest of
abs(reference − exported) over all logits, divided by the largest of abs(reference).
"""

from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, numbers, two_numbers


def _share(reference: Tensor, exported: Tensor, dim: int | None = 1) -> Tensor:
    return (reference.argmax(dim) == exported.argmax(dim)).float().mean()


def solution(
    reference: Tensor,
    exported: Tensor,
    *,
    same: Way = _share,
    size: Way = torch.abs,  # of the differences
    summary: Way = torch.max,
    unit: Way = lambda reference, exported: reference.abs().max(),
    of: Way = lambda logits: logits,
) -> Any:
    off = size(of(reference) - of(exported)) / unit(of(reference), of(exported))
    return same(reference, exported), summary(off)


def _logits(seed: int, count: int, classes: int, noise: float, shift: float) -> dict[str, Any]:
    """Logits, and others whose difference has a sign that is mostly the same."""
    reference = numbers(seed, count, classes) - shift
    return {
        "reference": reference,
        "exported": reference + noise * (numbers(seed + 1, count, classes) - shift),
    }


# fmt: off
MISTAKES: Mistakes = {
    "You take the largest difference itself. Whether 0.01 is much depends on the logits: divide "
    "by the largest of the reference, `reference.abs().max()`.":
        dict(unit=lambda r, e: torch.ones(())),
    "You divide each difference by its own logit. One that happens to be near 0 makes any "
    "difference look huge: divide by the largest of all.": dict(unit=lambda r, e: r.abs()),
    "The largest logit may be a negative one: `reference.abs().max()`, with `abs` before `max`.":
        dict(unit=lambda r, e: r.max()),
    "You divide by the largest logit of the export. The reference is what it is held against: "
    "divide by its largest.": dict(unit=lambda r, e: e.abs().max()),
    "You divide by the largest logit of each image. Take the largest of all.":
        dict(unit=lambda r, e: r.abs().amax(1, keepdim=True)),
    "You divide by the range of the logits, from the smallest to the largest. Divide by the "
    "largest absolute one, `reference.abs().max()`.": dict(unit=lambda r, e: r.max() - r.min()),
    "You compare the largest logit of one with the largest of the other. They may sit at different "
    "places: subtract first.": dict(of=lambda logits: logits.abs().max()),
    "You subtract the absolute values. A logit that changes its sign is far off: subtract first.":
        dict(of=torch.abs),
    "You average the differences. One wrong logit among thousands disappears in a mean: take the "
    "largest.": dict(summary=torch.mean),
    "This is the root of the mean square. One wrong logit among thousands disappears in it: take "
    "the largest difference.": dict(summary=lambda x: x.square().mean().sqrt()),
    "A difference without `abs` can be negative, and the largest one then misses what is far too "
    "low.": [dict(size=lambda x: x), dict(size=torch.neg)],
    "You square the differences. Their absolute value is asked for.": dict(size=torch.square),
    "You compare probabilities or their logarithms. The softmax hides what moves all logits of an "
    "image: compare the logits themselves.":
        [dict(of=lambda logits: logits.softmax(1)), dict(of=lambda logits: logits.log_softmax(1))],
    "`argmax` runs over the images here. The classes lie along dimension 1.":
        dict(same=lambda r, e: _share(r, e, 0)),
    "`argmax` without a dimension finds one logit among all images. Give it `dim=1`.":
        dict(same=lambda r, e: _share(r, e, None)),
    "You ask whether the logits are equal. No two runtimes add in the same order: compare the "
    "classes, `argmax(1)`.": dict(same=lambda r, e: (r == e).float().mean()),
    "`argmin` finds the least likely class. The answer is the most likely one, `argmax(1)`.":
        dict(same=lambda r, e: (r.argmin(1) == e.argmin(1)).float().mean()),
    "You compare where the largest absolute logit is. The answer is the largest logit.":
        dict(same=lambda r, e: _share(r.abs(), e.abs())),
    "You count the images with the same answer. Divide by their number.":
        dict(same=lambda r, e: _share(r, e) * len(r)),
    "This is the share of answers that differ. The share of the same ones is 1 minus it.":
        dict(same=lambda r, e: 1 - _share(r, e)),
    "You give the share in percent. It is asked for as a number from 0 to 1.":
        dict(same=lambda r, e: 100 * _share(r, e)),
    "You only say whether *all* answers are the same. How large a share is it?":
        dict(same=lambda r, e: (_share(r, e) == 1).float()),
    "The two results are swapped: first the share of the same answers.":
        dict(then=lambda both: both[::-1]),
}
# fmt: on

parity = Exercise(
    task=__doc__,
    observe=two_numbers("share", "difference"),
    solution=solution,
    cases=Case.each_of(
        _logits,
        (1, 6, 3, 0.3, 0.5),
        (2, 40, 5, 0.1, -0.5),
        (4, 9, 10, 0.8, 1.0),
        (6, 7, 4, 0, 0),
        (9, 9, 4, 1.2, -0.5),
    ),
    mistakes=MISTAKES,
    praise=(
        "two numbers say what an export is worth, and the second sees what the first cannot: that "
        "logits begin to move before an answer flips."
    ),
)
