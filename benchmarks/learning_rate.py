"""Which learning rate serves the student without a teacher best, on validation images?

Lesson 01 gives both arms the rate that is best for the student alone, so that distillation does
not win against a handicapped baseline.

    python benchmarks/learning_rate.py                          # the quick profile, under a minute
    python benchmarks/learning_rate.py --dataset mnist --sizes 100 55000 --steps 2580 \
        --batch-size 128
    python benchmarks/learning_rate.py --dataset photodigits --model norm_cnn --width 0.25 \
        --one-cycle --sizes 1000 --steps 128 --batch-size 64 --rates 5e-3 1e-2 2e-2    # lesson 03

The last line is one JSON object: mean validation accuracy by size and rate, and each one's ratio
to the best rate of that size.
"""

import argparse
import json

from kdhelpers import data, models
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.objectives.objective import Supervised
from kdhelpers.training.fit import fit
from kdhelpers.training.optimizers import one_cycle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits", choices=["digits", "mnist", "photodigits"])
    parser.add_argument("--model", default="mnist_cnn_student")
    parser.add_argument("--width", type=float, help="multiplies the channels of the model")
    parser.add_argument("--one-cycle", action="store_true", help="the rate rises and falls")
    parser.add_argument("--root", help="data root; default KDHELPERS_DATA, else data/")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3, 1e-2, 2e-2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    loaded = data.load(options.dataset, root=options.root)
    width = {} if options.width is None else {"width": options.width}
    schedule = one_cycle if options.one_cycle else None
    means: dict[str, dict[str, float]] = {}
    for size in options.sizes:
        epochs = max(1, round(options.steps / data.steps_per_epoch(size, options.batch_size)))
        for rate in options.rates:
            total = 0.0
            for seed in range(options.seeds):
                student = models.build(options.model, seed=seed, **width)
                fit(
                    student, Supervised(), loaded.train.take(size, seed=seed), epochs=epochs,
                    batch_size=options.batch_size, lr=rate, schedule=schedule, seed=seed,
                    progress=False,
                )  # fmt: skip
                logits = predict(student, loaded.validation)
                total += accuracy(logits, loaded.validation.labels)
            means.setdefault(str(size), {})[f"{rate:g}"] = total / options.seeds
            print(f"{size:6d} images, rate {rate:g}: {100 * total / options.seeds:.2f} %")
    ratios = {
        size: {rate: value / max(row.values()) for rate, value in row.items()}
        for size, row in means.items()
    }
    print(json.dumps({"benchmark": "learning_rate", "accuracy": means, "ratios": ratios}))


if __name__ == "__main__":
    main()
