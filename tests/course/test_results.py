"""What a record says."""

from typing import Any

import pytest

from kdhelpers.course.results import markdown, provenance, tables
from kdhelpers.stats.tables import Table

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RECORD: dict[str, Any] = {
    "parameters": {"dataset": "mnist", "seeds": [0, 1, 2]},
    "environment": {
        "device": "cpu",
        "threads": 2,
        "versions": {"torch": "2.11.0"},
        "date": "2026-01-31T10:11:12+00:00",
        "commit": COMMIT,
    },
    "seconds": 1234.0,
    "metrics": {},
}


def test_provenance_says_what_a_record_knows_and_what_it_does_not() -> None:
    assert provenance(RECORD) == (
        "mnist, 3 seeds, cpu, 2 threads, PyTorch 2.11.0, 21 minutes, 2026-01-31, "
        "commit 0123456789ab"
    )
    sparse = provenance(RECORD | {"environment": {"device": "cpu"}})
    assert sparse.endswith("PyTorch unknown, 21 minutes, no date, commit unknown")
    environment = RECORD["environment"] | {"commit": f"{COMMIT}-dirty"}
    short = provenance(RECORD | {"seconds": 52.4, "environment": environment})
    assert short.endswith(", 52 seconds, 2026-01-31, commit 0123456789ab with changes")


@pytest.mark.parametrize(
    ("commits", "told"),
    [
        ([], "commit 0123456789ab"),
        ([COMMIT], "commit 0123456789ab"),
        (["None"], "joined at commit 0123456789ab, trained at commit unknown"),
        (
            [f"{COMMIT[::-1]}-dirty"],
            "joined at commit 0123456789ab, trained at commit 76543210fedc with changes",
        ),
        ([COMMIT, "b"], "joined at commit 0123456789ab, trained at 2 commits"),
        (["a-dirty", "b"], "trained at 2 commits, some with changes"),
    ],
)
def test_provenance_of_a_joined_record_tells_of_its_parts(commits: list[str], told: str) -> None:
    parts = {"count": 49, "seconds": 6000.0, "commits": commits, "precisions": ["bf16", "fp32"]}
    joined = provenance(RECORD | {"metrics": {"parts": parts}})
    assert ", bf16 and fp32, 49 trainings of 100 minutes together, 2026-01-31, " in joined
    assert joined.endswith(f", {told}")


def test_a_record_brings_its_tables() -> None:
    shown = {"Arms": {"headers": ["a", "b"], "rows": [["1", "2"]]}}
    record = RECORD | {"tables": shown}
    assert tables(record) == {"Arms": Table(["a", "b"], [["1", "2"]])}
    assert markdown(record).startswith("mnist, 3 seeds, cpu")
    assert "\n\n**Arms**\n\n| a | b |" in markdown(record)
    assert tables(RECORD) == {}
