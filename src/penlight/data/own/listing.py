"""What a layout is, and what it gives: a row for each picture, before labels become numbers; and the files of a
folder that layouts look for pictures in."""

import os
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from penlight.data.pictures import SUFFIXES, is_dicom
from penlight.errors import DataError
from penlight.escaping import named

MOST_LABELS = 1000
"""Labels of a dataset."""

_SPLIT_NAMES: Mapping[str, Sequence[str]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class PictureRow:
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
    rows: Sequence[PictureRow]
    ignored: Sequence[str] = ()
    missing: Sequence[str] = ()


class PictureLayout(ABC):
    """How labels are laid out on disk; a member of `layouts.LAYOUTS`. An instance holds its options, which stand in
    the table `[images]` of a description.

    `options` are their keys there, with types. `suffixes` are the endings of the file that says the labels, in lower
    case; none where a folder says them. A layout without options has `find_in` and `list_rows` alone.
    """

    options: ClassVar[Mapping[str, type]] = {}
    suffixes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @abstractmethod
    def find_in(cls, folder: Path, tree: "Tree") -> Path | None:
        """Give what says the labels of a folder: itself or a file in it; None if it does not have this layout.
        DataError if it may have another one as well."""

    @classmethod
    def propose(cls, source: Path, *, several: bool = False) -> Self:
        """Find out the options from what says the labels; `several` says that a picture may have several labels, or
        none. DataError if they cannot be told."""
        return cls()

    @classmethod
    def from_table(cls, images: Mapping[str, Any]) -> Self | None:
        """Read the options from the table `[images]`, whose types are checked; None if it is of another layout.
        DataError for what is not valid."""
        return cls()

    def to_table(self) -> dict[str, Any]:
        """Give the options as `from_table` reads them."""
        return {}

    @abstractmethod
    def list_rows(self, folder: Path, name: str, tree: "Tree") -> Listing:
        """Read the rows from what says the labels, `name` in or below a folder, and find their pictures in the tree
        of the pictures. DataError says what is wrong."""


def split_named(text: str) -> str | None:
    """Give train, val or test for what a folder or a cell calls it; None for anything else."""
    name = text.strip().lower()
    return next((split for split, names in _SPLIT_NAMES.items() if name in names), None)


def composed(text: str) -> str:
    """Give a text with its accents composed (NFC), as some systems write them apart in file names."""
    return unicodedata.normalize("NFC", text)


def require_labels(rows: Sequence[PictureRow], where: str) -> list[str]:
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
    return sorted_labels(found)


def sorted_labels(values: Iterable[str]) -> list[str]:
    """Sort names of labels, numbers first and by their value."""
    return sorted(values, key=lambda value: (0, int(value), "") if is_number(value) else (1, 0, value))


def is_number(text: str) -> bool:
    """Say whether a text is a whole number that fits 64 bits, in the digits 0 to 9."""
    return text.isascii() and text.isdecimal() and len(text) < 18


@dataclass(frozen=True)
class Tree:
    """The files below a folder, by their paths from it, sorted: those that are pictures by their name, and others."""

    root: Path
    pictures: list[str]
    others: list[str]


def walk(root: Path) -> Tree:
    """List a folder. DataError if it is not there, cannot be read, or holds a link that leads out of it.

    Links to folders within it are not followed, so that no picture stands twice.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.", "Check the path.")
    paths = sorted(_files(root))
    if strange := [path for path in paths if path.encode(errors="ignore").decode() != path]:
        raise DataError(
            f"{root} has file names that are not UTF-8: {named(map(repr, strange))}.", "Rename these files."
        )
    inside = root.resolve()
    links = [path for path in paths if (root / path).is_symlink()]
    if out := [path for path in links if not (root / path).resolve().is_relative_to(inside)]:
        raise DataError(f"{root} has links that lead out of it: {named(out)}.", "Copy the files, or remove them.")
    is_picture = {path: _is_picture(root / path) for path in paths}
    return Tree(root, *([path for path in paths if is_picture[path] is wanted] for wanted in (True, False)))


def _files(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root, onerror=_refuse):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not name.startswith(".")]
        for name in (*files, *links):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _is_picture(path: Path) -> bool:
    # macOS puts "._name.png" beside a picture on foreign disks; it holds no picture.
    if path.name.startswith(".") or not path.is_file():
        return False
    suffix = path.suffix.lower()
    # DICOM files often have no ending, or the last number of an identifier.
    return suffix in SUFFIXES or ((not suffix or suffix[1:].isdecimal()) and is_dicom(path))
