"""Opening a dataset by name: found on disk, fetched or drawn, checked, and mapped into memory."""

from dataclasses import dataclass, replace
from pathlib import Path

from penlight.data.catalog import SIZES, find_dataset, is_phantom, official_file, official_url, referenced
from penlight.data.dataset import SPLITS, Dataset, DatasetInfo
from penlight.data.description import Description
from penlight.data.download import download
from penlight.data.folders import data_folders, download_folder, find_file
from penlight.data.layout import channels_of, check_labels, check_layout
from penlight.data.mapped import Mapped, clear_away, convert, find_mapped, md5_of, read_splits, split_of
from penlight.data.patients import patients_file, with_patients
from penlight.data.pictures import DecodeOptions
from penlight.errors import DataError


@dataclass(frozen=True)
class DatasetFile:
    """Where the npz of a dataset at one size may lie; `url` is None for the user's own data."""

    info: DatasetInfo
    size: int
    places: list[Path]
    url: str | None

    @property
    def md5(self) -> str | None:
        """The hash that the npz must have, where known."""
        return self.info.md5.get(self.size)


def open_dataset(name: str | Path, size: int = 28) -> Dataset:
    """Open a dataset by its name or by the path of its description, at `size` pixels a side.

    Looked for in the folders of PENLIGHT_DATA, then in ~/.medmnist; an official set is fetched if it is in neither.
    The first time, the npz is checked and unpacked into the cache folder, and pictures are decoded into it; images
    are mapped from there. Phantoms are drawn, with seed 0. UnknownNameError, DataError, DownloadError and
    StorageError each say what to do.
    """
    known = find_dataset(name)
    if isinstance(known, DatasetInfo) and is_phantom(known):
        return _draw(known, _offered(known.name, size, SIZES))
    if isinstance(known, Description) and known.pictures is not None:
        mapped = _pictures(known, size)
        info = known.info
    else:
        source = source_of(known, size)
        mapped, info = _mapped(source), source.info
    clear_away(info.name, size)
    splits = read_splits(info, size, mapped.folder)
    named_by = patients_file(info.name) if splits["train"].patients is None else None
    if named_by is not None:
        splits = with_patients(splits, named_by)
    info = replace(info, channels=channels_of(splits["train"].images))
    return Dataset(info, size, splits, mapped.about.md5, _reading(known, info, size))


def open_referenced(reference: str, size: int = 28) -> Dataset:
    """Open the dataset that a recipe names, which may be a run's: a path leads below the working folder, or to where
    the user named it on this machine. Errors as in `open_dataset`, and DataError for another path."""
    return open_dataset(referenced(reference), size)


def fetch_dataset(name: str | Path, size: int = 28) -> Path:
    """Give the path of a dataset's npz, fetched to ~/.medmnist if it is not on disk yet; of pictures, that of the
    arrays made of them.

    Errors as in `open_dataset`; DataError for a phantom, which has no file.
    """
    known = find_dataset(name)
    if isinstance(known, DatasetInfo) and is_phantom(known):
        raise DataError(
            f"{known.name} is drawn when it is opened; there is nothing to fetch.", "Open it by its name."
        )
    if isinstance(known, Description) and known.pictures is not None:
        return _pictures(known, size).folder
    source = source_of(known, size)
    return find_file(source.places) or _fetch(source)


def source_of(known: DatasetInfo | Description, size: int) -> DatasetFile:
    """Say where the npz of a dataset at this size may lie. DataError if there is none of this size."""
    if isinstance(known, Description):
        _offered(known.info.name, size, known.sizes)
        return DatasetFile(known.info, size, known.places(size), url=None)
    file = official_file(known.name, _offered(known.name, size, SIZES))
    return DatasetFile(known, size, [folder / file for folder in data_folders()], official_url(known.name, size))


def on_disk(known: DatasetInfo | Description, size: int) -> bool:
    """Say whether a dataset opens at a size without a network."""
    if isinstance(known, Description) and known.pictures is not None:
        from penlight.data.own.opening import find_source

        try:
            find_source(known)
        except DataError:
            return False
        return True
    source = source_of(known, size)
    return (
        find_file(source.places) is not None
        or find_mapped(source.info.name, source.size, npz=None, md5=source.md5, places=source.places) is not None
    )


def _offered(name: str, size: int, sizes: tuple[int, ...]) -> int:
    if size not in sizes:
        known = ", ".join(map(str, sorted(sizes)))
        raise DataError(f"{name} has images of {known} pixels; {size} was asked for.", "Choose one of these sizes.")
    return size


def _pictures(known: Description, size: int) -> Mapped:
    from penlight.data.own.opening import open_pictures

    return open_pictures(known, _offered(known.info.name, size, known.sizes))


def _reading(known: DatasetInfo | Description, info: DatasetInfo, size: int) -> DecodeOptions:
    if isinstance(known, Description) and known.pictures is not None:
        return known.pictures.reading(size, info.channels)
    return DecodeOptions(size, info.channels)


def _mapped(source: DatasetFile) -> Mapped:
    npz = find_file(source.places)
    ready = find_mapped(source.info.name, source.size, npz, source.md5, source.places)
    return ready or convert(source.info, source.size, npz or _fetch(source))


def _fetch(source: DatasetFile) -> Path:
    if source.url is None or source.md5 is None:
        raise DataError(
            f"{source.places[0].name} was not found; looked for: {', '.join(map(str, source.places))}.",
            "Put it into ~/.medmnist, or set PENLIGHT_DATA to its folder.",
        )
    target = download_folder() / source.places[0].name
    download(source.url, target, source.md5)
    return target


def _draw(info: DatasetInfo, size: int) -> Dataset:
    from penlight.phantoms import phantom_arrays

    arrays = phantom_arrays(info.name, size)
    check_layout(info, size, arrays, info.name)
    for split in SPLITS:
        check_labels(info, arrays[f"{split}_labels"], f"{info.name}: {split}_labels")
    return Dataset(
        info, size, {split: split_of(arrays, split) for split in SPLITS}, md5_of(arrays), _reading(info, info, size)
    )
