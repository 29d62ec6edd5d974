"""What the exercises on one training step share.

The student is handed over in eval mode with old gradients, the teacher in train mode and with
parameters that would take gradients, as they may be in the middle of a training script.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdhelpers.checks.exercise import Mistake, Mistakes
from kdhelpers.checks.running import Answer

Order = tuple[str, ...]  # of "zero", "backward", "step"
ORDER: Order = ("zero", "backward", "step")


def act(
    order: Order, loss: Tensor, optimizer: torch.optim.Optimizer, clear: Callable[[], Any]
) -> None:
    """What comes after the loss; `clear` is the step's zero_grad."""
    actions: dict[str, Callable[[], Any]] = {
        "zero": clear,
        "backward": loss.backward,
        "step": optimizer.step,
    }
    for action in order:
        actions[action]()


class Watch(NamedTuple):
    """What hooks see while the step runs."""

    events: list[str]  # "backward" and "step", without repetitions
    teacher_graph: list[bool]
    passes_above: list[None]


@contextmanager
def watched(
    learning: Iterable[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    teacher: nn.Module,
    above: Iterable[nn.Module] = (),
) -> Iterator[Watch]:
    """Gradients of `learning`, steps, graphs of the teacher, passes through the modules `above`."""
    watch = Watch([], [], [])

    def note(event: str) -> None:
        if watch.events[-1:] != [event]:
            watch.events.append(event)

    handles = (
        *(p.register_post_accumulate_grad_hook(lambda _: note("backward")) for p in learning),
        optimizer.register_step_pre_hook(lambda *_: note("step")),
        teacher.register_forward_hook(
            lambda module, inputs, output: watch.teacher_graph.append(output.requires_grad)
        ),
        *(m.register_forward_hook(lambda *_: watch.passes_above.append(None)) for m in above),
    )
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def inside_the_loss(mistakes: Mistakes, made_of: Callable[..., Answer]) -> Mistakes:
    """The mistakes of a loss, made in the loss of a step."""
    inside: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for known in Mistake.each_of(mistakes):
        way = dict(depth=1, loss=made_of(**known.changes))
        inside[f"Inside the loss: {known.sentence}"].append(way)
    return inside


_ORDERS: dict[str, tuple[Order, ...]] = {
    "The gradients of the step before are still there, and the new ones are added to them. Call "
    "`optimizer.zero_grad()` before `loss.backward()`.": (("backward", "step"),),
    "There is no `loss.backward()`, so there are no gradients and the student does not move.": (
        ("zero", "step"),
    ),
    "There is no `optimizer.step()`: the gradients are computed but never used, and the student "
    "does not move.": (("zero", "backward"),),
    "`optimizer.step()` comes before `loss.backward()`, so it does not use the gradients of this "
    "batch. The order is zero_grad, backward, step.": (
        ("zero", "step", "backward"),
        ("step", "zero", "backward"),
    ),
    "`optimizer.zero_grad()` stands between backward and step and wipes out the new gradients. "
    "Call it before `loss.backward()`.": (("backward", "zero", "step"),),
    "There is no `loss.backward()`: `optimizer.step()` moves the student along old gradients. The "
    "order is zero_grad, backward, step.": (("step",),),
    "The loss is computed, but the student does not learn: `optimizer.zero_grad()`, "
    "`loss.backward()` and `optimizer.step()` are missing.": ((),),
}

MODE_AND_ORDER: Mistakes = {
    "The student runs in eval mode, as it may be left by a validation. Call `student.train()` "
    "first.": dict(depth=3, student_mode=False),
    **{text: [dict(depth=3, order=each) for each in orders] for text, orders in _ORDERS.items()},
}
COMPUTED_AGAIN = (
    "You return a loss that is computed again after `optimizer.step()`, when the student has moved "
    "already. Return the one that you called `backward()` on."
)
TEACHER_GRADIENT = (
    "Gradients reach the teacher's parameters. It is not trained here: run it inside "
    "`with torch.no_grad():`, which also saves memory and time."
)
TEACHER_GRAPH = (
    "the teacher runs outside `torch.no_grad()`, so torch keeps everything a gradient would need, "
    "for nothing. Inside it the step takes less memory."
)
AFTER_THE_LOSS = (
    "The loss is right, so look at what comes after it: `zero_grad`, `backward` and "
    "`step`, each of them once."
)
TEACHER_AVERAGES = (
    "The loss and the step are right. Call `teacher.eval()` before every call of the "
    "teacher, so that its running averages stay as they are."
)
LOSS_FIRST = "Does the loss inside your step pass the exercise before this one?"
