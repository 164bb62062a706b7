"""Pictures: a file, or the bytes of an upload, turned into the image that a model is trained on and asked about.

`load_picture` is the one way from a file, of one of `formats.KINDS`, to pixels; a file and its bytes go the same way,
so training and use cannot differ.
"""

import contextlib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penlight.errors import LargePictureError, NoPictureError, PictureError
from penlight.formats import FORMATS, KINDS
from penlight.records import Channels, Count, Finite, Flag, Record, Side, json_key

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Frame = Literal["", "first", "middle"]
FRAMES: tuple[Frame, ...] = ("", "first", "middle")
"""Which is taken of a file with several frames; with "" such a file is refused."""
Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")
"""What becomes of a picture that is not square: its middle, black bars, or another aspect."""

LARGEST_PIXELS = 1 << 26
"""Pixels that a picture may say it has; above it (8192 x 8192) it is refused before anything is unpacked."""

_LARGEST_FILE = 1 << 29
_MOST_SCANS = 100
_SCAN = re.compile(rb"\xff\xda")  # which finds them in a third of the time of bytes.count
_NPY = b"\x93NUMPY"
_FIRST_FRAME = ("GIF", "WEBP")
_OWN_RANGE = 0
"""In place of bits: from the lowest to the highest value."""

_ORIENTATION = 0x0112
_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262

# Without a preamble DICOM begins with the tag of an element, then its kind or, where that is implied, its length.
_WITHOUT_PREAMBLE = re.compile(
    rb"\x02\x00[\x00-\x10]\x00(?:UL|OB|UI)|\x08\x00[\x00-\x18]\x00(?:UL|CS|DA|TM|UI|[\x02-\x40]\x00\x00\x00)"
    rb"|\x00\x08\x00[\x00-\x18](?:UL|CS|DA|TM|UI)"
)

_LONGEST_REASON = 200
"""Characters of a decoder's own message that are told."""

# A JPEG is unpacked at 1/2, 1/4 or 1/8 where at least so many pixels are left for each pixel of the image; its blocks
# are averaged by the decoder then, several times as fast as unpacking and averaging them.
_LEFT_FOR_EACH = 3

# A pixel has a colour if its channels differ by more than this. Grey pictures whose channels have noise of their own
# (standard deviation 6 of 255) differ by up to 13 once they were saved as JPEG, at any quality; tissue, retinas and
# skin by 30 and more. A picture has colour if more than one in so many of its pixels have: a burnt-in mark does not
# make a film a colour picture.
_LARGEST_CHROMA_NOISE = 16
_ONE_IN = 50
_SIDE_OF_LOOK = 32


class DecodeOptions(Record):
    """How a picture becomes an image: `size` pixels a side; `channels` 1 (grey) or 3 (colour); `fit` for what is not
    square; `bits` that the values of 16-bit pictures use, 0 to 2**bits - 1 becoming 0 to 255; DICOM says its own.
    `which_frame` is the one that is taken of a DICOM file with several; with "" such a file is refused."""

    size: Side
    channels: Channels
    fit: Fit = "crop"
    bits: Annotated[int, Field(strict=True, ge=1, le=16)] = 16
    which_frame: Frame = json_key("frame", default="")

    def __repr__(self) -> str:
        """Leave out `which_frame` where it is not given: stores made before there was one are found by this text."""
        return super().__repr__().replace(", which_frame=''", "")


@dataclass(frozen=True)
class PictureHeader:
    """What the header of a picture says: width and height in pixels, colour or grey, 8 or 16 bits a value; `bits` is
    0 for DICOM and PGM, which state the range of their values. Colour is what the format can hold, as in grey films
    saved as RGB; where the picture is loaded, it is what its pixels hold. Of an `animated` one the first frame is
    read."""

    width: int
    height: int
    colour: bool
    bits: int
    animated: bool = False


class OriginalPictures(Record):
    """What the pictures of a dataset were like before they became images: whether some are `grey`, in `colour` or
    `animated`; the `shortest` side in pixels, and the largest `aspect`, longer by shorter side."""

    grey: Flag
    colour: Flag
    animated: Flag
    shortest: Count
    aspect: Finite

    @classmethod
    def of(cls, looks: Sequence[PictureHeader]) -> Self:
        """Summarise the pictures of a dataset, as `load_with_header` describes each."""
        sides = [sorted((look.width, look.height)) for look in looks]
        return cls(
            any(not look.colour for look in looks),
            any(look.colour for look in looks),
            any(look.animated for look in looks),
            min((shorter for shorter, _ in sides), default=0),
            max((longer / shorter for shorter, longer in sides), default=1.0),
        )


def load_picture(source: Path | bytes, reading: DecodeOptions, name: str = "") -> Pixels:
    """Turn a file or its bytes into an image, uint8 (size, size, channels).

    Turned as its EXIF says, alpha on black, palettes resolved; what is not square is fitted; resized by bicubic
    interpolation whose kernel grows with the area that a pixel stands for, so that nothing is skipped; a picture
    that has the size keeps its values. PictureError, with `name` or the path in it, for what is no picture, is cut
    off, has several frames, or says it is larger than LARGEST_PIXELS.
    """
    return load_with_header(source, reading, name)[0]


def load_with_header(
    source: Path | bytes, reading: DecodeOptions, name: str = "", *, largest: int = LARGEST_PIXELS
) -> tuple[Pixels, PictureHeader]:
    """Load a picture as `load_picture` does, and say what its header said, colour by the pixels of the image;
    `largest` is how many pixels it may say it has. NoPictureError and LargePictureError are told from other
    damage."""
    with _naming(source, name):
        content = _bytes_of(source)
        least = reading.size * _LEFT_FOR_EACH
        picture, whole, header = _unpack(content, reading.bits, least, largest, reading.which_frame)
        pixels, colour = _image(picture, whole, reading)
        return pixels, replace(header, colour=colour)


def load_whole(source: Path | bytes, side: int, frame: Frame = "") -> tuple[Pixels, PictureHeader]:
    """Load all of a picture in its own colours, uint8 (H, W) or (H, W, 3), its longer side at most `side` pixels.

    Values of 16 bits are shown from the darkest to the brightest, DICOM by its own window; `frame` is
    which one is taken of several. Errors as in `load_picture`.
    """
    with _naming(source, ""):
        picture, whole, header = _unpack(_bytes_of(source), _OWN_RANGE, side, frame=frame)
        plain = picture.copy()
        plain.thumbnail((side, side))
        pixels = np.asarray(_turned(plain, picture.info.get("exif")))
        colour = pixels.ndim == 3 and shows_colour(pixels)
        return pixels, replace(header, width=whole[0], height=whole[1], colour=colour)


def fit_pixels(pixels: Pixels, reading: DecodeOptions) -> Pixels:
    """Bring pixels, uint8 (H, W), (H, W, 1) or (H, W, 3), to an image as `load_picture` does those of a file."""
    return fit_with_header(pixels, reading)[0]


def fit_with_header(pixels: Pixels, reading: DecodeOptions) -> tuple[Pixels, PictureHeader]:
    """Bring pixels to an image as `fit_pixels` does, and describe them as `load_with_header` does a file."""
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    image, colour = _image(picture, picture.size, reading)
    return image, PictureHeader(*picture.size, colour, 8)


def _image(picture: "Image.Image", whole: tuple[int, int], reading: DecodeOptions) -> tuple[Pixels, bool]:
    """Give the image, and whether it has colour before it is made grey."""
    image = _turned(_fitted(picture, whole, reading), picture.info.get("exif"))
    pixels, mode = np.asarray(image, np.uint8), "L" if reading.channels == 1 else "RGB"
    colour = image.mode == "RGB" and shows_colour(pixels)
    if image.mode != mode:
        pixels = np.asarray(image.convert(mode), np.uint8)
    return (pixels[..., np.newaxis] if pixels.ndim == 2 else pixels), colour


def shows_colour(pixels: Pixels) -> bool:
    """Say whether pixels (H, W, 3) show colour, and not grey in three channels with the noise of a JPEG's chroma."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return bool(np.count_nonzero(spread > _LARGEST_CHROMA_NOISE) * _ONE_IN > spread.size)


def has_colour(source: Path | bytes, bits: int = 16) -> bool:
    """Say whether the pixels of a picture show colour, at a small size, at which a JPEG is unpacked at an eighth;
    errors as in `load_picture`."""
    options = DecodeOptions(_SIDE_OF_LOOK, 3, "stretch", bits, which_frame="first")
    return load_with_header(source, options)[1].colour


def read_header(source: Path | bytes, name: str = "") -> PictureHeader:
    """Read the header of a picture; errors as in `load_picture`, but for what only unpacking can find."""
    from penlight.data import array_pictures, dicom

    with _naming(source, name):
        if is_dicom(source):
            return PictureHeader(*dicom.read_size(_bytes_of(source)), bits=0)
        if is_array(source):
            width, height, colour, bits = array_pictures.read_format(source)
            check_pixels(width, height)
            return PictureHeader(width, height, colour, bits)
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            return _header_of(_open(file))


def largest_value(source: Path | bytes) -> int:
    """Give the largest value of a 16-bit picture; errors as in `load_picture`."""
    from penlight.data import array_pictures

    with _naming(source, ""):
        if is_array(source):
            return int(array_pictures.read_values(_bytes_of(source)).max())
        picture = _open(io.BytesIO(_bytes_of(source)))
        # Of several values for each pixel only the upper 8 bits are there; alpha is as bright as can be.
        if _loses_bits(picture):
            return int(np.asarray(picture.convert("RGB")).max()) * 257
        return int(np.asarray(picture).max())


def is_dicom(source: Path | bytes) -> bool:
    """Say whether a file or its bytes begin as DICOM does: with a preamble and its mark (PS3.10, section 7.1) or, as
    older software writes it, at once with the first element."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            source = file.read(132)
    return source[128:132] == b"DICM" or _WITHOUT_PREAMBLE.match(source) is not None


def is_array(source: Path | bytes) -> bool:
    """Say whether a file or its bytes begin as a .npy file does."""
    if isinstance(source, bytes):
        return source.startswith(_NPY)
    with source.open("rb") as file:
        return file.read(len(_NPY)) == _NPY


@contextlib.contextmanager
def _naming(source: Path | bytes, name: str) -> Iterator[None]:
    """Give every error inside the block the name of the picture; what decoders raise becomes a PictureError."""
    name = name or (str(source) if isinstance(source, Path) else "The picture")
    try:
        yield
    except PictureError as error:
        raise error.named(name) from error
    except MemoryError:
        raise
    # Decoders raise many kinds for damaged bytes: zlib's and struct's, SyntaxError for PNG.
    except Exception as error:
        kind, reason = _kind_and_reason(error)
        raise kind(reason, "Look at the file, or get it again.", name) from error


def _kind_and_reason(error: Exception) -> tuple[type[PictureError], str]:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return LargePictureError, f"it says it has more than {LARGEST_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return NoPictureError, f"it is no {KINDS} picture, or its first bytes are damaged"
    if isinstance(error, OSError) and error.strerror:
        return PictureError, error.strerror.lower()
    # A decoder may quote all that it was given.
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
    return PictureError, f"it is cut off or damaged ({text.rstrip('.') or type(error).__name__})"


def _bytes_of(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    n_bytes = source.stat().st_size
    if n_bytes > _LARGEST_FILE:
        raise PictureError(f"the file has {n_bytes:,} bytes, more than {_LARGEST_FILE:,}", "Make it smaller.")
    return source.read_bytes()


def _header_of(picture: "Image.Image") -> PictureHeader:
    deep = _is_deep(picture) or _loses_bits(picture)
    # Pillow scales the values of a PGM by the largest that its header states.
    bits = 8 if not deep else 0 if picture.format == "PPM" else 16
    return PictureHeader(*picture.size, _in_colour(picture), bits, _is_animated(picture))


def _is_animated(picture: "Image.Image") -> bool:
    return picture.format in _FIRST_FRAME and bool(getattr(picture, "is_animated", False))


def _open(stream: IO[bytes], largest: int = LARGEST_PIXELS) -> "Image.Image":
    """Open a picture and check what its header says; nothing is unpacked yet."""
    from PIL import Image

    picture = Image.open(stream, formats=tuple(FORMATS))
    check_pixels(*picture.size, largest)
    if _has_several(picture):
        raise PictureError("it has several pages or frames", "Save the one that is meant as a file of its own.")
    if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
        depth = "32-bit float" if picture.mode == "F" else "signed or 32-bit integer"
        raise PictureError(f"its values are of the type {depth}", "Save it with 8 or 16 bits.")
    return picture


def _has_several(picture: "Image.Image") -> bool:
    """Say whether there are more pages or frames than one; those of a TIFF are not counted, as each is looked for."""
    if picture.format != "TIFF":
        # The further pictures of an MPO, as phones make them, are previews of the first.
        return picture.format not in ("MPO", *_FIRST_FRAME) and getattr(picture, "n_frames", 1) > 1
    with contextlib.suppress(EOFError):
        picture.seek(1)
        return True
    return False


def check_scans(content: bytes) -> None:
    """Raise PictureError for a JPEG of very many scans, each of which is a pass over the whole picture; progressive
    ones that are made to be looked at have about ten."""
    scans = len(_SCAN.findall(content))
    if scans > _MOST_SCANS:
        raise PictureError(f"it has {scans:,} scans, more than {_MOST_SCANS}", "Save it anew.")


def check_pixels(width: int, height: int, largest: int = LARGEST_PIXELS) -> None:
    """Raise LargePictureError for a picture that says it is too large to be unpacked."""
    if width * height > largest:
        raise LargePictureError(
            f"it says it has {width} x {height} pixels, more than {largest:,}", "Make it smaller."
        )


def _unpack(
    content: bytes, bits: int, least: int, largest: int = LARGEST_PIXELS, frame: Frame = ""
) -> tuple["Image.Image", tuple[int, int], PictureHeader]:
    """Unpack a picture into grey or RGB of 8 bits, and give the width and height it has as a whole, and its header.

    A JPEG is unpacked at 1/2, 1/4 or 1/8 if `least` pixels of its shorter side are left then; 0 for the whole.
    """
    if is_dicom(content):
        from PIL import Image

        from penlight.data import dicom

        picture = Image.fromarray(dicom.pixels(content, largest, frame))
        return picture, picture.size, PictureHeader(*picture.size, picture.mode != "L", bits=0)
    if is_array(content):
        return _of_array(content, bits, largest)
    picture = _open(io.BytesIO(content), largest)
    header, whole = _header_of(picture), None
    if picture.format in ("JPEG", "MPO"):
        check_scans(content)
        whole = picture.size
        if least:
            shrink = max(min(whole) / least, 1)
            picture.draft(None, (math.ceil(whole[0] / shrink), math.ceil(whole[1] / shrink)))
    picture.load()
    if header.bits == 16 and not _is_deep(picture) and _OWN_RANGE < bits < 16:
        _require_upper_bits(picture, bits)
    # Pillow turns a TIFF while it is unpacked, so its sides are known only now.
    return _plain(picture, bits), whole or picture.size, header


def _of_array(content: bytes, bits: int, largest: int) -> tuple["Image.Image", tuple[int, int], PictureHeader]:
    from PIL import Image

    from penlight.data import array_pictures

    header = PictureHeader(*array_pictures.read_format(content))
    check_pixels(header.width, header.height, largest)
    values: NDArray[Any] = array_pictures.read_values(content)
    if values.dtype.kind in "bf":
        values = np.round(values * np.float64(255))
    elif header.bits == 16:
        values = _scaled(values, bits)
    picture = Image.fromarray(np.ascontiguousarray(values, np.uint8))
    return picture, picture.size, header


def _require_upper_bits(picture: "Image.Image", bits: int) -> None:
    """Raise PictureError for a colour picture of 16 bits a value that uses no more than `bits`: Pillow has kept the
    upper 8 of them, of which nearly nothing is left then."""
    if int(np.asarray(picture.convert("RGB")).max()) * 257 < 1 << bits:
        raise PictureError(
            f"it has several values of 16 bits for each pixel and uses {bits} of them, which cannot be scaled",
            "Save it with 8 bits a value.",
        )


def _plain(picture: "Image.Image", bits: int) -> "Image.Image":
    """Resolve depth, palette, alpha and colour space; mode L or RGB."""
    from PIL import Image

    if _is_deep(picture):
        plain = Image.fromarray(_eight_bits(picture, 16 if bits and picture.format == "PPM" else bits))
    elif picture.mode in ("1", "L"):
        plain = picture.convert("L")
    elif picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        if not with_alpha.getchannel("A").getextrema()[1]:
            # Nothing of it is meant to be seen; the fourth value of some BMP and TIFF files is no alpha.
            with_alpha.putalpha(255)
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        plain = Image.alpha_composite(black, with_alpha).convert("L" if picture.mode in ("LA", "La") else "RGB")
    else:
        plain = picture.convert("RGB")
    plain.info["exif"] = picture.getexif()
    return plain


def _eight_bits(picture: "Image.Image", bits: int) -> Pixels:
    scaled = _scaled(np.asarray(picture), bits)
    # Pillow inverts TIFF files whose zero is white itself where they have 8 bits, and not where they have 16.
    tags: Mapping[int, Any] = getattr(picture, "tag_v2", {})
    return 255 - scaled if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else scaled


def _scaled(values: NDArray[Any], bits: int) -> Pixels:
    """Bring values of so many bits, or of their own range, to 8 bits."""
    lowest, top = 0, (1 << bits) - 1
    if bits == _OWN_RANGE:
        lowest, top = int(values.min()), int(values.max())
    if values.max() > top:
        needed = int(values.max()).bit_length()
        raise PictureError(
            f"it holds the value {values.max()}, which needs more than {bits} bits; "
            f"--bits {needed}, or bits in the description, would read it",
            "Correct bits, or leave the picture out.",
        )
    return np.round((values - lowest) * (255.0 / max(top - lowest, 1))).astype(np.uint8)


def _is_deep(picture: "Image.Image") -> bool:
    return picture.mode.startswith("I")


def _loses_bits(picture: "Image.Image") -> bool:
    """Say whether a picture has several values of 16 bits for each pixel, of which Pillow reads the upper 8."""
    tiles = getattr(picture, "tile", ())
    arguments = tiles[0].args if tiles else ()
    mode = arguments if isinstance(arguments, str) else next(iter(arguments or ()), "")
    return not _is_deep(picture) and picture.format in ("PNG", "TIFF") and ";16" in str(mode)


def _in_colour(picture: "Image.Image") -> bool:
    if picture.mode == "P":
        entries = np.asarray(picture.getpalette("RGB")).reshape(-1, 3)
        return bool((entries != entries[:, :1]).any())
    return picture.mode not in ("1", "L", "LA", "La") and not _is_deep(picture)


def _fitted(picture: "Image.Image", whole: tuple[int, int], reading: DecodeOptions) -> "Image.Image":
    """Make a picture square and resize it. It may have been unpacked smaller than the `whole` (width, height)."""
    from PIL import Image

    width, height = whole
    square = (reading.size, reading.size)
    if reading.fit == "stretch":
        return _resized(picture, width, (0, 0, width, height), square)
    if reading.fit == "crop":
        side = min(whole)
        left, top = (width - side) // 2, (height - side) // 2
        return _resized(picture, width, (left, top, left + side, top + side), square)
    longest = max(whole)
    inner = (max(1, round(width * reading.size / longest)), max(1, round(height * reading.size / longest)))
    on_black = Image.new(picture.mode, square)
    corner = ((reading.size - inner[0]) // 2, (reading.size - inner[1]) // 2)
    on_black.paste(_resized(picture, width, (0, 0, width, height), inner), corner)
    return on_black


def _resized(
    picture: "Image.Image", width: int, box: tuple[int, int, int, int], size: tuple[int, int]
) -> "Image.Image":
    """Resize the part of a picture in `box`, given in pixels of the whole, which is `width` pixels wide."""
    from PIL import Image

    # Within a picture unpacked at 1/8 the edges of the box lie between pixels; they count in part.
    by = next(by for by in (1, 2, 4, 8) if math.ceil(width / by) <= picture.width)
    left, top, right, bottom = (edge / by for edge in box)
    inside = (left, top, min(right, picture.width), min(bottom, picture.height))
    return picture.resize(size, Image.Resampling.BICUBIC, box=inside)


def _turned(picture: "Image.Image", exif: object) -> "Image.Image":
    """Turn a picture as the orientation in its EXIF says (EXIF 2.32, tag 0x0112)."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    orientation = exif.get(_ORIENTATION) if isinstance(exif, Mapping) else None
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)
