"""The shuffled teacher: right logits, wrong images."""

from typing import Any

import torch
from small_data import Small, split

from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.evaluation import predict
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.teacher import ShuffledTeacher, Teacher
from kdhelpers.training.fit import fit


def whole(count: int) -> Batch:
    sample = torch.arange(count)
    return Batch(torch.zeros(count, 1, 8, 8), sample, sample, torch.zeros_like(sample))


def test_every_image_gets_the_logits_of_another_one() -> None:
    train, model = split(30), Small()
    teacher = Teacher(model, cache=True)
    right, wrong = (
        each.prepare(train, Views(), 5)(whole(30)) for each in (teacher, ShuffledTeacher(teacher))
    )
    places = (wrong[:, None] == right[None]).all(2)
    assert places.any(1).all()
    assert not places.diagonal().any()
    assert (places.sum(0) == 1).all()  # each image stands for one other


def test_the_view_is_that_of_the_batch() -> None:
    train, model, views = split(30), Small(), Views(flip=True)
    ask = ShuffledTeacher(model).prepare(train, views, 5)
    tables = [predict(model, train, views=views, view=view) for view in range(2)]
    for batch in batches(train, 7, seed=1, views=views):
        for logits, view in zip(ask(batch), batch.view, strict=True):
            assert torch.isclose(tables[view], logits).all(1).any()


def test_the_order_is_fixed_by_the_seed() -> None:
    train, model = split(30), Small()
    first, again, other = (
        ShuffledTeacher(model, seed=seed).prepare(train, Views(), 1)(whole(30))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_student_learns_less_from_it_than_from_the_true_teacher() -> None:
    train, teacher = split(200), Small(width=8)
    options: dict[str, Any] = dict(epochs=5, batch_size=20, lr=0.01, device="cpu", progress=False)
    fit(teacher, Supervised(), train, **options)
    losses = []
    for kind in (Teacher, ShuffledTeacher):
        student = Small(seed=1)
        fit(student, Distillation(kind(teacher), alpha=1.0), train, **options)
        logits = predict(student, train)
        losses.append(torch.nn.functional.cross_entropy(logits, train.labels).item())
    assert losses[0] < 0.5 * losses[1]


def test_it_shares_what_a_teacher_remembers() -> None:
    train, model = split(30), Small()
    calls: list[int] = []
    model.register_forward_hook(lambda *call: calls.append(1))
    kept = Teacher(model, cache=True)
    right = kept.prepare(train, Views(), 1)(whole(30))
    wrong = ShuffledTeacher(kept).prepare(train, Views(), 1)(whole(30))
    assert len(calls) == 1
    assert torch.equal(right.sort(0).values, wrong.sort(0).values)
