"""Lesson 02: `answer(probabilities)` → entropy [B] in nats of probabilities [B, C]."""

import math
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, numbers, returned


def _p_log_p(p: Tensor, log: Way) -> Tensor:
    return torch.where(p > 0, p * log(p.clamp(min=1e-30)), torch.zeros_like(p))


def solution(
    probabilities: Tensor,
    *,
    log: Way = torch.log,
    summands: Way = _p_log_p,
    add_up: Way = lambda table: table.sum(dim=1),
    before: Way = lambda p: p,
) -> Any:
    return -add_up(summands(before(probabilities), log))


def _rows(seed: int, batch: int, classes: int, dtype: torch.dtype) -> dict[str, Any]:
    return {"probabilities": numbers(seed, batch, classes, dtype=dtype).softmax(1)}


def _with_zeros() -> dict[str, Any]:
    rows = (0.5, 0.5, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25)
    return {"probabilities": torch.tensor(rows, dtype=torch.float32)}


# fmt: off
MISTAKES: Mistakes = {
    "This is the entropy in bits (`log2`). In nats the logarithm is `torch.log`.":
        dict(log=torch.log2),
    "This uses the logarithm to base 10. Take the natural one, `torch.log`.": dict(log=torch.log10),
    "The sign is missing: log p is negative, and the entropy is MINUS the sum of p log p.":
        dict(then=torch.neg),
    "A probability of 0 gives nan (0 times -inf), but p log p goes to 0 there. Use "
    "`torch.special.entr(p)` or `p * p.clamp(min=1e-12).log()`.":
        dict(depth=4, summands=lambda p, log: p * log(p)),
    "You sum log p alone. Weight each logarithm with its probability: `p * p.log()`.":
        dict(summands=lambda p, log: log(p)),
    "`log_softmax` takes logits and normalises them; these are probabilities already. Use "
    "`p.log()`.":
        [dict(summands=lambda p, log: p * p.log_softmax(1)),
         dict(summands=lambda p, log: p.log_softmax(1))],
    "`log1p(p)` is log(1 + p). The entropy needs log p.":
        dict(summands=lambda p, log: p * p.log1p()),
    "This takes `exp` where the logarithm belongs.": dict(summands=lambda p, log: p * p.exp()),
    "Each logarithm is weighted with p². Its weight is p.":
        dict(summands=lambda p, log: p**2 * log(p)),
    "This is Σ p², or 1 minus it, another measure of spread. The entropy is -Σ p log p.":
        [dict(summands=lambda p, log: -(p**2)),
         dict(summands=lambda p, log: p**2, then=lambda h: 1 + h)],
    "The term of 1 - p is added to each class, as for two classes. Here the rows hold all "
    "classes: Σ p log p is enough.":
        dict(summands=lambda p, log: p * log(p) + (1 - p) * log(1 - p)),
    "This is log C minus the entropy, the divergence from a uniform row. Leave log C out, and turn "
    "the sign round.":
        dict(summands=lambda p, log: -_p_log_p(p, log) - p * math.log(p.shape[1])),
    "You take the largest probability alone. Sum over all classes.":
        dict(before=lambda p: p.amax(1, keepdim=True)),
    "What you add inside the logarithm is so large that it changes the values. Add at most 1e-8, "
    "or use `torch.special.entr(p)`.":
        [dict(summands=lambda p, log, more=more: p * log(p + more))
         for more in (0.1, 1e-2, 1e-3, 1e-4)],
    "`clamp` has so large a bound that it changes probabilities. Take at most 1e-8.":
        [dict(summands=lambda p, log, low=low, of=of: of(p, low) * log(p.clamp(min=low)))
         for low in (0.1, 0.05, 0.01, 1e-3)
         for of in (torch.clamp, lambda p, low: p)],
    "nan is replaced after the sum, which loses the other classes of the row. Replace it before: "
    "`(p * p.log()).nan_to_num()`.":
        dict(summands=lambda p, log: p * log(p), then=lambda h: h.nan_to_num()),
    "You sum over the batch (`dim=0`), one number for each class. Sum over the classes: `dim=1`.":
        dict(add_up=lambda table: table.sum(dim=0)),
    "You average over the classes. The entropy is a sum over them: `.sum(dim=1)`.":
        dict(add_up=lambda table: table.mean(dim=1)),
    "This is p log p for each class. Add it up over the classes: `.sum(dim=1)`.":
        dict(add_up=lambda table: table),
    "You apply a softmax first, but the argument holds probabilities already.":
        dict(before=lambda p: p.softmax(dim=1)),
    "You divide by log C, which gives a value between 0 and 1. Leave that division out.":
        dict(add_up=lambda table: table.sum(dim=1) / math.log(table.shape[1])),
}
# fmt: on

entropy = Exercise(
    task=__doc__,
    observe=returned("entropy", wanted="one entropy for each row, a tensor [B]"),
    solution=solution,
    cases=(
        *Case.each_of(
            _rows, (61, 2, 3, torch.float32), (62, 5, 4, torch.float32), (63, 4, 10, torch.float64)
        ),
        Case(_with_zeros, edge=True),
    ),
    mistakes=MISTAKES,
    praise="0 for a certain row, log C for a uniform one, and in between the more spread the more.",
)
