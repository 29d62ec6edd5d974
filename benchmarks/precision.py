"""What bf16 gains over fp32 on this machine, by the size of a step: the ground for "auto".

    python benchmarks/precision.py [--rounds 3] [--cases 8]

For several networks and batch sizes: the multiply-accumulates of a step (forward, and twice that
for backward), milliseconds a step in either precision (the fastest of several epochs), and what
"auto" chooses here. `kdhelpers.training.devices` holds the rule, `WORTH_IT` and
`computes_in_bf16`. The last line is one JSON object.

Measured, November 2026, torch 2.15, two cores each. AMD EPYC with AVX512-BF16, batch 128:
small_cnn (2.4 billion a step) 33 -> 21 ms, vgg_small 376 -> 191 ms, VGG16 1.23 -> 0.61 s. What a
smaller step gains hangs on the network, too: vgg_small of a quarter of the width (1.2 billion)
18.4 -> 14.5 ms, VGG16 of an eighth (0.98) 25 -> 23 ms, small_cnn at batch 32 (0.59) 11.2 -> 7.4 ms;
`WORTH_IT` lies where that VGG16 hardly gains. Intel Xeon with AVX512-BF16 but without AMX, on a
busy machine: small_cnn 32 -> 42 ms, vgg_small 429 -> 1138 ms; a single convolution, forward and
backward, 178 -> 255 ms: no gain.
"""

import argparse
import json

import torch

from kdhelpers import evaluation, models
from kdhelpers.data.split import Split
from kdhelpers.objectives.objective import Supervised
from kdhelpers.training.devices import precision_for
from kdhelpers.training.fit import fit

CASES = [  # network, width, batch size
    ("small_cnn", 0.25, 64), ("small_cnn", 0.5, 64), ("small_cnn", 1.0, 32),
    ("small_cnn", 1.0, 128), ("vgg_small", 0.25, 64), ("vgg_small", 1.0, 128),
    ("vgg16", 0.125, 64), ("vgg16", 1.0, 128),
]  # fmt: skip
SHAPE = (3, 32, 32)


def milliseconds(name: str, width: float, batch_size: int, steps: int, precision: str) -> float:
    """The fastest of two epochs of `steps`; the first one, which chooses kernels, is left out."""
    images = torch.zeros(steps * batch_size, *SHAPE, dtype=torch.uint8)
    labels = torch.zeros(len(images), dtype=torch.int64)
    split = Split(images, labels, (0.5,) * 3, (0.25,) * 3, ("one",))
    model = models.build(name, width=width, seed=0)
    settings = dict(batch_size=batch_size, precision=precision, device="cpu", progress=False)
    history = fit(model, Supervised(), split, epochs=3, **settings)
    return min(row["seconds"] for row in history[1:]) / steps * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    arguments = parser.parse_args()
    rows, ratios = [], {}
    for name, width, batch_size in CASES[: arguments.cases]:
        macs = 3 * batch_size * evaluation.size(models.build(name, width=width), SHAPE).macs
        steps = max(2, min(40, round(2e10 / macs)))
        fastest = {
            precision: min(
                milliseconds(name, width, batch_size, steps, precision)
                for _ in range(arguments.rounds)
            )
            for precision in ("fp32", "bf16")
        }
        case = f"{name} x {width}, batch {batch_size}"
        chosen = precision_for("cpu", lambda macs=macs: macs)
        rows.append({"case": case, "macs": macs, "auto": chosen, **fastest})
        ratios[case] = gain = fastest["fp32"] / fastest["bf16"]
        times = "  ".join(f"{precision} {each:7.1f} ms" for precision, each in fastest.items())
        print(f"{case:28} {macs / 1e9:6.2f} G  {times}  {gain:5.2f} x  auto: {chosen}")
    told = {"benchmark": "precision", "threads": torch.get_num_threads(), "rows": rows}
    print(json.dumps(told | {"ratios": ratios}))


if __name__ == "__main__":
    main()
