"""Exactly one of C classes, without order."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.tasks.base import (
    OF_PROBABILITIES,
    OF_SETS,
    Floats,
    Indicators,
    Question,
    Ungraded,
    encode_classes,
    log_probability,
    one_hot,
    softmax,
)


@dataclass(frozen=True)
class MultiClass(Ungraded):
    """One of C classes: softmax probabilities, the most probable class is the answer."""

    labels: tuple[str, ...]

    kind: ClassVar[str] = "multi-class"
    head: ClassVar[str] = "softmax"
    exclusive: ClassVar[bool] = True
    uses_thresholds: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    sets: ClassVar[str] = "adaptive"
    nouns: ClassVar[tuple[str, str]] = ("class", "classes")
    headline: ClassVar[str] = "auc"
    views: ClassVar[tuple[str, ...]] = ("native",)
    metrics: ClassVar[tuple[str, ...]] = (
        "auc",
        "acc",
        "balanced_accuracy",
        "f1_macro",
        "f1_weighted",
        *OF_PROBABILITIES,
        *OF_SETS,
        "label_precision",
        "label_recall",
        "label_f1",
        "label_auc",
        "label_coverage",
    )
    figures: ClassVar[tuple[str, ...]] = ("confusion", "roc", "precision_recall")

    @property
    def questions(self) -> tuple[Question, ...]:
        """None; a class is one of several."""
        return ()

    @property
    def n_logits(self) -> int:
        """One logit per class."""
        return len(self.labels)

    def reading(self, *, head: str, rule: str) -> "MultiClass":
        """See `Task.reading`; there is nothing to choose."""
        return self

    def encode(self, y: NDArray[np.integer]) -> Indicators:
        """See `Task.encode`; `y` holds class numbers, (N, 1) or (N,)."""
        return encode_classes(y, self.labels)

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Softmax over the classes."""
        return softmax(logits)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-probabilities."""
        return log_probability(prob)

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """The most probable class; `thresholds` are not used."""
        return one_hot(np.argmax(prob, axis=1), len(self.labels))
