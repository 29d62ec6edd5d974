"""Lesson 03: `answer(teacher_logits, labels, trial)` → (logits of a control, whether it holds).

The claim: students gain from what the teacher says about *each single picture*, beyond what it says
of the class in general. `trial(logits)` distils ten students from these logits [N, C] in place of
the teacher's, and returns their accuracies on validation images in %. `labels` are [N].
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdhelpers.checks.bench import digits, distilled, teacher, train
from kdhelpers.checks.choice import Decision, Measured
from kdhelpers.checks.running import Answer, Misuse, call, to_tensor
from kdhelpers.checks.verdict import Verdict

MOST = 12  # trials with a teacher
WANTED = "Return two things: the control's logits, and True or False for the claim."


def class_means(logits: Tensor) -> Tensor:
    """For each picture the mean logits of its class."""
    labels = digits()["train"][1]
    return torch.stack([logits[labels == label].mean(0) for label in range(10)])[labels]


@cache
def teachers() -> tuple[tuple[Tensor, bool], ...]:
    """Logits and whether the claim holds: a true teacher, and one that only knows its classes."""
    true = teacher()[0]
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(1), dtype=true.dtype)
    return (true, True), (class_means(true) + 0.5 * noise, False)


def _decide(answer: Answer) -> Verdict:
    labels, uniform = digits()["train"][1], False
    gains: list[str] = []
    verdicts: list[tuple[bool, bool]] = []
    first = dict(teacher_logits=torch.randn(len(labels), 10), labels=labels.clone())
    call(answer, first | {"trial": lambda targets: [float(n) for n in range(10)]})  # or a stub
    for logits, truth in teachers():
        runs: list[tuple[Tensor, Measured]] = []

        def trial(targets: Any, runs: list[tuple[Tensor, Measured]] = runs) -> list[float]:
            own = _logits(targets, "logits")
            if own.shape != (*labels.shape, 10) or not own.isfinite().all():
                raise Misuse(
                    f"`trial` takes finite logits [{len(labels)}, 10], got {[*own.shape]}."
                )
            if len(runs) == MOST:
                raise Misuse(f"You asked for more than {MOST} trials with one teacher.")
            students, _ = train(distilled(own, alpha=1.0), range(10), lr=1e-2)
            runs.append((own.clone(), students))
            accuracies: list[float] = students["validation"].tolist()
            return accuracies

        inputs = dict(teacher_logits=logits.clone(), labels=labels.clone(), trial=trial)
        control, holds = _pair(call(answer, inputs))
        _is_control(control, logits)
        both = [[r for own, r in runs if torch.equal(own, each)][:1] for each in (logits, control)]
        if not both[0] or not both[1]:
            missing = "the teacher's logits" if not both[0] else "the control that you return"
            raise Misuse(f"You decide without a trial of {missing}: compare two runs of `trial`.")
        difference = both[0][0]["test"] - both[1][0]["test"]
        gains.append(f"{difference.mean():+.1f} points")
        verdicts.append((holds, truth))
        uniform = uniform or not (control - class_means(control)).abs().max() > 1e-3
    said, truths = zip(*verdicts, strict=True)
    shown = f"Teacher minus control on the test images: {gains[0]} with the first teacher and "
    shown += f"{gains[1]} with a second one."
    if said != truths:
        same = "says the same for both teachers" if said[0] == said[1] else "has it the wrong way"
        raise Misuse(
            f"A good control, and your verdict {same}. {shown} The claim holds where the teacher "
            "beats the *control*, by more than the seeds vary; the student alone is no part of it."
        )
    remark = (
        "\nOne step further: the mean of a class is also steadier than any picture's own logits. "
        "Exchanged within the class, they keep their spread, and one thing alone differs."
    )
    if _pair(call(answer, first | {"trial": _scattered(first["teacher_logits"])}))[1]:
        raise Misuse(
            f"A good control, and right for both teachers. {shown} But ten pairs of students that "
            "differ by +22 and -18 points in turn, +2 on average, are a gain to you as well: is "
            "the mean difference large against its own uncertainty?"
        )
    return Verdict(
        "right",
        f"your control keeps the class and takes away the picture. {shown} The second teacher "
        f"knows its classes and nothing of the pictures.{remark if uniform else ''}",
    )


def _scattered(logits: Tensor) -> Callable[[Any], list[float]]:
    """A made-up trial: the teacher is ahead by two points on average, and by chance."""

    def trial(targets: Any) -> list[float]:
        side = 1.0 if torch.equal(_logits(targets, "logits"), logits) else -1.0
        return [80.0 + side * (1.0 + 10.0 * (-1) ** seed) for seed in range(10)]

    return trial


def _pair(result: Any) -> tuple[Tensor, bool]:
    if result is None or not isinstance(result, tuple | list) or len(result) != 2:
        raise Misuse(WANTED)
    control, holds = result
    if isinstance(control, bool | np.bool_):
        raise Misuse(f"{WANTED} They come in this order.")
    if isinstance(holds, Tensor) and holds.numel() == 1:
        holds = holds.item()
    if not isinstance(holds, bool | np.bool_):
        raise Misuse(f"{WANTED} Your verdict is a {type(holds).__name__}.")
    return _logits(control, "the control's logits"), bool(holds)


def _logits(value: Any, wanted: str) -> Tensor:
    return to_tensor(value, wanted=wanted).detach().to(torch.float32)


def _is_control(control: Tensor, logits: Tensor) -> None:
    """`Misuse` unless it has the class in common with the teacher's logits and not the picture."""
    if control.shape != logits.shape:
        raise Misuse(
            f"The control needs logits for the same pictures, {[*logits.shape]}; yours have the "
            f"shape {[*control.shape]}."
        )
    control, logits = (z - z.mean(1, keepdim=True) for z in (control, logits))  # as a softmax sees
    if torch.allclose(control, logits, atol=1e-4):
        raise Misuse("Your control is the teacher itself: nothing has been taken away.")
    means, own = class_means(logits), class_means(control)
    if (own - means).norm() > 0.3 * means.norm():
        probabilities = torch.softmax(logits, 1) - 1 / logits.shape[1]
        reason = (
            "These are the teacher's probabilities; the control needs logits."
            if torch.allclose(control, probabilities, atol=1e-4)
            else "With logits of any other picture, label smoothing or labels, what the teacher "
            "says of the class as a whole goes, too: if the students get worse, it may be that."
        )
        raise Misuse(
            "Your control changes two things: neither the single picture nor the class keeps what "
            f"the teacher said. {reason} Change one."
        )
    rest, other = logits - means, control - own
    alike = (rest * other).sum() / (rest.norm() * other.norm()).clamp(min=1e-6)
    if other.abs().max() > 1e-3 and alike > 0.1:  # by chance 0.05 at most
        raise Misuse(
            "Your control still tells much of what the teacher says about each picture: the two "
            f"agree within the classes (correlation {alike:.2f}). Is every picture given another's "
            "logits?"
        )


missing_control = Decision(__doc__, _decide)
