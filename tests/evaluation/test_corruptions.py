"""Corruptions: the contract that all keep, and single ones against Pillow and closed forms."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from penlight.data.catalog import CATALOG, dataset_info
from penlight.data.dataset import DatasetInfo
from penlight.evaluation.corruptions import (
    BY_DATASET,
    BY_MODALITY,
    FUNCTIONS,
    OTHER,
    SEVERITIES,
    Corruption,
    corruptions_for,
)
from penlight.tasks import Binary

SETS = {**BY_MODALITY, **BY_DATASET, "other": OTHER}
COLOUR = {info.modality for info in CATALOG.values() if info.channels == 3}


def pictures(size: int, channels: int, n: int = 4) -> np.ndarray:
    """Smooth drawings with a few edges, neither black nor white, a little coloured."""
    rng = np.random.default_rng(size + channels)
    smooth = gaussian_filter(rng.normal(size=(n, size, size, channels)), (0, size / 10, size / 10, 0))
    y, x = np.mgrid[:size, :size] / size
    edges = (np.hypot(x - 0.47, y - 0.52) < 0.37).astype(float) + (np.hypot(x - 0.6, y - 0.41) < 0.13)
    own = 110 + 60 * smooth / np.abs(smooth).max() + 30 * edges[..., None] + 8 * np.arange(channels)
    return own.astype(np.uint8)


EACH = [(name, corruption) for name, own in SETS.items() for corruption in own]


@pytest.mark.parametrize(("name", "corruption"), EACH, ids=[f"{name}-{own.name}" for name, own in EACH])
@pytest.mark.parametrize("size", [28, 64])
def test_contract(name: str, corruption: Corruption, size: int) -> None:
    channels = (1, 3) if name == "other" else (3,) if name in COLOUR else (1,)
    for c in channels:
        images = pictures(size, c)
        before = images.copy()
        spoilt = [corruption.apply(images, severity, seed=1) for severity in SEVERITIES]
        change = [np.square(own.astype(float) - images).mean() for own in spoilt]
        assert np.array_equal(images, before)
        assert all(own.shape == images.shape and own.dtype == np.uint8 for own in spoilt)
        assert 0 < change[0] < change[-1]
        # Neighbouring strengths of MedMNIST-C may do as good as the same at few pixels.
        assert (np.diff(change) > -0.01 * np.array(change[:-1])).all()
        assert np.array_equal(spoilt[2], corruption.apply(images, 3, seed=1))
        assert np.corrcoef(spoilt[0].ravel(), images.ravel())[0, 1] > 0.55


def test_every_function_is_used_and_every_name_is_a_function() -> None:
    assert {corruption.name for own in SETS.values() for corruption in own} == set(FUNCTIONS)


def test_other_seeds_give_other_noise_and_none_where_nothing_is_drawn() -> None:
    images = pictures(28, 1)
    for corruption in BY_MODALITY["film"]:
        same = np.array_equal(corruption.apply(images, 3, seed=0), corruption.apply(images, 3, seed=1))
        assert same == (not corruption.name.endswith("noise"))


def test_every_modality_of_the_catalog_has_its_corruptions() -> None:
    assert {info.modality for info in CATALOG.values()} == set(BY_MODALITY)
    assert corruptions_for(dataset_info("pneumoniamnist")) == BY_DATASET["pneumoniamnist"]
    assert corruptions_for(dataset_info("retinamnist")) == BY_MODALITY["fundus"]
    own = DatasetInfo("mine", "Mine", Binary(("no", "yes")), 1, None, "none", "me", "thermal camera")
    assert corruptions_for(own) == OTHER


def test_no_images_stay_none() -> None:
    for corruption in OTHER:
        assert corruption.apply(np.empty((0, 28, 28, 3), np.uint8), 1).shape == (0, 28, 28, 3)


def only(name: str, *strength: float) -> Corruption:
    return Corruption(name, (strength,) * 5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_brightness_contrast_and_jpeg_are_pillows(channels: int, factor: float) -> None:
    images = pictures(28, channels)
    for image, bright, contrast, jpeg in zip(
        images,
        only("brightness_up", factor).apply(images, 1),
        only("contrast_up", factor).apply(images, 1),
        only("jpeg_compression", 10).apply(images, 1),
        strict=True,
    ):
        pillow = Image.fromarray(image[..., 0] if channels == 1 else image)
        file = io.BytesIO()
        pillow.save(file, "JPEG", quality=10)
        theirs = [ImageEnhance.Brightness(pillow).enhance(factor), ImageEnhance.Contrast(pillow).enhance(factor)]
        # Pillow cuts off where we round, and rounds the mean of a contrast from rounded grey.
        for own, other in zip((bright, contrast), theirs, strict=True):
            assert np.abs(own.astype(int) - np.asarray(other).reshape(own.shape)).max() <= 1
        assert np.array_equal(jpeg, np.asarray(Image.open(file)).reshape(image.shape))


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_pixelate_is_pillows_where_boxes_are_whole_pixels(share: float) -> None:
    images = pictures(28, 3)
    for image, own in zip(images, only("pixelate", share).apply(images, 1), strict=True):
        few = Image.fromarray(image).resize((int(28 * share),) * 2, Image.Resampling.BOX)
        theirs = np.asarray(few.resize((28, 28), Image.Resampling.BOX)).astype(int)
        assert np.abs(own - theirs).max() <= 1


def test_saturation_is_that_of_hsv() -> None:
    image = pictures(28, 3, 1)
    own = np.asarray(Image.fromarray(only("saturate", 0.2).apply(image, 1)[0]).convert("HSV")).astype(int)
    was = np.asarray(Image.fromarray(image[0]).convert("HSV")).astype(int)
    assert np.abs(own[..., 1] - np.minimum(was[..., 1] + 51, 255)).max() <= 4
    assert np.abs(own[..., 2] - was[..., 2]).max() <= 1


@pytest.mark.parametrize("size", [28, 64, 224])
@pytest.mark.parametrize("blur", [("gaussian_blur", 9), ("defocus_blur", 4, 0.1), ("motion_blur", 15, 5)])
def test_blur_keeps_the_light_and_what_is_even(size: int, blur: tuple) -> None:
    even = np.full((2, size, size, 1), 117, np.uint8)
    assert np.array_equal(only(*blur).apply(even, 1), even)
    point = np.zeros((1, size, size, 1), np.uint8)
    point[0, size // 2, size // 2] = 255
    spread = only(*blur).apply(point, 1)
    # Weights are rounded to whole values of grey.
    assert abs(float(spread.sum()) - 255) < 0.25 * np.count_nonzero(spread) + 25


def test_blur_of_a_smaller_image_is_that_of_its_pixels_as_blocks() -> None:
    small = pictures(56, 1, 2)
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    blur = only("gaussian_blur", 15)
    expected = blur.apply(large, 1).astype(float).reshape(2, 56, 4, 56, 4).mean(axis=(2, 4))
    difference = np.abs(blur.apply(small, 1)[..., 0] - expected)[:, 4:-4, 4:-4]
    assert difference.max() <= 1


def test_noise_has_its_strength() -> None:
    grey = np.full((1, 200, 200, 3), 128, np.uint8)
    deviation = {
        ("gaussian_noise", 0.1): 0.1,
        ("speckle_noise", 0.1): 0.1 * 128 / 255,
        ("shot_noise", 100): np.sqrt(128 / 255 / 100),
    }
    for corruption, expected in deviation.items():
        assert only(*corruption).apply(grey, 1).std() / 255 == pytest.approx(expected, rel=0.02)
    black_or_white = only("impulse_noise", 0.1).apply(grey, 1)
    assert [(black_or_white == v).mean() for v in (0, 255)] == pytest.approx([0.05, 0.05], rel=0.1)
