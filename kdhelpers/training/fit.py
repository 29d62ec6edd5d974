"""Training a student: `fit`. What is learned is the objective's business, how the recipe's."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from kdhelpers._values import check_callable, check_int, check_type, did_you_mean, short_repr
from kdhelpers.data.split import Split
from kdhelpers.objectives.objective import Objective
from kdhelpers.training.loop import History, OnEpoch, train_student
from kdhelpers.training.recipe import (
    Recipe,
    check_student,
    file_of_run,
    with_layout,
    with_precision,
)


def fit(
    student: nn.Module,
    objective: Objective,
    train: Split,
    recipe: Recipe | None = None,
    *,
    validation: Split | None = None,
    seed: int = 0,
    run: str = "",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = True,
    **settings: Any,
) -> History:
    """Train `student` in place on `objective`; return one dict of figures per epoch.

        fit(student, Supervised(), digits.train, epochs=6, lr=0.01)

    Afterwards the student has other weights, but is where it was, in the memory layout and the
    mode (train or eval) that it had. If it comes in train mode, layers of it in eval mode (frozen
    batch normalisation) stay so; if it comes in eval mode as a whole, all of it trains.

    Args:
        student: logits [B, C] from float images [B, channels, H, W].
        objective: what to minimise; its own parameters are trained too.
        train: uint8 images in memory; they are moved to the device once.
        recipe: the settings of training (see `Recipe`); or give them one by one, as `settings`,
            which go before the recipe's: epochs or steps, batch_size, lr, …
        validation: if given, its accuracy is measured after each epoch, over what has a label.
        seed: fixes the order, the views and the random numbers of each epoch (dropout);
            the global random states of PyTorch, NumPy and Python, seeded inside for each epoch,
            are left as they were (they are the process's: runs in threads share them).
        run: a name for this run: its checkpoint is `<run>.pt` in the recipe's `checkpoint_dir`,
            if it has one.
        checkpoint: the checkpoint's own path, in place of `run`. The file is written after every
            epoch, whole or not at all. Where it exists, training goes on after its last epoch,
            and ends with the weights of an uninterrupted run (bit for bit on a CPU). Of classes of
            your own it keeps buffers, too, random generators in attributes, and the numbers, texts
            and (but of the student) tensors that a step sets as attributes, or changes in place if
            they are tensors; also of objects that are attributes of networks and objectives. A
            step is what `forward`, `__call__`, `step` and `figures` do (or methods that they call)
            with `self.name = …`; no `setattr`, no lists, no arrays of NumPy, no globals.
        on_epoch: called with the figures of each epoch, after the checkpoint is written; when it
            returns True (nothing else counts), training ends there. A run that goes on from a
            checkpoint calls it for the epochs of the past, too.
        progress: show a bar for runs of more than a few seconds.

    Returns:
        For each epoch: `epoch` (from 1), `seconds`, `loss`, each term of the objective (means
        over the samples), the objective's own `figures`, and `validation_accuracy` if
        `validation` was given.

    Raises:
        ValueError: an argument out of range or of another type, or data (also those for
            validation) that do not fit the student; on a CPU also
            logits that became NaN, which the distillation losses refuse at once.
        CheckpointError: the checkpoint is damaged or belongs to another run.
        OSError: the checkpoint cannot be written, for instance because the disk is full; the
            one before it stays.
        TrainingError: the loss became NaN or infinite.
    """
    recipe = recipe_of(recipe, settings)
    check_type(objective, Objective, name="objective")
    check_student(student, train, validation, objective.needs_labels)
    if on_epoch is not None:
        check_callable(on_epoch, name="on_epoch", called="on_epoch(row)")
    path = file_of_run(recipe, run, checkpoint)
    recipe = with_precision(with_layout(recipe, student, train), student, train, path)
    return train_student(
        student, objective, train, recipe, seed=check_int(seed, name="seed"),
        validation=validation, path=path, on_epoch=on_epoch, progress=progress,
    )  # fmt: skip


def recipe_of(recipe: Recipe | None, settings: dict[str, Any]) -> Recipe:
    """The recipe with settings that go before its own."""
    check_type(recipe, Recipe, type(None), name="recipe")
    known = [each.name for each in fields(Recipe)]
    for name in settings.keys() - {*known}:
        raise ValueError(f"there is no setting {short_repr(name)}{did_you_mean(name, known)}")
    if recipe is None:
        return Recipe(**settings)
    if "epochs" in settings or "steps" in settings:  # one replaces the other
        settings = {"epochs": 0, "steps": 0} | settings
    return replace(recipe, **settings) if settings else recipe
