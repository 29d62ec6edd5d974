"""FitNets: a wide and shallow teacher, and students that are thinner and deeper than it.

One class serves all of them. `NETWORKS` lists those of the paper in a modern reading: ReLU instead
of maxout, with some 1.45 times the paper's channels, so that the number of parameters stays about
what it was; batch normalisation; and an average over the last map instead of its maximum.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers._values import check_int, is_int, require, short_repr
from kdhelpers.models.classifier import MOST_CHANNELS, Classifier, groups, scaled

MOST_STAGES = 10  # each halves the image

Stages = Sequence[Sequence[int]]


class FitNet(Classifier):
    """Stages of convolutions with 2×2 max pooling between them, then at most two linear layers.

    Logits [B, num_classes] from images [B, in_channels, n, n]. Layers are named for `capture`:
    `stage2.3` is the fourth layer of the second stage after its ReLU, `stage2.3.conv` and
    `stage2.3.norm` are what comes before it.

    Args:
        stages: the channels of each layer, stage by stage: ((16, 16), (32,)) has three layers.
            Each stage after the first works on maps of half the height and width.
        hidden: units of a linear layer with ReLU before the logits; 0 has none.
        kernel_size: of all convolutions, odd; they keep the size of a map.
        grid: the last map is averaged down to grid×grid cells; 1 is a global average.
        batch_norm: after each convolution; False gives the convolutions a bias instead.
        width: factor for all channels and for `hidden`, rounded: a narrow version for the CPU.

    Raises:
        ValueError: a stage without layers, a size below 1, an even kernel or one above 31, images
            that cannot be halved between the stages or whose last map cannot be cut into the
            grid, a width that is not positive, or as for `Classifier`.
    Source: Romero et al. 2014, arXiv 1412.6550.
    """

    def __init__(
        self,
        stages: Stages,
        *,
        hidden: int = 0,
        kernel_size: int = 3,
        grid: int = 1,
        batch_norm: bool = True,
        width: float = 1.0,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes)
        _check(stages, hidden, kernel_size, grid, image_size)
        self.grid = grid
        self._stages: list[str] = []
        channels = in_channels
        for number, sizes in enumerate(stages, start=1):
            layers = []
            for size in sizes:
                size = scaled(size, width)
                layers.append(_layer(channels, size, kernel_size, batch_norm=batch_norm))
                channels = size
            self._stages.append(f"stage{number}")
            self.add_module(self._stages[-1], nn.Sequential(*layers))
        features = channels * grid**2
        self.fc = nn.Linear(features, scaled(hidden, width)) if hidden else None
        self.head = nn.Linear(scaled(hidden, width) if hidden else features, num_classes)

    @property
    def hint_layer(self) -> str:
        """The path of the layer in the middle, the last of the middle stage.

        That is the guided layer of a student and the hint of its teacher: both have maps of one
        size, if both have equally many stages.
        """
        middle = self._stages[(len(self._stages) - 1) // 2]
        stage = self.get_submodule(middle)
        assert isinstance(stage, nn.Sequential)
        return f"{middle}.{len(stage) - 1}"

    def forward(self, x: Tensor) -> Tensor:
        for name in self._stages:
            if name != self._stages[0]:
                x = F.max_pool2d(x, 2)
            x = self.get_submodule(name)(x)
        x = F.adaptive_avg_pool2d(x, self.grid).flatten(1)
        if self.fc is not None:
            x = F.relu(self.fc(x))
        logits: Tensor = self.head(x)
        return logits


def _layer(inputs: int, outputs: int, kernel_size: int, *, batch_norm: bool) -> nn.Sequential:
    """Convolution, batch normalisation if wanted, ReLU, each with a name."""
    convolution = nn.Conv2d(
        inputs, outputs, kernel_size, padding=kernel_size // 2, bias=not batch_norm
    )
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=convolution)
    if batch_norm:
        parts["norm"] = nn.BatchNorm2d(outputs)
    parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def _check(stages: Stages, hidden: int, kernel_size: int, grid: int, image_size: int) -> None:
    groups(stages, name="stages")
    check_int(hidden, name="hidden", most=MOST_CHANNELS)
    told = f"kernel_size must be odd, to keep a map's size, got {short_repr(kernel_size)}"
    require(is_int(kernel_size) and kernel_size in range(1, 32, 2), f"{told}; 31 at most.")
    halvings = 2 ** (min(len(stages), MOST_STAGES) - 1)
    fits = len(stages) <= MOST_STAGES and image_size % halvings == 0
    wanted = f"image_size must be a multiple of {halvings} for {len(stages)} stages"
    require(fits, f"{wanted}, got {image_size}.")
    last = image_size // halvings
    told = f"grid must divide the last map of {last} pixels a side, got {short_repr(grid)}."
    require(is_int(grid) and grid >= 1 and last % grid == 0, told)


class Network(NamedTuple):
    """A network by name: `make(in_channels=…, image_size=…, num_classes=…)` builds it."""

    name: str
    make: Callable[..., FitNet]
    image_size: int
    in_channels: int


def _network(
    name: str, *stages: tuple[int, ...], image_size: int = 32, in_channels: int = 3, **options: Any
) -> Network:
    return Network(name, partial(FitNet, stages, **options), image_size, in_channels)


# The paper's layers count the linear ones too: its students have 11, 11, 13 and 19 layers.
_MNIST = {"image_size": 28, "in_channels": 1}
NETWORKS = (
    _network("fitnet_teacher", (128,), (256,), (256,), hidden=1600, kernel_size=5, grid=4),
    _network("fitnet1", (24,) * 3, (48,) * 3, (72, 72, 92), hidden=500),
    _network("fitnet2", (24, 48, 48), (68, 92, 116), (140, 140, 184), hidden=500),
    _network("fitnet3", (48, 72, 96, 96), (120,) * 4, (188,) * 3, hidden=500),
    _network("fitnet4", (44, 44, 44, 68, 68), (112,) * 6, (180,) * 6, hidden=500),
    _network("fitnet_mnist_teacher", (80,), (80,), (80,), kernel_size=5, grid=7, **_MNIST),
    _network("fitnet_mnist_student", (24, 24), (26, 26), (26, 26), **_MNIST),
    # Not the paper's: a pair that two CPU cores train in seconds, for lesson 04.
    _network("fitnet_narrow_teacher", (12,), (24,), (32,), (48,), hidden=128, grid=4),
    _network("fitnet_narrow_student", (8,), (8, 8), (16, 16, 16), (16, 16)),
)
