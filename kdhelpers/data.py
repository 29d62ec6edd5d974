"""Data sets as tensors in memory, and the batches made from them.

`load` gives a data set with its three splits; `batches` turns a split into normalised batches
that know the index and the augmentation view of every sample, so that whatever a teacher said
about a sample can be looked up without ever being misaligned by shuffling.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers import _validate, photodigits
from kdhelpers._values import MOST, instance, is_number, is_whole, told, whole
from kdhelpers.sources import Arrays, DataError, data_root, downloaded

__all__ = ["Batch", "DataError", "DataSet", "Split", "Views", "batches", "data_root", "load"]
__all__ += ["mean_std", "resize", "steps_per_epoch"]

NAMES = ("digits", "photodigits", "mnist", "cifar10")
DIGITS = tuple("0123456789")
CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
LARGEST_IMAGE = 512  # pixels along a side
LARGEST_SHIFT = 64
LARGEST_MEAN = 1e6
CHUNK = 4096  # samples gathered and normalised at once: fewer, larger operations per epoch


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 [N, C, H, W] with labels int64 [N], and how their pixels are normalised.

    `mean` and `std` (one value a channel, pixels scaled to 0..1) come from the training images,
    also in the validation and test splits. `classes` names the labels.

    Raises:
        ValueError: other tensors, images and labels that differ in number or device, or a mean
            and deviation that are no finite numbers.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        _validate.dense(self.images, name="images")
        _validate.dense(self.labels, name="labels")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images must be uint8 [N, C, H, W], got {self.images.dtype} "
                f"{list(self.images.shape)}; multiply values in 0..1 by 255 and round."
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 [{len(self.images)}], one for each image, got "
                f"{self.labels.dtype} {list(self.labels.shape)}."
            )
        _validate.same_device(self.labels, self.images, name="labels")
        for name, values, right in (
            ("mean", self.mean, lambda value: is_number(value) and abs(value) <= LARGEST_MEAN),
            ("std", self.std, lambda value: is_number(value) and 0 <= value <= LARGEST_MEAN),
            ("classes", self.classes, lambda value: isinstance(value, str)),
        ):
            if not isinstance(values, tuple | list) or not all(map(right, values)):
                what = "names" if name == "classes" else "finite numbers, one a channel"
                raise ValueError(f"{name} must be {what}, got {told(values)}.")

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> "Split":
        """The same split with its tensors on `device`.

        Raises:
            ValueError: this machine has no such device.
        """
        device = _validate.device(device, meta=True)
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def take(self, count: int, *, seed: int = 0) -> "Split":
        """`count` samples, as evenly over the classes as they come; `take(50)` lies in `take(100)`.

        Raises:
            ValueError: `count` is not between 1 and the size of the split, or `seed` is no whole
                number from 0.
        """
        if not is_whole(count) or not 1 <= count <= len(self):
            raise ValueError(f"count must be between 1 and {len(self)}, got {told(count)}.")
        _validate.readable(self.labels, name="labels")
        order = torch.randperm(len(self), generator=_generator(seed))
        shuffled = self.labels.cpu()[order]
        rank = torch.zeros_like(shuffled)  # how many of its class came before it
        for label in range(len(self.classes)):
            members = shuffled == label
            rank[members] = torch.arange(int(members.sum()))
        chosen = order[torch.argsort(rank, stable=True)[:count]].to(self.images.device)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images [B, C, H, W] as float32, each channel with mean 0 and deviation 1.

        Raises:
            ValueError: no tensor of this shape, or with other channels than the split.
        """
        _validate.dense(images, name="images")
        counts = {len(self.mean), len(self.std), images.shape[1] if images.ndim == 4 else 0}
        if images.ndim != 4 or len(counts) > 1 or images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 [B, {len(self.std)}, H, W], got {images.dtype} "
                f"{list(images.shape)}."
            )
        deviation = [std or 1.0 for std in self.std]  # a channel of one value only becomes 0
        scale = [1.0 / (255.0 * std) for std in deviation]
        offset = [-mean / std for mean, std in zip(self.mean, deviation, strict=True)]
        per_channel = (1, -1, 1, 1)
        shift = torch.tensor(offset, device=images.device).view(per_channel)
        return torch.addcmul(
            shift, images.float(), torch.tensor(scale, device=images.device).view(per_channel)
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images and labels: two splits with the same one are the same data."""
        _validate.readable(self.images, name="images")
        digest = hashlib.sha256(repr((self.images.shape, self.mean, self.std)).encode())
        digest.update(np.ascontiguousarray(self.images.cpu().numpy()).data)
        digest.update(np.ascontiguousarray(self.labels.cpu().numpy()).data)
        return digest.hexdigest()


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
    order = torch.randperm(len(images), generator=_generator(seed))
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
    order = torch.randperm(len(labels), generator=_generator(seed)).numpy()
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


@dataclass(frozen=True)
class Views:
    """A finite set of label-preserving views: mirrored or not, shifted by up to `shift` pixels.

    View 0 is the image as it is. There are (1 + flip)·(2·shift + 1)² of them, so a teacher's
    logits for every (sample, view) can be kept exactly. Shifting is a padded crop: the border
    is filled with black.
    """

    flip: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool) or not is_whole(self.shift) or self.shift < 0:
            raise ValueError(
                "flip must be True or False and shift a whole number of pixels from 0, got "
                f"{told(self.flip)} and {told(self.shift)}."
            )
        whole(self.shift, name="shift", most=LARGEST_SHIFT)

    def __len__(self) -> int:
        return (1 + self.flip) * (2 * self.shift + 1) ** 2

    def _check(self, images: Tensor, view: Tensor) -> None:
        _validate.dense(images, name="images")
        _validate.dense(view, name="view")
        if images.ndim != 4 or view.shape != images.shape[:1] or view.dtype != torch.int64:
            raise ValueError(
                "images must be [B, C, H, W] with an int64 view [B] for each, got "
                f"{list(images.shape)} and {view.dtype} {list(view.shape)}."
            )
        _validate.same_device(view, images, name="view")
        if view.device.type == "cpu" and len(view):
            low, high = (int(bound) for bound in view.aminmax())
            if low < 0 or high >= len(self):
                raise ValueError(
                    f"view must be between 0 and {len(self) - 1}, got {low} to {high}."
                )

    def __call__(self, images: Tensor, view: Tensor) -> Tensor:
        """Images [B, C, H, W], each in its own view [B]: one gather for the whole batch.

        Raises:
            ValueError: other shapes, two devices, or (on a CPU) a view that does not exist.
        """
        self._check(images, view)
        if len(self) == 1:
            return images
        side = 2 * self.shift + 1
        mirrored, place = view // side**2, view % side**2
        place = (place + side**2 // 2) % side**2  # so that view 0 lies in the middle
        height, width = images.shape[-2:]
        down, right = (
            torch.arange(height, device=view.device),
            torch.arange(width, device=view.device),
        )
        columns = torch.where(mirrored[:, None] == 1, right.flip(0), right)
        padded = F.pad(images, (self.shift,) * 4)
        return padded[
            torch.arange(len(images), device=view.device)[:, None, None],
            :,
            (down + (place // side)[:, None])[:, :, None],
            (columns + (place % side)[:, None])[:, None, :],
        ].permute(0, 3, 1, 2)


class Batch(NamedTuple):
    """What a step sees: inputs float32 [B, C, H, W] and, each [B], labels, sample and view.

    `sample` is the index of each image in its split, `view` the number of its augmentation.
    `share` is the weight of this process' part in the whole batch (1.0 in a single process).
    """

    inputs: Tensor
    labels: Tensor
    sample: Tensor
    view: Tensor
    share: float = 1.0


def batches(
    split: Split,
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    views: Views | None = None,
    channels_last: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """The batches of one epoch, on the device of the split.

    With a `seed`, the order and the views are random, but fixed by (seed, epoch) on every
    device; without one, the samples come in order, each in view 0. Of several processes, each
    gets every `world_size`-th sample of each batch. In training (with a seed), a last batch
    with fewer than two samples a process is left out: batch normalisation has no use for it.

    Args:
        channels_last: the memory layout of the inputs (their shape stays the same).

    Raises:
        ValueError: `batch_size` is less than 1 or than `world_size`, `seed` or `epoch` is
            negative, `rank` is not below `world_size`, or an argument is of the wrong type.
    """
    instance(split, Split, name="split")
    world_size = whole(world_size, name="world_size", least=1, most=2**16)
    rank = whole(rank, name="rank", most=world_size - 1)
    batch_size = whole(batch_size, name="batch_size", least=world_size)
    if len(split) == 0:
        return
    views = Views() if views is None else views
    instance(views, Views, name="views")
    batch_size = min(batch_size, max(len(split), world_size))  # an absurd one overflows PyTorch
    order, view = torch.arange(len(split)), torch.zeros(len(split), dtype=torch.int64)
    if seed is not None:
        generator = _generator(seed, epoch)
        used = len(split) - _left_out(len(split), batch_size, world_size)
        order = torch.randperm(len(split), generator=generator)[:used]
        view = torch.randint(len(views), (used,), generator=generator)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    device = split.images.device
    gathered = batch_size * max(1, CHUNK // batch_size)
    for chunk, chunk_view in zip(
        order.to(device).split(gathered), view.to(device).split(gathered), strict=True
    ):
        inputs = split.normalise(views(split.images[chunk], chunk_view))
        inputs = inputs.contiguous(memory_format=layout)  # a view comes out channels-last
        parts = (inputs, split.labels[chunk], chunk, chunk_view)
        for whole_batch in zip(*(part.split(batch_size) for part in parts), strict=True):
            if world_size == 1:
                yield Batch(*whole_batch)
            else:
                own = [tensor[rank::world_size] for tensor in whole_batch]
                share = len(own[0]) * world_size / len(whole_batch[0])
                yield Batch(*own)._replace(share=share)


def steps_per_epoch(count: int, batch_size: int, world_size: int = 1) -> int:
    """How many batches a training epoch of `count` samples has.

    Raises:
        ValueError: an argument is no whole number, or less than 0 (`count`) or 1.
    """
    count = whole(count, name="count")
    batch_size = whole(batch_size, name="batch_size", least=1)
    world_size = whole(world_size, name="world_size", least=1)
    return -(-(count - _left_out(count, batch_size, world_size)) // batch_size)


def _left_out(count: int, batch_size: int, world_size: int) -> int:
    rest = count % batch_size
    return rest if rest < 2 * world_size and count > rest else 0


def mixed_seed(*parts: int) -> int:
    """One seed from several whole numbers of any size, well mixed and the same everywhere.

    Raises:
        ValueError: a part is no whole number from 0.
    """
    for part in parts:
        if not is_whole(part) or part < 0:
            raise ValueError(f"seed must be 0 or more, got {told(part)}.")
    first, second = np.random.SeedSequence([int(part) for part in parts]).generate_state(2)
    return int(first) << 20 ^ int(second)


def _generator(*seed: int) -> torch.Generator:
    """A CPU generator: the same numbers for the same seeds, whatever device is used."""
    return torch.Generator().manual_seed(mixed_seed(*seed))
