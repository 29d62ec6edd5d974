"""A course of a few tiny notebooks, for the tests of the runner."""

import shlex
import sys
from pathlib import Path
from typing import Any

import nbformat

from kdhelpers.course import cli, plans, run

COMMAND = [sys.executable, "-m", "kdhelpers.course.cli"]

PARAMETERS = """\
epochs: int = 3  # passes over the training images
rate: float = 0.1  # step size
seeds: list[int] = [0, 1]  # one run each
name: str = "digits"  # data set
verbose: bool = False
weights: dict = {"a": 1}
record_file: str = ""  # where the last cell writes
"""
START = "import time\nstarted = time.perf_counter()"
# repr, so that a test sees the very values that the notebook saw
RECORD = """\
from kdhelpers import course
course.write_record(
    record_file, notebook="a lesson", parameters={"epochs": epochs},
    metrics={"headline": f"{epochs} epochs", "seen": repr([rate, seeds, name, verbose, weights])},
    device="cpu", started=started,
);"""


def call(command: str) -> int:
    """The exit code of `kdhelpers …`, whether it comes from us or from argparse."""
    try:
        return cli.main(shlex.split(command))
    except SystemExit as end:
        return int(end.code or 0)


def run_lessons(*lessons: str, out_dir: str = "runs", **asked: Any) -> list[run.Outcome]:
    """Execute the lessons as `kdhelpers run` does, all of them if none is named."""
    planned = plans.plan(lessons, **asked)
    run.prepare_folder(out_dir, planned)
    return [run.execute(each, out_dir, progress=False) for each in planned]


def write_lesson(
    root: Path,
    name: str,
    *cells: str,
    parameters: str | None = PARAMETERS,
    title: str = "# A lesson",
    full: str | None = None,
) -> Path:
    """Write `notebooks/<name>.ipynb` (and its full profile) below `root`; return its path.

    Without `cells` it is a lesson that runs and records what it was given.
    """
    tagged = {"tags": ["parameters"]}
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    notebook.cells.append(nbformat.v4.new_markdown_cell(f"Welcome!\n\n{title}\n\nText."))
    if parameters is not None:
        notebook.cells.append(nbformat.v4.new_code_cell(parameters, metadata=tagged))
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells or (START, RECORD)]
    path = root / "notebooks" / f"{name}.ipynb"
    profiles = path.parent / "profiles" / "full"
    profiles.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    if full is not None:
        (profiles / f"{name}.yaml").write_text(full, encoding="utf-8")
    return path
