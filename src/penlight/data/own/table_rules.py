"""How the rows of a table are read, as a description says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from penlight.data.own.finder import checked_lists, pattern_field
from penlight.data.own.keys import check_text
from penlight.data.own.listing import MOST_LABELS
from penlight.data.own.tables import check_encoding
from penlight.data.own.templates import template_of
from penlight.errors import DataError
from penlight.escaping import shown

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
