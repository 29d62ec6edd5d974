"""The setting of each arm, chosen on validation images, with as many trials for every arm.

An arm that may try more settings finds a better one by luck alone (Dodge et al. 2019, "Show your
work").
"""

from typing import Any

from kdhelpers._values import require, short_repr
from kdhelpers.stats.arms import Results, less_is_better, named, naming, row


def scores(trials: Results, key: str = "accuracy") -> dict[Any, dict[Any, float | None]]:
    """The mean over the seeds of every trial, by arm and setting; None of one that diverged."""
    named(trials)
    found: dict[Any, dict[Any, float | None]] = {}
    for name, runs in trials.items():
        pair = isinstance(name, tuple) and len(name) == 2
        require(pair, f"a trial is named by its arm and its setting, not {short_repr(name)}.")
        arm, setting = name
        with naming(name):
            mean = None if isinstance(runs, list) and not runs else row(runs, key).mean().item()
        found.setdefault(arm, {})[setting] = mean
    return found


def best_settings(trials: Results, key: str = "accuracy") -> dict[Any, Any]:
    """The setting of each arm whose runs have the best mean; of equal ones the first.

        tried = {("alone", 0.01): [0.81, 0.83], ("alone", 0.1): [0.88, 0.90]}
        stats.best_settings(tried)  # {"alone": 0.1}

    Args:
        trials: results by (arm, setting). An empty list is a trial that diverged: it counts, and
            is not chosen.
        key: the figure that chooses (of an error, a loss or a time the smallest). Measure it on
            validation images: chosen on test images, the best looks better than it is.

    Raises:
        ValueError: a trial with another name, arms with unequal numbers of trials, or of which
            all diverged; or as for `kdhelpers.stats.row`.
    """
    by_arm = scores(trials, key)
    counts = {arm: len(of) for arm, of in by_arm.items()}
    told = f"every arm needs the same number of trials, not {short_repr(counts)}."
    require(len({*counts.values()}) < 2, told)
    sign, best = (-1 if less_is_better(key) else 1), {}
    for arm, of in by_arm.items():
        ended = {setting: sign * mean for setting, mean in of.items() if mean is not None}
        require(ended, f"all trials of {short_repr(arm)} diverged; try smaller settings.")
        best[arm] = max(ended, key=ended.__getitem__)
    return best
