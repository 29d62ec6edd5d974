"""What a few seeds allow to say: intervals, comparisons, power, and the tables that show them.

**Results** are what `run_arms` returns, and what every function here, every table and every figure
of arms takes as it is: a mapping from the name of each arm to a list with one dict of figures per
run, which holds the run's `seed`: `{"alone": [{"accuracy": 0.91, "seed": 0}, …], …}`. Where an arm
was run on several transfer sets its name is a pair of the number of images and "alone" or
"distilled", `(50, "alone")`. One arm, `results["alone"]`, is such a list; a row of plain numbers
(list, array, tensor), one per seed, or a mapping from seeds to numbers (a dict, or a Series of
pandas with its index) will do as well. `key` says which figure is read: the accuracy unless told
otherwise; of one named as an error, a loss or a time less is better. Runs are paired by their seed,
and one of two arms may have fewer seeds than the other. Statistics keep the unit of the numbers
unless `points=True` asks for points, 100 times an accuracy in 0..1; tables and figures show percent
and points of themselves, and losses, times and errors, but for `calibration_error`, as measured.
"""

from kdhelpers.stats import power
from kdhelpers.stats.arms import row
from kdhelpers.stats.comparisons import Comparison, compare, holm
from kdhelpers.stats.intervals import (
    Interval,
    bootstrap_difference,
    bootstrap_interval,
    describe,
    differences,
    mean_interval,
    p_value,
    paired_difference,
)
from kdhelpers.stats.tuning import best_settings

__all__ = ["Comparison", "Interval", "best_settings", "bootstrap_difference", "bootstrap_interval"]
__all__ += ["compare", "describe", "differences", "holm", "mean_interval", "p_value"]
__all__ += ["paired_difference", "power", "row"]
