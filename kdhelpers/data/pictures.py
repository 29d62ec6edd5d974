"""Pictures as arrays: PIL's of any mode as a viewer shows them, many of one size as one array.

Numbers of any type and layout become uint8 [N, C, H, W]."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from kdhelpers._values import require, short_repr
from kdhelpers.data.images import CHUNK

Array = NDArray[Any]
SLACK = 1e-4  # beyond 0..1: what rounding leaves


def drawn(picture: Image.Image, size: int | None = None) -> Array:
    """A PIL picture as a viewer shows it: uint8 [H, W] if it is grey, else [H, W, 3].

    Turned as its camera noted down, what is transparent on white, 16 bits as 8, a palette of greys
    grey; with `size`, its middle square, scaled to so many pixels a side.
    """
    # Of 16 bits, also where it is dark; older PIL reads PNG so, too.
    deep = picture.mode == "I" and picture.format in ("PPM", "PNG")
    deep = deep or picture.mode.startswith("I;")
    picture = ImageOps.exif_transpose(picture)
    grey = picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith(("I", "F"))
    if palette := picture.getpalette():
        grey = palette[::3] == palette[1::3] == palette[2::3]
    if picture.mode.startswith(("I", "F")):
        wide = np.asarray(picture).astype(np.float64)
        known = (wide >= 0) & (wide <= (65535 if deep else 255)) & (wide == np.rint(wide))
        told = "images of 32 bits must have whole numbers from 0 to 255"  # no file says their white
        require(known.all(), f"{told}; convert them to 8 bits, or to 16 (mode 'I;16').")
        picture = Image.fromarray((np.rint(wide / 257) if deep else wide).astype(np.uint8))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("L" if grey else "RGB")
    if size is not None:
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def stacked(pictures: Iterable[tuple[str, Array]], remedy: str) -> Array:
    """Named pictures of one size as one array; grey ones among coloured ones get their colours."""
    found: list[Array] = []
    for name, picture in pictures:
        first, own = (each.shape for each in (found[0] if found else picture, picture))
        mixed = {first, own} <= {first[:2], (*first[:2], 1), (*first[:2], 3)}
        sizes = f"the first is {list(first)}, {name} is {list(own)}"
        require(own == first or mixed, f"images must be of one size, but {sizes}; {remedy}.")
        found.append(picture)
    require(found, "images must be at least one, got none.")
    if len({picture.shape for picture in found}) > 1:
        shape = max(picture.shape for picture in found)
        found = [np.broadcast_to(p.reshape(*p.shape[:2], -1), shape) for p in found]
    return np.stack(found)


def as_array(values: Any, name: str) -> Array:
    """Tensors, pictures and lists as an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype is torch.bfloat16 else values
    told = f"{name} must be an array or a list"
    try:
        found = np.asarray(values)
    except Exception as error:  # whatever an object of another kind answers
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{told}, got {short_repr(values)}: {reason}.") from error
    if not found.ndim and found.dtype.kind == "O":
        raise ValueError(f"{told}, got {short_repr(values)}.")
    masked = values.mask.sum() if isinstance(values, np.ma.MaskedArray) else 0
    told = f"{name} must be whole, but {masked} values are masked"
    require(not masked, f"{told}; leave them out, or fill them: .filled(…).")
    return found


def as_pixels(images: Array) -> NDArray[np.uint8]:
    """uint8 [N, C, H, W] from numbers in 0..255 or 0..1, in any layout."""
    kind = images.dtype.kind
    remedy = "open files first, and take arrays from them"
    require(kind in "buif", f"images must be numbers, got {images.dtype}; {remedy}.")
    images = _channels_first(images)
    require(images.size, f"images must hold a picture, got the shape {list(images.shape)}.")
    low, high = images.min(), images.max()
    told = f"images are {images.dtype} of 0 and 1 only, which could be 0..255 or black and white"
    require(kind in "bf" or high != 1, f"{told}; multiply them by 255.")
    scale = 255 if kind == "b" or (kind == "f" and low >= -SLACK and high <= 1 + SLACK) else 1
    fits, made = scale == 255 or (low >= 0 and high <= 255), np.empty(images.shape, np.uint8)
    for start in range(0, len(images) if fits else 0, CHUNK):
        part = images[start : start + CHUNK].astype(np.float64) * scale
        whole = np.rint(part)
        fits &= scale == 255 or bool((whole == part).all())
        made[start : start + CHUNK] = whole.clip(0, 255)
    told = "images must be whole numbers from 0 to 255 or floats from 0 to 1"
    remedy = "give them before they are normalised; divide 16 bits by 257; round floats of 0..255"
    require(fits, f"{told}, got {images.dtype} from {low:.6g} to {high:.6g}; {remedy}.")
    return made


def _channels_first(images: Array) -> Array:
    """[N, C, H, W] from three layouts."""
    shape = images.shape
    if images.ndim == 3:
        return images[:, None]
    told = f"images must be [N, H, W], [N, C, H, W] or [N, H, W, C], got {list(shape)}"
    require(images.ndim == 4, f"{told}; give flat ones back their sides: .reshape(-1, 28, 28).")
    layouts = [shape[1] in (1, 3), shape[3] in (1, 3)]
    if layouts[0] == layouts[1]:
        layouts = [shape[2] == shape[3], shape[1] == shape[2]]
    if layouts[0] == layouts[1] and shape[1] != 1:
        raise ValueError(f"{told}, which could be both; make a data.Split of uint8 [N, C, H, W].")
    return images if layouts[0] else np.moveaxis(images, 3, 1)
