"""What is looked at once, before the first step or in it: what a caller's functions return."""

from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._values import require, short_repr
from kdhelpers.objectives.objective import Objective
from kdhelpers.training.recipe import Recipe

OF_THE_HISTORY = ("epoch", "seconds", "validation_accuracy", "teacher_accuracy")


def check_optimizer(optimizer: Any, student: nn.Module) -> None:
    told = f"optimizer(parameters, lr=lr) returned {short_repr(optimizer)}"
    if not hasattr(optimizer, "param_groups"):
        raise ValueError(f"{told}; return an optimizer of torch.optim or one like them.")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("LBFGS asks for the loss several times a step; take another optimizer.")
    trained = {id(p) for p in student.parameters() if p.requires_grad}
    if not any(id(p) in trained for group in optimizer.param_groups for p in group["params"]):
        raise ValueError("the optimizer holds no weight of the student; give it the parameters.")


def check_schedule(schedule: Any, recipe: Recipe) -> None:
    if recipe.schedule is not None and not hasattr(schedule, "step"):
        told = f"schedule(optimizer, total_steps) returned {short_repr(schedule)}"
        raise ValueError(f"{told}; return a schedule of torch.optim.lr_scheduler.")
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        told = "ReduceLROnPlateau needs a figure after each epoch, which no step has"
        raise ValueError(f"{told}; take cosine or one_cycle.")


def check_terms(terms: Any, objective: Objective, figures: dict[str, float]) -> None:
    """Scalars by name, and no name twice in the history; seen in the first step of an epoch."""
    name = type(objective).__name__
    if not isinstance(terms, dict) or not terms:  # no `require`: writing tensors takes long
        raise ValueError(f"{name} must return a dict of terms by name, got {short_repr(terms)}.")
    for term, value in terms.items():
        what = f"the term {term!r} of {name}"
        if not isinstance(value, Tensor):
            raise ValueError(f"{what} must be a tensor, got {short_repr(value)}.")
        shape = f"a scalar, but has the shape {list(value.shape)}"
        require(value.ndim == 0, f"{what} must be {shape}; take its mean.")
        taken = term in OF_THE_HISTORY or (term == "loss" and len(terms) > 1)
        require(not taken, f"{what} needs another name: the history has {term!r} already.")
    taken_by = {*OF_THE_HISTORY, "loss", *terms} - {"teacher_accuracy"}  # which is a figure
    for figure in taken_by & figures.keys():
        raise ValueError(f"the figure {figure!r} of {name} has a name that is taken; rename it.")
    if not any(value.requires_grad for value in terms.values()):
        raise ValueError(
            f"no term of {name} depends on a weight that is trained; look for .detach(), no_grad "
            "or inference_mode, or layers that are all frozen."
        )
