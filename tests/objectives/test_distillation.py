"""Objectives and the teacher's memory."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from small_data import Small, same, split, weights
from torch import Tensor, nn

from kdhelpers import losses
from kdhelpers.data.batching import Views, batches
from kdhelpers.evaluation import evaluating
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.teacher import Teacher, fingerprint
from kdhelpers.temperature import Linear
from kdhelpers.training.fit import fit

VIEWS = Views(flip=True, shift=1)


class Counting(Small):
    """Counts the images that it and its copies are shown."""

    def __init__(self) -> None:
        super().__init__(seed=4)
        self.shown = Counted()

    def forward(self, inputs: Tensor) -> Tensor:
        self.shown.append(len(inputs))
        return super().forward(inputs)

    @property
    def seen(self) -> int:
        return sum(self.shown)


class Counted(list[int]):
    def __deepcopy__(self, memo: object) -> "Counted":
        return self


def test_supervised_is_cross_entropy() -> None:
    train, student = split(), Small()
    batch = next(batches(train, 16))
    with evaluating(student):
        terms = Supervised()(student, batch)
        torch.testing.assert_close(
            terms["hard"], F.cross_entropy(student(batch.inputs), batch.labels)
        )


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.0), (4.0, 0.9), (8.0, 1.0)])
def test_the_terms_add_up_to_the_distillation_loss(temperature: float, alpha: float) -> None:
    train, student, teacher = split(), Small(seed=1).eval(), Small(seed=2)
    objective = Distillation(teacher, temperature=temperature, alpha=alpha)
    batch = next(batches(train, 16))
    terms = objective(student, batch)
    expected = losses.distillation_loss(
        student(batch.inputs), teacher.eval()(batch.inputs), batch.labels,
        temperature=temperature, alpha=alpha,
    )  # fmt: skip
    assert terms.keys() == {"soft", "hard"}
    torch.testing.assert_close(sum(terms.values()), expected)


def test_the_soft_loss_can_be_exchanged() -> None:
    def constant(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
        return (student.sum() * 0 + temperature) * 2

    objective = Distillation(Small(), temperature=3.0, alpha=0.5, soft_loss=constant)
    assert objective(Small(), next(batches(split(), 8)))["soft"].item() == 3.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be a number from"):
        Distillation(Small(), temperature=temperature)


def test_a_schedule_may_stand_for_the_temperature() -> None:
    objective = Distillation(Small(seed=2), temperature=Linear(start=9, end=3), alpha=1.0)
    student, batch = Small(seed=1).eval(), next(batches(split(), 8))
    for epoch, temperature in enumerate([9.0, 6.0, 3.0]):
        objective.start_epoch(epoch, 3)
        assert objective.figures() == {"temperature": temperature}
        expected = Distillation(Small(seed=2), temperature=temperature, alpha=1.0)
        assert torch.equal(objective(student, batch)["soft"], expected(student, batch)["soft"])


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_an_alpha_outside_of_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        Distillation(Small(), alpha=alpha)


def test_the_teacher_is_not_among_the_trained_parameters() -> None:
    assert list(Distillation(Small()).parameters()) == []


@pytest.mark.parametrize("cache", [True, False])
def test_training_leaves_the_teacher_as_it_was(cache: bool) -> None:
    teacher = Small(seed=3).train()
    before = weights(teacher)
    fit(Small(), Distillation(Teacher(teacher, cache=cache)), split(), epochs=2, device="cpu")
    assert same(before, weights(teacher))
    assert teacher.training
    assert all(p.grad is None and p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("views", [Views(), VIEWS])
def test_cached_logits_are_those_of_the_live_teacher_in_any_order(views: Views) -> None:
    train, network = split(), Small(seed=4)
    cached, live = Teacher(network, cache=True), Teacher(network, cache=False)
    looked_up, asked = cached.prepare(train, views, 1), live.prepare(train, views, 1)
    for epoch in range(3):
        for batch in batches(train, 7, seed=5, epoch=epoch, views=views):
            torch.testing.assert_close(looked_up(batch), asked(batch), atol=1e-5, rtol=1e-5)


def test_each_logit_is_computed_once_and_shared_between_runs() -> None:
    train, network = split(), Counting()
    shared = Teacher(network, cache=True)
    for seed in range(3):
        fit(Small(seed=seed), Distillation(shared), train, epochs=3, seed=seed, device="cpu")
    assert network.seen == len(train)


def test_further_training_of_the_teacher_is_noticed() -> None:
    train, network = split(), Small(seed=4)
    teacher = Teacher(network, cache=True)
    batch = next(batches(train, 16, seed=0))
    before = teacher.prepare(train, Views(), 1)(batch)
    with torch.no_grad():
        network.head.bias += torch.tensor([1.0, 2.0, 3.0])
    shift = (teacher.prepare(train, Views(), 1)(batch) - before).mean(0)
    torch.testing.assert_close(shift, torch.tensor([1.0, 2.0, 3.0]))


def test_another_data_set_is_noticed() -> None:
    network = Small(seed=4)
    teacher = Teacher(network, cache=True)
    for seed in (0, 1):
        train = split(seed=seed)
        logits = teacher.prepare(train, Views(), 1)
        batch = next(batches(train, 16, seed=0))
        with evaluating(network):
            torch.testing.assert_close(logits(batch), network(batch.inputs))


@pytest.mark.parametrize(("epochs", "passes"), [(17, 17), (18, 18), (20, 18)])
def test_logits_are_kept_by_themselves_where_that_saves_work(epochs: int, passes: int) -> None:
    train, network = split(count=16), Counting()
    fit(
        Small(), Distillation(network), train, epochs=epochs, batch_size=16, views=VIEWS,
        device="cpu",
    )  # fmt: skip
    assert len(VIEWS) == 18
    assert network.seen == passes * len(train)


def test_a_student_can_be_its_own_teachers_copy() -> None:
    network = Small().eval()
    objective = Distillation(network, alpha=1.0)
    soft = objective(network, next(batches(split(), 8)))["soft"]
    assert soft.item() == pytest.approx(0.0, abs=1e-6)


def test_the_fingerprint_follows_weights_and_buffers() -> None:
    network = Small()
    before = fingerprint(network)
    assert before == fingerprint(Small())
    network.norm.running_mean += 1e-6
    assert fingerprint(network) != before
    assert fingerprint(nn.Linear(2, 2)) != fingerprint(nn.Linear(2, 2))


def test_other_views_are_noticed() -> None:
    train, network = split(), Small(seed=4)
    teacher = Teacher(network, cache=True)
    for views in (Views(), VIEWS, Views(flip=True)):
        logits = teacher.prepare(train, views, 1)
        batch = next(batches(train, 16, seed=3, views=views))
        with evaluating(network):
            torch.testing.assert_close(logits(batch), network(batch.inputs), atol=1e-5, rtol=1e-5)


def test_runs_that_share_a_teacher_keep_their_own_logits() -> None:
    network = Small(seed=4)
    teacher = Teacher(network, cache=True)
    first, second = Distillation(teacher, alpha=1.0), Distillation(teacher, alpha=1.0)
    first.prepare(split(seed=0), Views(), 1)
    second.prepare(split(seed=1), Views(), 1)
    for objective, seed in ((first, 0), (second, 1)):
        batch = next(batches(split(seed=seed), 16, seed=0))
        with evaluating(network):
            assert objective(network, batch)["soft"].item() == pytest.approx(0.0, abs=1e-6)


def test_another_structure_with_the_same_weights_is_another_network() -> None:
    layers = nn.Linear(4, 4)
    relu, tanh = nn.Sequential(layers, nn.ReLU()), nn.Sequential(layers, nn.Tanh())
    assert fingerprint(relu) != fingerprint(tanh)


def test_the_soft_loss_is_among_the_settings() -> None:
    def other(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
        return student.sum()

    named = [Distillation(Small(), soft_loss=f).settings() for f in (losses.kd_loss, other)]
    assert named[0]["soft_loss"] != named[1]["soft_loss"]
    assert Distillation(Small(), soft_loss=partial(other)).settings()["soft_loss"]
