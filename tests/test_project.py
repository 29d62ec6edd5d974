"""The project's own files agree with each other."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import kdhelpers
from kdhelpers import course, readme

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")

PLAIN = {"files", "losses", "temperature", "features", "models", "data", "stats", "checks"}
TRAINING = {"distillation", "training", "checkpoint", "prediction", "evaluation"}
RUNNER = {"course", "cli", "lessons", "parameters", "records", "failures", "doctor"}
RUNNER |= {"environment", "plans", "grids", "processes", "sweeps", "sweep_tables", "cli_sweep"}
# Inside a function, so that the runner does not load them before they are needed.
ON_DEMAND = {"doctor": {"sources"}, "sweeps": {"sweep_plots"}}
ON_DEMAND |= {"cli_sweep": {"sweep_plots", "report"}}


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kdhelpers":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("kdhelpers.")
            }
    return found


def modules() -> dict[str, set[str]]:
    files = sorted((ROOT / "kdhelpers").glob("*.py"))
    known = {path.stem: imports(path) for path in files if path.stem != "__init__"}
    for package in ("checks", "plots"):
        known[package] = set().union(*map(imports, (ROOT / "kdhelpers" / package).glob("*.py")))
    return {name: used & known.keys() - {name} for name, used in known.items()}


def test_imports_run_one_way() -> None:
    left = modules()
    while left:
        free = {name for name, used in left.items() if not used & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: used for name, used in left.items() if name not in free}


def test_losses_features_models_and_data_know_nothing_of_training() -> None:
    known = modules()
    reached, todo = set(), list(PLAIN)
    while todo:
        name = todo.pop()
        reached.add(name)
        todo += known[name] - reached
    assert not reached & TRAINING


def test_the_runner_knows_no_tensor() -> None:
    known = modules()
    for name in RUNNER:
        assert known[name] <= RUNNER | {"files", "_values"} | ON_DEMAND.get(name, set())
        source = (ROOT / "kdhelpers" / f"{name}.py").read_text()
        assert not re.search(r"^(import torch|from torch)", source, flags=re.M), name


def test_the_conda_environment_has_what_pyproject_asks_for() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    *packages, own = pip["pip"]
    assert own == "--editable ."
    assert packages == PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]


def test_the_version_is_told_once() -> None:
    assert PROJECT["version"] == kdhelpers.__version__


def test_ci_runs_the_readmes_test_command_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "exec make test"
    assert "make test" in README
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    commands = {
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    }
    assert commands == {"make test", "make run"}


def test_the_readme_shows_every_plain_command_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", makefile, flags=re.M)
    assert recipe is not None
    for line in recipe.group(1).splitlines():
        command = line.strip().removeprefix("$(BIN)/")
        assert command in README, command


def test_the_results_in_the_readme_are_those_of_the_records() -> None:
    assert readme.updated(README) == README, "run `python -m kdhelpers.readme`"


@pytest.mark.parametrize("lesson", ["01_mnist_kd", "02_temperature"])
def test_there_are_records_of_full_runs(lesson: str) -> None:
    records = course.load_records(lesson)
    assert records
    for record in records:
        assert record["profile"] == "full"
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
