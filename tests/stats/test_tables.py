"""Tables of results, and what they allow to say."""

import html
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from kdhelpers.evaluation import Size
from kdhelpers.stats.comparisons import compare
from kdhelpers.stats.intervals import (
    Interval,
    bootstrap_difference,
    mean_interval,
    paired_difference,
)
from kdhelpers.stats.tables import (
    Table,
    arms_table,
    corrected_table,
    cost_table,
    difference,
    paired_table,
    percent,
    transfer_table,
    trials_table,
    verdict,
)
from kdhelpers.stats.tuning import best_settings

TABLE = Table(["model", "accuracy, %"], [["teacher", "97.9"], ["student", "8.0"]])


def cells(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]


def test_a_notebook_shows_markdown_and_a_terminal_aligned_text() -> None:
    shown, _ = DisplayFormatter().format(TABLE)
    header, rule, *rows = cells(shown["text/markdown"])
    assert header == TABLE.headers
    assert rows == TABLE.rows
    assert [set(cell) for cell in rule] == [{"-"}, {"-", ":"}]  # figures to the right
    assert shown["text/plain"] == repr(TABLE)


def test_words_stand_to_the_left_and_figures_to_the_right() -> None:
    rows = [
        ["a", "", "1 of 2", "T = 1"],
        ["b", "< 0.001", "+2 ± 1", "5 → 1"],
        ["c", "± 3", "4", ""],
    ]
    _, rule, *_ = cells(Table(["arm", "p", "wins", "chosen"], rows)._repr_markdown_())
    assert rule == ["---", "---:", "---:", "---"]


def test_plain_columns_start_at_the_same_place_also_without_rows() -> None:
    assert repr(TABLE) == "model    accuracy, %\nteacher  97.9\nstudent  8.0"
    assert repr(Table(["a", "b"], [])) == "a  b"


def test_percent_gives_mean_and_margin() -> None:
    assert percent(Interval(93.456, 92.656, 94.256, 5)) == "93.46 ± 0.80"
    assert percent(Interval(1.5, 1.0, 2.0, 5), sign=True) == "+1.50 ± 0.50"
    assert percent(Interval(-1.5, -2.0, -1.0, 5), sign=True) == "-1.50 ± 0.50"


def test_a_verdict_needs_an_interval_on_one_side_of_zero() -> None:
    for low, high, said in (
        (0.01, 2.0, "helps"), (-2.0, -0.01, "hurts"), (0.0, 2.0, "no clear difference"),
        (-1.0, 1.0, "no clear difference"), (-2.0, 0.0, "no clear difference"),
        (0.0, 0.0, "no clear difference"),
    ):  # fmt: skip
        assert verdict(Interval((low + high) / 2, low, high, 5)) == said


ALONE = {1000: [0.97, 0.98, 0.96] * 2, 50: [0.78, 0.80, 0.79] * 2, 200: [0.91, 0.92, 0.90] * 2}
DISTILLED = {50: [0.86, 0.89, 0.87] * 2, 200: [0.91, 0.92, 0.90] * 2, 1000: [0.95, 0.96, 0.941] * 2}


def results(arm: list[float]) -> list[dict[str, float]]:
    return [{"accuracy": value, "seed": seed} for seed, value in enumerate(arm)]


def test_a_transfer_table_has_a_row_a_size_with_both_arms_and_their_difference() -> None:
    sized = {(size, "alone"): results(arm) for size, arm in ALONE.items()}
    sized |= {(size, "distilled"): results(arm)[::-1] for size, arm in DISTILLED.items()}
    table = transfer_table(sized, teacher=0.979)
    assert {len(line) for line in cells(table._repr_markdown_())} == {5}
    assert [row[0] for row in table.rows] == ["50", "200", "1,000"]  # by size, not by text
    for row, size in zip(table.rows, (50, 200, 1000), strict=True):
        points = [[100 * value for value in arm[size]] for arm in (ALONE, DISTILLED)]
        gain = paired_difference(*points)
        assert row[1:3] == [percent(mean_interval(arm)) for arm in points]
        assert row[3] == f"{percent(gain, sign=True)} ({verdict(gain)})"
        assert row[4] == "97.90"
    verdicts = [row[3].partition("(")[2] for row in table.rows]
    assert verdicts == ["helps)", "no clear difference)", "hurts)"]
    with pytest.raises(ValueError, match="teacher must be a number from 0 to 1, got 97"):
        transfer_table(sized, teacher=97.9)


ARMS = {
    "alone": [{"accuracy": 0.50, "agreement": 0.6}, {"accuracy": 0.54, "agreement": 0.7}],
    "distilled": [{"accuracy": 0.60, "agreement": 0.8}, {"accuracy": 0.64, "agreement": 0.8}],
}


def test_arms_are_compared_seed_by_seed_with_the_baseline_or_any_of_them() -> None:
    table = arms_table(ARMS, keys=("accuracy", "agreement"))
    assert table.headers[:3] == ["arm", "accuracy, %", "agreement with the teacher, %"]
    assert table.headers[3:] == ["against alone, points"]
    alone, distilled = table.rows
    assert alone == ["alone", percent(mean_interval([50, 54])), "65.00 ± 63.53", ""]
    assert distilled[1] == percent(mean_interval([60, 64]))
    assert distilled[2:] == ["80.00 ± 0.00", "+10.00 ± 0.00 (2 seeds: no verdict)"]
    assert arms_table(ARMS, baseline="distilled").rows[0][-1].startswith("-10.00 ± 0.00 (2 seeds")
    turned = arms_table(ARMS, keys=("agreement", "accuracy")).rows[1]
    assert turned[-1].startswith("+15.00 ± ")  # of the first figure that is shown
    with pytest.raises(ValueError, match="keys names no figure of the runs; give one"):
        arms_table(ARMS, keys=())
    with pytest.raises(ValueError, match="'teacher' is none of the arms: alone, distilled"):
        arms_table(ARMS, baseline="teacher")


def test_arms_of_several_kinds_are_compared_each_with_its_own_baseline() -> None:
    arms = {(kind, T): [0.5 + T / 100] * 2 for kind in ("small", "tiny") for T in (1.0, 4.0)}
    rows = arms_table(arms, baseline=1.0).rows  # type: ignore[arg-type]
    assert [row[0] for row in rows] == ["small, 1", "small, 4", "tiny, 1", "tiny, 4"]
    assert [row[-1][:5] for row in rows] == ["", "+3.00", "", "+3.00"]
    with pytest.raises(ValueError, match=r"baseline \('small', 'alone'\) is none of the arms"):
        arms_table(arms)
    with pytest.raises(ValueError, match="baseline 'alone' is none of the arms: none"):
        arms_table({})


def test_an_arm_with_fewer_seeds_is_paired_by_seed() -> None:
    alone = [{"seed": s, "accuracy": a} for s, a in ((0, 0.1), (1, 0.2), (2, 0.3), (3, 0.9))]
    few = [{"seed": s, "accuracy": a} for s, a in ((2, 0.4), (1, 0.3))]
    table = arms_table({"alone": alone, "few": few})
    assert table.headers[-1] == "seeds"
    assert [row[-1] for row in table.rows] == ["4", "2"]
    assert table.rows[1][-2].startswith("+10.00 ± 0.00")
    assert paired_table({"alone": alone, "few": few, "all": alone}).rows[0][-1] == "2"
    with pytest.raises(ValueError, match=r"arm 'few': paired arms need the same seeds"):
        arms_table({"alone": alone, "few": [{"seed": 7, "accuracy": 0.4}]})


def test_a_difference_is_told_in_points_with_its_verdict() -> None:
    arms = {"alone": results([0.5, 0.54] * 3), "KD": results([0.6, 0.6402] * 3)[::-1]}
    assert difference(arms["alone"], arms["KD"]) == "+10.01 ± 0.01 (helps)"
    assert difference([0.5, 0.54] * 3, [0.4, 0.4402] * 3) == "-9.99 ± 0.01 (hurts)"
    assert difference([0.5, 0.54] * 3, [0.6, 0.64] * 3) == "+10.00 ± 0.00 (no spread to judge by)"
    assert paired_table(arms).rows == [["KD", "+10.01 ± 0.01", "helps"]]
    chosen = paired_table(arms, comparisons=[("KD", "alone")])
    assert chosen.rows == [["alone − KD", "-10.01 ± 0.01", "hurts"]]
    errors = [[{"calibration_error": e} for e in of * 3] for of in ([0.05, 0.06], [0.15, 0.1602])]
    assert difference(*errors, key="calibration_error") == "+10.01 ± 0.01 (hurts)"
    both = dict(zip(("alone", "KD"), errors, strict=True))
    assert paired_table(both, key="calibration_error").rows == [["KD", "+10.01 ± 0.01", "hurts"]]
    sized = {(50, "alone"): arms["alone"], (50, "distilled"): arms["KD"]}
    assert paired_table(sized).rows[0][0] == "50 images"


@pytest.mark.parametrize(
    ("name", "told"), [(0.0, "0"), ((4.0, "alone"), "4, alone"), (4, "4"), (None, "None")]
)
def test_names_that_are_no_text_are_shown_in_words(name: Any, told: str) -> None:
    arms = {name: [0.5, 0.54], (0.5, 0.54): [0.6, 0.64]}
    for table in (arms_table(arms, baseline=name), corrected_table(arms, baseline=name)):
        assert [row[0] for row in table.rows] == [told, "0.5, 0.54"]
        assert f"against {told}, points" in repr(table)
    assert told in repr(cost_table({name: COST}))


COST = {"parameters": 1234567, "macs": 6_178_186, "latency_ms": 1.2345, "accuracy": 0.91234}


def test_costs_are_rounded_to_what_a_reader_needs() -> None:
    shown = ["net", "1,234,567", "6.2", "1.23", "91.23"]
    measured = Size(1234567, 6_178_186, 4.7), 1.2345, 0.91234
    assert cost_table({"net": COST}).rows == cost_table({"net": measured}).rows == [shown]
    assert len(cost_table({}).headers) == 5
    without = cost_table({"net": measured[:2]})
    assert without.rows == [shown[:4]]
    assert without.headers == ["network", "parameters", "million MACs", "ms a picture"]


@pytest.mark.parametrize("key", COST)
@pytest.mark.parametrize("value", [None, -1, float("nan"), "much"])
def test_costs_that_are_none_are_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{key} of 'net' must be a number from 0"):
        cost_table({"net": COST | {key: value}})
    if key != "accuracy":
        with pytest.raises(ValueError, match=f"no costs by network: '{key}' is missing"):
            cost_table({"net": {name: COST[name] for name in COST.keys() - {key}}})


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a | b", "a\nb", "&lt;b&gt; & c"])
def test_markdown_shows_the_text_of_a_cell_whatever_it_is(text: str) -> None:
    markdown = Table([text, "p"], [[text, "< 0.001"]])._repr_markdown_()
    header, _, row = cells(markdown)
    assert "<" not in header[0]
    assert html.unescape(header[0]) == html.unescape(row[0]) == text.replace("\n", " ")
    assert row[1] == "< 0.001"  # opens no tag: as in the tables that are recorded


FAMILIES = {
    "cosine": [0.925, 0.934, 0.941, 0.928, 0.936, 0.930],
    "fixed": [0.923, 0.935, 0.938, 0.929, 0.933, 0.931],
    "worse": [0.903, 0.914, 0.919, 0.910, 0.913, 0.909],
    "linear": [0.925, 0.940, 0.941, 0.935, 0.937, 0.936],  # alone, its p is below 0.001
}


def test_a_table_of_arms_begins_with_the_baseline_and_corrects_for_the_number_of_others() -> None:
    table = corrected_table(FAMILIES, baseline="fixed")
    points = {name: [100 * value for value in values] for name, values in FAMILIES.items()}
    expected = compare("fixed", points)
    assert [row[0] for row in table.rows] == ["fixed", "cosine", "worse", "linear"]
    assert table.rows[0] == ["fixed", percent(mean_interval(points["fixed"])), "", "", "", "", ""]
    for row in table.rows[1:]:
        result = expected[row[0]]
        drawn = bootstrap_difference(points["fixed"], points[row[0]])
        assert len(row) == len(table.headers)
        assert row[1] == percent(mean_interval(points[row[0]]))
        assert row[2] == percent(result.difference, sign=True)
        assert row[3] == f"± {result.simultaneous.margin:.2f}"
        assert result.simultaneous.margin > result.difference.margin
        assert row[4] == f"{drawn.low:+.2f} to {drawn.high:+.2f}"
    assert [row[5] for row in table.rows[1:]] == ["0.363", "< 0.001", "0.002"]
    assert [row[-1] for row in table.rows[1:]] == ["no clear difference", "hurts", "helps"]
    assert "against fixed, points" in table.headers


def test_a_verdict_on_several_arms_is_that_of_the_wider_interval() -> None:
    arms = {"base": [0.5] * 6, "just": [0.51, 0.52, 0.498, 0.515, 0.501, 0.52]}
    assert corrected_table(arms, baseline="base").rows[1][-1] == "helps"
    many = arms | {f"none {k}": [0.5 + 0.01 * (-1) ** n for n in range(6)] for k in range(9)}
    assert corrected_table(many, baseline="base").rows[1][-1] == "no clear difference"


def test_less_of_an_error_a_loss_or_a_time_is_better_and_more_of_anything_else() -> None:
    less = mean_interval([-2, -2.1] * 3)
    for key in ("ece", "ECE", "nll", "brier", "error_rate", "latency_ms", "seconds", "top1error"):
        assert verdict(less, key) == "helps"
    for key in ("accuracy", "agreement", "validation", "missing", "terms"):
        assert verdict(less, key) == "hurts"


def test_every_column_of_a_table_of_arms_is_of_the_figure_asked_for() -> None:
    key = "calibration_error"
    as_errors = {
        name: [{key: 1 - value, "accuracy": 0.5, "seed": seed} for seed, value in enumerate(arm)]
        for name, arm in FAMILIES.items()
    }
    plain = {name: [1 - value for value in arm] for name, arm in FAMILIES.items()}
    table = corrected_table(as_errors, baseline="fixed", key=key)
    wanted = corrected_table(plain, baseline="fixed")
    assert [row[:-1] for row in table.rows] == [row[:-1] for row in wanted.rows]
    assert [row[-1] for row in table.rows[1:]] == ["no clear difference", "hurts", "helps"]


@pytest.mark.parametrize("key", ["milliseconds", "cross_entropy", "valLoss", "MSELoss"])
def test_less_of_it_is_better_by_a_part_of_its_name(key: str) -> None:
    runs = [[{key: 5 + number / 10, "seed": number} for number in range(6)]]
    runs += [[{key: 2.5 + number / 9, "seed": number} for number in range(6)]]
    assert difference(*runs, key=key) == "-2.472 ± 0.022 (helps)"
    assert best_settings({("KD", 1): runs[0], ("KD", 2): runs[1]}, key) == {"KD": 2}
    with pytest.raises(TypeError, match="unexpected keyword argument 'key'"):
        arms_table({"alone": runs[0]}, key=key)  # type: ignore[call-arg]


def test_an_error_a_loss_or_a_time_is_shown_as_it_was_measured() -> None:
    ms = [10.0, 12.0, 11.0, 10.4, 11.6, 11.0], [8.1, 10.2, 8.9, 8.5, 9.4, 9.2]
    runs = [[{"ms": value, "accuracy": 0.5} for value in arm] for arm in ms]
    arms = dict(zip(("alone", "KD"), runs, strict=True))
    assert difference(*runs, key="ms") == "-1.95 ± 0.17 (helps)"
    table = arms_table(arms, keys=("ms", "accuracy"))
    assert table.headers == ["arm", "ms", "accuracy, %", "against alone"]
    assert table.rows[0] == ["alone", "11.00 ± 0.77", "50.00 ± 0.00", ""]
    paired = paired_table(arms, key="ms")
    assert paired.headers[1] == "ms, mean ± 95 %"
    assert paired.rows == [["KD", "-1.95 ± 0.17", "helps"]]
    table = corrected_table(arms, baseline="alone", key="ms")
    assert table.headers[1:3] == ["ms", "against alone"]
    assert table.rows[1][1:4] == ["9.05 ± 0.77", "-1.95 ± 0.17", "± 0.17"]
    sized = {(50, "alone"): runs[0], (50, "distilled"): runs[1]}
    table = transfer_table(sized, teacher=40, key="ms")
    assert table.headers[1:] == ["student alone", "distilled", "difference", "teacher"]
    assert table.rows[0][-1] == "40.00"
    trials = {("KD", 0.1): runs[0], ("KD", 0.01): runs[1]}
    assert trials_table(trials, key="ms").rows == [["KD", "11.00", "9.050", "0.01"]]
    small = [[{"nll": value / 1000} for value in arm] for arm in ms]
    assert difference(*small, key="nll") == "-0.00195 ± 0.00017 (helps)"
    assert percent(mean_interval([0.3, 0.1 + 0.2]), key="nll") == "0.3000 ± 0.0000"


def test_few_seeds_give_what_they_can() -> None:
    def of(count: int) -> Table:
        few = {name: values[:count] for name, values in FAMILIES.items()}
        return corrected_table(few, baseline="fixed")

    assert "bootstrap" in of(6).headers
    assert "bootstrap" not in of(5).headers
    one = of(1)
    assert one.headers == ["arm", "accuracy, %", "against fixed, points", "verdict"]
    assert one.rows[:2] == [["fixed", "92.30", "", ""], ["cosine", "92.50", "+0.20", "one seed"]]
    assert [row[2] for row in one.rows[2:]] == ["-2.00", "+0.20"]
    assert len(corrected_table({"fixed": [0.9, 0.8]}, baseline="fixed").rows) == 1
    with pytest.raises(ValueError, match="baseline 'constant' is none of the arms: cosine, fixed"):
        corrected_table(FAMILIES, baseline="constant")
