"""A lesson opened alone: its first cell, its badge and its links, published or not."""

import copy
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat import v4

import kdhelpers as kd
from kdhelpers.course import CourseError, Notebook
from kdhelpers.course.root import ADDRESS
from tools import published

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PLACE = "https://github.com/someone/distil"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_begins_and_leads_on_as_where_it_is_published(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    told = "run `python tools/published.py`"
    assert published.renewed(copy.deepcopy(notebook), path.stem) == notebook, told
    code = [each for each in notebook["cells"] if each["cell_type"] == "code"]
    assert code[0]["source"] == published.cell()
    assert published.badge(path.stem) in notebook["cells"][0]["source"]
    assert Notebook(path).made_for == ""
    assert not ADDRESS or f"]({ADDRESS}/blob/main/docs/glossary.md)" in path.read_text("utf-8")


def test_a_published_lesson_has_a_badge_and_links_that_lead_there_from_anywhere() -> None:
    card = "# 01 · A\n\n| | |\n|---|---|\n| **Words** | [words](../docs/glossary.md#kl) |"
    cells = [v4.new_markdown_cell(card), v4.new_code_cell("1", id="a", execution_count=7)]
    cells += [v4.new_markdown_cell("[on](02_b.ipynb), [paper](https://arxiv.org/abs/1), a[0](x)")]
    one = published.renewed({"cells": cells, "metadata": {}}, "01_a", PLACE)
    title, install, code, prose = (each["source"] for each in one["cells"])
    assert f"[words]({PLACE}/blob/main/docs/glossary.md#kl)" in title
    colab = "https://colab.research.google.com/github/someone/distil/blob/main/notebooks/01_a.ipynb"
    assert f"]({colab}) |\n| **Words** |" in title
    assert install == published.cell(PLACE)
    assert code == "1"
    assert prose.startswith(f"[on]({PLACE}/blob/main/notebooks/02_b.ipynb), [paper](https://arx")
    assert [one["cells"][at]["execution_count"] for at in (1, 2)] == [1, 2]
    assert published.renewed(copy.deepcopy(one), "01_a", PLACE) == one


def test_the_first_cell_installs_what_is_missing_and_says_so_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell, asked = InteractiveShell(), list[str]()

    def pip(line: str) -> None:
        asked.append(line)
        sys.modules["kdhelpers"] = ModuleType("kdhelpers")
        sys.modules["kdhelpers"].made_for = asked.append  # type: ignore[attr-defined]

    shell.register_magic_function(pip, magic_name="pip")
    monkeypatch.setitem(sys.modules, "kdhelpers", None)
    with pytest.raises(ImportError, match="install the wheel of kdhelpers: it is published nowh"):
        shell.run_cell(published.cell("")).raise_error()
    shell.run_cell(published.cell(PLACE)).raise_error()
    version = ".".join(kd.__version__.split(".")[:2])
    assert asked == [f'install --quiet "kdhelpers @ git+{PLACE}"', version]


def test_an_older_or_newer_notebook_says_so_in_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdhelpers.course.notebook.__version__", "0.10.3")
    kd.made_for("0.10")
    assert capsys.readouterr().out == ""
    for version, remedy in (("0.9", "`kdhelpers start"), ("0.11", "install the newer kdhelpers;")):
        kd.made_for(version)
        told = capsys.readouterr().out
        assert told.startswith(
            f"This notebook is made for kdhelpers {version}, and this is 0.10.3: {remedy}"
        )
        assert told.count("\n") == 1
    with pytest.raises(CourseError, match=r"a version is two numbers such as 0\.2, not 'new'"):
        kd.made_for("new")
