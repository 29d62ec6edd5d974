"""Every benchmark runs, on little data, and ends with one JSON object that has its ratios."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import sweep_lesson

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SMALL = {
    "cifar_loop": "--dataset photodigits --images 260 --rounds 1 --workers 0 --device cpu",
    "hint_cost": "--width 0.1 --batch 2 --repeats 1",
    "learning_rate": "--sizes 10 --rates 0.01 0.02 --seeds 2 --steps 1",
    "loss_overhead": "--repeats 2 --batch 8 --classes 4",
    "many_seeds": "--students 2 --steps 2 --samples 8 --repeats 1",
    "mnist_loop": "--dataset digits --images 100 --epochs 1 --repeats 1",
    "peers": "--dataset photodigits --images 60 --epochs 1 --seeds 0 --out=",
    "precision": "--rounds 1 --cases 1",
    "sweep_workers": "--lesson notebooks/05_tiny.ipynb --temperatures 1 --seeds 1",
}
# One process for all of them: loading PyTorch takes longer than most of these runs.
RUN_ALL = """
import json, runpy, sys
for script, *arguments in json.loads(sys.argv[1]):
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    print("=" * 9, flush=True)
"""


@pytest.fixture(scope="module")
def last_lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("course")
    sweep_lesson.write(root)
    scripts = [[str(BENCHMARKS / f"{name}.py"), *SMALL[name].split()] for name in SMALL]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(scripts)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split("=" * 9 + "\n")[:-1]
    return {name: out.splitlines()[-1] for name, out in zip(SMALL, outputs, strict=True)}


def test_no_benchmark_is_left_out() -> None:
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == SMALL.keys()


@pytest.mark.parametrize("name", SMALL)
def test_the_last_line_has_the_ratios(name: str, last_lines: dict[str, str]) -> None:
    result = json.loads(last_lines[name])
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
