"""What a layout is, and what it gives: a row for each picture, before labels become numbers; and the files of a
folder that layouts look for pictures in."""

import os
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from penlight.data.pictures import is_dicom
from penlight.errors import DataError
from penlight.escaping import named
from penlight.formats import SUFFIXES

MOST_LABELS = 1000
"""Labels of a dataset."""

_MANY = 20
_BETWEEN_WORDS = re.compile(r"[\s_]+|(?<=[^\W\d])-(?=[^\W\d])")
_ADD = "Add another, or name another column with --label-column, or another level of folders with --folders."


@dataclass(frozen=True)
class AskedLayout:
    """What a person said of how a dataset is laid out, as the options of `penlight data new` are called; None or
    empty for what was not said. `several` says that a picture may have several labels, or none; `order` are the
    labels that were named, of which none is then a word for no finding."""

    several: bool = False
    order: Sequence[str] = ()
    path_column: str | None = None
    label_columns: Sequence[str] = ()
    patient_column: str | None = None
    split_column: str | None = None
    folders: str | None = None
    label_in_name: str | None = None
    patient_in_name: str | None = None
    separator: str | None = None
    label_map: Mapping[str, str] = field(default_factory=dict)
    join: Sequence[Path] = ()
    uncertain: str | None = None
    blank: str | None = None
    keep_rows: str | None = None
    drop_unlabelled: bool = False
    unnamed_patients: str | None = None
    skip_missing: bool = False
    ending: str | None = None
    file_names: str | None = None
    encoding: str | None = None
    ignore: Sequence[str] = ()
    frame: str | None = None


_SPLIT_NAMES: Mapping[str, Sequence[str]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class PictureRow:
    """One picture: its path from the folder of the pictures, with "/"; its labels as they are written; what is known
    of the patient and the picture, where the columns are there; the split, where one is given. `unknown` are the
    labels of which nothing is known."""

    path: str
    values: tuple[str, ...]
    patient: str | None = None
    split: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """All rows, in an order that the source alone decides; `root` is the folder of the pictures; `missing` are paths
    of rows without a file; `ignored` are files without a row: no pictures, or pictures without a label; `left_out`
    maps a reason to the pictures whose rows are left out for it, as the options of the layout ask for."""

    root: Path
    rows: Sequence[PictureRow]
    ignored: Sequence[str] = ()
    missing: Sequence[str] = ()
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


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
    def propose(cls, source: Path, tree: "Tree", asked: "AskedLayout") -> Self:
        """Find out the options from what says the labels and the files in the tree of the pictures, as far as a
        person has not said them. UndecidedError where they may be this or that, DataError if they cannot be told."""
        return cls()

    @property
    def source_is_file(self) -> bool:
        """Whether a file says the labels, or a folder."""
        return bool(self.suffixes)

    def account(self) -> Mapping[str, str]:
        """Say what was understood, in words, by what it is about: "labels", "patients", and so on."""
        return {}

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

    DataError for fewer than two, and for two that differ by case or by what stands between words alone.
    """
    found = {value for row in rows for value in row.values}
    by_fold: dict[str, list[str]] = {}
    for value in sorted(found):
        by_fold.setdefault(_BETWEEN_WORDS.sub(" ", value.casefold()), []).append(value)
    if alike := [" and ".join(values) for values in by_fold.values() if len(values) > 1]:
        case = all(len(set(map(str.casefold, values))) == 1 for values in by_fold.values())
        how = "case" if case else "case, blanks and marks"
        raise DataError(
            f"{where}: labels that differ by {how} alone: {named(alike)}.",
            "Give each one name, in the files or with --label-map.",
        )
    if len(found) < 2:
        has = f"one label alone, {next(iter(found))}" if found else "no labels"
        raise DataError(f"{where} has {has}; at least two are needed to learn to tell them apart.", _ADD)
    if len(found) > MOST_LABELS:
        raise DataError(
            f"{where} has {len(found):,} different labels, more than {MOST_LABELS:,}.",
            "Check that the right column holds the labels.",
        )
    if len(found) > _MANY and 2 * len(found) > len(rows) and all(len(row.values) == 1 for row in rows):
        raise DataError(
            f"{where} has {len(found)} different labels for {len(rows)} pictures: {named(sorted(found)[:3])}, ...",
            "Check that these are labels; --label-column names another column, --folders another level of folders.",
        )
    return sorted_labels(found)


def mapped(labels: Iterable[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Give labels their names, where there are any. DataError for one without."""
    found = list(labels)
    if names and (unknown := [label for label in found if label not in names]):
        raise DataError(f"The label {unknown[0]} has no name in the map of labels.", "Add it.")
    return tuple(dict.fromkeys(names.get(label, label) for label in found))


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

    def without(self, ignored: Callable[[str], bool]) -> "Tree":
        """Give the tree without the files that are `ignored`, by their paths."""
        return Tree(
            self.root, *([path for path in paths if not ignored(path)] for paths in (self.pictures, self.others))
        )

    def with_endings(self, endings: Container[str]) -> "Tree":
        """Give the tree in which files with another ending of `SUFFIXES` than these are no pictures."""
        strange = {path for path in self.pictures if _suffix(path) in SUFFIXES and _suffix(path) not in endings}
        return Tree(
            self.root, [path for path in self.pictures if path not in strange], sorted([*self.others, *strange])
        )


def walk(root: Path) -> Tree:
    """List a folder. DataError if it is not there, cannot be read, or holds a link that leads out of it.

    Links to folders within it are not followed, so that no picture stands twice.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.", "Check the path.")
    pictures: list[str] = []
    others: list[str] = []
    links: list[str] = []
    for path, entry in _files(root, ""):
        if entry.is_symlink():
            links.append(path)
        (pictures if _is_picture(entry) else others).append(path)
    from penlight.data.own.pairs import are_pairs

    if arrays := are_pairs(pictures):
        others += sorted(arrays)
        pictures = [path for path in pictures if path not in arrays]
    pictures.sort()
    others.sort()
    if strange := [path for path in (*pictures, *others) if path.encode(errors="ignore").decode() != path]:
        raise DataError(
            f"{root} has file names that are not UTF-8: {named(map(repr, strange))}.", "Rename these files."
        )
    inside = root.resolve() if links else root
    if out := sorted(path for path in links if not (root / path).resolve().is_relative_to(inside)):
        raise DataError(f"{root} has links that lead out of it: {named(out)}.", "Copy the files, or remove them.")
    return Tree(root, pictures, others)


def _files(folder: Path | str, inner: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Give the files below a folder, and the links, by their paths from the root."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        _refuse(error)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                yield from _files(entry.path, f"{inner}{entry.name}/")
        else:
            yield f"{inner}{entry.name}", entry


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _is_picture(entry: "os.DirEntry[str]") -> bool:
    # macOS puts "._name.png" beside a picture on foreign disks; it holds no picture.
    if entry.name.startswith(".") or not entry.is_file():
        return False
    suffix = _suffix(entry.name)
    # DICOM files often have no ending, or the last number of an identifier.
    return suffix in SUFFIXES or ((not suffix or suffix[1:].isdecimal()) and is_dicom(Path(entry.path)))


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 -- for each of very many names
