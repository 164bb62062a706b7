"""DICOM: one frame as it would be shown, against the standard's own formulas; volumes are refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from penlight.data.pictures import DecodeOptions, load_picture, read_header
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
    from pydicom import dcmread

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


def encapsulated() -> bytes:
    from pydicom.encaps import encapsulate

    return dicom(syntax=JPEGLSLossless, PixelData=encapsulate([b"\xff\xd8\xff\xd9"]))


def deflated() -> bytes:
    return dicom(syntax=DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: dicom(NumberOfFrames=12), "12 frames, a volume or a film"),
        (lambda: dicom(Rows=None), "without pixels"),
        (lambda: dicom(Rows=60_000, Columns=60_000), "60000 x 60000 pixels, more than"),
        (lambda: dicom()[:-500], "cut off or damaged"),
        (encapsulated, r"its compression \(JPEG-LS"),
        (deflated, "deflated as a whole"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_shown_is_refused_by_name(content, message):
    with pytest.raises(PictureError, match=message) as caught:
        load_picture(content(), DecodeOptions(28, 1), "scan 7")
    assert "scan 7" in str(caught.value)
    assert caught.value.remedy
