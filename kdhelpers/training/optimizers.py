"""Optimisers and learning-rate schedules with the settings that the course uses.

`fit` calls an optimiser as `optimizer(parameters, lr=lr)` and a schedule as
`schedule(optimizer, total_steps)`; it steps the schedule after every optimiser step. Anything
else of that form does as well; those here go by their names, too (`OPTIMIZERS`, `SCHEDULES`).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

MakeOptimizer = Callable[..., Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]

# One fused kernel updates all weights: the same arithmetic with less overhead per step.
adam: MakeOptimizer = partial(torch.optim.Adam, fused=True)

sgd: MakeOptimizer = partial(torch.optim.SGD, momentum=0.9, fused=True)

# SGD with Nesterov momentum 0.9 and weight decay 5e-4, the usual setting for CIFAR-10 (Zagoruyko
# & Komodakis 2016, arXiv 1605.07146, section 3).
nesterov: MakeOptimizer = partial(
    torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
)


def one_cycle(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Rise from lr/25 to `lr` over the first 30 % of the steps, then fall to almost 0, by cosines.

    Smith & Topin 2017, arXiv 1708.07120; momentum stays as it is.
    """
    # OneCycleLR counts the step before the first one, and wants at least one step to rise in.
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps + 1,
        pct_start=max(0.3, 2 / (total_steps + 1)),
        cycle_momentum=False,
    )


def cosine(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Fall from `lr` to 0 along half a cosine (Loshchilov & Hutter 2016, arXiv 1608.03983)."""
    return CosineAnnealingLR(optimizer, T_max=total_steps)


OPTIMIZERS = {"adam": adam, "sgd": sgd, "nesterov": nesterov}
SCHEDULES = {"constant": None, "one_cycle": one_cycle, "cosine": cosine}
