"""Whether the numbers are sure: probabilities, thresholds, and scores of few images."""

import math

import numpy as np

from penlight.escaping import quoted
from penlight.evaluation.calibration import HOTTEST
from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import Evidence, Floats, SplitAnswers
from penlight.evaluation.checks.words import counted, interval, listed, number
from penlight.evaluation.intervals import count_units, design_effect, number_units, unit_noun
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.reliability import BINS, bin_of, outcome_errors
from penlight.evaluation.rows import find_row
from penlight.evaluation.sample import Sample

BY_CHANCE = 0.99
OFF = 0.03
FAR_OFF = 0.1
FEW = 10
FAR_FROM_PROMISE = 0.05
WIDE = 0.2

_SIMULATED = (100, 1000)
_SIMULATED_VALUES = 40_000_000
_CHUNK_VALUES = 4_000_000


def not_calibrated(e: Evidence) -> Finding | None:
    """Speak where the expected calibration error is above `OFF` and above 99 % of what perfectly calibrated
    probabilities have by chance, with the same probabilities on as many images."""
    stated, true = e.test.sample.stated.prob.ravel(), e.test.sample.stated.true
    if not len(stated):
        return None
    error = calibration_error(e.test.sample)
    by_chance = errors_by_chance(e.test)
    chance = float(np.quantile(by_chance, BY_CHANCE))
    if not error > max(OFF, chance):
        return None
    lean = "too high" if stated.mean() > true.mean() else "too low"
    return Finding(
        f"Probabilities on {e.split} are off by {number(error)} on average (expected calibration error, {BINS} equal "
        f"bins), on the whole {lean}: {number(float(stated.mean()))} is stated, {number(float(true.mean()))} comes "
        f"true. Calibrated ones would be off by less than {number(chance)} in 99 of 100 such tests.{_before(e)}",
        serious=error >= FAR_OFF,
    )


def _before(e: Evidence) -> str:
    if e.calibration is None:
        return ""
    if e.calibration.kind == "none":
        return " They were not calibrated on val (--set decide.calibration=temperature)."
    if e.before is None:
        return ""
    off = number(calibration_error(e.before))
    return f" They are calibrated ({e.calibration.kind}); before it they were off by {off}."


def errors_by_chance(answers: SplitAnswers) -> Floats:
    """Give calibration errors (B,) that calibrated probabilities have by chance: by outcomes drawn anew, of whole
    patients where these are known; of as many images as all say together where only that they are alike is known."""
    if isinstance(answers.groups, np.ndarray):
        return flipped_errors(answers)
    stated = np.sort(answers.sample.stated.prob.ravel())
    kept = max(1, round(len(stated) / design_effect(answers.groups)))
    return simulated_errors(stated[np.linspace(0, len(stated) - 1, kept).round().astype(int)])


def flipped_errors(answers: SplitAnswers, *, seed: int = 0) -> Floats:
    """Give calibration errors (B,) by chance where images of a patient are alike: the gaps of each patient, stated
    less true, all with one random sign (Liu, The Annals of Statistics 16:1696, 1988)."""
    stated, true = answers.sample.stated.prob, answers.sample.stated.true
    unit = number_units(len(stated), answers.groups)
    sums = np.zeros((int(unit.max()) + 1, BINS))
    np.add.at(sums, (np.repeat(unit, stated.shape[1]), bin_of(stated).ravel()), (stated - true).ravel())
    rng = np.random.default_rng([seed, 0xCA1B])
    signs = rng.choice([-1.0, 1.0], (_SIMULATED[1], len(sums)))
    errors: Floats = np.abs(signs @ sums).sum(axis=1) / stated.size
    return errors


def temperature_at_bound(e: Evidence) -> Finding | None:
    """Report a temperature as high as it may be."""
    if e.calibration is None or not e.calibration.at_bound:
        return None
    places = e.calibration.at_bound
    of = "" if len(e.calibration.temperatures) == 1 else f" for {listed([quoted(e.task.labels[c]) for c in places])}"
    return Finding(f"Calibration took the highest temperature there is, {HOTTEST:g}{of}.")


def sets_break_their_promise(e: Evidence) -> Finding | None:
    """Report prediction sets whose coverage is below what was promised by more than chance."""
    row = find_row(e.rows, "coverage")
    if row is None or e.coverage is None or not row.high < e.coverage:
        return None
    return Finding(
        f"Prediction sets hold the truth for {number(row.value)} of {e.split} (95 % interval "
        f"{interval(row.low, row.high)}), where {number(e.coverage, 2)} was wanted.",
        serious=row.value < e.coverage - FAR_FROM_PROMISE,
    )


def calibration_error(sample: Sample) -> float:
    """Give the expected calibration error of the images, which the scores have as `ece`."""
    return float(METRICS["ece"].compute(sample, np.ones((1, len(sample.y))))[0])


def simulated_errors(stated: Floats, *, seed: int = 0) -> Floats:
    """Give calibration errors (B,) of outcomes drawn from the stated probabilities themselves."""
    rng = np.random.default_rng([seed, 0xCA1B])
    fewest, most = _SIMULATED
    wanted = max(fewest, min(most, _SIMULATED_VALUES // len(stated)))
    rows = max(1, _CHUNK_VALUES // len(stated))
    sizes = [min(rows, wanted - start) for start in range(0, wanted, rows)]
    return np.concatenate([outcome_errors(stated, rng.random((b, len(stated))) < stated) for b in sizes])


def too_few_to_tune(e: Evidence) -> Finding | None:
    """Speak where a threshold could not be tuned on val."""
    found = [note for note in e.decision_notes if "too few to tune" in note]
    return Finding(f"Thresholds that val could not tune: {'; '.join(found)}.") if found else None


def few_images(e: Evidence) -> Finding | None:
    """Speak where a label has fewer than `FEW` patients (images, where patients are not known) with or without it, or
    the headline interval is undefined or wider than `WIDE`."""
    y, groups = e.test.sample.y, e.test.groups
    rarer = np.array([min(count_units(len(y), groups, kind) for kind in (own > 0, own == 0)) for own in y.T])
    few = np.flatnonzero((rarer > 0) & (rarer < FEW))
    parts = []
    if len(few):
        names = counted([e.task.labels[c] for c in few], [int(rarer[c]) for c in few])
        parts.append(f"Scores on {e.split} rest on few {unit_noun(groups)}s with or without a label: {names}.")
    row = find_row(e.rows, e.headline)
    if row is not None and not math.isfinite(row.high - row.low):
        why = row.note.removeprefix("no interval: ") or "too few resamples give it a value"
        parts.append(f"{e.headline_short} has no interval: {why}.")
    elif row is not None and row.high - row.low > WIDE:
        parts.append(f"The 95 % interval of {e.headline_short} is wide: {interval(row.low, row.high)}.")
    return Finding(" ".join(parts)) if parts else None
