"""The one loop: it learns, gives the same bits again, and tells what it does."""

import random
from dataclasses import FrozenInstanceError, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_data import Small, same, split, weights
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau, StepLR
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

import kdhelpers as kd
from kdhelpers import _tensors
from kdhelpers._random import random_state_kept, seed_all
from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.models import initial_weights
from kdhelpers.models.build import PlainCNN
from kdhelpers.objectives.distillation import Distillation, Faded
from kdhelpers.objectives.objective import Objective, Supervised, Terms
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.temperature import Linear
from kdhelpers.training import fit as training
from kdhelpers.training.optimizers import cosine, nesterov
from kdhelpers.training.recipe import Recipe

fit = partial(training.fit, device="cpu", progress=False)
LEARN: dict[str, Any] = dict(epochs=6, batch_size=16, lr=1e-2)


def plain(seed: int = 0, width: int = 3) -> nn.Module:
    """A student without batch normalisation and dropout."""
    with initial_weights(seed):
        return PlainCNN((width, 4), 5, in_channels=1, image_size=8, num_classes=3)


def close(first: nn.Module, second: nn.Module, **bounds: float) -> None:
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, second.state_dict()[name], **bounds)


# -- learning -------------------------------------------------------------------------------------


def test_supervised_training_learns_what_the_labels_say() -> None:
    train, test, student = split(200), split(200, seed=1), Small()
    untrained = accuracy(predict(student, test), test.labels)
    history = fit(student, Supervised(), train, **LEARN)
    assert untrained < 0.6
    assert accuracy(predict(student, test), test.labels) > 0.9
    assert history[-1]["loss"] < history[0]["loss"] / 2


def test_distillation_alone_passes_on_what_the_teacher_knows() -> None:
    train, test, teacher = split(200), split(200, seed=1), Small(width=8)
    fit(teacher, Supervised(), train, **LEARN)
    lied_to = replace(train, labels=torch.zeros_like(train.labels))
    student = Small(seed=1)
    fit(student, Distillation(teacher, alpha=1.0), lied_to, **LEARN | {"epochs": 8})
    assert accuracy(predict(student, test), test.labels) > 0.9


def test_it_is_the_loop_that_everybody_writes() -> None:
    train, student, by_hand = split(40), plain(), plain()
    fit(student, Supervised(), train, epochs=3, batch_size=16, lr=0.02, optimizer=nesterov,
        schedule=cosine, seed=5)  # fmt: skip
    optimizer = nesterov(by_hand.parameters(), lr=0.02)
    schedule = cosine(optimizer, 9)
    for epoch in range(3):
        for batch in batches(train, 16, seed=5, epoch=epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(by_hand(batch.inputs), batch.labels).backward()
            optimizer.step()
            schedule.step()
    close(student, by_hand, atol=1e-5, rtol=1e-4)


def test_the_history_tells_every_epoch() -> None:
    student, train = Small(), split(40)
    history = fit(
        student, Distillation(Small(seed=1)), train, epochs=3, batch_size=16, ema=0.5,
        validation=train,
    )  # fmt: skip
    names = ["epoch", "seconds", "loss", "soft", "hard", "teacher_accuracy"]
    names.append("validation_accuracy")
    assert [list(row) for row in history] == [names] * 3
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row in history:
        assert row["loss"] == pytest.approx(row["soft"] + row["hard"])
        assert row["seconds"] > 0
    measured = accuracy(predict(student, train), train.labels)  # of the average, where there is one
    assert history[-1]["validation_accuracy"] == pytest.approx(measured)


def test_figures_are_means_over_samples_not_over_batches() -> None:
    class Labels(Objective):
        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            zero = sum(p.sum() for p in student.parameters()) * 0
            return {"mean": batch.labels.float().mean() + zero}

    train = split(37)
    (row,) = fit(Small(), Labels(), train, epochs=1, batch_size=10)
    assert row["mean"] == pytest.approx(train.labels.float().mean().item())


def test_an_objective_is_told_the_epoch_tells_its_figures_and_is_trained() -> None:
    class FadingOut(Supervised):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.told: list[tuple[int, int]] = []

        def start_epoch(self, epoch: int, epochs: int) -> None:
            self.told.append((epoch, epochs))

        def figures(self) -> dict[str, float]:
            return {"told": float(len(self.told))}

        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            return {"hard": self.scale * super().forward(student, batch)["hard"]}

    objective = FadingOut()
    history = fit(Small(), objective, split(20), epochs=3)
    assert objective.told == [(0, 3), (1, 3), (2, 3)]
    assert [row["told"] for row in history] == [1.0, 2.0, 3.0]
    assert objective.scale.item() != 1.0


def test_what_an_objective_holds_in_eval_mode_stays_so() -> None:
    class Matching(Objective):
        def __init__(self, teacher: nn.Module) -> None:
            super().__init__()
            self.teacher, self.drop = teacher, nn.Dropout()

        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            assert not any(part.training for part in self.teacher.modules())
            assert student.training
            assert self.drop.training
            return {"soft": F.mse_loss(student(batch.inputs), self.teacher(batch.inputs))}

    teacher = Small(seed=1).eval().requires_grad_(False)
    before = weights(teacher)
    fit(Small(), Matching(teacher), split(20), epochs=2)
    assert same(weights(teacher), before)  # also the running statistics


def test_labels_that_no_objective_asks_for_may_be_of_other_classes() -> None:
    class Silent(Objective):
        needs_labels = False

        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            return {"size": student(batch.inputs).square().mean()}

    assert fit(Small(), Silent(), split(classes=4), epochs=1)
    with pytest.raises(ValueError, match="labels run from 0 to 3"):
        fit(Small(), Silent(), split(classes=4), epochs=1, validation=split(classes=4))


def test_an_objective_within_an_own_one_is_told_and_tells_all_the_same() -> None:
    class Around(Objective):
        def __init__(self, inner: Objective) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, student: nn.Module, batch: Batch) -> Terms:
            terms: Terms = self.inner(student, batch)
            return terms

    def rows(wrap: Any) -> list[Any]:
        inner = Faded(Distillation(Small(seed=1), temperature=Linear(start=8.0, end=1.0)))
        return [row | {"seconds": 0} for row in fit(Small(), wrap(inner), split(), epochs=3)]

    assert rows(Around) == rows(lambda inner: inner)
    with pytest.raises(ValueError, match="the teacher answers an image with"):
        fit(Small(), Around(Distillation(Small(classes=2))), split(), epochs=1)


# -- the same again -------------------------------------------------------------------------------


@pytest.mark.usefixtures("global_random_state_is_left_alone")
@pytest.mark.parametrize(
    "options", [{}, {"views": Views(flip=True)}, {"optimizer": nesterov, "schedule": cosine}]
)
def test_the_same_seed_gives_the_same_bits_and_another_does_not(options: dict[str, Any]) -> None:
    students = [Small(), Small(), Small()]
    for seed, student in zip((2**62, 2**62, 5), students, strict=True):
        with torch.random.fork_rng(), torch.no_grad():  # of the caller's
            torch.manual_seed(torch.seed())  # the global random state must not matter
            fit(student, Supervised(), split(), epochs=2, batch_size=16, seed=seed, **options)
    first, again, other = map(weights, students)
    assert same(first, again)
    assert not same(first, other)


class Drawing(Supervised):
    """Draws from the global states of Python, NumPy and PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[float, ...]] = []

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        self.drawn.append((random.random(), np.random.random(), torch.rand(()).item()))  # noqa: NPY002
        return super().forward(student, batch)


def test_random_numbers_are_seeded_anew_in_each_epoch_and_put_back() -> None:
    drawn = []
    for start in (1, 2):
        random.seed(start)
        np.random.seed(start)  # noqa: NPY002
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        objective = Drawing()
        fit(Small(), objective, split(16), epochs=2, batch_size=8)
        drawn.append(objective.drawn)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert all(len(set(of_one)) == 4 for of_one in zip(*drawn[0], strict=True))


@pytest.mark.parametrize("device", ["cuda:1", "mps", "xpu"])
def test_the_random_state_of_any_device_is_seeded_and_put_back(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    module, state = torch.get_device_module(device), [7]
    monkeypatch.setattr(module, "get_rng_state", lambda which: (which, state[0]))
    monkeypatch.setattr(module, "set_rng_state", lambda kept, which: state.append(kept))
    monkeypatch.setattr(module, "manual_seed", state.append)
    with random_state_kept(torch.device(device)):
        seed_all(3, torch.device(device))
    assert state == [7, 3, (torch.device(device), 7)]


# -- what is called along -------------------------------------------------------------------------


def test_on_epoch_sees_every_row_and_may_end_the_run(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    def watch(row: dict[str, float]) -> bool:
        seen.append(row | {})
        row.clear()  # the history is none of its business
        return len(seen) == 2

    run: dict[str, Any] = dict(epochs=5, checkpoint=tmp_path / "run.pt", checkpoint_interval=1e6)
    student, again, shorter = Small(), Small(), Small()
    history = fit(student, Supervised(), split(), on_epoch=watch, **run)
    assert [row["epoch"] for row in seen] == [1, 2]
    assert seen == history
    fit(shorter, Supervised(), split(), epochs=2)
    assert same(weights(student), weights(shorter))
    seen.clear()  # the run that goes on hears of the past, and stays ended
    assert fit(again, Supervised(), split(), on_epoch=watch, **run) == history == seen
    assert same(weights(student), weights(again))
    assert len(fit(Small(), Supervised(), split(), on_epoch=lambda row: None, **run)) == 5


def test_seeding_leaves_no_notes_for_gpus_that_are_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("about machines without a GPU")
    notes = len(torch.cuda._queued_calls)
    fit(plain(), Supervised(), split(), epochs=3, batch_size=8)
    assert len(torch.cuda._queued_calls) == notes


class CountReads(TorchDispatchMode):
    """Counts the operations that make a GPU's queue wait for a value."""

    reads = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.reads += any(name in str(function) for name in ("_local_scalar_dense", "nonzero"))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("objective", [Supervised(), Distillation(Teacher(plain(1), cache=True))])
def test_the_number_of_reads_does_not_depend_on_the_number_of_steps(
    objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tensors, "_is_read", lambda tensor: False)  # as on a GPU
    reads = []
    for train in (split(8), split(8), split(80)):  # at first a teacher is looked at
        with CountReads() as counter:
            fit(plain(), objective, train, epochs=1, batch_size=4)
        reads.append(counter.reads)
    assert reads[1] == reads[2]


# -- the recipe -----------------------------------------------------------------------------------


def test_settings_one_by_one_are_a_recipe_and_go_before_its_own() -> None:
    recipe = Recipe(epochs=3, batch_size=16, lr=1e-2, device="cpu", ema=0.5)
    alone, shared, changed = Small(), Small(), Small()
    settings = dict(batch_size=16, lr=1e-2, ema=0.5)
    fit(alone, Supervised(), split(), epochs=3, **settings)
    training.fit(shared, Supervised(), split(), recipe, progress=False)
    assert same(weights(alone), weights(shared))
    history = training.fit(changed, Supervised(), split(), recipe, steps=4, lr=1.0, progress=False)
    assert len(history) == 1  # steps in place of the recipe's epochs
    assert not same(weights(alone), weights(changed))
    with pytest.raises(FrozenInstanceError):
        recipe.lr = 1.0


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (4, 1), (5, 2), (9, 3), (30, 10)])
def test_steps_are_rounded_to_whole_epochs(steps: int, epochs: int) -> None:
    recipe = Recipe(steps=steps, batch_size=16)
    assert recipe.epochs_for(split(40)) == epochs  # of three steps each


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "give epochs or steps, at least 1 and not both, got 0 and 0"),
        ({"steps": 3}, "give epochs or steps, at least 1 and not both, got 1 and 3"),
        ({"epochs": 0, "steps": -3}, "steps must be at least 0, got -3"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": 0}, "lr must be a number from 1e-30 to"),
        ({"ema": 1}, "ema must be a number from 0 to 0.99"),
        ({"optimizer": 3}, "optimizer must be a function, called as optimizer"),
        ({"optimizer": lambda parameters: None}, "optimizer.* got an unexpected .*'lr'"),
        ({"optimizer": "adamw"}, "optimizer must be one of adam, sgd, nesterov, got 'adamw'"),
        ({"schedule": 3}, "schedule must be a function, called as schedule"),
        ({"schedule": lambda optimizer: None}, "called as schedule.*: too many positional"),
        ({"checkpoint_interval": -1}, "checkpoint_interval must be a number from 0"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda, cuda:N or mps, got 'gpu'"),
        ({"precision": "fp16"}, "precision must be one of auto, fp32, bf16, got 'fp16'"),
        ({"compile": "no"}, "compile must be a bool, got 'no'"),
        ({"channels_last": 3}, "channels_last must be a bool, got 3"),
    ],
)
def test_a_recipe_refuses_what_cannot_work(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**{"epochs": 1, "device": "cpu", **change})


def test_gpus_are_counted_from_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Recipe(epochs=1, device="cuda:1").device == "cuda:1"
    with pytest.raises(ValueError, match="this machine has no device 'cuda:2'"):
        Recipe(epochs=1, device="cuda:2")


class Viewing(Small):
    def forward(self, inputs: Tensor) -> Tensor:
        features = self.norm(self.conv(inputs))
        return self.head(self.drop(torch.relu(features).view(len(inputs), -1)))


@pytest.mark.parametrize("make", [Supervised, lambda: Distillation(Viewing(seed=1))])
def test_a_student_whose_code_uses_view_is_trained_without_channels_last(make: Any) -> None:
    learned = []
    for student, layout in ((Viewing(), {}), (Small(), {"channels_last": False})):
        fit(student, make(), split(), epochs=2, batch_size=8, validation=split(), **layout)
        learned.append(weights(student))
    assert same(*learned)


class Flat(Small):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).mean()


def ends_at_zero(epoch: int, epochs: int) -> float:
    return 4.0 - 2 * epoch


OTHER_CLASSES = replace(split(), classes=("c", "a", "b"))


@pytest.mark.parametrize(
    ("student", "change", "message"),
    [
        (Small(), {"seed": -1}, "seed must be at least 0, got -1"),
        (Small(), {"objective": kd.losses.kd_loss}, r"an Objective, got .*; Distillation\(teacher"),
        (Small(), {"train": [(0, 1)]}, r"train must be a Split, got .*; data.from_dataset\("),
        (Small(), {"recipe": {"epochs": 3}}, "recipe must be a Recipe or NoneType, got"),
        (Small().requires_grad_(False), {}, "no parameter to train"),
        (Small(classes=2), {}, "labels run from 0 to 2, but the student has 2 classes"),
        (Small(), {"validation": split(classes=4)}, "labels run from 0 to 3, but"),
        (Small(), {"train": replace(split(), labels=split().labels + 1, classes=())}, "subtract 1"),
        (Small(), {"train": replace(split(), labels=split().labels - 1)}, "14 of 40 images have"),
        (kd.build("mnist_cnn_student"), {}, r"takes images \[B, 1, 28, 28\], got \[2, 1, 8"),
        (nn.Conv2d(1, 4, 3), {}, r"must return logits \[B, C\], got \[2, 4, 6, 6\]"),
        (Flat(), {}, r"must return logits \[B, C\], got \[\]"),
        (
            Small(),
            {"train": replace(split(), images=split().images[:0], labels=split().labels[:0])},
            "the split train is empty",
        ),
        (Small(), {"validation": OTHER_CLASSES}, "classes of validation are .*give both the same"),
        (
            Small(),
            {"objective": Distillation(Small(), temperature=ends_at_zero), "epochs": 3},
            "temperature must be a number",
        ),
        (Small(), {"epoch": 3}, r"no setting 'epoch'; did you mean 'epochs'\?"),
        (Small(), {"zzz": 3}, "no setting 'zzz'; there are epochs, steps"),
        (Small(), {"on_epoch": 3}, r"must be a function, called as on_epoch\(row\)"),
        (Small(), {"on_epoch": lambda epoch, row: None}, r"must be .* called as on_epoch\(row\)"),
        (Small(), {"optimizer": lambda p, lr: None}, "optimizer.* returned None"),
        (Small(), {"optimizer": lambda p, lr: torch.optim.LBFGS(p)}, "LBFGS asks for the loss"),
        (Small(), {"optimizer": lambda p, lr: nesterov(plain().parameters(), lr)}, "no weight of"),
        (Small(), {"schedule": lambda o, steps: None}, "schedule.* returned None"),
        (Small(), {"schedule": lambda o, steps: ReduceLROnPlateau(o)}, "needs a figure"),
        (Small(), {"schedule": ReduceLROnPlateau}, "not the number of steps; give cosine or"),
        (Small(), {"schedule": ExponentialLR}, r"give lambda optimizer, total_steps: Exponential"),
        (Small(), {"schedule": partial(StepLR, gamma=0.5)}, "of StepLR is not the number of steps"),
    ],
)
def test_what_cannot_be_trained_is_refused_first(
    student: nn.Module, change: dict[str, Any], message: str
) -> None:
    before = weights(student)
    with pytest.raises(ValueError, match=message):
        fit(student, **{"objective": Supervised(), "train": split(), "epochs": 1, **change})
    assert same(weights(student), before)


# -- the moving average and compilation -----------------------------------------------------------


class Turned(Small):
    """With a complex weight, as spectral layers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.tensor([1 + 0.5j, 1j, 1.0]))

    def forward(self, inputs: Tensor) -> Tensor:
        return (super().forward(inputs) * self.turn).abs()


def test_the_average_is_the_exponential_moving_average_of_the_weights() -> None:
    decay, student, follower = 0.8, Turned(), Turned()
    expected: dict[str, Tensor] = {}

    def update(*_: Any) -> None:
        for name, tensor in weights(follower).items():
            expected[name] = decay * expected.get(name, tensor) + (1 - decay) * tensor

    run = partial(fit, objective=Supervised(), train=split(24), epochs=2, batch_size=8,
                  optimizer=torch.optim.Adam)  # fmt: skip
    with register_optimizer_step_post_hook(update):
        run(follower)
    run(student, ema=decay)
    assert torch.equal(student.norm.num_batches_tracked, torch.tensor(6))  # no average: a copy
    for name, tensor in student.state_dict().items():
        if name != "norm.num_batches_tracked":
            torch.testing.assert_close(tensor, expected[name])


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
    close(first, second, atol=1e-5, rtol=1e-4)
