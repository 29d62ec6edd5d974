"""What all networks of the course share: they know the shape of their input and check it."""

from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._values import MOST, check_int, check_ints, is_int, short_repr

MOST_CHANNELS = 2**16
LARGEST_IMAGE = 1024  # pixels along a side
MOST_CLASSES = 100_000


class Classifier(nn.Module):
    """Logits [B, num_classes] from images [B, in_channels, image_size, image_size].

    Raises:
        ValueError: fewer than 1 channel or 2 classes, or an image size that the network cannot
            halve as often as it pools (`multiple_of`); also what is no whole number or beyond
            65,536 channels, 100,000 classes or 1,024 pixels.
    """

    def __init__(
        self, in_channels: int, image_size: int, num_classes: int, *, multiple_of: int = 1
    ) -> None:
        super().__init__()
        check_int(in_channels, name="in_channels", least=-MOST, most=MOST_CHANNELS)
        check_int(num_classes, name="num_classes", least=-MOST, most=MOST_CLASSES)
        check_int(image_size, name="image_size", least=-MOST, most=LARGEST_IMAGE)
        if in_channels < 1 or num_classes < 2:
            raise ValueError(
                "in_channels must be at least 1 and num_classes at least 2, "
                f"got {in_channels} and {num_classes}."
            )
        if multiple_of > 1 and (image_size < multiple_of or image_size % multiple_of):
            raise ValueError(f"image_size must be a multiple of {multiple_of}, got {image_size}.")
        self.input_shape = (in_channels, image_size, image_size)
        self.num_classes = num_classes

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` is [B, C, H, W] with the C, H, W of this network.

        It must have the type and device of the weights, which is looked at where the type is not
        the usual one.
        """
        if not hasattr(type(inputs), "__torch_function__"):  # several networks' values have it, too
            raise ValueError(
                f"{type(self).__name__} takes a tensor of images, got {short_repr(inputs)}."
            )
        if inputs.ndim != 4 or tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(
                f"{type(self).__name__} takes images [B, {', '.join(map(str, self.input_shape))}], "
                f"got {list(inputs.shape)}; load the data with "
                f"image_size={self.input_shape[-1]} or build the network for these images."
            )
        if isinstance(inputs, Tensor) and (inputs.dtype != torch.float32 or inputs.is_meta):
            self._check_kind(inputs)

    def _check_kind(self, inputs: Tensor) -> None:
        weight = next(self.parameters())
        if inputs.device == weight.device and (
            inputs.dtype == weight.dtype
            or (inputs.is_floating_point() and torch.is_autocast_enabled(inputs.device.type))
        ):
            return
        raise ValueError(
            f"{type(self).__name__} is {weight.dtype} on {weight.device}, but the images are "
            f"{inputs.dtype} on {inputs.device}; convert them with .to()."
        )


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, at least 1.

    Raises:
        ValueError: `width` is not a number above 0.
    """
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 16:
        raise ValueError(f"width must be a number above 0 and at most 16, got {short_repr(width)}.")
    return max(1, round(channels * width))


def units(values: Any, *, name: str, count: int) -> tuple[int, ...]:
    """So many sizes of layers, each a whole number of at least 1.

    Raises:
        ValueError: anything else.
    """
    return check_ints(values, name=name, count=count, most=MOST_CHANNELS)


def groups(values: Any, *, name: str) -> tuple[tuple[int, ...], ...]:
    """Sizes of layers, block by block: one block or more, of one layer or more.

    Raises:
        ValueError: anything else.
    """
    listed = isinstance(values, list | tuple) and len(values) > 0
    if not listed or not all(isinstance(group, list | tuple) and group for group in values):
        sizes = [0]
    else:
        sizes = [size for group in values for size in group]
    if not all(is_int(size) and 1 <= size <= MOST_CHANNELS for size in sizes):
        raise ValueError(
            f"{name} must be one or more groups of channels of at least 1, got "
            f"{short_repr(values)}; "
            "((16, 16), (32, 32)) has two of two layers."
        )
    return tuple(tuple(group) for group in values)
