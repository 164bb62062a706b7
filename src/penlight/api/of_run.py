"""The dataset that a run was made from, opened again.

A run may be a stranger's, and its recipe names a file. It is opened where it lies: in or below the working folder, or
a folder of PENLIGHT_DATA. A path that leads elsewhere was named by nobody here.
"""

import re
from pathlib import Path

from penlight.data import Dataset, DatasetInfo, ViewedDataset, apply_view, store
from penlight.data.catalog import dataset_info
from penlight.data.folders import environment_folders
from penlight.disk import plain_parts
from penlight.errors import RunError, UnknownNameError
from penlight.recipes import Recipe


def view_of(recipe: Recipe, folder: Path) -> ViewedDataset:
    """Open the dataset of the recipe in a run folder, through its view. RunError for one that lies elsewhere."""
    return apply_view(dataset_of(recipe.data.dataset, recipe.data.size, folder), recipe.data.view)


def dataset_of(name: str, size: int, folder: Path) -> Dataset:
    """Open a dataset that a run folder, or a folder of several, names. RunError for one that lies elsewhere."""
    require_near(name, folder)
    return store.open_dataset(name, size)


def info_of(name: str) -> DatasetInfo:
    """Give what is known of a dataset by its name. UnknownNameError for a path, which a run names and nobody here."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", name):
        raise UnknownNameError("dataset", name[:100], ())
    return dataset_info(name)


def require_near(name: str, folder: Path) -> None:
    """Raise RunError if a dataset that a run folder names lies neither in or below the working folder nor where the
    user has said that data lies."""
    if plain_parts(name) is not None:
        return
    place = Path(name).resolve()
    near = [Path.cwd(), *environment_folders()]
    if not any(place.is_relative_to(own.resolve()) for own in near):
        raise RunError(
            f"{folder} names the dataset {name!a}, which lies outside of the working folder; a run may come from a "
            "stranger, so that is not opened.",
            f"If it is yours, set PENLIGHT_DATA={place.parent}, or go to that folder.",
        )
