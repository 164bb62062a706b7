"""Which column of a table says what: found from its names and its cells, and asked for where two may say it.

Nothing is decided between two readings: `understand` raises the question with both, and the option that answers it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from penlight.data.dataset import METADATA
from penlight.data.own.finding_tables import is_headless, require_no_other_splits, tables_of
from penlight.data.own.given_splits import find_splits
from penlight.data.own.known_columns import Names, find_other_columns
from penlight.data.own.label_columns import LabelColumns, RowsThere, find_labels
from penlight.data.own.listing import AskedLayout, Tree
from penlight.data.own.manifest import Manifest
from penlight.data.own.path_columns import ask_for_file_names, find_path_column
from penlight.data.own.reading_tables import TablesRead, finder_of, read_tables
from penlight.data.own.table_rules import TableRules
from penlight.data.own.tables import Table
from penlight.escaping import named
from penlight.numbers import counted


def understand(source: Path, tree: Tree, asked: AskedLayout) -> Manifest:
    """Find out which column of a table says what; `source` is the table, or the folder of the tables of splits.

    UndecidedError where a column, a cell or a row may be read in two ways; DataError where none can be the path or
    the labels.
    """
    folder, name, rules = tables_of(source, tree, asked)
    if name:
        require_no_other_splits(source, tree)
    read = read_tables(folder, name, rules)
    finder = finder_of(tree, read.path, rules)
    if rules.head and is_headless(read.table, finder):
        rules = replace(rules, head=False)
        read = read_tables(folder, name, rules)
    path = find_path_column(read, finder, asked)
    files = [finder.find(cell, read.splits[i] if read.splits else None) for i, cell in enumerate(read.table[path])]
    there = [i for i, file in enumerate(files) if file is not None]
    if len(there) < len(files) and not rules.file_names:
        ask_for_file_names(read, path, tree, rules, len(there))
    unjoined = set(read.unjoined)
    rows = RowsThere(read.table, [i for i in there or range(len(files)) if i not in unjoined], path)
    others = find_other_columns(read, path, asked)
    rules = find_splits(read, others, files, finder, rules, asked)
    labels = find_labels(read.path, rows, {path, *others.values()}, asked, rules)
    rules = labels.rules
    if asked.unnamed_patients:
        rules = replace(rules, unnamed_patients=asked.unnamed_patients)
    used = {path, labels.label, *labels.labels, *others.values()}
    unused = [column for column in read.table if column not in used and column not in labels.unused]
    about = {
        "files": _about_files(path, read, files, rules),
        "labels": labels.words,
        "patients": others.get("patient", ""),
        "split": _about_split(others, rules),
        "kept": ", ".join(others[kind] for kind in METADATA if kind in others),
        "not used": ", ".join([*(f"{column} ({why})" for column, why in labels.unused.items()), *unused]) or "-",
    }
    return _manifest(path, labels, others, rules, {what: said for what, said in about.items() if said})


def understand_columns(table: Table, path: Path, files: str, asked: AskedLayout) -> Manifest:
    """Find out which column of a table says what, where the column `files` names pictures that need not be there.
    Errors as in `understand`."""
    others = find_other_columns(TablesRead(table, path.parent, path, [path.name]), files, asked)
    rows = RowsThere(table, range(len(table[files])), files)
    labels = find_labels(path, rows, {files, *others.values()}, asked, TableRules(by_name=True))
    return _manifest(files, labels, others, labels.rules, {})


def _manifest(path: str, labels: "LabelColumns", others: Names, rules: TableRules, about: Names) -> Manifest:
    none, *also = labels.none or (None,)
    rules = replace(rules, also_none=tuple(each for each in also if each))
    return Manifest(path, labels.label, labels.labels, labels.separator, none, others, rules, about)


def _about_files(path: str, read: TablesRead, files: Sequence[str | None], rules: TableRules) -> str:
    n = sum(file is not None for file in files)
    tables = f" of {named(rules.tables)}" if rules.tables else ""
    return f"{path}{tables}: {n:,} of {counted(len(files), 'row')} have a file"


def _about_split(others: Names, rules: TableRules) -> str:
    if "split" in others:
        return others["split"]
    if rules.lists:
        return f"the lists {named(rules.lists.values())}"
    if rules.folders:
        return "the folders of the pictures"
    return "one table for each" if rules.tables and not rules.anew else ""
