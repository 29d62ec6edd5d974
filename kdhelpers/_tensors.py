"""Checks of tensors and networks: every refusal is a `ValueError` of one sentence that names the
value and, where it is not plain, the remedy. A wrong type is a `ValueError` too.

Shapes and dtypes are always checked, they cost nothing; what PyTorch tells by itself (tensors on
two devices) is left to it. Values (the range of labels, a temperature held in a tensor, a result
that is no number) are read on the CPU only: on an accelerator reading one number would make every
training step wait for the device.
"""

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers._values import check_type, is_number, require, short_repr

LARGEST = 1e6  # of a loss and of what it is made from, before one is worth a look
COLDEST = 1e-6
# T² · KL is a small difference of large terms, and rounding puts it off by about eps · T². Measured
# in float32, logits of unit size: by 0.3 % at T = 300 (the gradient by 5e-5), by 5 % at T = 1000.
HOTTEST = {torch.float32: 300.0, torch.float64: 3e6}

SAMPLES, ROWS, MAPS = range(1, 64), (2,), (4,)  # how many dimensions tensors have
_CLASSES_LAST = "put the classes last and flatten: .movedim(1, -1).flatten(0, -2) for (B, C, H, W)"
_SHAPES: dict[Collection[int], str] = {
    SAMPLES: "(batch, …), a sample or more",
    ROWS: f"(batch, classes): {_CLASSES_LAST}",
    MAPS: "(batch, channels, height, width)",
}
SAME_CLASSES = "both need the same samples and classes"
_SOFTMAX = "1 is the plain softmax, and logit_mse the limit of large ones"
_ONE_CLASS = "its softmax is always 1; a sigmoid head z stands for the two logits [0, z]"
_ONE_LABEL = "give one class per image, its index: .long(), of one-hot rows .argmax(1)"
_PADDING = "build the network for all classes, or drop unlabelled rows (-100, 255) from all tensors"

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_network(model: object, *, name: str = "model") -> None:
    """A network with weights: those on PyTorch's "meta" device have none."""
    check_type(model, nn.Module, name=name)
    # Among the values of a quantised network are some that are no tensors.
    state = model.state_dict().values()  # type: ignore[attr-defined]
    meta = any(isinstance(value, Tensor) and value.is_meta for value in state)
    require(not meta, f"{name} is on the device meta, where weights have no values; move it.")
    lazy = any(map(nn.parameter.is_lazy, state))
    require(not lazy, f"{name} has lazy layers without a shape; show it a few images first.")


def check_samples(tensor: Tensor, *, name: str, dims: Collection[int] = SAMPLES) -> Tensor:
    """Floating-point numbers of so many dimensions, returned in at least float32."""
    check_type(tensor, Tensor, name=name)
    if tensor.dtype not in HOTTEST and not tensor.is_floating_point():
        raise ValueError(f"{name} must be floating point, but is {tensor.dtype}; use .float().")
    shape = tensor.shape
    if len(shape) not in dims or 0 in shape:
        raise ValueError(f"{name} must have the shape {_SHAPES[dims]}, but has {tuple(shape)}.")
    if dims is ROWS and shape[1] == 1:
        raise ValueError(f"{name} has 1 class; {_ONE_CLASS}.")
    return widened(tensor)


def check_pair(
    student: Tensor, teacher: Tensor, *, what: str = "features", least: int = 1,
    dims: Collection[int] = SAMPLES, remedy: str = "",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same samples along dimension 0, at least so many; of one shape where a remedy says how.

    Returns both in the student's dtype, at least float32, the teacher's detached.
    """
    student = check_samples(student, name=f"student_{what}", dims=dims)
    teacher = check_samples(teacher, name=f"teacher_{what}", dims=dims)
    own, other = student.shape, teacher.shape
    if own != other and (remedy or own[0] != other[0]):  # nothing is broadcast unseen
        shapes = f"{tuple(own)} differs from the teacher's {tuple(other)}"
        raise ValueError(f"the student's shape {shapes}; {remedy or 'give one batch'}.")
    if own[0] < least:
        raise ValueError(f"a batch of {own[0]} has nothing to compare; use at least {least}.")
    teacher = teacher.detach()
    return student, teacher if teacher.dtype is student.dtype else teacher.to(student.dtype)


def check_logits(
    student: Tensor, teacher: Tensor, temperature: object, *, least: int = 1
) -> tuple[Tensor, Tensor]:
    """`check_pair` for logits of one shape (B, C), and the temperature that divides them."""
    student, teacher = check_pair(
        student, teacher, what="logits", least=least, dims=ROWS, remedy=SAME_CLASSES
    )
    check_temperature(temperature, student.dtype)
    return student, teacher


def check_result(result: Tensor, *inputs: Tensor, what: str = "logits") -> Tensor:
    """A result made of numbers; else, on a CPU, what it is made from is looked through."""
    if _is_read(result) and not abs((result.sum() if result.dim() else result).item()) <= LARGEST:
        owners = ("the student's", "the teacher's") if len(inputs) == 2 else ("the",)
        for whose, tensor in zip(owners, inputs, strict=True):
            bad = int((~(tensor.abs() <= LARGEST)).sum())
            told = f"{bad} of {tensor.numel()} values that are NaN, infinite or beyond 1,000,000"
            require(not bad, f"{whose} {what} have {told}; look for a diverged model before.")
    return result


def check_temperature(value: object, dtype: torch.dtype = torch.float32) -> None:
    """A number, or a 0-d floating-point tensor, that rounding allows for logits of this dtype."""
    number = value
    if isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point():
        number = value.item() if _is_read(value) else 1.0  # the losses use the tensor itself
    if not is_number(number) or not COLDEST <= number <= HOTTEST[dtype]:
        wanted = f"a number from {COLDEST:g} to {HOTTEST[dtype]:g} in {dtype}"
        raise ValueError(f"temperature must be {wanted}, got {short_repr(number)}; {_SOFTMAX}.")


def check_labels(labels: Tensor, *, like: Tensor) -> Tensor:
    """One class index per row of the logits `like`, returned as int64."""
    check_type(labels, Tensor, name="labels")
    if labels.dtype not in _INTEGERS or labels.shape != like.shape[:1]:
        got = f"but are {labels.dtype} of the shape {tuple(labels.shape)}"
        raise ValueError(f"labels must be class indices ({len(like)},), {got}; {_ONE_LABEL}.")
    if _is_read(labels) and not 0 <= labels.min() <= labels.max() < like.shape[1]:
        reach = f"0..{like.shape[1] - 1}, but reach from {labels.min()} to {labels.max()}"
        raise ValueError(f"labels must lie in {reach}; {_PADDING}.")
    return labels.long()


def widened(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: half precision is for layers, not for sums of logarithms."""
    return tensor if tensor.dtype in HOTTEST else tensor.float()


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """With class indices, in at least float32, over all rows: PyTorch would leave those of the
    label -100, a common padding, out unseen. So they stop CUDA, too, where no label is read."""
    none = torch.iinfo(torch.int32).min  # leaves nothing out, also where a kernel keeps 32 bits
    return F.cross_entropy(
        widened(logits), labels, ignore_index=none, label_smoothing=label_smoothing
    )


def all_equal(values: Tensor, *, dim: int) -> Tensor:
    """Whether the numbers along a dimension, which stays, differ by no more than rounding."""
    low, high = torch.aminmax(values, dim=dim, keepdim=True)
    rounding = 4 * torch.finfo(values.dtype).eps
    return high - low <= rounding * torch.maximum(high.abs(), low.abs())


def _is_read(tensor: Tensor) -> bool:
    """Whether reading a value costs nothing."""
    return tensor.is_cpu


def version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; one made in inference mode does not count."""
    return 0 if tensor.is_inference() else tensor._version
