"""What is done to images before there is a split: their statistics, and enlarging them."""

import math

import torch
from torch import Tensor

from kdhelpers._values import MOST, check_int, require

LARGEST_IMAGE = 512  # pixels along a side
CHUNK = 4096  # images enlarged at once


def mean_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation of each channel over all pixels of all images.

    Args:
        images: uint8 [N, C, H, W].

    Returns:
        Two tuples of C values, pixels scaled to 0..1. This is the deviation of the data set
        (all pixels pooled), not the mean of the deviations of single images, which is smaller.

    Raises:
        ValueError: `images` is empty or not uint8 [N, C, H, W].
    """
    _check_images(images)
    means, deviations = [], []
    for channel in images.unbind(1):
        # Whole numbers up to the last division: no machine can round differently.
        counts = torch.bincount(channel.flatten(), minlength=256).tolist()
        pixels, total = channel.numel(), sum(grey * n for grey, n in enumerate(counts))
        squares = sum(grey * grey * n for grey, n in enumerate(counts))
        means.append(total / (255 * pixels))
        deviations.append(math.sqrt(pixels * squares - total * total) / (255 * pixels))
    return tuple(means), tuple(deviations)


def resize(images: Tensor, size: int) -> Tensor:
    """Enlarge uint8 images [N, C, n, n] to [N, C, size, size], bilinear, the same bits everywhere.

    The interpolation weights are whole numbers over (2·size)², so float64 holds every
    intermediate value exactly and no machine can round differently.

    Raises:
        ValueError: the images are not uint8, not square, or larger than `size`, or `size` is no
            whole number up to 512.
    """
    _check_images(images)
    size, old = check_int(size, name="size", least=-MOST, most=LARGEST_IMAGE), images.shape[-1]
    told = f"cannot enlarge {list(images.shape[-2:])} images to {size} pixels."
    require(images.shape[-2] == old <= size, told)
    if size == old:
        return images
    weights = torch.zeros(size, old, dtype=torch.float64)
    for target in range(size):
        position = min(max((2 * target + 1) * old - size, 0), 2 * size * (old - 1))
        low, beyond = divmod(position, 2 * size)
        weights[target, low] += 2 * size - beyond
        weights[target, min(low + 1, old - 1)] += beyond
    large = [weights @ chunk.double() @ weights.T for chunk in images.split(CHUNK)]
    total = float((2 * size) ** 2)
    return torch.cat([((2 * part + total) / (2 * total)).floor().to(torch.uint8) for part in large])


def _check_images(images: Tensor) -> None:
    fits = isinstance(images, Tensor) and images.dtype == torch.uint8
    fits = fits and images.ndim == 4 and images.numel() > 0
    got = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images)
    require(fits, f"images must be uint8 [N, C, H, W] and not empty, got {got}.")
