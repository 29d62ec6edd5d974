"""Students trained side by side end as each alone, with data, order and objective of its own."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_data import Small, same, split, weights
from torch import Tensor, nn

from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.models.build import MNISTCNN, PlainCNN
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Objective, Supervised, Terms
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.temperature import ExponentialDecay, LearnedTemperature
from kdhelpers.training import fit as training
from kdhelpers.training import stacked
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.loop import TrainingError
from kdhelpers.training.optimizers import cosine, nesterov
from kdhelpers.training.side_by_side import SideBySide

fit = partial(training.fit, device="cpu", progress=False)
fit_stacked = partial(stacked.fit_stacked, device="cpu", progress=False)

SEEDS = (3, 0, 7)
POOL = split(90)
SETTINGS: dict[str, Any] = dict(epochs=3, batch_size=8, lr=1e-2)


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def student(seed: int) -> nn.Module:
    return seeded(lambda: MNISTCNN((3, 4), image_size=8, num_classes=3), seed)


def students() -> list[nn.Module]:
    return [student(seed) for seed in SEEDS]


def subsets(count: int = 29) -> list[Split]:
    """29 samples in batches of 8: the last batch is a smaller one."""
    return [POOL.take(count, seed=seed) for seed in SEEDS]


def supervised() -> list[Objective]:
    return [Supervised(label_smoothing=0.1 * number) for number in range(3)]


def sharp_teacher() -> nn.Module:
    """Sure of itself: of a soft one, T's gradient at a high T is rounding and nothing else."""
    make = partial(PlainCNN, (3, 4), 5, in_channels=1, image_size=8, num_classes=3)
    teacher = seeded(make, 9)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(3)
    return teacher


def distilled(cache: bool | None = None, **options: Any) -> list[Distillation]:
    teacher = Teacher(sharp_teacher(), cache=cache)
    return [Distillation(teacher, **options) for _ in SEEDS]


def of_all_kinds() -> list[Objective]:
    """A different objective for each student, on one teacher."""
    fixed, decaying, learned = distilled()
    decaying.temperature = ExponentialDecay(start=5, factor=0.6)
    learned.temperature = LearnedTemperature(ramp=2)
    return [fixed, decaying, learned]


def learned() -> list[Objective]:
    teacher = distilled()[0].teacher
    return [
        Distillation(teacher, temperature=LearnedTemperature(theta=theta, ramp=2), alpha=0.5)
        for theta in (-1.0, 0.0, 1.0)
    ]


def agree(first: nn.Module, second: nn.Module) -> None:
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, second.state_dict()[name], atol=2e-5, rtol=2e-4)


def check_against_fit(
    objectives: Callable[[], Sequence[Objective]],
    make: Callable[[int], nn.Module] = student,
    **options: Any,
) -> None:
    settings = SETTINGS | options
    together, own = [make(seed) for seed in SEEDS], objectives()
    histories = fit_stacked(together, own, subsets(), seeds=SEEDS, **settings)
    for number, objective in enumerate(objectives()):
        alone = make(SEEDS[number])
        history = fit(alone, objective, subsets()[number], seed=SEEDS[number], **settings)
        assert not same(weights(alone), weights(make(SEEDS[number])))
        agree(alone, together[number])
        agree(objective, own[number])
        for expected, row in zip(history, histories[number], strict=True):
            assert list(row) == list(expected)
            assert row | {"seconds": 0} == pytest.approx(expected | {"seconds": 0}, abs=1e-4)
            assert row["seconds"] > 0


# -- the same as each alone -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "objectives",
    [
        supervised,
        distilled,
        partial(distilled, temperature=2.0, alpha=0.0),
        partial(distilled, temperature=ExponentialDecay(start=5, factor=0.6), alpha=1.0),
        learned,
        of_all_kinds,
        lambda: [Supervised(), *distilled()[1:]],
    ],
    ids=["supervised", "fixed", "alpha 0", "decay", "learned", "all kinds", "with and without"],
)
def test_each_ends_as_fit_alone_would_train_it(
    objectives: Callable[[], Sequence[Objective]],
) -> None:
    check_against_fit(objectives)


@pytest.mark.parametrize("cache", [True, False])
def test_with_views_and_validation(cache: bool) -> None:
    validation = split(30, seed=1)
    check_against_fit(
        partial(distilled, cache), views=Views(flip=True, shift=1), validation=validation
    )


def test_with_another_optimiser_and_a_schedule() -> None:
    check_against_fit(supervised, optimizer=nesterov, schedule=cosine)


class Layers(nn.Module):
    """All that can lie side by side: strides, groups, no biases, two kinds of pooling, modes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.rest = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(24, 5, bias=False), nn.LeakyReLU(), nn.Linear(5, 3),
        )  # fmt: skip
        self.rest[4].weight.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        assert inputs.size()[1] == inputs.size(1) == 1
        values = self.second(torch.tanh(self.norm(self.first(inputs))))
        return self.rest[4:](torch.flatten(self.rest[:3](values), 1))


def test_every_known_layer_with_buffers_and_a_frozen_one() -> None:
    check_against_fit(supervised, lambda seed: seeded(Layers, seed), validation=split(30, seed=1))


def test_logits_side_by_side_are_those_of_each() -> None:
    networks = [seeded(Layers, seed).eval() for seed in SEEDS]
    stack = SideBySide(networks).eval()
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = stack(images)
    assert logits.shape == (5, 3, 3)
    for number, network in enumerate(networks):
        torch.testing.assert_close(logits[:, number], network(images[:, number : number + 1]))
        assert same(stack.state_of(number), weights(network))


# -- interrupted ----------------------------------------------------------------------------------


class Stopping(Distillation):
    """Interrupted at a chosen step."""

    left = 6

    def forward(self, network: nn.Module, batch: Batch) -> Terms:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().forward(network, batch)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"objective": "Distillation"}


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    run = partial(fit_stacked, trains=subsets(), seeds=SEEDS, **SETTINGS)
    whole, again, file = students(), students(), tmp_path / "run.pt"
    expected = run(whole, learned())
    stopped = learned()
    stopped[1].__class__ = Stopping
    with pytest.raises(KeyboardInterrupt):
        run(again, stopped, checkpoint=file)
    assert all(same(weights(a), weights(b)) for a, b in zip(again, students(), strict=True))
    resumed = learned()
    found = run(again, resumed, checkpoint=file)
    assert all(same(weights(a), weights(b)) for a, b in zip(whole, again, strict=True))
    assert [[row | {"seconds": 0} for row in each] for each in found] == [
        [row | {"seconds": 0} for row in each] for each in expected
    ]
    finished, done = students(), learned()
    assert run(finished, done, checkpoint=file) == found  # nothing left to do
    assert all(same(weights(a), weights(b)) for a, b in zip(whole, finished, strict=True))
    assert all(same(weights(a), weights(b)) for a, b in zip(resumed, done, strict=True))


@pytest.mark.parametrize("changed", ["seeds", "data", "student"])
def test_the_checkpoint_of_another_run_is_refused(changed: str, tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    fit_stacked(
        students(),
        supervised(),
        subsets(),
        seeds=SEEDS,
        checkpoint=file,
        **SETTINGS | {"epochs": 1},
    )
    networks, seeds, trains = students(), (3, 0, 8), subsets()
    if changed == "student":
        networks, seeds = networks[::-1], SEEDS
    if changed == "data":
        trains, seeds = trains[::-1], SEEDS
    with pytest.raises(CheckpointError, match=f"its {changed} is"):
        fit_stacked(networks, supervised(), trains, seeds=seeds, checkpoint=file, **SETTINGS)


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    networks = students()
    with torch.no_grad():
        next(networks[1].parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1"):
        fit_stacked(networks, supervised(), subsets(), seeds=SEEDS, **SETTINGS)


# -- refused --------------------------------------------------------------------------------------


def refused(message: str, **changed: Any) -> None:
    arguments: dict[str, Any] = dict(
        students=students(), objectives=supervised(), trains=subsets(), seeds=SEEDS, **SETTINGS
    )
    with pytest.raises(ValueError, match=message):
        fit_stacked(**arguments | changed)


@pytest.mark.parametrize("missing", ["objectives", "trains", "seeds"])
def test_every_student_needs_what_is_its_own(missing: str) -> None:
    given = {"objectives": supervised()[1:], "trains": subsets()[1:], "seeds": SEEDS[1:]}
    refused(
        "one objective, one split and one seed for each, got 3 and", **{missing: given[missing]}
    )
    refused("got 0 and 0, 0, 0", students=[], objectives=[], trains=[], seeds=[])


def test_splits_of_several_sizes_are_refused() -> None:
    trains = [*subsets()[1:], POOL.take(20)]
    refused(r"splits of one size, got \[20, 29\]", trains=trains)


def test_nothing_may_serve_two_students() -> None:
    refused("a network of its own", students=[student(0)] * 3)
    refused("an objective of its own", objectives=[Supervised()] * 3)
    refused(
        "a learned temperature of its own", objectives=distilled(temperature=LearnedTemperature())
    )


def test_students_of_several_architectures_are_refused() -> None:
    wide = MNISTCNN((4, 4), image_size=8, num_classes=3)
    refused("one architecture, but number 2 differs", students=[*students()[1:], wide])
    frozen = students()
    next(frozen[1].parameters()).requires_grad_(False)
    refused("one architecture, but number 1 differs", students=frozen)


class Head(nn.Module):
    """A linear layer, after something that does not lie side by side."""

    def __init__(self, before: Callable[[Any], Any]) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 3)
        self.before = before

    def forward(self, inputs: Tensor) -> Tensor:
        return self.fc(self.before(inputs))


class Single(Head):
    def __init__(self) -> None:
        super().__init__(lambda x: x.flatten(1))
        self.scale = nn.Parameter(torch.ones(()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Small, "Small cannot be trained side by side .*'dropout'"),
        (lambda: nn.Conv2d(1, 3, 3), r"must return logits \[B, C\]"),
        (lambda: Head(lambda x: x.view(len(x.shape), -1)), "know no 'view'"),
        (lambda: Head(lambda x: torch.cat([x.flatten(1)[:1]] * 2)), "Head cannot be trained"),
        (lambda: Head(lambda x: F.relu(x.flatten(1)) + 1), "unsupported operand"),
        (lambda: Head(lambda x: x.flatten(2).flatten(1)), r"only flatten\(1\)"),
        (lambda: Head(lambda x: F.conv2d(torch.ones(2, 1, 8, 8), x)), "know no 'conv2d'"),
    ],
    ids=["dropout", "maps", "view", "slice", "plus", "flatten", "as a weight"],
)
def test_what_cannot_lie_side_by_side_is_one_sentence(
    make: Callable[[], nn.Module], message: str
) -> None:
    shared: list[nn.Module] = [make() for _ in SEEDS]
    if isinstance(shared[0], Head):  # a lambda's repr has an address
        for network in shared:
            network.before = shared[0].before
    with pytest.raises(ValueError, match=message):
        stacked._stack(shared, subsets())


def test_a_parameter_of_one_number_is_refused() -> None:
    refused("the parameter 'scale' is a single number", students=[Single() for _ in SEEDS])


class Mixing(Supervised):
    def forward(self, network: nn.Module, batch: Batch) -> Terms:
        return super().forward(network, batch._replace(inputs=batch.inputs.flip(0)))


def test_an_objective_that_asks_about_other_images_is_refused() -> None:
    refused("about the images of the batch only", objectives=[Supervised(), Mixing(), Supervised()])


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("epochs", 0, "epochs must be at least 1"),
        ("seeds", (0, 1, -1), "seed must be at least 0, got -1"),
        ("lr", 0.0, "lr must be greater than 0"),
        ("device", "abacus", "device must be auto"),
        ("checkpoint", "", "checkpoint must name a file"),
        ("trains", [split(29, classes=4, seed=seed) for seed in SEEDS], "has 3 classes"),
    ],
)
def test_arguments_are_checked_as_in_fit(argument: str, value: Any, message: str) -> None:
    refused(message, **{argument: value})
