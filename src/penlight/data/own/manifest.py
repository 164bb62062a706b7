"""The layout of a manifest: a table with a row for each picture, its path, its labels, and what is known of it.

`Manifest` is what a description says of a table; `understanding` finds it out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from penlight.data.dataset import METADATA
from penlight.data.own import naming
from penlight.data.own.cells import parts_of, whole_number
from penlight.data.own.finder import FileFinder, listed_splits
from penlight.data.own.keys import check_text, plain_key
from penlight.data.own.listing import (
    MOST_LABELS,
    AskedLayout,
    Listing,
    PictureLayout,
    PictureRow,
    Tree,
    mapped,
    split_named,
)
from penlight.data.own.merging import merge_rows, require_patients
from penlight.data.own.questions import ask
from penlight.data.own.reading_tables import TablesRead, finder_of, read_tables
from penlight.data.own.table_rules import RULE_TYPES, UNKNOWN, TableRules
from penlight.data.own.tables import SUFFIXES, Table
from penlight.data.own.templates import template_of
from penlight.data.own.undecided import state_of, undecided_cells, unlabelled
from penlight.errors import DataError
from penlight.escaping import named, shown


@dataclass(frozen=True)
class Manifest(PictureLayout):
    """Which column of a table says what: `path`; either `label`, split at `separator` where cells hold several ("[]"
    for lists in brackets), or `labels`, one column of 0 and 1 for each; the others by what they say ("patient",
    "split", "site", "age", "sex", "view"). `none` is the label that stands for none. `rules` say how rows are read;
    `about` what was understood, for a person."""

    path: str
    label: str | None = None
    labels: tuple[str, ...] = ()
    separator: str | None = None
    none: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    rules: TableRules = field(default_factory=TableRules)
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    options: ClassVar[Mapping[str, type]] = {"columns": dict, "separator": str, "none": str, **RULE_TYPES}
    suffixes: ClassVar[frozenset[str]] = frozenset(SUFFIXES)

    @classmethod
    def find_in(cls, folder: Path, tree: Tree, *, sure: bool = False) -> Path | None:
        """Give the one table in a folder that says labels, or the folder where each split has one; where it is not
        `sure` that a table does, class folders may say them as well."""
        from penlight.data.own.finding_tables import find_tables

        return find_tables(folder, tree, sure=sure)

    @classmethod
    def propose(cls, source: Path, tree: Tree, asked: AskedLayout) -> "Manifest":
        """Find out which column says what; see `understanding`."""
        from penlight.data.own.understanding import understand

        return understand(source, tree, asked)

    @property
    def source_is_file(self) -> bool:
        """Whether one table says the labels, or several of a folder."""
        return not self.rules.tables

    def account(self) -> Mapping[str, str]:
        """Say which column is what."""
        return self.about

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
        rules = TableRules.from_table(images)
        return cls(path, label, tuple(labels), images.get("separator"), images.get("none"), columns, rules)

    def to_table(self) -> dict[str, Any]:
        """Give the columns and, where they are known, `separator`, `none` and the rules."""
        labels = {"label": self.label} if self.label else {"labels": list(self.labels)}
        table = {
            "columns": {"path": self.path, **labels, **self.others},
            "separator": self.separator,
            "none": self.none,
            **self.rules.to_table(),
        }
        return {key: value for key, value in table.items() if value is not None}

    def list_rows(self, folder: Path, name: str, tree: Tree) -> Listing:
        """Read the rows of the table, and find their files; see `FileFinder`.

        DataError for columns that are not there, rows without a label or a patient, splits of other names, rows of
        one picture that differ, and paths that lead out.
        """
        read = read_tables(folder, name, self.rules)
        path = read.path
        wanted = [self.path, *([self.label] if self.label else []), *self.labels, *self.others.values()]
        if absent := [column for column in wanted if column not in read.table]:
            raise DataError(
                f"{path} has no column {named(absent)}; it has {named(read.table)}.", "Correct the description."
            )
        finder = finder_of(tree, path, self.rules)
        split_of = self._splits(read, finder, path)
        rows: list[PictureRow] = []
        missing: list[str] = []
        numbered, left = self._rows(read, path)
        if silent := [row.path for _, row in numbered if self.labels and len(row.unknown) == len(self.labels)]:
            left["no label that is known"] = silent
            numbered = [each for each in numbered if len(each[1].unknown) < len(self.labels)]
        left_out = {why: [finder.find(written) or written for written in names] for why, names in left.items()}
        for i, row in numbered:
            file = finder.find(row.path, read.splits[i] if read.splits else None)
            if file is None:
                missing.append(row.path)
            place = row.path if file is None else file
            rows.append(replace(row, path=place, split=split_of(i, place)))
        merged = merge_rows(rows, path, self.rules.rows)
        require_patients(merged, path)
        listed = {row.path for row in merged}
        own = {(folder / each).resolve() for each in read.names}
        ignored = [
            file
            for file in (*tree.others, *tree.pictures)
            if file not in listed and not (file.lower().endswith(tuple(SUFFIXES)) and tree.root / file in own)
        ]
        return Listing(tree.root, merged, ignored, list(dict.fromkeys(missing)), left_out)

    @classmethod
    def of_table(cls, table: Table, path: Path, files: str, asked: AskedLayout) -> "Manifest":
        """Find out which column of a table says what, where the column `files` names the pictures, which need not be
        there."""
        from penlight.data.own.understanding import understand_columns

        return understand_columns(table, path, files, asked)

    def rows_of(self, table: Table, path: Path) -> list[PictureRow]:
        """Give a row for each of a table, its picture as it is written. DataError for a row without a label, and for
        splits of other names."""
        read = TablesRead(table, path.parent, path, [path.name])
        split_of = self._splits(read, None, path)
        return [replace(row, split=split_of(i, row.path)) for i, row in self._rows(read, path)[0]]

    def _rows(self, read: "TablesRead", path: Path) -> tuple[list[tuple[int, PictureRow]], dict[str, list[str]]]:
        """Give the rows by their numbers, their pictures as they are written and without splits; and those that are
        left out, by why."""
        files, (labels, unknown) = read.table[self.path], self._labels(read, path)
        known = {what: read.table[column] for what, column in self.others.items()}
        metadata = [(kind, known[kind]) for kind in METADATA if kind in known]
        patients = known.get("patient")
        rows: list[tuple[int, PictureRow]] = []
        left_out: dict[str, list[str]] = {}
        for i, written in enumerate(files):
            if not written:
                left_out.setdefault("no name of a file", []).append(f"row {i + 1}")
                continue
            if isinstance(labels[i], str):
                left_out.setdefault(labels[i], []).append(written)
                continue
            patient = patients[i] if patients is not None else None
            if patient is not None and self.rules.unnamed_patients and naming.is_missing(patient):
                if self.rules.unnamed_patients == "drop":
                    left_out.setdefault("no patient", []).append(written)
                    continue
                patient = f"unnamed {written}"
            about = {kind: cells[i] for kind, cells in metadata}
            rows.append((i, PictureRow(written, labels[i], patient, None, about, tuple(unknown.get(i, ())))))
        return rows, left_out

    def _labels(self, read: "TablesRead", path: Path) -> tuple[list[Any], dict[int, list[str]]]:
        """Give the labels of each row, or a text: why the row is left out; and by the number of a row the labels that
        are not known."""
        if self.label is None:
            return self._findings(read, path)
        cells, parse = read.table[self.label], _remembering(self._parse)
        found: list[Any] = [parse(cell) for cell in cells]
        empty = [i for i, labels in enumerate(found) if labels is None]
        if empty and self.rules.drop_unlabelled:
            return ["no label" if labels is None else labels for labels in found], {}
        if empty and (not self.separator or self.rules.missing):
            raise unlabelled(path, [read.table[self.path][i] for i in empty])
        return [() if labels is None else labels for labels in found], {}

    def _parse(self, cell: str) -> tuple[str, ...] | str | None:
        rules = self.rules
        if not cell or cell in rules.missing:
            if rules.blank == UNKNOWN:
                return "no label"
            absent = () if self.separator else ("0",)
            return absent if rules.blank == "negative" and not rules.drop_unlabelled else None
        parts = [part for part in parts_of(cell, self.separator) if part not in rules.missing]
        if rules.whole_numbers:
            parts = [whole_number(part) for part in parts]
        if rules.uncertain and parts == ["-1"]:
            if rules.uncertain in ("drop", UNKNOWN):
                return "uncertain"
            parts = ["1" if rules.uncertain == "positive" else "0"]
        none = {self.none, *rules.also_none}
        return tuple(part for part in mapped(parts, rules.map) if part not in none)

    def _findings(self, read: "TablesRead", path: Path) -> tuple[list[Any], dict[int, list[str]]]:
        """Read a column for each finding; see `_labels`."""
        rules, n = self.rules, len(read.table[self.path])
        found: list[list[str]] = [[] for _ in range(n)]
        unknown: dict[int, list[str]] = {}
        left: dict[int, str] = dict.fromkeys(read.unjoined, "no label")
        unread: dict[str, list[str]] = {}
        names = [rules.map.get(name, name) for name in self.labels]
        for column, name in zip(self.labels, names, strict=True):
            state = {cell: state_of(cell) for cell in set(read.table[column])}
            strange = {cell for cell, what in state.items() if not isinstance(what, bool) and not _told(what, rules)}
            if strange:
                unread[column] = sorted(strange)
            for i, cell in enumerate(read.table[column]):
                what = state[cell]
                if what is True or (what == "uncertain" and rules.uncertain == "positive"):
                    found[i].append(name)
                elif not isinstance(what, bool) and _told(what, rules) == "drop":
                    left.setdefault(i, what)
                elif not isinstance(what, bool) and _told(what, rules) == UNKNOWN:
                    unknown.setdefault(i, []).append(name)
        if unread:
            raise undecided_cells(path, unread)
        if read.unjoined and not rules.drop_unlabelled:
            raise unlabelled(path, [read.table[self.path][i] for i in read.unjoined])
        if rules.one_each and rules.drop_unlabelled:
            left = {i: "no label" for i in range(n) if not found[i]} | left
        return [left[i] if i in left else tuple(found[i]) for i in range(n)], unknown

    def _splits(self, read: "TablesRead", finder: FileFinder | None, path: Path) -> Callable[[int, str], str | None]:
        """Give what says the split of a row by its number and its file."""
        if column := self.others.get("split"):
            cells, broad = read.table[column], self.rules.by_name
            split_of = {cell: naming.split_in_name(cell) if broad else split_named(cell) for cell in set(cells)}
            if broad and (of_flag := naming.split_word(column.removeprefix("is").removeprefix("Is"))):
                # A column "is_test" of 0 and 1.
                other = "test" if of_flag == "train" else "train"
                answers = {cell: naming.yes_or_no(cell) for cell in split_of}
                split_of |= {cell: of_flag if yes else other for cell, yes in answers.items() if yes is not None}
            if strange := [i for i, cell in enumerate(cells) if split_of[cell] is None]:
                what = f"{path}: the split of {read.table[self.path][strange[0]]}"
                raise ask(
                    "--split-column",
                    f"{what} is '{cells[strange[0]]}'. Splits are train, val and test.",
                    ("no column says the split", "--split-column none"),
                )
            return lambda i, place: split_of[cells[i]]
        if self.rules.lists and finder:
            listed = listed_splits(read.folder, self.rules.lists, finder)
            return lambda i, place: listed.get(place)
        if self.rules.folders:
            template = template_of(self.rules.folders, ["split"], "folders")
            return lambda i, place: naming.split_in_name((template.read(place) or {"split": ""})["split"])
        if read.splits and not self.rules.anew:
            splits = read.splits
            return lambda i, place: splits[i]
        return lambda i, place: None


def _told(what: str, rules: TableRules) -> str:
    return {"uncertain": rules.uncertain, "blank": rules.blank}.get(what, "")


def _remembering(function: Callable[[str], Any]) -> Callable[[str], Any]:
    known: dict[str, Any] = {}

    def remembered(cell: str) -> Any:
        if cell not in known:
            known[cell] = function(cell)
        return known[cell]

    return remembered
