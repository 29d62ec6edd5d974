"""The command `kdhelpers`: a thin face over `kdhelpers.course`."""

import argparse
import io
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from kdhelpers import __version__, course
from kdhelpers.course import cli_sweep, doctor

__all__ = ["main"]

FAILED, BAD_ARGUMENTS, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (failed), 2 (bad arguments) or 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a log in some old encoding is no reason to fail
            stream.reconfigure(errors="replace")
    # An interrupt may arrive inside a callback of the kernel's channels; its log is no news.
    logging.getLogger("tornado").addHandler(logging.NullHandler())
    given, settings = _set_parameters_aside(sys.argv[1:] if arguments is None else arguments)
    given, grid = cli_sweep.set_grid_aside(given)
    options = _parser().parse_args(given)
    try:
        if options.command == "list":
            return _list(options.lessons)
        if options.command == "doctor":
            return _doctor()
        if options.command == "sweep":
            return 0 if cli_sweep.sweep(options, grid) else FAILED
        if options.command == "report":
            cli_sweep.report(options)
            return 0
        return _run(options, dict(settings))
    except course.CourseError as error:
        print(f"kdhelpers: {error}", file=sys.stderr)
        return BAD_ARGUMENTS
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace, settings: dict[str, str]) -> int:
    plans = course.plan(
        options.lessons,
        profile=options.profile,
        parameters=settings,
        parameter_file=options.parameter_file,
    )
    course.prepare_folder(options.out, plans)
    outcomes: list[course.Outcome] = []
    interrupted = False
    try:
        for plan in plans:
            outcomes.append(course.execute(plan, options.out))
            if outcomes[-1].failure:
                _show_failure(outcomes[-1])
    except KeyboardInterrupt:
        interrupted = True
    _show_table(outcomes, options.out)
    if interrupted:
        left = len(plans) - len(outcomes)
        print(f"interrupted: {left} of {len(plans)} lessons not finished", file=sys.stderr)
        return INTERRUPTED
    return 0 if all(outcome.ok for outcome in outcomes) else FAILED


def _show_failure(outcome: course.Outcome) -> None:
    print(f"\n{outcome.lesson} failed: {outcome.failure}\n", file=sys.stderr, flush=True)


def _show_table(outcomes: list[course.Outcome], out: str) -> None:
    if not outcomes:
        return
    head = ("lesson", "profile", "status", "seconds", "result")
    rows = [
        (o.lesson, o.profile, "ok" if o.ok else "failed", f"{o.seconds:.1f}", o.headline)
        for o in outcomes
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[3] = row[3].rjust(widths[3])
        print("  ".join(cells).rstrip())
    print(f"\nExecuted notebooks and their records: {out}")


def _list(names: Sequence[str]) -> int:
    lessons = course.find_lessons(names)
    width = max(len(lesson.name) for lesson in lessons)
    for lesson in lessons:
        print(f"{lesson.number}  {lesson.name:<{width}}  {lesson.title}".rstrip())
        if names:
            _show_parameters(lesson)
    return 0


def _show_parameters(lesson: course.Notebook) -> None:
    shown = [p for p in lesson.parameters.values() if p.name != course.RECORD_FILE]
    lines = [f"{p.name}: {p.type} = {p.default!r}" for p in shown]
    width = max(map(len, lines), default=0)
    for line, parameter in zip(lines, shown, strict=True):
        print(f"    {line:<{width}}  {parameter.help}".rstrip())


def _doctor() -> int:
    healthy = True
    for check in doctor.examine():
        print(check, flush=True)
        healthy = healthy and check.ok
    return 0 if healthy else FAILED


class _Parser(argparse.ArgumentParser):
    """Bad arguments are answered with one sentence, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_ARGUMENTS, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="kdhelpers", description="Run the course on knowledge distillation.")
    parser.add_argument("--version", action="version", version=f"kdhelpers {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute lessons, all of them by default")
    run.add_argument("lessons", nargs="*", metavar="LESSON", help='"01", "01_mnist_kd" or a path')
    run.add_argument(
        "--profile",
        default="quick",
        metavar="NAME",
        help="quick: the notebook's own parameters; full: notebooks/profiles/full/NN_name.yaml; "
        "and so on for every folder in notebooks/profiles",
    )
    run.add_argument(
        "-p",
        nargs=2,
        metavar=("NAME", "VALUE"),
        help="set a parameter (repeatable); goes before -f, which goes before the profile",
    )
    run.add_argument("-f", dest="parameter_file", metavar="FILE", help="parameters in YAML")
    run.add_argument(
        "--out",
        default="runs",
        metavar="DIR",
        help="where executed notebooks and records go (default: runs)",
    )

    listing = commands.add_parser("list", help="show the lessons, or the parameters of one")
    listing.add_argument("lessons", nargs="*", metavar="LESSON")
    cli_sweep.add_parsers(commands)
    commands.add_parser("doctor", help="check that the course can run on this machine")
    return parser


def _set_parameters_aside(
    arguments: Sequence[str],
) -> tuple[list[str], list[tuple[str, str]]]:
    """Take out every `-p NAME VALUE`: argparse would take a value such as -1e-3 for an option."""
    rest, settings = list(arguments), []
    while rest[:1] == ["run"] and "-p" in rest[:-2]:
        at = rest.index("-p")
        settings.append((rest[at + 1], rest[at + 2]))
        del rest[at : at + 3]
    return rest, settings


if __name__ == "__main__":
    sys.exit(main())
