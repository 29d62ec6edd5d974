"""The figures as rows of the hostile table: arguments with which each of them is drawn.

Jupyter calls them: a traceback out of matplotlib tells a learner nothing, so a refusal begins with
the name of the figure.
"""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from small_data import split

from kdhelpers.stats import Interval

RUNS = {50: [0.7, 0.8, 0.75], 200: [0.9, 0.91, 0.93]}
ARMS = {"alone": [0.7, 0.8, 0.75], "distilled": [0.9, 0.91, 0.93]}
LINES = {"a": [1.0, 0.5, 0.2], "b": [2.0, 1.0, 0.5]}
TEMPERATURES = [1.0, 4.0, 20.0]
GENERATOR = torch.Generator().manual_seed(0)
LOGITS, LABELS = torch.randn(30, 3, generator=GENERATOR), torch.arange(30) % 3
MATRIX = [[5, 1, 0], [1, 4, 1], [0, 2, 4]]
CLASSES = ["cat", "dog", "frog"]
SIZES = dict(teacher_size=(14e6, 314e6), student_size=(5e5, 6e6))

# Arguments with which each figure is drawn.
FIGURES: dict[str, dict[str, Any]] = {
    "accuracy_against_cost": dict(rows={"a": (1e6, 2.0, 0.9), "b": (1e5, 0.5, 0.8)}, latency="ms"),
    "alpha_temperature_grid": dict(
        means={(0.5, 4.0): 0.3, (0.9, 4.0): Interval(1.0, 0.5, 1.5, 3)}, unit="points"
    ),
    "arms": dict(values=ARMS, teacher=0.95, baseline="alone"),
    "by_layer": dict(values=ARMS, baseline=[0.6, 0.7], xlabel="layer", baseline_name="none"),
    "compression_diagram": dict(
        teacher="VGG16", student="small", **SIZES, teacher_blocks=((8, 8), (16,)),
        student_blocks=((4,),),
    ),
    "confusion_change": dict(before=MATRIX, after=MATRIX, classes=CLASSES, names=("a", "b")),
    "curves": dict(histories={"run": [{"epoch": 1, "loss": 0.3}]}, key="loss", ylabel="loss"),
    "distillation_diagram": {},
    "entropy_curve": dict(temperatures=TEMPERATURES, curves=LINES, classes=10),
    "feature_maps": dict(rows={"conv1": torch.ones(3, 4, 4)}, columns=2, image=None),
    "few_images": dict(alone=RUNS, distilled=RUNS, teacher=0.97),
    "forest": dict(
        differences={"cosine": Interval(1.0, 0.5, 1.5, 3)}, claim=(2.0, 4.0), unit="points"
    ),
    "hint_diagram": {},
    "image_grid": dict(split=split(4), columns=2, rows=1),
    "log_curves": dict(temperatures=TEMPERATURES, curves=LINES, ylabel="norm", level=1.0),
    "log_series": dict(series=LINES, ylabel="norm", xlabel="step", places=[1, 2, 3]),
    "misleading_bars": dict(values={"a": 0.9, "b": 0.8}, title="better"),
    "paired_points": dict(differences=ARMS, unit="points"),
    "pixel_deviation": dict(
        per_image=[[0.2, 0.2, 0.3]] * 4, dataset_std=[0.2, 0.2, 0.3], channels=list("rgb")
    ),
    "power_curve": dict(counts=[2, 4, 8], powers={"1 point": [0.2, 0.5, 0.9]}),
    "reliability": dict(logits={"a": LOGITS}, labels=LABELS, bins=5),
    "soft_target_bars": dict(split=split(4), index=1, targets={"T = 4": [0.5, 0.3, 0.2]}),
    "soft_target_heatmap": dict(targets=[[0.8, 0.1, 0.1]] * 3, classes=CLASSES),
    "stages": dict(stage1=[2.0, 1.0], stage2={"KD": [0.5, 0.6]}, ylabel="accuracy (%)"),
    "temperature_bars": dict(logits=[3.0, 1.0, 0.0], temperatures=TEMPERATURES),
    "temperature_sweep": dict(
        arms={"small": {1.0: [0.8, 0.9], 4.0: [0.9, 0.95]}}, alone={"small": [0.7, 0.8]},
        teacher=0.97,
    ),
    "temperature_trajectories": dict(trajectories=LINES),
    "transfer_curve": dict(alone=RUNS, distilled=RUNS, teacher=0.97),
}  # fmt: skip


def drawn(make: Callable[..., Figure]) -> Callable[..., Figure]:
    """The figure, which has to be one, or a refusal, which has to name it."""

    def call(**arguments: Any) -> Figure:
        try:
            figure = make(**arguments)
        except ValueError as error:
            if str(error).startswith(make.__name__):
                raise
            raise AssertionError(f"the refusal does not name the figure: {error}") from error
        assert isinstance(figure, Figure)
        return figure

    return call
