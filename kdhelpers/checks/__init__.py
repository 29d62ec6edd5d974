"""The checks of the exercises: hand over your function, read what comes back.

    from kdhelpers import checks
    checks.soft_targets(my_soft_targets)

Each check runs the function on fixed inputs and returns a `Verdict`: not attempted, right, or wrong
with the likely mistake. It never raises because of the function, never changes the global random
state, and calls the function by position. B is the batch, C the number of classes.
"""

from kdhelpers.checks.lesson01_loss import DISTILLATION_LOSS
from kdhelpers.checks.lesson01_soft_targets import SOFT_TARGETS
from kdhelpers.checks.lesson01_step import DISTILLATION_STEP
from kdhelpers.checks.lesson02_entropy import ENTROPY
from kdhelpers.checks.lesson02_gradient import GRADIENT_RATIO
from kdhelpers.checks.lesson02_temperature import TEMPERATURE_FOR_CONFIDENCE
from kdhelpers.checks.lesson04_capture import CAPTURE_FEATURES
from kdhelpers.checks.lesson04_hint_loss import HINT_LOSS
from kdhelpers.checks.lesson04_hint_step import HINT_STEP
from kdhelpers.checks.running import Answer
from kdhelpers.checks.verdict import Verdict

__all__ = [
    "Verdict",
    "capture_features",
    "distillation_loss",
    "distillation_step",
    "entropy",
    "gradient_ratio",
    "hint_loss",
    "hint_step",
    "soft_targets",
    "temperature_for_confidence",
]


def soft_targets(answer: Answer) -> Verdict:
    """Lesson 01: `answer(logits, temperature)` → probabilities [B, C] of logits [B, C]."""
    return SOFT_TARGETS.check(answer)


def distillation_loss(answer: Answer) -> Verdict:
    """Lesson 01: `answer(student_logits, teacher_logits, labels, temperature, alpha)` → loss.

    Logits [B, C], labels [B]; the loss is one number, the batch mean of
    alpha · T² · KL + (1 − alpha) · cross-entropy, with a gradient for the student only.
    """
    return DISTILLATION_LOSS.check(answer)


def distillation_step(answer: Answer) -> Verdict:
    """Lesson 01: `answer(student, teacher, images, labels, optimizer, temperature, alpha)` → loss.

    The function takes one optimiser step. The check hands over the student in eval mode with old
    gradients and the teacher in train mode, so the step has to set both modes itself.
    """
    return DISTILLATION_STEP.check(answer)


def entropy(answer: Answer) -> Verdict:
    """Lesson 02: `answer(probabilities)` → entropy [B] in nats of probabilities [B, C]."""
    return ENTROPY.check(answer)


def temperature_for_confidence(answer: Answer) -> Verdict:
    """Lesson 02: `answer(logits, target)` → the T at which the top soft target is `target`.

    Logits [C]; exact to 0.001 in the soft target. No T reaches a target below 1/C: there the
    function returns the end of its search, 1000, or raises `ValueError`.
    """
    return TEMPERATURE_FOR_CONFIDENCE.check(answer)


def gradient_ratio(answer: Answer) -> Verdict:
    """Lesson 02: `answer(student_logits, teacher_logits, temperature)` → gradient [B, C].

    The gradient of T² · KL (averaged over the batch) for the student's logits [B, C], by hand.
    """
    return GRADIENT_RATIO.check(answer)


def capture_features(answer: Answer) -> Verdict:
    """Lesson 04: `answer(model, path, images)` → features [B, C, H, W] of the layer at `path`.

    What `model.get_submodule(path)` puts out while the model runs on the images, before an in-place
    activation behind it changes that. Gradients flow back through the features; afterwards the
    model is as it was: no hook stays, and its mode is the caller's.
    """
    return CAPTURE_FEATURES.check(answer)


def hint_loss(answer: Answer) -> Verdict:
    """Lesson 04: `answer(student_features, teacher_features, regressor)` → loss.

    The mean of (regressor(student_features) - teacher_features)² over all elements, features
    [B, channels, H, W] with different channels; no gradient reaches the teacher's.
    """
    return HINT_LOSS.check(answer)


def hint_step(answer: Answer) -> Verdict:
    """Lesson 04: `answer(student, teacher, regressor, images, optimizer)` → loss.

    One optimiser step of stage 1 on the hint between `student.lower` and `teacher.lower`; both
    networks have a `lower` and an `upper` part. Only `student.lower` and the regressor change,
    although the optimiser holds `student.upper` too. Modes and old gradients as in
    `distillation_step`.
    """
    return HINT_STEP.check(answer)
