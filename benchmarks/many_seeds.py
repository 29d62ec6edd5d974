"""How much faster are many small students trained side by side than one after the other?

All sides train the same students (MNISTCNN with 8 and 16 channels) on the same subsets, in the
same order, for the same steps, distilled from one teacher whose logits are computed beforehand:
one after the other with `fit`, all at once with `fit_many`, and in two halves, each in
a thread of its own (`fit_many(workers=2)`). They take turns, and the medians are compared.
The largest difference between their weights is reported along with the size of what was learned:
they round differently, and Adam carries that on.

    python benchmarks/many_seeds.py --threads 2

The images are random; how long a step takes does not depend on what they show. The last line is
one JSON object.

Measured on a two-core CPU (AMD EPYC, AVX2) with torch 2.15, November 2026, medians of five rounds,
ten students: all in one stack take 0.725 of the time of one after the other, two halves in threads
0.465; the largest difference of a weight is 2.1e-6.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from kdhelpers import models
from kdhelpers.data.split import Split
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Objective, Supervised
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training.fit import fit
from kdhelpers.training.many import fit_many

BATCH_SIZE, LEARNING_RATE = 32, 1e-2


def random_split(count: int) -> Split:
    """Images [count, 1, 28, 28] with a bright patch whose place tells the class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (count,), generator=generator)
    images = torch.randint(90, (count, 1, 28, 28), generator=generator).to(torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 5)
        image[:, 14 * row : 14 * row + 14, 5 * column : 5 * column + 5] += 120
    return Split(images, labels, (0.3,), (0.25,), tuple(map(str, range(10))))


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def difference(ones: list[nn.Module], others: list[nn.Module]) -> float:
    pairs = zip(ones, others, strict=True)
    return max(
        (p - q).abs().max().item()
        for one, other in pairs
        for p, q in zip(one.parameters(), other.parameters(), strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=10)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--samples", type=int, default=96, help="in each student's subset")
    parser.add_argument(
        "--objective", default="distillation", choices=["distillation", "supervised"]
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="default: those of PyTorch")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    seeds, pool = tuple(range(arguments.students)), random_split(600)
    trains = [pool.take(arguments.samples, seed=seed) for seed in seeds]
    epochs = max(1, round(arguments.steps / -(-arguments.samples // BATCH_SIZE)))
    teacher = Teacher(models.build("mnist_cnn_student", seed=99))

    def students() -> list[nn.Module]:
        return [models.build("mnist_cnn_student", seed=seed) for seed in seeds]

    def objectives() -> list[Objective]:
        if arguments.objective == "supervised":
            return [Supervised() for _ in seeds]
        return [Distillation(teacher, temperature=4.0, alpha=0.9) for _ in seeds]

    settings = dict(
        epochs=epochs, batch_size=BATCH_SIZE, lr=LEARNING_RATE, device="cpu", progress=False
    )

    def one_by_one(networks: list[nn.Module]) -> None:
        for network, objective, train, seed in zip(
            networks, objectives(), trains, seeds, strict=True
        ):
            fit(network, objective, train, seed=seed, **settings)

    def at_once(networks: list[nn.Module], workers: int = 1) -> None:
        fit_many(networks, objectives(), trains, seeds=seeds, workers=workers, **settings)

    def in_halves(networks: list[nn.Module]) -> None:
        at_once(networks, workers=2)

    untrained = students()
    short = settings | {"epochs": 2}  # both sides warm, the teacher's logits at hand
    fit(students()[0], objectives()[0], trains[0], seed=0, **short)
    fit_many(students(), objectives(), trains, seeds=seeds, **short)
    ways = {"one_after_the_other": one_by_one, "side_by_side": at_once, "in_halves": in_halves}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.repeats):
        trained = {way: students() for way in ways}
        for way, train in ways.items():
            seconds[way].append(timed(partial(train, trained[way])))
        print("  ".join(f"{way} {each[-1]:.2f} s" for way, each in seconds.items()), flush=True)
    median = {way: statistics.median(each) for way, each in seconds.items()}
    alone, ones = seconds["one_after_the_other"], trained["one_after_the_other"]
    result = {
        "benchmark": "many_seeds",
        "objective": arguments.objective,
        "students": arguments.students,
        "steps": epochs * -(-arguments.samples // BATCH_SIZE),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds": median,
        "ratios": {way: median[way] / median["one_after_the_other"] for way in ways},
        "ratios_of_each_round": {
            way: [each / first for each, first in zip(seconds[way], alone, strict=True)]
            for way in ways
        },
        "largest_weight_difference": max(difference(ones, each) for each in trained.values()),
        "largest_change_in_training": difference(ones, untrained),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
