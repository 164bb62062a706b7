"""Reading tables of texts, which may come from a stranger: their size is bounded before it is held.

CSV with commas, semicolons, tabs or blanks in any common encoding, the same in gzip, JSON Lines, Excel and Parquet.
The last two are read in a process of its own, which gives them back as CSV: a damaged one may end the library that
reads it, or take all memory.
"""

import codecs
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from penlight import disk
from penlight.data.own.limits import LARGEST_CELL, LARGEST_TABLE, MOST_CELLS, MOST_COLUMNS, MOST_ROWS
from penlight.data.own.listing import composed
from penlight.data.own.questions import UndecidedError, ask
from penlight.data.own.row_names import ARRAYS, packed_name
from penlight.data.own.templates import without_ending
from penlight.errors import DataError, MissingExtraError
from penlight.escaping import named, shown
from penlight.parsing import parse_json_object

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson")
SUFFIXES = {*_TEXTS, *(f"{suffix}.gz" for suffix in _TEXTS), ".parquet", ".xlsx", *ARRAYS}
"""Endings of tables, in lower case."""

HOLDING = {".parquet", *ARRAYS}
"""Endings of those that may hold the pictures themselves."""

Table = Mapping[str, list[str]]

_FIRST = 1 << 16
_SECONDS = 120
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BY_PROCESS = {
    ".parquet": ("pyarrow", "penlight.data.own.parquet", "Parquet"),
    ".xlsx": ("openpyxl", "penlight.data.own.excel", "Excel"),
    **dict.fromkeys((".h5", ".hdf5"), ("h5py", "penlight.data.own.hdf5", "HDF5")),
}


def suffix_of(name: str) -> str:
    """Give the ending of a table's name, in lower case; empty for any other file."""
    lower = name.lower()
    return max((suffix for suffix in SUFFIXES if lower.endswith(suffix)), key=len, default="")


def read_table(folder: Path, name: str, *, head: bool = True, encoding: str = "") -> Table:
    """Read a table in or below a folder into columns of texts, by no link. Columns without a name are called
    "column 3" and so on, and left out where they are empty; `head` says that the first line has the names, otherwise
    all are called so. `encoding` is that of a text, see `check_encoding`.

    DataError if it is missing, damaged, too large or has no rows; MissingExtraError for Parquet and Excel without the
    library that reads it.
    """
    path, suffix = folder / name, suffix_of(name)
    if suffix in ARRAYS:
        from penlight.data.own.pairs import read_arrays_table

        return read_arrays_table(folder, name, None if suffix == ".npy" else converted(folder, name))
    if suffix in _BY_PROCESS:
        return converted(folder, name, head=head)
    try:
        content = disk.read_inside(folder, name, LARGEST_TABLE)
        content = _unpacked(content, path) if suffix.endswith(".gz") else content
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from error
    text = _text_of(content, path, encoding)
    columns = _of_lines(text, path) if ".jsonl" in suffix or ".ndjson" in suffix else _columns(text, path, head)
    return _with_rows(columns, path)


def holds_pictures(folder: Path, name: str) -> bool:
    """Say whether a table in or below a folder has pictures in its cells, or is of arrays of them. DataError for a
    Parquet or HDF5 file that cannot be read."""
    from penlight.data.own.pairs import beside_in

    suffix = suffix_of(name)
    if suffix in ARRAYS and beside_in(folder, name):
        return True
    return suffix in HOLDING and any(packed_name(cells[0]) for cells in read_table(folder, name).values())


def _with_rows(columns: Table, path: Path) -> Table:
    if not columns or not next(iter(columns.values())):
        raise DataError(f"{path} has no rows.", "A table has a line of column names, then a row for each picture.")
    return columns


def converted(folder: Path, name: str, *, head: bool = True) -> Table:
    """Read a file of another program as `read_table` does, and nothing beside it."""
    path = folder / name
    try:
        with disk.open_inside(folder, name) as file:
            content = _csv_of(file, path, name, suffix_of(name))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from error
    return _with_rows(_columns(_text_of(content, path), path, head), path)


def columns_of(content: bytes, path: Path) -> dict[str, list[str]]:
    """Read a CSV file, its delimiter a comma, semicolon or tab, into columns of texts. DataError for what is none."""
    return _columns(_text_of(content, path), path, True)


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


def read_lines(folder: Path, name: str) -> list[str]:
    """Read a list in or below a folder, one name a line, by no link. DataError if it is missing or too large."""
    try:
        content = disk.read_inside(folder, name, LARGEST_TABLE)
    except OSError as error:
        raise DataError(f"{folder / name} cannot be read: {error.strerror}.", "Check the path.") from error
    lines = (composed(line.strip()) for line in _text_of(content, folder / name).splitlines())
    return [line for line in lines if line][:MOST_ROWS]


def first_rows(folder: Path, name: str) -> Table:
    """Give the columns of a table in or below a folder with the first of its rows, of CSV without reading all of it,
    and whatever its encoding. DataError if it cannot be read."""
    suffix = suffix_of(name)
    if suffix in (*_BY_PROCESS, *ARRAYS) or "jsonl" in suffix or "ndjson" in suffix:
        return read_table(folder, name)
    try:
        with disk.open_inside(folder, name) as file:
            content = file.read(_FIRST)
    except OSError as error:
        raise DataError(f"{folder / name} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if suffix.endswith(".gz"):
        try:
            content = zlib.decompressobj(31).decompress(content, _FIRST)
        except zlib.error as error:
            raise DataError(f"{folder / name} is not a gzip file: {error}.", "Get it again.") from error
    # A character of UTF-16 has two bytes or four.
    whole = content[: content.rfind(b"\n") + 1] or content
    whole = content[: len(content) // 4 * 4] if content.startswith(_BOMS) else whole
    try:
        text = _text_of(whole, folder / name)
    except UndecidedError:
        text = whole.decode("latin-1")
    try:
        return _columns(text, folder / name, True, empty=True)
    except DataError:
        # What was read may end within a cell of several lines.
        told = re.match(r"sep=.\r?\n", text)
        rows = text.splitlines()
        return _columns("\n".join([*rows[: 1 + bool(told)], ""]), folder / name, True, empty=True)


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


def _unpacked(content: bytes, path: Path) -> bytes:
    """Unpack a gzip file, which may have several members, and no more than a table may have."""
    parts, size = [], 0
    try:
        while content and size <= LARGEST_TABLE:
            unpacker = zlib.decompressobj(31)
            parts.append(unpacker.decompress(content, LARGEST_TABLE + 1 - size))
            size += len(parts[-1])
            if not unpacker.eof and size <= LARGEST_TABLE:
                raise zlib.error("it is cut off")
            content = unpacker.unused_data
    except zlib.error as error:
        raise DataError(f"{path} is not a whole gzip file: {error}.", "Get it again.") from error
    if size > LARGEST_TABLE:
        raise DataError(f"{path} unpacks to more than {LARGEST_TABLE:,} bytes.", "Divide it.")
    return b"".join(parts)


def check_encoding(name: str) -> str:
    """Give the name that Python has for an encoding of texts. DataError for one that is not known."""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        found = ""
    if found not in _ENCODINGS:
        raise DataError(f"The encoding must be one of {', '.join(_ENCODINGS)}; {shown(name)} came.", "Correct it.")
    return found


def _text_of(content: bytes, path: Path, encoding: str = "") -> str:
    """Decode a table: in the `encoding` that is given, in UTF-8, in UTF-16 by its first bytes, and otherwise in
    Windows-1252, which Western Excel writes, where its letters are those of a Western text."""
    utf16 = content.startswith(_BOMS)
    if b"\0" in content and not utf16 and not encoding.startswith("utf-16"):
        raise DataError(f"{path} holds zero bytes, so it is no table of texts.", "Save it as CSV in UTF-8.")
    name = encoding or ("utf-16" if utf16 else "utf-8-sig")
    try:
        return content.decode(name).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if encoding or utf16:
            raise DataError(
                f"{path} is not a whole text in {name}: {error}.", "Say which it is with --encoding."
            ) from error
    text = content.decode("cp1252", "replace")
    # Western words have an accent here and there; of other scripts all letters are outside of ASCII.
    if "\ufffd" in text or re.search(r"[^\x00-\x7f]{3}", text):
        raise ask(
            "--encoding",
            f"{path} is no text in UTF-8, and hardly one of a Western language.",
            *((words, f"--encoding {name}") for name in _GUESSED if (words := _words_in(content, name))),
        )
    return text


def _words_in(content: bytes, encoding: str) -> str:
    """Give the first words of a text that are not ASCII, in an encoding; "" if the text is not in it."""
    try:
        found = re.findall(r"[^\W_]*[^\W\x00-\x7f]+[^\W_]*", content.decode(encoding))
    except UnicodeDecodeError:
        return ""
    return f"with words such as {', '.join(list(dict.fromkeys(found))[:3])}" if found else ""


_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GUESSED = ("gb18030", "shift_jis", "big5", "euc_kr", "cp1251", "cp1250", "cp1252", "mac-roman")
_ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", *(f"cp125{i}" for i in range(9)),
    *(f"iso8859-{i}" for i in range(1, 17) if i != 12), "mac-roman", "cp437", "cp850", "cp866", "koi8-r", "koi8-u",
    "shift_jis", "cp932", "euc_jp", "iso2022_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr", "cp949",
)  # fmt: skip


def _columns(text: str, path: Path, head: bool, *, empty: bool = False) -> dict[str, list[str]]:
    told = re.match(r"sep=(.)\r?\n", text)
    text = text[told.end() :] if told else text
    first = text[: 1 << 20].lstrip("\r\n").partition("\n")[0]
    delimiter = told[1] if told else max(",;\t", key=first.count)
    if not told and delimiter not in first and "|" in first:
        delimiter = "|"
    if not told and delimiter not in first and (apart := _at_blanks(text)):
        text, delimiter = apart, " "
    try:
        return _read_lines(text, delimiter, path, head, empty)
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file: {error}.", "Check its quotation marks.") from error


def _at_blanks(text: str) -> str | None:
    """Give a text whose first lines all have as many words, more than one, with single blanks between words."""
    first = [len(line.split()) for line in text[:_FIRST].splitlines()[:-1] or [text] if line.strip()]
    if len(set(first)) != 1 or first[0] < 2 or '"' in text:
        return None
    return "\n".join(" ".join(line.split()) for line in io.StringIO(text))


def _read_lines(text: str, delimiter: str, path: Path, head: bool, empty: bool) -> dict[str, list[str]]:
    # Lines are cut by the reader, so that one within quotation marks may hold several.
    lines = filter(any, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    first = next(lines, [])
    while head and first and first[0].startswith("#") and len(list(filter(None, first))) == 1:
        first = next(lines, [])  # a comment
    # A first row with the name of a picture, and one cell twice, has no names of columns.
    head = head and not (len(set(first)) < len(first) and any(without_ending(cell) != cell for cell in first))
    names = [composed(name.strip()) if head else "" for name in first]
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{path} has {len(names):,} columns, more than {MOST_COLUMNS:,}.", "Keep those that are used."
        )
    _require_one_of_each(list(filter(None, names)), path)
    rows: list[Sequence[str]] = [] if head else [first]
    most = min(MOST_ROWS, MOST_CELLS // max(1, len(names)))
    for number, line in enumerate(lines, 2):
        rows.append(line if len(line) == len(names) else _of_length(line, names, path, number))
        if number > most + 1:
            raise DataError(f"{path} has more than {most:,} rows of {len(names):,} columns.", "Divide it.")
    if not rows:
        return {name: [] for name in names if name} if empty else {}
    plain = text.isascii()
    columns: dict[str, list[str]] = {}
    for number, (name, cells) in enumerate(zip(names, zip(*rows, strict=True), strict=False), 1):
        column = [cell.strip() for cell in cells]
        if name or any(column):
            columns[name or f"column {number}"] = column if plain else list(map(composed, column))
    return columns


def _require_one_of_each(names: Sequence[str], where: object) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{where} has several columns named {named(twice)}.", "Give each its own name.")


def _of_length(line: list[str], names: Sequence[str], path: Path, number: int) -> list[str]:
    """Give a row as many cells as there are names: empty ones at its end may be missing, or too many."""
    n = len(names)
    if any(cell.strip() for cell in line[n:]) or any(names[len(line) :]):
        raise DataError(f"{path}: row {number} has {len(line)} cells, the first has {n}.", "Correct it.")
    return [*line[:n], *[""] * (n - len(line))]


def _of_lines(text: str, path: Path) -> dict[str, list[str]]:
    """Read JSON Lines: an object for each row; what is missing in one is an empty cell, a list stays one."""
    rows: list[dict[str, str]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
        if number > MOST_ROWS or len(names) > MOST_COLUMNS or number * len(names) > MOST_CELLS:
            raise DataError(f"{path} has more than {number - 1:,} rows of {len(names):,} columns.", "Divide it.")
        values = parse_json_object(line, f"{path}, line {number}", "Correct it.", largest=LARGEST_CELL)
        row = {composed(key): _json_cell(value) for key, value in values.items() if not isinstance(value, dict)}
        names |= dict.fromkeys(row)
        rows.append(row)
    return {name: [row.get(name, "") for row in rows] for name in names}


def _json_cell(value: object) -> str:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else composed(str(value).strip())


def _csv_of(file: IO[bytes], path: Path, name: str, suffix: str) -> bytes:
    """Give a table of another program as CSV, by a process that has so much memory and time and no more; once for
    each state of a file, as a folder of them is looked through before it is read."""
    stat = os.fstat(file.fileno())
    key = (str(path.absolute()), name, stat.st_size, stat.st_mtime_ns)
    if key not in _converted:
        content = _convert(file, path, name, *_BY_PROCESS[suffix])
        if sum(map(len, _converted.values())) + len(content) > _MOST_REMEMBERED:
            _converted.clear()
        _converted[key] = content
    return _converted[key]


_converted: dict[tuple[str, str, int, int], bytes] = {}
_MOST_REMEMBERED = 64 << 20


def _convert(file: IO[bytes], path: Path, name: str, library: str, module: str, kind: str) -> bytes:
    if find_spec(library) is None:
        extra = "train" if library == "h5py" else module.rpartition(".")[2]
        raise MissingExtraError(
            f"{kind} files are read by another library, which is not installed.",
            f"Install it with: pip install 'penlight[{extra}]', or save the table as CSV.",
        )
    # -P: a module is not looked for in the working folder, which may be a stranger's.
    command = [sys.executable, "-P", "-W", "ignore", "-m", module, name]
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
        article = "an" if kind[0] in "AEIOUH" else "a"
        reason = f"it took more than {_SECONDS} seconds" if timed_out else reason or "its reader broke down"
        raise DataError(
            f"{path} cannot be read as {article} {kind} file: {reason}.", "Write it again, or save it as CSV."
        )
    return content
