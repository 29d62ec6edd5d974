"""What all networks of the course share: they know the shape of their input and check it."""

from typing import Any

from torch import Tensor, nn

from kdhelpers._values import check_int, check_ints, check_number, is_int, require, short_repr

MOST_CHANNELS = 2**16
LARGEST_IMAGE = 1024  # pixels along a side
MOST_CLASSES = 100_000
WIDEST = 16.0


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
        check_int(in_channels, name="in_channels", least=1, most=MOST_CHANNELS)
        check_int(num_classes, name="num_classes", least=2, most=MOST_CLASSES)
        check_int(image_size, name="image_size", least=1, most=LARGEST_IMAGE)
        told = f"image_size must be a multiple of {multiple_of}, got {image_size}."
        require(image_size % multiple_of == 0, told)
        self.input_shape = (in_channels, image_size, image_size)
        self.num_classes = num_classes

    def __call__(self, inputs: Tensor) -> Any:
        """Raise ValueError unless `inputs` is [B, C, H, W] with the C, H, W of this network."""
        shape = tuple(getattr(inputs, "shape", ()))
        if shape[1:] != self.input_shape:
            takes = f"{type(self).__name__} takes images [B, {str(self.input_shape)[1:-1]}]"
            load = f"load the data with image_size={self.input_shape[-1]}"
            got = list(shape) or short_repr(inputs)
            raise ValueError(f"{takes}, got {got}; {load} or build the network for these images.")
        return super().__call__(inputs)


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, at least 1.

    Raises:
        ValueError: `width` is not a number above 0.
    """
    return max(1, round(channels * check_number(width, 1e-9, WIDEST, name="width")))


def units(values: Any, *, name: str, count: int) -> tuple[int, ...]:
    """So many sizes of layers, each a whole number from 1; else a ValueError."""
    return check_ints(values, name=name, count=count, most=MOST_CHANNELS)


def groups(values: Any, *, name: str) -> tuple[tuple[int, ...], ...]:
    """Sizes of layers, block by block: one or more, of a layer or more; else a ValueError."""
    listed = isinstance(values, list | tuple) and len(values) > 0
    listed = listed and all(isinstance(group, list | tuple) and group for group in values)
    sizes = [size for group in values for size in group] if listed else [0]
    fits = all(is_int(size) and 1 <= size <= MOST_CHANNELS for size in sizes)
    shown = "((16, 16), (32, 32)) has two of two layers"
    wanted = f"{name} must be one or more groups of channels of at least 1"
    require(fits, f"{wanted}, got {short_repr(values)}; {shown}.")
    return tuple(tuple(group) for group in values)
