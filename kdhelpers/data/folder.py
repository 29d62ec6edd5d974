"""A folder of pictures as a data set: one folder for each class, as torchvision's ImageFolder."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import torch
from PIL import Image
from torch import Tensor

from kdhelpers._random import generator
from kdhelpers._values import check_int, check_number, require, short_path, short_repr
from kdhelpers.data.images import LARGEST_IMAGE, mean_std
from kdhelpers.data.pictures import Array, drawn, stacked
from kdhelpers.data.sets import DataSet
from kdhelpers.data.sources import DataError
from kdhelpers.data.split import Split

ENDINGS = (  # also some that not every PIL reads, which are then named
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm"),
    *(".png", ".ppm", ".svg", ".tga", ".tif", ".tiff", ".webp"),
)
PARTS = {  # and what people call them
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
DARK = 32  # below it pictures are nearly black; of 12 bits in files of 16 white is 16
Classes = dict[str, list[Path]]  # the pictures of each class, in an order that all systems share


def load_folder(
    folder: str | Path,
    *,
    size: int | None = None,
    validation: float | None = None,
    test: float | None = None,
    seed: int = 0,
) -> DataSet:
    """Pictures in folders named by their classes, as a data set in memory.

    Either `folder` has `train/` with a folder for each class, and maybe `val/` and `test/` with the
    same or some of them; or it holds the classes' folders itself. What has no folder of its own is
    set aside from the training pictures, class by class: the same files on every machine. Mean and
    deviation are those of the training pictures. Grey pictures get one channel, unless some are in
    colour; they are turned as the camera noted down, and what is transparent becomes white. Files
    that are no pictures by their names, or hidden, are left out. Classes are numbered in the order
    of their names, as text: 1, 10, 2. Pictures for training that lie among those for validation or
    test, too, are warned of, and pictures that are all nearly black, as of 12 bits in files of 16.

    Args:
        size: cut to squares and scale to so many pixels a side, up to 512; needed unless all
            pictures have one size.
        validation, test: the shares to set aside, below 0.9; default 0.1 and 0.2 (0 sets none
            aside), or all that lies in `val/` and `test/`.
        seed: which pictures are set aside.

    Raises:
        ValueError: a size, a share or a seed out of range, or pictures of several sizes.
        DataError: no such folder, another layout, a class without pictures, or a picture that
            cannot be read; it is named.
    """
    size = size if size is None else check_int(size, name="size", least=1, most=LARGEST_IMAGE)
    try:
        folder = Path(folder).expanduser()
        found = _parts(folder)
    except DataError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # no permission, "~somebody", a NUL
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the folder {short_path(folder)} cannot be read: {reason}.") from error
    shares: dict[str, float] = {}
    for part, share, default in (("test", test, 0.2), ("validation", validation, 0.1)):
        told = f"{part} must be left out, as the folder has its own, got {short_repr(share)}"
        require(share is None or part not in found, f"{told}.")
        share = default if share is None else check_number(share, 0, 0.9, name=part)
        shares |= {} if part in found else {part: share}
    names = tuple(found["train"])
    files: dict[str, list[tuple[Path, int]]] = {part: [] for part in PARTS}
    for part, classes in found.items():
        for name, paths in classes.items():
            label = names.index(name)
            dealt = _dealt(name, paths, shares, seed, label) if part == "train" else {part: paths}
            for whose, own in dealt.items():
                files[whose] += [(path, label) for path in own]
    every = [file for part in files.values() for file in part]
    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda file: _read(file[0], size), every)
        pixels = torch.from_numpy(stacked(read, "give size=…, such as size=64"))
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.movedim(3, 1).contiguous()
    if (brightest := int(pixels.max())) < DARK:
        told = f"the brightest pixel of all pictures is {brightest} of 255, which leaves few greys"
        remedy = "where files of 16 bits use 12, say, scale them first, by 16"
        warnings.warn(f"{told}; {remedy}.", stacklevel=2)
    counts = [len(part) for part in files.values()]
    rows = dict(zip(files, torch.arange(len(every)).split(counts), strict=True))
    labels = torch.tensor([label for _, label in every])
    _warn_of_twins(pixels, rows)
    whole = Split(pixels, labels, *mean_std(pixels[rows["train"]]), names)
    splits = (replace(whole, images=pixels[r], labels=labels[r]) for r in rows.values())
    return DataSet(folder.resolve().name, *splits)


def _parts(folder: Path) -> dict[str, Classes]:
    """The training pictures, and those for validation and test that have folders of their own."""
    _need(folder.is_dir(), folder, "is a file; unpack it" if folder.exists() else "is not there")
    below = _folders(folder)
    named = {part: [f for f in below if f.name.lower() in names] for part, names in PARTS.items()}
    apart = bool(named["train"]) and bool(_folders(named["train"][0]))
    if not apart:  # a class may be called "train"
        flat = named["train"] and len(below) == sum(map(len, named.values()))
        told = "has pictures, but no folder for each class; make them"
        _need(not flat, folder / "train", told)
        return {"train": _classes(folder, least=2)}
    for each in named.values():
        told = f"has {' and '.join(path.name for path in each)}; put them together"
        _need(len(each) < 2, folder, told)
    found = {p: _classes(each[0], least=1 + (p == "train")) for p, each in named.items() if each}
    for part, classes in found.items():
        strange = sorted(classes.keys() - found["train"].keys())
        told = f"has classes that are not among those for training: {short_repr(strange)}"
        _need(not strange, named[part][0], f"{told}; rename or move them")
    return found


def _classes(folder: Path, least: int) -> Classes:
    folders = _folders(folder)
    names = [normalize("NFC", each.name) for each in folders]
    remedy = "without labels: data.from_arrays([Image.open(path), …], None)"
    _need(names, folder, f"has no folder for each class; {remedy}")
    told = f"has one class only, {short_repr(names[0])}; give the folder that holds all classes"
    _need(len({*names}) >= least, folder, told)
    inner = [[each.name for each in _folders(each)] for each in folders]
    told = f"holds {short_repr(inner[0])} in each of {short_repr(names)}"
    told = f"{told}; name these train, val and test, or give the folder that holds the classes"
    _need(len(inner[0]) < 2 or any(each != inner[0] for each in inner), folder, told)
    found: Classes = {}
    for name, each in zip(names, folders, strict=True):  # an accent may be written in two ways
        found[name] = sorted([*found.get(name, []), *_files(each)], key=_place)
    for name, files in found.items():
        endings = f"by their names ({' '.join(ENDINGS)})"
        _need(files, folder, f"has no picture of the class {short_repr(name)}, {endings}")
    return found


def _entries(folder: Path) -> list[Path]:
    """What is not hidden; a link to nothing, or to what it lies in, is told."""
    every = (each for each in folder.iterdir() if not each.name.startswith("."))
    found = [each for each in every if each.name != "__MACOSX"]
    for link in filter(Path.is_symlink, found):
        ends = link.exists() and not folder.resolve().is_relative_to(link.resolve())
        _need(ends, folder, f"has a link that leads nowhere, {short_repr(link.name)}; mend it")
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(filter(Path.is_dir, _entries(folder)), key=_place)


def _files(folder: Path) -> list[Path]:
    """The pictures below a folder, at any depth."""
    found: list[Path] = []
    for each in _entries(folder):
        found += _files(each) if each.is_dir() else [each] * each.name.lower().endswith(ENDINGS)
    return found


def _place(path: Path) -> str:
    """What to sort by: macOS writes an accent as a letter of its own."""
    return normalize("NFC", path.as_posix())


def _dealt(
    name: str, paths: list[Path], shares: dict[str, float], seed: int, label: int
) -> dict[str, list[Path]]:
    """The pictures of one class, some of them set aside."""
    order = torch.randperm(len(paths), generator=generator(seed, label)).tolist()
    dealt = {}
    for part, share in shares.items():
        count = max(1, round(share * len(paths))) if share else 0
        dealt[part], order = sorted(paths[n] for n in order[:count]), order[count:]
    if not order:
        told = f"the class {short_repr(name)} has {len(paths)}, too few pictures to set some aside"
        raise DataError(f"{told}; add some, or give smaller shares: validation=0, test=0.")
    return dealt | {"train": sorted(paths[n] for n in order)}


def _warn_of_twins(pixels: Tensor, rows: dict[str, Tensor]) -> None:
    known = {hash(pixels[row].numpy().tobytes()) for row in rows["train"]}
    for part in ("validation", "test"):
        twins = sum(hash(pixels[row].numpy().tobytes()) in known for row in rows[part])
        if twins:
            told = f"{twins} of {len(rows[part])} pictures for {part} are among those for training"
            warnings.warn(f"{told}, too: the accuracy on them will flatter.", stacklevel=3)


def _read(path: Path, size: int | None) -> tuple[str, Array]:
    told = f"the picture {short_path(path)}"
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DataError(f"{told} is no file; move it away.")
    try:
        with Image.open(path) as picture:
            return short_path(path), drawn(picture, size)
    except PermissionError as error:
        raise DataError(f"{told} may not be read by you: change its permissions.") from error
    except Exception as error:  # it depends on the format what kind of error this is
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{told} cannot be read: {reason}; move it away, or convert it.") from error


def _need(ok: object, folder: Path, told: str) -> None:
    if not ok:
        raise DataError(f"the folder {short_path(folder)} {told}.")
