"""Images of a data set, alone and beside what a teacher says of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdhelpers.data import Split
from kdhelpers.plots.style import TEACHER


def image_grid(split: Split, *, columns: int = 10, rows: int = 2) -> Figure:
    """The first images of a split with their class names."""
    shown = min(columns * rows, len(split))
    figure = Figure(figsize=(columns * 0.8, rows * 1.0), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, label in zip(
        grid, split.images[:shown].cpu(), split.labels[:shown], strict=False
    ):
        _draw(axes, image.numpy())
        axes.set_title(split.classes[int(label)], fontsize=9)
    return figure


def _draw(axes: Axes, image: np.ndarray) -> None:
    """One uint8 image [C, H, W]: grey values or colours."""
    if image.shape[0] == 1:
        axes.imshow(image[0], cmap="gray_r", vmin=0, vmax=255)
    else:
        axes.imshow(image.transpose(1, 2, 0))
    axes.axis("off")


def soft_target_bars(split: Split, index: int, targets: Mapping[str, Sequence[float]]) -> Figure:
    """Image number `index` of a split and, for each title in `targets`, its probabilities."""
    figure = Figure(figsize=(2.2 + 3.1 * len(targets), 2.5), layout="constrained")
    panels = figure.subplots(
        1, len(targets) + 1, width_ratios=[1.0, *[1.6] * len(targets)], squeeze=False
    )[0]
    _draw(panels[0], split.images[index].cpu().numpy())
    panels[0].set_title(f"labelled {split.classes[int(split.labels[index])]}", fontsize=10)
    for axes, (title, values) in zip(panels[1:], targets.items(), strict=True):
        bars = axes.bar(list(split.classes), list(values), color=TEACHER)
        for bar, value in zip(bars, values, strict=True):
            if value >= 0.01:
                place = (bar.get_x() + bar.get_width() / 2, value)
                axes.annotate(
                    f"{value:.2f}", place, ha="center", va="bottom", fontsize=7, xytext=(0, 1),
                    textcoords="offset points",
                )  # fmt: skip
        axes.set(ylim=(0, 1.1), xlabel="class")
        axes.set_title(title, fontsize=10)
    panels[1].set_ylabel("probability")
    return figure
