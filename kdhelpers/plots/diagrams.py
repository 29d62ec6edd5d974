"""Explanatory pictures: boxes, arrows and no data."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from kdhelpers.plots.style import DISTILLED, NEUTRAL, TEACHER


def distillation_diagram() -> Figure:
    """One image goes through both networks; the student answers to the teacher and the label."""
    figure = Figure(figsize=(8.6, 3.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 8.6), ylim=(0, 3.6))
    axes.axis("off")
    _box(axes, 0.15, 1.5, 1.1, 0.7, "image", NEUTRAL)
    _box(axes, 1.9, 2.6, 1.9, 0.75, "teacher\n(large, frozen)", TEACHER)
    _box(axes, 1.9, 0.95, 1.9, 0.75, "student\n(small, learns)", DISTILLED)
    _box(axes, 4.35, 2.6, 1.75, 0.75, "soft targets\nsoftmax(z / T)", TEACHER)
    _box(axes, 4.35, 0.95, 1.75, 0.75, "its own softmax\nat T and at 1", DISTILLED)
    _box(axes, 4.35, 0.05, 1.75, 0.55, "label", NEUTRAL)
    _box(axes, 6.75, 1.9, 1.7, 0.75, "soft term\nα · T² · KL", TEACHER)
    _box(axes, 6.75, 0.4, 1.7, 0.75, "hard term\n(1 − α) · CE", NEUTRAL)
    for start, end in [
        ((1.25, 1.95), (1.9, 2.9)),
        ((1.25, 1.75), (1.9, 1.33)),
        ((3.8, 2.97), (4.35, 2.97)),
        ((3.8, 1.33), (4.35, 1.33)),
        ((6.1, 2.9), (6.75, 2.4)),
        ((6.1, 1.45), (6.75, 2.1)),
        ((6.1, 1.2), (6.75, 0.9)),
        ((6.1, 0.33), (6.75, 0.65)),
    ]:
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color="k"))
    return figure


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0.03,rounding_size=0.08",
            edgecolor=colour,
            facecolor=colour + "18",
            linewidth=1.8,
        )
    )
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=11)
