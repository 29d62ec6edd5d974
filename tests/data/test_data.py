"""Data sets in memory: splits, statistics, enlarging, views and batches."""

from collections import Counter
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
from kdhelpers.data.batching import Views, batches, steps_per_epoch
from kdhelpers.data.images import mean_std, resize
from kdhelpers.data.split import Split

# Fingerprints (seed 0) that every machine must reproduce: cached logits and records rely on it.
DIGITS_TRAIN = "52fe744eca58c5e88dbc89ad21c80707eb14052f416a045a77800fa8908ea182"
PHOTODIGITS_TRAIN = "e1aa761404ca390b336ac9e1cb52433e311eb85f0c734e2b47778dfa5414b6ed"
PHOTODIGITS_TEST = "45804aad0506c6ec4b9abd081ab9965e657f2b2950064328ba71c56506e8b624"


def random_split(count: int = 23, *, channels: int = 3, size: int = 6, seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, size, size)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    labels = torch.randint(4, (count,), generator=generator)
    return Split(images, labels, *mean_std(images), classes=("a", "b", "c", "d"))


def samples(split: Split) -> Counter[tuple[bytes, int]]:
    """The samples of a split as a multiset of (pixels, label)."""
    pairs = zip(split.images.numpy(), split.labels.tolist(), strict=True)
    return Counter((image.tobytes(), label) for image, label in pairs)


def raw_digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    return images.astype(np.uint8).reshape(-1, 1, 8, 8), labels


@pytest.fixture(scope="module")
def digits() -> data.DataSet:
    return data.load("digits")


@pytest.fixture(scope="module")
def photodigits() -> data.DataSet:
    return data.load("photodigits")


# load: digits


def test_digits_have_the_documented_sizes_and_types(digits: data.DataSet) -> None:
    assert digits.name == "digits"
    for split, count in zip(digits[1:], (1_000, 200, 597), strict=True):
        assert split.images.shape == (count, 1, 28, 28)
        assert split.images.dtype == torch.uint8
        assert split.labels.shape == (count,)
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(10))
        assert split.classes == tuple("0123456789")


def test_digits_are_the_default() -> None:
    assert data.load().train.fingerprint == data.load("digits").train.fingerprint


def test_the_splits_part_scikit_learns_digits_without_overlap() -> None:
    parts = data.load("digits", image_size=8)[1:]  # at 8 pixels nothing is enlarged
    images, labels = raw_digits()
    every = Split(torch.from_numpy(images * 15), torch.from_numpy(labels), (0.0,), (1.0,), ())
    assert sum((samples(part) for part in parts), Counter()) == samples(every)


def test_digits_are_the_same_on_every_machine(digits: data.DataSet) -> None:
    assert digits.train.fingerprint == DIGITS_TRAIN
    assert data.load("digits").test.fingerprint == digits.test.fingerprint


def test_another_seed_makes_other_splits_of_the_same_samples() -> None:
    first, second = (data.load("digits", image_size=8, seed=seed) for seed in (0, 1))
    for one, other in zip(first[1:], second[1:], strict=True):
        assert samples(one) != samples(other)
    whole = [sum((samples(part) for part in each[1:]), Counter()) for each in (first, second)]
    assert whole[0] == whole[1]


def test_digits_can_be_had_at_32_pixels(digits: data.DataSet) -> None:
    large = data.load("digits", image_size=32)
    assert large.test.images.shape == (597, 1, 32, 32)
    assert torch.equal(large.test.labels, digits.test.labels)


def test_the_number_of_validation_samples_can_be_chosen() -> None:
    assert [len(part) for part in data.load("digits", validation=0)[1:]] == [1_200, 0, 597]
    assert [len(part) for part in data.load("digits", validation=1_199)[1:]] == [1, 1_199, 597]


def test_statistics_come_from_the_training_images_alone(digits: data.DataSet) -> None:
    for split in digits[1:]:
        assert (split.mean, split.std) == mean_std(digits.train.images)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit", {}, r"unknown data set 'digit'; choose one of digits, photodigits, mnist"),
        ("digits", {"image_size": 7}, r"image_size must be at least 8 .* got 7"),
        ("digits", {"image_size": 0}, r"image_size must be at least 8 .* got 0"),
        ("digits", {"validation": -1}, r"validation must be between 0 and 1199, got -1"),
        ("digits", {"validation": 1_200}, r"validation must be between 0 and 1199, got 1200"),
        ("digits", {"seed": -1}, r"seed must be 0 or more, got -1"),
        ("photodigits", {"image_size": 28}, r"photodigits is 32 pixels wide"),
        ("photodigits", {"validation": 0}, r"leave image_size and validation out"),
    ],
)
def test_what_cannot_be_had_is_refused(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.load(name, **options)


# load: photodigits


def test_photodigits_have_the_documented_sizes_and_types(photodigits: data.DataSet) -> None:
    assert photodigits.name == "photodigits"
    for split, count in zip(photodigits[1:], (4_000, 1_000, 2_000), strict=True):
        assert split.images.shape == (count, 3, 32, 32)
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(10))
        assert (split.mean, split.std) == mean_std(photodigits.train.images)


def test_photodigits_are_the_same_on_every_machine(photodigits: data.DataSet) -> None:
    assert photodigits.train.fingerprint == PHOTODIGITS_TRAIN
    assert photodigits.test.fingerprint == PHOTODIGITS_TEST


def as_split(digits: np.ndarray, labels: np.ndarray) -> Split:
    images = torch.from_numpy(digits).reshape(-1, 1, 8, 8)
    return Split(images, torch.from_numpy(labels).long(), (0.0,), (1.0,), ())


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.rand(2, 1, 4, 4), torch.zeros(2).long(), "images must be uint8"),
        (torch.zeros(2, 4, 4).byte(), torch.zeros(2).long(), "images must be uint8"),
        (torch.zeros(2, 1, 4, 4).byte(), torch.zeros(3).long(), "labels must be int64"),
        (torch.zeros(2, 1, 4, 4).byte(), torch.zeros(2).int(), "labels must be int64"),
    ],
)
def test_a_split_of_the_wrong_type_or_shape_is_refused(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, labels, (0.5,), (0.5,), ("a", "b"))


def test_no_digit_and_no_part_of_a_photograph_serves_training_and_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def compose(digits: np.ndarray, labels: np.ndarray, count: int, *, part: str, seed: int):
        calls.append((digits, labels, part, seed))
        return data.photodigits.Pictures(
            np.full((count, 3, 32, 32), len(calls), np.uint8), np.zeros(count, np.uint8)
        )

    monkeypatch.setattr(data.photodigits, "compose", compose)
    for seed in (0, 1):
        loaded = data.load("photodigits", image_size=32, seed=seed)
        assert [int(part.images[0, 0, 0, 0]) for part in loaded[1:]] == [1, 2, 3]
        used = [samples(as_split(digits, labels)) for digits, labels, _, _ in calls]
        images, labels = raw_digits()
        every = as_split(images, labels)
        assert sum(used, Counter()) == samples(every)
        assert [part for _, _, part, _ in calls] == ["left", "left", "right"]
        assert len({seed for *_, seed in calls}) == 3
        calls.clear()


# Split


def test_smaller_transfer_sets_lie_in_larger_ones(digits: data.DataSet) -> None:
    taken = [samples(digits.train.take(count)) for count in (50, 100, 333, 1_000)]
    for smaller, larger in pairwise(taken):
        assert smaller <= larger
    assert taken[-1] == samples(digits.train)


@pytest.mark.parametrize("count", [1, 50, 105, 333])
def test_a_transfer_set_is_as_balanced_as_its_size_allows(digits: data.DataSet, count: int) -> None:
    counts = torch.bincount(digits.train.take(count).labels, minlength=10)
    assert counts.sum() == count
    assert counts.max() - counts.min() <= 1


def test_a_rare_class_is_taken_whole_and_the_others_share_the_rest() -> None:
    split = random_split(40)
    split = replace(split, labels=torch.tensor([0] * 3 + [1] * 37))
    assert torch.bincount(split.take(20).labels).tolist() == [3, 17]


def test_taking_depends_on_the_seed_alone(digits: data.DataSet) -> None:
    first, again, other = (samples(digits.train.take(50, seed=seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [-1, 0, 24])
def test_taking_none_or_too_many_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count must be at (most 23|least 1), got {count}"):
        random_split(23).take(count)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalised_training_images_have_mean_0_and_deviation_1(channels: int) -> None:
    split = random_split(200, channels=channels)
    inputs = split.normalise(split.images)
    assert inputs.dtype == torch.float32
    inputs = inputs.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(inputs.mean(1), torch.zeros(channels).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(inputs.std(1, correction=0), torch.ones(channels).double())


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    split = random_split(5)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (split.mean, split.std))
    torch.testing.assert_close(
        split.normalise(split.images), (split.images / 255 - mean) / std, atol=1e-5, rtol=1e-5
    )


def test_the_fingerprint_changes_with_any_pixel_label_or_statistic() -> None:
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
        replace(split, mean=(0.5, 0.5, 0.5)),
    ]
    assert len({each.fingerprint for each in variants}) == len(variants)
    assert replace(split, images=split.images.clone()).fingerprint == split.fingerprint


def test_the_fingerprint_ignores_the_memory_layout() -> None:
    split = random_split(5)
    images = split.images.contiguous(memory_format=torch.channels_last)
    assert replace(split, images=images).fingerprint == split.fingerprint


def test_an_empty_split_has_a_fingerprint_too() -> None:
    split = random_split(5)
    empty = replace(split, images=split.images[:0], labels=split.labels[:0])
    assert empty.fingerprint != split.fingerprint


def test_a_split_moves_to_a_device_with_all_its_tensors() -> None:
    moved = random_split(5).to("meta")
    assert {moved.images.device.type, moved.labels.device.type} == {"meta"}
    assert moved.classes == ("a", "b", "c", "d")


# mean_std


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_all_pixels_pooled(channels: int) -> None:
    images = random_split(50, channels=channels).images
    mean, std = mean_std(images)
    pixels = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-13)


def test_the_deviation_is_larger_than_the_mean_deviation_of_single_images() -> None:
    images = random_split(20, channels=1).images // 4
    images += torch.arange(20, dtype=torch.uint8).view(-1, 1, 1, 1) * 10  # dark ones, bright ones
    (deviation,) = mean_std(images)[1]
    of_single_images = [mean_std(image[None])[1][0] for image in images]
    assert deviation > 1.5 * np.mean(of_single_images)


def test_images_of_one_grey_have_exactly_that_mean_and_no_deviation() -> None:
    assert mean_std(torch.full((3, 1, 7, 7), 51, dtype=torch.uint8)) == ((51 / 255,), (0.0,))


def test_statistics_do_not_depend_on_the_order_of_the_pixels() -> None:
    images = random_split(50, channels=1).images
    order = torch.randperm(images.numel(), generator=torch.Generator().manual_seed(0))
    assert mean_std(images) == mean_std(images.flatten()[order].view_as(images))


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 4, 4),
        torch.zeros(2, 4, 4, dtype=torch.uint8),
        torch.zeros(0, 1, 4, 4, dtype=torch.uint8),
    ],
    ids=["float", "3-d", "empty"],
)
def test_statistics_of_anything_but_uint8_images_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be uint8 \[N, C, H, W\] and not empty"):
        mean_std(images)


# resize


@pytest.mark.parametrize(("old", "size"), [(8, 28), (8, 32), (28, 32), (5, 13), (1, 4), (7, 8)])
def test_enlarging_rounds_pytorchs_bilinear_interpolation(old: int, size: int) -> None:
    images = random_split(9, channels=2, size=old).images
    exact = F.interpolate(images.double(), (size, size), mode="bilinear", align_corners=False)
    large = resize(images, size)
    assert large.dtype == torch.uint8
    assert (large - exact).abs().max() <= 0.5 + 1e-9


def test_enlarging_to_the_same_size_changes_nothing() -> None:
    images = random_split(3).images
    assert torch.equal(resize(images, 6), images)


def test_enlarging_keeps_a_constant_image_constant() -> None:
    for grey in (0, 1, 127, 255):
        images = torch.full((1, 1, 5, 5), grey, dtype=torch.uint8)
        assert (resize(images, 12) == grey).all()


def test_enlarging_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_split(9).images
    whole = resize(images, 11)
    monkeypatch.setattr(whole_images, "CHUNK", 2)
    assert torch.equal(resize(images, 11), whole)


@pytest.mark.parametrize(
    ("images", "size", "message"),
    [
        (torch.zeros(1, 1, 6, 6, dtype=torch.uint8), 5, r"cannot enlarge \[6, 6\] .* 5 pixels"),
        (torch.zeros(1, 1, 6, 5, dtype=torch.uint8), 8, r"cannot enlarge \[6, 5\] .* 8 pixels"),
        (torch.zeros(1, 1, 6, 6), 8, r"images must be uint8 .* got torch.float32"),
    ],
    ids=["smaller", "not square", "float"],
)
def test_what_cannot_be_enlarged_is_refused(images: Tensor, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resize(images, size)


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
def test_views_are_counted_and_all_different(views: Views, count: int) -> None:
    assert len(views) == count
    images = random_split(1).images.expand(count, -1, -1, -1)
    seen = views(images, torch.arange(count))
    assert len({image.numpy().tobytes() for image in seen}) == count


@pytest.mark.parametrize("views", ALL_VIEWS)
def test_view_0_is_the_image_as_it_is(views: Views) -> None:
    images = random_split(4).images
    assert torch.equal(views(images, torch.zeros(4, dtype=torch.int64)), images)


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


def test_a_mirrored_view_twice_is_the_image() -> None:
    images, view = random_split(3).images, torch.ones(3, dtype=torch.int64)
    mirror = Views(flip=True)
    assert torch.equal(mirror(images, view), images.flip(3))
    assert torch.equal(mirror(mirror(images, view), view), images)


def test_a_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must be at least 0, got -1"):
        Views(shift=-1)


# batches


@pytest.mark.parametrize("seed", [None, 0, 7])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_an_epoch_has_every_sample_exactly_once(seed: int | None, batch_size: int) -> None:
    epoch = list(batches(random_split(23), batch_size, seed=seed))
    assert sorted(torch.cat([batch.sample for batch in epoch]).tolist()) == list(range(23))
    assert {len(batch.labels) for batch in epoch[:-1]} <= {batch_size}


@pytest.mark.parametrize("views", [None, Views(flip=True, shift=1)])
@pytest.mark.parametrize("seed", [None, 3])
def test_inputs_and_labels_belong_to_their_sample_and_view(
    views: Views | None, seed: int | None
) -> None:
    split = random_split(23)
    for batch in batches(split, 5, seed=seed, views=views):
        seen = by_hand(split.images[batch.sample], views or Views(), batch.view)
        assert torch.equal(batch.inputs, split.normalise(seen))
        assert torch.equal(batch.labels, split.labels[batch.sample])
        assert batch.share == 1.0


def test_order_and_views_are_fixed_by_seed_and_epoch() -> None:
    split, views = random_split(23), Views(flip=True, shift=1)

    def drawn(seed: int, epoch: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        torch.rand(1)  # the global random state plays no part
        epoch_batches = list(batches(split, 5, seed=seed, epoch=epoch, views=views))
        sample = torch.cat([batch.sample for batch in epoch_batches])
        view = torch.cat([batch.view for batch in epoch_batches])
        return tuple(sample.tolist()), tuple(view.tolist())

    pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    first = [drawn(*pair) for pair in pairs]
    assert first == [drawn(*pair) for pair in pairs]
    assert len({order for order, _ in first}) == len(pairs)
    assert len({view for _, view in first}) == len(pairs)


def test_batches_leave_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    list(batches(random_split(23), 5, seed=0, views=Views(flip=True)))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_view_is_drawn_about_equally_often() -> None:
    views = Views(flip=True, shift=1)
    split = random_split(1_800, channels=1, size=1)
    drawn = torch.cat(
        [b.view for e in range(3) for b in batches(split, 600, seed=0, epoch=e, views=views)]
    )
    counts = torch.bincount(drawn, minlength=len(views)).double()
    assert len(counts) == 18
    assert (counts - 300).abs().max() < 5 * 300**0.5


def test_without_a_seed_samples_come_in_order_as_they_are() -> None:
    epoch = list(batches(random_split(23), 5, views=Views(flip=True, shift=2)))
    assert torch.cat([batch.sample for batch in epoch]).tolist() == list(range(23))
    assert not torch.cat([batch.view for batch in epoch]).any()


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    split, views = random_split(23), Views(flip=True)
    whole = list(batches(split, 4, seed=0, views=views))
    monkeypatch.setattr(batching, "CHUNK", 9)
    for one, other in zip(whole, batches(split, 4, seed=0, views=views), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_part_each_batch_and_their_shares_restore_its_mean(world_size: int) -> None:
    split, views = random_split(23), Views(flip=True)
    alone = list(batches(split, 7, seed=1, views=views))
    ranks = [
        list(batches(split, 7, seed=1, views=views, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert all(len(rank) == steps_per_epoch(23, 7, world_size) for rank in ranks)
    for parts, whole in zip(zip(*ranks, strict=True), alone, strict=False):
        assert sorted(torch.cat([p.sample for p in parts]).tolist()) == sorted(
            whole.sample.tolist()
        )
        for part in parts:
            assert torch.equal(part.labels, split.labels[part.sample])
            seen = by_hand(split.images[part.sample], views, part.view)
            assert torch.equal(part.inputs, split.normalise(seen))
        assert sum(part.share for part in parts) / world_size == pytest.approx(1)
        weighted = sum(part.share * part.inputs.mean() for part in parts) / world_size
        torch.testing.assert_close(weighted, whole.inputs.mean())


@pytest.mark.parametrize(
    ("count", "batch_size", "world_size", "sizes"),
    [
        (9, 4, 1, [4, 4]),
        (10, 4, 1, [4, 4, 2]),
        (1, 4, 1, [1]),
        (3, 1, 1, [1, 1, 1]),
        (11, 8, 2, [8]),
        (12, 8, 2, [8, 4]),
        (3, 8, 2, [3]),
    ],
)
def test_a_last_batch_too_small_for_batch_normalisation_is_left_out_when_training(
    count: int, batch_size: int, world_size: int, sizes: list[int]
) -> None:
    def total(seed: int | None) -> list[int]:
        ranks = [
            [
                len(b.labels)
                for b in batches(
                    random_split(count), batch_size, seed=seed, rank=rank, world_size=world_size
                )
            ]
            for rank in range(world_size)
        ]
        return [sum(parts) for parts in zip(*ranks, strict=True)]

    assert total(seed=0) == sizes
    assert sum(total(seed=None)) == count


def test_which_sample_is_left_out_changes_from_epoch_to_epoch() -> None:
    split = random_split(9)
    left_out = [
        set(range(9)) - {i for b in batches(split, 4, seed=0, epoch=e) for i in b.sample.tolist()}
        for e in range(6)
    ]
    assert {len(each) for each in left_out} == {1}
    assert len(set.union(*left_out)) > 1


@pytest.mark.parametrize("views", [None, Views(flip=True, shift=1)])
def test_channels_last_changes_the_strides_and_nothing_else(views: Views | None) -> None:
    split = random_split(23)
    usual = batches(split, 5, seed=0, views=views)
    last = batches(split, 5, seed=0, views=views, channels_last=True)
    for one, other in zip(usual, last, strict=True):
        assert one.inputs.shape == other.inputs.shape
        assert torch.equal(one.inputs, other.inputs)
        assert one.inputs.is_contiguous()
        assert other.inputs.is_contiguous(memory_format=torch.channels_last)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    count=st.integers(0, 60),
    batch_size=st.integers(1, 20),
    world_size=st.integers(1, 3),
)
def test_steps_per_epoch_counts_the_batches(count: int, batch_size: int, world_size: int) -> None:
    if batch_size < world_size:
        return
    split = random_split(60, channels=1, size=1)
    split = replace(split, images=split.images[:count], labels=split.labels[:count])
    steps = steps_per_epoch(count, batch_size, world_size)
    for rank in range(world_size):
        stream = batches(split, batch_size, seed=0, rank=rank, world_size=world_size)
        assert len(list(stream)) == steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": -3}, "batch_size must be at least 1, got -3"),
        ({"batch_size": 1, "world_size": 2}, "batch_size must be at least 2, got 1"),
        ({"batch_size": 4, "seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_impossible_batches_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(batches(random_split(23), **options))


# data_root


def test_the_data_root_is_the_argument_then_the_environment_then_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDHELPERS_DATA", str(tmp_path / "elsewhere"))
    assert data.data_root(tmp_path / "given") == tmp_path / "given"
    assert data.data_root(str(tmp_path / "given")) == tmp_path / "given"
    assert data.data_root() == tmp_path / "elsewhere"
    monkeypatch.delenv("KDHELPERS_DATA")
    assert data.data_root() == tmp_path / "data"
    monkeypatch.setenv("KDHELPERS_DATA", "")
    assert data.data_root() == tmp_path / "data"


def test_lessons_and_the_command_line_share_one_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KDHELPERS_DATA", raising=False)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert data.data_root() == tmp_path / "data"


def test_a_tilde_in_the_data_root_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert data.data_root("~/sets") == tmp_path / "sets"
