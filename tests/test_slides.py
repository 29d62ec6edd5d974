"""Slides: what the room sees of a lesson, and what the speaker reads."""

import functools
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

from tools import slides

ROOT = Path(__file__).parent.parent
LESSONS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
PROSE = (
    "## Choosing (T)\n\nFirst [words](../docs/a.md).\n\nMore words.\n\n- a list\n\n2. second\n\n"
    "> **Predict.** How?\n\n<details><summary>Hint</summary>\n\nThink.\n\n</details>"
)


@functools.cache
def lessons() -> dict[str, list[slides.Section]]:
    return {
        number: slides.with_plan(number, slides.sections(path)) for number, path in LESSONS.items()
    }


def test_prose_is_cut_into_what_is_seen_and_what_is_said(tmp_path: Path) -> None:
    new = nbformat.v4
    figure = new.new_output("display_data", {"image/png": "AA", "text/html": '<img alt="bars">'})
    number = new.new_output("execute_result", {"text/plain": "1 < 2"})
    cells = [
        new.new_markdown_cell(PROSE),
        new.new_code_cell("%pip install", metadata={"tags": ["install"]}),
        new.new_code_cell("plots.draw()", outputs=[figure]),
        new.new_code_cell("print(1)", outputs=[number]),
        new.new_markdown_cell("<details><summary>Solution</summary>\n\nSolve.\n\n</details>"),
    ]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "01.ipynb")
    (section,) = slides.sections(tmp_path / "01.ipynb")
    first, prediction, drawn = section.slides
    assert (section.title, section.level) == ("Choosing", 2)
    assert "First words." in "".join(first.shown)
    assert "<li>a list" in "".join(first.shown)
    assert "second</li>" in "".join(first.shown)
    assert "More words" in "".join(first.notes)
    assert "Predict" in "".join(prediction.shown)
    assert "Think." in "".join(prediction.notes)
    figure, code, printed = drawn.shown  # together, since they fit
    assert figure == '<img alt="bars">'
    assert "print" in code
    assert "1 &lt; 2" in printed
    assert "Solve." in "".join(drawn.notes)  # a hint has no slide of its own


def test_words_alone_and_plumbing_have_no_slide(tmp_path: Path) -> None:
    new = nbformat.v4
    output = [new.new_output("stream", text="a verdict")]
    cells = [
        new.new_markdown_cell("# A lesson\n\nIn short.\n\n$$x$$"),
        new.new_code_cell('lesson = kd.lesson("01")'),
        new.new_code_cell("# Long runs only: one by one\n@lesson.kept\ndef student(): ..."),
        new.new_markdown_cell("Say this.\n\nAnd this."),
        new.new_markdown_cell("> **Predict.** How?"),
        new.new_code_cell("lesson.record(x)\nchecks.progress(1)", outputs=output),
    ]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "01.ipynb")
    (section,) = slides.sections(tmp_path / "01.ipynb")
    first, prediction, printed = section.slides
    assert "In short." in "".join(first.shown)
    assert re.findall("<p>(.+?)</p>", "".join(first.notes)) == ["Say this.", "And this."]
    assert "Predict" in "".join(prediction.shown)
    assert printed.shown == ["<pre>a verdict</pre>"]


@pytest.mark.parametrize("number", LESSONS)
def test_a_deck_shows_every_heading_and_figure_and_no_solution(number: str) -> None:
    deck = lessons()[number]
    cells = nbformat.read(LESSONS[number], as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ .+$", re.sub(r"```.*?```", "", prose, flags=re.S), re.M)
    assert len(deck) == len(headings)
    shown = "".join(part for section in deck for slide in section.slides for part in slide.shown)
    notes = "".join(part for section in deck for slide in section.slides for part in slide.notes)
    assert "<summary>" not in shown
    assert "<table" not in notes
    assert notes.count("Solution") >= prose.count("<summary>Solution</summary>") > 0
    assert shown.count("<img alt=") == str(cells).count("image/png")
    for slide in (slide for section in deck for slide in section.slides):
        assert len(slide.shown) == 1 or sum(map(slides._height, slide.shown)) <= slides.FULL
        if "<strong>Predict" in "".join(slide.shown):
            assert not re.search("<(pre|img|table)", "".join(slide.shown)), "an answer beside it"
    assert "plots." not in re.sub(r"<[^>]+>", "", shown).partition("import")[0]


def test_the_half_day_is_the_timetable_with_its_words_in_the_notes() -> None:
    _, *deck = slides.half_day(lessons())
    rows = [(number, title) for _, _, number, title, _ in slides.plan()]
    taken = [row for row in rows if row[0] in LESSONS]
    assert len(taken) == len(set(taken)), "a section twice"
    for section, (number, title) in zip(deck, rows, strict=True):
        if number in LESSONS:
            assert section.title == title
            assert "Half day, " in section.slides[0].notes[0]
    asked = "".join(note for section in deck for slide in section.slides for note in slide.notes)
    text = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")
    questions = text.partition("## Questions")[2].partition("\n## ")[0]
    assert asked.count("Ask:") >= len(re.findall(r"^- ", questions, re.M))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("Exercise 1 · Soft targets", "KL by hand"),
        ("The training loop, written out", "Now train the teacher"),
        ("What T does to a real teacher", "<em>entropy</em>"),
        ("The recorded full run", "student, from T = "),
        ("The networks, and the claim as it stands", "exponential decay falls from 5"),
        ("The verdict on the claim", "Paired differences in test accuracy from fixed"),
    ],
)
def test_what_a_row_speaks_of_is_in_the_deck_by_then(section: str, words: str) -> None:
    deck = slides.half_day(lessons())
    (last,) = (place for place, each in enumerate(deck) if each.title == section)
    seen = [slide for each in deck[: last + 1] for slide in each.slides]
    text = "".join("".join(slide.shown + slide.notes) for slide in seen)
    assert words in re.sub(r"</?span[^>]*>", "", text)


def test_without_its_extra_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "build" / "slides" / "01.html"
    old.parent.mkdir(parents=True)
    old.touch()
    monkeypatch.setattr(slides, "ROOT", tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="the extra `site`: "):
        slides.main([])
    assert old.exists()


def test_a_page_loads_nothing_from_elsewhere_and_keeps_what_it_is_given() -> None:
    bare, slide = slides.Slide(["<h2>Your turn</h2>"]), slides.Slide(["<p>a</p>"], ["<p>b</p>"])
    deck = [slides.Section("Your turn", 2, [bare]), slides.Section("T", 2, [slide])]
    page = slides.page("1 < 2", deck)
    assert "<title>1 &lt; 2</title>" in page
    assert '<p>a</p><aside class="notes"><p>b</p></aside></section></section>' in page
    assert '<p class="where">Your turn</p><p>a</p>' in page  # no slide with a heading alone
    assert not re.search(r"(?:src|href)=\"https?:", page)
