"""FitNets: sizes, names of layers, and what cannot be built."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers.models import build
from kdhelpers.models.features import capture
from kdhelpers.models.fitnets import FitNet


def images(count: int, channels: int, pixels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, pixels, pixels, generator=generator)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_forward_pass_is_what_the_docstring_says(batch_norm: bool) -> None:
    torch.manual_seed(0)
    options = {"hidden": 5, "grid": 2, "image_size": 16, "batch_norm": batch_norm}
    model = FitNet(((4, 6), (8,), (7,)), **options).eval()
    x = images(3, 3, 16)
    expected = x
    for number, stage in enumerate((model.stage1, model.stage2, model.stage3)):
        expected = F.max_pool2d(expected, 2) if number else expected
        for layer in stage:
            assert (layer.conv.bias is None) is batch_norm
            expected = layer.conv(expected)
            expected = F.relu(layer.norm(expected) if batch_norm else expected)
    assert expected.shape == (3, 7, 4, 4)
    expected = F.avg_pool2d(expected, 2).flatten(1)
    torch.testing.assert_close(model(x), model.head(F.relu(model.fc(expected))))


@pytest.mark.parametrize(
    ("width", "channels", "hidden"),
    [(1.0, [8, 12], 20), (0.5, [4, 6], 10), (0.3, [2, 4], 6), (0.01, [1, 1], 1), (2, [16, 24], 40)],
)
def test_width_scales_channels_and_hidden_units(
    width: float, channels: list[int], hidden: int
) -> None:
    model = FitNet(((8,), (12,)), hidden=20, width=width)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == channels
    assert model.fc.out_features == model.head.in_features == hidden


# -- layers by name -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (((4,),), "stage1.0"),
        (((4, 4), (4, 4, 4)), "stage1.1"),
        (((4,), (4,) * 6, (4,)), "stage2.5"),
        (((4,), (4,), (4,), (4,)), "stage2.0"),
        (((4,), (4,), (4, 4), (4,), (4,)), "stage3.1"),
    ],
)
def test_the_hint_layer_ends_the_middle_stage(
    stages: tuple[tuple[int, ...], ...], expected: str
) -> None:
    assert FitNet(stages).hint_layer == expected


@pytest.mark.parametrize("pair", ["fitnet1 fitnet_teacher", "fitnet4 fitnet_teacher",
                                  "fitnet_mnist_student fitnet_mnist_teacher"])  # fmt: skip
def test_hint_layers_of_a_pair_have_maps_of_one_size(pair: str) -> None:
    for name in pair.split():
        model = build(name, width=0.1)
        channels, side, _ = model.input_shape
        with capture(model, model.hint_layer, stop_at_deepest=True) as features:
            model(images(2, channels, side))
        assert features[model.hint_layer].shape[2:] == (side // 2, side // 2)


# -- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ()}, r"stages must be one or more groups of channels .* got \(\)"),
        ({"stages": ((4,), ())}, r"groups of channels of at least 1, got \(\(4,\), \(\)\)"),
        ({"stages": ((4,), (0,))}, r"channels of at least 1, got \(\(4,\), \(0,\)\)"),
        ({"hidden": -1}, "hidden must be at least 0, got -1"),
        ({"kernel_size": 2}, "kernel_size must be odd, to keep a map's size, got 2;"),
        ({"image_size": 30}, "must be a multiple of 4 for 3 stages, got 30"),
        ({"grid": 3}, "grid must divide the last map of 8 pixels a side, got 3"),
        ({"grid": 0}, "grid must divide the last map of 8 pixels a side, got 0"),
    ],
)
def test_networks_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    arguments = {"stages": ((4,), (4,), (4,))} | options
    with pytest.raises(ValueError, match=message):
        FitNet(**arguments)
