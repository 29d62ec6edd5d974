"""What README.md and docs/ show of the lessons and of the records under `results/`.

python tools/readme.py     rewrites what stands between markers, and draws the figure
"""

import hashlib
import io
import json
import runpy
from pathlib import Path
from typing import Any

from kdhelpers import course, plots
from kdhelpers._files import write_bytes, write_text
from kdhelpers.course import records
from kdhelpers.course.root import ADDRESS

try:
    from tools import published
except ImportError:  # as a script
    import published  # type: ignore[no-redef]

START = "<!-- {part}: rendered by `python tools/readme.py` -->"
END = "<!-- /{part} -->"
PAGES = {
    "README.md": ("figure", "lessons", "results"),
    "docs/results.md": ("tables",),
    "docs/map.md": ("order",),
    "docs/rosetta.md": ("peers",),
}
FIGURE, FIGURE_RECORD = "docs/distillation_helps.png", "results/03_cifar10_vgg.cifar10.json"
QUICK_TIMES = "docs/quick_times.json"  # written by tools/times.py


def updated(text: str, page: str = "README.md") -> str:
    """`text` with every part of the page that is rendered replaced by its current state.

    Raises:
        CourseError: the markers of a part are missing.
    """
    parts = (figure, lessons, results, tables, order, peers)
    render = {each.__name__: each for each in parts}
    for part in PAGES[page]:
        start, end = START.format(part=part), END.format(part=part)
        before, starts, rest = text.partition(start)
        _, ends, after = rest.partition(end)
        if not (starts and ends):
            raise course.CourseError(f"{page} needs the markers {start} and {end}")
        text = f"{before}{start}\n\n{render[part]()}\n\n{end}{after}"
    return text


# -- the results ----------------------------------------------------------------------------------


def results() -> str:
    """Markdown: what came out, a line for each record."""
    lines = ["| lesson | profile | data | what came out |", "|---|---|---|---|"]
    for record in _all_records():
        told = records.data_and_seeds(record)
        lines.append(_line(*_name(record), told, record["metrics"].get("headline", "")))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    """A row of a table of Markdown, which is split at | and ends with the line."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '&#124;') for cell in cells)} |"


def tables() -> str:
    """Markdown: the tables of every record."""
    parts = []
    for record in _all_records():
        number, profile = _name(record)
        headline = records.text(record["metrics"].get("headline", ""))
        parts += [f"## Lesson {number}, {profile}", f"*{headline}*", records.markdown(record)]
    return "\n\n".join(parts)


def _name(record: dict[str, Any]) -> tuple[str, str]:
    return record["notebook"].partition("_")[0], records.profile(record)


def _all_records() -> list[dict[str, Any]]:
    return [each for of in course.find_lessons() for each in course.load_records(of.name)]


def peers() -> str:
    """Markdown: published accuracies beside ours, from the runs of benchmarks/peers.py."""
    root = course.find_root()
    found = json.loads((root / "benchmarks/peers.json").read_text(encoding="utf-8"))
    table: str = runpy.run_path(str(root / "benchmarks/peers.py"))["table"](found)
    return table


# -- the lessons ----------------------------------------------------------------------------------


def lessons() -> str:
    """Markdown: what each lesson is about, minutes to work through it, and how long it runs."""
    path = course.find_root() / QUICK_TIMES
    measured = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| lesson | what it is about | minutes to do | quick run |", "|---|---|---:|---:|"]
    for lesson in course.find_lessons():
        seconds = measured["seconds"].get(lesson.name)
        link = f"[{lesson.title}](notebooks/{lesson.path.name})"
        cells = [
            f"{link} {published.badge(lesson.name)}" if ADDRESS else link,
            lesson.lead,
            str(lesson.minutes or "—"),
            "—" if seconds is None else f"{seconds:.0f} s",
        ]
        lines.append(_line(*cells))
    return "\n".join(lines) + (
        f"\n\nThe quick run was measured, from the start of the kernel to the record, on: "
        f"{measured['device']}, PyTorch {measured['torch']}, {measured['date'][:10]}, "
        f"{records._at([str(measured['commit'])])}."
        + " Badges for Colab appear here once the course is published."
        * (not ADDRESS)
    )


def order() -> str:
    """Markdown: what each lesson needs, and the minutes of all of them together."""
    lines = ["| lesson | you need | minutes |", "|---|---|---:|"]
    found = course.find_lessons()
    for lesson in found:
        link = f"[{lesson.title}](../notebooks/{lesson.path.name})"
        lines.append(_line(link, lesson.card.get("You need", ""), str(lesson.minutes)))
    return "\n".join([*lines, f"| all of them | | {sum(each.minutes for each in found)} |"])


# -- the figure -----------------------------------------------------------------------------------


def figure() -> str:
    """Markdown: the figure, in words as alternative text, and where it comes from."""
    record = _figure_record()
    return (
        f'<img src="{FIGURE}" width="800" alt="{_picture(record).alt}">\n\n'
        "*Mean, 95 % interval and every seed.* "
        f"(Lesson 03: {records.provenance(record)})"
    )


def png() -> bytes:
    """The figure; its metadata name the record that it was drawn from, as `source` does."""
    buffer = io.BytesIO()
    metadata = {"Source": source(), "Software": None}
    _picture(_figure_record()).figure.savefig(
        buffer, format="png", dpi=240, facecolor="white", metadata=metadata
    )
    return buffer.getvalue()


def _picture(record: dict[str, Any]) -> plots.Picture:
    told = record["metrics"]
    shown = ("alone", "label smoothing", "its own teacher", "distilled, MSE", "distilled")
    arms = {arm: told["arms"][arm] for arm in shown}
    return plots.arms(arms, baseline="alone")


def source() -> str:
    """The figure's record and its SHA-256 (of the text with \\n line ends)."""
    text = (course.find_root() / FIGURE_RECORD).read_text(encoding="utf-8")
    return f"{FIGURE_RECORD}, SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"


def _figure_record() -> dict[str, Any]:
    return records.read_record(course.find_root() / FIGURE_RECORD)


def main() -> None:
    """Rewrite all pages and the figure."""
    root: Path = course.find_root()
    write_bytes(root / FIGURE, png())
    for page in PAGES:
        write_text(root / page, updated((root / page).read_text(encoding="utf-8"), page))


if __name__ == "__main__":
    main()
