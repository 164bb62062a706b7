"""Which column of a table says what: found from its names and its cells, and asked for where two may say it.

Nothing is decided between two readings: `understand` raises the question with both, and the option that answers it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from penlight.data.dataset import METADATA, SPLITS
from penlight.data.own import naming
from penlight.data.own.cells import LIST, are_whole_numbers, comma_lists, is_list, parts_of, whole_number
from penlight.data.own.class_folders import has_classes
from penlight.data.own.finder import FileFinder, folder_of
from penlight.data.own.listing import AskedLayout, Tree
from penlight.data.own.manifest import (
    UNKNOWN,
    Manifest,
    TableRules,
    TablesRead,
    finder_of,
    read_tables,
    split_of_table,
    undecided_cells,
    unlabelled,
)
from penlight.data.own.questions import ask
from penlight.data.own.row_names import packed_name
from penlight.data.own.tables import (
    HOLDING,
    SUFFIXES,
    Table,
    first_rows,
    holds_pictures,
    read_lines,
    read_table,
    suffix_of,
)
from penlight.data.own.templates import without_ending
from penlight.errors import DataError, PenlightError
from penlight.escaping import named
from penlight.numbers import counted

NONE = "none"
"""What a person says for a column that is not to be used."""

_OURS = ("-splits.csv", "-unreadable.csv")
_MOST_TABLES = 200
_SAMPLE = 200
_SEPARATORS = ("|", ";")
_SURE_SPLITS = ("split", "subset", "partition")
_UNKNOWN = ("unk", "unknown")
_SHOWN = 6
_MOST_NUMBERS = 40
Names = Mapping[str, str]


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
    return [name for name in tree.others if name.lower().endswith(tuple(SUFFIXES)) and not name.endswith(_OURS)]


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
    if _is_headless(table, finder):
        return len(table) > 1
    plain = [naming.plain(column) for column in table]
    others = [each for each in plain if each not in _KNOWN and not each.startswith("column")]
    if any(each in _PATHS for each in plain):
        return any(_speaks_of_label(column) for column in table) or len(others) > 1
    return len(table) > 1 and any(
        not _is_row_number(column, cells) and _are_files(cells, finder) for column, cells in table.items()
    )


def _role(role: str) -> Sequence[str]:
    return naming.COLUMNS[role]


_PATHS = frozenset(_role("path"))
_OTHERS = ("patient", "split", *METADATA)
_KNOWN = {name for role in ("path", *_OTHERS, "flags", "no_labels") for name in _role(role)}


def _speaks_of_label(column: str) -> bool:
    plain, words = naming.plain(column), naming.words(column)
    if plain in _KNOWN:
        return False
    known = (*_role("surely_label"), *_role("label"))
    return plain in known or (bool(words) and words[-1] in _role("label_words"))


def _is_flag(column: str) -> bool:
    return naming.plain(column) in _role("flags") or any(word in _role("flag_words") for word in naming.words(column))


@dataclass(frozen=True)
class _Rows:
    """The rows of a table whose files are there, or all where none is: what labels are read from. `path` is the
    column of the files."""

    table: Table
    numbers: Sequence[int]
    path: str

    def cells(self, column: str) -> list[str]:
        cells = self.table[column]
        return cells if len(self.numbers) == len(cells) else [cells[i] for i in self.numbers]


@dataclass(frozen=True)
class _Labels:
    """The columns of the labels and how their cells are read; `words` say it."""

    label: str | None = None
    labels: tuple[str, ...] = ()
    separator: str | None = None
    none: tuple[str, ...] = ()
    rules: TableRules = field(default_factory=TableRules)
    words: str = ""
    unused: Mapping[str, str] = field(default_factory=dict)


def understand(source: Path, tree: Tree, asked: AskedLayout) -> Manifest:
    """Find out which column of a table says what; `source` is the table, or the folder of the tables of splits.

    UndecidedError where a column, a cell or a row may be read in two ways; DataError where none can be the path or
    the labels.
    """
    folder, name, rules = _tables(source, tree, asked)
    if name:
        _require_alone(source, tree)
    read = read_tables(folder, name, rules)
    finder = finder_of(tree, read.path, rules)
    if rules.head and _is_headless(read.table, finder):
        rules = replace(rules, head=False)
        read = read_tables(folder, name, rules)
    path = _path_column(read, finder, asked)
    files = [finder.find(cell, read.splits[i] if read.splits else None) for i, cell in enumerate(read.table[path])]
    there = [i for i, file in enumerate(files) if file is not None]
    if len(there) < len(files) and not rules.file_names:
        _ask_for_names(read, path, tree, rules, len(there))
    unjoined = set(read.unjoined)
    rows = _Rows(read.table, [i for i in there or range(len(files)) if i not in unjoined], path)
    others = _other_columns(read, path, asked)
    rules = _split_rule(read, others, files, finder, rules, asked)
    labels = _labels(read.path, rows, {path, *others.values()}, asked, rules)
    rules = labels.rules
    if asked.unnamed_patients:
        rules = replace(rules, unnamed_patients=asked.unnamed_patients)
    used = {path, labels.label, *labels.labels, *others.values()}
    unused = [column for column in read.table if column not in used and column not in labels.unused]
    about = {
        "files": _about_files(path, read, files, rules),
        "labels": labels.words,
        **({"patients": others["patient"]} if "patient" in others else {}),
        **({"split": _about_split(others, rules)} if _about_split(others, rules) else {}),
        **(
            {"kept": ", ".join(others[kind] for kind in METADATA if kind in others)}
            if set(METADATA) & set(others)
            else {}
        ),
        "not used": ", ".join([*(f"{column} ({why})" for column, why in labels.unused.items()), *unused]) or "-",
    }
    return _manifest(path, labels, others, rules, about)


def understand_columns(table: Table, path: Path, files: str, asked: AskedLayout) -> Manifest:
    """Find out which column of a table says what, where the column `files` names pictures that need not be there.
    Errors as in `understand`."""
    others = _other_columns(TablesRead(table, path.parent, path, [path.name]), files, asked)
    rows = _Rows(table, range(len(table[files])), files)
    labels = _labels(path, rows, {files, *others.values()}, asked, TableRules(by_name=True))
    return _manifest(files, labels, others, labels.rules, {})


def _manifest(path: str, labels: "_Labels", others: Names, rules: TableRules, about: Names) -> Manifest:
    none, *also = labels.none or (None,)
    rules = replace(rules, also_none=tuple(each for each in also if each))
    return Manifest(path, labels.label, labels.labels, labels.separator, none, others, rules, about)


def find_column(table: Table, what: str) -> str | None:
    """Find the column that says `what`, a key of `naming.COLUMNS`, by its name; of several the clearest."""
    by_name = {naming.plain(column): column for column in reversed(list(table))}
    return next((by_name[name] for name in _role(what) if name in by_name), None)


def is_label_column(name: str) -> bool:
    """Say whether a column is called as one of labels is, such as "diagnosis"."""
    return naming.plain(name) in (*_role("surely_label"), *_role("label"))


def _about_files(path: str, read: TablesRead, files: Sequence[str | None], rules: TableRules) -> str:
    n = sum(file is not None for file in files)
    tables = f" of {named(rules.tables)}" if rules.tables else ""
    return f"{path}{tables}: {n:,} of {counted(len(files), 'row')} have a file"


def _about_split(others: Names, rules: TableRules) -> str:
    if "split" in others:
        return others["split"]
    if rules.lists:
        return f"the lists {named(rules.lists.values())}"
    return (
        "the folders of the pictures"
        if rules.folders
        else "one table for each" * bool(rules.tables and not rules.anew)
    )


def _tables(source: Path, tree: Tree, asked: AskedLayout) -> tuple[Path, str, TableRules]:
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


def _require_alone(table: Path, tree: Tree) -> None:
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


def _ask_for_names(read: TablesRead, path: str, tree: Tree, rules: TableRules, n_found: int) -> None:
    """Raise the question whether names of files have more than a table says, where that finds files."""
    written = read.table[path]
    cells, readings = _sampled(written), []
    if n_found and not all(map(str.isdecimal, cells)):
        return
    for pattern in _PATTERNS:
        finder = finder_of(tree, read.path, replace(rules, file_names=pattern))
        example = next((cell for cell in cells if finder.has(cell)), None)
        many = sum(map(finder.has, cells)) * 2 > len(cells)
        if example is not None and many and sum(map(finder.has, written)) > n_found:
            readings.append((f"{example} is of {finder.named(example)}", f"--file-names '{pattern}'"))
    if readings:
        raise ask(
            "--file-names",
            f"{read.path}: {counted(len(written) - n_found, 'row')} of {path} without a file of that name.",
            *readings,
        )


_PATTERNS = ("{number}", "{name}_*", "*_{name}", "{name}-*", "*-{name}", "*_{name}_*")


def _is_headless(table: Table, finder: FileFinder) -> bool:
    """Say whether the first line of a table is a row: it names a file, or something that ends as a picture does."""
    return any(without_ending(name) != name or finder.has(name) for name in table)


def _named_column(table: Table, name: str, option: str, path: Path) -> str:
    found = [column for column in table if column.casefold() == name.strip().casefold()]
    found = [column for column in found if column == name] or found
    if len(found) != 1:
        raise DataError(f"{option}: {path} has no column {name}; it has {named(table)}.", "Give one of these.")
    return found[0]


def _path_column(read: TablesRead, finder: FileFinder, asked: AskedLayout) -> str:
    table, path = read.table, read.path
    if asked.path_column:
        return _named_column(table, asked.path_column, "--path-column", path)
    by_name = {naming.plain(column): column for column in reversed(list(table))}
    known = [by_name[name] for name in _role("path") if name in by_name]
    found = [column for column in table if packed_name(table[column][0])]
    if not found:
        found = [column for column in known if _names_files(table[column], finder)]
    if not found:
        found = [column for column in table if column not in known and _are_files(table[column], finder)]
        found = [column for column in found if not _is_row_number(column, table[column])] or found
        if found and _is_row_number(found[0], table[found[0]]):
            raise ask("--path-column", f"{path} has no column that names the files but one of numbers.",
                      ("its numbers are names of files", f"--path-column '{found[0]}'"))  # fmt: skip
    clear = [column for column in found if _end_as_pictures(table[column])]
    found = _of_one_meaning(clear or found, table, finder)
    if len(found) > 1 and naming.plain(found[-1]) == "id":
        found.pop()
    if len(found) > 1:
        raise ask(
            "--path-column",
            f"{path}: {named(found)} may each be the path of the pictures, and name different files.",
            *((f"as {table[column][0]}", f"--path-column '{column}'") for column in found),
        )
    if not found and known and (len(known) == 1 or known[0] != by_name.get("id")):
        found = known[:1]
    if not found:
        raise DataError(
            f"{path} has no column that names the files; it has {named(table)}.",
            "Name it with --path-column, and the folder of the pictures, if they lie elsewhere, with --images.",
        )
    return found[0]


def _sampled(cells: Sequence[str]) -> list[str]:
    given = list(dict.fromkeys(filter(None, cells[:: max(1, len(cells) // (4 * _SAMPLE))])))
    return given[:: max(1, len(given) // _SAMPLE)]


def _names_files(cells: Sequence[str], finder: FileFinder) -> bool:
    # All of a short table, in which few files may be there.
    sample = _sampled(cells) if len(cells) > 20 * _SAMPLE else cells
    return any(map(finder.has, sample)) or any(map(finder.has, cells))


def _are_files(cells: Sequence[str], finder: FileFinder) -> bool:
    """Say whether a column that is not called so names files: half of its cells do, and hardly one twice."""
    sample = _sampled(cells)
    return len(sample) > 1 and sum(map(finder.has, sample)) * 2 > len(sample)


def _is_row_number(column: str, cells: Sequence[str]) -> bool:
    return naming.plain(column) in ("index", "unnamed0", "column1", "idx") and all(cell.isdecimal() for cell in cells)


def _end_as_pictures(cells: Sequence[str]) -> bool:
    sample = _sampled(cells)
    return sum(without_ending(cell) != cell for cell in sample) * 2 > len(sample) > 0


def _of_one_meaning(columns: list[str], table: Table, finder: FileFinder) -> list[str]:
    """Leave out columns that name the same files as one before; those that lead out of the folder name none."""
    kept: list[str] = []
    meant: list[list[str | None]] = []
    for column in columns:
        try:
            files = [
                finder.find(cell) if cell else None
                for cell in table[column][:: max(1, len(table[column]) // _SAMPLE)]
            ]
        except DataError:
            files = [None] if len(columns) > 1 else []
            if len(columns) > 1:
                continue
        if not any(files == known for known in meant):
            kept.append(column)
            meant.append(files)
    return kept


def _other_columns(read: TablesRead, path_column: str, asked: AskedLayout) -> dict[str, str]:
    table, found = read.table, {}
    by_name = {naming.plain(column): column for column in reversed(list(table))}
    labels = {column.casefold() for column in asked.label_columns}
    for what in _OTHERS:
        told = {"patient": asked.patient_column, "split": asked.split_column}.get(what)
        if told is not None:
            if told.casefold() != NONE:
                found[what] = _named_column(table, told, f"--{what}-column", read.path)
            continue
        columns = [by_name[name] for name in _role(what) if name in by_name]
        columns = [column for column in columns if column.casefold() not in labels]
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
    few = set(cells[:_SAMPLE])
    if not 1 < len(few) <= 4 or not all(map(naming.split_in_name, few)):
        return False
    splits = {naming.split_in_name(cell) for cell in set(cells)}
    return "train" in splits and None not in splits


def _is_split(column: str, cells: Sequence[str]) -> bool:
    return naming.plain(column) in _SURE_SPLITS or all(map(naming.split_in_name, set(cells)))


def _split_rule(
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
        found = {file for file in map(finder.find, lines) if file in there} if _names_files(lines, finder) else set()
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


def _labels(path: Path, rows: _Rows, taken: set[str], asked: AskedLayout, rules: TableRules) -> _Labels:
    table = rows.table
    rules = replace(
        rules,
        uncertain=asked.uncertain or "",
        blank=asked.blank or _blank_of(asked.uncertain),
        rows=asked.keep_rows or "",
        drop_unlabelled=asked.drop_unlabelled,
        map=dict(asked.label_map),
    )
    if asked.label_columns:
        columns = [_named_column(table, name, "--label-column", path) for name in asked.label_columns]
        if len(columns) == 1:
            return _of_column(path, rows, columns[0], asked, rules)
        return _of_findings(path, rows, columns, asked, rules)
    free = [column for column in table if column not in taken]
    sure = [column for column in free if naming.plain(column) in _role("surely_label")]
    if len(sure) == 1:
        return _of_column(path, rows, sure[0], asked, rules)
    cells = {column: set(rows.cells(column)) for column in free}
    free = [column for column in free if any(cells[column])]
    findings = [column for column in free if _is_finding(cells[column])]
    findings = [column for column in findings if naming.plain(column) not in _role("no_labels")]
    flags = [column for column in findings if _is_flag(column)]
    findings = [column for column in findings if column not in flags]
    several = [column for column in free if len(cells[column] - {""}) > 1]
    exact = [column for column in several if naming.plain(column) in _role("label")]
    spoken = [column for column in several if _speaks_of_label(column) and column not in exact]
    spoken = [column for column in spoken if not naming.is_none(column)]
    columns = [*exact, *(column for column in spoken if column not in findings)]
    findings = [column for column in findings if column not in exact]
    if not columns and len(findings) == 1:
        columns, findings = findings, []
    columns = _of_one_partition(columns, rows)
    if findings and not columns:
        # Words beside columns of yes and no may be the label, and those columns what is known of a patient.
        columns = [column for column in free if column not in findings and _is_category(column, rows)]
    if len(free) == 1 and free[0].startswith("column ") and not findings:
        columns = free
    if len(columns) + bool(findings) == 1:
        if columns:
            return _of_column(path, rows, columns[0], asked, rules)
        why = dict.fromkeys(flags, "no finding unless named")
        return _of_findings(path, rows, findings, asked, rules, why)
    readings = [(_examples(cells[column]), f"--label-column {_quoted([column])}") for column in columns]
    if findings:
        readings.append((counted(len(findings), "finding"), f"--label-column {_quoted(findings)}"))
    if not readings:
        few = [column for column in free if 1 < len(cells[column] - {""}) <= 30]
        few = list(dict.fromkeys([*flags, *few]))
        readings = [(_examples(cells[column]), f"--label-column {_quoted([column])}") for column in few]
        if not readings:
            raise DataError(
                f"{path} has no labels: neither a column 'label' nor columns of 0 and 1; it has {named(table)}.",
                "Add a column 'label'.",
            )
        raise ask("--label-column", f"{path} has no labels that are known by their name.", *readings)
    raise ask("--label-column", f"{path} has several columns that may be the labels.", *readings)


def _is_category(column: str, rows: _Rows) -> bool:
    """Say whether a column of another name has a few words, each in several rows."""
    if naming.plain(column) in _KNOWN:
        return False
    counts = Counter(cell for cell in rows.cells(column) if not naming.is_missing(cell))
    words = [cell for cell in counts if not any(map(str.isdigit, cell))]
    return 1 < len(counts) <= 30 and len(words) == len(counts) and 3 * len(counts) <= sum(counts.values())


def _blank_of(uncertain: str | None) -> str:
    """What is not mentioned is taken as what is uncertain, but never as present."""
    return uncertain if uncertain in ("negative", "drop", UNKNOWN) else ""


def _quoted(columns: Sequence[str]) -> str:
    text = ",".join(f'"{column}"' if "," in column else column for column in columns)
    return f"'{text}'" if not text.replace(",", "").replace("_", "").isalnum() else text


def _examples(cells: Iterable[str]) -> str:
    some = sorted(cell for cell in cells if cell)
    return f"{', '.join(some[:4])}{', ...' if len(some) > 4 else ''}"[:80]


def _of_one_partition(columns: list[str], rows: _Rows) -> list[str]:
    """Leave out columns that say the same as another in other words, such as numbers of classes beside their
    names."""
    kept: list[str] = []
    for column in columns:
        cells = rows.cells(column)
        for i, other in enumerate(kept):
            pairs = set(zip(cells, rows.cells(other), strict=True))
            if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
                if all(cell.isdecimal() for _, cell in pairs) and not all(cell.isdecimal() for cell, _ in pairs):
                    kept[i] = column
                break
        else:
            kept.append(column)
    return kept


def _is_finding(cells: set[str]) -> bool:
    """Say whether cells are those of a finding: 1 and 0, and perhaps -1 or nothing."""
    answers = {cell: naming.yes_or_no(cell) for cell in cells}
    said = [answer for answer in answers.values() if answer is not None]
    rest = [cell for cell, answer in answers.items() if answer is None]
    said = said if {cell.casefold() for cell in cells} != {"x"} else []  # a mark where it is present
    return bool(said) and all(naming.is_missing(cell) or naming.is_uncertain(cell) for cell in rest)


def _of_findings(
    path: Path,
    rows: _Rows,
    columns: Sequence[str],
    asked: AskedLayout,
    rules: TableRules,
    unused: Mapping[str, str] | None = None,
) -> _Labels:
    """Read a column for each finding, or for each class where every picture has one."""
    why = dict(unused or {})
    cells = {column: rows.cells(column) for column in columns}
    found = {column: set(texts) for column, texts in cells.items()}
    if wrong := {column: texts for column, texts in found.items() if not _is_finding(texts)}:
        raise undecided_cells(path, {column: sorted(texts) for column, texts in wrong.items()})
    for column in columns:
        if all(naming.yes_or_no(cell) is False for cell in found[column]) and not asked.label_columns:
            why[column] = "no picture has it"
    columns = [column for column in columns if column not in why]
    unread: dict[str, list[str]] = {}
    for column in columns:
        odd = [cell for cell in found[column] if naming.yes_or_no(cell) is None]
        odd = [cell for cell in odd if not (rules.uncertain if naming.is_uncertain(cell) else rules.blank)]
        if odd:
            unread[column] = sorted(odd)
    if unread:
        raise undecided_cells(path, unread)
    present = [[naming.yes_or_no(cell) is True for cell in cells[column]] for column in columns]
    exclusive = bool(columns) and all(sum(row) == 1 for row in zip(*present, strict=True))
    nothing = [column for column in columns if naming.is_none(column, beside_findings=True)]
    nothing = [column for column in nothing if column not in asked.order]
    unknown = [column for column in nothing if column.casefold() in _UNKNOWN]
    if exclusive and not asked.several and unknown and not asked.label_columns:
        n = sum(naming.yes_or_no(cell) is True for cell in cells[unknown[0]])
        if not asked.drop_unlabelled:
            raise ask("--drop-unlabelled", f"{path}: {counted(n, 'picture')} of {unknown[0]} have no other label.",
                      ("leave them out", "--drop-unlabelled"),
                      ("a class of its own", f"--label-column {_quoted(columns)}"))  # fmt: skip
        rules = replace(rules, drop_unlabelled=True)
        columns = [column for column in columns if column not in unknown]
        why |= dict.fromkeys(unknown, "left out")
        return _Labels(None, tuple(columns), None, (), replace(rules, one_each=True), named(columns), why)
    if (not exclusive or asked.several) and len(nothing) < len(columns):
        columns = [column for column in columns if column not in nothing]
        why |= dict.fromkeys(nothing, "says that there is none")
    words = f"a column of 0 and 1 for each: {named(columns)}"
    for name, told in (("uncertain", rules.uncertain), ("blank", rules.blank)):
        words += f"; {name} cells are {told}" if told and asked.uncertain else ""
    return _Labels(None, tuple(columns), None, (), rules, words, why)


def _of_column(path: Path, rows: _Rows, column: str, asked: AskedLayout, rules: TableRules) -> _Labels:
    """Read a column whose cells are labels."""
    counts: dict[str, int] = {}
    for cell in rows.cells(column):
        counts[cell] = counts.get(cell, 0) + 1
    separator = _separator(path, column, list(counts), asked)
    parts = {part for cell in counts for part in parts_of(cell, separator)}
    several = (asked.several and len(counts) > 2) or asked.keep_rows == "any"
    missing = [part for part in parts if naming.is_missing(part) and not _is_word(part, parts, separator or several)]
    if parts and parts <= {"0", "1", "0.0", "1.0"} and separator == LIST:
        raise DataError(
            f"{path}: {column} holds rows of numbers, not labels.", "Give a column of labels, or one for each."
        )
    labels = parts - set(missing)
    rules = replace(rules, missing=tuple(sorted(missing)), whole_numbers=are_whole_numbers(labels))
    labels = {whole_number(label) for label in labels} if rules.whole_numbers else labels
    empty = {cell for cell in counts if set(parts_of(cell, separator)) <= set(missing) and not is_list(cell)}
    may_be_none = separator is not None or _is_finding(set(counts))
    if empty and not asked.drop_unlabelled and not (may_be_none and rules.blank == "negative"):
        files = [file for file, cell in zip(rows.cells(rows.path), rows.cells(column), strict=True) if cell in empty]
        raise unlabelled(path, files, sorted(empty - {""}), findings=may_be_none)
    if not (rules.uncertain or rules.map):
        _require_no_minus_one(path, column, labels, counts)
    if len(labels) > _MOST_NUMBERS and not (rules.map or asked.order) and all(map(_is_quantity, labels)):
        raise ask(
            "--label-map",
            f"{path}: {column} has {len(labels):,} numbers, as a measurement has, and Penlight learns classes.",
            ("names of the classes that they are, or fewer classes", "--label-map FILE"),
            ("other labels", "--label-column NAME"),
        )
    if rules.map and (absent := sorted(label for label in labels if label not in rules.map)):
        raise DataError(f"--label-map has no name for {named(absent)}.", "Add them.")
    none: tuple[str, ...] = ()
    if several or (separator and any(len(parts_of(cell, separator)) > 1 for cell in counts)):
        none = tuple(sorted(label for label in labels if naming.is_none(label, beside_findings=True)))
        none = tuple(label for label in none if label not in asked.order)
    how = {None: "", LIST: ", lists in brackets"}.get(separator, f", '{separator}' between several")
    words = f"{column}{how}"
    words += f"; {named(none)} is none" if none else ""
    words += f"; {named(rules.missing)} is no label" if rules.missing else ""
    return _Labels(column, (), separator, none, rules, words)


def _is_quantity(label: str) -> bool:
    return label.replace(".", "", 1).lstrip("-").isdecimal()


def _require_no_minus_one(path: Path, column: str, labels: set[str], counts: Mapping[str, int]) -> None:
    if "-1" in labels and len(labels) > 2 and all(label.lstrip("-").isdecimal() for label in labels):
        n = counts.get("-1", 0) + counts.get("-1.0", 0)
        raise ask(
            "--uncertain",
            f"{path}: {column} is -1 in {counted(n, 'row')}, which may be a class, or uncertain.",
            ("leave them out", "--uncertain drop"),
            ("as 1", "--uncertain positive"),
            ("as 0", "--uncertain negative"),
            ("a class of its own", "--label-map FILE"),
        )


def _is_word(part: str, parts: set[str], several: object) -> bool:
    """Say whether "none" and its like are a label: a grade beside others, or no finding beside findings."""
    text = part.casefold()
    if text not in ("none", "unknown"):
        return False
    grades = {"mild", "moderate", "severe", "minimal", "proliferative"}
    return text == "none" and (bool(several) or any(set(naming.words(other)) & grades for other in parts))


def _separator(path: Path, column: str, cells: Sequence[str], asked: AskedLayout) -> str | None:
    """Find what stands between several labels in a cell."""
    if asked.separator is not None:
        return None if asked.separator.casefold() == NONE else asked.separator
    if any(map(is_list, cells)):
        return LIST
    marks = [mark for mark in _SEPARATORS if any(mark in cell for cell in cells)]
    if len(marks) > 1:
        raise ask(
            "--separator",
            f"{path}: labels hold both '|' and ';'.",
            *((f"{mark} between labels", f"--separator '{mark}'") for mark in marks),
            ("each cell is one label", f"--separator {NONE}"),
        )
    if marks:
        return marks[0]
    lists = comma_lists([cell for cell in cells if cell]) if any("," in cell for cell in cells) else False
    if lists is None:
        example = next(cell for cell in cells if "," in cell)
        raise ask(
            "--separator",
            f"{path}: {column} has commas, as in '{example}', and only some of the parts are labels elsewhere.",
            ("several labels", "--separator ,"),
            ("one label", f"--separator {NONE}"),
        )
    return "," if lists else None
