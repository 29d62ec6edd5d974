"""Which head trains best on a VGG16 for 32×32: a linear one, or a hidden layer before it?

    python benchmarks/vgg_head.py                    # PhotoDigits, narrow, some minutes on a CPU
    python benchmarks/vgg_head.py --dataset cifar10 --width 1 --epochs 30 --seeds 3  # on a GPU

Same seeds, data, rate and schedule for both. The last line is one JSON object: validation accuracy
of every seed, and the ratio of the means, hidden layer over linear.

Measured in November 2026 with --seeds 4 --epochs 8 --rate 0.01: linear 75.9 %, hidden layer 72.8 %,
which four seeds do not tell apart.
"""

import argparse
import json

from kdhelpers import data, models, stats
from kdhelpers.data.batching import Views
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.objectives.objective import Supervised
from kdhelpers.training.fit import fit
from kdhelpers.training.optimizers import nesterov, one_cycle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="photodigits", choices=["photodigits", "cifar10"])
    parser.add_argument("--root", help="data root; default KDHELPERS_DATA, else data/")
    parser.add_argument("--images", type=int, help="default: all training images")
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.03)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    loaded = data.load(options.dataset, root=options.root)
    train = loaded.train.take(options.images) if options.images else loaded.train
    views = Views(flip=True, shift=2) if options.dataset == "cifar10" else None
    measured: dict[str, list[float]] = {"linear": [], "mlp": []}
    for seed in range(options.seeds):
        for head, accuracies in measured.items():
            network = models.build("vgg16", width=options.width, head=head, seed=seed)
            fit(
                network, Supervised(), train, epochs=options.epochs, lr=options.rate, seed=seed,
                batch_size=options.batch_size, optimizer=nesterov, schedule=one_cycle,
                views=views, progress=False,
            )  # fmt: skip
            logits = predict(network, loaded.validation)
            accuracies.append(accuracy(logits, loaded.validation.labels))
            print(f"seed {seed}, {head}: {100 * accuracies[-1]:.2f} %", flush=True)
    points = {head: [100 * each for each in row] for head, row in measured.items()}
    difference = stats.paired_difference(points["linear"], points["mlp"])
    print(f"a hidden layer before the last {stats.describe(difference)}")
    means = {head: sum(row) / len(row) for head, row in measured.items()}
    ratios = {"mlp_over_linear": means["mlp"] / means["linear"]}
    result = {"dataset": options.dataset, "width": options.width, "epochs": options.epochs}
    print(json.dumps({"benchmark": "vgg_head", **result, "accuracy": measured, "ratios": ratios}))


if __name__ == "__main__":
    main()
