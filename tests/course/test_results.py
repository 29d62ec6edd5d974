"""Tables made from records."""

from typing import Any

import pytest

from kdhelpers.course.results import hints_table, markdown, provenance, setup, sweep_table, tables
from kdhelpers.stats.intervals import mean_interval
from kdhelpers.stats.tables import Table, percent

RECORD: dict[str, Any] = {
    "parameters": {"dataset": "mnist", "seeds": [0, 1, 2]},
    "environment": {
        "device": "cpu",
        "threads": 2,
        "versions": {"torch": "2.11.0"},
        "date": "2026-01-31T10:11:12+00:00",
        "commit": "0123456789abcdef0123456789abcdef01234567",
    },
    "seconds": 1234.0,
}


def test_provenance_says_what_a_record_knows_and_what_it_does_not() -> None:
    assert provenance(RECORD) == (
        "mnist, 3 seeds, cpu, 2 threads, PyTorch 2.11.0, 21 minutes, 2026-01-31, "
        "commit 0123456789ab"
    )
    sparse = provenance(RECORD | {"environment": {"device": "cpu"}})
    assert sparse.endswith("PyTorch unknown, 21 minutes, no date, commit unknown")
    environment = RECORD["environment"] | {"commit": f"{RECORD['environment']['commit']}-dirty"}
    short = provenance(RECORD | {"seconds": 52.4, "environment": environment})
    assert short.endswith(", 52 seconds, 2026-01-31, commit 0123456789ab with changes")


def test_a_sweep_table_compares_with_the_student_alone_and_with_the_rule() -> None:
    record = {
        "parameters": {"rule_of_thumb": 4.0},
        "metrics": {
            "alone": {"tiny": [0.80, 0.82, 0.84]},
            "sweep": {"tiny": {"20": [0.91, 0.93, 0.95], "4": [0.90, 0.92, 0.94]}},
            "chosen": {"tiny": 20.0},
        },
    }
    table = sweep_table(record)
    assert table.headers[-1] == "against T = 4"
    assert [row[0] for row in table.rows] == [
        "tiny, alone", "tiny, T = 4", "tiny, T = 20 (best on validation)",
    ]  # fmt: skip
    assert [row[2] for row in table.rows[1:]] == [
        "+10.00 ± 0.00 (helps)", "+11.00 ± 0.00 (helps)",
    ]  # fmt: skip
    assert [row[3] for row in table.rows] == ["", "", "+1.00 ± 0.00 (helps)"]


def test_the_setup_of_a_record_tells_what_it_is_not() -> None:
    record = {
        "profile": "cpu",
        "parameters": {
            "dataset": "cifar10", "transfer_size": 10_000, "teacher": "vgg16",
            "teacher_width": 0.25, "teacher_epochs": 4, "students": ["small_cnn", "vgg_small"],
            "student_width": 0.5, "epochs": 6, "seeds": [0, 1],
        },
        "environment": {"device": "cpu", "threads": 1},
        "seconds": 120,
    }  # fmt: skip
    table = setup(record)
    text = repr(table)
    assert table.headers == ["record", "cpu"]
    assert "cifar10, the students see 10,000 images" in text
    assert "vgg16 at width 0.25, 4 epochs" in text
    assert "small_cnn, vgg_small at width 0.5, 6 epochs, 2 seeds" in text
    assert "1 thread, " in text
    fewer = record["parameters"] | {"control_seeds": [0]}
    assert "2 seeds (controls: 1)" in repr(setup(record | {"parameters": fewer}))
    assert setup(record | {"profile": None}).headers[1] == "plain papermill"


def hints_record(dataset: str, student: str) -> dict[str, Any]:
    return {
        "parameters": {"dataset": dataset, "student": student},
        "metrics": {
            "teacher": {"accuracy": 0.991},
            "parameters": {"teacher": 361_690, "student": 29_842},
            "arms": {
                "alone": [0.90, 0.91, 0.92],
                "KD": [0.95, 0.96, 0.97],
                "hint, then labels": [0.95, 0.96, 0.98],
                "hint, then KD": [0.97, 0.98, 0.99],
            },
        },
    }


def test_a_hints_table_tells_the_gain_of_the_hint_from_that_of_the_soft_targets() -> None:
    table = hints_table(hints_record("mnist", "fitnet_mnist_student"))
    teacher, alone, kd, labels, both = table.rows
    assert {len(row) for row in table.rows} == {len(table.headers)}
    assert teacher == ["teacher (361,690 parameters)", "99.10", "", "", "99.45"]
    assert alone[0] == "student, alone (29,842)"
    assert alone[1:] == [percent(mean_interval([90, 91, 92])), "", "", "98.10"]
    assert kd[2] == "+5.00 ± 0.00 (helps)"
    assert (kd[3], kd[4]) == ("", "99.35")
    assert labels[3].endswith("(no clear difference)")
    assert labels[4] == ""
    assert both[2:] == ["+7.00 ± 0.00 (helps)", "+2.00 ± 0.00 (helps)", "99.49"]


def test_a_hints_table_shows_what_the_mistake_did() -> None:
    record = hints_record("mnist", "fitnet_mnist_student")
    record["metrics"]["collapse"] = {"size": [0.4, 0.2, 0.1], "fixed": 0.4, "accuracy": 0.5}
    *_, last = hints_table(record).rows
    assert last[0].endswith("(its target: 0.40 → 0.10)")
    assert last[1:] == ["50.00", "", "", ""]


@pytest.mark.parametrize(
    ("dataset", "student", "reported"),
    [("cifar10", "fitnet4", "91.61"), ("cifar10", "other", ""), ("photodigits", "fitnet4", "")],
)
def test_the_papers_figures_stand_beside_its_own_networks_only(
    dataset: str, student: str, reported: str
) -> None:
    rows = hints_table(hints_record(dataset, student)).rows
    assert rows[-1][-1] == reported
    assert rows[1][-1] == ""  # for CIFAR-10 the paper reports no student of these alone


def test_a_record_brings_its_tables_and_an_older_one_is_known_by_what_it_measured() -> None:
    shown = {"Arms": {"headers": ["a", "b"], "rows": [["1", "2"]]}}
    record = RECORD | {"notebook": "07_x", "metrics": {"headline": "a <b> c"}, "tables": shown}
    assert tables(record) == {"Arms": Table(["a", "b"], [["1", "2"]])}
    assert markdown(record, folded=True).startswith(
        "**Lesson 07**: *a &lt;b&gt; c*\n\n<details><summary>mnist, 3 seeds, cpu"
    )
    assert tables(RECORD | {"metrics": {"loss": 1}}) == {}
    older = {"arms": {"a": [0.5, 0.5], "b": [0.5, 0.25]}, "baseline": "a", "headline": "nothing"}
    assert "does a changing temperature help? *nothing*" in markdown(
        RECORD | {"notebook": "05_y", "metrics": older}, folded=True
    )
    with pytest.raises(ValueError, match="these are no results"):
        tables(RECORD | {"metrics": {"alone": {"5": [1]}, "distilled": 3, "teacher": {}}})
