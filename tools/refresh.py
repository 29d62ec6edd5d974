"""Execute lessons in place: the outputs that are committed.

    python tools/refresh.py [notebooks/01_mnist_kd.ipynb …]     default: all lessons

Widgets and progress bars are left out of what is stored (they need a live kernel), and so is
the standard error stream; everything else is as the kernel gave it.
"""

import json
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

from kdhelpers._files import write_text
from kdhelpers.course import find_lessons

WIDGET = "application/vnd.jupyter.widget-view+json"
QUIET = Config({"KernelManager": {"transport_encryption": "auto"}})  # no warning about TCP


def refreshed(path: Path) -> NotebookNode:
    """The executed notebook, without what only a live kernel can show."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=None, config=QUIET, record_timing=False, coalesce_streams=True,
        store_widget_state=False, shutdown_kernel="immediate",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()  # fmt: skip
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if worth_keeping(output)]
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)
    for key in ("widgets", "papermill"):
        notebook.metadata.pop(key, None)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def worth_keeping(output: NotebookNode) -> bool:
    """Whether an output is more than standard error or a bare widget."""
    data = output.get("data", {})
    return output.get("name") != "stderr" and not (WIDGET in data and "image/png" not in data)


def main(arguments: list[str]) -> None:
    for path in (lesson.path for lesson in find_lessons(arguments)):
        print(f"{path.name} …", flush=True)
        text = json.dumps(refreshed(path), indent=1, ensure_ascii=False, sort_keys=True)
        write_text(path, text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
