"""Pictures into the store: rows, labels and splits as they are now, decoded by workers a part at a time.

    store/.<name>-<size>.parts/<digest>.npz     while it is going on; the digest is that of the pictures in the part
    store/<name>-<size>-<first 12 digits of the arrays' MD5>/

What was done is kept when it stops. Parts follow the order of the rows, and arrays are made from whole parts alone:
stopped and continued, they are the same.
"""

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.arrays import md5_of
from penlight.data.dataset import METADATA, SPLITS, DatasetInfo
from penlight.data.decoding import Source, in_chunks, load_with_headers
from penlight.data.description import Description
from penlight.data.folders import private_cache_folder
from penlight.data.mapped import StoredDataset, changed, find_pictures, load_arrays, parts_folder, put, store_locked
from penlight.data.npz import read_array, read_arrays, read_headers, write_header
from penlight.data.own.cells import age_in_years
from penlight.data.own.layouts import list_pictures, pictures_of
from penlight.data.own.listing import PictureRow, is_number
from penlight.data.own.packed import State, sources, states_of, stop_reading
from penlight.data.own.row_names import packed_name
from penlight.data.own.splitting import LEFT_OUT, divide, read_splits_file, require_separate
from penlight.data.own.tables import as_path_cell, csv_bytes
from penlight.data.pictures import DecodeOptions, OriginalPictures, PictureHeader, Pixels
from penlight.data.progress import count_progress
from penlight.errors import DataError, PictureError
from penlight.escaping import cell, named
from penlight.numbers import counted
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import known_or_none

_IN_PART = 64
_PARTS = 2
"""Version of the files of parts: one of another version is made anew."""
_LARGEST_PART = 8 << 30


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a dataset that count, the split of each, their labels (N, L) as numbers of the store, and which of
    these are known, None where all are."""

    rows: Sequence[PictureRow]
    splits: Sequence[str]
    labels: NDArray[np.integer]
    known: KnownLabels = None

    def fingerprint(self, reading: DecodeOptions, states: Mapping[str, State]) -> str:
        """Hash what a dataset is made of: the reading, and of each picture its path, size, time, labels, split,
        patient and metadata."""
        digest = hashlib.blake2b(repr(reading).encode(), digest_size=16)
        for row, split, label in zip(self.rows, self.splits, self.labels.tolist(), strict=True):
            about = (row.path, states[row.path], label, split, row.patient, sorted(row.metadata.items()))
            digest.update(repr(about).encode())
        if self.known is not None:
            digest.update(self.known.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Decoded:
    """Decoded pictures on disk: `states` are those of the files when they were read, `parts` maps a file to the paths
    in it, and `problems` maps the paths of pictures that cannot be read to the reason; `looks` are those of the
    others."""

    root: Path
    states: Mapping[str, State]
    parts: Mapping[Path, Sequence[str]]
    problems: Mapping[str, str]
    looks: Mapping[str, PictureHeader]

    def images(self) -> Iterator[tuple[str, Pixels]]:
        """Give each path that can be read with its image (size, size, channels)."""
        for part, paths in self.parts.items():
            arrays = read_arrays(part.read_bytes(), str(part), _LARGEST_PART)
            for path, image, reason in zip(paths, arrays["images"], arrays["reasons"], strict=True):
                if not reason:
                    yield path, image

    def require_same(self) -> None:
        """Raise DataError if a picture was changed since it was read."""
        now = states_of(self.root, self.states)
        if differing := [path for path, state in self.states.items() if now[path] != state]:
            raise changed(self.root / differing[0])


def open_pictures(description: Description, size: int) -> StoredDataset:
    """Give the store's folder of a dataset of pictures, made now unless it is there.

    Nothing is written but the store in the cache: without a file of splits they are computed from the seed each time,
    and the store holds the arrays of each.

    DataError if pictures are missing or cannot be read, if labels or splits do not fit the description, and for a
    patient in two splits; StorageError if the store cannot be written.
    """
    name, reading = description.info.name, pictures_of(description).reading(size, description.info.channels)
    root, labelled = _labelled(description)
    states = states_of(root, [row.path for row in labelled.rows])
    fingerprint = labelled.fingerprint(reading, states)
    if ready := find_pictures(name, size, fingerprint):
        return ready
    with store_locked(name, size):
        # Another process may have made it while this one waited.
        if ready := find_pictures(name, size, fingerprint):
            return ready
        with decoded(name, reading, root, list(states)) as source:
            if source.problems:
                folder = private_cache_folder("unreadable")
                raise write_problems(folder, f"{name}-{size}", source.problems, private=True)
            return assemble(description.info, reading, source, labelled)


def paths_by_split(description: Description, size: int, md5: str) -> dict[str, list[str]] | None:
    """Give the paths of the pictures in the order of the rows of each split; None where the pictures that are there
    now are not those of the arrays with this MD5."""
    reading = pictures_of(description).reading(size, description.info.channels)
    root, labelled = _labelled(description)
    fingerprint = labelled.fingerprint(reading, states_of(root, [row.path for row in labelled.rows]))
    ready = find_pictures(description.info.name, size, fingerprint)
    if ready is None or ready.md5 != md5:
        return None
    pairs = list(zip(labelled.rows, labelled.splits, strict=True))
    return {split: [row.path for row, own in pairs if own == split] for split in SPLITS}


def _labelled(description: Description) -> tuple[Path, LabelledRows]:
    """Give the folder of a description's pictures, and the rows that are there now."""
    listing, pictures = list_pictures(description), pictures_of(description)
    rows = list(listing.rows)
    splits = read_splits_file(description.folder, pictures.rule.file, [row.path for row in rows])
    if splits is not None:
        rows = [row for row, split in zip(rows, splits, strict=True) if split != LEFT_OUT]
        splits = [split for split in splits if split != LEFT_OUT]
    if absent := sorted(set(listing.missing) & {row.path for row in rows}):
        raise DataError(
            f"There is no file for {counted(len(absent), 'row')} of {pictures.source}: {named(absent)}.",
            "Get the files, or remove them.",
        )
    labels = label_numbers(rows, pictures.values, description.info)
    if splits is None:
        splits = divide(rows, description.info.task.encode(labels), pictures.rule)
    require_separate(rows, splits)
    known = known_labels(rows, pictures.values, description.info.task)
    return listing.root, LabelledRows(rows, splits, labels, known)


def label_numbers(rows: Sequence[PictureRow], values: Sequence[str], info: DatasetInfo) -> NDArray[np.integer]:
    """Turn the written labels of rows into numbers as the store has them: (N, 1) of an exclusive task, else (N, C).

    DataError for a label that is not among the `values`.
    """
    number = {value: i for i, value in enumerate(values)}
    if strange := sorted({value for row in rows for value in row.values} - number.keys()):
        raise DataError(
            f"The labels {named(strange)} are not in the description of {info.name}.",
            "Add them to values and labels, or correct them where they are written.",
        )
    if not info.task.exclusive:
        labels = np.zeros((len(rows), len(values)), np.uint8)
        for i, row in enumerate(rows):
            labels[i, [number[value] for value in row.values]] = 1
        return labels
    if several := [row.path for row in rows if len(row.values) != 1]:
        raise DataError(
            f"A {info.task.kind} task has one label for each picture; {len(several):,} have none or several: "
            f"{named(several)}.",
            "Correct them, or make it a multi-label task.",
        )
    return np.array([[number[row.values[0]]] for row in rows], np.uint8 if len(values) < 256 else np.uint16)


def known_labels(rows: Sequence[PictureRow], values: Sequence[str], task: Task) -> KnownLabels:
    """Say which labels of rows are known, (N, C), None where all are; of an exclusive task they must be."""
    if task.exclusive or not any(row.unknown for row in rows):
        return None
    number = {value: i for i, value in enumerate(values)}
    known = np.ones((len(rows), len(values)), bool)
    for i, row in enumerate(rows):
        known[i, [number[label] for label in row.unknown if label in number]] = False
    return known_or_none(known)


def write_problems(folder: Path, name: str, problems: Mapping[str, str], *, private: bool = False) -> DataError:
    """Write which pictures cannot be read, and why, as `name`-unreadable.csv, and give the error that says it."""
    path = folder / f"{name}-unreadable.csv"
    lines = ((as_path_cell(picture), cell(reason)) for picture, reason in problems.items())
    with disk.writing_to(folder, "Choose another folder with --out."):
        disk.write_whole(path, csv_bytes(("path", "reason"), lines), private=private)
    first = "; ".join(f"{picture}: {reason}" for picture, reason in list(problems.items())[:10])
    return DataError(
        f"{counted(len(problems), 'picture')} cannot be read. {first}. All are in {path}.",
        f"Get them again, or leave them out, by --skip-unreadable or by '{LEFT_OUT}' as their split.",
    )


@contextlib.contextmanager
def decoded(name: str, reading: DecodeOptions, root: Path, paths: Sequence[str]) -> Iterator[Decoded]:
    """Decode pictures, or go on where it was stopped; the caller holds the dataset's place in the store.

    What was decoded is removed when the block ends well, and kept when it ends in an error.
    """
    work = parts_folder(name, reading.size)
    disk.private_folder(work)
    states = states_of(root, paths)
    parts: dict[Path, Sequence[str]] = {}
    for start in range(0, len(paths), _IN_PART):
        chosen = paths[start : start + _IN_PART]
        about = repr((_PARTS, reading, str(root.resolve()), [(path, states[path]) for path in chosen]))
        parts[work / f"{hashlib.blake2b(about.encode(), digest_size=16).hexdigest()}.npz"] = chosen

    def jobs() -> Iterator[tuple[Path, Sequence[str], Sequence[Source]]]:
        # Rows of larger files are read here, one after the other, however many workers decode them.
        for part, chosen in parts.items():
            yield part, chosen, [] if part.exists() else list(sources(root, chosen))

    def decode(
        some: Sequence[tuple[Path, Sequence[str], Sequence[Source]]],
    ) -> list[dict[str, PictureHeader | str]]:
        return [_decode_part(chosen, files, part, reading) for part, chosen, files in some]

    problems: dict[str, str] = {}
    looks: dict[str, PictureHeader] = {}
    with count_progress(f"reading the pictures of {name}", len(paths)) as bar:
        for done in in_chunks(decode, jobs(), 1):
            bar.update(len(done))
            for path, what in done.items():
                if isinstance(what, PictureHeader):
                    looks[path] = what
                else:
                    problems[path] = what
    stop_reading()
    yield Decoded(root, states, parts, problems, looks)
    shutil.rmtree(work, ignore_errors=True)


def _decode_part(
    paths: Sequence[str], files: Sequence[Source], part: Path, reading: DecodeOptions
) -> dict[str, PictureHeader | str]:
    """Decode the files of one part onto disk unless it is there, and give what each picture is like, or why it cannot
    be read."""
    if part.exists():
        headers = read_headers(part)
        reasons = list(map(str, read_array(part, headers["reasons"])))
        looks = read_array(part, headers["looks"])
    else:
        images = np.zeros((len(paths), reading.size, reading.size, reading.channels), np.uint8)
        reasons, looks = [""] * len(paths), np.zeros((len(paths), 5), np.int64)
        for i, loaded in enumerate(load_with_headers(files, reading)):
            if isinstance(loaded, PictureError):
                reasons[i] = loaded.reason
            else:
                images[i], look = loaded
                looks[i] = (look.width, look.height, look.colour, look.bits, look.animated)
        content = io.BytesIO()
        np.savez(content, images=images, reasons=np.array(reasons), looks=looks)
        disk.write_whole(part, content.getvalue(), private=True)
    return {
        path: reason or PictureHeader(width, height, bool(colour), bits, bool(animated))
        for path, reason, (width, height, colour, bits, animated) in zip(paths, reasons, looks.tolist(), strict=True)
    }


def assemble(info: DatasetInfo, reading: DecodeOptions, source: Decoded, labelled: LabelledRows) -> StoredDataset:
    """Make the folder of the store from decoded pictures; the rows are all pictures but those left out. DataError as
    in `penlight.data.mapped.put`."""
    rows, shape = labelled.rows, (reading.size, reading.size, reading.channels)
    fingerprint = labelled.fingerprint(reading, source.states)
    columns = {"labels": labelled.labels, **known_of(rows)}
    if labelled.known is not None:
        columns["known"] = labelled.known

    def fill(folder: Path) -> StoredDataset:
        split_of = dict(zip((row.path for row in rows), labelled.splits, strict=True))
        _write_images(folder, source, split_of, shape)
        for split in SPLITS:
            chosen = np.array([each == split for each in labelled.splits])
            for kind, values in columns.items():
                with disk.writing_whole(folder / f"{split}_{kind}.npy") as file:
                    np.save(file, values[chosen], allow_pickle=False)
        files = {packed.file if (packed := packed_name(path)) else path: n for path, (n, _) in source.states.items()}
        n_bytes = sum(files.values())
        newest = max((time for _, time in source.states.values()), default=0)
        md5 = md5_of(load_arrays(folder))
        return StoredDataset(
            info.name,
            reading.size,
            md5,
            source.root.name,
            n_bytes,
            newest,
            {},
            fingerprint=fingerprint,
            originals=OriginalPictures.of([source.looks[path] for path in split_of]),
        )

    return put(info, reading.size, len(rows) * int(np.prod(shape)), fill, source.require_same)


def _write_images(folder: Path, source: Decoded, split_of: Mapping[str, str], shape: tuple[int, ...]) -> None:
    """Append each image to the array of its split, so that no more than one part is in memory."""
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context((folder / f"{split}_images.npy").open("wb")) for split in SPLITS}
        for split, file in files.items():
            n = sum(each == split for each in split_of.values())
            write_header(file, np.dtype(np.uint8), (n, *shape))
        for path, image in source.images():
            if path in split_of:
                files[split_of[path]].write(image.tobytes())
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())


def known_of(rows: Sequence[PictureRow]) -> dict[str, NDArray[Any]]:
    """Give patients and metadata as the store has them, each (N,)."""
    known: dict[str, NDArray[Any]] = {}
    first = rows[0] if rows else PictureRow("", ())
    if first.patient is not None:
        known["patients"] = _numbers_or_texts([row.patient or "" for row in rows])
    for kind in METADATA:
        if kind in first.metadata:
            cells = [row.metadata[kind] for row in rows]
            known[kind] = (
                np.array([age_in_years(cell) for cell in cells], np.float32) if kind == "age" else np.array(cells)
            )
    return known


def _numbers_or_texts(names: Sequence[str]) -> NDArray[Any]:
    """Give whole numbers where all names are, written the usual way; 007 stays a text."""
    numbers = all(is_number(name) and str(int(name)) == name for name in names)
    return np.array([int(name) for name in names]) if numbers else np.array(names)
