"""The layout of a manifest: a table with a row for each picture, its path, its labels, and what is known of it.

`Manifest` is what a description says of a table; `understanding` finds it out.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from penlight.data.dataset import METADATA
from penlight.data.own import naming
from penlight.data.own.cells import parts_of, whole_number
from penlight.data.own.finder import FileFinder, checked_lists, listed_splits, pattern_field
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
from penlight.data.own.pairs import beside_in
from penlight.data.own.questions import ask
from penlight.data.own.tables import SUFFIXES, Table, check_encoding, read_table
from penlight.data.own.templates import template_of
from penlight.errors import DataError
from penlight.escaping import named, shown
from penlight.numbers import counted

UNKNOWN = "unknown"
UNCERTAIN = ("positive", "negative", "drop", UNKNOWN)
"""What becomes of a finding that is uncertain: it is there, it is not, the picture is left out, or it is not known of
this picture; a picture that can have one label alone is left out then too."""

KEEP_ROWS = ("majority", "any", "first")
"""What becomes of rows of one picture whose labels differ: the labels of more than half of them, of any, of the
first."""

_MOST_TABLES = 500


@dataclass(frozen=True)
class TableRules:
    """How the rows of a table are read, beside its columns; what is not said is as in the tables of Penlight 0.1.

    `tables` are those of a folder, one below the other, each of a split by its name or its folder; `join` are others,
    whose columns are added; `lists` are files with the names of the pictures of a split. `head` says that the first
    line has the names of the columns. `by_name` finds files by their name alone, see `FileFinder`, with `ending`
    where several have it, and `file_names` a template of their names, whose {name} or {number} the table has. `anew`
    says that the splits of tables do not count; `encoding` is that of the tables. `folders` is a template of the
    folders whose {split} is the split. `map` gives labels for what is written; `whole_numbers` reads 3.0 as 3;
    `missing` are cells that say nothing; `also_none` are further labels that stand for none. `uncertain` and `blank`
    say what a finding is whose cell says -1, or nothing; `rows` one of KEEP_ROWS; `drop_unlabelled` leaves out rows
    without a label, of which one in columns of 0 and 1 is one where `one_each` says that every picture has a label;
    `unnamed_patients` is "own" where a picture without a patient is a patient of its own.
    """

    tables: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    lists: Mapping[str, str] = field(default_factory=dict)
    head: bool = True
    by_name: bool = False
    ending: str = ""
    file_names: str = ""
    encoding: str = ""
    anew: bool = False
    folders: str = ""
    map: Mapping[str, str] = field(default_factory=dict)
    whole_numbers: bool = False
    missing: tuple[str, ...] = ()
    also_none: tuple[str, ...] = ()
    uncertain: str = ""
    blank: str = ""
    rows: str = ""
    drop_unlabelled: bool = False
    one_each: bool = False
    unnamed_patients: str = ""

    def to_table(self) -> dict[str, Any]:
        """Give what differs from the defaults, as the table `[images]` has it."""
        said = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        table = {name: value for name, value, default in said if value != default and value != {}}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}

    @classmethod
    def from_table(cls, images: Mapping[str, Any]) -> Self:
        """Read them from the table `[images]`, whose types are checked. DataError for what is not valid."""
        given = {name: images[name] for name in RULE_TYPES if name in images}
        for name, value in given.items():
            texts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
            if not all(isinstance(text, str) for text in texts):
                raise DataError(f"{name} must hold texts; {shown(value)} came.", "Correct it.")
            most = _MOST_TABLES if name in ("tables", "join", "lists") else 2 * MOST_LABELS
            if len(texts) > most:
                raise DataError(f"{name} may have {most:,} texts; {len(texts):,} came.", "Give fewer.")
            for text in texts:
                check_text(text, "values")
        for name, known in (("uncertain", UNCERTAIN), ("blank", UNCERTAIN[1:]), ("rows", KEEP_ROWS)):
            require_known(given.get(name), known, name)
        require_known(given.get("unnamed_patients"), ("own", "drop"), "unnamed_patients")
        if given.get("folders"):
            template_of(given["folders"], ["split"], "folders")
        if given.get("file_names"):
            template_of(given["file_names"], [pattern_field(given["file_names"])], "file_names", from_end=True)
        if given.get("encoding"):
            check_encoding(given["encoding"])
        checked_lists(given.get("lists", {}))
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return cls(**read)


RULE_TYPES: Mapping[str, type] = {
    "tables": list, "join": list, "lists": dict, "head": bool, "by_name": bool, "ending": str, "folders": str,
    "file_names": str, "encoding": str, "anew": bool,
    "map": dict, "whole_numbers": bool, "missing": list, "also_none": list, "uncertain": str, "blank": str,
    "rows": str, "drop_unlabelled": bool, "one_each": bool, "unnamed_patients": str,
}  # fmt: skip
"""The keys of `TableRules` in a description, with their types."""


RULE_WORDS: Mapping[str, str] = {
    "tables": "one below the other; the name of each, or of its folder, says its split",
    "join": "tables whose columns are added, by the columns that both have",
    "head": "the first line is a row, and columns are numbered",
    "by_name": "files are found by their names, whatever their ending, case and folder",
    "ending": "of the pictures, where several files have a name",
    "file_names": "names of files; {name} or {number} is what the table has",
    "anew": "the splits of the tables do not count",
    "label_in_name": "the end of paths; {label} is the label",
    "map": "labels for what is written",
    "folders": "which folder is what; * is for one that says nothing",
    "whole_numbers": "3.0 is 3",
    "missing": "cells that say nothing",
    "also_none": "further labels that stand for none",
    "uncertain": 'what -1 says of a finding: "positive", "negative", "unknown", or "drop" the picture',
    "blank": 'what an empty cell says of a finding: "negative", "unknown", or "drop" the picture',
    "rows": 'of several rows of a picture that differ: "majority", "any" or "first"',
    "drop_unlabelled": "pictures without a label are left out",
    "one_each": "each picture has one of these labels",
    "unnamed_patients": 'a picture without a patient is of its "own", or "drop" it',
    "separator": "between several labels in a cell; [] for lists in brackets",
    "none": "the label that says there is none",
}
"""What stands beside a rule in a description."""


def require_known(value: str | None, known: Sequence[str], key: str) -> None:
    """Raise DataError for a value that is none of the known ones."""
    if value is not None and value not in known:
        raise DataError(f"{key} must be one of {', '.join(known)}; {shown(value)} came.", "Correct it.")


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
    rules: TableRules = TableRules()
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    options: ClassVar[Mapping[str, type]] = {"columns": dict, "separator": str, "none": str, **RULE_TYPES}
    suffixes: ClassVar[frozenset[str]] = frozenset(SUFFIXES)

    @classmethod
    def find_in(cls, folder: Path, tree: Tree, *, sure: bool = False) -> Path | None:
        """Give the one table in a folder that says labels, or the folder where each split has one; where it is not
        `sure` that a table does, class folders may say them as well."""
        from penlight.data.own.understanding import find_tables

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
        merged = _merged(rows, path, self.rules.rows)
        _require_patients(merged, path)
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
            state = {cell: _state(cell) for cell in set(read.table[column])}
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


def finder_of(tree: Tree, path: Path, rules: TableRules) -> FileFinder:
    """Give what finds the files that a table means."""
    return FileFinder(tree, str(path), by_name=rules.by_name, ending=rules.ending, pattern=rules.file_names)


@dataclass(frozen=True)
class TablesRead:
    """The rows of one table or several: `splits` are those of the rows where tables are of splits, `unjoined` the
    numbers of the rows that a joined table lacks, `names` the files that were read, from `folder` on."""

    table: Table
    folder: Path
    path: Path
    names: Sequence[str]
    splits: Sequence[str] = ()
    unjoined: Sequence[int] = ()


def read_tables(folder: Path, name: str, rules: TableRules) -> TablesRead:
    """Read the tables of a description, or of a folder: `name` is the one table, from the folder on."""
    from penlight.data.own.joining import joined, stacked

    names = rules.tables or (name,)
    tables = [read_table(folder, each, head=rules.head, encoding=rules.encoding) for each in names]
    _require_alike(folder, names, tables)
    splits: list[str] = []
    if len(names) > 1:
        for each, table in zip(names, tables, strict=True):
            splits += [split_of_table(each) or "train"] * len(next(iter(table.values())))
    table, unjoined = stacked(tables), set()
    base = str(Path(name).parent) if name else "."
    beside = [each if base == "." else f"{base}/{each}" for each in (*rules.join, *rules.lists.values())]
    for each in beside[: len(rules.join)]:
        before = len(table)
        table, lacking = joined(table, folder, each, rules.encoding)
        if lacking and len(table) > before:
            added = list(table)[before:]
            unjoined |= {i for i, cells in enumerate(zip(*(table[a] for a in added), strict=True)) if not any(cells)}
    place = folder / base
    own = [*names, *beside, *(each for name in names for each in beside_in(folder, name))]
    return TablesRead(table, place, folder / names[0], own, splits, sorted(unjoined))


def _require_alike(folder: Path, names: Sequence[str], tables: Sequence[Table]) -> None:
    """Raise DataError for files that are parts of one table and have other columns."""
    first: dict[str, int] = {}
    for i, (name, table) in enumerate(zip(names, tables, strict=True)):
        whole = naming.without_shard(name)
        other = tables[first.setdefault(whole, i)]
        if whole != name and list(table) != list(other):
            raise DataError(
                f"{folder / name} has the columns {named(table)}; {names[first[whole]]} has {named(other)}.",
                "Get parts of one version, or give those that belong together in a folder of their own.",
            )


def split_of_table(name: str) -> str | None:
    """Give the split that a table's name says, or else the folder that it is in."""
    parts = [part.partition(".")[0] if i == 0 else part for i, part in enumerate(reversed(name.split("/")))]
    return next((split for part in (Path(name).name, *parts) if (split := naming.split_word(part))), None)


def undecided_cells(path: Path, cells: Mapping[str, Sequence[str]]) -> DataError:
    """Give the error for findings whose cells say neither present nor absent: by columns, the cells."""
    uncertain = [name for name, found in cells.items() if any(map(naming.is_uncertain, found))]
    blank = [name for name, found in cells.items() if any(map(naming.is_missing, found))]
    strange = sorted({cell for found in cells.values() for cell in found if _state(cell) == "?"})
    if strange:
        raise DataError(f"{path}: {named(cells)} hold {named(strange)}; findings are 1 or 0.", "Correct the table.")
    what = [f"-1 in {named(uncertain)}"] if uncertain else []
    what += [f"nothing in {named(blank)}"] if blank else []
    sentence = f"{path}: cells of findings say {' and '.join(what)}; whether it is there is uncertain or unknown."
    readings = [
        ("not there", "negative"),
        ("there", "positive"),
        ("not known of these pictures", UNKNOWN),
        ("leave such rows out", "drop"),
    ]
    if uncertain:
        return ask("--uncertain", sentence, *((words, f"--uncertain {value}") for words, value in readings))
    return ask(
        "--blank", sentence, *((words, f"--blank {value}") for words, value in readings if value != "positive")
    )


def unlabelled(path: Path, files: Sequence[str], cells: Sequence[str] = (), *, findings: bool = False) -> DataError:
    """Give the error for rows without a label, whose cells are empty or one of `cells`; where there may be several
    `findings`, that may mean none."""
    said = f", where it is {named(cells)}" if cells else ""
    none = [("these pictures have none", "--blank negative")] if findings else []
    return ask(
        "--drop-unlabelled",
        f"{path}: {counted(len(files), 'row')} without a label, of {named(files)}{said}.",
        (f"leave {counted(len(files), 'row')} out", "--drop-unlabelled"),
        *none,
    )


def _state(cell: str) -> bool | str:
    answer = naming.yes_or_no(cell)
    if answer is not None:
        return answer
    return "uncertain" if naming.is_uncertain(cell) else "blank" if naming.is_missing(cell) else "?"


def _told(what: str, rules: TableRules) -> str:
    return {"uncertain": rules.uncertain, "blank": rules.blank}.get(what, "")


def _remembering(function: Callable[[str], Any]) -> Callable[[str], Any]:
    known: dict[str, Any] = {}

    def remembered(cell: str) -> Any:
        if cell not in known:
            known[cell] = function(cell)
        return known[cell]

    return remembered


def _merged(rows: Sequence[PictureRow], path: Path, keep: str) -> list[PictureRow]:
    """Make one row of several of one picture: where they agree, or as `keep` says."""
    counts = Counter(row.path for row in rows)
    if len(counts) == len(rows):
        return list(rows)
    by_path: dict[str, list[PictureRow]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    several = {file: found for file, found in by_path.items() if len(found) > 1}
    for what, differ in (("patients", "patient"), ("splits", "split")):
        if bad := [file for file, found in several.items() if len({getattr(row, differ) for row in found}) > 1]:
            raise ask(
                f"--{differ}-column",
                f"{path}: pictures that stand in several rows: {named(bad)}. Their {what} differ.",
                (f"the table's {what} do not count", f"--{differ}-column none"),
            )
    said = {file: {(frozenset(row.values), frozenset(row.unknown)) for row in own} for file, own in several.items()}
    differing = [file for file, own in said.items() if len(own) > 1]
    if differing and not keep:
        raise ask(
            "--keep-rows",
            f"{path}: pictures that stand in several rows: {named(differing)}. Their labels differ.",
            ("the labels of more than half of the rows", "--keep-rows majority"),
            ("every label of any row", "--keep-rows any"),
            ("the first row", "--keep-rows first"),
        )
    chosen = {file: _chosen(several[file], keep) for file in differing}
    if tied := [file for file, values in chosen.items() if values is None]:
        raise ask(
            "--keep-rows",
            f"{path}: no label has more than half of the rows of {named(tied)}.",
            ("every label of any row", "--keep-rows any"),
            ("the first row", "--keep-rows first"),
        )
    merged = []
    for file, found in by_path.items():
        values = chosen.get(file) or found[0].values if file not in chosen else chosen[file]
        first = found[0]
        unknown = _still_unknown(found, keep, values or ()) if file in chosen else first.unknown
        merged.append(PictureRow(file, values or (), first.patient, first.split, first.metadata, unknown))
    return merged


def _still_unknown(rows: Sequence[PictureRow], keep: str, values: Sequence[str]) -> tuple[str, ...]:
    """Give the labels that stay unknown when the rows of one picture become one with `values`: of the first row; of
    any row, where no other says that it is there; else those that no row knows."""
    if keep == "first":
        return rows[0].unknown
    of_rows = Counter(label for row in rows for label in row.unknown)
    fewest = 1 if keep == "any" else len(rows)
    return tuple(label for label, n in of_rows.items() if n >= fewest and label not in values)


def require_sound(rows: Sequence[PictureRow], path: Path) -> None:
    """Raise DataError for a picture that stands in several rows, and for an empty patient."""
    counts = Counter(row.path for row in rows)
    if twice := [file for file, count in counts.items() if count > 1]:
        raise DataError(f"{path}: pictures that stand in several rows: {named(twice)}.", "Keep one row for each.")
    _require_patients(rows, path)


def _require_patients(rows: Sequence[PictureRow], path: Path) -> None:
    if nameless := [row.path for row in rows if row.patient == ""]:
        raise ask(
            "--unnamed-patients",
            f"{path}: no patient in the rows of {named(nameless)}.",
            ("each of these pictures is of another patient", "--unnamed-patients own"),
            ("leave them out", "--unnamed-patients drop"),
            ("patients are not known", "--patient-column none"),
        )


def _chosen(rows: Sequence[PictureRow], keep: str) -> tuple[str, ...] | None:
    """Give the labels of the rows of one picture; None where none has the majority."""
    if keep == "first":
        return rows[0].values
    votes = Counter(value for row in rows for value in row.values)
    if keep == "any":
        return tuple(votes)
    if all(len(row.values) == 1 for row in rows):
        (first, n), *others = votes.most_common()
        return (first,) if not others or n > others[0][1] else None
    silent = Counter(label for row in rows for label in row.unknown)
    return tuple(value for value, n in votes.items() if 2 * n > len(rows) - silent[value])
