"""What a sweep's folder holds: a list of the points, a folder of each, and one table of them all.

The table is a function of what lies there, so it does not matter in how many attempts the records
came about.
"""

import csv
import io
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from kdhelpers._files import atomic, write_text
from kdhelpers._values import short_path
from kdhelpers.course import records
from kdhelpers.course.plans import Point
from kdhelpers.course.records import without_folders
from kdhelpers.course.root import CourseError

LIST, FAILURE = "sweep.json", "failure.txt"
ONE = ("notebook", "profile", "lesson")  # what all points have in common
LARGEST = 1e30  # that a mean and an axis have room for


@dataclass(frozen=True)
class Row:
    """One point: its values in the grid, and what came of it.

    `status` is "ok", "failed" (`failure` says why) or "missing"; only "ok" has `metrics`, what
    the record holds by dotted name: scalars, and lists of one number for each of the run's seeds.
    """

    values: dict[str, Any]
    status: str
    seconds: float | None
    metrics: dict[str, Any]
    failure: str
    point: str


def place_of(folder: Path, name: str) -> Path:
    return folder / "points" / name


def write_list(folder: Path, points: Sequence[Point]) -> None:
    """Write down which points the sweep has."""
    identity = points[0].plan.identity
    content = {key: identity[key] for key in ONE} | {
        "points": [
            {"folder": point.folder}
            | without_folders({"values": point.values, "parameters": point.plan.parameters})
            for point in points
        ]
    }
    write_text(folder / LIST, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_failure(folder: Path, point: Point, failure: str) -> Row:
    """Keep the reason of a failure beside the executed notebook; return the point's row."""
    write_text(place_of(folder, point.folder) / FAILURE, failure + "\n")
    return Row(dict(point.values), "failed", None, {}, failure, point.folder)


def finished(folder: Path, point: Point) -> bool:
    """Whether the point has a readable record of the same lesson, profile and parameters.

    The lesson is the same if the code of its cells is. Whether the package has changed is not
    asked: every record names the commit.
    """
    return _record(folder, point.folder, point.plan.identity) is not None


def rows(folder: Path) -> list[Row]:
    """The points of the sweep in `folder`, in the order of its grid.

    Raises:
        CourseError: there is no list of points, or it is damaged.
    """
    content = records.read_json(folder / LIST)
    try:
        content = records.plain(content, LIST)
        one = {key: _name(content[key]) for key in ONE}
        points = [
            (_name(each["folder"]), dict(each["values"].items()), dict(each["parameters"].items()))
            for each in content["points"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = short_path(folder / LIST)[1:-1]
        raise CourseError(f"{where} is not the list of a sweep's points") from error
    return [_row(folder, *point, one) for point in points]


def _name(value: Any) -> str:
    """A name that leads nowhere else: it is looked for inside the sweep's folder."""
    if not re.fullmatch(r"(?!\.\.$)[^/\\\0]+", value, re.DOTALL):
        raise ValueError("it is no name")
    return str(value)


def _row(
    folder: Path, name: str, values: dict[str, Any], parameters: dict[str, Any], one: dict[str, str]
) -> Row:
    record = _record(folder, name, one | {"parameters": parameters})
    if record is not None:
        metrics = _flat(record["metrics"], seed_count(parameters))
        return Row(values, "ok", record["seconds"], metrics, "", name)
    try:
        failure = (place_of(folder, name) / FAILURE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Row(values, "missing", None, {}, "", name)
    return Row(values, "failed", None, {}, failure.strip(), name)


def _record(folder: Path, name: str, one: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record = records.read_record(place_of(folder, name) / f"{one['notebook']}.json")
    except CourseError:
        return None
    return record if records.belongs_to(record, one) else None


def _flat(metrics: Any, seeds: int, name: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}, "c": [2]}` as `{"a.b": 1, "c": 2}`; a list with one value is that value.

    A list of as many numbers as there are seeds stays one; others are left to the record.
    """
    match metrics:
        case [only]:
            return _flat(only, seeds, name)
        case list():
            return {name: metrics} if is_per_seed(metrics, seeds) else {}
        case dict():
            inner = [_flat(value, seeds, f"{name}.{key}" if name else key)
                     for key, value in metrics.items()]  # fmt: skip
            return {key: value for part in inner for key, value in part.items()}
    return {name: metrics}


def seed_count(parameters: Mapping[str, Any]) -> int:
    """How many seeds a run was given; 0 where it has no list of them."""
    seeds = parameters.get("seeds")
    return len(seeds) if isinstance(seeds, list) else 0


def is_per_seed(value: Any, seeds: int) -> TypeGuard[list[float]]:
    """Whether a record's value is a list of one number for each of two or more seeds."""
    return isinstance(value, list) and len(value) == seeds >= 2 and all(map(is_drawable, value))


def is_drawable(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a mean and an axis have room for."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def columns(table: Sequence[Row]) -> dict[str, list[Any]]:
    """The table by column: the grid's parameters, status, seconds, then the metrics.

    The cell of one result for each seed is their mean. A metric that is called like one of the
    first columns gets the prefix "metrics.". Values that have no cell type (a parameter that is a
    list or a mapping) are told as JSON.
    """
    names = list(table[0].values) if table else []
    first = {name: [_cell(row.values.get(name)) for row in table] for name in names}
    first |= {"status": [r.status for r in table], "seconds": [r.seconds for r in table]}
    metrics = dict.fromkeys(name for row in table for name in row.metrics)
    return first | {
        f"metrics.{name}" if name in first else name: [
            statistics.fmean(value) if isinstance(value, list) else value
            for value in (row.metrics.get(name) for row in table)
        ]
        for name in metrics
    }


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _no_formula(cell: Any) -> Any:
    """A text that a spreadsheet takes for one; a program of it would run a command."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r")) else cell


def write_tables(folder: Path, found: Sequence[Row]) -> None:
    """Write `sweep.csv` and, if pyarrow is installed, `sweep.parquet`.

    In the CSV file a text that begins like a formula (=, +, -, @) has a ' before it.
    """
    table, text = columns(found), io.StringIO()
    lines = [table, *zip(*table.values(), strict=True)]
    csv.writer(text, lineterminator="\n").writerows(map(_no_formula, line) for line in lines)
    write_text(folder / "sweep.csv", text.getvalue())
    _write_parquet(folder / "sweep.parquet", table)


def _write_parquet(path: Path, table: Mapping[str, list[Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        path.unlink(missing_ok=True)  # of an earlier start: it would tell less than the CSV file
        return

    def array(values: list[Any]) -> Any:
        try:
            return pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError):  # values of several types
            return pyarrow.array([None if value is None else str(value) for value in values])

    with atomic(path) as temporary:
        content = {name: array(values) for name, values in table.items()}
        parquet.write_table(pyarrow.table(content), temporary)
