"""The first five records carry no tables: which they need is known by what they measured."""

from collections.abc import Callable, Mapping
from typing import Any

from kdhelpers.course.environment import provenance
from kdhelpers.stats import tables
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table, compared, percent

Record = Mapping[str, Any]


def known(record: Record) -> tuple[str, Callable[[Record], list[Table]]]:
    """What the README says of the record before its headline, and what makes its tables."""
    for keys, words, make in _KINDS:
        if record["metrics"].keys() >= keys:
            return words.format_map(record["parameters"]), make
    return "", lambda _: []


def _by_size(record: Record) -> list[Table]:
    measured = record["metrics"]
    teacher = measured["teacher"]["accuracy"]
    return [tables.transfer_table(measured["alone"], measured["distilled"], teacher)]


def _sweep(record: Record) -> list[Table]:
    """Every temperature against the student alone and against the rule of thumb, seed by seed."""
    metrics, rule = record["metrics"], f"{record['parameters']['rule_of_thumb']:g}"
    rows = []
    for student, sweep in metrics["sweep"].items():
        points = {T: [100 * value for value in values] for T, values in sweep.items()}
        alone = [100 * value for value in metrics["alone"][student]]
        rows.append([f"{student}, alone", percent(mean_interval(alone)), "", ""])
        for T in sorted(points, key=float):
            chosen = " (best on validation)" * (metrics["chosen"][student] == float(T))
            against = "" if rule == T else compared(points[rule], points[T])
            told = [percent(mean_interval(points[T])), compared(alone, points[T]), against]
            rows.append([f"{student}, T = {T}{chosen}", *told])
    heads = ["student", "accuracy, %", "against alone, points", f"against T = {rule}"]
    return [Table(heads, rows)]


def _compression(record: Record) -> list[Table]:
    measured, keys = record["metrics"], ("accuracy", "agreement", "calibration_error")
    arms = tables.arms_table(measured["arms"], keys=keys)
    return [_setup(record), arms, tables.cost_table(measured["costs"])]


def _setup(record: Record) -> Table:
    """What a compressed network was made with: data, networks, machine."""
    told = record["parameters"]
    students = f"{', '.join(told['students'])} at width {told['student_width']:g}"
    teacher = f"{told['teacher']} at width {told['teacher_width']:g}"
    return Table(
        ["record", record["profile"]],
        [
            ["data", f"{told['dataset']}, the students see {told['transfer_size']:,} images"],
            ["teacher", f"{teacher}, {told['teacher_epochs']} epochs"],
            ["students", f"{students}, {told['epochs']} epochs, {len(told['seeds'])} seeds"],
            ["made", provenance(record)],
        ],
    )


# Accuracies in % that Romero et al. 2014 (arXiv 1412.6550) report for MNIST.
_PAPER = {"teacher": "99.45", "alone": "98.10", "KD": "99.35", "hint, then KD": "99.49"}


def _hints(record: Record) -> list[Table]:
    """Every arm with and without hints, beside the paper's, against the student alone and KD:
    what the hint gains is told from what the soft targets do.
    """
    metrics = record["metrics"]
    counts = metrics["parameters"]
    points = {arm: [100 * value for value in values] for arm, values in metrics["arms"].items()}
    teacher = f"{100 * metrics['teacher']['accuracy']:.2f}"
    rows = [[f"teacher ({counts['teacher']:,} parameters)", teacher, "", "", _PAPER["teacher"]]]
    for arm, values in points.items():
        gains = [
            "" if arm in (of, "alone") else compared(points[of], values) for of in ("alone", "KD")
        ]
        name = f"student, {arm}" + f" ({counts['student']:,})" * (arm == "alone")
        rows.append([name, percent(mean_interval(values)), *gains, _PAPER.get(arm, "")])
    if mistake := metrics.get("collapse"):
        first, *_, last = mistake["size"]
        side = f"regressor on the teacher's side (its target: {first:.2f} → {last:.2f})"
        rows.append([f"student, {side}", f"{100 * mistake['accuracy']:.2f}", "", "", ""])
    heads = ["network", "accuracy, %", "against alone, points", "against KD, points", "paper, %"]
    return [Table(heads, rows)]


def _schedules(record: Record) -> list[Table]:
    measured = record["metrics"]
    return [tables.corrected_table(measured["arms"], baseline=measured["baseline"])]


_KINDS: tuple[tuple[set[str], str, Callable[[Record], list[Table]]], ...] = (
    ({"alone", "sweep", "chosen"}, "which temperature, with {transfer_size:,} images?", _sweep),
    ({"arms", "costs"}, "compression and its controls.", _compression),
    ({"arms", "parameters"}, "hints from a hidden layer (paper: Romero and others, 2014).", _hints),
    ({"arms", "baseline"}, "does a changing temperature help?", _schedules),
    ({"alone", "distilled"}, "", _by_size),
)
