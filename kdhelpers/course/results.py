"""Tables made from a lesson's record: its results, its setting, and where it comes from."""

from collections.abc import Mapping
from typing import Any

from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table, compared, made_of, percent


@made_of("results of a lesson")
def provenance(record: Mapping[str, Any]) -> str:
    """One sentence on where a record comes from: data, device, seeds, versions, date, commit.

    Raises:
        ValueError: a record without these.
    """
    parameters, environment = record["parameters"], record["environment"]
    versions = environment.get("versions", {})
    seconds, commit = record["seconds"], str(environment.get("commit", "unknown"))
    lasted = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    return (
        f"{parameters['dataset']}, {len(parameters['seeds'])} seeds, "
        f"{environment['device']}, {_threads(environment)}, "
        f"PyTorch {versions.get('torch', 'unknown')}, {lasted}, "
        f"{str(environment.get('date', 'no date'))[:10]}, "
        f"commit {commit[:12]}{' with changes' * commit.endswith('-dirty')}"
    )


def _seeds(parameters: Mapping[str, Any]) -> str:
    """How many students there are of an arm; a control may have fewer."""
    seeds, fewer = (len(parameters.get(key) or ()) for key in ("seeds", "control_seeds"))
    return f"{seeds} seeds" + f" (controls: {fewer})" * (0 < fewer < seeds)


def _threads(environment: Mapping[str, Any]) -> str:
    threads = environment.get("threads", 0)
    return f"{threads} thread{'s' * (threads != 1)}"


@made_of("results of lesson 02")
def sweep_table(record: Mapping[str, Any]) -> Table:
    """Accuracy in % of every student at every temperature, from a record of lesson 02.

    Each temperature is compared, seed by seed, with the student alone and with the rule of
    thumb that the record's parameters name.

    Raises:
        ValueError: a record of something else.
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
            against = "" if temperature == rule else compared(points[rule], values)
            rows.append(
                [
                    f"{student}, T = {temperature}{chosen}",
                    percent(mean_interval(values)),
                    compared(alone, values),
                    against,
                ]
            )
    return Table(["student", "accuracy, %", "against alone, points", f"against T = {rule}"], rows)


@made_of("results of lesson 03")
def setup(record: Mapping[str, Any]) -> Table:
    """What a record of lesson 03 was made with: data, networks, machine; two columns.

    Raises:
        ValueError: a record of something else.
    """
    parameters = record["parameters"]
    networks = [
        f"{parameters[role] if isinstance(parameters[role], str) else ', '.join(parameters[role])}"
        f" at width {parameters[width]:g}, {parameters[epochs]} epochs"
        for role, width, epochs in (
            ("teacher", "teacher_width", "teacher_epochs"),
            ("students", "student_width", "epochs"),
        )
    ]
    images = parameters["transfer_size"]
    return Table(
        ["record", str(record["profile"] or "plain papermill")],
        [
            ["data", f"{parameters['dataset']}, the students see {images:,} images"],
            ["teacher", networks[0]],
            ["students", f"{networks[1]}, {_seeds(parameters)}"],
            ["made", provenance(record)],
        ],
    )


# Accuracies in % that Romero et al. 2014 (arXiv 1412.6550) report, by data set and network.
_FITNETS = {
    "mnist": {"teacher": 99.45, "alone": 98.10, "KD": 99.35, "hint, then KD": 99.49},
    "cifar10 fitnet1": {"teacher": 90.18, "hint, then KD": 89.01},
    "cifar10 fitnet2": {"teacher": 90.18, "hint, then KD": 91.06},
    "cifar10 fitnet3": {"teacher": 90.18, "hint, then KD": 91.10},
    "cifar10 fitnet4": {"teacher": 90.18, "hint, then KD": 91.61},
}


@made_of("results of lesson 04")
def hints_table(record: Mapping[str, Any]) -> Table:
    """Accuracy in % of every arm of lesson 04, from its record, beside the paper's.

    Each arm is compared, seed by seed, with the student alone and with KD, the baseline that
    tells the hint's gain from that of the soft targets.

    Raises:
        ValueError: a record of something else.
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
            "" if arm in (arm_0, "alone") else compared(points[arm_0], values)
            for arm_0 in ("alone", "KD")
        ]
        named = f"student, {arm} ({counts['student']:,})" if arm == "alone" else f"student, {arm}"
        rows.append([named, percent(mean_interval(values)), *against, _reported(paper, arm)])
    if mistake := metrics.get("collapse"):
        first, *_, last = mistake["size"]
        side = f"regressor on the teacher's side (its target: {first:.2f} → {last:.2f})"
        rows.append([f"student, {side}", f"{100 * mistake['accuracy']:.2f}", "", "", ""])
    return Table(
        ["network", "accuracy, %", "against alone, points", "against KD, points", "paper, %"], rows
    )


def _reported(paper: Mapping[str, float], arm: str = "teacher") -> str:
    return f"{paper[arm]:.2f}" if arm in paper else ""
