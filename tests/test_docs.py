"""The pages that people read: their links, names, numbers and words lead somewhere and are true."""

import json
import pkgutil
import re
import tomllib
import unicodedata
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import kdhelpers
from kdhelpers import course, stats
from kdhelpers.course.records import read_record
from tools import readme, slides

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LESSONS = {path.name[:2]: path for path in NOTEBOOKS}
FOLDERS = ("kdhelpers", "tools", "benchmarks", "docs", "notebooks", "results")


@cache
def text_of(path: Path, *kinds: str) -> str:
    """The whole page, or the cells of a notebook: text, or those of the kinds given."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    chosen = (cell for cell in cells if cell["cell_type"] in (kinds or ("markdown",)))
    return "\n\n".join("".join(cell["source"]) for cell in chosen)


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(path), flags=re.S), flags=re.M)


def anchor(heading: str) -> str:
    """GitHub's name for a heading: small letters, digits and hyphens, marks like ² left out."""
    kept = (c for c in heading.lower() if c in " -_" or unicodedata.category(c) in ("Ll", "Nd"))
    return "".join(kept).replace(" ", "-")


def unfolded(text: str) -> str:
    """With every paragraph on one line."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)


# -- links ----------------------------------------------------------------------------------------


def links(path: Path) -> list[str]:
    text = without_code(text_of(path))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [each for each in found if not re.match(r"https?://", each)]


@pytest.mark.parametrize("page", PAGES + NOTEBOOKS, ids=lambda path: path.name)
def test_every_link_inside_the_course_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if place:
            assert target.suffix == ".md", f"{link}: only Markdown pages have stable anchors"
            assert place in [anchor(heading) for heading in headings(target)], link


def test_every_file_that_is_named_is_there() -> None:
    sources = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    profiles = sorted((ROOT / "notebooks").glob("profiles/*/*.yaml"))
    named = re.compile(
        rf"(?<![\w./])(?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:py|md|ipynb|json|yaml|js)\b"
    )
    found = [
        (page.name, name)
        for page in [*PAGES, *NOTEBOOKS, *profiles, *sources]
        for name in named.findall(text_of(page, "markdown", "code"))
        if not re.search(r"NN_|NAME|_name\.|my_|\.gpu\.", name)  # of a lesson to be
    ]
    assert len(found) > 60
    assert not [(page, name) for page, name in found if not (ROOT / name).exists()]


def test_the_readme_leads_to_every_page() -> None:
    found = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    pages = {path.relative_to(ROOT).as_posix() for path in PAGES} - {"README.md"}
    assert pages | {"CITATION.cff", "LICENSE", "LICENSE-CONTENT", "results"} <= found


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_leads_to_its_neighbours_at_both_ends(page: Path) -> None:
    titles = [f"[{headings(path)[0]}]({path.name})" for path in NOTEBOOKS]
    here = NOTEBOOKS.index(page)
    way = [f"← {title}" for title in titles[:here][-1:]] + ["[map of the course](map.md)"]
    way += [f"{title} →" for title in titles[here + 1 :][:1]]
    text = re.sub(r"\]\([^()\s]*/", "](", text_of(page))  # wherever the links lead
    line = " · ".join(way)
    assert text.split("\n").count(line) == 2, line
    assert text.endswith(line)


def test_an_anchor_is_what_github_makes_of_a_heading() -> None:
    names = {"The package": "the-package", "Kullback–Leibler, again": "kullbackleibler-again"}
    names |= {"T² factor": "t-factor", "On a GPU": "on-a-gpu", "Self-made": "self-made"}
    assert {heading: anchor(heading) for heading in names} == names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_formulas_survive_markdown(page: Path) -> None:
    """A backslash before punctuation is eaten by Markdown, and a formula may not be broken."""
    for line in without_code(text_of(page)).splitlines():
        assert line.count("$") % 2 == 0, line
        for formula in line.split("$")[1::2]:
            assert not re.search(r"\\[^A-Za-z]", formula), formula
            assert not re.search(r"[^A-Za-z0-9]_|\*", formula), formula


# -- glossary -------------------------------------------------------------------------------------

ENTRIES = dict(re.findall(r"^## (.+)\n\n([^#]+)", text_of(ROOT / "docs" / "glossary.md"), re.M))
# A word of the lesson where it is not a word of the heading.
SAID = {
    "Bonferroni correction": "Bonferroni", "One cycle and cosine": "one cycle",
    "Cached logits": "looked up", "Capacity gap": "teacher's accuracy", "Fading": "fade",
    "Calibration of ranges": "calibration", "Consistent teaching": "consistent",
    "Confidence interval": "interval", "Gradient reversal": "reverse_gradient",
    "Hard labels": "hard term", "Head and stem": "stem",
    "Holm's correction": "Holm", "KL divergence": "Kullback", "Learned temperature": "learned",
    "Knowledge distillation": "distill", "Logit matching": "matching logits",
    "Multiple comparisons": "many comparisons", "Probability MSE": "probability_mse",
    "Profile, quick and full": "quick profile", "Relational distillation": "relational",
    "Self-distillation": "its own teacher", "Simultaneous interval": "all of them together",
    "Similarity-preserving distillation": "similarity preserving",
    "Standard deviation of a data set": "standard deviation", "T² factor": "factor $T^2$",
}  # fmt: skip


def test_the_glossary_is_complete_enough_and_in_order() -> None:
    terms = list(ENTRIES)
    assert len(terms) > 50
    assert terms == headings(ROOT / "docs" / "glossary.md")[1:]
    assert terms == sorted(terms, key=lambda term: term.casefold().replace("²", "2"))
    assert SAID.keys() <= ENTRIES.keys()


@pytest.mark.parametrize("term", ENTRIES)
def test_an_entry_is_short_and_its_lesson_uses_the_word(term: str) -> None:
    entry = unfolded(ENTRIES[term])
    assert len(re.findall(r"\w+", re.sub(r"\$.*?\$|\(\S*\)|`.*?`", "", entry))) <= 75
    named = re.findall(r"\[(?:Lesson|lesson) (\d\d)\]\(\.\./notebooks/(\d\d)_\w+\.ipynb\)", entry)
    assert named
    for number, linked in named:
        assert number == linked
    word = SAID.get(term, term).lower()
    sources = [text_of(LESSONS[number], "markdown", "code") for number, _ in named]
    assert any(word in unfolded(source).lower() for source in sources)


def test_every_name_of_the_package_exists() -> None:
    found = 0
    for page in PAGES:
        # A line of a table may name a command or a file: kdhelpers/losses.py, `kdhelpers run`.
        for name in re.findall(r"`(kdhelpers\.[\w.]+)", re.sub(r"```.*?```", "", text_of(page))):
            found += 1
            pkgutil.resolve_name(name)
    assert found > 60
    for name in ("kdhelpers.losses.kd_los", "kdhelpers.loses"):
        with pytest.raises(AttributeError):
            pkgutil.resolve_name(name)


# -- map ------------------------------------------------------------------------------------------


def test_the_map_shows_every_lesson_behind_those_that_it_needs() -> None:
    text = text_of(ROOT / "docs" / "map.md")
    labels = dict(re.findall(r"\b(L\d+)\[\"(\d\d) · ", text))
    assert sorted(labels.values()) == sorted(LESSONS)
    arrows = re.findall(r"\b(L\d+)(?:\[[^\]]+\])? --> (L\d+)", text)
    before: dict[str, set[str]] = {number: set() for number in LESSONS}
    for _ in LESSONS:
        for start, end in arrows:
            before[labels[end]] |= {labels[start]} | before[labels[start]]
    for lesson in course.find_lessons(root=ROOT):
        assert before[lesson.number] == set(re.findall(r"\b\d\d\b", lesson.card["You need"]))


# -- workshop -------------------------------------------------------------------------------------

WORKSHOP = text_of(ROOT / "docs" / "workshop.md")
ROWS = slides.ROW.findall(WORKSHOP)  # start, minutes, lesson, sections, what happens


def minutes_of(timetable: str) -> int:
    """Those of all rows, each of which begins where the one before it ends."""
    at = 0
    for hour, minute, length in re.findall(r"^\| (\d):(\d\d) \| (\d+) \|", timetable, re.M):
        assert 60 * int(hour) + int(minute) == at
        at += int(length)
    return at


def test_the_timetables_add_up_to_three_and_to_six_hours() -> None:
    half, _, rest = WORKSHOP.partition("## A whole day")
    assert "Three hours" in half
    assert minutes_of(half) == 3 * 60
    assert minutes_of(rest.partition("\n## ")[0]) == 6 * 60


def test_the_timetable_names_sections_of_one_lesson_after_the_other() -> None:
    numbers = []
    for _, minutes, number, sections, _ in ROWS:
        if number == "–":
            continue
        path, named = LESSONS[number], re.findall(r"\*([^*]+)\*", sections)
        assert ", ".join(f"*{title}*" for title in named) == sections
        titles = [re.sub(r" \(.*\)$|\$", "", heading) for heading in headings(path)]
        assert set(named) <= set(titles)
        numbers.append(number)
        for title in named:
            if title.startswith("Exercise"):
                (time,) = re.findall(rf"{re.escape(title)} \((\d+) minutes", text_of(path))
                assert int(time) <= int(minutes)
    assert numbers == sorted(numbers), "one lesson after the other"
    assert set(numbers) == {"01", "02", "05"}


def test_questions_and_cuts_belong_to_rows_of_the_timetable() -> None:
    sections = {
        section: int(minutes)
        for _, minutes, _, named, _ in ROWS
        for section in re.findall(r"\*[^*]+\*", named)
    }
    questions = WORKSHOP.partition("## Questions")[2].partition("## What")[0]
    asked = re.findall(r"^- (\*[^*]+\*):", questions, flags=re.M)
    assert len(asked) == len(re.findall(r"^- ", questions, flags=re.M)) > 5
    assert set(asked) <= sections.keys()
    late = WORKSHOP.partition("## When it gets")[2].partition("\n## ")[0]
    cuts = re.findall(r"^\d\. (\*.+?\*) \((\d+)\)", late, re.M)
    assert len(cuts) == 3
    for section, minutes in cuts:
        assert sections[section] == int(minutes)
    assert set(re.findall(r"\*[^*\n]+\*", late)) <= sections.keys()


# -- README, figure, citation ---------------------------------------------------------------------


def test_the_figure_has_words_and_is_that_of_its_record() -> None:
    ((name, alt),) = re.findall(r'<img src="([^"]+)".*? alt="([^"]+)">', text_of(PAGES[0]))
    assert len(alt) > 40
    assert name == readme.FIGURE
    image = Image.open(ROOT / name)
    assert image.text["Source"] == readme.source(), "run `python tools/readme.py`"  # type: ignore[attr-defined]
    assert image.width >= 1600
    assert image.width / image.height > 1.5
    pixels = np.asarray(image.convert("RGBA"))
    assert (pixels[:, :, 3] == 255).all(), "on a dark page a see-through figure cannot be read"
    assert (pixels[[0, -1]] == 255).all()


def test_what_the_readme_says_of_the_figure_is_so() -> None:
    told = unfolded(text_of(PAGES[0]))
    assert "a VGG16, right on 92.7 % of the test pictures" in told
    for claim in (
        "and the last one gains two points",
        "(label smoothing) give a third of that, a second student as teacher no clear gain",
        "with 1,000 of these pictures two points, with 5,000 three, with 100 handwritten digits "
        "nearly nine",
        "with 55,000, depending on the networks, between no clear gain and 0.8 points",
    ):
        assert claim in told
    metrics = read_record(ROOT / readme.FIGURE_RECORD)["metrics"]
    assert round(100 * metrics["teacher"]["accuracy"], 1) == 92.7
    alone, gain = metrics["arms"]["alone"], partial(stats.paired_difference, points=True)
    gains = {arm: gain(alone, runs) for arm, runs in metrics["arms"].items()}
    assert gains["distilled"].low > 0
    assert round(gains["distilled"].mean) == 2
    assert round(gains["distilled"].mean / gains["label smoothing"].mean) == 3
    assert gains["its own teacher"].low < 0 < gains["its own teacher"].high
    for size, points in {"1000": 2, "5000": 3}.items():
        of = metrics["sizes"][size]
        assert round(gain(of["alone"], of["distilled"]).mean) == points
    lesson01 = {name: read_record(ROOT / "results" / f"01_mnist_kd{name}.json")["metrics"]
                for name in ("", ".tutorial_cnn", ".tutorial_lenet")}  # fmt: skip
    few, full, cnn, lenet = (
        gain(lesson01[name]["alone"][n], lesson01[name]["distilled"][n])
        for name, n in (("", "100"), ("", "55000"), (".tutorial_cnn", "55000"),
                        (".tutorial_lenet", "55000"))
    )  # fmt: skip
    assert round(few.mean) == 9
    assert full.low < 0 < full.high
    assert min(cnn.low, lenet.low) > 0
    assert round(max(cnn.mean, lenet.mean), 1) == 0.8


def test_the_readme_stays_short() -> None:
    own = re.sub(r"(<!-- (\w+): ).*?<!-- /\2 -->", "", text_of(PAGES[0]), flags=re.S)
    assert len(own.splitlines()) <= 230


def test_package_changelog_citation_and_readme_tell_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## (\S+) · (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert newest is not None
    assert newest.groups() == (kdhelpers.__version__, str(citation["date-released"]))
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == project["version"] == kdhelpers.__version__
    assert citation["title"] == "Knowledge distillation, hands on"
    assert citation["authors"] == [{"name": "The kdhelpers authors"}]
    assert {"message", "type", "license"} <= citation.keys()
    assert citation["license"][0] == project["license"]
    year = citation["date-released"].year
    quoted = f"> {citation['authors'][0]['name']} ({year}). *{citation['title']}*. Version"
    assert f"{quoted} {citation['version']}." in text_of(PAGES[0])
