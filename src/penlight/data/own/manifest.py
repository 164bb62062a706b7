"""The layout of a manifest: a CSV or Parquet table with one row for each picture, its path, its labels, and what is
known of it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar, Self

from penlight.data.dataset import METADATA
from penlight.data.own.keys import check_text, plain_key
from penlight.data.own.listing import MOST_LABELS, Listing, PictureLayout, PictureRow, Tree, composed, split_named
from penlight.data.own.tables import SUFFIXES, Table, read_table
from penlight.errors import DataError
from penlight.escaping import named, shown
from penlight.numbers import counted

# What a column may be called; matched without regard to case, and to anything but letters.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "imageindex"),
    "label": ("label", "labels", "class", "target", "diagnosis", "grade", "finding", "findings", "findinglabels"),
    "patient": ("patient", "patientid", "subject", "subjectid"),
    "split": ("split", "subset", "partition"),
    "site": ("site", "hospital", "centre", "center", "institution"),
    "age": ("age", "patientage", "ageyears"),
    "sex": ("sex", "gender", "patientsex", "patientgender"),
    "view": ("view", "viewposition", "projection"),
}
_OURS = ("-splits.csv", "-unreadable.csv")
_SEPARATORS = ("|", ";")
_NO_FINDING = ("no finding", "no findings")
YES_NO = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}


@dataclass(frozen=True)
class Manifest(PictureLayout):
    """Which column of a table says what: `path`; either `label`, split at `separator` where cells hold several, or
    `labels`, one column of 0 and 1 for each; the others by what they say ("patient", "split", "site", "age", "sex",
    "view"). `none` is the label that stands for none."""

    path: str
    label: str | None = None
    labels: tuple[str, ...] = ()
    separator: str | None = None
    none: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    options: ClassVar[Mapping[str, type]] = {"columns": dict, "separator": str, "none": str}
    suffixes: ClassVar[frozenset[str]] = frozenset(SUFFIXES)

    @classmethod
    def find_in(cls, folder: Path, tree: Tree) -> Path | None:
        """Give the one table in a folder whose pictures lie in one folder at most."""
        tables = [name for name in tree.others if "/" not in name and Path(name).suffix.lower() in cls.suffixes]
        tables = [name for name in tables if not name.endswith(_OURS)]
        folders = {picture.split("/")[0] for picture in tree.pictures if "/" in picture}
        if len(tables) > 1 or (tables and len(folders) > 1):
            raise DataError(
                f"{folder} has the tables {named(tables)} and {counted(len(folders), 'folder')} of "
                "pictures; which says the labels?",
                f"Give the table, as {folder / tables[0]}, or move the tables away to use the folders.",
            )
        return folder / tables[0] if tables else None

    @classmethod
    def propose(cls, source: Path, *, several: bool = False) -> Self:
        """Find out which column says what. DataError if none can be the path or the labels, or if several can."""
        table = read_table(source.parent, source.name)
        if (files := find_column(table, "path", source)) is None:
            raise DataError(
                f"{source} has no column that names the files; it has {named(table)}.",
                "Name one of the columns 'path'.",
            )
        return cls.of_table(table, source, files, several=several)

    @classmethod
    def of_table(cls, table: Table, path: Path, files: str, *, several: bool = False) -> Self:
        """Find out which column of a table says what, where the column `files` names the pictures."""
        found = {what: find_column(table, what, path) for what in _NAMES if what != "path"}
        others = {what: column for what, column in found.items() if column and what != "label"}
        if label := found["label"]:
            separators = [mark for mark in _SEPARATORS if any(mark in cell for cell in table[label])]
            if len(separators) > 1:
                raise DataError(f"{path}: labels hold both '|' and ';'.", "Use one of them between labels.")
            # Of two labels, of which one is "No Finding", each is one.
            several = several and len(set(table[label])) > 2
            if not separators and not several:
                return cls(files, label, others=others)
            none = next((cell for cell in table[label] if cell.lower() in _NO_FINDING), None)
            return cls(files, label, (), separators[0] if separators else None, none, others)
        used = {files, *others.values()}
        yes_no = (name for name, cells in table.items() if all(cell.lower() in YES_NO for cell in cells))
        labels = tuple(name for name in yes_no if name not in used)
        if not labels:
            raise DataError(
                f"{path} has no labels: neither a column 'label' nor columns of 0 and 1; it has {named(table)}.",
                "Add a column 'label'.",
            )
        if len(labels) == 1:
            return cls(files, labels[0], others=others)
        return cls(files, labels=labels, others=others)

    @classmethod
    def from_table(cls, images: Mapping[str, Any]) -> Self | None:
        """Read which column says what, where `columns` says it."""
        if "columns" not in images:
            return None
        columns = dict(images["columns"])
        path, label, labels = columns.pop("path", None), columns.pop("label", None), columns.pop("labels", [])
        texts = [path, *([] if label is None else [label]), *(labels if isinstance(labels, list) else [None])]
        if not all(isinstance(text, str) for text in (*texts, *columns.values())) or (label is None) == (not labels):
            raise DataError(
                f"columns must name path, and either label or labels; {shown(images['columns'])} came.",
                'As in { path = "file", label = "diagnosis" }.',
            )
        for text in (*texts, *columns.values()):
            check_text(text, "columns")
        if len(labels) > MOST_LABELS:
            raise DataError(f"columns.labels may be {MOST_LABELS:,}; {len(labels):,} came.", "Give fewer.")
        if images.get("separator") == "":
            raise DataError("separator is empty.", "Give what stands between several labels in a cell, or remove it.")
        if unknown := sorted(columns.keys() - {"patient", "split", *METADATA}):
            raise DataError(
                f"Unknown column {named(map(plain_key, unknown))}.",
                f"Known are patient, split, {', '.join(METADATA)}.",
            )
        return cls(path, label, tuple(labels), images.get("separator"), images.get("none"), columns)

    def to_table(self) -> dict[str, Any]:
        """Give the columns and, where they are known, `separator` and `none`."""
        labels = {"label": self.label} if self.label else {"labels": list(self.labels)}
        table = {
            "columns": {"path": self.path, **labels, **self.others},
            "separator": self.separator,
            "none": self.none,
        }
        return {key: value for key, value in table.items() if value is not None}

    def list_rows(self, folder: Path, name: str, tree: Tree) -> Listing:
        """Read the rows of the table, and find their files.

        A path is taken as it stands, from the root of the tree; failing that, the one file whose path ends alike is
        it, so that paths from another machine, of Windows too, and bare file names work. DataError for columns that
        are not there, rows without a label or a patient, splits of other names, a picture that stands twice, and
        paths that lead out.
        """
        path, table = folder / name, read_table(folder, name)
        wanted = [self.path, *([self.label] if self.label else []), *self.labels, *self.others.values()]
        if absent := [column for column in wanted if column not in table]:
            raise DataError(
                f"{path} has no column {named(absent)}; it has {named(table)}.", "Correct the description."
            )
        finder, rows, missing = _FileFinder(tree), [], []
        for row in self.rows_of(table, path):
            file = finder.find(row.path, path)
            if file is None:
                missing.append(row.path)
            rows.append(row if file is None else replace(row, path=file))
        require_sound(rows, path)
        listed = {row.path for row in rows}
        ignored = [file for file in (*tree.others, *tree.pictures) if file not in listed and tree.root / file != path]
        return Listing(tree.root, rows, ignored, missing)

    def rows_of(self, table: Table, path: Path) -> list[PictureRow]:
        """Give a row for each of a table, its picture as it is written. DataError for a row without a label, and for
        splits of other names."""
        files = table[self.path]
        labels = [self._labels_of(table, i) for i in range(len(files))]
        cells = table[self.label] if self.label and not self.separator else []
        if empty := [i for i, cell in enumerate(cells) if not cell.strip()]:
            raise DataError(f"{path}: no label in the rows of {named(files[i] for i in empty)}.", "Add it.")
        known = [{what: table[column][i] for what, column in self.others.items()} for i in range(len(files))]
        return [
            _row(file, own, about, f"{path}: the split of {file}")
            for file, own, about in zip(files, labels, known, strict=True)
        ]

    def _labels_of(self, table: Table, row: int) -> tuple[str, ...]:
        """Give the labels of a row as they are written."""
        if self.label is None:
            return tuple(name for name in self.labels if YES_NO.get(table[name][row].lower()))
        cell = table[self.label][row]
        found = dict.fromkeys(part.strip() for part in (cell.split(self.separator) if self.separator else [cell]))
        return tuple(value for value in found if value and value != self.none)


def _row(file: str, labels: tuple[str, ...], known: Mapping[str, str], what: str) -> PictureRow:
    split = split_named(known["split"]) if "split" in known else None
    if "split" in known and split is None:
        raise DataError(f"{what} is '{known['split']}'.", "Splits are train, val and test.")
    return PictureRow(
        file, labels, known.get("patient"), split, {kind: known[kind] for kind in METADATA if kind in known}
    )


def require_sound(rows: Sequence[PictureRow], path: Path) -> None:
    """Raise DataError for a picture that stands in several rows, and for an empty patient."""
    counts = Counter(row.path for row in rows)
    if twice := [file for file, count in counts.items() if count > 1]:
        raise DataError(f"{path}: pictures that stand in several rows: {named(twice)}.", "Keep one row for each.")
    if nameless := [row.path for row in rows if row.patient == ""]:
        raise DataError(
            f"{path}: no patient in the rows of {named(nameless)}.", "Name the patient, or remove that column."
        )


def find_column(table: Table, what: str, path: Path) -> str | None:
    """Find the column that says `what`, a key of `_NAMES`, by its name. DataError if several may."""
    by_name = {re.sub(r"[^a-z]", "", name.lower()): name for name in table}
    found = [by_name[name] for name in _NAMES[what] if name in by_name]
    if len(found) > 1 and found[0].lower() != what:
        raise DataError(f"{path}: {named(found)} may each be the {what}.", f"Name the right one '{what}'.")
    return found[0] if found else None


def is_label_column(name: str) -> bool:
    """Say whether a column is called as one of labels is, such as "diagnosis"."""
    return re.sub(r"[^a-z]", "", name.lower()) in _NAMES["label"]


class _FileFinder:
    """Finds the files that a manifest means, by whole paths or by how they end."""

    def __init__(self, tree: Tree) -> None:
        self._root = tree.root
        self._by_path = {composed(path): path for path in (*tree.pictures, *tree.others)}
        self._by_name: dict[str, list[tuple[str, ...]]] = {}
        for path in self._by_path:
            parts = PurePosixPath(path).parts
            self._by_name.setdefault(parts[-1], []).append(parts)

    def find(self, written: str, manifest: Path) -> str | None:
        """Give the path from the root of the file that is meant; None if there is none."""
        if written in self._by_path:
            return self._by_path[written]
        parts = PureWindowsPath(written).parts
        if ".." in parts:
            raise DataError(f"{manifest}: {written} leads out of {self._root}.", "Move the manifest above them.")
        # An absolute path was written where the folder had another place: as much of its end as fits counts.
        absolute = bool(PureWindowsPath(written).anchor)
        parts = parts[1:] if absolute else parts
        places = self._by_name.get(parts[-1], []) if parts else []
        common = [(_common_end(place, parts), place) for place in places]
        longest = max((n for n, _ in common), default=0)
        if longest < (1 if absolute else len(parts)):
            return None
        best = ["/".join(place) for n, place in common if n == longest]
        if len(best) > 1:
            raise DataError(f"{manifest}: {written} may be {named(best)}.", "Write more of its path.")
        return self._by_path[best[0]] if best else None


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def age_in_years(text: str) -> float:
    """Read an age in years: 58, 58.5, or as DICOM writes it, 058Y, 006M, 003W, 010D; NaN for an empty cell.

    DataError for anything else.
    """
    if not text.strip():
        return float("nan")
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,30})?)\s*([YMWD]?)", text.strip().upper())
    if not match:
        raise DataError(f"'{text}' is not an age in years.", "Write 58, 058Y or 006M, or leave it empty.")
    return float(match[1]) / {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}[match[2]]
