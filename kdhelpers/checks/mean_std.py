"""Lesson 03: `answer(images)` → mean [C] and std [C] of uint8 images [N, C, H, W].

Pixels scaled to 0..1, both over all pixels of all images; exact to 0.1 %, so the sample's and
the population's standard deviation are both right.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.running import Answer, call, to_numbers, two_of

CHANNELS = (0, 2, 3)  # the dimensions over which one channel extends
BATCH_SIZES = (2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128)


def solution(
    images: Tensor,
    *,
    pixels: Way = lambda images: images.float() / 255,
    mean: Way = lambda x: x.mean(dim=CHANNELS),
    std: Way = lambda x: x.std(dim=CHANNELS),
) -> Any:
    x = pixels(images)
    return mean(x), std(x)


def _along(*dim: int) -> dict[str, Any]:
    return {"mean": lambda x: x.mean(dim=dim or None), "std": lambda x: x.std(dim=dim or None)}


def _over_batches(size: int, statistic: Way, x: Tensor) -> Tensor:
    return torch.stack([statistic(part, dim=CHANNELS) for part in x.split(size)]).mean(dim=0)


def _from_squares(size: int, x: Tensor) -> Tensor:
    squares = _over_batches(size, torch.mean, x.square())
    return (squares - _over_batches(size, torch.mean, x).square()).sqrt()


def _squares_in_uint8(least: float, x: Tensor) -> Tensor:
    """The square of 200 is 64 in uint8: it is kept modulo 256."""
    whole = (255 * x).round().to(torch.uint8)
    difference = (whole * whole).float().mean(CHANNELS) / 255**2 - x.mean(CHANNELS) ** 2
    return difference.clamp(min=least).sqrt()


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    both = two_of(call(answer, inputs), remedy="end it with `return mean, std`, both [C]")
    values = {}
    for name, each in zip(("mean", "std"), both, strict=True):
        wanted = f"the {name} as a tensor [C]"
        otherwise = f"Return {wanted}, one number for each channel."
        values[name] = to_numbers(each, wanted=wanted, otherwise=otherwise)
    return Observation(values)


def _images(
    seed: int, count: int, channels: int, height: int, width: int, brightest: int = 255
) -> dict[str, Any]:
    """Images that grow brighter from the first to the last, as in a folder sorted by class.

    Every other one is darker than its neighbours, so that even a small batch differs within.
    """
    brightness = torch.linspace(-60, 50, count, dtype=torch.float32)
    brightness[::2] -= 24
    brightness = brightness[:, None, None, None]
    tint = torch.linspace(105, 160, channels, dtype=torch.float32)[:, None, None]
    contrast = torch.linspace(26, 14, channels, dtype=torch.float32)[:, None, None]
    shade = torch.linspace(-20, 20, width, dtype=torch.float32)
    noise = contrast * numbers(seed, count, channels, height, width)
    images = (tint + brightness + shade + noise).round().clamp(0, brightest)
    return {"images": images.to(torch.uint8)}


# fmt: off
MISTAKES: Mistakes = {
    "Your standard deviation is the mean of those of single images, which leaves out how the "
    "images differ from each other and comes out too small. Take it over all pixels of all images "
    "at once: `dim=(0, 2, 3)`.":
        [dict(depth=3, std=lambda x, by=by: x.std((2, 3), correction=by).mean(0)) for by in (1, 0)],
    "Your standard deviation is the root of the mean variance within single images. What lies "
    "between the images' means is missing, the second term of the lesson's formula. Or take all "
    "pixels at once.":
        [dict(std=lambda x, by=by: x.var((2, 3), correction=by).mean(0).sqrt()) for by in (1, 0)],
    "The pixels are not scaled: they go from 0 to 255 here. Divide them by 255 first.":
        dict(depth=3, pixels=lambda images: images.float()),
    "You divide by 256. The largest pixel is 255 and should become 1.":
        dict(pixels=lambda images: images.float() / 256),
    "`//` divides whole numbers, and all pixels but the brightest become 0. Use `/`.":
        dict(pixels=lambda images: (images // 255).float()),
    "The mean is scaled, the standard deviation is not. Divide it by 255, too, or the pixels "
    "before both.": dict(std=lambda x: 255 * x.std(CHANNELS)),
    "The standard deviation is divided by 255². It scales as the pixels do: divide by 255 once.":
        dict(std=lambda x: x.std(CHANNELS) / 255),
    "The two results are swapped: first the mean, then the standard deviation.":
        dict(then=lambda both: both[::-1]),
    "You take all channels together. Red, green and blue have their own mean and standard "
    "deviation: leave dimension 1 alone, `dim=(0, 2, 3)`.": dict(depth=3, **_along()),
    **{
        f"You average with `dim={over}`, which gives {what}. One value for each channel is asked "
        "for: keep dimension 1 alone, `dim=(0, 2, 3)`.": _along(*over)
        for over, what in (
            ((0,), "one for each place of the image"),
            ((2, 3), "one for each image and channel"),
            ((1, 2, 3), "one for each image"),
            ((0, 1), "one for each row and column"),
            ((0, 1, 2), "one for each column"),
        )
    },
    "Your standard deviation is the mean of those of single pixel positions. Take it over images, "
    "height and width at once: `dim=(0, 2, 3)`.":
        [dict(std=lambda x, by=by: x.std(0, correction=by).mean((1, 2))) for by in (1, 0)],
    "Your standard deviation is the one of the images' means, which leaves out how the pixels of "
    "an image differ. Take it over all pixels: `dim=(0, 2, 3)`.":
        dict(std=lambda x: x.mean(dim=(2, 3)).std(dim=0)),
    "You average the standard deviations of batches, which leaves out how the batches differ. Add "
    "up the pixels and their squares over all batches, or take all images at once.": [
        dict(depth=1, std=partial(_over_batches, size, torch.std), **mean)  # there are many of them
        for size in BATCH_SIZES
        for mean in ({}, {"mean": partial(_over_batches, size, torch.mean)})
    ],
    "You average over batches as if all were of one size. The last one is smaller and counts too "
    "much: add up the pixels and their squares, and divide by the number of pixels.": [
        dict(depth=1, mean=partial(_over_batches, size, torch.mean), **std)
        for size in BATCH_SIZES
        for std in ({}, {"std": partial(_from_squares, size)})
    ],
    "You use the first images only. Take all of them: `dim=(0, 2, 3)`.":
        [dict(pixels=lambda images, count=count: images[:count].float() / 255)
         for count in (1, *BATCH_SIZES)],
    "You scale by the brightest pixel that is there. 255 is the largest possible one: divide by "
    "it for all images.": dict(pixels=lambda images: images.float() / images.max()),
    "Your pixels go from -1 to 1. The exercise scales them to 0..1.":
        [dict(pixels=lambda images: images.float() / 127.5 - 1),
         dict(pixels=lambda images: images.float() / 255 - 0.5)],
    "Your standard deviation lacks the square of the mean: it is the root of Σ x² / n alone, and "
    "mean² has to be taken off first.": dict(std=lambda x: x.square().mean(CHANNELS).sqrt()),
    "`reshape(C, -1)` does not sort by channel: the images come first in memory, so each row "
    "mixes all channels. Use `dim=(0, 2, 3)`, or `transpose(0, 1)` before it.":
        dict(pixels=lambda images: (images / 255).reshape(images.shape[1], -1)[None, :, :, None]),
    "Your squares overflow: in uint8, 200 times 200 is 64, as only 256 values exist. Convert the "
    "images before squaring: `images.float() / 255`.":
        [dict(std=partial(_squares_in_uint8, least)) for least in (0.0, -9.0)],
    "Your sum overflows: in uint8 only 256 values exist, and it starts again at 0. Convert the "
    "images before adding them up: `images.float() / 255`.":
        dict(mean=lambda x: (255 * x).round().to(torch.uint8).sum(CHANNELS, dtype=torch.uint8)
             / x[:, 0].numel() / 255),
    "torch averages no whole numbers. `images / 255` turns the pixels into floating point and "
    "scales them.":
        [dict(pixels=lambda images: images, mean=lambda x: x.mean(dim=CHANNELS)),
         dict(pixels=lambda images: images, mean=lambda x: x.std(dim=CHANNELS))],
}
# fmt: on

mean_std = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=(  # numbers of images that no size of a batch divides
        Case(lambda: _images(91, 153, 3, 8, 6), 1e-3),
        Case(
            lambda: _images(92, 141, 1, 10, 10, brightest=200),
            1e-3,
            if_it_raises=(
                "Your function runs with three channels and fails with one. Take their number from "
                "the images, `images.shape[1]`, or give `dim=(0, 2, 3)` to `mean` and `std`."
            ),
        ),
        Case(lambda: _images(93, 167, 4, 5, 9), 1e-3),
    ),
    mistakes=MISTAKES,
    praise=(
        "these are the numbers to normalise with. Over this many pixels it makes no difference "
        "whether you divide by their number or by one less."
    ),
)
