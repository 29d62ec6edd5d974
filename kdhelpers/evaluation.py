"""How good, how sure and how big: what is measured on a finished network."""

import logging
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdhelpers.data import Split
from kdhelpers.prediction import evaluating, predict


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of rows of `logits` [N, C] whose largest entry stands at the label [N]."""
    _check_rows(logits, labels)
    return (logits.argmax(1) == labels.to(logits.device)).double().mean().item()


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """The share of samples on which both networks [N, C] predict the same class, right or wrong."""
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            "agreement needs logits of one shape, got "
            f"{list(student_logits.shape)} and {list(teacher_logits.shape)}."
        )
    if not torch.isfinite(teacher_logits).all():
        raise ValueError("the teacher's logits contain NaN or infinity.")
    return accuracy(student_logits, teacher_logits.argmax(1))


def calibration_error(logits: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, from 0 to 1.

    The mean over `bins` equal bins of confidence of |accuracy − confidence|, weighted by the
    samples in each (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599; 15 bins).

    Raises:
        ValueError: shapes that do not fit, or fewer than one bin.
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    _check_rows(logits, labels)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
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
    """The size of `model` for one image of `input_shape` (C, H, W), counted by torchinfo."""
    from torchinfo import summary

    device = next(model.parameters()).device
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
        ValueError: `batch_size` or `seconds` is not positive.
    """
    # On a machine with CUDA's compiler but no GPU, the import warns about what is not used here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    if batch_size < 1 or not seconds > 0:
        raise ValueError(
            f"batch_size must be at least 1 and seconds above 0, got {batch_size} and {seconds}."
        )
    own = torch.Generator().manual_seed(0)  # the global random state is left as it is
    inputs = torch.randn(batch_size, *input_shape, generator=own)
    inputs = inputs.to(next(model.parameters()).device)
    with evaluating(model):
        timer = Timer("model(inputs)", globals={"model": model, "inputs": inputs}, num_threads=1)
        return float(timer.blocked_autorange(min_run_time=seconds).median * 1e3)


def evaluate(
    model: nn.Module, split: Split, *, teacher_logits: Tensor | None = None
) -> dict[str, float]:
    """`accuracy` and `calibration_error` of `model` on `split`, with its `agreement` if asked.

    Args:
        teacher_logits: the teacher's logits [N, C] on the same split, in its order.
    """
    logits = predict(model, split)
    figures = {
        "accuracy": accuracy(logits, split.labels),
        "calibration_error": calibration_error(logits, split.labels),
    }
    if teacher_logits is not None:
        figures["agreement"] = agreement(logits, teacher_logits.to(logits.device))
    return figures


def _check_rows(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"logits must be [N, C] with labels [N] and N at least 1, got {list(logits.shape)} "
            f"and {list(labels.shape)}."
        )
    if not torch.isfinite(logits).all():
        raise ValueError("logits contain NaN or infinity: the network has diverged.")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}.")
    lowest, highest = (int(bound) for bound in torch.aminmax(labels))
    if lowest < 0 or highest >= logits.shape[1]:
        raise ValueError(
            f"labels must lie between 0 and {logits.shape[1] - 1}, got {lowest} to {highest}."
        )
