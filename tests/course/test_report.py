"""The report is one file that anybody can read anywhere; its figures say the same in words."""

import base64
import errno
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sweep_lesson
from figure_reading import errorbars
from sweep_lesson import row

from kdhelpers import course
from kdhelpers.course import cli, plans, records, report
from kdhelpers.course.plans import expand
from kdhelpers.course.root import CourseError
from kdhelpers.course.sweep import place_of, rows, write_failure, write_list
from kdhelpers.stats.intervals import mean_interval

EVIL = "</td><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;{{ 7 * 7 }}{% raw %}"
OURS = "html head meta title style body h1 h2 h3 section p img div table caption thead tbody tr th"
OURS += " td details summary pre"
ATTRIBUTES = {"lang", "charset", "name", "content", "scope", "class", "alt", "src"}


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write_record(path: Path, metrics: dict[str, Any], **parameters: Any) -> None:
    course.write_record(
        path, notebook="01_x", parameters=parameters, metrics=metrics, device="cpu", started=0.0
    )


def write_sweep(root: Path, name: str = "mine", **grid: list[Any]) -> Path:
    """A sweep with two points done, one failed and one missing; without kernels."""
    grid = grid or {"temperature": [1, 4], "seed": [0, 1]}
    plan = plans.plan([sweep_lesson.write(root)])[0]
    folder = root / "runs" / name
    points = expand(plan, grid)
    write_list(folder, points)
    for point in points[:2]:
        place = place_of(folder, point.folder)
        sweep_lesson.record(point.plan, str(place))
    write_failure(folder, points[2], f"ValueError: {EVIL}")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_sweep(tmp_path)
    runs = tmp_path / "runs"
    metrics = {
        "headline": EVIL,
        "alone": {"100": [0.5, 0.7], "1000": [0.8, 0.9]},
        "teacher": {"accuracy": 0.99, "name": EVIL},
        "curve": list(range(100)),
    }
    write_record(runs / "01_x.json", metrics, seeds=[0, 1], name=EVIL, rate=None)
    (runs / "other.json").write_text("{}")
    (runs / ".part-1.json").write_text("half a record")
    return runs


def test_one_file_with_everything_nothing_from_elsewhere_and_no_text_that_is_a_tag(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sweep(runs.parent, "evil", mode=[EVIL, "b"], seed=[0, 1])
    evil = records.read_record(runs / "01_x.json") | dict(
        notebook=EVIL, profile=EVIL, parameters={"seeds": [0, 1], EVIL: EVIL, "list": [EVIL]},
        metrics={EVIL: [0.1, 0.2], "headline": EVIL, "group": {EVIL: {EVIL: [1, 2]}}, "t": EVIL},
        environment={"device": EVIL, "versions": {"torch": EVIL}, "commit": EVIL, "date": EVIL},
        tables={EVIL: {"headers": [EVIL], "rows": [[EVIL]]}},
    )  # fmt: skip
    (runs / "<b onclick=alert(3)>.json").write_text(json.dumps(evil))
    (runs / "<i>left out.json").write_text("{}")
    (runs / "a part.json").write_text('{"function": "student", "figures": {}}')
    assert cli.main(["report", str(runs)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{runs / 'report.html'}\n"
    left_out = ("<i>left out.json", "other.json")
    assert err.splitlines() == [f"left out, no readable record: {name}" for name in left_out]
    html = (runs / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= set(OURS.split())
    assert {name for _, attributes in page.tags for name in attributes} <= ATTRIBUTES
    assert EVIL not in html
    assert page.text.count(EVIL) >= 20
    assert "49" not in page.text.replace(EVIL, "").split()
    assert not re.search(r"https?://|url\(|@import", html)
    pictures = page.of("img")
    assert len(pictures) == 2  # of the sweeps
    for picture in pictures:
        kind, _, content = str(picture["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
        assert picture["alt"]
    assert page.of("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.of("meta")
    assert "no readable records: <i>left out.json, other.json" in page.text
    assert ".part-1.json" not in page.text
    assert str(runs.parent) not in html


def test_a_sweep_shows_a_summary_every_point_and_the_failures(runs: Path) -> None:
    section = report.of_sweep(rows(runs / "mine"), name="mine")
    assert section.heading == "Sweep mine"
    assert section.lines == ["4 points: 2 ok, 1 failed, 1 missing"]
    summary = section.tables["accuracy, mean ± half of the 95 % interval"]
    assert summary.headers == ["temperature", "result"]
    assert [line[0] for line in summary.rows] == ["1"]
    assert summary.rows[0][1].endswith("(2 seeds)")
    assert section.pictures[0].alt.startswith("accuracy against temperature, mean")
    table = section.details["All points"]
    assert table.headers == ["temperature", "seed", "status", "seconds", "accuracy"]
    assert table.rows[1:] == [
        ["1", "1", "ok", "1.5", "0.891"],
        ["4", "0", "failed", "", ""],
        ["4", "1", "missing", "", ""],
    ]
    assert list(section.failures.values()) == [f"ValueError: {EVIL}"]


def test_a_record_shows_its_results_over_the_seeds(runs: Path) -> None:
    section = report.of_record(records.read_record(runs / "01_x.json"), "01_x.json")
    assert section.heading == "01_x (01_x.json)"
    assert section.lines[0] == EVIL
    assert section.lines[1].startswith("plain papermill, 2 seeds, cpu, 1 thread, PyTorch ")
    results = dict(section.tables["Metrics"].rows)
    assert results["alone.100"] == "0.6 ± 1.3 (2 seeds)"
    assert results["teacher.accuracy"] == "0.99"
    assert results["curve"].endswith(" …")
    assert len(results["curve"]) < 130
    assert dict(section.details["Parameters"].rows)["rate"] == ""


def test_the_runs_of_an_arm_are_shown_by_their_figures() -> None:
    runs = [{"seed": 0, "accuracy": 0.5}, {"seed": 1, "accuracy": 0.7}]
    found = dict(report._leaves({"arms": {"KD": runs, "layers": [{"n": 1}]}, "empty": {}}))
    assert found == {"arms.KD.accuracy": [0.5, 0.7], "arms.layers": [{"n": 1}]}


def test_a_record_that_says_little_and_brings_its_table(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", {"loss": 1})
    shown = {"Arms": {"headers": ["arm"], "rows": [["alone"]]}}
    record = records.read_record(tmp_path / "a.json")
    section = report.of_record(record | {"environment": {"versions": 3}, "tables": shown}, "a.json")
    assert len(section.lines) == 1
    assert "unknown device, unknown threads, PyTorch unknown" in section.lines[0]
    assert list(section.tables) == ["Arms", "Metrics"]


def test_where_the_file_goes_and_what_is_told_without_records_or_metric(
    runs: Path, tmp_path: Path
) -> None:
    assert report.report(runs, tmp_path / "new" / "page.html")[0].exists()
    with pytest.raises(CourseError, match=r"write '.*mine': Is a directory; choose another --out"):
        report.report(runs, runs / "mine")
    with pytest.raises(CourseError, match="no point has the number 'acuracy'; did you mean 'acc"):
        report.report(runs, metric="acuracy")
    with pytest.raises(CourseError, match=r"01_x\.json' is a file; give its folder"):
        report.report(runs / "01_x.json")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.json").write_text("[]")
    with pytest.raises(CourseError, match="has no records; `kdhelpers run` and `sweep` write them"):
        report.report(tmp_path / "empty")


def test_a_damaged_sweep_and_a_pipe_stop_nothing(runs: Path) -> None:
    (runs / "hurt").mkdir()
    (runs / "hurt" / "sweep.json").write_text("{}")
    os.mkfifo(runs / "pipe.json")
    path, left_out = report.report(runs)
    page = path.read_text(encoding="utf-8")
    assert left_out == ["hurt/sweep.json", "other.json"]
    assert "Left out, for they are no readable records: hurt/sweep.json, other.json" in page
    assert "Sweep mine" in page
    assert "(mine/points/" not in page  # its points are no records of their own


def test_a_name_that_is_no_utf_8_stops_nothing(runs: Path) -> None:
    (runs / os.fsdecode(b"b\xe9.json")).write_bytes((runs / "01_x.json").read_bytes())
    assert cli.main(["report", str(runs)]) == 0
    assert "01_x (b?.json)" in (runs / "report.html").read_text(encoding="utf-8")


def test_a_metric_is_shown_of_the_sweeps_that_have_it(runs: Path) -> None:
    for place in (runs / "mine", write_sweep(runs.parent, "other")):
        for path in place.glob("points/*/*.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            record["metrics"] = {"T": 1.0} if place.name == "other" else record["metrics"]
            path.write_text(json.dumps(record), encoding="utf-8")
    page = report.report(runs, metric="T")[0].read_text(encoding="utf-8")
    assert "T, mean ± half" in page
    assert "accuracy, mean ± half" in page
    with pytest.raises(CourseError, match="no point has the number 'U'"):
        report.report(runs, metric="U")


def test_strange_points_parts_and_folders_stop_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = json.loads((runs / "mine" / "sweep.json").read_text(encoding="utf-8"))
    del points["points"][1]["values"]["temperature"]
    (runs / "mine" / "sweep.json").write_text(json.dumps(points), encoding="utf-8")
    for name, told in (("3", {"precisions": 3}), ("commits", {"commits": [3]})):
        write_record(runs / f"{name}.json", {"parts": {"count": 1, "seconds": 1.0} | told})
    (runs / "closed").mkdir()
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    path, left_out = report.report(runs)
    assert left_out == ["closed", "3.json", "commits.json", "other.json"]
    assert "Sweep mine" in path.read_text(encoding="utf-8")


def test_no_file_of_another_kind_is_replaced(runs: Path) -> None:
    before = (runs / "01_x.json").read_bytes()
    with pytest.raises(CourseError, match=r"01_x\.json' is there and no page; choose"):
        report.report(runs, runs / "01_x.json")
    assert (runs / "01_x.json").read_bytes() == before


# -- the figure of a sweep ------------------------------------------------------------------------


ROWS = [
    row({"y": 10.0 * seed + t + 100 * (mode == "b")}, mode=mode, t=t, seed=seed)
    for mode in "ab" for t in (1.0, 8.0) for seed in (0, 1, 2)
]  # fmt: skip


def test_the_metric_of_interest_comes_first() -> None:
    rows = [
        row({"headline": "x", "good": True, "teacher.accuracy": 0.99, "n": n, "Accuracy": n / 9})
        for n in (1, 2)
    ]
    assert report.chosen(rows) == "Accuracy"
    both = [row({"teacher.accuracy": n, "arms.alone.accuracy": n}) for n in (1, 2)]
    assert report.chosen(both) == "arms.alone.accuracy"
    assert report.chosen(rows, "n") == "n"
    assert report.chosen([], "n") == ""
    with pytest.raises(CourseError, match="no point has the number 'acuracy'; did you mean 'Acc"):
        report.chosen(rows, "acuracy")


def test_seeds_are_repetitions_the_first_parameter_is_x_and_the_others_are_lines() -> None:
    x, lines = report.series(ROWS, "y")
    assert x == "mode"
    assert list(lines) == ["t = 1", "t = 8"]
    assert lines["t = 8"] == {"a": [8, 18, 28], "b": [108, 118, 128]}
    x, lines = report.series([row({"y": 1}, seed=0), row({"y": 3}, seed=1)], "y")
    assert (x, lines) == ("", {"": {"all points": [1, 3]}})
    assert report.series([], "y") == ("", {})
    constant = [replace(each, values={"families": [], **each.values}) for each in ROWS]
    assert report.series(constant, "y") == report.series(ROWS, "y")
    assert report.series(constant[:1], "y") == ("families", {"": {"[]": [1]}})
    rows = [row({"y": value}, t=t) for t, value in enumerate([1, None, "2", True])]
    assert report.series([*rows, row({}, t=9)], "y") == ("t", {"": {0: [1]}})


def test_a_point_may_have_a_result_of_each_of_its_seeds() -> None:
    rows = [row({"alone": [1, 2], "KD": [t, 3.0], "who": ["a"]}, t=t) for t in (1.0, 8.0)]
    assert report.chosen(rows) == "KD"
    assert report.series(rows, "KD")[1] == {"": {1.0: [1, 3], 8.0: [8, 3]}}


def test_means_and_intervals_are_where_they_belong() -> None:
    lines = {"a": {1.0: [1, 2, 3], 8.0: [5.0]}, "b": {8.0: [2, 4], 1.0: [0, 0]}}
    figure = report.picture("t", lines, "y").figure
    axes = figure.axes[0]
    bars = errorbars(axes)
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
    words = report.picture("", {"": {"b": [1, 2], "a": [3]}}, "y").figure.axes[0]
    assert [label.get_text() for label in words.get_xticklabels()] == ["b", "a"]
    assert words.get_legend() is None
    assert words.get_xlabel().startswith("mean")
    for places in (range(1, 8), range(0, 99), range(1, 99)):
        axes = report.picture("t", {"": {at: [at] for at in places}}, "y").figure.axes[0]
        assert axes.get_xscale() == ("log" if places == range(1, 99) else "linear")


def test_the_same_in_words_and_as_a_table() -> None:
    lines = {"a": {1.0: [0.5, 0.7], 2.0: [0.25]}, "": {1.0: [1]}}
    assert report.picture("t", lines, "y").alt == (
        "y against t, mean and half of the 95 % interval over the seeds. "
        "a: 1: 0.6 ± 1.3 (2 seeds); 2: 0.25. 1: 1."
    )
    assert report.picture("", {"": {1.0: [1]}}, "y").alt.startswith("y, mean")
    table = report.summary("t", lines)
    assert table.headers == ["t", "a", "result"]
    assert table.rows == [["1", "0.6 ± 1.3 (2 seeds)", "1"], ["2", "0.25", ""]]


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.png"
    report.write_figure(path, ROWS)
    assert path.read_bytes().startswith(b"\x89PNG")
    report.write_figure(path, [row({"headline": "no number"}, t=1)])
    assert not path.exists()
