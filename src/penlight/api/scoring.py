"""Scores of predictions that other software made, and runs made of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, name_of, path_of
from penlight.api.progress import TrainingView, shows
from penlight.data import ViewedDataset, apply_view, store
from penlight.data.accesses import TEST, TestAccessLog
from penlight.data.catalog import reference_of
from penlight.data.record import record_of
from penlight.errors import PredictionsError, RunError
from penlight.escaping import shown
from penlight.evaluation import Decision
from penlight.evaluation.checks import Evidence, run_checks
from penlight.experiments.progress import ProgressListener
from penlight.recipes import BASELINE_MODELS, Decide
from penlight.recipes.recipe import MODEL_NAME, decide_from
from penlight.runs import Predictions, answer
from penlight.runs.dataset import files_of
from penlight.runs.evidence import seen
from penlight.runs.given import PredictionsLike, predictions_of, read_given, short_hash
from penlight.runs.scores import Scores
from penlight.runs.scoring import decide_on, scores_of

if TYPE_CHECKING:
    import pandas as pd

    from penlight.api.run import Run

_NATIVE, _VAL = "native", "val"


@overload
def score(
    predictions: PredictionsLike,
    dataset: str | Path | None = ...,
    *,
    truth: "str | Path | pd.DataFrame | None" = ...,
    val: PredictionsLike | None = ...,
    split: str | None = ...,
    view: str | None = ...,
    size: int | None = ...,
    task: str | None = ...,
    uncertain: str | None = ...,
    blank: str | None = ...,
    decide: Decide | Mapping[str, Any] | None = ...,
    out: None = ...,
    name: str | None = ...,
    images: bool = ...,
    listener: ProgressListener | None = ...,
) -> Scores: ...


@overload
def score(
    predictions: PredictionsLike,
    dataset: str | Path | None = ...,
    *,
    truth: "str | Path | pd.DataFrame | None" = ...,
    val: PredictionsLike | None = ...,
    split: str | None = ...,
    view: str | None = ...,
    size: int | None = ...,
    task: str | None = ...,
    uncertain: str | None = ...,
    blank: str | None = ...,
    decide: Decide | Mapping[str, Any] | None = ...,
    out: PathLike,
    name: str | None = ...,
    images: bool = ...,
    listener: ProgressListener | None = ...,
) -> "Run": ...


@checked
@shows(TrainingView)
def score(
    predictions: PredictionsLike,
    dataset: str | Path | None = None,
    *,
    truth: "str | Path | pd.DataFrame | None" = None,
    val: PredictionsLike | None = None,
    split: str | None = None,
    view: str | None = None,
    size: int | None = None,
    task: str | None = None,
    uncertain: str | None = None,
    blank: str | None = None,
    decide: Decide | Mapping[str, Any] | None = None,
    out: PathLike | None = None,
    name: str | None = None,
    images: bool = True,
    listener: ProgressListener | None = None,
) -> "Scores | Run":
    """Score probabilities that any software computed for the images of a split, and with `out` make a run of them.

    `predictions` are an array (N, C) in the order of the split and of the labels, a data frame or a CSV file with a
    column for each label after one that names the images, or a file in the official format, `index,p0,p1,...` without
    a header. They are about a `dataset` that Penlight opens, through `view` at `size`, or about the images of
    `truth`: a labels file, CSV or Parquet, or a data frame, with a column that names the images, a column `label` or
    columns of 0 and 1, and where they are known the patient and the split; `task` says what its labels mean where
    their names do not. `uncertain` says what -1 says of a finding there ("positive", "negative" or "unknown"), and
    `blank` what an empty cell does ("negative" or "unknown"); what is unknown enters no score.

    `val` are the same model's probabilities of val: calibration and thresholds are found on them as `decide` says,
    such as {"thresholds": "f1"}; without them `unavailable` says what is not there. The split is taken from an
    official file name, else it is "test".

    `out` is the folder of a run to make, with report, card, baselines and checks, which opens, compares and is shared
    as others do; it has no model. `name` is what the model is called there, by default as the file. Without `images`
    no image of the dataset is kept in it. PredictionsError and DataError say what does not fit.

    Examples
    --------
    >>> scores = pl.score("test.csv", "retina-phantom", val="val.csv")
    >>> scores.split
    'test'
    >>> images, truth = pl.load("retina-phantom", "test")
    >>> run = pl.score([[0.6, 0.1, 0.1, 0.1, 0.1]] * len(truth), "retina-phantom", out="runs/constant")
    """
    given_split, how = split, decide_from(decide)
    if out is not None and (given_split or TEST) != TEST:
        raise PredictionsError("A run is of predictions of test.", "Give those of val with --val.")
    model = _model_name(predictions, name)
    split = given_split or (TEST if out is not None else _split_of(predictions))
    of_truth = {"uncertain": uncertain, "blank": blank}
    given = _given(predictions, val, dataset, truth, split, view, size, task, how, of_truth)
    if out is None:
        return _scores(given, how)
    from penlight.api.run import Run
    from penlight.experiments.scored import ScoredSpec, score_run

    spec = ScoredSpec(
        given.reference, given.view, model, given.predictions, given.val, how, path_of(out, "folder for out"), images
    )
    return Run.of(score_run(spec, listener or ProgressListener()).run)


def official_predictions(file: Path, dataset: str, *, view: str, size: int | None, split: str) -> Predictions:
    """Read a file of probabilities as predictions of a split of a dataset."""
    viewed = apply_view(store.open_dataset(dataset, size), view)
    predictions = _read(file, viewed, split, dataset)
    if split == TEST:
        TestAccessLog(viewed.dataset, "compare").add(viewed.view, short_hash(predictions))
    return predictions


@dataclass(frozen=True)
class _Given:
    """What is scored: predictions, those of val where they were given, the view that they are of, and what a recipe
    calls its dataset."""

    reference: str
    view: ViewedDataset
    predictions: Predictions
    val: Predictions | None


def _given(
    predictions: PredictionsLike,
    val: PredictionsLike | None,
    dataset: str | Path | None,
    truth: "str | Path | pd.DataFrame | None",
    split: str,
    view: str | None,
    size: int | None,
    task: str | None,
    how: Decide,
    of_truth: Mapping[str, str | None],
) -> _Given:
    """Read predictions of a split, and of val, as those of a dataset or of a labels file."""
    if (dataset is None) == (truth is None):
        raise PredictionsError(
            "Predictions are scored against a dataset or a labels file; give one of them.",
            "Give --dataset NAME, or --truth FILE.",
        )
    sources = {split: predictions} | ({} if val is None else {_VAL: val})
    if val is not None and split == _VAL:
        raise PredictionsError("Predictions of val are scored, and others of val given too.", "Leave --val out.")
    if dataset is not None:
        if task is not None:
            raise PredictionsError("The dataset says what its labels mean.", "Leave --task out; it is for --truth.")
        if said := [f"--{option}" for option, value in of_truth.items() if value is not None]:
            raise PredictionsError(
                "The dataset says which of its labels are known.", f"Leave {said[0]} out; it is for --truth."
            )
        viewed = apply_view(store.open_dataset(dataset, size), view or _NATIVE)
        viewed = replace(viewed, task=viewed.task.with_head(head="auto", rule=how.rule))
        name = name_of(dataset)
        read = {own: _read(source, viewed, own, name) for own, source in sources.items()}
        return _Given(reference_of(name), viewed, read[split], read.get(_VAL))
    if view is not None or size is not None:
        raise PredictionsError("A labels file has no views and no images.", "Leave --view and --size out.")
    from penlight.data.own.truth import read_truth

    assert truth is not None
    table = read_truth(truth, task, **of_truth)
    names = {row.path for row in table.rows}
    given = {own: read_given(source, own, table.labels).known_as(names) for own, source in sources.items()}
    rows = table.divided({own: each.ids for own, each in given.items()})
    labels = given[split].labels
    meant = table.task(labels, task).with_head(head="auto", rule=how.rule)
    viewed = table.dataset(meant, rows)
    read = {own: predictions_of(each, viewed, own, [row.path for row in rows[own]]) for own, each in given.items()}
    return _Given(viewed.dataset.info.name, viewed, read[split], read.get(_VAL))


def _read(source: PredictionsLike, viewed: ViewedDataset, split: str, dataset: str) -> Predictions:
    """Read predictions of a split of a dataset, whose images have row numbers, and pictures their paths too."""
    part, names = viewed.splits[split], None
    given = read_given(source, split, viewed.task.labels, len(part))
    if given.ids is not None and not given.has_row_numbers:
        paths = files_of(reference_of(dataset), viewed.dataset.size, split, viewed.dataset.md5)
        names = None if paths is None else [paths[row] for row in part.index]
    return predictions_of(given, viewed, split, names)


def _scores(given: _Given, how: Decide) -> Scores:
    """Score predictions without keeping anything of them but that test was read."""
    predictions, viewed = given.predictions, given.view
    split, before = predictions.split, None
    if split == TEST:
        before = TestAccessLog(viewed.dataset, "score").add(viewed.view, short_hash(predictions))
    decision = Decision(found_on="none") if given.val is None else decide_on(given.val, viewed, how)
    answers = answer(predictions, decision)
    judged = None if given.val is None else answer(given.val, decision)
    scores = scores_of(answers, judged, prevalence=how.prevalence)
    evidence = Evidence(
        seen(answers),
        scores.metrics,
        split,
        val=None if judged is None else seen(judged),
        decision_notes=decision.notes,
        data=record_of(viewed),
        subgroups=scores.subgroups,
        read_before=before,
        made_elsewhere=True,
    )
    return replace(scores, checks=run_checks(evidence))


def _split_of(predictions: PredictionsLike) -> str:
    """Give the split that an official file name says; test for all else."""
    name = Path(predictions).name if isinstance(predictions, str | Path) else ""
    return next((own for own in ("train", _VAL, TEST) if f"_{own}_" in name), TEST)


def _model_name(predictions: PredictionsLike, name: str | None) -> str:
    """Give the name of the model: the one given, or what a file's name says beside the split."""
    if name is None:
        stem = Path(predictions).stem if isinstance(predictions, str | Path) else ""
        # Official names end in @ and the model's.
        plain = re.sub(r"(^|[_-])(train|val|test)(?=[_-]|$)", "", stem.rpartition("@")[2])
        name = re.sub(r"[^A-Za-z0-9._+-]+", "-", plain).strip("._+-")[:100] or "predictions"
    if not re.fullmatch(MODEL_NAME, name):
        raise RunError(
            f"{shown(name)} cannot name a model.",
            "Use up to 100 letters and digits, with . _ + or - after the first.",
        )
    if name in BASELINE_MODELS:
        raise RunError(f"{name} is the name of a baseline.", "Call the model otherwise, with --name.")
    return name
