"""The results in README.md, rendered from the records under `results/`.

python -m kdhelpers.readme     rewrites the part between the two markers
"""

import re
from pathlib import Path

from kdhelpers import course, tables
from kdhelpers.files import write_text

START, END = "<!-- results: rendered by `python -m kdhelpers.readme` -->", "<!-- /results -->"


def results() -> str:
    """Markdown with one table per record."""
    parts = []
    for record in course.load_records("01_mnist_kd"):
        measured, names = record["metrics"], record["parameters"]
        table = tables.transfer_table(
            measured["alone"], measured["distilled"], measured["teacher"]["accuracy"]
        )
        parts.append(
            f"**Lesson 01**: `{names['teacher_name']}` → `{names['student_name']}` "
            f"({tables.provenance(record)})\n\n{table._repr_markdown_()}"
        )
    for record in course.load_records("02_temperature"):
        table = tables.sweep_table(record)
        parts.append(
            f"**Lesson 02**: which temperature? {record['parameters']['transfer_size']:,} images "
            f"({tables.provenance(record)})\n\n{table._repr_markdown_()}"
        )
    for record in course.load_records("03_cifar10_vgg"):
        keys = ("accuracy", "agreement", "calibration_error")
        for title, table in (
            ("compression and its controls", tables.setup(record)),
            ("arms", tables.arms_table(record["metrics"]["arms"], keys=keys)),
            ("accuracy against cost", tables.cost_table(record["metrics"]["costs"])),
        ):
            parts.append(f"**Lesson 03**: {title}\n\n{table._repr_markdown_()}")
    for record in course.load_records("04_fitnets_hints"):
        parts.append(
            f"**Lesson 04**: hints ({tables.provenance(record)})\n\n"
            f"{tables.hints_table(record)._repr_markdown_()}"
        )
    for record in course.load_records("05_dynamic_temperature"):
        metrics = record["metrics"]
        table = tables.corrected_table(metrics["arms"], baseline=metrics["baseline"])
        parts.append(
            f"**Lesson 05**: does a changing temperature help? ({tables.provenance(record)})\n\n"
            f"{table._repr_markdown_()}"
        )
    return "\n\n".join(parts)


def updated(text: str) -> str:
    """`text` with the part between the markers replaced by the current results.

    Raises:
        CourseError: the markers are missing.
    """
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", flags=re.S)
    if not pattern.search(text):
        raise course.CourseError(f"README.md needs the markers {START} and {END}")
    return pattern.sub(lambda _: f"{START}\n\n{results()}\n\n{END}", text)


if __name__ == "__main__":
    path: Path = course.find_root() / "README.md"
    write_text(path, updated(path.read_text(encoding="utf-8")))
