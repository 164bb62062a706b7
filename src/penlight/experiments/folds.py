"""A cross-validation: its folds, their summary and their page."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.data import ViewedDataset
from penlight.data.summary import DataDescription
from penlight.disk import is_inside
from penlight.errors import RunError
from penlight.experiments.experiment import Summary
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec
from penlight.recipes import Recipe
from penlight.runs import RunFolder, to_bytes, write_json
from penlight.runs.dataset import DESCRIPTION, folds_described, seen_by, view_of
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import FOLDS, MANIFEST, SUMMARY, is_bare, is_untidy, read_folds, run_folder_in
from penlight.runs.groups import FINAL, open_group
from penlight.runs.scores import FoldsScores, FoldsSummary
from penlight.runs.scoring import FoldRuns, folds_scores
from penlight.training.folds import Folds, make_folds

if TYPE_CHECKING:
    from penlight.reports import RunContent


PREDICTIONS = "predictions-folds.npz"


def folds_of(folder: Path, run: RunFolder) -> Folds:
    """Divide the dataset of a cross-validation again, as for this run of it. RunError if it is not the one that was
    divided."""
    claim = read_folds(folder) or {}
    divided = make_folds(view_of(run.recipe), claim["folds"], run.seed)
    if divided.view.dataset.md5 != claim["data_md5"]:
        raise RunError(f"{folder} was made from another file of {divided.view.dataset.info.name} than is here.")
    return divided


def fold_of(run: RunFolder) -> ViewedDataset:
    """Give what one run of a cross-validation was trained on; errors as in `folds_of`."""
    divided = folds_of(run.path.parent, run)
    return divided.fold((int(run.path.name.removeprefix("fold-")) - 1) % divided.count)


def folds_content(
    folds: FoldRuns,
    divided: Folds | None = None,
    images: bool | None = None,
    scores: FoldsScores | None = None,
    final: RunFolder | None = None,
) -> "RunContent":
    """Gather what the report of a cross-validation shows; `images` as in `content_of_run`. Where it is not given how
    its dataset was `divided`, that is done again, or read in a copy without images; so are its `scores`, and the run
    of its `final` model is looked for."""
    from penlight.reports.content import content_of_folds, describe_folds

    first: ViewedDataset | DataDescription
    if divided is None and not images and is_inside(folds.path, DESCRIPTION):
        described, first = folds_described(folds.path), seen_by(folds.runs[0], images)
    else:
        divided = divided or folds_of(folds.path, folds.runs[0])
        described, first = describe_folds(divided.view), divided.fold(0)
    name, joined, final = folds.path.name, folds.joined, final or open_group(folds.path).final
    return content_of_folds(name, folds.runs, joined, scores or folds_scores(folds), *described, first, images, final)


def claim_of(recipe: Recipe, divided: Folds, repeats: int = 1) -> dict[str, Any]:
    """Give what folds.json says of a cross-validation: what decides its runs."""
    return {
        **({"repeats": repeats} if repeats > 1 else {}),
        "schema": 1,
        "recipe_hash": recipe.hash,
        "data_md5": divided.view.dataset.md5,
        "folds": divided.count,
        "seed": divided.seed,
        "images": len(divided.whole),
    }


def continues(folder: Path, claim: Mapping[str, Any], *, final: bool) -> bool:
    """Say whether a folder is empty, or holds an unfinished cross-validation of this very claim: where a `final`
    model is wanted, one without it too."""
    lacks_final = final and not is_inside(folder, f"{FINAL}/{MANIFEST}")
    unfinished = lacks_final or not is_inside(folder, SUMMARY) or is_untidy(folder)
    with contextlib.suppress(RunError):
        return is_bare(folder) or (unfinished and read_folds(folder) == claim)
    return False


def fold_specs(first: RunSpec, claim: Mapping[str, Any], listener: ProgressListener) -> Iterator[RunSpec]:
    """List a run for each fold of a claim, in folders of that of `first`, which becomes that of the claim. RunError
    if it is that of something else."""
    folder = first.folder
    kept = read_folds(folder)
    if kept is None and not is_bare(folder):
        raise RunError(f"{folder} is not empty, and not a cross-validation.", "Choose another folder with --out.")
    if kept is not None and kept != claim:
        raise RunError(
            f"{folder} holds a cross-validation of another recipe, dataset, seed or number of folds.",
            "Choose another folder with --out, or repeat the command that began it.",
        )
    write_json(folder / FOLDS, claim)
    count, repeats = claim["folds"], claim.get("repeats", 1)
    for number in range(count * repeats):
        again, fold = divmod(number, count)
        said = f"fold {fold + 1} of {count}" + (f", time {again + 1} of {repeats}" if repeats > 1 else "")
        listener.on_step(said.capitalize())
        place = run_folder_in(folder, f"fold-{number + 1}")
        yield replace(first, seed=first.seed + again, folder=place, fold=(fold, count), group=folder, place=said)


def summarise_folds(folds: FoldRuns, divided: Folds, final: RunFolder | None) -> Summary[FoldsScores]:
    """Join the predictions of all folds, score them, and write the report and the card; `final` is the run of the
    model that became of theirs, if one did."""
    from penlight.reports import run_card, run_report

    scores, claim = folds_scores(folds), folds.claim
    content = folds_content(folds, divided, scores=scores, final=final)
    summary = sealed(FoldsSummary(**vars(scores), recipe_hash=claim.recipe_hash).to_dict())
    files = {
        FOLDS: json_text(claim).encode(),
        PREDICTIONS: to_bytes(folds.out_of_fold),
        "report.html": run_report(content).encode(),
        "card.md": run_card(content).encode(),
        SUMMARY: json_text(summary).encode(),
    }
    told = replace(scores, final=None if final is None else final.metrics)
    return Summary("folds", files, told, final)
