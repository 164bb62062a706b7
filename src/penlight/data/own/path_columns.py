"""Which column of a table names the files, and what of their names it has."""

from collections.abc import Sequence
from dataclasses import replace

from penlight.data.own import naming
from penlight.data.own.finder import FileFinder
from penlight.data.own.known_columns import column_named, columns_called
from penlight.data.own.listing import AskedLayout, Tree
from penlight.data.own.questions import ask
from penlight.data.own.reading_tables import TablesRead, finder_of
from penlight.data.own.row_names import packed_name
from penlight.data.own.table_rules import TableRules
from penlight.data.own.tables import Table
from penlight.data.own.templates import without_ending
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted

_SAMPLE = 200


def ask_for_file_names(read: TablesRead, path: str, tree: Tree, rules: TableRules, n_found: int) -> None:
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


def find_path_column(read: TablesRead, finder: FileFinder, asked: AskedLayout) -> str:
    """Find the column that names the files: the one that is asked for, or one of a known name, or any whose cells are
    names of files. UndecidedError for several that name different files; DataError where none does."""
    table, path = read.table, read.path
    if asked.path_column:
        return column_named(table, asked.path_column, "--path-column", path)
    known = columns_called(table, "path")
    found = [column for column in table if packed_name(table[column][0])]
    found += [column for column in known if column not in found and names_files(table[column], finder)]
    if not found:
        found = [column for column in table if column not in known and are_files(table[column], finder)]
        found = [column for column in found if not is_row_number(column, table[column])] or found
        if found and is_row_number(found[0], table[found[0]]):
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
    if not found and known and (len(known) == 1 or naming.plain(known[0]) != "id"):
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


def names_files(cells: Sequence[str], finder: FileFinder) -> bool:
    """Say whether one of some cells names a file."""
    # All of a short table, in which few files may be there.
    sample = _sampled(cells) if len(cells) > 20 * _SAMPLE else cells
    return any(map(finder.has, sample)) or any(map(finder.has, cells))


def are_files(cells: Sequence[str], finder: FileFinder) -> bool:
    """Say whether a column that is not called so names files: half of its cells do, and hardly one twice."""
    sample = _sampled(cells)
    return len(sample) > 1 and sum(map(finder.has, sample)) * 2 > len(sample)


def is_row_number(column: str, cells: Sequence[str]) -> bool:
    """Say whether a column counts the rows."""
    return naming.plain(column) in ("index", "unnamed0", "column1", "idx") and all(cell.isdecimal() for cell in cells)


def _end_as_pictures(cells: Sequence[str]) -> bool:
    sample = _sampled(cells)
    return sum(without_ending(cell) != cell or packed_name(cell) is not None for cell in sample) * 2 > len(sample) > 0


def _of_one_meaning(columns: list[str], table: Table, finder: FileFinder) -> list[str]:
    """Leave out columns that name the same files as one before; those that lead out of the folder name none."""
    kept: list[str] = []
    meant: list[list[str | None]] = []
    for column in columns:
        cells = table[column][:: max(1, len(table[column]) // _SAMPLE)]
        try:
            files = [finder.find(cell) if cell else None for cell in cells]
        except DataError:
            if len(columns) > 1:
                continue
            files = []
        if files not in meant:
            kept.append(column)
            meant.append(files)
    return kept
