"""What the exercises on one training step share.

The student is handed over in eval mode with old gradients, the teacher in train mode and with
parameters that would take gradients, as they may be in the middle of a training script.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from kdhelpers.checks.exercise import Mistake, Mistakes
from kdhelpers.checks.networks import HOOK_LEFT, hooks
from kdhelpers.checks.running import Answer, Misuse, explain, reached

OLD = 0.5  # every gradient of the step before


def taken(
    student: nn.Module,
    teacher: nn.Module,
    optimizer: torch.optim.Optimizer,
    ask: Callable[[], Tensor],
    loss: Callable[[Tensor], Tensor],
    *,
    teacher_mode: bool = False,
    student_mode: bool = True,
    order: str = "zero backward step",  # "minus": backward of minus the loss
    clear: Callable[[], Any] | None = None,  # in place of the optimiser's zero_grad
    again: bool | None = None,  # loss computed anew after the step, in train (True) or eval mode
) -> Tensor:
    """The loss of one step, computed from what the teacher says when it is asked."""
    teacher.train(teacher_mode)
    student.train(student_mode)
    with torch.no_grad():
        said = ask()
    value = loss(said)
    actions: dict[str, Callable[[], Any]] = {
        "zero": clear or optimizer.zero_grad,
        "backward": lambda: value.backward(retain_graph=True),
        "minus": lambda: (-value).backward(retain_graph=True),
        "step": optimizer.step,
    }
    for action in order.split():
        actions[action]()
    if again is None:
        return value
    student.train(again)
    return loss(said)


class Watch(NamedTuple):
    """What hooks see while the step runs."""

    events: list[str]  # "backward" and "step", without repetitions; "empty step": no gradients
    seen: set[str]  # "student" or "teacher": its pass kept a graph; "above": it went further
    effects: dict[str, bool]  # all of them only when the step is over

    @property
    def remark(self) -> str:
        return TEACHER_GRAPH if "teacher" in self.seen else ""


@contextmanager
def watched(
    inputs: dict[str, Any], *trained: nn.Module, guided: str = "", above: Iterable[nn.Module] = ()
) -> Iterator[Watch]:
    """Watch one step, which is to move the modules `trained`.

    The graph is watched at the layer `guided` of both networks (the whole by default), and whether
    a pass goes `above` it. `Misuse` if the loss does not hang on the student.
    """
    student, teacher, optimizer = inputs["student"], inputs["teacher"], inputs["optimizer"]
    watch, fresh = Watch([], set(), {"gradients changed": False}), dict[int, Tensor]()
    learning = [parameter for module in trained for parameter in module.parameters()]

    def note(event: str) -> None:
        if watch.events[-1:] != [event] or "step" in event:
            watch.events.append(event)

    def backward(parameter: Tensor) -> None:
        note("backward")
        assert parameter.grad is not None
        fresh[id(parameter)] = parameter.grad.clone()

    def step(*_: Any) -> None:
        there = [p for p in learning if reached(p)]
        note("step" if there else "empty step")
        old = [(p.grad, fresh[id(p)]) for p in there if id(p) in fresh]
        changed = any(not torch.equal(g, f) for g, f in old if g is not None)
        watch.effects["gradients changed"] |= changed
        fresh.clear()

    def look(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            watch.seen.add(name)

    handles = (
        *(p.register_post_accumulate_grad_hook(backward) for p in learning),
        optimizer.register_step_pre_hook(step),
        student.get_submodule(guided).register_forward_hook(partial(look, "student")),
        teacher.get_submodule(guided).register_forward_hook(partial(look, "teacher")),
        *(m.register_forward_hook(lambda *_: watch.seen.add("above")) for m in above),
    )
    before, settings = hooks(student) | hooks(teacher), _settings(optimizer)
    old = {module: weights(module) for module in (teacher, *trained)}
    try:
        yield watch
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        cause = (
            "The student ran with gradients, and your loss does not hang on it: the loss gets its "
            "logits in the place of the teacher's, or `.detach()`, `.item()` or `no_grad` around "
            "the loss cuts them off."
            if "student" in watch.seen
            else "The student runs inside `torch.no_grad()`, or not at all, so the loss cannot "
            "teach it. Only the teacher belongs inside."
        )
        raise Misuse(f"{cause}\n{explain(error).partition(chr(10))[0]}") from error
    finally:
        for handle in handles:
            handle.remove()
    moved = {module for module in old if not torch.equal(weights(module), old[module])}
    steps = sum("step" in event for event in watch.events)
    gradients = [p.grad for p in teacher.parameters() if reached(p)]
    cleared = len(gradients) < len(list(teacher.parameters()))
    taught = any(not torch.equal(g, torch.full_like(g, OLD)) for g in gradients if g is not None)
    watch.effects.update(
        {
            "several steps": steps > 1,
            "other optimiser": bool(moved - {teacher}) and not steps,
            "hook left": bool((hooks(student) | hooks(teacher)) - before),
            "settings changed": _settings(optimizer) != settings,
            "student frozen": not all(p.requires_grad for p in student.parameters()),
            "teacher weights": teacher in moved,
            "teacher cleared": cleared,
            "teacher gradient": taught and not cleared,
        }
    )


def weights(module: nn.Module) -> Tensor:
    """A copy of all weights in a row."""
    return parameters_to_vector(module.parameters()).detach().clone()


def _settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def inside_the_loss(mistakes: Mistakes, solution: Answer) -> Mistakes:
    """The mistakes of a loss, made in the loss of a step."""
    inside: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for known in Mistake.each_of(mistakes):
        way = dict(depth=1, loss=partial(solution, **known.changes))
        inside[f"Inside the loss: {known.sentence}"].append(way)
    return inside


def _acting(*orders: str) -> list[dict[str, Any]]:
    return [dict(depth=3, order=each) for each in orders]


# fmt: off
MODE_AND_ORDER: Mistakes = {
    "The student runs in eval mode, as it may be left by a validation. Call `student.train()` "
    "first.": dict(depth=3, student_mode=False),
    "The gradients of the step before are still there, and the new ones are added to them. Call "
    "`optimizer.zero_grad()` before `loss.backward()`.": _acting("backward step"),
    "There is no `loss.backward()`, so there are no gradients and the student does not move.":
        _acting("zero step"),
    "There is no `optimizer.step()`: the gradients are computed but never used, and the student "
    "does not move.": _acting("zero backward"),
    "`optimizer.step()` comes before `loss.backward()`, so it does not use the gradients of this "
    "batch. The order is zero_grad, backward, step.":
        _acting("zero step backward", "step zero backward"),
    "`optimizer.zero_grad()` stands between backward and step and wipes out the new gradients. "
    "Call it before `loss.backward()`.": _acting("backward zero step"),
    "`backward()` runs twice before the step, and the gradients add up. Once is enough.":
        _acting("zero backward backward step"),
    "There is no `loss.backward()`: `optimizer.step()` moves the student along old gradients. The "
    "order is zero_grad, backward, step.": _acting("step"),
    "The step makes the loss larger: `backward()` runs on minus the loss, or the weights go up its "
    "gradient. The student goes down: leave the minus out.": _acting("zero minus step"),
    "The loss is computed, but the student does not learn: `optimizer.zero_grad()`, "
    "`loss.backward()` and `optimizer.step()` are missing.": _acting(""),
}
# fmt: on


def with_gradients(module: nn.Module) -> nn.Module:
    """As the step before, or its own training, may have left it."""
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, OLD)
    return module


COMPUTED_AGAIN = (
    "You return a loss that is computed again after `optimizer.step()`, when the student has moved "
    "already. Return the one that you called `backward()` on."
)
STEPS = {
    "several steps": (
        "`optimizer.step()` runs more than once, and the exercise asks for one step. Leave out the "
        "loop."
    ),
    "gradients changed": (
        "The gradients are changed between `backward()` and `step()`, by clipping for instance. "
        "Leave that out here."
    ),
    "other optimiser": (
        "The weights move, but not by the optimiser that your function gets. It holds their "
        "state from step to step: use it instead of a new one."
    ),
    "settings changed": (
        "The optimiser's settings (learning rate, weight decay) are others after your step. They "
        "were chosen by whoever made it: leave them as they are."
    ),
    "hook left": HOOK_LEFT,
    "student frozen": (
        "A part of the student no longer takes gradients after your step, and the next one would "
        "not train it. Freeze nothing of the student."
    ),
    "teacher cleared": (
        "The teacher's old gradients are gone, and they are not your step's to change. Leave out "
        "`teacher.zero_grad()`, and keep its parameters out of the optimiser."
    ),
    "teacher gradient": (
        "Gradients reach the teacher's parameters. It is not trained here: run it inside "
        "`with torch.no_grad():`, which also saves memory and time."
    ),
}
TEACHER_GRAPH = (
    "the teacher runs outside `torch.no_grad()`, so torch keeps everything a gradient would need, "
    "for nothing. Inside it the step takes less memory."
)


def tips(weights: str) -> dict[str, str]:
    """Below the numbers of a wrong loss, and of wrong `weights` if the loss is right."""
    return {
        "loss": "Does the loss inside your step pass the exercise before this one?",
        weights: "The loss is right, so look at what comes after it: `zero_grad`, `backward` and "
        "`step`, each of them once, by the optimiser as it is.",
        "running mean of the teacher's batch norm": "The loss and the step are right. Call "
        "`teacher.eval()` before every call of the teacher, so that its running averages stay as "
        "they are.",
    }
