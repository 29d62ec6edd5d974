"""VGG networks for small images: blocks of 3×3 convolutions, each block ending in pooling."""

from collections.abc import Sequence

from torch import Tensor, nn

from kdhelpers.models.classifier import Classifier, groups, scaled

# Channels of the convolutions, block by block.
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
VGG_SMALL = ((64,), (128,), (256, 256), (512,))  # the first convolutions of VGG16's blocks


class VGG(Classifier):
    """Configuration D of Simonyan & Zisserman 2014 (arXiv 1409.1556) and its relatives.

    Logits [B, num_classes] from images [B, in_channels, n, n], n a multiple of 2 to the number
    of blocks (32 for VGG16). Each convolution is followed by batch normalisation (Ioffe &
    Szegedy 2015, arXiv 1502.03167), without which 13 layers hardly train from scratch, and by
    ReLU; what is left of the image after the last block is averaged, and one linear layer follows.

    Args:
        blocks: channels of the convolutions of each block.
        width: multiplies all channels, for use on a CPU; default 1.

    Raises:
        ValueError: no block or one without layers, an image size that the blocks cannot halve, a
            width that is not positive, or as for `Classifier`.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]] = VGG16,
        *,
        width: float = 1.0,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        blocks = groups(blocks, name="blocks")
        super().__init__(in_channels, image_size, num_classes, multiple_of=2 ** len(blocks))
        self.blocks = nn.Sequential()
        features = in_channels
        for block in blocks:
            layers: list[nn.Module] = []
            for channels in block:
                layers += _convolution(features, features := scaled(channels, width))
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        # Of one layer, so that weights keep the names under which they have been stored.
        self.head = nn.Sequential(nn.Linear(features, num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(inputs).mean(dim=(2, 3)))
        return logits


def _convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    # Batch normalisation subtracts the mean, and with it whatever a bias would have added.
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]
