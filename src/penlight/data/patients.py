"""Patients of images whose file does not name them, from a table by image hash.

Whoever has the originals of a public dataset may know whose an image is. A file <name>-patients.csv with the columns
`sha256` and `patient`, in a folder of PENLIGHT_DATA or in ~/.medmnist, says so: the hash is that of the pixels of an
image as the npz has them, row by row, and one table may hold those of several sizes.
"""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import Split
from penlight.data.folders import data_folders, find_file
from penlight.errors import DataError

HEADER = ["sha256", "patient"]
_LARGEST = 64 << 20
_LONGEST_NAME = 200


def patients_file(name: str) -> Path | None:
    """Find the table of a dataset's patients; None if there is none."""
    return find_file([folder / f"{name}-patients.csv" for folder in data_folders()])


def image_hash(image: NDArray[np.uint8]) -> str:
    """Hash the pixels of an image (H, W) or (H, W, C): SHA-256 in hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def with_patients(splits: Mapping[str, Split], path: Path) -> dict[str, Split]:
    """Name the patient of each image by the table at `path`.

    DataError for a table that cannot be read, that gives one image two patients, or that lacks an image.
    """
    patient_of = _read(path)
    named: dict[str, Split] = {}
    missing = 0
    for name, split in splits.items():
        patients = [patient_of.get(image_hash(image), "") for image in split.images]
        missing += patients.count("")
        named[name] = replace(split, patients=np.array(patients, np.str_))
    if missing:
        n = sum(map(len, splits.values()))
        raise DataError(
            f"{path} does not say whose {missing:,} of {n:,} images are.",
            "It must have the hash of every image at this size; complete it, or take it away.",
        )
    return named


def _read(path: Path) -> dict[str, str]:
    try:
        content = disk.read_named(path, _LARGEST)
        rows = list(csv.reader(io.StringIO(content.decode()), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}.", "Save it as CSV in UTF-8.") from error
    if not rows or rows[0] != HEADER:
        raise DataError(f"{path} must begin with the line {','.join(HEADER)}.", "Add it.")
    patient_of: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 2 or len(row[0]) != 64 or not 0 < len(row[1]) <= _LONGEST_NAME:
            raise DataError(f"Line {number} of {path} must be a SHA-256 of 64 digits and a patient.", "Correct it.")
        digest = row[0].lower()
        if patient_of.setdefault(digest, row[1]) != row[1]:
            raise DataError(f"Line {number} of {path} gives an image a second patient.", "Correct it.")
    return patient_of
