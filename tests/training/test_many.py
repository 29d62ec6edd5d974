"""Runs at the same time, and students side by side, end as each would have ended alone."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_data import Small, same, split, weights
from torch import Tensor, nn

from kdhelpers._random import initial_weights
from kdhelpers.data.batching import Views
from kdhelpers.data.split import Split
from kdhelpers.models.build import MNISTCNN, PlainCNN
from kdhelpers.objectives.distillation import Distillation, Faded
from kdhelpers.objectives.hints import Hint, LayerPair
from kdhelpers.objectives.objective import Objective, Supervised
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.temperature import ExponentialDecay, LearnedTemperature
from kdhelpers.training import fit as training
from kdhelpers.training import many, threads
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.loop import Row, TrainingError
from kdhelpers.training.many import run_arms
from kdhelpers.training.optimizers import cosine, nesterov
from kdhelpers.training.side_by_side import refusal

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")

fit = partial(training.fit, device="cpu", progress=False)
fit_many = partial(many.fit_many, device="cpu", progress=False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Runs agree to the bit where each has as many threads, here and in its share of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SEEDS = (3, 0, 7)
POOL = split(90)
SETTINGS: dict[str, Any] = dict(epochs=2, batch_size=8, lr=1e-2)


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with initial_weights(seed):  # safe in threads
        return make()


def student(seed: int, channels: tuple[int, int] = (3, 4)) -> nn.Module:
    return seeded(lambda: MNISTCNN(channels, image_size=8, num_classes=3), seed)


def students() -> list[nn.Module]:
    return [student(seed) for seed in SEEDS]


def subsets() -> list[Split]:
    """29 samples in batches of 8: the last batch is a smaller one."""
    return [POOL.take(29, seed=seed) for seed in SEEDS]


def sharp_teacher() -> nn.Module:
    """Sure of itself: of a soft one, T's gradient at a high T is rounding and nothing else."""
    make = partial(PlainCNN, (3, 4), 5, in_channels=1, image_size=8, num_classes=3)
    teacher = seeded(make, 9)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(3)
    return teacher


def supervised() -> list[Objective]:
    return [Supervised(label_smoothing=0.1 * number) for number in range(3)]


def distilled(cache: bool | None = None, **options: Any) -> list[Distillation]:
    teacher = Teacher(sharp_teacher(), cache=cache)
    return [Distillation(teacher, **options) for _ in SEEDS]


def learned() -> list[Objective]:
    teacher = Teacher(sharp_teacher())
    return [
        Distillation(teacher, temperature=LearnedTemperature(theta=theta, ramp=2), alpha=0.5)
        for theta in (-1.0, 0.0, 1.0)
    ]


def of_all_kinds() -> list[Objective]:
    """A different objective for each student, on one teacher."""
    decaying, learning, faded = distilled()
    decaying.temperature = ExponentialDecay(start=5, factor=0.6)
    learning.temperature = LearnedTemperature(ramp=2)
    return [decaying, learning, Faded(faded)]


def hints() -> list[Objective]:
    teacher = Teacher(student(9, (3, 5)))
    return [Hint(teacher, LayerPair("conv1", "conv1")) for _ in SEEDS]


# -- the runs of an experiment --------------------------------------------------------------------


def test_runs_in_threads_are_those_of_one_after_the_other_and_carry_their_seed() -> None:
    kept, live = Teacher(sharp_teacher(), cache=True), Teacher(student(9), cache=False)

    def arm(objective: Callable[[], Objective], seed: int) -> dict[str, Any]:
        network = student(seed)
        fit(network, objective(), POOL.take(29), seed=seed, **SETTINGS)
        return weights(network)

    arms = {
        "alone": partial(arm, Supervised),
        "kept": partial(arm, lambda: Distillation(kept)),
        "live": partial(arm, lambda: Distillation(live)),
        "hint": partial(arm, lambda: Hint(live, LayerPair("conv1", "conv1"))),
    }
    three, one = run_arms(arms, SEEDS, workers=3), run_arms(arms, SEEDS)
    assert list(one) == list(three) == list(arms)
    for name in arms:
        for first, second, seed in zip(one[name], three[name], SEEDS, strict=True):
            assert first.pop("seed") == second.pop("seed") == seed
            assert same(first, second)
    assert not same(one["alone"][0], one["alone"][1])


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_objective_serves_one_run_at_a_time(wrapped: bool) -> None:
    one = Distillation(sharp_teacher())
    of = [Faded(one), Faded(one)] if wrapped else [one, one]

    def meanwhile(row: Row) -> None:
        fit(student(1), of[1], POOL, seed=1, **SETTINGS)

    with pytest.raises(ValueError, match=r"is in use by another run .* make an objective for each"):
        fit(student(0), of[0], POOL, seed=0, on_epoch=meanwhile, **SETTINGS)
    meanwhile({})  # it is free again


def test_a_run_that_starts_threads_itself_has_them_one_after_the_other() -> None:
    def inner(seed: int) -> list[str]:
        return run_arms({"b": lambda _: threading.current_thread().name}, [0, 1], workers=2)["b"]

    for names in run_arms({"a": inner}, [0, 1], workers=2)["a"]:
        assert len(set(names)) == 1


def test_what_is_no_dict_is_handed_back_and_lists_of_runs_need_no_seeds() -> None:
    assert run_arms({"a": lambda seed: -seed}, [1, 2], workers=2) == {"a": [-1, -2]}
    assert run_arms({}, [1], workers=2) == {}
    assert run_arms({"a": lambda seed: {"seed": -1}}, [5]) == {"a": [{"seed": 5}]}
    assert run_arms({"a": json.dumps}, list(np.arange(2))) == {"a": ["0", "1"]}


def test_one_function_may_run_all_arms() -> None:
    def run(seed: int, arm: Any) -> dict[str, Any]:
        return {"arm": arm}

    names = ["alone", ("distilled", 4.0)]
    wanted = {name: [{"arm": name, "seed": 2}, {"arm": name, "seed": 0}] for name in names}
    assert run_arms(names, [2, 0], run=run, workers=2) == wanted
    assert run_arms(dict.fromkeys(names), [2, 0], run=run) == wanted


def test_how_long_the_others_may_take_is_told_once_after_a_run_that_takes_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def run(seed: int) -> None:  # the first is there already, all others take 90 s
        now[0] += 90 * (seed > 0)

    run_arms({"a": run, "b": run}, [0, 1, 2, 3, 4])
    assert capsys.readouterr().err == "a run took 90 s, the other 8 may take 12 min\n"
    run_arms({"a": run}, [0, 1, 2, 3, 4])
    assert capsys.readouterr().err == ""
    many._Forecast(17, workers=2).after(90.0)
    assert capsys.readouterr().err == "a run took 90 s, the other 16 may take 12 min\n"


def test_runs_share_the_time_and_the_threads() -> None:
    meeting = threading.Barrier(2, timeout=300)  # only two at the same time get past it

    def meet(seed: int) -> int:
        meeting.wait()
        return torch.get_num_threads()

    for count in (1, 2):
        torch.set_num_threads(count)
        assert run_arms({"a": meet, "b": meet}, [0], workers=2) == {"a": [1], "b": [1]}


def test_one_processor_has_one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 1)
    running: list[int] = []

    def alone(seed: int) -> list[int]:
        running.append(seed)
        threading.Event().wait(0.05)  # long enough for another one to begin
        return [running.pop(), *running]

    assert run_arms({"a": alone}, [0, 1, 2], workers=3) == {"a": [[0], [1], [2]]}


def test_the_first_error_is_raised_and_what_has_not_started_is_given_up() -> None:
    begun = []

    def run(number: int) -> None:
        if number == 0:
            raise ZeroDivisionError("on purpose")
        begun.append(number)
        threading.Event().wait(0.05)

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        run_arms({"a": run}, range(100), workers=2)
    assert len(begun) < 99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"seeds": 3}, "seeds must be a list, got 3"),
        ({"seeds": [0.5]}, "each of seeds must be a whole number, got 0.5"),
        ({"seeds": [0, 0]}, r"seeds must differ, got \[0, 0\]"),
        ({"arms": {"a": 1}}, r"the arm 'a' must be a function, called as run\(seed\), got 1"),
        ({"arms": {"a": list, "b": lambda: 1}}, "the arm 'b' must be .*too many positional"),
        ({"arms": ["a"]}, r"arms must be a Mapping, got \['a'\]"),
        ({"arms": "ab", "run": max}, "arms must be a Mapping or list or tuple, got 'ab'"),
        ({"run": lambda seed: seed}, r"run must be a function, called as run\(seed, arm\)"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(change: dict[str, Any], message: str) -> None:
    def run(seed: int) -> None:
        pytest.fail("trained")

    with pytest.raises(ValueError, match=message):
        run_arms(**{"arms": {"a": run}, "seeds": [0], **change})


# -- many students: the same as each alone --------------------------------------------------------


def check_against_fit(
    objectives: Callable[[], Sequence[Objective]],
    make: Callable[[int], nn.Module] = student,
    *,
    trains: Sequence[Split] = subsets(),
    workers: int = 1,
    exact: bool = False,
    **options: Any,
) -> None:
    settings = SETTINGS | options
    together, own = [make(seed) for seed in SEEDS], objectives()
    seeds = list(np.array(SEEDS))
    histories = fit_many(together, own, trains, seeds=seeds, workers=workers, **settings)
    for number, objective in enumerate(objectives()):
        alone = make(SEEDS[number])
        history = fit(alone, objective, trains[number], seed=SEEDS[number], **settings)
        assert not same(weights(alone), weights(make(SEEDS[number])))
        for one, other in ((alone, together[number]), (objective, own[number])):
            if exact:
                assert same(weights(one), weights(other))
            for name, tensor in one.state_dict().items():
                torch.testing.assert_close(tensor, other.state_dict()[name], atol=2e-5, rtol=2e-4)
        for expected, row in zip(history, histories[number], strict=True):
            assert list(row) == list(expected)
            assert row | {"seconds": 0} == pytest.approx(expected | {"seconds": 0}, abs=1e-4)
            assert row["seconds"] > 0


@pytest.mark.parametrize(
    ("objectives", "options"),
    [
        (supervised, {"workers": 2}),
        (learned, {"workers": 5}),
        (of_all_kinds, {}),
        (lambda: [Supervised(), *distilled(alpha=1.0)[1:]], {}),
        (partial(distilled, True), {"views": Views(flip=True, shift=1), "validation": POOL}),
        (partial(distilled, False), {"views": Views(flip=True), "validation": POOL}),
        (supervised, {"optimizer": nesterov, "schedule": cosine}),
    ],
)
def test_side_by_side_each_ends_as_alone_up_to_rounding(
    objectives: Callable[[], Sequence[Objective]],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many, "in_threads", partial(side_by_side_only, many.in_threads))
    check_against_fit(objectives, **options)


def side_by_side_only(in_threads: Callable[..., Any], runs: Any, workers: int) -> Any:
    assert all(run.func is many._fit_side_by_side for run in runs)
    return in_threads(runs, workers)


def penalised() -> list[Objective]:
    """With a hook that adds the size of the student's weights."""

    def more(objective: Any, given: Any, terms: Any) -> Any:
        return terms | {"size": 0.01 * sum(p.square().sum() for p in given[0].parameters())}

    objectives = [Supervised() for _ in SEEDS]
    for objective in objectives:
        objective.register_forward_hook(more)
    return [*objectives]


class Clipping(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 0.01)
        return super().step(closure)


def test_what_cannot_lie_side_by_side_is_trained_by_fit_bit_for_bit() -> None:
    def several(seed: int) -> nn.Module:
        return student(seed, (3, 4 + seed % 2))

    exactly = partial(check_against_fit, workers=2, exact=True)
    exactly(distilled, several)
    exactly(hints)
    exactly(supervised, ema=0.5)
    exactly(supervised, trains=[POOL.take(20 + seed, seed=seed) for seed in SEEDS])  # of any size
    exactly(penalised)  # a hook sees the student itself
    exactly(supervised, optimizer=Clipping)  # by the norm of all weights
    check_against_fit(supervised, lambda seed: Small(seed=seed), exact=True)  # dropout
    with pytest.raises(ValueError, match=r"'student\.drop' draws"):
        exactly(supervised, lambda seed: Small(seed=seed))


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
    assert refusal([seeded(Layers, 0)] * 2, [torch.zeros(2, 1, 8, 8)] * 2) is None
    check_against_fit(supervised, lambda seed: seeded(Layers, seed), validation=POOL)


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


class Tied(nn.Sequential):
    """A weight that two layers use."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 3))
        self[2].weight = self[1].weight


def bent(inputs: Any, slope: float) -> Any:
    return F.leaky_relu(inputs.flatten(1), slope)


class WholeWeight(Head):
    """Its weights are scaled by the largest of them all."""

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.fc.weight
        return F.linear(self.before(inputs), weight / weight.abs().max())


def counting(batches: int) -> nn.Module:
    network = nn.Sequential(nn.BatchNorm2d(1, momentum=None), nn.Flatten(), nn.Linear(64, 3))
    network[0].num_batches_tracked.fill_(batches)
    return network


def changed(change: Callable[[Any], object]) -> nn.Module:
    network = student(0)
    change(network)
    return network


def unsaved(network: nn.Module) -> None:
    network.register_buffer("scale", torch.ones(3), persistent=False)


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        ([Small()] * 2, "'dropout'"),
        ([nn.Conv2d(1, 3, 3)] * 2, "logits [B, C]"),
        ([Single()] * 2, "'scale' is a single number"),
        ([Tied()] * 2, "answer otherwise than alone"),
        ([Head(lambda x: x.view(len(x.shape), -1))] * 2, "know no 'view'"),
        ([Head(lambda x: torch.cat([x.flatten(1)[:1]] * 2))] * 2, "not subscriptable"),
        ([Head(lambda x: F.relu(x.flatten(1)) + 1)] * 2, "unsupported operand"),
        ([Head(lambda x: x.flatten(2).flatten(1))] * 2, "only flatten(1)"),
        ([Head(lambda x: F.conv2d(torch.ones(2, 1, 8, 8), x))] * 2, "know no 'conv2d'"),
        ([student(0), student(0, (4, 4))], "one architecture"),
        ([student(0), changed(lambda n: n.conv1.requires_grad_(False))], "one architecture"),
        ([student(0), changed(lambda n: setattr(n, "scale", 2.0))], "one architecture"),  # no repr
        ([changed(lambda n: n.conv1.weight.register_hook(lambda g: g * 0))] * 2, "no hooks"),
        ([student(0), changed(lambda n: n.conv1.register_forward_hook(print))], "no hooks"),
        ([student(0), changed(lambda n: n.conv1.register_full_backward_hook(print))], "no hooks"),
        ([changed(unsaved)] * 2, "hold weights and plain values"),
        # what only looks alike
        ([Head(partial(bent, slope=slope)) for slope in (0.0, 0.9)], ""),
        ([Head(lambda x, slope=slope: bent(x, slope)) for slope in (0.0, 0.9)], ""),
        ([seeded(lambda: WholeWeight(lambda x: x.flatten(1)), 0) for _ in range(2)], ""),
        ([counting(0), counting(9)], ""),
    ],
)
def test_networks_that_cannot_lie_side_by_side(networks: list[nn.Module], reason: str) -> None:
    found = refusal(networks, [POOL.normalise(POOL.images[:2])] * 2)
    assert found
    assert reason in found


# -- interrupted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_bit_for_bit(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = partial(
        fit_many, trains=subsets(), seeds=SEEDS, workers=workers, run="many",
        checkpoint_dir=tmp_path, **SETTINGS,
    )  # fmt: skip
    whole, again = students(), students()
    expected = run(whole, learned(), run="")
    steps: Counter[int] = Counter()

    def interrupted(self: LearnedTemperature, epoch: int, epochs: int) -> Tensor:
        steps[id(self)] += torch.is_grad_enabled()
        if steps[id(self)] == 7:  # in the second epoch
            raise KeyboardInterrupt
        return forward(self, epoch, epochs)

    forward = LearnedTemperature.forward
    with monkeypatch.context() as patched:
        patched.setattr(LearnedTemperature, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(again, learned())
    names = {1: ["many.pt"], 2: ["many-0.pt", "many-1.pt"]}[workers]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(same(weights(a), weights(b)) for a, b in zip(again, students(), strict=True))
    resumed, finished, done = learned(), students(), learned()
    found = run(again, resumed)
    assert all(same(weights(a), weights(b)) for a, b in zip(whole, again, strict=True))
    assert [[row | {"seconds": 0} for row in each] for each in found] == [
        [row | {"seconds": 0} for row in each] for each in expected
    ]
    assert run(finished, done) == found  # nothing left to do
    assert all(same(weights(a), weights(b)) for a, b in zip(whole, finished, strict=True))
    assert all(same(weights(a), weights(b)) for a, b in zip(resumed, done, strict=True))


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (2, 1, "many-0.pt holds a run .* another number of workers than 1; give that number"),
        (1, 2, "many.pt holds a run .* another number of workers than 2"),
        (2, 3, r"its seeds is \[3, 7\], this run has \[3\]; give the workers that it began with"),
    ],
)
def test_another_number_of_workers_is_told(
    tmp_path: Path, first: int, then: int, told: str
) -> None:
    for workers, refused in ((first, nullcontext()), (then, pytest.raises(Exception, match=told))):
        with refused:
            fit_many(
                students(), supervised(), subsets(), seeds=SEEDS, workers=workers, run="many",
                checkpoint_dir=tmp_path, **SETTINGS,
            )  # fmt: skip


@pytest.mark.parametrize("changed", ["seeds", "data", "student"])
def test_the_checkpoint_of_another_run_is_refused(changed: str, tmp_path: Path) -> None:
    run = partial(fit_many, objectives=supervised(), run="r", checkpoint_dir=tmp_path, **SETTINGS)
    run(students(), trains=subsets(), seeds=SEEDS, epochs=1)
    networks, trains = students(), subsets()
    if changed == "student":
        networks.reverse()
    if changed == "data":
        trains.reverse()
    seeds = (3, 0, 8) if changed == "seeds" else SEEDS
    with pytest.raises(CheckpointError, match=f"its {changed} is"):
        run(networks, trains=trains, seeds=seeds)


def on_one_trunk() -> list[nn.Module]:
    trunk = nn.Linear(64, 3)
    return [nn.Sequential(nn.Flatten(), trunk, nn.Linear(3, 3)) for _ in SEEDS]


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    networks = students()
    with torch.no_grad():
        next(networks[1].parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1"):
        fit_many(networks, supervised(), subsets(), seeds=SEEDS, **SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"objectives": supervised()[1:]},
            r"give every student one objective, one split and one seed, not \[3, 2, 3, 3\]",
        ),
        (dict(students=[], objectives=[], trains=[], seeds=[]), r"not \[0, 0, 0, 0\]"),
        ({"students": [student(0)] * 3}, "a network of its own"),
        ({"students": on_one_trunk()}, "with weights of its own"),
        ({"objectives": [Supervised()] * 3}, "an objective of its own"),
        (
            {"objectives": distilled(temperature=LearnedTemperature())},
            "a learned temperature of its own",
        ),
        ({"trains": [split(29, classes=4, seed=seed) for seed in SEEDS]}, "has 3 classes"),
        ({"seeds": (0, 1, -1)}, "seed must be at least 0, got -1"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_what_many_students_need_is_one_sentence(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = dict(
        students=students(), objectives=supervised(), trains=subsets(), seeds=SEEDS, **SETTINGS
    )
    with pytest.raises(ValueError, match=message):
        fit_many(**arguments | change)
