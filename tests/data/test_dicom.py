"""DICOM: one frame as it would be shown, against the standard's own formulas; volumes are refused by name."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    MPEG4HP41,
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from penlight.data import pictures
from penlight.data.dicom import pixels as dicom_pixels
from penlight.data.dicom import read_size
from penlight.data.pictures import DecodeOptions, is_dicom, load_picture, read_header
from penlight.errors import PictureError
from tests.data.pixels import read_picture

VALUES = np.arange(28 * 28, dtype=np.uint16).reshape(28, 28)


def dicom(pixels: np.ndarray = VALUES, syntax: str = ExplicitVRLittleEndian, **changes) -> bytes:
    """A minimal file; `changes` are attributes, None takes one away."""
    scan = Dataset()
    scan.file_meta = FileMetaDataset()
    scan.file_meta.TransferSyntaxUID = syntax
    scan.SOPClassUID, scan.SOPInstanceUID = CTImageStorage, generate_uid()
    scan.file_meta.MediaStorageSOPClassUID = CTImageStorage
    scan.file_meta.MediaStorageSOPInstanceUID = scan.SOPInstanceUID
    scan.Rows, scan.Columns = pixels.shape[:2]
    scan.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    scan.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        scan.PlanarConfiguration = 0
    scan.BitsAllocated = scan.BitsStored = pixels.dtype.itemsize * 8
    scan.HighBit = scan.BitsStored - 1
    scan.PixelRepresentation = int(pixels.dtype.kind == "i")
    scan.PixelData = pixels.tobytes()
    for name, value in changes.items():
        if value is None:
            delattr(scan, name)
        else:
            setattr(scan, name, value)
    stream = io.BytesIO()
    scan.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_a_window_is_that_of_the_standard():
    """PS3.3 C.11.2.1.2.1, pseudo-code: centre 300, width 101, on values rescaled by 2 x - 100."""
    content = dicom(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=300, WindowWidth=101)
    x = VALUES * 2.0 - 100
    y = ((x - 299.5) / 100 + 0.5) * 255
    expected = np.round(np.clip(y, 0, 255))
    np.testing.assert_array_equal(load_picture(content, DecodeOptions(28, 1))[..., 0], expected)


@pytest.mark.parametrize(
    ("function", "shares"),
    [
        ("LINEAR_EXACT", lambda x: (x - 300) / 100 + 0.5),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 300) / 100))),
    ],
)
def test_other_functions_of_the_window(function, shares):
    content = dicom(WindowCenter=[300, 1], WindowWidth=[100, 1], VOILUTFunction=function)
    expected = np.round(np.clip(shares(VALUES.astype(float)), 0, 1) * 255)
    np.testing.assert_array_equal(read_picture(content)[..., 0], expected)


def test_without_a_window_percentiles_are_shown():
    values = VALUES.copy()
    values[0, 0] = 60_000
    low, high = np.percentile(values, [0.5, 99.5])
    expected = np.round(np.clip((values - low) / (high - low), 0, 1) * 255)
    np.testing.assert_array_equal(read_picture(dicom(values))[..., 0], expected)
    assert not read_picture(dicom(np.full((28, 28), 7, np.uint16))).any()
    padded = VALUES.copy()
    padded[:14] = 65_535
    expected = read_picture(dicom(VALUES[14:].copy()))
    np.testing.assert_array_equal(read_picture(dicom(padded, PixelPaddingValue=65_535))[14:], expected)


def test_a_lookup_table_is_used_where_there_is_no_window():
    table = Dataset()
    table.LUTDescriptor = [784, 0, 12]
    table.LUTData = np.minimum(np.arange(784) * 8, 4095).astype("<u2").tobytes()
    pixels = read_picture(dicom(VOILUTSequence=[table]))[..., 0]
    np.testing.assert_array_equal(pixels, np.round(np.minimum(VALUES * 8.0, 4095) / 4095 * 255))


def test_monochrome1_is_turned_over():
    window = {"WindowCenter": 392, "WindowWidth": 784}
    plain = read_picture(dicom(**window))
    np.testing.assert_array_equal(read_picture(dicom(PhotometricInterpretation="MONOCHROME1", **window)), 255 - plain)


def test_signed_values_and_colour():
    signed = (VALUES.astype(np.int16) - 400).astype(np.int16)
    assert read_picture(dicom(signed, WindowCenter=-400, WindowWidth=2))[0, 5, 0] == 255
    colour = np.random.default_rng(0).integers(0, 256, (20, 28, 3), np.uint8)
    np.testing.assert_array_equal(read_picture(dicom(colour)), colour)


def test_run_lengths_are_read():
    scan = dcmread(io.BytesIO(dicom(WindowCenter=392, WindowWidth=784)))
    scan.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    scan.save_as(stream)
    np.testing.assert_array_equal(
        read_picture(stream.getvalue()), read_picture(dicom(WindowCenter=392, WindowWidth=784))
    )


def test_the_header_is_read(tmp_path: Path):
    path = tmp_path / "IM000001"
    path.write_bytes(dicom(np.zeros((20, 30), np.uint16)))
    look = read_header(path)
    assert (look.width, look.height, look.colour, look.bits) == (30, 20, False, 0)


def packed(frame: bytes, syntax: str, like: np.ndarray = VALUES, **changes) -> bytes:
    return dicom(like, syntax, PixelData=encapsulate([frame + bytes(len(frame) % 2)]), **changes)


def test_a_deflated_file_is_read_up_to_a_limit(monkeypatch):
    np.testing.assert_array_equal(read_picture(dicom(syntax=DeflatedExplicitVRLittleEndian)), read_picture(dicom()))
    with pytest.raises(PictureError, match="deflated and cut off"):
        read_picture(dicom(syntax=DeflatedExplicitVRLittleEndian)[:-100])
    content = dicom(syntax=DeflatedExplicitVRLittleEndian)
    with pytest.raises(PictureError, match="deflated, and does not say from where on"):
        read_picture(content[:140] + b"\x00\x00\x00\x00" + content[144:])
    monkeypatch.setattr("penlight.data.dicom._LARGEST_INFLATED", 1000)
    with pytest.raises(PictureError, match="deflated to more than 1,000 bytes"):
        read_picture(dicom(syntax=DeflatedExplicitVRLittleEndian))


WINDOW = {"WindowCenter": 392, "WindowWidth": 784}


@pytest.mark.parametrize(
    ("odd", "like"),
    [
        # Empty is as if it were not there.
        ({"WindowCenter": "", "WindowWidth": ""}, {}),
        ({"WindowCenter": 300, "WindowWidth": ""}, {}),
        ({**WINDOW, "RescaleSlope": "", "RescaleIntercept": ""}, WINDOW),
        ({**WINDOW, "RescaleSlope": "", "RescaleIntercept": 10}, {"WindowCenter": 382, "WindowWidth": 784}),
        ({**WINDOW, "VOILUTSequence": [], "ModalityLUTSequence": []}, WINDOW),
        ({"VOILUTSequence": [Dataset()]}, {}),
        ({**WINDOW, "NumberOfFrames": 0, "VOILUTFunction": "", "RescaleType": "HU"}, WINDOW),
        # The first of several counts.
        ({"WindowCenter": [392, 40], "WindowWidth": [784, 400, 1]}, WINDOW),
        ({**WINDOW, "PhotometricInterpretation": "monochrome2 "}, WINDOW),
        ({**WINDOW, "SamplesPerPixel": None}, WINDOW),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_odd_headers_are_read(odd, like):
    np.testing.assert_array_equal(read_picture(dicom(**odd)), read_picture(dicom(**like)))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_a_preamble_or_their_encoding_are_read(syntax, tmp_path: Path):
    values = VALUES.byteswap() if syntax == ExplicitVRBigEndian else VALUES
    whole = dicom(values, syntax, **WINDOW)
    meta = 144 + int.from_bytes(whole[140:144], "little")
    for content in (whole, whole[meta:], *([whole[132:]] if syntax != ExplicitVRBigEndian else [])):
        np.testing.assert_array_equal(read_picture(content), read_picture(dicom(**WINDOW)))
    (tmp_path / "IM0001").write_bytes(whole[meta:])
    assert is_dicom(tmp_path / "IM0001")


@pytest.mark.parametrize(
    "content", [b"", b"\x08\x00", b"\x02\x00\x00\x00\x00\x00\x00\x00" * 20, b"\x89PNG", b"II*\x00" * 40]
)
def test_other_files_are_not_taken_for_dicom(content):
    assert not is_dicom(content)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("ends", [(60_000, 65_535), (65_535, 60_000), (-5_536, -1)])
def test_padding_may_be_a_range(kind, ends):
    """It takes no part in the contrast, and is black; some files say it as signed where pixels are not."""
    values = VALUES.copy()
    values[:14] = np.linspace(60_000, 65_535, 14 * 28).reshape(14, 28)
    content = dicom(values, PhotometricInterpretation=kind)
    at = content.index(struct.pack("<HH2s", 0x0028, 0x0103, b"US"))
    elements = b"".join(
        struct.pack("<HH2sHH", 0x0028, tag, b"US", 2, end % 65_536)
        for tag, end in zip((0x0120, 0x0121), ends, strict=True)
    )
    seen = read_picture(content[: at + 10] + elements + content[at + 10 :])
    np.testing.assert_array_equal(seen[14:], read_picture(dicom(VALUES[14:].copy(), PhotometricInterpretation=kind)))
    assert not seen[:14].any()


def test_padding_of_signed_values_is_read():
    values = VALUES.astype(np.int16) - 400
    expected = read_picture(dicom(values[14:].copy()))
    values[:14] = -2000
    seen = read_picture(dicom(values, PixelPaddingValue=-2000))
    np.testing.assert_array_equal(seen[14:], expected)
    assert not seen[:14].any()


def lut(n: int, first: int, bits: int, data, kind: str = "OW") -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [n % 65_536, first, bits])
    table.add_new("LUTData", kind, data)
    return table


def test_lookup_tables_have_more_entries_than_values_of_eight_bits():
    """Tables from 12 bits to 8 are usual in mammography."""
    curve = (np.arange(784) // 4).astype(np.uint16)
    for table in (
        lut(784, 0, 8, curve.astype("<u2").tobytes()),
        lut(784, 0, 8, curve.astype(np.uint8).tobytes(), "OB"),
    ):
        np.testing.assert_array_equal(read_picture(dicom(VOILUTSequence=[table]))[..., 0], curve.reshape(28, 28))


def test_a_modality_table_comes_before_the_window():
    table = lut(784, 0, 16, (np.arange(784, dtype="<u2") * 2).tobytes())
    expected = read_picture(dicom(VALUES * 2, **WINDOW))
    np.testing.assert_array_equal(
        read_picture(dicom(ModalityLUTSequence=[table], RescaleSlope=9, **WINDOW)), expected
    )


def test_palettes_are_resolved():
    indices = np.arange(784, dtype=np.uint16).reshape(28, 28) % 400
    colours = np.random.default_rng(0).integers(0, 256, (400, 3), np.uint16)
    for bits, top in ((8, 1), (16, 257)):
        palette = {
            f"{name}PaletteColorLookupTable{what}": value
            for name, column in zip(("Red", "Green", "Blue"), colours.T, strict=True)
            for what, value in {
                "Descriptor": [400, 0, bits],
                "Data": (column * top).astype(np.uint8 if bits == 8 else "<u2").tobytes(),
            }.items()
        }
        content = dicom(indices, PhotometricInterpretation="PALETTE COLOR", **palette)
        np.testing.assert_array_equal(read_picture(content), colours[indices])


def test_ybr_is_turned_into_rgb():
    colour = np.full((28, 28, 3), (76, 85, 255), np.uint8)
    seen = read_picture(dicom(colour, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(seen.astype(int) - (254, 0, 0)).max() <= 1


def test_values_are_taken_from_the_bits_that_the_file_names():
    """Overlays may be in the bits above them and, in old files, below."""
    window = {"WindowCenter": 512, "WindowWidth": 1024}
    expected = read_picture(dicom(**window))
    above = dicom(VALUES | 0xA000, BitsStored=12, HighBit=11, **window)
    below = dicom(VALUES << 4 | 0x5, BitsStored=12, HighBit=15, **window)
    np.testing.assert_array_equal(read_picture(above), expected)
    np.testing.assert_array_equal(read_picture(below), expected)
    signed = (VALUES.astype(np.int16) - 400) << 4
    shifted = dicom(signed, BitsStored=12, HighBit=15, WindowCenter=112, WindowWidth=1024)
    np.testing.assert_array_equal(read_picture(shifted), expected)


def film(**changes) -> bytes:
    """Five frames, each brighter."""
    frames = np.stack([np.full((28, 28), 50 * i, np.uint16) for i in range(5)])
    window = {} if changes else {"WindowCenter": 128, "WindowWidth": 256}
    return dicom(PixelData=frames.tobytes(), NumberOfFrames=5, **window, **changes)


@pytest.mark.parametrize(("frame", "grey"), [("first", 0), ("middle", 100)])
def test_one_frame_of_several_is_taken(frame, grey):
    image = load_picture(film(), DecodeOptions(28, 1, which_frame=frame))
    assert (image == grey).all()
    assert read_size(film()) == (28, 28, False)


def test_a_frame_of_compressed_ones_is_taken():
    scan = dcmread(io.BytesIO(film()))
    scan.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    scan.save_as(stream)
    assert (load_picture(stream.getvalue(), DecodeOptions(28, 1, which_frame="middle")) == 100).all()


def test_enhanced_files_keep_the_window_with_their_frames():
    def group(**values) -> Dataset:
        own, outer = Dataset(), Dataset()
        for name, value in values.items():
            setattr(own, name, value)
        name = "FrameVOILUTSequence" if "WindowCenter" in values else "PixelValueTransformationSequence"
        setattr(outer, name, [own])
        return outer

    content = film(
        SharedFunctionalGroupsSequence=[group(RescaleSlope=2, RescaleIntercept=-10)],
        PerFrameFunctionalGroupsSequence=[group(WindowCenter=100 * i, WindowWidth=101) for i in range(5)],
    )
    (value,) = np.unique(load_picture(content, DecodeOptions(28, 1, which_frame="middle")))
    assert value == round(255 * ((100 * 2 - 10 - (200 - 0.5)) / 100 + 0.5))


def without(name: str) -> bytes:
    return dicom(**{name: None})


def raw(tag: int, kind: bytes, value: bytes) -> bytes:
    """The file with the bytes of an element, whatever they say."""
    content = dicom(**WINDOW, RescaleSlope=1, RescaleIntercept=0)
    at = content.index(struct.pack("<HH", 0x0028, tag))
    n = int.from_bytes(content[at + 6 : at + 8], "little")
    return content[:at] + struct.pack("<HH2sH", 0x0028, tag, kind, len(value)) + value + content[at + 8 + n :]


def jpeg_ls(width: int = 28, height: int = 28) -> bytes:
    return struct.pack(">HHHBHHB3s", 0xFFD8, 0xFFF7, 11, 16, height, width, 1, b"\x01\x11\x00")


def report(kind: str) -> bytes:
    scan = dcmread(io.BytesIO(dicom()))
    for name in ("Rows", "Columns", "PixelData", "PhotometricInterpretation"):
        delattr(scan, name)
    scan.SOPClassUID = scan.file_meta.MediaStorageSOPClassUID = kind
    stream = io.BytesIO()
    scan.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: dicom(NumberOfFrames=12), "12 frames, a volume or a film"),
        (lambda: dicom(Rows=None), "without pixels"),
        (lambda: dicom(Rows=60_000, Columns=60_000), "60000 x 60000 pixels, more than"),
        (lambda: dicom()[:-500], "cut off or damaged"),
        (lambda: dicom(NumberOfFrames=12), "takes one of them"),
        (lambda: without("PixelData"), "without pixels"),
        (lambda: dicom(PixelData=b""), "without pixels, or cut off"),
        (lambda: dicom(Rows=0), "its Rows is 0, and should be a whole number"),
        (lambda: raw(0x0010, b"DS", b"many"), "its Rows is no number"),
        (lambda: raw(0x0010, b"US", b"\x1c\x00\x1c\x00"), "its Rows is 28, 28, and should be a whole number"),
        (lambda: raw(0x0010, b"SS", b"\xe4\xff"), "its Rows is -28, and should be a whole number"),
        (lambda: raw(0x1051, b"DS", b"wide"), "its WindowWidth is no number"),
        (lambda: raw(0x1051, b"DS", b"nan "), "its WindowWidth is not finite"),
        (lambda: dicom(WindowCenter=300, WindowWidth=0), "its WindowWidth is 0, which a LINEAR window cannot have"),
        (lambda: dicom(WindowCenter=300, WindowWidth=-50), "its WindowWidth is -50"),
        (lambda: dicom(**WINDOW, VOILUTFunction="CUBIC"), "its VOILUTFunction is 'CUBIC', which is not known"),
        (lambda: raw(0x1053, b"DS", b"nan "), "its RescaleSlope is not finite"),
        (lambda: raw(0x1053, b"DS", b"abc "), "its RescaleSlope is no number"),
        (lambda: raw(0x1053, b"DS", b"0 "), "its RescaleSlope is 0, which makes all values the same"),
        (lambda: without("PhotometricInterpretation"), "does not say if 0 is black or white"),
        (lambda: dicom(PhotometricInterpretation="HSV"), "its PhotometricInterpretation is 'HSV', which is not read"),
        (lambda: dicom(PhotometricInterpretation="RGB"), "it says it is RGB, with 1 values for each pixel"),
        (lambda: dicom(SamplesPerPixel=3), "it says it is MONOCHROME2, with 3 values"),
        (lambda: dicom(BitsStored=17), "'Bits Stored' value of '17' is invalid"),
        (lambda: dicom(BitsAllocated=12), "'Bits Allocated' value of '12' is invalid"),
        (lambda: without("PixelRepresentation"), "'Pixel Representation'"),
        (lambda: dicom(VOILUTSequence=[lut(784, 0, 12, b"1234")]), "its LUTData has 4 values of 784"),
        (lambda: dicom(VOILUTSequence=[lut(784, 0, 40, b"1234")]), "its LUTDescriptor is not that of a table"),
        (lambda: packed(b"0000", MPEG4HP41), "it is a video"),
        (
            lambda: dicom().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0"),
            "its encoding .* is not known here",
        ),
        (lambda: packed(b"0000", "1.2.840.10008.1.2.4.94"), r"its encoding \(JPIP Referenced\) is not known here"),
        (lambda: packed(b"0000", JPEGExtended12Bit, BitsStored=12), "Process 2 and 4.*12 bits.* cannot be read here"),
        (lambda: packed(b"\xff\xd8\xff\xd9", JPEGLosslessSV1), "do not say how many they are"),
        (lambda: packed(b"hello, world", JPEG2000), "do not say how many they are"),
        (lambda: report(EncapsulatedPDFStorage), r"a DICOM file \(Encapsulated PDF Storage\) without pixels"),
        (lambda: report(ComprehensiveSRStorage), r"a DICOM file \(Comprehensive SR Storage\) without pixels"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_shown_is_refused_by_name(content, message):
    with pytest.raises(PictureError, match=message) as caught:
        load_picture(content(), DecodeOptions(28, 1), "scan 7")
    assert "scan 7" in str(caught.value)
    assert caught.value.remedy


def compressed(name: str) -> bytes:
    return Path(get_testdata_file(name, download=False)).read_bytes()


def test_a_compression_that_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    content = compressed("MR_small_jpeg_ls_lossless.dcm")
    for read in (read_picture, read_size):
        with pytest.raises(PictureError, match=r"its compression \(JPEG-LS .*\) .* pip install 'penlight\[dicom\]'"):
            read(content)


LIES = [
    (
        lambda: packed(jpeg_ls(20_000, 20_000), JPEGLSLossless),
        "are 20000 x 20000 of 1 values, .* 28 x 28 of 1 values",
    ),
    (lambda: packed(jpeg_ls() + b"0" * 60, JPEGLSLossless), "cut off or damaged"),
    (lambda: compressed("MR_small_jpeg_ls_lossless.dcm")[:-500], "without pixels, or cut off"),
]


@pytest.mark.parametrize(("content", "message"), LIES)
@pytest.mark.filterwarnings("ignore")
def test_compressed_pixels_are_checked_before_they_are_unpacked(content, message):
    pytest.importorskip("jpeg_ls")
    with pytest.raises(PictureError, match=message):
        read_picture(content())


def test_components_of_jpeg_2000_must_be_alike():
    """A decoder believes the first of them for all."""
    content = bytearray(compressed("SC_rgb_gdcm_KY.dcm"))
    at = content.index(b"\xff\x4f\xff\x51") + 4 + 38 + 3
    content[at] = 15
    with pytest.raises(PictureError, match="do not say how many they are"):
        read_picture(bytes(content))


def expected_of(path: Path) -> np.ndarray:
    """A file as pydicom reads it, scaled over its window or, without one, over percentiles: 0 to 255, (H, W[, 3])."""
    scan = dcmread(path)
    values = pixel_array(scan, index=scan.get("NumberOfFrames", 1) // 2 if scan.get("NumberOfFrames", 1) > 1 else 0)
    if scan.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(values, scan) / (2 ** scan.RedPaletteColorLookupTableDescriptor[2] - 1) * 255
    if scan.SamplesPerPixel == 3:
        return values / (2**scan.BitsStored - 1) * 255
    rescaled = apply_modality_lut(values, scan)
    if "WindowWidth" in scan:
        signed = 2 ** (scan.BitsStored - 1) * scan.PixelRepresentation
        ends = np.array([-signed, 2**scan.BitsStored - 1 - signed])
        low, high = ends * scan.get("RescaleSlope", 1) + scan.get("RescaleIntercept", 0)
        rescaled = apply_voi_lut(rescaled, scan)
    else:
        low, high = np.percentile(rescaled[values != scan.get("PixelPaddingValue", np.nan)], (0.5, 99.5))
    grey = np.clip((rescaled - low) / max(high - low, 1e-300), 0, 1) * 255
    return 255 - grey if scan.PhotometricInterpretation == "MONOCHROME1" else grey


# Files that come with pydicom and that neither it nor Penlight makes a picture of, with what Penlight says of each.
UNREADABLE = {
    "JPEG-lossy.dcm": "its compression .*of 12 bits.* cannot be read here",
    "JPGExtended.dcm": "its compression .*of 12 bits.* cannot be read here",
    "JPEG2000-embedded-sequence-delimiter.dcm": "its compressed pixels are 3722445056 x 1024",
    "MR_truncated.dcm": r"cut off or damaged \(The number of bytes of pixel data is less than expected",
    "badVR.dcm": "its NumberOfFrames is no number",
}


@pytest.mark.filterwarnings("ignore")
def test_all_files_of_pydicom_are_read_as_pydicom_reads_them():
    """Within half a grey level, which is what rounding takes."""
    pytest.importorskip("openjpeg")
    pytest.importorskip("jpeg_ls")
    root = Path(get_testdata_file("CT_small.dcm", download=False)).parent
    refused: dict[str, str] = {}
    n = 0
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        if not is_dicom(path):
            continue
        try:
            with pictures._naming(path, ""):
                seen = dicom_pixels(path.read_bytes(), frame="middle")
        except PictureError as error:
            refused[path.name] = str(error)
            continue
        n += 1
        assert np.abs(seen - expected_of(path)).max() <= 0.5 + 1e-6, path.name
    assert n == 88
    odd = {name: said for name, said in refused.items() if "without pixels" not in said}
    assert odd.keys() == UNREADABLE.keys()
    for name, said in odd.items():
        assert re.search(UNREADABLE[name], said), said
