"""Proof that an exported file answers as the model does: both are asked the same images, and the scores compared."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.errors import ExportError
from penlight.evaluation import Decision, Score, score
from penlight.numbers import counted
from penlight.runs import Predictions, answer
from penlight.runs.exports import MetricChange, Parity

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]

Answering = Callable[[Images], tuple[Floats, Floats]]
"""Images (N, H, W, C) to logits (N, K) and calibrated probabilities (N, C), as the file gives them."""

BATCHES = (1, 7)
"""Batch sizes that every file is asked with: of one picture, and of a number that nothing is tuned for."""

CLOSE = {"float32": 1e-5, "bfloat16": 0.05}
"""How far a probability of a float32 file may be from the model's, by the precision of the model's own products: one
that rounds them to 8 bits is itself not surer than that."""


def compare(file: Answering, images: Readable, model: Predictions, decision: Decision) -> Parity:
    """Ask the file for `images`, those of the model's predictions (not calibrated), at every batch size."""
    task, truth = model.task, answer(model, decision)
    logits, prob = zip(*(_in_batches(file, images, batch) for batch in BATCHES), strict=True)
    raw = [task.probabilities(z) for z in logits]
    again = [decision.calibration.apply(task, p) for p in raw]
    changes = _changes(truth.predictions, truth.decided, prob[0], decision)
    return Parity(
        model.split,
        len(images),
        max(_furthest(p, model.prob) for p in raw),
        max(_furthest(p, q) for p, q in zip(prob, again, strict=True)),
        max(_furthest(p, truth.predictions.prob) for p in prob),
        changes,
        BATCHES,
    )


def _in_batches(file: Answering, images: Readable, batch: int) -> tuple[Floats, Floats]:
    parts = [file(np.asarray(images[start : start + batch])) for start in range(0, len(images), batch)]
    logits, prob = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(prob)


def _furthest(one: Floats, other: Floats) -> float:
    """Give the largest absolute difference; infinity where one is not a number."""
    difference = float(np.max(np.abs(one - other)))
    return difference if np.isfinite(difference) else np.inf


def _changes(model: Predictions, decided: NDArray[np.uint8], prob: Floats, decision: Decision) -> list[MetricChange]:
    cuts = None if decision.thresholds is None else np.array(decision.thresholds)
    of_file = score(model.task, model.y_true, prob, model.task.decide(prob, cuts), resamples=0)
    of_model = score(model.task, model.y_true, model.prob, decided, resamples=0)
    return [_change(before, after) for before, after in zip(of_model, of_file, strict=True)]


def _change(before: Score, after: Score) -> MetricChange:
    return MetricChange(before.name, before.label, before.value, after.value)


def require_close(parity: Parity, precision: str, what: str) -> None:
    """Raise ExportError if a float32 file differs from a model of `precision` by more than `CLOSE`."""
    worst = max(parity.before, parity.calibration)
    if not worst <= CLOSE[precision]:
        raise ExportError(
            f"{what} does not answer as the trained model does: over "
            f"{counted(parity.images, 'image')} of {parity.split} a "
            f"probability differs by {worst:.1e}, where {CLOSE[precision]:g} is allowed. It was not written.",
            "Repeat the run on this machine; if that changes nothing, it is a defect of Penlight: please report it.",
        )
