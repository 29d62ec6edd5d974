"""Many seeds: means, paired differences and their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean over `count` values with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def margin(self) -> float:
        """Half the width of the interval: the number after the ±."""
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """The mean of independent runs and its Student t interval (Student 1908).

    Args:
        values: one result per seed, at least two.
        confidence: the coverage of the interval, default 95 %.

    Raises:
        ValueError: fewer than two values, a value that is not finite, or a confidence outside
            (0, 1).
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or len(data) < 2:
        raise ValueError(
            f"an interval needs at least two values in a row, got shape {data.shape}; "
            "run more seeds."
        )
    if not np.isfinite(data).all():
        raise ValueError(f"all values must be finite, got {data.tolist()}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    mean = float(data.mean())
    error = float(data.std(ddof=1) / np.sqrt(len(data)))
    reach = float(stats.t.ppf(0.5 + confidence / 2, len(data) - 1)) * error
    return Interval(mean, mean - reach, mean + reach, len(data))


def paired_difference(
    baseline: Sequence[float], treatment: Sequence[float], *, confidence: float = 0.95
) -> Interval:
    """The mean of `treatment - baseline` over common seeds, with its t interval.

    Both arms share the seed of each pair (initial weights, batch order), so what the seed does
    to both cancels, and fewer seeds are needed than for two separate means.

    Raises:
        ValueError: the arms differ in length, or as for `mean_interval`.
    """
    if len(baseline) != len(treatment):
        raise ValueError(
            f"paired arms need the same seeds, got {len(baseline)} and {len(treatment)} values."
        )
    differences = np.asarray(treatment, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return mean_interval(differences.tolist(), confidence=confidence)
