"""Scores from predictions on disk, Penlight's own or anybody's."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.api.results import FoldsScores, Scores, SeedsScores
from penlight.data import ViewedDataset, apply_view, store
from penlight.data.own.tables import LARGEST_TABLE, MOST_COLUMNS
from penlight.data.record import record_of
from penlight.data.tested import TEST, TestAccessLog
from penlight.errors import PredictionsError, RunError
from penlight.escaping import label_list
from penlight.evaluation import Decision, FoldsRow, MetricRow, Sample, find_decision, score_seeds
from penlight.evaluation import score as score_rows
from penlight.evaluation.checks import Evidence, SplitAnswers, check_folds, check_seeds, run_checks, serious_first
from penlight.evaluation.intervals import Groups, units_of
from penlight.evaluation.operating import operating_points
from penlight.evaluation.scores import values_of
from penlight.evaluation.subgroups import Subgroup, score_subgroups, subgroup_from_dict, unavailable_subgroups
from penlight.numbers import counted
from penlight.recipes import BASELINE_MODELS, Decide
from penlight.runs import FOLDS_SPLIT, Answers, Joined, Predictions, Run, answer, join_folds, open_run
from penlight.runs.evidence import checks_kept, evidence_of_run, headline_kept, seen
from penlight.runs.groups import kind_of, open_group
from penlight.runs.holdings import groups_unavailable, is_shared
from penlight.tasks import Task

OF_OWN_TRAINING = ("PL008",)
"""Checks that say something of a model that was trained on the train split of the dataset."""

_SHOWN = 12
_SUM_TOLERANCE = 0.01
"""How far from 1 exclusive probabilities may sum, by rounding to few decimals."""

_CALIBRATED = ("log_loss", "brier", "ece", "ece_adaptive")


def evaluate(path: Path, split: str = "test") -> Scores | SeedsScores | FoldsScores:
    """Score a run again, or the runs of several seeds or folds, from the predictions on disk.

    A cross-validation is scored on the images of all folds, whichever split is asked for.
    """
    kind = kind_of(path)
    if kind == "folds":
        return replace(folds_scores(path), sealed=open_group(path).is_sealed)
    if kind == "seeds":
        group = open_group(path)
        return replace(seeds_scores(group.runs(), split), sealed=group.is_sealed)
    return evaluate_run(open_run(path), split)


def evaluate_run(run: Run, split: str = "test") -> Scores:
    """Score one run from its predictions and its decision; its checks are about test, whichever split is scored."""
    rivals, prevalence = _baseline_rows([run], split), run.recipe.decide.prevalence
    scores = scores_of(run.answers(split), run.answers("val"), rivals, prevalence)
    if is_shared(run):
        kept = [subgroup_from_dict(group) for group in run.metrics["subgroups"]] if split == TEST else []
        unavailable = groups_unavailable(run, run.predictions(split).metadata)
        scores = replace(scores, subgroups=kept, unavailable=unavailable)
    if split != TEST:
        return replace(scores, checks=checks_kept(run))
    evidence = evidence_of_run(run, scores.metrics, scores.subgroups)
    return replace(scores, checks=run_checks(evidence), ahead=evidence.ahead, duplicates=evidence.duplicates)


def scores_of(
    answers: Answers,
    val: Answers | None,
    baselines: Mapping[str, Sequence[MetricRow]] | None = None,
    prevalence: float | None = None,
) -> Scores:
    """Score answers; `val` are those of val by the same decision, for other operating points."""
    p = answers.predictions
    points = operating_points(
        p.task,
        p.y_true,
        p.prob,
        answers.decided,
        thresholds=answers.decision.thresholds,
        val=None if val is None else (val.predictions.y_true, val.predictions.prob),
        prevalence=prevalence,
        groups=p.units,
    )
    was, calibrated = answers.before, not answers.decision.calibration.changes_nothing
    before = values_of(p.task, p.y_true, was.prob, answers.decided, _CALIBRATED) if calibrated else {}
    subgroups = score_subgroups([answers.sample], p.metadata, groups=p.units)
    unavailable = unavailable_subgroups(p.metadata)
    return Scores(p.split, rows_of(answers), baselines or {}, points, before, unavailable, subgroups=subgroups)


def rows_of(answers: Answers) -> list[MetricRow]:
    """Every metric of answers, with intervals."""
    p = answers.predictions
    return score_rows(p.task, p.y_true, p.prob, answers.decided, answers.sets, groups=p.units)


def score(
    file: Path,
    dataset: str,
    *,
    view: str = "native",
    size: int = 28,
    split: str | None = None,
    val: Path | None = None,
    decide: Decide | None = None,
) -> Scores:
    """Score a file in the official result format, `index,p0,p1,...` without a header, made by anybody.

    The split is taken from an official file name, else it is "test". Calibration and thresholds are found as `decide`
    says on `val`, a file of the same model's probabilities of val; without it, `unavailable` says what is not there.
    PredictionsError says what does not fit.
    """
    split = split or _split_of_name(file.name)
    how, viewed = decide or Decide(), apply_view(store.open_dataset(dataset, size), view)
    viewed = replace(viewed, task=viewed.task.reading(head="auto", rule=how.rule))
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


def decide_on(
    val: Predictions,
    view: ViewedDataset,
    how: Decide,
    out_of_fold: NDArray[np.float64] | None = None,
    *,
    epoch_chosen: bool = False,
) -> Decision:
    """Find calibration, thresholds and cut points on predictions of val, as the model gave them, and on those of
    train that `out_of_fold`, (N_train, C), has where it is not NaN: each by a model that did not see the image.
    `epoch_chosen` says that val also chose the epoch."""
    y_train, held_out, patients = view.splits["train"].y_true, None, view.splits["train"].groups
    each = view.dataset.info.images_per_patient
    if out_of_fold is not None:
        known = np.isfinite(out_of_fold).all(axis=1)
        held_out = y_train[known], out_of_fold[known]
        patients = None if patients is None else patients[known]
    return find_decision(
        val.task,
        val.y_true,
        val.prob,
        y_train.mean(axis=0),
        rule=how.thresholds,
        wanted=how.wanted,
        calibration=how.calibration,
        coverage=how.coverage,
        out_of_fold=held_out,
        groups=val.units,
        train_groups=units_of(patients, each),
        epoch_chosen=epoch_chosen,
    )


def _without_val(task: Task) -> tuple[str, ...]:
    """Say what only predictions of val can give."""
    found = [f"{what}: no predictions of val were given" for what in ("calibration", "sets of answers")]
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


def _baseline_rows(runs: Sequence[Run], split: str) -> dict[str, list[MetricRow]]:
    """Score the baselines of a run, or of the seeds of a recipe: a seed that kept one has no other of that name."""
    found = {name: next((run for run in runs if name in run.baselines), None) for name in BASELINE_MODELS}
    return {name: rows_of(run.baseline_answers(name, split)) for name, run in found.items() if run is not None}


def seeds_scores(runs: Sequence[Run], split: str) -> SeedsScores:
    """Score the runs of several seeds together. RunError if they are not of one recipe, view and dataset."""
    answers = answers_of_seeds(runs, split)
    first = answers[0].predictions
    probs, decided = [own.predictions.prob for own in answers], [own.decided for own in answers]
    sets = [own.sets for own in answers]
    rows = score_seeds(first.task, first.y_true, probs, decided, sets, groups=first.units)
    checks = check_seeds({run.seed: checks_kept(run) for run in runs}, [headline_kept(run) for run in runs])
    if is_shared(runs[0]):
        subgroups = _kept_subgroups(runs[0].path.parent) if split == TEST else []
    else:
        subgroups = score_subgroups([own.sample for own in answers], first.metadata, groups=first.units)
    seeds = [run.seed for run in runs]
    return SeedsScores(split, seeds, rows, _baseline_rows(runs, split), checks, subgroups)


def answers_of_seeds(runs: Sequence[Run], split: str) -> list[Answers]:
    """Read the answers of several seeds. RunError if they are not of one recipe, view and dataset."""
    answers = [run.answers(split) for run in runs]
    predictions = [own.predictions for own in answers]
    first = predictions[0]
    for run, other in zip(runs, predictions, strict=True):
        if (other.data_hash, other.view, other.recipe_hash) != (first.data_hash, first.view, first.recipe_hash):
            raise RunError(f"{run.path} is a run of another recipe, view or dataset than the seeds beside it.")
    return answers


def folds_scores(path: Path) -> FoldsScores:
    """Score a cross-validation from the runs of its folds. RunError if one is missing."""
    runs, claim = runs_of_folds(path)
    joined = joined_folds(runs, claim["data_md5"])
    rivals = {
        # A fold that kept a baseline as its model has no other of that name.
        name: join_folds(
            [run.baseline_answers(name, "test") if name in run.baselines else run.answers("test") for run in runs],
            claim["data_md5"],
        ).sample
        for name in BASELINE_MODELS
        if all(name in run.baselines or name == run.kept_model for run in runs)
        and any(name in run.baselines for run in runs)
    }
    groups = joined.predictions.units
    rows = _folds_rows(joined.sample, runs, groups)
    shared = is_shared(runs[0])
    subgroups = (
        _kept_subgroups(path)
        if shared
        else score_subgroups([joined.sample], joined.predictions.metadata, groups=groups)
    )
    evidence = Evidence(SplitAnswers(joined.sample, groups), rows, FOLDS_SPLIT, subgroups=subgroups, baselines=rivals)
    checks = [*run_checks(evidence), *check_folds({run.path.name: checks_kept(run) for run in runs})]
    left = claim["images"] - len(joined.predictions)
    never = f"answers to {left:,} images, on which every fold is trained: nobody else has one of their labels"
    return FoldsScores(
        FOLDS_SPLIT,
        list(range(1, len(runs) + 1)),
        rows,
        [headline_kept(run) for run in runs],
        {name: _sample_rows(rival, groups) for name, rival in rivals.items()},
        serious_first(checks),
        subgroups,
        groups_unavailable(runs[0], joined.predictions.metadata),
        [never] if left else [],
        ahead=evidence.ahead,
    )


def _kept_subgroups(folder: Path) -> list[Subgroup]:
    """Read the scores of groups from the summary of a copy, which cannot compute them again."""
    return [subgroup_from_dict(group) for group in open_group(folder).record.get("subgroups", ())]


def runs_of_folds(path: Path) -> tuple[list[Run], dict[str, Any]]:
    """Open the runs of a cross-validation. RunError if one is missing or not complete, or is not of it."""
    group = open_group(path)
    claim = group.claim.to_json()
    if len(group.folders) != claim["folds"]:
        raise RunError(f"{path} lacks folds of its cross-validation.", "Repeat the command that began it.")
    runs = group.runs()
    if any(run.recipe.hash != claim["recipe_hash"] for run in runs):
        raise RunError(f"{path} holds folds of another recipe.", "Repeat the training in another folder.")
    return runs, claim


def joined_folds(runs: Sequence[Run], data_md5: str) -> Joined:
    """Join the answers of each fold to the images that it was not trained on."""
    return join_folds([run.answers("test") for run in runs], data_md5)


def _folds_rows(sample: Sample, runs: Sequence[Run], groups: Groups) -> list[FoldsRow]:
    """Score all folds together, with the spread of their own values."""
    # By name and label: runs of another version may have other rows.
    own = [{(row["name"], row["label"]): row["value"] for row in run.metrics["metrics"]} for run in runs]

    def sd_of(row: MetricRow) -> float:
        values = [kept.get((row.name, row.label)) for kept in own]
        return float(np.std(np.array(values, np.float64), ddof=1))

    return [
        FoldsRow(**{f.name: getattr(row, f.name) for f in fields(row)}, sd=sd_of(row))
        for row in _sample_rows(sample, groups)
    ]


def _sample_rows(sample: Sample, groups: Groups) -> list[MetricRow]:
    s = sample
    return score_rows(s.task, s.y, s.prob, s.decided, s.sets, groups=groups, fold=s.fold)


def _split_of_name(name: str) -> str:
    return next((split for split in ("train", "val", "test") if f"_{split}_" in name), "test")


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
    prob = _official_columns(table[order, 1:], view.task)
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


def _official_columns(prob: Any, task: Task) -> Any:
    """Of two classes the official evaluator reads the last column alone."""
    if len(task.labels) == 2 and task.exclusive and prob.shape[1] in (1, 2):
        return np.stack([1 - prob[:, -1], prob[:, -1]], axis=1)
    return prob


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
            found.append(_floats(file, number, row))
    except csv.Error as error:
        raise PredictionsError(f"{file} cannot be read: {error}.", remedy) from error
    if not found or len({len(row) for row in found}) != 1 or len(found[0]) < 2:
        raise PredictionsError(f"{file} must have rows of one length: index,p0,p1,... without a header.")
    return np.array(found)


def _floats(file: Path, number: int, row: Sequence[str]) -> list[float]:
    try:
        return [float(cell) for cell in row]
    except ValueError as error:
        raise PredictionsError(
            f"Line {number} of {file} is not numbers: {str(error)[:200]}.",
            "The format is index,p0,p1,... without a header.",
        ) from error
