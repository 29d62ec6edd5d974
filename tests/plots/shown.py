"""Every figure, with what it is drawn from and the numbers that its words must tell."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from kdhelpers import plots
from kdhelpers.data.split import Split
from kdhelpers.evaluation import Size

CLASSES = ("cat", "dog", "frog")
GRID = [1.0, 2.0, 4.0]
CURVES = {"teacher": [0.5, 1.0, 1.9], "logits halved": [1.0, 1.9, 2.2]}
TARGETS = [[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.0, 0.05, 0.95]]
BELIEFS = {"at T = 1": [0.9, 0.1, 0.0], "at T = 4": [0.5, 0.2, 0.3]}
TRAJECTORIES = {"constant": [4.0] * 3, "falling": [5.0, 4.0, 1.0], "one epoch": [8.0]}

ALONE = {50: [0.78, 0.80, 0.79, 0.78, 0.80], 200: [0.91, 0.92, 0.90, 0.91, 0.92]}
DISTILLED = {50: [0.86, 0.89, 0.87, 0.87, 0.89], 200: [0.93, 0.94, 0.93, 0.94, 0.94]}
SIZED = {
    (size, name): arm
    for name, sizes in (("distilled", DISTILLED), ("alone", ALONE))
    for size, arm in sizes.items()
}
DIFFERENCES = {
    "better": np.array([1.0, 1.2, 1.1, 1.0, 1.2]),
    "worse": np.array([-1.0, -1.2, -1.1, -1.0, -1.2]),
    "seems better": np.array([-1.0, 1.0, 0.1, -1.0, 1.0]),
    "seems worse": np.array([-1.0, 1.0, -0.1, -1.0, 1.0]),
}
ARMS = {"alone": [0.70, 0.71, 0.72], "distilled": [0.73, 0.74, 0.76], "shuffled": [0.6, 0.5, 0.4]}
SWEEP = {
    ("small", 4.0): [0.9, 0.92],
    ("small", 1.0): [0.8, 0.83],
    ("tiny", 1.0): [0.6, 0.61],
    ("tiny", 4.0): [0.7, 0.72],
    ("small", "alone"): [0.85, 0.86],
    ("tiny", "alone"): [0.5, 0.52],
}

COLLAPSE = {"on the student": [5.0, 5.5, 5.2, 5.1], "on the teacher": [5.0, 0.5, 1e-9, 0.0]}
STAGE2 = {"plain": [0.5, 0.6, 0.65], "hint, then KD": [0.7, 0.75]}
POWERS = {"0.3 points": [0.1, 0.7, 0.9], "0.1 points": [0.05, 0.1, 0.2]}
BARS = {"fixed T": 0.9801, "dynamic T": 0.9812, "linear": 0.9803}
FAMILY = {
    "alone": [0.50, 0.60, 0.70, 0.80, 0.90],
    "cosine": [0.509, 0.611, 0.71, 0.81, 0.91],
    "rising": [0.491, 0.589, 0.69, 0.79, 0.89],
    "linear": [0.49, 0.65, 0.72, 0.82, 0.92],
}

BEFORE = [[8, 1, 1], [0, 5, 5], [0, 0, 20]]
AFTER = [[9, 1, 0], [0, 7, 3], [5, 0, 15]]
MODELS = {
    "VGG16": {"parameters": 15e6, "macs": 3e8, "latency_ms": 4.0, "accuracy": 0.94},
    "alone": {"parameters": 545e3, "macs": 6e6, "latency_ms": 0.2, "accuracy": 0.80},
    "distilled": {"parameters": 545e3, "macs": 6e6, "latency_ms": 0.2, "accuracy": 0.8001},
}
SIZES: dict[str, Any] = {
    "teacher_size": Size(14_724_042, 313_200_000, 56.2),
    "student_size": (999, 5),
}
NAMES = ("alone", "distilled")


def runs(arm: list[float]) -> list[dict[str, float]]:
    """The arm as `run_arms` returns it, in another order."""
    return [{"accuracy": value, "seed": seed} for seed, value in enumerate(arm)][::-1]


GRID_ALONE = runs([0.5, 0.6, 0.7, 0.8, 0.9])
GRID_RUNS = {
    (0.9, 4.0): runs([0.508, 0.61, 0.712, 0.808, 0.912]),
    (0.9, 1.0): runs([0.46, 0.58, 0.7, 0.76, 0.9]),
    (0.5, 4.0): runs([0.5025]),
}


def split(count: int, channels: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, channels, 4, 4), generator=generator, dtype=torch.uint8)
    own = (0.5,) * images.shape[1]
    return Split(images, torch.arange(count) % 3, own, own, CLASSES)


def maps(channels: int, side: int) -> torch.Tensor:
    values = torch.arange(channels * side * side, dtype=torch.float32)
    return values.reshape(channels, side, side)


MAPS = {"teacher": maps(6, 3), "student": maps(2, 5) - 1}
DEVIATIONS = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.2]]

DRAW: dict[str, Callable[[], plots.Picture]] = {
    "distillation_diagram": plots.distillation_diagram,
    "compression_diagram": lambda: plots.compression_diagram("VGG16", "small CNN", **SIZES),
    "hint_diagram": plots.hint_diagram,
    "copied_layers": plots.copied_layers,
    "deployment_diagram": plots.deployment_diagram,
    "image_grid": lambda: plots.image_grid(split(6, 3), columns=2, rows=2),
    "soft_target_bars": lambda: plots.soft_target_bars(split(2, 1), 1, BELIEFS),
    "pixel_deviation": lambda: plots.pixel_deviation(DEVIATIONS, (0.25, 0.26, 0.27)),
    "feature_maps": lambda: plots.feature_maps(MAPS, columns=4),
    "temperature_bars": lambda: plots.temperature_bars([2.0, 0.0], GRID),
    "entropy_curve": lambda: plots.entropy_curve(GRID, CURVES, classes=10),
    "log_curves": lambda: plots.log_curves(GRID, CURVES, ylabel="norm", level=1.0),
    "temperature_trajectories": lambda: plots.temperature_trajectories(TRAJECTORIES),
    "soft_target_heatmap": lambda: plots.soft_target_heatmap(TARGETS, CLASSES),
    "alpha_temperature_grid": lambda: plots.alpha_temperature_grid(GRID_RUNS, GRID_ALONE),
    "confusion_change": lambda: plots.confusion_change(BEFORE, AFTER, CLASSES, names=NAMES),
    "accuracy_against_cost": lambda: plots.accuracy_against_cost(MODELS),
    "log_series": lambda: plots.log_series(COLLAPSE, ylabel="norm of the aligned features"),
    "stages": lambda: plots.stages([1.0, 0.5], STAGE2),
    "arms": lambda: plots.arms(ARMS, teacher=0.9, baseline="alone"),
    "paired_points": lambda: plots.paired_points(DIFFERENCES),
    "transfer_curve": lambda: plots.transfer_curve(SIZED, teacher=0.979),
    "temperature_sweep": lambda: plots.temperature_sweep(SWEEP, teacher=0.97),
    "forest": lambda: plots.forest(FAMILY, baseline="alone", claim=(2, 3)),
    "power_curve": lambda: plots.power_curve([2, 8, 32], POWERS),
    "misleading_bars": lambda: plots.misleading_bars(BARS, title="Dynamic temperature wins"),
}

# What the alternative text of each must tell, with anything between the parts.
WORDS = {
    "distillation_diagram": "frozen teacher | hard term",
    "compression_diagram": "VGG16: 14.7 M parameters, 313 M MACs, frozen | small CNN: 999 par",
    "hint_diagram": "stage 1 | regressor | stage 2",
    "copied_layers": "first convolution of each | 2, 2, 3 and 3 | begin at random",
    "deployment_diagram": "one file without PyTorch | the normalisation | parity test",
    "image_grid": "4 images, each below its class: cat, dog, frog and cat.",
    "soft_target_bars": "labelled dog | T = 1: most to cat 0.90, dog 0.10 | T = 4: most to cat "
    "0.50, f",
    "pixel_deviation": "2 single | red 0.200 against 0.250 | blue 0.250 against 0.270",
    "feature_maps": "teacher, 4 of 6 maps of 3 × 3 pixels, values from 0.00 to 53.00 | -1.00 to 48",
    "temperature_bars": "logits 2 and 0: 0.88 and 0.12 at T = 1; | 0.62 and 0.38 at T = 4",
    "entropy_curve": "limit 2.30 | teacher rises from 0.5 at 1 to 1.9 at 4; logits halved rises "
    "from 1",
    "log_curves": "Norm against | teacher rises from 0.5 at 1 to 1.9 at 4 | line marks 1",
    "temperature_trajectories": "stays at 4 from 1 to 3; falling falls from 5 at 1 to 1 at 3; one "
    "epoch is 8.",
    "soft_target_heatmap": "cat with dog (10 %), dog with cat (30 %), frog with dog (5 %)",
    "alpha_temperature_grid": "alpha 0.9: -2.00 ± 2.48 at T = 1, +1.00 ± 0.25 at T = 4; alpha "
    "0.5: not run at T = 1, +0.25 at T = 4. | largest is at alpha 0.9, T = 4",
    "confusion_change": "76.7 % and 78.3 % are right | dog → frog -20, cat → frog -10, frog → cat "
    "+25.",
    "accuracy_against_cost": "VGG16 94.00 % with 15 M parameters in 4.00; distilled 80.01 % with "
    "545 k",
    "log_series": "against the step | on the teacher falls from 5 at 1 to 0 at 4",
    "stages": "hint loss falls from 1 at 1 to 0.5 at 2 | then KD rises from 70 at 2 to 75 at 3",
    "arms": "highest: distilled 74.33 ± 3.79; alone 71.00 ± 2.48; shuffled 50.00 ± 24.84. | "
    "teacher at 90.00. A dotted line marks the mean of alone.",
    "paired_points": "better +1.10 ± 0.12 (helps); worse -1.10 ± 0.12 (hurts); seems better +0.02",
    "transfer_curve": "With 50 images: alone 79.00 ± 1.24, distilled 87.60 ± 1.67, a difference "
    "of +8.60 ± 0.68 (helps). With 200 | has 97.90",
    "temperature_sweep": "small: alone 85.50 ± 6.35 (dotted); distilled 81.50 ± 19.06 at T = 1, "
    "91.00 ± 12.71 at T = 4, best at 4. tiny | teacher (dashed): 97.00",
    "forest": "from alone | cosine +1.00 ± 0.09, ± 0.13 with all arms together (helps); rising "
    "-1.00 ± 0.09, ± 0.13 with all arms together (hurts); linear +2.00 ± 2.63 | (no clear | "
    "claimed, +2 to +3 points; it is ruled out for cosine and rising.",
    "power_curve": "0.3 points 10 % to 90 %, 80 % by 32 pairs; 0.1 points 5 % to 20 %, "
    "80 % by none",
    "misleading_bars": "Dynamic temperature wins: | fixed T 98.01, dynamic T 98.12 and linear "
    "98.03, on an axis from 98.00 to 98.13.",
}
