"""Every benchmark runs, on little data, and ends with one JSON object that has its ratios."""

import json
import math
import os
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import sweep_lesson
import torch
import torch.nn.functional as F
from forked import ended, forks

import kdhelpers as kd
from kdhelpers.data import Batch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SMALL = {
    "cifar_loop": "--dataset photodigits --images 260 --rounds 1 --workers 0 --device cpu",
    "hint_cost": "--width 0.1 --batch 2 --repeats 1",
    "import_time": "--repeats 1",
    "learning_rate": "--sizes 10 --rates 0.01 0.02 --seeds 2 --steps 1",
    "loss_overhead": "--repeats 2 --batch 8 --classes 4",
    "many_seeds": "--students 2 --steps 2 --samples 8 --repeats 1",
    "mnist_loop": "--dataset digits --images 100 --epochs 1 --repeats 1",
    "peers": "--dataset photodigits --images 60 --epochs 1 --seeds 0 --out=",
    "precision": "--rounds 1 --cases 1",
    "sweep_workers": "--lesson notebooks/05_tiny.ipynb --temperatures 1 --seeds 1",
}


def run_all(folder: Path) -> None:
    """In one process: loading PyTorch takes longer than most of these runs."""
    os.chdir(folder)
    for name, arguments in SMALL.items():
        sys.argv = [name, *arguments.split()]
        with Path(f"{name}.txt").open("w") as file, redirect_stdout(file):
            runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    sweep_lesson.write(folder)
    assert ended(run_all, folder)
    return folder


def test_no_benchmark_is_left_out() -> None:
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == SMALL.keys()


@forks
@pytest.mark.parametrize("name", SMALL)
def test_the_last_line_has_the_ratios(name: str, outputs: Path) -> None:
    result = json.loads((outputs / f"{name}.txt").read_text().splitlines()[-1])
    assert result["benchmark"] == name
    ratios = numbers(result["ratios"])
    assert ratios
    assert all(math.isfinite(ratio) and ratio > 0 for ratio in ratios)


def numbers(ratios: object) -> list[float]:
    if isinstance(ratios, dict):
        return [number for each in ratios.values() for number in numbers(each)]
    if isinstance(ratios, list):
        return [number for each in ratios for number in numbers(each)]
    assert isinstance(ratios, float | int)
    return [float(ratios)]


@pytest.mark.parametrize("arm", ["cosine", "regressor"])
def test_the_tutorials_ways_have_its_losses(arm: str) -> None:
    peers = runpy.run_path(str(BENCHMARKS / "peers.py"))
    student = peers["network"]((16, 16), (0, 1), 256, seed=1).eval()
    teacher = peers["network"]((128, 64, 64, 32), (1, 3), 512, seed=0).eval()
    objective, again = (peers["tutorial_objective"](arm, kd.Teacher(teacher), 1) for _ in "12")
    images, labels = torch.rand(4, 3, 32, 32), torch.arange(4)
    terms = objective(student, Batch(images, labels, labels, labels * 0))

    own, guide = student[:6](images), teacher[:10](images)
    if arm == "cosine":
        pooled = F.avg_pool1d(guide.flatten(1), 2)
        hidden = torch.nn.CosineEmbeddingLoss()(own.flatten(1), pooled, torch.ones(4))
    else:
        weight, bias = objective.parameters()
        assert torch.equal(weight, next(again.parameters()))
        hidden = F.mse_loss(F.conv2d(own, weight, bias, padding=1), guide)
    theirs = 0.75 * F.cross_entropy(student(images), labels) + 0.25 * hidden
    torch.testing.assert_close(0.75 * sum(terms.values()), theirs)


def test_the_table_has_the_teacher_the_other_figure_and_the_precisions() -> None:
    first = {"last": 70.0, "best": 71.0, "precision": "fp32", "seconds": 1.0}
    both = {"0": first, "1": first | {"precision": "bf16"}}
    found = {"tutorial": {"alone": {"0": first}, "teacher": {"0": first}}}
    found["haitongli"] = {"alone": both}
    lines = runpy.run_path(str(BENCHMARKS / "peers.py"))["table"](found).splitlines()
    told = "84.74, best (83.7 last) | 70.00 ± 0.00 | 71.00 ± 0.00 | bf16 and fp32 | 2"
    assert lines[2:] == [
        "| tutorial | teacher | 75.1 to 75.6 | 70.00 | 71.00 | fp32 | 1 |",
        "| tutorial | alone | 69.9 to 70.4 | 70.00 | 71.00 | fp32 | 1 |",
        f"| haitongli | alone | {told} |",
    ]
