"""Reading images that lie mapped on disk, and putting them together, in bounded memory.

What is read of a mapped file stays in the memory of the process until something else needs it, and counts as its own.
Here rows are copied in parts, and each part's pages are let go of when it has been; they stay in the system's cache
for the next time.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.folders import cache_folder

T = TypeVar("T", bound=np.generic)
Images = NDArray[np.uint8]
Rows = NDArray[np.int64]

HELD_BYTES = 2**29
"""Images of at most so many bytes are put together in memory."""

_REMEDY = "Set PENLIGHT_CACHE to a folder you may write to, on a disk with room."
_PART_BYTES = 2**23
# A run of rows of so many bytes is worth a call that asks the system to fetch it.
_RUN_BYTES = 2**17


@dataclass(frozen=True)
class Chosen:
    """The rows (n,) of images (N, H, W, C), read when they are asked for; it stands where an array (n, H, W, C) of so
    many images would not fit memory."""

    images: Images
    rows: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return (len(self.rows), *self.images.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.images.dtype

    def __len__(self) -> int:
        """Count the images."""
        return len(self.rows)

    def __getitem__(self, part: slice | NDArray[np.generic], /) -> Images:
        """Read some of them, as an array of its own."""
        return read(self.images, self.rows[part])


Readable = Images | Chosen
"""Images (N, H, W, C) uint8, in memory or read when they are asked for."""


def some(images: Readable, rows: Rows) -> Chosen:
    """Choose rows of images, (n,), which are not read yet."""
    return Chosen(images.images, images.rows[rows]) if isinstance(images, Chosen) else Chosen(images, rows)


def every(images: Images) -> Chosen:
    """Choose all images, which are not read yet."""
    return Chosen(images, np.arange(len(images)))


def read(images: NDArray[T], rows: NDArray[np.integer] | slice) -> NDArray[T]:
    """Copy rows of any shape (...) of images (N, H, W, C), mapped or not: (..., H, W, C).

    Whatever their number, at most 8 MiB of a mapped file are held beside the copy. Threads may read at the same time.
    """
    if isinstance(rows, slice):
        rows = np.arange(*rows.indices(len(images)))
    source, mapping, flat = np.asarray(images), _mapping(images), rows.ravel()
    out = np.empty((len(flat), *source.shape[1:]), source.dtype)
    step = max(1, _PART_BYTES // max(1, source[:1].nbytes))
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        if mapping is not None:
            _fetch(mapping, source, part)
        out[start : start + step] = source[part]
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)
    return out.reshape(*rows.shape, *source.shape[1:])


def put_together(parts: Sequence[Readable]) -> Images:
    """Put images (N, H, W, C) one after the other.

    Of more than `HELD_BYTES` it gives a mapped file under the cache folder, which has no name and is gone with the
    array, or with the process. StorageError if it cannot be written.
    """
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    if math.prod(shape) <= HELD_BYTES:
        return np.concatenate([part[:] for part in parts])
    rows, folder = max(1, _PART_BYTES // math.prod(shape[1:])), cache_folder()
    disk.require_space(folder, math.prod(shape), _REMEDY)
    with disk.writing_to(folder, _REMEDY), disk.folders(folder), tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            for start in range(0, len(part), rows):
                file.write(np.ascontiguousarray(part[start : start + rows]).data)
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=shape)


def room_for(shape: tuple[int, ...], dtype: type[T]) -> NDArray[T]:
    """Give an array to fill: in memory, or, of more than `HELD_BYTES`, a mapped file as `put_together` gives."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= HELD_BYTES:
        return np.empty(shape, dtype)
    folder = cache_folder()
    disk.require_space(folder, size, _REMEDY)
    with disk.writing_to(folder, _REMEDY), disk.folders(folder), tempfile.TemporaryFile(dir=folder) as file:
        # A disk that is full by then would end the process where it writes to a page that has no place.
        getattr(os, "posix_fallocate", lambda number, _, end: os.truncate(number, end))(file.fileno(), 0, size)
        return np.memmap(file, dtype, "r+", shape=shape)


def let_go(array: NDArray[np.generic]) -> None:
    """Let go of the pages of a mapped file that an array was read from or written to; of others do nothing."""
    mapping = _mapping(array)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def at_once(shape: Sequence[int], most: int, pixels: int) -> int:
    """Count the images of a batch: at most `most`, and together of at most `pixels` pixels; `shape` is that of all
    images (N, H, W, C), or of features (N, F), which count as a pixel."""
    each = shape[1] * shape[2] if len(shape) == 4 else 1
    return max(1, min(most, pixels // max(1, each)))


def _mapping(images: NDArray[np.generic]) -> mmap.mmap | None:
    """Find the mapped file that an array is a view of; None for one in memory, or where pages cannot be let go."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return None
    base: Any = images
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _fetch(mapping: mmap.mmap, source: NDArray[np.generic], rows: NDArray[np.integer]) -> None:
    """Ask for long runs of rows at once, so that a disk reads them in one go and several at a time."""
    each = source[:1].nbytes
    ends = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts, counts = rows[np.r_[0, ends]], np.diff(np.r_[0, ends, len(rows)])
    long = counts * each >= _RUN_BYTES
    if not long.any() or not source.flags.c_contiguous:
        return
    begin = _address(source) - _address(np.frombuffer(mapping, np.uint8))
    for first, count in zip(firsts[long].tolist(), counts[long].tolist(), strict=True):
        start = (begin + first * each) // mmap.PAGESIZE * mmap.PAGESIZE
        mapping.madvise(mmap.MADV_WILLNEED, start, begin + (first + count) * each - start)


def _address(array: NDArray[np.generic]) -> int:
    return int(array.__array_interface__["data"][0])
