"""Reading npz files without trusting them, and without holding them in memory.

The header of every array is read and checked against the zip's own sizes before any of its bytes are, and arrays are
copied block by block. Nothing here unpickles, and only numbers, truth values and texts are read. This is the one
reader of npz files: those of datasets lie on disk, those of runs come as bytes.
"""

import contextlib
import io
import math
import os
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from penlight import disk
from penlight.errors import DataError

Source = Path | bytes

_BLOCK = 1 << 20
_LARGEST_HEADER = 1 << 14
_MOST_ARRAYS = 1000
_KINDS = "biufSU"
# Deflate packs at most 1,032 to 1. Photographs and films are packed hardly 10 to 1, drawn masks of discs 230 to 1,
# blank images and constant labels as far as it goes. So a file may unpack to half a gigabyte, or 200 times its size.
_MOST_PACKED = 200
_SMALL = 512 << 20
# What NumPy writes. Python unpacks a piece of the others whole, however much it grows.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# The list of a zip's members, which is read at once: a thousand arrays with long names.
_LARGEST_READ = 4 << 20
_LARGEST_ITEM = 4096
_LARGEST_SHAPE = 1 << 48
# An array in Fortran order is turned in memory where it is small, and else by way of a file.
_TURNED_IN_MEMORY = 64 << 20
LARGEST_ROW = 1 << 28
"""Bytes of one image of an npz that is read row by row: four times the pixels of the largest picture."""
_ROWS = "Save the images at the size that they are used at."
_C_ORDER = "Save numpy.ascontiguousarray(images)."
_READERS: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What an array in an npz says of itself. `offset` is where its bytes begin in the unpacked member, whose CRC-32
    the zip has as `crc`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    offset: int
    crc: int = 0

    @property
    def n_bytes(self) -> int:
        """Size of the array's own bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(path: Source, what: str = "", most: int = _MOST_ARRAYS) -> dict[str, Header]:
    """Read the headers of all arrays of an npz, by name; `what` names it in errors, if it is not a path.

    DataError for a damaged zip, for objects that would need unpickling, for arrays of dates, records or complex
    numbers, for more than `most` arrays, for two of one name, for what is packed as no images are, or otherwise than
    NumPy packs, and where header and zip disagree on sizes.
    """
    what = what or str(path)
    with _open(path, what) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if len(members) > most:
            raise DataError(f"{what} holds {len(members):,} arrays, more than {most:,}.", "Save fewer.")
        _require_sound(members, what)
        headers = [_read_header(archive, member, what) for member in members]
    return {header.name: header for header in headers}


def _require_sound(members: Sequence[zipfile.ZipInfo], what: str) -> None:
    """Check what the zip says of its members, before any is unpacked."""
    if twice := [name for name, n in Counter(member.filename for member in members).items() if n > 1]:
        raise DataError(f"{what} holds several arrays named {twice[0][:100]!r}.", "Save it again.")
    if odd := [member for member in members if member.compress_type not in _METHODS]:
        raise DataError(
            f"{what}: {odd[0].filename[:100]!r} is packed by a method that NumPy does not use.",
            "Save it with numpy.savez or numpy.savez_compressed.",
        )
    packed, unpacked = sum(member.compress_size for member in members), sum(member.file_size for member in members)
    if unpacked > max(_SMALL, _MOST_PACKED * packed):
        raise DataError(
            f"{what} unpacks {packed:,} bytes to {unpacked:,}, as no images do.",
            "It was made to fill a disk; if it was not, save it with numpy.savez, which does not pack.",
        )


def read_arrays(content: bytes, what: str, largest: int, most: int = _MOST_ARRAYS) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz, given by its bytes, by name; they are read-only.

    DataError as in `read_headers`, and where the arrays have more than `largest` bytes together.
    """
    headers = read_headers(content, what, most)
    if (n_bytes := sum(header.n_bytes for header in headers.values())) > largest:
        raise DataError(
            f"{what} unpacks to {n_bytes:,} bytes, more than {largest:,}.", "It is damaged or was made to harm."
        )
    with _open(content, what) as archive:
        return {name: _array(_blocks_of(archive, header), header) for name, header in headers.items()}


def copy_array(path: Path, header: Header, target: Path, advance: Callable[[int], None]) -> None:
    """Unpack one array of an npz into a .npy file, in blocks.

    `advance` is told the bytes of each block. DataError if the npz is damaged, OSError if `target` cannot be written.
    A large array in Fortran order goes by way of a file beside the target, which has no name.
    """
    with target.open("wb") as out:
        write_header(out, header.dtype, header.shape)
        blocks = _blocks(path, header, str(path))
        if not header.fortran_order or header.n_bytes <= _TURNED_IN_MEMORY:
            turned = _in_c_order(blocks, header)
        else:
            turned = _turned_by_file(blocks, header, target.parent)
        for block in turned:
            out.write(block)
            advance(len(block))
        out.flush()
        os.fsync(out.fileno())


def read_array(path: Source, header: Header, what: str = "", largest: int = 0) -> NDArray[Any]:
    """Read one array of an npz into memory. DataError if the npz is damaged, or if the array has more than `largest`
    bytes, where that is given."""
    what = what or str(path)
    if largest and header.n_bytes > largest:
        raise DataError(
            f"{what}: {header.name} has {header.n_bytes:,} bytes, more than {largest:,}.", "Make it smaller."
        )
    return _array(_blocks(path, header, what), header)


def _array(blocks: Iterator[bytes], header: Header) -> NDArray[Any]:
    return np.frombuffer(b"".join(_in_c_order(blocks, header)), header.dtype).reshape(header.shape)


def read_rows(path: Path, header: Header) -> Iterator[NDArray[Any]]:
    """Read an array of an npz row by row, with a block of it in memory.

    DataError if the npz is damaged, if a row has more than LARGEST_ROW bytes, and for a large array in Fortran order,
    of which no row is whole before the last byte.
    """
    size = math.prod(header.shape[1:]) * header.dtype.itemsize
    if not 0 < size <= LARGEST_ROW:
        raise DataError(f"{path}: a row of {header.name} has {size:,} bytes, 1 to {LARGEST_ROW:,} are read.", _ROWS)
    if header.fortran_order and header.n_bytes > _TURNED_IN_MEMORY:
        raise DataError(f"{path}: {header.name} is in Fortran order, image by image in no place.", _C_ORDER)
    held = bytearray()
    for block in _in_c_order(_blocks(path, header, str(path)), header):
        held += block
        if whole := len(held) // size * size:
            rows = np.frombuffer(bytes(held[:whole]), header.dtype).reshape(-1, *header.shape[1:])
            del held[:whole]
            yield from rows


def map_array(path: Path) -> NDArray[Any]:
    """Map a .npy file of the store, which Penlight wrote. DataError if it is damaged."""
    try:
        with disk.open_inside(path.parent, path.name) as file:
            start = io.BytesIO(file.read(_LARGEST_HEADER))
            shape, fortran_order, dtype = _parse_header(start, str(path))
            header = Header(path.stem, shape, dtype, fortran_order, start.tell())
            n_bytes = os.fstat(file.fileno()).st_size
            if dtype.kind not in _KINDS or fortran_order or header.offset + header.n_bytes != n_bytes:
                raise DataError(f"{path} is damaged: its header says {shape}.", "Delete its folder; it is made anew.")
            return np.memmap(file, dtype, "r", header.offset, shape)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


def write_header(out: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Begin a .npy file; the array's bytes in C order must follow."""
    npy.write_array_header_1_0(out, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})


@contextlib.contextmanager
def _open(path: Source, what: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip until the block ends; what goes wrong in it becomes a DataError that names `what`."""
    try:
        with (
            io.BytesIO(path) if isinstance(path, bytes) else path.open("rb") as file,
            zipfile.ZipFile(_SmallReads(file)) as archive,
        ):
            yield archive
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror or error}.", "Check its permissions.") from error
    # RuntimeError: the zip is encrypted, or packed by a method this Python does not know. The others come of damaged
    # names, dates and sizes in its directory.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise DataError(
            f"{what} is not a whole npz file: {error or type(error).__name__}.",
            "It may have been cut off or damaged on its way: delete it and get it again.",
        ) from error


class _SmallReads:
    """A file for `zipfile`, which reads the list of members at once, as large as the file says that it is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._n_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)

    def read(self, n: int = -1) -> bytes:
        """Read so many bytes, or to the end. BadZipFile for very many."""
        left = self._n_bytes - self._file.tell()
        if (left if n < 0 else min(n, left)) > _LARGEST_READ:
            raise zipfile.BadZipFile(f"the list of its members has more than {_LARGEST_READ:,} bytes")
        return self._file.read(n)

    def close(self) -> None:
        """Leave the file to whoever opened it."""


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str) -> Header:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        # NumPy reads as many bytes as a header claims to have before it looks at them; it gets no more than these.
        start = stream.read(_LARGEST_HEADER)
    header = _checked_header(start, member.file_size, name, f"{what}: {name}", "the zip")
    return replace(header, crc=member.CRC)


def npy_header(start: bytes, n_bytes: int, what: str = "it") -> Header:
    """Read the header of a .npy file of `n_bytes` from its first 16 KB; DataError as in `read_headers`."""
    return _checked_header(start[:_LARGEST_HEADER], n_bytes, "", what, "the file")


def npy_array(content: bytes, header: Header) -> NDArray[Any]:
    """Give the array of a .npy file, given by its bytes; it is read-only."""
    array = np.frombuffer(content, header.dtype, math.prod(header.shape), header.offset)
    return array.reshape(header.shape, order="F" if header.fortran_order else "C")


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Give an array as a .npy file."""
    content = io.BytesIO()
    npy.write_array(content, np.asarray(array, order="C"), allow_pickle=False)
    return content.getvalue()


def _checked_header(start: bytes, n_bytes: int, name: str, where: str, holder: str) -> Header:
    stream = io.BytesIO(start)
    shape, fortran_order, dtype = _parse_header(stream, where)
    header = Header(name, shape, dtype, fortran_order, stream.tell())
    if dtype.hasobject:
        raise DataError(
            f"{where} holds pickled objects (dtype {str(dtype)[:100]}); pickled objects are never loaded.",
            "Save it as an array of numbers, with numpy.savez_compressed(..., allow_pickle=False).",
        )
    if dtype.kind not in _KINDS or dtype.names or not 0 < dtype.itemsize <= _LARGEST_ITEM:
        raise DataError(
            f"{where} has the dtype {str(dtype)[:100]}; numbers and texts of at most {_LARGEST_ITEM:,} bytes "
            "are read.",
            "Convert it.",
        )
    if header.offset + header.n_bytes != n_bytes:
        raise DataError(
            f"{where} says it holds {header.n_bytes:,} bytes in shape {shape}, but {holder} has "
            f"{n_bytes - header.offset:,}.",
            "The file is damaged or was made to harm: get it again from its source.",
        )
    return header


def _parse_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    remedy = "Save it with numpy.savez or numpy.savez_compressed."
    try:
        version = npy.read_magic(stream)
        if version not in _READERS:
            raise DataError(f"{what} has the npy format {version}, which is for records, not for arrays.", remedy)
        shape, fortran_order, dtype = _READERS[version](stream)
    # MemoryError and RecursionError: a header of very many brackets; it is not long enough for anything else.
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise DataError(f"{what} is not an array in npy format: {str(error)[:200]}", remedy) from error
    if any(type(n) is not int or n < 0 for n in shape) or math.prod(max(n, 1) for n in shape) > _LARGEST_SHAPE:
        raise DataError(f"{what} has the impossible shape {str(shape)[:100]}.", remedy)
    return shape, fortran_order, dtype


def _blocks(path: Source, header: Header, what: str) -> Iterator[bytes]:
    with _open(path, what) as archive:
        yield from _blocks_of(archive, header)


def _blocks_of(archive: zipfile.ZipFile, header: Header) -> Iterator[bytes]:
    """Give the array's bytes in order; reading to the end lets the zip check its sum."""
    left = header.n_bytes
    with archive.open(f"{header.name}.npy") as stream:
        stream.read(header.offset)
        while block := stream.read(_BLOCK):
            left -= len(block)
            yield block
        if left:
            raise EOFError(f"{header.name} lacks {left:,} bytes")


def _in_c_order(blocks: Iterator[bytes], header: Header) -> Iterator[bytes]:
    """Give the bytes of an array in C order; one in Fortran order is held in memory for it."""
    if not header.fortran_order:
        yield from blocks
        return
    array = np.frombuffer(b"".join(blocks), header.dtype).reshape(header.shape, order="F")
    yield array.tobytes(order="C")


def _turned_by_file(blocks: Iterator[bytes], header: Header, folder: Path) -> Iterator[bytes]:
    """Turn an array from Fortran to C order by way of a file, with a block of rows in memory."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for block in blocks:
            file.write(block)
        file.flush()
        array = np.memmap(file, header.dtype, "r", shape=header.shape, order="F")
        row = max(1, header.n_bytes // header.shape[0])
        step = max(1, _TURNED_IN_MEMORY // row)
        for start in range(0, header.shape[0], step):
            yield array[start : start + step].tobytes(order="C")
