"""A record: one run of a lesson as JSON, with everything needed to trust and repeat its numbers.

A lesson's last cell writes it (`write_record`), the runner completes it (`complete`), and tables
and reports are made from it (`load_records`). It names no folder, host or user of the machine.
"""

import glob
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from kdhelpers._files import write_text
from kdhelpers._values import is_number, short_path, short_repr
from kdhelpers.course.environment import environment
from kdhelpers.course.lessons import CourseError, find_root, wanted
from kdhelpers.course.parameters import plain

__all__ = ["belongs_to", "complete", "load_records", "read_json", "read_record"]
__all__ += ["without_folders", "write_record"]

# The lesson's parameter that says where to write; it is no setting of the experiment.
RECORD_FILE = "record_file"

LONGEST = 1e15  # seconds of a run, or since the clock began

# `profile` is None when plain papermill ran the lesson.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "notebook": str,
    "profile": (str, type(None)),
    "parameters": dict,
    "metrics": dict,
    "environment": dict,
    "seconds": (int, float),
}


def write_record(
    record_file: str | Path,
    *,
    notebook: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    device: object,
    started: float,
) -> dict[str, Any]:
    """Make the record of a lesson; its last cell calls this.

    Args:
        record_file: where to write it as JSON, creating folders; "" writes nothing.
        notebook: the lesson's name, "01_mnist_kd".
        metrics: what was measured. A short text under the key "headline" appears in the table
            that ends a run.
        device: where it was computed, a `torch.device` or its name.
        started: the value of `time.perf_counter()` in the lesson's first cell.

    Raises:
        CourseError: a value is not plain JSON (NaN, an array, …), and the message names its key;
            or an argument is of another type.
        OSError: the file cannot be written.
    """
    wanted(record_file, str, Path, name=RECORD_FILE)
    wanted(parameters, Mapping, name="parameters")
    wanted(metrics, Mapping, name="metrics")
    if not is_number(started) or not abs(started) < LONGEST:
        raise CourseError(
            f"started must be the time of time.perf_counter(), not {short_repr(started)}"
        )
    record = {
        "notebook": notebook,
        "profile": None,
        "parameters": {k: v for k, v in parameters.items() if k != RECORD_FILE},
        "metrics": dict(metrics),
        "environment": environment(device),
        "seconds": round(time.perf_counter() - started, 2),
    }
    try:
        record = {key: without_folders(value) for key, value in _checked(record).items()}
    except ValueError as error:
        raise CourseError(str(error)) from error
    if record_file:
        _write(Path(record_file), record)
    return record


def complete(
    path: Path,
    *,
    notebook: str,
    profile: str,
    parameters: Mapping[str, Any],
    lesson: str,
    seconds: float,
) -> dict[str, Any]:
    """Add to the record at `path` what only the runner knows, and return the whole.

    Args:
        lesson: the digest of the lesson's code; it goes into the environment.

    Raises:
        CourseError: the file is missing or is not a record, or an argument is of another type.
        OSError: the file cannot be written.
    """
    wanted(lesson, str, name="lesson")
    wanted(parameters, Mapping, name="parameters")
    if not is_number(seconds) or not 0 <= seconds < LONGEST:
        raise CourseError(f"seconds must be a number from 0, not {short_repr(seconds)}")
    record = read_record(path)
    record |= {
        "notebook": notebook,
        "profile": profile,
        "parameters": without_folders(dict(parameters)),
        "environment": record["environment"] | {"lesson": lesson},
        "seconds": round(float(seconds), 2),
    }
    try:
        record = _checked(record)
    except ValueError as error:
        raise CourseError(f"this makes no record: {error}") from error
    _write(Path(path), record)
    return record


def belongs_to(
    record: Mapping[str, Any],
    *,
    notebook: str,
    profile: str,
    parameters: Mapping[str, Any],
    lesson: str,
) -> bool:
    """Whether `complete` made this record of that very run; arguments as there.

    Raises:
        CourseError: `record` is no record, or an argument is of another type.
    """
    for name, value in (("notebook", notebook), ("profile", profile), ("lesson", lesson)):
        wanted(value, str, type(None), name=name)
    wanted(parameters, Mapping, name="parameters")
    wanted(record, Mapping, name="record")
    if not record.keys() >= FIELDS.keys() or not isinstance(record["environment"], Mapping):
        raise CourseError(f"a record has the keys {', '.join(FIELDS)}")
    found = [record[key] for key in ("notebook", "profile", "parameters")]
    found.append(record["environment"].get("lesson"))
    return found == [notebook, profile, without_folders(dict(parameters)), lesson]


def load_records(notebook: str, folder: Path | None = None) -> list[dict[str, Any]]:
    """The records `<notebook>*.json` of one lesson in `folder` (the course's `results/`), by name.

    Raises:
        CourseError: a file is not a record of this lesson, and the message names the file; or an
            argument is of another type.
    """
    wanted(notebook, str, name="notebook")
    wanted(folder, Path, str, type(None), name="folder")
    if not notebook or "/" in notebook or "\0" in notebook:
        raise CourseError(f"a lesson's name is no path, but this is {short_repr(notebook)}")
    folder = find_root() / "results" if folder is None else Path(folder)
    try:
        paths = sorted(folder.glob(f"{glob.escape(notebook)}*.json"))
    except OSError as error:  # longer than a path can be
        raise CourseError(f"{short_path(folder)} cannot be read: {error.strerror}") from error
    records = [read_record(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        if record["notebook"] != notebook:
            raise CourseError(f"{path} is a record of {record['notebook']!r}, not of {notebook!r}")
    return records


def read_record(path: Path) -> dict[str, Any]:
    """One record, checked to have exactly the keys and types that every record has.

    Raises:
        CourseError: the file cannot be read or is not a record; the message names the file.
    """
    wanted(path, str, Path, name="the file of a record")
    where = short_path(path)[1:-1]
    record = read_json(Path(path), where)
    try:
        return _checked(record)
    except ValueError as error:
        raise CourseError(f"{where} is not a record: {error}") from error


def read_json(path: Path, where: str) -> Any:
    """What a JSON file holds: neither NaN nor a key twice; `where` names the file in a message.

    Raises:
        CourseError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), parse_constant=_refuse, object_pairs_hook=_once
        )
    except OSError as error:
        raise CourseError(f"{where} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CourseError(f"{where} is not valid JSON ({_first_line(error)})") from error


def _checked(record: Any) -> dict[str, Any]:
    """The same record as plain data with its keys in order, or a ValueError."""
    if not isinstance(record, dict) or record.keys() != FIELDS.keys():
        raise ValueError(f"its keys must be {', '.join(FIELDS)}")
    for key, kind in FIELDS.items():
        if not isinstance(record[key], kind) or isinstance(record[key], bool):
            raise ValueError(f"{key!r} is of the wrong type ({type(record[key]).__name__})")
    if record["seconds"] < 0:
        raise ValueError("'seconds' is negative")
    return {key: plain(record[key], key) for key in FIELDS}


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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping in which no key stands twice: one of the two values would be lost unseen."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has the key {short_repr(twice)} twice")
    return made


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it contains {constant}")
