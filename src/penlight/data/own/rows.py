"""What lies there: one row for each picture, as its folder or its manifest says it, before labels become numbers."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penlight.errors import DataError
from penlight.escaping import named

MOST_LABELS = 1000
"""Labels of a dataset."""

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What splits are called in folders and manifests, in lower case."""


@dataclass(frozen=True)
class ManifestRow:
    """One picture: its path from the folder of the pictures, with "/"; its labels as they are written; what is known
    of the patient and the picture, where the columns are there; the split, where one is given."""

    path: str
    values: tuple[str, ...]
    patient: str | None = None
    split: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """All rows, in an order that the source alone decides; `root` is the folder of the pictures; `missing` are paths
    of rows without a file; `ignored` are files without a row: no pictures, or pictures without a label."""

    root: Path
    rows: Sequence[ManifestRow]
    ignored: Sequence[str] = ()
    missing: Sequence[str] = ()


def split_named(text: str) -> str | None:
    """Give train, val or test for what a folder or a cell calls it; None for anything else."""
    return SPLIT_NAMES.get(text.strip().lower())


def composed(text: str) -> str:
    """Give a text with its accents composed (NFC), as some systems write them apart in file names."""
    return unicodedata.normalize("NFC", text)


def require_labels(rows: Sequence[ManifestRow], where: str) -> list[str]:
    """Give the different labels, sorted, in the order of their numbers where they are numbers.

    DataError for fewer than two, and for two that differ by case alone.
    """
    found = {value for row in rows for value in row.values}
    by_fold: dict[str, list[str]] = {}
    for value in sorted(found):
        by_fold.setdefault(value.casefold(), []).append(value)
    if alike := [" and ".join(values) for values in by_fold.values() if len(values) > 1]:
        raise DataError(f"{where}: labels that differ by case alone: {named(alike)}.", "Give each one name.")
    if len(found) < 2:
        has = f"one label alone, {next(iter(found))}" if found else "no labels"
        raise DataError(f"{where} has {has}; at least two are needed to learn to tell them apart.", "Add another.")
    if len(found) > MOST_LABELS:
        raise DataError(
            f"{where} has {len(found):,} different labels, more than {MOST_LABELS:,}.",
            "Check that the right column holds the labels.",
        )
    return sorted(found, key=lambda value: (0, int(value), "") if is_number(value) else (1, 0, value))


def is_number(text: str) -> bool:
    """Say whether a text is a whole number that fits 64 bits, in the digits 0 to 9."""
    return text.isascii() and text.isdecimal() and len(text) < 18
