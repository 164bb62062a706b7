"""Whether the numbers are sure: probabilities, thresholds, and scores of few images."""

import math

import numpy as np

from penlight.evaluation.checks.check import Seen
from penlight.evaluation.checks.evidence import Evidence, Floats
from penlight.evaluation.checks.words import counted, interval, metric, number
from penlight.evaluation.metrics import METRICS, Sample
from penlight.evaluation.reliability import BINS, outcome_errors
from penlight.evaluation.rows import find_row

BY_CHANCE = 0.99
OFF = 0.03
FAR_OFF = 0.1
FEW = 10
WIDE = 0.2

_SIMULATED = (100, 1000)
_SIMULATED_VALUES = 40_000_000
_CHUNK_VALUES = 4_000_000


def not_calibrated(e: Evidence) -> Seen | None:
    """Speak where the expected calibration error is above `OFF` and above 99 % of what perfectly calibrated
    probabilities have by chance, with the same probabilities on as many images."""
    stated, true = e.test.sample.stated.prob.ravel(), e.test.sample.stated.true
    if not len(stated):
        return None
    error = calibration_error(e.test.sample)
    chance = float(np.quantile(simulated_errors(stated), BY_CHANCE))
    if not error > max(OFF, chance):
        return None
    lean = "too high" if stated.mean() > true.mean() else "too low"
    return Seen(
        f"Probabilities on {e.split} are off by {number(error)} on average (expected calibration error, {BINS} equal "
        f"bins), on the whole {lean}: {number(float(stated.mean()))} is stated, {number(float(true.mean()))} comes "
        f"true. Calibrated ones would be off by less than {number(chance)} in 99 of 100 such tests.",
        serious=error >= FAR_OFF,
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


def too_few_to_tune(e: Evidence) -> Seen | None:
    """Speak where a threshold could not be tuned on val."""
    found = [note for note in e.decision_notes if "too few to tune" in note]
    return Seen(f"Thresholds that val could not tune: {'; '.join(found)}.") if found else None


def few_images(e: Evidence) -> Seen | None:
    """Speak where a label has fewer than `FEW` images with or without it, or the headline interval is undefined or
    wider than `WIDE`."""
    positives = e.test.sample.y.sum(axis=0, dtype=int)
    rarer = np.minimum(positives, len(e.test.sample.y) - positives)
    few = np.flatnonzero((rarer > 0) & (rarer < FEW))
    parts = []
    if len(few):
        names = counted([e.task.labels[c] for c in few], [int(rarer[c]) for c in few])
        parts.append(f"Scores on {e.split} rest on few images with or without a label: {names}.")
    row = find_row(e.rows, e.headline)
    if row is not None and not math.isfinite(row.high - row.low):
        parts.append(f"{metric(e.headline)} has no interval: {row.note or 'too few resamples give it a value'}.")
    elif row is not None and row.high - row.low > WIDE:
        parts.append(f"The 95 % interval of {metric(e.headline)} is wide: {interval(row.low, row.high)}.")
    return Seen(" ".join(parts)) if parts else None
