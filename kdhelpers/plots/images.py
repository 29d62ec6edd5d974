"""Images of a data set, alone and beside what a teacher says of them."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from kdhelpers._values import check_int, check_type, require
from kdhelpers.data.split import Split
from kdhelpers.plots.drawing import ALONE, DISTILLED, TEACHER, Drawn, drawing, listed, subplots


@drawing
def image_grid(split: Split, *, columns: int = 10, rows: int = 2) -> Drawn:
    """The first images of a split with their class names.

    Raises:
        ValueError: no split, or not 1 to 100 columns and rows.
    """
    check_type(split, Split, name="split")
    columns = check_int(columns, name="columns", least=1, most=100)
    rows = check_int(rows, name="rows", least=1, most=100)
    shown = min(columns * rows, len(split))
    figure, panels = subplots(columns * 0.8, rows * 1.0, rows, columns, squeeze=False)
    grid = panels.ravel()
    for axes in grid:
        axes.axis("off")
    named = [split.class_name(int(label)) for label in split.labels[:shown]]
    for axes, image, name in zip(grid, split.images[:shown].cpu(), named, strict=False):
        _draw(axes, image.numpy())
        axes.set_title(name, fontsize=9)
    return figure, f"{shown} images, each below its class: {listed(named)}."


def _draw(axes: Axes, image: np.ndarray) -> None:
    """One uint8 image [C, H, W]: grey values or colours."""
    if image.shape[0] == 1:
        axes.imshow(image[0], cmap="gray", vmin=0, vmax=255)
    else:
        axes.imshow(image.transpose(1, 2, 0))
    axes.axis("off")


@drawing
def soft_target_bars(
    split: Split, index: int, targets: Mapping[str, Sequence[float] | Tensor]
) -> Drawn:
    """Image number `index` of a split and, for each title in `targets`, its probabilities."""
    shares = {
        name: np.asarray(row.tolist() if isinstance(row, Tensor) else row)
        for name, row in targets.items()
    }
    count, label = len(targets), split.class_name(int(split.labels[index]))
    ratios = [1.0, *[1.6] * count]
    figure, (panels,) = subplots(
        2.2 + 3.1 * count, 2.5, 1, count + 1, width_ratios=ratios, squeeze=False
    )
    _draw(panels[0], split.images[index].cpu().numpy())
    panels[0].set_title(f"labelled {label}", fontsize=10)
    said = []
    for axes, (title, values) in zip(panels[1:], shares.items(), strict=True):
        most = np.argsort(-values, kind="stable")[:3]
        named = listed(f"{split.class_name(which)} {values[which]:.2f}" for which in most)
        said.append(f"{title}: most to {named}")
        names = list(split.classes) or [split.class_name(n) for n in range(len(values))]
        require(len(names) == len(values), f"{title!r} has {len(values)} of {len(names)} classes.")
        axes.bar(names, values, color=TEACHER)
        above = dict(xytext=(0, 1), textcoords="offset points", ha="center", va="bottom")
        for place, value in enumerate(values):
            if value >= 0.01:
                axes.annotate(f"{value:.2f}", (place, value), fontsize=7, **above)
        axes.set(ylim=(0, 1.1), xlabel="class")
        axes.set_title(title, fontsize=10)
    panels[1].set_ylabel("probability")
    return figure, (
        f"An image labelled {label} beside the probabilities of its {len(values)} classes: "
        f"{'; '.join(said)}."
    )


@drawing
def pixel_deviation(
    per_image: Sequence[Sequence[float]] | Tensor,
    dataset_std: Sequence[float],
    channels: Sequence[str] = ("red", "green", "blue"),
) -> Drawn:
    """How far the standard deviations of single images fall short of the data set's.

    The mean over images leaves out how the images' own means differ; so it is the smaller one.

    Args:
        per_image: the standard deviation of every image in every channel [N, C], pixels in 0..1.
        dataset_std: that of all pixels of the data set together, [C].
        channels: the names of the C channels.

    Raises:
        ValueError: not one deviation for each image and channel.
    """
    listed = per_image.cpu() if isinstance(per_image, Tensor) else per_image
    values = np.asarray(listed, dtype=np.float64)
    count = len(channels)
    told = "every image needs a deviation for each channel and so does the data set"
    got = f"{values.shape}, {len(dataset_std)} of the data set and {count} names"
    fits = values.shape[1:] == (len(dataset_std),) == (count,) and len(values) > 0
    require(fits, f"{told}, got {got}.")
    figure, (panels,) = subplots(
        max(3.4, 2.5 * count), 3.0, 1, count, sharex=True, sharey=True, squeeze=False
    )
    for axes, channel, column, true, colour in zip(
        panels, channels, values.T, dataset_std, cycle((ALONE, DISTILLED, TEACHER))
    ):
        mean = float(column.mean())
        axes.hist(column, bins=30, color=colour, alpha=0.6)
        axes.axvline(mean, color="k", label="mean over images")
        axes.axvline(true, color="k", linestyle="--", label="true: all pixels of the data set")
        axes.set_title(f"{channel}: mean {mean:.3f}, true {true:.3f}", fontsize=10)
        axes.set_xlabel("standard deviation")
    panels[0].set_ylabel("images")
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2, frameon=False)
    said = [
        f"{channel} {mean:.3f} against {true:.3f}"
        for channel, mean, true in zip(channels, values.mean(0), dataset_std, strict=True)
    ]
    return figure, (
        f"Histograms of the standard deviation of {len(values):,} single images in each channel, "
        f"with the mean over images and that of all pixels of the data set: {'; '.join(said)}."
    )


@drawing
def feature_maps(
    rows: Mapping[str, Tensor], *, columns: int = 8, image: Tensor | None = None
) -> Drawn:
    """What a hidden layer makes of one image: a row for each network or time, a channel a map.

    Args:
        rows: name → feature maps [k, H, W]; the first `columns` are shown. Each row has one scale,
            black its smallest and white its largest value, so a dead channel is one even shade.
        columns: how many maps to show of each.
        image: what the layer saw, uint8 [1 or 3, H, W], in a row of its own at the top.

    Raises:
        ValueError: nothing to show, or maps that are not [k, H, W] or not finite.
    """
    some = rows and columns >= 1
    require(some, f"feature maps need a row and a column, got {len(rows)} and {columns}.")
    shown = {name: maps.detach().float().cpu() for name, maps in rows.items()}
    for name, maps in shown.items():
        told = "feature maps of one image are finite and have the shape (channels, height, width)"
        got = f"{name!r} has {tuple(maps.shape)}; select one image of the batch"
        fits = maps.dim() == 3 and maps.numel() and maps.isfinite().all()
        require(fits, f"{told}, but {got}.")
    columns = min(columns, max(map(len, shown.values())))
    extra = int(image is not None)
    height = len(rows) + extra
    figure, grid = subplots(
        1.4 + 0.75 * columns, 0.2 + 0.8 * height, height, columns, squeeze=False
    )
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[], frame_on=False)
    if image is not None:
        _draw(grid[0, 0], image.cpu().numpy())
        grid[0, 0].axis("on")  # for its name
        grid[0, 0].set_ylabel("image", rotation=0, ha="right", va="center")
    for places, (name, maps) in zip(grid[extra:], shown.items(), strict=True):
        low, high = float(maps.min()), float(maps.max())
        for axes, channel in zip(places, maps[:columns], strict=False):
            axes.imshow(channel.numpy(), cmap="gray", vmin=low, vmax=high)
        places[0].set_ylabel(name, rotation=0, ha="right", va="center")
    said = [
        f"{name}, {min(columns, len(maps))} of {len(maps)} maps of {maps.shape[1]} × "
        f"{maps.shape[2]} pixels, values from {maps.min():.2f} to {maps.max():.2f}"
        for name, maps in shown.items()
    ]
    above = "An image and below it rows" if extra else "Rows"
    return figure, f"{above} of feature maps in grey, black the smallest value: {'; '.join(said)}."
