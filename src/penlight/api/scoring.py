"""Scores from predictions on disk, Penlight's own or anybody's."""

import csv
import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penlight import disk
from penlight.api.paths import PathLike, name_of, path_of, path_or_none
from penlight.data import ViewedDataset, apply_view, store
from penlight.data.accesses import TEST, TestAccessLog
from penlight.data.own.tables import LARGEST_TABLE, MOST_COLUMNS
from penlight.data.record import record_of
from penlight.errors import PredictionsError
from penlight.escaping import label_list
from penlight.evaluation import Decision
from penlight.evaluation.checks import Evidence, run_checks
from penlight.numbers import counted
from penlight.recipes import Decide
from penlight.runs import Predictions, answer, open_run
from penlight.runs.evidence import seen
from penlight.runs.groups import kind_of, open_group
from penlight.runs.scores import FoldsScores, Scores, SeedsScores
from penlight.runs.scoring import decide_on, evaluate_run, folds_scores, open_folds, scores_of, seeds_scores
from penlight.tasks import Task

OF_OWN_TRAINING = ("PL008",)
"""Checks that say something of a model that was trained on the train split of the dataset."""

_SHOWN = 12
_SUM_TOLERANCE = 0.01
"""How far from 1 exclusive probabilities may sum, by rounding to few decimals."""


def evaluate(run: PathLike, split: str = "test") -> Scores | SeedsScores | FoldsScores:
    """Score a run again, or the runs of several seeds or folds, from the predictions on disk.

    `split` is "test" or "val"; a cross-validation is scored on the images of all folds. RunError for what is no run.

    Examples
    --------
    >>> scores = pl.evaluate("runs/retina", "val")
    >>> scores.frame().loc["auc", ["value", "low", "high"]]
    value    ...
    """
    path = path_of(run, "run folder")
    kind = kind_of(path)
    if kind == "folds":
        return replace(folds_scores(open_folds(path)), sealed=open_group(path).is_sealed)
    if kind == "seeds":
        group = open_group(path)
        return replace(seeds_scores(group.runs(), split), sealed=group.is_sealed)
    return evaluate_run(open_run(path), split)


def score(
    file: PathLike,
    dataset: PathLike,
    *,
    view: str = "native",
    size: int = 28,
    split: str | None = None,
    val: PathLike | None = None,
    decide: Decide | None = None,
) -> Scores:
    """Score a file in the official result format, `index,p0,p1,...` without a header, made by anybody.

    The split is taken from an official file name, else it is "test". Calibration and thresholds are found as `decide`
    says on `val`, a file of the same model's probabilities of val; without it, `unavailable` says what is not there.
    PredictionsError says what does not fit.

    Examples
    --------
    >>> scores = pl.score("test.csv", "retina-phantom", val="val.csv")
    >>> scores.split
    'test'
    """
    file, val, dataset = path_of(file, "CSV file"), path_or_none(val, "CSV file for val"), name_of(dataset)
    split = split or next((name for name in ("train", "val", "test") if f"_{name}_" in file.name), "test")
    how, viewed = decide or Decide(), apply_view(store.open_dataset(dataset, size), view)
    viewed = replace(viewed, task=viewed.task.with_head(head="auto", rule=how.rule))
    predictions = _read_official(file, viewed, dataset, split)
    before = _read_elsewhere(predictions, viewed, "score")
    of_val = None if val is None else _read_official(val, viewed, dataset, "val")
    decision = Decision(found_on="none") if of_val is None else decide_on(of_val, viewed, how)
    answers = answer(predictions, decision)
    judged = None if of_val is None else answer(of_val, decision)
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
    )
    unavailable = [*(_without_val(viewed.task) if of_val is None else ()), *scores.unavailable]
    # What stands in train and test matters for a model of this train, which another's need not be.
    checks = [check for check in run_checks(evidence) if check.code not in OF_OWN_TRAINING]
    return replace(scores, checks=checks, unavailable=unavailable)


def _without_val(task: Task) -> tuple[str, ...]:
    """Say what only predictions of val can give."""
    found = [f"{what}: no predictions of val were given" for what in ("calibration", "prediction sets")]
    if task.uses_thresholds:
        found.append("thresholds other than 0.5: no predictions of val were given")
    if task.cut_points:
        found.append("cut points other than halfway between the grades: no predictions of val were given")
    if task.questions:
        found.append("operating points chosen on val: no predictions of val were given")
    return tuple(found)


def official_predictions(file: Path, dataset: str, *, view: str, size: int, split: str) -> Predictions:
    """Read a file in the official result format as predictions of a split of a dataset."""
    viewed = apply_view(store.open_dataset(dataset, size), view)
    predictions = _read_official(file, viewed, dataset, split)
    _read_elsewhere(predictions, viewed, "compare")
    return predictions


def _read_elsewhere(predictions: Predictions, view: ViewedDataset, by: str) -> int | None:
    """Record that predictions made elsewhere are scored on test, and give how many others had been before."""
    if predictions.split != TEST:
        return None
    name = hashlib.sha256(predictions.prob.tobytes()).hexdigest()[:16]
    return TestAccessLog(view.dataset, by).add(view.view, name)


def _read_official(file: Path, view: ViewedDataset, dataset: str, split: str) -> Predictions:
    part = view.splits[split]
    n, labels = len(part), view.task.labels
    table = _numbers(file, n)
    if len(table) != n:
        raise PredictionsError(
            f"{file} has {counted(len(table), 'row')}; {split} of {dataset} has {counted(n, 'image')} in this view."
        )
    order = np.argsort(table[:, 0], kind="stable")
    if not np.array_equal(table[order, 0], np.arange(n)):
        raise PredictionsError(f"The first column of {file} must hold each index from 0 to {n - 1} once.")
    prob = table[order, 1:]
    if len(labels) == 2 and view.task.exclusive and prob.shape[1] in (1, 2):
        # Of two classes the official evaluator reads the last column alone.
        prob = np.stack([1 - prob[:, -1], prob[:, -1]], axis=1)
    if prob.shape[1] != len(labels):
        raise PredictionsError(
            f"{file} has {prob.shape[1]} probabilities a row; {dataset} has {len(labels)}: {label_list(labels)}."
        )
    _require_sums(file, table[order, 1:], view.task)
    return Predictions(
        index=part.index,
        y_true=part.y_true,
        prob=prob,
        logits=view.task.logits(prob),
        task=view.task,
        dataset=view.dataset.info.name,
        view=view.view,
        split=split,
        data_hash=view.dataset.md5,
        groups=part.groups,
        metadata=part.metadata,
        images_per_patient=view.dataset.info.images_per_patient,
    )


def _require_sums(file: Path, given: Any, task: Task) -> None:
    """Refuse rows of an exclusive task that do not sum to 1; one column alone is of the second class."""
    if not task.exclusive or given.shape[1] < 2:
        return
    # What is no probability at all is refused with all predictions.
    inside = ((given >= 0) & (given <= 1)).all(axis=1)
    off = np.where(inside, np.abs(given.sum(axis=1) - 1), 0)
    worst = int(np.argmax(off))
    if off[worst] <= _SUM_TOLERANCE:
        return
    row = ", ".join(f"{p:g}" for p in given[worst, :_SHOWN]) + (", ..." if given.shape[1] > _SHOWN else "")
    n = int((off > _SUM_TOLERANCE).sum())
    raise PredictionsError(
        f"The probabilities of an image must sum to 1; those of {counted(n, 'row')} of {file} do not, "
        f"the worst that of index {worst}: {row} sum to {given[worst].sum():g}.",
        "Give probabilities of the classes, such as a softmax of logits.",
    )


def _numbers(file: Path, rows: int) -> Any:
    """Read the numbers of a CSV file without a header, of which `rows` rows are expected."""
    remedy = "The format is index,p0,p1,... without a header."
    if file.suffix.lower() in (".npy", ".npz"):
        raise PredictionsError(
            f"{file} is a NumPy file; a CSV file with rows index,p0,p1,... was expected.",
            "Write one with numpy.savetxt: the index of each image, then its probabilities, separated by commas.",
        )
    try:
        text = disk.read_named(file, LARGEST_TABLE).decode("utf-8-sig")
    except OSError as error:
        raise PredictionsError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise PredictionsError(
            f"{file} is not a text file; a CSV file with rows index,p0,p1,... was expected.", "Check the path."
        ) from error
    found: list[list[float]] = []
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), start=1):
            if number > rows or len(row) > MOST_COLUMNS:
                count = f"{len(row):,} columns" if number <= rows else f"more than {rows:,} rows"
                raise PredictionsError(f"{file} has {count}; {rows:,} rows of a few columns are expected.", remedy)
            found.append([float(cell) for cell in row])
    except csv.Error as error:
        raise PredictionsError(f"{file} cannot be read: {error}.", remedy) from error
    except ValueError as error:
        raise PredictionsError(f"Line {number} of {file} is not numbers: {str(error)[:200]}.", remedy) from error
    if not found or len({len(row) for row in found}) != 1 or len(found[0]) < 2:
        raise PredictionsError(f"{file} must have rows of one length: index,p0,p1,... without a header.")
    return np.array(found)
