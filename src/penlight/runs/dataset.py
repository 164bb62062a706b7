"""The dataset as a report of a run needs it: the dataset itself, or in a copy without images its description."""

from pathlib import Path
from typing import Any

from penlight.data import ViewedDataset, apply_view, store
from penlight.data.kept import description_from_dict
from penlight.data.summary import DataDescription
from penlight.errors import RunError
from penlight.parsing import parse_json_object
from penlight.recipes import Recipe
from penlight.runs import Run
from penlight.runs.groups import open_group
from penlight.runs.holdings import keeps_images

DESCRIPTION = "dataset.json"
"""What a report says of the dataset, in a copy of a run."""


def view_of(recipe: Recipe) -> ViewedDataset:
    """Open the dataset of a recipe, which may be that of a stranger's run, in its view; errors as in
    `store.open_referenced`."""
    return apply_view(store.open_referenced(recipe.data.dataset, recipe.data.size), recipe.data.view)


def seen_by(run: Run, images: bool | None = None) -> ViewedDataset | DataDescription:
    """Open the dataset of a run in its view, or read its description where no image is wanted and the run has one.

    `images` as in `content_of_run`. Errors as in `view_of`.
    """
    wanted = keeps_images(run) if images is None else images
    if not wanted and run.has(DESCRIPTION):
        where = str(run.path / DESCRIPTION)
        return _described(parse_json_object(run.read(DESCRIPTION), where, error=RunError), where)
    return view_of(run.recipe)


def folds_described(folder: Path) -> tuple[DataDescription, dict[str, int] | None]:
    """Read the description that a copy of a cross-validation has, and its patients by split."""
    where = str(folder / DESCRIPTION)
    values = parse_json_object(open_group(folder).read(DESCRIPTION), where, error=RunError)
    patients = values.get("patients")
    counted = {str(k): int(v) for k, v in patients.items()} if isinstance(patients, dict) else None
    return _described(values, where), counted


def _described(values: dict[str, Any], where: str) -> DataDescription:
    try:
        return description_from_dict(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{where} is damaged.", "Ask for another copy.") from error
