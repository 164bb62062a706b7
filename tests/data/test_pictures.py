"""Pictures: every format gives the pixels that it means, and what is no picture is refused by name."""

import contextlib
import io
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from penlight.data.pictures import LARGEST_PIXELS, DecodeOptions, load_picture, read_header
from penlight.errors import PictureError
from penlight.formats import KINDS
from tests.conftest import examples
from tests.data.pixels import read_picture

RAMP = (np.arange(40)[:, None] * 3 + np.arange(40)[None] * 3).astype(np.uint8)
COLOUR = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)


def saved(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("pixels", [RAMP[:28, :28], COLOUR[:28, :28]], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_picture_of_the_size_keeps_its_values(pixels, kind):
    channels = 1 if pixels.ndim == 2 else 3
    image = load_picture(saved(pixels, kind), DecodeOptions(28, channels))
    assert image.shape == (28, 28, channels)
    np.testing.assert_array_equal(image.squeeze(), pixels)


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["crop", "pad", "stretch"]), st.sampled_from([1, 3]))
def test_any_shape_becomes_the_size_and_one_value_stays_one(width, height, fit, channels):
    grey = np.full((height, width), 77, np.uint8)
    image = load_picture(saved(grey), DecodeOptions(28, channels, fit))
    assert image.shape == (28, 28, channels)
    assert image.dtype == np.uint8
    assert image.max() == 77
    if fit != "pad" or width == height:
        assert image.min() == 77


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_file_and_its_bytes_give_the_same(tmp_path: Path, kind):
    content = saved(COLOUR, kind)
    path = tmp_path / "ä b.dat"
    path.write_bytes(content)
    reading = DecodeOptions(28, 3)
    np.testing.assert_array_equal(load_picture(path, reading), load_picture(content, reading))


def test_the_middle_is_cut_out_or_padded_or_stretched():
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 200
    middle = load_picture(saved(wide), DecodeOptions(20, 1))
    assert (middle == 200).all()
    padded = load_picture(saved(wide), DecodeOptions(60, 1, "pad"))[..., 0]
    np.testing.assert_array_equal(padded[20:40], wide)
    assert not padded[:20].any()
    assert not padded[40:].any()
    stretched = load_picture(saved(wide), DecodeOptions(60, 1, "stretch"))[..., 0]
    assert (stretched == wide[0]).all()


def test_a_jpeg_unpacked_smaller_is_that_unpacked_whole():
    random = np.random.default_rng(0)
    blobs = Image.fromarray(random.integers(0, 256, (30, 36, 3), np.uint8)).resize(
        (1203, 1001), Image.Resampling.BICUBIC
    )
    content = saved(blobs, "JPEG", quality=95)
    whole = saved(Image.open(io.BytesIO(content)))
    for size in (28, 64, 128):
        reading = DecodeOptions(size, 3)
        small, large = (load_picture(c, reading).astype(int) for c in (content, whole))
        assert np.abs(small - large).mean() < 1
        assert np.abs(small - large).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_exif_turns_a_picture(orientation, kind):
    """As `ImageOps.exif_transpose` turns it; before fitting or after is the same."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(COLOUR[:32], kind, exif=exif)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(read_picture(content), np.asarray(turned))
    image = load_picture(content, DecodeOptions(32, 3))
    np.testing.assert_array_equal(image, load_picture(saved(turned), DecodeOptions(32, 3)))


def test_alpha_is_put_on_black_and_palettes_are_resolved():
    alpha = np.dstack([COLOUR, np.where(RAMP > 100, 255, 0)]).astype(np.uint8)
    pixels = read_picture(saved(alpha))
    assert (pixels[RAMP > 100] == COLOUR[RAMP > 100]).all()
    assert not pixels[RAMP <= 100].any()
    grey = read_picture(saved(np.dstack([RAMP, np.full_like(RAMP, 255)])))
    np.testing.assert_array_equal(grey[..., 0], RAMP)
    unused = np.dstack([COLOUR, np.zeros_like(RAMP)])
    np.testing.assert_array_equal(read_picture(saved(unused)), COLOUR)
    palette = Image.fromarray(COLOUR).quantize(64)
    np.testing.assert_array_equal(read_picture(saved(palette)), np.asarray(palette.convert("RGB")))
    bilevel = Image.fromarray(RAMP > 100)
    np.testing.assert_array_equal(read_picture(saved(bilevel))[..., 0], np.where(RAMP > 100, 255, 0))


@pytest.mark.parametrize(("kind", "bits"), [("PNG", 12), ("PNG", 16), ("TIFF", 12), ("TIFF", 16)])
def test_sixteen_bits_are_scaled_by_the_bits_in_use(tmp_path: Path, kind, bits):
    top = (1 << bits) - 1
    deep = np.linspace(0, top, 28 * 28).reshape(28, 28).round().astype(np.uint16)
    content = saved(deep, kind)
    pixels = load_picture(content, DecodeOptions(28, 1, bits=bits))[..., 0]
    np.testing.assert_array_equal(pixels, np.round(deep * (255 / top)))
    (tmp_path / "x").write_bytes(content)
    assert read_header(tmp_path / "x").bits == 16
    if bits == 16:
        with pytest.raises(PictureError, match="needs more than 12 bits"):
            load_picture(content, DecodeOptions(28, 1, bits=12))


@pytest.mark.parametrize("deep", [False, True])
def test_a_tiff_whose_zero_is_white_is_turned_over(deep):
    pixels = RAMP.astype(np.uint16) * 257 if deep else RAMP
    content = saved(pixels, "TIFF", tiffinfo={262: 0})
    flag = Image.open(io.BytesIO(content)).tag_v2[262]
    assert flag == 0
    # Pillow writes 8-bit values turned over with that tag, and 16-bit values as they are.
    expected = 255 - RAMP if deep else RAMP
    np.testing.assert_array_equal(read_picture(content)[..., 0], expected)


def test_grey_and_colour_become_what_is_asked_for():
    as_colour = load_picture(saved(RAMP), DecodeOptions(40, 3))
    assert (as_colour == RAMP[..., None]).all()
    as_grey = load_picture(saved(COLOUR), DecodeOptions(40, 1))
    np.testing.assert_array_equal(as_grey[..., 0], np.asarray(Image.fromarray(COLOUR).convert("L")))
    cmyk = read_picture(saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=100))
    assert np.abs(cmyk.astype(int) - COLOUR).mean() < 3


def test_the_header_says_colour_and_size(tmp_path: Path):
    path = tmp_path / "a.png"
    for pixels, colour in ((RAMP[:30], False), (COLOUR[:30], True)):
        path.write_bytes(saved(pixels))
        look = read_header(path)
        assert (look.width, look.height, look.colour, look.bits) == (40, 30, colour, 8)
    path.write_bytes(saved(Image.fromarray(RAMP).quantize(16)))
    assert not read_header(path).colour


def pages() -> bytes:
    return saved(Image.fromarray(RAMP), "TIFF", save_all=True, append_images=[Image.fromarray(RAMP)])


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it is enormous."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b)) for t, b in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


JPEG = saved(COLOUR, "JPEG")
BAD = [
    (b"", re.escape(f"no {KINDS} picture")),
    (b"hello", re.escape(f"no {KINDS} picture")),
    (saved(COLOUR, "JPEG2000"), re.escape(f"no {KINDS} picture")),
    (JPEG[: len(JPEG) // 2], "cut off or damaged"),
    (saved(COLOUR)[:-60], "cut off or damaged"),
    (saved(COLOUR).replace(b"IDAT", b"IDXX"), "first bytes are damaged"),
    (pages(), "several pages or frames"),
    (saved(RAMP.astype(np.float32), "TIFF"), "32-bit float"),
    (saved(RAMP.astype(np.int32), "TIFF"), "signed or 32-bit integer"),
    (bomb(8200, 8200), f"{8200} x {8200} pixels, more than {LARGEST_PIXELS:,}"),
    (bomb(12_000, 12_000), "pixels"),
    (bomb(60_000, 60_000), "pixels"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content, message):
    path = tmp_path / "scan.png"
    path.write_bytes(content)
    for source, name in ((path, "scan.png"), (content, "The picture")):
        with pytest.raises(PictureError, match=message) as caught:
            load_picture(source, DecodeOptions(28, 3))
        assert name in str(caught.value)
        assert caught.value.remedy
    with pytest.raises(PictureError, match="no such file"):
        load_picture(tmp_path / "none.png", DecodeOptions(28, 1))


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_damaged_bytes_give_an_image_or_a_named_error(data):
    content = bytearray(data.draw(st.sampled_from([JPEG, saved(COLOUR), saved(RAMP, "TIFF")])))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings(), contextlib.suppress(PictureError):
        warnings.simplefilter("ignore")
        assert load_picture(bytes(content), DecodeOptions(28, 3)).shape == (28, 28, 3)
