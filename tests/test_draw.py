"""The page that one draws on, without a browser: its pictures, its networks, its numbers.

`tools/draw_in_chromium.js` draws on the page itself.
"""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kdhelpers as kd
from tools.runtime import FILES, NAME, VERSION, runtime

FOLDER = Path(__file__).parent.parent / "docs" / "draw"
TOLD = json.loads((FOLDER / "models.json").read_text(encoding="utf-8"))
ROLES = ["teacher", "student"]


def javascript(expression: str) -> Any:
    """The value of an expression of the page's own functions, as Node.js computes it."""
    if not (node := shutil.which("node")):
        pytest.skip("needs Node.js")
    names = "{ picture, softened } = require('./mnist.js'), { DIGITS, strokesOf }"
    code = f"const {names} = require('./digits.js'); console.log(JSON.stringify({expression}))"
    done = subprocess.run([node, "-e", code], cwd=FOLDER, capture_output=True, check=True)
    return json.loads(done.stdout)


def picture(strokes: list[list[tuple[float, float]]]) -> np.ndarray:
    values = javascript(f"Array.from(picture({json.dumps(strokes)}))")
    return np.array(values).reshape(28, 28)


@pytest.fixture(scope="module")
def digits() -> dict[str, np.ndarray]:
    drawn = "Object.entries(DIGITS).map(([k, v]) => [k, Array.from(picture(strokesOf(v)))])"
    return {k: np.array(v, dtype=np.uint8).reshape(1, 1, 28, 28) for k, v in javascript(drawn)}


# -- pictures -------------------------------------------------------------------------------------

ROOF = [[(10.0, 90.0), (40.0, 10.0)], [(40.0, 10.0), (50.0, 60.0), (30.0, 60.0)]]


def test_a_digit_fits_a_box_of_20_pixels_and_its_mass_is_in_the_middle(digits: Any) -> None:
    for drawn in digits.values():
        ink = drawn[0, 0] / 255
        rows, columns = (np.flatnonzero(ink.sum(axis)) for axis in (1, 0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        for axis in (0, 1):
            middle = (ink.sum(axis) * np.arange(28)).sum() / ink.sum()
            assert middle == pytest.approx(14, abs=0.1)  # MNIST's mean is 14.0
        assert ink.max() == 1
        assert 0.05 < ink.mean() < 0.16  # MNIST's is 0.13, a plain 1 has less


def test_place_and_size_do_not_matter() -> None:
    small = [[(60 + x / 4, 5 + y / 4) for x, y in stroke] for stroke in ROOF]
    np.testing.assert_allclose(picture(ROOF), picture(small), atol=1)


def test_right_is_right_and_up_is_up() -> None:
    ink = picture([[(0, 0), (80, 0)], [(0, 0), (0, 40)]])  # a corner, up and to the left
    assert ink[13, 22] > 0
    assert ink[19, 9] > 0
    assert ink[19, 22] == 0


def test_a_dot_stays_small_and_nothing_is_no_picture() -> None:
    assert (picture([[(3, 90)]]) > 0).sum() <= 16
    assert javascript("[picture([]), picture([[]])]") == [None, None]


def test_what_is_softened_is_the_softmax_at_that_temperature() -> None:
    logits = [900.0, 880.0, -3.0]
    wanted = torch.softmax(torch.tensor(logits, dtype=torch.float64) / 20, 0)
    assert javascript(f"softened({logits}, 20)") == pytest.approx(wanted.tolist())


# -- networks -------------------------------------------------------------------------------------


def test_the_files_are_those_told_of_and_small() -> None:
    contents = {role: (FOLDER / f"{role}.onnx").read_bytes() for role in ROLES}
    for role, content in contents.items():
        assert hashlib.sha256(content).hexdigest() == TOLD[role]["sha256"]
    assert sum(map(len, contents.values())) <= 2e6


def test_the_page_tells_what_was_measured() -> None:
    page = (FOLDER.parent / "draw.md").read_text(encoding="utf-8")
    for role in ROLES:
        told, size = TOLD[role], (FOLDER / f"{role}.onnx").stat().st_size
        row = f"| {role} | {told['parameters']:,} | {size / 1e3:,.0f} kB | {told['accuracy']:.2%} |"
        assert row.replace("%", " %") in page


@pytest.mark.parametrize("role", ROLES)
def test_a_network_knows_the_drawn_digits_and_answers_as_in_pytorch(role: str, digits: Any) -> None:
    onnx, onnxruntime = (pytest.importorskip(name) for name in ("onnx", "onnxruntime"))
    path = FOLDER / f"{role}.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels = np.concatenate(list(digits.values()))
    (got,) = session.run(None, {"pixels": pixels})
    for name, answer in zip(digits, got.argmax(1), strict=True):
        assert str(answer) in name

    network = kd.build(TOLD[role]["network"])
    stored = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
    weights = {name: torch.tensor(stored[f"model.{name}"]) for name in network.state_dict()}
    network.load_state_dict(weights)
    (mean,), (std,) = TOLD["normalisation"]["mean"], TOLD["normalisation"]["std"]
    with torch.no_grad():
        wanted = network.eval()((torch.tensor(pixels) / 255 - mean) / std)
    np.testing.assert_allclose(got, wanted, atol=1e-4 * wanted.abs().max().item())


# -- what the site brings -------------------------------------------------------------------------


def test_the_site_brings_runtime_and_networks_in_one_script(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / f"{NAME}-{VERSION}.tgz", "w:gz") as package:
        for name in ("ort.wasm.min.js", *FILES.values()):
            told = tarfile.TarInfo(f"package/dist/{name}")
            told.size = len(name)
            package.addfile(told, io.BytesIO(name.encode()))
    first, _, rest = runtime(FOLDER, tmp_path).partition("\nglobalThis.RUNTIME = ")
    parts = {k: base64.b64decode(v) for k, v in json.loads(rest.rstrip(";\n")).items()}
    assert first == "ort.wasm.min.js"
    assert parts.keys() == FILES.keys() | set(ROLES)
    assert parts["wasm"] == FILES["wasm"].encode()
    assert parts["student"] == (FOLDER / "student.onnx").read_bytes()


def test_without_npm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="there is no npm"):
        runtime(FOLDER, tmp_path)
