"""MNIST and CIFAR-10: found, fetched, checked, packed — or a clear word on what is wrong.

The data are made up and small; the pinned digests are replaced by theirs.
"""

import errno
import gzip
import hashlib
import shutil
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import torch
import torchvision

from kdhelpers import data
from kdhelpers.data import sources
from kdhelpers.data.sources import Arrays, DataError, downloaded

RAW = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
RAW += ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DOWNLOAD = torchvision.datasets.MNIST.download


def digest(arrays: Arrays) -> str:
    described = (f"{a.dtype} {a.shape}".encode() + a.tobytes() for a in arrays)
    return hashlib.sha256(b"".join(described)).hexdigest()


def made_up(channels: int, size: int) -> Arrays:
    random = np.random.default_rng(0)
    parts: list[Any] = []
    for count in (40, 20):
        parts.append(random.integers(0, 256, (count, channels, size, size), dtype=np.uint8))
        parts.append(random.permutation(np.arange(count, dtype=np.uint8) % 10))
    return Arrays(*parts)


def same(one: Arrays, other: Arrays) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def left_in(folder: Path) -> list[str]:
    """What lies in a data root, but for the lock that runs share."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def idx_files(arrays: Arrays) -> dict[str, bytes]:
    """The four arrays as the idx files in which MNIST is published."""
    files = {}
    for name, array in zip(RAW, arrays, strict=True):
        shape = array.shape if array.ndim == 1 else (len(array), *array.shape[2:])
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        files[name] = header + array.tobytes()
    return files


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Small made-up MNIST whose digests are the pinned ones, and no download."""
    arrays = made_up(1, 28)
    monkeypatch.setitem(sources.CONTENT_SHA256, "mnist", digest(arrays))
    for name, content in idx_files(arrays).items():
        monkeypatch.setitem(sources.MNIST_RAW_SHA256, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", unwanted)
    return arrays


@pytest.fixture
def raw(mnist: Arrays, tmp_path: Path) -> Path:
    """A data root with MNIST/raw; gives the folder `raw`."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in idx_files(mnist).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Small made-up CIFAR-10 in the order in which it is kept: sorted by pixels."""
    arrays: list[Any] = list(made_up(3, 32))
    arrays[0][0], arrays[1][:2] = arrays[0][1], (1, 0)  # the same picture, as two classes
    for part in (0, 2):
        images, labels = arrays[part : part + 2]
        order = sorted(range(len(images)), key=lambda i: (images[i].tobytes(), labels[i]))
        arrays[part : part + 2] = images[order], labels[order]
    monkeypatch.setitem(sources.CONTENT_SHA256, "cifar10", digest(Arrays(*arrays)))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", unwanted)
    return Arrays(*arrays)


def unwanted(*_: object) -> None:
    raise AssertionError("nothing was to be downloaded")


def write_npz(path: Path, arrays: Arrays, *, seed: int | None = None) -> None:
    """`cifar10.npz` as other programs write it: channels last, in any order."""
    fields: dict[str, Any] = {}
    for part, images, labels in (("train", *arrays[:2]), ("test", *arrays[2:])):
        order = np.arange(len(labels))
        if seed is not None:
            order = np.random.default_rng(seed).permutation(order)
        fields[f"{part}_images"] = images[order].transpose(0, 2, 3, 1)
        fields[f"{part}_labels"] = labels[order].astype(np.int64)
    np.savez(path, **fields)


# What is there is used


def test_raw_files_are_used_without_network_and_packed(
    mnist: Arrays, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDHELPERS_DATA", str(tmp_path))
    assert same(downloaded("mnist"), mnist)
    assert left_in(tmp_path) == ["MNIST", "mnist.pt"]
    shutil.rmtree(raw)
    assert same(downloaded("mnist", tmp_path), mnist)


def test_gzipped_raw_files_are_used_too_and_a_broken_one_is_named(
    mnist: Arrays, raw: Path, tmp_path: Path
) -> None:
    for path in list(raw.iterdir()):
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    broken = raw / f"{RAW[2]}.gz"
    whole, other = broken.read_bytes(), gzip.compress(b"other")
    for altered in (whole[:-20], b"", b"no gzip", other, whole[:10] + b"\xff" * 9):
        broken.write_bytes(altered)
        refused = rf"{RAW[2]}\.gz' is damaged: .*; put a whole one"
        with pytest.raises(DataError, match=refused) as no:
            downloaded("mnist", tmp_path)
        assert "delete" not in str(no.value)
    broken.write_bytes(whole)
    assert same(downloaded("mnist", tmp_path), mnist)


def test_a_loaded_data_set_has_its_splits_and_can_be_enlarged(
    mnist: Arrays, raw: Path, tmp_path: Path
) -> None:
    load = partial(data.load, "mnist", root=tmp_path, validation=10)
    loaded = load()
    assert [len(part) for part in loaded[1:]] == [30, 10, 20]
    assert loaded.test.labels.tolist() == mnist.test_labels.tolist()
    assert np.array_equal(loaded.test.images.numpy(), mnist.test_images)
    both = torch.cat([loaded.train.images, loaded.validation.images]).numpy()
    assert sorted(map(bytes, both)) == sorted(map(bytes, mnist.train_images))
    assert load().train.fingerprint == loaded.train.fingerprint
    assert load(image_size=32).train.images.shape == (30, 1, 32, 32)
    for size in (27, 0, -1):
        with pytest.raises(ValueError, match=f"cannot enlarge .* to {size} pixels"):
            load(image_size=size)


def test_cifar10_is_the_same_in_whatever_order_it_came(cifar10: Arrays, tmp_path: Path) -> None:
    for seed in (None, 1, 2):
        root = tmp_path / str(seed)
        root.mkdir()
        write_npz(root / "cifar10.npz", cifar10, seed=seed)
        assert same(downloaded("cifar10", root), cifar10)
        assert left_in(root) == ["cifar10.npz", "cifar10.pt"]
        assert same(downloaded("cifar10", root), cifar10)


def test_cifar10_has_its_classes_and_its_size(cifar10: Arrays, tmp_path: Path) -> None:
    write_npz(tmp_path / "cifar10.npz", cifar10)
    loaded = data.load("cifar10", root=tmp_path, validation=10, image_size=32)
    assert loaded.train.images.shape == (30, 3, 32, 32)
    assert len(loaded.train.classes) == 10
    assert loaded.train.classes[:2] == ("airplane", "automobile")
    with pytest.raises(ValueError, match="cifar10 cannot be had at 64 pixels, only at 32"):
        data.load("cifar10", root=tmp_path, image_size=64)


# Damage is found and named


def test_an_altered_raw_file_is_named(raw: Path, tmp_path: Path) -> None:
    for name in RAW:
        path = raw / name
        whole = path.read_bytes()
        for altered in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[: len(whole) // 2], b""):
            path.write_bytes(altered)
            with pytest.raises(DataError, match=f"{name}' is damaged: its SHA-256"):
                downloaded("mnist", tmp_path)
        path.write_bytes(whole)
    assert left_in(tmp_path) == ["MNIST"]  # nothing of it was packed


def test_a_missing_raw_file_is_named(raw: Path, tmp_path: Path) -> None:
    (raw / RAW[1]).unlink()
    with pytest.raises(DataError, match=f"{RAW[1]}' is missing; put it there, or move '.*raw'"):
        downloaded("mnist", tmp_path)


def test_a_damaged_packed_file_is_named(mnist: Arrays, raw: Path, tmp_path: Path) -> None:
    downloaded("mnist", tmp_path)
    packed = tmp_path / "mnist.pt"
    whole = packed.read_bytes()
    tensors = {field: torch.from_numpy(array) for field, array in mnist._asdict().items()}
    contents: list[bytes | object] = [whole[:kept] for kept in (0, 10, len(whole) // 2, -10)]
    contents += [{}, {"train_images": torch.zeros(1)}, torch.zeros(3), [1]]  # of something else
    contents += [tensors | {field: tensor ^ 1} for field, tensor in tensors.items()]
    for number, content in enumerate(contents):
        if isinstance(content, bytes):
            packed.write_bytes(content)
        else:
            torch.save(content, packed)
        why = "it cannot be read" if number < 8 else "its SHA-256"
        with pytest.raises(DataError, match=rf"mnist\.pt' is damaged: {why}"):
            downloaded("mnist", tmp_path)


def test_a_damaged_npz_is_named(cifar10: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "cifar10.npz"
    write_npz(path, cifar10._replace(test_labels=(cifar10.test_labels + 1) % 10))
    with pytest.raises(DataError, match=r"cifar10\.npz' is damaged: its SHA-256"):
        downloaded("cifar10", tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"cifar10\.npz' is damaged: it cannot be read"):
        downloaded("cifar10", tmp_path)
    assert left_in(tmp_path) == ["cifar10.npz"]


# Nothing there: download


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_offline_with_nothing_there_says_how_to_get_it_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(DataError) as refused:
        data.load(name, root=tmp_path / "sets")
    message = str(refused.value)
    for part in (name, str(tmp_path / "sets"), "no network", "KDHELPERS_DATA", "internet"):
        assert part in message
    assert f"data.load('{name}')" in message
    assert left_in(tmp_path / "sets") == []


class Server(ThreadingHTTPServer):
    """Serves `files` on 127.0.0.1; `mode` says how well."""

    files: dict[str, bytes]
    mode = "whole"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content, mode = self.server.files.get(self.path.strip("/")), self.server.mode
        if content is None:
            self.send_error(404)
        elif mode == "nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if mode == "whole" else content[: len(content) // 2])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A mirror of the made-up MNIST on this machine; torchvision knows its checksums."""
    with Server(("127.0.0.1", 0), Handler) as running:
        running.files = {
            f"{name}.gz": gzip.compress(content, mtime=0)
            for name, content in idx_files(made_up(1, 28)).items()
        }
        checksums = [
            (name, hashlib.md5(content, usedforsecurity=False).hexdigest())
            for name, content in running.files.items()
        ]
        address = f"http://127.0.0.1:{running.server_port}/"
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", checksums)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def mnist_online(server: Server, mnist: Arrays, monkeypatch: pytest.MonkeyPatch) -> Arrays:
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", DOWNLOAD)
    return mnist


def test_a_download_is_checked_packed_and_kept_as_one_file(
    mnist_online: Arrays, server: Server, tmp_path: Path
) -> None:
    root = tmp_path / "new" / "folder"
    assert same(downloaded("mnist", root), mnist_online)
    assert left_in(root) == ["mnist.pt"]
    server.files.clear()  # from now on, nothing can be fetched
    assert same(downloaded("mnist", root), mnist_online)


@pytest.mark.parametrize("mode", ["half", "nonsense"])
def test_a_server_that_breaks_off_leaves_nothing_and_the_next_try_succeeds(
    mode: str, mnist_online: Arrays, server: Server, tmp_path: Path
) -> None:
    server.mode = mode
    with pytest.raises(DataError, match=r"mnist is not in .* and could not be downloaded"):
        downloaded("mnist", tmp_path)
    assert left_in(tmp_path) == []
    server.mode = "whole"
    assert same(downloaded("mnist", tmp_path), mnist_online)


def fetch_with(monkeypatch: pytest.MonkeyPatch, name: str, result: Any) -> None:
    """Let a download write a file and then return or raise `result`."""

    def fetch(folder: str) -> Arrays:
        (Path(folder) / "half.gz").write_bytes(b"half")
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[no-any-return]

    monkeypatch.setitem(sources._FETCH, name, fetch)


def test_what_a_killed_download_left_is_cleared_by_the_next(
    mnist: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".mnist.partial-old", ".cifar10.partial-old"):
        (tmp_path / name / "MNIST").mkdir(parents=True)
        (tmp_path / name / "MNIST" / "half.gz").write_bytes(b"half")
    fetch_with(monkeypatch, "mnist", mnist)
    assert same(downloaded("mnist", tmp_path), mnist)
    assert left_in(tmp_path) == [".cifar10.partial-old", "mnist.pt"]


OTHERS = made_up(1, 28)._replace(train_labels=np.arange(40, dtype=np.uint8) % 10)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (SystemExit(1), SystemExit, None),
        (MemoryError(), MemoryError, None),
        (OSError("broken"), DataError, "could not be downloaded.*broken"),
        (OSError(errno.ENOSPC, "No space left"), DataError, "its disk is full; make room"),
        (OTHERS, DataError, "its SHA-256 is not that of the published data set"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_gives_the_lock_back(
    result: object,
    error: type[BaseException],
    message: str | None,
    mnist: Arrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch_with(monkeypatch, "mnist", result)
    with pytest.raises(error, match=message):
        downloaded("mnist", tmp_path)
    assert left_in(tmp_path) == []
    with filelock.FileLock(tmp_path / ".mnist.lock", timeout=0):
        pass


def test_cifar10_is_downloaded_in_the_canonical_order(
    cifar10: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Published:
        """What torchvision gives: images channels last, labels as a list, in another order."""

        def __init__(self, root: str, *, train: bool, download: bool) -> None:
            images, labels = cifar10[:2] if train else cifar10[2:]
            assert download
            self.data = images[::-1].transpose(0, 2, 3, 1)
            self.targets = labels[::-1].tolist()

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Published)
    assert same(downloaded("cifar10", tmp_path), cifar10)
    assert left_in(tmp_path) == ["cifar10.pt"]


# Disks and neighbours


def test_a_read_only_folder_with_the_data_serves_without_packing(
    mnist: Arrays, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def read_only(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))
        yield path

    monkeypatch.setattr(sources, "_writable", lambda folder: False)
    monkeypatch.setattr(sources, "atomic", read_only)
    assert same(downloaded("mnist", tmp_path), mnist)
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]  # and without a lock


def test_a_folder_that_cannot_be_written_to_and_lacks_the_data_is_named(
    mnist: Arrays, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    with pytest.raises(DataError, match=r"file', and that folder cannot be written to; set KDH"):
        downloaded("mnist", in_the_way)


def test_a_full_disk_does_not_keep_the_data_from_being_used(
    mnist: Arrays, raw: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # smaller than the packed file
    try:
        arrays = downloaded("mnist", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same(arrays, mnist)
    assert left_in(tmp_path) == ["MNIST"]


def test_two_runs_at_once_fetch_once_and_both_succeed(
    mnist: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching: list[str] = []
    second = threading.Event()

    def fetch(folder: str) -> Arrays:
        fetching.append(folder)
        if len(fetching) > 1:
            second.set()
        second.wait(0.3)  # time for the other run to come in, if nothing keeps it out
        return mnist

    monkeypatch.setitem(sources._FETCH, "mnist", fetch)
    start = threading.Barrier(2)

    def run(_: int) -> Arrays:
        start.wait()
        return downloaded("mnist", tmp_path)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, range(2)))
    assert all(same(arrays, mnist) for arrays in results)
    assert len(fetching) == 1
    assert left_in(tmp_path) == ["mnist.pt"]


def test_a_lock_that_another_run_keeps_is_reported_not_raised_as_it_is(
    mnist: Arrays, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(path: Path, timeout: float) -> filelock.BaseFileLock:
        return filelock.FileLock(path, timeout=0)

    monkeypatch.setattr(sources, "FileLock", impatient)
    with (
        filelock.FileLock(tmp_path / ".mnist.lock"),
        pytest.raises(DataError, match=r"cannot be locked .* end the other run that loads mnist"),
    ):
        downloaded("mnist", tmp_path)
    assert same(downloaded("mnist", tmp_path), mnist)  # given back, it is free
