"""Data sets in memory: splits, statistics, enlarging, views and batches."""

import copy
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor

from kdhelpers import data
from kdhelpers.data import batching
from kdhelpers.data import images as whole_images
from kdhelpers.data.batching import Batch, Views, batches, steps_per_epoch
from kdhelpers.data.images import mean_std, resize
from kdhelpers.data.split import Split


def random_split(count: int = 23, *, channels: int = 3, size: int = 6) -> Split:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, size, size)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    labels = torch.randint(4, (count,), generator=generator)
    return Split(images, labels, *mean_std(images), classes=("a", "b", "c", "d"))


def samples(*splits: Split) -> Counter[tuple[bytes, int]]:
    """The samples of splits as a multiset of (pixels, label)."""
    pairs = (pair for split in splits for pair in zip(split.images, split.labels, strict=True))
    return Counter((image.numpy().tobytes(), int(label)) for image, label in pairs)


def as_split(digits: np.ndarray, labels: np.ndarray) -> Split:
    images = torch.from_numpy(digits.astype(np.uint8)).reshape(-1, 1, 8, 8)
    return Split(images, torch.from_numpy(labels).long(), (0.0,), (1.0,), ())


@pytest.fixture(scope="module")
def loaded() -> dict[str, data.DataSet]:
    return {name: data.load(name) for name in ("digits", "photodigits")}


# load


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [
        ("digits", (1, 28, 28), (1_000, 200, 597)),
        ("photodigits", (3, 32, 32), (4_000, 1_000, 2_000)),
    ],
)
def test_data_have_the_documented_sizes_types_and_statistics(
    name: str, shape: tuple[int, ...], counts: tuple[int, ...], loaded: dict[str, data.DataSet]
) -> None:
    assert loaded[name].name == name
    for split, count in zip(loaded[name][1:], counts, strict=True):
        assert (split.images.shape, split.images.dtype) == ((count, *shape), torch.uint8)
        assert (split.labels.shape, split.labels.dtype) == ((count,), torch.int64)
        assert set(split.labels.tolist()) == set(range(10))
        assert split.classes == tuple("0123456789")
        assert (split.mean, split.std) == mean_std(loaded[name].train.images)


def test_data_are_the_same_on_every_machine(loaded: dict[str, data.DataSet]) -> None:
    """Cached logits and records rely on these fingerprints of seed 0."""
    digits, photodigits = loaded.values()
    assert [part.fingerprint for part in (digits.train, photodigits.train, photodigits.test)] == [
        "52fe744eca58c5e88dbc89ad21c80707eb14052f416a045a77800fa8908ea182",
        "e1aa761404ca390b336ac9e1cb52433e311eb85f0c734e2b47778dfa5414b6ed",
        "45804aad0506c6ec4b9abd081ab9965e657f2b2950064328ba71c56506e8b624",
    ]
    again = data.load()  # digits are the default
    assert [p.fingerprint for p in again[1:]] == [p.fingerprint for p in digits[1:]]


def test_each_seed_parts_scikit_learns_digits_in_its_own_way_without_overlap() -> None:
    images, labels = load_digits(return_X_y=True)
    first, second = (data.load("digits", image_size=8, seed=seed)[1:] for seed in (0, 1))
    for parts in (first, second):  # at 8 pixels nothing is enlarged
        assert samples(*parts) == samples(as_split(images * 15, labels))
    assert all(samples(one) != samples(other) for one, other in zip(first, second, strict=True))


def test_size_and_number_of_validation_samples_can_be_chosen(
    loaded: dict[str, data.DataSet],
) -> None:
    for aside in (0, 1_199):
        chosen = data.load("digits", image_size=32, validation=aside)
        assert [len(part) for part in chosen[1:]] == [1_200 - aside, aside, 597]
        assert chosen.test.images.shape[1:] == (1, 32, 32)
        assert torch.equal(chosen.test.labels, loaded["digits"].test.labels)


def test_no_digit_and_no_part_of_a_photograph_serves_training_and_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def compose(digits: np.ndarray, labels: np.ndarray, count: int, *, part: str, seed: int):
        calls.append((as_split(digits, labels), part, seed))
        return data.photodigits.Pictures(
            np.full((count, 3, 32, 32), len(calls), np.uint8), np.zeros(count, np.uint8)
        )

    monkeypatch.setattr(data.photodigits, "compose", compose)
    for seed in (0, 1):
        loaded = data.load("photodigits", image_size=32, seed=seed)
        assert [int(part.images[0, 0, 0, 0]) for part in loaded[1:]] == [1, 2, 3]
        used, parts, seeds = zip(*calls, strict=True)
        assert samples(*used) == samples(as_split(*load_digits(return_X_y=True)))
        assert parts == ("left", "left", "right")
        assert len(set(seeds)) == 3
        calls.clear()


def test_the_data_root_is_the_argument_then_the_environment_then_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(tmp_path))
    monkeypatch.setenv("KDHELPERS_DATA", str(tmp_path / "elsewhere"))
    for given_root in (tmp_path / "given", str(tmp_path / "given"), "~/given"):
        assert data.data_root(given_root) == tmp_path / "given"
    assert data.data_root() == tmp_path / "elsewhere"
    monkeypatch.setenv("KDHELPERS_DATA", "")
    assert data.data_root() == tmp_path / "data"
    monkeypatch.delenv("KDHELPERS_DATA")
    for folder in (".", "notebooks"):  # lessons and the command line share one folder
        monkeypatch.chdir(folder)
        assert data.data_root() == tmp_path / "data"


# Split


def test_transfer_sets_are_balanced_and_smaller_ones_lie_in_larger_ones(
    loaded: dict[str, data.DataSet],
) -> None:
    train = loaded["digits"].train
    taken = [train.take(count, seed=3) for count in (1, 50, 105, 333, 1_000)]
    for smaller, larger in pairwise(map(samples, taken)):
        assert smaller <= larger
    assert samples(taken[-1]) == samples(train)
    for part, count in zip(taken[:-1], (1, 50, 105, 333), strict=True):
        counts = torch.bincount(part.labels, minlength=10)
        assert counts.sum() == count
        assert counts.max() - counts.min() <= 1
    assert train.take(50, seed=3).fingerprint == taken[1].fingerprint
    assert samples(train.take(50, seed=4)) != samples(taken[1])


def test_a_rare_class_is_taken_whole_and_the_others_share_the_rest() -> None:
    split = replace(random_split(40), labels=torch.tensor([0] * 3 + [1] * 37))
    for classes in (split.classes, ()):  # a class without a name is one, too
        taken = replace(split, classes=classes).take(20)
        assert torch.bincount(taken.labels).tolist() == [3, 17]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_subset_knows_where_each_image_comes_from(given_data: st.DataObject) -> None:
    """Whatever is selected from what: the indices find each image and label in the first split."""
    whole = random_split(12)
    part, told = whole, {whole.source_fingerprint}
    for _ in range(given_data.draw(st.integers(1, 3))):
        way = given_data.draw(st.sampled_from(["take", "positions", "mask", "to", "replace"]))
        if way == "take":
            part = part.take(given_data.draw(st.integers(1, len(part))), seed=1)
        elif way == "positions":
            places = st.lists(st.integers(0, len(part) - 1), min_size=1, max_size=5)
            part = part.select(given_data.draw(places))
        elif way == "mask":
            part = part.select(torch.arange(len(part)) % 3 != 1)
        elif way == "to":
            part = part.to("cpu")
        else:
            part = replace(part, labels=part.labels.clone(), std=part.std, mean=(0.1, 0.2, 0.3))
        told |= {part.source_fingerprint, pickle.loads(pickle.dumps(part)).source_fingerprint}
    assert torch.equal(part.images, whole.images[part.indices])
    assert torch.equal(part.labels, whole.labels[part.indices])
    assert len(told) == 1


def test_other_images_are_a_data_set_of_their_own() -> None:
    whole = random_split(12)
    part = whole.take(5)
    for changed in (
        replace(part, images=part.images.flip(0)),
        replace(part, images=part.images[:3], labels=part.labels[:3]),
        replace(whole, images=255 - whole.images),
    ):
        assert torch.equal(changed.indices, torch.arange(len(changed)))
        assert changed.source_fingerprint != whole.source_fingerprint
        assert changed.select([1, 0]).source_fingerprint == changed.source_fingerprint
    part.images[0] ^= 1
    with pytest.raises(ValueError, match="changed in place"):
        _ = part.to("cpu").source_fingerprint
    copied = copy.deepcopy(whole.take(5))
    copied.images[0] ^= 1
    with pytest.raises(ValueError, match="changed in place"):
        _ = copied.source_fingerprint
    for changed in (whole, copy.deepcopy(whole)):
        before = changed.source_fingerprint
        changed.images[0] ^= 1
        assert changed.source_fingerprint != before
        assert changed.take(5).source_fingerprint == changed.source_fingerprint
    assert len(whole.select([])) == 0
    counted = replace(whole, indices=torch.arange(12) + 7)
    assert counted.select([3]).indices.tolist() == [10]
    for wrong in (torch.arange(11), torch.arange(12.0), [0] * 12):
        with pytest.raises(ValueError, match=r"indices must be"):
            replace(whole, indices=wrong)
    for rows in ([12], torch.ones(3, dtype=torch.bool), [[0, 1]], [0.5], "all"):
        with pytest.raises(ValueError, match=r"rows must be positions from 0 to 11 or a mask"):
            whole.select(rows)


def test_a_subset_travels_without_the_images_that_it_was_taken_from() -> None:
    whole = random_split(400)
    part = whole.take(4)
    assert len(pickle.dumps(part)) < whole.images.nbytes / 2
    assert pickle.loads(pickle.dumps(part)).select([1]).indices.item() == part.indices[1]


@pytest.mark.parametrize("channels", [1, 3])
def test_normalising_subtracts_the_mean_and_divides_by_the_deviation(channels: int) -> None:
    split = random_split(50, channels=channels)
    inputs = split.normalise(split.images)
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert torch.equal(split.normalise(split.images), inputs)
    finally:
        torch.set_default_dtype(torch.float32)
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (split.mean, split.std))
    torch.testing.assert_close(inputs, (split.images / 255 - mean) / std, atol=1e-5, rtol=1e-5)
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
    assert (inputs.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    grey = torch.full((2, 1, 3, 3), 51, dtype=torch.uint8)
    still = Split(grey, torch.zeros(2, dtype=torch.int64), *mean_std(grey), classes=("a",))
    assert still.normalise(grey).abs().max() < 1e-6  # a channel of one value


def test_the_fingerprint_changes_with_any_pixel_label_or_statistic_and_nothing_else() -> None:
    split = random_split(5)
    images, labels = split.images.clone(), split.labels.clone()
    images[4, 2, 5, 5] ^= 1
    labels[4] += 1
    variants = [
        split,
        replace(split, images=images),
        replace(split, labels=labels),
        replace(split, images=split.images.flip(0), labels=split.labels.flip(0)),
        replace(split, images=split.images.view(5, 3, 4, 9)),
        replace(split, images=split.images[:0], labels=split.labels[:0]),
        replace(split, mean=(0.5, 0.5, 0.5)),
    ]
    assert len({each.fingerprint for each in variants}) == len(variants)
    copied = split.images.contiguous(memory_format=torch.channels_last)
    assert replace(split, images=copied).fingerprint == split.fingerprint
    before = split.fingerprint
    split.images[0] = 255 - split.images[0]
    assert split.fingerprint != before
    split.images[0] = 255 - split.images[0]
    assert split.fingerprint == before
    split.labels[0] += 1
    assert split.fingerprint != before


def test_a_data_set_in_the_place_of_a_split_is_told_in_one_line(
    loaded: dict[str, data.DataSet],
) -> None:
    digits, images = loaded["digits"], np.zeros((1, 28, 28), np.uint8)
    assert repr(digits.train) == "Split(1,000 images of 1×28×28, 10 classes)"
    message = r"^like must be a Split .*, got DataSet\(.{9,80}; give its \.train or \.vali"
    with pytest.raises(ValueError, match=message):
        data.from_arrays(images, [0], like=digits)  # type: ignore[arg-type]


def test_a_split_moves_to_a_device_with_all_its_tensors() -> None:
    moved = random_split(5).to("meta")
    tensors = (moved.images, moved.labels, moved.indices)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.classes == ("a", "b", "c", "d")


# mean_std, resize


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_all_pixels_pooled(channels: int) -> None:
    images = random_split(50, channels=channels).images
    images[:, -1] //= 3  # the channels differ
    mean, std = mean_std(images)
    pixels = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-13)
    assert mean_std(images.flip(0, 2)) == (mean, std)  # to the bit, in whatever order
    grey = torch.full((3, 1, 7, 7), 51, dtype=torch.uint8)
    assert mean_std(grey) == ((51 / 255,), (0.0,))


@pytest.mark.parametrize(
    ("old", "size"), [(8, 28), (8, 32), (28, 32), (5, 13), (1, 4), (7, 8), (6, 6)]
)
def test_enlarging_rounds_pytorchs_bilinear_interpolation(
    old: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random_split(9, channels=2, size=old).images
    exact = F.interpolate(images.double(), (size, size), mode="bilinear", align_corners=False)
    large = resize(images, size)
    assert large.dtype == torch.uint8
    assert (large - exact).abs().max() <= 0.5 + 1e-9
    monkeypatch.setattr(whole_images, "CHUNK", 2)
    assert torch.equal(resize(images, size), large)


# Views

ALL_VIEWS = [Views(), Views(flip=True), Views(shift=1), Views(flip=True, shift=2)]


def by_hand(images: Tensor, views: Views, view: Tensor) -> Tensor:
    """Each image padded, cropped and mirrored on its own."""
    seen = []
    side = 2 * views.shift + 1
    for image, number in zip(images, view.tolist(), strict=True):
        mirrored, place = divmod(number, side * side)
        place = (place + side * side // 2) % (side * side)  # view 0 is the crop in the middle
        top, left = divmod(place, side)
        height, width = image.shape[1:]
        crop = F.pad(image, [views.shift] * 4)[:, top : top + height, left : left + width]
        seen.append(crop.flip(2) if mirrored else crop)
    return torch.stack(seen)


@pytest.mark.parametrize(("views", "count"), list(zip(ALL_VIEWS, [1, 2, 9, 50], strict=True)))
def test_views_are_counted_and_all_different_and_view_0_is_the_image(
    views: Views, count: int
) -> None:
    assert len(views) == count
    images = random_split(1).images.expand(count, -1, -1, -1)
    seen = views(images, torch.arange(count))
    assert torch.equal(seen[0], images[0])
    assert len({image.numpy().tobytes() for image in seen}) == count


@pytest.mark.parametrize("views", ALL_VIEWS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_view_is_the_image_padded_cropped_and_mirrored(
    views: Views, dtype: torch.dtype
) -> None:
    view = torch.arange(len(views)).repeat(2)
    images = random_split(len(view), channels=2).images[..., :5].to(dtype)  # not square
    seen = views(images, view)
    assert seen.dtype == dtype
    assert torch.equal(seen, by_hand(images, views, view))


# batches


def check_batch(batch: Batch, split: Split, views: Views) -> None:
    """Inputs and labels are those of the samples and views that the batch names."""
    seen = by_hand(split.images[batch.sample], views, batch.view)
    assert torch.equal(batch.inputs, split.normalise(seen))
    assert torch.equal(batch.labels, split.labels[batch.sample])


def indices(epoch: list[Batch]) -> tuple[list[int], list[int]]:
    """The samples and the views of an epoch."""
    sample, view = (torch.cat(each).tolist() for each in list(zip(*epoch, strict=True))[2:4])
    return sample, view


@pytest.mark.usefixtures("global_random_state_is_left_alone")
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("views", [None, Views(flip=True, shift=1)])
@pytest.mark.parametrize("seed", [None, 7])
def test_an_epoch_has_every_sample_once_with_its_own_label_and_view(
    seed: int | None, views: Views | None, batch_size: int, channels_last: bool
) -> None:
    split = random_split(23)
    options = {"seed": seed, "views": views, "channels_last": channels_last}
    epoch = list(batches(split, batch_size, **options))
    sample, view = indices(epoch)
    assert sorted(sample) == list(range(23))
    assert {len(batch.labels) for batch in epoch[:-1]} <= {batch_size}
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for batch in epoch:
        check_batch(batch, split, views or Views())
        assert batch.inputs.is_contiguous(memory_format=layout)
    if seed is None:  # in order, as they are
        assert sample == list(range(23))
        assert not any(view)


def test_order_and_views_are_fixed_by_seed_and_epoch() -> None:
    split, views = random_split(23), Views(flip=True, shift=1)

    def drawn(seed: int, epoch: int) -> tuple[list[int], list[int]]:
        torch.rand(1)  # the global random state plays no part
        return indices(list(batches(split, 5, seed=seed, epoch=epoch, views=views)))

    pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    first = [drawn(*pair) for pair in pairs]
    assert first == [drawn(*pair) for pair in pairs]
    assert all(len(set(map(tuple, each))) == len(pairs) for each in zip(*first, strict=True))


def test_every_view_is_drawn_about_equally_often() -> None:
    views, split = Views(flip=True, shift=1), random_split(1_800, channels=1, size=2)
    epochs = [batches(split, 600, seed=0, epoch=epoch, views=views) for epoch in range(3)]
    counts = torch.bincount(torch.cat([batch.view for epoch in epochs for batch in epoch]))
    assert len(counts) == 18
    assert (counts - 300).abs().max() < 5 * 300**0.5


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    split, views = random_split(23), Views(flip=True)
    whole = list(batches(split, 4, seed=0, views=views))
    monkeypatch.setattr(batching, "CHUNK", 9 * split.images[0].numel())
    for one, other in zip(whole, batches(split, 4, seed=0, views=views), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [
        (9, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (1, 4, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_a_last_batch_too_small_for_batch_normalisation_is_left_out_when_training(
    count: int, batch_size: int, sizes: list[int]
) -> None:
    def total(seed: int | None) -> list[int]:
        return [len(batch.labels) for batch in batches(random_split(count), batch_size, seed=seed)]

    assert total(seed=0) == sizes
    assert sum(total(seed=None)) == count


def test_which_sample_is_left_out_changes_from_epoch_to_epoch() -> None:
    split = random_split(9)
    epochs = [indices(list(batches(split, 4, seed=0, epoch=epoch)))[0] for epoch in range(6)]
    left_out = [set(range(9)).difference(epoch) for epoch in epochs]
    assert {len(each) for each in left_out} == {1}
    assert len(set.union(*left_out)) > 1


@settings(derandomize=True, deadline=None, max_examples=150)
@given(count=st.integers(0, 60), batch_size=st.integers(1, 20))
def test_steps_per_epoch_counts_the_batches(count: int, batch_size: int) -> None:
    split = random_split(60, channels=1, size=1)
    split = replace(split, images=split.images[:count], labels=split.labels[:count])
    assert len([*batches(split, batch_size, seed=0)]) == steps_per_epoch(count, batch_size)


# What cannot be


def split_of(images: Tensor, labels: Tensor) -> Split:
    return Split(images, labels, (0.5,), (0.5,), ("a", "b"))


def bytes_of(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.uint8)


LABELS = torch.zeros(2, dtype=torch.int64)
NO_IMAGES = r"images must be uint8 \[N, C, H, W\] and not empty"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.load("digit"), "unknown data set 'digit'; choose one of digits, photodigits"),
        (lambda: data.load("digits", image_size=7), "image_size must be at least 8 .* got 7"),
        (lambda: data.load("digits", validation=-1), "between 0 and 1199, got -1"),
        (lambda: data.load("digits", validation=1_200), "between 0 and 1199, got 1200"),
        (lambda: data.load("digits", seed=-1), "seed must be 0 or more, got -1"),
        (lambda: data.load("photodigits", image_size=28), "photodigits is 32 pixels wide"),
        (lambda: data.load("photodigits", validation=0), "leave image_size and validation out"),
        (lambda: split_of(torch.rand(2, 1, 4, 4), LABELS), "images must be uint8"),
        (lambda: split_of(bytes_of(2, 4, 4), LABELS), "uint8 .*; data.from_arrays takes other"),
        (lambda: replace(random_split(2), images=bytes_of(2, 6, 6, 3)), r"permute\(0, 3, 1, 2\)"),
        (lambda: replace(random_split(), mean=(124.0, 117.0, 104.0)), "divide those of pixels 0."),
        (lambda: replace(random_split(), classes=("a",)), "must lie in 0 to 0, the classes"),
        (lambda: split_of(bytes_of(3, 1, 4, 4), LABELS), "labels must be int64"),
        (lambda: split_of(bytes_of(2, 1, 4, 4), LABELS.int()), "labels must be int64"),
        (lambda: random_split().take(0), "count must be at least 1, got 0"),
        (lambda: random_split().take(24), "count must be at most 23, got 24"),
        (lambda: mean_std(bytes_of(2, 4, 4)), NO_IMAGES),
        (lambda: mean_std(bytes_of(0, 1, 4, 4)), NO_IMAGES),
        (lambda: resize(bytes_of(1, 1, 6, 6), 5), r"cannot enlarge \[6, 6\] .* 5 pixels"),
        (lambda: resize(bytes_of(1, 1, 6, 5), 8), r"cannot enlarge \[6, 5\] .* 8 pixels"),
        (lambda: resize(torch.zeros(1, 1, 6, 6), 8), "images must be uint8 .* got torch.float32"),
        (lambda: Views(shift=-1), "shift must be at least 0, got -1"),
        (lambda: Views(shift=4)(bytes_of(1, 1, 4, 6), torch.zeros(1).long()), "less than .* 4×6"),
        (lambda: list(batches(random_split(), 0)), "batch_size must be at least 1, got 0"),
        (lambda: list(batches(random_split(), 4, seed=-1)), "seed must be 0 or more, got -1"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
