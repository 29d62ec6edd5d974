"""How long the quick run of each lesson takes, for the table in the README.

    kdhelpers run --out runs/timed
    python tools/times.py runs/timed        writes docs/quick_times.json
    python tools/readme.py              renders it

On a machine that has nothing else to do. Lessons without a record in the folder are left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

from readme import QUICK_TIMES

from kdhelpers import course
from kdhelpers._files import write_text
from kdhelpers.course import plans
from kdhelpers.course.records import belongs_to, read_record
from kdhelpers.course.root import CourseError


def times(folder: Path) -> dict[str, Any]:
    """Seconds by lesson, and the machine that took them.

    Raises:
        CourseError: no record at all, one of another profile, of other parameters or of another
            state of its lesson, or records from different machines, versions or commits.
    """
    seconds, machines, dates = {}, set[tuple[str, str, str]](), []
    for plan in plans.plan():
        name, path = plan.lesson.name, folder / f"{plan.lesson.name}.json"
        if not path.is_file():
            continue
        record = read_record(path)
        if not belongs_to(record, plan.identity):
            raise CourseError(f"{path} is not a quick run of the lesson as it is; run it again")
        seconds[name] = record["seconds"]
        machines.add(_machine(record["environment"]))
        dates.append(record["environment"]["date"])
    if not seconds:
        raise CourseError(f"{str(folder)!r} has no records; `kdhelpers run --out` writes them")
    if len(machines) > 1:
        raise CourseError(f"the records in {str(folder)!r} differ in machine, version or commit")
    ((device, torch, commit),) = machines
    return dict(device=device, torch=torch, commit=commit, date=max(dates), seconds=seconds)


def _machine(of: dict[str, Any]) -> tuple[str, str, str]:
    device = f"{of['processor']}, {of['device']}, {of['threads']} threads"
    return device, of["versions"]["torch"], of["commit"]


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python tools/times.py RUNS_DIR")
    try:
        measured = times(Path(arguments[0]))
        write_text(course.find_root() / QUICK_TIMES, json.dumps(measured, indent=2) + "\n")
    except CourseError as error:
        sys.exit(str(error))
    for lesson in course.find_lessons():
        took = measured["seconds"].get(lesson.name)
        print(f"{lesson.name}: {'no record' if took is None else f'{took:.0f} s'}")


if __name__ == "__main__":
    main(sys.argv[1:])
