"""DICOM: one frame as the picture a radiologist would be shown, by the file's own rescaling and window.

DICOM PS3.3 2024: modality LUT C.11.1, VOI LUT C.11.2, photometric interpretation C.7.6.3.1.2.
"""

import io
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import PictureError

if TYPE_CHECKING:
    from pydicom import Dataset as Header

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

# Without a window the values between these percentiles are shown: burnt-in letters and dead pixels do not count.
_PERCENTILES = (0.5, 99.5)

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META = 1 << 16

# Items of sequences, and parts of compressed pixels; pydicom needs about 700 bytes for an empty one.
_MOST_ITEMS = 20_000
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_MOST_SEGMENTS = 10_000

# What is read, apart from pixels; other elements are passed over, however many there are.
_READ = [
    "Rows", "Columns", "PhotometricInterpretation", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "WindowCenter",
    "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
    "RescaleType", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData", "FloatPixelData",
    "DoubleFloatPixelData", "PixelDataProviderURL", "PaletteColorLookupTableUID",
    *(f"{colour}PaletteColorLookupTable{what}" for colour in ("Red", "Green", "Blue", "Alpha")
      for what in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue", "Alpha")),
]  # fmt: skip

# A JPEG 2000 codestream begins with its marker and that of its size (ISO/IEC 15444-1, A.5.1).
_CODESTREAM = re.compile(rb"\xff\x4f\xff\x51(.{38})", re.DOTALL)


def read_size(content: bytes) -> tuple[int, int, bool]:
    """Read width, height, and whether it is in colour. PictureError for what `pixels` would refuse by its header."""
    header = _read(content, stop_before_pixels=True)
    return int(header.Columns), int(header.Rows), _in_colour(header)


def pixels(content: bytes, largest: int | None = None) -> Pixels:
    """Turn the bytes of a DICOM file into uint8 (H, W) or (H, W, 3); `largest` as in `pictures.load_with_header`.

    Grey values are rescaled, then windowed by the first window or lookup table in the file or, where it has none,
    between the 0.5th and 99.5th percentile of what is not padding; MONOCHROME1 is turned over, as white is dense.
    PictureError for several frames, for no pixels, and for a compression that is not known here.
    """
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    header = _read(content, largest=largest)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        bits = int(header.RedPaletteColorLookupTableDescriptor[2])
        return _to_eight_bits(apply_color_lut(pixel_array(header), header), bits)
    try:
        values = pixel_array(header)
    except (RuntimeError, NotImplementedError) as error:
        syntax = header.file_meta.TransferSyntaxUID.name
        raise PictureError(
            f"its compression ({syntax}) cannot be read here", "Uncompress it, with gdcmconv --raw for example."
        ) from error
    if _in_colour(header):
        return _to_eight_bits(values, header.BitsStored)
    counts = values != header.PixelPaddingValue if "PixelPaddingValue" in header else np.ones(values.shape, np.bool_)
    seen = _windowed(header, np.asarray(apply_modality_lut(values, header), np.float64), counts)
    return 255 - seen if header.PhotometricInterpretation == "MONOCHROME1" else seen


def _read(content: bytes, *, stop_before_pixels: bool = False, largest: int | None = None) -> "Header":
    from pydicom import dcmread

    from penlight.data.pictures import LARGEST_PIXELS, check_pixels

    # The file's own header is never compressed; what follows it may be, to a thousandth.
    if _DEFLATED in content[:_META]:
        raise PictureError("it is deflated as a whole", "Uncompress it, with gdcmconv --raw for example.")
    items = sum(content.count(tag) for tag in _ITEM_TAGS)
    if items > _MOST_ITEMS:
        raise PictureError(f"it has {items:,} items in sequences, more than {_MOST_ITEMS:,}", "Export it anew.")
    tags: list[Any] = list(_READ)
    header = dcmread(io.BytesIO(content), stop_before_pixels=stop_before_pixels, specific_tags=tags)
    if not all(word in header for word in ("Rows", "Columns", "PhotometricInterpretation")):
        raise PictureError("it is a DICOM file without pixels", "Leave it out.")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise PictureError(f"it has {frames} frames, a volume or a film", "Save the frame that is meant by itself.")
    check_pixels(header.Columns, header.Rows, LARGEST_PIXELS if largest is None else largest)
    samples = int(header.get("SamplesPerPixel", 1))
    if samples not in (1, 3, 4):
        raise PictureError(f"it says it has {samples} values for each pixel", "Save it in grey or in colour.")
    if "PixelData" in header and header.file_meta.TransferSyntaxUID.is_compressed:
        _check_compressed(header, header.PixelData)
    return header


def _check_compressed(header: "Header", data: bytes) -> None:
    """Raise PictureError where what is compressed says that it is larger than the header does, or has very many
    scans: decoders believe it, and not the header."""
    from penlight.data.pictures import check_scans

    check_scans(data)
    sizes = [_size_of_jpeg2000(match[1]) for match in _CODESTREAM.finditer(data)] or _sizes_of_jpeg(data)
    expected = (int(header.Columns), int(header.Rows))
    if wrong := [size for size in sizes if size[:2] != expected or size[2] > 4]:
        packed, told = (f"{width} x {height}" for width, height in (wrong[0][:2], expected))
        raise PictureError(
            f"its compressed pixels are {packed} of {wrong[0][2]} values, and its header says {told}",
            "Export it anew.",
        )


def _size_of_jpeg2000(segment: bytes) -> tuple[int, int, int]:
    """Read width, height and components from the SIZ segment, from its length on."""
    _, _, right, bottom, left, top = struct.unpack(">HHIIII", segment[:20])
    return right - left, bottom - top, int.from_bytes(segment[36:38])


def _sizes_of_jpeg(data: bytes) -> list[tuple[int, int, int]]:
    """Read width, height and components from the frame header of the first JPEG (ITU T.81, B.2.2); [] for none."""
    at = data.find(b"\xff\xd8") + 2
    for _ in range(_MOST_SEGMENTS if at > 1 else 0):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        head = data[at : at + 10]
        if len(head) < 10 or head[0] != 0xFF or head[1] == 0xDA:
            break
        if 0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC):
            return [(int.from_bytes(head[7:9]), int.from_bytes(head[5:7]), head[9])]
        at += 2 + int.from_bytes(head[2:4])
    return []


def _in_colour(header: "Header") -> bool:
    return int(header.get("SamplesPerPixel", 1)) > 1 or header.PhotometricInterpretation == "PALETTE COLOR"


def _to_eight_bits(values: NDArray[Any], bits: int) -> Pixels:
    if bits == 8:
        return values.astype(np.uint8)
    scaled: Pixels = np.round(values * (255.0 / ((1 << bits) - 1))).astype(np.uint8)
    return scaled


def _windowed(header: "Header", values: Floats, counts: NDArray[np.bool_]) -> Pixels:
    from pydicom.pixels.processing import apply_voi

    if "WindowCenter" in header and "WindowWidth" in header:
        centre, width = _first(header.WindowCenter), _first(header.WindowWidth)
        shares = _in_window(values, centre, width, header.get("VOILUTFunction"))
    elif header.get("VOILUTSequence"):
        top = (1 << int(header.VOILUTSequence[0].LUTDescriptor[2])) - 1
        shares = np.asarray(apply_voi(values.astype(np.int64), header), np.float64) / top
    else:
        low, high = np.percentile(values[counts] if counts.any() else values, _PERCENTILES)
        shares = (values - low) / max(high - low, np.finfo(np.float64).tiny)
    seen: Pixels = np.round(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return seen


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__getitem__") and not isinstance(value, str) else value)


def _in_window(values: Floats, centre: float, width: float, function: str | None) -> Floats:
    """Give the part of full brightness that a window shows values with: PS3.3 C.11.2.1.2.1, and C.11.2.1.3 for the
    other functions. A linear window of width 1 is a threshold."""
    if function == "SIGMOID":
        from penlight.tasks.links import sigmoid

        return sigmoid(4 * (values - centre) / max(width, 1e-6))
    if function == "LINEAR_EXACT":
        return (values - centre) / max(width, 1e-6) + 0.5
    return (values - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5
