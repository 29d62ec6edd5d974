"""The course as a site: the same notebooks and pages, for a browser.

    python tools/website.py              builds build/site, with what the extra `site` installs
    python tools/website.py --links      asks every address outside of the site whether it answers

`stage` lays the pages out in a folder of their own: README.md becomes the first page, with those of
its sections that are long as pages beside it; everything else keeps its place, so that links go on
to work. Sphinx makes the site of them, and `check` looks at every link of what came out. Nothing is
executed, and nothing of the site is loaded from another place: what answers on the page that one
draws on (`runtime`) is fetched by npm when a site is built for the first time.
"""

import argparse
import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote, urlsplit

import kdhelpers
from kdhelpers.course.root import ADDRESS

try:
    from tools.runtime import runtime
except ModuleNotFoundError:  # as a script, from the folder itself
    from runtime import runtime  # type: ignore[import-not-found,no-redef]

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"

# The sections of README.md that have a page of their own; all others are on the first page.
SECTIONS = {
    "runs": ["Parameterized runs", "On a GPU", "Sweeps"],
    "about": ["Contributing", "How to cite", "Licence"],
}
TITLES = {"runs": "Runs of your own", "about": "About"}
# Caption → pages; a page of docs/ that is named nowhere comes under the last.
MENU = {
    "Lessons": ["docs/map", "notebooks/*", "docs/draw", "docs/glossary"],
    "Your own": ["docs/own_data", "docs/beyond", "examples/*/README", "runs", "docs/package"],
    "Teaching": ["docs/workshop", "docs/teaching"],
    "Reference": ["docs/results", "docs/rosetta", "docs/uses", "api/index"],
    "In other languages": ["docs/zh", "docs/vi"],
    "Project": ["CHANGELOG", "CONTRIBUTING", "CODE_OF_CONDUCT", "about"],
    "More": ["docs/*"],
}


COLAB = re.compile(r"!\[Open in Colab\]\([^)]*\)")  # nothing is loaded from another place


def stage(folder: Path) -> Path:
    """The pages as Sphinx reads them, in a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    kinds = ["docs/*.*", "docs/draw/*.*", "notebooks/*.ipynb", "benchmarks/*.py"]
    for kind in [*kinds, "examples/*/*.*", "C*.*", "LICENSE*"]:
        for path in ROOT.glob(kind):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    static = folder / "_static"
    parts = shutil.ignore_patterns("*.html", "*.json", "*.onnx")  # those come in other ways
    shutil.copytree(ROOT / "docs" / "draw", static / "draw", ignore=parts)
    shutil.copy(ROOT / "docs" / "site" / "site.css", static)
    shutil.copy(ROOT / "docs" / "site" / "conf.py", folder)
    pages = readme_pages() | api_pages()
    for name, text in pages.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for path in folder.rglob("*.md"):
        text = COLAB.sub("Open in Colab", path.read_text(encoding="utf-8"))
        path.write_text(relinked(drawn(text)), encoding="utf-8")
    for path in folder.glob("notebooks/*.ipynb"):
        text = COLAB.sub("Open in Colab", path.read_text(encoding="utf-8"))
        if ADDRESS:
            text = text.replace(f"]({ADDRESS}/blob/main/", "](../")
        path.write_text(text, encoding="utf-8")
    with (folder / "index.md").open("a", encoding="utf-8") as first:
        first.write(menu(folder))
    return folder


# -- README.md and the menu -----------------------------------------------------------------------


def readme_pages() -> dict[str, str]:
    """README.md, cut at its headings: file → text."""
    head, *sections = re.split(
        r"^(?=## )", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M
    )
    by_title = {section.splitlines()[0].removeprefix("## "): section for section in sections}
    pages = {}
    for page, titles in SECTIONS.items():
        cut = [by_title.pop(title) for title in titles]
        pages[f"{page}.md"] = f"# {TITLES[page]}\n\n{''.join(cut)}"
    return {"index.md": head + "".join(by_title.values()), **pages}


def relinked(text: str) -> str:
    """Links to README.md lead to the page of its section, names of the package to their entry."""
    home = {anchor(title): page for page, titles in SECTIONS.items() for title in titles}

    def lead(link: re.Match[str]) -> str:
        up, place = link.groups(default="")
        return f"]({up}{home.get(place.removeprefix('#'), 'index')}.md{place})"

    text = re.sub(r"(?<!`)`(kd(?:helpers)?\.[\w.]+)`(?!`)", r"{py:obj}`\1`", text)
    text = re.sub(r"\]\(((?:\.\./)*)README\.md(#[\w-]+)?\)", lead, text)
    return re.sub(r"\]\(((?:\.\./)*)results\)", r"](\1docs/results.md)", text)


def anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def menu(folder: Path) -> str:
    """The tree of all pages, as the last lines of the first one."""
    left = {
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.*")
        if path.suffix in (".md", ".ipynb", ".rst")
    } - {"index"}
    trees = []
    for caption, wanted in MENU.items():
        names = [name for each in wanted for name in sorted(left) if Path(name).match(each)]
        left -= set(names)
        if names:
            lines = "\n".join(names)
            trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```")
    return "\n" + "\n\n".join(trees) + "\n"


# -- the map --------------------------------------------------------------------------------------


def drawn(text: str) -> str:
    """Mermaid flow charts as pictures: what draws them on GitHub is three megabytes of script."""
    return re.sub(r"```mermaid\n(.*?)```", lambda chart: _svg(chart.group(1)), text, flags=re.S)


def _svg(chart: str) -> str:
    names = dict(re.findall(r"(\w+)\[\"(.+?)\"\]", chart))
    arrows = re.findall(r"(\w+)(?:\[.+?\])? --> (\w+)", chart)
    column = dict.fromkeys(names, 0)
    for _ in names:
        for start, end in arrows:
            column[end] = max(column[end], column[start] + 1)
    lines = {name: textwrap.wrap(label, 24) for name, label in names.items()}
    height = 15 * max(map(len, lines.values())) + 10
    gap, filled = 40, dict.fromkeys(sorted(column.values()), 0)
    row = {}
    for name, place in column.items():
        row[name], filled[place] = filled[place], filled[place] + 1
    wide = {
        place: max(6.8 * len(line) + 16 for n in names if column[n] == place for line in lines[n])
        for place in filled
    }
    starts = accumulate(wide.values(), lambda x, width: x + width + gap, initial=1)
    left = dict(zip(wide, starts, strict=False))
    most, parts = max(filled.values()), []
    x = {name: left[place] for name, place in column.items()}
    end_of = {name: x[name] + wide[column[name]] for name in names}
    y = {n: (row[n] + (most - filled[column[n]]) / 2) * (height + 16) + 1 for n in names}
    for name, label in lines.items():
        middle, first = (x[name] + end_of[name]) / 2, y[name] + (height - 15 * len(label)) / 2 + 11
        parts.append(
            f'<rect x="{x[name]:g}" y="{y[name]:g}" width="{wide[column[name]]:g}" '
            f'height="{height}" rx="6"/><text text-anchor="middle">'
        )
        parts += [
            f'<tspan x="{middle:g}" y="{first + 15 * number:g}">{line}</tspan>'
            for number, line in enumerate(label)
        ]
        parts.append("</text>")
    for a, b in arrows:
        (x1, y1), (x2, y2) = (end_of[a], y[a] + height / 2), (x[b] - 2, y[b] + height / 2)
        bend = (x1 + x2) / 2
        parts.append(
            f'<path d="M{x1:g},{y1:g} C{bend:g},{y1:g} {bend:g},{y2:g} {x2:g},{y2:g}" '
            'marker-end="url(#tip)"/>'
        )
    told = "; ".join(f"{names[start]} leads to {names[end]}" for start, end in arrows)
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0 L8,4 L0,8"/></marker>'
    )
    size = f"{max(end_of.values()) + 1:g} {max(y.values()) + height + 1:g}"
    return (
        f'<div class="map" tabindex="0"><svg viewBox="0 0 {size}" role="img" aria-label="{told}.">'
        f"<defs>{tip}</defs>{''.join(parts)}</svg></div>"
    )


# -- the package ----------------------------------------------------------------------------------


def api_pages() -> dict[str, str]:
    """A page for each public room of the package: its modules with their docstrings."""
    pages, rooms = {}, []
    for room in sorted((ROOT / "kdhelpers").glob("[a-z]*")):
        modules = sorted(room.glob("[a-z]*.py"))
        if not modules and room.suffix != ".py":
            continue
        name, path = room.stem, room / "__init__.py" if modules else room
        blocks = [_module(name, "=")]
        blocks += [_module(f"{name}.{module.stem}", "-") for module in modules]
        pages[f"api/{name}.rst"] = "\n".join(blocks)
        said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")
        rooms.append(f":doc:`{name}`\n   {' '.join(said[0].split())}\n")
    tree = "".join(f"   {Path(page).stem}\n" for page in pages)
    pages["api/index.rst"] = (
        "The package, room by room\n=========================\n\n"
        + "\n".join(rooms)
        + "\nBy the names of ``import kdhelpers as kd``: "
        + ", ".join(f":py:obj:`kd.{name}`" for name in sorted(kdhelpers.__all__, key=str.lower))
        + ".\n"
        + f"\n.. toctree::\n   :hidden:\n\n{tree}"
    )
    return pages


def _module(name: str, underline: str) -> str:
    """What is defined in the module itself, not what it hands on."""
    options = "   :members:\n   :ignore-module-all:\n"
    return f"{name}\n{underline * len(name)}\n\n.. automodule:: kdhelpers.{name}\n{options}"


# -- what came out --------------------------------------------------------------------------------

# What readers and screen readers need, and Sphinx and its theme leave out: text → text.
MENDED = {
    r'<p class="caption" role="heading">': r'<p class="caption" role="heading" aria-level="2">',
    r'<aside class="(\w+)-drawer"': r'<aside aria-label="\1" class="\1-drawer"',
    r'<input class="task-list': r'<input aria-label="done" class="task-list',
    # What scrolls has to be in reach of the keyboard.
    r'<pre|<div class="(?:table|math)-wrapper [^"]*"': r'\g<0> tabindex="0"',
    r"(?<=\d) (?=± )|(?<= ±) (?=\d)|(?<=[\d,]) (?=%)": "&nbsp;",  # a number is not broken
    r'<thead>\s*<tr class="row-odd">(?:<th class="head[^"]*"><p></p></th>\s*)+</tr>\s*</thead>': "",
}


def mend(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for found, better in MENDED.items():
            text = re.sub(found, better, text)
        if page.stem in ("zh", "vi"):
            text = text.replace(' lang="en"', f' lang="{page.stem}"', 1)
        page.write_text(text, encoding="utf-8")


class _Links(HTMLParser):
    """The links of a page, what it loads, and the places in it that a link may lead to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("id", "name") and value:
                self.places.add(value)
            elif key == "href" and value and tag == "a":
                self.links.append(value)
            elif key in ("src", "href") and value and tag != "a":
                self.loads.append(value)


def check(site: Path) -> Iterator[str]:
    """A sentence for every link that leads nowhere and for everything loaded from elsewhere."""
    pages = {path.resolve(): _Links(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.loads + page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    yield f"{path.name} loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.name} links to {link}, which is not there"
            elif target in pages and unquote(parts.fragment) not in pages[target].places | {""}:
                yield f"{path.name} links to {link}, a place that is not there"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="build the site of the course")
    parser.add_argument("--links", action="store_true", help="ask the outside addresses, too")
    given = parser.parse_args(arguments)
    source, site = stage(BUILD / "site-pages"), BUILD / "site"
    # MathJax as one file; the Python package that brings it has no name that can be imported.
    (found,) = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations
    shutil.copy(Path(found) / "static" / "mathjax" / "tex-svg.js", source / "_static")
    try:
        script = runtime(source / "docs" / "draw", BUILD)
        (source / "_static" / "draw" / "runtime.js").write_text(script, encoding="utf-8")
    except OSError as error:
        print(f"The page to draw on will say that it has no networks: {error}.")
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "auto", source]
    if given.links:
        return subprocess.run([*sphinx, "-b", "linkcheck", BUILD / "links"]).returncode
    if failed := subprocess.run([*sphinx, site]).returncode:
        return failed
    mend(site)
    faults = list(check(site))
    print("\n".join(faults) or f"{site / 'index.html'}: every link leads somewhere.")
    return len(faults)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
