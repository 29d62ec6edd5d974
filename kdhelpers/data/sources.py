"""Where each data set comes from: its file, its checksum, and what to do when it is missing.

Every source returns uint8 arrays: images [N, C, H, W] and labels [N], once for training and once
for test. MNIST and CIFAR-10 are kept under the data root as one verified file each.
"""

import errno
import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from kdhelpers._files import atomic
from kdhelpers._values import short_path

Bytes = NDArray[np.uint8]


class DataError(RuntimeError):
    """A data set is missing or damaged, or a folder cannot be used; the message says what to do."""


class Arrays(NamedTuple):
    """One data set as uint8 arrays: images [N, C, H, W], labels [N]."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


# SHA-256 over the four arrays, see `content_sha256`.
CONTENT_SHA256 = {
    "mnist": "986c1bfd56e524c49da1092cbdd5bc62df500b23ac5e87137e63d8886619c7ae",
    "cifar10": "0563558fbdcec57d1dbc6a3fb2dfe0ca01041c39972968021fe661273e8a4e0f",
}

# SHA-256 of MNIST's unpacked files, so that a damaged one can be named.
MNIST_RAW_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def data_root(root: str | Path | None = None) -> Path:
    """The folder that holds the downloaded data sets.

    `root` if given, else the environment variable KDHELPERS_DATA, else `data/` beside the
    notebooks' folder: lessons opened in JupyterLab run inside `notebooks/`, and they share the
    folder that the command line uses.

    Raises:
        ValueError: the root is neither text nor a path, or in the home of nobody.
    """
    here = Path.cwd()
    default = (here.parent if here.name == "notebooks" else here) / "data"
    chosen = root or os.environ.get("KDHELPERS_DATA") or default
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:  # "~somebody" who does not exist
        raise ValueError(f"the data root {short_path(chosen)} has no home folder.") from error


def downloaded(name: str, root: str | Path | None = None) -> Arrays:
    """MNIST or CIFAR-10, from the data root if it is there and from the network if not.

    Looks for `<name>.pt` (our packed file), then for what other programs leave behind
    (`MNIST/raw/`, `cifar10.npz`, `cifar-10-batches-py/`), then downloads with torchvision.
    Whatever is found is checked against a SHA-256 before it is used, then packed for the next time.

    Raises:
        ValueError: as for `data_root`.
        DataError: a file is damaged or may not be read (it is named), or the data are neither there
            nor reachable.
    """
    folder = data_root(root)
    try:
        return _downloaded(name, folder)
    except PermissionError as error:  # what may not be read can be whole
        told = f"{short_path(error.filename or folder)} may not be read by you: change its"
        raise DataError(f"{told} permissions, or set KDHELPERS_DATA to another folder.") from error


def _downloaded(name: str, folder: Path) -> Arrays:
    packed = folder / f"{name}.pt"
    try:
        known = packed.exists()
    except OSError as error:  # a name that is longer than names may be
        raise DataError(f"{short_path(folder)} cannot be used: {error.strerror}.") from error
    if known:
        return _read_packed(name, packed)
    with _one_at_a_time(folder, name):
        if packed.exists():  # another process packed it while we waited
            return _read_packed(name, packed)
        found = {"mnist": _find_mnist, "cifar10": _find_cifar10}[name](folder)
        arrays = found if found is not None else _download(name, folder)
        tensors = {field: torch.from_numpy(array) for field, array in arrays._asdict().items()}
        # A full or read-only disk is no reason to fail: the next start only takes longer.
        # (torch reports a full disk as a RuntimeError.)
        with suppress(OSError, RuntimeError), atomic(packed) as partial:
            torch.save(tensors, partial)
        return arrays


def content_sha256(arrays: Arrays) -> str:
    """SHA-256 over type, shape and bytes of the four arrays, one after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What ends the reading of a file inside, other than its permissions, is told as damage."""
    try:
        _check_file(path)
        yield
    except PermissionError:
        raise
    except Exception as error:
        raise _damaged(path, f"it cannot be read ({type(error).__name__})") from error


def _read_packed(name: str, path: Path) -> Arrays:
    with _reading(path):
        tensors = torch.load(path, weights_only=True)
        # A view of one byte can claim to be as large as it likes.
        assert all(tensor.is_contiguous() for tensor in tensors.values())
        arrays = Arrays(**{k: v.numpy() for k, v in tensors.items()})
    return _checked(name, arrays, path)


def _checked(name: str, arrays: Arrays, source: Path) -> Arrays:
    if content_sha256(arrays) != CONTENT_SHA256[name]:
        raise _damaged(source, "its SHA-256 is not that of the published data set")
    return arrays


def _check_file(path: Path) -> None:
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise DataError(f"{short_path(path)} is no file; move it away.")


def _damaged(path: Path, reason: str) -> DataError:
    ours = path.suffix == ".pt"  # what others made may be the only copy
    remedy = "delete it" if ours else "put a whole one in its place, or move it elsewhere,"
    return DataError(
        f"{short_path(path)} is damaged: {reason}; {remedy} and load the data set again."
    )


def _read_mnist(raw: Path) -> Arrays:
    """The four idx files, gzipped or not: 16 or 8 (labels) header bytes, then one byte a value."""
    arrays: list[Bytes] = []
    for name, expected in MNIST_RAW_SHA256.items():
        path = raw / name
        if not path.exists() and (raw / f"{name}.gz").exists():
            path = raw / f"{name}.gz"
        if not path.exists():
            elsewhere = f"or move {short_path(raw)} elsewhere and load the data set again"
            raise DataError(f"{short_path(path)} is missing; put it there, {elsewhere}.")
        _check_file(path)
        content = path.read_bytes()
        try:
            content = gzip.decompress(content) if path.suffix == ".gz" else content
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged(path, "it cannot be unpacked") from error
        if hashlib.sha256(content).hexdigest() != expected:
            raise _damaged(path, "its SHA-256 is not that of the published file")
        values = np.frombuffer(content, np.uint8, offset=16 if "images" in name else 8).copy()
        arrays.append(values.reshape(-1, 1, 28, 28) if "images" in name else values)
    return Arrays(*arrays)


def _read_cifar10(path: Path) -> Arrays:
    """`cifar10.npz`: images uint8 [N, 32, 32, 3] and labels, as train_* and test_*."""
    with _reading(path), np.load(path, allow_pickle=False) as file:
        train, test = (
            _in_canonical_order(file[f"{part}_images"], file[f"{part}_labels"])
            for part in ("train", "test")
        )
    return _checked("cifar10", Arrays(*train, *test), path)


def _in_canonical_order(images: Bytes, labels: Bytes | list[int]) -> tuple[Bytes, Bytes]:
    """CIFAR-10 travels in several orders; sorting by pixels gives every reader the same splits."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    labels = np.asarray(labels).astype(np.uint8)
    rows = np.concatenate([planes.reshape(len(planes), -1), labels[:, None]], axis=1)
    order = np.argsort(rows.view(f"V{rows.shape[1]}").ravel(), kind="stable")
    return planes[order], labels[order]


def _find_mnist(folder: Path) -> Arrays | None:
    raw = folder / "MNIST" / "raw"
    return _read_mnist(raw) if raw.is_dir() and any(raw.iterdir()) else None


def _find_cifar10(folder: Path) -> Arrays | None:
    path, pickles = folder / "cifar10.npz", folder / "cifar-10-batches-py"
    if path.exists():
        return _read_cifar10(path)
    if not pickles.is_dir():
        return None
    try:  # torchvision opens these pickles only when their checksums are those published
        arrays = _torchvision_cifar10(folder, download=False)
    except RuntimeError as error:
        raise _damaged(pickles, "its files are not those published") from error
    return _checked("cifar10", arrays, pickles)


def _download(name: str, folder: Path) -> Arrays:
    """Download into a folder of its own, so that an interruption leaves no half file to trip on."""
    if not _writable(folder):
        told = f"{name} is not in {short_path(folder)}, and that folder cannot be written to"
        remedy = "set KDHELPERS_DATA to a folder that has the data or can take them"
        raise DataError(f"{told}; {remedy}.")
    for stale in folder.glob(f".{name}.partial-*"):  # we hold the lock: nobody is writing there
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.partial-", dir=folder) as partial:
        try:
            arrays = _FETCH[name](partial)
        except (OSError, RuntimeError, HTTPException) as error:
            remedy = (
                f'connect to the internet once and run `python -c "from kdhelpers import data; '
                f"data.load('{name}')\"`, or set KDHELPERS_DATA to a folder that has it (the quick "
                "profile needs no download)"
            )
            if getattr(error, "errno", None) == errno.ENOSPC:
                remedy = "its disk is full; make room, or set KDHELPERS_DATA to another one"
            reason = " ".join(str(error).split())[:200]
            told = f"{name} is not in {short_path(folder)} and could not be downloaded: {remedy}"
            raise DataError(f"{told}. The reason: {reason}") from error
        return _checked(name, arrays, folder / name)


def _fetch_mnist(folder: str) -> Arrays:
    from torchvision.datasets import MNIST

    MNIST(folder, download=True)
    return _read_mnist(Path(folder) / "MNIST" / "raw")


def _torchvision_cifar10(folder: str | Path, *, download: bool = True) -> Arrays:
    from torchvision.datasets import CIFAR10

    both = [CIFAR10(folder, train=part, download=download) for part in (True, False)]
    train, test = (_in_canonical_order(each.data, each.targets) for each in both)
    return Arrays(*train, *test)


_FETCH: dict[str, Callable[[str], Arrays]]
_FETCH = {"mnist": _fetch_mnist, "cifar10": _torchvision_cifar10}


@contextmanager
def _one_at_a_time(folder: Path, name: str) -> Iterator[None]:
    """Two runs that share a data root must not download over each other."""
    if not _writable(folder):
        yield
        return
    try:
        lock = FileLock(folder / f".{name}.lock", timeout=3600).acquire()
    except OSError as error:  # a lock that nobody gives back within the hour is one too
        told = f"{short_path(folder)} cannot be locked ({error}); end the other run that loads"
        raise DataError(f"{told} {name}, or set KDHELPERS_DATA to another folder.") from error
    with lock:
        yield


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError):  # a path with a character that no path can have
        return False
    return os.access(folder, os.W_OK)
