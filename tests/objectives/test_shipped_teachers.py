"""The teachers that ship with the course, and the tool that records one."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from small_data import split

from kdhelpers import data
from kdhelpers.data.sets import DataSet
from kdhelpers.data.split import Split
from kdhelpers.objectives import shipped
from kdhelpers.objectives.recorded import RecordedTeacher
from kdhelpers.objectives.shipped import shipped_teacher

RECORD = Path(__file__).parents[2] / "tools" / "record_teacher.py"


def test_cifar10s_teacher_answers_for_all_pictures_in_two_views_in_3_mb(tmp_path: Path) -> None:
    teacher = shipped_teacher("cifar10")
    assert isinstance(teacher, RecordedTeacher)
    assert teacher.views == data.Views(flip=True)
    shapes = {tuple(rows.logits.shape) for rows in teacher._rows.values()}
    assert shapes == {(2, 45_000, 10), (2, 5_000, 10), (2, 10_000, 10)}
    assert 0.92 < teacher.provenance["accuracy"]["test"] < 0.95
    for rows in teacher._rows.values():  # two views of a picture are mostly one class
        first, mirrored = rows.logits.argmax(2)
        assert (first == mirrored).float().mean() > 0.9
        shares = torch.bincount(first, minlength=10) / len(first)
        assert shares.sub(0.1).abs().max() < 0.02
    with pytest.raises(ValueError, match="for other pictures"):
        teacher.logits(split())
    teacher.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").stat().st_size <= 3e6


def test_photodigits_teacher_is_a_network() -> None:
    assert shipped_teacher("photodigits").model is not None


def test_another_data_set_has_none() -> None:
    with pytest.raises(
        ValueError, match="dataset must be one of photodigits, cifar10, got 'mnist'"
    ):
        shipped_teacher("mnist")


def test_altered_answers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "SHA256", "0" * 64)
    with pytest.raises(OSError, match="git restore kdhelpers/objectives/answers"):
        shipped_teacher("cifar10")


def test_a_teacher_is_trained_anew_recorded_and_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randint(256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    names = tuple("0123456789")
    made = Split(images.to(torch.uint8), torch.arange(64) % 10, (0.5,) * 3, (0.3,) * 3, names)
    few = DataSet("photodigits", made, made.take(20), made.take(20, seed=1))
    monkeypatch.setattr(data, "load", lambda name, root: few)

    def called(*arguments: str) -> None:
        narrow = ("--dataset", "photodigits", "--width", "0.0625", *arguments)
        monkeypatch.setattr(sys, "argv", [str(RECORD), str(tmp_path / "answers.npz"), *narrow])
        runpy.run_path(str(RECORD), run_name="__main__")

    folder = tmp_path / "kept"
    called("--checkpoints", str(folder), "--epochs", "1")
    first = RecordedTeacher.load(tmp_path / "answers.npz")
    assert first.provenance["last_run"]["epochs"] == 1
    assert first.logits(few.test.take(5)).shape == (5, 10)

    called("--weights", str(folder / "weights.pt"))
    again = RecordedTeacher.load(tmp_path / "answers.npz")
    torch.testing.assert_close(again.logits(few.test), first.logits(few.test), rtol=0, atol=0.05)
    called("--weights", str(folder / "run.pt"))  # as a run that was stopped leaves it
    stopped = RecordedTeacher.load(tmp_path / "answers.npz")
    torch.testing.assert_close(stopped.logits(few.test), first.logits(few.test), rtol=0, atol=0.05)

    called(
        "--weights", str(folder / "weights.pt"), "--checkpoints", str(tmp_path / "on"),
        "--epochs", "1", "--lr", "0.01", "--schedule", "cosine",
    )  # fmt: skip
    on = RecordedTeacher.load(tmp_path / "answers.npz")
    assert not torch.equal(on.logits(few.test), again.logits(few.test))


def test_neither_training_nor_weights_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(RECORD), "answers.npz"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(RECORD), run_name="__main__")
    assert "give --checkpoints FOLDER to train" in capsys.readouterr().err
