"""A Parquet file from standard input to CSV on standard output, in a process that may break down.

    python -P -m penlight.data.own.parquet < table.parquet > table.csv

Exit code 2, with the reason on standard error, for what cannot be read. The process limits its own memory, time and
files first.
"""

import contextlib
import csv
import io
import os
import re
import sys
from collections.abc import Callable
from typing import IO, Any, NoReturn

from penlight.data.own.tables import LARGEST_CELL, MOST_CELLS, MOST_COLUMNS, MOST_ROWS
from penlight.escaping import named

_MEMORY = 3 << 30
_SECONDS = 110
_BATCH = 1024
_THRIFT = 16 << 20


class UnreadableError(Exception):
    """A table that is not read, with the reason."""


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
            reason = str(error)
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
    """Write a Parquet file of plain columns as CSV.

    UnreadableError for one that is too large or has columns of lists, tables or bytes; PyArrow's own errors for a
    damaged one.
    """
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    file = pq.ParquetFile(
        pa.PythonFile(source, mode="r"),
        pre_buffer=False,
        thrift_string_size_limit=_THRIFT,
        thrift_container_size_limit=_THRIFT,
    )
    about, schema = file.metadata, file.schema_arrow
    if about.num_columns > MOST_COLUMNS:
        raise UnreadableError(f"it has {about.num_columns:,} columns, more than {MOST_COLUMNS:,}")
    most = min(MOST_ROWS, MOST_CELLS // max(1, about.num_columns))
    if about.num_rows > most:
        raise UnreadableError(f"it has {about.num_rows:,} rows, more than {most:,}")
    if odd := [field.name for field in schema if _is_odd(field.type)]:
        raise UnreadableError(f"the columns {named(odd)} hold lists, tables or bytes; texts and numbers are read")
    # The row numbers of a data frame, which pandas writes as a column.
    names = [name for name in schema.names if not re.fullmatch(r"__index_level_\d+__", name)]
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(names)
    left = most
    for batch in file.iter_batches(batch_size=_BATCH, columns=names, use_threads=False):
        left -= len(batch)
        if left < 0:
            raise UnreadableError(f"it has more than {most:,} rows")
        columns = [[cell_text(value) for value in column.to_pylist()] for column in batch.columns]
        rows.writerows(zip(*columns, strict=True))
    text.detach()


def _is_odd(kind: Any) -> bool:
    import pyarrow as pa

    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    if pa.types.is_dictionary(kind):
        return _is_odd(kind.value_type)
    return (
        pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) or any(is_kind(kind) for is_kind in binary)
    )


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


if __name__ == "__main__":
    main()
