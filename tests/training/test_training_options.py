"""The fast trainer's options: averaging, compilation, several students, several processes."""

import ctypes
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_data import Small, same, split, weights
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kdhelpers import _tensors
from kdhelpers.data.batching import Batch, Views
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.models.build import PlainCNN
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised, Terms
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training import fit as training
from kdhelpers.training.loop import TrainingError
from kdhelpers.training.optimizers import cosine, nesterov

fit = partial(training.fit, device="cpu", progress=False)


class Stopping(Supervised):
    """Interrupted at a chosen step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().forward(student, batch)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"objective": "Supervised"}


def plain(seed: int = 0, width: int = 3) -> nn.Module:
    """A student without batch normalisation and dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PlainCNN((width, 4), 5, in_channels=1, image_size=8, num_classes=3)


# -- the moving average ---------------------------------------------------------------------------


def test_the_average_is_the_exponential_moving_average_of_the_weights() -> None:
    train, decay = split(24), 0.8
    student = plain()
    fit(student, Supervised(), train, epochs=2, batch_size=8, ema=decay)
    follower = plain()
    expected: dict[str, Tensor] = {}

    class Following(Supervised):
        """At every step, the weights that the step before has left."""

        def forward(self, network: nn.Module, batch: Batch) -> Terms:
            update(follower)
            return super().forward(network, batch)

    seen: list[int] = []

    def update(network: nn.Module) -> None:
        if seen:  # the first step has left nothing yet
            for name, tensor in weights(network).items():
                before = expected.get(name, tensor)
                expected[name] = decay * before + (1 - decay) * tensor
        seen.append(1)

    fit(follower, Following(), train, epochs=2, batch_size=8)
    update(follower)
    assert len(seen) == 7
    for name, tensor in student.state_dict().items():
        torch.testing.assert_close(tensor, expected[name])


def test_the_average_takes_part_in_validation_and_buffers_are_averaged() -> None:
    student, test = Small(), split(60, seed=1)
    history = fit(student, Supervised(), split(40), epochs=3, ema=0.5, lr=0.02, validation=test)
    assert history[-1]["validation_accuracy"] == pytest.approx(
        accuracy(predict(student, test), test.labels)
    )
    without = Small()
    fit(without, Supervised(), split(40), epochs=3, lr=0.02)
    assert not torch.equal(student.norm.running_mean, without.norm.running_mean)
    assert student.norm.num_batches_tracked.dtype == torch.int64


def test_a_resumed_run_ends_with_the_same_average(tmp_path: Path) -> None:
    options: dict[str, Any] = dict(epochs=3, batch_size=8, ema=0.9, schedule=cosine)
    whole, resumed, file = Small(), Small(), tmp_path / "run.pt"
    fit(whole, Supervised(), split(40), **options)
    with pytest.raises(KeyboardInterrupt):
        fit(resumed, Stopping(at=12), split(40), checkpoint=file, **options)
    again = Small()
    fit(again, Supervised(), split(40), checkpoint=file, **options)
    assert same(weights(whole), weights(again))
    finished = Small()
    fit(finished, Supervised(), split(40), checkpoint=file, **options)  # nothing left to do
    assert same(weights(whole), weights(finished))


@pytest.mark.parametrize("ema", [-0.1, 1.0, float("nan"), "0.9"])
def test_a_decay_outside_of_0_to_1_is_refused(ema: Any) -> None:
    with pytest.raises(ValueError, match=r"ema must be a number from 0 to 0\.999999, got"):
        fit(Small(), Supervised(), split(), epochs=1, ema=ema)


# -- label smoothing, compilation, optimisers -----------------------------------------------------


def test_label_smoothing_is_cross_entropy_with_mixed_labels() -> None:
    student, train = plain(), split(12)
    batch = Batch(
        train.normalise(train.images), train.labels, torch.arange(12), torch.zeros(12).long()
    )
    mixed = 0.9 * F.one_hot(train.labels, 3) + 0.1 / 3
    expected = -(mixed * F.log_softmax(student(batch.inputs), 1)).sum(1).mean()
    terms = Supervised(label_smoothing=0.1)(student, batch)
    torch.testing.assert_close(terms["hard"], expected)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_label_smoothing_outside_of_its_range_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing must be at least 0 and below 1"):
        Supervised(label_smoothing=smoothing)


def test_a_compiled_student_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def traced(module: nn.Module) -> Any:
        compiled.append(module)
        return real(module, backend="eager")  # needs no C++ compiler, as the default one does

    real = torch.compile
    monkeypatch.setattr(torch, "compile", traced)
    first, second = plain(), plain()
    fit(first, Supervised(), split(40), epochs=2, compile=True)
    fit(second, Supervised(), split(40), epochs=2)
    assert compiled == [first]
    assert first.state_dict().keys() == second.state_dict().keys()
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, second.state_dict()[name])


def test_sgd_with_a_schedule_learns() -> None:
    student, test = Small(), split(60, seed=1)
    settings: dict[str, Any] = dict(optimizer=nesterov, schedule=cosine, lr=0.02)
    fit(student, Supervised(), split(200), epochs=4, batch_size=20, **settings)
    assert accuracy(predict(student, test), test.labels) > 0.9


# -- no step waits for the device -----------------------------------------------------------------


class CountReads(TorchDispatchMode):
    """Counts the operations that make a GPU's queue wait for a value."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if "_local_scalar_dense" in str(function) or "nonzero" in str(function):
            self.reads += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("objective", ["supervised", "distillation"])
def test_the_number_of_reads_does_not_depend_on_the_number_of_steps(
    objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tensors, "_is_read", lambda tensor: False)  # as on a GPU

    def reads(count: int) -> int:
        teacher = Teacher(plain(1), cache=True)
        objectives = {"supervised": Supervised(), "distillation": Distillation(teacher)}
        train = split(count)
        with CountReads() as counter:
            fit(plain(), objectives[objective], train, epochs=1, batch_size=4)
        return int(counter.reads)

    assert reads(8) == reads(80)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_no_step_looks_for_gpus_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    opens = ctypes.CDLL.__init__

    def noted(library: ctypes.CDLL, name: Any, *arguments: Any, **options: Any) -> None:
        opened.append(name)
        opens(library, name, *arguments, **options)

    monkeypatch.setattr(ctypes.CDLL, "__init__", noted)
    notes = len(torch.cuda._queued_calls)
    fit(plain(), Supervised(), split(), epochs=3, batch_size=8)
    assert opened == []
    assert len(torch.cuda._queued_calls) == notes  # what seeding a GPU that is not there leaves


# -- several processes ----------------------------------------------------------------------------


def test_two_devices_give_what_one_gives_at_the_same_batch_size(tmp_path: Path) -> None:
    results = []
    for devices in (1, 2):
        student, teacher = plain(), Teacher(plain(seed=9, width=6))
        history = fit(
            student,
            Distillation(teacher),
            split(43),
            epochs=2,
            batch_size=16,
            lr=1e-2,
            devices=devices,
            views=Views(flip=True),
            schedule=cosine,
            checkpoint=tmp_path / f"{devices}.pt",
        )
        results.append((weights(student), [row["loss"] for row in history]))
    (one, loss_of_one), (two, loss_of_two) = results
    assert loss_of_one == pytest.approx(loss_of_two, rel=1e-4)
    assert not same(one, weights(plain()))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-5, rtol=1e-4)


def test_what_cannot_travel_to_another_process_is_one_sentence() -> None:
    def local(optimizer: Any, steps: int) -> Any:
        return cosine(optimizer, steps)

    with pytest.raises(TrainingError, match="put it into a module"):
        fit(plain(), Supervised(), split(), epochs=1, devices=2, schedule=local)


@pytest.mark.parametrize(
    ("device", "devices", "message"),
    [
        ("cpu", 0, "devices must be at least 1, got 0"),
        ("cpu", 1.5, "devices must be a whole number, got 1.5"),
        ("cuda:0", 2, "no device 'cuda:0'|devices=2 needs device 'cuda' or 'cpu'"),
    ],
)
def test_devices_that_cannot_be_are_refused(device: str, devices: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(plain(), Supervised(), split(), epochs=1, device=device, devices=devices)


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="devices=4, but this machine has 2 GPUs"):
        fit(plain(), Supervised(), split(), epochs=1, device="auto", devices=4)
    with pytest.raises(ValueError, match="devices=2 needs device 'cuda' or 'cpu'"):
        fit(plain(), Supervised(), split(), epochs=1, device="cuda:1", devices=2)
