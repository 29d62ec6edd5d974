"""What an instructor hands out or keeps: see docs/teaching.md.

    python tools/teaching.py          writes build/teaching, with what the extra `test` installs

- `sheet.html`: to print for each pair: the sum by hand, and every prediction of the half day
- `solutions/`: the lessons with the solutions in the exercises' cells
- `answers.html`: wrong answers as learners give them, and what the checks say to each
"""

import html
import importlib
import inspect
import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from kdhelpers._files import write_text

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "teaching"
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SOLUTION = re.compile(r"<summary>Solution</summary>\s+```python\n(.*?)```", re.S)
PREDICT = re.compile(r"^> \*\*Predict\.\*\* (.+)$", re.M)
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 11pt/1.4 sans-serif; max-width: 46em; margin: 1em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border: 1px solid #888; padding: 0.4em; }}
pre {{ background: #f4f4f4; padding: 0.5em; white-space: pre-wrap; }}
.line {{ border-bottom: 1px solid #888; height: 1.6em; }} li, tr {{ break-inside: avoid; }}
</style></head><body><main><h1>{title}</h1>
{body}
</main></body></html>
"""


def prose(notebook: NotebookNode) -> str:
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


# -- the sheet ------------------------------------------------------------------------------------


def sheet() -> str:
    """HTML: the sum by hand of lesson 01, and a line to write on for each prediction."""
    timetable = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d:\d\d \| \d+ \| (\d\d) \| (.+?) \|", timetable, re.M)
    named = {(lesson, title) for lesson, row in rows for title in re.findall(r"\*(.+?)\*", row)}
    parts = [
        "<p>Names: <span style='display:inline-block;width:70%' class='line'></span></p>",
        "<h2>By hand</h2><p>Three logits: ln 16, ln 4, ln 1. Fill in the probabilities p, and at "
        "T = 2 KL(p ‖ q) for a student that says q = (1, 1, 1)/3.</p>",
        "<table><tr><th></th><th>ln 16</th><th>ln 4</th><th>ln 1</th><th>KL(p ‖ q)</th></tr>",
        f"<tr><th>T = 1</th>{'<td>&nbsp;</td>' * 3}<td>–</td></tr>",
        f"<tr><th>T = 2</th>{'<td>&nbsp;</td>' * 4}</tr>",
        "</table>",
    ]
    for path in LESSONS:
        notebook = nbformat.read(path, as_version=4)
        _, *cut = re.split(r"^#+ (.+)$", prose(notebook), flags=re.M)
        asked = []
        for heading, text in zip(cut[::2], cut[1::2], strict=True):
            title = heading.replace("$", "")
            if (path.stem[:2], title) in named and (questions := PREDICT.findall(text)):
                lines = [f"<li>{worded(each)}<div class='line'></div></li>" for each in questions]
                asked.append(f"<h3>{html.escape(title)}</h3><ol>{''.join(lines)}</ol>")
        if asked:
            title = notebook.cells[0].source.partition("\n")[0].lstrip("# ")
            parts += [f"<h2>{html.escape(title)}</h2>", *asked]
    return PAGE.format(title="What we think, before the cell runs", body="\n".join(parts))


def worded(text: str) -> str:
    """A line of Markdown as HTML that needs no script: the formulas of a question are short."""
    letters = {r"\,": " ", "T^2": "T²", r"\to": "→", r"\infty": "∞", r"\approx": "≈", "$": ""}
    letters |= {r"\ln": "ln ", r"\alpha": "α", r"\theta": "θ"}
    for tex, plain in letters.items():
        text = text.replace(tex, plain)
    text = re.sub(r"\\bar[ {](\w)\}?", "\\1\u0304", text)
    text = html.escape(re.sub(r"\\(?:mathrm|text)[ {](\w+)\}?", r"\1", text))
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
    return re.sub(r"\*+(.+?)\*+", r"<em>\1</em>", text)


# -- solutions ------------------------------------------------------------------------------------


def solved(path: Path) -> NotebookNode:
    """The lesson without outputs, its solutions in the cells of its exercises."""
    notebook = nbformat.read(path, as_version=4)
    solutions = iter(SOLUTION.findall(prose(notebook)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if "exercise" in cell.metadata.get("tags", []):
                check = cell.source.strip().splitlines()[-1]
                cell.source = f"{next(solutions).rstrip()}\n\n\n{check}"
    return notebook


# -- wrong answers --------------------------------------------------------------------------------


def wrong_answers() -> Iterator[tuple[str, str, str]]:
    """Exercise, answer, and what the check says of those that it is tested with."""
    sys.path.insert(0, str(ROOT / "tests" / "checks"))
    try:
        given = importlib.import_module("test_answers").ANSWERS
    finally:
        sys.path.pop(0)
    for check, words, answer in given:
        if not words.startswith("✓") and (source := source_of(answer)):
            yield " ".join(check.task.split()), source, check(answer).message


def source_of(answer: Any) -> str:
    place = getattr(getattr(answer, "__code__", None), "co_filename", "")
    try:
        return "".join(linecache.getlines(place)) if "," in place else inspect.getsource(answer)
    except (OSError, TypeError):  # of a line alone nothing is kept
        return ""


def answers() -> str:
    parts, before = list[str](), ""
    for exercise, source, message in wrong_answers():
        if exercise != before:
            parts.append(f"<h2>{html.escape(exercise)}</h2>")
            before = exercise
        told = html.escape(message).replace("\n", "<br>")
        parts.append(f"<pre>{html.escape(source.strip())}</pre><p>{told}</p>")
    return PAGE.format(title="Wrong answers, and what the checks say", body="\n".join(parts))


def main() -> None:
    write_text(OUT / "sheet.html", sheet())
    for path in LESSONS:
        write_text(OUT / "solutions" / path.name, nbformat.writes(solved(path)))
    write_text(OUT / "answers.html", answers())
    print(f"{OUT}: sheet.html to print, solutions/, answers.html")


if __name__ == "__main__":
    main()
