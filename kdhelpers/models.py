"""Teachers and students, by name.

`build("mnist_cnn_student", seed=0)` gives a freshly initialised network; every network checks
the shape of its input, so that a wrong image size is one sentence and not a riddle about
matrix shapes.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MNISTCNN", "LeNet", "build", "image_size", "names"]


class _Classifier(nn.Module):
    """A network that knows the shape of its input and checks it."""

    def __init__(self, in_channels: int, image_size: int, num_classes: int) -> None:
        super().__init__()
        if in_channels < 1 or num_classes < 2:
            raise ValueError(
                "in_channels must be at least 1 and num_classes at least 2, "
                f"got {in_channels} and {num_classes}."
            )
        self.input_shape = (in_channels, image_size, image_size)
        self.num_classes = num_classes

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` is [B, C, H, W] with the C, H, W of this network."""
        if inputs.ndim != 4 or tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(
                f"{type(self).__name__} takes images [B, {', '.join(map(str, self.input_shape))}], "
                f"got {list(inputs.shape)}; load the data with "
                f"image_size={self.input_shape[-1]} or build the network for these images."
            )


class MNISTCNN(_Classifier):
    """Two 3×3 convolutions, each with ReLU and 2×2 max pooling, then one linear layer.

    Logits [B, num_classes] from images [B, in_channels, n, n], n a multiple of 4. Pooling comes
    before the ReLU: both orders give the same numbers (max and ReLU commute), and this one
    applies the ReLU to a quarter of the values.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        *,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes)
        if image_size < 4 or image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {image_size}.")
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.fc = nn.Linear(channels[1] * (image_size // 4) ** 2, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        self.check(inputs)
        x = F.relu(F.max_pool2d(self.conv1(inputs), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


class LeNet(_Classifier):
    """LeNet-5 in modern dress (ReLU, max pooling, 3×3 convolutions) for 32×32 images.

    Logits [B, num_classes] from images [B, in_channels, 32, 32]; after LeCun et al. 1998,
    "Gradient-based learning applied to document recognition".
    """

    def __init__(
        self,
        channels: tuple[int, int],
        hidden: tuple[int, int],
        *,
        in_channels: int = 1,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes)
        if image_size != 32:
            raise ValueError(f"LeNet is made for images of 32 pixels, got {image_size}.")
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3)
        self.fc1 = nn.Linear(channels[1] * 6 * 6, hidden[0])
        self.fc2 = nn.Linear(*hidden)
        self.fc3 = nn.Linear(hidden[1], num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        self.check(inputs)
        x = F.relu(F.max_pool2d(self.conv1(inputs), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))
        logits: Tensor = self.fc3(x)
        return logits


class _Recipe(NamedTuple):
    make: Callable[..., nn.Module]
    image_size: int


_RECIPES = {
    "mnist_cnn_teacher": _Recipe(lambda **kw: MNISTCNN((64, 256), **kw), 28),
    "mnist_cnn_student": _Recipe(lambda **kw: MNISTCNN((8, 16), **kw), 28),
    "lenet_teacher": _Recipe(lambda **kw: LeNet((6, 16), (120, 84), **kw), 32),
    "lenet_student": _Recipe(lambda **kw: LeNet((6, 12), (90, 64), **kw), 32),
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
    in_channels: int = 1,
    image_size: int | None = None,
    num_classes: int = 10,
    seed: int | None = None,
) -> nn.Module:
    """A freshly initialised network by name.

    | name                | parameters (1 channel, 10 classes) | images       |
    |---------------------|------------------------------------|--------------|
    | `mnist_cnn_teacher` | 273,802                            | 28×28        |
    | `mnist_cnn_student` | 9,098                              | 28×28        |
    | `lenet_teacher`     | 81,194                             | 32×32        |
    | `lenet_student`     | 46,164                             | 32×32        |

    Args:
        image_size: height and width of the images; default, what the network was designed for.
            The `mnist_cnn` pair takes any multiple of 4, the `lenet` pair 32 only.
        seed: fixes the initial weights without touching PyTorch's global random state;
            None draws them from it.

    Raises:
        ValueError: an unknown name, an image size that does not fit, fewer than 2 classes.
    """
    recipe = _recipe(name)
    size = recipe.image_size if image_size is None else image_size
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
        return recipe.make(in_channels=in_channels, image_size=size, num_classes=num_classes)


def _recipe(name: str) -> _Recipe:
    if name not in _RECIPES:
        raise ValueError(f"unknown model {name!r}; choose one of {', '.join(_RECIPES)}.")
    return _RECIPES[name]
