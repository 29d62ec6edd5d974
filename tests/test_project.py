"""The project's own files agree with each other."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from kdhelpers import course
from tools import readme

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
README = (ROOT / "README.md").read_text(encoding="utf-8")


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("kdhelpers.")}


def rooms() -> dict[str, set[str]]:
    """For each room at the top of the package, the other rooms that it imports from."""
    package, found = ROOT / "kdhelpers", defaultdict[str, set[str]](set)
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        found[room] |= imports(path)
    del found["__init__"]
    return {room: used & found.keys() - {room} for room, used in found.items()}


def test_a_room_imports_from_the_floors_below_it() -> None:
    left, floors = rooms(), 0
    assert len(left) <= 15
    assert sum(map(len, left.values())) <= 50
    while left:
        ground = {name for name, used in left.items() if not used & left.keys()}
        assert ground, f"a circle among {sorted(left)}"
        left = {name: used for name, used in left.items() if name not in ground}
        floors += 1
    assert floors <= 7


def test_the_conda_environment_and_the_example_have_what_pyproject_asks_for() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    *packages, own = pip["pip"]
    assert own == "--editable ."
    extras = PROJECT["optional-dependencies"]
    asked = PROJECT["dependencies"] + [
        each for extra in ("lab", "run", "deploy", "sweep", "test") for each in extras[extra]
    ]
    assert packages == [each for each in asked if not each.startswith("kdhelpers[")]
    served = (ROOT / "examples/serve/requirements.txt").read_text().split()
    assert set(served) <= set(packages)


def test_the_core_needs_none_of_the_extras(tmp_path: Path) -> None:
    """`import kdhelpers`, training and judging, and the command's answer without the rest.

    `kd.fit` is there without heavy libraries.
    """
    extras = (
        "jupyterlab ipykernel ipywidgets papermill nbclient nbformat yaml psutil jinja2 IPython "
        "onnx onnxscript onnxruntime"
    )
    heavy = {"torchmetrics", "scipy", "sklearn", "matplotlib", "pandas"}
    code = f"""
import sys
sys.modules |= dict.fromkeys({extras.split()!r})
import kdhelpers as kd
kd.fit
assert not {heavy} & sys.modules.keys(), "they take longer to import than the rest together"
digits = kd.load("digits")
student = kd.build("mnist_cnn_student")
kd.fit(student, kd.Supervised(), digits.train.take(50), epochs=1, device="cpu", progress=False)
kd.evaluate(student, digits.test)
from kdhelpers import checks, losses, plots, stats, tables, temperature
from kdhelpers.course.cli import main
assert main(["list"]) == 0
sys.exit(main(["run", "01"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert "is not installed, which the lessons need" in done.stderr
    assert "python -m pip install --editable '.[course]'" in done.stderr


def test_ci_runs_the_readmes_test_command_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "exec make test"
    assert "make test" in README
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    commands = {
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    }
    assert commands == {"make test", "make run"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "workflows").iterdir()), ids=lambda path: path.stem
)
def test_a_workflow_may_do_no_more_than_it_must(path: Path) -> None:
    """Actions by the hash of their code, reading alone unless a job asks for more, a time limit."""
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    used = re.findall(r"uses: (.+)", text)
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one) for one in used)
    assert "secrets." not in text
    targets = set(re.findall(r"run: make (\w+)", text))
    assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))


def test_the_issue_form_asks_for_the_doctor_and_the_container_can_be_read() -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "problem.yml").read_text("utf-8"))
    asked = {field["id"]: field for field in form["body"] if "id" in field}
    assert "kdhelpers doctor" in asked["doctor"]["attributes"]["label"]
    assert asked["doctor"]["validations"]["required"]
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    target = container["postCreateCommand"].removeprefix("make .venv/")
    assert f"$(VENV)/{target}:" in (ROOT / "Makefile").read_text()


def test_the_readme_shows_every_plain_command_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", makefile, flags=re.M)
    assert recipe is not None
    for line in recipe.group(1).splitlines():
        command = line.strip().removeprefix("$(BIN)/")
        assert command in README, command


@pytest.mark.parametrize("page", readme.PAGES)
def test_what_pages_show_is_what_the_records_say(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert readme.updated(text, page) == text, "run `python tools/readme.py`"


@pytest.mark.parametrize("lesson", ["01_mnist_kd", "02_temperature"])
def test_there_are_records_of_full_runs(lesson: str) -> None:
    records = course.load_records(lesson)
    assert "full" in {record["profile"] for record in records}
    for record in records:
        assert record["parameters"]["dataset"] == "mnist"
        assert len(record["parameters"]["seeds"]) >= 3
        assert record["environment"]["commit"]


def test_no_file_names_a_folder_of_some_machine() -> None:
    folders = ("kdhelpers", "notebooks", "benchmarks", "results", "tools", "docs", ".github")
    folders += (".ci",)
    inside = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    own = [path for path in ROOT.iterdir() if path.is_file()]
    local = {".coverage", ".git"}  # of the machine: the second is a file in a worktree
    read = [each for each in own + inside if each.suffix != ".pyc" and each.name not in local]
    assert len(read) > 50
    for path in read:
        hit = re.search(r"/(?:home|root|tmp|work|Users)/\w+", path.read_text(errors="replace"))
        assert hit is None, f"{path.name}: {hit}"
