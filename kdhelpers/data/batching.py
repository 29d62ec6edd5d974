"""Normalised batches that know the index and the augmentation view of every sample.

So whatever a teacher said about a sample can be looked up, and no shuffling can misalign it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers._random import generator
from kdhelpers._tensors import version
from kdhelpers._values import check_int, check_type
from kdhelpers.data.split import Split

LARGEST_SHIFT = 64
CHUNK = 3 << 20  # values gathered and normalised at once (12 MiB): few operations, near the cache


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
        check_type(self.flip, bool, name="flip")
        check_int(self.shift, name="shift", most=LARGEST_SHIFT)

    def __len__(self) -> int:
        return (1 + self.flip) * (2 * self.shift + 1) ** 2

    def __call__(self, images: Tensor, view: Tensor) -> Tensor:
        """Images [B, C, H, W], each in its own view [B]: one gather for the whole batch."""
        if len(self) == 1:
            return images
        height, width = images.shape[-2:]
        if self.shift >= min(height, width):
            told = f"shift must be less than the pictures' {height}×{width} pixels"
            raise ValueError(f"{told}, got {self.shift}: some views would be black.")
        mirrored, below, beside = self.place(view)
        down, right = (torch.arange(n, device=view.device) for n in (height, width))
        columns = torch.where(mirrored[:, None] == 1, right.flip(0), right)
        padded = F.pad(images, (self.shift,) * 4)
        return padded[
            torch.arange(len(images), device=view.device)[:, None, None],
            :,
            (down + self.shift + below[:, None])[:, :, None],
            (columns + self.shift + beside[:, None])[:, None, :],
        ].permute(0, 3, 1, 2)

    def place(self, view: Any) -> tuple[Any, Any, Any]:
        """Whether a view (a number, or a tensor of them) is mirrored, and its pixels down and right
        of the image as it is."""
        side = 2 * self.shift + 1
        place = (view + side**2 // 2) % side**2  # so that view 0 lies in the middle
        return view // side**2, place // side - self.shift, place % side - self.shift


class Origin:
    """Which pictures the samples and views of a batch name, and what they are made from.

    Knows the tensor and its version, which counts changes in place: to see that nothing was
    changed costs a step nothing. What is another tensor is compared with the pictures made anew.
    """

    def __init__(self, inputs: Tensor, split: Split, views: Views) -> None:
        self.inputs, self.version = inputs, version(inputs)
        self.split, self.views = split, views

    def is_of(self, inputs: Tensor) -> bool:
        return inputs is self.inputs and version(inputs) == self.version


class Batch(NamedTuple):
    """What a step sees: inputs float32 [B, C, H, W] and, each [B], labels, sample and view.

    `sample` is the index of each image in its split, `view` the number of its augmentation.
    """

    inputs: Tensor
    labels: Tensor
    sample: Tensor
    view: Tensor
    origin: Origin | None = None

    def is_as_made(self) -> bool:
        """Whether `inputs` are the pictures of these samples and views, not mixed or changed."""
        own, inputs = self.origin, self.inputs
        if own is None or not inputs.is_floating_point():
            return False
        if own.is_of(inputs):
            return True
        images = own.views(own.split.images[self.sample], self.view)
        made, slack = own.split.normalise(images).to(inputs), 4 * torch.finfo(inputs.dtype).eps
        same = made.shape == inputs.shape
        return same and torch.allclose(inputs, made, rtol=slack, atol=slack)

    def is_of(self, fingerprint: str, views: Views) -> bool:
        """Whether its samples and views count in the split of this fingerprint and these views.

        One that was made by hand does not say.
        """
        own = self.origin
        return own is None or (own.split.fingerprint == fingerprint and own.views == views)


def batches(
    split: Split,
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
    views: Views | None = None,
    channels_last: bool = False,
) -> Iterator[Batch]:
    """The batches of one epoch, on the device of the split.

    With a `seed`, the order and the views are random, but fixed by (seed, epoch) on every
    device; without one, the samples come in order, each in view 0. In training (with a seed), a
    last batch of a single sample is left out: batch normalisation has no use for it.

    Args:
        channels_last: the memory layout of the inputs (their shape stays the same).

    Raises:
        ValueError: `batch_size` is less than 1, or `seed` is negative.
    """
    batch_size = check_int(batch_size, name="batch_size", least=1)
    if len(split) == 0:
        return
    views = Views() if views is None else views
    batch_size = min(batch_size, len(split))  # an absurd one overflows PyTorch
    order, view = torch.arange(len(split)), torch.zeros(len(split), dtype=torch.int64)
    if seed is not None:
        drawn = generator(seed, epoch)
        used = len(split) - _left_out(len(split), batch_size)
        order = torch.randperm(len(split), generator=drawn)[:used]
        view = torch.randint(len(views), (used,), generator=drawn)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    device = split.images.device
    gathered = batch_size * max(1, CHUNK // (batch_size * split.images[0].numel()))
    for chunk, chunk_view in zip(
        order.to(device).split(gathered), view.to(device).split(gathered), strict=True
    ):
        pixels = split.images.index_select(0, chunk)  # on a CPU much faster than images[chunk]
        inputs = split.normalise(views(pixels, chunk_view))
        inputs = inputs.contiguous(memory_format=layout)  # a view comes out channels-last
        parts = (inputs, split.labels[chunk], chunk, chunk_view)
        batched = (part.split(batch_size) for part in parts)
        for shown, labels, samples, numbers in zip(*batched, strict=True):
            yield Batch(shown, labels, samples, numbers, Origin(shown, split, views))


def steps_per_epoch(count: int, batch_size: int) -> int:
    """How many batches a training epoch of `count` samples has."""
    return -(-(count - _left_out(count, batch_size)) // batch_size)


def _left_out(count: int, batch_size: int) -> int:
    return 1 if count > 1 and count % batch_size == 1 else 0
