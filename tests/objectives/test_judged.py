"""Teachers that hold more than weights, and teachers that no student should have."""

import copy
import pickle
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import Small, same, split, weights
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit

TRAIN = split()
RUN: dict[str, Any] = dict(device="cpu", progress=False, epochs=2, batch_size=16)


# -- weights that no `state_dict` tells -----------------------------------------------------------


class Session:
    """As ONNX Runtime has it: answers with a list of arrays, and cannot be copied."""

    def __init__(self, scale: float) -> None:
        self.weight = scale * np.linspace(-1, 1, 64 * 3).reshape(64, 3).astype(np.float32)
        self.lock = threading.Lock()

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        (images,) = inputs.values()
        assert images.dtype == np.float32
        return [images.reshape(len(images), -1) @ self.weight]


class FromSession(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.session = Session(scale)

    def forward(self, images: Tensor) -> Any:
        return self.session.run(None, {"images": images.cpu().numpy()})


class FromArray(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.array = Session(scale).weight

    def forward(self, images: Tensor) -> np.ndarray:
        return images.flatten(1).numpy() @ self.array


class FromFunction(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        array = Session(scale).weight
        self.function = lambda images: torch.from_numpy(images.flatten(1).numpy() @ array)

    def forward(self, images: Tensor) -> Any:
        return {"logits": self.function(images)}


class OnTop(FromSession):
    """Weights of its own behind those of a session."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale)
        self.head = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.head.weight)

    def forward(self, images: Tensor) -> Any:
        return self.head(torch.from_numpy(super().forward(images)[0]))


def same_in_weights() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, bias=False))
    network[1].weight.data = torch.from_numpy(Session(1.0).weight.T.copy())
    return network


def student_of(teacher: nn.Module, cache: bool = True, **options: Any) -> dict[str, Tensor]:
    student = Small(seed=1)
    with warnings.catch_warnings(action="ignore"):
        fit(student, kd.Distillation(Teacher(teacher, cache=cache)), TRAIN, **RUN | options)
    return weights(student)


def from_outside(scale: float = 1.0) -> nn.Module:
    """A network that holds nothing: all lies in its class."""

    class Outside(nn.Module):
        session = Session(scale)

        def forward(self, images: Tensor) -> Any:
            return self.session.run(None, {"images": images.numpy()})

    return Outside()


KINDS = [FromSession, FromArray, FromFunction, OnTop, from_outside]


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_answers_can_teach(kind: Callable[[], nn.Module], cache: bool) -> None:
    teacher = kind().train()
    torch.testing.assert_close(
        student_of(teacher, cache), student_of(same_in_weights(), cache), atol=1e-4, rtol=1e-4
    )
    assert all(module.training for module in teacher.modules())
    assert all(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_tells_teachers_apart_by_their_answers(
    kind: Callable[..., nn.Module], tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    end = student_of(kind(1.0), checkpoint=path)
    assert same(student_of(kind(1.0), checkpoint=path), end)
    for scale in (0.5, -1.0):
        with pytest.raises(CheckpointError, match="another run: its teacher"):
            student_of(kind(scale), checkpoint=path)


def test_a_session_that_was_replaced_answers_anew() -> None:
    network = FromSession(1.0)
    for cache in (True, False):
        teacher, batch = Teacher(network, cache=cache), next(batches(TRAIN, 8, seed=1))
        first = teacher.prepare(TRAIN, Views(), 1)(batch)
        network.session = Session(-2.0)
        torch.testing.assert_close(teacher.prepare(TRAIN, Views(), 1)(batch), -2 * first)
        network.session = Session(1.0)


class Viewing(nn.Module):
    """Flattens with `view`, which not every memory layout allows, and may change its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Small(seed=2)

    def forward(self, images: Tensor) -> Tensor:
        part, images = self.network, images.sub_(1)
        maps = torch.relu(part.norm(part.conv(images)))
        return part.head(maps.view(len(images), -1))


class Flattening(Viewing):
    def forward(self, images: Tensor) -> Tensor:
        return self.network(images - 1)


class Keeping(nn.Module):
    """Keeps a result of its last run, which cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Small(seed=2).eval()
        self(TRAIN.normalise(TRAIN.images[:4]))

    def forward(self, images: Tensor) -> Tensor:
        self.kept = self.network(images)
        return self.kept


class Scaling(nn.Module):
    """With a buffer that is not saved."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.network = Small(seed=2)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * self.network(images)


def scripted() -> nn.Module:
    return torch.jit.trace(Small(seed=2).eval(), TRAIN.normalise(TRAIN.images[:4]))


def inferring() -> nn.Module:
    with torch.inference_mode():
        return Small(seed=2)


PLAIN = partial(Small, seed=2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(
    ("make", "like"),
    [(Viewing, Flattening), (Keeping, PLAIN), (Scaling, PLAIN), (scripted, PLAIN),
     (inferring, PLAIN), (lambda: nn.DataParallel(PLAIN()), PLAIN)],
)  # fmt: skip
def test_networks_of_any_kind_teach_what_the_plain_one_does(
    make: Callable[[], nn.Module], like: Callable[[], nn.Module], cache: bool
) -> None:
    at_first = Teacher(make()).logits(TRAIN), Teacher(like()).logits(TRAIN)
    torch.testing.assert_close(*at_first, atol=1e-5, rtol=1e-5)
    objective = kd.Distillation(Teacher(make(), cache=cache))
    expected = student_of(like(), cache)
    for _ in range(2):  # the second time from a table that is there
        student = Small(seed=1)
        fit(student, objective, TRAIN, **RUN)
        torch.testing.assert_close(weights(student), expected, atol=1e-4, rtol=1e-4)


def test_an_objective_that_has_been_used_travels() -> None:
    for make in (Viewing, PLAIN):
        objective, student = kd.Distillation(Teacher(make(), cache=False)), Small(seed=1)
        fit(student, objective, TRAIN, **RUN)
        again, other = pickle.loads(pickle.dumps(objective)), Small(seed=1)
        batch = next(batches(TRAIN, 8, channels_last=True))
        for network in (student, other):
            network.eval()
        terms = objective(student, batch), again(student, batch)
        torch.testing.assert_close(terms[0], terms[1])


def test_buffers_that_are_not_saved_tell_teachers_apart() -> None:
    assert len({Teacher(Scaling(scale)).identity() for scale in (1.0, 1.0, 2.0)}) == 2


# -- what is judged before the first step, or told by the history ---------------------------------


class Answering(nn.Module):
    """The network of another, with its answers changed."""

    def __init__(self, change: Callable[[Tensor], Tensor], *, classes: int = 3) -> None:
        super().__init__()
        self.network, self.change, self.shown = trained(classes), change, list[int]()

    def forward(self, inputs: Tensor) -> Tensor:
        self.shown.append(len(inputs))
        return self.change(self.network(inputs))

    def __deepcopy__(self, memo: Any) -> "Answering":
        return self


@lru_cache
def weights_of_trained(classes: int) -> dict[str, Tensor]:
    network = Small(classes, seed=2)
    fit(network, kd.Supervised(), TRAIN, **RUN | {"epochs": 20})
    return weights(network)


def trained(classes: int = 3) -> nn.Module:
    network = Small(classes)
    network.load_state_dict(weights_of_trained(classes))
    return network


def told(teacher: nn.Module, student: nn.Module | None = None) -> list[str]:
    with warnings.catch_warnings(record=True, action="always") as found:
        fit(student or Small(seed=1), kd.Distillation(teacher), TRAIN, **RUN)
    return [str(each.message) for each in found]


def test_a_good_teacher_is_judged_in_silence() -> None:
    network = trained()
    assert told(network) == []
    right = accuracy(predict(network, TRAIN), TRAIN.labels)
    assert right > 0.9
    for objective in (kd.Distillation(network), kd.Faded(kd.Distillation(network)),
                      kd.WithFeatures(kd.Distillation(network), network,
                                      own=kd.LayerPair("conv", "conv"))):  # fmt: skip
        for row in fit(Small(seed=1), objective, TRAIN, **RUN):
            assert row["teacher_accuracy"] == right
    shuffled = kd.ShuffledTeacher(network)
    row = fit(Small(seed=1), kd.Distillation(shuffled), TRAIN, **RUN)[-1]
    assert row["teacher_accuracy"] == accuracy(shuffled.logits(TRAIN), TRAIN.labels) < 0.7
    live = Teacher(network, cache=False)
    assert "teacher_accuracy" not in fit(Small(), kd.Distillation(live), TRAIN, **RUN)[-1]


def test_side_by_side_each_history_tells_its_teacher() -> None:
    teachers = [trained(), Small(seed=5)]
    students = [nn.Sequential(nn.Flatten(), nn.Linear(64, 3)) for _ in teachers]
    objectives = [kd.Distillation(teacher) for teacher in teachers]
    with warnings.catch_warnings(action="ignore"):
        rows = kd.fit_many(students, objectives, [TRAIN] * 2, seeds=[0, 1], **RUN)
    for history, teacher in zip(rows, teachers, strict=True):
        right = accuracy(predict(teacher, TRAIN), TRAIN.labels)
        assert history[-1]["teacher_accuracy"] == right
        assert history[-1]["loss"] == pytest.approx(history[-1]["soft"] + history[-1]["hard"])


def test_unlabelled_images_judge_nobody() -> None:
    network, labels = trained(), TRAIN.labels.clone()
    labels[::2] = -1
    for given, rows in ((labels, slice(1, None, 2)), (torch.full_like(labels, -1), slice(0))):
        train, objective = replace(TRAIN, labels=given), kd.Distillation(network, alpha=1.0)
        row = fit(Small(seed=1), objective, train, **RUN)[-1]
        logits, right = predict(network, TRAIN)[rows], TRAIN.labels[rows]
        expected = {accuracy(logits, right)} if len(right) else {None}
        assert {row.get("teacher_accuracy")} == expected


def right_on(count: int) -> Tensor:
    """Logits that are right on so many of the 40 images, in their order."""
    answers = TRAIN.labels.clone()
    answers[count:] += 1
    return 5.0 * nn.functional.one_hot(answers % 3, 3)


@pytest.mark.parametrize(("count", "warned"), [(7, True), (8, False), (13, False), (40, False)])
def test_below_chance_is_two_standard_errors_below(count: int, warned: bool) -> None:
    views = Views(flip=True)  # the images as they are count
    answers = torch.stack([right_on(count), right_on(20)])
    teacher = kd.RecordedTeacher.from_logits(answers, TRAIN, views=views)
    ask = teacher.prepare(TRAIN, views, 2)
    with warnings.catch_warnings(record=True, action="always") as found:
        assert teacher.judge(ask, TRAIN) == {"teacher_accuracy": count / 40}
    assert len(found) == warned
    shuffled = kd.ShuffledTeacher(teacher)
    answers = torch.empty(2, 40, 3)
    answers[:, shuffled._other(TRAIN)] = right_on(count)
    shuffled = kd.ShuffledTeacher(kd.RecordedTeacher.from_logits(answers, TRAIN, views=views))
    with warnings.catch_warnings(action="error"):  # a control may be bad
        figures = shuffled.judge(shuffled.prepare(TRAIN, views, 2), TRAIN)
    assert figures == {"teacher_accuracy": count / 40}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z.roll(1, 1), "less than chance (33.3%): is it trained, with this order"),
        (lambda z: z.softmax(1), "probabilities (each row sums to 1) where logits are needed"),
        (lambda z: nn.functional.dropout(z, 0.5), "differently each time, in eval mode; look for"),
        (lambda z: z - z.mean(0), "(its answers depend on the batch)"),
    ],
)
def test_a_teacher_that_can_only_be_a_mistake_is_told_once(change: Any, message: str) -> None:
    found = told(Answering(change))
    assert [message in each for each in found] == [True]


def test_recording_a_teacher_that_knows_nothing_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="less than chance"):
        kd.RecordedTeacher.of(Answering(lambda z: z.roll(1, 1)), TRAIN)


def test_a_student_that_ends_in_a_softmax_is_told() -> None:
    (found,) = told(trained(), nn.Sequential(Small(seed=1), nn.Softmax(1)))
    assert "the student answers with probabilities" in found


@pytest.mark.parametrize("change", [lambda z: z.log_softmax(1), lambda z: z * 30, lambda z: z - 9])
def test_logits_in_other_words_are_logits(change: Any) -> None:
    assert told(Answering(change)) == []


@pytest.mark.parametrize("cache", [True, False, None])
def test_other_classes_are_refused_before_the_transfer_set_is_asked(cache: bool | None) -> None:
    network, student = Answering(lambda z: z, classes=5), Small(seed=1)
    with pytest.raises(ValueError, match=r"image with logits \[5\], the student with \[3\]"):
        fit(student, kd.Distillation(Teacher(network, cache=cache)), TRAIN, **RUN)
    assert network.shown == [8]
    recorded = kd.RecordedTeacher.from_logits(torch.randn(40, 4), TRAIN)
    for teacher in (recorded, kd.ShuffledTeacher(recorded)):
        with pytest.raises(ValueError, match=r"answers an image with logits \[4\]"):
            fit(student, kd.Faded(kd.Distillation(teacher)), TRAIN, **RUN)
    pair = kd.LayerPair("head", "head")
    with pytest.raises(ValueError, match=r"answers an image with logits \[4\]"):
        kd.WithFeatures(kd.Distillation(recorded), Small(), pair=pair).check(student, TRAIN)
    students = [nn.Sequential(nn.Flatten(), nn.Linear(64, 3)) for _ in range(2)]
    objectives = [kd.Distillation(recorded) for _ in students]
    with pytest.raises(ValueError, match=r"answers an image with logits \[4\]"):
        kd.fit_many(students, objectives, [TRAIN] * 2, seeds=[0, 1], **RUN)
    assert same(weights(student), weights(Small(seed=1)))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (
            Answering(lambda z: z / 0),
            "answers with NaN or infinity; look for weights",
        ),
        (Answering(lambda z: z.argmax(1)), r"answers an image with logits \[\], the student with"),
        (Answering(lambda z: z[:, :, None]), r"answers an image with logits \[3, 1\], the student"),
        (
            nn.Sequential(nn.Flatten(), nn.LazyLinear(3)),
            "lazy layers without a shape; show it",
        ),
        (Small().to("meta"), "on the device meta"),
    ],
)
def test_answers_that_teach_nobody_are_refused(teacher: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(Small(), kd.Distillation(teacher), TRAIN, **RUN)


def test_layers_that_student_and_teacher_share_are_told() -> None:
    teacher = trained()
    shared, frozen = Small(seed=1), Small(seed=1)
    shared.head = frozen.head = teacher.head  # type: ignore[assignment]
    assert ["share 2 parameters (head.weight …)" in each for each in told(teacher, shared)] == [
        True
    ]
    frozen.head.requires_grad_(False)
    assert told(teacher, frozen) == []
    other = Small(seed=1)
    other.head.weight.data = teacher.head.weight.data
    assert "share 1 parameters (head.weight …)" in told(teacher, other)[0]
    assert told(copy.deepcopy(teacher), teacher) == []


class Comparing(kd.Distillation):
    """Sees to it that the live teacher and the kept logits agree, within a step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(Teacher(network, cache=True))
        self.live = Teacher(network, cache=False).prepare(TRAIN, Views(), 1)

    def forward(self, student: nn.Module, batch: Batch) -> Any:
        assert batch.origin is not None
        assert batch.origin.is_of(batch.inputs)  # nothing has to be compared
        assert self._teacher_logits is not None
        torch.testing.assert_close(self._teacher_logits(batch), self.live(batch))
        changed = batch._replace(inputs=batch.inputs + 1)
        assert not batch._replace(inputs=changed.inputs).is_as_made()
        assert self.live(changed).dtype is torch.float32
        return super().forward(student, batch)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_live_and_kept_logits_are_the_same_in_every_step(
    precision: str, channels_last: bool
) -> None:
    options = RUN | {"precision": precision, "channels_last": channels_last}
    fit(Small(seed=1), Comparing(trained()), TRAIN, **options)
