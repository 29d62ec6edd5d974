"""Your own pictures as a split: from arrays, or from any data set of PyTorch."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from kdhelpers._values import check_int, check_type, require, short_repr
from kdhelpers.data.images import LARGEST_IMAGE, mean_std
from kdhelpers.data.pictures import Array, as_array, as_pixels, drawn, stacked
from kdhelpers.data.split import Split, numbering

MOST_CLASSES = 100_000
LOOKED_AT_AGAIN = 32  # samples of a data set, to see whether it answers the same


def from_arrays(
    images: Any,
    labels: Any,
    *,
    classes: Iterable[str] | None = None,
    mean: Any = None,
    std: Any = None,
    like: Split | None = None,
) -> Split:
    """A split from NumPy arrays, tensors, or lists of them or of PIL pictures, copied.

    Args:
        images: whole numbers 0..255 of any type, or floats 0..1 (× 255 and rounded); [N, H, W],
            [N, C, H, W] or [N, H, W, C]. Of the last two, C is the one that is 1 or 3, else the
            one that leaves square pictures.
        labels: whole numbers [N] from 0, −1 for an image without one; None if none has one; or
            names, which then have to be among `classes`.
        classes: their names, in the labels' order; default the numbers from 0.
        mean, std: one value a channel or for all, for pixels of 0..1; default those of `images`.
        like: the training split, for validation and test images: its classes, mean and deviation.

    Raises:
        ValueError: images in another range or layout, or labels that are no class indices.
    """
    check_type(like, Split, type(None), name="like")
    if isinstance(images, list | tuple):
        named = ((f"number {number}", _picture(each)) for number, each in enumerate(images))
        images = stacked(named, "resize them first")
    pixels = as_pixels(as_array(images, "images"))
    if like is not None:
        classes = like.classes if classes is None else classes
        mean, std = like.mean if mean is None else mean, like.std if std is None else std
    numbers, names = _class_indices(labels, len(pixels), classes)
    whole = torch.from_numpy(pixels)
    mean, std = (
        own if given is None else _for_each(pixels.shape[1], as_array(given, name))
        for name, given, own in zip(("mean", "std"), (mean, std), mean_std(whole), strict=True)
    )  # fmt: skip
    return Split(whole, torch.from_numpy(numbers), mean, std, names)


def _for_each(channels: int, values: Array) -> tuple[Any, ...]:
    """One number a channel; a single one is that of all."""
    return tuple(values.reshape(-1).tolist()) if values.ndim else (values.item(),) * channels


def from_dataset(dataset: Any, *, size: int | None = None, **named: Any) -> Split:
    """A split from a data set of PyTorch: whatever has a length and answers `dataset[i]`.

    Each answer is a picture (PIL, array or tensor), a pair (picture, label), or a dict with
    `image` (or `img`) and `label`; without a label it is −1. The classes' names are the data set's
    `classes`, if it has them and no `target_transform`. By them `like` numbers the labels: an
    `ImageFolder` may lack some of its classes, and would number the others anew.

    Args:
        size: cut PIL pictures to squares and scale them to so many pixels a side, up to 512;
            arrays and tensors must have this size already.
        **named: classes, mean, std, like: as for `from_arrays`.

    Raises:
        ValueError: a loader or a stream, pictures of several sizes, other answers, classes that
            `like` has not, or a random transform (one random view of each picture would stay).
    """
    if isinstance(dataset, DataLoader):
        raise ValueError("dataset is a DataLoader; give loader.dataset, which has an order.")
    told = f"dataset must have a length and answer dataset[0], got {short_repr(dataset)}"
    wrong = isinstance(dataset, IterableDataset | Mapping | str | bytes | type)
    count, labels = -1, list[Any]()
    size = size if size is None else check_int(size, name="size", least=1, most=LARGEST_IMAGE)
    with suppress(Exception):  # whatever an object of another kind answers
        count = len(dataset) if hasattr(dataset, "__getitem__") and not wrong else -1
    require(count >= 0, f"{told}; collect a stream first: list(itertools.islice(dataset, 10_000)).")

    def pictures() -> Iterator[tuple[str, Array]]:
        for number in range(count):
            picture, label = _sample(dataset[number], size)
            labels.append(-1 if label is None else label)
            yield f"sample {number}", picture

    remedy = "give size=… for PIL pictures, else resize in the data set's transform"
    own = _classes_of(dataset) if named.get("classes") is None else None
    named |= {"classes": own} if own else {}
    split = from_arrays(stacked(pictures(), remedy), labels, **named)
    if own and (like := named.get("like")) and like.classes:
        split = _renumbered(split, like.classes)
    told = f"size is for PIL pictures, but the samples are arrays of {list(split.images.shape[2:])}"
    fits = size is None or split.images.shape[2:] == (size, size)
    require(fits, f"{told}; resize in the data set's transform: v2.Resize(({size}, {size})).")
    for number in range(0, LOOKED_AT_AGAIN * count, count):
        first, second = (_sample(dataset[number // LOOKED_AT_AGAIN], size) for _ in range(2))
        told = "dataset answers otherwise when asked again: one random view would stay for good"
        remedy = "leave random transforms to Recipe(views=Views(flip=True, shift=4))"
        require(all(map(np.array_equal, first, second)), f"{told}; {remedy}.")
    return split


def _sample(answer: Any, size: int | None) -> tuple[Array, Any]:
    """Picture and label, or None, in what a data set answers."""
    label: Any = None
    if isinstance(answer, Mapping):
        told = f"images: a sample must have image (or img) and label, got {short_repr([*answer])}"
        known = answer.keys() & {"image", "img"} and ("label" in answer or len(answer) == 1)
        require(known, f"{told}; make pairs of it: [(x, y), …].")
        answer, label = answer.get("image", answer.get("img")), answer.get("label")
    elif isinstance(answer, tuple | list) and answer:
        answer, label = answer[0], answer[1] if len(answer) > 1 else None
    if isinstance(label, np.ndarray | Tensor):
        label = as_array(label, "labels")
        label = label.item() if label.size == 1 else label
    return _picture(answer, size), label


def _picture(picture: Any, size: int | None = None) -> Array:
    return drawn(picture, size) if isinstance(picture, Image.Image) else as_array(picture, "images")


def _classes_of(dataset: Any) -> tuple[str, ...] | None:
    """What torchvision's data sets call their classes, also below `Subset`."""
    while isinstance(dataset, Subset):  # another wrapper may number them anew
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    known = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    own = known and getattr(dataset, "target_transform", None) is None
    return tuple(names) if own and names else None


def _renumbered(split: Split, classes: tuple[str, ...]) -> Split:
    """Labels by the names of other classes: `ImageFolder` numbers the folders that it finds."""
    strange = sorted({*split.classes} - {*classes})
    told = f"dataset has the classes {short_repr(strange)}, which like has not"
    require(not strange, f"{told}; give classes=like.classes if its numbers are those of like.")
    number = torch.tensor([*map(classes.index, split.classes), -1])  # and −1 stays −1
    return replace(split, labels=number[split.labels], classes=classes)


def _class_indices(labels: Any, count: int, classes: Any) -> tuple[NDArray[np.int64], Any]:
    """int64 [N], and what the classes are called."""
    named = as_array([] if classes is None else classes, "classes")
    require(named.ndim == 1, f"classes must be names, got {short_repr(classes)}.")
    classes = tuple(named.tolist())
    found = np.full(count, -1) if labels is None else as_array(labels, "labels")
    if found.dtype.kind == "O":
        found = as_array(found.tolist(), "labels")
    remedy = "from one-hot rows: labels.argmax(1); from a column: labels.reshape(-1)"
    told = f"labels must be [{count}], one for each image, got {list(found.shape)}"
    require(found.shape == (count,), f"{told}; {remedy}.")
    if found.dtype.kind == "U":
        remedy = "give classes=sorted(set(labels)), and for other splits like=train"
        require(classes, f"labels are names, such as {short_repr(str(found[0]))}; {remedy}.")
        strange = sorted({*found.tolist()} - {*classes})
        require(not strange, f"labels must be among classes, got {short_repr(strange)}.")
        found = np.array([classes.index(name) for name in found.tolist()])
    told = f"labels must be whole numbers, −1 where there is none, got {found.dtype}"
    require(found.dtype.kind in "iub", f"{told}; make NaN −1, then .astype(int).")
    found = found.astype(np.int64)
    if not classes:
        high = int(found.max())
        low = int(found[found >= 0].min(initial=high))
        told = f"labels must start at 0, −1 where there is none, got {found.min()} to {high}"
        remedy = f"{numbering(int(found.min()))}, or name all classes: classes=…"
        require(low < 1 and high < MOST_CLASSES, f"{told}; {remedy}.")
        classes = tuple(map(str, range(high + 1)))
    return found, classes
