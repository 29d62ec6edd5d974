"""Input checks shared by the losses: every refusal is a `ValueError` of one sentence that names
the offending value and, where it is not plain, the remedy. A wrong type is a `ValueError` too.

Shapes, dtypes and devices are always checked, they cost nothing. Values (NaN, infinity, the range
of labels, the sign of a temperature held in a tensor) are read on the CPU only: on an accelerator
reading one number would make every training step wait for the device.

The limits keep every intermediate result of the losses within float32: values of up to 1e6 (their
fourth powers are summed), temperatures of 1e-6 to 1e9 and weights of up to 1e9.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._values import check_type, is_number, short_repr

LARGEST = 1e6  # of logits and features
COLDEST, HOTTEST = 1e-6, 1e9
HEAVIEST = 1e9

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def logits_pair(
    student_logits: Tensor, teacher_logits: Tensor, *, min_batch: int = 1, min_classes: int = 1
) -> tuple[Tensor, Tensor]:
    """`pair` for logits of one shape (B, C)."""
    student, teacher = pair(student_logits, teacher_logits, what="logits", min_batch=min_batch)
    matrix(student, name="student_logits", min_classes=min_classes)
    same_shape(student, teacher, remedy="both need the same classes")
    return student, teacher


def pair(
    student: Tensor, teacher: Tensor, *, what: str, min_batch: int = 1
) -> tuple[Tensor, Tensor]:
    """Check two tensors with the same samples along dimension 0.

    Returns both in the student's dtype, at least float32, the teacher's detached.
    """
    student = floating(student, name=f"student_{what}")
    teacher = floating(teacher, name=f"teacher_{what}")
    same_device(teacher, student, name=f"teacher_{what}")
    batch, teacher_batch = student.shape[0], teacher.shape[0]
    if batch != teacher_batch:
        raise ValueError(
            f"the student has {batch} samples and the teacher {teacher_batch}; "
            "give both the same batch."
        )
    if batch < min_batch:
        raise ValueError(
            f"a batch of {batch} is too small for a loss that compares samples; "
            f"use at least {min_batch}."
        )
    return student, teacher.detach().to(student.dtype)


def logits(tensor: Tensor, *, name: str, min_classes: int = 1) -> Tensor:
    """`floating` for logits (B, C)."""
    tensor = floating(tensor, name=name)
    matrix(tensor, name=name, min_classes=min_classes)
    return tensor


def floating(tensor: Tensor, *, name: str) -> Tensor:
    """Check that a tensor holds samples of finite floating-point numbers; widen it to float32."""
    samples(tensor, name=name)
    tensor = widened(tensor)
    if _readable(tensor):
        low, high = tensor.detach().aminmax()  # both NaN if any value is
        if not (low.item() >= -LARGEST and high.item() <= LARGEST):
            _refuse_values(tensor, name)
    return tensor


def samples(tensor: Any, *, name: str) -> None:
    """Check for a dense floating-point tensor with one sample or more."""
    dense(tensor, name=name)
    if not tensor.is_floating_point():
        raise ValueError(
            f"{name} must be floating point, but is {tensor.dtype}; convert it with .float()."
        )
    if tensor.dim() == 0 or tensor.numel() == 0:
        raise ValueError(
            f"{name} must hold at least one sample, but has the shape {tuple(tensor.shape)}."
        )


def _refuse_values(tensor: Tensor, name: str) -> None:
    bad, what = tensor.numel() - int(tensor.isfinite().sum()), "NaN or infinite values"
    if not bad:
        bad, what = int((tensor.abs() > LARGEST).sum()), f"values beyond {LARGEST:,.0f}"
    raise ValueError(
        f"{name} has {bad} {what} of {tensor.numel()}; look for a diverged model or an overflow "
        "before this loss."
    )


def dense(tensor: Any, *, name: str) -> None:
    """Check for a tensor of the usual layout."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, but is a {type(tensor).__name__}.")
    if tensor.layout is not torch.strided:
        raise ValueError(
            f"{name} must be a dense tensor, but is {tensor.layout}; convert it with .to_dense()."
        )


def same_device(tensor: Tensor, like: Tensor, *, name: str) -> None:
    """Check that two tensors lie on one device; PyTorch moves a single number by itself."""
    if tensor.device != like.device and not (tensor.dim() == 0 and tensor.device.type == "cpu"):
        raise ValueError(
            f"{name} must be on the student's device, {like.device}, but is on {tensor.device}; "
            "move it with .to()."
        )


def widened(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: half precision is for layers, not for sums of logarithms."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def matrix(tensor: Tensor, *, name: str, min_classes: int = 1) -> None:
    """Check the shape (B, C)."""
    if tensor.dim() != 2:
        raise ValueError(
            f"{name} must have the shape (batch, classes), but has {tuple(tensor.shape)}; "
            "reshape to one row per sample."
        )
    if tensor.shape[1] < min_classes:
        raise ValueError(
            f"{name} has {tensor.shape[1]} class; at least {min_classes} are needed here."
        )


def maps(tensor: Tensor, *, name: str) -> None:
    """Check the shape (B, channels, H, W)."""
    dense(tensor, name=name)
    if tensor.dim() != 4:
        raise ValueError(
            f"{name} must have the shape (batch, channels, height, width), but has "
            f"{tuple(tensor.shape)}; capture a convolutional layer."
        )


def same_shape(student: Tensor, teacher: Tensor, *, remedy: str) -> None:
    """Check that two shapes agree, so that nothing is broadcast unseen."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's shape {tuple(student.shape)} differs from the teacher's "
            f"{tuple(teacher.shape)}; {remedy}."
        )


def temperature(value: float | Tensor, *, like: Tensor | None = None) -> None:
    """Check for a number from 1e-6 to 1e9, or a 0-d floating-point tensor of such a value.

    `like` are the logits that it divides, with which it must share a device.
    """
    number: object = value
    if isinstance(value, Tensor):
        if value.dim() != 0 or not value.is_floating_point():
            raise ValueError(
                f"a temperature tensor must be 0-d and floating point, but is {value.dtype} of "
                f"shape {tuple(value.shape)}; select one element."
            )
        if like is not None:
            same_device(value, like, name="temperature")
        if not _readable(value):
            return
        number = value.item()  # for this check only: the losses use the tensor itself
    if not is_number(number) or not COLDEST <= number <= HOTTEST:
        wanted = "finite number above 0"
        if is_number(number) and 0 < number < math.inf:
            wanted = f"number from {COLDEST:g} to {HOTTEST:g}"
        raise ValueError(
            f"temperature must be a {wanted}, but is {short_repr(number)}; 1.0 is the plain "
            "softmax."
        )


def positive(value: float, *, name: str) -> None:
    """Check for a number above 0, at most 1e9."""
    if not is_number(value) or not 0.0 < value <= HEAVIEST:
        large = is_number(value) and HEAVIEST < value < math.inf
        most = f", at most {HEAVIEST:g}" if large else ""
        raise ValueError(
            f"{name} must be a finite number above 0{most}, but is {short_repr(value)}."
        )


def weight(value: float, *, name: str, upper: float = HEAVIEST) -> None:
    """Check for a number in [0, upper]."""
    if not is_number(value) or not 0.0 <= value <= upper:
        allowed = "finite and at least 0" if upper == HEAVIEST else f"in [0, {upper:g}]"
        if upper == HEAVIEST and is_number(value) and upper < value < math.inf:
            allowed = f"at least 0 and at most {upper:g}"
        raise ValueError(
            f"{name} must be a number that is {allowed}, but is {short_repr(value)}; 0 switches "
            "its "
            "term off."
        )


def labels(values: Tensor, *, like: Tensor) -> Tensor:
    """Check for one class index per row of the logits `like`; return them as int64."""
    if not isinstance(values, Tensor) or values.dtype not in _INTEGERS:
        kind = values.dtype if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise ValueError(
            f"labels must be a tensor of integer class indices, but is {kind}; convert it to "
            "torch.long."
        )
    same_device(values, like, name="labels")
    batch, classes = like.shape
    if values.shape != (batch,):
        raise ValueError(
            f"labels must have the shape ({batch},), but have {tuple(values.shape)}; "
            "give one class index per sample."
        )
    if _readable(values):
        low, high = (int(bound) for bound in values.aminmax())
        if low < 0 or high >= classes:
            raise ValueError(
                f"labels must lie in 0..{classes - 1}, but reach from {low} to {high}; compare "
                "them with the model's number of classes."
            )
    return values.long()


def _readable(tensor: Tensor) -> bool:
    """Whether reading a value costs nothing."""
    return tensor.device.type == "cpu"


def network(model: object, *, name: str = "model") -> None:
    """Check for a network with weights: those on PyTorch's "meta" device have none."""
    check_type(model, nn.Module, name=name)
    assert isinstance(model, nn.Module)
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ValueError(f"{name} is on the device meta, where weights have no values; move it.")


def device(value: Any, *, name: str = "device", meta: bool = False) -> torch.device:
    """The device of this machine that a value names; "meta", where nothing is, only if asked."""
    refusal = ValueError(
        f"{name} must be a device of this machine, such as 'cpu' or 'cuda', got "
        f"{short_repr(value)}."
    )
    try:
        found: torch.device = torch.device(value)
        torch.empty(0, device=found)
    except Exception as error:  # it depends on the device what kind of error this is
        raise refusal from error
    if found.type == "meta" and not meta:
        raise refusal
    return found


def readable(tensor: Any, *, name: str) -> None:
    """Check for a dense tensor whose values exist."""
    dense(tensor, name=name)
    if tensor.is_meta:
        raise ValueError(f"{name} is on the device meta, where tensors have no values; move it.")
