"""How much faster is a sweep with several processes than with one? Same points, one run.

The default lesson is a small one of its own, written into a temporary folder: on scikit-learn's
digits it trains a teacher and distils a student at one temperature with one seed. Every process
has one thread. Both sweeps start from nothing and pay for the start of their processes.

    python benchmarks/sweep_workers.py                          # 40 points: some ten minutes
    python benchmarks/sweep_workers.py --temperatures 1 4 --seeds 2 --steps 50     # a smoke test
    python benchmarks/sweep_workers.py --lesson 05              # any lesson with `temperature`

The last line is one JSON object: seconds, their ratio (one process / several), and whether both
tables are equal but for the seconds.

Measured on a two-core CPU (AMD EPYC, AVX2) with torch 2.15, November 2026, --steps 100, 40 points:
658.5 s in one process, 323.4 s in two, 2.04 times as fast; the same tables.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import nbformat

from kdhelpers.course import sweep
from kdhelpers.course.sweep import SweepResult

PARAMETERS = """\
temperature: float = 4.0
seeds: list[int] = [0, 1]
steps: int = 400
record_file: str = ""
"""
TRAINING = """\
import time

started = time.perf_counter()
import kdhelpers as kd
from kdhelpers import course

digits = kd.load("digits")
teacher = kd.build("mnist_cnn_teacher", seed=0)
kd.fit(teacher, kd.Supervised(), digits.train.take(500), epochs=2, batch_size=32, progress=False)
measured = []
for seed in seeds:
    student = kd.build("mnist_cnn_student", seed=seed)
    objective = kd.Distillation(teacher, temperature=temperature, alpha=0.9)
    images = digits.train.take(200, seed=seed)
    kd.fit(student, objective, images, steps=steps, batch_size=32, seed=seed, progress=False)
    measured.append(kd.evaluate(student, digits.test)["accuracy"])
course.write_record(
    record_file, notebook="05_benchmark", device="cpu", started=started,
    parameters={"temperature": temperature, "seeds": seeds}, metrics={"accuracy": measured},
);
"""


def write_lesson(folder: Path) -> Path:
    """The small lesson as a notebook."""
    cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(TRAINING),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "05_benchmark.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def results(swept: SweepResult) -> dict[str, list[object]]:
    """The table without the seconds."""
    columns = sweep.columns(swept.rows)
    return {name: values for name, values in columns.items() if "seconds" not in name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lesson", help="a number, name or path; default: a small one")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, help="of each student of the small lesson")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    grid = {"temperature": options.temperatures, "seed": range(options.seeds)}
    fixed = {"steps": options.steps} if options.steps else None
    seconds: dict[int, float] = {}
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        lesson = options.lesson or write_lesson(Path(folder))
        for workers in (1, options.workers):
            started = time.perf_counter()
            swept = sweep.sweep(
                lesson, grid, workers=workers, parameters=fixed, out_dir=Path(folder) / f"{workers}"
            )
            seconds[workers] = time.perf_counter() - started
            if not swept.ok:
                raise SystemExit(next(row.failure for row in swept.rows if row.failure))
            tables.append(results(swept))
            inside = sum(row.seconds or 0 for row in swept.rows)
            print(f"{len(swept.rows)} points, {workers} processes: {seconds[workers]:.1f} s, "
                  f"{inside / len(swept.rows):.1f} s a point")  # fmt: skip

    result = {
        "benchmark": "sweep_workers",
        "points": len(swept.rows),
        "workers": options.workers,
        "cores": os.cpu_count(),
        "seconds": {"one": seconds[1], "several": seconds[options.workers]},
        "ratios": {"one_over_several": seconds[1] / seconds[options.workers]},
        "same_results": tables[0] == tables[1],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
