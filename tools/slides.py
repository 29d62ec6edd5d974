"""Lessons as slides, for a room: cut at their headings, with what to say in the speaker's notes.

    python tools/slides.py                 build/slides: a deck a lesson, and one for the half day
    python tools/slides.py 02 workshop     those alone

A slide keeps what is to be seen: headings, lists, tables, formulas, the first paragraph, code, and
of a cell that draws a figure the figure alone. A prediction has a slide of its own before the one
that answers it. What is left of the prose, hints and solutions become notes (press S), with the
minutes and the questions of docs/workshop.md. The deck of the half day holds the sections that its
rows name. reveal.js and MathJax lie beside the decks, so that no network is needed.
"""

import html
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbconvert.filters import Highlight2HTML, markdown2html
from pygments.formatters import HtmlFormatter

from kdhelpers.course.root import installing

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(?s:```.*?```)|(?s:\$\$.*?\$\$)|(?s:<details>.*?</details>)|#+ .*|(?:[^#\n].*\n?)+"
)
SHOWN = re.compile(r"[-*|>]|\d+\.|\$\$|```")  # how a block begins that is no paragraph
SAID = re.compile(r"<p>(?!\$\$|<img)(?:(?!</p>).)*</p>\s*", re.S)  # a paragraph of words
PLUMBING = re.compile(r"^# Long runs only|\bkd\.lesson\(|\blesson\.record", re.M)
BOLD = re.compile(r"<p><strong>[^<]*</strong></p>\s*")
WAY = ("← ", "map of the course")  # how the links to other lessons begin
FULL = 640  # how many of a slide's 720 pixels its blocks may take
ROW = re.compile(r"^\| (\d:\d\d) \| (\d+) \| (\S+) \| (\S.*?) \| (.+) \|$", re.M)
STYLE = """
.reveal { font-size: 30px; } .reveal .anchor-link { display: none; }
.reveal .slides { text-align: left; }
.reveal .slides section:not(.stack) { max-height: 680px; overflow-y: auto; outline: 0; }
.reveal h1 { font-size: 1.9em; } .reveal h2 { font-size: 1.4em; }
.reveal h1, .reveal h2 { text-transform: none; }
.reveal pre { white-space: pre-wrap; font-size: 0.6em; box-shadow: none; padding: 0.5em; }
.reveal pre { border: 1px solid #ddd; } .reveal li:has(> input) { list-style: none; }
.reveal pre, .reveal blockquote { width: auto; margin: 0.5em 0; }
.reveal p code, .reveal li code { white-space: nowrap; }
.reveal img { display: block; margin: 0.4em auto; width: 94%; max-height: 500px; }
.reveal img { object-fit: contain; }
.reveal table { font-size: 0.75em; } .reveal blockquote { padding: 0.4em 1em; }
.reveal table:has(th:nth-child(5)) { font-size: 0.65em; }
.reveal table:has(th:nth-child(6)) { font-size: 0.6em; }
.reveal .slide-number { right: auto; left: 8px; background: #fff; }
.reveal .slide-number a { color: #333; } .reveal .controls { font-size: 6px; }
.reveal .where { color: #555; font-size: 0.7em; margin: 0; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="reveal/dist/reveal.css">
<link rel="stylesheet" href="reveal/dist/theme/white.css">
<style>{style}</style>
<script>MathJax = {{tex: {{inlineMath: [["$", "$"]]}}, options: {{enableMenu: false}}}};</script>
<script src="tex-svg.js" defer></script>
</head><body><main class="reveal"><div class="slides">
{slides}
</div></main>
<script src="reveal/dist/reveal.js"></script><script src="reveal/plugin/notes/notes.js"></script>
<script>Reveal.initialize({{hash: true, slideNumber: "c/t", center: false, width: 1100, height: 720,
transition: "none", plugins: [RevealNotes]}});</script>
</body></html>
"""


@dataclass
class Slide:
    """What the room sees and what the speaker reads, both in HTML."""

    shown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Section:
    """A heading of a lesson and the slides under it."""

    title: str
    level: int
    slides: list[Slide] = field(default_factory=list)


def sections(path: Path) -> list[Section]:
    """A lesson, cut at its headings."""
    made: list[Section] = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            _read(cell.source, made)
        elif shown := list(_code(cell)):
            _place(shown, made[-1])
    for section in made:
        first, *others = section.slides
        section.slides = [first]
        for slide in others:
            if all(map(SAID.fullmatch, slide.shown)):  # nothing to see: for the speaker
                section.slides[-1].notes += slide.shown + slide.notes
            else:
                section.slides.append(slide)
    return made


def _place(blocks: list[str], section: Section) -> None:
    """On the last slide if all fits there and it asks for no prediction, else on new ones."""
    last = section.slides[-1].shown
    if "<strong>Predict" in "".join(last) or not _fits([*last, *blocks]):
        section.slides.append(Slide())
    for block in blocks:
        if not _fits([*section.slides[-1].shown, block]):
            section.slides.append(Slide())
        section.slides[-1].shown.append(block)


def _fits(blocks: list[str]) -> bool:
    return len(blocks) == 1 or sum(map(_height, blocks)) <= FULL


def _height(block: str) -> int:
    """About how many pixels a block takes."""
    if "<img" in block:
        return 520
    if "<tr" in block:
        return 40 + 40 * block.count("<tr") + 60 * block.count("<p>")
    letters, line = (98, 22) if "<pre" in block else (78, 41)
    words = html.unescape(re.sub(r"<[^>]+>", "", block)).strip().splitlines()
    return 30 + line * sum(max(1, -(-len(each) // letters)) for each in words)


def _read(source: str, made: list[Section]) -> None:
    slide, told = None, False
    linked = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", source)  # not to other files
    for block in BLOCK.findall(linked):
        if heading := re.match(r"(#+) (.*)", block):
            title = re.sub(r" \(.*\)$|\$", "", heading[2])
            big = f"{'#' * min(2, len(heading[1]))} {heading[2]}"
            slide, told = Slide([markdown2html(big)]), False
            made.append(Section(title, len(heading[1]), [slide]))
            continue
        if block.startswith("<details>"):  # a hint goes with the slide before
            words = re.sub(r"</?(details|summary)>", "\n\n", block)
            made[-1].slides[-1].notes.append(markdown2html(words))
            continue
        if block.startswith(WAY):
            continue
        if slide is None or (block.startswith("> **Predict") and len(slide.shown) > 1):
            slide, told = Slide(), False
            made[-1].slides.append(slide)
        if not (SHOWN.match(block) or not told):
            slide.notes.append(markdown2html(block))
            continue
        told = told or not SHOWN.match(block)
        if not _fits([*slide.shown, markdown2html(block)]):
            # A line in bold is a heading of what follows.
            kept = [slide.shown.pop()] if BOLD.fullmatch(slide.shown[-1]) else []
            slide = Slide(kept)
            made[-1].slides.append(slide)
        slide.shown.append(markdown2html(block))


def _code(cell: nbformat.NotebookNode) -> Iterator[str]:
    """The code of a cell and what it put out; of one with a figure, the figure."""
    tags, figure = cell.metadata.get("tags", []), "image/png" in str(cell.outputs)
    plumbing = {"parameters", "install"} & set(tags) or PLUMBING.search(cell.source)
    if not figure and not plumbing:
        source = cell.source.replace("# NBVAL_CHECK_OUTPUT\n", "")
        yield Highlight2HTML(pygments_lexer="ipython3")(source)
    for output in cell.outputs:
        data = output.get("data", {})
        if "text/html" in data:
            yield data["text/html"]
        elif "text/markdown" in data:  # of several tables, each by itself
            yield from map(markdown2html, re.split(r"\n\n(?=\*\*)", data["text/markdown"]))
        elif text := output.get("text") or data.get("text/plain"):
            yield f"<pre>{html.escape(text)}</pre>"


# -- the workshop ---------------------------------------------------------------------------------


def plan() -> list[tuple[str, str, str, str, str]]:
    """Every section of the timetable: start, minutes, lesson, title, what happens and to ask."""
    text = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")
    asked = text.partition("## Questions")[2].partition("\n## ")[0]
    rows = []
    for start, minutes, lesson, named, happens in ROW.findall(text):
        for title in re.findall(r"\*(.+?)\*", named) or [named]:
            found = re.findall(rf"^- \*{re.escape(title)}\*: ((?:.+\n)(?:  .+\n)*)", asked, re.M)
            said = "".join(f"\n\n**Ask:** {' '.join(each.split())}" for each in found)
            rows.append((start, minutes, lesson, title, happens + said))
    return rows


def with_plan(lesson: str, cut: list[Section]) -> list[Section]:
    """The sections of a lesson; those of the half day tell their minutes in the notes."""
    for start, minutes, number, title, said in plan():
        for section in cut:
            if (number, title) == (lesson, section.title):
                words = f"**Half day, {start}, {minutes} minutes.** {said}"
                section.slides[0].notes.insert(0, markdown2html(words))
    return cut


def half_day(lessons: dict[str, list[Section]]) -> list[Section]:
    """The timetable as a deck: the sections that it names, in its order."""
    made = [Section("A half day", 1, [Slide(["<h1>Knowledge distillation, hands on</h1>"])])]
    for start, minutes, number, title, said in plan():
        if number not in lessons:
            words = f"## {said.partition('.')[0]}\n\n{start}, {minutes} minutes"
            made.append(Section(said, 2, [Slide([markdown2html(words)], [markdown2html(said)])]))
            continue
        made.append(next(each for each in lessons[number] if each.title == title))
    return made


# -- the page -------------------------------------------------------------------------------------


def page(title: str, deck: list[Section]) -> str:
    """The deck as one HTML file: a section to the right, its slides downwards."""
    stacks, over = [], ""
    for section in deck:
        first, *others = section.slides
        if section.level > 1 and not others and first == Slide(first.shown[:1]):
            over = section.title  # a heading with nothing under it stands above the next one
            continue
        made = []
        for number, slide in enumerate(section.slides):
            above = section.title if number else over
            where = f'<p class="where">{html.escape(above)}</p>' if above else ""
            notes = f'<aside class="notes">{"".join(slide.notes)}</aside>' if slide.notes else ""
            made.append(f'<section tabindex="0">{where}{"".join(slide.shown)}{notes}</section>')
        stacks.append(f"<section>{''.join(made)}</section>")
        over = ""
    slides = re.sub(r"(?<=\d) ± (?=\d)", "&nbsp;±&nbsp;", "\n".join(stacks))
    style = STYLE + HtmlFormatter(style="default").get_style_defs(".highlight")
    return PAGE.format(title=html.escape(title), style=style, slides=slides)


def main(arguments: list[str]) -> None:
    found = list(map(importlib.util.find_spec, ("sphinx_revealjs", "sphinx-mathjax-offline")))
    if None in found:
        raise SystemExit(f"The decks need the extra `site`: {installing('site')}")
    reveal, mathjax = (Path(each.submodule_search_locations[0]) for each in found)
    folder = ROOT / "build" / "slides"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(reveal / "_static" / "revealjs", folder / "reveal")
    shutil.copy(mathjax / "static" / "mathjax" / "tex-svg.js", folder)
    paths = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
    lessons = {number: with_plan(number, sections(path)) for number, path in paths.items()}
    decks = {**lessons, "workshop": half_day(lessons)}
    for name in arguments or decks:
        path = folder / f"{name}.html"
        text = page(decks[name][0].title, decks[name])
        path.write_text(text, encoding="utf-8")
        print(f"{path}: {text.count('<section tabindex')} slides")


if __name__ == "__main__":
    main(sys.argv[1:])
