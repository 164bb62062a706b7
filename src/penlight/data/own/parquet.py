"""A Parquet file from standard input to CSV on standard output, in a process that may break down.

    python -P -m penlight.data.own.parquet NAME < table.parquet > table.csv

Exit code 2, with the reason on standard error, for what cannot be read. The process limits its own memory, time and
files first. A cell with a picture becomes its name, NAME#ROW, as `penlight.data.own.packed` has it; what is in it is
not read then. What Hugging Face's `datasets` says of a column in the schema is followed: numbers become the names of
their classes, and -1, which stands for no label, an empty cell.
"""

import contextlib
import csv
import io
import json
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NoReturn

from penlight.data.own.limits import LARGEST_CELL, MOST_CELLS, MOST_COLUMNS, MOST_ROWS
from penlight.data.own.row_names import PackedName
from penlight.data.own.unreadable import UnreadableError
from penlight.escaping import named
from penlight.parsing import parse_json_object

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_MEMORY = 3 << 30
_SECONDS = 110
_BATCH = 1024
_PICTURES = 8
_THRIFT = 16 << 20
_BUFFER = 1 << 20
_LARGEST_FEATURES = 4 << 20
_MOST_PACKED = 200
_SMALL = 512 << 20


def main() -> None:
    """Read standard input, write standard output, and end the process."""
    convert(write_csv)


def convert(write: Callable[[IO[bytes], IO[bytes]], None]) -> NoReturn:
    """Let `write` read standard input and write CSV to standard output, and end the process."""
    limit()
    # The reader prints of a damaged file what it likes; what is written here must stay CSV.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        try:
            write(sys.stdin.buffer, out)
            out.flush()
        except UnreadableError as error:
            reason = error.problem
        except MemoryError:
            reason = f"it needs more than {_MEMORY >> 30} GiB of memory"
        except BaseException as error:  # PyArrow raises many kinds; whatever it is, the file cannot be read
            reason = f"{str(error).strip()[:300] or type(error).__name__}"
        else:
            os._exit(0)
    os.write(2, reason.replace("\n", " ").rstrip(".").encode(errors="replace"))
    # Without destructors, which may meet what a damaged file has left.
    os._exit(2)


def limit() -> None:
    """Give this process so much memory and time, and let it write next to nothing, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def write_csv(source: IO[bytes], out: IO[bytes]) -> None:
    """Write a Parquet file of plain columns, and perhaps of pictures, as CSV.

    UnreadableError for one that is too large or, without pictures, has columns of lists or tables, and for a number
    that is none of a class; PyArrow's own errors for a damaged one.
    """
    file = _open(source)
    schema, name = file.schema_arrow, sys.argv[1] if len(sys.argv) > 1 else ""
    most = min(MOST_ROWS, MOST_CELLS // max(1, len(schema)))
    if file.metadata.num_rows > most:
        raise UnreadableError(f"it has {file.metadata.num_rows:,} rows, more than {most:,}")
    pictures = picture_columns(schema)
    features = _features(schema)
    odd = [field.name for field in schema if field.name not in pictures and _is_odd(field.type)]
    if several := [field.name for field in schema if _holds_pictures(getattr(field.type, "value_type", None))]:
        if not pictures:
            raise UnreadableError(f"the column {named(several)} holds lists of pictures; one in a row is read")
    elif odd and not pictures:
        raise UnreadableError(f"the columns {named(odd)} hold lists, tables or bytes; texts and numbers are read")
    lists = [each for each in odd if _is_list(schema.field(each).type)]
    # The row numbers of a data frame, which pandas writes as a column.
    names = [each for each in schema.names if not re.fullmatch(r"__index_level_\d+__", each)]
    plain = [each for each in names if each not in pictures and (each not in odd or each in lists)]
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(names)
    at = 0
    for batch in _batches(file, plain):
        n = len(batch)
        if at + n > most:
            raise UnreadableError(f"it has more than {most:,} rows")
        cells = {each: [_cell(value, features.get(each), each) for value in column.to_pylist()]
                 for each, column in zip(plain, batch.columns, strict=True)}  # fmt: skip
        for each in pictures:
            column = each if len(pictures) > 1 else ""
            cells[each] = [str(PackedName(name, row, column)) for row in range(at, at + n)]
        at += n
        # What is not read is there, so that it is told that it is not used.
        rows.writerows(zip(*(cells.get(each, [""] * n) for each in names), strict=True))
    text.detach()


def _open(source: IO[bytes]) -> "pq.ParquetFile":
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    file = pq.ParquetFile(
        pa.PythonFile(source, mode="r"),
        # A column is read by pieces, and not at once.
        buffer_size=_BUFFER,
        pre_buffer=False,
        thrift_string_size_limit=_THRIFT,
        thrift_container_size_limit=_THRIFT,
    )
    if file.metadata.num_columns > MOST_COLUMNS:
        raise UnreadableError(f"it has {file.metadata.num_columns:,} columns, more than {MOST_COLUMNS:,}")
    return file


def _batches(file: "pq.ParquetFile", names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    """Give the rows of some columns; of none of them, batches without columns of as many rows."""
    import pyarrow as pa

    if names:
        yield from file.iter_batches(batch_size=_BATCH, columns=list(names), use_threads=False)
        return
    for start in range(0, file.metadata.num_rows, _BATCH):
        n = min(_BATCH, file.metadata.num_rows - start)
        yield pa.RecordBatch.from_struct_array(pa.array([{}] * n, pa.struct([])))


def picture_columns(schema: "pa.Schema") -> dict[str, str]:
    """Give the columns of pictures, with the path of their bytes in the file: of bytes, or of bytes and a path as
    Hugging Face has them."""
    found = {}
    for field in schema:
        if _is_bytes(field.type):
            found[field.name] = field.name
        elif _holds_pictures(field.type):
            found[field.name] = f"{field.name}.bytes"
    return found


def _holds_pictures(kind: Any) -> bool:
    import pyarrow as pa

    return kind is not None and pa.types.is_struct(kind) and any(
        each.name == "bytes" and _is_bytes(each.type) for each in kind
    )  # fmt: skip


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return any(is_kind(kind) for is_kind in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in lists) and not _is_odd(kind.value_type)


def _is_odd(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_odd(kind.value_type)
    return (
        pa.types.is_nested(kind)
        or isinstance(kind, pa.BaseExtensionType)
        or _is_bytes(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _features(schema: "pa.Schema") -> dict[str, Sequence[str]]:
    """Give the names of the classes of columns, as the schema's metadata says them."""
    about = (schema.metadata or {}).get(b"huggingface")
    if not about:
        return {}
    values: Any = parse_json_object(about, "What it says of its columns", largest=_LARGEST_FEATURES)
    for key in ("info", "features"):
        values = values.get(key) if isinstance(values, Mapping) else None
    found: dict[str, Sequence[str]] = {}
    for name, feature in (values if isinstance(values, Mapping) else {}).items():
        while isinstance(feature, list | Mapping) and feature and "names" not in feature:
            feature = feature[0] if isinstance(feature, list) else feature.get("feature")
        names = feature.get("names") if isinstance(feature, Mapping) else None
        if isinstance(names, list) and names and all(isinstance(each, str) for each in names):
            found[name] = names
    return found


def _cell(value: object, names: Sequence[str] | None, column: str) -> str:
    """Give a value as a cell has it, a number by the name of its class."""
    if isinstance(value, list):
        return json.dumps([_cell(each, names, column) for each in value], ensure_ascii=False)
    if names is None or not isinstance(value, int) or isinstance(value, bool):
        return cell_text(value)
    if not -1 <= value < len(names):
        raise UnreadableError(f"{column} has the class {value}, and there are names for 0 to {len(names) - 1}")
    return cell_text(names[value]) if value >= 0 else ""


def cell_text(value: object) -> str:
    """Give a value as a cell has it; UnreadableError for one that is too long."""
    if value is None or value != value:
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if len(text) > LARGEST_CELL:
        raise UnreadableError(f"a cell has {len(text):,} characters, more than {LARGEST_CELL:,}")
    if "\0" in text:
        raise UnreadableError("a cell holds a zero character")
    return text


class PictureCells:
    """Reads the pictures in a column of a Parquet file, some rows at a time; empty for the only one."""

    def __init__(self, source: IO[bytes], column: str) -> None:
        self._file = _open(source)
        pictures = picture_columns(self._file.schema_arrow)
        if not column and len(pictures) == 1:
            column = next(iter(pictures))
        if column not in pictures:
            raise UnreadableError(f"it has no column of pictures {column}; it has {named(pictures) or 'none'}")
        self._leaf = pictures[column]
        ends = [0]
        for i in range(self._file.num_row_groups):
            ends.append(ends[-1] + self._file.metadata.row_group(i).num_rows)
        self._ends = ends
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._cells: Any = ()
        self._first, self._group = 0, -1
        # One picture that stands in very many rows is packed once; see `data.npz`.
        self._most = max(_SMALL, _MOST_PACKED * source.seek(0, io.SEEK_END))
        self._given, self._last = 0, -1

    def row(self, number: int) -> bytes | None:
        """Give the bytes of a cell. UnreadableError for a row that is not there."""
        if number >= self._ends[-1]:
            raise UnreadableError(f"it has {self._ends[-1]:,} rows, and no row {number:,}")
        group = bisect_right(self._ends, number) - 1
        if group != self._group or number < self._first:
            # What was read of another group goes first.
            self._cells, self._batches = (), iter(())
            self._group, self._first = group, self._ends[group]
            self._batches = self._file.iter_batches(_PICTURES, [group], [self._leaf], use_threads=False)
        while number >= self._first + len(self._cells):
            self._first += len(self._cells)
            self._cells = ()
            column = next(self._batches).column(0)
            self._cells = (
                column.field("bytes") if self._leaf.endswith(".bytes") and column.type.num_fields else column
            )
        cell: bytes | None = self._cells[number - self._first].as_py()
        self._given = len(cell or b"") + (self._given if number > self._last else 0)
        self._last = number
        if self._given > self._most:
            raise UnreadableError(f"its pictures have more than {self._most:,} bytes, as none in so small a file do")
        return cell


if __name__ == "__main__":
    main()
