"""Opening a dataset by name: found on disk, fetched or drawn, checked, and mapped into memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from penlight.data.arrays import channels_of, md5_of, splits_of
from penlight.data.catalog import (
    CATALOG,
    CatalogEntry,
    find_dataset,
    is_phantom,
    official_url,
    referenced,
)
from penlight.data.dataset import Dataset, DatasetInfo
from penlight.data.description import Description, described_names
from penlight.data.download import download
from penlight.data.folders import download_folder, find_file
from penlight.data.mapped import StoredDataset, clear_away, convert, find_mapped, read_splits
from penlight.data.patients import patients_file, with_patients
from penlight.data.pictures import DecodeOptions
from penlight.errors import DataError, UnknownNameError

Known = CatalogEntry | Description

_USUAL = 28


def open_dataset(name: str | Path, size: int | None = None) -> Dataset:
    """Open a dataset by its name or by the path of its description, at `size` pixels a side, by default its
    `usual_size`.

    Looked for in the folders of PENLIGHT_DATA, then in ~/.medmnist; an official set is fetched if it is in neither.
    The first time, the npz is checked and unpacked into the cache folder, and pictures are decoded into it; images
    are mapped from there. Phantoms are drawn, with seed 0. UnknownNameError, DataError, DownloadError and
    StorageError each say what to do.
    """
    known = find_dataset(name)
    size = _usual_size(known) if size is None else size
    _require_offered(known, size)
    if is_phantom(known.info):
        return _draw(known.info, size)
    mapped, info = _mapped(known, size), known.info
    clear_away(info.name, size)
    splits = read_splits(info, size, mapped.folder)
    named_by = patients_file(info.name) if splits["train"].patients is None else None
    if named_by is not None:
        splits = with_patients(splits, named_by)
    info = replace(info, channels=channels_of(splits["train"].images))
    return Dataset(info, size, splits, mapped.md5, known.reading(size, info.channels), mapped.originals)


def open_referenced(reference: str, size: int | None = None) -> Dataset:
    """Open the dataset that a recipe names, which may be a run's: a path leads below the working folder, or to where
    the user named it on this machine. Errors as in `open_dataset`, and DataError for another path."""
    return open_dataset(referenced(reference), size)


def usual_size(name: str | Path) -> int:
    """Give the side in pixels that a dataset is opened at unless another one is asked for: the first of a description
    of pictures, and 28 or the smallest of others. DataError for a description that is not valid; that a name is not
    known is said where it is opened."""
    try:
        return _usual_size(find_dataset(name))
    except UnknownNameError:
        return _USUAL


def _usual_size(known: Known) -> int:
    if isinstance(known, Description) and known.pictures is not None:
        return known.pictures.sizes[0]
    return _USUAL if _USUAL in known.sizes else min(known.sizes)


def fetch_dataset(name: str | Path, size: int | None = None) -> Path:
    """Give the path of a dataset's npz, fetched to ~/.medmnist if it is not on disk yet; of pictures, that of the
    arrays made of them.

    Errors as in `open_dataset`; DataError for a phantom, which has no file.
    """
    known = find_dataset(name)
    if is_phantom(known.info):
        raise DataError(
            f"{known.info.name} is drawn when it is opened; there is nothing to fetch.", "Open it by its name."
        )
    size = _usual_size(known) if size is None else size
    _require_offered(known, size)
    if known.pictures is not None:
        return _mapped(known, size).folder
    return find_file(known.places(size)) or _fetch(known, size)


def sizes_here(name: str | Path) -> tuple[list[int], list[int]]:
    """Give the sizes of a dataset that open without a network, and the others that it has, each the smallest first.

    UnknownNameError and DataError as in `find_dataset`.
    """
    known = find_dataset(name)
    here = [size for size in sorted(known.sizes) if _is_on_disk(known, size)]
    return here, sorted(set(known.sizes).difference(here))


def list_datasets() -> list[dict[str, Any]]:
    """List the catalog, then the described datasets: name, title, task, channels, samples, sizes and licence.

    `sizes` are those that open without a network; `channels` and `samples` are None where only the file knows.
    DataError for a description that is not valid.
    """
    described = [name for name in described_names() if name not in CATALOG]
    known = [find_dataset(name) for name in (*CATALOG, *described)]
    return [
        {
            "name": dataset.info.name,
            "title": dataset.info.title,
            "task": dataset.info.task.kind,
            "channels": dataset.info.channels or None,
            "samples": None if dataset.info.samples is None else dict(dataset.info.samples),
            "sizes": [size for size in dataset.sizes if _is_on_disk(dataset, size)],
            "licence": dataset.info.licence,
        }
        for dataset in known
    ]


def _is_on_disk(known: Known, size: int) -> bool:
    """Say whether a dataset opens at a size without a network."""
    if is_phantom(known.info):
        return True
    if isinstance(known, Description) and known.pictures is not None:
        from penlight.data.own.layouts import find_source

        try:
            find_source(known)
        except DataError:
            return False
        return True
    places = known.places(size)
    return (
        find_file(places) is not None
        or find_mapped(known.info.name, size, npz=None, md5=known.info.md5.get(size), places=places) is not None
    )


def _require_offered(known: Known, size: int) -> None:
    if size not in known.sizes:
        sizes = ", ".join(map(str, sorted(known.sizes)))
        raise DataError(
            f"{known.info.name} has images of {sizes} pixels; {size} was asked for.", "Choose one of these sizes."
        )


def _mapped(known: Known, size: int) -> StoredDataset:
    if isinstance(known, Description) and known.pictures is not None:
        from penlight.data.own.prepare import open_pictures

        return open_pictures(known, size)
    places, info = known.places(size), known.info
    npz = find_file(places)
    ready = find_mapped(info.name, size, npz, info.md5.get(size), places)
    return ready or convert(info, size, npz or _fetch(known, size))


def _fetch(known: Known, size: int) -> Path:
    places, md5 = known.places(size), known.info.md5.get(size)
    if isinstance(known, Description) or md5 is None:
        raise DataError(
            f"{places[0].name} was not found; looked for: {', '.join(map(str, places))}.",
            "Put it into ~/.medmnist, or set PENLIGHT_DATA to its folder.",
        )
    target = download_folder() / places[0].name
    download(official_url(known.info.name, size), target, f"md5:{md5}")
    return target


def _draw(info: DatasetInfo, size: int) -> Dataset:
    from penlight.phantoms import phantom_arrays

    arrays = phantom_arrays(info.name, size)
    splits = splits_of(info, size, arrays, info.name)
    return Dataset(info, size, splits, md5_of(arrays), DecodeOptions(size, info.channels))
