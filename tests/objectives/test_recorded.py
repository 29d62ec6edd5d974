"""A table of answers as teacher: an ordinary teacher, for the pictures and views that it holds."""

import copy
import pickle
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import SHAPE, Small, same, split, weights
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers._random import initial_weights
from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.evaluation import predict
from kdhelpers.objectives.recorded import RecordedTeacher
from kdhelpers.objectives.teacher import ShuffledTeacher, Teacher
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit

TRAIN, TEST = split(40), split(20, seed=1)
FLIP = Views(flip=True)
HALF: dict[str, Any] = dict(rtol=1e-3, atol=1e-3)  # what is kept to half precision
RUN: dict[str, Any] = dict(device="cpu", progress=False, epochs=2, batch_size=8)


def recorded(views: Views = FLIP) -> RecordedTeacher:
    return RecordedTeacher.of(Small(seed=4), TRAIN, TEST, views=views)


def distilled(teacher: Any, train: Any = TRAIN, **options: Any) -> dict[str, Tensor]:
    student = Small(seed=1)
    fit(student, kd.Distillation(teacher), train, **RUN | options)
    return weights(student)


@pytest.mark.parametrize("views", [Views(), FLIP, Views(flip=True, shift=1)])
def test_students_are_those_of_the_network_and_bit_for_bit_those_of_the_file(
    views: Views, tmp_path: Path
) -> None:
    path, checkpoint = tmp_path / "teacher.npz", tmp_path / "run.pt"
    teacher = recorded(views)
    teacher.save(path)
    loaded = RecordedTeacher.load(path)
    assert loaded.identity() == teacher.identity()
    end = distilled(teacher, views=views, checkpoint=checkpoint)
    assert same(distilled(loaded, views=views, checkpoint=checkpoint), end)  # goes on
    assert same(distilled(loaded, views=views), end)
    live = distilled(Teacher(Small(seed=4), cache=True), views=views)
    torch.testing.assert_close(end, live, **HALF)


@pytest.mark.parametrize("views", [Views(), FLIP])
def test_logits_may_be_held_in_anything_that_holds_numbers(views: Views) -> None:
    table = Teacher(Small(seed=4)).table(TRAIN, views)
    array, expected = table.numpy(), RecordedTeacher.of(Small(seed=4), TRAIN, views=views)
    swapped = array.astype(">f8").transpose(2, 0, 1).copy().transpose(1, 2, 0)
    for kind in (table, array, table.tolist(), swapped, table.requires_grad_()):
        asked = RecordedTeacher.from_logits(kind, TRAIN, views=views)
        assert asked.identity() == expected.identity()


def test_a_saved_table_holds_the_logits_to_half_precision_and_what_they_come_from(
    tmp_path: Path,
) -> None:
    path = tmp_path / "teacher.npz"
    teacher = recorded()
    teacher.save(path, network="Small", accuracy=0.5)
    loaded = RecordedTeacher.load(path)
    for data in (TRAIN, TEST):
        for view in (0, 1):
            live = predict(Small(seed=4), data, views=FLIP, view=view)
            torch.testing.assert_close(loaded.logits(data, view=view), live, **HALF)
            assert torch.equal(loaded.logits(data, view=view), live.half().float())
    assert loaded.provenance == {"network": "Small", "accuracy": 0.5}
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    loaded.save(link)
    assert link.is_symlink()
    again = RecordedTeacher.load(path, sha256=loaded.identity())
    assert again.provenance == loaded.provenance
    with pytest.raises(ValueError, match=f"holds the answers {loaded.identity()}, not {'0' * 64}"):
        RecordedTeacher.load(path, sha256="0" * 64)


def test_a_class_that_is_masked_is_saved_and_a_path_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    logits = predict(Small(seed=4), TRAIN)
    logits[:, 1] = -1e9
    RecordedTeacher.from_logits(logits, TRAIN).save("~/masked.npz")
    loaded = RecordedTeacher.load("~/masked.npz").logits(TRAIN)
    torch.testing.assert_close(loaded.softmax(1), logits.softmax(1), atol=1e-3, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["masked.npz"]


def test_a_table_that_cannot_be_written_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "teacher.npz"
    recorded().save(path)
    before = path.read_bytes()

    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        recorded().save(path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_a_subset_finds_its_rows_in_any_order() -> None:
    subset = TRAIN.take(30, seed=3).take(11, seed=5)
    live = predict(Small(seed=4), subset)
    for teacher in (recorded(), RecordedTeacher.of(Small(seed=4), TRAIN.take(30, seed=3))):
        torch.testing.assert_close(teacher.logits(subset), live, **HALF)
    ask = recorded().prepare(subset, FLIP, 3)
    live_ask = Teacher(Small(seed=4), cache=False).prepare(subset, FLIP, 3)
    for batch in batches(subset, 4, seed=2, views=FLIP):
        torch.testing.assert_close(ask(batch), live_ask(batch), **HALF)


def test_parts_of_a_split_come_together_but_two_answers_for_a_picture_are_refused() -> None:
    halves = TRAIN.select(range(25)), TRAIN.select(range(15, 40))
    joined = RecordedTeacher({half: predict(Small(seed=4), half) for half in halves})
    live = predict(Small(seed=4), TRAIN)
    torch.testing.assert_close(joined.logits(TRAIN), live, **HALF)
    few = TRAIN.take(10)
    with pytest.raises(ValueError, match="answers for a picture differ; give each picture one"):
        RecordedTeacher({TRAIN: live, few: predict(Small(seed=5), few)})


@pytest.mark.parametrize("held", [FLIP, Views(flip=True, shift=2), Views(shift=1)])
def test_every_view_that_is_held_is_found_and_others_are_refused(held: Views) -> None:
    teacher, live = recorded(held), Small(seed=4)
    for asked in (Views(), FLIP, Views(flip=True, shift=1), Views(shift=1)):
        if asked.flip > held.flip or asked.shift > held.shift:
            with pytest.raises(ValueError, match=r"are for Views\(.*, not for Views\(.*; record"):
                teacher.prepare(TRAIN, asked, 1)
            continue
        for view in range(len(asked)):
            expected = predict(live, TRAIN, views=asked, view=view)
            got = teacher.logits(TRAIN, views=asked, view=view)
            torch.testing.assert_close(got, expected, **HALF)


def test_what_it_does_not_hold_is_refused_before_the_first_step() -> None:
    part = RecordedTeacher.of(Small(seed=4), TRAIN.select(range(10)))
    gaps = RecordedTeacher.of(Small(seed=4), TRAIN.select([0, 2, 39]))
    student = Small(seed=1)
    for teacher, train, told in (
        (recorded(), split(40, seed=9), r"are for other pictures \(40, 20 of them\).*record them"),
        (part, TRAIN, r"lack 30 of these 40 pictures, such as number \[10\]; record them"),
        (gaps, TRAIN.select([2, 1]), r"lack 1 of these 2 pictures, such as number \[1\]; record"),
    ):
        with pytest.raises(ValueError, match=told):
            fit(student, kd.Distillation(teacher), train, **RUN)
        with pytest.raises(ValueError, match=told):
            teacher.logits(train)
    assert same(weights(student), weights(Small(seed=1)))
    with pytest.raises(ValueError, match="has no view 2"):
        recorded().logits(TRAIN, view=2)


@pytest.mark.parametrize(
    ("logits", "told"),
    [
        (
            torch.zeros(39, 3),
            r"point \[40, C\] or \[1, 40, C\], got torch.float32 \[1, 39, 3\]",
        ),
        (torch.zeros(40, 3, dtype=torch.int64), "floating point"),
        (torch.full((40, 3), -torch.inf), "finite numbers; for a probability of 0 give"),
        (np.full((40, 3), "a"), "logits must be numbers"),
        ([[1.0], [2.0, 3.0]], "logits must be numbers"),
        (torch.zeros(40, 1), "floating point"),
    ],
)
def test_logits_that_are_none_are_refused(logits: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RecordedTeacher.from_logits(logits, TRAIN)


def test_hidden_layers_need_a_network() -> None:
    pair = kd.LayerPair("conv", "conv")
    for make in (
        lambda: kd.Hint(recorded(), pair),
        lambda: kd.WithFeatures(kd.Supervised(), recorded(), own=pair),
        lambda: kd.Hint(ShuffledTeacher(recorded()), pair),
        lambda: kd.Hint(ShuffledTeacher(Small()), pair),
        lambda: kd.WithFeatures(kd.Supervised(), ShuffledTeacher(Small()), own=pair),
    ):
        with pytest.raises(ValueError, match="no hidden layers to learn from; give the teacher's"):
            make()
    with pytest.raises(ValueError, match="no network"):
        kd.regressor_between(Small(), recorded(), TRAIN, "conv", "conv")


def plain() -> nn.Module:
    """What learns the same from a batch in one process, in two, and beside others."""
    with initial_weights(1):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def taught(teacher: Any, **options: Any) -> dict[str, Tensor]:
    student = plain()
    fit(student, kd.Distillation(teacher), TRAIN, **RUN | options)
    return weights(student)


def test_it_travels_and_is_shared_and_shuffled_like_any_other() -> None:
    teacher = recorded()
    expected = taught(teacher)
    for other in (pickle.loads(pickle.dumps(teacher)), copy.deepcopy(teacher)):
        assert same(taught(other), expected)
    arms = {"one": lambda seed: {"end": taught(teacher)}}
    for end in kd.run_arms(arms, [0, 1, 2, 3], workers=2)["one"]:
        assert same(end["end"], expected)
    students, objectives = [plain(), plain()], [kd.Distillation(teacher), kd.Distillation(teacher)]
    kd.fit_many(students, objectives, [TRAIN, TRAIN], seeds=[0, 0], **RUN)
    torch.testing.assert_close(weights(students[1]), expected)
    wrong, live = ShuffledTeacher(teacher, seed=3), ShuffledTeacher(Small(seed=4), seed=3)
    torch.testing.assert_close(taught(wrong), taught(live), **HALF)
    torch.testing.assert_close(wrong.logits(TRAIN), live.logits(TRAIN), **HALF)
    assert not torch.equal(wrong.logits(TRAIN), teacher.logits(TRAIN))


def test_a_checkpoint_knows_the_table(tmp_path: Path) -> None:
    path, logits = tmp_path / "run.pt", predict(Small(seed=4), TRAIN)
    run = partial(distilled, checkpoint=path)
    end = run(RecordedTeacher.from_logits(logits, TRAIN))
    assert same(run(RecordedTeacher.from_logits(logits, TRAIN)), end)
    logits[7, 1] += 1e-2
    with pytest.raises(CheckpointError, match="its teacher is"):
        run(RecordedTeacher.from_logits(logits, TRAIN))
    shuffled = tmp_path / "shuffled.pt"
    distilled(ShuffledTeacher(recorded(), seed=0), checkpoint=shuffled)
    with pytest.raises(CheckpointError, match="its teacher is"):
        distilled(ShuffledTeacher(recorded(), seed=1), checkpoint=shuffled)


def damaged(path: Path) -> list[Any]:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    yield "half of it"
    path.write_bytes(content[:300] + bytes([content[300] ^ 255]) + content[301:])
    yield "a byte"
    np.savez(path, about=np.array([{}], dtype=object))
    yield "code"
    np.savez(path, about=np.array('{"format": 1, "views": {"flip": 3}, "provenance": {}}'))
    yield "views"
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.write_bytes(path.with_suffix(".npy").read_bytes())
    yield "one array"


def test_a_damaged_file_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "teacher.npz"
    recorded().save(path)
    for _ in damaged(path):
        with pytest.raises(ValueError, match=r"teacher.npz' cannot be read as recorded answers \("):
            RecordedTeacher.load(path)
    with pytest.raises(FileNotFoundError):
        RecordedTeacher.load(tmp_path / "missing.npz")
    with pytest.raises(ValueError, match="is no file"):
        RecordedTeacher.load(tmp_path)
    with pytest.raises(ValueError, match="provenance must be plain"):
        recorded().save(path, network=Small())
    with pytest.raises(ValueError, match="half precision rounds these logits away"):
        RecordedTeacher.from_logits(torch.full((40, 3), 1e5), TRAIN)


# -- pictures that are not those of the table -----------------------------------------------------


class Changing(kd.Distillation):
    """Distillation from pictures that `change` has been at."""

    def __init__(self, teacher: Any, change: Any) -> None:
        super().__init__(teacher)
        self.change = change

    def forward(self, student: Any, batch: Batch) -> Any:
        return super().forward(student, self.change(batch))


def cut_in_place(batch: Batch) -> Batch:
    batch.inputs[:, :, 2:5] = 0
    return batch


def cut_through_a_view(batch: Batch) -> Batch:
    batch.inputs[0].zero_()
    return batch


def doubled(batch: Batch) -> Batch:
    inputs, labels = torch.cat([batch.inputs, -batch.inputs]), batch.labels.repeat(2)
    return batch._replace(inputs=inputs, labels=labels)


CHANGES = {
    "mixed": lambda batch: batch._replace(inputs=batch.inputs.lerp(batch.inputs.flip(0), 0.3)),
    "cut in place": cut_in_place,
    "cut through a view": cut_through_a_view,
    "doubled": doubled,
    "by hand": lambda batch: Batch(batch.inputs + 1, batch.labels, batch.sample, batch.view),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_pictures_are_asked_about_as_without_a_table(change: Any) -> None:
    ends = []
    for cache in (True, False):
        student = Small(seed=1)
        objective = Changing(Teacher(Small(seed=4), cache=cache), change)
        with pytest.warns(UserWarning, match="mixed, changed") if cache else nullcontext():
            fit(student, objective, TRAIN, **RUN, views=FLIP)
        ends.append(weights(student))
    assert same(*ends)
    with pytest.raises(ValueError, match="recorded answers know only the others; mix the answers"):
        fit(Small(), Changing(recorded(), change), TRAIN, **RUN)


def reordered(batch: Batch) -> Batch:
    return batch._replace(**{name: getattr(batch, name).flip(0) for name in batch._fields[:4]})


HOLDERS = {
    "halves": lambda batch: Batch(*(each[:4] for each in batch[:4]), batch.origin),
    "reordered": reordered,
    "copied": lambda batch: batch._replace(inputs=batch.inputs.clone().contiguous()),
    "of half precision": lambda batch: batch._replace(inputs=batch.inputs.bfloat16()),
}


@pytest.mark.parametrize("change", HOLDERS.values(), ids=HOLDERS)
def test_the_same_pictures_are_looked_up_whatever_holds_them(change: Any) -> None:
    ask = recorded().prepare(TRAIN, FLIP, 1)
    live = Teacher(Small(seed=4), cache=False).prepare(TRAIN, FLIP, 1)
    for batch in batches(TRAIN, 8, seed=3, views=FLIP, channels_last=True):
        changed = change(batch)
        expected = live(changed._replace(inputs=changed.inputs.float()))
        torch.testing.assert_close(ask(changed), expected, atol=0.05, rtol=0.05)


def test_the_answers_of_other_samples_can_be_looked_up_by_their_number() -> None:
    ask, logits = recorded().prepare(TRAIN, Views(), 1), recorded().logits(TRAIN)
    for batch in batches(TRAIN, 8, seed=3):
        other = batch._replace(sample=batch.sample.flip(0))
        assert torch.equal(ask(other), logits[batch.sample.flip(0)])


class InPlace(Small):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.sub_(1.0))


@pytest.mark.parametrize("teacher", ["recorded", "cached", "live", "hint"])
def test_networks_that_change_their_inputs_in_place_disturb_nobody(teacher: str) -> None:
    class Apart(Small):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs - 1.0)

    ends = []
    for kind in (InPlace, Apart):
        network, student = kind(seed=4), kind(seed=1)
        made = Teacher(network, cache=teacher == "cached")
        made = RecordedTeacher.of(network, TRAIN) if teacher == "recorded" else made
        hint = kd.Hint(made, kd.LayerPair("conv", "conv")) if teacher == "hint" else None
        fit(student, hint or kd.Distillation(made), TRAIN, **RUN)
        ends.append(weights(student))
    assert same(*ends)


def test_a_picture_of_another_size_or_kind_is_another_picture() -> None:
    assert next(batches(TRAIN, 8, seed=1, views=FLIP)).is_as_made()
    batch = next(batches(TRAIN, 8))
    for inputs in (torch.zeros(8, *SHAPE), batch.inputs[..., :4], (batch.inputs * 255).byte()):
        assert not batch._replace(inputs=inputs).is_as_made()
    assert batch.is_as_made()
    assert not Batch(*batch[:4]).is_as_made()


def test_a_teacher_that_is_asked_for_a_record_keeps_nothing_of_it() -> None:
    teacher = Teacher(Small(seed=4), cache=False)
    RecordedTeacher.of(teacher, TRAIN)
    assert not teacher._tables
