"""The study of resolution: one recipe, or the plan, at each size of a dataset that is on disk."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from penlight.api.options import Options, overrides_of, request_of
from penlight.api.paths import PathLike
from penlight.api.requests import Request
from penlight.data import store
from penlight.data.catalog import SIZES, dataset_info, find_dataset
from penlight.data.description import Description
from penlight.disk import is_inside
from penlight.errors import DataError, RecipeError
from penlight.experiments.progress import ProgressListener
from penlight.experiments.studies import PLANNED, RESOLUTION
from penlight.models.encoder_file import with_hashes
from penlight.recipes import Encoded, Linear, Majority, Override, Recipe, key_of, with_overrides
from penlight.recipes.plan import TrainingPlan
from penlight.recipes.study import Study, StudyRow
from penlight.records import read_record
from penlight.runs.files import read_file
from penlight.runs.folder import PLAN

_TITLES = {"cnn": "CNN", "linear": "Linear baseline", PLANNED: "Planned model"}

Planned = Mapping[str, tuple[Recipe, TrainingPlan | None]]


def resolution_study(
    dataset: str,
    recipe: PathLike | Recipe | None,
    options: Options | None,
    out: Path | None,
    view: str | None,
    budget: float | None,
    listener: ProgressListener,
) -> tuple[Study, Path, Planned]:
    """Write the study of a dataset's sizes: the study, its folder, and the recipe of each of its rows, with the plan
    that it comes from.

    All sizes have one recipe, so that they differ in nothing else; a plan is made for the largest, and one that the
    study was begun with is gone on with. DataError, saying how to get more, if fewer than two sizes are there;
    RecipeError for a recipe or `options` that do not fit.
    """
    info, (sizes, notes), changes = dataset_info(dataset), _sizes(dataset), overrides_of(options)
    if len(sizes) < 2:
        raise DataError(
            f"{info.name} has images of {sizes[0] if sizes else 'no'} pixels here; a study of resolution needs two "
            "sizes or more.",
            " ".join(notes),
        )
    if any(key_of(own) == "data.size" for own in changes):
        raise RecipeError("A study of resolution has the sizes that are there.", "Leave data.size out.")
    name = f"{RESOLUTION}-{info.name.lower()}"
    folder = out or Path("runs") / f"study-{name}"
    plan = _kept_plan([folder / f"{size}px" / "seed-0" for size in sizes]) if recipe is None else None
    if plan is not None:
        asked = Request(with_overrides(plan.recipe, changes), PLANNED, plan)
    else:
        how: dict[str, Any] = {"view": view, "size": sizes[-1], "budget": budget, "listener": listener}
        asked = request_of(dataset, recipe, options, {}, resolution_study, **how)
    made = with_hashes(asked.recipe)
    study = Study(
        name=name,
        title=f"Resolution of {info.title}",
        question="How large must the images be?",
        dataset=made.data.dataset,
        view=made.data.view,
        size=sizes[-1],
        rows=_rows(made, asked.name, recipe, changes, sizes),
        notes=tuple(notes),
    )
    data = {size: made.data.model_copy(update={"size": size}) for size in sizes}
    return study, folder, {f"{n}px": (made.model_copy(update={"data": data[n]}), asked.plan) for n in sizes}


def _rows(
    made: Recipe, name: str, recipe: PathLike | Recipe | None, changes: Sequence[Override], sizes: Sequence[int]
) -> tuple[StudyRow, ...]:
    """Give a row for each size of the recipe `made` of `recipe`, and the linear baseline at the smallest."""
    called = _TITLES.get(name, name[:1].upper() + name[1:])
    rows = [
        StudyRow(
            id=f"{size}px",
            recipe=str(recipe) if isinstance(recipe, str | PurePath) else name,
            title=f"{called} at {size} px",
            overrides=tuple(own if isinstance(own, str) else f"{own[0]}={json.dumps(own[1])}" for own in changes),
            size=size,
            # Of these models every seed gives the same.
            seeds=1 if isinstance(made.model, Majority | Linear | Encoded) else None,
            compare_with=None if before is None else f"{before}px",
        )
        for before, size in pairwise([None, *sizes])
    ]
    if isinstance(made.model, Linear):
        return tuple(rows)
    title = f"{_TITLES['linear']} at {sizes[0]} px"
    return StudyRow(id="linear", recipe="linear", title=title, size=sizes[0], seeds=1), *rows


def _kept_plan(runs: Sequence[Path]) -> TrainingPlan | None:
    """Read the plan that the first of these runs which has one was begun with."""
    for run in runs:
        if is_inside(run, PLAN):
            return read_record(TrainingPlan, read_file(run, PLAN), str(run / PLAN))
    return None


def _sizes(dataset: str) -> tuple[list[int], list[str]]:
    """Give the sizes that can be trained on here, and say of the others why not, and how to get them."""
    known, (here, missing) = find_dataset(dataset), store.sizes_here(dataset)
    if not isinstance(known, Description):
        return here, [f"{size} px is not on disk: penlight data fetch {dataset} --size {size}." for size in missing]
    if known.pictures is None:
        files = {size: known.places(size)[0].name for size in missing}
        return here, [f"{size} px is not on disk: {name} was not found." for size, name in files.items()]
    notes = []
    originals = store.open_dataset(dataset, here[0]).originals if here else None
    if originals is not None:
        # Beyond their own pixels a larger size shows nothing more.
        notes += [f"{size} px is more than the pictures have." for size in here if size > originals.shortest]
        here = [size for size in here if size <= originals.shortest]
        more = [size for size in SIZES if size <= originals.shortest and size not in here]
        notes += [f"{more[0] if len(more) == 1 else ', '.join(map(str, more))} px can be opened once `sizes` of "
                  f"{known.file.name} has them: sizes = {sorted({*here, *more})}."] if more else []  # fmt: skip
    return here, notes
