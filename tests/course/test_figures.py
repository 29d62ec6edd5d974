"""The figure of a sweep: what is drawn, and the same in words."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.container import ErrorbarContainer

from kdhelpers.course import figures
from kdhelpers.course.root import CourseError
from kdhelpers.course.table import Row
from kdhelpers.stats.intervals import mean_interval


def row(metrics: dict[str, Any], **values: Any) -> Row:
    return Row(values, "ok", 1.0, metrics, "", "x")


ROWS = [
    row({"y": 10.0 * seed + t + 100 * (mode == "b")}, mode=mode, t=t, seed=seed)
    for mode in "ab" for t in (1.0, 8.0) for seed in (0, 1, 2)
]  # fmt: skip


def test_the_metric_of_interest_comes_first() -> None:
    rows = [
        row({"headline": "x", "good": True, "teacher.accuracy": 0.99, "n": n, "Accuracy": n / 9})
        for n in (1, 2)
    ]
    assert figures.chosen(rows) == "Accuracy"
    assert figures.chosen(rows, "n") == "n"
    assert figures.chosen([], "n") == ""
    with pytest.raises(CourseError, match="no point has the number 'acuracy'; did you mean 'Acc"):
        figures.chosen(rows, "acuracy")


def test_seeds_are_repetitions_the_first_parameter_is_x_and_the_others_are_lines() -> None:
    x, lines = figures.series(ROWS, "y")
    assert x == "mode"
    assert list(lines) == ["t = 1", "t = 8"]
    assert lines["t = 8"] == {"a": [8, 18, 28], "b": [108, 118, 128]}
    x, lines = figures.series([row({"y": 1}, seed=0), row({"y": 3}, seed=1)], "y")
    assert (x, lines) == ("", {"": {"all points": [1, 3]}})
    assert figures.series([], "y") == ("", {})
    constant = [replace(each, values={"families": [], **each.values}) for each in ROWS]
    assert figures.series(constant, "y") == figures.series(ROWS, "y")
    assert figures.series(constant[:1], "y") == ("families", {"": {"[]": [1]}})
    rows = [row({"y": value}, t=t) for t, value in enumerate([1, None, "2", True])]
    assert figures.series([*rows, row({}, t=9)], "y") == ("t", {"": {0: [1]}})


def test_a_point_may_have_a_result_of_each_of_its_seeds() -> None:
    rows = [row({"alone": [1, 2], "KD": [t, 3.0], "who": ["a"]}, t=t) for t in (1.0, 8.0)]
    assert figures.chosen(rows) == "KD"
    assert figures.series(rows, "KD")[1] == {"": {1.0: [1, 3], 8.0: [8, 3]}}


def test_means_and_intervals_are_where_they_belong() -> None:
    lines = {"a": {1.0: [1, 2, 3], 8.0: [5.0]}, "b": {8.0: [2, 4], 1.0: [0, 0]}}
    figure = figures.picture("t", lines, "y").figure
    axes = figure.axes[0]
    bars = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    assert [bar.lines[0].get_xydata().tolist() for bar in bars] == [
        [[1, 2], [8, 5]],
        [[1, 0], [8, 3]],
    ]
    low, high = (part.get_ydata() for part in bars[0].lines[1])
    interval = mean_interval([1, 2, 3])
    assert (low[0], high[0]) == pytest.approx((interval.low, interval.high))
    assert (low[1], high[1]) == (-math.inf, math.inf)  # which are not drawn
    assert all(map(math.isfinite, axes.get_ylim()))
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "8"]
    assert axes.get_ylabel() == "y"
    assert axes.get_xlabel().startswith("t\nmean with 95 % interval")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    styles = {(bar.lines[0].get_color(), bar.lines[0].get_marker()) for bar in bars}
    assert len(styles) == 2


def test_words_and_narrow_ranges_have_plain_axes() -> None:
    words = figures.picture("", {"": {"b": [1, 2], "a": [3]}}, "y").figure.axes[0]
    assert [label.get_text() for label in words.get_xticklabels()] == ["b", "a"]
    assert words.get_legend() is None
    assert words.get_xlabel().startswith("mean")
    for places in (range(1, 8), range(0, 99), range(1, 99)):
        axes = figures.picture("t", {"": {at: [at] for at in places}}, "y").figure.axes[0]
        assert axes.get_xscale() == ("log" if places == range(1, 99) else "linear")


def test_the_same_in_words_and_as_a_table() -> None:
    lines = {"a": {1.0: [0.5, 0.7], 2.0: [0.25]}, "": {1.0: [1]}}
    assert figures.picture("t", lines, "y").alt == (
        "y against t, mean and half of the 95 % interval over the seeds. "
        "a: 1: 0.6 ± 1.3 (2 seeds); 2: 0.25. 1: 1."
    )
    assert figures.picture("", {"": {1.0: [1]}}, "y").alt.startswith("y, mean")
    table = figures.summary("t", lines)
    assert table.headers == ["t", "a", "result"]
    assert table.rows == [["1", "0.6 ± 1.3 (2 seeds)", "1"], ["2", "0.25", ""]]


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.png"
    figures.write_figure(path, ROWS)
    assert path.read_bytes().startswith(b"\x89PNG")
    figures.write_figure(path, [row({"headline": "no number"}, t=1)])
    assert not path.exists()
