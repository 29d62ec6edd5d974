"""Records: what is in them, what is refused, what they say and what they must not tell."""

import getpass
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_course import write_lesson

from kdhelpers.course import records
from kdhelpers.course.root import CourseError
from kdhelpers.stats.tables import Table

KEYS = ["notebook", "profile", "parameters", "metrics", "environment", "seconds"]


def write(record_file: str | Path = "", **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "notebook": "01_mnist_kd",
        "parameters": {"epochs": 3},
        "metrics": {"accuracy": [0.9, None]},
        "device": "cpu",
        "started": time.perf_counter() - 2.0,
    }
    return records.write_record(record_file, **(arguments | changes))


def test_a_record_has_exactly_these_keys_and_comes_back_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "Ergebnisse für heute" / "01_mnist_kd.json"
    record = write(file)
    assert list(record) == KEYS
    assert records.read_record(file) == record == json.loads(file.read_text(encoding="utf-8"))
    assert record["profile"] is None
    assert record["seconds"] == pytest.approx(2.0, abs=0.5)
    assert list(record["environment"]) == [
        *("python", "platform", "processor", "device", "threads", "versions", "commit", "date"),
    ]
    assert record["environment"]["versions"]["numpy"] == np.__version__
    assert record["environment"]["date"].endswith("+00:00")


def test_a_lesson_that_changes_a_parameter_is_recorded_with_its_own_value(tmp_path: Path) -> None:
    file, run = (
        tmp_path / "one.json",
        {"notebook": "01_mnist_kd", "profile": "quick", "lesson": "a"},
    )
    write(file, parameters={"epochs": 3, "device": "cpu", "weights": "/home/ana/a.pt"})
    told = {"parameters": {"epochs": 3, "device": "auto", "weights": "/tmp/a.pt", "late": 1}}
    assert records.complete(file, run | told, 2.345)["seconds"] == 2.35
    write(file, parameters={"epochs": 5})
    record = records.complete(file, run | told, 2.345)
    assert record["parameters"]["epochs"] == 5
    assert records.changed(record, told["parameters"]) == ["epochs"]
    assert not records.belongs_to(record, run | told)


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write("")["metrics"] == {"accuracy": [0.9, None]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"runs": [{"t": float("inf")}]}}, r"metrics\['runs'\]\[0\]\['t'\] is inf"),
        ({"parameters": {"where": Path("x")}}, r"parameters\['where'\] is of type"),
        ({"notebook": None}, r"'notebook' is of the wrong type \(NoneType\)"),
        ({"started": 1e12}, "'seconds' is negative"),
    ],
)
def test_what_is_not_plain_json_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CourseError, match=message):
        write(tmp_path / "record.json", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_record_tells_nothing_about_the_machine_s_owner(tmp_path: Path) -> None:
    parameters = {
        "data_root": str(tmp_path),
        "folders": [str(tmp_path / "a b"), {"deep": str(Path.home() / "data")}],
        "record_file": str(tmp_path / "record.json"),
        "relative": "data/x",
        "root": "/",
    }
    record = write(parameters=parameters, metrics={"weights": str(tmp_path / "teacher.pt")})
    assert record["parameters"] == {
        "data_root": tmp_path.name,
        "folders": ["a b", {"deep": "data"}],
        "relative": "data/x",
        "root": "/",
    }
    assert record["metrics"] == {"weights": "teacher.pt"}
    words = json.dumps(write()).replace('"', " ").split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
    assert str(Path.cwd()) not in json.dumps(record)


def test_the_commit_and_whether_files_differ_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = write_lesson(tmp_path, "01_mnist_kd")
    monkeypatch.setattr(records, "carried", lambda: tmp_path)  # wherever one works
    assert write()["environment"]["commit"] is None
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "someone")
        monkeypatch.setenv(f"{name}_EMAIL", "someone@example.org")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "lesson"]):
        subprocess.run(["git", *command], check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    (tmp_path / "new").write_text("not tracked")
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of a hook"))
    assert write()["environment"]["commit"] == commit
    with lesson.open("a") as file:
        file.write("\n")
    assert write()["environment"]["commit"] == f"{commit}-dirty"
    monkeypatch.setenv("PATH", os.devnull)
    assert write()["environment"]["commit"] is None


def test_the_lesson_s_torch_names_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(get_device_name=lambda name: f"Super {name}")
    torch = SimpleNamespace(get_num_threads=lambda: 7, cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = write(device="cuda:1")["environment"]
    assert (found["device"], found["threads"]) == ("cuda:1 (Super cuda:1)", 7)
    assert write(device="cpu")["environment"]["device"] == "cpu"


def test_the_records_of_a_lesson_lie_in_results_and_come_in_the_order_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lesson(tmp_path, "01_mnist_kd")
    monkeypatch.chdir(tmp_path / "notebooks")
    folder = tmp_path / "results"
    assert records.load_records("01_mnist_kd") == []
    for name in ("01_mnist_kd-cpu", "01_mnist_kd", "01_mnist_kd-2gpu"):
        write(folder / f"{name}.json", metrics={"file": name})
    write(folder / "02_other.json", notebook="02_other")
    loaded = records.load_records("01_mnist_kd")
    assert loaded == records.load_records("01_mnist_kd", folder)
    assert [record["metrics"]["file"] for record in loaded] == [
        *("01_mnist_kd-2gpu", "01_mnist_kd-cpu", "01_mnist_kd"),
    ]


def test_a_recorded_profile_tells_before_it_starts_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lesson(tmp_path, "01_mnist_kd")
    monkeypatch.chdir(tmp_path)
    file = Path("results/01_mnist_kd.json")
    write(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"profile": "full", "seconds": 540}))
    told = records.expected("01_mnist_kd", "full", {})
    assert told.startswith("01_mnist_kd, profile full; its recorded run: ")
    assert "9 minutes" in told
    assert records.expected("01_mnist_kd", "full", {"epochs": 3, "workers": 9}) == told
    other = records.expected("01_mnist_kd", "full", {"epochs": 4})
    assert other == f"{told}; other here: epochs"
    assert records.expected("01_mnist_kd", "quick", {}) == ""
    Path("results/01_mnist_kd.x.json").write_text("no record")
    assert records.expected("01_mnist_kd", "full", {}) == ""  # and no reason not to start


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"seconds": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        ('{"notebook": "Übung"}'.encode("latin-1"), "not valid JSON"),
        (b'{"a": {"b": 1, "b": 2}}', "'b' twice"),
        (b"{}", "not a record"),
        ({"metrics": []}, "'metrics' is of the wrong type"),
        ({"profile": 1}, "'profile' is of the wrong type"),
        ({"seconds": True}, "'seconds' is of the wrong type"),
        ({"seconds": -1}, "'seconds' is negative"),
        ({"metrics": {"loss": float("nan")}}, "it contains NaN"),
        (b"1e999", r"metrics\['accuracy'\]\[0\] is inf"),
        ({"extra": 1}, "its keys must be notebook, profile,"),
        ({"tables": []}, "'tables' must give each title"),
        ({"tables": {"t": {"rows": [], "x": []}}}, "'tables' must give each title"),
        ({"tables": {"t": {"headers": "a", "rows": []}}}, "'tables' must give each title"),
        ({"tables": {"t": {"headers": ["a"], "rows": [[1]]}}}, "'tables' must give each title"),
        ({"tables": {"t": {"headers": ["a"], "rows": [["1", "2"]]}}}, "'tables' must give each"),
        ({"notebook": "02_other"}, "is a record of '02_other'"),
    ],
)
def test_a_file_that_is_no_record_is_named_in_one_sentence(
    tmp_path: Path, content: bytes | dict[str, Any], reason: str
) -> None:
    file = tmp_path / "01_mnist_kd.json"
    if content == b"1e999":  # infinity in disguise
        content = json.dumps(write()).replace("0.9", "1e999").encode()
    text = content if isinstance(content, bytes) else json.dumps(write() | content).encode()
    file.write_bytes(text)
    with pytest.raises(CourseError, match=reason) as caught:
        records.load_records("01_mnist_kd", tmp_path)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


# -- what a record says ---------------------------------------------------------------------------

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
    assert records.provenance(RECORD) == (
        "mnist, 3 seeds, cpu, 2 threads, PyTorch 2.11.0, 21 minutes, 2026-01-31, "
        "commit 0123456789ab"
    )
    sparse = records.provenance(RECORD | {"environment": {"device": "cpu"}})
    assert sparse.endswith("PyTorch unknown, 21 minutes, no date, commit unknown")
    environment = RECORD["environment"] | {"commit": f"{COMMIT}-dirty"}
    short = records.provenance(RECORD | {"seconds": 52.4, "environment": environment})
    assert short.endswith(", 52 seconds, 2026-01-31, commit 0123456789ab with changes")


@pytest.mark.parametrize(
    ("commits", "told"),
    [
        ([], "commit 0123456789ab"),
        ([COMMIT], "commit 0123456789ab"),
        (["None"], "collected at commit 0123456789ab, trained at commit unknown"),
        (
            [f"{COMMIT[::-1]}-dirty"],
            "collected at commit 0123456789ab, trained at commit 76543210fedc with changes",
        ),
        ([COMMIT, "b"], "collected at commit 0123456789ab, trained at 2 commits"),
        (["a-dirty", "b"], "trained at 2 commits, some with changes"),
    ],
)
def test_provenance_of_a_joined_record_tells_of_its_parts(commits: list[str], told: str) -> None:
    parts = {"count": 49, "seconds": 6000.0, "commits": commits, "precisions": ["bf16", "fp32"]}
    joined = records.provenance(RECORD | {"metrics": {"parts": parts}})
    assert ", bf16 and fp32, 49 trainings, 100 minutes in all, 2026-01-31, " in joined
    assert joined.endswith(f", {told}")


def test_a_record_brings_its_tables() -> None:
    shown = {"Arms": {"headers": ["a", "b"], "rows": [["1", "2"]]}}
    record = RECORD | {"tables": shown}
    assert records.tables(record) == {"Arms": Table(["a", "b"], [["1", "2"]])}
    assert records.markdown(record).startswith("mnist, 3 seeds, cpu")
    assert "\n\n**Arms**\n\n| a | b |" in records.markdown(record)
    assert records.tables(RECORD) == {}


def test_the_runner_s_seconds_are_the_record_s(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write(path)
    run = {"notebook": "01_mnist_kd", "profile": "quick", "parameters": {}, "lesson": "d"}
    assert records.complete(path, run, 1234.567)["seconds"] == 1234.57
    assert records.read_record(path)["seconds"] == 1234.57


def test_a_copy_inside_some_other_repository_is_not_at_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", *command], check=True, cwd=tmp_path)
    (tmp_path / "copy").mkdir()
    monkeypatch.setattr(records, "carried", lambda: tmp_path / "copy")
    assert write()["environment"]["commit"] is None
