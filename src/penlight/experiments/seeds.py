"""Several seeds of one recipe: their summary and their page."""

from collections.abc import Sequence
from pathlib import Path

from penlight.data import ViewedDataset
from penlight.data.summary import DataDescription
from penlight.runs import (
    Run,
)
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import (
    SUMMARY,
)
from penlight.runs.groups import write_group
from penlight.runs.scores import SeedsScores
from penlight.runs.scoring import seeds_scores


def summarise(folder: Path, runs: Sequence[Run], view: ViewedDataset | DataDescription) -> SeedsScores:
    """Write the summary and the report of a folder with a run per seed."""
    from penlight.reports import ComparedBaseline, seeds_report
    from penlight.reports.gather import content_of_run

    scores = seeds_scores(runs, "test")
    contents = [content_of_run(run, view) for run in runs]
    rivals = [ComparedBaseline(rival, rows) for rival, rows in scores.baselines.items()]
    page = seeds_report(folder.name, contents, scores.metrics, rivals, scores.subgroups)
    summary = sealed({"schema": 1, "recipe_hash": runs[0].recipe.hash, **scores.to_dict()})
    files = {"report.html": page.encode(), SUMMARY: json_text(summary).encode()}
    write_group(folder, "seeds", files, {run.path.name: run for run in runs})
    return scores
