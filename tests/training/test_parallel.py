"""Runs that train at the same time end as they would have ended one after the other."""

import threading
from functools import partial

import pytest
import torch
from small_data import Small, same, split, weights
from torch import nn

from kdhelpers import models
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Objective, Supervised
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training.fit import fit
from kdhelpers.training.many import run_arms

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")

DATA = split(60)


def student(seed: int) -> nn.Module:
    network = Small(seed=seed)
    network.drop = nn.Identity()
    return network


def run(seed: int, objective: Objective) -> dict[str, torch.Tensor]:
    network = models.build(
        "mnist_cnn_student", seed=seed, image_size=8, in_channels=1, num_classes=3
    )
    fit(network, objective, DATA, epochs=3, batch_size=8, seed=seed, device="cpu", progress=False)
    return weights(network)


def test_the_results_are_those_of_one_after_the_other() -> None:
    teacher = Teacher(student(9), cache=True)
    arms = {
        "alone": [partial(run, seed, Supervised()) for seed in range(4)],
        "distilled": [partial(run, seed, Distillation(teacher)) for seed in range(3)],
    }
    one, three = run_arms(arms), run_arms(arms, workers=3)
    assert list(one) == list(three) == ["alone", "distilled"]
    for arm in arms:
        assert len(three[arm]) == len(arms[arm])
        assert all(same(*pair) for pair in zip(one[arm], three[arm], strict=True))
    assert not same(one["alone"][0], one["alone"][1])


def test_runs_share_the_time_and_the_threads() -> None:
    meeting = threading.Barrier(2, timeout=300)  # only two at the same time get past it

    def meet() -> int:
        meeting.wait()
        return torch.get_num_threads()

    assert run_arms({"a": [meet], "b": [meet]}, workers=2) == {"a": [1], "b": [1]}


def test_no_arm_and_an_arm_without_runs() -> None:
    assert run_arms({}, workers=2) == {}
    assert run_arms({"empty": []}, workers=2) == {"empty": []}


def test_the_first_error_is_raised_and_what_has_not_started_is_given_up() -> None:
    begun = []

    def fail() -> None:
        raise ZeroDivisionError("on purpose")

    def wait(number: int) -> None:
        begun.append(number)
        threading.Event().wait(0.05)

    arms = {"bad": [fail], "good": [partial(wait, number) for number in range(100)]}
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        run_arms(arms, workers=2)
    assert len(begun) < 100


@pytest.mark.parametrize("workers", [0, -1, 1.0, True, "2"])
def test_a_wrong_number_of_workers_is_named(workers: object) -> None:
    with pytest.raises(ValueError, match=f"workers must be .* at least 1, got {workers!r}"):
        run_arms({"a": [dict]}, workers=workers)  # type: ignore[arg-type]


def test_dropout_trains_alone_only() -> None:
    def train(network: nn.Module) -> None:
        fit(network, Supervised(), DATA, epochs=1, device="cpu", progress=False)

    arms = {"alone": [partial(train, Small())]}
    with pytest.raises(ValueError, match=r"the layer 'drop' is dropout.*use workers=1"):
        run_arms(arms, workers=2)
    run_arms(arms)
    run_arms({"alone": [partial(train, student(0))]}, workers=2)
