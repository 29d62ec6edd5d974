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
from kdhelpers.checks.lesson03_cache import CACHED_LOGITS
from kdhelpers.checks.lesson03_gap import GAP_CLOSED
from kdhelpers.checks.lesson03_statistics import MEAN_STD
from kdhelpers.checks.lesson05_decay import EXPONENTIAL_DECAY
from kdhelpers.checks.lesson05_interval import PAIRED_INTERVAL
from kdhelpers.checks.lesson05_plot import MISLEADING_PLOT
from kdhelpers.checks.running import Answer
from kdhelpers.checks.verdict import Verdict

__all__ = [
    "Verdict",
    "cached_logits",
    "distillation_loss",
    "distillation_step",
    "entropy",
    "exponential_decay",
    "gap_closed",
    "gradient_ratio",
    "mean_std",
    "misleading_plot",
    "paired_interval",
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


def gap_closed(answer: Answer) -> Verdict:
    """Lesson 03: `answer(teacher, alone, distilled)` → share of the gap, one number.

    The teacher's accuracy (0..1) and lists of the students' accuracies, one for each seed. The
    share is (mean of distilled − mean of alone) / (teacher − mean of alone).
    """
    return GAP_CLOSED.check(answer)


def mean_std(answer: Answer) -> Verdict:
    """Lesson 03: `answer(images)` → mean [C] and std [C] of uint8 images [N, C, H, W].

    Pixels scaled to 0..1, both over all pixels of all images; exact to 0.1 %, so the sample's and
    the population's standard deviation are both right.
    """
    return MEAN_STD.check(answer)


def cached_logits(answer: Answer) -> Verdict:
    """Lesson 03: `answer(table, sample, view)` → logits [B, C] for a shuffled batch.

    The table is [views, N, C]; sample [B] is the number of each row's image in the data set, view
    [B] that of its view.
    """
    return CACHED_LOGITS.check(answer)


def exponential_decay(answer: Answer) -> Verdict:
    """Lesson 05: `answer(epoch, start, floor, factor)` → T = max(start · factor^epoch, floor).

    Epochs count from 0. The check asks for them in order and then for an early one
    again, which must have the same T.
    """
    return EXPONENTIAL_DECAY.check(answer)


def paired_interval(answer: Answer) -> Verdict:
    """Lesson 05: `answer(baseline, treatment)` → (mean, low, high) of treatment − baseline.

    NumPy arrays [n], one accuracy for each seed, in the same order; the bounds are those of the
    95 % Student t interval of the differences.
    """
    return PAIRED_INTERVAL.check(answer)


def misleading_plot(answer: Answer) -> Verdict:
    """Lesson 05: `answer()` → the letters of a figure's flaws, among a to g.

    A text or a collection of texts, in any order, in capitals or not.
    """
    return MISLEADING_PLOT.check(answer)
