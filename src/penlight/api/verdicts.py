"""A sentence on what scores are worth, as the report of a run begins with."""

import contextlib
from pathlib import Path

from penlight.data.catalog import info_of_reference
from penlight.errors import DataError, UnknownNameError
from penlight.evaluation.standing import model_words
from penlight.reports.verdict import final_words, instead_words, kept_together, scores_verdict
from penlight.runs import open_run
from penlight.runs.groups import open_group
from penlight.runs.scores import FoldsScores, Scores, SeedsScores


def verdict_of(path: Path, scores: Scores | SeedsScores | FoldsScores) -> str:
    """Say how good the run, or the seeds or folds, of a folder are by their scores, how sure that is, and how they
    stand against the baselines."""
    # Scores of one run are, of a folder of several, of the model that became of them.
    runs = [open_run(path)] if isinstance(scores, Scores) else open_group(path).runs()
    recipe, modality = runs[0].recipe, ""
    # Its description may no longer be where it was.
    with contextlib.suppress(DataError, UnknownNameError):
        modality = info_of_reference(recipe.data.dataset).modality
    together = kept_together(
        [run.provenance for run in runs],
        recipe.model.backbone,
        "folds" if isinstance(scores, FoldsScores) else "seeds",
    )
    name = runs[0].made_elsewhere or model_words(together["model"])
    return scores_verdict(
        scores,
        together["model"],
        words=name + instead_words(together) + final_words(together),
        modality=modality,
        noun=runs[0].model_predictions("test").task.nouns[1],
    )
