"""Gather from a run folder what checks look at; the dataset is not needed."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from penlight.data.accesses import READ_BEFORE
from penlight.evaluation import Sample, Score, find_row
from penlight.evaluation.checks import Check, Curves, Evidence, SplitAnswers
from penlight.evaluation.duplicates import DuplicateScores, score_duplicates
from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.evaluation.subgroups import Subgroup
from penlight.recipes import Elsewhere, Pretrained, Recipe
from penlight.records import check_record
from penlight.runs.answers import Answers
from penlight.runs.cases import EXPLAINED, cases_from_bytes
from penlight.runs.folder import RunFolder
from penlight.runs.holdings import MAPS_ALIKE, NOVELTY_RATES

_OF_CURVES = ("loss", "val_loss", "val_headline", "learning_rate")


def evidence_of_run(run: RunFolder, rows: Sequence[Score], subgroups: Sequence[Subgroup] = ()) -> Evidence:
    """Read what a run says of val and test, beside its baselines; `rows` and `subgroups` are its scores on test."""
    run = run.read_once()
    answers = run.answers("test")
    before = answers.before
    return Evidence(
        test=seen(answers),
        rows=rows,
        val=seen(run.answers("val")) if "val" in run.splits else None,
        baselines={name: seen(run.baseline_answers(name, "test")).sample for name in run.baselines},
        decision_notes=run.decision.notes,
        curves=_curves(run),
        epochs_planned=_epochs(run.recipe),
        # What predictions say holds for runs too that were made before it was kept of the data.
        data=None if run.data is None else replace(run.data, images_per_patient=before.images_per_patient),
        maps_alike=maps_alike_of(run),
        subgroups=subgroups,
        read_before=run.provenance.get(READ_BEFORE),
        before=Sample(before.task, before.y_true, before.prob, answers.decided, known=before.known),
        calibration=answers.decision.calibration,
        duplicates=duplicates_of(run, answers),
        novelty=novelty_rates_of(run),
        coverage=None if answers.decision.conformal is None else answers.decision.conformal.coverage,
        made_elsewhere=isinstance(run.recipe.model, Elsewhere),
    )


def duplicates_of(run: RunFolder, answers: Answers) -> DuplicateScores | None:
    """Score answers to test with and without the images that have a duplicate in another split; of a copy that does
    not say which these are, give the scores that were kept. None where there are none, or it is not known."""
    rows = None if run.data is None or run.data.duplicates is None else run.data.duplicates.get("test", ())
    if rows is None:
        return run.metrics.duplicates if run.has("metrics.json") else None
    chosen = np.isin(answers.predictions.index, rows)
    return score_duplicates(answers.sample, chosen, answers.predictions.units) if chosen.any() else None


def seen(answers: Answers) -> SplitAnswers:
    """Give answers as metrics and checks see them."""
    return SplitAnswers(answers.sample, answers.predictions.units)


def checks_kept(run: RunFolder) -> Sequence[Check]:
    """Read what checks reported when the run was made."""
    return run.metrics.checks


def headline_kept(run: RunFolder) -> Score:
    """Read the run's headline score on test."""
    headline = run.model_predictions("test").task.headline
    found = find_row(run.metrics.metrics, headline)
    return found or Score(headline, None, math.nan, math.nan, math.nan, 0, "not scored")


def maps_alike_of(run: RunFolder) -> float | None:
    """Read how much the maps of a run are like those of random weights; None where it is not known."""
    if run.has(EXPLAINED):
        return cases_from_bytes(run.read(EXPLAINED), str(run.path)).mean_alike
    found: float | None = run.provenance.get(MAPS_ALIKE)
    return found


def novelty_rates_of(run: RunFolder) -> NoveltyRates | None:
    """Read how well a run tells images unlike those in train; None where that was not measured."""
    found = run.provenance.get(NOVELTY_RATES)
    return None if found is None else check_record(NoveltyRates, found, f"provenance.json in the run {run.path}")


def _curves(run: RunFolder) -> Curves | None:
    table = run.curves
    if table is None:
        return None
    return Curves(*(np.asarray(table[name], np.float64) for name in _OF_CURVES))


def _epochs(recipe: Recipe) -> int:
    """Count the epochs that were planned, those of fine-tuning included."""
    model = recipe.model
    tuned = model.fine_tune.epochs if isinstance(model, Pretrained) and model.fine_tune.layers else 0
    return recipe.train.epochs + tuned
