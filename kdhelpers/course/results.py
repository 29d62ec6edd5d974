"""What a record says, in words and in tables: for README, report and notebooks alike.

A record carries the tables to be shown. The first five have none; what they measured tells which
tables they need.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kdhelpers.stats import tables as _tables
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table, compared, made_of, percent

__all__ = ["Recorded", "markdown", "provenance", "tables", "title"]


def provenance(record: Mapping[str, Any]) -> str:
    """One sentence on where a record comes from: data, seeds, device, versions, date, commit.

    It leaves out data and seeds where the record's parameters do not name them.

    Raises:
        ValueError: no record.
    """
    parameters, environment = _mapping(record, "parameters"), _mapping(record, "environment")
    versions = _mapping(environment, "versions")
    seconds, commit = record["seconds"], str(environment.get("commit") or "unknown")
    lasted = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    threads = environment.get("threads", "unknown")
    seeds = parameters.get("seeds")
    told = [str(parameters["dataset"])] if "dataset" in parameters else []
    told += [f"{len(seeds)} seeds"] if isinstance(seeds, list) else []
    told += [str(environment.get("device", "unknown device"))]
    told += [
        f"{threads} thread{'s' * (threads != 1)}",
        f"PyTorch {versions.get('torch', 'unknown')}",
    ]
    told += [lasted, str(environment.get("date", "no date"))[:10]]
    return ", ".join([*told, f"commit {commit[:12]}{' with changes' * commit.endswith('-dirty')}"])


def _mapping(parent: Any, key: str) -> Mapping[str, Any]:
    found = parent.get(key) if isinstance(parent, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str:
    """A text on one line of Markdown, and no tag of HTML."""
    return html.escape(" ".join(str(value).split()), quote=False)


def title(record: Mapping[str, Any]) -> str:
    """What the record is about, in the README: its lesson's number, and its headline."""
    number, headline = record["notebook"].partition("_")[0], record["metrics"].get("headline", "")
    words = next((words for known, words, _ in _OLDER if known(record)), None)
    told = f" {words(record)}" if words else ""
    return f"**Lesson {_text(number)}**:{told} *{_text(headline)}*"


@made_of("results of a lesson")
def tables(record: Mapping[str, Any]) -> dict[str, Table]:
    """The tables to be shown of a record, by title; the older ones' titles are empty or numbers.

    Raises:
        ValueError: a record without tables, whose metrics are not those that they seem to be.
    """
    if "tables" in record:
        return {title: Table(**shown) for title, shown in record["tables"].items()}
    for known, _, make in _OLDER:
        if known(record):
            return {" " * number: table for number, table in enumerate(make(record))}
    return {}


def markdown(record: Mapping[str, Any], *, folded: bool = False) -> str:
    """The record's provenance and tables; `folded` below its title, for a page of many."""
    shown = tables(record).items()
    body = "\n\n".join(
        f"**{_text(name)}**\n\n" * bool(name.strip()) + table._repr_markdown_()
        for name, table in shown
    )
    told = _text(provenance(record))
    if not folded:
        return f"{told}\n\n{body}"
    return f"{title(record)}\n\n<details><summary>{told}</summary>\n\n{body}\n\n</details>"


class Recorded(list[dict[str, Any]]):
    """Recorded runs of a lesson; a notebook shows where each comes from, and its tables."""

    def __init__(self, lesson: str, records: Sequence[dict[str, Any]]) -> None:
        super().__init__(records)
        self.lesson = lesson

    @property
    def _none(self) -> str:
        number = self.lesson.partition("_")[0]
        return f"No record here yet: kdhelpers run {number} --profile full"

    def _repr_markdown_(self) -> str:
        shown = [f"Profile `{_text(each['profile'])}`: {markdown(each)}" for each in self]
        return "\n\n".join(shown) or self._none

    def __repr__(self) -> str:
        shown = [
            "\n\n".join([provenance(each), *(f"{name.strip()}\n{table!r}".lstrip()
                                             for name, table in tables(each).items())])
            for each in self
        ]  # fmt: skip
        return "\n\n".join(shown) or self._none


# -- the first five records, which carry no tables ------------------------------------------------


def _by_size(record: Mapping[str, Any]) -> list[Table]:
    measured = record["metrics"]
    return [_tables.transfer_table(
        measured["alone"], measured["distilled"], measured["teacher"]["accuracy"]
    )]  # fmt: skip


@made_of("a sweep of temperatures")
def sweep_table(record: Mapping[str, Any]) -> Table:
    """Accuracy in % of every student at every temperature.

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


@made_of("results of a compression")
def setup(record: Mapping[str, Any]) -> Table:
    """What a compressed network was made with: data, networks, machine; two columns.

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


def _seeds(parameters: Mapping[str, Any]) -> str:
    """How many students there are of an arm; a control may have fewer."""
    seeds, fewer = (len(parameters.get(key) or ()) for key in ("seeds", "control_seeds"))
    return f"{seeds} seeds" + f" (controls: {fewer})" * (0 < fewer < seeds)


# Accuracies in % that Romero et al. 2014 (arXiv 1412.6550) report, by data set and network.
_FITNETS = {
    "mnist": {"teacher": 99.45, "alone": 98.10, "KD": 99.35, "hint, then KD": 99.49},
    "cifar10 fitnet1": {"teacher": 90.18, "hint, then KD": 89.01},
    "cifar10 fitnet2": {"teacher": 90.18, "hint, then KD": 91.06},
    "cifar10 fitnet3": {"teacher": 90.18, "hint, then KD": 91.10},
    "cifar10 fitnet4": {"teacher": 90.18, "hint, then KD": 91.61},
}


@made_of("results of hints")
def hints_table(record: Mapping[str, Any]) -> Table:
    """Accuracy in % of every arm with and without hints, beside the paper's.

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


def _compression(record: Mapping[str, Any]) -> list[Table]:
    measured, keys = record["metrics"], ("accuracy", "agreement", "calibration_error")
    arms = _tables.arms_table(measured["arms"], keys=keys)
    return [setup(record), arms, _tables.cost_table(measured["costs"])]


def _schedules(record: Mapping[str, Any]) -> list[Table]:
    measured = record["metrics"]
    return [_tables.corrected_table(measured["arms"], baseline=measured["baseline"])]


def _holds(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda record: "tables" not in record and record["metrics"].keys() >= set(keys)


def _images(record: Mapping[str, Any]) -> str:
    return f"which temperature, with {record['parameters']['transfer_size']:,} images?"


def _hints(record: Mapping[str, Any]) -> str:
    return "hints from a hidden layer (paper: Romero and others, 2014)."


Make = Callable[[Mapping[str, Any]], Any]
# What the metrics hold; what the README says of them before the headline; the tables.
_OLDER: tuple[tuple[Make, Make, Make], ...] = (
    (_holds("alone", "sweep", "chosen"), _images, lambda record: [sweep_table(record)]),
    (_holds("arms", "costs"), lambda record: "compression and its controls.", _compression),
    (_holds("arms", "parameters"), _hints, lambda record: [hints_table(record)]),
    (_holds("arms", "baseline"), lambda record: "does a changing temperature help?", _schedules),
    (_holds("alone", "distilled"), lambda record: "", _by_size),
)
