"""The course's data sets by their names, each with its three splits."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kdhelpers._random import generator
from kdhelpers._values import MOST, check_int, require, short_repr
from kdhelpers.data import photodigits
from kdhelpers.data.images import LARGEST_IMAGE, mean_std, resize
from kdhelpers.data.sources import Arrays, downloaded
from kdhelpers.data.split import Split

NAMES = ("digits", "photodigits", "mnist", "cifar10")
DIGITS = tuple("0123456789")
CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


class DataSet(NamedTuple):
    """A named data set with disjoint training, validation and test splits."""

    name: str
    train: Split
    validation: Split
    test: Split

    def with_std(self, std: tuple[float, ...]) -> "DataSet":
        """The same pictures, normalised with another standard deviation (one value a channel)."""
        return DataSet(self.name, *(replace(split, std=std) for split in self[1:]))


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
    known = isinstance(name, str) and name in NAMES
    require(known, f"unknown data set {short_repr(name)}; choose one of {', '.join(NAMES)}.")
    if image_size is not None:
        image_size = check_int(image_size, name="image_size", least=-MOST, most=LARGEST_IMAGE)
    if validation is not None:
        validation = check_int(validation, name="validation", least=-MOST)
    if name == "photodigits":
        return _photodigits(image_size, validation, seed)
    if name == "digits":
        arrays, held_out = _digits(28 if image_size is None else image_size, seed), 200
    else:
        arrays, held_out = downloaded(name, root), 5_000
    native = arrays.train_images.shape[-1]
    fits = name != "cifar10" or image_size in (None, native)
    require(fits, f"cifar10 cannot be had at {image_size} pixels, only at {native}.")
    size = native if image_size is None else image_size
    pixels, labels, test_pixels, test_labels = map(torch.from_numpy, arrays)
    images, labels = resize(pixels, size), labels.long()
    held_out = held_out if validation is None else validation
    most = len(images) - 1
    require(0 <= held_out <= most, f"validation must be between 0 and {most}, got {held_out}.")
    order = torch.randperm(len(images), generator=generator(seed))
    kept, aside = order[held_out:], order[:held_out]
    classes = CIFAR10_CLASSES if name == "cifar10" else DIGITS
    train = Split(images[kept], labels[kept], *mean_std(images[kept]), classes)
    test = replace(train, images=resize(test_pixels, size), labels=test_labels.long())
    return DataSet(name, train, replace(train, images=images[aside], labels=labels[aside]), test)


def _raw_digits(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits [N, 8, 8] (0..16), their labels, and which 597 are for test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=generator(seed)).numpy()
    return images.reshape(-1, 8, 8)[order].astype(np.uint8), labels[order], np.arange(597)


def _digits(size: int, seed: int) -> Arrays:
    require(size >= 8, f"image_size must be at least 8 for digits, got {size}.")
    images, labels, test = _raw_digits(seed)
    # 15 grey levels a step leaves whole numbers (16 × 15 = 240) and the rounding to `resize`.
    large = resize(torch.from_numpy(images * 15)[:, None], size).numpy()
    rest = slice(len(test), None)
    return Arrays(large[rest], labels[rest], large[test], labels[test])


def _photodigits(image_size: int | None, validation: int | None, seed: int) -> DataSet:
    own = "photodigits is 32 pixels wide with 1,000 validation pictures of its own"
    fits = image_size in (None, photodigits.SIZE) and validation is None
    require(fits, f"{own}; leave image_size and validation out.")
    digits, labels, test = _raw_digits(seed)
    # No handwritten digit serves two splits: 1,000 for training, 200 for validation, 597 for test.
    first, second = len(test), len(test) + 200
    parts = [(second, None, 4_000, "left"), (first, second, 1_000, "left")]
    parts += [(0, first, 2_000, "right")]
    made = [
        photodigits.compose(digits[a:b], labels[a:b], count, part=part, seed=3 * seed + number)
        for number, (a, b, count, part) in enumerate(parts)
    ]
    mean, std = mean_std(torch.from_numpy(made[0].images))
    splits = (
        Split(torch.from_numpy(images), torch.from_numpy(own.astype(np.int64)), mean, std, DIGITS)
        for images, own in made
    )
    return DataSet("photodigits", *splits)
