"""What instructors are given: sheet, solutions, wrong answers, and the page that tells of them."""

import re
from itertools import islice
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import kdhelpers as kd
from kdhelpers import checks, losses
from tools import teaching

PAGE = (teaching.ROOT / "docs" / "teaching.md").read_text("utf-8")
ROWS = re.findall(r"^\| `checks\.(\w+)` \| `(lambda .+?)` \| … (.+?) … \|$", PAGE, flags=re.M)


def test_the_page_shows_some_wrong_answers() -> None:
    assert len(ROWS) > 5


@pytest.mark.parametrize(("exercise", "answer", "told"), ROWS)
def test_a_wrong_answer_on_the_page_is_told_what_stands_there(
    exercise: str, answer: str, told: str
) -> None:
    verdict = getattr(checks, exercise)(eval(answer, {"F": F}))
    assert verdict.status == "wrong"
    assert told in verdict.message


def test_the_sheet_asks_what_the_sections_of_the_timetable_ask() -> None:
    page = teaching.sheet()
    asked = page.count("<li>")
    assert asked > 10
    sections = re.findall(r"<h3>(.+?)</h3>", page)
    timetable = (teaching.ROOT / "docs" / "workshop.md").read_text("utf-8")
    assert {"When it is done wrong", "Choosing T"} <= set(sections)
    assert all(f"*{section}*" in timetable for section in sections)
    assert page.count("<div class='line'>") == asked
    assert re.findall(r"<h2>(.+?)</h2>", page)[1].startswith("01 · ")
    assert not re.search(r"https?://|<script", page)
    assert "<th>KL(p ‖ q)</th>" in page
    assert teaching.worded(r"What are $\bar d$ and $\bar{x}$?") == "What are d\u0304 and x\u0304?"
    line = teaching.worded(r"At which $T^2\,\mathrm{KL} < \infty$, *now*, `a < b`?")
    assert line == "At which T² KL &lt; ∞, <em>now</em>, <code>a &lt; b</code>?"


def test_the_solutions_stand_in_their_exercises_and_no_output_is_left() -> None:
    """That all are right, the tests of the notebooks tell; here those of the first lesson are."""
    lessons = [teaching.solved(path) for path in teaching.LESSONS]
    for lesson in lessons:
        assert "# your code here" not in "".join(cell.source for cell in lesson.cells)
        assert not any(cell.get("outputs") for cell in lesson.cells)
    cells = [c for c in lessons[0].cells if "exercise" in c.metadata.get("tags", [])]
    assert len(cells) > 1
    for cell in cells:
        names: dict[str, Any] = dict(torch=torch, F=F, nn=nn, kd=kd, checks=checks, losses=losses)
        *body, call = cell.source.splitlines()
        exec("\n".join(body), names)
        assert eval(call, names).status == "right"


def test_wrong_answers_come_with_their_code_and_with_what_the_check_says() -> None:
    for exercise, source, message in islice(teaching.wrong_answers(), 5):
        assert exercise
        assert re.search(r"return|lambda|def |class ", source), source
        assert len(message) > 20
