"""Pictures into the store: decoded by workers on all cores, a part at a time; what was done is kept when it stops.

    store/.<name>-<size>.parts/<digest>.npz     while it is going on; the digest is that of the pictures in the part
    store/<name>-<size>-<first 12 digits of the arrays' MD5>/

Parts follow the order of the rows, and arrays are made from whole parts alone: stopped and continued, they are the
same.
"""

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import METADATA, SPLITS, DatasetInfo
from penlight.data.decoding import in_chunks, load_files
from penlight.data.mapped import About, Mapped, changed, load_arrays, md5_of, parts_folder, put
from penlight.data.npz import read_array, read_arrays, read_headers, write_header
from penlight.data.own.manifest import age_in_years
from penlight.data.own.rows import ManifestRow, is_number
from penlight.data.pictures import DecodeOptions, Pixels
from penlight.data.progress import count_progress
from penlight.errors import DataError, PictureError

_IN_PART = 64
_LARGEST_PART = 8 << 30
_T = TypeVar("_T")


@dataclass(frozen=True)
class Decoded:
    """Decoded pictures on disk, in parts: `states` holds the size and time of each file when it was read, and
    `problems` maps the paths of those that cannot be read to the reason."""

    root: Path
    paths: Sequence[str]
    states: Sequence[tuple[int, int]]
    parts: Sequence[Path]
    problems: Mapping[str, str]

    def images(self) -> Iterator[tuple[str, Pixels | None]]:
        """Give each path with its image (size, size, channels), None where it cannot be read."""
        for number, part in enumerate(self.parts):
            arrays = read_arrays(part.read_bytes(), str(part), _LARGEST_PART)
            images, reasons = arrays["images"], arrays["reasons"]
            for i, reason in enumerate(reasons):
                yield self.paths[number * _IN_PART + i], None if reason else images[i]

    def require_same(self) -> None:
        """Raise DataError if a picture was changed since it was read."""
        for path, state in zip(self.paths, self.states, strict=True):
            if _state(self.root / path) != state:
                raise changed(self.root / path)


def states_of(root: Path, paths: Sequence[str]) -> list[tuple[int, int]]:
    """Give size in bytes and time of change of each file; (-1, 0) where there is none."""
    return [_state(root / path) for path in paths]


def fingerprint(
    reading: DecodeOptions,
    rows: Sequence[ManifestRow],
    splits: Sequence[str],
    labels: NDArray[Any],
    states: Sequence[tuple[int, int]],
) -> str:
    """Hash what a dataset is made of: the reading, and of each picture its path, size, time, labels, split, patient
    and metadata."""
    digest = hashlib.blake2b(repr(reading).encode(), digest_size=16)
    for row, split, label, state in zip(rows, splits, labels.tolist(), states, strict=True):
        digest.update(repr((row.path, state, label, split, row.patient, sorted(row.metadata.items()))).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def decoded(name: str, reading: DecodeOptions, root: Path, paths: Sequence[str]) -> Iterator[Decoded]:
    """Decode pictures, or go on where it was stopped; the caller holds the dataset's place in the store.

    What was decoded is removed when the block ends well, and kept when it ends in an error.
    """
    work = parts_folder(name, reading.size)
    disk.private_folder(work)
    states = states_of(root, paths)
    parts = [
        work / f"{_digest(reading, root, chosen)}.npz"
        for chosen in _cut(list(zip(paths, states, strict=True)), _IN_PART)
    ]
    cut = _cut(paths, _IN_PART)
    with count_progress(f"reading the pictures of {name}", len(paths)) as bar:
        problems = dict(_decode_all(root, cut, parts, reading, bar.update))
    yield Decoded(root, paths, states, parts, problems)
    shutil.rmtree(work, ignore_errors=True)


def assemble(
    info: DatasetInfo,
    reading: DecodeOptions,
    source: Decoded,
    rows: Sequence[ManifestRow],
    splits: Sequence[str],
    labels: NDArray[np.integer],
) -> Mapped:
    """Make the folder of the store from decoded pictures; `labels` (N, L) and `splits` are those of `rows`, which are
    all pictures but those left out. DataError as in `penlight.data.mapped.put`."""
    states = dict(zip(source.paths, source.states, strict=True))
    print_ = fingerprint(reading, rows, splits, labels, [states[row.path] for row in rows])
    shape = (reading.size, reading.size, reading.channels)
    columns = _columns(rows, labels)

    def fill(folder: Path) -> About:
        place = dict(zip((row.path for row in rows), splits, strict=True))
        _write_images(folder, source, place, shape)
        for split in SPLITS:
            chosen = np.array([own == split for own in splits])
            for kind, values in columns.items():
                with disk.writing_whole(folder / f"{split}_{kind}.npy") as file:
                    np.save(file, values[chosen], allow_pickle=False)
        n_bytes = sum(n for n, _ in states.values())
        newest = max(time for _, time in states.values())
        md5 = md5_of(load_arrays(folder))
        return About(info.name, reading.size, md5, source.root.name, n_bytes, newest, {}, fingerprint=print_)

    return put(info, reading.size, len(rows) * int(np.prod(shape)), fill, source.require_same)


def _write_images(folder: Path, source: Decoded, place: Mapping[str, str], shape: tuple[int, ...]) -> None:
    """Append each image to the array of its split, so that no more than one part is in memory."""
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context((folder / f"{split}_images.npy").open("wb")) for split in SPLITS}
        for split, file in files.items():
            n = sum(own == split for own in place.values())
            write_header(file, np.dtype(np.uint8), (n, *shape))
        for path, image in source.images():
            if path in place and image is not None:
                files[place[path]].write(image.tobytes())
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())


def _columns(rows: Sequence[ManifestRow], labels: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {"labels": labels}
    if rows and rows[0].patient is not None:
        columns["patients"] = _numbers_or_texts([row.patient or "" for row in rows])
    for kind in METADATA:
        if rows and kind in rows[0].metadata:
            values = [row.metadata[kind] for row in rows]
            columns[kind] = _ages(rows, values) if kind == "age" else np.array(values)
    return columns


def _numbers_or_texts(names: Sequence[str]) -> NDArray[Any]:
    """Give whole numbers where all names are, written the usual way; 007 stays a text."""
    numbers = all(is_number(name) and str(int(name)) == name for name in names)
    return np.array([int(name) for name in names]) if numbers else np.array(names)


def _ages(rows: Sequence[ManifestRow], values: Sequence[str]) -> NDArray[np.float32]:
    ages = np.empty(len(values), np.float32)
    for i, (row, text) in enumerate(zip(rows, values, strict=True)):
        try:
            ages[i] = age_in_years(text)
        except DataError as error:
            raise DataError(f"{row.path}: {error.problem}", error.remedy) from error
    return ages


def _state(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return -1, 0
    return stat.st_size, stat.st_mtime_ns


def _digest(reading: DecodeOptions, root: Path, chosen: Sequence[tuple[str, tuple[int, int]]]) -> str:
    about = repr((reading, str(root.resolve()), list(chosen)))
    return hashlib.blake2b(about.encode(), digest_size=16).hexdigest()


def _cut(items: Sequence[_T], n: int) -> list[Sequence[_T]]:
    return [items[start : start + n] for start in range(0, len(items), n)]


def _decode_all(
    root: Path,
    cut: Sequence[Sequence[str]],
    parts: Sequence[Path],
    reading: DecodeOptions,
    advance: Callable[[int], None],
) -> Iterator[tuple[str, str]]:
    """Decode the parts that are not there yet, and give the paths that cannot be read, with reasons."""

    def decode(chosen: Sequence[tuple[Sequence[str], Path]]) -> list[tuple[Sequence[str], list[str]]]:
        return [(paths, _decode_part(root, paths, part, reading)) for paths, part in chosen]

    for paths, reasons in in_chunks(decode, zip(cut, parts, strict=True), 1):
        advance(len(paths))
        yield from ((path, reason) for path, reason in zip(paths, reasons, strict=True) if reason)


def _decode_part(root: Path, paths: Sequence[str], part: Path, reading: DecodeOptions) -> list[str]:
    """Decode one part onto disk unless it is there, and give the reasons of what cannot be read, else empty."""
    if part.exists():
        return [str(reason) for reason in read_array(part, read_headers(part)["reasons"])]
    images = np.zeros((len(paths), reading.size, reading.size, reading.channels), np.uint8)
    reasons = [""] * len(paths)
    for i, image in enumerate(load_files([root / path for path in paths], reading)):
        if isinstance(image, PictureError):
            reasons[i] = image.reason
        else:
            images[i] = image
    content = io.BytesIO()
    np.savez(content, images=images, reasons=np.array(reasons))
    disk.write_whole(part, content.getvalue(), private=True)
    return reasons
