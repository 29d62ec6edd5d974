"""Teachers and students, by name."""

from typing import Any
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from kdhelpers.evaluation import size
from kdhelpers.models.build import MNISTCNN, LeNet, build, from_torchvision, image_size, names

# Parameters and multiply-accumulates for one image, counted by hand from the layers' shapes.
SIZES = {
    "mnist_cnn_teacher": (273_802, 29_578_762),
    "mnist_cnn_student": (9_098, 299_498),
    "lenet_teacher": (81_194, 282_974),
    "lenet_student": (46_164, 210_984),
    "vgg16": (14_724_042, 313_210_122),
    "vgg_small": (2_147_402, 96_148_874),
    "resnet18": (11_173_962, 555_432_330),
    "small_cnn": (545_098, 6_178_186),
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
WIDE = {
    name
    for name in SIZES
    if name.startswith(("vgg", "resnet", "fitnet")) and not name.startswith("fitnet_narrow")
}


def narrow(name: str, **options: Any) -> Any:
    """The network, at an eighth of its width where it has one: the tests need no more."""
    return build(name, **({"width": 0.125} if name in WIDE else {}), **options)


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def images_for(name: str, count: int) -> Tensor:
    return images(count, *build(name).input_shape)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_every_documented_network_can_be_built() -> None:
    assert names() == list(SIZES)


@pytest.mark.parametrize("name", names())
def test_parameters_and_macs_are_exact_and_documented(name: str) -> None:
    model = build(name)
    counted = size(model, model.input_shape)
    assert (counted.parameters, counted.macs) == SIZES[name]
    assert f"`{name}`" in str(build.__doc__)
    row = next(line for line in str(build.__doc__).splitlines() if f"`{name}`" in line)
    assert f"{counted.parameters:,}" in row
    assert f"{counted.macs / 1e6:.1f} million" in row
    assert "×".join(map(str, model.input_shape)) in row


def test_a_network_is_for_the_images_it_was_designed_for() -> None:
    assert [image_size(name) for name in names()] == [28, 28, *[32] * 13, 28, 28, 32, 32]
    assert [build(name).input_shape[0] for name in names()] == [*[1] * 4, *[3] * 11, 1, 1, 3, 3]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(("in_channels", "num_classes"), [(1, 10), (3, 7), (1, 2)])
def test_logits_have_one_row_an_image_and_one_column_a_class(
    name: str, in_channels: int, num_classes: int
) -> None:
    side = image_size(name)
    model = narrow(name, in_channels=in_channels, num_classes=num_classes, seed=0)
    logits = model(images(5, in_channels, side, side))
    assert logits.shape == (5, num_classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", names())
def test_every_parameter_takes_part_and_logits_are_not_clipped(name: str) -> None:
    model = narrow(name, seed=0)
    logits = model(images_for(name, 32))
    assert logits.min() < 0 < logits.max()
    logits.square().sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("size", [4, 8, 32])
def test_the_mnist_pair_takes_any_multiple_of_4(size: int) -> None:
    model = build("mnist_cnn_student", image_size=size)
    assert model(images(2, 1, size, size)).shape == (2, 10)


def test_pooling_before_relu_gives_the_same_numbers_as_relu_before_pooling() -> None:
    model = build("mnist_cnn_teacher", seed=0)
    assert isinstance(model, MNISTCNN)
    x = images(4, 1, 28, 28)
    hidden = F.max_pool2d(F.relu(model.conv1(x)), 2)
    hidden = F.max_pool2d(F.relu(model.conv2(hidden)), 2)
    assert torch.equal(model(x), model.fc(hidden.flatten(1)))


def test_lenet_is_lenet() -> None:
    model = build("lenet_teacher", seed=0)
    assert isinstance(model, LeNet)
    x = images(4, 1, 32, 32)
    hidden = F.max_pool2d(F.relu(model.conv1(x)), 2)
    hidden = F.max_pool2d(F.relu(model.conv2(hidden)), 2).flatten(1)
    expected = model.fc3(F.relu(model.fc2(F.relu(model.fc1(hidden)))))
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mnist_cnn_student", (2, 1, 32, 32)),
        ("mnist_cnn_student", (2, 3, 28, 28)),
        ("mnist_cnn_student", (2, 1, 28, 32)),
        ("mnist_cnn_student", (1, 28, 28)),
        ("mnist_cnn_student", (2, 784)),
        ("lenet_student", (2, 1, 28, 28)),
        ("lenet_student", (2, 3, 32, 32)),
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
        ("mnist_cnn_student", {"image_size": -4}, "image_size must be at least 1, got -4"),
        ("mnist_cnn_student", {"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ("lenet_student", {"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ("vgg16", {"image_size": 28}, "must be a multiple of 32, got 28"),
        ("vgg_small", {"image_size": 24}, "must be a multiple of 16, got 24"),
        ("resnet18", {"image_size": 28}, "must be a multiple of 8, got 28"),
        ("resnet18", {"image_size": 8, "stem": "imagenet"}, "must be a multiple of 32, got 8"),
        ("resnet18", {"stem": "mnist"}, "stem must be one of cifar, imagenet, got 'mnist'"),
        ("vgg16", {"head": "fc"}, "head must be one of linear, mlp, got 'fc'"),
        ("vgg16", {"width": 0}, "width must be a number from 1e-09 to 16, got 0"),
        ("vgg16", {"width": float("nan")}, "width must be a number from"),
        ("resnet18", {"width": 0.1}, "width 0.1 leaves 6 channels; ResNet18 needs 8"),
        ("resnet18", {"width": True}, "width must be a number from"),
        ("vgg16", {"stem": "cifar"}, "vgg16 has no option 'stem'; it takes blocks, width, head"),
        (
            "lenet_student",
            {"width": 0.5},
            "lenet_student has no option 'width'; it takes channels, hidden",
        ),
        (
            "small_cnn",
            {"head": "mlp"},
            "small_cnn has no option 'head'; it takes channels, hidden, padding, width",
        ),
        ("small_cnn", {"width": -1}, "width must be a number from 1e-09 to 16, got -1"),
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

    with pytest.raises(ValueError, match=f"it takes {documented(name)}\\.$"):
        build(name, colour="red")


def test_the_image_size_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown model 'vgg'"):
        image_size("vgg")


@pytest.mark.parametrize("name", names())
def test_a_seed_fixes_the_initial_weights(name: str) -> None:
    torch.manual_seed(1)
    first = weights(narrow(name, seed=3))
    torch.manual_seed(2)
    assert torch.equal(weights(narrow(name, seed=3)), first)
    assert not torch.equal(weights(narrow(name, seed=4)), first)


def test_a_seeded_build_touches_no_global_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded = []
    for device in (torch.cuda, torch.mps, torch.xpu):
        for name in ("manual_seed", "manual_seed_all"):
            monkeypatch.setattr(device, name, seeded.append, raising=False)
    before = torch.get_rng_state()
    build("mnist_cnn_student", seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []


def test_without_a_seed_weights_come_from_the_global_random_state() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = (weights(build("mnist_cnn_student")) for _ in range(2))
        torch.manual_seed(0)
        again = weights(build("mnist_cnn_student"))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


# -- the CIFAR-10 networks ------------------------------------------------------------------------


def test_vgg16_is_torchvisions_vgg16_with_one_linear_layer() -> None:
    ours, theirs = build("vgg16", seed=0), torchvision.models.vgg16_bn(weights=None)
    kernels = [m.weight.shape for m in theirs.features if isinstance(m, nn.Conv2d)]
    assert [m.weight.shape for m in ours.modules() if isinstance(m, nn.Conv2d)] == kernels
    with torch.no_grad():
        pairs = zip(
            (m for m in ours.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)),
            (m for m in theirs.features if isinstance(m, nn.Conv2d | nn.BatchNorm2d)),
            strict=True,
        )
        for mine, other in pairs:
            other.weight.copy_(mine.weight)
            if isinstance(mine, nn.Conv2d):
                other.bias.zero_()
    x = images(4, 3, 32, 32)
    expected = ours.head(theirs.features(x).flatten(1))  # type: ignore[operator]
    torch.testing.assert_close(ours(x), expected)


def test_the_small_vgg_has_layers_removed() -> None:
    channels = [
        [m.out_channels for m in build(name).modules() if isinstance(m, nn.Conv2d)]
        for name in ("vgg16", "vgg_small")
    ]
    assert channels == [
        [64, 64, 128, 128, *[256] * 3, *[512] * 6],
        [64, 128, 256, 256, 512],
    ]


def test_resnet18_with_the_imagenet_stem_is_torchvisions() -> None:
    ours = build("resnet18", stem="imagenet", seed=0)
    theirs = torchvision.models.resnet18(weights=None, num_classes=10)
    theirs.load_state_dict(ours.state_dict())
    x = images(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_the_stems_leave_different_images_to_the_last_block() -> None:
    sides = {}
    for stem in ("cifar", "imagenet"):
        model = build("resnet18", stem=stem, width=0.125, seed=0)
        found: list[Tensor] = []
        model.get_submodule("layer4").register_forward_hook(
            lambda *call, f=found: f.append(call[2])
        )
        model(images(2, 3, 32, 32))
        sides[stem] = found[0].shape[-1]
    assert sides == {"cifar": 4, "imagenet": 1}


def test_the_tutorials_pair_sees_six_by_six_pixels() -> None:
    for name, channels in (("cnn_teacher", 128), ("cnn_student", 64)):
        assert build(name).get_submodule("fc1").in_features == channels * 6 * 6


@pytest.mark.parametrize("width", [0.25, 0.5, 1])
def test_the_width_multiplies_the_channels(width: float) -> None:
    convolutions = [m for m in build("vgg16", width=width).modules() if isinstance(m, nn.Conv2d)]
    assert convolutions[0].out_channels == 64 * width
    assert convolutions[-1].out_channels == 512 * width
    assert build("vgg16", width=1e-6).get_submodule("head.0").in_features == 1


def test_the_width_of_the_small_cnn_multiplies_channels_and_hidden_units() -> None:
    model = build("small_cnn", width=0.25)
    assert [tuple(p.shape) for p in model.parameters() if p.ndim > 1] == [
        (8, 3, 3, 3), (16, 8, 3, 3), (32, 16 * 8 * 8), (10, 32)
    ]  # fmt: skip


def test_a_head_may_have_a_hidden_layer() -> None:
    added = [
        sum(p.numel() for p in build("vgg16", head=head).parameters()) for head in ("linear", "mlp")
    ]
    assert added[1] - added[0] == 512 * 512 + 512


# -- torchvision's networks -----------------------------------------------------------------------


def test_a_network_of_torchvision_gets_a_new_last_layer() -> None:
    model = from_torchvision("resnet18", weights=None, num_classes=7, seed=0)
    assert model(images(2, 3, 32, 32)).shape == (2, 7)
    assert torch.equal(
        weights(model), weights(from_torchvision("resnet18", weights=None, num_classes=7, seed=0))
    )
    vgg = from_torchvision("vgg11_bn", weights=None, num_classes=5)
    assert vgg.get_submodule("classifier.6").out_features == 5


def test_weights_that_cannot_be_downloaded_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(OSError, match=r"weights of resnet18 cannot be downloaded \(no network\)"):
        from_torchvision("resnet18")


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("resnet99", None, "no model 'resnet99'"),
        ("resnet18", "ALPHA", "torchvision has no weights 'ALPHA' for resnet18"),
        ("squeezenet1_0", None, "squeezenet1_0 does not end in a linear layer"),
    ],
)
def test_networks_that_torchvision_cannot_give_are_refused(
    name: str, given: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        from_torchvision(name, weights=given)


def test_the_plain_cnn_puts_a_relu_after_every_layer_but_the_last() -> None:
    network = build("small_cnn", width=0.25, seed=0).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x = images
    for convolution in (network.conv1, network.conv2):
        x = F.max_pool2d(convolution(x), 2).relu()
    hidden = network.fc1(x.flatten(1))
    assert (hidden < 0).any()  # so that the ReLU shows
    torch.testing.assert_close(network(images), network.fc2(hidden.relu()))
