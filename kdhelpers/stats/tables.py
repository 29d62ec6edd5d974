"""Tables of results, rendered from measured figures: in a notebook, a terminal and the README."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from kdhelpers._values import check_type, is_number, short_repr
from kdhelpers.stats.comparisons import Comparison, compare
from kdhelpers.stats.intervals import (
    Interval,
    bootstrap_difference,
    mean_interval,
    paired_difference,
)

FEWEST_FOR_BOOTSTRAP = 6  # seeds; see `stats.bootstrap_interval`

P = ParamSpec("P")
T = TypeVar("T")


def made_of(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function of `what` says in a `ValueError` that it was given something else."""

    def refusing(make: Callable[P, T]) -> Callable[P, T]:
        @wraps(make)
        def made(*arguments: P.args, **options: P.kwargs) -> T:
            given = (*arguments, *options.values())
            check_type(given[0] if given else None, Mapping, name=what)
            try:
                return make(*arguments, **options)
            except KeyError as error:
                raise ValueError(
                    f"these are no {what}: {short_repr(error.args[0])} is missing."
                ) from error
            except (TypeError, AttributeError, IndexError, OverflowError) as error:
                raise ValueError(f"these are no {what} ({short_repr(str(error))}).") from error

        return made

    return refusing


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; shown as Markdown in a notebook and as aligned text elsewhere."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def _repr_markdown_(self) -> str:
        rule = ["---", *map(self._side, range(1, len(self.headers)))]
        lines = [self.headers, rule, *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _side(self, column: int) -> str:
        """Figures stand to the right, words to the left."""
        cells = [row[column] for row in self.rows if row[column]]
        return "---:" if all(cell.lstrip("+-±< ")[:1].isdigit() for cell in cells) else "---"

    def __repr__(self) -> str:
        lines = [self.headers, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headers))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def percent(interval: Interval, *, sign: bool = False) -> str:
    """`93.4 ± 0.8` from an interval of accuracies in points.

    Raises:
        ValueError: no interval.
    """
    check_type(interval, Interval, name="interval")
    return f"{interval.mean:{'+' if sign else ''}z.2f} ± {interval.margin:.2f}"


@made_of("results by size of the transfer set")
def transfer_table(
    alone: Mapping[Any, Sequence[float]], distilled: Mapping[Any, Sequence[float]], teacher: float
) -> Table:
    """Accuracy in % of both arms and their paired difference, a row per transfer set.

    `alone` and `distilled` map a number of images (an int, or its text in a record) to one
    accuracy in 0..1 per seed; `teacher` is one accuracy.

    Raises:
        ValueError: other arguments, or as for `kdhelpers.stats.paired_difference`.
    """
    check_type(distilled, Mapping, name="distilled")
    if not is_number(teacher) or not 0 <= teacher <= 1:
        raise ValueError(f"teacher must be an accuracy in 0..1, got {short_repr(teacher)}.")
    if not all(str(size).isdecimal() for size in alone):
        raise ValueError(
            f"the sizes of transfer sets are whole numbers, got {short_repr(list(alone))}."
        )
    rows = []
    for size in sorted(alone, key=int):
        arms = [[100 * value for value in arm[size]] for arm in (alone, distilled)]
        rows.append(
            [
                f"{int(size):,}",
                *(percent(mean_interval(arm)) for arm in arms),
                compared(*arms),
                f"{100 * teacher:.2f}",
            ]
        )
    return Table(
        ["images", "student alone, %", "distilled, %", "difference, points", "teacher, %"], rows
    )


ARM_FIGURES = {
    "accuracy": "accuracy, %",
    "agreement": "agreement with the teacher, %",
    "calibration_error": "calibration error, %",
}


@made_of("results by arm")
def arms_table(
    arms: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    baseline: str = "alone",
    keys: Sequence[str] = ("accuracy",),
) -> Table:
    """A row per arm: figures in %, and the paired difference in accuracy from the baseline.

    Args:
        arms: for each arm one dict of figures per seed, as `evaluation.evaluate` gives them, with
            their `seed` (without, they count as 0, 1, …). Pairs are made of the seeds of an arm,
            which may be fewer than the baseline's.
        keys: which of their figures to show.

    Raises:
        ValueError: there is no arm called `baseline`, an arm has a seed that it has not, or other
            arguments.
    """
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"keys must be a list of figures' names, got {short_repr(keys)}.")
    if baseline not in arms:
        raise ValueError(f"there is no arm {short_repr(baseline)}; there are {', '.join(arms)}.")
    first = {run.get("seed", place): run["accuracy"] for place, run in enumerate(arms[baseline])}
    rows = []
    for name, runs in arms.items():
        figures = {key: [100 * run[key] for run in runs] for key in {*keys, "accuracy"}}
        own = [run.get("seed", place) for place, run in enumerate(runs)]
        if not set(own) <= first.keys():
            raise ValueError(f"the arm {name!r} has a seed that {baseline!r} has not: {own}.")
        against = [100 * first[seed] for seed in own]
        difference = "" if name == baseline else compared(against, figures["accuracy"])
        shown = (percent(mean_interval(figures[key])) for key in keys)
        rows.append([name, *shown, difference])
    heads = [ARM_FIGURES.get(key) or key for key in keys]
    return Table(["arm", *heads, f"against {baseline}, points"], rows)


@made_of("costs by network")
def cost_table(costs: Mapping[str, Mapping[str, float]]) -> Table:
    """Parameters, multiply-accumulates, latency and accuracy of each network.

    Raises:
        ValueError: one of the four is missing, or no number.
    """
    for name, cost in costs.items():
        for key in ("parameters", "macs", "latency_ms", "accuracy"):
            if not is_number(cost[key]) or not 0 <= cost[key] <= 1e300:
                raise ValueError(
                    f"{key} of {short_repr(name)} must be a number, got {short_repr(cost[key])}."
                )
    rows = [
        [
            name,
            f"{cost['parameters']:,}",
            f"{cost['macs'] / 1e6:.1f}",
            f"{cost['latency_ms']:.2f}",
            f"{100 * cost['accuracy']:.2f}",
        ]
        for name, cost in costs.items()
    ]
    return Table(["network", "parameters", "million MACs", "ms a picture", "accuracy, %"], rows)


@made_of("results by arm")
def corrected_table(arms: Mapping[str, Sequence[float]], *, baseline: str) -> Table:
    """Every arm of an experiment against one of them, corrected for the number of arms.

    `arms` maps a name to one accuracy in 0..1 per seed. The verdict is that of the simultaneous
    interval. With fewer than 6 seeds there is no bootstrap interval, with one seed there are
    only the accuracies.

    Raises:
        ValueError: `baseline` is none of the arms, or as for `kdhelpers.stats.compare`.
    """
    if baseline not in arms:
        raise ValueError(f"baseline {short_repr(baseline)} is none of the arms: {', '.join(arms)}.")
    points = {name: [100 * value for value in values] for name, values in arms.items()}
    first = points.pop(baseline)
    against = f"against {baseline}, points"
    if len(first) == 1:
        rows = [[name, f"{values[0]:.2f}"] for name, values in points.items()]
        return Table(["arm", "accuracy, %"], [[baseline, f"{first[0]:.2f}"], *rows])
    rows = [[baseline, percent(mean_interval(first)), *[""] * 5]]
    for name, result in compare(first, points).items() if points else ():
        rows.append([name, *_judged(first, points[name], result)])
    headers = [against, "± for all arms together", "bootstrap", "corrected p", "verdict"]
    return Table(["arm", "accuracy, %", *headers], rows)


def _judged(baseline: Sequence[float], values: Sequence[float], result: Comparison) -> list[str]:
    drawn = "too few seeds"
    if len(values) >= FEWEST_FOR_BOOTSTRAP:
        interval = bootstrap_difference(baseline, values)
        drawn = f"{interval.low:+.2f} to {interval.high:+.2f}"
    return [
        percent(mean_interval(values)),
        percent(result.difference, sign=True),
        f"± {result.simultaneous.margin:.2f}",
        drawn,
        f"{result.corrected_p:.3f}" if result.corrected_p >= 0.001 else "< 0.001",
        verdict(result.simultaneous),
    ]


def compared(baseline: Sequence[float], values: Sequence[float]) -> str:
    """`+8.77 ± 3.76 (helps)`: the paired difference of points, and what it allows to say.

    Raises:
        ValueError: as for `kdhelpers.stats.paired_difference`.
    """
    gain = paired_difference(baseline, values)
    return f"{percent(gain, sign=True)} ({verdict(gain)})"


def verdict(difference: Interval) -> str:
    """What an interval of paired differences allows to say.

    Raises:
        ValueError: no interval.
    """
    check_type(difference, Interval, name="difference")
    if difference.low > 0:
        return "helps"
    return "hurts" if difference.high < 0 else "no clear difference"
