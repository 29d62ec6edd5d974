"""Images and labels in memory, in the order that their indices name for good."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kdhelpers import _tensors
from kdhelpers._random import generator
from kdhelpers._values import check_int, is_number, require, short_repr

LARGEST_MEAN = 1e6


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
        _tensors.check_dense(self.images, name="images")
        _tensors.check_dense(self.labels, name="labels")
        told = (
            f"images must be uint8 [N, C, H, W], got {self.images.dtype} {list(self.images.shape)}"
        )
        fits = self.images.dtype == torch.uint8 and self.images.ndim == 4
        require(fits, f"{told}; multiply values in 0..1 by 255 and round.")
        told = f"labels must be int64 [{len(self.images)}], one for each image"
        fits = self.labels.dtype == torch.int64 and self.labels.shape == self.images.shape[:1]
        require(fits, f"{told}, got {self.labels.dtype} {list(self.labels.shape)}.")
        _tensors.check_same_device(self.labels, self.images, name="labels")
        for name, values, right in (
            ("mean", self.mean, lambda value: is_number(value) and abs(value) <= LARGEST_MEAN),
            ("std", self.std, lambda value: is_number(value) and 0 <= value <= LARGEST_MEAN),
            ("classes", self.classes, lambda value: isinstance(value, str)),
        ):
            what = "names" if name == "classes" else "finite numbers, one a channel"
            fits = isinstance(values, tuple | list) and all(map(right, values))
            fits = fits and (name == "classes" or len(values) == self.images.shape[1])
            require(fits, f"{name} must be {what}, got {short_repr(values)}.")

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> "Split":
        """The same split with its tensors on `device`.

        Raises:
            ValueError: this machine has no such device.
        """
        device = _tensors.check_device(device, meta=True)
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def take(self, count: int, *, seed: int = 0) -> "Split":
        """`count` samples, as evenly over the classes as they come; `take(50)` lies in `take(100)`.

        Raises:
            ValueError: `count` is not between 1 and the size of the split, or `seed` is no whole
                number from 0.
        """
        count = check_int(count, name="count", least=1, most=len(self))
        order = torch.randperm(len(self), generator=generator(seed))
        shuffled = self.labels.cpu()[order]
        rank = torch.zeros_like(shuffled)  # how many of its class came before it
        for label in range(len(self.classes)):
            members = shuffled == label
            rank[members] = torch.arange(int(members.sum()))
        chosen = order[torch.argsort(rank, stable=True)[:count]].to(self.images.device)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images [B, C, H, W] as float32, each channel with mean 0 and deviation 1."""
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
        digest = hashlib.sha256(repr((self.images.shape, self.mean, self.std)).encode())
        digest.update(np.ascontiguousarray(self.images.cpu().numpy()).data)
        digest.update(np.ascontiguousarray(self.labels.cpu().numpy()).data)
        return digest.hexdigest()
