"""Tables of results, rendered from measured figures: in a notebook, a terminal and the README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdhelpers.stats import Interval, mean_interval, paired_difference


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; shown as Markdown in a notebook and as aligned text elsewhere."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def _repr_markdown_(self) -> str:
        lines = [self.headers, ["---"] + ["---:"] * (len(self.headers) - 1), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def __repr__(self) -> str:
        lines = [self.headers, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headers))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def percent(interval: Interval, *, sign: bool = False) -> str:
    """`93.4 ± 0.8` from an interval of accuracies in points."""
    return f"{interval.mean:{'+' if sign else ''}.2f} ± {interval.margin:.2f}"


def transfer_table(
    alone: Mapping[Any, Sequence[float]], distilled: Mapping[Any, Sequence[float]], teacher: float
) -> Table:
    """Accuracy in % of both arms and their paired difference, a row per transfer set.

    `alone` and `distilled` map a number of images (an int, or its text in a record) to one
    accuracy in 0..1 per seed; `teacher` is one accuracy.
    """
    rows = []
    for size in sorted(alone, key=int):
        arms = [[100 * value for value in arm[size]] for arm in (alone, distilled)]
        rows.append(
            [
                f"{int(size):,}",
                *(percent(mean_interval(arm)) for arm in arms),
                _compared(*arms),
                f"{100 * teacher:.2f}",
            ]
        )
    return Table(
        ["images", "student alone, %", "distilled, %", "difference, points", "teacher, %"], rows
    )


def sweep_table(record: Mapping[str, Any]) -> Table:
    """Accuracy in % of every student at every temperature, from a record of lesson 02.

    Each temperature is compared, seed by seed, with the student alone and with the rule of
    thumb that the record's parameters name.
    """
    metrics, rule = record["metrics"], f"{record['parameters']['rule_of_thumb']:g}"
    rows = []
    for student, sweep in metrics["sweep"].items():
        points = {T: [100 * value for value in values] for T, values in sweep.items()}
        alone = [100 * value for value in metrics["alone"][student]]
        rows.append([f"{student}, alone", percent(mean_interval(alone)), "", ""])
        for temperature in sorted(points, key=float):
            values = points[temperature]
            chosen = " (best on validation)" * (metrics["chosen"][student] == float(temperature))
            against = "" if temperature == rule else _compared(points[rule], values)
            rows.append(
                [
                    f"{student}, T = {temperature}{chosen}",
                    percent(mean_interval(values)),
                    _compared(alone, values),
                    against,
                ]
            )
    return Table(["student", "accuracy, %", "against alone, points", f"against T = {rule}"], rows)


# Accuracies in % that Romero et al. 2014 (arXiv 1412.6550) report, by data set and network.
_FITNETS = {
    "mnist": {"teacher": 99.45, "alone": 98.10, "KD": 99.35, "hint, then KD": 99.49},
    "cifar10 fitnet1": {"teacher": 90.18, "hint, then KD": 89.01},
    "cifar10 fitnet2": {"teacher": 90.18, "hint, then KD": 91.06},
    "cifar10 fitnet3": {"teacher": 90.18, "hint, then KD": 91.10},
    "cifar10 fitnet4": {"teacher": 90.18, "hint, then KD": 91.61},
}


def hints_table(record: Mapping[str, Any]) -> Table:
    """Accuracy in % of every arm of lesson 04, from its record, beside the paper's.

    Each arm is compared, seed by seed, with the student alone and with KD, the baseline that
    tells the hint's gain from that of the soft targets.
    """
    parameters, metrics = record["parameters"], record["metrics"]
    dataset, arms = parameters["dataset"], metrics["arms"]
    paper = _FITNETS.get(dataset) or _FITNETS.get(f"{dataset} {parameters['student']}", {})
    points = {arm: [100 * value for value in values] for arm, values in arms.items()}
    teacher = f"{100 * metrics['teacher']['accuracy']:.2f}"
    counts = metrics["parameters"]
    rows = [[f"teacher ({counts['teacher']:,} parameters)", teacher, "", "", _reported(paper)]]
    for arm, values in points.items():
        against = [
            "" if arm in (arm_0, "alone") else _compared(points[arm_0], values)
            for arm_0 in ("alone", "KD")
        ]
        named = f"student, {arm} ({counts['student']:,})" if arm == "alone" else f"student, {arm}"
        rows.append([named, percent(mean_interval(values)), *against, _reported(paper, arm)])
    return Table(
        ["network", "accuracy, %", "against alone, points", "against KD, points", "paper, %"], rows
    )


def _reported(paper: Mapping[str, float], arm: str = "teacher") -> str:
    return f"{paper[arm]:.2f}" if arm in paper else ""


def _compared(baseline: Sequence[float], values: Sequence[float]) -> str:
    gain = paired_difference(baseline, values)
    return f"{percent(gain, sign=True)} ({verdict(gain)})"


def verdict(difference: Interval) -> str:
    """What an interval of paired differences allows to say."""
    if difference.low > 0:
        return "helps"
    return "hurts" if difference.high < 0 else "no clear difference"


def provenance(record: Mapping[str, Any]) -> str:
    """One sentence on where a record comes from: data, device, seeds, versions, date, commit."""
    parameters, environment = record["parameters"], record["environment"]
    versions = environment.get("versions", {})
    threads = environment.get("threads", 0)
    machine = f"{environment['device']}, {threads} thread{'s' * (threads != 1)}"
    return (
        f"{parameters['dataset']}, {len(parameters['seeds'])} seeds, {machine}, "
        f"PyTorch {versions.get('torch', 'unknown')}, {record['seconds'] / 60:.0f} minutes, "
        f"{str(environment.get('date', 'no date'))[:10]}, "
        f"commit {str(environment.get('commit', 'unknown'))[:12]}"
    )
