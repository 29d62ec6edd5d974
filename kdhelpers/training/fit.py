"""The one training loop: `fit`.

Supervised training, distillation and everything after them differ in the objective alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from lightning_fabric import Fabric
from torch import nn

from kdhelpers._values import check_list, check_type
from kdhelpers.data.batching import Views
from kdhelpers.data.split import Split
from kdhelpers.objectives.objective import Objective
from kdhelpers.training import preflight
from kdhelpers.training.devices import check_several, in_processes, make_fabric
from kdhelpers.training.epochs import History, TrainingError, train_epochs
from kdhelpers.training.optimizers import MakeOptimizer, MakeSchedule, adam
from kdhelpers.training.parallel import check_no_dropout
from kdhelpers.training.together import Students, Together

__all__ = ["fit", "fit_together"]


def fit(
    student: nn.Module,
    objective: Objective,
    train: Split,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: MakeOptimizer = adam,
    schedule: MakeSchedule | None = None,
    views: Views | None = None,
    validation: Split | None = None,
    seed: int = 0,
    device: str = "auto",
    devices: int = 1,
    precision: str = "fp32",
    channels_last: bool = True,
    ema: float = 0.0,
    compile: bool = False,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_interval: float = 0.0,
    progress: bool = True,
) -> History:
    """Train `student` in place on `objective`; return one dict of figures per epoch.

    Args:
        student: logits [B, C] from float images [B, channels, H, W].
        objective: what to minimise; its own parameters are trained too.
        train: uint8 images in memory; they are moved to the device once.
        epochs: passes over `train`.
        batch_size: samples per step, over all processes together; default 128.
        lr: learning rate, default 1e-3.
        optimizer: called as `optimizer(parameters, lr=lr)`; default Adam (Kingma & Ba 2014,
            arXiv 1412.6980), fused; more in `kdhelpers.optimizers`.
        schedule: called as `schedule(optimizer, total_steps)`, stepped after every step.
        views: random augmentation (see `Views`); default none.
        validation: if given, its accuracy is measured after each epoch.
        seed: fixes the order, the views and the random numbers of each epoch (dropout); the
            global random state is left as it was.
        device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1" or "mps".
        devices: how many of them; above 1, as many processes start, each takes its share of every
            batch, and gradients are averaged. Batch normalisation then sees one share at a time.
        precision: "fp32", or "bf16" / "fp16" for automatic mixed precision.
        channels_last: lay out image tensors channel by channel within a pixel, which speeds up
            convolution and pooling on most devices; the numbers stay the same up to rounding.
        ema: decay per step of an exponential moving average of the weights and buffers, in
            [0, 1); the student ends with the average (Polyak & Juditsky 1992), which is also what
            `validation` measures. Default 0, none.
        compile: compile the student with `torch.compile`; the first step then takes a minute.
        fabric: a launched `Fabric`; replaces `device`, `devices` and `precision`.
        checkpoint: a file that is written after every epoch, whole or not at all. Where it
            exists, training goes on after its last epoch, and ends with the weights of an
            uninterrupted run (bit for bit on a CPU).
        checkpoint_interval: seconds that must have passed since the last write before an epoch
            is written again (the last epoch always is); default 0, every epoch.
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
    preflight.ranges(
        epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, devices=devices, ema=ema
    )
    epochs, batch_size, seed, lr = int(epochs), int(batch_size), int(seed), float(lr)
    preflight.kinds(
        optimizer=optimizer,
        schedule=schedule,
        views=views,
        validation=validation,
        checkpoint_interval=checkpoint_interval,
        device=device,
        fabric=fabric,
    )
    check_type(objective, Objective, name="objective")
    path = preflight.writable(checkpoint)
    if fabric is None and devices == 1:
        fabric = make_fabric(str(device), precision)
    elif fabric is None:
        check_several(str(device), precision, devices)
    views = views or Views()
    preflight.match(student, train, validation)
    check_no_dropout(student)
    run = partial(
        train_epochs,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        schedule=schedule,
        views=views,
        validation=validation,
        seed=seed,
        channels_last=channels_last,
        ema=float(ema),
        compile=compile,
        path=path,
        checkpoint_interval=checkpoint_interval,
        progress=progress,
    )
    if fabric is None:
        place = dict(device=str(device), precision=precision, devices=devices)
        return _fit_in_processes(run, student, objective, train, **place)
    return run(fabric, student, objective, train)


def fit_together(
    students: Sequence[nn.Module],
    objectives: Sequence[Objective],
    train: Split,
    **settings: Any,
) -> list[History]:
    """Train several students in place on the same batches, each on its own objective.

    A `Teacher` that their objectives share is asked once a batch, however many students there
    are. Each student ends as `fit` alone would have trained it with the same settings, unless it
    draws random numbers of its own (dropout).

    Args:
        settings: as for `fit`.

    Returns:
        The history of each student; `seconds` are those of all together.

    Raises:
        ValueError: no student, a number of objectives that differs, or as for `fit`.
    """
    check_list(students, nn.Module, name="students")
    check_list(objectives, Objective, name="objectives")
    if not students or len(students) != len(objectives):
        raise ValueError(
            "fit_together needs students and one objective for each, got "
            f"{len(students)} and {len(objectives)}."
        )
    together = Together(objectives)
    history = fit(Students(students), together, train, **settings)
    return [[together.row_of(number, row) for row in history] for number in range(len(students))]


def _fit_in_processes(
    run: Callable[..., History],
    student: nn.Module,
    objective: Objective,
    train: Split,
    **place: Any,
) -> History:
    """Train copies in several processes and take over what the first one has learned."""
    work = partial(_in_one_process, run, train.to("cpu"))
    try:
        learned = in_processes(work, student.cpu(), objective.cpu(), **place)
    except ChildProcessError as error:
        raise TrainingError(
            "training with several devices failed in one of its processes; what is defined in a "
            f"notebook's cell cannot travel to them, put it into a module ({error})."
        ) from error
    student.load_state_dict(learned["student"])
    objective.load_state_dict(learned["objective"])
    return cast(History, learned["history"])


def _in_one_process(
    run: Callable[..., History],
    train: Split,
    fabric: Fabric,
    student: nn.Module,
    objective: Objective,
) -> dict[str, Any]:
    history = run(fabric, student, objective, train)
    states = {"student": student.state_dict(), "objective": objective.state_dict()}
    return {"history": history, **states}
