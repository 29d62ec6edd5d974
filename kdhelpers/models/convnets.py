"""Small convolutional networks: two or three convolutions and a few linear layers."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers._values import check_int, require
from kdhelpers.models.classifier import MOST_CHANNELS, Classifier, scaled, units


class MNISTCNN(Classifier):
    """Two 3×3 convolutions, each with ReLU and 2×2 max pooling, then one linear layer.

    Logits [B, num_classes] from images [B, in_channels, n, n], n a multiple of 4. Pooling comes
    before the ReLU: both orders give the same numbers (max and ReLU commute), and this one
    applies the ReLU to a quarter of the values.

    Raises:
        ValueError: layers of less than 1 unit, or as for `Classifier`.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        *,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes, multiple_of=4)
        units(channels, name="channels", count=2)
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.fc = nn.Linear(channels[1] * (image_size // 4) ** 2, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(inputs), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


class LeNet(Classifier):
    """LeNet-5 in modern dress (ReLU, max pooling, 3×3 convolutions) for 32×32 images.

    Logits [B, num_classes] from images [B, in_channels, 32, 32]; after LeCun et al. 1998,
    "Gradient-based learning applied to document recognition".

    Raises:
        ValueError: other images, layers of less than 1 unit, or as for `Classifier`.
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
        require(image_size == 32, f"LeNet is made for images of 32 pixels, got {image_size}.")
        units(channels, name="channels", count=2)
        units(hidden, name="hidden", count=2)
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3)
        self.fc1 = nn.Linear(channels[1] * 6 * 6, hidden[0])
        self.fc2 = nn.Linear(*hidden)
        self.fc3 = nn.Linear(hidden[1], num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(inputs), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))
        logits: Tensor = self.fc3(x)
        return logits


class PlainCNN(Classifier):
    """Two 3×3 convolutions, each with ReLU and 2×2 max pooling, a hidden and an output layer.

    Logits [B, num_classes] from images [B, in_channels, n, n]. With `padding` 1, n is a multiple
    of 4 and the hidden layer sees n/4 × n/4; with 0 the convolutions eat a border (32 → 30 → 15
    → 13 → 6), so a 32×32 image leaves 6×6, not the 28×28 that one tutorial writes.
    Pooling comes before the ReLU, as in `MNISTCNN`. `width` multiplies channels and hidden units.

    Raises:
        ValueError: a padding other than 0 or 1, layers of less than 1 unit, or as for `Classifier`.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        hidden: int,
        *,
        padding: int = 1,
        width: float = 1.0,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes, multiple_of=4)
        units(channels, name="channels", count=2)
        check_int(hidden, name="hidden", least=1, most=MOST_CHANNELS)
        check_int(padding, name="padding", most=1)
        first, second, hidden = (scaled(units, width) for units in (*channels, hidden))
        lost = 2 - 2 * padding
        side = ((image_size - lost) // 2 - lost) // 2
        require(side >= 1, f"images of {image_size} pixels are too small for PlainCNN.")
        self.conv1 = nn.Conv2d(in_channels, first, 3, padding=padding)
        self.conv2 = nn.Conv2d(first, second, 3, padding=padding)
        self.fc1 = nn.Linear(second * side**2, hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(inputs), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        logits: Tensor = self.fc2(F.relu(self.fc1(x.flatten(1))))
        return logits


class NormCNN(Classifier):
    """Three 3×3 convolutions with batch normalisation, 2×2 max pooling and ReLU, two linear layers.

    Logits [B, num_classes] from images [B, in_channels, n, n], n a multiple of 8. The five-layer
    CNN of haitongli/knowledge-distillation-pytorch (2018) for CIFAR-10, there with `dropout` 0 or
    0.5 before the last layer. `width` multiplies channels and hidden units.

    Raises:
        ValueError: a dropout outside of 0 to 1, layers of less than 1 unit, or as for `Classifier`.
    """

    def __init__(
        self,
        channels: tuple[int, int, int],
        hidden: int,
        *,
        dropout: float = 0.0,
        width: float = 1.0,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes, multiple_of=8)
        units(channels, name="channels", count=3)
        check_int(hidden, name="hidden", least=1, most=MOST_CHANNELS)
        *channels, hidden = (scaled(each, width) for each in (*channels, hidden))  # type: ignore
        blocks: list[nn.Module] = []
        for before, after in pairwise([in_channels, *channels]):
            blocks.append(nn.Conv2d(before, after, 3, padding=1))
            blocks += [nn.BatchNorm2d(after), nn.MaxPool2d(2), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        self.fc1 = nn.Linear(channels[-1] * (image_size // 8) ** 2, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        x = F.relu(self.norm(self.fc1(self.blocks(inputs).flatten(1))))
        logits: Tensor = self.fc2(self.dropout(x))
        return logits
