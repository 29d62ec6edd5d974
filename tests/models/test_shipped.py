"""The teacher that ships with the course is what it is said to be."""

from pathlib import Path

import pytest
import torch
from small_data import weights

from kdhelpers import data, models
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.models import shipped as pretrained
from tools import ship_teacher


def test_it_is_a_vgg16_at_an_eighth_of_its_width_that_knows_the_test_pictures() -> None:
    teacher, expected = pretrained.teacher_for("photodigits"), models.build("vgg16", width=0.125)
    shapes, wanted = ({k: v.shape for k, v in weights(m).items()} for m in (teacher, expected))
    assert shapes == wanted
    assert all(p.dtype == torch.float32 for p in teacher.parameters())
    test = data.load("photodigits").test.take(500)
    assert accuracy(predict(teacher, test), test.labels) > 0.9


def test_there_is_none_for_other_data() -> None:
    with pytest.raises(ValueError, match="no teacher for 'cifar10' ships with the course"):
        pretrained.teacher_for("cifar10")


@pytest.mark.parametrize(("damage", "message"), [(True, "were altered"), (False, "are missing")])
def test_a_damaged_or_missing_file_is_named(
    damage: bool, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    if damage:
        (tmp_path / "weights" / pretrained.FILE).write_bytes(b"something else")
    monkeypatch.setattr(pretrained.resources, "files", lambda package: tmp_path)
    with pytest.raises(OSError, match=f"'photodigits_vgg16.pt' {message}; install again"):
        pretrained.teacher_for("photodigits")


def test_training_it_anew_writes_a_file_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(ship_teacher, "fit", lambda *_, **__: [])
    digest, *rest = ship_teacher.main(tmp_path / "weights" / pretrained.FILE).split()
    assert rest[:2] == ["test", "accuracy"]
    monkeypatch.setattr(pretrained, "SHA256", digest)
    monkeypatch.setattr(pretrained.resources, "files", lambda package: tmp_path)
    again = weights(pretrained.teacher_for("photodigits"))
    first = weights(models.build("vgg16", width=pretrained.WIDTH, seed=0))
    for name, tensor in first.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-3, rtol=1e-3)
