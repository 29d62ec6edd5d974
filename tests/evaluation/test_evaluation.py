"""Predicting whole splits, and measuring networks."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.calibration import calibration_curve
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kdhelpers.data.batching import Views
from kdhelpers.data.images import mean_std
from kdhelpers.data.sets import load
from kdhelpers.data.split import Split
from kdhelpers.evaluation import (
    accuracy,
    agreement,
    calibration_error,
    evaluate,
    latency,
    predict,
    size,
)
from kdhelpers.models import initial_weights
from kdhelpers.models.build import build


def split(count: int = 11) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(5, (count,), generator=generator)
    return Split(images, labels, *mean_std(images), classes=tuple("abcde"))


class Watched(nn.Module):
    """A network in mixed modes that remembers how it was called."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        with initial_weights(0):
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
            self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 6 * 6, 5))
        self.train()
        self.body[1].eval()  # a frozen batch norm, as in fine-tuning
        self.fails_at = fails_at
        self.calls: list[tuple[bool, bool]] = []
        self.shapes: set[tuple[int, ...]] = set()

    def modes(self) -> list[bool]:
        return [module.training for module in self.modules()]

    def forward(self, x: Tensor) -> Tensor:
        training = any(module.training for module in self.modules())
        self.calls.append((training, torch.is_grad_enabled()))
        self.shapes.add(tuple(x.shape))
        if len(self.calls) == self.fails_at:
            raise KeyboardInterrupt
        logits: Tensor = self.head(self.body(x))
        return logits


MIXED = [True, True, True, False, True, True, True, True, True]


# prediction


class Viewing(Watched):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).view(len(x), -1))
        return logits


def test_images_are_shown_channels_last_unless_the_code_of_the_network_cannot_take_it() -> None:
    model, data, seen = Watched().eval(), split(11), []
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0].stride(1)))
    logits = predict(model, data, batch_size=4)
    assert seen == [1, 1, 1]  # one channel beside the other
    assert torch.allclose(predict(Viewing(), data, batch_size=4), logits, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 500, None])
def test_logits_come_in_the_order_of_the_split(batch_size: int | None) -> None:
    model, data = Watched().eval(), split(11)
    with torch.no_grad():
        one_by_one = torch.cat([model(data.normalise(image[None])) for image in data.images])
    torch.testing.assert_close(predict(model, data, batch_size=batch_size), one_by_one)


def test_predicting_needs_eval_mode_and_no_gradients_and_restores_every_mode() -> None:
    model = Watched()
    assert model.modes() == MIXED
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = predict(model, split(11), batch_size=4)
    assert model.calls == [(False, False)] * 3
    assert model.modes() == MIXED
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.is_grad_enabled()
    assert not logits.requires_grad


def test_modes_and_gradients_are_restored_after_an_interrupt_too() -> None:
    model = Watched(fails_at=2)
    with pytest.raises(KeyboardInterrupt):
        predict(model, split(11), batch_size=4)
    assert len(model.calls) == 2
    assert model.modes() == MIXED
    assert torch.is_grad_enabled()


def test_a_view_is_shown_where_asked_for() -> None:
    model, data, views = Watched(), split(11), Views(flip=True, shift=1)
    shown = [predict(model, data, views=views, view=view, batch_size=4) for view in (0, 9)]
    torch.testing.assert_close(shown[0], predict(model, data))
    mirrored = replace(data, images=data.images.flip(3))
    torch.testing.assert_close(shown[1], predict(model, mirrored))


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (0, {}, "the split is empty"),
        (11, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (11, {"views": Views(shift=1), "view": 9}, "view must be at most 8, got 9"),
        (11, {"views": Views(shift=1), "view": -1}, "view must be at least 0, got -1"),
        (11, {"view": 1}, "view must be at most 0, got 1"),
    ],
)
def test_impossible_predictions_are_refused(
    count: int, options: dict[str, object], message: str
) -> None:
    data = split(11).select(range(count))
    with pytest.raises(ValueError, match=message):
        predict(Watched(), data, **options)


def test_a_network_answers_each_image() -> None:
    with pytest.raises(ValueError, match="answers 1 rows for 11 images"):
        predict(nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, -1))), split(11))


# accuracy, agreement


def test_accuracy_is_the_share_of_right_answers() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.0, -1.0], [1.0, 2.0, 3.0]])
    assert accuracy(logits, torch.tensor([0, 1, 2, 2])) == 0.75
    assert accuracy(logits, torch.tensor([1, 0, 2, 0])) == 0.0
    assert accuracy(logits, logits.argmax(1)) == 1.0
    labels = torch.ones(257, dtype=torch.int64).index_fill(0, torch.tensor(256), 0)
    assert accuracy(logits[:1].expand(257, 3), labels) == 1 / 257  # a part batch counts no more


def test_agreement_is_about_predictions_right_or_wrong() -> None:
    student = torch.tensor([[5.0, 1.0], [0.0, 1.0], [0.0, 9.0]])
    teacher = torch.tensor([[0.2, 0.1], [3.0, 1.0], [0.0, 0.1]])
    assert agreement(student, teacher) == pytest.approx(2 / 3)
    assert agreement(teacher, student) == agreement(student, teacher)
    assert agreement(student, student * 7 - 3) == 1.0
    nearly = torch.tensor([[1.0, 1.0 + 1e-9]], dtype=torch.float64)  # equal in float32
    assert agreement(nearly, nearly) == 1.0


# calibration


@pytest.mark.parametrize("options", [{"bins": 1}, {"bins": 4}, {}])  # 15 are the default
@pytest.mark.parametrize("scale", [0.3, 2.0, 60.0])  # unsure, usual, and confidences of exactly 1
def test_calibration_error_weighs_scikit_learns_calibration_curve(
    options: dict[str, int], scale: float
) -> None:
    generator, bins = torch.Generator().manual_seed(0), options.get("bins", 15)
    logits = torch.randn(500, 10, generator=generator) * scale
    right = torch.rand(500, generator=generator) < 0.6
    labels = torch.where(right, logits.argmax(1), (logits.argmax(1) + 1) % 10)
    confidence = logits.double().softmax(1).amax(1).numpy()
    shares, sureness = calibration_curve(right.numpy(), confidence, n_bins=bins)
    counts = np.histogram(confidence, np.linspace(0, 1, bins + 1))[0]
    expected = np.average(np.abs(shares - sureness), weights=counts[counts > 0])
    assert expected > 0.01
    assert calibration_error(logits, labels, **options) == pytest.approx(expected, abs=1e-5)


def test_logits_in_float64_may_be_beyond_float32() -> None:
    huge = torch.tensor([[1e39, 0.0], [0.0, 1e39]], dtype=torch.float64)
    assert calibration_error(huge, torch.tensor([0, 1])) == 0


def test_a_confidence_at_an_edge_lies_in_the_bin_above() -> None:
    half, more = torch.tensor([0.0, 0.0]), torch.tensor([0.75, 0.25]).log()
    logits, labels = torch.stack([half, more]), torch.tensor([1, 0])
    assert calibration_error(logits, labels, bins=2) == pytest.approx(0.125)  # one bin
    assert calibration_error(logits, labels, bins=4) == pytest.approx((0.5 + 0.25) / 2)
    as_sure_as_right = logits[1].expand(4, 2)
    assert calibration_error(as_sure_as_right, torch.tensor([0, 0, 1, 0])) < 1e-6
    sure = torch.tensor([[500.0, 0.0]] * 4)  # confidence 1, three of four right: in the last bin
    nearly = torch.tensor([0.98, 0.02]).log().expand(4, 2)  # with these, all right
    error = calibration_error(torch.cat([sure, nearly]), torch.tensor([0, 0, 0, 1, 0, 0, 0, 0]))
    assert error == pytest.approx(0.99 - 7 / 8, abs=1e-5)


@pytest.mark.parametrize("measure", [accuracy, calibration_error])
@pytest.mark.parametrize(
    ("logits", "labels"),
    [((4,), (4,)), ((4, 3), (5,)), ((4, 3), (4, 1)), ((0, 3), (0,)), ((4, 3, 2), (4,))],
)
def test_shapes_that_do_not_fit_are_refused_by_both_shapes(
    measure, logits: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="logits must be") as refused:
        measure(torch.zeros(logits), torch.zeros(labels, dtype=torch.int64))
    assert str(list(logits)) in str(refused.value)
    assert str(list(labels)) in str(refused.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement(torch.zeros(4, 3), torch.zeros(4, 2)), "needs logits of one shape"),
        (lambda: agreement(torch.zeros(4, 3), torch.zeros(4)), r"must be \[N, C\]"),
        (
            lambda: calibration_error(torch.zeros(2, 3), torch.tensor([0, 1]), bins=0),
            "bins must be at least 1, got 0",
        ),
        (lambda: latency(Watched(), (3, 8, 8), batch_size=0), "batch_size must be at least 1"),
        (lambda: latency(Watched(), (3, 8, 8), seconds=0), "seconds must be a number"),
        (lambda: latency(Watched(), (3, 8, 8), seconds=math.nan), "seconds must be a number"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# size, latency, evaluate


@pytest.mark.parametrize("bias", [False, True])
def test_the_size_of_a_small_network_by_hand(bias: bool) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=bias),  # 8×8 outputs
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=2, bias=bias),  # 2×2 outputs, each of half the channels
        nn.Flatten(),
        nn.Linear(6 * 2 * 2, 10, bias=bias),
    )
    weights = [4 * (3 * 9 + bias), 6 * (2 * 9 + bias), 10 * (24 + bias)]
    counted = size(model, (3, 8, 8))
    assert counted.parameters == sum(weights)
    assert counted.macs == weights[0] * 64 + weights[1] * 4 + weights[2]  # a bias counts as one
    assert counted.mebibytes == sum(weights) * 4 / 1024 / 1024


def test_weights_that_layers_share_are_counted_once() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 12), nn.Linear(12, 12))
    model[2].weight = model[1].weight
    assert size(model, (3, 2, 2)).parameters == 12 * 12 + 2 * 12


class Attending(nn.Module):
    """Linear maps of 8 tokens of 8 numbers, in attention and without a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.weight = nn.Parameter(torch.ones(5, 64))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0]
        return nn.functional.linear(self.attention(x, x, x)[0].flatten(1), self.weight)


def test_what_is_computed_without_layers_or_with_pruned_weights_is_counted() -> None:
    # Queries, keys, values and the result; each of 8 tokens with each, twice; the last map.
    assert size(Attending(), (3, 8, 8)).macs == 8 * 4 * 8 * 8 + 2 * 8 * 8 * 8 + 5 * 64
    pruned = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False))
    prune.random_unstructured(pruned[1], "weight", 0.5)
    assert size(pruned, (3, 2, 2))[:2] == (60, 60)
    recurrent = nn.Sequential(nn.Flatten(2), nn.LSTM(4, 5))  # counted by its layer alone
    assert size(recurrent, (3, 2, 2)).macs > 0


def test_quantised_layers_are_not_counted_as_nothing() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another way to quantise
        quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    with pytest.raises(ValueError, match="quantised ones hide their weights; give the network"):
        size(quantised, (3, 2, 2))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_latency_is_measured_on_a_batch_in_eval_mode_without_gradients(batch_size: int) -> None:
    model = Watched()
    before = torch.get_rng_state()
    assert latency(model, (3, 8, 8), batch_size=batch_size, seconds=1e-3) > 0
    assert set(model.calls) == {(False, False)}
    assert model.shapes == {(batch_size, 3, 8, 8)}
    assert model.modes() == MIXED
    assert torch.equal(torch.get_rng_state(), before)


def test_latency_is_the_median_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    class TwoMilliseconds:
        median = 0.002

        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def blocked_autorange(self, min_run_time: float) -> "TwoMilliseconds":
            return self

    monkeypatch.setattr("torch.utils.benchmark.Timer", TwoMilliseconds)
    assert latency(Watched(), (3, 8, 8)) == pytest.approx(2.0)


def test_evaluating_gives_accuracy_and_calibration_and_agreement_if_asked() -> None:
    model, data = Watched(), split(40)
    logits = predict(model, data)
    figures = evaluate(model, data)
    assert figures == {
        "accuracy": accuracy(logits, data.labels),
        "calibration_error": calibration_error(logits, data.labels),
    }
    assert evaluate(model, data, teacher_logits=logits) == figures | {"agreement": 1.0}
    opposite = evaluate(model, data, teacher_logits=-logits)
    assert opposite["agreement"] == 0.0
    assert all(isinstance(value, float) for value in opposite.values())


class Odd(Watched):
    """Random in eval mode, or of a fixed batch."""

    def __init__(self, noise: float, batch: int = 0) -> None:
        super().__init__()
        self.noise, self.batch = noise, batch

    def forward(self, images: Tensor) -> Tensor:
        assert self.batch in (0, len(images))
        return F.dropout(super().forward(images), self.noise)


def test_who_evaluates_a_network_that_is_random_in_eval_mode_is_told() -> None:
    with pytest.warns(UserWarning, match="network answers the same images differently each time"):
        evaluate(Odd(0.5), split(40))
    with warnings.catch_warnings(action="error"):
        evaluate(Odd(0.0, batch=40), split(40))


class NoDoubles(TorchDispatchMode):
    """A device without float64, as Apple's is."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        met = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
        assert not any(t.dtype == torch.float64 for t in met), f"{func} in float64"
        return result


def test_no_device_needs_float64_to_predict_and_evaluate() -> None:
    model, data, views = Watched(), split(40), Views(flip=True, shift=1)
    expected = evaluate(model, data)
    with NoDoubles():
        teacher_logits = predict(model, data, views=views, view=1)
        figures = evaluate(model, data, teacher_logits=teacher_logits)
        with pytest.raises(AssertionError, match="in float64"):
            teacher_logits.double()
    assert figures.items() >= expected.items()


def test_a_compiled_network_has_the_size_of_the_original_and_torchscript_none() -> None:
    model = build("mnist_cnn_student")
    assert size(torch.compile(model), (1, 28, 28)) == size(model, (1, 28, 28))
    scripted = torch.jit.trace(model.eval(), torch.zeros(1, 1, 28, 28))
    with pytest.raises(ValueError, match="TorchScript has no layers to count"):
        size(scripted, (1, 28, 28))


def test_frozen_torchscript_is_judged_like_the_network() -> None:
    model, digits = build("mnist_cnn_student", seed=0).eval(), load("digits").test.take(50)
    frozen = torch.jit.freeze(torch.jit.trace(model, torch.zeros(1, 1, 28, 28)))
    assert evaluate(frozen, digits) == pytest.approx(evaluate(model, digits), abs=1e-5)


def test_a_network_of_fewer_classes_is_told_as_such() -> None:
    with pytest.raises(ValueError, match=r"reach from .*; build the network for all"):
        evaluate(build("mnist_cnn_student", num_classes=5), load("digits").test)
