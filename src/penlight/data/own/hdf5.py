"""An HDF5 file of arrays from standard input to CSV on standard output, in a process that may break down.

    python -P -m penlight.data.own.hdf5 NAME < arrays.h5 > table.csv

As `penlight.data.own.parquet` does it. Each array at the root of the file whose rows are pictures becomes a column of
their names, NAME#ROW, and each of as many labels a column. What leads out of the file, is packed by a filter that may
be anybody's, or says that it unpacks as no pictures do, is refused before a row is read.
"""

import csv
import io
import os
import sys
from typing import IO, TYPE_CHECKING, Any

from penlight.data.array_pictures import shape_of
from penlight.data.npz import npy_bytes
from penlight.data.own.limits import MOST_ROWS
from penlight.data.own.pairs import IMAGE, label_columns
from penlight.data.own.parquet import convert
from penlight.data.own.row_names import PackedName
from penlight.data.own.unreadable import UnreadableError
from penlight.data.pictures import LARGEST_PIXELS
from penlight.errors import PictureError
from penlight.escaping import named

if TYPE_CHECKING:
    import h5py

_MOST_ARRAYS = 100
# Deflate, shuffle, a checksum and LZF, which h5py brings; all others are looked for among plugins, or are in doubt.
_FILTERS = {1, 2, 3, 32000}
_LARGEST_CHUNK = 256 << 20
# As `data.npz` has it: blank arrays alone are packed so well.
_MOST_PACKED = 200
_SMALL = 512 << 20


def write_csv(source: IO[bytes], out: IO[bytes]) -> None:
    """Write the arrays of a file as CSV. UnreadableError for one without any that is pictures or labels."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    arrays = open_arrays(source)
    pictures = [each for each, array in arrays.items() if holds_pictures(array.shape)]
    columns: dict[str, Any] = {}
    for each in pictures:
        column = each if len(pictures) > 1 else ""
        columns[column or IMAGE] = [str(PackedName(name, row, column)) for row in range(len(arrays[each]))]
    n = max((len(arrays[each]) for each in pictures), default=0)
    for each, array in arrays.items():
        if each not in pictures and (not n or array.shape[:1] == (n,)):
            columns |= label_columns(each, array)
    if not columns:
        shapes = ", ".join(f"{each} {array.shape}" for each, array in arrays.items())
        raise UnreadableError(f"it has no array of pictures or labels: {shapes[:200] or 'nothing'}")
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    try:
        rows.writerows(zip(*columns.values(), strict=True))
    except ValueError as error:
        raise UnreadableError(f"its arrays {named(columns)} have other lengths") from error
    text.detach()


def holds_pictures(shape: tuple[int, ...]) -> bool:
    """Say whether the rows of an array of this shape are pictures."""
    if len(shape) not in (3, 4) or not shape[0]:
        return False
    try:
        height, width, _ = shape_of(shape[1:])
    except PictureError:
        return False
    return height > 1 and width > 1


def open_arrays(source: IO[bytes]) -> "dict[str, h5py.Dataset]":
    """Give the arrays of a file. UnreadableError for one that is not safe or not plain."""
    # No library is loaded because a file names a filter.
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
    import h5py

    # Rows are asked for one by one: the chunk that several of them are in is unpacked once.
    file = h5py.File(source, "r", rdcc_nbytes=_LARGEST_CHUNK, rdcc_nslots=1)
    if len(file) > _MOST_ARRAYS:
        raise UnreadableError(f"it has {len(file):,} arrays, more than {_MOST_ARRAYS}")
    arrays = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise UnreadableError(f"{name} is a link to another place")
        array = file[name]
        if not isinstance(array, h5py.Dataset):
            raise UnreadableError(f"{name} is a group; arrays at the root of a file are read")
        _check(name, array)
        arrays[name] = array
    return arrays


def _check(name: str, array: "h5py.Dataset") -> None:
    plist = array.id.get_create_plist()
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    if array.external or array.is_virtual:
        raise UnreadableError(f"the values of {name} lie in other files")
    if filters - _FILTERS:
        raise UnreadableError(f"{name} is packed by the filter {min(filters - _FILTERS)}; gzip and LZF are read")
    if array.dtype.kind not in "biufSU" or array.dtype.hasobject or array.dtype.names:
        raise UnreadableError(f"{name} has the type {str(array.dtype)[:100]}; numbers are read")
    if array.shape is None or not array.shape or array.shape[0] > MOST_ROWS:
        raise UnreadableError(f"{name} has the shape {array.shape}; 1 to {MOST_ROWS:,} rows are read")
    row, chunk = array.dtype.itemsize, array.dtype.itemsize
    for side in array.shape[1:]:
        row *= side
    for side in array.chunks or ():
        chunk *= side
    if row > 8 * 3 * LARGEST_PIXELS or chunk > _LARGEST_CHUNK:
        raise UnreadableError(f"{name} is read {max(row, chunk):,} bytes at once, more than {_LARGEST_CHUNK:,}")
    packed, unpacked = array.id.get_storage_size(), row * array.shape[0]
    if unpacked > max(_SMALL, _MOST_PACKED * packed):
        raise UnreadableError(f"{name} unpacks {packed:,} bytes to {unpacked:,}, as no pictures do")


class DatasetRows:
    """Reads rows of an array of pictures in an HDF5 file; `column` is its name, empty for the only one."""

    def __init__(self, source: IO[bytes], column: str) -> None:
        pictures = {name: array for name, array in open_arrays(source).items() if holds_pictures(array.shape)}
        if not column and len(pictures) == 1:
            column = next(iter(pictures))
        if column not in pictures:
            raise UnreadableError(f"it has no array of pictures {column}; it has {named(pictures) or 'none'}")
        self._array = pictures[column]

    def row(self, number: int) -> bytes:
        """Give a row as a .npy file. UnreadableError for one that is not there."""
        if number >= len(self._array):
            raise UnreadableError(f"it has {len(self._array):,} rows, and no row {number:,}")
        return npy_bytes(self._array[number])


if __name__ == "__main__":
    convert(write_csv)
