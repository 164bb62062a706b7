"""Scores of runs, from their predictions on disk."""

from dataclasses import replace

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, path_of
from penlight.errors import UnknownNameError
from penlight.runs import open_run
from penlight.runs.groups import RunGroup, kind_of, open_group
from penlight.runs.scores import FoldsScores, Scores, SeedsScores
from penlight.runs.scoring import evaluate_run, folds_scores, open_folds, seeds_scores


@checked
def evaluate(run: PathLike, split: str = "test") -> Scores | SeedsScores | FoldsScores:
    """Score a run again, or the runs of several seeds or folds, from the predictions on disk.

    `split` is "test" or "val"; a cross-validation is scored on the images of all folds, and the model that it became,
    if it did, on test. RunError for what is no run.

    Examples
    --------
    >>> scores = pl.evaluate("runs/retina", "val")
    >>> scores.frame().loc["auc", ["value", "low", "high"]]
    value    ...
    """
    path = path_of(run, "run folder")
    kind = kind_of(path)
    if kind == "folds":
        group = open_group(path)
        return replace(folds_scores(open_folds(path)), sealed=group.is_sealed, final=_final(group, "test"))
    if kind == "seeds":
        group = open_group(path)
        return replace(seeds_scores(group.runs(), split), sealed=group.is_sealed, final=_final(group, split))
    opened = open_run(path)
    if split not in opened.splits:
        raise UnknownNameError("split with predictions", split, opened.splits)
    return evaluate_run(opened, split)


def _final(group: RunGroup, split: str) -> Scores | None:
    final = group.final
    return None if final is None else evaluate_run(final, split)
