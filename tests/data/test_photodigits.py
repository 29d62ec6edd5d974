"""PhotoDigits: what a picture is made of, and what it is not made of."""

from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets

from kdhelpers.data.photodigits import LEFT_PART, SIZE, compose

DIGITS = np.zeros((2, 8, 8), np.uint8)
DIGITS[1] = 16
NOTHING, FULL = DIGITS[:1], DIGITS[1:]  # without a stroke, the background shows
ONE_LABEL = np.zeros(1, np.int64)


def photographs(monkeypatch: pytest.MonkeyPatch, *images: np.ndarray) -> None:
    monkeypatch.setattr(
        sklearn.datasets, "load_sample_images", lambda: SimpleNamespace(images=list(images))
    )


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs whose pixels say where they are: row, column, and a coarse column."""
    rows, columns = np.mgrid[0:427, 0:640]
    image = np.stack([rows % 256, columns % 256, columns // 4], axis=-1).astype(np.uint8)
    photographs(monkeypatch, image, image)


def test_training_and_test_use_different_parts_of_the_photographs(mapped: None) -> None:
    border = int(640 * LEFT_PART) // 4
    seen = {
        part: set(compose(NOTHING, ONE_LABEL, 400, part=part, seed=1).images[:, 2].ravel().tolist())
        for part in ("left", "right")
    }
    assert seen["left"] == set(range(border))
    assert seen["right"] == set(range(border, 160))


def test_the_background_is_a_crop_in_one_piece(mapped: None) -> None:
    images = compose(NOTHING, ONE_LABEL, 50, part="left", seed=2).images
    rows, columns = images[:, 0], images[:, 1]
    assert (np.diff(rows, axis=1) == 1).all()  # uint8 wraps round as the map does
    assert (np.diff(rows, axis=2) == 0).all()
    assert (np.diff(columns, axis=2) == 1).all()
    assert (np.diff(columns, axis=1) == 0).all()


def test_both_photographs_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(monkeypatch, *(np.full((427, 640, 3), grey, np.uint8) for grey in (10, 200)))
    images = compose(NOTHING, ONE_LABEL, 50, part="right", seed=0).images
    assert {tuple(np.unique(image)) for image in images} == {(10,), (200,)}


@pytest.fixture
def darkness(monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(monkeypatch, *np.zeros((2, 427, 640, 3), np.uint8))


def test_a_label_belongs_to_the_digit_in_its_picture(darkness: None) -> None:
    images, labels = compose(DIGITS, np.array([3, 7]), 60, part="left", seed=0)
    assert images.shape == (60, 3, SIZE, SIZE)
    assert images.dtype == labels.dtype == np.uint8
    assert set(labels.tolist()) == {3, 7}
    assert ((images.reshape(60, -1).max(1) > 0) == (labels == 7)).all()


def test_a_digit_has_one_colour_and_covers_a_part_of_its_picture(darkness: None) -> None:
    images = compose(FULL, ONE_LABEL, 40, part="left", seed=3).images.astype(float)
    for image in images:
        strongest = image.max((1, 2))  # its colour at full cover
        cover = image[strongest.argmax()] / strongest.max()
        assert cover.min() < 0.5 < cover.max()
        # Three values were rounded, each by up to a half.
        assert np.abs(image - strongest[:, None, None] * cover).max() <= 1.5


def test_the_pictures_depend_on_the_arguments_alone() -> None:
    first = compose(DIGITS, np.array([0, 1]), 20, part="left", seed=5)
    np.random.seed(1)  # noqa: NPY002
    again, other = (
        compose(DIGITS, np.array([0, 1]), 20, part="left", seed=seed) for seed in (5, 6)
    )
    assert (first.images == again.images).all()
    assert (first.labels == again.labels).all()
    assert (first.images != other.images).any()
