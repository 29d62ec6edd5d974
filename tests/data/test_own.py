"""Own pictures: arrays in any layout and type, data sets of PyTorch, folders, no labels."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import kdhelpers as kd
from kdhelpers import data
from kdhelpers.data.sources import DataError
from kdhelpers.models import initial_weights

RANDOM = np.random.default_rng(0)
LABELS = np.arange(12) % 3


def pixels(*shape: int) -> np.ndarray:
    """uint8 from 0 to 255 for certain."""
    made = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    made.flat[0], made.flat[-1] = 0, 255
    return made


# -- arrays ---------------------------------------------------------------------------------------

SCALED: list[Callable[[np.ndarray], Any]] = [
    lambda x: x,
    lambda x: x.astype(np.int64),
    lambda x: x.astype(">u2"),
    lambda x: x.astype(np.float64),
    lambda x: x / 255,
    lambda x: (x / 255).astype(np.float32),
    lambda x: (x / 255).astype(np.float16),
    lambda x: (x / 255).astype(">f4"),
    lambda x: x / 255 + 1e-6,
    lambda x: torch.from_numpy(x),
    lambda x: (torch.from_numpy(x) / 255).requires_grad_(),
    lambda x: list(torch.from_numpy(x)),
    lambda x: (x / 255).tolist(),
    lambda x: np.asfortranarray(x)[:, ::-1][:, ::-1],
]


@given(
    scaled=st.sampled_from(SCALED),
    layout=st.sampled_from(["NHW", "NCHW", "NHWC"]),
    channels=st.sampled_from([1, 3, 4]),
    given_labels=st.sampled_from([
        LABELS, LABELS.tolist(), LABELS.astype(np.uint8), torch.from_numpy(LABELS).int(),
        LABELS.astype(object), LABELS.astype(">i8"),
    ]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_type_and_layout_gives_the_same_split(
    scaled: Callable[[np.ndarray], Any], layout: str, channels: int, given_labels: Any
) -> None:
    right = pixels(12, 1 if layout == "NHW" else channels, 8, 8)
    laid = {"NHW": right[:, 0], "NCHW": right, "NHWC": right.transpose(0, 2, 3, 1)}[layout]
    split = data.from_arrays(scaled(laid), given_labels)
    assert np.array_equal(split.images.numpy(), right)
    assert split.labels.tolist() == LABELS.tolist()
    assert split.classes == ("0", "1", "2")
    assert (split.mean, split.std) == data.mean_std(torch.from_numpy(right))


def test_a_split_does_not_change_with_the_arrays_that_it_was_made_from(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pixels(12, 4, 4))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.array_equal(data.from_arrays(mapped, LABELS).images[:, 0], mapped)
    mine, labels = pixels(12, 4, 4), LABELS.copy()
    split = data.from_arrays(mine, labels)
    before = split.images.clone(), split.labels.clone()
    mine[:], labels[:] = 7, 0
    assert torch.equal(split.images, before[0])
    assert torch.equal(split.labels, before[1])


def test_names_become_numbers_and_test_pictures_are_treated_like_those_for_training() -> None:
    names = np.array(["cat", "dog", "emu"])
    train = data.from_arrays(pixels(12, 4, 4), names[LABELS], classes=["cat", "dog", "emu"])
    assert train.labels.tolist() == LABELS.tolist()
    test = data.from_arrays(pixels(2, 4, 4), ["emu", "cat"], like=train)
    assert test.labels.tolist() == [2, 0]
    assert (test.classes, test.mean, test.std) == (train.classes, train.mean, train.std)
    given = data.from_arrays(pixels(2, 3, 4, 4), [0, 1], mean=0.5, std=np.array([0.25, 0.5, 1]))
    assert (given.mean, given.std) == ((0.5,) * 3, (0.25, 0.5, 1.0))
    assert data.from_arrays(pixels(2, 4, 4), [2, 1], classes=names).classes == tuple(names)


RGB = pixels(12, 8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((RGB / 255 - 0.5, LABELS), "float64 from -0.5 to 0.5; give them before they are norm"),
        ((RGB * 257.0, LABELS), "from 0 to 65535; .* divide 16 bits by 257"),
        ((RGB + 0.5, LABELS), "whole numbers from 0 to 255"),
        ((np.where(RGB > 9, np.nan, 0), LABELS), "whole numbers from 0 to 255 .* nan"),
        ((RGB.reshape(12, -1), LABELS), r"got \[12, 192\].*reshape"),
        ((pixels(12, 3, 8, 3), LABELS), "could be both"),
        ((pixels(12, 5, 6, 7), LABELS), "could be both"),
        (([RGB[0], RGB[1, :4]], [0, 1]), r"first is \[8, 8, 3\], number 1 is \[4, 8, 3\]; resize"),
        ((RGB[:0], LABELS[:0]), "must hold a picture"),
        (([], []), "at least one"),
        (("images.npy", LABELS), "must be numbers, got <U10; open files first"),
        ((iter(RGB), LABELS), "images must be an array or a list, got <"),
        ((RGB, set(LABELS)), "labels must be an array or a list, got {"),
        ((RGB // 128, LABELS), "uint8 of 0 and 1 only.*multiply them by 255"),
        ((RGB, LABELS[:5]), r"\[12\], one for each image, got \[5\]"),
        ((RGB, np.eye(3)[LABELS]), r"got \[12, 3\]; from one-hot rows: labels.argmax\(1\)"),
        ((RGB, LABELS / 1), r"got float64; make NaN −1, then .astype\(int\)"),
        ((RGB, LABELS + 1), "must start at 0, .* got 1 to 3; number them from 0: np.unique"),
        ((RGB, LABELS % 2 * 2 - 1), "got -1 to 1; number them from 0: np.unique"),
        ((RGB, LABELS - 2), r"none, got -2 to 0; where there is none: labels\[labels < 0\] = -1"),
        ((RGB, np.where(LABELS, LABELS, -100)), r"got -100 to 2; where .*\[labels < 0\] = -1"),
        ((RGB, LABELS * 90_000), "got 0 to 180000; .*return_inverse"),
        ((RGB, np.ma.masked_equal(LABELS, 2)), "labels must be whole, but 4 values are masked"),
        ((np.ma.masked_less(RGB, 9), LABELS), r"images must be whole, but .*\.filled"),
        ((RGB, ["a"] * 12), r"names, such as 'a'; give classes=sorted\(set\(labels\)\)"),
        ((RGB, ["a", "b"] * 6, ["a", "c"]), r"among classes, got \['b'\]"),
        ((RGB, ["a", "b"] * 6, ["a", "b", "b"]), "classes must be names, each another one"),
        (
            (RGB, LABELS, ["a", "b"]),
            "must lie in 0 to 1, .* got 0 to 2; number them .*, or name all",
        ),
        ((RGB, LABELS, "abc"), "classes must be names, got 'abc'"),
        ((RGB, LABELS, None, [124, 117, 104]), "mean must be .* divide those of pixels 0..255"),
        ((RGB, LABELS, None, None, 58.4), "std must be .* divide those of pixels 0..255"),
        ((RGB, LABELS, None, [0.5]), "mean must be .* one a channel.*the images have 3 channels"),
    ],
)
def test_what_is_no_picture_or_no_label_is_refused_with_the_remedy(
    arguments: tuple[Any, ...], message: str
) -> None:
    named = dict(zip(("classes", "mean", "std"), arguments[2:], strict=False))
    with pytest.raises(ValueError, match=message) as refusal:
        data.from_arrays(*arguments[:2], **named)
    assert "\n" not in str(refusal.value)


# -- data sets of PyTorch -------------------------------------------------------------------------


class Pictures(Dataset[Any]):
    """Answers that `answer` makes of a uint8 picture [8, 8, 3] and a label."""

    classes = ["a", "b", "c"]  # noqa: RUF012  (as torchvision's)

    def __init__(self, answer: Callable[[np.ndarray, int], Any]) -> None:
        self.answer = answer

    def __len__(self) -> int:
        return len(RGB)

    def __getitem__(self, index: int) -> Any:
        return self.answer(RGB[index], int(LABELS[index]))


def tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, y: (Image.fromarray(x), y),
        lambda x, y: (x, y),
        lambda x, y: [tensor(x) / 255, torch.tensor(y)],
        lambda x, y: (tensor(x), np.array([y]), {"more": 1}),
        lambda x, y: {"image": Image.fromarray(x), "label": y},
        lambda x, y: {"img": tensor(x), "label": np.int64(y)},
        lambda x, y: (x, "abc"[y]),
    ],
)
def test_any_data_set_of_pytorch_gives_its_pictures_and_labels(answer: Any) -> None:
    split = data.from_dataset(Pictures(answer))
    assert np.array_equal(split.images.permute(0, 2, 3, 1).numpy(), RGB)
    assert split.labels.tolist() == LABELS.tolist()
    assert split.classes == ("a", "b", "c")
    part = data.from_dataset(Subset(Pictures(answer), [5, 1]))
    assert part.labels.tolist() == [2, 1]
    assert part.classes == split.classes
    assert torch.equal(part.images, split.images[[5, 1]])


def test_a_wrapper_that_numbers_classes_anew_does_not_get_the_names_of_what_it_wraps() -> None:
    class Anew(list[Any]):
        dataset = Pictures(lambda x, y: (x, y))

    wrapper = Anew((x, 2 - y) for x, y in (Anew.dataset[number] for number in range(12)))
    assert data.from_dataset(wrapper).classes == ("0", "1", "2")


def test_data_sets_without_labels_and_of_tensors() -> None:
    for bare in (list(RGB), Pictures(lambda x, y: (x,)), TensorDataset(torch.from_numpy(RGB))):
        split = data.from_dataset(bare)
        assert split.labels.tolist() == [-1] * 12
        assert np.array_equal(split.images.permute(0, 2, 3, 1).numpy(), RGB)
    some = data.from_dataset(Pictures(lambda x, y: (x, None if y == 2 else y)))
    assert some.labels.tolist() == np.where(LABELS == 2, -1, LABELS).tolist()


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(RGB)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (DataLoader(list(RGB)), "give loader.dataset"),
        (Stream(), r"list\(itertools.islice\(dataset, 10_000\)\)"),
        (iter(RGB), "must have a length"),
        ({"image": RGB}, "must have a length"),
        (RGB[:0], "at least one"),
        (Pictures(lambda x, y: {"img": x, "fine_label": y}), r"and label, got \['img', 'fine_lab"),
        (Pictures(lambda x, y: {"pixels": x, "label": y}), r"must have image .*\['pixels', 'lab"),
        (Pictures(lambda x, y: (Image.fromarray(x[: 8 - y]), y)), "sample 1 is .* give size="),
        (Pictures(lambda x, y: ((tensor(x) / 255 - 0.5) / 0.2, y)), "before they are normalised"),
        (Pictures(lambda x, y: (x, y / 2)), "labels must be whole numbers"),
        (Pictures(lambda x, y: (x, np.eye(3)[y])), "argmax"),
        (Pictures(lambda x, y: (v2.RandomHorizontalFlip()(tensor(x)), y)), "random transforms to"),
        (Pictures(lambda x, y: (x + np.uint8(RANDOM.random() < 0.2), y)), "random transforms to"),
        (Pictures(lambda x, y: (x, int(RANDOM.integers(3)))), "random transforms to"),
    ],
)
def test_a_data_set_that_would_mislead_is_refused(dataset: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.from_dataset(dataset)


def test_a_size_scales_pictures_and_is_not_ignored_for_arrays() -> None:
    pictures = Pictures(lambda x, y: (Image.fromarray(x), y))
    assert data.from_dataset(pictures, size=4).images.shape == (12, 3, 4, 4)
    arrays = Pictures(lambda x, y: (tensor(x), y))
    assert data.from_dataset(arrays, size=8).images.shape == (12, 3, 8, 8)
    with pytest.raises(ValueError, match=r"arrays of \[8, 8\]; resize .* v2.Resize\(\(4, 4\)\)"):
        data.from_dataset(arrays, size=4)


# -- pictures of any mode -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "PA"])
def test_a_picture_of_any_mode_looks_as_a_viewer_shows_it(mode: str, tmp_path: Path) -> None:
    grey = np.repeat(np.repeat(np.array([[0, 255], [255, 0]], np.uint8), 4, 0), 4, 1)
    picture = Image.fromarray(grey)
    if mode.startswith("I"):
        deep = grey.astype(np.uint16) * 257 if ";" in mode else grey.astype(np.int32)
        picture = Image.fromarray(deep)
    else:
        picture = picture.convert("RGB" if mode == "PA" else mode)
        picture = picture.convert(mode) if mode != "PA" else picture.convert("P").convert("PA")
    assert picture.mode == mode
    split = data.from_arrays([picture], [0])
    assert split.images.shape[1] == (3 if mode in ("RGB", "RGBA", "CMYK", "PA") else 1)
    assert np.array_equal(split.images[0, 0].numpy(), grey)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pictures_of_32_bits_whose_white_nobody_knows_are_refused(kind: type) -> None:
    """Each scaled by itself, a dark one could come out brighter than a light one."""
    dark, light = (Image.fromarray(np.full((8, 8), value, kind)) for value in (200, 1000))
    assert data.from_arrays([dark], [0]).images.unique().item() == 200
    with pytest.raises(ValueError, match=r"from 0 to 255; convert them to 8 bits, or to 16"):
        data.from_arrays([dark, light], [0, 0])


@pytest.mark.parametrize("ending", ["pgm", "png"])
def test_a_dark_picture_of_16_bits_stays_dark(ending: str, tmp_path: Path) -> None:
    pictures = []
    for name, brightest in (("dark", 255), ("light", 65535)):
        Image.fromarray(np.array([[0, brightest]], np.uint16)).save(tmp_path / f"{name}.{ending}")
        pictures.append(Image.open(tmp_path / f"{name}.{ending}"))
    split = data.from_arrays(pictures, [0, 0])
    assert split.images.flatten().tolist() == [0, 1, 0, 255]


def test_what_is_transparent_is_white_and_turned_pictures_stand_upright(tmp_path: Path) -> None:
    see_through = np.zeros((4, 4, 4), np.uint8)
    see_through[0, 0] = [10, 20, 30, 255]
    split = data.from_arrays([Image.fromarray(see_through)], [0])
    assert split.images[0, :, 0, 0].tolist() == [10, 20, 30]
    assert split.images[0, :, 1:].min() == 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    ramp = np.tile(np.arange(0, 240, 30, dtype=np.uint8), (8, 1))
    Image.fromarray(ramp).save(tmp_path / "turned.png", exif=exif)
    upright = data.from_arrays([Image.open(tmp_path / "turned.png")], None)
    assert np.array_equal(upright.images[0, 0].numpy(), np.rot90(ramp, -1))


def test_grey_pictures_among_coloured_ones_get_three_channels() -> None:
    split = data.from_arrays([Image.fromarray(RGB[0]), Image.fromarray(RGB[1, :, :, 0])], [0, 1])
    assert np.array_equal(split.images[1].numpy(), np.stack([RGB[1, :, :, 0]] * 3))
    grey = RGB[0, :, :, 0]
    assert data.from_arrays([grey, grey[..., None]], [0, 1]).images.shape == (2, 1, 8, 8)
    assert data.from_arrays([RGB[0], grey[..., None], grey], None).images.shape == (3, 3, 8, 8)
    with pytest.raises(ValueError, match=r"the first is \[8, 8\], number 1 is \[8, 8, 4\]"):
        data.from_arrays([grey, np.zeros((8, 8, 4), np.uint8), RGB[0]], None)


# -- folders --------------------------------------------------------------------------------------


def fill(folder: Path, count: int = 10, *, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Pictures 6×6 whose first pixel counts them, and whose second tells the class."""
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = np.full((6, 6, 3), 90, np.uint8)
            picture[0, 0, 0], picture[0, 1, 0] = number, label
            Image.fromarray(picture).save(folder / name / f"{number:03}.png")
    return folder


def numbers(split: data.Split) -> list[tuple[int, int]]:
    assert torch.equal(split.images[:, 0, 0, 1].long(), split.labels)
    return [(int(y), int(x)) for y, x in zip(split.labels, split.images[:, 0, 0, 0], strict=True)]


def test_a_folder_of_classes_is_dealt_out_class_by_class_and_every_picture_once(
    tmp_path: Path,
) -> None:
    pets = kd.load_folder(fill(tmp_path / "pets", 20))
    assert pets.name == "pets"
    assert pets.train.classes == pets.test.classes == ("cat", "dog")
    parts = [numbers(split) for split in pets[1:]]
    assert [len(part) for part in parts] == [28, 4, 8]
    assert all(split.labels.bincount().unique().numel() == 1 for split in pets[1:])
    assert sorted(sample for part in parts for sample in part) == [
        (y, x) for y in range(2) for x in range(20)
    ]
    for split in pets[1:]:
        assert (split.mean, split.std) == data.mean_std(pets.train.images)
        assert torch.equal(split.indices, torch.arange(len(split)))
    # The same pictures on every machine: what seed 0 sets aside of twenty, and seed 1 of the same.
    assert [x for y, x in parts[2] if y == 0] == [9, 12, 17, 19]
    assert [x for y, x in parts[2] if y == 1] != [9, 12, 17, 19]
    assert numbers(kd.load_folder(tmp_path / "pets", seed=1).test) != parts[2]
    more = kd.load_folder(str(tmp_path / "pets"), validation=0.3, test=0.2)
    assert numbers(more.test) == parts[2]
    assert [len(split) for split in more[1:]] == [20, 12, 8]
    none = kd.load_folder(tmp_path / "pets", validation=0, test=0)
    assert [len(split) for split in none[1:]] == [40, 0, 0]


def test_twelve_bits_in_files_of_sixteen_are_warned_of_once(tmp_path: Path) -> None:
    for path in sorted(fill(tmp_path).rglob("*.png")):
        Image.fromarray(pixels(8, 8).astype(np.uint16) * 16).save(path)
    with pytest.warns(UserWarning, match=r"all pictures is 16 of 255.*scale them first") as told:
        kd.load_folder(tmp_path)
    assert len(told) == 1


@pytest.mark.parametrize(
    "called", [("train", "val", "test"), ("Training", "VALID", "testing"), ("train", "validation")]
)
def test_folders_for_train_validation_and_test_are_kept_apart(
    called: tuple[str, ...], tmp_path: Path
) -> None:
    for number, name in enumerate(called):
        fill(tmp_path / name, 10 + number)
    pets = kd.load_folder(tmp_path)
    assert len(pets.validation) == 22
    assert len(pets.train) + (len(pets.test) if len(called) == 2 else 0) == 20
    assert len(pets.test) == (24 if len(called) == 3 else 4)
    # `fill` makes the same pictures in each folder.
    with pytest.warns(UserWarning, match="pictures for validation are among those for training"):
        kd.load_folder(tmp_path)
    expected = ImageFolder(str(tmp_path / called[1]))
    assert numbers(pets.validation) == [
        (label, np.asarray(picture)[0, 0, 0]) for picture, label in expected
    ]
    with pytest.raises(ValueError, match="validation must be left out, as the folder has its own"):
        kd.load_folder(tmp_path, validation=0.1)


def test_a_part_may_lack_classes_and_numbers_the_others_like_the_training_pictures(
    tmp_path: Path,
) -> None:
    for part, names in (("train", "abcd"), ("val", "bd")):
        for number in range(len(names)):
            fill(tmp_path / part, 2 + number, names=names[number])
    pets = kd.load_folder(tmp_path)
    train, val = (ImageFolder(str(tmp_path / part)) for part in ("train", "val"))
    like = data.from_dataset(train)
    for part in (pets.validation, data.from_dataset(Subset(val, range(5)), like=like)):
        assert part.classes == like.classes == ("a", "b", "c", "d")
        assert part.labels.tolist() == [1, 1, 3, 3, 3]
    with pytest.raises(
        ValueError, match=r"classes \['a', 'c'\], which like has not; give classes="
    ):
        data.from_dataset(train, like=data.from_dataset(val))
    assert data.from_dataset(val, like=like, classes=like.classes).labels.tolist() == [
        0,
        0,
        1,
        1,
        1,
    ]
    val.target_transform = [1, 3].__getitem__  # somebody has numbered them already
    assert data.from_dataset(val, like=like).labels.tolist() == [1, 1, 3, 3, 3]
    shutil.rmtree(tmp_path / "val" / "b")
    assert kd.load_folder(tmp_path).validation.labels.tolist() == [3, 3, 3]  # all but one


def test_what_systems_leave_in_folders_is_no_picture_and_names_may_be_anything(
    tmp_path: Path,
) -> None:
    fill(tmp_path, 8, names=("train", "Żaba"))  # a class may be called "train"
    expected = [numbers(split) for split in kd.load_folder(tmp_path)[1:]]
    for rubbish in (
        ".DS_Store",
        "Thumbs.db",
        "train/._000.png",
        "train/notes.txt",
        "Żaba/desktop.ini",
    ):
        (tmp_path / rubbish).write_text("rubbish")
    for rubbish in (".ipynb_checkpoints", "__MACOSX/train"):
        (tmp_path / rubbish).mkdir(parents=True)
    loud = (tmp_path / "train" / "000.png").rename(tmp_path / "train" / "000.PNG")
    elsewhere = shutil.move(tmp_path / "train" / "001.png", tmp_path.parent / "elsewhere.png")
    (tmp_path / "train" / "001.png").symlink_to(elsewhere)
    deeper = tmp_path / "Żaba" / "009"
    deeper.mkdir()
    (tmp_path / "Żaba" / "007.png").rename(deeper / "007.png")
    assert loud.exists()
    assert [numbers(split) for split in kd.load_folder(tmp_path)[1:]] == expected


def test_a_class_whose_accent_is_written_in_two_ways_is_one(tmp_path: Path) -> None:
    fill(tmp_path, 4, names=("caf\u00e9", "tea"))
    fill(tmp_path, 3, names=("cafe\u0301",))
    cups = kd.load_folder(tmp_path, validation=0, test=0).train
    assert cups.classes == ("caf\u00e9", "tea")
    assert cups.labels.bincount().tolist() == [7, 4]


def test_pictures_of_several_sizes_are_cut_to_one(tmp_path: Path) -> None:
    fill(tmp_path)
    wide = np.zeros((40, 120), np.uint8)
    wide[:, 40:80] = 200  # the middle square
    Image.fromarray(wide).save(tmp_path / "cat" / "wide.jpg", quality=100)
    with pytest.raises(ValueError, match=r"wide.jpg' is \[40, 120\]; give size="):
        kd.load_folder(tmp_path, validation=0, test=0)
    pets = kd.load_folder(tmp_path, size=16, validation=0, test=0)
    assert pets.train.images.shape == (21, 3, 16, 16)
    assert (pets.train.images[10, :, :, 1:-1].float() - 200).abs().max() <= 8


def broken(folder: Path) -> None:
    (folder / "cat" / "003.png").write_bytes((folder / "cat" / "003.png").read_bytes()[:60])


def emptied(folder: Path) -> None:
    shutil.rmtree(folder / "cat")
    (folder / "cat").mkdir()


def dangling(name: str, to: str = "nowhere") -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(folder / to)


def flat(folder: Path) -> None:
    for name in ("train", "test"):
        fill(folder / name, 1)
        for path in (folder / name).rglob("*.png"):
            path.rename(folder / name / f"{path.parent.name}.png")
        for path in ("cat", "dog"):
            (folder / name / path).rmdir()


@pytest.mark.parametrize(
    ("make", "at", "message"),
    [
        (lambda f: None, "missing", "missing' is not there"),
        (lambda f: None, "cat/000.png", "is a file; unpack it"),
        (lambda f: None, "cat", "has no folder for each class; without labels: data.from_arrays"),
        (lambda f: shutil.rmtree(f / "dog"), "", "one class only, 'cat'"),
        (lambda f: None, "..", "one class only, 'pets'; give the folder that holds"),
        (emptied, "", r"no picture of the class 'cat', .*\.jpg"),
        (broken, "", "003.png' cannot be read: .*; move it away"),
        (dangling("cat/zz.png"), "", "cat' has a link that leads nowhere, 'zz.png'; mend it"),
        (dangling("emu"), "", "pets' has a link that leads nowhere, 'emu'"),
        (dangling("cat/more", ".."), "", "cat' has a link that leads nowhere, 'more'"),
        (lambda f: os.mkfifo(f / "cat" / "y.png"), "", "y.png' is no file"),
        (lambda f: (f / "dog" / "IMG_1.HEIC").write_text("no"), "", "HEIC' cannot .*or convert it"),
        (lambda f: fill(f, 2, names=("cat",)) and fill(f, 1, names=("emu",)), "", "'emu' has 1,"),
        (lambda f: [fill(f / n) for n in ("train_set", "test_set")] and [
            shutil.rmtree(f / n) for n in ("cat", "dog")], "", "in each of .*name these tr"),
        (lambda f: [fill(f / n, names=n.split("-")) for n in ("train", "test")], "", "one class"),
        (lambda f: fill(f / "train") and fill(f / "test", names=("cat", "emu")), "",
         r"test' has classes that are not among those for training: \['emu'\]; rename"),
        (lambda f: [fill(f / n) for n in ("train", "val", "valid")], "", "has val and valid; put"),
        (lambda f: [fill(f / n) for n in ("train", "Train")], "", "has Train and train; put them"),
        (lambda f: flat(f) or [shutil.rmtree(f / n) for n in ("cat", "dog")], "",
         "train' has pictures, but no folder for each class"),
    ],
)  # fmt: skip
def test_a_folder_of_another_kind_is_told_what_is_wrong(
    make: Callable[[Path], Any], at: str, message: str, tmp_path: Path
) -> None:
    make(fill(tmp_path / "all" / "pets"))
    with pytest.raises(DataError, match=message) as refusal:
        kd.load_folder(tmp_path / "all" / "pets" / at)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("locked", ["", "cat", "cat/003.png"])
def test_what_may_not_be_read_is_told_as_such(locked: str, tmp_path: Path) -> None:
    folder = fill(tmp_path / "pets")
    (folder / locked).chmod(0)
    with pytest.raises(DataError, match=r"[Pp]ermission"):
        kd.load_folder(folder)
    (folder / locked).chmod(0o700)


# -- no labels ------------------------------------------------------------------------------------


class Net(torch.nn.Sequential):
    def __init__(self, seed: int = 0) -> None:
        with initial_weights(seed):
            super().__init__(torch.nn.Flatten(), torch.nn.Linear(192, 3))


def states(net: torch.nn.Module) -> list[float]:
    return [x for tensor in net.state_dict().values() for x in tensor.flatten().tolist()]


@pytest.mark.parametrize(
    "objective",
    [
        lambda: kd.Distillation(Net(1), alpha=1),
        lambda: kd.Faded(kd.Distillation(Net(1), alpha=1)),
        lambda: kd.WithFeatures(
            kd.Distillation(Net(1), alpha=1), Net(1), last=kd.LayerPair("1", "1")
        ),
        lambda: kd.Hint(Net(1), kd.LayerPair("1", "1")),
    ],
)
def test_without_labels_a_student_learns_bit_for_bit_what_it_learns_with_them(
    objective: Callable[[], kd.Objective],
) -> None:
    learned = []
    for labels in (LABELS, None, np.where(LABELS < 2, LABELS, -1)):
        student = Net()
        train = data.from_arrays(RGB, labels)
        history = kd.fit(student, objective(), train, epochs=2, batch_size=5, device="cpu")
        learned.append((states(student), [row["loss"] for row in history]))
    assert learned[0] == learned[1] == learned[2]
    assert learned[0][0] != states(Net())


@pytest.mark.parametrize(
    "objective",
    [
        kd.Supervised(),
        kd.Distillation(Net(1), alpha=0.9),
        kd.Distillation(Net(1), alpha=1, soft_loss=kd.losses.decoupled_kd_loss),
        kd.Faded(kd.Distillation(Net(1))),
        kd.WithFeatures(kd.Supervised(), Net(1), last=kd.LayerPair("1", "1")),
    ],
)
def test_what_needs_labels_says_so_before_the_first_step(objective: kd.Objective) -> None:
    student = Net()
    some = data.from_arrays(RGB, np.where(LABELS < 2, LABELS, -1))
    with pytest.raises(ValueError, match=r"4 of 12 images have no label .*alpha=1.*labelled\(\)"):
        kd.fit(student, objective, some, epochs=1)
    assert states(student) == states(Net())
    kd.fit(student, objective, some.labelled(), epochs=1, device="cpu")
    assert states(student) != states(Net())


def test_only_what_has_a_label_is_judged() -> None:
    train = data.from_arrays(RGB, LABELS)
    some = data.from_arrays(RGB, np.where(LABELS < 2, LABELS, -1))
    assert some.labelled().indices.tolist() == np.flatnonzero(LABELS < 2).tolist()
    assert train.labelled() is train
    teacher_logits = kd.predict(Net(1), train)
    judged = kd.evaluate(Net(), some, teacher_logits=teacher_logits)
    expected = kd.evaluate(Net(), train.select(LABELS < 2))
    agreement = kd.evaluation.agreement(kd.predict(Net(), train), teacher_logits)
    assert judged == pytest.approx(expected | {"agreement": agreement})
    runs = (
        kd.fit(Net(), kd.Supervised(), train, epochs=1, validation=some),
        *kd.fit_many([Net()], [kd.Supervised()], [train], epochs=1, validation=some, seeds=[0]),
    )
    for (row,) in runs:
        assert row["validation_accuracy"] in {n / 8 for n in range(9)}
    none = data.from_arrays(RGB, None)
    with pytest.raises(ValueError, match="nothing to judge by"):
        kd.evaluate(Net(), none)
    with pytest.raises(ValueError, match="no image of validation has a label"):
        kd.fit(Net(), kd.Supervised(), train, epochs=1, validation=none)
    with pytest.raises(ValueError, match="the split validation is empty"):
        kd.fit(Net(), kd.Supervised(), train, epochs=1, validation=train.select(LABELS > 7))
    assert none.take(3).labels.tolist() == [-1] * 3
    assert "no label" in kd.plots.image_grid(some.take(4), columns=4, rows=1).alt
    assert "most to 2 0.60, 1" in kd.plots.soft_target_bars(none, 0, {"T": [0.1, 0.3, 0.6]}).alt
