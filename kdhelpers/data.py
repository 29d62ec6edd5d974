"""Data sets as tensors in memory, and the batches made from them.

`load` gives a data set with its three splits (module `split`); `batches` turns a split into
normalised batches (module `batching`). Both are imported from here.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdhelpers import _validate, photodigits
from kdhelpers._seeding import generator
from kdhelpers._values import MOST, is_whole, told, whole
from kdhelpers.batching import Batch, Views, batches, steps_per_epoch
from kdhelpers.sources import Arrays, DataError, data_root, downloaded
from kdhelpers.split import Split

__all__ = ["Batch", "DataError", "DataSet", "Split", "Views", "batches", "data_root", "load"]
__all__ += ["mean_std", "resize", "steps_per_epoch"]

NAMES = ("digits", "photodigits", "mnist", "cifar10")
DIGITS = tuple("0123456789")
CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
LARGEST_IMAGE = 512  # pixels along a side
CHUNK = 4096  # images enlarged at once


class DataSet(NamedTuple):
    """A named data set with disjoint training, validation and test splits."""

    name: str
    train: Split
    validation: Split
    test: Split


def load(
    name: str = "digits",
    *,
    root: str | Path | None = None,
    image_size: int | None = None,
    validation: int | None = None,
    seed: int = 0,
) -> DataSet:
    """A data set as uint8 tensors in memory, with splits fixed by `seed`.

    | name          | images    | train / validation / test | comes from                      |
    |---------------|-----------|---------------------------|---------------------------------|
    | `digits`      | 1×28×28   | 1,000 / 200 / 597         | scikit-learn, no network        |
    | `photodigits` | 3×32×32   | 4,000 / 1,000 / 2,000     | made from scikit-learn's images |
    | `mnist`       | 1×28×28   | 55,000 / 5,000 / 10,000   | data root, else downloaded once |
    | `cifar10`     | 3×32×32   | 45,000 / 5,000 / 10,000   | data root, else downloaded once |

    Args:
        root: the data root; default KDHELPERS_DATA, else `data/` (see `data_root`).
        image_size: enlarge `digits` or `mnist` to this many pixels a side (bilinear), 512 at most.
        validation: how many training samples to set aside for validation (0 keeps all in
            `train`; not for `photodigits`, whose validation pictures are made separately).
        seed: which samples go where (and, for `photodigits`, what the pictures look like).

    Raises:
        ValueError: an unknown name, an `image_size` or `validation` that cannot be had, or a seed
            that is no whole number from 0.
        DataError: the data are missing and cannot be downloaded, or a file is damaged.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"unknown data set {told(name)}; choose one of {', '.join(NAMES)}.")
    if image_size is not None:
        image_size = whole(image_size, name="image_size", least=-MOST, most=LARGEST_IMAGE)
    if validation is not None and not is_whole(validation):
        raise ValueError(f"validation must be a whole number, got {told(validation)}.")
    if name == "photodigits":
        return _photodigits(image_size, validation, seed)
    if name == "digits":
        size = 28 if image_size is None else image_size
        arrays, default_validation = _digits(size, seed), 200
    else:
        arrays, default_validation = downloaded(name, root), 5_000
    native = arrays.train_images.shape[-1]
    if name == "cifar10" and image_size not in (None, native):
        raise ValueError(f"cifar10 cannot be had at {image_size} pixels, only at {native}.")
    classes = CIFAR10_CLASSES if name == "cifar10" else DIGITS
    held_out = default_validation if validation is None else validation
    size = native if image_size is None else image_size
    return _three_splits(name, arrays, held_out, classes, size, seed)


def _three_splits(
    name: str, arrays: Arrays, held_out: int, classes: tuple[str, ...], size: int, seed: int
) -> DataSet:
    images, test_images = (
        resize(torch.from_numpy(pixels), size) for pixels in (arrays[0], arrays[2])
    )
    labels = torch.from_numpy(arrays.train_labels.astype(np.int64))
    test_labels = torch.from_numpy(arrays.test_labels.astype(np.int64))
    if not 0 <= held_out < len(images):
        raise ValueError(
            f"validation must be between 0 and {len(images) - 1}, got {told(held_out)}."
        )
    order = torch.randperm(len(images), generator=generator(seed))
    kept, aside = order[held_out:], order[:held_out]
    mean, std = mean_std(images[kept])
    train = Split(images[kept], labels[kept], mean, std, classes)
    return DataSet(
        name,
        train,
        replace(train, images=images[aside], labels=labels[aside]),
        replace(train, images=test_images, labels=test_labels),
    )


def _raw_digits(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits [N, 8, 8] (0..16), their labels, and which 597 are for test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=generator(seed)).numpy()
    return images.reshape(-1, 8, 8)[order].astype(np.uint8), labels[order], np.arange(597)


def _digits(size: int, seed: int) -> Arrays:
    if size < 8:
        raise ValueError(f"image_size must be at least 8 for digits, got {size}.")
    images, labels, test = _raw_digits(seed)
    # 15 grey levels a step leaves whole numbers (16 × 15 = 240) and the rounding to `resize`.
    large = resize(torch.from_numpy(images * 15)[:, None], size).numpy()
    rest = slice(len(test), None)
    return Arrays(large[rest], labels[rest], large[test], labels[test])


def _photodigits(image_size: int | None, validation: int | None, seed: int) -> DataSet:
    if image_size not in (None, photodigits.SIZE) or validation is not None:
        raise ValueError(
            "photodigits is 32 pixels wide with 1,000 validation pictures of its own; "
            "leave image_size and validation out."
        )
    digits, labels, test = _raw_digits(seed)
    # No handwritten digit serves two splits: 1,000 for training, 200 for validation, 597 for test.
    first, second = len(test), len(test) + 200
    made = [
        photodigits.compose(digits[a:b], labels[a:b], count, part=part, seed=3 * seed + number)
        for number, (a, b, count, part) in enumerate(
            [
                (second, None, 4_000, "left"),
                (first, second, 1_000, "left"),
                (0, first, 2_000, "right"),
            ]
        )
    ]
    mean, std = mean_std(torch.from_numpy(made[0].images))
    return DataSet(
        "photodigits",
        *(
            Split(
                torch.from_numpy(images),
                torch.from_numpy(labels.astype(np.int64)),
                mean,
                std,
                DIGITS,
            )
            for images, labels in made
        ),
    )


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
    _validate.readable(images, name="images")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.numel() == 0:
        raise ValueError(
            f"images must be uint8 [N, C, H, W] and not empty, got {images.dtype} "
            f"{list(images.shape)}."
        )
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
    _validate.readable(images, name="images")
    if images.dtype != torch.uint8:
        raise ValueError(f"images must be uint8, got {images.dtype}.")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(f"images must be [N, C, n, n] and not empty, got {list(images.shape)}.")
    size = whole(size, name="size", least=-MOST, most=LARGEST_IMAGE)
    old = images.shape[-1]
    if images.shape[-2] != old or size < old:
        raise ValueError(f"cannot enlarge {list(images.shape[-2:])} images to {size} pixels.")
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
