"""PhotoDigits: a small colour data set that needs no network.

Real handwritten digits, enlarged and slightly warped, in a random colour, blended over random
crops of two photographs; digits and photographs both ship with scikit-learn. Training pictures
use the left part of each photograph, test pictures the right part, and no handwritten digit
occurs in both.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZE = 32
LEFT_PART = 0.6  # of a photograph's width; the rest is for the test pictures
BLOCK = 64  # pictures composed at a time: their numbers stay in the processor's cache

Floats = NDArray[np.float64]


class Pictures(NamedTuple):
    """Images uint8 [N, 3, 32, 32] and labels uint8 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def compose(
    digits: NDArray[np.uint8], labels: NDArray[np.uint8], count: int, *, part: str, seed: int
) -> Pictures:
    """Compose `count` pictures from `digits` [M, 8, 8] (values 0..16) and their `labels` [M].

    `part` is "left" (training) or "right" (test) and says which side of the photographs is
    used. The result depends on the arguments alone: only `Generator.random`, comparisons and
    one elementary float64 operation at a time are used, which give the same bits everywhere.
    """
    random = np.random.default_rng(seed)

    def between(low: float, high: float) -> Floats:
        return random.random((count, 1, 1)) * (high - low) + low

    chosen = (random.random(count) * len(digits)).astype(np.int64)
    stretch_y, shear_y, shift_y = between(0.25, 0.36), between(-0.06, 0.06), between(2.5, 4.5)
    stretch_x, shear_x, shift_x = between(0.25, 0.36), between(-0.08, 0.08), between(2.5, 4.5)
    crop = _crops(count, part, random)
    colour = random.random((count, 3, 1, 1)) * 255.0
    strength = random.random((count, 1, 1, 1)) * 0.45 + 0.55

    centred = np.arange(SIZE) - (SIZE - 1) / 2
    rows, columns = centred[None, :, None], centred[None, None, :]
    images = np.empty((count, 3, SIZE, SIZE), np.uint8)
    for start in range(0, count, BLOCK):
        of = slice(start, start + BLOCK)
        source_y = rows * stretch_y[of] + columns * shear_y[of] + shift_y[of]
        source_x = columns * stretch_x[of] + rows * shear_x[of] + shift_x[of]
        mask = _bilinear(digits[chosen[of]].astype(np.float64) / 16.0, source_y, source_x)
        cover = mask[:, None] * strength[of]
        blended = crop(of) * (1.0 - cover) + colour[of] * cover
        images[of] = np.floor(blended + 0.5)
    return Pictures(images, labels[chosen].astype(np.uint8))


def _bilinear(digits: Floats, source_y: Floats, source_x: Floats) -> Floats:
    """Sample [N, 8, 8] at fractional positions [N, 32, 32]; outside of the digit lies nothing."""
    padded = np.pad(digits, ((0, 0), (1, 2), (1, 2)))
    y = np.clip(source_y + 1.0, 0.0, 9.0)
    x = np.clip(source_x + 1.0, 0.0, 9.0)
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    down, right = y - top, x - left
    sample = np.arange(len(digits))[:, None, None]

    def across(row: NDArray[np.int64]) -> Floats:
        return padded[sample, row, left] * (1.0 - right) + padded[sample, row, left + 1] * right

    return across(top) * (1.0 - down) + across(top + 1) * down


def _crops(
    count: int, part: str, random: np.random.Generator
) -> Callable[[slice], NDArray[np.uint8]]:
    """Random 32×32 crops from one side of the two photographs: a slice → [N, 3, 32, 32]."""
    from sklearn.datasets import load_sample_images

    photographs = np.stack(load_sample_images().images)  # [2, 427, 640, 3]
    split = int(photographs.shape[2] * LEFT_PART)
    side = photographs[:, :, :split] if part == "left" else photographs[:, :, split:]
    which = (random.random(count) * len(side)).astype(np.int64)
    top = (random.random(count) * (side.shape[1] - SIZE + 1)).astype(np.int64)
    left = (random.random(count) * (side.shape[2] - SIZE + 1)).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(side, (SIZE, SIZE), axis=(1, 2))
    return lambda of: windows[which[of], top[of], left[of]]
