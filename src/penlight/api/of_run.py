"""The dataset that a run was made from, opened again.

A run may be a stranger's, and its recipe names a file. It is opened where it lies: in or below the working folder, or
a folder of PENLIGHT_DATA. A path that leads elsewhere was named by nobody here.
"""

from pathlib import Path

from penlight.data import Dataset, ViewedDataset, apply_view, store
from penlight.data.folders import environment_folders
from penlight.disk import plain_parts
from penlight.errors import RunError
from penlight.recipes import Recipe


def view_of(recipe: Recipe, folder: Path) -> ViewedDataset:
    """Open the dataset of the recipe in a run folder, through its view. RunError for one that lies elsewhere."""
    return apply_view(dataset_of(recipe.data.dataset, recipe.data.size, folder), recipe.data.view)


def dataset_of(name: str, size: int, folder: Path) -> Dataset:
    """Open a dataset that a run folder, or a folder of several, names. RunError for one that lies elsewhere."""
    if plain_parts(name) is None:
        _require_near(name, folder)
    return store.open_dataset(name, size)


def _require_near(name: str, folder: Path) -> None:
    place = Path(name).resolve()
    near = [Path.cwd(), *environment_folders()]
    if not any(place.is_relative_to(own.resolve()) for own in near):
        raise RunError(
            f"{folder} names the dataset {name!a}, which lies outside of the working folder; a run may come from a "
            "stranger, so that is not opened.",
            f"If it is yours, set PENLIGHT_DATA={place.parent}, or go to that folder.",
        )
