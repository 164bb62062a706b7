"""Reading tables of texts, CSV and Parquet, which may come from a stranger: their size is bounded before it is held.

A Parquet file is read in a process of its own, which gives it back as CSV: a damaged one may end the library that
reads it, or take all memory.
"""

import csv
import io
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from penlight import disk
from penlight.data.own.listing import composed
from penlight.errors import DataError, MissingExtraError
from penlight.escaping import named

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = {".csv", ".tsv", ".parquet"}

Table = Mapping[str, list[str]]

LARGEST_TABLE = 256 << 20
"""Bytes of a table; a row of a million-image manifest has about a hundred."""

MOST_ROWS = 2_000_000
MOST_COLUMNS = 2_000
MOST_CELLS = 20_000_000

LARGEST_CELL = 1 << 17
"""Characters of a cell, which is Python's own limit."""

_SECONDS = 120
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read_table(folder: Path, name: str) -> Table:
    """Read a table in or below a folder into columns of texts, by no link.

    DataError if it is missing, damaged, too large or has no rows; MissingExtraError for Parquet without the library
    that reads it.
    """
    path = folder / name
    try:
        if path.suffix.lower() == ".parquet":
            with disk.open_inside(folder, name) as file:
                content = _csv_of_parquet(file, path)
        else:
            content = disk.read_inside(folder, name, LARGEST_TABLE)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from error
    columns = columns_of(content, path)
    if not columns or not next(iter(columns.values())):
        raise DataError(f"{path} has no rows.", "A table has a line of column names, then a row for each picture.")
    return columns


def columns_of_frame(frame: "pd.DataFrame") -> dict[str, list[str]]:
    """Give a data frame as columns of texts, as a CSV file has them; an index that is more than row numbers comes
    first. DataError for several columns of one name."""
    table = frame if type(frame.index).__name__ == "RangeIndex" else frame.reset_index()
    names = [composed(str(name)) for name in table.columns]
    _require_one_of_each(names, "The table")
    columns = (table.iloc[:, place].tolist() for place in range(len(names)))
    # Only what is not known is unlike itself.
    texts = (["" if cell is None or cell != cell else composed(str(cell).strip()) for cell in own] for own in columns)
    return dict(zip(names, texts, strict=True))


def as_path_cell(path: str) -> str:
    """Give a path as a CSV file has it: one that a spreadsheet would take for a formula begins with "./"."""
    return f"./{path}" if _bare(path).startswith(_FORMULA) else path


def path_of_cell(cell: str) -> str:
    """Give the path that `as_path_cell` wrote."""
    return cell[2:] if cell.startswith("./") and _bare(cell).startswith(_FORMULA) else cell


def _bare(path: str) -> str:
    return re.sub(r"^(?:\./)+", "", path)


def csv_bytes(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Give a CSV file; what would be a formula in it is made none before."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([heads, *rows])
    return table.getvalue().encode()


def columns_of(content: bytes, path: Path) -> dict[str, list[str]]:
    """Read a CSV file, its delimiter a comma, semicolon or tab, into columns of texts. DataError for what is none."""
    if b"\0" in content:
        raise DataError(f"{path} holds zero bytes, as a text in UTF-16 does.", "Save it as UTF-8.")
    first = content[: 1 << 20].partition(b"\n")[0]
    delimiter = max(",;\t", key=lambda mark: first.count(mark.encode()))
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    try:
        return _read_lines(text, delimiter, path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8: {error}.", "Save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file: {error}.", "Check its quotation marks.") from error


def _read_lines(text: IO[str], delimiter: str, path: Path) -> dict[str, list[str]]:
    lines = filter(None, csv.reader(text, delimiter=delimiter, strict=True))
    names = [name.strip() for name in next(lines, [])]
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{path} has {len(names):,} columns, more than {MOST_COLUMNS:,}.", "Keep those that are used."
        )
    _require_one_of_each(names, path)
    columns: list[list[str]] = [[] for _ in names]
    most = min(MOST_ROWS, MOST_CELLS // max(1, len(names)))
    for number, line in enumerate(lines, 2):
        if len(line) != len(names):
            raise DataError(f"{path}: row {number} has {len(line)} cells, the first has {len(names)}.", "Correct it.")
        if number > most + 1:
            raise DataError(f"{path} has more than {most:,} rows of {len(names):,} columns.", "Divide it.")
        for column, cell in zip(columns, line, strict=True):
            column.append(composed(cell.strip()))
    return dict(zip(names, columns, strict=True))


def _require_one_of_each(names: Sequence[str], where: object) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{where} has several columns named {named(twice)}.", "Give each its own name.")


def _csv_of_parquet(file: IO[bytes], path: Path) -> bytes:
    """Give a Parquet file as CSV, by a process that has so much memory and time and no more."""
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            "Parquet files are read by another library, which is not installed.",
            "Install it with: pip install 'penlight[parquet]', or save the table as CSV.",
        )
    # -P: a module is not looked for in the working folder, which may be a stranger's.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "penlight.data.own.parquet"]
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        assert process.stdout is not None
        timer = threading.Timer(_SECONDS, process.kill)
        timer.start()
        try:
            content = process.stdout.read(LARGEST_TABLE + 1)
            if len(content) > LARGEST_TABLE:
                process.kill()
            code = process.wait()
            timed_out = not timer.is_alive()
        finally:
            process.kill()
            timer.cancel()
        messages.seek(0)
        reason = messages.read(2000).decode(errors="replace").strip()
    if len(content) > LARGEST_TABLE:
        raise DataError(f"{path} unpacks to more than {LARGEST_TABLE:,} bytes of text.", "Keep what is used.")
    if code:
        reason = f"it took more than {_SECONDS} seconds" if timed_out else reason or "its reader broke down"
        raise DataError(f"{path} cannot be read as a Parquet file: {reason}.", "Write it again, or save it as CSV.")
    return content
