"""The lessons as documents: anatomy, budgets, stored outputs, exercises, and what they define."""

import ast
import html
import inspect
import json
import os
import re
import socket
import statistics
from functools import cache, partial
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from forked import ended, forks
from IPython.core.interactiveshell import InteractiveShell
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from small_data import fewer

import kdhelpers
from kdhelpers import checks, course, data, losses, temperature
from kdhelpers._files import write_text
from kdhelpers.course import plans, root
from kdhelpers.losses import features as feature_losses
from kdhelpers.losses import logits as logit_losses
from kdhelpers.objectives import distillation

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> NotebookNode:
    notebook = nbformat.read(request.param, as_version=4)
    notebook.path = request.param
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def words(notebook: NotebookNode) -> int:
    """Those of the prose, without code and formulas that stand alone."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", prose(notebook), flags=re.S)
    return len(re.findall(r"\w+", text))


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in code_cells(notebook) if tag in cell.metadata.get("tags", [])]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def test_there_are_lessons() -> None:
    numbers = [path.stem[:2] for path in LESSONS]
    assert numbers == sorted(set(numbers))
    assert len(LESSONS) >= 2


# -- budgets and anatomy --------------------------------------------------------------------------


def test_prose_and_code_keep_to_their_budgets(lesson: NotebookNode) -> None:
    lengths = [
        len([line for line in cell.source.splitlines() if line.strip()])
        for cell in code_cells(lesson)
    ]
    assert 1500 <= words(lesson) <= 3500
    assert len(lengths) <= 38
    assert statistics.median(lengths) <= 8
    assert sorted(lengths)[-2] <= 20  # all but that of the parameters


def test_a_cell_that_trains_a_network_builds_it_so_that_it_can_be_run_again(
    lesson: NotebookNode,
) -> None:
    later = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
    for cell in code_cells(lesson):
        now, found = [ast.parse(cell.source)], []
        while now:
            found.append(now.pop())
            now += [each for each in ast.iter_child_nodes(found[-1]) if not isinstance(each, later)]
        names = [each for each in found if isinstance(each, ast.Name)]
        calls = [each for each in found if isinstance(each, ast.Call)]
        trained = [each.args[0] for each in calls if ast.unparse(each.func) == "kd.fit"]
        assert {ast.unparse(each).partition(".")[0] for each in trained} <= {
            each.id for each in names if isinstance(each.ctx, ast.Store)
        }


def test_every_figure_has_alternative_text_and_there_are_four_to_eight(
    lesson: NotebookNode,
) -> None:
    """Read from the page that nbconvert makes, as a screen reader would."""
    figures = [o for o in outputs(lesson) if "image/png" in o.get("data", {})]
    assert 4 <= len(figures) <= 8
    shown = nbformat.v4.new_notebook(cells=[cell for cell in code_cells(lesson) if cell.outputs])
    page, _ = HTMLExporter().from_notebook_node(shown)
    told = [re.search(r' alt="([^"]*)"', image) for image in re.findall(r"<img[^>]*>", page)]
    assert [html.unescape(alt.group(1)) for alt in told if alt] == [
        figure.data["text/plain"] for figure in figures
    ]
    assert min(len(figure.data["text/plain"]) for figure in figures) > 40


def test_a_figure_comes_within_the_first_five_cells(lesson: NotebookNode) -> None:
    early = [o for cell in lesson.cells[:5] for o in cell.get("outputs", [])]
    assert any("image/png" in o.get("data", {}) for o in early)


@pytest.mark.parametrize(
    "part",
    [
        "What you will learn", "By hand", "> **Predict.**", "Your turn", "recorded full run",
        "Recap", "Quiz", "Further reading", "arXiv", "<summary>Solution</summary>",
    ],
)  # fmt: skip
def test_every_part_of_the_anatomy_is_there(lesson: NotebookNode, part: str) -> None:
    assert part in prose(lesson)


def test_stored_outputs_are_complete_and_clean(lesson: NotebookNode) -> None:
    assert any("NBVAL_CHECK_OUTPUT" in cell.source for cell in code_cells(lesson))
    for number, cell in enumerate(code_cells(lesson), start=1):
        assert cell.execution_count == number, "run `make notebooks`"
        assert "execution" not in cell.metadata, "timings change at every run"
        if "NBVAL_CHECK_OUTPUT" in cell.source:
            assert cell.outputs, "a checked cell without stored output is never checked"
    assert not [o for o in outputs(lesson) if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs(lesson) if "widget" in json.dumps(o.get("data", {}))]


# -- parameters and profiles ----------------------------------------------------------------------


def test_parameters_are_literal_annotated_and_explained(lesson: NotebookNode) -> None:
    (cell,) = tagged(lesson, "parameters")
    for line in cell.source.splitlines():
        statement, comment = line.split("  # ")
        (parsed,) = ast.parse(statement).body
        assert isinstance(parsed, ast.AnnAssign)
        assert parsed.value is not None
        ast.literal_eval(parsed.value)
        assert len(comment) > 3


def test_there_is_a_full_profile_and_every_profile_fits_its_lesson(lesson: NotebookNode) -> None:
    (found,) = course.find_lessons(lesson.path.stem)
    assert {"quick", "full"} <= set(found.profiles)
    for profile in found.profiles:
        (plan,) = plans.plan([found.name], profile=profile)
        assert bool(plan.values) == (profile != "quick")


# -- show, check, import --------------------------------------------------------------------------


def packaged(name: str) -> Any:
    """The function that a lesson writes out, from the one module that defines it."""
    (module,) = [
        each
        for each in (logit_losses, feature_losses, temperature, distillation)
        if getattr(getattr(each, name, None), "__module__", "") == each.__name__
    ]
    return getattr(module, name)


def test_what_a_lesson_writes_out_is_what_the_package_has(lesson: NotebookNode) -> None:
    cells = tagged(lesson, "inline-definitions")
    if not cells:  # its ideas are other libraries', with which it compares them itself
        assert "torch.testing.assert_close(ours, theirs)" in "".join(
            cell.source for cell in code_cells(lesson) if "NBVAL_CHECK_OUTPUT" in cell.source
        )
        return
    (cell,) = cells
    own: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    exec(cell.source, own)
    names = [node.name for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
    assert names
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 32, 7, generator=generator, dtype=torch.float64) * 4
    labels = torch.randint(7, (32,), generator=generator)
    student.requires_grad_()
    maps = torch.randn(8, 6, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    guides = torch.randn(8, 6, 4, 4, generator=generator, dtype=torch.float64)
    given = {"logits": student, "student_logits": student, "teacher_logits": teacher}
    given |= {"student_features": maps, "teacher_features": guides}
    for name in names:
        for T in (1.0, 4.0, 11.0):
            given |= {"labels": labels, "temperature": T, "alpha": 0.7}
            results = []
            wanted = inspect.signature(own[name]).parameters
            learner = given[next(iter(wanted))]
            for function in (own[name], packaged(name)):
                value = function(**{key: given[key] for key in wanted})
                weighted = (value * torch.arange(1.0, value.numel() + 1).view_as(value)).sum()
                results.append((value, *torch.autograd.grad(weighted, learner)))
            torch.testing.assert_close(*results)


# -- exercises ------------------------------------------------------------------------------------


def verdict_of(source: str, namespace: dict[str, Any]) -> checks.Verdict:
    *body, last = ast.parse(source).body
    assert isinstance(last, ast.Expr)
    exec(compile(ast.Module(body, []), "<exercise>", "exec"), namespace)
    verdict = eval(compile(ast.Expression(last.value), "<exercise>", "eval"), namespace)
    assert isinstance(verdict, checks.Verdict)
    return verdict


def test_every_stub_is_not_attempted_and_every_solution_is_right(lesson: NotebookNode) -> None:
    stubs = tagged(lesson, "exercise")
    text = prose(lesson)
    solutions = re.findall(r"<summary>Solution</summary>\s+```python\n(.*?)```", text, re.S)
    assert 2 <= len(stubs) == len(solutions) <= 4, "two to four exercises, a solution for each"
    for stub, solution in zip(stubs, solutions, strict=True):
        namespace = {"torch": torch, "F": torch.nn.functional, "losses": losses, "checks": checks}
        assert verdict_of(stub.source, namespace).status == "not attempted"
        call = stub.source.strip().splitlines()[-1]
        check = eval(call.partition("(")[0], namespace)
        assert check.task.startswith(f"Lesson {lesson.path.stem[:2]}:")  # `progress` counts it
        verdict = verdict_of(f"{solution}\n{call}", namespace)
        assert verdict.status == "right", verdict.message


def test_exercises_tell_their_minutes_and_difficulty(lesson: NotebookNode) -> None:
    headings = re.findall(r"^### Exercise \d · .*$", prose(lesson), flags=re.M)
    assert len(headings) == len(tagged(lesson, "exercise"))
    for heading in headings:
        assert re.search(r"\(\d+ minutes, (easy|medium|harder)\)", heading)


def test_the_card_tells_the_minutes_of_all_parts_together(lesson: NotebookNode) -> None:
    """200 words or 15 lines a minute, 2 for a prediction, 1 for the run, the exercises' own."""
    text = prose(lesson)
    done_already = {"install", "parameters", "exercise"}
    read = [
        c.source for c in code_cells(lesson) if not done_already & {*c.metadata.get("tags", [])}
    ]
    lines = sum(bool(line.strip()) for source in read for line in source.splitlines())
    exercises = re.findall(r"^### Exercise \d · .*\((\d+) minutes", text, flags=re.M)
    parts = (
        words(lesson) / 200
        + lines / 15
        + 2 * text.count("**Predict.**")
        + 1
        + sum(map(int, exercises))
    )
    (found,) = course.find_lessons(lesson.path.stem)
    assert abs(found.minutes - parts) <= 5


# -- offline --------------------------------------------------------------------------------------

# One seed: a point of a sweep has no more, and the stored outputs are of several.
SMALL = {
    "06_tips": "transfer_size = 20; epochs = 1; patience = 2; batch_size = 10; seeds = [0]; "
    "patient_seeds = [0]; patient_arms = ['alone', 'distilled', 'copied']; alphas = [0.5]; "
    "width = 0.125",
    "01_mnist_kd": "transfer_sizes = [50]; seeds = [0]; teacher_epochs = 1; steps = 2",
    "02_temperature": "temperatures = [4.0, 8.0]; seeds = [0]; teacher_epochs = 1; steps = 2",
    "03_cifar10_vgg": "student_width = 0.05; transfer_size = 64; epochs = 1; seeds = [7]; "
    "control_seeds = [0]; learning_rates = [1e-3, 1e-2]; grid_temperatures = [2.0]; "
    "grid_alphas = [0.9]; few_sizes = [32]; few_steps = 2; curves = True; "
    "others = {'small_cnn': 1}",
    "05_dynamic_temperature": "temperatures = [5.0]; standardised_temperatures = [2.0]; "
    "seeds = [0]; tuning_seeds = [2]; teacher_epochs = 1; steps = 2",
    "04_fitnets_hints": "transfer_size = 20; seeds = [0]; few_seeds = [0]; "
    "teacher_recipe = {'epochs': 1}; hint_steps = 1; task_steps = 1; teacher_size = 100; "
    "learning_rates = [1e-3]",
    "07_without_labels": "transfer_size = 60; noisy_size = 30; teacher_epochs = 1; steps = 2; "
    "noisy_steps = 2; sweep_steps = 2; stages = [0, 2]; variance_size = 3; validation_size = 100; "
    "noise_levels = [0.2]; adam_rates = [1e-2]; sgd_rates = [1e-2]; seeds = [0]",
    "08_deployment": "student_width = 0.1; transfer_size = 64; epochs = 1; seeds = [0]; "
    "repair_epochs = 1; calibration_size = 10; claim = ['squeezenet1_1']; claim_pixels = 64; "
    "claim_runtimes = ['PyTorch', 'ONNX Runtime']; seconds = 0.001",
}


def refuse(*arguments: Any, **names: Any) -> None:
    raise AssertionError(f"the network was touched: {arguments}")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the course as a wheel has it."""
    folder = tmp_path_factory.mktemp("site") / "kdhelpers" / "course"
    for name, text in root.contents(ROOT):
        write_text(folder / "material" / name, text)
    return folder


def run_alone_without_network(sources: list[str], folder: Path, package: Path) -> None:
    """What a kernel does with cells, in this process: in an empty folder, with what a wheel has."""
    root.__file__ = str(package / "root.py")
    (folder / "empty").mkdir()
    os.chdir(folder / "empty")
    data.load = kdhelpers.load = cache(partial(fewer, data.load))  # type: ignore[assignment]
    socket.socket.connect = socket.socket.connect_ex = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = socket.create_connection = refuse  # type: ignore[assignment]
    shell = InteractiveShell.instance()
    for source in sources:
        shell.run_cell(source).raise_error()


def cells_with(notebook: NotebookNode, values: str, record: Path) -> list[str]:
    """The code of a lesson, with other values behind its parameters."""
    return [
        f"{cell.source}\n{values}; record_file = {json.dumps(str(record))}"
        if "parameters" in cell.metadata.get("tags", [])
        else cell.source
        for cell in code_cells(notebook)
    ]


@forks
def test_a_lesson_alone_needs_no_network_and_starts_again_from_its_checkpoints(
    lesson: NotebookNode, tmp_path: Path, package: Path
) -> None:
    """Twice in one process: much of the time goes into what is done once."""
    checkpoints, records = tmp_path / "checkpoints", [tmp_path / "first.json", tmp_path / "2.json"]
    sources = []
    for record in records:
        values = f"{SMALL[lesson.path.stem]}; checkpoint_dir = {json.dumps(str(checkpoints))}"
        sources += cells_with(lesson, values, record)
    known = any((ROOT / "results").glob(f"{lesson.path.stem}*.json"))
    sources.append(f"assert bool(lesson.recorded()) == {known}  # they come from the package")
    assert ended(run_alone_without_network, sources, tmp_path, package)
    assert any(checkpoints.rglob("*.pt"))
    first, again = (json.loads(record.read_text()) for record in records)
    assert first["notebook"] == lesson.path.stem
    (declared,) = tagged(lesson, "parameters")
    names = {line.split(":")[0] for line in declared.source.splitlines()}
    assert first["parameters"].keys() == names - {"record_file"}
    assert isinstance(first["metrics"]["headline"], str)
    assert _without_timings(first["metrics"]) == _without_timings(again["metrics"])


def _without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        timed = ("latency_ms", "times", "kilobytes")
        return {key: _without_timings(v) for key, v in value.items() if key not in timed}
    return value


@forks
def test_lesson_05_runs_with_one_seed_and_without_families(tmp_path: Path, package: Path) -> None:
    """As a point of a sweep does."""
    notebook = nbformat.read(ROOT / "notebooks" / "05_dynamic_temperature.ipynb", as_version=4)
    values = "families = []; temperature = 8.0; seeds = [4]; teacher_epochs = 1; steps = 2"
    cells = cells_with(notebook, values, tmp_path / "05.json")
    assert ended(run_alone_without_network, cells, tmp_path, package)
    metrics = json.loads((tmp_path / "05.json").read_text())["metrics"]
    assert metrics["arms"].keys() == {"untuned", "tutorial"}
    assert [metrics["accuracy"]] == metrics["arms"]["untuned"]
    assert isinstance(metrics["teacher_accuracy"], float)
    assert "T = 8" in metrics["headline"]


@forks
def test_the_block_of_the_test_above_blocks(
    tmp_path: Path, package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asks = "import urllib.request; urllib.request.urlopen('http://localhost:9')"
    assert not ended(run_alone_without_network, [asks], tmp_path, package)
    told = capfd.readouterr()
    assert "the network was touched" in told.out + told.err
