"""Pictures that are .npy files: one array for each, in class folders or beside a table, as any other picture."""

import io
from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.data import open_dataset
from penlight.data.pictures import DecodeOptions, load_picture, read_header
from penlight.errors import PictureError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (28, 28), np.uint8)
COLOUR = RANDOM.integers(0, 256, (28, 28, 3), np.uint8)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=True)
    return file.getvalue()


def test_class_folders_of_arrays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = {}
    for i in range(40):
        kind = ("cat", "dog")[i % 2]
        values = RANDOM.integers(0, 200, (28, 28), np.uint8)
        written[values.tobytes()] = i % 2
        Path("d", kind).mkdir(parents=True, exist_ok=True)
        np.save(f"d/{kind}/{i}.npy", values if i % 4 else (values / 255).astype(np.float32))
    found = pl.new_dataset("d")
    dataset = open_dataset(found.description)
    assert found.channels == 1
    images = [(image, label) for split in dataset.splits.values()
              for image, label in zip(split.images, split.labels, strict=True)]  # fmt: skip
    assert {image.tobytes(): int(label[0]) for image, label in images} == written


@pytest.mark.parametrize(
    ("array", "image"),
    [
        (GREY, GREY),
        (GREY[np.newaxis], GREY),
        (GREY[..., np.newaxis], GREY),
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, -1, 0), COLOUR),
        (np.asfortranarray(COLOUR), COLOUR),
        (GREY.astype(np.uint16) * 257, GREY),
        ((GREY / 255).astype(np.float32), GREY),
        (GREY > 128, (GREY > 128) * np.uint8(255)),
    ],
)
def test_shapes_and_types_of_an_array(array: np.ndarray, image: np.ndarray) -> None:
    reading = DecodeOptions(28, 3 if image.ndim == 3 else 1)
    assert (load_picture(npy(array), reading) == image.reshape(28, 28, -1)).all()
    header = read_header(npy(array))
    assert (header.width, header.height, header.colour) == (28, 28, image.ndim == 3)
    assert header.bits == (16 if array.dtype == np.uint16 else 8)


HUGE = (
    b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9000, 9000)}".ljust(117) + b"\n"
)
BAD = {
    "floats of 0 to 255": (npy(GREY * 1.0), "floats of 0 to 255, and those of 0 to 1 are read"),
    "no numbers": (npy(np.full((5, 5), np.nan)), "floats of nan to nan"),
    "below zero": (npy(GREY.astype(int) - 300), "its values are of -300 to -45, and those of 0 to 65535"),
    "two readings of a shape": (npy(np.zeros((3, 28, 3))), r"shape \(3, 28, 3\) is not that of one picture"),
    "many pictures": (npy(np.zeros((9, 28, 28, 3), np.uint8)), r"shape \(9, 28, 28, 3\) is not that of one"),
    "four channels": (npy(np.zeros((28, 28, 4), np.uint8)), "is not that of one picture"),
    "objects": (npy(np.array([{}, {}])), "pickled objects are never loaded"),
    "texts": (npy(np.array([["a"]])), "its values are of the type <U1"),
    "complex numbers": (npy(np.zeros((3, 3), complex)), "dtype complex128"),
    "nothing": (npy(np.zeros((0, 5))), "is empty"),
    "cut off": (npy(GREY)[:-5], "says it holds 784 bytes.*but the file has 779"),
    "a header alone": (npy(GREY)[:20], "not an array in npy format"),
    "a lying header": (HUGE, "says it holds 81,000,000 bytes in shape"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_another_array_is_named(what: str) -> None:
    content, reason = BAD[what]
    with pytest.raises(PictureError, match=reason) as caught:
        load_picture(content, DecodeOptions(28, 1))
    assert len(str(caught.value)) < 400
