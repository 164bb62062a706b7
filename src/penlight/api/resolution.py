"""The study of resolution: one recipe, or the plan, at each size of a dataset that is on disk."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath

from penlight.api.options import Options, overrides_of, request_of
from penlight.api.paths import PathLike
from penlight.api.requests import Request
from penlight.data import store
from penlight.data.catalog import SIZES, dataset_info, find_dataset, reference_of
from penlight.data.description import Description
from penlight.disk import is_inside
from penlight.errors import DataError
from penlight.experiments.studies import PLANNED, RESOLUTION
from penlight.models.weights import with_hashes
from penlight.recipes import Encoded, Linear, Majority, Recipe, with_overrides
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
) -> tuple[Study, Path, Planned]:
    """Write the study of a dataset's sizes: the study, its folder, and the recipe of each of its rows, with the plan
    that it comes from.

    A plan that a row was begun with is gone on with. DataError, saying how to get more, if fewer than two sizes are
    there; RecipeError for a recipe or `options` that do not fit.
    """
    info, (sizes, notes) = dataset_info(dataset), _sizes(dataset)
    if len(sizes) < 2:
        raise DataError(
            f"{info.name} has images of {sizes[0] if sizes else 'no'} pixels here; a study of resolution needs two "
            "sizes or more.",
            " ".join(notes),
        )
    name = f"{RESOLUTION}-{info.name.lower()}"
    folder = out or Path("runs") / f"study-{name}"
    changes = overrides_of(options)
    planned: dict[str, tuple[Recipe, TrainingPlan | None]] = {}
    rows: list[StudyRow] = []
    for size in sizes:
        id_ = f"{size}px"
        kept = folder / id_ / "seed-0"
        if recipe is None and is_inside(kept, PLAN):
            plan = read_record(TrainingPlan, read_file(kept, PLAN), str(kept / PLAN))
            asked = Request(with_overrides(plan.recipe, changes), PLANNED, plan)
        else:
            asked = request_of(dataset, recipe, options, {}, resolution_study, view=view, size=size, budget=budget)
        made = with_hashes(asked.recipe)
        planned[id_] = made, asked.plan
        rows.append(
            StudyRow(
                id=id_,
                recipe=str(recipe) if isinstance(recipe, str | PurePath) else asked.name,
                title=f"{_TITLES.get(asked.name, asked.name[:1].upper() + asked.name[1:])} at {size} px",
                overrides=tuple(own if isinstance(own, str) else f"{own[0]}={json.dumps(own[1])}" for own in changes),
                size=size,
                # Every seed gives the same model.
                seeds=1 if isinstance(made.model, Majority | Linear | Encoded) else None,
                compare_with=rows[-1].id if rows else None,
            )
        )
    if not isinstance(made.model, Linear):
        title = f"{_TITLES['linear']} at {sizes[0]} px"
        rows.insert(0, StudyRow(id="linear", recipe="linear", title=title, size=sizes[0], seeds=1))
    study = Study(
        name=name,
        title=f"Resolution of {info.title}",
        question="How large must the images be?",
        dataset=reference_of(dataset),
        view=view or "native",
        size=sizes[-1],
        rows=tuple(rows),
        notes=tuple(notes),
    )
    return study, folder, planned


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
