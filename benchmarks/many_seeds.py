"""How much faster are many small students trained side by side than one after the other?

Both sides train the same students (MNISTCNN with 8 and 16 channels) on the same subsets, in the
same order, for the same steps, distilled from one teacher whose logits are computed beforehand:
one after the other with `fit`, and all at once with `fit_stacked`. They take turns, and the
medians are compared. The largest difference between their weights is reported along with the size
of what was learned: the two round differently, and Adam carries that on.

    python benchmarks/many_seeds.py --threads 2

The images are random; how long a step takes does not depend on what they show.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from kdhelpers import models
from kdhelpers.data import Split
from kdhelpers.distillation import Distillation, Objective, Supervised, Teacher
from kdhelpers.stacked import fit_stacked
from kdhelpers.training import fit

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

    seeds, pool = range(arguments.students), random_split(600)
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

    def at_once(networks: list[nn.Module]) -> None:
        fit_stacked(networks, objectives(), trains, seeds=seeds, **settings)

    untrained = students()
    short = settings | {"epochs": 2}  # both sides warm, the teacher's logits at hand
    fit(students()[0], objectives()[0], trains[0], seed=0, **short)
    fit_stacked(students(), objectives(), trains, seeds=seeds, **short)
    pairs = []
    for _ in range(arguments.repeats):
        ones, others = students(), students()
        pairs.append((timed(lambda: one_by_one(ones)), timed(lambda: at_once(others))))  # noqa: B023
        print("{:.2f} s one after the other, {:.2f} s side by side".format(*pairs[-1]))
    alone, together = map(statistics.median, zip(*pairs, strict=True))
    result = {
        "benchmark": "many_seeds",
        "objective": arguments.objective,
        "students": arguments.students,
        "steps": epochs * -(-arguments.samples // BATCH_SIZE),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds": {"one_after_the_other": alone, "side_by_side": together},
        "ratio": together / alone,
        "ratio_of_each_pair": [both / each for each, both in pairs],
        "largest_weight_difference": difference(ones, others),
        "largest_change_in_training": difference(ones, untrained),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
