"""Every figure of the course: one function a figure, each returns a matplotlib `Figure`.

Colours are from the palette of Okabe and Ito, which colour-blind readers can tell apart; what
colour says is said by shape or text as well. `show` displays a figure with alternative text.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from kdhelpers.data import Split
from kdhelpers.stats import Interval, mean_interval

TEACHER, ALONE, DISTILLED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#555555"
PALETTE = (TEACHER, ALONE, DISTILLED, NEUTRAL, "#CC79A7", "#56B4E9", "#E69F00")


class Picture:
    """A figure as Jupyter shows it: a PNG with alternative text for screen readers."""

    def __init__(self, png: bytes, alt: str) -> None:
        self.png = png
        self.alt = alt

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, object], dict[str, object]]:
        content = base64.b64encode(self.png).decode()
        return {"image/png": content, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}

    def __repr__(self) -> str:
        return self.alt


def show(figure: Figure, *, alt: str, dpi: int = 100) -> Picture:
    """`figure` as a picture with alternative text; make it the last line of a cell.

    Raises:
        ValueError: `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("alt must describe the figure in words; got an empty text.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return Picture(buffer.getvalue(), alt)


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


def transfer_curve(
    alone: Mapping[int, Sequence[float]],
    distilled: Mapping[int, Sequence[float]],
    *,
    teacher: float,
) -> Figure:
    """Accuracy (%) against the size of the transfer set: mean and 95 % interval over seeds.

    `alone` and `distilled` map a number of images to one accuracy in 0..1 per seed.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for arm, label, colour, marker, shift in (
        (alone, "student alone", ALONE, "o", 0.96),
        (distilled, "distilled student", DISTILLED, "s", 1.04),
    ):
        sizes = sorted(arm)
        bars = [mean_interval([100 * value for value in arm[size]]) for size in sizes]
        axes.errorbar(
            [size * shift for size in sizes],
            [bar.mean for bar in bars],
            yerr=[bar.margin for bar in bars],
            label=label,
            color=colour,
            marker=marker,
            capsize=4,
            linewidth=1.8,
        )
    axes.axhline(100 * teacher, color=TEACHER, linestyle="--", label="teacher")
    axes.set_xscale("log")
    axes.set_xticks(sorted(alone), [f"{size:,}" for size in sorted(alone)])
    axes.minorticks_off()
    axes.set(xlabel="images in the transfer set", ylabel="test accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def paired_points(differences: Mapping[str, Sequence[float]], *, unit: str = "points") -> Figure:
    """One row per comparison: the difference of every seed, its mean and 95 % interval."""
    figure = Figure(figsize=(6.6, 0.9 + 0.5 * len(differences)), layout="constrained")
    axes = figure.subplots()
    for row, values in enumerate(differences.values()):
        interval = mean_interval(values)
        colour = _verdict_colour(interval)
        axes.plot(values, [row] * len(values), "o", color=NEUTRAL, alpha=0.5, markersize=5)
        axes.errorbar(
            interval.mean, row, xerr=interval.margin, fmt="D", color=colour, capsize=5, linewidth=2
        )
    axes.axvline(0, color="k", linewidth=1)
    axes.set_yticks(range(len(differences)), list(differences))
    axes.set_ylim(len(differences) - 0.5, -0.5)
    axes.set_xlabel(
        f"← worse      difference in test accuracy ({unit})      better →\n"
        "dots: seeds; diamond: mean with 95 % interval"
    )
    axes.grid(axis="x", alpha=0.3)
    return figure


def _verdict_colour(interval: Interval) -> str:
    if interval.low > 0:
        return DISTILLED
    return ALONE if interval.high < 0 else NEUTRAL


def temperature_bars(logits: Sequence[float], temperatures: Sequence[float]) -> Figure:
    """The softmax of the same few logits at several temperatures, side by side."""
    figure = Figure(figsize=(2.1 * len(temperatures), 2.4), layout="constrained")
    panels = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
    classes = [f"class {number}" for number in range(len(logits))]
    for axes, temperature in zip(panels, temperatures, strict=True):
        bars = axes.bar(classes, _softmax(logits, temperature), color=TEACHER)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        axes.set(title=f"T = {temperature:g}", ylim=(0, 1.12), xlabel="")
        axes.tick_params(axis="x", labelsize=8)
    panels[0].set_ylabel("probability")
    return figure


def _softmax(logits: Sequence[float], temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    result: np.ndarray = powers / powers.sum()
    return result


def entropy_curve(
    temperatures: Sequence[float], curves: Mapping[str, Sequence[float]], *, classes: int
) -> Figure:
    """Entropy in nats against T, a line per entry of `curves`, below its limit ln(classes)."""
    figure = Figure(figsize=(6.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for (label, values), colour, style in zip(
        curves.items(), (TEACHER, DISTILLED, ALONE), ("-", "--", ":"), strict=False
    ):
        axes.plot(temperatures, values, label=label, color=colour, linestyle=style, linewidth=2)
    axes.axhline(np.log(classes), color="k", linewidth=1)
    axes.annotate(
        f"ln {classes}: all classes equal", (temperatures[0], np.log(classes)),
        xytext=(0, -4), textcoords="offset points", va="top", fontsize=9,
    )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature T", ylabel="entropy (nats)", ylim=(0, 1.1 * np.log(classes)))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    return figure


def soft_target_heatmap(targets: Sequence[Sequence[float]], classes: Sequence[str]) -> Figure:
    """The mean soft target [C, C] of the images of each class; the diagonal is left blank."""
    shown = np.array(targets, dtype=np.float64)
    np.fill_diagonal(shown, np.nan)
    figure = Figure(figsize=(5.4, 4.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="cividis")
    for row, column in np.argwhere(~np.isnan(shown)):
        value = shown[row, column]
        axes.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=8,
            color="white" if value < 0.6 * np.nanmax(shown) else "black",
        )  # fmt: skip
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="probability given to class", ylabel="image of class")
    figure.colorbar(image, label="mean soft target", shrink=0.85)
    return figure


def temperature_trajectories(trajectories: Mapping[str, Sequence[float]]) -> Figure:
    """T against the epoch, counted from 1, a line per entry."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for (label, values), colour, marker, style in zip(
        trajectories.items(), cycle(PALETTE), cycle("osD^vP*"), cycle(("-", "--", "-.", ":"))
    ):
        axes.plot(
            range(1, len(values) + 1), values, label=label, color=colour, linestyle=style,
            marker=marker, markevery=max(1, len(values) // 8), markersize=5, linewidth=1.8,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="epoch", ylabel="temperature T")
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, loc="outside right upper", fontsize=9)
    return figure


def log_curves(
    temperatures: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    level: float | None = None,
) -> Figure:
    """Positive values against T on two logarithmic axes, with a thin line at `level` if given."""
    figure = Figure(figsize=(6.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for (label, values), colour, marker in zip(
        curves.items(), (DISTILLED, ALONE, TEACHER), "osD", strict=False
    ):
        axes.plot(temperatures, values, label=label, color=colour, marker=marker, linewidth=1.8)
    if level is not None:
        axes.axhline(level, color="k", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature T", ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def temperature_sweep(
    arms: Mapping[str, Mapping[float, Sequence[float]]],
    alone: Mapping[str, Sequence[float]],
    *,
    teacher: float,
) -> Figure:
    """Accuracy (%) against T with 95 % intervals, a line per student; `alone` as level bands.

    `arms` maps a student to {T: one accuracy in 0..1 per seed}; `alone` to its accuracies
    without a teacher.
    """
    figure = Figure(figsize=(6.6, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, ((student, sweep), colour, marker) in enumerate(
        zip(arms.items(), (DISTILLED, ALONE, NEUTRAL), "soD", strict=False)
    ):
        temperatures = sorted(sweep)
        bars = [mean_interval([100 * value for value in sweep[t]]) for t in temperatures]
        axes.errorbar(
            [t * (1 + 0.04 * number) for t in temperatures],
            [bar.mean for bar in bars],
            yerr=[bar.margin for bar in bars],
            label=f"{student}, distilled",
            color=colour, marker=marker, capsize=4, linewidth=1.8,
        )  # fmt: skip
        level = mean_interval([100 * value for value in alone[student]])
        axes.axhline(level.mean, color=colour, linestyle=":", label=f"{student}, alone")
    axes.axhline(100 * teacher, color=TEACHER, linestyle="--", label="teacher")
    axes.margins(y=0.08)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature T", ylabel="test accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure
