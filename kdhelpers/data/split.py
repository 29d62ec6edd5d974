"""Images and labels in memory, in the order that their indices name for good."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdhelpers._random import generator
from kdhelpers._tensors import version
from kdhelpers._values import check_int, is_number, require, short_repr


def numbering(lowest: int) -> str:
    """What to do about labels that are no numbers of classes."""
    if lowest < -1:  # a padding, as -100
        return "where there is none: labels[labels < 0] = -1"
    return "number them from 0: np.unique(labels, return_inverse=True)[1]"


def _is(tensor: Any, dtype: torch.dtype) -> bool:
    return isinstance(tensor, Tensor) and tensor.dtype == dtype


def _shown(value: Any) -> str:
    """A tensor as an error message shows it."""
    known = isinstance(value, Tensor)
    return f"{value.dtype} {list(value.shape)} on {value.device}" if known else short_repr(value)


def _sha256(told: str, *tensors: Tensor) -> str:
    digest = hashlib.sha256(told.encode())
    for tensor in tensors:
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return digest.hexdigest()


class _Source:
    """The images that the indices of a split and of its subsets count in."""

    def __init__(self, images: Tensor) -> None:
        self.images: Tensor | None = images
        self._known = -1, ""

    @property
    def fingerprint(self) -> str:
        if self.images is not None and self._known[0] != (now := version(self.images)):
            told = f"{self.images.dtype} {tuple(self.images.shape)}"
            self._known = now, _sha256(told, self.images)
        return self._known[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Source":
        """Of a whole split its copy's; the copy of a subset is held against the same images."""
        copied = memo.get(id(self.images))
        return self if copied is None else _Source(copied)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process with a few of many images: not the many."""
        if self.images is None or self.images.is_meta:
            return self.__dict__ | {"images": None}
        return {"images": None, "_known": (0, self.fingerprint)}


class _Rows(NamedTuple):
    """Where the images of a split come from; it holds for these very images only."""

    images: Tensor
    indices: Tensor
    source: _Source
    at: Tensor | None  # rows of the source's images; None for all of them


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 [N, C, H, W] with labels int64 [N], and how their pixels are normalised.

    A label of −1 is none: such an image can be distilled from, but not judged by.

    `mean` and `std` (one value a channel, pixels scaled to 0..1) come from the training images,
    also in the validation and test splits. `classes` names the labels. `indices`, int64 [N], is
    each sample's place in the data set that it comes from (default 0 to N - 1): `take` and `select`
    keep it, and `replace(split, images=…)` makes a data set of its own, counted anew.

    Raises:
        ValueError: other tensors, images, labels and indices that differ in number or device,
            labels without a class, or a mean and deviation outside of 0..1.
    """

    REMEDY: ClassVar = "data.from_dataset(dataset) or data.from_arrays(images, labels) makes one"

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    indices: Tensor = None  # type: ignore[assignment]  # always a tensor once it is made
    _rows: _Rows = None  # type: ignore[assignment]  # as indices

    def __post_init__(self) -> None:
        told = f"images must be uint8 [N, C, H, W], got {_shown(self.images)}"
        fits = _is(self.images, torch.uint8) and self.images.ndim == 4
        require(fits, f"{told}; data.from_arrays takes other layouts and types.")
        self._count()
        for name, tensor in (("labels", self.labels), ("indices", self.indices)):
            fits = _is(tensor, torch.int64) and tensor.shape == self.images.shape[:1]
            fits = fits and tensor.device == self.images.device
            told = f"{name} must be int64 [{len(self)}], one for each image and beside it"
            require(fits, f"{told}, got {_shown(tensor)}.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            fits = isinstance(values, tuple | list) and len(values) == self.images.shape[1]
            fits = fits and all(is_number(value) and 0 <= value <= 1 for value in values)
            told = f"{name} must be numbers from 0 to 1, one a channel, got {short_repr(values)}"
            require(fits, f"{told}{self._remedy(values)}.")
        names = self.classes if isinstance(self.classes, tuple | list) else (None,)
        fits = all(isinstance(name, str) for name in names) and len({*names}) == len(names)
        told = f"classes must be names, each another one, got {short_repr(self.classes)}"
        require(fits, f"{told}.")
        self._check_range()

    def _remedy(self, values: Any) -> str:
        """What to do about a mean or a deviation that does not fit."""
        count, channels = len(values) if isinstance(values, tuple | list) else 0, self.images.shape
        if count == channels[1]:
            return "; divide those of pixels 0..255 by 255"
        if count == channels[3]:
            return "; put the channels second: images.permute(0, 3, 1, 2)"
        return f"; the images have {channels[1]} channels"

    def _check_range(self) -> None:
        """Each label is −1 or that of a class."""
        if self.labels.is_meta or not len(self.labels):
            return
        low, high = (int(bound) for bound in torch.aminmax(self.labels))
        known = len(self.classes) or high + 1
        told = f"labels must lie in 0 to {known - 1}, the classes, or be −1 where there is none"
        told = f"{told}, got {low} to {high}; {numbering(low)}, or name all classes"
        require(-1 <= low <= high < known, f"{told}.")

    def _count(self) -> None:
        """Set `indices` and where they count."""
        rows, indices = self._rows, self.indices
        replaced = rows is not None and rows.images is not self.images
        if indices is None or (replaced and indices is rows.indices):
            indices = torch.arange(len(self.images), device=self.images.device)
            object.__setattr__(self, "indices", indices)
        if rows is None or replaced:
            rows = _Rows(self.images, indices, _Source(self.images), None)
        object.__setattr__(self, "_rows", rows._replace(indices=indices))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.images.shape[1:]))
        return f"Split({len(self):,} images of {shape}, {len(self.classes)} classes)"

    def to(self, device: torch.device | str) -> "Split":
        """The same split with its tensors on `device`."""
        images, labels, indices = (
            each.to(device) for each in (self.images, self.labels, self.indices)
        )
        rows = self._rows._replace(images=images, indices=indices)
        if rows.at is None:  # a whole split looks at its images again
            rows = rows._replace(source=_Source(images))
        return replace(self, images=images, labels=labels, indices=indices, _rows=rows)

    def select(self, rows: Tensor | Sequence[int]) -> "Split":
        """The samples at `rows`, positions [M] or a mask [N], with their `indices`.

        Raises:
            ValueError: `rows` is neither, or beyond the split.
        """
        try:
            at = torch.as_tensor(rows).cpu()
            at = torch.arange(len(self))[at if at.numel() else at.long()]  # [] is floating point
            require(at.ndim == 1, "it has other dimensions")
        except (IndexError, TypeError, RuntimeError, ValueError) as error:
            wanted = f"positions from 0 to {len(self) - 1} or a mask [{len(self)}]"
            raise ValueError(f"rows must be {wanted}, got {short_repr(rows)}: {error}.") from error
        chosen = at.to(self.images.device)
        images, indices = self.images[chosen], self.indices[chosen]
        mine = self._rows
        at = at if mine.at is None else mine.at[at]
        place = _Rows(images, indices, mine.source, at)
        labels = self.labels[chosen]
        return replace(self, images=images, labels=labels, indices=indices, _rows=place)

    def labelled(self) -> "Split":
        """The samples that have a label: the split itself, if all have one."""
        known = self.labels >= 0
        return self if known.all() else self.select(known)

    def class_name(self, label: int) -> str:
        """What a label is called; its number, if nothing."""
        known = 0 <= label < len(self.classes)
        return self.classes[label] if known else "no label" if label < 0 else str(label)

    def take(self, count: int, *, seed: int = 0) -> "Split":
        """`count` samples, as evenly over the labels as they come; `take(50)` lies in `take(100)`.

        Raises:
            ValueError: `count` is not between 1 and the size of the split, or `seed` is no whole
                number from 0.
        """
        count = check_int(count, name="count", least=1, most=len(self))
        order = torch.randperm(len(self), generator=generator(seed))
        shuffled = self.labels.cpu()[order]
        rank = torch.zeros_like(shuffled)  # how many of its class came before it
        for label in shuffled.unique():
            members = shuffled == label
            rank[members] = torch.arange(int(members.sum()))
        return self.select(order[torch.argsort(rank, stable=True)[:count]])

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images [B, C, H, W] as float32, each channel with mean 0 and deviation 1."""
        deviation = [std or 1.0 for std in self.std]  # a channel of one value only becomes 0
        scale = [1.0 / (255.0 * std) for std in deviation]
        offset = [-mean / std for mean, std in zip(self.mean, deviation, strict=True)]
        shift, factor = (
            torch.tensor(numbers, dtype=torch.float32, device=images.device).view(1, -1, 1, 1)
            for numbers in (offset, scale)
        )
        return images.to(torch.float32, copy=True).mul_(factor).add_(shift)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images and labels: two splits with the same one are the same data."""
        now = version(self.images), version(self.labels)
        if now not in self._digests:
            told = repr((self.images.shape, self.mean, self.std))
            self._digests[now] = _sha256(told, self.images, self.labels)
        return self._digests[now]

    @cached_property
    def _digests(self) -> dict[tuple[int, int], str]:
        return {}

    @property
    def source_fingerprint(self) -> str:
        """SHA-256 of all images that `indices` count in: the same for a split and its subsets.

        It is of the pixels alone, so it is the same on every machine; labels, mean and deviation
        may change.

        Raises:
            ValueError: the images were changed in place since the subset was taken.
        """
        images, _, source, at = self._rows
        if at is not None and source.images is not None:
            unchanged = torch.equal(source.images[at.to(source.images.device)].cpu(), images.cpu())
            told = "the images were changed in place after this subset was taken"
            require(unchanged, f"{told}; take it again, or replace(split, images=…).")
        return source.fingerprint
