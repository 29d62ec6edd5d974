"""The one place that reads an arm of an experiment: one number per seed (see `kdhelpers.stats`).

Everything that compares arms reads them here, so that a pair is always two runs of one seed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdhelpers._values import check_type, is_int, short_repr

__all__ = ["Arm", "Results", "against", "by_size", "label", "named", "naming", "pairs", "row"]

# Dicts of figures with their seed (`results["alone"]`), a row of numbers, or seed → number.
Arm: TypeAlias = ArrayLike | Mapping[int, float] | Sequence[Mapping[str, Any]]
Results: TypeAlias = Mapping[Any, Arm]

LARGEST = 1e100  # the squares of larger results overflow


def row(arm: Arm, key: str = "accuracy", *, points: bool = False) -> NDArray[np.float64]:
    """The numbers of one arm, shape (seeds,).

    Args:
        arm: one arm of results (see `kdhelpers.stats`).
        key: the figure to read from the dicts of an arm.
        points: accuracies in 0..1 as percent.

    Raises:
        ValueError: not one row of finite numbers of at most 1e100, dicts without `key`, a seed that
            occurs twice; with `points`, a number outside 0..1.
    """
    listed = _listed(arm, key)
    return _numbers(listed.values() if isinstance(listed, dict) else listed, points)


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
    first, second = _listed(baseline, key), _listed(treatment, key)
    if isinstance(first, dict) != isinstance(second, dict):
        raise ValueError(
            "only one of the arms names its seeds, so they cannot be paired; "
            "give both as rows, or both with seeds."
        )
    if isinstance(first, dict) and isinstance(second, dict):
        seeds = first.keys() if first.keys() <= second.keys() else second.keys()
        if not seeds <= first.keys():
            raise ValueError(
                f"paired arms need the same seeds, but {_some(first.keys() - second.keys())} only "
                f"in the baseline and {_some(second.keys() - first.keys())} only in the treatment."
            )
        first, second = ([arm[seed] for seed in seeds] for arm in (first, second))
    elif len(first) != len(second):
        raise ValueError(
            f"paired arms need the same seeds, got {len(first)} and {len(second)} values."
        )
    return _numbers(first, points), _numbers(second, points)


def named(results: Results, *arms: Any) -> None:
    """Check that these are results, and that the arms are among them.

    Raises:
        ValueError: no mapping, or an arm that is none of its.
    """
    check_type(results, Mapping, name="results")
    for arm in arms:
        if arm not in results:
            listed = ", ".join(str(name) for name in results) or "none"
            raise ValueError(f"baseline {short_repr(arm)} is none of the arms: {listed}.")


def against(
    results: Results,
    baseline: str = "alone",
    comparisons: Sequence[tuple[Any, Any]] | None = None,
) -> dict[str, tuple[Arm, Arm]]:
    """What is compared with what: the name of each comparison → the two arms, baseline first.

    Every other arm with `baseline`; of results by (size, arm) those of each size among themselves;
    or the pairs (baseline, arm) in `comparisons`, named "arm − baseline".

    Raises:
        ValueError: no mapping, or a baseline that is not among the arms.
    """
    if comparisons is not None:
        named(results, *(arm for pair in comparisons for arm in pair))
        return {
            f"{label(arm)} − {label(of)}": (results[of], results[arm]) for of, arm in comparisons
        }
    named(results)
    two = len({name[-1] for name in results if isinstance(name, tuple)}) == 2
    found = {}
    for name, arm in results.items():
        of = (*name[:-1], baseline) if isinstance(name, tuple) else baseline
        named(results, of)
        if name != of:  # where there are two arms the size says enough
            told = name[:-1] if two and isinstance(name, tuple) else name
            found[label(told)] = results[of], arm
    return found


@contextmanager
def naming(arm: Any) -> Iterator[None]:
    """What is wrong with an arm, said with its name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"arm {short_repr(arm)}: {error}") from error


def label(name: Any) -> str:
    """The name of an arm in words: "50 images, alone" for (50, "alone")."""
    parts = name if isinstance(name, tuple) else (name,)
    return ", ".join(f"{part:,} images" if is_int(part) else str(part) for part in parts)


def by_size(results: Results, distilled: Results | None = None) -> dict[int, tuple[Arm, Arm]]:
    """Number of images → (the arm "alone", the arm "distilled"), from the smallest.

    Args:
        results: by (size, arm); or the arm alone by size, beside `distilled`.
        distilled: the other arm by size, where it is apart. A size may be text, as in a record.

    Raises:
        ValueError: no size, one that is no whole number, or one that has not both arms.
    """
    named(results)
    alone: Results = results
    if distilled is None:
        if not all(isinstance(name, tuple) and len(name) == 2 for name in results):
            raise ValueError(
                f"results by size are named (size, arm), got {short_repr(list(results))}."
            )
        alone, distilled = (
            {size: runs for (size, arm), runs in results.items() if arm == which}
            for which in ("alone", "distilled")
        )
    check_type(distilled, Mapping, name="distilled")
    if not alone or alone.keys() != distilled.keys():
        raise ValueError(
            f"both arms need the same transfer sets, got {short_repr(list(alone))} and "
            f"{short_repr(list(distilled))}."
        )
    if not all(str(size).isdecimal() for size in alone):
        raise ValueError(
            f"the sizes of transfer sets are whole numbers, got {short_repr(list(alone))}."
        )
    return {int(size): (alone[size], distilled[size]) for size in sorted(alone, key=int)}


def _listed(arm: Any, key: str) -> list[Any] | dict[Any, Any]:
    """The arm's values, with their seeds where it names them; not yet checked to be numbers."""
    # Arrays and tensors alike, on any device, whether or not they are part of a graph.
    plain: Any = _plain(arm) if hasattr(arm, "tolist") else arm
    if isinstance(plain, Mapping):
        return dict(plain)
    if isinstance(plain, str | bytes) or not isinstance(plain, Sequence):
        raise ValueError(f"an arm is a row of numbers, one per seed, got {_kind(plain)}.")
    if not plain or not all(isinstance(run, Mapping) for run in plain):
        return list(plain)
    found = {}
    for place, run in enumerate(plain):
        if key not in run:
            raise ValueError(
                f"an arm's runs have no figure {short_repr(key)}; they have "
                f"{', '.join(map(str, run))}."
            )
        seed = run.get("seed", place)
        if seed in found:
            raise ValueError(f"seed {seed} occurs twice; an arm has one run for each seed.")
        found[seed] = run[key]
    return found


def _plain(value: Any) -> Any:
    """An array or a tensor as Python's own numbers and lists."""
    try:
        return value.tolist()
    except Exception as error:  # a tensor without values, a class that has the method
        raise ValueError(f"an arm is a row of numbers, got {short_repr(value)}.") from error


def _numbers(items: Iterable[Any], points: bool) -> NDArray[np.float64]:
    scalars = [
        _plain(item) if hasattr(item, "item") and getattr(item, "shape", None) == () else item
        for item in items
    ]
    for item in scalars:
        if isinstance(item, bool) or not isinstance(item, Real):
            raise ValueError(
                f"an arm is a row of numbers, one per seed, got {_kind(item)} among them."
            )
    try:
        data = np.array([float(item) for item in scalars], dtype=np.float64)
    except OverflowError:
        raise ValueError("all values must be finite, got an integer beyond 1e308.") from None
    if not (np.abs(data) <= LARGEST).all():
        raise ValueError(
            f"all values must be finite, at most 1e100 in size, got {short_repr(data)}."
        )
    if not points:
        return data
    for value in data:
        if not 0 <= value <= 1:
            raise ValueError(
                f"accuracies are shares in 0..1, got {float(value)}; divide percent by 100."
            )
    return 100 * data


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _some(seeds: Iterable[Any]) -> str:
    return short_repr(sorted(seeds, key=lambda seed: (len(str(seed)), str(seed))))
