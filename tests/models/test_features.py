"""Capturing hidden layers, and the regressor."""

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from kdhelpers.losses import hint_loss
from kdhelpers.models.features import Regressor, capture


class Block(nn.Module):
    """Convolution, in-place ReLU, and a side that only runs on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.unused = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(Block(), nn.AvgPool2d(2))
        self.lstm = nn.LSTM(16, 5, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage(x).flatten(2)
        x = self.lstm(x)[0][:, -1]
        self.calls += 1
        return self.head(x)


@pytest.fixture
def net() -> Iterator[Net]:
    torch.manual_seed(0)
    model = Net()
    yield model
    assert not any(m._forward_hooks for m in model.modules()), "a hook was left behind"


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


# What is captured


@pytest.mark.parametrize("training", [False, True])
def test_captures_what_the_layers_put_out(net: Net, images: Tensor, training: bool) -> None:
    net.train(training)
    expected = net(images)
    with capture(net, "stage.0", "stage.0.conv", "head") as features:
        net(images[:1])  # the next pass overwrites it
        output = net(images)
    assert list(features) == ["stage.0.conv", "stage.0", "head"]  # in the order they ran
    assert torch.equal(output, expected)
    assert torch.equal(features["head"], output)
    assert torch.equal(features["stage.0.conv"], net.stage[0].conv(images))
    assert torch.equal(features["stage.0"], net.stage[0](images))
    assert all(m.training is training for m in net.modules())


def test_an_in_place_activation_does_not_reach_back(net: Net, images: Tensor) -> None:
    with capture(net.eval(), "stage.0.norm", "stage.0.act") as features:
        net(images)
    assert features["stage.0.norm"].min() < 0
    assert torch.equal(features["stage.0.norm"].relu(), features["stage.0.act"])


def test_gradients_are_those_of_the_plain_model_and_flow_through_the_features(
    net: Net, images: Tensor
) -> None:
    expected = torch.autograd.grad(net(images).sum(), list(net.parameters()))
    with capture(net, "stage.0.norm", "stage.0") as features:
        output = net(images).sum()
    into = features["stage.0.norm"]
    assert torch.autograd.grad(output, into, retain_graph=True)[0].norm() > 0
    actual = torch.autograd.grad(output, list(net.parameters()), retain_graph=True)
    assert all(torch.equal(a, e) for a, e in zip(actual, expected, strict=True))
    into.square().mean().backward()
    assert net.stage[0].conv.weight.grad is not None
    assert net.head.weight.grad is None


def test_autocast_and_no_grad(net: Net, images: Tensor) -> None:
    with (
        torch.no_grad(),
        torch.autocast("cpu", dtype=torch.bfloat16),
        capture(net.eval(), "stage.0.conv") as features,
    ):
        net(images)
    assert features["stage.0.conv"].dtype == torch.bfloat16
    assert not features["stage.0.conv"].requires_grad


def test_a_shared_layer_is_found_under_each_name(images: Tensor) -> None:
    conv = nn.Conv2d(3, 3, 1)
    model = nn.Sequential(conv, conv)
    with capture(model, "0", "1") as features:
        output = model(images)
    assert torch.equal(features["0"], output)
    assert torch.equal(features["1"], output)


# Stopping


def test_stops_at_the_deepest_layer(net: Net, images: Tensor) -> None:
    with capture(net, "stage.0.conv", "stage.0.norm", stop_at_deepest=True) as features:
        net(images)
        pytest.fail("the block must end with the pass")
    assert net.calls == 0
    assert torch.equal(features["stage.0.conv"], net.stage[0].conv(images))
    net(images)
    assert net.calls == 1


def test_stopping_keeps_nothing_alive(net: Net, images: Tensor) -> None:
    """The exception that ends the pass must not hold its frames, and with them the activations."""
    inner: list[weakref.ref[Tensor]] = []
    handle = net.stage[0].conv.register_forward_hook(lambda *a: inner.append(weakref.ref(a[2])))
    gc.disable()
    try:
        with torch.no_grad(), capture(net, "stage.0", stop_at_deepest=True) as features:
            net(images)
        assert features["stage.0"].shape == (2, 4, 8, 8)
        assert inner[0]() is None
    finally:
        gc.enable()
        handle.remove()


def test_a_stop_ends_its_own_capture_and_those_inside(net: Net, images: Tensor) -> None:
    with capture(net, "head", stop_at_deepest=True) as outer:
        with capture(net, "stage.0.conv", stop_at_deepest=True) as inner:
            net(images)
        assert list(inner) == ["stage.0.conv"]
        assert not outer
        net(images)
    assert list(outer) == ["head"]
    with capture(net, "stage.0.conv", stop_at_deepest=True) as outer:
        with capture(net, "head", stop_at_deepest=True) as inner:
            net(images)
        pytest.fail("the stop must pass the inner capture")
    assert list(outer) == ["stage.0.conv"]
    assert not inner


# What goes wrong: the fixture sees that no hook is left


def test_hooks_are_removed_if_one_cannot_be_set(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(hook: object) -> None:
        raise RuntimeError("no hook here")

    monkeypatch.setattr(net.head, "register_forward_hook", refuse)
    with pytest.raises(RuntimeError, match="no hook here"), capture(net, "stage.0", "head"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["stage.0.convv"], "Net has no layer 'stage.0.convv'; did you mean 'stage.0.conv'"),
        (["head", "stage0.conv"], "did you mean 'stage.0.conv'"),
        (["heads"], "did you mean 'head'"),
        (["???"], "no layer '\\?\\?\\?'; there are stage, lstm, head"),
        ([["heads"]], r"no layer \['heads'\]; "),
        ([0], "no layer 0; did you mean"),
        ([], "no layer to capture"),
    ],
)
def test_layers_that_are_not_there_are_refused_before_the_block(
    net: Net, paths: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message), capture(net, *paths):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("lstm", "'lstm' returns a tuple"),
        ("stage.0.unused", "no output of 'stage.0.unused' was seen"),
    ],
)
def test_a_layer_without_a_tensor_is_named(
    net: Net, images: Tensor, path: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message), capture(net, "head", path):
        net(images)


# Regressor


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("size", [None, (8, 9), (4, 4), (5, 3), (11, 16), (4, 16)])
def test_regressor_has_the_teachers_shape(kernel_size: int, size: tuple[int, int] | None) -> None:
    regressor = Regressor(4, 6, size=size, kernel_size=kernel_size)
    assert regressor(torch.randn(2, 4, 8, 9)).shape == (2, 6, *(size or (8, 9)))
    assert regressor.convolution.kernel_size == (kernel_size, kernel_size)


def test_a_regressor_begins_at_zero_and_still_teaches_the_student() -> None:
    features = torch.randn(2, 4, 8, 8, requires_grad=True)
    regressor, target = Regressor(4, 6), torch.randn(2, 6, 8, 8)
    assert not regressor(features).any()
    optimizer = torch.optim.SGD(regressor.parameters(), lr=0.1)
    hint_loss(regressor(features), target).backward()
    assert not features.grad.any()  # type: ignore[union-attr]
    optimizer.step()
    hint_loss(regressor(features), target).backward()
    assert features.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(2, 2), (8, 8), (3, 7)])
def test_resizing_keeps_a_constant_map(size: tuple[int, int]) -> None:
    regressor = Regressor(3, 1, size=size)
    regressor.convolution.reset_parameters()
    greys = torch.tensor([1.0, 2.0, 3.0])
    weight, bias = regressor.convolution.weight.flatten(), regressor.convolution.bias
    mapped = regressor(greys.view(1, 3, 1, 1).expand(1, 3, 4, 4))
    torch.testing.assert_close(mapped, (weight @ greys + bias).view(1, 1, 1, 1).expand(1, 1, *size))


def test_resizing_down_averages() -> None:
    regressor = Regressor(1, 1, size=(1, 1))
    nn.init.ones_(regressor.convolution.weight)
    nn.init.zeros_(regressor.convolution.bias)
    assert regressor(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).item() == 3.0


@pytest.mark.parametrize("kernel_size", [0, 2, 5, "1"])
def test_regressor_refuses_other_kernels(kernel_size: int) -> None:
    with pytest.raises(ValueError, match="kernel_size must be 1 or 3"):
        Regressor(4, 6, kernel_size=kernel_size)
