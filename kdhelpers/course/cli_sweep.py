"""The commands `kdhelpers sweep` and `kdhelpers report`: a thin face over their modules."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from kdhelpers.course import sweeps
from kdhelpers.course.records import CourseError
from kdhelpers.course.sweep_tables import Row

__all__ = ["add_parsers", "report", "set_grid_aside", "sweep"]

# A value that begins with "-" is a number or a range; anything else of the kind is an option.
NEGATIVE = re.compile(r"-\.?\d.*", flags=re.ASCII)

Grid = list[tuple[str, list[str]]]


def add_parsers(commands: Any) -> None:
    """Declare both commands; `commands` is what `add_subparsers` returned."""
    parser = commands.add_parser(
        "sweep", help="run a lesson over a grid of parameter values; finished points are kept"
    )
    parser.add_argument("lesson", metavar="LESSON", help='"05", "05_dynamic_temperature" or a path')
    parser.add_argument(
        "-p",
        nargs="+",
        metavar=("NAME", "VALUE"),
        help="the values of one parameter (repeatable); 0:10 stands for the whole numbers 0 … 9; "
        "seed also sets a lesson's list of seeds to one value at a time",
    )
    parser.add_argument(
        "-f", dest="parameter_file", metavar="FILE", help="what all points share, in YAML"
    )
    parser.add_argument("--profile", default="quick", metavar="NAME")
    parser.add_argument(
        "--out", metavar="DIR", help="where everything goes (default: runs/sweeps/LESSON)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one per processor core)"
    )
    where.add_argument(
        "--dask", metavar="ADDRESS", help="address of a dask scheduler, such as tcp://host:8786"
    )

    parser = commands.add_parser("report", help="render all records in a folder as one HTML file")
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--out", metavar="FILE", help="default: DIR/report.html")
    parser.add_argument(
        "--metric", default="", metavar="NAME", help="which result of the sweeps to show"
    )


def set_grid_aside(arguments: Sequence[str]) -> tuple[list[str], Grid]:
    """Take out every `-p NAME VALUE …`: argparse would take a value such as -1e-3 for an option."""
    rest, grid = list(arguments), []
    while rest[:1] == ["sweep"] and "-p" in rest[:-1]:
        at = rest.index("-p")
        values = rest[at + 2 :]
        count = next((i for i, value in enumerate(values) if _is_option(value)), len(values))
        grid.append((rest[at + 1], values[:count]))
        del rest[at : at + 2 + count]
    return rest, grid


def _is_option(value: str) -> bool:
    return value.startswith("-") and value != "-" and not NEGATIVE.fullmatch(value)


def sweep(options: argparse.Namespace, grid: Grid) -> bool:
    """Run the sweep, tell what came of it, and return whether every point has its record."""
    names = [name for name, _ in grid]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CourseError(f"-p {twice} is given twice; write all its values behind one -p")
    try:
        with _executor(options.dask) as executor:
            result = sweeps.sweep(
                options.lesson,
                dict(grid),
                executor=executor,
                workers=options.workers,
                profile=options.profile,
                parameter_file=options.parameter_file,
                out_dir=options.out,
                on_failure=_show_failure,
            )
    except OSError as error:
        raise CourseError(f"the sweep stopped, its finished points are kept: {error}") from error
    except KeyboardInterrupt:
        print("what is finished is kept: the same command goes on from there", file=sys.stderr)
        raise
    _show_result(result)
    return result.ok


@contextmanager
def _executor(address: str | None) -> Iterator[Executor | None]:
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise CourseError(
            "--dask needs the package 'distributed'; install the extra: "
            "python -m pip install --editable '.[sweep]'"
        ) from None
    try:
        client = Client(address, timeout=20)
    except (OSError, ValueError) as error:
        raise CourseError(f"no dask scheduler answers at {address!r}") from error
    with client:
        yield client.get_executor()


def _show_failure(row: Row) -> None:
    values = ", ".join(f"{name} = {value}" for name, value in row.values.items())
    tqdm.write(f"\n{values} failed: {row.failure}\n", file=sys.stderr)


def _show_result(result: sweeps.SweepResult) -> None:
    from kdhelpers.course import sweep_plots

    metric = sweep_plots.chosen(result.rows)
    if metric:
        print(f"{metric}, mean ± half of the 95 % interval:\n")
        print(sweep_plots.summary(*sweep_plots.series(result.rows, metric)), end="\n\n")
    failed = sum(row.status != "ok" for row in result.rows)
    print(
        f"{len(result.rows)} point{'s' * (len(result.rows) != 1)}, {result.ran} run now"
        + f", {failed} failed (the same command tries them again)" * bool(failed)
    )
    files = [path.name for path in (result.csv, result.parquet, result.figure) if path]
    print(f"In {result.folder}: {', '.join(files)}")
    if result.parquet is None:
        print(
            "sweep.parquet needs the package 'pyarrow'; install the extra: "
            "python -m pip install --editable '.[sweep]'",
            file=sys.stderr,
        )


def report(options: argparse.Namespace) -> None:
    """Write the report and tell where it is."""
    from kdhelpers.course.report import report as write  # it loads the figures' libraries

    print(write(options.folder, options.out, metric=options.metric))
