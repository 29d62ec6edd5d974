"""Data sets that other programs left behind: torchvision's pickles, and what may not be read."""

import errno
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from kdhelpers.data import sources
from kdhelpers.data.sources import Arrays, DataError, downloaded


@pytest.fixture
def pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`cifar-10-batches-py` with ten made-up pictures, whose checksums torchvision knows."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    published = torchvision.datasets.CIFAR10
    images = np.random.default_rng(0).integers(0, 256, (6, 10, 3072), dtype=np.uint8)

    def write(name: str, content: object) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    names = [name for name, _ in (*published.train_list, *published.test_list)]
    sums = [
        [name, write(name, {"data": part, "labels": [*range(10)]})]
        for name, part in zip(names, images, strict=True)
    ]
    meta = {**published.meta, "md5": write("batches.meta", {"label_names": [*"abcdefghij"]})}
    monkeypatch.setattr(published, "train_list", sums[:5])
    monkeypatch.setattr(published, "test_list", sums[5:])
    monkeypatch.setattr(published, "meta", meta)
    planes = images.reshape(60, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = np.tile(np.arange(10), 6)
    train = sources._in_canonical_order(planes[:50], labels[:50])
    test = sources._in_canonical_order(planes[50:], labels[50:])
    arrays = Arrays(*train, *test)
    monkeypatch.setitem(sources.CONTENT_SHA256, "cifar10", sources.content_sha256(arrays))
    return folder


def test_the_folder_of_torchvision_is_used_and_packed(pickles: Path) -> None:
    arrays = downloaded("cifar10", pickles.parent)
    assert sources.content_sha256(arrays) == sources.CONTENT_SHA256["cifar10"]
    assert (pickles.parent / "cifar10.pt").exists()


def test_an_altered_pickle_is_not_opened_and_nobody_is_told_to_delete_it(
    pickles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pickles / "data_batch_3").write_bytes(b"other")
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(
        DataError, match=r"batches-py' is damaged: its files are not .*; put a"
    ) as no:
        downloaded("cifar10", pickles.parent)
    assert "delete" not in str(no.value)


@pytest.mark.parametrize(
    ("name", "reader"), [("mnist.pt", "torch"), ("cifar10.npz", "numpy"), ("MNIST/raw/x", "path")]
)
def test_what_may_not_be_read_is_not_called_damaged(
    name: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"whole")
    if reader == "path":
        for each in sources.MNIST_RAW_SHA256:
            (tmp_path / "MNIST" / "raw" / each).write_bytes(b"whole")

    def locked(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / name))

    monkeypatch.setattr(torch, "load", locked)
    monkeypatch.setattr(np, "load", locked)
    if reader == "path":
        monkeypatch.setattr(Path, "read_bytes", locked)
    with pytest.raises(DataError, match=f"{name}' may not be read by you: change its perm") as no:
        downloaded("cifar10" if "cifar" in name else "mnist", tmp_path)
    assert "damaged" not in str(no.value)


def test_a_folder_or_a_boundless_view_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mnist.pt").mkdir()
    with pytest.raises(DataError, match=r"mnist\.pt' is damaged: it cannot be read"):
        downloaded("mnist", tmp_path)
    (tmp_path / "mnist.pt").rmdir()
    huge = torch.zeros(1, dtype=torch.uint8).expand(10**10)
    torch.save(dict.fromkeys(Arrays._fields, huge), tmp_path / "mnist.pt")
    with pytest.raises(DataError, match=r"mnist\.pt' is damaged: it cannot be read"):
        downloaded("mnist", tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_among_mnists_is_named(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    make(raw / "train-images-idx3-ubyte")
    with pytest.raises(DataError, match="train-images-idx3-ubyte' is no file; move it away"):
        downloaded("mnist", tmp_path)
