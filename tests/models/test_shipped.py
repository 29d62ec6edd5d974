"""The networks that ship with the course are what they are said to be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import weights
from torch import nn

from kdhelpers import data, models
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.models import shipped
from tools import ship_weights

BOTH = pytest.mark.parametrize("it", [shipped.TEACHER, shipped.STUDENT], ids=lambda it: it.file)


def of(it: shipped.Shipped) -> nn.Module:
    load: Any = models.teacher_for if it is shipped.TEACHER else models.student_for
    return load(it.dataset)


@BOTH
def test_they_are_the_networks_that_they_are_said_to_be(it: shipped.Shipped) -> None:
    network, expected = of(it), models.build(it.name, width=it.width)
    shapes, wanted = ({k: v.shape for k, v in weights(m).items()} for m in (network, expected))
    assert shapes == wanted
    assert all(p.dtype == torch.float32 for p in network.parameters())


def test_the_teacher_knows_the_test_pictures() -> None:
    test = data.load("photodigits").test.take(200)
    assert accuracy(predict(models.teacher_for("photodigits"), test), test.labels) > 0.9


@pytest.mark.parametrize(
    ("load", "other", "told"),
    [
        (models.teacher_for, "cifar10", "no teacher for 'cifar10' .* set teacher_epochs to train"),
        (models.student_for, "mnist", "no student for 'mnist' ships .* distil one with kd.fit"),
    ],
)
def test_there_is_none_for_other_data(load: Any, other: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        load(other)


@BOTH
@pytest.mark.parametrize(("damage", "message"), [(True, "were altered"), (False, "are missing")])
def test_a_damaged_or_missing_file_is_named(
    it: shipped.Shipped,
    damage: bool,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "weights").mkdir()
    if damage:
        (tmp_path / "weights" / it.file).write_bytes(b"something else")
    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    with pytest.raises(OSError, match=f"'{it.file}' {message}; install again"):
        of(it)


def test_training_anew_writes_a_file_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(ship_weights, "fit", lambda *_, **__: [])
    it = shipped.TEACHER
    digest, *rest = ship_weights.main("teacher", tmp_path / "weights" / it.file).split()
    assert rest[:2] == ["test", "accuracy"]
    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    again, first = weights(replace(it, sha256=digest).load()), weights(it.network(seed=0))
    for name, tensor in first.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-3, rtol=1e-3)
