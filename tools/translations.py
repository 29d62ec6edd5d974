"""Are the translations in docs/zh.md and docs/vi.md as old as what they translate?

    python tools/translations.py              tells what is older than its source, or missing
    python tools/translations.py --mark       says so to the readers, too, with ⚠
    python tools/translations.py --accept     after translating anew: what is there is up to date

Behind every translation stands, unseen, the fingerprint of the English that it was made from. Who
changes the English and knows no Vietnamese marks it, and leaves the rest to others.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

from kdhelpers import course
from kdhelpers._files import write_text

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("zh", "vi")
MARK = r"( ⚠)?<!-- of {name}: (\w+) -->"


def sources() -> dict[str, str]:
    """What is translated: the first screen of the README, the card of lesson 01, every term."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    first = course.find_lessons(root=ROOT)[0]
    card = [first.card[row] for row in ("Time", "Runs in", "You need")]
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    return {
        "README": re.sub(r"<!-- (\w+): .*?<!-- /\1 -->", "", readme, flags=re.S),
        "Lesson 01": "\n".join([first.title, first.lead, *card]),
        **dict(re.findall(r"^## (.+)\n\n((?:.+\n|\n(?!## ))+)", glossary, flags=re.M)),
    }


def fingerprint(text: str) -> str:
    """The same for the same words, however they are broken into lines and wherever links lead."""
    words = " ".join(re.sub(r"\]\([^)]*\)|\*", "", text).split())
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def older(page: str, told: dict[str, str]) -> list[str]:
    """The names of `told` whose translation is missing or older than the source, and not marked."""
    found = {name: re.search(MARK.format(name=re.escape(name)), page) for name in told}
    return [
        name
        for name, mark in found.items()
        if mark is None or (not mark[1] and mark[2] != fingerprint(told[name]))
    ]


def marked(page: str, told: dict[str, str]) -> str:
    """The page with a ⚠ at what is older; a term that is missing gets a row."""
    for name in older(page, told):
        pattern = MARK.format(name=re.escape(name))
        if re.search(pattern, page):
            page = re.sub(pattern, rf" ⚠<!-- of {name}: \2 -->", page)
        else:
            page += f"| {name} | – | ⚠<!-- of {name}: none --> |\n"
    return page


def accepted(page: str, told: dict[str, str]) -> str:
    """The page with today's fingerprints and no ⚠, but at rows that nobody has translated yet."""
    for name, text in told.items():
        pattern = rf"(?<!– \|){MARK.format(name=re.escape(name))}"
        page = re.sub(pattern, f"<!-- of {name}: {fingerprint(text)} -->", page)
    return page


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="translations and their sources")
    parser.add_argument("--mark", action="store_true", help="tell the readers what is older")
    parser.add_argument("--accept", action="store_true", help="all that is there is up to date")
    given, told, left = parser.parse_args(arguments), sources(), 0
    for language in LANGUAGES:
        path = ROOT / "docs" / f"{language}.md"
        page = path.read_text(encoding="utf-8")
        page = accepted(page, told) if given.accept else page
        page = marked(page, told) if given.mark else page
        write_text(path, page)
        names = older(page, told)
        left += len(names)
        marks = page.count("⚠<!--")
        done = "up to date" + f", but for {marks} marked ⚠" * bool(marks)
        print(f"{path.name}: {', '.join(names) or done}")
    return min(1, left)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
