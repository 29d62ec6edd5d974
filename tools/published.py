"""What a lesson says of the place where the course is published, which `ADDRESS` names alone.

    python tools/published.py [notebooks/01_mnist_kd.ipynb …]     default: all lessons

Run it after `ADDRESS` (kdhelpers/course/root.py) or the version has changed, for a new lesson, and
where a merge has mixed two executed notebooks. It writes the first code cell, which installs the
package where that is missing, and the title card's line on Colab, makes links to other pages
absolute (`kdhelpers start` and the site make them relative again), and counts the executed cells.
"""

import copy
import json
import re
import sys
from typing import Any

import nbformat

import kdhelpers
from kdhelpers._files import write_text
from kdhelpers.course import find_lessons
from kdhelpers.course.notebook import INSTALL
from kdhelpers.course.root import ADDRESS

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github/"
ROW = re.compile(r"^\| \*\*Open in\*\* \| .* \|\n", flags=re.M)


def cell(address: str = ADDRESS) -> str:
    """The first code cell, the same in every lesson."""
    version = ".".join(kdhelpers.__version__.split(".")[:2])
    missing = (
        f'    %pip install --quiet "kdhelpers @ git+{address}"\n    import kdhelpers as kd'
        if address
        else '    raise ImportError("install the wheel of kdhelpers: it is published nowhere yet") '
        "from None"
    )
    return (
        "try:\n    import kdhelpers as kd\n"
        f"except ModuleNotFoundError:  # this file alone, as on Colab\n{missing}\n"
        f'kd.made_for("{version}")'
    )


def badge(name: str, address: str = ADDRESS) -> str:
    """The lesson's badge in Markdown; words where there is nothing to open."""
    if not address:
        return "JupyterLab or VS Code; Colab once the course is published"
    place = address.removeprefix("https://github.com/")
    return f"[![Open in Colab]({BADGE})]({COLAB}{place}/blob/main/notebooks/{name}.ipynb)"


def renewed(notebook: dict[str, Any], name: str, address: str = ADDRESS) -> dict[str, Any]:
    """The notebook with its first cell, its badge and its links as they should be."""
    cells = [each for each in notebook["cells"] if INSTALL not in tags(each)]
    old: dict[str, Any] = next((each for each in notebook["cells"] if INSTALL in tags(each)), {})
    first = next(at for at, each in enumerate(cells) if each["cell_type"] == "code")
    made = nbformat.v4.new_code_cell(id="install", metadata={"tags": [INSTALL]})
    cells.insert(first, made | old | {"source": cell(address)})
    row = f"| **Open in** | {badge(name, address)} |\n"
    card = ROW.sub("", cells[0]["source"])
    cells[0]["source"] = re.sub(r"(?=^\| \*\*Words\*\* )", lambda _: row, card, flags=re.M)
    executed, count = any(each.get("execution_count") for each in cells), 0
    for each in cells:
        if each["cell_type"] == "markdown":
            each["source"] = linked(each["source"], address)
        elif executed:
            count += 1
            each["execution_count"] = count
            for output in each["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = count
    return notebook | {"cells": cells}


def tags(each: dict[str, Any]) -> list[str]:
    return list(each["metadata"].get("tags", []))


def linked(text: str, address: str = ADDRESS) -> str:
    """Links to other folders of the course: absolute, for a notebook may be opened alone."""
    if not address:
        return text
    text = re.sub(r"\]\(\.\./(?=[\w./-]+[)#])", f"]({address}/blob/main/", text)
    return re.sub(r"\]\((?=\d\d_\w+\.ipynb[)#])", f"]({address}/blob/main/notebooks/", text)


def main(arguments: list[str]) -> None:
    for path in (lesson.path for lesson in find_lessons(arguments)):
        before = nbformat.read(path, as_version=4)
        if (after := renewed(copy.deepcopy(before), path.stem)) != before:
            text = json.dumps(after, indent=1, ensure_ascii=False, sort_keys=True)
            write_text(path, text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
