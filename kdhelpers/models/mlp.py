"""Networks without convolutions, which see no neighbourhood among the pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers.models.classifier import Classifier, units


class MLP(Classifier):
    """Two fully connected hidden layers with ReLU, then the logits.

    Logits [B, num_classes] from images [B, in_channels, image_size, image_size] of any size. With
    1,200 and 800 hidden units a layer the two networks of Hinton et al. 2015 (arXiv 1503.02531,
    section 3), there trained on MNIST, the larger one with dropout and jittered images.

    Raises:
        ValueError: other than two hidden layers, one of less than 1 unit, or as for `Classifier`.
    """

    def __init__(
        self,
        hidden: tuple[int, int],
        *,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes)
        first, second = units(hidden, name="hidden", count=2)
        self.fc1 = nn.Linear(in_channels * image_size**2, first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        x = F.relu(self.fc2(F.relu(self.fc1(inputs.flatten(1)))))
        logits: Tensor = self.fc3(x)
        return logits
