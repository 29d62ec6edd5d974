"""The teacher's memory, and the shuffled teacher: right logits, wrong images."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
import torch
from small_data import Small, split
from torch import Tensor, nn, relu

from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.data.split import Split
from kdhelpers.evaluation import evaluating, predict
from kdhelpers.losses.logits import kd_loss
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.frozen import fingerprint, is_opaque
from kdhelpers.objectives.teacher import ASKED, ShuffledTeacher, Teacher
from kdhelpers.training.fit import fit

VIEWS = Views(flip=True, shift=1)
RUN: dict[str, Any] = dict(device="cpu", progress=False)


class Counting(Small):
    """Counts the images that it and its copies are shown."""

    shown: ClassVar[list[int]]

    def __init__(self) -> None:
        super().__init__(seed=4)
        type(self).shown = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.shown.append(len(inputs))
        return super().forward(inputs)


def whole(train: Split) -> Batch:
    return next(batches(train, len(train)))


@pytest.mark.parametrize("views", [Views(), VIEWS])
def test_cached_logits_are_those_of_the_live_teacher_in_any_order(views: Views) -> None:
    train, network = split(), Small(seed=4)
    cached, live = Teacher(network, cache=True), Teacher(network, cache=False)
    looked_up, asked = cached.prepare(train, views, 1), live.prepare(train, views, 1)
    for epoch in range(3):
        for batch in batches(train, 7, seed=5, epoch=epoch, views=views):
            logits = asked(batch)
            assert not logits.requires_grad
            torch.testing.assert_close(looked_up(batch), logits, atol=1e-5, rtol=1e-5)
            with evaluating(network):
                torch.testing.assert_close(network(batch.inputs), logits, atol=1e-5, rtol=1e-5)


def test_asking_builds_no_graph_even_where_the_pictures_take_gradients() -> None:
    train = split()
    ask = Teacher(Small(seed=4), cache=False).prepare(train, Views(), 1)
    batch = whole(train)
    assert not ask(batch._replace(inputs=batch.inputs.requires_grad_())).requires_grad


def test_each_logit_is_computed_once_and_shared_between_runs_and_with_the_shuffled() -> None:
    train, network = split(), Counting()
    shared = Teacher(network, cache=True)
    for seed, teacher in enumerate((shared, shared, ShuffledTeacher(shared))):
        fit(Small(seed=seed), Distillation(teacher), train, epochs=3, seed=seed, **RUN)
    assert sum(network.shown) == ASKED + ASKED // 2 + len(train)


@pytest.mark.parametrize(("epochs", "passes"), [(17, 17), (18, 18), (20, 18)])
def test_logits_are_kept_by_themselves_where_that_saves_work(epochs: int, passes: int) -> None:
    train, network = split(count=16), Counting()
    objective = Distillation(network)
    history = fit(Small(), objective, train, epochs=epochs, batch_size=16, views=VIEWS, **RUN)
    assert len(VIEWS) == 18
    assert ("teacher_accuracy" in history[0]) == (epochs >= 18)  # of the logits that are kept
    assert sum(network.shown) == ASKED + ASKED // 2 + passes * len(train)


@pytest.mark.parametrize("cache", [True, False])
def test_further_training_other_data_and_other_views_are_noticed(cache: bool) -> None:
    network = Small(seed=4)
    teacher = Teacher(network, cache=cache)
    for seed, views, shift in ((0, Views(), 0.0), (0, Views(), 1.0), (1, Views(), 0.0),
                               (1, VIEWS, 0.0), (1, Views(flip=True), 2.0)):  # fmt: skip
        with torch.no_grad():
            network.head.bias += shift * torch.tensor([1.0, 2.0, 3.0])
        train = split(seed=seed)
        logits = teacher.prepare(train, views, 1)
        batch = next(batches(train, 16, seed=3, views=views))
        with evaluating(network):
            torch.testing.assert_close(logits(batch), network(batch.inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("opaque", [False, True])
def test_of_weights_that_are_gone_nothing_is_kept(opaque: bool) -> None:
    network, asked = Small(seed=4), [(split(), VIEWS), (split(), Views()), (split(50), Views())]
    if opaque:
        network.session = object()
    teacher = Teacher(network)
    for _ in range(3):
        with torch.no_grad():
            network.head.bias += torch.tensor([1.0, 2.0, 3.0])
        tables = [teacher.table(*each) for each in asked]
    assert len(teacher._tables) == len(asked)
    assert all(teacher.table(*each) is table for each, table in zip(asked, tables, strict=True))


def test_a_hook_put_on_the_network_later_is_noticed() -> None:
    network, train = Small(seed=4), split()
    teacher = Teacher(network)
    asked = [lambda: teacher.logits(train), lambda: teacher.table(train, Views())[0]]
    before = [ask() for ask in asked]
    network.register_forward_hook(lambda model, inputs, answer: 3 * answer)
    for ask, own in zip(asked, before, strict=True):
        torch.testing.assert_close(ask(), 3 * own)


def test_runs_that_share_a_teacher_keep_their_own_logits() -> None:
    network = Small(seed=4)
    teacher = Teacher(network, cache=True)
    asks = [teacher.prepare(split(seed=seed), Views(), 1) for seed in (0, 1)]
    for seed, ask in enumerate(asks):
        batch = next(batches(split(seed=seed), 16, seed=0))
        with evaluating(network):
            torch.testing.assert_close(ask(batch), network(batch.inputs), atol=1e-5, rtol=1e-5)


def test_the_fingerprint_follows_weights_buffers_and_structure() -> None:
    network, layers = Small(), nn.Linear(4, 4)
    before = fingerprint(network)
    assert before == fingerprint(Small())
    network.norm.running_mean += 1e-6
    assert fingerprint(network) != before
    assert fingerprint(nn.Linear(4, 4)) != fingerprint(layers)
    relu, tanh = nn.Sequential(layers, nn.ReLU()), nn.Sequential(layers, nn.Tanh())
    assert fingerprint(relu) != fingerprint(tanh)
    one, other = nn.Module(), nn.Module()  # whose repr tells no parameter
    one.scale, other.shift = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    assert fingerprint(one) != fingerprint(other)


def test_the_fingerprint_follows_what_a_forward_computes_with() -> None:
    network = nn.TransformerEncoderLayer(4, 2, 8)
    before = fingerprint(network)
    network.norm_first = True  # of which its repr says nothing
    assert fingerprint(network) != before
    network.norm_first = False
    assert fingerprint(network) == before
    network.activation = torch.tanh
    assert fingerprint(network) != before
    assert not is_opaque(network)
    network.activation = (lambda slope: lambda x: slope * x)(2.0)  # what it holds is not told
    assert is_opaque(network)

    scaled = Small()
    scaled.scales = {"logits": [10.0]}
    before = fingerprint(scaled)
    scaled.scales["logits"][0] = 20.0
    assert fingerprint(scaled) != before


SLOPE = 2.0


class Acting(Small):
    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.act = act

    def forward(self, inputs: Tensor) -> Tensor:
        return self.act(super().forward(inputs))


def test_a_function_that_a_forward_calls_is_told_by_all_that_it_does() -> None:
    functions: list[Callable[..., Tensor]] = [
        lambda x: torch.relu(x),
        lambda x: torch.tanh(x),
        lambda x, slope=2.0: slope * x,
        lambda x, slope=3.0: slope * x,
        lambda x, *, slope=3.0: slope * x,
        lambda x: torch.stack([torch.relu(each) for each in x]),
        lambda x: torch.stack([torch.tanh(each) for each in x]),
        nn.functional.relu,
        lambda x: relu(x) if isinstance(x, Tensor) else x,
    ]
    networks = [Acting(function) for function in functions]
    assert len({fingerprint(network) for network in networks}) == len(networks)
    assert not any(map(is_opaque, networks))
    assert is_opaque(Acting(lambda x: SLOPE * x))
    assert is_opaque(Acting(lambda x, by=VIEWS: x))


def test_a_table_is_none_of_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    network, train = Acting(lambda x: SLOPE * x), split()
    teacher = Teacher(network)
    before = teacher.table(train, Views())
    monkeypatch.setitem(globals(), "SLOPE", 4.0)
    torch.testing.assert_close(teacher.table(train, Views()), 2 * before)
    network.act = lambda x: torch.relu(x)
    torch.testing.assert_close(teacher.table(train, Views()), (before / 2).relu())
    network.act = lambda x: torch.tanh(x)
    torch.testing.assert_close(teacher.table(train, Views()), (before / 2).tanh())


@pytest.mark.parametrize(
    ("asked", "views"),
    [
        (lambda train: split(seed=9), Views()),
        (lambda train: train.select(range(len(train) - 1, -1, -1)), Views()),
        (lambda train: train, Views(flip=True)),
    ],
)
@pytest.mark.filterwarnings("ignore:the pictures of this batch are of another split:UserWarning")
def test_kept_answers_are_never_those_of_another_split_or_other_views(
    asked: Callable[[Split], Split], views: Views
) -> None:
    train, student, network = split(), Small(), Small(seed=4)
    objective = Distillation(Teacher(network, cache=True), temperature=2.0, alpha=1.0)
    shuffled = Distillation(ShuffledTeacher(network))
    objective.prepare(train, Views(), 1)
    shuffled.prepare(train, Views(), 1)
    batch = next(batches(asked(train), 16, seed=0, views=views))
    with evaluating(student), evaluating(network):
        wanted = kd_loss(student(batch.inputs), network(batch.inputs), temperature=2.0)
        torch.testing.assert_close(objective(student, batch)["soft"], wanted)
    with pytest.raises(ValueError, match=r"of another split .* call prepare with it"):
        shuffled(student, batch)


# -- the shuffled teacher -------------------------------------------------------------------------


def test_every_image_gets_the_logits_of_another_one_by_the_seed() -> None:
    teacher, train = Teacher(Small(), cache=True), split(30)
    right, wrong, again, other = (
        each.prepare(train, Views(), 5)(whole(train))
        for each in (teacher, *(ShuffledTeacher(teacher, seed=seed) for seed in (0, 0, 1)))
    )
    places = (wrong[:, None] == right[None]).all(2)
    assert places.any(1).all()
    assert not places.diagonal().any()
    assert (places.sum(0) == 1).all()  # each image stands for one other
    assert torch.equal(wrong, again)
    assert not torch.equal(wrong, other)


def test_the_view_is_that_of_the_batch() -> None:
    train, model, views = split(30), Small(), Views(flip=True)
    ask = ShuffledTeacher(model).prepare(train, views, 5)
    tables = [predict(model, train, views=views, view=view) for view in range(2)]
    for batch in batches(train, 7, seed=1, views=views):
        for logits, view in zip(ask(batch), batch.view, strict=True):
            assert torch.isclose(tables[view], logits).all(1).any()
    shuffled = ShuffledTeacher(model)
    for view, table in enumerate(shuffled.table(train, views)):
        torch.testing.assert_close(shuffled.logits(train, views=views, view=view), table)


def test_a_frozen_copy_is_made_once_a_thread_and_anew_for_other_weights() -> None:
    network = Small()
    teacher, device = Teacher(network), torch.device("cpu")
    first = teacher.frozen(device)
    assert teacher.frozen(device) is first
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(teacher.frozen, device).result() is not first
    with torch.no_grad():
        network.head.bias += 1
    assert teacher.frozen(device) is not first
