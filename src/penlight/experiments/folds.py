"""A cross-validation: its folds, their summary and their page."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.data import ViewedDataset
from penlight.data.summary import DataDescription
from penlight.disk import is_inside
from penlight.errors import RunError
from penlight.recipes import Recipe
from penlight.runs import Run, to_bytes, write_json
from penlight.runs.dataset import DESCRIPTION, folds_described, seen_by, view_of
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import FOLDS, SUMMARY, is_bare, is_untidy, read_folds
from penlight.runs.groups import write_group
from penlight.runs.scores import FoldsScores
from penlight.runs.scoring import folds_scores, joined_folds, runs_of_folds
from penlight.training.folds import Folds, make_folds

if TYPE_CHECKING:
    from penlight.reports import RunContent


PREDICTIONS = "predictions-folds.npz"


def folds_of(folder: Path, runs: Sequence[Run]) -> Folds:
    """Divide the dataset of a cross-validation again. RunError if it is not the one that was divided."""
    claim = read_folds(folder) or {}
    divided = make_folds(view_of(runs[0].recipe), claim["folds"], claim["seed"])
    if divided.view.dataset.md5 != claim["data_md5"]:
        raise RunError(f"{folder} was made from another file of {divided.view.dataset.info.name} than is here.")
    return divided


def folds_content(
    folder: Path, scores: FoldsScores, divided: Folds | None = None, images: bool | None = None
) -> "RunContent":
    """Gather what the report of a cross-validation shows; `images` as in `content_of_run`. Where it is not given how
    its dataset was `divided`, that is done again, or read in a copy without images."""
    from penlight.reports import ComparedBaseline
    from penlight.reports.gather import content_of_folds, describe_folds

    runs, claim = runs_of_folds(folder)
    first: ViewedDataset | DataDescription
    if divided is None and not images and is_inside(folder, DESCRIPTION):
        (whole, patients), first = folds_described(folder), seen_by(runs[0], images)
    else:
        divided = divided or folds_of(folder, runs)
        (whole, patients), first = describe_folds(divided.view), divided.fold(0)
    return content_of_folds(
        folder.name,
        runs,
        whole,
        patients,
        first,
        joined_folds(runs, claim["data_md5"]),
        scores.metrics,
        [ComparedBaseline(rival, rows) for rival, rows in scores.baselines.items()],
        scores.checks,
        scores.subgroups,
        scores.unanswered,
        scores.ahead,
        images,
    )


def _claim(recipe: Recipe, divided: Folds) -> dict[str, Any]:
    return {
        "schema": 1,
        "recipe_hash": recipe.hash,
        "data_md5": divided.view.dataset.md5,
        "folds": divided.count,
        "seed": divided.seed,
        "images": len(divided.whole),
    }


def _continues(folder: Path, claim: Mapping[str, Any]) -> bool:
    unfinished = not is_inside(folder, SUMMARY) or is_untidy(folder)
    with contextlib.suppress(RunError):
        return is_bare(folder) or (unfinished and read_folds(folder) == claim)
    return False


def _take(folder: Path, claim: Mapping[str, Any]) -> None:
    """Make a folder that of this cross-validation, or raise RunError if it is that of something else."""
    held = read_folds(folder)
    if held is None and not is_bare(folder):
        raise RunError(f"{folder} is not empty, and not a cross-validation.", "Choose another folder with --out.")
    if held is not None and held != claim:
        raise RunError(
            f"{folder} holds a cross-validation of another recipe, dataset, seed or number of folds.",
            "Choose another folder with --out, or repeat the command that began it.",
        )
    write_json(folder / FOLDS, claim)


def _summarise(folder: Path, divided: Folds) -> FoldsScores:
    """Write the joined predictions, the scores, the report and the card of all folds."""
    from penlight.reports import run_card, run_report

    runs, claim = runs_of_folds(folder)
    scores = folds_scores(folder)
    content = folds_content(folder, scores, divided)
    summary = sealed({"schema": 1, "recipe_hash": claim["recipe_hash"], **scores.to_dict()})
    files = {
        FOLDS: json_text(claim).encode(),
        PREDICTIONS: to_bytes(joined_folds(runs, claim["data_md5"]).predictions),
        "report.html": run_report(content).encode(),
        "card.md": run_card(content).encode(),
        SUMMARY: json_text(summary).encode(),
    }
    write_group(folder, "folds", files, {run.path.name: run for run in runs})
    return scores
