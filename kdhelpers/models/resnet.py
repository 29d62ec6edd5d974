"""ResNet18, with a stem for small images or with the one that was made for ImageNet."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers._values import check_choice, require
from kdhelpers.models.classifier import Classifier, scaled

CHANNELS = (64, 128, 256, 512)
# With fewer, PyTorch's 1×1 convolution of stride 2 writes beyond its memory in the channels-last
# layout on a CPU (seen with 2.15 at 2 and 4 channels).
NARROWEST = 8


class ResNet18(Classifier):
    """Eight residual blocks of two 3×3 convolutions (He et al. 2015, arXiv 1512.03385).

    Logits [B, num_classes] from images [B, in_channels, n, n]. Modules are named as in
    torchvision, whose ResNet18 is this one with `stem="imagenet"` and `width=1`.

    Args:
        width: multiplies all channels, for use on a CPU; default 1.
        stem: "cifar" is one 3×3 convolution that keeps the size of the image (default); "imagenet"
            is a 7×7 convolution of stride 2 and a pooling of stride 2, which leave 8×8 of a 32×32
            image before the first block and 1×1 in the last.

    Raises:
        ValueError: an image size that cannot be halved as often as needed, a width that leaves
            fewer than 8 channels, an unknown stem, or as for `Classifier`.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        stem: Literal["cifar", "imagenet"] = "cifar",
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        check_choice(stem, ("cifar", "imagenet"), name="stem")
        multiple = 8 if stem == "cifar" else 32
        super().__init__(in_channels, image_size, num_classes, multiple_of=multiple)
        first, *_, last = channels = [scaled(c, width) for c in CHANNELS]
        told = f"width {width} leaves {first} channels; ResNet18 needs {NARROWEST}."
        require(first >= NARROWEST, told)
        if stem == "cifar":
            self.conv1 = nn.Conv2d(in_channels, first, 3, padding=1, bias=False)
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(in_channels, first, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(_Block(before, after, stride), _Block(after, after, 1))
            for before, after, stride in zip(
                [first, *channels], channels, (1, 2, 2, 2), strict=False
            )
        )
        self.fc = nn.Linear(last, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(inputs))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.downsample(x))
