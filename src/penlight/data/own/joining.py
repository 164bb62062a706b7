"""Several tables of a dataset as one: those of its splits one below the other, those of the same pictures side by
side."""

from collections.abc import Sequence
from pathlib import Path

from penlight.data.own import naming
from penlight.data.own.tables import Table, read_table
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted

UNJOINED = ""
"""What stands in the cells of a row that the other table does not have."""


def stacked(tables: Sequence[Table]) -> Table:
    """Put tables one below the other; a column that one lacks has empty cells there. Columns are one whose names
    differ by case, blanks and marks alone, or by an "s" at their end."""
    if len(tables) == 1:
        return tables[0]
    called: dict[str, str] = {}
    for name in (name for table in tables for name in table):
        called.setdefault(_same(name), name)
    lengths = [len(next(iter(table.values()))) for table in tables]
    by_name = [{_same(name): cells for name, cells in table.items()} for table in tables]
    if any(len(columns) < len(table) for columns, table in zip(by_name, tables, strict=True)):
        called = {name: name for table in tables for name in table}
        by_name = [dict(table) for table in tables]
    return {
        name: [cell for columns, n in zip(by_name, lengths, strict=True) for cell in columns.get(key, [""] * n)]
        for key, name in called.items()
    }


def _same(name: str) -> str:
    return naming.plain(name).removesuffix("s") or name


def joined(table: Table, folder: Path, name: str, encoding: str = "") -> tuple[Table, int]:
    """Add the columns of another table by the columns that both have, and count the rows that it lacks.

    DataError where they have none in common, or where the other has several rows for one row of this that differ.
    """
    other, path = read_table(folder, name, encoding=encoding), folder / name
    by_fold = {column.casefold(): column for column in table}
    keys = {column: by_fold[column.casefold()] for column in other if column.casefold() in by_fold}
    if not keys:
        raise DataError(
            f"{path} has no column in common with the table of the pictures; it has {named(other)}.",
            "Give the column of the pictures, or of their studies, one name in both.",
        )
    added = [column for column in other if column not in keys]
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    cells = list(zip(*(other[column] for column in added), strict=True)) if added else []
    for key, values in zip(zip(*(other[column] for column in keys), strict=True), cells, strict=False):
        if rows.setdefault(key, values) != values:
            which = ", ".join(f"{column} {value}" for column, value in zip(keys, key, strict=True))
            raise DataError(
                f"{path} has several rows of {which}, which differ.", "Join a table with one row for each."
            )
    lacking, empty = 0, tuple([UNJOINED] * len(added))
    columns: list[tuple[str, ...]] = []
    for key in zip(*(table[column] for column in keys.values()), strict=True):
        found = rows.get(key)
        lacking += found is None
        columns.append(empty if found is None else found)
    if lacking == len(columns):
        raise DataError(
            f"{path} has no row of any picture: {named(keys)} differ in all {counted(lacking, 'row')}.",
            "Check that both tables are of one dataset.",
        )
    return {**table, **dict(zip(added, map(list, zip(*columns, strict=True)), strict=True))}, lacking
