"""Files by an adversary: code in them does not run, and what is no file of ours is one sentence.

Checkpoints and data sets that carry a pickle, records and parameters of any shape, texts that want
to be code in a notebook or tags in the report.
"""

import ast
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from small_data import Small, same, split, weights
from tiny_course import write_lesson

from kdhelpers.course import cli, plans, records
from kdhelpers.data.sources import DataError, downloaded
from kdhelpers.objectives.objective import Supervised
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit

TRACE = "the code was run"


class Payload:
    """Unpickling this makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (TRACE,)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_lesson(tmp_path, "01_first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "_commit", lambda: None)
    return tmp_path


def assert_one_sentence(told: str, *parts: str) -> None:
    assert told
    assert "\n" not in told
    assert len(told) < 600
    for part in parts:
        assert part in told


def nothing_ran() -> bool:
    return not Path(TRACE).exists()


def test_the_payload_is_live() -> None:
    pickle.loads(pickle.dumps(Payload()))
    assert not nothing_ran()


# -- checkpoints and weights ----------------------------------------------------------------------


def trained(student: Small, epochs: int) -> None:
    fit(student, Supervised(), split(), epochs=epochs, checkpoint="run.pt", device="cpu",
        progress=False)  # fmt: skip


def damaged(content: dict[str, Any]) -> None:
    """A member whose checksum does not fit: found before anything is read from it."""
    whole = bytearray(Path("run.pt").read_bytes())
    with zipfile.ZipFile("run.pt") as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    whole[largest.header_offset + 200] ^= 0xFF
    Path("run.pt").write_bytes(whole)


def old_format(content: dict[str, Any]) -> None:
    hostile = content | {"settings": Payload()}
    torch.save(hostile, "run.pt", _use_new_zipfile_serialization=False)


def another_rate(content: dict[str, Any]) -> None:
    content["state"]["optimizer"]["param_groups"][0]["lr"] = "x"
    torch.save(content, "run.pt")


# What becomes of a checkpoint: other parts, or another file.
UNREADABLE: dict[str, Any] = {
    "code instead of the state": {"state": Payload()},
    "code in an array of objects": {"history": np.array([Payload()], dtype=object)},
    "code in the old format": old_format,
    "a bare pickle": lambda _: Path("run.pt").write_bytes(pickle.dumps(Payload())),
    "a damaged member": damaged,
    "another file of PyTorch's": lambda _: torch.save({"epoch": 3}, "run.pt"),
}
STRANGE: dict[str, Any] = {
    "a tensor for a setting": {"settings": {"lr": torch.ones(3)}},
    "settings with keys that are no text": {"settings": {1: 2, None: 3}},
    "a precision that is a list": {"settings": {"precision": ["bf16"]}},
    "no history": {"history": None},
    "a history of tensors": {"history": [{"epoch": 1, "loss": torch.ones(2)}]},
    "a history without its first epoch": {"history": [{"epoch": 2, "loss": 0.5}]},
    "a state without its parts": {"state": {}},
    "a state that fits in part": lambda content: torch.save(
        content | {"state": content["state"] | {"optimizer": {"param_groups": 1}}}, "run.pt"
    ),
    "a rate that is no number": another_rate,
    "another version": {"format": "latest"},
}


@pytest.mark.parametrize("what", [*UNREADABLE, *STRANGE])
def test_a_hostile_checkpoint_is_refused_is_not_run_and_changes_nothing(what: str) -> None:
    trained(Small(), epochs=1)
    content = torch.load("run.pt", weights_only=True)
    change = (UNREADABLE | STRANGE)[what]
    change(content) if callable(change) else torch.save(content | change, "run.pt")
    student = Small()
    before = weights(student)
    with pytest.raises(CheckpointError) as refused:
        trained(student, epochs=2)
    reason = ("cannot be read as a checkpoint", "move the file away") if what in UNREADABLE else ()
    assert_one_sentence(str(refused.value), "'run.pt'", "give another path", *reason)
    assert nothing_ran()
    assert same(before, weights(student))


# -- data sets ------------------------------------------------------------------------------------


def objects(path: Path, name: str) -> None:
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    arrays = {part: np.zeros(2, dtype=np.uint8) for part in parts}
    np.savez(path, **arrays | {name: np.array([Payload()], dtype=object)})


HOSTILE_DATA: dict[str, tuple[str, Callable[[Path], object]]] = {
    "packed": ("mnist.pt", lambda path: torch.save({"train_images": Payload()}, path)),
    "a bare pickle": ("mnist.pt", lambda path: path.write_bytes(pickle.dumps(Payload()))),
    "the last labels as objects": ("cifar10.npz", lambda path: objects(path, "test_labels")),
    "a pickle called npz": ("cifar10.npz", lambda path: path.write_bytes(pickle.dumps(Payload()))),
}


@pytest.mark.parametrize("what", HOSTILE_DATA)
def test_code_in_a_data_set_is_refused_and_not_run(what: str, tmp_path: Path) -> None:
    name, write = HOSTILE_DATA[what]
    write(tmp_path / name)
    with pytest.raises(DataError) as refused:
        downloaded(name.partition(".")[0], tmp_path)
    assert_one_sentence(str(refused.value), name, "is damaged: it cannot be read", "again")
    assert nothing_ran()


# -- records --------------------------------------------------------------------------------------


def record(**parts: Any) -> dict[str, Any]:
    return {
        "notebook": "01_first",
        "profile": "quick",
        "parameters": {"seeds": [0, 1], "name": "digits"},
        "metrics": {"accuracy": [0.8, 0.9], "headline": "fine"},
        "environment": {"device": "cpu", "versions": {"torch": "2"}, "commit": "abc"},
        "seconds": 1.0,
    } | parts


STRANGE_METRICS: dict[str, Any] = {
    "huge numbers": {"accuracy": [1e300, -1e300], "loss": [1e308, 1e308], "n": [2**63, -(2**63)]},
    "tiny numbers": {"accuracy": [5e-324, 0.0], "loss": {"1e-320": [1, 2], "0": [1, 2]}},
    "formulas": {r"$\frac{": [1, 2], "a$b$c\\foo{": {"$": [1, 2], "$$": [2, 3]}},
    "long names": {"x" * 100_000: [1, 2], "group": {"y" * 5000: [1, 2]}},
    "odd letters": {"\0": [1, 2], "\u202e": [1, 2], "a\nb": [1, 2], "": {"": [1, 2]}},
    "numbers for names": {"1": {"1": [1, 2], "2": [2, 3]}, "inf": {"inf": [1, 2], "nan": [1, 2]}},
    "mixed lists": {"a": [1, None], "b": [[1, 2], [3]], "c": [True, False], "d": ["x", "y"]},
    "empty": {"a": [], "b": {}, "c": "", "d": None},
    "deep": json.loads('{"a": ' * 150 + "1" + "}" * 150),
}


def test_strange_records_are_shown() -> None:
    Path("runs").mkdir()
    for name, metrics in STRANGE_METRICS.items():
        Path("runs", f"{name}.json").write_text(json.dumps(record(metrics=metrics)))
    assert cli.main(["report", "runs"]) == 0
    page = Path("runs", "report.html").read_text(encoding="utf-8")
    assert "Left out" not in page
    for name in STRANGE_METRICS:
        assert f"01_first ({name}.json)" in page


# -- sweeps ---------------------------------------------------------------------------------------


def a_list(**parts: Any) -> dict[str, Any]:
    point = {"folder": "p", "values": {"a": 1}, "parameters": {"a": 1}}
    return {"notebook": "05_tiny", "profile": "quick", "lesson": "d", "points": [point]} | parts


def of_point(**parts: Any) -> dict[str, Any]:
    return a_list(points=[{"folder": "p", "values": {}, "parameters": {}} | parts])


NOT_LISTS: dict[str, Any] = {
    "a list": [],
    "a mapping without keys": {},
    "points that are no mappings": a_list(points=[1, "a", None]),
    "values of another type": of_point(values=3),
    "parameters of another type": of_point(parameters=[]),
    "a folder elsewhere": of_point(folder=".."),
    "a folder of the system": of_point(folder="/etc"),
    "a folder with NUL": of_point(folder="a\0"),
    "a notebook elsewhere": a_list(notebook="../../secret"),
    "a lesson that is no text": a_list(lesson=["d"]),
    "huge numbers": of_point(values={"a": 2**80}),
}
TEXTS = {
    "nothing": ("", "is not valid JSON"),
    "a key twice": (json.dumps(a_list()).replace('"profile"', '"lesson"', 1), "'lesson' twice"),
}
TEXTS |= {w: (json.dumps(c), "is not the list of a sweep's points") for w, c in NOT_LISTS.items()}


@pytest.mark.parametrize("what", TEXTS)
def test_a_hostile_list_of_points_is_one_sentence(what: str, capsys: Any) -> None:
    text, reason = TEXTS[what]
    Path("runs").mkdir()
    Path("runs", "sweep.json").write_text(text)
    assert cli.main(["report", "runs"]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), reason)


# -- parameters in YAML ---------------------------------------------------------------------------

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
)
NOT_PARAMETERS: dict[str, tuple[bytes, str]] = {
    "code": (f"epochs: !!python/object/apply:os.mkdir ['{TRACE}']".encode(), "line 1"),
    "a name of Python": (b"epochs: !!python/name:os.system", "line 1"),
    "a bomb of aliases": (BOMB.encode(), "aliases"),
    "a key twice inside": (b"weights: {a: 1, a: 2}", "the key 'a' stands twice"),
    "nested deeply": (b"seeds: " + b"[" * 3000 + b"]" * 3000, "nested too deeply"),
    "two documents": (b"epochs: 1\n---\nepochs: 2\n", "not valid YAML"),
    "a text": (b"epochs", "must map parameter names to values"),
    "a number for a name": (b"1: 2", "must map parameter names to values"),
    "a list for a name": (b"? [a, b]\n: 1\n", "not valid YAML"),
    "endless digits": (b"epochs: " + b"9" * 5000, "not valid YAML"),
    "bytes": (b"name: !!binary aGVsbG8=", "wants text"),
    "Latin-1": ("name: Übung".encode("latin-1"), "not UTF-8"),
    "NUL": (b"epochs: \0", "not valid YAML"),
}


@pytest.mark.parametrize("what", NOT_PARAMETERS)
def test_hostile_parameters_are_one_sentence(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, reason = NOT_PARAMETERS[what]
    Path("mine.yaml").write_bytes(content)
    assert cli.main(["run", "01", "-f", "mine.yaml"]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), reason)
    assert nothing_ran()
    assert not Path("runs").exists()


# -- a value in a notebook is no code -------------------------------------------------------------

# What ends a text, goes on in a new line or is filled in, before something that would run.
BREAKS = st.sampled_from(
    ['"', "'", '"""', "\\", "\n", "\r\n", "\u2028", "\0", "\x1b", "{", "}", "%run ", "!", "#", "; "]
)
TEXTS_TO_RUN = st.lists(BREAKS | st.just(f"import os; os.mkdir('{TRACE}')")).map("".join)


def injected(**parameters: Any) -> str:
    """The cell that papermill writes into the notebook for these parameters."""
    plan = plans.plan(["01_first"], parameters=parameters)[0]
    notebook = parameterize_notebook(load_notebook_node(str(plan.lesson.path)), plan.values)
    tagged = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    return str(tagged[0].source)


def assignments(source: str) -> dict[str, Any]:
    """What the cell assigns; it may consist of nothing but literals with a name."""
    found = {}
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        found[target.id] = ast.literal_eval(statement.value)
    return found


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=TEXTS_TO_RUN | st.text(st.characters(exclude_categories=["Cs"])),
    weights=st.dictionaries(TEXTS_TO_RUN | st.text(), PLAIN, max_size=3),
    rate=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_value_stays_what_it_is(text: str, weights: dict[str, Any], rate: float) -> None:
    given = {"name": text, "weights": weights, "rate": rate}
    assert assignments(injected(**given)) == given
