"""Opening pictures by their description: rows, labels and splits as they are now, and the store made from them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import DatasetInfo
from penlight.data.description import NAME_IT, Description, Pictures
from penlight.data.folders import private_cache_folder
from penlight.data.mapped import Mapped, find_pictures, store_locked
from penlight.data.own.class_folders import list_folders
from penlight.data.own.manifest import list_manifest
from penlight.data.own.prepare import assemble, decoded, fingerprint, states_of
from penlight.data.own.rows import Listing, ManifestRow
from penlight.data.own.splitting import LEFT_OUT, divide, read_splits_file, require_separate
from penlight.data.own.tables import as_cell, as_path_cell
from penlight.data.own.tree import walk
from penlight.data.remembered import images_folder
from penlight.errors import DataError
from penlight.escaping import named, shown
from penlight.numbers import counted


@dataclass(frozen=True)
class Sorted:
    """The rows of a dataset that count, and the `splits` and `labels` (N, L) of each."""

    root: Path
    rows: Sequence[ManifestRow]
    splits: Sequence[str]
    labels: NDArray[np.integer]


def open_pictures(description: Description, size: int) -> Mapped:
    """Give the store's folder of a dataset of pictures, made now unless it is there.

    Nothing is written but the store in the cache: without a file of splits they are computed from the seed each time,
    and the store holds the arrays of each.

    DataError if pictures are missing or cannot be read, if labels or splits do not fit the description, and for a
    patient in two splits; StorageError if the store cannot be written.
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
                folder = private_cache_folder("unreadable")
                raise unreadable(
                    source.problems, write_problems(folder, f"{name}-{size}", source.problems, private=True)
                )
            return assemble(description.info, reading, source, found.rows, found.splits, found.labels)


def pictures_of(description: Description) -> Pictures:
    """Give what a description says of its pictures."""
    if description.pictures is None:
        raise DataError(f"{description.info.name} is described by npz files, not by pictures.")
    return description.pictures


@dataclass(frozen=True)
class PictureLocation:
    """Where pictures lie: `root` is their folder; the manifest, if there is one, is the file `table` of `folder`."""

    root: Path
    folder: Path
    table: str = ""


def find_source(description: Description) -> PictureLocation:
    """Find the folder of the pictures, and the manifest: in or below the description's folder, by no link; or where
    the user has named the folder on this machine.

    DataError if they are not there, or lie elsewhere and were not named.
    """
    pictures = pictures_of(description)
    place = images_folder(description.file, pictures.source)
    if pictures.columns is None:
        root = place or _below(description.folder, pictures.source, is_folder=True)
        return PictureLocation(root, root)
    if place is None:
        table = _below(description.folder, pictures.source, is_folder=False)
        return PictureLocation(table.parent, description.folder, pictures.source)
    if disk.is_inside(description.folder, pictures.source):
        return PictureLocation(place, description.folder, pictures.source)
    return PictureLocation(place, place, PureWindowsPath(pictures.source).name)


def _below(folder: Path, source: str, *, is_folder: bool) -> Path:
    """Give the path of what `images.from` names in or below the folder of the description."""
    if source == "." and is_folder:
        return folder
    if disk.plain_parts(source) is None or source.startswith("~"):
        raise DataError(
            "images.from must name a folder or table in or below the folder of the description, by a plain relative "
            f'name such as "films"; {shown(source)} came.',
            NAME_IT,
        )
    try:
        if is_folder:
            return disk.folder_inside(folder, source)
        disk.open_inside(folder, source).close()
    except disk.RefusedFileError as error:
        raise DataError(f"images.from names {source}, and {error.strerror}.", NAME_IT) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        kind = "folder" if is_folder else "table"
        raise DataError(f"There is no {kind} {folder / source}.", f"Check the path. {NAME_IT}") from error
    except OSError as error:
        raise DataError(f"{folder / source} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return folder / source


def list_pictures(description: Description) -> Listing:
    """List what lies where a description says."""
    pictures, source = pictures_of(description), find_source(description)
    tree = walk(source.root)
    if pictures.columns is None:
        return list_folders(tree)
    return list_manifest(source.folder, source.table, pictures.columns, tree)


def label_numbers(rows: Sequence[ManifestRow], values: Sequence[str], info: DatasetInfo) -> NDArray[np.integer]:
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


def write_problems(folder: Path, name: str, problems: Mapping[str, str], *, private: bool = False) -> Path:
    """Write which pictures cannot be read, and why, as `name`-unreadable.csv."""
    path = folder / f"{name}-unreadable.csv"
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("path", "reason"))
    rows.writerows((as_path_cell(own), as_cell(reason)) for own, reason in problems.items())
    with disk.writing_to(folder, "Choose another folder with --out."):
        disk.write_whole(path, table.getvalue().encode(), private=private)
    return path


def unreadable(problems: Mapping[str, str], written: Path) -> DataError:
    """Give the error for pictures that cannot be read: the first by name, and the file with all."""
    first = "; ".join(f"{path}: {reason}" for path, reason in list(problems.items())[:10])
    return DataError(
        f"{counted(len(problems), 'picture')} cannot be read. {first}. All are in {written}.",
        f"Get them again, or leave them out: data new --skip-unreadable does, or '{LEFT_OUT}' as their split.",
    )


def _sorted(description: Description, pictures: Pictures) -> Sorted:
    listing = list_pictures(description)
    rows = list(listing.rows)
    splits = read_splits_file(description.folder, pictures.rule.file, [row.path for row in rows])
    if splits is not None:
        kept = [i for i, split in enumerate(splits) if split != LEFT_OUT]
        rows, splits = [rows[i] for i in kept], [splits[i] for i in kept]
    if absent := sorted(set(listing.missing) & {row.path for row in rows}):
        raise DataError(
            f"There is no file for {counted(len(absent), 'row')} of {pictures.source}: {named(absent)}.",
            "Get the files, or remove them.",
        )
    labels = label_numbers(rows, pictures.values, description.info)
    if splits is None:
        splits = divide(rows, description.info.task.encode(labels), pictures.rule)
    require_separate(rows, splits)
    return Sorted(listing.root, rows, splits, labels)
