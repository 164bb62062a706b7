"""Score runs from their predictions: one, several seeds, several folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset
from penlight.data.accesses import TEST
from penlight.errors import RunError
from penlight.evaluation import Decision, Sample, Score, find_decision, score_seeds
from penlight.evaluation import score as score_rows
from penlight.evaluation.checks import Evidence, SplitAnswers, check_folds, check_seeds, run_checks, serious_first
from penlight.evaluation.intervals import Groups, units_of
from penlight.evaluation.operating import operating_points
from penlight.evaluation.scores import values_of
from penlight.evaluation.subgroups import Subgroup, score_subgroups, unavailable_subgroups
from penlight.recipes import BASELINE_MODELS, Decide
from penlight.records.groups import FoldsRecord
from penlight.runs import FOLDS_SPLIT, Answers, Joined, Predictions, RunFolder, join_folds
from penlight.runs.evidence import checks_kept, evidence_of_run, headline_kept
from penlight.runs.groups import open_group
from penlight.runs.holdings import groups_unavailable, is_shared
from penlight.runs.scores import FoldScore, FoldsScores, Scores, SeedsScores
from penlight.tasks.base import select_known, shares

_CALIBRATED = ("log_loss", "brier", "ece", "ece_adaptive")


def evaluate_run(run: RunFolder, split: str = "test") -> Scores:
    """Score one run from its predictions and its decision; its checks are about test, whichever split is scored."""
    rivals, prevalence = _baseline_rows([run], split), run.recipe.decide.prevalence
    val = run.answers("val") if "val" in run.splits else None
    scores = scores_of(run.answers(split), val, rivals, prevalence)
    if is_shared(run):
        kept = run.metrics.subgroups if split == TEST else []
        lacking = [] if val is not None else _without_val(run.answers(split))
        unavailable = [*lacking, *groups_unavailable(run, run.model_predictions(split).metadata)]
        scores = replace(scores, subgroups=kept, unavailable=unavailable)
    if not run.recipe.data.size:
        scores = without_images(scores)
    if split != TEST:
        return replace(scores, checks=checks_kept(run))
    evidence = evidence_of_run(run, scores.metrics, scores.subgroups)
    return replace(scores, checks=run_checks(evidence), ahead=evidence.ahead, duplicates=evidence.duplicates)


def without_images(scores: Scores) -> Scores:
    """Say which baselines cannot be had of labels and predictions alone."""
    lacking = ["the linear baseline: the images are not at hand"]
    if not scores.baselines:
        lacking.append("the majority-class baseline: no labels of train or val were given")
    return replace(scores, unavailable=[*scores.unavailable, *lacking])


def scores_of(
    answers: Answers,
    val: Answers | None,
    baselines: Mapping[str, Sequence[Score]] | None = None,
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
        val_groups=None if val is None else val.predictions.units,
        prevalence=prevalence,
        groups=p.units,
        known=p.known,
        val_known=None if val is None else val.predictions.known,
    )
    was, calibrated = answers.before, not answers.decision.calibration.changes_nothing
    before = values_of(p.task, p.y_true, was.prob, answers.decided, _CALIBRATED, p.known) if calibrated else {}
    subgroups = score_subgroups([answers.sample], p.metadata, groups=p.units)
    unavailable = [*([] if val is not None else _without_val(answers)), *unavailable_subgroups(p.metadata)]
    return Scores(p.split, rows_of(answers), baselines or {}, points, before, unavailable, subgroups=subgroups)


def _without_val(answers: Answers) -> list[str]:
    """Say what only predictions of val can give."""
    task, found = answers.predictions.task, ["calibration", "prediction sets"]
    if task.uses_thresholds:
        found.append("thresholds other than 0.5")
    if task.cut_points:
        found.append("cut points other than halfway between the grades")
    if task.questions:
        found.append("operating points chosen on val")
    return [f"{what}: no predictions of val were given" for what in found]


def rows_of(answers: Answers) -> list[Score]:
    """Every metric of answers, with intervals."""
    p = answers.predictions
    return score_rows(p.task, p.y_true, p.prob, answers.decided, answers.sets, groups=p.units, known=p.known)


def decide_on(
    val: Predictions,
    view: ViewedDataset,
    how: Decide,
    out_of_fold: NDArray[np.float64] | None = None,
    *,
    epoch_chosen: bool = False,
    found_on: str = "val",
) -> Decision:
    """Find calibration, thresholds and cut points on predictions of val, as the model gave them, and on those of
    train that `out_of_fold`, (N_train, C), has where it is not NaN: each by a model that did not see the image.
    `epoch_chosen` says that val also chose the epoch, and `found_on` what `val` is where it is another split."""
    # A labels file may know of no train: then val says how often each label is.
    train = view.splits.get("train", view.splits["val"])
    y_train, held_out, patients, train_known = train.y_true, None, train.groups, train.known
    each = view.dataset.info.images_per_patient
    if out_of_fold is not None:
        answered = np.isfinite(out_of_fold.sum(axis=1))
        held_out = y_train[answered], out_of_fold[answered]
        patients = None if patients is None else patients[answered]
        train_known = select_known(train_known, answered)
    return find_decision(
        val.task,
        val.y_true,
        val.prob,
        shares(y_train, train.known),
        rule=how.thresholds,
        wanted=how.wanted,
        calibration=how.calibration,
        coverage=how.coverage,
        out_of_fold=held_out,
        groups=val.units,
        train_groups=units_of(patients, each),
        epoch_chosen=epoch_chosen,
        found_on=found_on,
        known=val.known,
        train_known=train_known,
    )


def _baseline_rows(runs: Sequence[RunFolder], split: str) -> dict[str, list[Score]]:
    """Score the baselines of a run, or of the seeds of a recipe: a seed that kept one has no other of that name."""
    found = {name: next((run for run in runs if name in run.baselines), None) for name in BASELINE_MODELS}
    return {name: rows_of(run.baseline_answers(name, split)) for name, run in found.items() if run is not None}


def seeds_scores(runs: Sequence[RunFolder], split: str) -> SeedsScores:
    """Score the runs of several seeds together. RunError if they are not of one recipe, view and dataset."""
    answers = answers_of_seeds(runs, split)
    first = answers[0].predictions
    probs, decided = [own.predictions.prob for own in answers], [own.decided for own in answers]
    sets = [own.sets for own in answers]
    rows = score_seeds(first.task, first.y_true, probs, decided, sets, groups=first.units, known=first.known)
    checks = check_seeds({run.seed: checks_kept(run) for run in runs}, [headline_kept(run) for run in runs])
    if is_shared(runs[0]):
        subgroups = _kept_subgroups(runs[0].path.parent) if split == TEST else []
    else:
        subgroups = score_subgroups([own.sample for own in answers], first.metadata, groups=first.units)
    seeds = [run.seed for run in runs]
    return SeedsScores(split, seeds, rows, _baseline_rows(runs, split), checks, subgroups)


def answers_of_seeds(runs: Sequence[RunFolder], split: str) -> list[Answers]:
    """Read the answers of several seeds. RunError if they are not of one recipe, view and dataset."""
    answers = [run.answers(split) for run in runs]
    predictions = [own.predictions for own in answers]
    first = predictions[0]
    for run, other in zip(runs, predictions, strict=True):
        if (other.data_hash, other.view, other.recipe_hash) != (first.data_hash, first.view, first.recipe_hash):
            raise RunError(f"{run.path} is a run of another recipe, view or dataset than the seeds beside it.")
    return answers


@dataclass(frozen=True)
class FoldRuns:
    """The runs of a cross-validation, one for each fold, and what its folder claims to be."""

    path: Path
    runs: Sequence[RunFolder]
    claim: FoldsRecord

    @cached_property
    def joined(self) -> Joined:
        """The answers of each fold to the images that it was not trained on; of repeats those of the first."""
        return self.repeated[0]

    @cached_property
    def repeated(self) -> list[Joined]:
        """The same for each time that the images were divided."""
        return [join_folds([run.answers("test") for run in runs], self.claim.data_md5) for runs in self.divisions]

    @property
    def divisions(self) -> list[Sequence[RunFolder]]:
        """The runs of each time that the images were divided."""
        return [self.runs[start : start + self.claim.folds] for start in range(0, len(self.runs), self.claim.folds)]

    @property
    def out_of_fold(self) -> Predictions:
        """The answers to each image by the fold that left it out, of repeats the mean of their logits."""
        return averaged(self.runs, "test", of=self.joined.predictions)

    @property
    def held_out(self) -> Predictions:
        """The same, with the answers of the folds that the image was val of: they were not trained on it either, and
        the more answers are averaged, the more these are like those of all models together."""
        return averaged(self.runs, "test", "val", of=self.joined.predictions)


def averaged(runs: Sequence[RunFolder], *splits: str, of: Predictions | None = None) -> Predictions:
    """Give predictions of images, those that the first run has of the first split or the images `of` others, by the
    mean of the logits that the runs have of each in any of the splits."""
    first = runs[0].model_predictions(splits[0]) if of is None else of
    total, count = np.zeros(first.logits.shape), np.zeros((len(first), 1))
    for own in (run.model_predictions(split) for run in runs for split in splits):
        _, rows, places = np.intersect1d(first.index, own.index, assume_unique=True, return_indices=True)
        total[rows] += own.logits[places]
        count[rows] += 1
    logits = total / count
    return replace(first, logits=logits, prob=first.task.probabilities(logits))


def open_folds(path: Path) -> FoldRuns:
    """Open the runs of a cross-validation. RunError if one is missing or not complete, or is not of it."""
    group = open_group(path)
    claim = group.claim
    if len(group.folders) != claim.runs:
        raise RunError(f"{path} lacks folds of its cross-validation.", "Repeat the command that began it.")
    runs = group.runs()
    if any(run.recipe.hash != claim.recipe_hash for run in runs):
        raise RunError(f"{path} holds folds of another recipe.", "Repeat the training in another folder.")
    return FoldRuns(path, runs, claim)


def folds_scores(folds: FoldRuns) -> FoldsScores:
    """Score a cross-validation from the runs of its folds."""
    path, runs, claim, joined = folds.path, folds.runs, folds.claim, folds.joined
    rivals = {
        # A fold that kept a baseline as its model has no other of that name.
        name: [
            join_folds(
                [run.baseline_answers(name, "test") if name in run.baselines else run.answers("test") for run in own],
                claim.data_md5,
            ).sample
            for own in folds.divisions
        ]
        for name in BASELINE_MODELS
        if all(name in run.baselines or name == run.kept_model for run in runs)
        and any(name in run.baselines for run in runs)
    }
    groups = joined.predictions.units
    rows = _folds_rows([own.sample for own in folds.repeated], runs, groups)
    shared = is_shared(runs[0])
    subgroups = (
        _kept_subgroups(path)
        if shared
        else score_subgroups([joined.sample], joined.predictions.metadata, groups=groups)
    )
    evidence = Evidence(SplitAnswers(joined.sample, groups), rows, FOLDS_SPLIT, subgroups=subgroups,
                        baselines={name: own[0] for name, own in rivals.items()})  # fmt: skip
    checks = [*run_checks(evidence), *check_folds({run.path.name: checks_kept(run) for run in runs})]
    left = claim.images - len(joined.predictions)
    never = f"answers to {left:,} images, on which every fold is trained: nobody else has one of their labels"
    unanswered = [never] if left else []
    return FoldsScores(
        FOLDS_SPLIT,
        list(range(1, len(runs) + 1)),
        rows,
        [FoldScore(**vars(headline_kept(run)), fold=number) for number, run in enumerate(runs, start=1)],
        {name: _mean_rows(own, groups) for name, own in rivals.items()},
        serious_first(checks),
        subgroups,
        [*unanswered, *groups_unavailable(runs[0], joined.predictions.metadata)],
        unanswered,
        ahead=evidence.ahead,
        repeats=claim.repeats,
    )


def _kept_subgroups(folder: Path) -> Sequence[Subgroup]:
    """Read the scores of groups from the summary of a copy, which cannot compute them again."""
    return open_group(folder).summary.subgroups


def _folds_rows(samples: Sequence[Sample], runs: Sequence[RunFolder], groups: Groups) -> list[Score]:
    """Score all folds together, with the spread of their own values."""
    # By name and label: runs of another version may have other rows.
    own = [{(row.name, row.label): row.value for row in run.metrics.metrics} for run in runs]

    def sd_of(row: Score) -> float:
        return float(np.std([kept.get((row.name, row.label), np.nan) for kept in own], ddof=1))

    return [replace(row, sd=sd_of(row)) for row in _mean_rows(samples, groups)]


def _mean_rows(samples: Sequence[Sample], groups: Groups) -> list[Score]:
    """Score each sample, of one division of the images; values and limits are means over these."""
    found = [
        score_rows(s.task, s.y, s.prob, s.decided, s.sets, groups=groups, fold=s.fold, known=s.known) for s in samples
    ]

    def mean(rows: Sequence[Score]) -> Score:
        value, low, high = np.mean([(row.value, row.low, row.high) for row in rows], axis=0).tolist()
        return replace(rows[0], value=value, low=low, high=high)

    return found[0] if len(found) == 1 else [mean(rows) for rows in zip(*found, strict=True)]
