"""A record: one run of a lesson as JSON, with everything needed to trust and repeat its numbers.

A lesson's last cell writes it, the runner completes it (`complete`), and README, report and
notebooks show what it says. It names no folder, host or user of the machine.
"""

import glob
import html
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kdhelpers._files import read_text, write_text
from kdhelpers._values import is_number, processors, short_path, short_repr
from kdhelpers.course.root import CourseError, carried, home, unless_lost

if TYPE_CHECKING:
    from kdhelpers.stats.tables import Table

# The lesson's parameter that says where to write; it is no setting of the experiment.
RECORD_FILE = "record_file"
WHERE = ("data_root", "device", "workers", "parts_dir")  # networks train, not how
PACKAGES = ("kdhelpers", "torch", "torchvision", "numpy", "scikit-learn", "papermill", "ipykernel")

# `profile` is None when plain papermill ran the lesson.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "notebook": str,
    "profile": (str, type(None)),
    "parameters": dict,
    "metrics": dict,
    "environment": dict,
    "seconds": (int, float),
}
TABLES = "tables"  # a seventh field: the tables to be shown, by title; a record may have none


# -- writing --------------------------------------------------------------------------------------


def write_record(
    record_file: str | Path,
    *,
    notebook: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    device: object,
    started: float,
    tables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the record of a lesson; `Lesson.record` calls this in its last cell.

    Args:
        record_file: where to write it as JSON, creating folders; "" writes nothing.
        notebook: the lesson's name, "01_mnist_kd".
        metrics: what was measured. A short text under the key "headline" appears in the table
            that ends a run.
        device: where it was computed, a `torch.device` or its name.
        started: the value of `time.perf_counter()` in the lesson's first cell.
        tables: what to show of it: for each title {"headers": […], "rows": [[…], …]}, all text.

    Raises:
        CourseError: a value is not plain JSON (NaN, an array, …), and the message names its key.
        OSError: the file cannot be written.
    """
    record: dict[str, Any] = {
        "notebook": notebook,
        "profile": None,
        "parameters": {k: v for k, v in parameters.items() if k != RECORD_FILE},
        "metrics": dict(metrics),
        "environment": environment(device),
        "seconds": round(time.perf_counter() - started, 2),
    }
    if tables is not None:
        record[TABLES] = tables
    try:
        record = {key: without_folders(value) for key, value in _checked(record).items()}
    except ValueError as error:
        raise CourseError(str(error).rstrip(".")) from error
    if record_file:
        _write(Path(record_file), record)
    return record


def complete(path: Path, run: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Add to the record at `path` what only the runner knows, and return the whole.

    Args:
        run: the run's notebook, profile, parameters, and lesson, the digest of its code, which
            goes into the environment: `Plan.identity`.

    Of a parameter that a cell has changed before `kd.lesson` it goes on to tell the lesson's value.
    """
    record = read_record(path)
    told = without_folders(dict(run))
    for name in changed(record, run["parameters"]):
        told["parameters"][name] = record["parameters"][name]
    record["environment"]["lesson"] = told.pop("lesson")
    record |= told | {"seconds": round(seconds, 2)}
    _write(path, record)
    return record


def changed(record: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """Which of the parameters, places left out, had another value in the run of this record."""
    return [
        name
        for name, value in record["parameters"].items()
        if not is_place(name)
        and value != without_folders(given := parameters.get(name, value))
        and not (isinstance(given, str) and value == Path(given).name)
    ]


def belongs_to(record: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Whether `complete` made this record of that very run; it is as there."""
    found = {key: record[key] for key in ("notebook", "profile", "parameters")}
    found["lesson"] = record["environment"].get("lesson")
    return bool(found == without_folders(dict(run)))


def plain(value: Any, name: str) -> Any:
    """`value` as JSON can hold it: scalars of numpy become numbers, tuples become lists.

    So it can be written into a notebook as a literal, never as code, and into a record unchanged.

    Args:
        name: what the value is called in an error message.

    Raises:
        ValueError: it holds NaN or infinity, an array, an object, a key that is not text …; the
            message names the key.
    """
    try:
        return _plain(value, name)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply.") from None


def _plain(value: Any, name: str) -> Any:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        try:
            value = value.item()
        except Exception as error:  # a tensor without values; PyTorch is not known here
            raise ValueError(f"{name} has no value that could be read.") from error
    match value:
        case None | bool():
            return value
        case int():
            if not -(2**63) <= value < 2**64:
                raise ValueError(f"{name} does not fit in 64 bits.")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}; write None where there is no number.")
            return float(value)
        case str():
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                raise ValueError(f"{name} is not valid Unicode text.")
            return value
        case list() | tuple():
            return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
        case dict():
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise ValueError(f"{name} has the key {wrong[0]!r}, and keys must be text.")
            return {_plain(key, name): _plain(v, f"{name}[{key!r}]") for key, v in value.items()}
    raise ValueError(
        f"{name} is of type {type(value).__name__}, but only numbers, text, true, false, None, "
        "lists and dicts can be stored."
    )


def is_place(parameter: str) -> bool:
    """Whether it says where networks train or files lie, which changes no result."""
    return parameter in WHERE or parameter.endswith("_dir")


def without_folders(value: Any) -> Any:
    """The value with every absolute path cut to its last part."""
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name or value
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    return value


def _write(path: Path, record: dict[str, Any]) -> None:
    write_text(path, json.dumps(record, ensure_ascii=False, allow_nan=False, indent=2) + "\n")


# -- what the numbers depend on besides the parameters --------------------------------------------


def environment(device: object) -> dict[str, Any]:
    """Versions, machine, commit, date (UTC); `device` is a `torch.device` or its name."""
    name = device if isinstance(device, str) else short_path(device)[1:-1]
    torch = sys.modules.get("torch")  # no tensors here, but the lesson may have loaded it
    if torch and "cuda" in name:
        with suppress(Exception):  # a name that is none: the record tells it as it is
            name = f"{name} ({torch.cuda.get_device_name(name)})"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "device": name,
        "threads": int(torch.get_num_threads()) if torch else processors(),
        "versions": _versions(),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    with suppress(OSError):  # only Linux has it
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    import importlib.metadata  # `kdhelpers list` need not wait for it

    versions = {}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _commit() -> str | None:
    """The package's commit, "-dirty" if tracked files differ; None if it is no repository."""
    ask = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        root = carried()  # of the package that runs: the lesson's code has its own digest
        if not (root / ".git").exists():  # a copy inside some other repository is not at its commit
            return None
        # A hook of git's says in GIT_DIR which repository it is of: not of ours.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        told = subprocess.run(
            ask, cwd=root, env=clean, capture_output=True, text=True, check=True, timeout=20
        )
    except (CourseError, OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()


# -- reading --------------------------------------------------------------------------------------


def load_records(notebook: str, folder: Path | None = None) -> list[dict[str, Any]]:
    """The records `<notebook>*.json` of one lesson in `folder` (the course's `results/`), by name.

    Raises:
        CourseError: a file is not a record of this lesson, and the message names the file.
    """
    folder = folder or home() / "results"
    with unless_lost(f"{short_path(folder)} cannot be read"):
        paths = sorted(folder.glob(f"{glob.escape(notebook)}*.json"))
    records = {path: read_record(path) for path in paths}
    for path, record in records.items():
        if record["notebook"] != notebook:
            raise CourseError(f"{path} is a record of {record['notebook']!r}, not of {notebook!r}")
    return list(records.values())


def read_record(path: Path) -> dict[str, Any]:
    """One record, checked to have the keys and types that every record has.

    Raises:
        CourseError: the file cannot be read or is not a record; the message names the file.
    """
    record = read_json(path)
    try:
        return _checked(record)
    except ValueError as error:
        raise CourseError(f"{short_path(path)[1:-1]} is not a record: {error}") from error


def read_json(path: Path) -> Any:
    """What a JSON file holds: neither NaN nor a key twice.

    Raises:
        CourseError: the file cannot be read or is not JSON; the message names the file.
    """
    where = short_path(path)[1:-1]
    try:
        return json.loads(read_text(path), parse_constant=_refuse, object_pairs_hook=_once)
    except OSError as error:
        raise CourseError(f"{where} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise CourseError(f"{where} is not valid JSON ({reason})") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it contains {constant}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping in which no key stands twice: one of the two values would be lost unseen."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"it has the key {short_repr(key)} twice")
        made[key] = value
    return made


def _checked(record: Any) -> dict[str, Any]:
    """The same record as plain data with its keys in order, or a ValueError."""
    if not isinstance(record, dict) or record.keys() - {TABLES} != FIELDS.keys():
        raise ValueError(f"its keys must be {', '.join(FIELDS)}")
    for key, kind in FIELDS.items():
        if not isinstance(record[key], kind) or isinstance(record[key], bool):
            raise ValueError(f"{key!r} is of the wrong type ({type(record[key]).__name__})")
    if record["seconds"] < 0:
        raise ValueError("'seconds' is negative")
    checked = {key: plain(record[key], key) for key in FIELDS}
    if TABLES not in record:
        return checked
    shown = plain(record[TABLES], TABLES)
    if not isinstance(shown, dict) or not all(map(_is_table, shown.values())):
        raise ValueError("'tables' must give each title 'headers' and 'rows' of as many texts")
    return checked | {TABLES: shown}


def _is_table(table: Any) -> bool:
    match table:
        case {"headers": [_, *_] as headers, "rows": [*rows], **more} if not more:
            lines = [headers, *rows]
            right = (isinstance(line, list) and len(line) == len(headers) for line in lines)
            return all(right) and all(isinstance(cell, str) for line in lines for cell in line)
    return False


# -- what a record says, in words and in tables ---------------------------------------------------


def provenance(record: Mapping[str, Any]) -> str:
    """One sentence on where a record comes from: data, seeds, device, versions, date, commit.

    It leaves out data and seeds where the record's parameters do not name them. Of a record that
    is joined from parts it tells the precision and the time of all parts, and their commits.
    """
    environment = record["environment"]
    versions = environment.get("versions")
    torch = versions.get("torch") if isinstance(versions, Mapping) else None
    parts = joined(record)
    seconds = parts["seconds"] if parts else record["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    threads, commits = environment.get("threads", "unknown"), [str(environment.get("commit"))]
    made = parts.get("commits") or commits
    told = [
        data_and_seeds(record),
        str(environment.get("device", "unknown device")),
        f"{threads} thread{'s' * (threads != 1)}",
        f"PyTorch {torch or 'unknown'}",
        " and ".join(parts.get("precisions", [])),
        f"{parts['count']} trainings, {took} in all" if parts else took,
        str(environment.get("date", "no date"))[:10],
        _at(commits) if made == commits else f"collected at {_at(commits)}, trained at {_at(made)}",
    ]
    return ", ".join(filter(None, told))


def joined(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What it tells of its parts; empty if it has none, or a lesson calls something else so."""
    parts = record["metrics"].get("parts")
    told = isinstance(parts, Mapping) and map(parts.get, ("count", "seconds"))
    return parts if told and all(map(is_number, told)) else {}


def data_and_seeds(record: Mapping[str, Any]) -> str:
    """ "mnist, 5 seeds": what of the two the record's parameters name."""
    data, seeds = (record["parameters"].get(name) for name in ("dataset", "seeds"))
    told = [str(data or ""), f"{len(seeds)} seeds" if isinstance(seeds, list) else ""]
    return ", ".join(filter(None, told))


def profile(record: Mapping[str, Any]) -> str:
    """What ran the lesson: the profile of ours, or papermill's own command."""
    return str(record["profile"] or "plain papermill")


def _at(commits: Sequence[str]) -> str:
    """One commit by its name, several by their number."""
    changed = any(commit.endswith("-dirty") for commit in commits)
    if len(commits) > 1:
        return f"{len(commits)} commits{', some with changes' * changed}"
    known = commits[0][:12] if commits[0] != "None" else "unknown"
    return f"commit {known}{' with changes' * changed}"


def expected(notebook: str, profile: str, parameters: Mapping[str, Any]) -> str:
    """What the recorded run of a long profile took, in a sentence; "" if there is none.

    Those of its parameters that are others here, and so may be the time, are named; folders,
    files of weights and where it trains count as the same.
    """
    own = without_folders(dict(parameters))
    with suppress(CourseError):  # a file that is no record stops no run
        for record in load_records(notebook):
            if record["profile"] == profile:
                other = [
                    name for name, value in record["parameters"].items()
                    if own.get(name, value) != value
                    and not is_place(name) and not name.endswith("_weights")
                ]  # fmt: skip
                yours = f"; other here: {', '.join(other)}" if other else ""
                told = f"{notebook}, profile {profile}; its recorded run: {provenance(record)}"
                return told + yours
    return ""


def read_or_made(record: Mapping[str, Any]) -> str:
    """Of a record that is joined from parts how many runs were read; "" if none was."""
    folder = record["parameters"].get("parts_dir")
    parts = joined(record) if folder else {}
    if not parts or parts.get("made", parts["count"]) == parts["count"]:
        return ""
    count, made = parts["count"], parts["made"]
    told = f"{made} of {count} runs made now, the others were read from {folder}"
    return f"{told}; to make all of them: -p parts_dir EMPTY_FOLDER"


def text(value: object) -> str:
    """A text on one line of Markdown, and no tag of HTML."""
    return html.escape(" ".join(str(value).split()), quote=False)


def tables(record: Mapping[str, Any]) -> "dict[str, Table]":
    """The tables to be shown of a record, by title."""
    from kdhelpers.stats.tables import Table  # scipy takes a second to import

    return {title: Table(**shown) for title, shown in record.get(TABLES, {}).items()}


def markdown(record: Mapping[str, Any]) -> str:
    """Where the record comes from, and its tables."""
    shown = tables(record).items()
    body = [f"**{text(name)}**\n\n{table._repr_markdown_()}" for name, table in shown]
    return "\n\n".join([text(provenance(record)), *body])


class Recorded(list[dict[str, Any]]):
    """Recorded runs of a lesson; a notebook shows where each comes from, and its tables."""

    def __init__(self, lesson: str) -> None:
        super().__init__(load_records(lesson))
        self.lesson = lesson

    def _repr_markdown_(self) -> str:
        return self._joined(f"Profile `{text(profile(each))}`: {markdown(each)}" for each in self)

    def __repr__(self) -> str:
        return self._joined(
            "\n\n".join([provenance(each), *(f"{name}\n{t!r}" for name, t in tables(each).items())])
            for each in self
        )

    def _joined(self, shown: Iterable[str]) -> str:
        number = self.lesson.partition("_")[0]
        return "\n\n".join(shown) or f"No record here yet: `kdhelpers run {number} --profile full`"
