"""Pictures that lie in larger files: in the rows of Parquet files, and of arrays in files of NumPy and HDF5.

Such a picture has a name of `row_names`. It is given as the bytes of a picture file: a cell of Parquet is one, and a
row of an array becomes a .npy file. So it goes through the same decoder as a file does.

Rows are read in their order by one process, with the limits of every worker, since libraries in C parse what may come
from a stranger: `handle` is what it runs, `sources` asks it.
"""

import atexit
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.npz import npy_bytes, npy_header
from penlight.data.own.row_names import PackedName, packed_name
from penlight.data.own.unreadable import UnreadableError
from penlight.errors import DataError, PenlightError, PictureError
from penlight.workers import Bounds, Item, Lost, WorkerPool, begin

if TYPE_CHECKING:
    from penlight.data.decoding import Source

HANDLER = "penlight.data.own.packed:handle"
"""What the process runs."""

State = tuple[int, int]
"""Size in bytes and time of change of a file; (-1, 0) where there is none."""

_AT_ONCE = 64
_MOST_BYTES = 2 << 20
"""Bytes of one answer, after the row that goes beyond it."""

_LARGEST = 1 << 29
_START = 1 << 14
_BOUNDS = Bounds(seconds=60.0)


def states_of(root: Path, paths: Iterable[str]) -> dict[str, State]:
    """Give the state of each picture, which is that of the file that it lies in."""
    known: dict[str, State] = {}
    states = {}
    for path in paths:
        packed = packed_name(path)
        file = path if packed is None else packed.file
        if packed is None or file not in known:
            known[file] = _state(root / file)
        states[path] = known[file]
    return states


def _state(path: Path) -> State:
    try:
        stat = path.stat()
    except OSError:
        return -1, 0
    return stat.st_size, stat.st_mtime_ns


# ---- asking


_readers: list[WorkerPool] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_readers.clear)


def sources(root: Path, paths: Iterable[str]) -> "Iterator[Source]":
    """Give each picture below a folder as a file, or as the bytes of one where it lies in a larger file; rows that
    follow one another are read the fastest. DataError for a larger file that cannot be read."""
    for _, group in groupby(map(_Asked, paths), key=lambda place: place.key):
        places = list(group)
        if places[0].packed is None:
            yield from (root / place.path for place in places)
            continue
        rows = [place.packed.row for place in places if place.packed is not None]
        for start in range(0, len(rows), _AT_ONCE):
            yield from _read(root, places[0].packed, rows[start : start + _AT_ONCE])


def stop_reading() -> None:
    """End the process that reads rows, if there is one."""
    while _readers:
        _readers.pop().close()


class _Asked:
    def __init__(self, path: str) -> None:
        self.path, self.packed = path, packed_name(path)
        self.key = None if self.packed is None else (self.packed.file, self.packed.column)


def _read(root: Path, packed: PackedName, rows: Sequence[int]) -> "Iterator[Source]":
    if not _readers:
        _readers.append(WorkerPool(HANDLER, processes=1, bounds=_BOUNDS))
        atexit.register(stop_reading)
    place = root / packed.file
    common = {"root": str(root.absolute()), "file": packed.file, "column": packed.column, "state": _state(place)}
    while rows:
        answer = _readers[0].call(common, [({"rows": rows}, b"")], largest=_MOST_BYTES + _LARGEST)[0]
        if isinstance(answer, Lost):
            raise _unreadable(
                place, answer.reason(_BOUNDS).replace("it crashed what read it", "its reader broke down")
            )
        values, content = answer
        if "error" in values:
            raise _unreadable(place, str(values["error"]))
        sizes, at = [size for size in values.get("sizes", ()) if type(size) is int], 0
        if not 0 < len(sizes) <= len(rows) or sum(size for size in sizes if size > 0) != len(content):
            raise _unreadable(place, "its reader went wrong")
        for size in sizes:
            yield PictureError("its cell is empty") if size < 0 else content[at : at + size]
            at += max(size, 0)
        rows = rows[len(sizes) :]


def _unreadable(place: Path, reason: str) -> DataError:
    return DataError(f"{place} cannot be read: {reason}.", "It is damaged, or was made to harm: get it again.")


# ---- in the process


class RowReader(Protocol):
    """Reads rows of one file; they are asked for in their order, or nearly so."""

    def row(self, number: int) -> bytes | None:
        """Give a picture as the bytes of a picture file; None for an empty cell. UnreadableError for a row that is
        not there."""


_opened: dict[str, RowReader] = {}


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Give rows of a file, as many of those that are asked for as one answer may hold."""
    answers: list[Item] = []
    for number, (values, _) in enumerate(items):
        begin(number)
        try:
            answers.append(_rows(_reader_of(common), values["rows"]))
        except MemoryError:
            raise
        except PenlightError as error:
            answers.append(({"error": error.problem.rstrip(".")}, b""))
        except Exception as error:  # of the libraries, which raise many kinds for a damaged file
            text = " ".join(str(error).split())[:300].rstrip(".")
            answers.append(({"error": text or type(error).__name__}, b""))
    return answers


def _rows(reader: RowReader, numbers: Sequence[int]) -> Item:
    parts: list[bytes] = []
    sizes: list[int] = []
    total = 0
    for number in numbers:
        cell = reader.row(number)
        if cell is not None and len(cell) > _LARGEST:
            raise UnreadableError(f"row {number} has {len(cell):,} bytes, more than {_LARGEST:,}")
        sizes.append(-1 if cell is None else len(cell))
        parts.append(cell or b"")
        total += len(parts[-1])
        if total > _MOST_BYTES:
            break
    return {"sizes": sizes}, b"".join(parts)


def _reader_of(common: Mapping[str, Any]) -> RowReader:
    """Give what reads a file, which stays open for the next rows."""
    key = repr(sorted(common.items()))
    if key not in _opened:
        _opened.clear()
        file = disk.open_inside(Path(common["root"]), common["file"])
        _opened[key] = _readers_by_suffix(common["file"])(file, common["column"])
    return _opened[key]


def _readers_by_suffix(name: str) -> Any:
    suffix = name.lower().rpartition(".")[2]
    if suffix == "npy":
        return ArrayRows
    if suffix == "parquet":
        from penlight.data.own.parquet import PictureCells

        return PictureCells
    from penlight.data.own.hdf5 import DatasetRows

    return DatasetRows


class ArrayRows:
    """Reads rows of a .npy file, (N, ...), which is mapped."""

    def __init__(self, source: IO[bytes], column: str) -> None:
        size = source.seek(0, 2)
        source.seek(0)
        header = npy_header(source.read(_START), size)
        order: Any = "F" if header.fortran_order else "C"
        self._rows: NDArray[Any] = np.memmap(source, header.dtype, "r", header.offset, header.shape, order)

    def row(self, number: int) -> bytes:
        """Give a row as a .npy file."""
        if number >= len(self._rows):
            raise UnreadableError(f"it has {len(self._rows):,} rows, and no row {number:,}")
        return npy_bytes(self._rows[number])
