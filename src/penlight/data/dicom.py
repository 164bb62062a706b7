"""DICOM: one frame as the picture a radiologist would be shown, by the file's own rescaling and window.

DICOM PS3.3 2024: modality LUT C.11.1, VOI LUT C.11.2, photometric interpretation C.7.6.3.1.2, padding C.7.5.1.1.2.

Compressed pixels are decoded by libraries in C and C++: in worker processes with limits (`penlight.workers`), only
where `_checked` has found them as large as the header says, since decoders believe what is compressed.
"""

import io
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import PictureError
from penlight.escaping import printable, shown

if TYPE_CHECKING:
    from pydicom import Dataset as Header
    from pydicom.pixels.decoders.base import Decoder
    from pydicom.uid import UID

    from penlight.data.pictures import Frame

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

# Without a window the values between these percentiles are shown: burnt-in letters and dead pixels do not count.
_PERCENTILES = (0.5, 99.5)

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_IS_DEFLATED = re.compile(rb"\x02\x00\x10\x00.{4}" + re.escape(_DEFLATED), re.DOTALL)
_LARGEST_INFLATED = 1 << 29
_META_LENGTH = re.compile(rb".{128}DICM\x02\x00\x00\x00UL\x04\x00(.{4})", re.DOTALL)

# Items of sequences, and parts of compressed pixels; pydicom needs about 700 bytes for an empty one.
_MOST_ITEMS = 20_000
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_MOST_SEGMENTS = 10_000

_GREY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")

# The plugins of pydicom, the first choice first, so that pixels do not depend on what else is installed. GDCM is none
# of them: mutated files crash it.
_PLUGINS = ("pydicom", "penlight", "pillow", "pyjpegls", "pylibjpeg")
_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_VIDEOS = ("1.2.840.10008.1.2.4.10", "1.2.840.10008.1.2.7.")

# What is read, apart from pixels; other elements are passed over, however many there are.
_READ = [
    "Rows", "Columns", "PhotometricInterpretation", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence", "RescaleSlope",
    "RescaleIntercept", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL",
    "PaletteColorLookupTableUID",
    *(f"{colour}PaletteColorLookupTable{what}" for colour in ("Red", "Green", "Blue", "Alpha")
      for what in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue", "Alpha")),
]  # fmt: skip

# A JPEG 2000 codestream begins with its marker and that of its size.
_CODESTREAM = b"\xff\x4f\xff\x51"


def read_size(content: bytes) -> tuple[int, int, bool]:
    """Read width, height, and whether it is in colour. PictureError for what `pixels` would refuse by its header,
    apart from several frames."""
    header = _read(content, stop_before_pixels=True)
    return int(header.Columns), int(header.Rows), header.PhotometricInterpretation not in _GREY


def pixels(content: bytes, largest: int | None = None, frame: "Frame" = "") -> Pixels:
    """Turn the bytes of a DICOM file into uint8 (H, W) or (H, W, 3); `largest` as in `pictures.load_with_header`.

    Grey values are rescaled, then windowed by the first window in the file or, without one, the first lookup table.
    Without either, what is not padding is shown between its 0.5th and 99.5th percentile, and padding is black;
    MONOCHROME1 is turned over, as white is dense. `frame` is which of several is taken. PictureError for several
    frames without it, for no pixels, for a window, slope or table that shows nothing, and for a compression that is
    not known here.
    """
    header = _read(content, largest=largest)
    kind, index = header.PhotometricInterpretation, _index_of(header, frame)
    _take_from_frame(header, index)
    values, bits, colours = _decoded(header, index)
    if kind == _PALETTE:
        return _by_palette(header, values)
    if kind in _COLOURS:
        if colours != "RGB":
            raise PictureError(f"its colours ({colours}) are not turned into RGB here", "Save it as RGB.")
        return _to_eight_bits(values, bits)
    seen = _windowed(header, values, _rescaled(header, values))
    return 255 - seen if kind == "MONOCHROME1" else seen


def _read(content: bytes, *, stop_before_pixels: bool = False, largest: int | None = None) -> "Header":
    from pydicom import dcmread

    from penlight.data.pictures import LARGEST_PIXELS, check_pixels

    content = _inflated(content)
    items = sum(content.count(tag) for tag in _ITEM_TAGS)
    if items > _MOST_ITEMS:
        raise PictureError(f"it has {items:,} items in sequences, more than {_MOST_ITEMS:,}", "Export it anew.")
    tags: list[Any] = list(_READ)
    header = dcmread(io.BytesIO(content), stop_before_pixels=stop_before_pixels, specific_tags=tags, force=True)
    if "Rows" not in header or "Columns" not in header:
        stored = header.file_meta.get("MediaStorageSOPClassUID")
        raise _without_pixels(f"a DICOM file ({printable(stored.name)})" if stored else "a DICOM file")
    width, height = _whole(header, "Columns"), _whole(header, "Rows")
    check_pixels(width, height, LARGEST_PIXELS if largest is None else largest)
    _check_kind(header)
    if not header.file_meta.get("TransferSyntaxUID"):
        header.file_meta.TransferSyntaxUID = _uncompressed_syntax(header)
    _decoder_of(header)
    return header


def _without_pixels(what: str = "a DICOM file") -> PictureError:
    return PictureError(f"it is {what} without pixels, or cut off", "Leave it out, or get it again.")


def _inflated(content: bytes) -> bytes:
    """Inflate a file that is deflated as a whole (PS3.5, A.5), up to a limit; others are given as they are."""
    if (named := _IS_DEFLATED.search(content)) is None:
        return content
    match = _META_LENGTH.match(content)
    end = 144 + int.from_bytes(match[1], "little") if match else 0
    if named.end() > end:
        raise PictureError("it is deflated, and does not say from where on", "Export it anew.")
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = unpacking.decompress(content[end:], _LARGEST_INFLATED)
    if not unpacking.eof:
        why = f"to more than {_LARGEST_INFLATED:,} bytes" if unpacking.unconsumed_tail else "and cut off"
        raise PictureError(f"it is deflated {why}", "Export it anew.")
    # What is inside is explicit VR little endian, whose identifier is three characters shorter.
    return content[:end].replace(_DEFLATED, _DEFLATED[:-3] + bytes(3)) + inflated


def _uncompressed_syntax(header: "Header") -> "UID":
    """Give the encoding of a file that does not name it, as it was found while reading."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "PixelData" in header and header["PixelData"].is_undefined_length:
        raise PictureError("it does not say how its pixels are compressed", "Export it anew.")
    implicit, little = header.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _check_kind(header: "Header") -> None:
    """Raise PictureError where it is not clear what the values of a pixel stand for."""
    kind = str(header.get("PhotometricInterpretation") or "").strip().upper()
    samples = _whole(header, "SamplesPerPixel", 1)
    if not kind:
        raise PictureError("it does not say if 0 is black or white (PhotometricInterpretation)", "Export it anew.")
    if kind not in (*_GREY, _PALETTE, *_COLOURS):
        raise PictureError(
            f"its PhotometricInterpretation is {shown(kind)}, which is not read here", "Save it in grey or as RGB."
        )
    if samples != (3 if kind in _COLOURS else 1):
        raise PictureError(f"it says it is {kind}, with {samples} values for each pixel", "Export it anew.")
    header.PhotometricInterpretation, header.SamplesPerPixel = kind, samples


def _frames(header: "Header") -> int:
    return _whole(header, "NumberOfFrames", 1, least=0) or 1


def _index_of(header: "Header", frame: "Frame") -> int:
    frames = _frames(header)
    if frames > 1 and not frame:
        raise PictureError(
            f"it has {frames} frames, a volume or a film; data new takes one of them with --frame middle",
            "Or save the frame that is meant by itself.",
        )
    return frames // 2 if frame == "middle" else 0


def _take_from_frame(header: "Header", index: int) -> None:
    """Give a header the rescaling and the window that an enhanced file keeps with its frames (PS3.3 C.7.6.16)."""
    shared, each = (header.get(f"{of}FunctionalGroupsSequence") or [] for of in ("Shared", "PerFrame"))
    for groups in (*shared[:1], *each[index : index + 1]):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in (groups.get(name) or [])[:1]:
                header.update({element.tag: element for element in item if element.keyword in _READ})


def _decoder_of(header: "Header") -> tuple["Decoder", list[str]]:
    """Give pydicom's decoder for the encoding of a file, and its plugins in their order. PictureError without any."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    syntax = header.file_meta.TransferSyntaxUID
    name = printable(syntax.name)
    if syntax.startswith(_VIDEOS):
        raise PictureError(f"it is a video ({name})", "Save the frame that is meant by itself.")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise PictureError(f"its encoding ({name}) is not known here", "Export it uncompressed.") from error
    if not syntax.is_encapsulated:
        return decoder, [""]
    if syntax in _LOSSLESS and "penlight" not in decoder.available_plugins:
        decoder.add_plugin("penlight", ("penlight.data.lossless_jpeg", "decode_frame"))
    extended = syntax == JPEGExtended12Bit
    # Lossy JPEG of 12 bits, and colours of more than 8.
    deep = _whole(header, "BitsStored", 8) > 8 and (extended or header.PhotometricInterpretation in _COLOURS)
    plugins = [name for name in _PLUGINS if name in decoder.available_plugins and not (deep and name == "pillow")]
    if plugins:
        return decoder, plugins
    if extended:
        problem = f"its compression ({name}, of 12 bits) cannot be read here"
        raise PictureError(problem, "Uncompress it, with DCMTK's dcmdjpeg for example.")
    problem = f"its compression ({name}) is read with the extra dicom: pip install 'penlight[dicom]'"
    raise PictureError(problem, "Or uncompress the file.")


def _decoded(header: "Header", index: int) -> tuple[NDArray[Any], int, str]:
    """Decode a frame: values (H, W) or (H, W, 3), the bits that they have, and their photometric interpretation."""
    if not any(header.get(name) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise _without_pixels()
    decoder, plugins = _decoder_of(header)
    shift = 0
    if decoder.UID.is_encapsulated:
        _take_frame(header, index)
        index = 0
    elif "PixelData" in header:
        # Old files may use bits below those of the values for an overlay (PS3.5 2004, 8.1.1).
        top, stored = _whole(header, "HighBit", 0, least=0) + 1, _whole(header, "BitsStored")
        shift = top - stored if stored < top <= _whole(header, "BitsAllocated") else 0
        header.BitsStored = stored + shift
    values, about = _as_array(decoder, header, index, plugins)
    return values >> shift if shift else values, int(about["bits_stored"]), str(about["photometric_interpretation"])


def _as_array(
    decoder: "Decoder", header: "Header", index: int, plugins: Sequence[str]
) -> tuple[NDArray[Any], Mapping[str, Any]]:
    try:
        return decoder.as_array(header, index=index, decoding_plugin=plugins[0])
    except RuntimeError as error:
        if len(plugins) > 1:
            return _as_array(decoder, header, index, plugins[1:])
        # The lines after the first are those of the plugin.
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:]) or error
        raise ValueError(f"{decoder.UID.name}: {reason}") from error


def _take_frame(header: "Header", index: int) -> None:
    """Check one frame of compressed pixels, and leave no other in a header: what was checked is what is decoded."""
    from pydicom.encaps import encapsulate, get_frame

    names = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    offsets = (header[names[0]].value, header[names[1]].value) if all(name in header for name in names) else None
    frame = get_frame(header.PixelData, index, number_of_frames=_frames(header), extended_offsets=offsets)
    frame = _checked(header, frame)
    for name in names:
        header.pop(name, None)
    header.PixelData, header.NumberOfFrames = encapsulate([frame], has_bot=False), 1


def _checked(header: "Header", frame: bytes) -> bytes:
    """Give compressed pixels without what a file format has around them. PictureError where they say that they are of
    another size than the header does, or have very many scans: decoders believe them, and not the header."""
    from pydicom.uid import JPEG2000TransferSyntaxes, RLELossless

    from penlight.data.pictures import check_scans

    syntax = header.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        return frame
    if syntax in JPEG2000TransferSyntaxes:
        frame = frame[max(frame.find(_CODESTREAM), 0) :]
        size = _size_of_jpeg2000(frame)
    else:
        check_scans(frame)
        size = _size_of_jpeg(frame)
    expected = int(header.Columns), int(header.Rows), int(header.SamplesPerPixel)
    if size is None:
        raise PictureError("its compressed pixels do not say how many they are", "Export it anew.")
    if size != expected:
        packed, told = (f"{width} x {height} of {values} values" for width, height, values in (size, expected))
        raise PictureError(f"its compressed pixels are {packed}, and its header says {told}", "Export it anew.")
    return frame


def _size_of_jpeg2000(frame: bytes) -> tuple[int, int, int] | None:
    """Read width, height and components from the first segment (ISO/IEC 15444-1, A.5.1); None where it is another,
    or its components differ: a decoder may believe the first of them for all."""
    segment = frame[4 : 4 + int.from_bytes(frame[4:6])]
    if not frame.startswith(_CODESTREAM) or len(segment) < 41:
        return None
    right, bottom, left, top = struct.unpack(">4I", segment[4:20])
    n, kinds = int.from_bytes(segment[36:38]), segment[38:]
    alike = kinds == n * (kinds[:1] + b"\x01\x01")
    return (right - left, bottom - top, n) if alike else None


def _size_of_jpeg(frame: bytes) -> tuple[int, int, int] | None:
    """Read width, height and components from the frame header of JPEG (ITU T.81, B.2.2) or JPEG-LS (T.87, C.2.2)."""
    at = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    for _ in range(_MOST_SEGMENTS):
        while frame[at : at + 2] == b"\xff\xff":
            at += 1
        head = frame[at : at + 10]
        if len(head) < 10 or head[0] != 0xFF or head[1] == 0xDA:
            break
        if (0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC)) or head[1] == 0xF7:
            return int.from_bytes(head[7:9]), int.from_bytes(head[5:7]), head[9]
        at += 2 + int.from_bytes(head[2:4])
    return None


def _to_eight_bits(values: NDArray[Any], bits: int) -> Pixels:
    if bits == 8 and values.dtype == np.uint8:
        return values
    scaled: Pixels = np.clip(np.round(values * (255.0 / ((1 << bits) - 1))), 0, 255).astype(np.uint8)
    return scaled


@dataclass(frozen=True)
class _LookupTable:
    """A lookup table (PS3.3 C.11.1.1, C.7.6.3.1.5): `first` is the value that the first of `values` stands for."""

    first: int
    values: NDArray[Any]
    bits: int

    def look_up(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Give the table's value for each; those below and above it have its first and its last."""
        found: NDArray[Any] = self.values[
            np.clip(np.rint(stored) - float(self.first), 0, len(self.values) - 1).astype(np.intp)
        ]
        return found


def _lookup_table(header: "Header", item: "Header", descriptor: str, data: str) -> _LookupTable | None:
    """Read a table from an item of a sequence, or the header itself; None where a part of it is absent or empty."""
    about, content = _numbers(item, descriptor), item.get(data)
    if not about or content in (None, "", b"", []):
        return None
    if len(about) != 3 or not 1 <= about[2] <= 16:
        raise PictureError(f"its {descriptor} is not that of a table", "Export it anew.")
    n, first, bits = (int(number) for number in about)
    n = n % 65_536 or 65_536
    if first >= 32_768 and header.get("PixelRepresentation") == 1:
        first -= 65_536
    values: NDArray[Any]
    if not isinstance(content, bytes):
        values = np.atleast_1d(np.array(content, np.int64)) % 65_536
    elif len(content) < 2 * n:
        values, bits = np.frombuffer(content, np.uint8), min(bits, 8)
    else:
        order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
        values = np.frombuffer(content[: 2 * n], f"{order}u2")
    if len(values) < n:
        raise PictureError(f"its {data} has {len(values):,} values of {n:,}", "Export it anew.")
    return _LookupTable(first, values[:n], bits)


def _table_in(header: "Header", sequence: str) -> _LookupTable | None:
    items: Sequence[Header] = header.get(sequence) or []
    return _lookup_table(header, items[0], "LUTDescriptor", "LUTData") if items else None


def _by_palette(header: "Header", values: NDArray[Any]) -> Pixels:
    """Look colours up in the palette of a file."""
    from pydicom.pixels.processing import apply_color_lut

    names = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    tables = [_lookup_table(header, header, f"{name}Descriptor", f"{name}Data") for name in names]
    if None in tables:
        # The other kind of palette has segments, which pydicom unpacks.
        return _to_eight_bits(
            apply_color_lut(values, header)[..., :3], int(header.RedPaletteColorLookupTableDescriptor[2])
        )
    return np.stack([_to_eight_bits(table.look_up(values), table.bits) for table in tables if table], axis=-1)


def _is_padding(header: "Header", values: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which stored values are no part of the picture."""
    padding: NDArray[np.bool_] = (
        np.zeros(values.shape, np.bool_) if values.dtype.kind != "f" else ~np.isfinite(values)
    )
    if ends := _numbers(header, "PixelPaddingValue")[:1]:
        # Some are written as signed where pixels are not, or the other way round.
        stored = np.array(ends + _numbers(header, "PixelPaddingRangeLimit")[:1], np.int64).astype(values.dtype)
        padding |= (values >= stored.min()) & (values <= stored.max())
    return padding


def _rescaled(header: "Header", values: NDArray[Any]) -> Floats:
    """Turn stored values into those that windows are for. An empty slope is 1, and an empty intercept 0."""
    if (table := _table_in(header, "ModalityLUTSequence")) is not None:
        return table.look_up(values).astype(np.float64)
    slope, intercept = (_numbers(header, f"Rescale{what}") for what in ("Slope", "Intercept"))
    if slope[:1] == [0]:
        raise PictureError("its RescaleSlope is 0, which makes all values the same", "Export it anew.")
    values = np.nan_to_num(values, posinf=0, neginf=0) if values.dtype.kind == "f" else values
    factor, term = slope[0] if slope else 1.0, intercept[0] if intercept else 0.0
    return values.astype(np.float64) if (factor, term) == (1, 0) else values * factor + term


def _windowed(header: "Header", stored: NDArray[Any], values: Floats) -> Pixels:
    """Show rescaled values; the `stored` ones say which are padding."""
    centre, width = _numbers(header, "WindowCenter"), _numbers(header, "WindowWidth")
    if centre and width:
        shares = _in_window(values, centre[0], width[0], str(header.get("VOILUTFunction") or "LINEAR").upper())
    elif (table := _table_in(header, "VOILUTSequence")) is not None:
        shares = table.look_up(values) / ((1 << table.bits) - 1)
    else:
        padding = _is_padding(header, stored)
        low, high = np.percentile(values if padding.all() else values[~padding], _PERCENTILES)
        shares = (values - low) / max(high - low, np.finfo(np.float64).tiny)
        shares[padding] = header.PhotometricInterpretation == "MONOCHROME1"
    seen: Pixels = np.round(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return seen


def _in_window(values: Floats, centre: float, width: float, function: str) -> Floats:
    """Give the part of full brightness that a window shows values with: PS3.3 C.11.2.1.2.1, and C.11.2.1.3 for the
    other functions. A linear window of width 1 is a threshold."""
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise PictureError(f"its VOILUTFunction is {shown(function)}, which is not known here", "Export it anew.")
    if width < 1 if function == "LINEAR" else width <= 0:
        raise PictureError(f"its WindowWidth is {width:g}, which a {function} window cannot have", "Correct it.")
    if function == "SIGMOID":
        from penlight.tasks.links import sigmoid

        return sigmoid(4 * (values - centre) / width)
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _numbers(header: "Header", name: str) -> list[float]:
    """Read the numbers of an element; [] where it is absent or empty."""
    try:
        value = header.get(name)
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        numbers = [float(each) for each in values if each not in (None, "", b"")]
    except (ValueError, TypeError, OverflowError) as error:
        raise PictureError(f"its {name} is no number", "Export it anew.") from error
    if not np.isfinite(numbers).all():
        raise PictureError(f"its {name} is not finite", "Export it anew.")
    return numbers


def _whole(header: "Header", name: str, otherwise: int | None = None, *, least: int = 1) -> int:
    """Read a whole number; `otherwise` is what its absence stands for. PictureError for anything else."""
    numbers = _numbers(header, name)
    if not numbers and otherwise is not None:
        return otherwise
    if len(numbers) != 1 or numbers[0] < least or not numbers[0].is_integer():
        told = ", ".join(f"{number:g}" for number in numbers) or "missing"
        raise PictureError(
            f"its {name} is {told}, and should be a whole number of at least {least}", "Export it anew."
        )
    return int(numbers[0])
