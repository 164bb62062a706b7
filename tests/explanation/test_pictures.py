"""Pictures of maps: what is not marked is as it was, and what is marked most hides most."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from penlight.explanation.pictures import (
    OPACITY,
    Piece,
    draw_piece,
    draw_sheet,
    enlarged,
    grey,
    over,
    png_address,
    scale,
    shade,
)
from tests.explanation.conftest import noise


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(("size", "channels"), [(28, 3), (28, 1), (64, 3), (400, 1)])
def test_an_empty_map_leaves_the_image_in_grey(size, channels):
    image = noise(1, size, channels)[0]
    laid = over(image, np.zeros((size, size)), 336)
    red, green, blue = np.moveaxis(np.asarray(enlarged(image, 336), float), -1, 0)
    # The luma of ITU-R BT.601.
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    np.testing.assert_allclose(np.asarray(laid), np.repeat(luma[..., None], 3, axis=-1), atol=1)
    assert laid.width <= 336


def test_images_are_enlarged_pixel_by_pixel():
    image = noise(1)[0]
    np.testing.assert_array_equal(np.asarray(enlarged(image, 100)), image.repeat(3, axis=0).repeat(3, axis=1))


def test_the_higher_a_place_the_more_it_hides():
    values = np.linspace(0, 1, 16).reshape(4, 4)
    alpha = shade(values)[..., 3].ravel().astype(int)
    assert (np.diff(alpha) >= 0).all()
    assert alpha[0] == 0
    assert alpha[-1] == round(255 * OPACITY)
    lightness = shade(values)[..., :3].astype(int).sum(axis=-1).ravel()
    assert (np.diff(lightness) > 0).all()
    np.testing.assert_array_equal(scale(16)[0], shade(values)[..., :3].reshape(16, 3))


def test_a_grey_map_is_read_back_within_half_a_step():
    values = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    content = base64.b64decode(png_address(grey(values)).removeprefix("data:image/png;base64,"))
    np.testing.assert_allclose(np.asarray(opened(content)) / 255, values, atol=0.5 / 255 + 1e-6)


def test_pictures_hold_image_map_bar_and_words():
    pieces = [Piece(image, np.eye(28), ("severe 0.91", "a" * 200)) for image in noise(5)]
    alone = opened(draw_piece(pieces[0]))
    np.testing.assert_array_equal(np.asarray(alone)[16:352, 16:352], np.asarray(enlarged(pieces[0].image, 336)))
    assert np.asarray(alone)[360:].any()
    for n in (1, 2, 5):
        sheet = opened(draw_sheet(pieces[:n]))
        assert sheet.width < 1200
        np.testing.assert_array_equal(np.asarray(sheet)[16:184, 16:184], np.asarray(enlarged(pieces[0].image, 168)))
    assert draw_sheet(pieces) == draw_sheet(pieces)
