"""Pictures that were made to harm: small files that would need very much time or memory."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1

from tests.data.test_dicom import dicom

GREY = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg2000_in_dicom(side=13_300):
    """A DICOM of 64 x 64 whose codestream says, and holds, side x side pixels."""
    stream = bytearray(saved(Image.fromarray(GREY), "JPEG2000", no_jp2=True))
    at = stream.index(b"\xff\x4f\xff\x51") + 8
    # The image, its offset, and one tile for it all.
    stream[at : at + 24] = struct.pack(">6I", side, side, 0, 0, side, side)
    return dicom(GREY, JPEG2000Lossless, PixelData=encapsulate([bytes(stream)]))


def jpeg_in_dicom(side=20_000):
    stream = bytearray(saved(Image.fromarray(GREY), "JPEG"))
    at = stream.index(b"\xff\xc0") + 5
    stream[at : at + 4] = struct.pack(">HH", side, side)
    return dicom(GREY, JPEGBaseline8Bit, PixelData=encapsulate([bytes(stream)]))


def lossless_in_dicom(side=20_000):
    """A DICOM of 64 x 64 whose lossless JPEG says, and has no data for, side x side pixels."""
    frame = b"\xff\xd8" + struct.pack(">BBHBHHB3s", 0xFF, 0xC3, 11, 8, side, side, 1, b"\x01\x11\x00")
    return dicom(GREY, JPEGLosslessSV1, PixelData=encapsulate([frame + b"\xff\xd9\x00"]))


def scans(n):
    """A progressive JPEG whose last scan is there n times."""
    picture = saved(Image.new("L", (2048, 2048), 99), "JPEG", progressive=True)
    last = picture.rindex(b"\xff\xda")
    return picture[:last] + picture[last:-2] * n + b"\xff\xd9"


def scans_in_dicom(n):
    return dicom(np.tile(GREY, (32, 32)), JPEGBaseline8Bit, PixelData=encapsulate([scans(n)]))


def pages(n):
    """A TIFF of n pages, all of them the same strip."""
    tags = [(256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 8), (279, 4, 64)]
    start = 8 + 64
    size = 2 + 12 * len(tags) + 4
    out = bytearray(b"II*\x00" + struct.pack("<I", start) + bytes(64))
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    for i in range(n):
        out += body + struct.pack("<I", start + size * (i + 1) if i + 1 < n else 0)
    return bytes(out)


def big_pages(n):
    """A BigTIFF of n pages, all of them the same strip."""
    tags = [(256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 16), (278, 4, 8), (279, 4, 64)]
    start, size = 16 + 64, 8 + 20 * len(tags) + 8
    out = bytearray(b"II+\x00" + struct.pack("<HHQ", 8, 0, start) + bytes(64))
    body = struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", tag, kind, 1, v) for tag, kind, v in tags)
    for i in range(n):
        out += body + struct.pack("<Q", start + size * (i + 1) if i + 1 < n else 0)
    return bytes(out)


def _dicom_with(elements):
    """The DICOM of 64 x 64 with raw elements before its pixels."""
    whole = dicom(GREY)
    at = whole.index(struct.pack("<HH2s", 0x0028, 0x0002, b"US"))
    return whole[:at] + elements + whole[at:]


_SEQUENCE = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF)
_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def empty_items(n):
    return _dicom_with(_SEQUENCE + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * n + _END)


def nested(n):
    """Sequences within one another."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return _dicom_with((_SEQUENCE + item) * n + (struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + _END) * n)


def unknown(content):
    """An element of unknown kind and undefined length, which is read as a sequence."""
    return _dicom_with(struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + content + _END)


def unknown_items(n):
    return unknown(struct.pack("<HHI", 0xFFFE, 0xE000, 0) * n)


def unknown_nested(n):
    start = struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0xFFFFFFFF, 0x0009, 0x1001, 0xFFFFFFFF)
    return unknown(start * n + (struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + _END) * n)


def fragments(n):
    """Pixels in n fragments, all of them empty."""
    return dicom(GREY, JPEGBaseline8Bit, PixelData=struct.pack("<HHI", 0xFFFE, 0xE000, 0) * n + _END)


def elements(n):
    """Very many empty elements."""
    made = b"".join(struct.pack("<HH2sH", 0x0009 + 2 * (i >> 16), i & 0xFFFF, b"LO", 0) for i in range(n))
    return _dicom_with(made)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, extra=b"", data=bytes(1000), kind=0):
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def animated(n):
    """A PNG that says it has n frames."""
    return png(64, 64, chunk(b"acTL", struct.pack(">II", n, 0)) + _FRAME_CONTROL, bytes(65 * 64))


_FRAME_CONTROL = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 10, 0, 0))


def texts(n):
    packed = b"a\x00\x01\x00\x00\x00" + zlib.compress(bytes(900 << 10), 9)
    return png(64, 64, chunk(b"iTXt", packed) * n, bytes(65 * 64))


def profile():
    return png(64, 64, chunk(b"iCCP", b"a\x00\x00" + zlib.compress(bytes(100 << 20), 9)), bytes(65 * 64))


def exif_loop():
    """A JPEG whose EXIF names itself as its part."""
    ifd = struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8)
    return saved(Image.fromarray(GREY), "JPEG", exif=b"Exif\x00\x00II*\x00" + ifd)


def text_bomb():
    packed = zlib.compress(bytes(200 << 20), 9)
    return png(64, 64, chunk(b"zTXt", b"a\x00\x00" + packed), bytes(65 * 64))


def huge_tile():
    """A TIFF of 64 x 64 whose one tile is 60,000 x 60,000, compressed."""
    tags = [(256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (322, 4, 60_000), (323, 4, 60_000),
            (324, 4, 8), (325, 4, 64)]  # fmt: skip
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    return b"II*\x00" + struct.pack("<I", 72) + zlib.compress(bytes(5000))[:64].ljust(64, b"\0") + body + bytes(4)


def jpeg_header(side=65_500):
    stream = bytearray(saved(Image.fromarray(GREY), "JPEG"))
    at = stream.index(b"\xff\xc0") + 5
    stream[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(stream)


def gif(canvas, frame):
    """A GIF whose frame says it has so many pixels a side, with nearly no data."""
    head = b"GIF89a" + struct.pack("<HHBBB", canvas, canvas, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\x02\x02\x44\x01\x00\x3b"


def webp_canvas(side):
    """An animation of WebP with one small frame on a canvas that is as large as may be."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "WEBP", lossless=True)
    sides = struct.pack("<I", side - 1)[:3] * 2
    frame = bytes(6) + struct.pack("<I", 15)[:3] * 2 + bytes(4) + stream.getvalue()[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_of_runs(side):
    """A BMP of run lengths, of which most are missing."""
    runs = b"\xff\x01" * 1000 + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 2, 2)
    start = 14 + len(header) + 8
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + bytes(8) + runs
