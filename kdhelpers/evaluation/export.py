"""A network as one ONNX file that takes raw pixels, and the proof that it answers the same."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._files import file_at, write_bytes
from kdhelpers._tensors import check_network
from kdhelpers._values import check_type, require
from kdhelpers.data.split import Split
from kdhelpers.evaluation import evaluating, logits_of, precision_of, predict

TOLERANCE = 1e-4  # of the largest logit; other kernels sum in another order
COMPARED = 256  # images
EXTRA = "install the extra: python -m pip install --editable '.[deploy]' or 'FILE.whl[deploy]'"


class _FromPixels(nn.Module):
    """What goes into the file: from raw pixels to logits, with the split's normalisation."""

    def __init__(self, model: nn.Module, split: Split) -> None:
        super().__init__()
        self.model, self.split = model, split

    def forward(self, pixels: Tensor) -> Tensor:
        inputs = self.split.normalise(pixels).to(precision_of(self.model))
        return logits_of(self.model(inputs)).float()


def export_onnx(model: nn.Module, path: str | Path, split: Split) -> Path:
    """Write `model` to `path` as ONNX, and hold the file against it before it gets its name.

    The graph takes `pixels`, uint8 [B, C, H, W] with any B, normalises them as `split` does, and
    gives `logits`, float32 [B, classes]. The names of the classes are in the file's metadata, as
    JSON under `classes`. ONNX Runtime then answers up to 256 of the split's images, first one,
    then the others together.

    Args:
        split: images such as the network will get, with the mean and deviation that it was trained
            with; their values are not kept in the file.

    Returns:
        The path.

    Raises:
        ValueError: an answer is another one, or a logit differs by more than 1e-4 of the largest:
            no file is written. Also a network that cannot be exported, takes one batch size only,
            has other classes than the split or is not in float32, an empty split, or a folder.
        ImportError: the extra `deploy` is not installed.
    """
    check_network(model)
    check_type(split, Split, name="split")
    path = file_at(path, "student.onnx")
    remedy = "give a copy in float32: copy.deepcopy(network).float()"
    told = f"the network is in {precision_of(model)}; {remedy}."
    require(precision_of(model) is torch.float32, told)
    require(len(split), "the split is empty: there is nothing to compare the exported network by.")
    some = split.select(range(min(len(split), COMPARED)))
    wanted = predict(model, some).cpu()
    found, names = [*wanted.shape[1:]], len(split.classes)
    told = f"the network answers an image with logits {found}, but the split has {names} classes"
    require(not names or found == [names], f"{told}; give one that names them all.")
    content = _exported(_FromPixels(model, split), some)
    check_parity(wanted, answers(content, some.images.cpu()))
    write_bytes(path, content)
    return path


def check_parity(wanted: Tensor, got: Tensor) -> None:
    """That two networks give the same logits [N, C]: the same classes, and nearly the same numbers.

    Raises:
        ValueError: an answer is another one, or a logit differs by more than 1e-4 of the largest.
    """
    others = int((wanted.argmax(1) != got.argmax(1)).sum())
    off = float((wanted - got).abs().max() / wanted.abs().max().clamp(min=1e-30))
    # Written so that NaN is refused.
    if others or not off <= TOLERANCE:
        told = f"the exported network answers {others} of {len(wanted)} images otherwise, and a"
        told += f" logit differs by {off:.1e} of the largest (allowed: {TOLERANCE:.0e})"
        remedy = "Does it do in `forward` what depends on its mode, its batch or chance?"
        raise ValueError(f"{told}; nothing was written. {remedy}")


def answers(content: bytes, pixels: Tensor) -> Tensor:
    """The logits [N, C] that ONNX Runtime gives: for the first image alone, then for the others."""
    runtime = _deploying().InferenceSession(content, providers=["CPUExecutionProvider"])
    parts = [part for part in (pixels[:1], pixels[1:]) if len(part)]
    return torch.cat([torch.tensor(runtime.run(None, {"pixels": p.numpy()})[0]) for p in parts])


def _exported(served: _FromPixels, split: Split) -> bytes:
    _deploying()
    name = type(served.model).__name__
    device = next((p.device for p in served.model.parameters()), torch.device("cpu"))
    two = split.images.expand(2, -1, -1, -1) if len(split) == 1 else split.images[:2]
    with evaluating(served), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own inside
        try:
            program: Any = torch.onnx.export(
                served, (two.to(device),), dynamo=True, verbose=False,
                input_names=["pixels"], output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )  # fmt: skip
        except Exception as error:  # of many kinds, and long
            reason = (str(error.__cause__ or "") or str(error)).strip().partition("\n")[0][:200]
            raise ValueError(f"{name} cannot be exported to ONNX: {reason}.") from error
    program.model.metadata_props["classes"] = json.dumps(split.classes)
    proto = program.model_proto
    graph = proto.graph
    told = f"{name} fixes the batch in its forward (len(images) does)"
    free = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    require(free, f"{told}; use images.shape[0] or flatten(1).")
    for each in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del each.metadata_props[:]  # stack traces, with the folders of this machine
    content: bytes = proto.SerializeToString()
    return content


def _deploying() -> Any:
    """ONNX Runtime, if all that an export needs is there."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"kd.export_onnx needs {error.name}; {EXTRA}") from error
    return onnxruntime
