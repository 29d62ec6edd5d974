"""No reader of a translation is left with what the English no longer says."""

import re
from pathlib import Path

import pytest

from tools import translations

DOCS = Path(__file__).parent.parent / "docs"
TOLD = {"README": "A first screen.", "Teacher": "The large one.", "T² factor": "It is $T^2$."}
ROWS = "".join(
    f"| {name} | word | says <!-- of {name}: {translations.fingerprint(text)} --> |\n"
    for name, text in TOLD.items()
)


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_no_translation_is_older_than_its_source_without_saying_so(language: str) -> None:
    page, told = (DOCS / f"{language}.md").read_text(encoding="utf-8"), translations.sources()
    assert len(told) > 60
    assert not translations.older(page, told), "translate anew, or run tools/translations.py --mark"
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) ?(?: ⚠)?<!-- of (.+?): \w+ --> \|$", page, re.M)
    assert [row[0] for row in rows] == [row[3] for row in rows]
    assert {row[0] for row in rows} == told.keys() - {"README", "Lesson 01"}


def test_a_change_of_the_english_is_noticed_marked_and_accepted() -> None:
    assert translations.older(ROWS, TOLD) == []
    changed = TOLD | {"Teacher": "The frozen one.", "Student": "The small one."}
    assert translations.older(ROWS, changed) == ["Teacher", "Student"]
    page = translations.marked(ROWS, changed)
    assert translations.older(page, changed) == []
    assert page.count("⚠") == 2
    assert re.search(r"^\| Teacher .* ⚠<!-- of Teacher", page, re.M)
    assert page.splitlines()[-1] == "| Student | – | ⚠<!-- of Student: none --> |"
    page = translations.accepted(page, changed)
    assert page.count("⚠") == 1, "a row without a translation stays marked"
    assert translations.older(page, changed) == []
    assert translations.older(page, TOLD) == ["Teacher"]


def test_a_line_broken_elsewhere_and_a_moved_link_are_no_change() -> None:
    one, other = "A [link](a.md)\nto it.", "A [link](b.md) to\nit."
    assert translations.fingerprint(one) == translations.fingerprint(other)
    assert translations.fingerprint(one) != translations.fingerprint("A link to that.")
