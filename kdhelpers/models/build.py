"""Teachers and students, by name.

`build("mnist_cnn_student", seed=0)` gives a freshly initialised network; every network checks
the shape of its input, so that a wrong image size is one sentence and not a riddle about
matrix shapes.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

from torch import nn

from kdhelpers._random import initial_weights
from kdhelpers._values import require, short_repr
from kdhelpers.models.convnets import MNISTCNN, LeNet, NormCNN, PlainCNN
from kdhelpers.models.fitnets import NETWORKS as FITNETS
from kdhelpers.models.mlp import MLP
from kdhelpers.models.resnet import ResNet18
from kdhelpers.models.vgg import VGG, VGG16, VGG_SMALL


class _Recipe(NamedTuple):
    """A class, what it is given where `build` is not told otherwise, and the images it is for."""

    network: Callable[..., nn.Module]
    defaults: dict[str, Any]
    image_size: int
    in_channels: int

    @property
    def options(self) -> list[str]:
        """What the class takes beside the shapes of images and logits."""
        shapes = ("in_channels", "image_size", "num_classes")
        return [option for option in signature(self.network).parameters if option not in shapes]


_RECIPES = {
    "mnist_cnn_teacher": _Recipe(MNISTCNN, {"channels": (64, 256)}, 28, 1),
    "mnist_cnn_student": _Recipe(MNISTCNN, {"channels": (8, 16)}, 28, 1),
    "lenet_teacher": _Recipe(LeNet, {"channels": (6, 16), "hidden": (120, 84)}, 32, 1),
    "lenet_student": _Recipe(LeNet, {"channels": (6, 12), "hidden": (90, 64)}, 32, 1),
    "mlp_teacher": _Recipe(MLP, {"hidden": (1200, 1200)}, 28, 1),
    "mlp_student": _Recipe(MLP, {"hidden": (800, 800)}, 28, 1),
    "vgg16": _Recipe(VGG, {"blocks": VGG16}, 32, 3),
    "vgg_small": _Recipe(VGG, {"blocks": VGG_SMALL}, 32, 3),
    "resnet18": _Recipe(ResNet18, {}, 32, 3),
    "small_cnn": _Recipe(PlainCNN, {"channels": (32, 64), "hidden": 128, "padding": 1}, 32, 3),
    "norm_cnn": _Recipe(NormCNN, {"channels": (32, 64, 128), "hidden": 128}, 32, 3),
    "cnn_teacher": _Recipe(PlainCNN, {"channels": (64, 128), "hidden": 512, "padding": 0}, 32, 3),
    "cnn_student": _Recipe(PlainCNN, {"channels": (32, 64), "hidden": 256, "padding": 0}, 32, 3),
    **{n.name: _Recipe(n.make, {}, n.image_size, n.in_channels) for n in FITNETS},
}


def names() -> list[str]:
    """The names that `build` knows."""
    return list(_RECIPES)


def image_size(name: str) -> int:
    """The image size a network was designed for: what to load its data set with.

    Raises:
        ValueError: an unknown name.
    """
    return _recipe(name).image_size


def build(
    name: str,
    *,
    in_channels: int | None = None,
    image_size: int | None = None,
    num_classes: int = 10,
    seed: int | None = None,
    **options: Any,
) -> nn.Module:
    """A freshly initialised network by name.

    | name                    | parameters | MACs          | images  | options |
    |-------------------------|------------|---------------|---------|---|
    | `mnist_cnn_teacher`     | 273,802    | 29.6 million  | 1×28×28 | `channels` |
    | `mnist_cnn_student`     | 9,098      | 0.3 million   | 1×28×28 | `channels` |
    | `lenet_teacher`         | 81,194     | 0.3 million   | 1×32×32 | `channels`, `hidden` |
    | `lenet_student`         | 46,164     | 0.2 million   | 1×32×32 | `channels`, `hidden` |
    | `mlp_teacher`           | 2,395,210  | 2.4 million   | 1×28×28 | `hidden` |
    | `mlp_student`           | 1,276,810  | 1.3 million   | 1×28×28 | `hidden` |
    | `vgg16`                 | 14,724,042 | 313.2 million | 3×32×32 | `blocks`, `width` |
    | `vgg_small`             | 2,147,402  | 96.1 million  | 3×32×32 | `blocks`, `width` |
    | `resnet18`              | 11,173,962 | 555.4 million | 3×32×32 | `width`, `stem` |
    | `small_cnn`             | 545,098    | 6.2 million   | 3×32×32 | `channels`, `hidden`, `padding`, `width` |
    | `norm_cnn`              | 357,514    | 10.6 million  | 3×32×32 | `channels`, `hidden`, `dropout`, `width` |
    | `cnn_teacher`           | 2,440,586  | 16.5 million  | 3×32×32 | as `small_cnn` |
    | `cnn_student`           | 612,042    | 4.5 million   | 3×32×32 | as `small_cnn` |
    | `fitnet_teacher`        | 9,039,690  | 331.0 million | 3×32×32 | `hidden`, `kernel_size`, `grid`, `batch_norm`, `width` |
    | `fitnet1`               | 252,646    | 33.4 million  | 3×32×32 | as `fitnet_teacher` |
    | `fitnet2`               | 867,110    | 114.6 million | 3×32×32 | as `fitnet_teacher` |
    | `fitnet3`               | 1,611,486  | 361.7 million | 3×32×32 | as `fitnet_teacher` |
    | `fitnet4`               | 2,476,594  | 374.2 million | 3×32×32 | as `fitnet_teacher` |
    | `fitnet_mnist_teacher`  | 361,690    | 40.8 million  | 1×28×28 | as `fitnet_teacher` |
    | `fitnet_mnist_student`  | 29,842     | 7.1 million   | 1×28×28 | as `fitnet_teacher` |
    | `fitnet_narrow_teacher` | 123,606    | 1.8 million   | 3×32×32 | as `fitnet_teacher` |
    | `fitnet_narrow_student` | 12,114     | 1.0 million   | 3×32×32 | as `fitnet_teacher` |

    Counts are for the images shown, 10 classes and width 1; the `cnn` pair are the networks of a
    tutorial with its shape error corrected (see `PlainCNN`). A pair's name alone is its student:
    `build("mnist_cnn", channels=(4, 8))`.

    Args:
        in_channels: default, what the network was designed for.
        image_size: height and width of the images; default, what the network was designed for.
            The `lenet` pair takes 32 only, the others any multiple that they can pool.
        seed: fixes the initial weights without touching PyTorch's global random state;
            None draws them from it.
        options: in place of the network's own, as its class documents them.

    Raises:
        ValueError: an unknown name or option, an image size that does not fit, fewer than 2
            classes, or as the class of the network documents it.
    """  # noqa: E501
    recipe = _recipe(name)
    for option in options:
        told = f"{name} has no option {option!r}; it takes {', '.join(recipe.options)}."
        require(option in recipe.options, told)
    shape = {
        "in_channels": recipe.in_channels if in_channels is None else in_channels,
        "image_size": recipe.image_size if image_size is None else image_size,
    }
    with initial_weights(seed):
        return recipe.network(num_classes=num_classes, **shape, **recipe.defaults | options)


def _recipe(name: str) -> _Recipe:
    if isinstance(name, str):
        for known in (name, f"{name}_student"):
            if known in _RECIPES:
                return _RECIPES[known]
    raise ValueError(f"unknown model {short_repr(name)}; choose one of {', '.join(_RECIPES)}.")
