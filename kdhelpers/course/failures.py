"""Say in a few lines where and why a notebook failed."""

import re
from pathlib import Path
from typing import Any

__all__ = ["describe", "stopped_early"]

CONTEXT = 2  # lines of the cell shown before and after the failing one
MAX_MESSAGE_LINES = 3
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def describe(error: Exception, notebook: Path) -> str:
    """The failing cell with its number, the line at fault, and the error.

    Args:
        notebook: the executed copy, for errors that do not know the cell (a dead kernel).
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        traceback = COLOURS.sub("", "\n".join(error.traceback))
        lines = re.findall(rf"Cell In\[{error.exec_count}\], line (\d+)", traceback)
        message = _first_lines(f"{error.ename}: {error.evalue}")
        return _excerpt(
            error.exec_count, error.source, message, line=int(lines[-1]) if lines else None
        )
    if isinstance(error, DeadKernelError):
        message = "the kernel died (killed, out of memory, or a crash in compiled code)"
        started = _started_cells(notebook)
        # A kernel may die before it has told the cell's number, so count.
        return _excerpt(len(started), started[-1].source, message) if started else message
    return _first_lines(f"{type(error).__name__}: {error}" if str(error) else repr(error))


def stopped_early(executed: Any, record_file: Path | None) -> str | None:
    """Why an executed notebook is not finished although it raised no error; None if it is.

    papermill takes `sys.exit(0)` for a good end.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    if any(cell.metadata.papermill.status == "pending" for cell in code):
        message = "stopped before its last cell"
        at = next((cell for cell in code if cell.metadata.papermill.exception), None)
        return _excerpt(at.execution_count, at.source, message) if at else message
    if record_file is not None and not record_file.exists():
        return "stopped before its last cell: it wrote no record"
    return None


def _started_cells(notebook: Path) -> list[Any]:
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except Exception:
        return []
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in code if cell.metadata.get("papermill", {}).get("start_time")]


def _excerpt(number: int, source: str, message: str, line: int | None = None) -> str:
    """The cell around `line`, marked; its first lines if nobody knows where it stopped."""
    middle = line or CONTEXT + 1
    around = range(max(1, middle - CONTEXT), middle + CONTEXT + 1)
    shown = [
        f"  {'>' if at == line else ' '} {text}"
        for at, text in enumerate(source.splitlines(), start=1)
        if at in around
    ]
    where = f"cell In [{number}]" + (f", line {line}" if line else "")
    return "\n".join([f"{where}:", *shown, message])


def _first_lines(message: str) -> str:
    lines = [line.rstrip() for line in COLOURS.sub("", message).splitlines() if line.strip()]
    return "\n".join(line[:300] for line in lines[:MAX_MESSAGE_LINES])
