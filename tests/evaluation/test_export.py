"""A network as an ONNX file, held against the network by ONNX Runtime."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from small_data import Small, split
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers.evaluation.export import check_parity


def test_the_file_takes_pixels_in_any_number_and_answers_as_the_network(tmp_path: Path) -> None:
    """The images' normalisation is in the file, the classes' names too; modes are left alone."""
    model, images = Small().train(), split(9)
    path = kd.export_onnx(model, tmp_path / "new" / "small.onnx", images)
    assert model.norm.training
    runtime = onnxruntime.InferenceSession(path)
    (pixels,), wanted = runtime.get_inputs(), kd.predict(model, images)
    assert (pixels.name, pixels.type) == ("pixels", "tensor(uint8)")
    for count in (1, 2, 9):
        (logits,) = runtime.run(["logits"], {"pixels": images.images[:count].numpy()})
        torch.testing.assert_close(torch.tensor(logits), wanted[:count], atol=1e-5, rtol=1e-4)
    told = runtime.get_modelmeta().custom_metadata_map["classes"]
    assert json.loads(told) == list(images.classes)
    assert str(Path(__file__).parent).encode() not in path.read_bytes(), "a stack trace"
    assert str(Path(kd.__file__).parent).encode() not in path.read_bytes(), "a stack trace"


@pytest.mark.parametrize(
    ("logits", "words"),
    [
        ([[1.0, 3.0], [9.0, 1.0]], "answers 1 of 2 images otherwise"),
        ([[2.0, 1.0], [10.0 + 2e-3, 1.0]], "differs by 2.0e-04 of the largest"),
        ([[2.0, 1.0], [10.0, float("nan")]], "nan of the largest"),
        ([[2.0, 1.0], [float("nan"), 1.0]], "0 of 2 images otherwise, and a logit differs by nan"),
    ],
)
def test_another_answer_or_another_number_is_refused(logits: list[list[float]], words: str) -> None:
    wanted = torch.tensor([[2.0, 1.0], [10.0, 1.0]])
    check_parity(wanted, wanted + 9e-4)
    with pytest.raises(ValueError, match=words):
        check_parity(wanted, torch.tensor(logits))


class OfTheBatch(nn.Module):
    """Answers each image by the others that it comes with."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(64, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits = self.last(inputs.flatten(1))
        return logits - logits.mean(0)


def test_a_network_that_looks_at_its_batch_answers_otherwise_and_is_not_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "batch.onnx"
    path.write_text("from before")
    with pytest.raises(ValueError, match=r"nothing was written.*depends on its mode, its batch"):
        kd.export_onnx(OfTheBatch(), path, replace(split(9), classes=()))  # it has no names
    assert path.read_text() == "from before"
    assert [*tmp_path.iterdir()] == [path]


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(1, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.mean((2, 3))
        return self.last(x if float(x.sum()) > 0 else -x)


class Fixed(OfTheBatch):
    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(inputs.view(len(inputs), -1))


@pytest.mark.parametrize(
    ("model", "images", "words"),
    [
        (
            Branches(),
            split(4),
            "Branches cannot be exported to ONNX: Could not guard on data-dependent",
        ),
        (Fixed(), split(4), r"Fixed fixes .*\(len\(images\) does\); use images.shape\[0\] or"),
        (Small(4), split(4), r"answers an image with logits \[4\], but the split has 3 classes; "),
        (Small(), split(4).select([]), "the split is empty"),
        (Small(), "images", "split must be"),
        (Small().double(), split(4), r"in torch.float64; give a copy in float32: .*\.float\(\)"),
        (Small().half(), split(4), "in torch.float16; give a copy in float32"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    model: nn.Module, images: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        kd.export_onnx(model, tmp_path / "small.onnx", images)
    assert "\n" not in str(raised.value)
    for path in ("", tmp_path):
        with pytest.raises(ValueError, match="is no file; name one, such as"):
            kd.export_onnx(model, path, split(4))


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    told = r"kd.export_onnx needs onnxscript; install the extra: .*\.\[deploy\]"
    with pytest.raises(ImportError, match=told):
        kd.export_onnx(Small(), tmp_path / "never.onnx", split(9))
