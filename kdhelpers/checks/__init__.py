"""The checks of the exercises: hand over your function, read what comes back.

    from kdhelpers import checks
    checks.soft_targets(my_soft_targets)

Each check runs the function on fixed inputs and returns a `Verdict`: not attempted, right, or wrong
with the likely mistake. It never raises because of the function, never changes the global random
state, and calls the function by position. `help(checks.soft_targets)` tells what is asked.
"""

from kdhelpers.checks.adopted_tip import adopted_tip
from kdhelpers.checks.baseline_rate import baseline_rate
from kdhelpers.checks.bias_shift import bias_shift
from kdhelpers.checks.cached_logits import cached_logits
from kdhelpers.checks.capture_features import capture_features
from kdhelpers.checks.cheapest_set import cheapest_set
from kdhelpers.checks.check import Check, progress
from kdhelpers.checks.choice import Decision
from kdhelpers.checks.choose_temperature import choose_temperature
from kdhelpers.checks.distillation_loss import distillation_loss
from kdhelpers.checks.distillation_step import distillation_step
from kdhelpers.checks.entropy import entropy
from kdhelpers.checks.exercise import Exercise
from kdhelpers.checks.exponential_decay import exponential_decay
from kdhelpers.checks.gap_closed import gap_closed
from kdhelpers.checks.gradient_ratio import gradient_ratio
from kdhelpers.checks.hint_loss import hint_loss
from kdhelpers.checks.hint_step import hint_step
from kdhelpers.checks.judge_claim import judge_claim
from kdhelpers.checks.mean_std import mean_std
from kdhelpers.checks.misleading_plot import misleading_plot
from kdhelpers.checks.missing_control import missing_control
from kdhelpers.checks.paired_interval import paired_interval
from kdhelpers.checks.parity import parity
from kdhelpers.checks.pixels_to_logits import pixels_to_logits
from kdhelpers.checks.scale_and_zero_point import scale_and_zero_point
from kdhelpers.checks.soft_targets import soft_targets
from kdhelpers.checks.stop_or_go_on import stop_or_go_on
from kdhelpers.checks.temperature_for_confidence import temperature_for_confidence
from kdhelpers.checks.total_bill import total_bill
from kdhelpers.checks.verdict import Verdict
from kdhelpers.checks.what_to_ship import what_to_ship

__all__ = ["Check", "Decision", "Exercise", "Verdict", "adopted_tip", "baseline_rate"]
__all__ += ["bias_shift", "cheapest_set"]
__all__ += ["cached_logits", "capture_features", "choose_temperature", "distillation_loss"]
__all__ += ["distillation_step", "entropy", "exponential_decay", "gap_closed", "gradient_ratio"]
__all__ += ["hint_loss", "hint_step", "judge_claim", "mean_std", "misleading_plot"]
__all__ += ["missing_control", "paired_interval", "parity", "pixels_to_logits", "progress"]
__all__ += ["scale_and_zero_point", "soft_targets", "stop_or_go_on", "temperature_for_confidence"]
__all__ += ["total_bill", "what_to_ship"]
