"""What scores and figures are made of: predictions, calibrated and decided by one decision."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.decision import Decision
from penlight.evaluation.metrics import Sample
from penlight.runs.predictions import Predictions


@dataclass(frozen=True)
class Answers:
    """Predictions of N images as they are read.

    `predictions` have calibrated probabilities, `decided` (N, C) are their 0/1 answers, `sets` (N, Q, K) the answers
    that cannot be ruled out (None where none were fitted, see `Conformal.sets`), and `before` are the predictions as
    the model gave them; `decision` is what was applied.
    """

    predictions: Predictions
    decided: NDArray[np.uint8]
    sets: NDArray[np.uint8] | None
    before: Predictions
    decision: Decision

    @property
    def sample(self) -> Sample:
        """What metrics see."""
        p = self.predictions
        return Sample(p.task, p.y_true, p.prob, self.decided, self.sets)


def answer(predictions: Predictions, decision: Decision) -> Answers:
    """Calibrate and decide predictions as the model gave them, and make their sets."""
    prob, decided = decision.answer(predictions.task, predictions.prob)
    sets = decision.sets(predictions.task, prob)
    return Answers(replace(predictions, prob=prob), decided, sets, predictions, decision)
