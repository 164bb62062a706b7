"""Gather what a report shows from a run folder and its dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from penlight.data import ViewedDataset, ViewedSplit
from penlight.data.summary import DataDescription, describe
from penlight.errors import RunError
from penlight.evaluation import Decision
from penlight.recipes import differences
from penlight.reports.content import ComparedBaseline, FoldContent, RunContent, TrainingSample
from penlight.reports.verdict import kept_together
from penlight.runs import Joined, Run
from penlight.runs.cases import EXPLAINED, cases_from_bytes
from penlight.runs.evidence import checks_kept, headline_kept, novelty_rates_of
from penlight.runs.holdings import groups_unavailable, holdings_of, is_shared, keeps_images
from penlight.runs.scores import FoldsScores
from penlight.tasks import Task, label_of

_SAMPLES_PER_LABEL = 6


def content_of_run(run: Run, seen: ViewedDataset | DataDescription, images: bool | None = None) -> RunContent:
    """Read a run and take the pictures from its dataset. RunError if the dataset is not the one it was trained on.

    Without `images` no picture is taken; with None, as the run itself keeps images or not. Where the dataset is not
    at hand, its description does for all but the pictures.
    """
    run = run.read_once()
    answers, recipe, scores = run.answers("test"), run.recipe, run.metrics
    test, decision, kept = answers.predictions, answers.decision, run.data
    description = description_of(seen)
    if test.data_hash != description.md5 or test.view != description.view:
        raise RunError(f"{run.path} was made from another file of {test.dataset} than the one that is here.")
    images = keeps_images(run) if images is None else images
    pictured = seen if images and isinstance(seen, ViewedDataset) else None
    return RunContent(
        name=run.name,
        title=description.info.title,
        dataset=description.info,
        size=description.size,
        view=description.view,
        task=test.task,
        test=test,
        decided=answers.decided,
        thresholds=_thresholds(decision, test.task),
        rows=scores.metrics,
        rivals=[ComparedBaseline(name, rows) for name, rows in scores.baselines.items()],
        history=_history(run, test.task.headline),
        best_epoch=run.provenance["best_epoch"],
        data=description,
        images=None if pictured is None else pictured.splits["test"].images,
        samples={} if pictured is None else _samples(pictured.splits["train"], test.task),
        without_images="" if pictured is not None else _why_without_images(run),
        recipe=recipe.model_dump(mode="json"),
        recipe_differences=differences(recipe),
        recipe_toml=recipe.to_toml(),
        provenance=_provenance(run),
        checks=checks_kept(run),
        cases=cases_from_bytes(run.read(EXPLAINED), str(run.path / EXPLAINED)) if run.has(EXPLAINED) else None,
        decision_notes=decision.notes,
        plan=run.reasons,
        patients=None if kept is None else kept.patients,
        before=answers.before,
        calibration_notes=decision.calibration.notes,
        points=scores.points,
        conformal=decision.conformal,
        novelty=run.novelty,
        novelty_rates=novelty_rates_of(run),
        robustness=run.robustness,
        subgroups=scores.subgroups,
        decision=decision,
        no_subgroups=groups_unavailable(run, test.metadata),
        holds=holdings_of(run).sentences(),
        ahead=scores.ahead,
    )


def description_of(seen: ViewedDataset | DataDescription) -> DataDescription:
    """Describe a dataset in a view, unless that was done."""
    return seen if isinstance(seen, DataDescription) else describe(seen)


def _why_without_images(run: Run) -> str:
    if is_shared(run):
        return "This is a copy to be shared: images were left out."
    return (
        "Images were left out. Where the dataset is at hand, this writes a page with them: "
        f"penlight report {run.name} --with-images --out FILE.html"
    )


def _thresholds(decision: Decision, task: Task) -> NDArray[np.float64] | None:
    """The thresholds of labels; cut points are none."""
    return np.array(decision.thresholds) if task.uses_thresholds and decision.thresholds is not None else None


def content_of_folds(
    name: str,
    runs: Sequence[Run],
    joined: Joined,
    scores: FoldsScores,
    whole: DataDescription,
    patients: Mapping[str, int] | None,
    first: ViewedDataset | DataDescription,
    images: bool | None = None,
) -> RunContent:
    """Gather what the report of a cross-validation shows: `joined` are the answers of all folds, `whole` and
    `patients` are of what was divided, as `describe_folds` gives them, `first` is its first fold; `images` as in
    `content_of_run`."""
    headline = joined.predictions.task.headline
    return replace(
        content_of_run(runs[0], first, images),
        name=name,
        test=replace(joined.predictions, prob=joined.sample.prob),
        decided=joined.sample.decided,
        thresholds=None,
        rows=scores.metrics,
        rivals=[ComparedBaseline(rival, rows) for rival, rows in scores.baselines.items()],
        history=None,
        best_epoch=None,
        data=whole,
        provenance=_provenance_of_folds(runs, whole.md5),
        checks=scores.checks,
        decision_notes=(),
        patients=patients,
        before=joined.predictions,
        calibration_notes=(),
        points=(),
        conformal=None,
        decision=None,
        novelty=None,
        subgroups=scores.subgroups,
        unanswered=scores.unanswered,
        ahead=scores.ahead,
        ranking=replace(joined.predictions, prob=_places(joined)),
        folds=[
            FoldContent(number, run.path.name, headline_kept(run), _history(run, headline))
            for number, run in enumerate(runs, start=1)
        ],
    )


def describe_folds(view: ViewedDataset) -> tuple[DataDescription, dict[str, int] | None]:
    """Describe train and val of what a cross-validation divides, and count their patients; None if not known."""
    used = {split: view.splits[split] for split in ("train", "val")}
    left_out = {split: view.left_out[split] for split in used if split in view.left_out}
    known = {name: split.patients for name, split in used.items() if split.patients is not None}
    patients = {name: len(np.unique(own)) for name, own in known.items()} if len(known) == len(used) else None
    return describe(replace(view, splits=used, left_out=left_out)), patients


def _places(joined: Joined) -> NDArray[np.float64]:
    """(N, C) places of the images among those of their fold, from 0 to 1, by the probability of each label.

    Folds are answered by models whose probabilities are not on one scale.
    """
    from scipy.stats import rankdata

    sample = joined.sample
    out = sample.prob.copy()
    if sample.fold is not None:
        for own in (sample.fold == number for number in np.unique(sample.fold)):
            out[own] = (rankdata(sample.prob[own], axis=0) - 0.5) / own.sum()
    return out


def _provenance_of_folds(runs: Sequence[Run], md5: str) -> dict[str, Any]:
    """Say how all folds were made: the durations are their sums."""
    made = kept_together([_provenance(run) for run in runs], runs[0].recipe.model.backbone, "folds")
    spent = [run.provenance["durations"] for run in runs]
    durations = {what: round(sum(own[what] for own in spent), 3) for what in spent[0]}
    return {**made, "durations": durations, "hashes": {**made["hashes"], "data (MD5)": md5}}


def _history(run: Run, headline: str) -> pd.DataFrame | None:
    history = run.history
    return None if history is None else history.rename(
        columns={"headline": headline, "val_headline": f"val_{headline}"}
    )  # fmt: skip


def _samples(split: ViewedSplit, task: Task) -> dict[str, list[TrainingSample]]:
    """A few images of each label, spread evenly over the split, so that they are the same every time."""
    out = {}
    for column, label in enumerate(task.labels):
        having = np.flatnonzero(split.y_true[:, column])
        chosen = having[np.linspace(0, len(having) - 1, min(_SAMPLES_PER_LABEL, len(having))).astype(int)]
        out[label] = [TrainingSample(split.images[split.index[i]], label_of(task, split.y_true[i])) for i in chosen]
    return out


def _provenance(run: Run) -> dict[str, Any]:
    made = run.provenance
    hashes = {"recipe": made["recipe_hash"], "data (MD5)": made["data_md5"]}
    # Where a copy to be shared was made is nobody's business.
    command = run.command.replace(str(run.path), run.name) if is_shared(run) else run.shared_command
    return {**made, "hashes": hashes, "command": command}
