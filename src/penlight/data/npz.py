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
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from penlight.errors import DataError

Source = Path | bytes

_BLOCK = 1 << 20
_LARGEST_HEADER = 1 << 14
_MOST_ARRAYS = 1000
_KINDS = "biufSU"
# Deflate packs at most 1,032 to 1, and real images hardly 10 to 1; what is small may be constant.
_MOST_PACKED = 200
_SMALL = 64 << 20
_READERS: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What an array in an npz says of itself. `offset` is where its bytes begin in the unpacked member."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    offset: int

    @property
    def n_bytes(self) -> int:
        """Size of the array's own bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(path: Source, what: str = "", most: int = _MOST_ARRAYS) -> dict[str, Header]:
    """Read the headers of all arrays of an npz, by name; `what` names it in errors, if it is not a path.

    DataError for a damaged zip, for objects that would need unpickling, for arrays of dates, records or complex
    numbers, for more than `most` arrays, for one packed as no image is, and where header and zip disagree on sizes.
    """
    what = what or str(path)
    with _open(path, what) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if len(members) > most:
            raise DataError(f"{what} holds {len(members):,} arrays, more than {most:,}.", "Save fewer.")
        headers = [_read_header(archive, member, what) for member in members]
    return {header.name: header for header in headers}


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
    An array in Fortran order is held in memory for it.
    """
    with target.open("wb") as out:
        write_header(out, header.dtype, header.shape)
        for block in _in_c_order(_blocks(path, header, str(path)), header):
            out.write(block)
            advance(len(block))
        out.flush()
        os.fsync(out.fileno())


def read_array(path: Source, header: Header, what: str = "") -> NDArray[Any]:
    """Read one array of an npz into memory. DataError if the npz is damaged."""
    return _array(_blocks(path, header, what or str(path)), header)


def _array(blocks: Iterator[bytes], header: Header) -> NDArray[Any]:
    return np.frombuffer(b"".join(_in_c_order(blocks, header)), header.dtype).reshape(header.shape)


def read_rows(path: Path, header: Header) -> Iterator[NDArray[Any]]:
    """Read an array of an npz row by row, with a block of it in memory; all of it where it is in Fortran order.
    DataError if the npz is damaged."""
    size = math.prod(header.shape[1:]) * header.dtype.itemsize
    held = bytearray()
    for block in _in_c_order(_blocks(path, header, str(path)), header):
        held += block
        if whole := len(held) // size * size:
            rows = np.frombuffer(bytes(held[:whole]), header.dtype).reshape(-1, *header.shape[1:])
            del held[:whole]
            yield from rows


def write_header(out: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Begin a .npy file; the array's bytes in C order must follow."""
    npy.write_array_header_1_0(out, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})


@contextlib.contextmanager
def _open(path: Source, what: str) -> Iterator[zipfile.ZipFile]:
    with _damage_named(what), zipfile.ZipFile(io.BytesIO(path) if isinstance(path, bytes) else path) as archive:
        yield archive


@contextlib.contextmanager
def _damage_named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror or error}.", "Check its permissions.") from error
    # RuntimeError: the zip is encrypted, or packed by a method this Python does not know. The others come of damaged
    # names, dates and sizes in its directory.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise DataError(
            f"{what} is not a whole npz file: {error or type(error).__name__}.",
            "It may have been cut off or damaged on its way: delete it and get it again.",
        ) from error


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str) -> Header:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        # NumPy reads as many bytes as a header claims to have before it looks at them; it gets no more than these.
        start = io.BytesIO(stream.read(_LARGEST_HEADER))
    shape, fortran_order, dtype = _parse_header(start, f"{what}: {name}")
    header = Header(name, shape, dtype, fortran_order, start.tell())
    if dtype.hasobject:
        raise DataError(
            f"{what}: {name} holds pickled objects (dtype {dtype}); pickled objects are never loaded.",
            "Save it as an array of numbers, with numpy.savez_compressed(..., allow_pickle=False).",
        )
    if dtype.kind not in _KINDS or dtype.names:
        raise DataError(f"{what}: {name} has the dtype {dtype}; numbers and texts are read.", "Convert it.")
    if header.offset + header.n_bytes != member.file_size:
        raise DataError(
            f"{what}: {name} says it holds {header.n_bytes:,} bytes in shape {shape}, but the zip has "
            f"{member.file_size - header.offset:,}.",
            "The file is damaged or was made to harm: get it again from its source.",
        )
    if member.file_size > max(_SMALL, _MOST_PACKED * member.compress_size):
        raise DataError(
            f"{what}: {name} unpacks {member.compress_size:,} bytes to {member.file_size:,}, as no images do.",
            "It was made to fill a disk; if it was not, save it with numpy.savez, which does not pack.",
        )
    return header


def _parse_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    remedy = "Save it with numpy.savez or numpy.savez_compressed."
    try:
        version = npy.read_magic(stream)
        if version not in _READERS:
            raise DataError(f"{what} has the npy format {version}, which is for records, not for arrays.", remedy)
        shape, fortran_order, dtype = _READERS[version](stream)
    except ValueError as error:
        raise DataError(f"{what} is not an array in npy format: {error}", remedy) from error
    if any(n < 0 for n in shape):
        raise DataError(f"{what} has the impossible shape {shape}.", remedy)
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
    if not header.fortran_order:
        yield from blocks
        return
    array = np.frombuffer(b"".join(blocks), header.dtype).reshape(header.shape, order="F")
    yield array.tobytes(order="C")
