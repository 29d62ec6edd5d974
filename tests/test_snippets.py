"""The code that README, docs and docstrings show runs as it stands there."""

import ast
import functools
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from small_data import fewer

import kdhelpers as kd
from kdhelpers.course import cli
from kdhelpers.course.plans import plan

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"\s*(python|kdhelpers|papermill) ")


def blocks_of_page(page: Path) -> str:
    """The Python of a page, block after block: each goes on from those before it."""
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.S))


def blocks_of_docstrings() -> list[Any]:
    """The indented examples of all docstrings, one parameter each."""
    found = []
    for path in sorted((ROOT / "kdhelpers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                code = re.findall(r"\n\n((?:    .*(?:\n+|$))+)", text)
                name = f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}"
                found += [pytest.param(each, id=name) for each in code if not SHELL.match(each)]
    return found


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, few images, a few steps a run, and stand-ins for services that are shown."""
    monkeypatch.chdir(tmp_path)
    whole_run = kd.fit

    def one_epoch(*arguments: Any, **options: Any) -> Any:
        return whole_run(*arguments, **options | {"epochs": 1, "steps": 0}, progress=False)

    monkeypatch.setattr(kd, "fit", one_epoch)
    monkeypatch.setattr(kd, "load", functools.partial(fewer, kd.load))
    board, wandb = ModuleType("tensorboard"), ModuleType("wandb")
    writer = SimpleNamespace(add_scalar=lambda tag, value, step: None)
    monkeypatch.setattr(board, "SummaryWriter", lambda: writer, raising=False)
    monkeypatch.setattr(wandb, "init", lambda project: None, raising=False)
    monkeypatch.setattr(wandb, "log", lambda row: None, raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setitem(sys.modules, "wandb", wandb)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks_of_page(p)], ids=lambda p: p.name)
def test_the_code_of_a_page_runs(page: Path) -> None:
    before = blocks_of_page(ROOT / "README.md") if page.name == "package.md" else ""
    exec(compile(before + blocks_of_page(page), page.name, "exec"), {})


# Made anew for every example, the pictures would take most of the time.
pictures_to_show = functools.cache(lambda: kd.load("photodigits"))


def surroundings() -> dict[str, Any]:
    """What the examples of docstrings take for granted: small networks, few images."""
    pictures = pictures_to_show()
    train = pictures.train.take(40)
    student, teacher = (kd.build("fitnet_narrow_student", width=0.5, seed=n) for n in (0, 1))
    layer = kd.LayerPair("stage2.1", "stage2.0")
    names = {name: getattr(kd, name) for name in kd.__all__}
    losses = {name: getattr(kd.losses, name) for name in kd.losses.__all__}
    own = {
        "kd": kd, "train": train, "digits": pictures._replace(train=train), "student": student,
        "teacher": teacher, "images": train.normalise(train.images[:4]), "guided": layer,
        "alone": lambda seed: {"accuracy": 0.5}, "distilled": lambda seed: {"accuracy": 0.6},
        "my_soft_targets": lambda logits, temperature: torch.softmax(logits / temperature, -1),
        "ExponentialDecay": kd.temperature.ExponentialDecay,
    }  # fmt: skip
    with kd.capture(teacher, "stage2.0") as features, torch.no_grad():
        teacher(own["images"])
    cells = json.loads((ROOT / "notebooks" / "01_mnist_kd.ipynb").read_text("utf-8"))["cells"]
    tagged = (c["source"] for c in cells if "parameters" in c["metadata"].get("tags", []))
    exec("".join(next(tagged)), own)
    own["student_features"] = features["stage2.0"]
    own["regressor"] = kd.models.Regressor(*[features["stage2.0"].shape[1]] * 2)
    return names | losses | own


@pytest.mark.parametrize("code", blocks_of_docstrings())
def test_the_code_of_a_docstring_runs(code: str) -> None:
    exec(compile(re.sub(r"(?m)^    ", "", code), "docstring", "exec"), surroundings())


def test_no_example_is_lost() -> None:
    assert len(blocks_of_docstrings()) >= 7
    for page in PAGES:
        fences = set(re.findall(r"(?m)^ *```(.*)$", page.read_text("utf-8")))
        assert fences <= {"", "python", "sh", "text", "mermaid", "{raw} html"}, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = page.read_text("utf-8")
    commands = re.findall(r"(?m)(?:^|> |`)kdhelpers ((?:run|sweep|start|list)\b[^`\n]*)", text)
    assert len(commands) >= 10 or page.name != "README.md"
    for command in commands:
        given = cli._parser().parse_args(shlex.split(command, comments=True))
        if given.name == "run":
            assert plan(given.lessons, profile=given.profile, parameters=dict(given.p))
