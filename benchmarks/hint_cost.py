"""What stopping at the hint saves of the teacher's time, and what hints cost the finished student.

    python benchmarks/hint_cost.py [--width 0.5] [--batch 32] [--repeats 40] [--threads 1]

Claims: the teacher's forward pass up to its hint layer takes about the share of the whole that its
multiply-accumulates are; a student trained with hints and exported is as fast as a plain one.

The two passes, and the two students, are timed in turn, in an order that alternates, so that a busy
neighbour disturbs both alike; medians are compared. `noise` is the ratio of the whole pass to
itself, measured the same way. Time need not follow the multiply-accumulates exactly: ReLU, pooling
and memory cost time too, and layers differ in how well they use the machine. The last line is one
JSON object.

Measured on a shared two-core CPU with torch 2.15, one thread, --width 0.5 --repeats 20: the share
of the time is 0.679 where that of the multiply-accumulates is 0.673; exported over plain is 0.997.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdhelpers.data.split import Split
from kdhelpers.models.features import capture
from kdhelpers.models.fitnets import NETWORKS, FitNet
from kdhelpers.objectives.hints import Hint, LayerPair, regressor_between
from kdhelpers.training.fit import fit

Work = Callable[[], object]
MAKE = {network.name: network.make for network in NETWORKS}


def up_to_hint(teacher: FitNet, images: Tensor) -> None:
    with torch.no_grad(), capture(teacher, teacher.hint_layer, stop_at_deepest=True):
        teacher(images)


def whole(network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        network(images)


def macs(work: Work) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() // 2


def medians(works: dict[str, Work], *, repeats: int, warm_up: int = 3) -> dict[str, float]:
    """Median seconds of each, timed in turn in an order that rotates."""
    names = list(works)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(warm_up + repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            start = perf_counter()
            works[name]()
            if repeat >= warm_up:
                seconds[name].append(perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def noise_images(count: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, 32, 32), generator=generator).to(torch.uint8)
    labels = torch.arange(count) % 10
    return Split(images, labels, (0.5,) * 3, (0.25,) * 3, tuple("0123456789"))


def exported_student(teacher: FitNet, width: float) -> FitNet:
    """A student after one epoch of hints, as it comes back from its state dict."""
    train, taught = noise_images(32), MAKE["fitnet1"](width=width)
    layers = taught.hint_layer, teacher.hint_layer
    pair = LayerPair(*layers, regressor=regressor_between(taught, teacher, train, *layers))
    fit(taught, Hint(teacher, pair), train, epochs=1, device="cpu", progress=False)
    return taught


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.5, help="of both networks; 1 is the paper")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    teacher = MAKE["fitnet_teacher"](width=options.width).eval()
    images = torch.randn(options.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    taught = exported_student(teacher, options.width).eval()
    plain = MAKE["fitnet1"](width=options.width).eval().to(memory_format=torch.channels_last)
    one = images[:1].contiguous(memory_format=torch.channels_last)

    counted = macs(lambda: up_to_hint(teacher, one)), macs(lambda: whole(teacher, one))
    time = medians(
        {
            "up to the hint": lambda: up_to_hint(teacher, images),
            "whole": lambda: whole(teacher, images),
            "whole again": lambda: whole(teacher, images),
        },
        repeats=options.repeats,
    )
    latency = medians(
        {"exported": lambda: whole(taught, one), "plain": lambda: whole(plain, one)},
        repeats=10 * options.repeats,
    )
    print(f"teacher of width {options.width:g}, batch {options.batch}, torch {torch.__version__}")
    for name, seconds in time.items():
        print(f"{name:>16}: {1e3 * seconds:8.2f} ms")
    for name, seconds in latency.items():
        print(f"{name:>16}: {1e3 * seconds:8.3f} ms, one image")
    print(
        json.dumps(
            {
                "benchmark": "hint_cost",
                "ratios": {
                    "share_of_macs": round(counted[0] / counted[1], 4),
                    "share_of_time": round(time["up to the hint"] / time["whole"], 4),
                    "noise": round(time["whole again"] / time["whole"], 4),
                    "exported_over_plain": round(latency["exported"] / latency["plain"], 4),
                },
                "milliseconds": {name: round(1e3 * s, 3) for name, s in (time | latency).items()},
                "width": options.width,
                "batch": options.batch,
                "repeats": options.repeats,
                "threads": options.threads,
            }
        )
    )


if __name__ == "__main__":
    main()
