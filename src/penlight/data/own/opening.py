"""Opening pictures by their description: rows, labels and splits as they are now, and the store made from them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import DatasetInfo
from penlight.data.description import Description, Pictures
from penlight.data.mapped import Mapped, find_pictures, store_locked
from penlight.data.own.class_folders import list_folders
from penlight.data.own.manifest import list_manifest
from penlight.data.own.prepare import assemble, decoded, fingerprint, states_of
from penlight.data.own.rows import Listing, Row, named
from penlight.data.own.splitting import LEFT_OUT, divide, read_splits_file, require_separate, write_splits
from penlight.data.own.tree import walk
from penlight.errors import DataError


@dataclass(frozen=True)
class Sorted:
    """The rows of a dataset that count, and the `splits` and `labels` (N, L) of each."""

    root: Path
    rows: Sequence[Row]
    splits: Sequence[str]
    labels: NDArray[np.integer]


def open_pictures(description: Description, size: int) -> Mapped:
    """Give the store's folder of a dataset of pictures, made now unless it is there.

    DataError if pictures are missing or cannot be read, if labels or splits do not fit the description, and for a
    patient in two splits; StorageError if the store or the file of splits cannot be written.
    """
    pictures = pictures_of(description)
    reading = pictures.reading(size, description.info.channels)
    found = _sorted(description, pictures)
    states = states_of(found.root, [row.path for row in found.rows])
    print_ = fingerprint(reading, found.rows, found.splits, found.labels, states)
    if ready := find_pictures(description.info.name, size, print_):
        return ready
    paths = [row.path for row in found.rows]
    name = description.info.name
    with store_locked(name, size):
        # Another process may have made it while this one waited.
        if ready := find_pictures(name, size, print_):
            return ready
        with decoded(name, reading, found.root, paths) as source:
            if source.problems:
                raise unreadable(source.problems, write_problems(description.folder, name, source.problems))
            return assemble(description.info, reading, source, found.rows, found.splits, found.labels)


def pictures_of(description: Description) -> Pictures:
    """Give what a description says of its pictures."""
    if description.pictures is None:
        raise DataError(f"{description.info.name} is described by npz files, not by pictures.")
    return description.pictures


def list_pictures(description: Description) -> Listing:
    """List what lies where a description says."""
    pictures = pictures_of(description)
    place = description.folder / pictures.source
    if pictures.columns is None:
        return list_folders(walk(place))
    return list_manifest(place, pictures.columns, walk(place.parent))


def label_numbers(rows: Sequence[Row], values: Sequence[str], info: DatasetInfo) -> NDArray[np.integer]:
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


def write_problems(folder: Path, name: str, problems: Mapping[str, str]) -> Path:
    """Write which pictures cannot be read, and why, beside the description."""
    path = folder / f"{name}-unreadable.csv"
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("path", "reason"))
    rows.writerows(problems.items())
    with disk.writing_to(folder, "Choose another folder with --out."):
        disk.write_whole(path, table.getvalue().encode())
    return path


def unreadable(problems: Mapping[str, str], written: Path) -> DataError:
    """Give the error for pictures that cannot be read: the first by name, and the file with all."""
    first = "; ".join(f"{path}: {reason}" for path, reason in list(problems.items())[:10])
    return DataError(
        f"{len(problems):,} pictures cannot be read. {first}. All are in {written}.",
        f"Get them again, or leave them out: data new --skip-unreadable does, or '{LEFT_OUT}' as their split.",
    )


def _sorted(description: Description, pictures: Pictures) -> Sorted:
    listing = list_pictures(description)
    file = description.folder / pictures.rule.file
    rows = list(listing.rows)
    if file.exists():
        splits = read_splits_file(file, [row.path for row in rows])
        kept = [i for i, split in enumerate(splits) if split != LEFT_OUT]
        rows, splits = [rows[i] for i in kept], [splits[i] for i in kept]
    if absent := sorted(set(listing.missing) & {row.path for row in rows}):
        raise DataError(
            f"{len(absent):,} rows of {pictures.source} have no file: {named(absent)}.",
            "Get the files, or remove them.",
        )
    labels = label_numbers(rows, pictures.values, description.info)
    if not file.exists():
        splits = divide(rows, description.info.task.encode(labels), pictures.rule)
        with disk.writing_to(file.parent, "Copy the description to a folder you may write to."):
            write_splits(file, [row.path for row in rows], splits)
    require_separate(rows, splits)
    return Sorted(listing.root, rows, splits, labels)
