"""Lossless JPEG: each prediction of the standard, against an encoder that follows its words pixel by pixel."""

import struct

import numpy as np
import pytest
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

from penlight.data.lossless_jpeg import decode
from penlight.errors import PictureError
from tests.data.pixels import read_picture
from tests.data.test_dicom import dicom, packed

# Category 0 to 16 by codes of these lengths, the shorter ones first; the order is one that no file has by chance.
LENGTHS = {2: [5, 4], 3: [3, 0], 4: [6, 16], 5: [1, 2], 7: [7, 8, 9], 9: [10, 11, 12, 13], 16: [14, 15]}


def codes(lengths: dict[int, list[int]]) -> dict[int, str]:
    """Huffman codes as annex C assigns them."""
    made, code, before = {}, 0, 0
    for length, symbols in lengths.items():
        code <<= length - before
        for symbol in symbols:
            made[symbol] = f"{code:0{length}b}"
            code += 1
        before = length
    return made


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def predicted(values: np.ndarray, y: int, x: int, top: int, kind: int, first: int) -> int:
    """Table H.1 and H.1.1: what stands for a sample before it is known."""
    if y == top:
        return int(values[y, x - 1]) if x else first
    above = int(values[y - 1, x])
    if x == 0:
        return above
    left, corner = int(values[y, x - 1]), int(values[y - 1, x - 1])
    return {
        1: left, 2: above, 3: corner, 4: left + above - corner, 5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1), 7: (left + above) >> 1,
    }[kind]  # fmt: skip


def encoded(image: np.ndarray, bits: int, kind: int = 1, rows: int = 0, shift: int = 0, apart: bool = False) -> bytes:
    """Encode (H, W, C); `rows` to a restart interval; each colour in a scan of its own if `apart`."""
    height, width, n = image.shape
    values, words = image.astype(np.int64) >> shift, codes(LENGTHS)
    counts = bytes(len(LENGTHS.get(length, [])) for length in range(1, 17))
    table = counts + bytes(symbol for symbols in LENGTHS.values() for symbol in symbols)
    frame = struct.pack(">BHHB", bits, height, width, n) + b"".join(bytes([i + 1, 0x11, 0]) for i in range(n))
    out = b"\xff\xd8" + segment(0xC4, b"\x00" + table) + segment(0xC4, b"\x01" + table) + segment(0xC3, frame)
    if rows:
        out += segment(0xDD, struct.pack(">H", rows * width))
    for scan in [[i] for i in range(n)] if apart else [list(range(n))]:
        who = b"".join(bytes([i + 1, 0x10 * (i % 2)]) for i in scan)
        out += segment(0xDA, bytes([len(scan)]) + who + bytes([kind, 0, shift]))
        for part, top in enumerate(range(0, height, rows or height)):
            text = ""
            for y in range(top, min(top + (rows or height), height)):
                for x in range(width):
                    for i in scan:
                        guess = predicted(values[..., i], y, x, top, kind, 1 << (bits - shift - 1))
                        text += difference((int(values[y, x, i]) - guess) % 65_536, words)
            text += "1" * (-len(text) % 8)
            data = int(text, 2).to_bytes(len(text) // 8)
            out += (b"" if part == 0 else bytes([0xFF, 0xD0 + (part - 1) % 8])) + data.replace(b"\xff", b"\xff\x00")
    return out + b"\xff\xd9"


def difference(of: int, words: dict[int, str]) -> str:
    of = of if of <= 32_768 else of - 65_536
    size = abs(of).bit_length()
    if size in (0, 16):
        return words[size]
    return words[size] + f"{of if of > 0 else of + (1 << size) - 1:0{size}b}"


def picture(height: int, width: int, n: int, bits: int) -> np.ndarray:
    """Smooth in one half, and with all differences there are in the other."""
    rng = np.random.default_rng(0)
    values = np.linspace(0, (1 << bits) - 1, height * width * n).astype(np.uint16).reshape(height, width, n)
    values[height // 2 :] = rng.integers(0, 1 << bits, values[height // 2 :].shape)
    values[-1, :2] = [[0], [(1 << bits) - 1]]
    return values


@pytest.mark.parametrize("kind", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_each_prediction_is_undone(kind, bits):
    image = picture(11, 9, 1, bits)
    np.testing.assert_array_equal(decode(encoded(image, bits, kind)), image)


@pytest.mark.parametrize(
    "how", [{"rows": 2}, {"rows": 3, "kind": 6}, {"shift": 2}, {"apart": True}, {"apart": True, "rows": 4}]
)
def test_intervals_colours_and_shifts(how):
    image = picture(11, 9, 3, 12)
    shift = how.get("shift", 0)
    np.testing.assert_array_equal(decode(encoded(image, 12, **how)), image >> shift << shift)


def test_codes_may_lie_across_the_parts_that_are_decoded_at_once(monkeypatch):
    monkeypatch.setattr("penlight.data.lossless_jpeg._BYTES_AT_ONCE", 7)
    for n in (1, 3):
        image = picture(11, 9, n, 16)
        np.testing.assert_array_equal(decode(encoded(image, 16)), image)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("signed", [False, True])
def test_a_dicom_file_is_read_as_if_it_were_not_compressed(syntax, signed):
    image = picture(28, 28, 1, 12)[..., 0].astype(np.int16 if signed else np.uint16)
    stored = image - 2048 if signed else image
    header = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 0 if signed else 2048, "WindowWidth": 4096}
    frame = encoded((stored.astype(np.uint16) & 0xFFF)[..., np.newaxis], 12)
    np.testing.assert_array_equal(
        read_picture(packed(frame, syntax, stored, **header)), read_picture(dicom(stored, **header))
    )


def test_colours_are_read():
    image = picture(28, 28, 3, 8).astype(np.uint8)
    np.testing.assert_array_equal(read_picture(packed(encoded(image, 8), JPEGLossless, image)), image)


@pytest.mark.filterwarnings("ignore")
def test_what_is_damaged_is_refused_by_name():
    image = picture(28, 28, 1, 12)
    frame = encoded(image, 12)
    scan, table = frame.index(b"\xff\xda"), frame.index(b"\xff\xc4")
    damaged = {
        "values of 784 are there": frame[:-300],
        "30 x 28 of 1 values, and its header says 28 x 28": frame.replace(
            struct.pack(">HH", 28, 28), struct.pack(">HH", 28, 30), 1
        ),
        "is in no table": frame[: scan + 10] + b"\xfe" * 900,
        "Huffman table of it is damaged": frame[: table + 5] + b"\x09" + frame[table + 6 :],
        "none of lossless JPEG": frame[: scan + 7] + b"\x09" + frame[scan + 8 :],
        "cut off or damaged": frame[:scan],
    }
    for message, content in damaged.items():
        with pytest.raises(PictureError, match=message):
            read_picture(packed(content, JPEGLossless, image[..., 0]))


def test_mutated_files_raise_nothing_but_errors_of_pictures():
    rng = np.random.default_rng(0)
    frame = np.frombuffer(encoded(picture(28, 28, 1, 12), 12), np.uint8)
    for _ in range(300):
        changed = frame.copy()
        changed[rng.integers(2, len(frame), rng.integers(1, 5))] = rng.integers(0, 256)
        try:
            assert decode(changed.tobytes()).dtype in (np.uint8, np.uint16)
        except (ValueError, KeyError, IndexError):
            continue
