"""Proof that an exported file answers as the model does: both are asked the same images, and the scores compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.errors import ExportError
from penlight.evaluation import Decision, Score, score
from penlight.numbers import counted
from penlight.runs import Predictions, answer

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]

Answering = Callable[[Images], tuple[Floats, Floats]]
"""Images (N, H, W, C) to logits (N, K) and calibrated probabilities (N, C), as the file gives them."""

BATCHES = (1, 7)
"""Batch sizes that every file is asked with: of one picture, and of a number that nothing is tuned for."""

CLOSE = {"float32": 1e-5, "bfloat16": 0.05}
"""How far a probability of a float32 file may be from the model's, by the precision of the model's own products: one
that rounds them to 8 bits is itself not surer than that."""


@dataclass(frozen=True)
class Change:
    """A metric of the model and of the file, on the same images."""

    name: str
    label: str | None
    model: float
    file: float

    def to_dict(self) -> dict[str, Any]:
        """Give the change for JSON: NaN becomes null."""
        values = {"model": self.model, "file": self.file, "change": self.file - self.model}
        return {"name": self.name, "label": self.label, **{k: _json(v) for k, v in values.items()}}


def _json(value: float) -> float | None:
    return value if np.isfinite(value) else None


@dataclass(frozen=True)
class Parity:
    """What was compared, and how far the file is from the model.

    `before` is the largest difference of a probability before calibration, `calibration` the largest difference of
    what the file's calibration makes of the file's own logits from what the run's makes of them; `difference` is the
    largest one of the final probabilities. Where calibration is steep, it makes much of rounding in the logits.
    """

    split: str
    images: int
    before: float
    calibration: float
    difference: float
    changes: Sequence[Change]

    def to_dict(self) -> dict[str, Any]:
        """Give the comparison for JSON."""
        return {
            "split": self.split,
            "images": self.images,
            "batch_sizes": list(BATCHES),
            "largest_difference": self.difference,
            "largest_difference_before_calibration": self.before,
            "largest_difference_by_calibration": self.calibration,
            "metrics": [change.to_dict() for change in self.changes],
        }


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
    )


def _in_batches(file: Answering, images: Readable, batch: int) -> tuple[Floats, Floats]:
    parts = [file(np.asarray(images[start : start + batch])) for start in range(0, len(images), batch)]
    logits, prob = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(prob)


def _furthest(one: Floats, other: Floats) -> float:
    """Give the largest absolute difference; infinity where one is not a number."""
    difference = float(np.max(np.abs(one - other)))
    return difference if np.isfinite(difference) else np.inf


def _changes(model: Predictions, decided: NDArray[np.uint8], prob: Floats, decision: Decision) -> list[Change]:
    cuts = None if decision.thresholds is None else np.array(decision.thresholds)
    of_file = score(model.task, model.y_true, prob, model.task.decide(prob, cuts), resamples=0)
    of_model = score(model.task, model.y_true, model.prob, decided, resamples=0)
    return [_change(before, after) for before, after in zip(of_model, of_file, strict=True)]


def _change(before: Score, after: Score) -> Change:
    return Change(before.name, before.label, before.value, after.value)


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
