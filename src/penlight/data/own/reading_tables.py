"""The tables of a dataset, read as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penlight.data.own import naming
from penlight.data.own.finder import FileFinder
from penlight.data.own.listing import Tree
from penlight.data.own.table_rules import TableRules
from penlight.data.own.tables import Table, read_table
from penlight.errors import DataError
from penlight.escaping import named


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
    from penlight.data.own.pairs import beside_in

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
