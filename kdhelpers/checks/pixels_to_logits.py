"""Lesson 08: `answer(model, pixels, mean, std)` → the logits [B, classes], from raw pixels.

`pixels` is uint8 [B, C, H, W]; `mean` and `std` are tensors [C], for pixels scaled to 0..1;
`model` was trained on (scaled pixels − mean) / std. What is written here goes into the file.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, numbers, returned
from kdhelpers.checks.networks import with_fixed_weights


def _channels(values: Tensor) -> Tensor:
    return values[:, None, None]


def solution(
    model: nn.Module,
    pixels: Tensor,
    mean: Tensor,
    std: Tensor,
    *,
    scaled: Way = lambda pixels: pixels.float() / 255,
    along: Way = _channels,
    normal: Way = lambda x, mean, std: (x - mean) / std,
) -> Any:
    logits: Tensor = model(normal(scaled(pixels), along(mean), along(std)))
    return logits


class _Float(nn.Module):
    """Whatever type of numbers the learner's pixels have become."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float()


def _inputs(seed: int, count: int, channels: int, height: int, width: int) -> dict[str, Any]:
    features = channels * height * width
    layers = _Float(), nn.Flatten(), nn.Linear(features, 4, dtype=torch.float32)
    noise = numbers(seed, count, channels, height, width)
    pixels = (120 + 50 * noise + torch.linspace(-40, 60, channels)[:, None, None]).clamp(0, 240)
    return {
        "model": with_fixed_weights(nn.Sequential(*layers), seed).eval(),
        "pixels": pixels.to(torch.uint8),
        "mean": torch.linspace(0.31, 0.62, channels, dtype=torch.float32),
        "std": torch.linspace(0.34, 0.19, channels, dtype=torch.float32),
    }


def _own(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)


# fmt: off
MISTAKES: Mistakes = {
    "The pixels still go from 0 to 255, or `mean` and `std` are divided by 255 as well, which "
    "comes to the same. Divide the pixels by 255, and nothing else.":
        dict(depth=3, scaled=lambda pixels: pixels.float()),
    "You divide by 256. The largest pixel is 255 and should become 1.":
        dict(scaled=lambda pixels: pixels.float() / 256),
    "`//` divides whole numbers, and all pixels but the brightest become 0. Use `/`.":
        dict(scaled=lambda pixels: (pixels // 255).float()),
    "Your pixels go from −1 to 1. The mean and the deviation are those of pixels from 0 to 1.":
        dict(scaled=lambda pixels: pixels.float() / 127.5 - 1),
    "You scale by the brightest pixel that is there. A dark picture would be made bright: divide "
    "by 255.": dict(scaled=lambda pixels: pixels.float() / pixels.max()),
    "The normalisation is missing: the model was trained on (pixels − mean) / std, and gets "
    "pixels from 0 to 1.": dict(normal=lambda x, mean, std: x),
    "The division by `std` is missing.": dict(normal=lambda x, mean, std: x - mean),
    "The mean is not subtracted.": dict(normal=lambda x, mean, std: x / std),
    "You divide by `std` before you subtract the mean. The mean is that of the pixels: subtract "
    "first, with brackets.": dict(normal=lambda x, mean, std: x / std - mean),
    "You multiply by `std`. A deviation of 1 comes from dividing by it.":
        dict(normal=lambda x, mean, std: (x - mean) * std),
    "You subtract the mean before the pixels are divided by 255. It is that of pixels from 0 to 1: "
    "divide first.": dict(normal=lambda x, mean, std: (x - mean / 255) / std),
    "You add the mean. Subtract it.": dict(normal=lambda x, mean, std: (x + mean) / std),
    "The sign is turned round: pixels minus mean, not mean minus pixels.":
        dict(normal=lambda x, mean, std: (mean - x) / std),
    "Brackets are missing: a division is done before a subtraction.":
        dict(normal=lambda x, mean, std: x - mean / std),
    "You divide by the variance, or by a root. Divide by `std` itself.":
        [dict(normal=lambda x, mean, std, power=power: (x - mean) / std**power)
         for power in (2, 0.5)],
    "You cut off what lies outside of 0 to 1 after the normalisation. Dark pixels are negative "
    "then, and should be.":
        [dict(normal=lambda x, mean, std, low=low: ((x - mean) / std).clamp(low, 1))
         for low in (0, -1)],
    "You normalise with the statistics of the pictures that happen to be asked about, so an "
    "answer depends on its neighbours in the batch. Use `mean` and `std` of the training pictures.":
        dict(normal=_own),
    "Mean and deviation meet the columns of the picture: [C] is lined up with the last dimension. "
    "Give it two more, `mean[:, None, None]`.": dict(along=lambda values: values),
    "One mean for all channels: each has its own.": dict(along=lambda values: values.mean()),
    "You change the order of the pictures' channels (RGB, BGR). The model takes them as they come.":
        dict(scaled=lambda pixels: pixels.flip(1).float() / 255),
    "You exchange height and width, or turn the pictures round. The model takes them as they come.":
        [dict(scaled=lambda pixels, turned=turned: turned(pixels).float() / 255)
         for turned in (lambda x: x.mT, lambda x: x.flip(2), lambda x: x.flip(3))],
    "`mean` and `std` meet the channels in reverse order, as if the pictures were BGR. These are "
    "not.": dict(along=lambda values: _channels(values.flip(0))),
    "These are probabilities. The file gives logits, as the network does: what is done with them, "
    "a temperature for instance, is decided later.": dict(then=lambda z: z.softmax(1)),
    "These are log-probabilities. Return the logits.": dict(then=lambda z: z.log_softmax(1)),
    "This is the class of each picture. Return the logits [B, classes].":
        dict(then=lambda z: z.argmax(1)),
}
# fmt: on

pixels_to_logits = Exercise(
    task=__doc__,
    observe=returned("logits", wanted="the logits as a tensor [B, classes]"),
    solution=solution,
    cases=Case.each_of(_inputs, (1, 5, 3, 4, 3), (2, 2, 3, 5, 5), (3, 4, 1, 4, 4)),
    mistakes=MISTAKES,
    parts={
        "With a mean of 0 and a deviation of 1 your logits are right, so look at how `mean` and "
        "`std` meet the pixels.": {"mean": torch.zeros(1), "std": torch.ones(1)},
    },
    praise=(
        "whoever uses the file now needs no constant of yours: it takes what a decoder gives, and "
        "nothing can be forgotten or divided twice."
    ),
)
