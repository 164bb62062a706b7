"""Which tables of a folder say the labels of its pictures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from penlight.data.own import naming
from penlight.data.own.class_folders import has_classes
from penlight.data.own.finder import FileFinder, folder_of
from penlight.data.own.known_columns import columns_called, is_known, speaks_of_label
from penlight.data.own.listing import AskedLayout, Tree
from penlight.data.own.path_columns import are_files, is_row_number
from penlight.data.own.questions import ask
from penlight.data.own.reading_tables import split_of_table
from penlight.data.own.table_rules import TableRules
from penlight.data.own.tables import HOLDING, Table, first_rows, holds_pictures, read_table, suffix_of
from penlight.data.own.templates import without_ending
from penlight.errors import DataError, PenlightError
from penlight.escaping import named
from penlight.numbers import counted

_OURS = ("-splits.csv", "-unreadable.csv")
_MOST_TABLES = 200
_SHOWN = 6


def find_tables(folder: Path, tree: Tree, *, sure: bool = False) -> Path | None:
    """Find what says the labels of the pictures in a folder: its one table, or the folder itself where each split has
    one. None where no table does; UndecidedError where several tables do, or class folders as well unless a table is
    `sure` to."""
    saying = _saying(folder, tree)
    if not saying:
        holding = [] if tree.pictures else [name for name in _tables_in(tree) if suffix_of(name) in HOLDING]
        if holding:
            read_table(folder, holding[0])  # whose error says why
        return None
    classes = not sure and has_classes(tree)
    families = _families(saying)
    if len(families) > 1 or classes:
        folders = " and class folders" if classes else ""
        raise ask(
            "PATH",
            f"{folder} has the tables {named(saying)}{folders}; which says the labels?",
            *(_only(folder, tables, saying, classes) for tables in families[:_SHOWN]),
            *([("the class folders", _ignoring(saying))] if classes else []),
        )
    return folder / saying[0] if len(saying) == 1 else folder


def _saying(folder: Path, tree: Tree) -> list[str]:
    """Give the tables that seem to say labels: those of the folder itself, or else those below."""
    tables = _tables_in(tree)
    top = [name for name in tables if "/" not in name]
    plain = [name for name in tree.others if "/" not in name and Path(name).suffix in ("", ".txt")]
    finder = FileFinder(tree, str(folder), by_name=True)
    for names in ([*top, *plain], [name for name in tables if "/" in name]):
        if found := [name for name in names[:_MOST_TABLES] if _says_labels(folder, name, finder)]:
            return found
    return []


def _tables_in(tree: Tree) -> list[str]:
    return [name for name in tree.others if suffix_of(name) and not name.endswith(_OURS)]


def _only(folder: Path, tables: Sequence[str], saying: Sequence[str], classes: bool) -> tuple[str, str]:
    """Give the reading of some of the tables, of one family, alone."""
    if len(tables) == 1:
        return f"the table {tables[0]}", f"penlight data new '{folder / tables[0]}'"
    others = [name for name in saying if name not in tables]
    column = next(iter(first_rows(folder, tables[0])))
    options = [_ignoring(others)] * bool(others) + [f"--path-column '{column}'"] * classes
    return f"the tables {named(tables)}", " ".join(options)


def _ignoring(names: Sequence[str]) -> str:
    return " ".join(f"--ignore '{name}'" for name in names)


def _families(tables: Sequence[str]) -> list[list[str]]:
    """Put tables together that differ by the name of their split or their number alone, or are one for each folder of
    a split."""
    kinds = {name: naming.without_split(Path(name).name) for name in tables}
    if len(tables) > 1 and all(kind is None for kind in kinds.values()) and all(map(split_of_table, tables)):
        kinds = {name: naming.without_shard(Path(name).name) for name in tables}
    found: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        found.setdefault(naming.without_shard(name) if kind is None else kind, []).append(name)
    families = []
    for own in found.values():
        alike = len({(split_of_table(name), naming.shard_of(Path(name).name)) for name in own}) < len(own)
        families += [[name] for name in own] if alike else [own]
    return families


def _says_labels(folder: Path, name: str, finder: FileFinder) -> bool:
    """Say whether a table seems to say the labels of pictures, by the names of its columns and its first rows."""
    if "submission" in name.casefold():
        return False
    try:
        if holds_pictures(folder, name):
            return True
        table = first_rows(folder, name)
    except PenlightError:
        return False
    if is_headless(table, finder):
        return len(table) > 1
    others = [column for column in table if not is_known(column) and not column.startswith("column ")]
    if columns_called(table, "path"):
        return any(speaks_of_label(column) for column in table) or len(others) > 1
    return len(table) > 1 and any(
        not is_row_number(column, cells) and are_files(cells, finder) for column, cells in table.items()
    )


def tables_of(source: Path, tree: Tree, asked: AskedLayout) -> tuple[Path, str, TableRules]:
    """Give the folder, the name in it and the first rules of what says the labels."""
    rules = TableRules(
        by_name=True, ending=asked.ending or "", file_names=asked.file_names or "", encoding=asked.encoding or ""
    )
    if source.is_dir():
        found = _saying(source, tree)
        _require_whole(source, found, asked.ignore)
        return source, "", replace(rules, tables=tuple(found))
    join = []
    for each in asked.join:
        place = each.resolve()
        if not place.is_relative_to(source.parent):
            raise DataError(f"{each} does not lie beside {source}.", "Put both tables into one folder.")
        join.append(place.relative_to(source.parent).as_posix())
    return source.parent, source.name, replace(rules, join=tuple(join))


def _require_whole(folder: Path, tables: Sequence[str], ignored: Sequence[str]) -> None:
    """Raise the question whether shards that are not there are left out."""
    shards: dict[tuple[str, int], set[int]] = {}
    for name in tables:
        number, n = naming.shard_of(Path(name).name) or (0, 0)
        shards.setdefault((naming.without_shard(name), n), set()).add(number)
    for (name, n), numbers in shards.items():
        stem, dot, ending = name.rpartition(".")
        absent = [f"{stem}-{i:05d}-of-{n:05d}{dot}{ending}" for i in range(min(n, _MOST_TABLES)) if i not in numbers]
        if left := [each for each in absent if each not in ignored]:
            raise ask(
                "--ignore",
                f"{folder} has {len(numbers)} of {counted(n, 'file')} of {name}: {named(left)} is not there.",
                ("those that are there, without it", " ".join(f"--ignore '{each}'" for each in left)),
            )


def require_no_other_splits(table: Path, tree: Tree) -> None:
    """Raise the question whether tables of other splits beside this one belong to it."""
    kind, own, shard = naming.without_split(table.name), split_of_table(table.name), naming.shard_of(table.name)
    if kind is None:
        return
    folder = table.parent.relative_to(tree.root).as_posix() if table.is_relative_to(tree.root) else "."
    beside = [name for name in tree.others if folder_of(name) == folder]
    beside = [name for name in beside if suffix_of(name) or Path(name).suffix == table.suffix]
    finder = FileFinder(tree, str(table), by_name=True)
    others = [
        place.name
        for place in map(Path, beside)
        if naming.without_split(place.name) == kind
        if (split_of_table(place.name), naming.shard_of(place.name)) != (own, shard)
        if _says_labels(table.parent, place.name, finder)
    ]
    if others:
        raise ask(
            "PATH",
            f"{named(others)} beside {table} are of its other splits or parts.",
            ("all of them", f"penlight data new '{table.parent}'"),
            ("this one alone", " ".join(f"--ignore '{name}'" for name in others)),
        )


def is_headless(table: Table, finder: FileFinder) -> bool:
    """Say whether the first line of a table is a row: it names a file, or something that ends as a picture does."""
    return any(without_ending(name) != name or finder.has(name) for name in table)
