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
    seconds, machines = {}, {}
    for plan in plans.plan():
        name, path = plan.lesson.name, folder / f"{plan.lesson.name}.json"
        if not path.is_file():
            continue
        record = read_record(path)
        if not belongs_to(record, plan.identity):
            raise CourseError(f"{path} is not a quick run of the lesson as it is; run it again")
        seconds[name], machines[name] = record["seconds"], _machine(record["environment"])
    if not seconds:
        raise CourseError(f"{str(folder)!r} has no records; `kdhelpers run --out` writes them")
    if any(machine[:-1] != next(iter(machines.values()))[:-1] for machine in machines.values()):
        raise CourseError(f"the records in {str(folder)!r} differ in machine, version or commit")
    device, torch, commit, _ = next(iter(machines.values()))
    date = max(machine[-1] for machine in machines.values())
    return dict(device=device, torch=torch, commit=commit, date=date, seconds=seconds)


def _machine(environment: dict[str, Any]) -> tuple[str, str, str, str]:
    device = (
        f"{environment['processor']}, {environment['device']}, {environment['threads']} threads"
    )
    return device, environment["versions"]["torch"], environment["commit"], environment["date"]


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
