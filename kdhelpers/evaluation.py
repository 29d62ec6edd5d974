"""How good, how sure and how big: what is measured on a finished network."""

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdhelpers import _validate
from kdhelpers._values import is_number, is_whole, told, whole, wholes
from kdhelpers.data import Split
from kdhelpers.prediction import ask, evaluating, predict

MOST_PIXELS = 2**28  # in what a network is measured with: a gibibyte
LONGEST = 60.0  # seconds of a measurement


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of rows of `logits` [N, C] whose largest entry stands at the label [N].

    Raises:
        ValueError: logits that are not finite floating-point numbers of this shape, or labels that
            are not whole numbers from 0 to C - 1, one for each row.
    """
    _check_rows(logits, labels)
    return (logits.argmax(1) == labels.to(logits.device)).double().mean().item()


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """The share of samples on which both networks [N, C] predict the same class, right or wrong.

    Raises:
        ValueError: logits of two shapes, or as for `accuracy`.
    """
    _validate.readable(student_logits, name="student_logits")
    _validate.readable(teacher_logits, name="teacher_logits")
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            "agreement needs logits of one shape, got "
            f"{list(student_logits.shape)} and {list(teacher_logits.shape)}."
        )
    if not torch.isfinite(teacher_logits).all():
        raise ValueError("the teacher's logits contain NaN or infinity.")
    if student_logits.ndim != 2 or not student_logits.numel() or teacher_logits.is_complex():
        raise ValueError(
            f"agreement needs real logits [N, C], got {teacher_logits.dtype} "
            f"{list(student_logits.shape)}."
        )
    return accuracy(student_logits, teacher_logits.float().argmax(1))


def calibration_error(logits: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, from 0 to 1.

    The mean over `bins` equal bins of confidence of |accuracy − confidence|, weighted by the
    samples in each (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599; 15 bins).

    Raises:
        ValueError: less than 1 or more than 10,000 bins, or as for `accuracy`.
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    _check_rows(logits, labels)
    bins = whole(bins, name="bins", least=1, most=10_000)
    # torchmetrics would put a confidence of exactly 1 into a bin of its own.
    probabilities = logits.float().softmax(1).clamp(max=1 - 2**-24)
    error = multiclass_calibration_error(
        probabilities, labels.to(logits.device), num_classes=logits.shape[1], n_bins=bins
    )
    return float(error)


class Size(NamedTuple):
    """Parameters, multiply-accumulates for one image, and mebibytes of its weights in float32."""

    parameters: int
    macs: int
    mebibytes: float


def size(model: nn.Module, input_shape: tuple[int, int, int]) -> Size:
    """The size of `model` for one image of `input_shape` (C, H, W), counted by torchinfo.

    Raises:
        ValueError: no network, or a shape that it does not take.
    """
    from torchinfo import summary

    input_shape = _shape(model, input_shape)
    device = _device(model)
    ask(model, torch.zeros(1, *input_shape, device=device))
    with evaluating(model):
        counted = summary(model, input_data=torch.zeros(1, *input_shape), verbose=0, device=device)
    return Size(counted.total_params, counted.total_mult_adds, counted.total_params * 4 / 2**20)


def latency(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch_size: int = 1,
    seconds: float = 0.2,
) -> float:
    """The median time in milliseconds of one forward pass, measured for about `seconds`.

    Uses torch.utils.benchmark, which warms up and waits for the device; one thread, so that
    networks of different size compare.

    Raises:
        ValueError: `batch_size` or `seconds` is not positive or `seconds` above 60, no network, or
            images that it does not take.
    """
    # On a machine with CUDA's compiler but no GPU, the import warns about what is not used here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    input_shape = _shape(model, input_shape)
    if not is_whole(batch_size) or not is_number(seconds) or batch_size < 1 or not seconds > 0:
        raise ValueError(
            "batch_size must be at least 1 and seconds above 0, got "
            f"{told(batch_size)} and {told(seconds)}."
        )
    if seconds > LONGEST or batch_size * math.prod(input_shape) > MOST_PIXELS:
        raise ValueError(
            f"batch_size or seconds is too large: {told(batch_size)} and {told(seconds)}; this "
            f"measures for at most {LONGEST:g} seconds."
        )
    own = torch.Generator().manual_seed(0)  # the global random state is left as it is
    inputs = torch.randn(batch_size, *input_shape, generator=own)
    inputs = inputs.to(_device(model))
    ask(model, inputs)
    with evaluating(model):
        timer = Timer("model(inputs)", globals={"model": model, "inputs": inputs}, num_threads=1)
        return float(timer.blocked_autorange(min_run_time=seconds).median * 1e3)


def evaluate(
    model: nn.Module, split: Split, *, teacher_logits: Tensor | None = None
) -> dict[str, float]:
    """`accuracy` and `calibration_error` of `model` on `split`, with its `agreement` if asked.

    Args:
        teacher_logits: the teacher's logits [N, C] on the same split, in its order.

    Raises:
        ValueError: as for `predict`, `accuracy` and `agreement`.
    """
    logits = predict(model, split)
    figures = {
        "accuracy": accuracy(logits, split.labels),
        "calibration_error": calibration_error(logits, split.labels),
    }
    if teacher_logits is not None:
        _validate.readable(teacher_logits, name="teacher_logits")
        figures["agreement"] = agreement(logits, teacher_logits.to(logits.device))
    return figures


def _shape(model: nn.Module, shape: Sequence[int]) -> tuple[int, int, int]:
    """The checked shape of an image for a checked network."""
    _validate.network(model)
    channels, height, width = wholes(shape, name="input_shape", count=3, most=2**16)
    if channels * height * width > MOST_PIXELS:
        raise ValueError(f"input_shape must be that of an image (C, H, W), got {told(shape)}.")
    return channels, height, width


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _check_rows(logits: Tensor, labels: Tensor) -> None:
    _validate.readable(logits, name="logits")
    _validate.readable(labels, name="labels")
    if not logits.is_floating_point():
        raise ValueError(
            f"logits must be floating point, got {logits.dtype}; convert with .float()."
        )
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"logits must be [N, C] with labels [N] and N at least 1, got {list(logits.shape)} "
            f"and {list(labels.shape)}."
        )
    if not torch.isfinite(logits).all():
        raise ValueError("logits contain NaN or infinity: the network has diverged.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}.")
    lowest, highest = (int(bound) for bound in torch.aminmax(labels))
    if lowest < 0 or highest >= logits.shape[1]:
        raise ValueError(
            f"labels must lie between 0 and {logits.shape[1] - 1}, got {lowest} to {highest}."
        )
