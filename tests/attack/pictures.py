"""Pictures of every kind that is read, made by Pillow and pydicom, and what an attacker's fuzzer makes of them."""

import functools
import io
import random
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.data.test_dicom import dicom

_EXTREMES = [
    struct.pack(order + size, value)
    for order in "<>"
    for size, values in {
        "H": (0, 1, 0x7FFF, 0xFFFF),
        "I": (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
        "Q": (0, 1 << 40, (1 << 64) - 1),
    }.items()
    for value in values
]
_PNG = b"\x89PNG\r\n\x1a\n"


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


@functools.cache
def seeds() -> dict[str, bytes]:
    """Give good pictures, each of some kilobytes, by the name of their kind."""
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 256, (40, 36), np.uint8))
    colour = Image.fromarray(rng.integers(0, 256, (40, 36, 3), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (40, 36), np.uint16))
    pages = {"save_all": True, "append_images": [colour] * 3}
    exif = Image.Exif()
    exif[0x0112] = 6
    values = rng.integers(0, 4096, (40, 36), np.uint16)
    small = np.asarray(grey)
    found = {
        "png grey": _saved(grey, "PNG"),
        "png colour": _saved(colour, "PNG"),
        "png palette": _saved(colour.quantize(16), "PNG", transparency=0),
        "png alpha": _saved(colour.convert("RGBA"), "PNG"),
        "png deep": _saved(deep, "PNG"),
        "jpeg": _saved(colour, "JPEG", exif=exif),
        "jpeg grey": _saved(grey, "JPEG"),
        "jpeg progressive": _saved(colour, "JPEG", progressive=True),
        "jpeg cmyk": _saved(colour.convert("CMYK"), "JPEG"),
        "jpeg restarts": _saved(colour, "JPEG", restart_marker_blocks=2),
        "tiff": _saved(colour, "TIFF"),
        "tiff deep": _saved(deep, "TIFF"),
        "tiff pages": _saved(colour, "TIFF", **pages),
        **{f"tiff {way}": _saved(colour, "TIFF", compression=way) for way in
           ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")},
        "tiff fax": _saved(grey.convert("1"), "TIFF", compression="group4"),
        "dicom raw": dicom(values, ExplicitVRLittleEndian, WindowCenter=2000, WindowWidth=900),
        "dicom implicit": dicom(values, ImplicitVRLittleEndian),
        "dicom colour": dicom(np.asarray(colour)),
        "dicom deflated": dicom(values, DeflatedExplicitVRLittleEndian),
        "dicom jpeg": dicom(small, JPEGBaseline8Bit, PixelData=encapsulate([_saved(grey, "JPEG")])),
        "dicom jpeg 2000": dicom(small, JPEG2000Lossless, PixelData=encapsulate([_saved(grey, "JPEG2000")])),
        "dicom rle": dicom(small, RLELossless, PixelData=encapsulate([_rle(small)])),
    }  # fmt: skip
    return {name: content for name, content in found.items() if len(content) < 20_000}


def _rle(pixels: np.ndarray) -> bytes:
    """Give one segment of literal runs (PS3.5, annex G)."""
    rows = [bytes([len(row) - 1]) + row.tobytes() for row in pixels]
    body = b"".join(rows)
    return struct.pack("<16I", 1, 64, *[0] * 14) + body + b"\x00" * (len(body) % 2)


def mutated(number: int) -> tuple[str, bytes]:
    """Give the picture of that number: one of `seeds` after a few changes, with the name of its kind."""
    rng = random.Random(number)
    name = rng.choice(list(seeds()))
    content = bytearray(seeds()[name])
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        rng.choice(_CHANGES)(rng, content)
        if not content:
            break
    if name.startswith("png") and rng.random() < 0.7:
        content = bytearray(_with_checksums(bytes(content)))
    return name, bytes(content)


def _place(rng: random.Random, content: bytearray) -> int:
    """Draw a place, in the header as often as elsewhere, and seldom in what names the kind."""
    first = 0 if rng.random() < 0.05 else min(8, len(content) - 1)
    return rng.randrange(first, max(first + 1, min(len(content), rng.choice((64, 512, len(content))))))


def _any_place(rng: random.Random, content: bytearray) -> int:
    return rng.randrange(len(content))


def _flip(rng: random.Random, content: bytearray) -> None:
    content[_place(rng, content)] ^= 1 << rng.randrange(8)


def _replace(rng: random.Random, content: bytearray) -> None:
    content[_place(rng, content)] = rng.randrange(256)


def _extreme(rng: random.Random, content: bytearray) -> None:
    value, at = rng.choice(_EXTREMES), _place(rng, content)
    content[at : at + len(value)] = value


def _cut(rng: random.Random, content: bytearray) -> None:
    del content[_any_place(rng, content) :]


def _remove(rng: random.Random, content: bytearray) -> None:
    at = _place(rng, content)
    del content[at : at + rng.choice((1, 2, 16, 200))]


def _repeat(rng: random.Random, content: bytearray) -> None:
    at = _place(rng, content)
    content[at:at] = content[at : at + rng.choice((2, 16, 200))] * rng.choice((1, 3, 50))


def _splice(rng: random.Random, content: bytearray) -> None:
    other = rng.choice(list(seeds().values()))
    at = rng.randrange(len(other))
    content[_any_place(rng, content) :] = other[at : at + 4000]


_CHANGES = (_flip, _flip, _replace, _replace, _extreme, _extreme, _cut, _remove, _repeat, _splice)


def _with_checksums(content: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks, so that decoders look at what is in them."""
    if not content.startswith(_PNG):
        return content
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(content):
        n_bytes = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + n_bytes
        if end + 4 > len(content):
            break
        parts += [content[at:end], zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join(parts) + content[at:]
