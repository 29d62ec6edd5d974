"""Pictures as arrays: PIL's of any mode as a viewer shows them, many of one size as one array."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from kdhelpers._values import check_int, require
from kdhelpers.data.images import LARGEST_IMAGE

Array = NDArray[Any]


def drawn(picture: Image.Image, size: int | None = None) -> Array:
    """A PIL picture as a viewer shows it: uint8 [H, W] if it is grey, else [H, W, 3].

    Turned as its camera noted down, what is transparent on white, 16 bits as 8; with `size`, its
    middle square, scaled to so many pixels a side.
    """
    picture = ImageOps.exif_transpose(picture)
    require(picture.mode != "F", "images must have whole numbers, but one has floats; scale them.")
    grey = picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith("I")
    if picture.mode.startswith("I"):
        wide = np.asarray(picture).astype(np.int64)
        require(wide.min() >= 0, "a picture of 32 bits has negative values; scale it to 0..255.")
        deep = picture.mode != "I" or wide.max() > 255
        picture = Image.fromarray((np.rint(wide / 257) if deep else wide).astype(np.uint8))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("L" if grey else "RGB")
    if size is not None:
        size = check_int(size, name="size", least=1, most=LARGEST_IMAGE)
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def stacked(pictures: Iterable[tuple[str, Array]], remedy: str) -> Array:
    """Named pictures of one size as one array; grey ones among coloured ones get their colours."""
    found: list[Array] = []
    for name, picture in pictures:
        first, own = (each.shape for each in (found[0] if found else picture, picture))
        mixed = {len(first), len(own)} == {2, 3} and first[:2] == own[:2]
        sizes = f"the first is {list(first)}, {name} is {list(own)}"
        require(own == first or mixed, f"images must be of one size, but {sizes}; {remedy}.")
        found.append(picture)
    require(found, "images must be at least one, got none.")
    if len({picture.ndim for picture in found}) > 1:
        found = [np.stack([p] * 3, -1) if p.ndim == 2 else p for p in found]
    return np.stack(found)
