"""The site before Sphinx reads it: every page is there, on the menu, and linked as it should be."""

import json
import re
from pathlib import Path

import pytest

from tools import website

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return website.stage(tmp_path_factory.mktemp("site") / "pages")


def test_every_page_is_on_the_menu_once(staged: Path) -> None:
    first = (staged / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n:hidden:\n:caption: [^\n]+\n\n(.*?)```", first, flags=re.S)
    listed = "\n".join(trees).split()
    sources = [*ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("C*.md")]
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in sources}
    assert pages | {"runs", "about", "api/index"} <= set(listed)
    assert len(listed) == len(set(listed))


def test_every_section_of_the_readme_is_on_one_page(staged: Path) -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    pages = [staged / f"{name}.md" for name in ("index", *website.SECTIONS)]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    found = re.findall(r"^##? (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    assert [found.count(heading) for heading in headings] == [1] * len(headings)


def test_links_to_the_readme_lead_to_the_page_of_the_section() -> None:
    text = "[a](../README.md#sweeps) [b](../results) [c](README.md) [d](results)"
    assert website.relinked(text) == (
        "[a](../runs.md#sweeps) [b](../docs/results.md) [c](index.md) [d](docs/results.md)"
    )


def test_a_name_of_the_package_becomes_a_reference_but_not_in_longer_code() -> None:
    text = "`kd.fit` and `kdhelpers.losses.kd_loss`, not `kd.fit(a)` or ``kd.fit``"
    assert website.relinked(text) == (
        "{py:obj}`kd.fit` and {py:obj}`kdhelpers.losses.kd_loss`, not `kd.fit(a)` or ``kd.fit``"
    )


def test_the_code_of_a_lesson_is_shown_as_it_stands(staged: Path) -> None:
    for path in ROOT.glob("notebooks/*.ipynb"):
        own, shown = (
            json.loads(each.read_text(encoding="utf-8"))["cells"]
            for each in (path, staged / "notebooks" / path.name)
        )
        assert [cell for cell in shown if cell["cell_type"] == "code"] == [
            cell for cell in own if cell["cell_type"] == "code"
        ]


def test_the_map_becomes_a_picture_that_tells_its_arrows(staged: Path) -> None:
    text = (staged / "docs" / "map.md").read_text(encoding="utf-8")
    assert "mermaid" not in text
    assert text.count("<rect ") == len(list(ROOT.glob("notebooks/*.ipynb")))
    assert 'aria-label="01 · learn from a teacher leads to 02 · temperature; ' in text


def test_every_room_of_the_package_has_its_page(staged: Path) -> None:
    losses = (staged / "api" / "losses.rst").read_text(encoding="utf-8")
    assert ".. automodule:: kdhelpers.losses.logits\n   :members:\n" in losses
    evaluation = (staged / "api" / "evaluation.rst").read_text(encoding="utf-8")
    assert ".. automodule:: kdhelpers.evaluation\n   :members:\n" in evaluation
    index = (staged / "api" / "index.rst").read_text(encoding="utf-8")
    assert ":doc:`losses`\n   What a student is asked to match" in index
    assert {path.stem for path in (staged / "api").glob("*.rst")} >= {"data", "evaluation", "stats"}


def test_the_check_of_the_site_finds_what_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">1</a><a href="#gone">2</a><a href="b.html">3</a>'
        '<a href="https://example.org">4</a><img src="data:image/png;base64,AA">'
        '<script src="https://cdn.example.org/x.js"></script></p>'
    )
    assert [fault.partition(" ")[2] for fault in website.check(tmp_path)] == [
        "loads https://cdn.example.org/x.js",
        "links to #gone, a place that is not there",
        "links to b.html, which is not there",
    ]


def test_what_a_screen_reader_misses_is_mended(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text(
        '<p class="caption" role="heading">Lessons</p><aside class="toc-drawer"></aside><pre></pre>'
        '<td>94.91 ± 1.35</td><input class="task-list-item">'
        '<table><thead>\n<tr class="row-odd"><th class="head"><p></p></th>\n</tr>\n</thead></table>'
    )
    website.mend(tmp_path)
    assert page.read_text() == (
        '<p class="caption" role="heading" aria-level="2">Lessons</p>'
        '<aside aria-label="toc" class="toc-drawer"></aside><pre tabindex="0"></pre>'
        '<td>94.91&nbsp;±&nbsp;1.35</td><input aria-label="done" class="task-list-item">'
        "<table></table>"
    )
