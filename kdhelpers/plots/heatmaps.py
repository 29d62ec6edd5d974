"""Tables as colours, with the number in every cell."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from kdhelpers._values import require
from kdhelpers.plots.drawing import ALONE, TEACHER, Drawn, drawing, subplots
from kdhelpers.plots.results import best, in_words, sides
from kdhelpers.stats.arms import Arm, Results, is_share, less_is_better
from kdhelpers.stats.intervals import paired_difference
from kdhelpers.stats.tables import percent as told
from kdhelpers.stats.tables import verdict

BLANK = "#DDDDDD"  # cells that colour says nothing of
DIVERGING = "RdBu"  # red to blue over white, also for colour-blind readers


@drawing
def soft_target_heatmap(targets: ArrayLike, classes: Sequence[str]) -> Drawn:
    """The mean soft target [C, C] of the images of each class, in %; the diagonal is left blank."""
    shown = 100 * np.array(targets, dtype=np.float64)
    np.fill_diagonal(shown, np.nan)
    figure, axes = subplots(5.4, 4.5)
    image = axes.imshow(shown, cmap="cividis")
    texts = [["" if np.isnan(value) else f"{value:.0f}" for value in row] for row in shown]
    _write(axes, texts, light=shown < 0.6 * np.nanmax(shown), size=8)
    _name_ticks(axes, classes, classes)
    axes.set(xlabel="probability given to class", ylabel="image of class")
    figure.colorbar(image, label="mean soft target (%)", shrink=0.85)
    liked = [int(np.nanargmax(each)) for each in shown]
    said = [
        f"{name} with {classes[other]} ({shown[row, other]:.0f} %)"
        for row, (name, other) in enumerate(zip(classes, liked, strict=True))
    ]
    return figure, (
        "Heat map: for the images of each class (rows) the mean probability in % that the teacher "
        f"gives to each other class (columns). It confuses most {', '.join(said)}."
    )


@drawing
def alpha_temperature_grid(results: Results, baseline: Arm, *, key: str = "accuracy") -> Drawn:
    """The mean gain over the student alone for every pair (alpha, T).

    A gain is written with its margin, which one seed has not, and in bold where the 95 % interval
    of five seeds or more leaves out zero; without spread there is none. A pair that was not run
    stays grey.

    Args:
        results: by (alpha, T) (see `kdhelpers.stats`).
        baseline: the arm of the student alone.
        key: the figure of the runs that is compared.

    Raises:
        ValueError: no pair, or as for `kdhelpers.stats.paired_difference`.
    """
    require(results, "there is nothing to draw; give the runs of at least one (alpha, T).")
    share = is_share(key)
    means = {
        point: paired_difference(baseline, arm, key=key, points=share)
        for point, arm in results.items()
    }
    alphas = sorted({alpha for alpha, _ in means}, reverse=True)
    temperatures = sorted({temperature for _, temperature in means})
    cells = [[means.get((alpha, t)) for t in temperatures] for alpha in alphas]
    gains = np.array([[cell.mean if cell else np.nan for cell in row] for row in cells])
    reach = float(np.nanmax(np.abs(gains))) or 1.0
    figure, axes = subplots(2.0 + 0.95 * len(temperatures), 1.3 + 0.6 * len(alphas))
    (less, more), falls = sides(key), less_is_better(key)
    colours = DIVERGING + "_r" * falls  # what is better is blue
    image = axes.imshow(gains, cmap=colours, vmin=-reach, vmax=reach, aspect="auto")
    axes.set_facecolor(BLANK)
    texts = [
        [told(cell, sign=True, key=key) if cell else "not run" for cell in row] for row in cells
    ]
    stacked = [[text.replace(" ±", "\n±") for text in row] for row in texts]
    sure = [[cell and verdict(cell) in ("helps", "hurts") for cell in row] for row in cells]
    _write(axes, stacked, light=np.abs(gains) > 0.6 * reach, bold=np.array(sure, dtype=bool))
    _name_ticks(axes, [f"{t:g}" for t in temperatures], [f"{alpha:g}" for alpha in alphas])
    axes.set(xlabel="temperature T", ylabel="alpha, the weight of the soft term")
    what, over, end = "gain", "over", "largest"
    if falls:
        what, over, end = "change", f"in {in_words(key)} from", "smallest"
    figure.colorbar(image, label=f"← {less}    {what}{' (points)' * share}    {more} →")
    said = []
    for alpha, words in zip(alphas, texts, strict=True):
        listed = [f"{text} at T = {t:g}" for text, t in zip(words, temperatures, strict=True)]
        said.append(f"alpha {alpha:g}: {', '.join(listed)}")
    alpha, t = best(means, key)
    return figure, (
        f"Grid of alpha (rows) and temperature (columns): the {what} {over} the student alone"
        f"{' in points' * share}. {'; '.join(said)}. The {end} is at alpha {alpha:g}, T = {t:g}."
    )


@drawing
def confusion_change(
    before: ArrayLike,
    after: ArrayLike,
    classes: Sequence[str],
    *,
    names: tuple[str, str] = ("before", "after"),
) -> Drawn:
    """Two confusion matrices in % of each true class, and what changed between them.

    Colour shows the confusions alone: right answers, on the diagonal, are numbers on grey.

    Args:
        before, after: counts or shares [C, C], a row for each true class.
        classes: the names of the C classes.
        names: what the two matrices are of.

    Raises:
        ValueError: another shape, a negative or infinite count, or a class without images.
    """
    first, second = _percent(before, classes), _percent(after, classes)
    figure, ((left, right), (change, largest)) = subplots(7.4, 7.0, 2, 2)
    reach = float(np.max(_off_diagonal([first, second]))) or 1.0
    for axes, shown, name in ((left, first, names[0]), (right, second, names[1])):
        _confusions(axes, shown, classes, "Blues", (0, reach), _two_digits)
        axes.set_title(f"{name}, % of each class", fontsize=10)
    difference = second - first
    reach = float(np.max(np.abs(_off_diagonal([difference])))) or 1.0
    _confusions(change, difference, classes, DIVERGING + "_r", (-reach, reach), _signed)
    change.set_title(f"{names[1]} − {names[0]}, points", fontsize=10)
    changes = _largest_changes(largest, difference, classes)
    right = [f"{float(np.mean(np.diag(each))):.1f} %" for each in (first, second)]
    said = [f"{name} {_signed(value)}" for name, value in changes.items()]
    return figure, (
        f"Confusion matrices in % of each true class, {names[0]} and {names[1]}, and their "
        f"difference. On average over the classes {right[0]} and {right[1]} are right. The largest "
        f"changes, true → predicted, in points: {', '.join(said) if said else 'none'}."
    )


def _percent(matrix: ArrayLike, classes: Sequence[str]) -> NDArray[np.float64]:
    """A confusion matrix in percent of its rows."""
    counts = np.asarray(matrix, dtype=np.float64)
    told = f"a confusion matrix of {len(classes)} classes has a row and a column for each"
    fits = counts.shape == (len(classes), len(classes))
    require(fits, f"{told}, got the shape {counts.shape}.")
    counted = np.isfinite(counts).all() and counts.min() >= 0
    require(counted, "a confusion matrix holds counts or shares, which are finite and not < 0.")
    images = counts.sum(axis=1, keepdims=True)
    empty = classes[int(np.argmin(images))]
    require(images.all(), f"class {empty!r} has no images; rows are true classes.")
    result: NDArray[np.float64] = 100 * counts / images
    return result


def _two_digits(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{_two_digits(value)}"


def _off_diagonal(matrices: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array([matrix[~np.eye(len(matrix), dtype=bool)] for matrix in matrices])


def _confusions(
    axes: Axes,
    shown: NDArray[np.float64],
    classes: Sequence[str],
    cmap: str,
    limits: tuple[float, float],
    number: Callable[[float], str],
) -> None:
    coloured = np.where(np.eye(len(classes), dtype=bool), np.nan, shown)
    axes.imshow(coloured, cmap=cmap, vmin=limits[0], vmax=limits[1])
    axes.set_facecolor(BLANK)
    # A cell that would read 0.0 is left empty.
    texts = [[number(value) if abs(value) >= 0.05 else "" for value in row] for row in shown]
    _write(axes, texts, light=np.abs(coloured) > 0.6 * limits[1], size=6 if limits[0] else 7)
    _name_ticks(axes, classes, classes, size=8)
    axes.tick_params(axis="x", rotation=90)
    axes.set(xlabel="predicted", ylabel="true")


def _largest_changes(
    axes: Axes, difference: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, float]:
    """The confusions that changed most, as bars in the order of their change."""
    change = np.where(np.eye(len(classes), dtype=bool), 0.0, difference)
    largest = np.argsort(-np.abs(change), axis=None, kind="stable")[:8]
    cells = sorted(
        (change.flat[index], *divmod(int(index), len(classes)))
        for index in largest
        if abs(change.flat[index]) >= 0.05  # it would read 0.0
    )
    names = [f"{classes[row]} → {classes[column]}" for _, row, column in cells]
    values = [value for value, *_ in cells]
    axes.barh(names, values, color=[ALONE if value > 0 else TEACHER for value in values])
    axes.axvline(0, color="k", linewidth=1)
    axes.set_ylim(max(len(cells), 4) - 0.4, -0.6)  # from the top, and two bars are not beams
    axes.tick_params(labelsize=8)
    axes.set_title("errors that change most, true → predicted", fontsize=10)
    axes.set_xlabel("← fewer      points of the class      more →")
    return dict(zip(names, map(float, values), strict=True))


def _write(
    axes: Axes,
    texts: Sequence[Sequence[str]],
    *,
    light: NDArray[np.bool_],
    bold: NDArray[np.bool_] | None = None,
    size: float = 9,
) -> None:
    """A text in every cell, white where `light` says that the cell is dark."""
    for (row, column), white in np.ndenumerate(light):
        text = texts[row][column].replace("-", "−")
        axes.text(
            column, row, text, ha="center", va="center", fontsize=size,
            color="white" if white else "black",
            fontweight="bold" if bold is not None and bold[row, column] else "normal",
        )  # fmt: skip


def _name_ticks(
    axes: Axes, columns: Sequence[str], rows: Sequence[str], size: float | None = None
) -> None:
    axes.set_xticks(range(len(columns)), columns, fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
