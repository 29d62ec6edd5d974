"""Explanatory pictures: boxes, arrows and no data."""

from collections.abc import Sequence
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from kdhelpers.models.vgg import VGG16
from kdhelpers.plots.drawing import DISTILLED, NEUTRAL, TEACHER, Drawn, count_text, drawing

Point: TypeAlias = tuple[float, float]

SMALL_CNN = ((32,), (64,))  # channels of its convolutions, as of VGG16's


@drawing
def distillation_diagram() -> Drawn:
    """One image goes through both networks; the student answers to the teacher and the label."""
    figure, axes = _sheet(8.6, 3.6)
    _box(axes, 0.15, 1.5, 1.1, 0.7, "image", NEUTRAL)
    _box(axes, 1.9, 2.6, 1.9, 0.75, "teacher\n(large, frozen)", TEACHER)
    _box(axes, 1.9, 0.95, 1.9, 0.75, "student\n(small, learns)", DISTILLED)
    _box(axes, 4.35, 2.6, 1.75, 0.75, "soft targets\nsoftmax(z / T)", TEACHER)
    _box(axes, 4.35, 0.95, 1.75, 0.75, "its own softmax\nat T and at 1", DISTILLED)
    _box(axes, 4.35, 0.05, 1.75, 0.55, "label", NEUTRAL)
    _box(axes, 6.75, 1.9, 1.7, 0.75, "soft term\nα · T² · KL", TEACHER)
    _box(axes, 6.75, 0.4, 1.7, 0.75, "hard term\n(1 − α) · CE", NEUTRAL)
    _arrows(
        axes,
        ((1.25, 1.95), (1.9, 2.9)),
        ((1.25, 1.75), (1.9, 1.33)),
        ((3.8, 2.97), (4.35, 2.97)),
        ((3.8, 1.33), (4.35, 1.33)),
        ((6.1, 2.9), (6.75, 2.4)),
        ((6.1, 1.45), (6.75, 2.1)),
        ((6.1, 1.2), (6.75, 0.9)),
        ((6.1, 0.33), (6.75, 0.65)),
    )
    return figure, (
        "An image goes through a large, frozen teacher and through a small student, which learns. "
        "The teacher's soft targets and the student's softmax at T meet in the soft term, alpha "
        "times T squared times KL; the student's softmax at 1 and the label meet in the hard "
        "term, (1 − alpha) times the cross entropy."
    )


@drawing
def compression_diagram(
    teacher: str, student: str, *, teacher_size: Sequence[float], student_size: Sequence[float]
) -> Drawn:
    """VGG16 and a small network see the same views; logits pass between them in a table.

    Args:
        teacher, student: their names.
        teacher_size, student_size: (parameters, multiply-accumulates for one image, …), what
            `evaluation.size` returns.
    """
    figure, axes = _sheet(7.8, 4.4)
    _box(axes, 0.15, 1.75, 1.25, 0.9, "image\n(sample, view)", NEUTRAL)
    ends = [_blocks(axes, 3.35, VGG16, TEACHER), _blocks(axes, 1.05, SMALL_CNN, DISTILLED)]
    for y, name, size, colour in (
        (4.2, f"{teacher} (frozen)", teacher_size, TEACHER),
        (0.1, f"{student} (learns)", student_size, DISTILLED),
    ):
        axes.text(
            1.8, y, _sized(name, size), color=colour, fontsize=11, va="center", fontweight="bold"
        )
    _logit_table(axes, 5.3, 2.55)
    _box(axes, 4.0, 0.7, 1.1, 0.7, "student's\nlogits", DISTILLED)
    _box(axes, 5.85, 0.7, 1.3, 0.7, "soft loss", NEUTRAL)
    _arrows(
        axes,
        ((1.2, 2.7), (1.75, 3.2)), ((1.2, 1.7), (1.75, 1.2)), ((ends[0], 3.35), (5.25, 3.35)),
        ((ends[1], 1.05), (3.95, 1.05)), ((5.15, 1.05), (5.8, 1.05)), ((6.5, 2.5), (6.5, 1.45)),
    )  # fmt: skip
    axes.text(1.0, 3.05, "once", fontsize=10, ha="center")
    axes.text(0.9, 1.3, "every epoch", fontsize=10, ha="center")
    axes.text(6.6, 1.98, "looked up", fontsize=10, va="center")
    return figure, (
        f"{_sized(teacher, teacher_size)}, frozen, answers every image in every view once, into "
        f"a table of logits by sample and view; {_sized(student, student_size)}, learns in every "
        "epoch and looks up there, by sample and view, what its logits meet in the soft loss."
    )


@drawing
def hint_diagram() -> Drawn:
    """A thin, deep student learns a hidden layer of a wide, shallow teacher, then the rest."""
    figure, axes = _sheet(7.8, 5.1)
    stage1 = [(1.45, 0.75), (3.8, 0.75), (3.8, 1.75), (4.3, 1.75), (4.3, 2.52), (1.45, 2.52)]
    axes.add_patch(Polygon(stage1, facecolor="#F0E44255", edgecolor=NEUTRAL, linestyle="--"))
    for layer in range(5):
        axes.add_patch(_slab(1.46 + 0.95 * layer, 4.1, 0.5, 1.2, TEACHER, strong=layer == 2))
    for layer in range(12):
        axes.add_patch(_slab(1.6 + 0.38 * layer, 1.35, 0.22, 0.5, DISTILLED, strong=layer == 5))
    _box(axes, 0.15, 2.4, 0.85, 0.6, "image", NEUTRAL)
    _box(axes, 3.06, 1.95, 1.1, 0.45, "regressor", DISTILLED)
    _box(axes, 3.16, 2.75, 0.9, 0.42, "MSE", NEUTRAL)
    _box(axes, 6.4, 3.75, 1.15, 0.7, "soft targets", TEACHER)
    _box(axes, 6.4, 2.3, 1.15, 0.7, "KD loss", NEUTRAL)
    _box(axes, 6.4, 1.0, 1.15, 0.7, "logits", DISTILLED)
    _arrows(
        axes,
        ((0.6, 3.05), (1.4, 4.0)), ((0.6, 2.35), (1.5, 1.4)), ((5.8, 4.1), (6.35, 4.1)),
        ((6.05, 1.35), (6.35, 1.35)), ((6.97, 3.7), (6.97, 3.05)), ((6.97, 1.75), (6.97, 2.25)),
        ((3.61, 1.62), (3.61, 1.93)), ((3.61, 2.43), (3.61, 2.73)), ((3.61, 3.48), (3.61, 3.2)),
    )  # fmt: skip
    for x, y, text, colour in (
        (1.46, 4.88, "teacher: wide and shallow (frozen)", TEACHER),
        (3.72, 3.34, "hint layer", TEACHER),
        (4.45, 1.8, "student: thin and deep", DISTILLED),
        (2.75, 0.93, "guided layer", DISTILLED),
        (1.55, 2.15, "stage 1: only\nthis part learns", "k"),
        (1.45, 0.28, "stage 2: the whole student learns; the regressor is gone", "k"),
    ):
        axes.text(x, y, text, color=colour, fontsize=10.5, va="center")
    axes.annotate("", (1.5, 0.55), (6.1, 0.55), arrowprops=dict(arrowstyle="|-|", mutation_scale=4))
    return figure, (
        "Above a wide, shallow, frozen teacher, below a thin, deep student. In stage 1 only the "
        "student's layers up to the guided layer learn: a regressor on it meets the teacher's hint "
        "layer in a mean squared error. In stage 2 the whole student learns from the teacher's "
        "soft targets; the regressor is gone."
    )


@drawing
def copied_layers() -> Drawn:
    """Which convolutions of VGG16 a student with the first one of each block can begin with."""
    figure, axes = _sheet(7.8, 3.5)
    x = 1.7
    for number, (block, kept) in enumerate(zip(VGG16, (1, 1, 2, 1, 0), strict=True), start=1):
        for y, count, colour in ((2.75, len(block), TEACHER), (0.85, kept, DISTILLED)):
            for layer in range(count):
                copied = kept > 0 and layer == 0
                axes.add_patch(_slab(x + 0.38 * layer, y, 0.32, 0.8, colour, strong=copied))
        if kept:
            _arrows(axes, ((x + 0.16, 2.35), (x + 0.16, 1.25)))
        axes.text(x + 0.28, 1.8, f"block {number}", fontsize=10, va="center")
        x += 0.38 * len(block) + 0.2
    axes.text(0.15, 2.75, "VGG16\n(trained)", color=TEACHER, fontsize=11, va="center")
    axes.text(0.15, 0.85, "student", color=DISTILLED, fontsize=11, va="center")
    axes.text(1.7, 0.15, "pale layers begin at random, or are left out", fontsize=10, va="center")
    axes.text(1.7, 3.3, "dark layers are copied", fontsize=10, va="center")
    return figure, (
        "The first convolution of each of the first four blocks of a trained VGG16 is copied into "
        "the same block of the student, with its normalisation. VGG16 has 2, 2, 3 and 3 "
        "convolutions there, the student 1, 1, 2 and 1; its second one in block 3, and its head, "
        "begin at random. VGG16's fifth block, of 3, has no counterpart in the student."
    )


@drawing
def deployment_diagram() -> Drawn:
    """A student leaves PyTorch with its normalisation, in one file that is held against it."""
    figure, axes = _sheet(7.8, 3.5)
    axes.add_patch(
        Rectangle((1.5, 0.2), 3.6, 1.25, facecolor="#F0E44255", edgecolor=NEUTRAL, linestyle="--")
    )
    _box(axes, 0.15, 1.4, 0.95, 0.75, "pixels\n0 … 255", NEUTRAL)
    for y, where in ((2.45, "student\nin PyTorch"), (0.35, "student\nas ONNX")):
        _box(axes, 1.7, y, 1.25, 0.7, "normalise", NEUTRAL)
        _box(axes, 3.6, y, 1.3, 0.7, where, DISTILLED)
        _box(axes, 5.55, y, 0.75, 0.7, "logits", DISTILLED)
        _arrows(axes, ((3.0, y + 0.35), (3.55, y + 0.35)), ((4.95, y + 0.35), (5.5, y + 0.35)))
    _box(axes, 6.7, 1.4, 0.95, 0.75, "parity\ntest", NEUTRAL)
    _arrows(
        axes,
        ((0.8, 2.2), (1.65, 2.75)), ((0.8, 1.35), (1.65, 0.75)), ((4.25, 2.4), (4.25, 1.12)),
        ((6.35, 2.7), (6.9, 2.2)), ((6.35, 0.8), (6.9, 1.35)),
    )  # fmt: skip
    axes.text(4.35, 1.85, "export", fontsize=10.5, va="center")
    axes.text(1.5, 1.6, "one file, without PyTorch", fontsize=10.5, va="center")
    axes.text(1.7, 3.3, "where it was trained", fontsize=10.5, va="center")
    return figure, (
        "Above, where the student was trained: pixels are normalised and go through the student in "
        "PyTorch to its logits. Below, the export: one file without PyTorch that holds both the "
        "normalisation and the student and takes the pixels as they are. A parity test compares "
        "the two logits."
    )


def _sized(name: str, size: Sequence[float]) -> str:
    return f"{name}: {count_text(size[0])} parameters, {count_text(size[1])} MACs"


def _blocks(axes: Axes, middle: float, blocks: Sequence[Sequence[int]], colour: str) -> float:
    """Convolutions from the left, lower from block to block as pooling halves the image.

    Returns where an arrow may start behind them.
    """
    step = 0.19
    x, height = 1.8, 1.25
    for channels in blocks:
        start = x
        for _ in channels:
            axes.add_patch(_slab(x, middle, 0.8 * step, height, colour))
            x += step
        label = (start + x - 0.2 * step) / 2, middle - height / 2 - 0.17
        axes.text(*label, f"{channels[0]}", ha="center", fontsize=8)
        x, height = x + 0.08, 0.8 * height
    return x


def _slab(
    x: float, middle: float, width: float, height: float, colour: str, *, strong: bool = False
) -> Rectangle:
    """A layer; a strong one is meant by a text beside it."""
    fill = colour + ("C0" if strong else "40")
    return Rectangle((x, middle - height / 2), width, height, edgecolor=colour, facecolor=fill)


def _logit_table(axes: Axes, x: float, y: float) -> None:
    axes.text(x + 1.15, y + 1.32, "logits by (sample, view)", ha="center", fontsize=11)
    rows = ("(0, 17)  2.1  −0.4 …", "(1,  4) −1.3   3.0 …", "(2, 42)  0.2   0.9 …")
    for number, row in enumerate(rows):
        height = y + 0.8 - 0.4 * number
        axes.add_patch(Rectangle((x, height), 2.3, 0.4, edgecolor=TEACHER, facecolor="white"))
        axes.text(x + 0.12, height + 0.2, row, va="center", fontsize=10, family="monospace")


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """A sheet without axes, measured in inches."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def _arrows(axes: Axes, *ends: tuple[Point, Point]) -> None:
    for start, end in ends:
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color="k"))


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str
) -> None:
    style = "round,pad=0.03,rounding_size=0.08"
    box = FancyBboxPatch((x, y), width, height, style, edgecolor=colour, linewidth=1.8)
    box.set_facecolor(colour + "18")
    axes.add_patch(box)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=11)
