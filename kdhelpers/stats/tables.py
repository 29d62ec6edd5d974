"""Tables of results, rendered from measured figures: in a notebook, a terminal and the README.

What the tables of arms take as results: see `kdhelpers.stats`. They show shares in
percent and points, and losses, times and errors as they were measured.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from kdhelpers._values import check_number, check_type, require, short_repr
from kdhelpers.stats.arms import (
    FIGURES,
    Arm,
    Results,
    against,
    by_size,
    compared_with,
    is_share,
    label,
    less_is_better,
    named,
    naming,
)
from kdhelpers.stats.comparisons import compare
from kdhelpers.stats.intervals import (
    FEWEST_FOR_VERDICT,
    Interval,
    bootstrap_difference,
    mean_interval,
    paired_difference,
)
from kdhelpers.stats.tuning import best_settings, scores

FEWEST_FOR_BOOTSTRAP = 6  # seeds; see `stats.bootstrap_interval`

P = ParamSpec("P")
T = TypeVar("T")


def made_of(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function of `what` says in a `ValueError` that it was given something else."""

    def refusing(make: Callable[P, T]) -> Callable[P, T]:
        bind = signature(make).bind

        @wraps(make)
        def made(*arguments: P.args, **options: P.kwargs) -> T:
            bind(*arguments, **options)  # a TypeError is Python's own, as usual
            given = (*arguments, *options.values())
            check_type(given[0] if given else None, Mapping, name=what)
            try:
                return make(*arguments, **options)
            except KeyError as error:
                missing = short_repr(error.args[0])
                raise ValueError(f"these are no {what}: {missing} is missing.") from error
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
        lines = [map(_plain, self.headers), rule, *(map(_plain, row) for row in self.rows)]
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


def _plain(cell: str) -> str:
    """A cell as text in a table of Markdown, which holds HTML, is split at | and ends with a line.

    Only what would open a tag or name a character is escaped: "< 0.001" stays as it is.
    """
    text = re.sub(r"&(?=[#\w])", "&amp;", " ".join(cell.splitlines()))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text).replace("|", "&#124;")


def percent(interval: Interval, *, sign: bool = False, key: str = "accuracy") -> str:
    """`93.40 ± 0.83` from an interval of accuracies in points; of one seed, `93.40`.

    That of a `key` which is no share is in its own unit: `0.2040 ± 0.0039`.
    """
    return format(interval, ("+z" if sign else "z") + digits(interval, key))


def digits(interval: Interval, key: str) -> str:
    """The format of an interval: hundredths of points, else two digits of its margin.

    Where it has none, four of its mean.
    """
    if is_share(key):
        return ".2f"
    spread = interval.count > 1 and not interval.degenerate
    size = interval.margin if spread else abs(interval.mean) / 100 or 1
    return f".{max(0, 1 - math.floor(math.log10(size)))}f"


@made_of("results by size of the transfer set")
def transfer_table(results: Results, *, teacher: float, key: str = "accuracy") -> Table:
    """The accuracy of both arms and their paired difference, a row per transfer set.

    Args:
        results: by (size, arm), with the arms "alone" and "distilled"; a size may be text.
        teacher: its accuracy in 0..1, or its figure.
        key: the figure of the runs to show.

    Raises:
        ValueError: other arguments, or as for `kdhelpers.stats.paired_difference`.
    """
    if is_share(key):
        check_number(teacher, 0, 1, name="teacher")
    level, rows = _mean([teacher], key), []
    for size, (alone, taught) in by_size(results).items():
        shown = [_mean(alone, key), _mean(taught, key), difference(alone, taught, key=key)]
        rows.append([f"{size:,}", *shown, level])
    unit = ", %" * is_share(key)
    heads = ["images", f"student alone{unit}", f"distilled{unit}", f"difference{_points(key)}"]
    return Table([*heads, f"teacher{unit}"], rows)


@made_of("results by arm")
def arms_table(
    results: Results, *, baseline: str = "alone", keys: Sequence[str] = ("accuracy",)
) -> Table:
    """A row per arm: its figures, and the first one's paired difference from the baseline.

    Args:
        results: the arms; one may have fewer seeds than the baseline (then a column counts them).
        baseline: the arm to compare the others with; of results by (size, arm), each size's own.
        keys: which of their figures to show; shares in 0..1, as `evaluate` gives them, in %.

    Raises:
        ValueError: there is no arm called `baseline`, an arm has a seed that it has not, or other
            arguments.
    """
    require(len(keys), "keys names no figure of the runs; give one at least, such as 'accuracy'.")
    named(results, *[baseline] * (not results))
    rows = []
    for name, arm in results.items():
        of = compared_with(results, name, baseline)
        with naming(name):
            gain = "" if name == of else difference(results[of], arm, key=keys[0])
            rows.append([label(name), *(_mean(arm, key) for key in keys), gain])
    gains = f"against {label(baseline)}{_points(keys[0])}"
    heads = ["arm", *(FIGURES.get(key, key) for key in keys), gains]
    counts = [mean_interval(arm, key=keys[0]).count for arm in results.values()]
    return _with_seeds(heads, rows, counts)


def _with_seeds(headers: list[str], rows: list[list[str]], counts: Sequence[int]) -> Table:
    """The table, and a column with the seeds of each row where they are not the same for all."""
    if len(set(counts)) > 1:
        headers = [*headers, "seeds"]
        rows = [[*row, str(count)] for row, count in zip(rows, counts, strict=True)]
    return Table(headers, rows)


@made_of("results by arm")
def paired_table(
    results: Results,
    *,
    baseline: str = "alone",
    comparisons: Sequence[tuple[Any, Any]] | None = None,
    key: str = "accuracy",
) -> Table:
    """The paired differences with their verdicts, a row each: `plots.paired_points`.

    A column counts the seeds of each row where they differ.

    Args:
        results: the arms, or those of several sizes by (size, arm).
        baseline: the arm to compare all others with.
        comparisons: the pairs (baseline, arm) to show instead.
        key: the figure of the runs that is compared.

    Raises:
        ValueError: an arm that is not there, or as for `kdhelpers.stats.paired_difference`.
    """
    pairs = against(results, baseline, comparisons)
    share = is_share(key)
    gains = {name: paired_difference(*arms, key=key, points=share) for name, arms in pairs.items()}
    rows = [[n, percent(gain, sign=True, key=key), verdict(gain, key)] for n, gain in gains.items()]
    unit = "points" if share else key
    headers = ["paired over the same seeds", f"{unit}, mean ± 95 %", "verdict"]
    return _with_seeds(headers, rows, [gain.count for gain in gains.values()])


def trials_table(trials: Results, *, key: str = "accuracy") -> Table:
    """The mean of every trial, a row per arm, and the setting that `best_settings` chooses.

    Args:
        trials: as for `best_settings`. Where the arms have settings of their own, these stand
            beside the means.
        key: the figure that chooses; a share in 0..1 is shown in %.

    Raises:
        ValueError: as for `kdhelpers.stats.best_settings`.
    """
    best, by_arm = best_settings(trials, key), scores(trials, key)
    settings = [list(of) for of in by_arm.values()]
    first = settings[0] if settings else []
    common = all(of == first for of in settings)
    rows = []
    for arm, of in by_arm.items():
        means = ["diverges" if mean is None else _mean([mean], key) for mean in of.values()]
        if not common:
            means = [f"{label(each)}: {mean}" for each, mean in zip(of, means, strict=True)]
        rows.append([label(arm), *means, label(best[arm])])
    heads = map(label, first) if common else (f"trial {n + 1}" for n in range(len(first)))
    return Table([FIGURES.get(key, key), *heads, "chosen"], rows)


@made_of("costs by network")
def measured_costs(costs: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What was measured of each network, by name: parameters, macs, latency_ms, accuracy.

    Args:
        costs: network → a dict of these figures (the accuracy may be missing), or a tuple of
            what `evaluation.size`, `evaluation.latency` and `evaluation.accuracy` returned.

    Raises:
        ValueError: a figure that is missing, no number or below 0.
    """
    found = {}
    for name, cost in costs.items():
        if not isinstance(cost, Mapping):
            size, *more = cost
            cost = dict(zip(("parameters", "macs"), size, strict=False))
            cost |= dict(zip(("latency_ms", "accuracy"), more, strict=False))
        most = {"parameters": 1e300, "macs": 1e300, "latency_ms": 1e300}
        most |= {"accuracy": 1.0} if "accuracy" in cost else {}
        for key, high in most.items():
            check_number(cost[key], 0, high, name=f"{key} of {short_repr(name)}")
        found[name] = {key: cost[key] for key in most}
    return found


def cost_table(costs: Mapping[str, Any]) -> Table:
    """Parameters, multiply-accumulates, latency and, where it is given, accuracy of each network.

    Raises:
        ValueError: as for `measured_costs`.
    """
    headers = ["network", "parameters", "million MACs", "ms a picture", "accuracy, %"]
    rows = [
        [
            label(name),
            f"{cost['parameters']:,}",
            f"{cost['macs'] / 1e6:.1f}",
            f"{cost['latency_ms']:.2f}",
            f"{100 * cost['accuracy']:.2f}" if "accuracy" in cost else "",
        ]
        for name, cost in measured_costs(costs).items()
    ]
    return _without_empty(headers, rows)


@made_of("results by arm")
def corrected_table(results: Results, *, baseline: str, key: str = "accuracy") -> Table:
    """Every arm of an experiment against one of them, corrected for the number of arms.

    The verdict is that of the simultaneous interval. With fewer than 6 seeds there is no
    bootstrap interval, with fewer than 5 no verdict, with one seed there are only the differences.

    Args:
        results: the arms.
        baseline: the arm to compare the others with; it comes first.
        key: the figure of the runs that is compared.

    Raises:
        ValueError: `baseline` is none of the arms, or as for `kdhelpers.stats.compare`.
    """
    named(results, baseline)
    first, of, share = results[baseline], label(baseline), is_share(key)
    rows = [[of, _mean(first, key), *[""] * 5]]
    for name, result in compare(baseline, results, key=key, points=share).items():
        arm, drawn, spec = results[name], "", digits(result.difference, key)
        if result.difference.count >= FEWEST_FOR_BOOTSTRAP:
            bounds = bootstrap_difference(first, arm, key=key, points=share)
            drawn = f"{bounds.low:+{spec}} to {bounds.high:+{spec}}"
        wide, corrected = "", ""
        if result.difference.count > 1:
            wide = f"± {result.simultaneous.margin:{spec}}"
            corrected = f"{result.corrected_p:.3f}" if result.corrected_p >= 0.001 else "< 0.001"
        gain = percent(result.difference, sign=True, key=key)
        rows.append([
            label(name), _mean(arm, key), gain, wide, drawn, corrected,
            verdict(result.simultaneous, key),
        ])  # fmt: skip
    headers = [
        "arm", FIGURES.get(key, key), f"against {of}{_points(key)}", "± for all arms together",
        "bootstrap", "corrected p", "verdict",
    ]  # fmt: skip
    return _without_empty(headers, rows)


def _without_empty(headers: list[str], rows: list[list[str]]) -> Table:
    """The table without the columns in which no row has anything."""
    kept = [at for at in range(len(headers)) if not rows or any(row[at] for row in rows)]
    headers, *rows = ([row[column] for column in kept] for row in (headers, *rows))
    return Table(headers, rows)


def _mean(arm: Arm, key: str) -> str:
    return percent(mean_interval(arm, key=key, points=is_share(key)), key=key)


def _points(key: str) -> str:
    return ", points" * is_share(key)


def difference(baseline: Arm, arm: Arm, *, key: str = "accuracy") -> str:
    """`+8.77 ± 3.76 (helps)`: the paired difference of two arms, and its verdict.

    Args:
        baseline, arm: arms of results; shares, in 0..1, differ by points.
        key: the figure of the runs that is compared.

    Raises:
        ValueError: as for `kdhelpers.stats.paired_difference`.
    """
    gain = paired_difference(baseline, arm, key=key, points=is_share(key))
    return f"{percent(gain, sign=True, key=key)} ({verdict(gain, key)})"


def verdict(difference: Interval, key: str = "accuracy") -> str:
    """What an interval of paired differences of a figure allows to say, from five seeds on."""
    if difference.count < FEWEST_FOR_VERDICT:
        return f"{difference.count} seeds: no verdict" if difference.count > 1 else "one seed"
    if difference.degenerate and difference.mean:
        return "no spread to judge by"
    more, less = "helps", "hurts"
    if less_is_better(key):
        more, less = less, more
    if difference.low > 0:
        return more
    return less if difference.high < 0 else "no clear difference"
