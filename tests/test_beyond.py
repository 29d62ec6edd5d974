"""The classes that docs/beyond.md shows compute what it says."""

import ast
import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_data import same, split, weights
from test_snippets import blocks_of_page
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers.data.batching import Batch, batches
from kdhelpers.models import initial_weights

PAGE = Path(__file__).parent.parent / "docs" / "beyond.md"
TRAIN = split(64)
RUN: dict[str, Any] = dict(device="cpu", progress=False, epochs=2)


@functools.cache
def shown() -> SimpleNamespace:
    """The names that the page defines, without what it trains."""
    tree, names = ast.parse(blocks_of_page(PAGE)), dict[str, Any]()
    kinds = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    exec(compile(tree, PAGE.name, "exec"), names)
    return SimpleNamespace(**names)


def linear(classes: int = 3, seed: int = 0) -> nn.Module:
    with initial_weights(seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


class WithFeatures(nn.Module):
    """Answers with two: logits and features, as the network of docs/own_data.md."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(images), images


def batch() -> Batch:
    return next(batches(TRAIN, 16, seed=3))


def test_an_average_has_the_mean_of_the_logits() -> None:
    first, second = linear(seed=1), linear(seed=2)
    both = kd.Teacher(shown().Average(first, second))
    expected = (kd.predict(first, TRAIN) + kd.predict(second, TRAIN)) / 2
    torch.testing.assert_close(both.logits(TRAIN), expected)
    assert both.identity() != kd.Teacher(shown().Average(second, first)).identity()


def test_the_top_k_keep_their_probabilities_and_the_others_share_the_rest() -> None:
    probabilities = torch.tensor([[0.5, 0.1, 0.3, 0.06, 0.04]])
    completed = shown().completed(*probabilities.log().topk(2), 5).exp()
    torch.testing.assert_close(completed, torch.tensor([[0.5, 0.2 / 3, 0.3, 0.2 / 3, 0.2 / 3]]))


def test_a_session_is_asked_by_name_for_arrays() -> None:
    def run(outputs: None, inputs: dict[str, Any]) -> list[Any]:
        return [inputs["images"].reshape(len(inputs["images"]), -1)[:, :3]]

    teacher = kd.Teacher(shown().FromSession(SimpleNamespace(run=run)))
    images = TRAIN.normalise(TRAIN.images)
    torch.testing.assert_close(teacher.logits(TRAIN), images.flatten(1)[:, :3])


def test_class_weights_change_the_hard_term_alone() -> None:
    student, teacher, each = linear(seed=1), linear(seed=2), torch.tensor([1.0, 2.0, 3.0])
    weighted = shown().Weighted(teacher, each, label_smoothing=0.1, alpha=0.5)
    terms, plain = weighted(student, batch()), kd.Distillation(teacher, alpha=0.5)(student, batch())
    assert torch.equal(terms["soft"], plain["soft"])
    logits, labels = student(batch().inputs), batch().labels
    hard = F.cross_entropy(logits, labels, weight=each, label_smoothing=0.1)
    torch.testing.assert_close(terms["hard"], 0.5 * hard)


@pytest.mark.parametrize("epochs", [1, 3])
def test_accumulated_gradients_are_those_of_the_large_batch(epochs: int) -> None:
    small, large = linear(seed=1), linear(seed=1)
    options = RUN | {"epochs": epochs, "lr": 0.01}
    kd.fit(small, kd.Supervised(), TRAIN, **options, batch_size=8, optimizer=shown().Accumulating)
    kd.fit(large, kd.Supervised(), TRAIN, **options, batch_size=32, optimizer=torch.optim.AdamW)
    torch.testing.assert_close(weights(small), weights(large), rtol=1e-4, atol=1e-5)


def test_gradients_are_clipped_to_length_one() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    optimizer = shown().Clipped([parameter], lr=0.1)
    parameter.grad = torch.tensor([30.0, 40.0, 0.0, 0.0])
    optimizer.step()
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8, 0.0, 0.0]))


def test_one_logit_is_two_and_many_labels_are_as_many_binary_ones() -> None:
    two = shown().TwoLogits(linear(1, seed=1))
    student, teacher = two(batch().inputs), shown().TwoLogits(linear(1, seed=2))(batch().inputs)

    def binary(mine: Tensor, theirs: Tensor) -> Tensor:
        p, q = (theirs / 4).sigmoid(), (mine / 4).sigmoid()
        return (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean() * 16

    loss = kd.losses.kd_loss(student, teacher, temperature=4.0)
    torch.testing.assert_close(loss, binary(student[:, 1], teacher[:, 1]))

    targets = F.one_hot(TRAIN.labels, 3).float()
    objective = shown().MultiLabel(linear(seed=2), targets, temperature=4.0, alpha=0.5)
    objective.prepare(TRAIN, kd.data.Views(), 1)
    one, other = linear(seed=1), linear(seed=3)
    terms = [objective(network, batch()) for network in (one, other)]
    logits = [network(batch().inputs) for network in (one, other)]
    guide = linear(seed=2)(batch().inputs)
    # Cross-entropy and KL differ by the teacher's entropy, which the difference of two lacks.
    torch.testing.assert_close(
        terms[0]["soft"] - terms[1]["soft"],
        0.5 * (binary(logits[0], guide) - binary(logits[1], guide)),
    )
    hard = F.binary_cross_entropy_with_logits(logits[0], targets[batch().sample])
    torch.testing.assert_close(terms[0]["hard"], 0.5 * hard)


def test_networks_that_answer_with_more_than_logits_are_taken() -> None:
    network, plain = WithFeatures(linear(seed=1)), linear(seed=1)
    for objective in (
        shown().Weighted(linear(seed=2), torch.ones(3), alpha=0.5),
        shown().MultiLabel(WithFeatures(linear(seed=2)), F.one_hot(TRAIN.labels, 3).float()),
    ):
        objective.prepare(TRAIN, kd.data.Views(), 1)
        assert objective(network, batch()) == objective(plain, batch())
    images, one = batch().inputs, linear(1)
    assert torch.equal(shown().TwoLogits(WithFeatures(one))(images), shown().TwoLogits(one)(images))
    average = shown().Average(WithFeatures(linear(seed=1)), WithFeatures(linear(seed=1)))
    assert torch.equal(average(images), plain(images))


def test_targets_of_the_whole_split_are_refused_for_a_part_of_it() -> None:
    targets, part = F.one_hot(TRAIN.labels, 3).float(), TRAIN.take(20, seed=1)
    with pytest.raises(ValueError, match=r"64 targets for 20 images"):
        kd.fit(linear(seed=1), shown().MultiLabel(linear(seed=2), targets), part, **RUN)
    own = shown().MultiLabel(linear(seed=2), targets[part.indices])
    kd.fit(linear(seed=1), own, part, **RUN)


def test_mixup_shows_both_the_same_pictures() -> None:
    ends, teacher = [], linear(seed=2)
    for cache in (True, False):
        student = linear(seed=1)
        objective = shown().Mixup(kd.Teacher(teacher, cache=cache), alpha=1.0)
        with pytest.warns(UserWarning, match="mixed") if cache else torch.no_grad():
            kd.fit(student, objective, TRAIN, **RUN)
        ends.append(weights(student))
    assert same(*ends)
    seen: list[Tensor] = []
    same_network = linear(seed=1)
    same_network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    shown().Mixup(same_network, alpha=1.0)(same_network, batch())
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], batch().inputs)
