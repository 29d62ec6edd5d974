"""Training that is stopped, started wrongly or refused: what is finished is kept, all is told."""

import os
import random
import signal
import threading
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_data import Small, interrupted_at, same, split, weights
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.loop import TrainingError
from kdhelpers.training.threads import in_threads

fit = partial(kd.fit, device="cpu", progress=False)


def plain(seed: int = 0) -> nn.Module:
    return kd.build("mnist_cnn_student", image_size=8, num_classes=3, seed=seed)


# -- Ctrl-C ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_runs_in_threads_after_their_step(tmp_path: Path, presses: int) -> None:
    epochs: dict[int, int] = {}

    def arm(seed: int) -> None:
        def watch(row: kd.training.loop.Row) -> None:
            epochs[seed] = int(row["epoch"])
            if sum(epochs.values()) == 5:
                for _ in range(presses):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.1)

        fit(
            plain(seed), kd.Supervised(), split(80), epochs=100_000, batch_size=8, seed=seed,
            run=f"seed{seed}", checkpoint_dir=tmp_path, on_epoch=watch,
        )  # fmt: skip

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        kd.run_arms({"a": arm}, [0, 1, 2], workers=2)
    assert time.monotonic() - started < 60
    assert not [thread for thread in threading.enumerate() if "Pool" in thread.name]
    assert 2 not in epochs  # it had not started
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"seed0.pt", "seed1.pt"} >= set(kept) != set()
    time.sleep(0.2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_ctrl_c_while_a_thread_starts_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun = threading.Thread.start, threading.Event()

    def pressed(self: threading.Thread) -> None:
        start(self)
        if "Pool" in self.name:
            assert begun.wait(60)
            raise KeyboardInterrupt

    def arm(seed: int) -> None:
        begun.set()
        try:
            fit(plain(seed), kd.Supervised(), split(), epochs=100_000)
        finally:
            time.sleep(0.5)

    monkeypatch.setattr(threading.Thread, "start", pressed)
    with pytest.raises(KeyboardInterrupt):
        kd.run_arms({"a": arm}, [0, 1], workers=2)
    assert not [thread for thread in threading.enumerate() if "Pool" in thread.name]


def test_an_error_lets_the_run_beside_it_end() -> None:
    ended, both = [], threading.Barrier(2, timeout=60)

    def failing(seed: int) -> None:
        both.wait()
        raise ZeroDivisionError

    def other(seed: int) -> None:
        both.wait()
        fit(plain(), kd.Supervised(), split(), epochs=3)
        ended.append(seed)

    with pytest.raises(ZeroDivisionError):
        kd.run_arms({"a": failing, "b": other}, [0], workers=2)
    assert ended == [0]


# -- random numbers in threads --------------------------------------------------------------------


class Own(nn.Module):
    """A network that does something of its own with its features."""

    def __init__(self, between: Callable[[Tensor, bool], Tensor]) -> None:
        super().__init__()
        self.between = between
        self.body, self.head = nn.Linear(64, 4), nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.between(self.body(inputs.flatten(1)), self.training))


class Noisy(kd.Supervised):
    """Adds noise, in some of the epochs."""

    quiet, until = 0, 99

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.noisy = self.quiet <= epoch < self.until

    def forward(self, student: nn.Module, batch: Any) -> Any:
        if not self.noisy:
            return super().forward(student, batch)
        return super().forward(student, batch._replace(inputs=batch.inputs + torch.randn(1)))


ATTENTION = partial(F.scaled_dot_product_attention, dropout_p=0.0)


@pytest.mark.parametrize(
    ("between", "objective", "draws"),
    [
        (lambda x, train: F.dropout(x, 0.5, train), kd.Supervised, "'student' draws.*bernoulli_"),
        (lambda x, _: x * torch.rand(len(x), 1), kd.Supervised, r"'student' draws.*\(rand\)"),
        (lambda x, train: x, Noisy, r"'objective' draws.*\(randn\)"),
        (lambda x, _: x + torch.rand(1, generator=torch.Generator()), kd.Supervised, None),
        (lambda x, train: F.dropout(x, 0.0, train), kd.Supervised, None),
        (lambda x, _: ATTENTION(*[x[:, None, None]] * 3).flatten(1), kd.Supervised, None),
    ],
)
def test_what_draws_random_numbers_trains_alone_only(
    between: Any, objective: Callable[[], kd.Objective], draws: str | None
) -> None:
    def arm(seed: int) -> dict[str, Any]:
        with kd.models.initial_weights(seed):
            student = Own(between)
        fit(student, objective(), split(), epochs=1)
        return weights(student)

    alone = kd.run_arms({"a": arm}, [0, 1])["a"]
    if draws:
        with pytest.raises(ValueError, match=f"{draws}.*use workers=1"):
            kd.run_arms({"a": arm}, [0, 1], workers=2)
    else:
        for one, other in zip(alone, kd.run_arms({"a": arm}, [0, 1], workers=2)["a"], strict=True):
            assert all(torch.equal(one[k], other[k]) for k in one if k != "seed")


@pytest.mark.parametrize(
    ("epochs", "until", "batch_size", "passed"), [(5, 99, 40, 4), (40, 99, 40, 10), (6, 4, 2, 3)]
)
def test_what_begins_to_draw_later_is_seen_too(
    epochs: int, until: int, batch_size: int, passed: int
) -> None:
    later, seen = Noisy(), []
    later.quiet, later.until = 3, until
    options: dict[str, Any] = dict(epochs=epochs, batch_size=batch_size, on_epoch=seen.append)
    with pytest.raises(ValueError, match="'objective' draws"):
        in_threads([partial(fit, plain(), later, split(), **options)], workers=2)
    assert len(seen) == passed


@pytest.mark.parametrize("draw", [np.random.rand, random.random])
def test_numbers_of_numpy_and_python_are_seen_too(draw: Callable[[], float]) -> None:
    student = Own(lambda x, _: x * draw())
    with pytest.raises(ValueError, match=r"draws random numbers .with NumPy or Python.*workers=1"):
        in_threads([partial(fit, student, kd.Supervised(), split(), epochs=1)], workers=2)


# -- what is written can be read again ------------------------------------------------------------


def by_numpy(optimizer: Any, total: int) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: 0.5 * (1 + np.cos(np.pi * s / total))
    )


class Telling(kd.Supervised):
    figure: Any = np.float32(0.5)

    def figures(self) -> dict[str, Any]:
        return {"figure": self.figure}

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"weight": np.float64(2.0), "layers": (np.int64(1),)}


def test_numpys_numbers_are_gone_on_from_bit_for_bit(tmp_path: Path) -> None:
    run = partial(
        fit, train=split(), epochs=6, batch_size=np.int64(20), lr=np.float64(1e-3),
        seed=np.int64(1), schedule=by_numpy,
    )  # fmt: skip
    straight, resumed = Small(), Small()
    expected = run(straight, Telling())

    with interrupted_at(5):
        run(Small(), Telling(), checkpoint=tmp_path / "run.pt")
    told = run(resumed, Telling(), checkpoint=tmp_path / "run.pt")
    assert same(weights(straight), weights(resumed))
    assert [row["figure"] for row in told] == [row["figure"] for row in expected] == [0.5] * 6


@pytest.mark.parametrize("figure", ["high", torch.ones(())])
def test_a_figure_that_is_no_number_is_told_in_the_first_step(tmp_path: Path, figure: Any) -> None:
    objective, student = Telling(), Small()
    objective.figure = figure
    with pytest.raises(ValueError, match="figures of Telling: figure must be a number, got"):
        fit(student, objective, split(), epochs=1, checkpoint=tmp_path / "run.pt")
    assert same(dict(student.named_parameters()), dict(Small().named_parameters()))


def test_a_state_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    class Keeping(kd.Supervised):
        def get_extra_state(self) -> object:
            return SimpleNamespace(a=1)

    student = Small()
    with pytest.raises(CheckpointError, match=r"objective, _extra_state: only tensors and plain"):
        fit(student, Keeping(), split(), epochs=1, checkpoint=tmp_path / "run.pt")
    assert same(weights(student), weights(Small()))  # told before the first step
    assert list(tmp_path.iterdir()) == []


# -- what is no checkpoint of this run ------------------------------------------------------------


@pytest.mark.parametrize("around", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}])
def test_weights_in_place_of_a_checkpoint_are_told(tmp_path: Path, around: Any) -> None:
    torch.save(around(Small().state_dict()), tmp_path / "student.pt")
    with pytest.raises(CheckpointError, match=r"holds weights, not a run: .* load_state_dict"):
        fit(Small(), kd.Supervised(), split(), epochs=1, checkpoint=tmp_path / "student.pt")


@pytest.mark.parametrize(
    ("wrap", "first"), [(partial(torch.compile, backend="eager"), True), (nn.DataParallel, False)]
)
def test_a_wrapped_student_and_the_plain_one_share_a_checkpoint(
    tmp_path: Path, wrap: Any, first: bool
) -> None:
    path, network = tmp_path / "run.pt", plain()
    students = [wrap(plain()), network] if first else [plain(), wrap(network)]
    for epochs, student in enumerate(students, 1):
        fit(student, kd.Supervised(), split(), epochs=epochs, checkpoint=path)
    straight = plain()
    fit(straight, kd.Supervised(), split(), epochs=2)
    for name, tensor in straight.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name])


def test_no_sentence_advises_to_delete_and_another_rate_has_its_way(tmp_path: Path) -> None:
    path, student = tmp_path / "run.pt", Small()
    fit(Small(), kd.Supervised(), split(), epochs=3, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"its lr is .*\['state'\]\['student'\]") as refused:
        fit(student, kd.Supervised(), split(), epochs=6, lr=1e-4, checkpoint=path)
    assert "delete" not in str(refused.value)
    student.load_state_dict(torch.load(path, weights_only=True)["state"]["student"])
    history = fit(student, kd.Supervised(), split(), epochs=3, lr=1e-4, checkpoint=tmp_path / "b")
    assert len(history) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda adam, _: adam["exp_avg"].resize_(1), "exp_avg is torch.float32"),
        (lambda adam, _: adam.update(exp_avg=torch.ones(2)), r"exp_avg is torch.float32 \[2\]"),
        (lambda adam, _: adam.update(step=torch.ones(3)), r"step is torch.float32 \[3\]"),
        (lambda adam, _: adam["exp_avg"].fill_(torch.nan), "exp_avg is not finite"),
        (lambda adam, _: adam["step"].fill_(torch.inf), "step is not finite"),
        (lambda adam, _: adam.update(scale=float("nan")), "the optimizer's scale is nan"),
        (lambda _, own: own["head.bias"].fill_(torch.nan), r"student\.head\.bias is not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_told(tmp_path: Path, change: Any, told: str) -> None:
    path, student = tmp_path / "run.pt", Small()
    fit(Small(), kd.Supervised(), split(), epochs=1, checkpoint=path)
    content = torch.load(path, weights_only=True)
    change(content["state"]["optimizer"]["state"][1], content["state"]["student"])
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"run\.pt' does not fit this run \(.*{told}"):
        fit(student, kd.Supervised(), split(), epochs=2, checkpoint=path)
    assert same(weights(student), weights(Small()))


def test_tensors_of_another_layout_are_laid_out_as_the_weights(tmp_path: Path) -> None:
    path, straight, resumed = tmp_path / "run.pt", plain(), plain()
    fit(straight, kd.Supervised(), split(), epochs=2)
    fit(plain(), kd.Supervised(), split(), epochs=1, checkpoint=path)
    content = torch.load(path, weights_only=True)
    for state in content["state"]["optimizer"]["state"].values():
        state |= {name: tensor.contiguous() for name, tensor in state.items()}
    torch.save(content, path)
    fit(resumed, kd.Supervised(), split(), epochs=2, checkpoint=path)
    assert same(weights(resumed), weights(straight))


def test_optimizers_with_states_of_other_shapes_go_on(tmp_path: Path) -> None:
    factored = getattr(torch.optim, "Adafactor", torch.optim.NAdam)
    run = partial(fit, objective=kd.Supervised(), train=split(), optimizer=factored)
    straight, resumed = Small(), Small()
    run(straight, epochs=2)
    for epochs, student in ((1, Small()), (2, resumed)):
        run(student, epochs=epochs, checkpoint=tmp_path / "run.pt")
    assert same(weights(resumed), weights(straight))


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    fit(Small(), kd.Supervised(), split(), epochs=1, checkpoint=path)

    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zipfile, "ZipFile", denied)
    with pytest.raises(CheckpointError, match=r"may not be read \(Permission denied\)"):
        fit(Small(), kd.Supervised(), split(), epochs=2, checkpoint=path)


def test_an_accuracy_of_nan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = torch.full((40, 3), torch.nan)  # of a student whose loss is finite, in train mode
    monkeypatch.setattr("kdhelpers.training.loop.predict", lambda *_: answers)
    with pytest.raises(TrainingError, match="validation images with NaN or infinite logits"):
        fit(Small(), kd.Supervised(), split(), epochs=1, validation=split())


# -- clusters -------------------------------------------------------------------------------------


def test_under_torchrun_a_rank_does_not_train_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"torchrun started 4 processes.*on one device"):
        fit(plain(), kd.Supervised(), split(), epochs=1)
    with pytest.raises(ValueError, match="torchrun started 4 processes"):
        kd.fit_many([plain()], [kd.Supervised()], [split()], seeds=[0], epochs=1, device="cpu")
    monkeypatch.setenv("WORLD_SIZE", "1")
    fit(plain(), kd.Supervised(), split(), epochs=1)
