"""The known datasets, of `catalog.toml`: the twelve 2D sets of MedMNIST and the two phantoms. Nothing is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penlight.data.dataset import SPLITS, DatasetInfo
from penlight.data.description import Description, described_names, find_description, is_name, position_matters
from penlight.data.folders import data_folders
from penlight.data.pictures import DecodeOptions
from penlight.data.remembered import find_reference, reference_to
from penlight.errors import DataError, UnknownNameError
from penlight.parsing import parse_toml
from penlight.tasks import TASKS

SIZES = (28, 64, 128, 224)
"""Sides in pixels of the official files, and of the phantoms."""

RECORD = "https://zenodo.org/records/10519652"
BASE_URL = f"{RECORD}/files"
"""Where the official files are fetched from."""

_DRAWN = "Drawn by Penlight; no patient was photographed"


def _row(name: str, values: Mapping[str, Any]) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        title=values["title"],
        task=TASKS[values["task"]].described(tuple(values["labels"]), values),
        channels=values["channels"],
        samples=dict(zip(SPLITS, values["samples"], strict=True)),
        licence=values.get("licence", "CC BY 4.0"),
        source=values.get("source", f"MedMNIST v2, {RECORD}"),
        modality=values["modality"],
        position_matters=position_matters(values["modality"]),
        md5=dict(zip(SIZES, values["md5"], strict=True)) if "md5" in values else {},
        cautions=tuple(values.get("cautions", ())),
        images_per_patient=values.get("images_per_patient", 1),
    )


_TABLE = Path(__file__).with_suffix(".toml")
CATALOG: Mapping[str, DatasetInfo] = {
    name: _row(name, values) for name, values in parse_toml(_TABLE.read_bytes(), _TABLE.name).items()
}


@dataclass(frozen=True)
class CatalogEntry:
    """A dataset of the catalog: a set of MedMNIST, whose files are fetched, or one that is drawn. It is used as a
    `Description` is."""

    info: DatasetInfo
    pictures = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Give the sides in pixels that the dataset may be opened at."""
        return SIZES

    def places(self, size: int) -> list[Path]:
        """Give the paths at which the npz of a size may lie."""
        return [folder / official_file(self.info.name, size) for folder in data_folders()]

    def reading(self, size: int, channels: int) -> DecodeOptions:
        """Say how pictures become images like those of the dataset."""
        return DecodeOptions(size, channels)


def find_dataset(name: str | Path) -> CatalogEntry | Description:
    """Find a dataset's row in the catalog, or its description: by path, in PENLIGHT_DATA, or shipped. No image is
    opened.

    UnknownNameError for another name; DataError for a description that is not valid.
    """
    if str(name) in CATALOG:
        return CatalogEntry(CATALOG[str(name)])
    description = find_description(name)
    if description is None:
        raise UnknownNameError("dataset", str(name), {*CATALOG, *described_names()})
    return description


def dataset_info(name: str | Path) -> DatasetInfo:
    """Say what is known of a dataset without opening its images. Errors as in `find_dataset`."""
    return find_dataset(name).info


def referenced(reference: str) -> str | Path:
    """Give what `find_dataset` finds the dataset of a recipe by: its name, or the path of its description, below the
    working folder or where the user named it. DataError for another path."""
    if is_name(reference):
        return reference
    if (path := find_reference(reference)) is not None:
        return path
    name = Path(reference).name
    raise DataError(
        f"The dataset {name} is not below the working folder, and no command on this machine has opened it.",
        f"Work in the folder that {reference} is meant from, or open it once: penlight data show PATH/{name}",
    )


def reference_of(dataset: str) -> str:
    """Give the name by which a recipe keeps the dataset that the user named, and remember where it is: a path is
    given from the working folder, and of one that leads out of it only the last name.

    DataError if there is no such description.
    """
    if is_portable(dataset):
        return dataset
    description = find_description(dataset)
    return dataset if description is None else reference_to(description.file)


def info_of_reference(reference: str) -> DatasetInfo:
    """Say what is known of the dataset that a recipe names. Errors as in `dataset_info` and `referenced`."""
    return dataset_info(referenced(reference))


def portable(reference: str) -> str:
    """Give what a recipe, which may be of an earlier version, names its dataset by, without a path of this machine.
    DataError for a path that `referenced` does not follow."""
    return reference if is_portable(reference) else reference_of(str(referenced(reference)))


def is_portable(name: str) -> bool:
    """Say whether a name in a recipe is no path, or one from the working folder."""
    path = Path(name)
    return is_name(name) or not (path.is_absolute() or ".." in path.parts)


def is_phantom(info: DatasetInfo) -> bool:
    """Say whether a dataset is drawn rather than read from a file."""
    return info.source == _DRAWN


def official_file(name: str, size: int) -> str:
    """Name the official file of a MedMNIST set: retinamnist.npz at 28 pixels, retinamnist_64.npz at 64."""
    return f"{name}.npz" if size == SIZES[0] else f"{name}_{size}.npz"


def official_url(name: str, size: int) -> str:
    """Give the address of an official file."""
    return f"{BASE_URL}/{official_file(name, size)}?download=1"
