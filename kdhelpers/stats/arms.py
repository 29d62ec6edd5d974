"""An arm of an experiment: one number per seed, from a row of numbers or from a lesson's records.

Everything that compares arms reads them here, so that a pair is always two runs of one seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdhelpers._values import short_repr

__all__ = ["Arm", "pairs", "row", "values"]

Records: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
# A row (list, array, tensor), a number for each seed (what `values` returns), or records.
Arm: TypeAlias = ArrayLike | Mapping[int, float] | Records

# The parameters in which the records of one arm may differ.
SEED, SEEDS = "seed", "seeds"
LARGEST = 1e100  # the squares of larger results overflow


def values(records: Records, metric: str) -> dict[int, float]:
    """What the runs of one arm measured: seed → number, in the order of the records.

    Args:
        records: one record or several (`kdhelpers.course.records`). A record of a single seed
            names it in its parameter `seed` and holds a number; one of many seeds names them in
            `seeds` and holds a list with a number for each.
        metric: where the numbers are in the record's metrics, keys joined by dots:
            "arms.constant.accuracy". A key may itself contain a dot ("sweep.0.5").

    Raises:
        ValueError: no record, something that is no record, no such metric, a metric that is not
            one number per seed, a seed that occurs twice, or records that differ in more than the
            seed.
    """
    listed = _records(records)
    _check_settings(listed)
    found: dict[int, float] = {}
    for record in listed:
        for seed, value in _measured(record, metric):
            if seed in found:
                raise ValueError(f"seed {seed} occurs twice; an arm has one run for each seed.")
            found[seed] = value
    return found


def row(arm: Arm, metric: str | None = None) -> NDArray[np.float64]:
    """The numbers of one arm, shape (seeds,).

    Args:
        arm: numbers (a list, an array, a tensor, a mapping from seeds) or records.
        metric: what to read from records, as for `values`; None where `arm` has numbers.

    Raises:
        ValueError: not one row of finite numbers of at most 1e100, or as for `values`.
    """
    listed = _listed(arm, metric)
    return _numbers(listed.values() if isinstance(listed, dict) else listed)


def pairs(
    baseline: Arm, treatment: Arm, metric: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numbers of two arms with common seeds, the same seed at the same place; (seeds,) each.

    Rows are paired by position. Where the seeds are known (records, mappings) they pair the
    numbers, whatever the order.

    Raises:
        ValueError: the arms have different seeds or lengths, only one of them names its seeds,
            or as for `row`.
    """
    first, second = _listed(baseline, metric), _listed(treatment, metric)
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            raise ValueError(
                "paired arms need the same seeds, but "
                f"{_seeds(first.keys() - second.keys())} only in the baseline and "
                f"{_seeds(second.keys() - first.keys())} only in the treatment."
            )
        first, second = list(first.values()), [second[seed] for seed in first]
    if isinstance(first, dict) or isinstance(second, dict):
        raise ValueError(
            "only one of the arms names its seeds, so they cannot be paired; "
            "give both as rows, or both with seeds."
        )
    if len(first) != len(second):
        raise ValueError(
            f"paired arms need the same seeds, got {len(first)} and {len(second)} values."
        )
    return _numbers(first), _numbers(second)


def _listed(arm: Arm, metric: str | None) -> list[Any] | dict[Any, Any]:
    """The arm's values, with their seeds where it names them; not yet checked to be numbers."""
    if metric is not None:
        return values(arm, metric)  # type: ignore[arg-type]  # `values` refuses what is no record
    # Arrays and tensors alike, on any device, whether or not they are part of a graph.
    plain: Any = _plain(arm) if hasattr(arm, "tolist") else arm
    mapping = isinstance(plain, Mapping)
    if isinstance(plain, str | bytes) or not (mapping or isinstance(plain, Sequence)):
        raise ValueError(f"an arm is a row of numbers, one per seed, got {_kind(plain)}.")
    if any(isinstance(item, Mapping) for item in (plain.values() if mapping else plain)):
        raise ValueError("these are records; name the metric to read, such as metric='accuracy'.")
    return dict(plain) if mapping else list(plain)


def _plain(value: Any) -> Any:
    """An array or a tensor as Python's own numbers and lists."""
    try:
        return value.tolist()
    except Exception as error:  # a tensor without values, a class that has the method
        raise ValueError(f"an arm is a row of numbers, got {short_repr(value)}.") from error


def _numbers(items: Iterable[Any]) -> NDArray[np.float64]:
    scalars = [
        _plain(item) if hasattr(item, "item") and getattr(item, "shape", None) == () else item
        for item in items
    ]
    for item in scalars:
        if isinstance(item, bool) or not isinstance(item, Real):
            raise ValueError(f"an arm is a row of numbers, one per seed, got {_shape(scalars)}.")
    try:
        data = np.array([float(item) for item in scalars], dtype=np.float64)
    except OverflowError:
        raise ValueError("all values must be finite, got an integer beyond 1e308.") from None
    if not (np.abs(data) <= LARGEST).all():
        raise ValueError(
            f"all values must be finite, at most 1e100 in size, got {short_repr(data)}."
        )
    return data


def _shape(items: list[Any]) -> str:
    """What to say of items that are not all numbers."""
    wrong = next(item for item in items if isinstance(item, bool) or not isinstance(item, Real))
    if isinstance(wrong, list | tuple):
        try:
            return f"shape {np.shape(items)}"
        except ValueError:  # rows of different lengths
            pass
    return f"{_kind(wrong)} among them"


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _records(records: Any) -> list[Mapping[str, Any]]:
    listed = [records] if isinstance(records, Mapping) else records
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(
            "a metric is read from one record or a list of records, "
            f"got {'an empty one' if isinstance(listed, list | tuple) else _kind(records)}."
        )
    for record in listed:
        parts = record if isinstance(record, Mapping) else {}
        if not all(isinstance(parts.get(part), Mapping) for part in ("parameters", "metrics")):
            raise ValueError(
                "a metric is read from records, which have 'parameters' and 'metrics'; "
                f"got {_kind(record)} without them."
            )
    return list(listed)


def _check_settings(records: list[Mapping[str, Any]]) -> None:
    """Refuse to call two settings one arm."""
    first = _setting(records[0])
    for record in records[1:]:
        other = _setting(record)
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                raise ValueError(
                    "the records of one arm may differ in the seed alone, but their "
                    f"{key} is {first.get(key)!r} and {other.get(key)!r}; select one of them."
                )


def _setting(record: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {k: v for k, v in record["parameters"].items() if k not in (SEED, SEEDS)}
    return {"notebook": record.get("notebook"), **parameters}


def _measured(record: Mapping[str, Any], metric: str) -> list[tuple[int, float]]:
    """The seeds of a record with the number each measured."""
    value, parameters = _at(record["metrics"], metric), record["parameters"]
    many = isinstance(value, list | tuple)
    named = SEEDS if many else SEED
    seeds, numbers = parameters.get(named), list(value) if many else [value]
    if seeds is None:
        raise ValueError(
            f"the metric {short_repr(metric)} is {'a list' if many else 'not a list'}, "
            f"but the record has no parameter {short_repr(named)} that says which seed it is from."
        )
    seeds = list(seeds) if isinstance(seeds, list | tuple) else [seeds]
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(
                f"a seed must be a whole number, got {short_repr(seed)} in {short_repr(named)}."
            )
    if len(seeds) != len(numbers):
        raise ValueError(
            f"the metric {short_repr(metric)} has {len(numbers)} values for {len(seeds)} seeds; "
            "it must have one for each."
        )
    return list(zip(seeds, _numbers(numbers).tolist(), strict=True))


def _at(metrics: Mapping[str, Any], metric: str) -> Any:
    if not isinstance(metric, str):
        raise ValueError(f"metric must be text such as 'arms.constant', got {short_repr(metric)}.")
    found = list(_matches(metrics, metric))
    if not found:
        known = ", ".join(map(str, metrics))
        raise ValueError(f"there is no metric {short_repr(metric)}; the record has {known}.")
    return found[0]


def _matches(node: Any, path: str) -> Iterable[Any]:
    """What a dotted path leads to; a key that contains the dot comes before one that ends at it."""
    if not isinstance(node, Mapping):
        return
    if path in node:
        yield node[path]
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:end])
        if head in node:
            yield from _matches(node[head], ".".join(parts[end:]))


def _seeds(seeds: Iterable[Any]) -> str:
    names = sorted(map(str, seeds), key=lambda name: (len(name), name))
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more"]
    verb = "are" if len(names) != 1 else "is"
    return f"{', '.join(names)} {verb}" if names else "none are"
