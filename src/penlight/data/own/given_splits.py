"""Which split a picture has where no column says it: by lists beside a table, or by folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from penlight.data.dataset import SPLITS
from penlight.data.own import naming
from penlight.data.own.finder import FileFinder
from penlight.data.own.known_columns import NONE, Names
from penlight.data.own.listing import AskedLayout
from penlight.data.own.path_columns import names_files
from penlight.data.own.questions import ask
from penlight.data.own.reading_tables import TablesRead
from penlight.data.own.table_rules import TableRules
from penlight.data.own.tables import read_lines
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted


def find_splits(
    read: TablesRead,
    others: Names,
    files: Sequence[str | None],
    finder: FileFinder,
    rules: TableRules,
    asked: AskedLayout,
) -> TableRules:
    """Say which split a row has where no column says it: that of lists beside the table, or of the pictures'
    folders."""
    if (asked.split_column or "").casefold() == NONE:
        return replace(rules, anew=bool(read.splits))
    if "split" in others or read.splits:
        return rules
    there = {file for file in files if file is not None}
    if lists := split_lists(read.folder, finder, there, str(read.path)):
        return replace(rules, lists=lists)
    folders = [tuple(file.split("/")[:-1]) for file in there]
    for level in range(min(map(len, folders), default=0)):
        names = {parts[level] for parts in folders}
        if len(names) > 1 and all(map(naming.split_in_name, names)):
            splits = {naming.split_in_name(name) for name in names}
            if len(splits) > 1 and "train" in splits:
                return replace(rules, folders="*/" * level + "{split}")
    return rules


def split_lists(folder: Path, finder: FileFinder, there: set[str], beside: str) -> dict[str, str]:
    """Find the lists of the pictures of splits that lie in a folder, beside a table or the folders of classes."""
    lists: dict[str, str] = {}
    split_of: dict[str, set[str]] = {}
    for place in sorted(folder.glob("*.txt"))[:20]:
        split = naming.split_in_name(place.stem)
        if split is None or split in lists:
            continue
        try:
            lines = read_lines(folder, place.name)
        except DataError:
            continue
        found = {file for file in map(finder.find, lines) if file in there} if names_files(lines, finder) else set()
        if found:
            lists[split] = place.name
            for file in found:
                split_of.setdefault(file, set()).add(split)
    if not lists:
        return {}
    apart = [file for file in there if len(split_of.get(file, ())) != 1]
    if apart or "train" not in lists:
        how = "have none to train on"
        if apart:
            how = f"do not give {counted(len(apart), 'picture')} one split: {named(sorted(apart))}"
        raise ask(
            "--split-column",
            f"The lists {named(lists.values())} beside {beside} {how}.",
            ("divide the pictures anew", f"--split-column {NONE}"),
        )
    return {split: lists[split] for split in SPLITS if split in lists}
