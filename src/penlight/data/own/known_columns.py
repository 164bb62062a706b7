"""What the columns of a table say by their names: which may be the path or the label, and which are what is known of
a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from penlight.data.dataset import METADATA
from penlight.data.own import naming
from penlight.data.own.listing import AskedLayout
from penlight.data.own.questions import ask
from penlight.data.own.reading_tables import TablesRead
from penlight.data.own.tables import Table
from penlight.errors import DataError
from penlight.escaping import named

NONE = "none"
"""What a person says for a column that is not to be used."""

_SURE_SPLITS = ("split", "subset", "partition")
_FIRST_CELLS = 200
_OTHERS = ("patient", "split", *METADATA)
_KNOWN = {name for role in ("path", *_OTHERS, "flags", "no_labels") for name in naming.COLUMNS[role]}
Names = Mapping[str, str]


def called(name: str, *roles: str) -> bool:
    """Say whether the name of a column is one of a role, a key of `naming.COLUMNS`."""
    return any(naming.plain(name) in naming.COLUMNS[role] for role in roles)


def columns_called(table: Table, role: str) -> list[str]:
    """Give the columns whose names are those of a role, the clearest first."""
    by_name = {naming.plain(column): column for column in reversed(list(table))}
    return [by_name[name] for name in naming.COLUMNS[role] if name in by_name]


def is_known(name: str) -> bool:
    """Say whether the name of a column says that it is no label."""
    return naming.plain(name) in _KNOWN


def is_label_column(name: str) -> bool:
    """Say whether a column is called as one of labels is, such as "diagnosis"."""
    return called(name, "surely_label", "label")


def speaks_of_label(name: str) -> bool:
    """Say whether the name of a column is one of labels, or ends so, as "adjudicated_dr_grade" does."""
    ends_so = any(word in naming.COLUMNS["label_words"] for word in naming.words(name)[-1:])
    return not is_known(name) and (is_label_column(name) or ends_so)


def is_flag(name: str) -> bool:
    """Say whether a column of 0 and 1 is called as one is that is no finding, such as "is_train"."""
    words = naming.words(name)
    return called(name, "flags") or any(word in naming.COLUMNS["flag_words"] for word in words)


def column_named(table: Table, name: str, option: str, path: Path) -> str:
    """Give the column that a person named with an option, by its case or else without. DataError if there is none."""
    found = [column for column in table if column.casefold() == name.strip().casefold()]
    found = [column for column in found if column == name] or found
    if len(found) != 1:
        raise DataError(f"{option}: {path} has no column {name}; it has {named(table)}.", "Give one of these.")
    return found[0]


def find_other_columns(read: TablesRead, path_column: str, asked: AskedLayout) -> dict[str, str]:
    """Find the columns of patients, splits and METADATA, as a person says or by their names. UndecidedError where two
    may be the patient."""
    table, found = read.table, {}
    labels = {column.casefold() for column in asked.label_columns}
    for what in _OTHERS:
        told = {"patient": asked.patient_column, "split": asked.split_column}.get(what)
        if told is not None:
            if told.casefold() != NONE:
                found[what] = column_named(table, told, f"--{what}-column", read.path)
            continue
        columns = [column for column in columns_called(table, what) if column.casefold() not in labels]
        columns = [column for column in columns if column != path_column or what == "patient"]
        if what == "split":
            columns = [column for column in columns if _is_split(column, table[column])]
            columns = columns or [column for column in table if _holds_splits(table[column])]
        if what == "patient":
            columns = [column for column in columns if any(table[column])]
            clear = [column for column in columns if naming.plain(column) != "lesionid"]
            if len(clear) > 1 and clear[0].casefold() != what:
                raise ask("--patient-column", f"{read.path}: {named(clear)} may each be the patient.",
                          *((column, f"--patient-column '{column}'") for column in clear))  # fmt: skip
        if columns:
            found[what] = columns[0]
    return found


def _holds_splits(cells: Sequence[str]) -> bool:
    """Say whether a column of any name holds nothing but names of splits, of which one is train."""
    few = set(cells[:_FIRST_CELLS])
    if not 1 < len(few) <= 4 or not all(map(naming.split_in_name, few)):
        return False
    splits = {naming.split_in_name(cell) for cell in set(cells)}
    return "train" in splits and None not in splits


def _is_split(column: str, cells: Sequence[str]) -> bool:
    return naming.plain(column) in _SURE_SPLITS or all(map(naming.split_in_name, set(cells)))
