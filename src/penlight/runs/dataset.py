"""The dataset as a report of a run needs it: the dataset itself, or in a copy without images its description."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from penlight.data import ViewedDataset, apply_view, store
from penlight.data.catalog import find_dataset, referenced
from penlight.data.description import Description
from penlight.data.kept import KeptDescription
from penlight.data.summary import DataDescription
from penlight.errors import PenlightError, RunError
from penlight.recipes import Recipe
from penlight.records import read_record
from penlight.runs import RunFolder
from penlight.runs.groups import open_group
from penlight.runs.holdings import keeps_images

DESCRIPTION = "dataset.json"
"""What a report says of the dataset, in a copy of a run."""


def view_of(recipe: Recipe) -> ViewedDataset:
    """Open the dataset of a recipe, which may be that of a stranger's run, in its view; errors as in
    `store.open_referenced`, and RunError where the run was scored by a labels file."""
    if not recipe.data.size:
        raise RunError(
            f"The images of {recipe.data.dataset} are not at hand: its run was scored by a labels file alone.",
            "Leave out what needs images, such as --with-images.",
        )
    return apply_view(store.open_referenced(recipe.data.dataset, recipe.data.size), recipe.data.view)


def files_of(dataset: str, size: int, split: str, md5: str) -> list[str] | None:
    """Give the path of the picture of each row of a split, where the dataset that a recipe names is of pictures that
    are still here."""
    from penlight.data.own.prepare import paths_by_split

    with contextlib.suppress(PenlightError, OSError):
        known = find_dataset(referenced(dataset))
        if isinstance(known, Description) and known.pictures is not None:
            found = paths_by_split(known, size, md5)
            return None if found is None else found.get(split)
    return None


def seen_by(run: RunFolder, images: bool | None = None) -> ViewedDataset | DataDescription:
    """Open the dataset of a run in its view, or read its description where no image is wanted and the run has one.

    `images` as in `content_of_run`. Errors as in `view_of`.
    """
    wanted = keeps_images(run) if images is None else images
    if not wanted and run.has(DESCRIPTION):
        where = str(run.path / DESCRIPTION)
        return _described(run.read(DESCRIPTION), where).description
    return view_of(run.recipe)


def folds_described(folder: Path) -> tuple[DataDescription, Mapping[str, int] | None]:
    """Read the description that a copy of a cross-validation has, and its patients by split."""
    kept = _described(open_group(folder).read(DESCRIPTION), str(folder / DESCRIPTION))
    return kept.description, kept.patients


def _described(content: bytes, where: str) -> KeptDescription:
    return read_record(KeptDescription, content, where, "Ask for another copy.")
