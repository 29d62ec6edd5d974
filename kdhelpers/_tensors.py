"""Checks of tensors and networks: every refusal is a `ValueError` of one sentence that names the
value and, where it is not plain, the remedy. A wrong type is a `ValueError` too.

Shapes, dtypes and devices are always checked, they cost nothing. Values (NaN, infinity, the range
of labels, a temperature held in a tensor) are read on the CPU only: on an accelerator reading one
number would make every training step wait for the device.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._values import check_type, is_number, short_repr

LARGEST = 1e6  # of logits and features: their fourth powers, summed, are within float32
COLDEST = 1e-6
# T² · KL is a small difference of large terms, and rounding puts it off by about eps · T². Measured
# in float32, logits of unit size: by 0.3 % at T = 300 (the gradient by 5e-5), by 5 % at T = 1000.
HOTTEST = {torch.float32: 300.0, torch.float64: 3e6}

SAME_CLASSES = "both need the same classes"
_SOFTMAX = "1 is the plain softmax, and logit_mse the limit of large ones"
_CLASSES_LAST = "put the classes last and flatten: .movedim(1, -1).flatten(0, -2) for (B, C, H, W)"
_ONE_CLASS = "its softmax is always 1; a sigmoid head z stands for the two logits [0, z]"
_ONE_LABEL = "give one class per image, its index (of one-hot rows .argmax(1))"
_PADDING = "drop unlabelled rows (-100, 255) from all three tensors, or mind the number of classes"

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_dense(tensor: Any, *, name: str) -> None:
    """A tensor of the usual layout."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, but is a {type(tensor).__name__}.")
    if tensor.layout is not torch.strided:
        raise ValueError(f"{name} must be dense, but is {tensor.layout}; use .to_dense().")


def check_readable(tensor: Any, *, name: str) -> None:
    """A dense tensor whose values exist."""
    check_dense(tensor, name=name)
    if tensor.is_meta:
        raise ValueError(f"{name} is on the device meta, where tensors have no values; move it.")


def check_network(model: object, *, name: str = "model") -> None:
    """A network with weights: those on PyTorch's "meta" device have none."""
    check_type(model, nn.Module, name=name)
    # Among the values of a quantised network are some that are no tensors.
    state = model.state_dict().values()  # type: ignore[attr-defined]
    if any(isinstance(value, Tensor) and value.is_meta for value in state):
        raise ValueError(f"{name} is on the device meta, where weights have no values; move it.")
    if any(map(nn.parameter.is_lazy, state)):
        raise ValueError(f"{name} has lazy layers without a shape; show it a few images first.")


def check_device(value: Any, *, name: str = "device", meta: bool = False) -> torch.device:
    """The device of this machine that a value names; "meta", where nothing is, only if asked."""
    try:
        found = torch.empty(0, device=torch.device(value)).device
        assert meta or found.type != "meta"
    except Exception as error:  # it depends on the device what kind of error this is
        known = "must be a device of this machine, such as 'cpu' or 'cuda'"
        raise ValueError(f"{name} {known}, got {short_repr(value)}.") from error
    return found


def check_same_device(tensor: Tensor, like: Tensor, *, name: str) -> None:
    """Two tensors on one device; PyTorch moves a single number by itself."""
    if tensor.device != like.device and not (tensor.dim() == 0 and tensor.device.type == "cpu"):
        raise ValueError(f"{name} must be on {like.device}, but is on {tensor.device}; use .to().")


def check_samples(tensor: Tensor, *, name: str, read: bool = True) -> Tensor:
    """One sample or more of finite floating-point numbers, returned in at least float32."""
    check_dense(tensor, name=name)
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must be floating point, but is {tensor.dtype}; use .float().")
    if not tensor.dim() or not tensor.numel():
        raise ValueError(f"{name} must hold a sample or more, but has shape {tuple(tensor.shape)}.")
    tensor = widened(tensor)
    if read:
        check_values(tensor, name=name)
    return tensor


def check_values(tensor: Tensor, *, name: str) -> None:
    """No NaN, no infinity, nothing beyond 1e6, as far as reading a value costs nothing."""
    # The length of all values together bounds each, in half the time of looking for the extremes.
    if not _is_read(tensor) or torch.linalg.vector_norm(tensor.detach()).item() <= LARGEST:
        return
    bad, what = int((~tensor.isfinite()).sum()), "NaN or infinite values"
    if not bad:
        bad, what = int((tensor.abs() > LARGEST).sum()), f"values beyond {LARGEST:,.0f}"
    if bad:
        total = f"{bad} {what} of {tensor.numel()}"
        raise ValueError(f"{name} has {total}; look for a diverged model or an overflow before.")


def check_maps(tensor: Tensor, *, name: str) -> None:
    """The shape (B, channels, H, W)."""
    check_dense(tensor, name=name)
    if tensor.dim() != 4:
        shape = "(batch, channels, height, width)"
        raise ValueError(f"{name} must have the shape {shape}, but has {tuple(tensor.shape)}.")


def check_pair(
    student: Tensor, teacher: Tensor, *, what: str = "features", least: int = 1, read: bool = True,
    remedy: str = "", maps: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same samples along dimension 0, at least so many.

    Of one shape where a remedy says how; or both (B, channels, H, W). Returns both in the student's
    dtype, at least float32, the teacher's detached.
    """
    student = check_samples(student, name=f"student_{what}", read=read)
    teacher = check_samples(teacher, name=f"teacher_{what}", read=read)
    check_same_device(teacher, student, name=f"teacher_{what}")
    batch, others = len(student), len(teacher)
    if batch != others:
        raise ValueError(f"the student has {batch} samples, the teacher {others}; give one batch.")
    if batch < least:
        raise ValueError(f"a batch of {batch} has nothing to compare; use at least {least}.")
    if remedy and student.shape != teacher.shape:  # nothing is broadcast unseen
        shapes = f"{tuple(student.shape)} differs from the teacher's {tuple(teacher.shape)}"
        raise ValueError(f"the student's shape {shapes}; {remedy}.")
    if maps:
        check_maps(student, name=f"student_{what}")
        check_maps(teacher, name=f"teacher_{what}")
    return student, teacher.detach().to(student.dtype)


def check_logits(
    student: Tensor, teacher: Tensor, temperature: object, *, least: int = 1, read: bool = True
) -> tuple[Tensor, Tensor]:
    """`check_pair` for logits of one shape (B, C), and the temperature that divides them."""
    if read or not _are_plain(student, teacher, temperature):
        student, teacher = check_pair(
            student, teacher, what="logits", least=least, read=read, remedy=SAME_CLASSES
        )
        check_matrix(student, temperature, name="student_logits", read=False)
    return student, teacher.detach()


def _are_plain(student: Any, teacher: Any, temperature: Any) -> bool:
    """Whether there is nothing to say: on a CPU, where it counts in steps, in one expression."""
    return (
        isinstance(student, Tensor)
        and isinstance(teacher, Tensor)
        and student.dtype is teacher.dtype
        and student.dtype in HOTTEST
        and student.is_cpu
        and teacher.is_cpu
        and student.layout is teacher.layout is torch.strided
        and len(shape := student.shape) == 2
        and shape[0] > 0
        and shape[1] > 1
        and shape == teacher.shape
        and type(temperature) in (float, int)
        and COLDEST <= temperature <= HOTTEST[torch.float32]
    )


def check_matrix(
    logits: Tensor, temperature: object = 1.0, *, name: str = "logits", read: bool = True
) -> Tensor:
    """Logits (B, C) of two classes or more, in at least float32, and what they are divided by."""
    logits = check_samples(logits, name=name, read=read)
    if logits.dim() != 2:
        shape = f"(batch, classes), but has {tuple(logits.shape)}"
        raise ValueError(f"{name} must have the shape {shape}; {_CLASSES_LAST}.")
    if logits.shape[1] < 2:
        raise ValueError(f"{name} has 1 class; {_ONE_CLASS}.")
    check_temperature(temperature, like=logits)
    return logits


def check_loss(loss: Tensor, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """A loss that NaN or infinite logits cannot leave finite: they are read if it is strange."""
    if _is_read(loss) and not loss.item() <= LARGEST:
        check_values(student_logits, name="student_logits")
        check_values(teacher_logits, name="teacher_logits")
    return loss


def check_temperature(value: object, *, like: Tensor | None = None) -> None:
    """A number, or a 0-d floating-point tensor, that rounding allows for these logits."""
    dtype, number = torch.float32 if like is None else like.dtype, value
    if isinstance(value, Tensor):
        if value.dim() != 0 or not value.is_floating_point():
            told = f"{value.dtype} of shape {tuple(value.shape)}"
            raise ValueError(f"temperature must be 0-d and floating point, but is {told}.")
        if like is not None:
            check_same_device(value, like, name="temperature")
        number = value.item() if _is_read(value) else 1.0  # the losses use the tensor itself
    if not is_number(number) or not COLDEST <= number <= HOTTEST[dtype]:
        wanted = f"a number from {COLDEST:g} to {HOTTEST[dtype]:g} in {dtype}"
        raise ValueError(f"temperature must be {wanted}, got {short_repr(number)}; {_SOFTMAX}.")


def check_labels(labels: Tensor, *, like: Tensor) -> Tensor:
    """One class index per row of the logits `like`, returned as int64."""
    check_dense(labels, name="labels")
    if labels.shape != like.shape[:1]:
        shape = f"({len(like)},), but have {tuple(labels.shape)}"
        raise ValueError(f"labels must have the shape {shape}; {_ONE_LABEL}.")
    if labels.dtype not in _INTEGERS:
        raise ValueError(f"labels must be class indices, but are {labels.dtype}; use .long().")
    check_same_device(labels, like, name="labels")
    if _is_read(labels) and not 0 <= labels.min() <= labels.max() < like.shape[1]:
        reach = f"0..{like.shape[1] - 1}, but reach from {labels.min()} to {labels.max()}"
        padded = labels.min() < 0 or labels.max() >= max(255, like.shape[1])
        fewer = f"there are {like.shape[1]} logits a row, so build the network for all classes"
        raise ValueError(f"labels must lie in {reach}; {_PADDING if padded else fewer}.")
    return labels.long()


def widened(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: half precision is for layers, not for sums of logarithms."""
    return tensor if tensor.dtype in HOTTEST else tensor.float()


def _is_read(tensor: Tensor) -> bool:
    """Whether reading a value costs nothing."""
    return tensor.is_cpu
