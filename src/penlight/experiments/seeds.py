"""Several seeds of one recipe: the list of their runs, their summary and their page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from penlight.data import ViewedDataset
from penlight.data.summary import DataDescription
from penlight.disk import is_inside
from penlight.experiments.experiment import Summary, require_group
from penlight.experiments.run import RunSpec
from penlight.runs import RunFolder
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import SUMMARY, goes_on, is_bare, is_run_of, is_untidy, run_folder_in
from penlight.runs.groups import REPORT
from penlight.runs.scores import SeedsScores, SeedsSummary
from penlight.runs.scoring import seeds_scores

if TYPE_CHECKING:
    from penlight.evaluation import Score
    from penlight.evaluation.subgroups import Subgroup
    from penlight.reports import ComparedBaseline


def seed_specs(first: RunSpec, seeds: int) -> list[RunSpec]:
    """List a run for each seed from that of the first on, in folders of its folder. RunError if that is a run, or of
    several runs that are not seeds."""
    numbers = range(first.seed, first.seed + seeds)
    group = first.folder
    require_group(group, "seeds", "of several seeds")
    places = {seed: f"seed {k} of {seeds}" for k, seed in enumerate(numbers, start=1)}
    return [
        replace(first, seed=seed, folder=run_folder_in(group, f"seed-{seed}"), group=group, place=places[seed])
        for seed in numbers
    ]


def seeds_go_on(folder: Path, recipe_hash: str, seed: int) -> bool:
    """Say whether a folder is empty, or holds unfinished runs of several seeds of a recipe, from `seed` on."""
    if is_inside(folder, SUMMARY) and not is_untidy(folder):
        return False
    first = folder / f"seed-{seed}"
    return is_bare(folder) or goes_on(first, recipe_hash, seed) or is_run_of(first, recipe_hash, seed)


def summarise_seeds(
    folder: Path, runs: Sequence[RunFolder], view: ViewedDataset | DataDescription, final: RunFolder | None = None
) -> Summary[SeedsScores]:
    """Score the runs of a folder, one per seed, and draw their page; `final` is the run of the model that became of
    theirs, if one did."""
    from penlight.reports import seeds_report
    from penlight.reports.content import content_of_run, final_model

    scores = seeds_scores(runs, "test")
    contents = [content_of_run(run, view) for run in runs]
    of_final = final_model(final, contents[0].dataset.modality)
    page = seeds_report(folder.name, contents, *over_seeds(scores), final=of_final)
    summary = sealed(SeedsSummary(**vars(scores), recipe_hash=runs[0].recipe.hash).to_dict())
    told = replace(scores, final=None if final is None else final.metrics)
    return Summary("seeds", {REPORT: page.encode(), SUMMARY: json_text(summary).encode()}, told, final)


def over_seeds(scores: SeedsScores) -> "tuple[Sequence[Score], list[ComparedBaseline], Sequence[Subgroup]]":
    """Give what a page shows of all seeds together: scores, those of the baselines, and subgroups."""
    from penlight.reports import ComparedBaseline

    beside = [ComparedBaseline(name, rows) for name, rows in scores.baselines.items()]
    return scores.metrics, beside, scores.subgroups
