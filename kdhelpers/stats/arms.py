"""The one place that reads an arm of an experiment: one number per seed (see `kdhelpers.stats`).

Everything that compares arms reads them here, so that a pair is always two runs of one seed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdhelpers._values import check_number, check_type, is_int, require, short_repr

# Dicts of figures with their seed (`results["alone"]`), a row of numbers, or seed → number.
Arm: TypeAlias = ArrayLike | Mapping[int, float] | Sequence[Mapping[str, Any]]
Results: TypeAlias = Mapping[Any, Arm]

FIGURES = {
    "accuracy": "accuracy, %",
    "agreement": "agreement with the teacher, %",
    "calibration_error": "calibration error, %",
    "validation": "validation accuracy, %",
}
LESS_IS_BETTER = {"error", "errors", "loss", "losses", "ece", "nll", "brier", "kl", "mse", "rmse"}
LESS_IS_BETTER |= {"mae", "divergence", "perplexity", "latency", "time", "ms"}
LESS_IS_BETTER |= {"milliseconds", "seconds", "minutes", "hours", "parameters", "macs", "flops"}
LESS_IS_BETTER |= {"bytes", "mebibytes"}
LARGEST = 1e100  # the squares of larger results overflow


def row(arm: Arm, key: str = "accuracy", *, points: bool = False) -> NDArray[np.float64]:
    """The numbers of one arm, shape (seeds,).

    Args:
        arm: one arm of results (see `kdhelpers.stats`).
        key: the figure to read from the dicts of an arm.
        points: accuracies in 0..1 as percent.

    Raises:
        ValueError: not one row of numbers from -1e100 to 1e100, no number, dicts without `key`,
            a seed that occurs twice or is none; with `points`, a number outside 0..1.
    """
    return _numbers(_by_seed(arm, key).values(), points)


def pairs(
    baseline: Arm, treatment: Arm, key: str = "accuracy", *, points: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numbers of two arms with common seeds, the same seed at the same place; (seeds,) each.

    Rows are paired by position. Where the arms name their seeds these pair the numbers, whatever
    the order; the seeds of one arm may be some of the other's.

    Raises:
        ValueError: each arm has a seed that the other has not, rows of different lengths, only one
            arm that names its seeds, or as for `row`.
    """
    first, second = _by_seed(baseline, key), _by_seed(treatment, key)
    seeds = first.keys() if first.keys() <= second.keys() else second.keys()
    here, there = _some(first.keys() - second.keys()), _some(second.keys() - first.keys())
    told = f"paired arms need the same seeds, but {here} are only in the baseline"
    require(seeds <= first.keys(), f"{told} and {there} only in the treatment.")
    one, other = (_numbers([arm[seed] for seed in seeds], points) for arm in (first, second))
    return one, other


def less_is_better(key: str) -> bool:
    """Whether a figure is an error, a loss, a time or a number of bytes, by a part of its name."""
    parts = {part.lower() for part in re.split("[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", key)}
    return not parts.isdisjoint(LESS_IS_BETTER) or key.lower().endswith(
        ("error", "loss", "cross_entropy")
    )


def is_share(key: str) -> bool:
    """Whether a figure is shown in percent and points; any other as it was measured."""
    return key in FIGURES or not less_is_better(key)


def is_name(results: Results, arm: Any) -> bool:
    """Whether it is the name of one of the arms, and not an arm itself, such as a tuple of runs."""
    try:
        return arm in results
    except TypeError:  # it cannot be a key
        return False


def named(results: Results, *arms: Any) -> None:
    """Check that these are results, and that the arms are among them.

    Raises:
        ValueError: no mapping, or an arm that is none of its.
    """
    check_type(results, Mapping, name="results")
    known = " ".join(", ".join(map(str, results)).split()) or "none"
    for arm in arms:
        require(is_name(results, arm), f"baseline {short_repr(arm)} is none of the arms: {known}.")


@contextmanager
def naming(arm: Any) -> Iterator[None]:
    """What is wrong with an arm, said with its name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"arm {short_repr(arm)}: {error}") from error


def label(name: Any) -> str:
    """The name of an arm in words: "small, alone" for ("small", "alone"), "small, 4" for 4.0."""
    if isinstance(name, tuple):
        return ", ".join(map(label, name))
    return f"{name:g}" if isinstance(name, float) else str(name)


def compared_with(results: Results, arm: Any, baseline: Any) -> Any:
    """The name of the arm that it is compared with: `baseline`, or that of its own size.

    Raises:
        ValueError: as for `named`.
    """
    own = isinstance(arm, tuple) and not is_name(results, baseline)
    of = (*arm[:-1], baseline) if own else baseline
    named(results, of)
    return of


def against(
    results: Results,
    baseline: str = "alone",
    comparisons: Sequence[tuple[Any, Any]] | None = None,
) -> dict[str, tuple[Arm, Arm]]:
    """What is compared with what: the name of each comparison → the two arms, baseline first.

    Every other arm with `baseline`; of results by (size, arm) those of each size among themselves,
    named "50 images" where the arms are those of `by_size`; or the pairs (baseline, arm) in
    `comparisons`, named "arm − baseline".

    Raises:
        ValueError: no mapping, or a baseline that is not among the arms.
    """
    if comparisons is not None:
        named(results, *(arm for pair in comparisons for arm in pair))
        return {
            f"{label(arm)} − {label(of)}": (results[of], results[arm]) for of, arm in comparisons
        }
    named(results)
    arms = {name[-1] for name in results if isinstance(name, tuple)}
    sized = arms == {"alone", "distilled"}  # any other whole number may be a temperature
    found = {}
    for name, arm in results.items():
        of = compared_with(results, name, baseline)
        if name != of:
            told = label(name)
            if isinstance(name, tuple) and len(arms) == 2:  # the size says enough
                told = label(name[:-1])
                told = f"{int(told):,} images" if sized and told.isdecimal() else told
            found[told] = results[of], arm
    return found


def by_size(results: Results) -> dict[int, tuple[Arm, Arm]]:
    """Number of images → (the arm "alone", the arm "distilled"), from the smallest.

    Args:
        results: by (size, arm). A size may be text, as in a record.

    Raises:
        ValueError: no size, one that is no whole number, or one that has not both arms.
    """
    named(results)
    alone, taught = (
        {name[0]: runs for name, runs in results.items() if name[-1] == arm}
        for arm in ("alone", "distilled")
    )
    whole = all(str(size).isdecimal() for size in alone)
    told = "both arms, alone and distilled, need the same transfer sets, named by their whole"
    got = f"{short_repr(list(alone))} and {short_repr(list(taught))}"
    fits = alone and alone.keys() == taught.keys() and whole
    require(fits, f"{told} number of images, got {got}.")
    return {int(size): (alone[size], taught[size]) for size in sorted(alone, key=int)}


def _by_seed(arm: Any, key: str) -> dict[Any, Any]:
    """The arm's values by their seeds, or by their places in a row of so many."""
    if hasattr(arm, "items"):  # a mapping from seeds, or a Series of pandas
        arm = [{"seed": seed, key: figure} for seed, figure in arm.items()]
    # Arrays and tensors alike, on any device, whether or not they are part of a graph.
    try:
        plain = arm.tolist() if hasattr(arm, "tolist") else arm
    except RuntimeError as error:  # of tensors without values, or not in rows
        raise ValueError(f"an arm is a row of numbers, got {short_repr(arm)}.") from error
    row = isinstance(plain, Sequence) and not isinstance(plain, str | bytes)
    require(row, f"an arm is a row of numbers, one per seed, got {short_repr(plain)}.")
    found = {}
    for place, run in enumerate(plain, start=1):
        figures = run if isinstance(run, Mapping) else {key: run}
        known = ", ".join(map(str, figures)) or "none"
        require(key in figures, f"a run has no figure {short_repr(key)}; it has {known}.")
        seed = figures.get("seed", f"place {place} of {len(plain)}")
        counted = "seed" not in figures or is_int(seed) or str(seed).isdecimal()
        told = "an arm is one number per seed, and the seed of a run must be a whole number"
        require(counted, f"{told}, got {short_repr(seed)}.")
        require(seed not in found, f"seed {seed} occurs twice; an arm has one run for each seed.")
        found[seed] = figures[key]
    return found


def _numbers(items: Iterable[Any], points: bool) -> NDArray[np.float64]:
    plain = [item.item() if _is_single(item) else item for item in items]
    require(plain, "an arm has no value; run one seed at least.")
    name, low, high = "a figure of an arm", -LARGEST, LARGEST
    if points:
        name, low, high = "an accuracy (a share; divide percent by 100)", 0.0, 1.0
    data = np.array([check_number(item, low, high, name=name) for item in plain], dtype=np.float64)
    return 100 * data if points else data


def _is_single(item: Any) -> bool:
    """Whether it is one number of NumPy or PyTorch, with a value."""
    return getattr(item, "shape", None) == () and not getattr(item, "is_meta", False)


def _some(seeds: Iterable[Any]) -> str:
    return short_repr(sorted(seeds, key=lambda seed: (len(str(seed)), str(seed))))
