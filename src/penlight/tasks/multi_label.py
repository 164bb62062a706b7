"""Any number of C findings at once."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.tasks.base import OF_PROBABILITIES, OF_SETS, Floats, Indicators, Question, Ungraded, logit, sigmoid


@dataclass(frozen=True)
class MultiLabel(Ungraded):
    """C findings, each present or absent on its own: a sigmoid and a threshold per finding."""

    labels: tuple[str, ...]

    kind: ClassVar[str] = "multi-label"
    head: ClassVar[str] = "sigmoids"
    exclusive: ClassVar[bool] = False
    uses_thresholds: ClassVar[bool] = True
    ordered: ClassVar[bool] = False
    sets: ClassVar[str] = "per-finding"
    nouns: ClassVar[tuple[str, str]] = ("finding", "findings")
    headline: ClassVar[str] = "auc"
    views: ClassVar[tuple[str, ...]] = ("native", "single", "dominant", "any", "single+normal")
    metrics: ClassVar[tuple[str, ...]] = (
        "auc",
        "acc_mean",
        "acc_mean_decided",
        "auc_micro",
        "auc_weighted",
        "average_precision",
        "average_precision_micro",
        "average_precision_weighted",
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "exact_match",
        "hamming_loss",
        *OF_PROBABILITIES,
        *OF_SETS,
        "label_auc",
        "label_average_precision",
        "label_f1",
        "label_recall",
        "label_specificity",
        "label_precision",
        "label_ece",
        "label_prevalence",
        "label_coverage",
    )
    figures: ClassVar[tuple[str, ...]] = ("confusion_labels", "taken_for", "roc", "precision_recall")

    @property
    def questions(self) -> tuple[Question, ...]:
        """Whether each finding is there."""
        return tuple(Question(label, (c,)) for c, label in enumerate(self.labels))

    @property
    def n_logits(self) -> int:
        """One logit per finding."""
        return len(self.labels)

    def reading(self, *, head: str, rule: str) -> "MultiLabel":
        """See `Task.reading`; there is nothing to choose."""
        return self

    def encode(self, y: NDArray[np.integer]) -> Indicators:
        """See `Task.encode`; `y` is (N, C) of zeros and ones already."""
        y = np.asarray(y)
        if y.ndim != 2 or y.shape[1] != len(self.labels):
            raise DataError(f"Labels of shape (N, {len(self.labels)}) were expected, {y.shape} came.")
        bad = np.argwhere((y != 0) & (y != 1))
        if len(bad):
            row, column = bad[0]
            raise DataError(
                f"Findings must be 0 or 1; {len(bad)} values are not, the first is {y[row, column]} at row {row}, "
                f"'{self.labels[column]}'."
            )
        return y.astype(np.uint8)

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Sigmoid of each logit."""
        return sigmoid(logits)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-odds of each probability."""
        return logit(prob)

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """Present where the probability is above the finding's threshold (0.5 unless given)."""
        cut = np.full(len(self.labels), 0.5) if thresholds is None else thresholds
        return (np.asarray(prob) > cut).astype(np.uint8)
