"""The command `kdhelpers`. What takes long to import waits until a command needs it."""

import argparse
import io
import itertools
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from kdhelpers import __version__
from kdhelpers.course.notebook import find_lessons
from kdhelpers.course.records import RECORD_FILE, expected, read_or_made
from kdhelpers.course.root import CourseError, installing, start

if TYPE_CHECKING:
    from kdhelpers.course.run import Outcome
    from kdhelpers.course.sweep import Row

FAILED, BAD_ARGUMENTS, INTERRUPTED = 1, 2, 130
ANSWER = 30  # seconds that a scheduler of dask may take
EXTRA = f"install the extra: {installing('sweep')}"
OF_THE_COURSE = ("papermill", "nbclient", "nbformat", "jupyter_client", "yaml", "psutil", "jinja2")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (failed), 2 (bad arguments) or 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a log in some old encoding is no reason to fail
            stream.reconfigure(errors="replace")
    # An interrupt may arrive inside a callback of the kernel's channels; its log is no news.
    logging.getLogger("tornado").addHandler(logging.NullHandler())
    options = _parser().parse_args(_apart(sys.argv[1:] if arguments is None else arguments))
    try:
        with _other_ends():
            done = options.command(options)
        _flush()
        return 0 if done else FAILED
    except OSError as error:
        with suppress(OSError):
            _flush()
        if not isinstance(error, BrokenPipeError):  # `list | head -1` has seen enough
            print(f"kdhelpers: {error}", file=sys.stderr)
        return FAILED
    except CourseError as error:
        print(f"kdhelpers: {error}", file=sys.stderr)
        return BAD_ARGUMENTS
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_THE_COURSE:
            raise
        told = f"{error.name} is not installed, which the lessons need; {installing('course')}"
        print(f"kdhelpers: {told}", file=sys.stderr)
        return BAD_ARGUMENTS
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{interrupt}", file=sys.stderr)
        return INTERRUPTED


def _flush() -> None:
    """Write what was printed, and nothing more once that fails: Python would try it again."""
    try:
        if sys.stdout:  # it may have been closed (`>&-`)
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


@contextmanager
def _other_ends() -> Iterator[None]:
    """A cluster's time limit, `docker stop` and a closed terminal end a command as Ctrl-C does."""
    here = threading.current_thread() is threading.main_thread()
    ends = [each for each in signal.Signals if here and each.name in ("SIGTERM", "SIGHUP")]
    ends = [each for each in ends if signal.getsignal(each) is signal.SIG_DFL]  # nohup ignores one
    for each in ends:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in ends:
            signal.signal(each, signal.SIG_DFL)


def _shared(options: argparse.Namespace) -> dict[str, Any]:
    """What `run` and `sweep` have in common."""
    given = [name for name, *_ in options.p]
    if twice := next((name for name in given if given.count(name) > 1), None):
        values = "; write all its values behind one -p" * (options.name == "sweep")
        raise CourseError(f"-p {twice} is given twice{values}")
    names = ("profile", "parameter_file", "cell_timeout", "start_timeout")
    return {name: value for name, value in vars(options).items() if name in names}


# -- run ------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> bool:
    from kdhelpers.course import run
    from kdhelpers.course.plans import plan

    plans = plan(options.lessons, parameters=dict(options.p), **_shared(options))
    run.prepare_folder(options.out, plans)
    outcomes: list[Outcome] = []
    try:
        for each in plans:
            if told := expected(each.lesson.name, each.profile, each.parameters):
                print(told, file=sys.stderr, flush=True)
            outcome = run.execute(each, options.out)
            outcomes.append(outcome)
            if outcome.record and (told := read_or_made(outcome.record)):
                print(f"{outcome.lesson}: {told}", file=sys.stderr, flush=True)
            if outcome.failure:
                failed = f"\n{outcome.lesson} failed: {outcome.failure}\n"
                print(failed, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        left = len(plans) - len(outcomes)
        raise KeyboardInterrupt(f": {left} of {len(plans)} lessons not finished") from None
    finally:
        _show_table(outcomes, options.out)
    return all(outcome.ok for outcome in outcomes)


def _show_table(outcomes: "list[Outcome]", out: str) -> None:
    if not outcomes:
        return
    from kdhelpers.stats.tables import Table

    rows = [
        (o.lesson, o.profile, "ok" if o.ok else "failed", f"{o.seconds:7.1f}", o.headline)
        for o in outcomes
    ]
    print(Table(("lesson", "profile", "status", "seconds", "result"), rows))
    print(f"\nExecuted notebooks and their records: {out}")


# -- start, list, doctor, report ------------------------------------------------------------------


def _start(options: argparse.Namespace) -> bool:
    print(start(options.folder))
    there = shlex.quote(options.folder)
    print(f"\nNext:\n  cd {there}\n  jupyter lab    # or: kdhelpers run 01")
    return True


def _list(options: argparse.Namespace) -> bool:
    lessons = find_lessons(options.lessons)
    width = max(len(lesson.name) for lesson in lessons)
    for lesson in lessons:
        print(f"{lesson.number}  {lesson.name:<{width}}  {lesson.title}".rstrip())
        shown = [p for p in lesson.parameters.values() if p.name != RECORD_FILE and options.lessons]
        lines = {f"{p.name}: {p.type} = {p.default!r}": p.help for p in shown}
        for line, told in lines.items():
            print(f"    {line:<{max(map(len, lines))}}  {told}".rstrip())
    return True


def _doctor(_: argparse.Namespace) -> bool:
    from kdhelpers.course import doctor

    healthy = True
    for check in doctor.examine():
        print(check, flush=True)
        healthy = healthy and check.ok
    return healthy


def _report(options: argparse.Namespace) -> bool:
    from kdhelpers.course.report import report

    page, left_out = report(options.folder, options.out, metric=options.metric)
    for name in left_out:
        print(f"left out, no readable record: {name}", file=sys.stderr)
    print(page)
    return True


# -- sweep ----------------------------------------------------------------------------------------


def _sweep(options: argparse.Namespace) -> bool:
    from tqdm import tqdm

    from kdhelpers.course import report, sweep

    def show_failure(row: "Row") -> None:
        values = ", ".join(f"{name} = {value}" for name, value in row.values.items())
        tqdm.write(f"\n{values} failed: {row.failure}\n", file=sys.stderr)

    try:
        with _executor(options.dask) as executor:
            result = sweep.sweep(
                options.lesson,
                {name: values for name, *values in options.p},
                executor=executor,
                workers=options.workers,
                out_dir=options.out,
                on_failure=show_failure,
                **_shared(options),
            )
    except OSError as error:
        raise CourseError(f"the sweep stopped, its finished points are kept: {error}") from error
    except KeyboardInterrupt:
        print("what is finished is kept: the same command goes on from there", file=sys.stderr)
        raise
    if metric := report.chosen(result.rows):
        print(f"{metric}, mean ± half of the 95 % interval:\n")
        print(report.summary(*report.series(result.rows, metric)), end="\n\n")
    failed = sum(row.status != "ok" for row in result.rows)
    print(
        f"{len(result.rows)} point{'s' * (len(result.rows) != 1)}, {result.ran} run now"
        + f", {failed} failed (the same command tries them again)" * bool(failed)
    )
    files = [f"sweep.{kind}" for kind in ("csv", "parquet", "png")]
    there = [name for name in files if (result.folder / name).exists()]
    print(f"In {result.folder}: {', '.join(there)}")
    if "sweep.parquet" not in there:
        print(f"sweep.parquet needs the package 'pyarrow'; {EXTRA}", file=sys.stderr)
    return result.ok


@contextmanager
def _executor(address: str | None) -> Iterator[Executor | None]:
    """The workers of a dask scheduler; its own time limit does not hold at some other server."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise CourseError(f"--dask needs the package 'distributed'; {EXTRA}") from None
    clients: list[Client] = []

    def connect() -> None:
        with suppress(Exception):  # told below: there is none
            clients.append(Client(address, timeout=ANSWER))

    connecting = threading.Thread(target=connect, daemon=True)
    connecting.start()
    connecting.join(ANSWER)
    if not clients:
        raise CourseError(f"no dask scheduler answers at {address!r}")
    with clients[0] as client:
        yield client.get_executor()


# -- what may be asked for ------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Bad arguments are answered with one sentence, without the whole usage."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # A value such as -1e-3 or -2:1 is no option; argparse knows -1 and -0.5 only.
        self._negative_number_matcher = re.compile(r"-\.?\d", flags=re.ASCII)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_ARGUMENTS, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _apart(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments with `-p NAME=VALUE` as `-p NAME VALUE`."""
    for before, word in itertools.pairwise(["", *arguments]):
        name, equals, value = word.partition("=")
        yield from (name, value) if before == "-p" and equals and name.isidentifier() else (word,)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="kdhelpers", description="Run the course on knowledge distillation.")
    parser.add_argument("--version", action="version", version=f"kdhelpers {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], bool], what: str) -> Any:
        added = commands.add_parser(name, help=what)
        added.set_defaults(command=function)
        return added

    start = command("start", _start, "bring the course into a folder to work in")
    start.add_argument("folder", nargs="?", default="course", metavar="FOLDER")
    run = command("run", _run, "execute lessons, all of them by default")
    run.add_argument("lessons", nargs="*", metavar="LESSON", help='"01", "01_mnist_kd" or a path')
    run.add_argument(
        "-p", nargs=2, metavar=("NAME", "VALUE"), action="append", default=[],
        help="set a parameter (repeatable), also as NAME=VALUE; goes before -f, which goes before "
        "the profile",
    )  # fmt: skip
    run.add_argument(
        "--out", default="runs", metavar="DIR",
        help="where executed notebooks and records go (default: runs)",
    )  # fmt: skip

    sweep = command(
        "sweep", _sweep, "run a lesson over a grid of parameter values; finished points are kept"
    )
    sweep.add_argument("lesson", metavar="LESSON", help='"05", "05_dynamic_temperature" or a path')
    sweep.add_argument(
        "-p", nargs="+", metavar=("NAME", "VALUE"), action="append", default=[],
        help="the values of one parameter (repeatable); 0:10 stands for the whole numbers 0 … 9; "
        "seed also sets a lesson's list of seeds to one value at a time",
    )  # fmt: skip
    sweep.add_argument(
        "--out", metavar="DIR", help="where everything goes (default: runs/sweeps/LESSON)"
    )
    where = sweep.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="kernels at a time (default: one per core)"
    )
    where.add_argument(
        "--dask", metavar="ADDRESS", help="address of a dask scheduler, such as tcp://host:8786"
    )
    for each in (run, sweep):
        each.add_argument(
            "-f", dest="parameter_file", metavar="FILE", help="parameters (of all points) in YAML"
        )
        each.add_argument(
            "--profile", default="quick", metavar="NAME",
            help="quick: the notebook's own parameters; full: those in notebooks/profiles/full/"
            "NN_name.yaml; and so for every folder in notebooks/profiles",
        )  # fmt: skip
        for what, told in (
            ("cell", "a cell that takes longer fails (default: no limit)"),
            ("start", "a lesson whose kernel takes longer to start fails (default: 120)"),
        ):
            each.add_argument(
                f"--{what}-timeout", type=float, default=argparse.SUPPRESS, metavar="SECONDS",
                help=told,
            )  # fmt: skip

    report = command("report", _report, "render all records in a folder as one HTML file")
    report.add_argument("folder", metavar="DIR")
    report.add_argument("--out", metavar="FILE", help="default: DIR/report.html")
    report.add_argument(
        "--metric", default="", metavar="NAME", help="which result of the sweeps to show"
    )
    listing = command("list", _list, "show the lessons, or the parameters of one")
    listing.add_argument("lessons", nargs="*", metavar="LESSON")
    command("doctor", _doctor, "check that the course can run on this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
