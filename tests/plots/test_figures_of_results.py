"""Figures of arms show every seed, means and intervals in percent, from rows and from results."""

import numpy as np
import pytest
import shown
from figure_reading import bars_of, dots, errorbars, texts, tick_names
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from shown import DRAW, runs

from kdhelpers import plots
from kdhelpers.plots.drawing import DISTILLED, NEUTRAL
from kdhelpers.plots.results import verdict_colour
from kdhelpers.stats.comparisons import compare
from kdhelpers.stats.intervals import describe, mean_interval, paired_difference
from kdhelpers.stats.tables import arms_table, corrected_table, paired_table


def axes_of(name: str) -> Axes:
    (axes,) = DRAW[name]().figure.axes
    return axes


def points(arms: dict) -> list[list[float]]:
    return [[100 * value for value in arm] for arm in arms.values()]


def expected(arms: list[list[float]]) -> tuple[list[float], list[tuple[float, float]]]:
    found = [mean_interval(arm) for arm in arms]
    return [each.mean for each in found], [(each.low, each.high) for each in found]


def assert_intervals(axes: Axes, arms: list[list[float]], along: int = 1) -> None:
    for drawn, right in zip(bars_of(axes, along), expected(arms), strict=True):
        assert np.allclose(drawn, right)


def colour(line: object) -> str:
    return str(to_hex(line.get_color())).upper()  # type: ignore[attr-defined]


def test_arms_show_every_seed_and_the_interval_in_percent() -> None:
    axes = axes_of("arms")
    assert tick_names(axes)[1] == list(shown.ARMS)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first arm is at the top
    assert np.allclose(dots(axes), points(shown.ARMS))
    assert_intervals(axes, points(shown.ARMS), along=0)


def test_the_colour_of_an_arm_is_its_verdict_against_the_baseline() -> None:
    values = {"alone": [0.7, 0.72, 0.71, 0.7, 0.72], "same": [0.71, 0.7, 0.72, 0.72, 0.7]}
    values |= {"up": [0.8, 0.81, 0.82, 0.8, 0.82], "down": [0.5, 0.51, 0.52, 0.5, 0.52]}
    (axes,) = plots.arms(values, baseline="alone").figure.axes
    diamonds = [colour(drawn.lines[0]) for drawn in errorbars(axes)]
    assert diamonds == [plots.NEUTRAL, plots.NEUTRAL, plots.DISTILLED, plots.ALONE]


def test_arms_are_compared_with_the_teacher_and_the_baseline() -> None:
    axes = axes_of("arms")
    lines = {line.get_label(): line for line in axes.lines}
    for label, place, dashes in (("teacher", 90, "--"), ("mean of alone", 71, ":")):
        assert lines[label].get_xdata()[0] == pytest.approx(place)
        assert lines[label].get_linestyle() == dashes
        assert label in texts(axes.figure)
    plain = plots.arms(shown.ARMS, what="accuracy on the 3s")
    assert not plain.figure.legends
    assert plain.figure.axes[0].get_xlabel().startswith("accuracy on the 3s (%)")
    assert plain.alt.startswith("Accuracy on the 3s in % of every arm")
    assert plain.alt.endswith("shuffled 50.00 ± 24.84.")


def test_paired_points_show_every_seed_and_a_verdict_in_colour() -> None:
    axes = axes_of("paired_points")
    assert tick_names(axes)[1] == list(shown.DIFFERENCES)
    assert dots(axes) == [row.tolist() for row in shown.DIFFERENCES.values()]
    diamonds = [drawn.lines[0] for drawn in errorbars(axes)]
    colours = [plots.DISTILLED, plots.ALONE, plots.NEUTRAL, plots.NEUTRAL]
    assert list(map(colour, diamonds)) == colours
    assert_intervals(axes, list(shown.DIFFERENCES.values()), along=0)
    assert "(points)" in axes.get_xlabel()
    assert "(ms)" in texts(plots.paired_points(shown.DIFFERENCES, unit="ms"))


def test_pairs_are_made_of_seeds() -> None:
    results = {name: runs(arm) for name, arm in shown.ARMS.items()}
    results["alone"] = results["alone"][::-1]
    (axes,) = plots.paired_points(results).figure.axes
    assert tick_names(axes)[1] == ["distilled", "shuffled"]
    assert sorted(dots(axes)[0]) == pytest.approx([3, 3, 4])
    assert sorted(dots(axes)[1]) == pytest.approx([-32, -21, -10])
    (axes,) = plots.paired_points(
        results, comparisons=[("shuffled", "alone"), ("alone", "distilled")]
    ).figure.axes
    assert tick_names(axes)[1] == ["alone − shuffled", "distilled − alone"]
    assert sorted(dots(axes)[0]) == pytest.approx([10, 21, 32])
    sized = {(50, name): arm for name, arm in results.items() if name != "shuffled"}
    assert tick_names(plots.paired_points(sized).figure.axes[0])[1] == ["50 images"]


def test_numbers_are_differences_only_where_nothing_is_compared() -> None:
    rows = {name: shown.ARMS[name] for name in ("alone", "distilled")}
    by_seed = {name: dict(enumerate(arm)) for name, arm in rows.items()}
    sized = {(50, name): arm for name, arm in rows.items()}
    pair = {"baseline": "none", "comparisons": [tuple(rows)]}
    for arms, options in ((rows, {}), (by_seed, {}), (sized, {}), (rows, pair), (by_seed, pair)):
        assert "+3.33 ± 1.43 (3 seeds: no verdict)" in plots.paired_points(arms, **options).alt
    gains = {(4, "KD"): np.array([1.0, 1.2]), 0.5: np.array([1.0, 1.2])}
    told = plots.paired_points(gains)
    assert "4, KD +1.10 ± 1.27 (2 seeds: no verdict); 0.5 +1.10" in told.alt
    lists = {"labels": [0.9, 0.91], "KD": [0.92, 0.93]}
    arrays = {name: np.array(arm) for name, arm in lists.items()}
    missing = ((lists, {}), (lists, {"baseline": "label"}), (arrays, {"baseline": "label"}))
    for arms, options in missing:
        with pytest.raises(ValueError, match="is none of the arms: labels, KD"):
            plots.paired_points(arms, **options)


def test_a_transfer_curve_shows_means_and_intervals_in_percent() -> None:
    axes = axes_of("transfer_curve")
    assert_intervals(axes, points(shown.ALONE) + points(shown.DISTILLED))
    written = texts(axes.figure)
    assert all(word in written for word in ("student alone", "distilled student", "teacher"))
    assert any(np.allclose(line.get_ydata(), 97.9) for line in axes.lines)
    assert (
        len({drawn.lines[0].get_marker() for drawn in errorbars(axes)}) == 2
    )  # not by colour only
    assert tick_names(axes)[0] == ["50", "200"]


def test_the_teachers_line_is_not_hidden_by_the_frame() -> None:
    for teacher in np.linspace(0.75, 1, 6):
        (axes,) = plots.transfer_curve(shown.SIZED, teacher=teacher).figure.axes
        low, high = axes.get_ylim()
        assert low + 0.01 * (high - low) < 100 * teacher < high - 0.01 * (high - low)


def test_a_sweep_shows_means_and_intervals_beside_the_student_alone() -> None:
    axes = axes_of("temperature_sweep")
    order = [(name, T) for name in ("small", "tiny") for T in (1.0, 4.0)]
    assert_intervals(axes, [[100 * value for value in shown.SWEEP[each]] for each in order])
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() in (":", "--")]
    assert levels == pytest.approx([85.5, 51.0, 97.0])
    written = texts(axes.figure)
    assert all(name in written for name in ("small, distilled", "tiny, alone", "teacher"))
    assert tick_names(axes)[0] == ["1", "4"]  # what was measured


def test_results_are_drawn_as_their_numbers_are() -> None:
    """Dicts with their seed, by (size, arm), (student, T) or (alpha, T): the same words."""
    results = {name: runs(arm) for name, arm in shown.ARMS.items()}
    family = {name: runs(arm) for name, arm in shown.FAMILY.items()}
    sized = {key: runs(arm) for key, arm in shown.SIZED.items()}
    sweep = {key: runs(arm) for key, arm in shown.SWEEP.items()}
    for picture, name in (
        (plots.arms(results, teacher=0.9, baseline="alone"), "arms"),
        (plots.transfer_curve(sized, teacher=0.979), "transfer_curve"),
        (plots.temperature_sweep(sweep, teacher=0.97), "temperature_sweep"),
        (plots.forest(family, baseline="alone", claim=(2, 3)), "forest"),
    ):
        assert picture.alt == DRAW[name]().alt
    losses = {"alone": [{"loss": 0.5, "seed": s} for s in range(5)], "KD": [{"loss": 0.25}] * 0}
    losses["KD"] = [{"loss": 0.25, "seed": s} for s in range(5)]
    drawn = plots.paired_points(losses, key="loss")
    assert "KD -0.2500 ± 0.0000 (no spread to judge by)" in drawn.alt
    assert verdict_colour(mean_interval([25] * 5)) == NEUTRAL  # as the words say


def test_less_calibration_error_is_better_in_figures_as_in_tables() -> None:
    found = {
        arm: [{"calibration_error": error + seed / 100, "seed": seed} for seed in range(3)]
        for arm, error in (("alone", 0.3), ("KD", 0.1))
    }
    for draw in (plots.paired_points, plots.forest):
        picture = draw(found, baseline="alone", key="calibration_error")
        axes = picture.figure.axes[0]
        assert {"← better", "worse →"} <= {text.get_text() for text in axes.texts}
        assert "in calibration error" in picture.alt
        assert axes.get_xlabel().startswith("difference in calibration error")
    sweep = {("s", "alone"): found["alone"], ("s", 1.0): found["KD"], ("s", 4.0): found["alone"]}
    sized = {(50, "alone"): found["alone"], (50, "distilled"): found["KD"]}
    for picture in (
        plots.arms(found, key="calibration_error"),
        plots.transfer_curve(sized, teacher=0.1, key="calibration_error"),
        swept := plots.temperature_sweep(sweep, teacher=0.1, key="calibration_error"),
    ):
        axes = picture.figure.axes[0]
        assert "calibration error (%)" in axes.get_xlabel() + axes.get_ylabel()
        assert picture.alt.startswith("Calibration error in %")
    assert "best at 1." in swept.alt
    both = {(0.9, 1.0): found["KD"], (0.9, 4.0): found["alone"]}
    grid = plots.alpha_temperature_grid(both, found["alone"], key="calibration_error")
    assert "change in calibration error from the student alone in points" in grid.alt
    assert grid.alt.endswith("The smallest is at alpha 0.9, T = 1.")
    axes, bar = grid.figure.axes
    assert axes.images[0].get_cmap().name == "RdBu_r"  # what is better is blue
    assert bar.get_ylabel() == "← better    change (points)    worse →"
    gain = mean_interval([-0.2, -0.21] * 3)
    assert verdict_colour(gain, "calibration_error") == DISTILLED != verdict_colour(gain)


def test_figures_of_a_loss_or_a_time_have_its_own_unit() -> None:
    found = {"alone": [10.0, 12.0, 11.0, 10.4, 11.6], "KD": [8.1, 10.2, 8.9, 8.5, 9.4]}
    found = {name: [{"ms": value} for value in arm] for name, arm in found.items()}
    sized = {(50, "alone"): found["alone"], (50, "distilled"): found["KD"]}
    sweep = {("s", "alone"): found["alone"], ("s", 4.0): found["KD"]}
    gain, mean = "-1.98 ± 0.20", "alone 11.0 ± 1.0"
    for picture, *told in (
        (plots.arms(found, teacher=40, key="ms"), "Ms of every arm", mean, "teacher at 40.00."),
        (plots.paired_points(found, key="ms"), "differences in ms, a dot", f"KD {gain} (helps)"),
        (plots.forest(found, baseline="alone", claim=(-3, -1), key="ms"), gain, "-3 to -1; it"),
        (plots.transfer_curve(sized, teacher=40, key="ms"), "Ms of a", mean, gain, "has 40.00."),
        (plots.temperature_sweep(sweep, teacher=40, key="ms"), "Ms against", mean, ": 40.00."),
        (plots.alpha_temperature_grid({(0.9, 4.0): found["KD"]}, found["alone"], key="ms"), gain),
    ):
        assert all(words in picture.alt for words in told), picture.alt
        written = picture.alt.replace("95 % interval", "") + texts(picture.figure)
        assert "points" not in written
        assert "(%)" not in written
        assert "in %" not in written


def test_one_seed_is_drawn_without_bars_and_told_without_a_verdict() -> None:
    one = {"alone": runs([0.5]), "KD": runs([0.75])}
    sized = {(50, "alone"): one["alone"], (50, "distilled"): one["KD"]}
    sweep = {("small", "alone"): one["alone"], ("small", 4.0): one["KD"]}
    drawn = (
        (plots.arms(one, baseline="alone", teacher=0.9), "alone 50.00", "KD 75.00;"),
        (plots.paired_points(one), "KD +25.00 (one seed)", ""),
        (plots.forest(one, baseline="alone", claim=(2, 3)), "KD +25.00 (one seed)", "for no arm"),
        (plots.transfer_curve(sized, teacher=0.9), "a difference of +25.00 (one seed)", ""),
        (plots.temperature_sweep(sweep, teacher=0.9), "alone 50.00 (dotted)", "75.00 at T = 4"),
    )
    for picture, *told in drawn:
        assert all(words in picture.alt for words in told), picture.alt
        assert "inf" not in picture.alt
        low, high = picture.figure.axes[0].get_xlim()
        assert np.isfinite([low, high]).all()
        assert picture.png


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_only_five_seeds_get_a_verdict_in_words_or_colour(count: int) -> None:
    alone, taught = [0.5, 0.6, 0.7, 0.8, 0.9], [0.521, 0.619, 0.72, 0.82, 0.92]
    arms, enough = {"alone": alone[:count], "KD": taught[:count]}, count == 5
    said = "helps" if enough else f"{count} seeds: no verdict"
    for table in (arms_table, paired_table, corrected_table):
        assert said in repr(table(arms, baseline="alone"))
    gain = paired_difference(*arms.values(), points=True)
    assert gain.low > 0
    assert describe(gain).startswith("helps by 2 (") is enough
    assert describe(gain).endswith(f"with {count} seeds" + ", too few for a verdict" * (not enough))
    forest = plots.forest(arms, baseline="alone", claim=(4, 5))
    assert f"({said})" in forest.alt
    assert forest.alt.endswith(f"it is ruled out for {'KD' if enough else 'no arm'}.")
    assert f"({said})" in plots.paired_points(arms).alt
    assert verdict_colour(gain) == (DISTILLED if enough else NEUTRAL)
    assert colour(forest.figure.axes[0].lines[0]) == verdict_colour(gain)
    grid = plots.alpha_temperature_grid({(0.9, 4.0): arms["KD"]}, arms["alone"])
    assert grid.figure.axes[0].texts[0].get_fontweight() == ("bold" if enough else "normal")


def test_the_grid_writes_every_gain_and_says_which_are_sure() -> None:
    axes = DRAW["alpha_temperature_grid"]().figure.axes[0]
    assert tick_names(axes) == (["1", "4"], ["0.9", "0.5"])
    cells = {text.get_position(): text for text in axes.texts}
    assert {place: text.get_text() for place, text in cells.items()} == {
        (1, 0): "+1.00\n± 0.25", (0, 0): "−2.00\n± 2.48", (1, 1): "+0.25", (0, 1): "not run",
    }  # fmt: skip
    bold = [place for place, text in cells.items() if text.get_fontweight() == "bold"]
    assert bold == [(1, 0)]
    (image,) = axes.images
    drawn = image.get_array().filled(np.nan)
    assert np.allclose(drawn, [[-2, 1], [np.nan, 0.25]], equal_nan=True)
    assert image.get_clim() == pytest.approx((-2, 2))  # white is zero


def test_without_spread_nothing_is_bold_and_no_claim_is_ruled_out() -> None:
    rows = {"alone": [0.5, 0.6, 0.7, 0.8, 0.9], "KD": [0.52, 0.62, 0.72, 0.82, 0.92]}
    grid = plots.alpha_temperature_grid({(0.9, 4.0): rows["KD"]}, rows["alone"])
    (cell,) = grid.figure.axes[0].texts
    assert (cell.get_text(), cell.get_fontweight()) == ("+2.00\n± 0.00", "normal")
    told = plots.forest(rows, baseline="alone", claim=(3, 4)).alt
    assert "(no spread to judge by)" in told
    assert told.endswith("it is ruled out for no arm.")


def test_a_forest_has_a_row_for_each_arm_with_its_mean_and_both_intervals() -> None:
    axes = axes_of("forest")
    compared = compare("alone", shown.FAMILY, points=True)
    assert tick_names(axes)[1] == ["cosine", "rising", "linear"]
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    means = [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds]
    assert means == [(each.difference.mean, row) for row, each in enumerate(compared.values())]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 2][:-1]  # the last is at zero
    intervals = [each for c in compared.values() for each in (c.simultaneous, c.difference)]
    assert [tuple(line.get_xdata()) for line in drawn] == [(i.low, i.high) for i in intervals]
    assert all(
        thin.get_linewidth() < thick.get_linewidth()
        for thin, thick in zip(drawn[::2], drawn[1::2], strict=True)
    )
    assert list(map(colour, diamonds)) == [plots.DISTILLED, plots.ALONE, plots.NEUTRAL]
    assert "thin: of all arms together" in axes.get_xlabel()
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (2, 3)
    assert "claimed: +2 to +3 points" in texts(axes.figure)
    assert not plots.forest(shown.FAMILY, baseline="alone").figure.axes[0].patches


def test_of_a_family_the_verdict_is_the_simultaneous_one() -> None:
    family = {
        "alone": [0.5] * 5,
        "better by itself": [0.503, 0.51, 0.517, 0.503, 0.517],  # by 0.3, 1 and 1.7 points
        "no other": [0.48, 0.5, 0.52, 0.48, 0.52],
    }
    picture = plots.forest(family, baseline="alone")
    (axes,) = picture.figure.axes
    thin, thick, diamond, *_ = axes.lines
    assert thin.get_xdata()[0] < 0 < thick.get_xdata()[0]
    assert {line.get_color() for line in (thin, thick, diamond)} == {plots.NEUTRAL}
    assert "+1.00 ± 0.87, ± 1.09 with all arms together (no clear difference)" in picture.alt
    for claim, refuted in (((2, 3), "no arm"), ((2.2, 3), "better by itself")):
        told = plots.forest(family, baseline="alone", claim=claim).alt
        assert told.endswith(f"ruled out for {refuted}.")


@pytest.mark.parametrize(
    ("key", "claim", "words"),
    [
        ("accuracy", (1, 3), "gain claimed, +1 to +3 points; it is ruled out for down."),
        ("accuracy", (-3, -1), "fall claimed, -3 to -1 points; it is ruled out for up."),
        ("accuracy", (-1, 1), "gain claimed, -1 to +1 points; it is ruled out for down."),
        ("calibration_error", (-3, -1), "fall claimed, -3 to -1 points; it is ruled out for up."),
        ("calibration_error", (-1, 1), "fall claimed, -1 to +1 points; it is ruled out for up."),
    ],
)
def test_a_claim_is_ruled_out_by_less_of_it(key: str, claim: tuple, words: str) -> None:
    rows = {"alone": [0.5] * 5, "up": [0.551, *[0.55] * 4], "down": [0.449, *[0.45] * 4]}
    family = {name: [{key: value} for value in row] for name, row in rows.items()}
    assert plots.forest(family, baseline="alone", claim=claim, key=key).alt.endswith(words)


def test_names_that_are_no_text_are_drawn_in_words() -> None:
    arms = {0.0: shown.ARMS["alone"], (4, "KD"): shown.ARMS["distilled"]}
    forest, levels = plots.forest(arms, baseline=0.0), plots.arms(arms, baseline=0.0)
    assert tick_names(forest.figure.axes[0])[1] == ["4, KD"]
    assert "accuracy from 0, in points: 4, KD +3.33" in forest.alt
    assert levels.alt.endswith("A dotted line marks the mean of 0.")


def test_power_is_in_percent_against_the_number_of_pairs() -> None:
    axes = axes_of("power_curve")
    lines = {line.get_label(): line for line in axes.lines}
    for effect, values in shown.POWERS.items():
        assert list(lines[effect].get_xdata()) == [2, 8, 32]
        assert np.allclose(lines[effect].get_ydata(), [100 * value for value in values])
        assert effect in texts(axes.figure)
    (level,) = (line for label, line in lines.items() if label.startswith("80 %"))
    assert list(level.get_ydata()) == [80, 80]
    axes.figure.draw_without_rendering()
    assert {"2", "8", "32"} <= set(tick_names(axes)[0])


def test_the_misleading_bars_mislead() -> None:
    axes = axes_of("misleading_bars")
    assert tick_names(axes)[0] == list(shown.BARS)
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([98.01, 98.12, 98.03])
    low = axes.get_ylim()[0]
    assert 97.9 < low < 98.01
    assert (heights[1] - low) / (heights[0] - low) > 5  # for 0.1 points
    assert not axes.containers[1:]  # no error bars
    best = [to_hex(bar.get_facecolor()).upper() == plots.DISTILLED for bar in axes.patches]
    assert best == [False, True, False]
    assert axes.get_title() == "Dynamic temperature wins"
    assert "mislead" not in shown.DRAW["misleading_bars"]().alt, "it would give the answer away"


def test_a_fourth_line_is_drawn_like_the_first() -> None:
    curves = {str(number): [1.0, 2.0, 3.0] for number in range(4)}
    for picture in (
        plots.entropy_curve(shown.GRID, curves, classes=10),
        plots.log_curves(shown.GRID, curves, ylabel="norm"),
    ):
        lines = picture.figure.axes[0].lines
        assert {line.get_label() for line in lines} >= curves.keys()
    arms = {(name, T): [0.7, 0.8] for name in curves for T in (1.0, 4.0, "alone")}
    students = plots.temperature_sweep(arms, teacher=0.97)
    assert len(errorbars(students.figure.axes[0])) == 4
    assert len({drawn.lines[0].get_marker() for drawn in errorbars(students.figure.axes[0])}) == 4
    assert shown.CURVES.keys() <= set(texts(DRAW["log_curves"]()).splitlines())
