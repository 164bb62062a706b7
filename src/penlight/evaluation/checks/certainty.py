"""Whether what stands beside an answer can be relied on: its probability, threshold and prediction set, the interval
of its score, its saliency map, and the warning that an image is unlike those in train."""

import math

import numpy as np

from penlight.escaping import quoted
from penlight.evaluation.calibration import FEWEST, MAX_TEMPERATURE
from penlight.evaluation.checks.check import Finding, interval, listed, number, rule
from penlight.evaluation.checks.evidence import Evidence, Floats, SplitAnswers
from penlight.evaluation.intervals import design_effect, number_units, unit_noun
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.reliability import BINS, bin_of, outcome_errors
from penlight.evaluation.rows import find_row
from penlight.evaluation.sample import Sample
from penlight.numbers import counted

MAPS_ALIKE = 0.7
"""From this mean rank correlation on, maps hardly depend on what was learned."""

RECOGNISED = 0.9
"""The share of drawn images of another kind that should be called unlike the training images."""

_FALSE_ALARMS = 0.05
_MISCALIBRATED, _SERIOUSLY_MISCALIBRATED = 0.03, 0.1
_FEW_CASES, _WIDE_INTERVAL = 10, 0.2
_COVERAGE_FAR_BELOW = 0.05
_SIMULATED, _SIMULATED_VALUES, _CHUNK_VALUES = (100, 1000), 40_000_000, 4_000_000


@rule(
    "PL006",
    "Probabilities are not calibrated",
    when=f"The expected calibration error on test is above {_MISCALIBRATED} and above 99 % of the errors that "
    "perfectly calibrated probabilities have by chance on as many images (simulated from the probabilities "
    "themselves; where patients are known, by random signs of the gaps of whole patients). "
    f"Serious from {_SERIOUSLY_MISCALIBRATED} on.",
    why="A probability of 0.9 does not mean that nine of ten are right; thresholds and decisions based on "
    "probabilities are wrong.",
    do="Train with less weight on rare labels, find the calibration on more images (--folds shows how much it "
    "varies), or use the order of the images alone.",
)
def not_calibrated(e: Evidence) -> Finding | None:
    predicted, true = e.test.sample.predicted.of_pairs
    if not predicted.size:
        return None
    error, chance = calibration_error(e.test.sample), float(np.quantile(errors_by_chance(e.test), 0.99))
    if not error > max(_MISCALIBRATED, chance):
        return None
    before, lean = "", "too high" if predicted.mean() > true.mean() else "too low"
    if e.calibration is not None and e.calibration.kind == "none":
        before = " They were not calibrated on val (--set decide.calibration=temperature)."
    elif e.calibration is not None and e.before is not None:
        off = number(calibration_error(e.before))
        before = f" They are calibrated ({e.calibration.kind}); before it they were off by {off}."
    return Finding(
        f"Probabilities on {e.split} are off by {number(error)} on average (expected calibration error, {BINS} equal "
        f"bins), on the whole {lean}: {number(float(predicted.mean()))} is stated, {number(float(true.mean()))} "
        f"comes true. Calibrated ones would be off by less than {number(chance)} in 99 of 100 such tests.{before}",
        serious=error >= _SERIOUSLY_MISCALIBRATED,
    )


def calibration_error(sample: Sample) -> float:
    """Give the expected calibration error of the images, which the scores have as `ece`."""
    return float(METRICS["ece"].compute(sample, np.ones((1, len(sample.y))))[0])


def errors_by_chance(answers: SplitAnswers, *, seed: int = 0) -> Floats:
    """Give calibration errors (B,) that calibrated probabilities have by chance.

    Where patients are known, the gaps of each, predicted less true, all get one random sign (Liu, The Annals of
    Statistics 16:1696, 1988). Else outcomes are drawn from the probabilities; of as many images as all say together
    where it is only known that there are several of a patient.
    """
    predicted, true = answers.sample.predicted.of_pairs
    if not isinstance(answers.groups, np.ndarray):
        ordered = np.sort(predicted)
        kept = max(1, round(len(ordered) / design_effect(answers.groups)))
        return simulated_errors(ordered[np.linspace(0, len(ordered) - 1, kept).round().astype(int)])
    unit = number_units(len(answers.sample.y), answers.groups)
    of_pair = np.repeat(unit, answers.sample.predicted.prob.shape[1])
    known = answers.sample.known
    sums = np.zeros((int(unit.max()) + 1, BINS))
    np.add.at(sums, (of_pair if known is None else of_pair[known.ravel()], bin_of(predicted)), predicted - true)
    signs = np.random.default_rng([seed, 0xCA1B]).choice([-1.0, 1.0], (_SIMULATED[1], len(sums)))
    errors: Floats = np.abs(signs @ sums).sum(axis=1) / predicted.size
    return errors


def simulated_errors(predicted: Floats, *, seed: int = 0) -> Floats:
    """Give calibration errors (B,) of outcomes drawn from the (M,) predicted probabilities themselves."""
    rng = np.random.default_rng([seed, 0xCA1B])
    fewest, most = _SIMULATED
    wanted = max(fewest, min(most, _SIMULATED_VALUES // len(predicted)))
    rows = max(1, _CHUNK_VALUES // len(predicted))
    sizes = [min(rows, wanted - start) for start in range(0, wanted, rows)]
    return np.concatenate([outcome_errors(predicted, rng.random((b, len(predicted))) < predicted) for b in sizes])


@rule(
    "PL007",
    "Too few positives to tune a threshold",
    when=f"A label has fewer than {FEWEST} patients (images, where patients are not known) with it, or without it, "
    "in val; its threshold took the fallback.",
    why="The fallback cuts at the prevalence in train; nothing says that this is a good operating point.",
    do="Do not rely on the predicted labels; use their probabilities, or get more images for val.",
)
def too_few_to_tune(e: Evidence) -> Finding | None:
    found = [note for note in e.decision_notes if "too few to tune" in note]
    return Finding(f"Thresholds that val could not tune: {'; '.join(found)}.") if found else None


@rule(
    "PL014",
    "Scores are based on few images",
    when=f"In test, fewer than {_FEW_CASES} patients (images, where patients are not known) have a label, or lack "
    f"it; or the 95 % interval of the headline score is undefined or wider than {_WIDE_INTERVAL}.",
    why="One image more or less moves such a score visibly.",
    do="Read intervals before values; test on more images with these labels, or report them together.",
)
def few_images(e: Evidence) -> Finding | None:
    groups = e.test.groups
    rarer = np.array([min(own) for own in e.test.sample.cases(groups)])
    few = np.flatnonzero((rarer > 0) & (rarer < _FEW_CASES))
    parts = []
    if len(few):
        names = listed([f"{quoted(e.task.labels[c])} ({rarer[c]:,})" for c in few])
        parts.append(f"Scores on {e.split} rest on few {unit_noun(groups)}s with or without a label: {names}.")
    row = find_row(e.rows, e.headline)
    if row is not None and not math.isfinite(row.high - row.low):
        why = row.note.removeprefix("no interval: ") or "too few resamples give it a value"
        parts.append(f"{e.headline_short} has no interval: {why}.")
    elif row is not None and row.high - row.low > _WIDE_INTERVAL:
        parts.append(f"The 95 % interval of {e.headline_short} is wide: {interval(row.low, row.high)}.")
    return Finding(" ".join(parts)) if parts else None


@rule(
    "PL019",
    "Saliency maps hardly depend on the trained weights",
    when=f"The maps of a few test images have a mean rank correlation of at least {MAPS_ALIKE} with the maps of the "
    "same model with random weights.",
    why="Such a map shows the edges and contrast of the image, and says very little about the model's prediction.",
    do="Do not read this run's maps as reasons; explain it by another method (penlight explain --method occlusion), "
    "and see whether the model has learned anything.",
)
def maps_without_learning(e: Evidence) -> Finding | None:
    # Adebayo et al., Sanity Checks for Saliency Maps, 2018.
    if e.maps_alike is None or math.isnan(e.maps_alike) or e.maps_alike < MAPS_ALIKE:
        return None
    return Finding(
        f"Its saliency maps are much like those of the same model with random weights: their mean rank correlation "
        f"is {number(e.maps_alike)}."
    )


@rule(
    "PL021",
    "A calibration temperature is at its maximum",
    when="The temperature that calibrates the probabilities is as high as it may be.",
    why="The probabilities carry almost no information: confident predictions are wrong as often as right.",
    do="Train with more regularisation or fewer epochs; do not rely on this run's probabilities.",
)
def temperature_at_bound(e: Evidence) -> Finding | None:
    if e.calibration is None or not e.calibration.at_bound:
        return None
    labels = [quoted(e.task.labels[c]) for c in e.calibration.at_bound]
    of = "" if len(e.calibration.temperatures) == 1 else f" for {listed(labels)}"
    return Finding(f"Calibration took the highest temperature there is, {MAX_TEMPERATURE:g}{of}.")


@rule(
    "PL022",
    "Coverage of prediction sets is too low",
    when="The 95 % interval of the coverage of prediction sets on test lies below what was wanted. Serious if it is "
    f"lower by more than {_COVERAGE_FAR_BELOW}.",
    why="The true label is outside the set more often than stated; sets were fitted on val, which differs from "
    "test, or "
    "was also used for model selection.",
    do="Read the coverage on test, not the one that was wanted; fit sets on more images that chose nothing.",
)
def sets_break_their_promise(e: Evidence) -> Finding | None:
    row = find_row(e.rows, "coverage")
    if row is None or e.coverage is None or not row.high < e.coverage:
        return None
    return Finding(
        f"Prediction sets hold the truth for {number(row.value)} of {e.split} (95 % interval "
        f"{interval(row.low, row.high)}), where {number(e.coverage, 2)} was wanted.",
        serious=row.value < e.coverage - _COVERAGE_FAR_BELOW,
    )


@rule(
    "PL023",
    "Images of another kind are not recognised as such",
    when=f"Fewer than {RECOGNISED:.0%} of the drawn images of another modality (the phantoms that show another part "
    f"of the body) are called unlike the training images, or more than {_FALSE_ALARMS:.0%} of the test images.",
    why="The model predicts out-of-distribution images without a warning, or warns for images like its "
    "training images.",
    do="Do not rely on this run's out-of-distribution warning: make sure that it receives only images of its "
    "own kind.",
)
def strangers_missed(e: Evidence) -> Finding | None:
    if e.novelty is None:
        return None
    parts = [
        f"Of {counted(rate.images, 'drawn image')} of another kind ({name}), {rate.unusual} are recognised as unlike "
        "the training images."
        for name, rate in e.novelty.drawn.items()
        if rate.share < RECOGNISED
    ]
    own = e.novelty.test
    if own.share > _FALSE_ALARMS:
        parts.append(f"{own.unusual:,} of {counted(own.images, 'test image')} are called unlike those in train.")
    return Finding(" ".join(parts)) if parts else None
