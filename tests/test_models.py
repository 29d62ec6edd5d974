"""Teachers and students, by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers.models import MNISTCNN, LeNet, build, image_size, names

PARAMETERS = {
    "mnist_cnn_teacher": 273_802,
    "mnist_cnn_student": 9_098,
    "lenet_teacher": 81_194,
    "lenet_student": 46_164,
}


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_every_documented_network_can_be_built() -> None:
    assert names() == list(PARAMETERS)


@pytest.mark.parametrize("name", names())
def test_parameter_counts_are_exact(name: str) -> None:
    assert sum(p.numel() for p in build(name).parameters()) == PARAMETERS[name]


def test_a_network_is_for_the_images_it_was_designed_for() -> None:
    assert [image_size(name) for name in names()] == [28, 28, 32, 32]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(("in_channels", "num_classes"), [(1, 10), (3, 7), (1, 2)])
def test_logits_have_one_row_an_image_and_one_column_a_class(
    name: str, in_channels: int, num_classes: int
) -> None:
    size = image_size(name)
    model = build(name, in_channels=in_channels, num_classes=num_classes, seed=0)
    logits = model(images(5, in_channels, size, size))
    assert logits.shape == (5, num_classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", names())
def test_logits_are_not_clipped(name: str) -> None:
    logits = build(name, seed=0)(images(5, 1, image_size(name), image_size(name)))
    assert logits.min() < 0 < logits.max()


@pytest.mark.parametrize("name", names())
def test_every_parameter_takes_part(name: str) -> None:
    model = build(name, seed=0)
    size = image_size(name)
    model(images(32, 1, size, size)).square().sum().backward()
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
    ],
)
def test_images_of_another_shape_are_refused_with_both_shapes(
    name: str, shape: tuple[int, ...]
) -> None:
    size = image_size(name)
    with pytest.raises(ValueError, match="takes images") as refused:
        build(name)(torch.zeros(shape))
    assert f"[B, 1, {size}, {size}]" in str(refused.value)
    assert str(list(shape)) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnist_cnn", {}, "unknown model 'mnist_cnn'; choose one of mnist_cnn_teacher, "),
        ("lenet_student", {"image_size": 28}, "LeNet is made for images of 32 pixels, got 28"),
        ("mnist_cnn_student", {"image_size": 30}, "must be a multiple of 4, got 30"),
        ("mnist_cnn_student", {"image_size": 0}, "must be a multiple of 4, got 0"),
        ("mnist_cnn_student", {"image_size": -4}, "must be a multiple of 4, got -4"),
        ("mnist_cnn_student", {"num_classes": 1}, "num_classes at least 2, got 1 and 1"),
        ("lenet_student", {"in_channels": 0}, "in_channels must be at least 1 .* got 0 and 10"),
    ],
)
def test_networks_that_cannot_be_are_refused(
    name: str, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_the_image_size_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown model 'vgg'"):
        image_size("vgg")


@pytest.mark.parametrize("name", names())
def test_a_seed_fixes_the_initial_weights(name: str) -> None:
    torch.manual_seed(1)
    first = weights(build(name, seed=3))
    torch.manual_seed(2)
    assert torch.equal(weights(build(name, seed=3)), first)
    assert not torch.equal(weights(build(name, seed=4)), first)


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
