"""Several seeds of one recipe: the list of their runs, their summary and their page."""

from collections.abc import Sequence
from pathlib import Path

from penlight.data import ViewedDataset
from penlight.data.summary import DataDescription
from penlight.experiments.experiment import Summary
from penlight.runs import Run
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import SUMMARY
from penlight.runs.groups import REPORT
from penlight.runs.scores import SeedsScores, SeedsSummary
from penlight.runs.scoring import seeds_scores


def summarise_seeds(folder: Path, runs: Sequence[Run], view: ViewedDataset | DataDescription) -> Summary[SeedsScores]:
    """Score the runs of a folder, one per seed, and draw their page."""
    from penlight.reports import ComparedBaseline, seeds_report
    from penlight.reports.content import content_of_run

    scores = seeds_scores(runs, "test")
    contents = [content_of_run(run, view) for run in runs]
    baselines = [ComparedBaseline(baseline, rows) for baseline, rows in scores.baselines.items()]
    page = seeds_report(folder.name, contents, scores.metrics, baselines, scores.subgroups)
    summary = sealed(SeedsSummary(**vars(scores), recipe_hash=runs[0].recipe.hash).to_dict())
    return Summary("seeds", {REPORT: page.encode(), SUMMARY: json_text(summary).encode()}, scores)
