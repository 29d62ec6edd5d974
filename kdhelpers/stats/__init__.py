"""What a few seeds allow to say: intervals, comparisons, power, and the tables that show them."""

from kdhelpers.stats.comparisons import Comparison, compare, holm
from kdhelpers.stats.intervals import (
    Interval,
    bootstrap_difference,
    bootstrap_interval,
    describe,
    mean_interval,
    p_value,
    paired_difference,
)

__all__ = ["Comparison", "Interval", "bootstrap_difference", "bootstrap_interval", "compare"]
__all__ += ["describe", "holm", "mean_interval", "p_value", "paired_difference"]
