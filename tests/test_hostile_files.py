"""Files by an adversary: code in them does not run, and what is no file of ours is one sentence.

Checkpoints and data sets that carry a pickle, records and parameters of any shape, texts that want
to be code in a notebook or tags in the report.
"""

import ast
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_lesson
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from small_data import Small, same, split, weights
from sweep_lesson import Inline
from tiny_course import PARAMETERS, write_lesson

from kdhelpers import data
from kdhelpers.course import cli, records, report, run, sweep
from kdhelpers.course.records import CourseError
from kdhelpers.data.sources import DataError, downloaded
from kdhelpers.models import shipped as pretrained
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


def trained(epochs: int = 1, **settings: Any) -> tuple[Small, list[dict[str, float]]]:
    student = Small()
    arguments = dict(epochs=epochs, checkpoint="run.pt", device="cpu", progress=False)
    return student, fit(student, Supervised(), split(), **arguments | settings)


def saved() -> dict[str, Any]:
    """What a run of one epoch has left."""
    trained()
    return torch.load("run.pt", weights_only=True)


def changed(content: dict[str, Any], **parts: Any) -> Callable[[], None]:
    return lambda: torch.save(content | parts, "run.pt")


def in_a_zip(payload: bytes) -> None:
    with zipfile.ZipFile("run.pt", "w") as archive:
        archive.writestr("run/data.pkl", payload)
        archive.writestr("run/version", "3")


HOSTILE_CHECKPOINTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "instead of the state": lambda content: changed(content, state=Payload())(),
    "among the settings": lambda content: changed(content, settings={"lr": Payload()})(),
    "in the history": lambda content: changed(content, history=[Payload()])(),
    "in an array of objects": lambda content: changed(
        content, history=np.array([Payload()], dtype=object)
    )(),
    "alone": lambda content: torch.save(Payload(), "run.pt"),
    "in the old format": lambda content: torch.save(
        content | {"settings": Payload()}, "run.pt", _use_new_zipfile_serialization=False
    ),
    "as a bare pickle": lambda content: (
        Path("run.pt").write_bytes(pickle.dumps(Payload())) and None
    ),
    "in a zip file": lambda content: in_a_zip(pickle.dumps(Payload())),
}


@pytest.mark.parametrize("where", HOSTILE_CHECKPOINTS)
def test_code_in_a_checkpoint_is_refused_and_not_run(where: str) -> None:
    HOSTILE_CHECKPOINTS[where](saved())
    student = Small()
    before = weights(student)
    with pytest.raises(CheckpointError) as refused:
        fit(student, Supervised(), split(), epochs=2, checkpoint="run.pt", progress=False)
    assert_one_sentence(str(refused.value), "'run.pt' cannot be read as a checkpoint", "delete it")
    assert nothing_ran()
    assert same(before, weights(student))


STRANGE_CHECKPOINTS: dict[str, dict[str, Any]] = {
    "a tensor for a setting": {"settings": {"lr": torch.ones(3)}},
    "settings of another type": {"settings": [1, 2]},
    "settings with keys that are no text": {"settings": {1: 2, None: 3}},
    "settings nested deeply": {"settings": {"lr": [[[[{"a": float("nan")}]]]]}},
    "no history": {"history": None},
    "a history of texts": {"history": ["loss"]},
    "a history of lists": {"history": [[["loss", "0.5"]]]},
    "a history of tensors": {"history": [{"loss": torch.ones(2)}]},
    "a state of another type": {"state": 5},
    "a state without its parts": {"state": {}},
    "parts that are no state": {"state": {"student": 1, "objective": 2, "optimizer": 3}},
    "another version": {"format": "latest"},
}


@pytest.mark.parametrize("what", STRANGE_CHECKPOINTS)
def test_a_checkpoint_with_other_types_is_refused_and_changes_nothing(what: str) -> None:
    changed(saved(), **STRANGE_CHECKPOINTS[what])()
    student = Small()
    before = weights(student)
    with pytest.raises(CheckpointError) as refused:
        fit(student, Supervised(), split(), epochs=2, checkpoint="run.pt", progress=False)
    assert_one_sentence(str(refused.value), "'run.pt'")
    assert same(before, weights(student))


def test_a_state_that_fits_in_part_changes_nothing() -> None:
    """The student's own part is right, the optimiser's is not."""
    content = saved()
    changed(content, state=content["state"] | {"optimizer": {"param_groups": 1}})()
    student = Small()
    before = weights(student)
    with pytest.raises(CheckpointError, match="does not fit this run"):
        fit(student, Supervised(), split(), epochs=2, checkpoint="run.pt", progress=False)
    assert same(before, weights(student))


def test_code_in_the_shipped_weights_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    torch.save({"conv": Payload()}, tmp_path / "weights" / pretrained.FILE)
    monkeypatch.setattr(pretrained.resources, "files", lambda package: tmp_path)
    with pytest.raises(OSError, match="were altered; install again"):
        pretrained.teacher_for("photodigits")
    assert nothing_ran()


# -- data sets ------------------------------------------------------------------------------------


def old_format(path: Path) -> None:
    torch.save({"train_images": Payload()}, path, _use_new_zipfile_serialization=False)


def objects(path: Path, *names: str) -> None:
    arrays = {name: np.zeros(2, dtype=np.uint8) for name in
              ("train_images", "train_labels", "test_images", "test_labels")}  # fmt: skip
    np.savez(path, **arrays | {name: np.array([Payload()], dtype=object) for name in names})


HOSTILE_DATA: dict[str, tuple[str, Callable[[Path], None]]] = {
    "packed": ("mnist.pt", lambda path: torch.save({"train_images": Payload()}, path)),
    "packed in the old format": ("mnist.pt", old_format),
    "a bare pickle": ("mnist.pt", lambda path: path.write_bytes(pickle.dumps(Payload())) and None),
    "packed CIFAR-10": ("cifar10.pt", lambda path: torch.save([Payload()], path)),
    "images as objects": ("cifar10.npz", lambda path: objects(path, "train_images")),
    "the last labels as objects": ("cifar10.npz", lambda path: objects(path, "test_labels")),
    "a pickle called npz": (
        "cifar10.npz", lambda path: path.write_bytes(pickle.dumps(Payload())) and None
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_DATA)
def test_code_in_a_data_set_is_refused_and_not_run(what: str, tmp_path: Path) -> None:
    name, write = HOSTILE_DATA[what]
    write(tmp_path / name)
    with pytest.raises(DataError) as refused:
        downloaded(name.partition(".")[0], tmp_path)
    assert_one_sentence(str(refused.value), name, "is damaged: it cannot be read", "again")
    assert nothing_ran()


@pytest.mark.parametrize("content", [[1, 2], {"train_images": torch.ones(2)}, {}, 5, "text"])
def test_a_packed_file_of_other_types_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "mnist.pt")
    with pytest.raises(DataError) as refused:
        data.load("mnist", root=tmp_path)
    assert_one_sentence(str(refused.value), "mnist.pt' is damaged")


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


def nested(depth: int) -> str:
    return '{"a": ' * depth + "1" + "}" * depth


NOT_RECORDS: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[1, 2]",
    "a number": b"1e5",
    "endless digits": b'{"seconds": ' + b"9" * 5000 + b"}",
    "infinity": json.dumps(record(seconds=1)).replace("0.9", "1e400").encode(),
    "NaN": json.dumps(record(metrics={"a": float("nan")})).encode(),
    "beyond 64 bits": json.dumps(record(metrics={"a": 2**70})).encode(),
    "a key twice": json.dumps(record()).replace('"name"', '"seeds"').encode(),
    "a key twice, deep inside": json.dumps(record(metrics={"a": {"b": 1, "c": 2}}))
    .replace('"c"', '"b"')
    .encode(),
    "text for a mapping": json.dumps(record(parameters="seeds")).encode(),
    "a list for a mapping": json.dumps(record(metrics=[1])).encode(),
    "null for a name": json.dumps(record(notebook=None)).encode(),
    "true for a number": json.dumps(record(seconds=True)).encode(),
    "negative seconds": json.dumps(record(seconds=-1)).encode(),
    "half a letter": json.dumps(record(notebook="\udcff")).encode(),
    "nested deeply": json.dumps(record()).replace('"fine"', nested(5000)).encode(),
    "nested endlessly": b"[" * 200_000,
    "UTF-16": json.dumps(record()).encode("utf-16"),
    "a mark before UTF-8": b"\xef\xbb\xbf" + json.dumps(record()).encode(),
    "Latin-1": json.dumps(record(notebook="Übung"), ensure_ascii=False).encode("latin-1"),
    "code": b"__import__('os').mkdir('the code was run')",
    "a pickle": pickle.dumps(Payload()),
}


@pytest.mark.parametrize("what", NOT_RECORDS)
def test_what_is_no_record_is_one_sentence(what: str, root: Path, capsys: Any) -> None:
    folder = root / "results"
    folder.mkdir()
    file = folder / "01_first.json"
    file.write_bytes(NOT_RECORDS[what])
    with pytest.raises(CourseError) as refused:
        records.load_records("01_first", folder)
    assert_one_sentence(str(refused.value), str(file))
    assert cli.main(["report", str(folder)]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), "has no records")
    (folder / "good.json").write_text(json.dumps(record()))
    assert cli.main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Left out, for they are no readable records: 01_first.json" in page
    assert nothing_ran()


STRANGE_METRICS: dict[str, Any] = {
    "huge numbers": {"accuracy": [1e300, -1e300], "loss": [1e308, 1e308], "n": [2**63, -(2**63)]},
    "tiny numbers": {"accuracy": [5e-324, 0.0], "loss": {"1e-320": [1, 2], "0": [1, 2]}},
    "formulas": {r"$\frac{": [1, 2], "a$b$c\\foo{": {"$": [1, 2], "$$": [2, 3]}},
    "long names": {"x" * 100_000: [1, 2], "group": {"y" * 5000: [1, 2]}},
    "odd letters": {"\0": [1, 2], "\u202e": [1, 2], "a\nb": [1, 2], "": {"": [1, 2]}},
    "numbers for names": {"1": {"1": [1, 2], "2": [2, 3]}, "inf": {"inf": [1, 2], "nan": [1, 2]}},
    "mixed lists": {"a": [1, None], "b": [[1, 2], [3]], "c": [True, False], "d": ["x", "y"]},
    "empty": {"a": [], "b": {}, "c": "", "d": None},
    "deep": json.loads(nested(150)),
}


@pytest.mark.parametrize("what", STRANGE_METRICS)
def test_a_strange_record_is_shown(what: str, root: Path) -> None:
    (root / "runs").mkdir()
    (root / "runs" / "strange.json").write_text(json.dumps(record(metrics=STRANGE_METRICS[what])))
    (root / "runs" / "good.json").write_text(json.dumps(record()))
    assert cli.main(["report", "runs"]) == 0
    page = (root / "runs" / "report.html").read_text(encoding="utf-8")
    assert "Left out" not in page
    assert "01_first (strange.json)" in page


EVIL = "</td><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;{{ 7 * 7 }}{% raw %}"
OURS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "section", "p", "img",
        "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary",
        "pre"}  # fmt: skip


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_text_of_a_record_becomes_a_tag(root: Path) -> None:
    runs = root / "runs"
    runs.mkdir()
    evil = record(
        notebook=EVIL,
        profile=EVIL,
        parameters={"seeds": [0, 1], EVIL: EVIL, "list": [EVIL]},
        metrics={EVIL: [0.1, 0.2], "headline": EVIL, "group": {EVIL: {EVIL: [1, 2]}}, "t": EVIL},
        environment={"device": EVIL, "versions": {"torch": EVIL}, "commit": EVIL, "date": EVIL},
    )
    (runs / "<b onclick=alert(3)>.json").write_text(json.dumps(evil))
    (runs / "<i>left out.json").write_text("{}")
    plan = run.plan([sweep_lesson.write(root)])[0]
    points = sweep.expand(plan, {"mode": [EVIL, "b"], "seed": [0, 1]})
    swept = runs / "swept"
    swept.mkdir()
    sweep.write_list(swept, points)
    place = sweep._place(swept, points[0].folder)
    sweep_lesson.record(points[0].plan, str(place), plan.lesson.digest)
    sweep.write_failure(swept, points[1], EVIL)
    page = report.report(runs).read_text(encoding="utf-8")
    found = Tags(page)
    assert found.names <= OURS
    assert found.attributes <= {
        "lang",
        "charset",
        "name",
        "content",
        "scope",
        "class",
        "alt",
        "src",
    }
    assert found.text.count(EVIL) >= 12
    assert "<script" not in page
    assert "49" not in found.text.replace(EVIL, "").split()


# -- sweeps ---------------------------------------------------------------------------------------


def swept(root: Path) -> Path:
    """The folder of a sweep over two points, done."""
    sweep_lesson.write(root)
    result = sweep.sweep("05", {"temperature": [1, 4]}, executor=Inline(), progress=False)
    return result.folder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []

    def run_point(plan: run.Plan, folder: str, digest: str, *_: Any) -> None:
        seen.append(plan.values)
        sweep_lesson.record(plan, folder, digest)

    monkeypatch.setattr(sweep, "run_point", run_point)
    return seen


@pytest.mark.parametrize(
    "what", ["nothing", "a key twice", "nested endlessly", "UTF-16", "a pickle", "half a letter"]
)
def test_a_point_with_a_hostile_record_is_run_again(
    what: str, root: Path, ran: list[dict[str, Any]]
) -> None:
    folder = swept(root)
    assert len(ran) == 2
    file = next(folder.glob("points/*/05_tiny.json"))
    file.write_bytes(NOT_RECORDS[what])
    assert [row.status for row in sweep.rows(folder)].count("missing") == 1
    assert swept(root) == folder
    assert len(ran) == 3
    assert all(row.status == "ok" for row in sweep.rows(folder))


def a_list(**parts: Any) -> dict[str, Any]:
    point = {"folder": "p", "values": {"a": 1}, "parameters": {"a": 1}}
    return {"notebook": "05_tiny", "profile": "quick", "lesson": "d", "points": [point]} | parts


NOT_LISTS: dict[str, Any] = {
    "a list": [],
    "points of another type": a_list(points=5),
    "points that are no mappings": a_list(points=[1, "a", None]),
    "points that are empty": a_list(points=[{}]),
    "values of another type": a_list(points=[{"folder": "p", "values": 3, "parameters": {}}]),
    "parameters of another type": a_list(points=[{"folder": "p", "values": {}, "parameters": []}]),
    "a folder elsewhere": a_list(points=[{"folder": "../..", "values": {}, "parameters": {}}]),
    "a folder of the system": a_list(points=[{"folder": "/etc", "values": {}, "parameters": {}}]),
    "a folder with NUL": a_list(points=[{"folder": "a\0", "values": {}, "parameters": {}}]),
    "a folder that is a number": a_list(points=[{"folder": 1, "values": {}, "parameters": {}}]),
    "a notebook elsewhere": a_list(notebook="../../secret"),
    "a notebook that is no text": a_list(notebook=None),
    "a lesson that is no text": a_list(lesson=["d"]),
    "huge numbers": a_list(points=[{"folder": "p", "values": {"a": 2**80}, "parameters": {}}]),
}


@pytest.mark.parametrize("what", NOT_LISTS)
def test_a_hostile_list_of_points_is_one_sentence(what: str, root: Path, capsys: Any) -> None:
    (root / "runs").mkdir()
    (root / "runs" / "sweep.json").write_text(json.dumps(NOT_LISTS[what]))
    assert cli.main(["report", "runs"]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), "is not the list of a sweep's points")


def test_a_list_of_points_with_a_key_twice(root: Path, capsys: Any) -> None:
    (root / "runs").mkdir()
    text = json.dumps(a_list()).replace('"profile"', '"lesson"', 1)
    (root / "runs" / "sweep.json").write_text(text)
    assert cli.main(["report", "runs"]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), "the key 'lesson' twice")


# -- parameters in YAML ---------------------------------------------------------------------------

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
)
NOT_PARAMETERS: dict[str, tuple[bytes, str]] = {
    "code": (f"epochs: !!python/object/apply:os.mkdir ['{TRACE}']".encode(), "line 1"),
    "code in an object": (f"epochs: !!python/object/new:os.mkdir ['{TRACE}']".encode(), "line 1"),
    "a name of Python": (b"epochs: !!python/name:os.system", "line 1"),
    "a module of Python": (b"epochs: !!python/module:os", "line 1"),
    "a tag of one's own": (b"epochs: !mine 3", "line 1"),
    "a bomb of aliases": (BOMB.encode(), "aliases"),
    "an alias of itself": (b"epochs: &a [*a]", "aliases"),
    "a merge": (b"a: &a {b: 1}\nepochs:\n  <<: *a\n", "aliases"),
    "a key twice": (b"epochs: 1\nepochs: 2\n", "the key 'epochs' stands twice"),
    "a key twice inside": (b"weights: {a: 1, a: 2}", "the key 'a' stands twice"),
    "nested deeply": (b"seeds: " + b"[" * 3000 + b"]" * 3000, "nested too deeply"),
    "two documents": (b"epochs: 1\n---\nepochs: 2\n", "not valid YAML"),
    "an unknown version": (b"%YAML 9.9\n---\nepochs: 1\n", "not valid YAML"),
    "a list": (b"- epochs\n- 1\n", "must map parameter names to values"),
    "a text": (b"epochs", "must map parameter names to values"),
    "a number for a name": (b"1: 2", "must map parameter names to values"),
    "a list for a name": (b"? [a, b]\n: 1\n", "not valid YAML"),
    "NaN": (b"rate: .nan", "wants a finite number"),
    "infinity": (b"rate: -.inf", "wants a finite number"),
    "beyond 64 bits": (b"epochs: " + b"9" * 40, "wants a whole number"),
    "endless digits": (b"epochs: " + b"9" * 5000, "not valid YAML"),
    "hexadecimal digits without end": (b"epochs: 0x" + b"f" * 9000, "wants a whole number"),
    "a date": (b"epochs: 2024-01-01", "wants a whole number"),
    "bytes": (b"name: !!binary aGVsbG8=", "wants text"),
    "a set": (b"weights: !!set {a, b}", "wants a mapping"),
    "pairs": (b"seeds: !!pairs [a: 1]", "wants a list"),
    "null": (b"epochs: null", "wants a whole number"),
    "a mapping for a number": (b"epochs: {a: 1}", "wants a whole number"),
    "a list in a list": (b"seeds: [[0]]", "wants a list of whole numbers"),
    "keys that are no text": (b"weights: {1: 2}", "wants a mapping"),
    "UTF-16": ("epochs: 1".encode("utf-16"), "not UTF-8"),
    "Latin-1": ("name: Übung".encode("latin-1"), "not UTF-8"),
    "NUL": (b"epochs: \0", "not valid YAML"),
    "a pickle": (pickle.dumps(Payload()), "not"),
    "another name": (b"epoch: 1", "did you mean 'epochs'?"),
    "a name that is code": (b'"epochs = 1; import os": 1', "unknown parameter"),
    "the runner's own name": (b"record_file: /etc/passwd", "is set by the runner"),
}  # fmt: skip


@pytest.mark.parametrize("place", ["file", "profile"])
@pytest.mark.parametrize("what", NOT_PARAMETERS)
def test_hostile_parameters_are_one_sentence(
    what: str, place: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, reason = NOT_PARAMETERS[what]
    file = root / "notebooks" / "profiles" / "full" / "01_first.yaml"
    file.write_bytes(content)
    words = ["-f", str(file)] if place == "file" else ["--profile", "full"]
    assert cli.main(["run", "01", "--out", "runs", *words]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), reason)
    assert nothing_ran()
    assert not Path("runs").exists()


# -- a value in a notebook is no code -------------------------------------------------------------

INJECTIONS = (
    f'"; import os; os.mkdir("{TRACE}"); "',
    f"'; import os; os.mkdir('{TRACE}'); '",
    f'"""; import os; os.mkdir("{TRACE}"); """',
    f"\nimport os; os.mkdir('{TRACE}')\n",
    f"\r\nimport os; os.mkdir('{TRACE}')\r\n",
    f"\u2028import os\u2029os.mkdir('{TRACE}')",
    f"\\\"; import os; os.mkdir('{TRACE}') #",
    f"{{os.mkdir('{TRACE}')}}",
    f"%run x\n!mkdir '{TRACE}'\n%%bash\nmkdir '{TRACE}'",
    f"{TRACE}\\",
    "\\",
    "\0\x07\x1b[31m",
    "{0} {name} {{",
)


def injected(**parameters: Any) -> str:
    """The cell that papermill writes into the notebook for these parameters."""
    plan = run.plan(["01_first"], parameters=parameters)[0]
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


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_text_stays_a_text(text: str) -> None:
    given = {"name": text, "weights": {text: text, "list": [text]}}
    assert assignments(injected(**given)) == given


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
    text=st.text(st.characters(exclude_categories=["Cs"])),
    weights=st.dictionaries(st.text(), PLAIN, max_size=3),
    rate=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_value_stays_what_it_is(text: str, weights: dict[str, Any], rate: float) -> None:
    given = {"name": text, "weights": weights, "rate": rate}
    assert assignments(injected(**given)) == given


@pytest.mark.parametrize(
    "name",
    [
        "epochs = 1; import os",
        "epochs\nimport os",
        "__class__",
        "import",
        "",
        "epochs ",
        "os.system",
    ],
)
def test_a_name_that_the_lesson_does_not_have_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "01", "-p", name, "1"]) == 2
    assert_one_sentence(capsys.readouterr().err.strip(), "unknown parameter")


def test_a_kernel_runs_the_lesson_and_not_the_values(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    write_lesson(root, "01_first", parameters=PARAMETERS.replace("weights: dict", "weights: dict"))
    text = "\n".join(INJECTIONS).replace("\0", "")
    given = {"name": text, "weights": {text: [text]}, "verbose": True}
    out = root / "Läufe \"; import os; os.mkdir('x'); \""
    (outcome,) = run.run("01", parameters=given, out_dir=out, progress=False)
    assert outcome.failure is None
    assert outcome.record is not None
    assert outcome.record["parameters"]["name"] == text
    seen = ast.literal_eval(outcome.record["metrics"]["seen"])
    assert seen == [0.1, [0, 1], text, True, {text: [text]}]
    assert nothing_ran()
    assert not Path("x").exists()


def test_what_a_zip_of_a_checkpoint_claims_is_not_believed() -> None:
    """A member that is damaged is found by its checksum, before anything is read from it."""
    saved()
    content = bytearray(Path("run.pt").read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content[largest.header_offset + 200] ^= 0xFF
    Path("run.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        trained(epochs=2)
