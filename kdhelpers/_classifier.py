"""What all networks of the course share: they know the shape of their input and check it."""

from torch import Tensor, nn


class Classifier(nn.Module):
    """Logits [B, num_classes] from images [B, in_channels, image_size, image_size].

    Raises:
        ValueError: fewer than 1 channel or 2 classes, or an image size that the network cannot
            halve as often as it pools (`multiple_of`).
    """

    def __init__(
        self, in_channels: int, image_size: int, num_classes: int, *, multiple_of: int = 1
    ) -> None:
        super().__init__()
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
        """Raise ValueError unless `inputs` is [B, C, H, W] with the C, H, W of this network."""
        if inputs.ndim != 4 or tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(
                f"{type(self).__name__} takes images [B, {', '.join(map(str, self.input_shape))}], "
                f"got {list(inputs.shape)}; load the data with "
                f"image_size={self.input_shape[-1]} or build the network for these images."
            )


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, at least 1.

    Raises:
        ValueError: `width` is not a number above 0.
    """
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 16:
        raise ValueError(f"width must be a number above 0 and at most 16, got {width!r}.")
    return max(1, round(channels * width))
