"""The known datasets, of `catalog.toml`: the twelve 2D sets of MedMNIST and the two phantoms. Nothing is opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penlight.data.dataset import SPLITS, DatasetInfo
from penlight.data.description import Description, described_names, find_description, is_name, position_matters
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


def dataset_info(name: str | Path) -> DatasetInfo:
    """Say what is known of a dataset, by its name or by the path of its description, without opening its images.

    UnknownNameError for another name; DataError for a description that is not valid.
    """
    known = find_dataset(name)
    return known.info if isinstance(known, Description) else known


def find_dataset(name: str | Path) -> DatasetInfo | Description:
    """Find a dataset's row in the catalog, or its description: by path, in PENLIGHT_DATA, or shipped.

    UnknownNameError and DataError as in `dataset_info`.
    """
    if str(name) in CATALOG:
        return CATALOG[str(name)]
    description = find_description(name)
    if description is None:
        raise UnknownNameError("dataset", str(name), {*CATALOG, *described_names()})
    return description


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
