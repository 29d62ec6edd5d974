"""Teachers and students, by name."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import vgg

from kdhelpers import models
from kdhelpers.evaluation import size
from kdhelpers.models.build import MNISTCNN, build, image_size, names

# Parameters and multiply-accumulates for one image, counted by hand from the layers' shapes.
SIZES = {
    "mnist_cnn_teacher": (273_802, 29_578_762),
    "mnist_cnn_student": (9_098, 299_498),
    "lenet_teacher": (81_194, 282_974),
    "lenet_student": (46_164, 210_984),
    "mlp_teacher": (2_395_210, 2_395_210),
    "mlp_student": (1_276_810, 1_276_810),
    "vgg16": (14_724_042, 313_210_122),
    "vgg_small": (2_147_402, 96_148_874),
    "resnet18": (11_173_962, 555_432_330),
    "small_cnn": (545_098, 6_178_186),
    "norm_cnn": (357_514, 10_643_530),
    "cnn_teacher": (2_440_586, 16_459_402),
    "cnn_student": (612_042, 4_524_874),
    "fitnet_teacher": (9_039_690, 330_975_690),
    "fitnet1": (252_646, 33_395_902),
    "fitnet2": (867_110, 114_617_246),
    "fitnet3": (1_611_486, 361_701_198),
    "fitnet4": (2_476_594, 374_167_774),
    "fitnet_mnist_teacher": (361_690, 40_807_690),
    "fitnet_mnist_student": (29_842, 7_123_606),
    "fitnet_narrow_teacher": (123_606, 1_758_834),
    "fitnet_narrow_student": (12_114, 958_842),
}


def narrow(name: str, **options: Any) -> Any:
    """The network, at an eighth of its width where that leaves enough: the tests need no more."""
    wide = name.startswith(("vgg", "resnet", "fitnet")) and "narrow" not in name
    return build(name, **({"width": 0.125} if wide else {}), **options)


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_every_documented_network_can_be_built() -> None:
    assert names() == list(SIZES)


@pytest.mark.parametrize("name", names())
def test_parameters_and_macs_are_exact_and_documented(name: str) -> None:
    model = build(name)
    assert type(model).__name__ in models.__all__
    counted = size(model, model.input_shape)
    assert (counted.parameters, counted.macs) == SIZES[name]
    row = next(line for line in str(build.__doc__).splitlines() if f"`{name}`" in line)
    assert f"{counted.parameters:,}" in row
    assert f"{counted.macs / 1e6:.1f} million" in row
    assert "×".join(map(str, model.input_shape)) in row
    assert image_size(name) == model.input_shape[1]


@pytest.mark.parametrize("name", names())
def test_logits_are_one_row_an_image_not_clipped_and_use_every_parameter(name: str) -> None:
    side = image_size(name)
    model = narrow(name, in_channels=2, num_classes=7, seed=0)  # of no network's own
    logits = model(images(32, 2, side, side))
    assert logits.shape == (32, 7)
    assert logits.min() < 0 < logits.max()
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_cnn_with_batch_norm_draws_random_numbers_only_with_dropout() -> None:
    plain, dropping = (build("norm_cnn", width=0.25, dropout=p, seed=0) for p in (0.0, 0.5))
    x = images(16, 3, 32, 32)
    for network, same in ((plain, True), (dropping, False)):
        assert torch.equal(network(x), network(x)) is same
    assert torch.equal(plain.eval()(x), dropping.load_state_dict(plain.state_dict()) and plain(x))


@pytest.mark.parametrize("size", [4, 8, 32])
def test_the_mnist_pair_takes_any_multiple_of_4_and_two_classes(size: int) -> None:
    model = build("mnist_cnn_student", image_size=size, num_classes=2)
    assert model(images(2, 1, size, size)).shape == (2, 2)


def pooled(model: nn.Module, x: Tensor) -> Tensor:
    """Two convolutions, each with ReLU and then pooling, the other way round than in the models."""
    for layer in ("conv1", "conv2"):
        x = F.max_pool2d(F.relu(model.get_submodule(layer)(x)), 2)
    return x.flatten(1)


def test_small_networks_have_a_relu_after_every_layer_but_the_last() -> None:
    """Pooling before the ReLU gives the same numbers as ReLU before pooling."""
    mnist, lenet = build("mnist_cnn_teacher", seed=0), build("lenet_teacher", seed=0)
    x = images(4, 1, 28, 28)
    assert torch.equal(mnist(x), mnist.fc(pooled(mnist, x)))
    x = images(4, 1, 32, 32)
    expected = lenet.fc3(F.relu(lenet.fc2(F.relu(lenet.fc1(pooled(lenet, x))))))
    torch.testing.assert_close(lenet(x), expected)
    plain, x = build("small_cnn", width=0.25, seed=0), images(2, 3, 32, 32)
    hidden = plain.fc1(pooled(plain, x))
    assert (hidden < 0).any()  # so that the ReLU shows
    torch.testing.assert_close(plain(x), plain.fc2(hidden.relu()))
    flat, x = build("mlp", hidden=(7, 5), seed=0), images(4, 1, 28, 28)
    hidden = flat.fc2(flat.fc1(x.flatten(1)).relu())
    assert (hidden < 0).any()
    torch.testing.assert_close(flat(x), flat.fc3(hidden.relu()))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mnist_cnn_student", (2, 1, 28, 32)),
        ("mnist_cnn_student", (1, 28, 28)),
        ("lenet_student", (2, 1, 28, 28)),
        ("vgg16", (2, 1, 32, 32)),
        ("resnet18", (2, 3, 64, 64)),
        ("small_cnn", (2, 3, 28, 28)),
        ("fitnet1", (2, 3, 32, 16)),
    ],
)
def test_images_of_another_shape_are_refused_with_both_shapes(
    name: str, shape: tuple[int, ...]
) -> None:
    model = build(name)
    with pytest.raises(ValueError, match="takes images") as refused:
        model(torch.zeros(shape))
    assert f"[B, {', '.join(map(str, model.input_shape))}]" in str(refused.value)
    assert str(list(shape)) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnist", {}, "unknown model 'mnist'; choose one of mnist_cnn_teacher, "),
        ("lenet_student", {"image_size": 28}, "LeNet is made for images of 32 pixels, got 28"),
        ("mnist_cnn_student", {"image_size": 30}, "must be a multiple of 4, got 30"),
        ("mnist_cnn_student", {"image_size": 0}, "image_size must be at least 1, got 0"),
        ("mnist_cnn_student", {"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ("lenet_student", {"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ("vgg16", {"image_size": 28}, "must be a multiple of 32, got 28"),
        ("resnet18", {"image_size": 28}, "must be a multiple of 8, got 28"),
        ("resnet18", {"image_size": 8, "stem": "imagenet"}, "must be a multiple of 32, got 8"),
        ("resnet18", {"stem": "mnist"}, "stem must be one of cifar, imagenet, got 'mnist'"),
        ("vgg16", {"width": 0}, "width must be a number from 1e-09 to 16, got 0"),
        ("resnet18", {"width": 0.1}, "width 0.1 leaves 6 channels; ResNet18 needs 8"),
        ("vgg16", {"stem": "cifar"}, "vgg16 has no option 'stem'; it takes blocks, width"),
        ("cnn_student", {"image_size": 4}, "images of 4 pixels are too small"),
    ],
)
def test_networks_that_cannot_be_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_a_pairs_name_alone_is_its_student_and_options_stand_in_for_its_own() -> None:
    mine = build("mnist_cnn", channels=(4, 8), seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        assert torch.equal(weights(mine), weights(MNISTCNN((4, 8))))
    assert torch.equal(
        weights(build("mnist_cnn", seed=0)), weights(build("mnist_cnn_student", seed=0))
    )
    assert build("lenet", hidden=(7, 5)).get_submodule("fc2").weight.shape == (5, 7)
    assert build("fitnet1", hidden=0, width=0.1).get_submodule("head").in_features == 9
    assert image_size("mnist_cnn") == 28


@pytest.mark.parametrize("name", names())
def test_the_documented_options_are_those_that_are_taken(name: str) -> None:
    def documented(name: str) -> str:
        row = next(line for line in str(build.__doc__).splitlines() if f"| `{name}`" in line)
        options = row.split("|")[5].replace("`", "").strip()
        return documented(options[3:]) if options.startswith("as ") else options

    with pytest.raises(ValueError, match=f"{name} has no .* it takes {documented(name)}\\.$"):
        build(name, colour="red")


@pytest.mark.parametrize("name", names())
@pytest.mark.usefixtures("global_random_state_is_left_alone")
def test_a_seed_fixes_the_initial_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    for device in (torch.cuda, torch.mps, torch.xpu):
        for seed in ("manual_seed", "manual_seed_all"):
            monkeypatch.setattr(device, seed, seeded.append, raising=False)
    first, again, other = (weights(narrow(name, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not seeded  # no other device's state either


def test_without_a_seed_weights_come_from_the_global_random_state() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = (weights(build("mnist_cnn_student")) for _ in range(2))
        torch.manual_seed(0)
        assert torch.equal(weights(build("mnist_cnn_student")), first)
    assert not torch.equal(first, second)


# -- the CIFAR-10 networks ------------------------------------------------------------------------


def test_vgg16_is_torchvisions_vgg16_with_one_linear_layer() -> None:
    theirs = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)  # without its linear layers
    ours = build("vgg16", seed=0)
    layers = [
        [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        for network in (ours, theirs)
    ]
    for mine, other in zip(*layers, strict=True):
        assert mine.weight.shape == other.weight.shape
        other.weight = mine.weight
        if isinstance(mine, nn.Conv2d):
            nn.init.zeros_(other.bias)
    x = images(2, 3, 32, 32)
    torch.testing.assert_close(ours(x), ours.head(theirs(x).flatten(1)))


def test_resnet18_with_the_imagenet_stem_is_torchvisions() -> None:
    ours = build("resnet18", stem="imagenet", seed=0)
    theirs = torchvision.models.resnet18(weights=None, num_classes=10)
    theirs.load_state_dict(ours.state_dict())
    x = images(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_the_width_multiplies_the_channels() -> None:
    widths = {0.25: (16, 128), 0.5: (32, 256), 1: (64, 512), 1e-6: (1, 1)}
    for width, channels in widths.items():
        model = build("vgg16", width=width)
        first, last = model.get_submodule("blocks.0.0"), model.get_submodule("blocks.4.6")
        assert (first.out_channels, last.out_channels) == channels


def test_the_width_of_the_small_cnn_multiplies_channels_and_hidden_units() -> None:
    model = build("small_cnn", width=0.25)
    assert [tuple(p.shape) for p in model.parameters() if p.ndim > 1] == [
        (8, 3, 3, 3), (16, 8, 3, 3), (32, 16 * 8 * 8), (10, 32)
    ]  # fmt: skip
