"""One of two classes, the second of which is the one looked for."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.tasks.base import (
    OF_PROBABILITIES,
    OF_SETS,
    Floats,
    Indicators,
    Question,
    Ungraded,
    encode_classes,
    logit,
    one_hot,
    sigmoid,
)


@dataclass(frozen=True)
class Binary(Ungraded):
    """Negative or positive, as two columns; one logit, for the positive class."""

    labels: tuple[str, ...]

    kind: ClassVar[str] = "binary"
    head: ClassVar[str] = "sigmoid"
    exclusive: ClassVar[bool] = True
    uses_thresholds: ClassVar[bool] = True
    ordered: ClassVar[bool] = False
    sets: ClassVar[str] = "adaptive"
    nouns: ClassVar[tuple[str, str]] = ("class", "classes")
    headline: ClassVar[str] = "auc"
    views: ClassVar[tuple[str, ...]] = ("native",)
    metrics: ClassVar[tuple[str, ...]] = (
        "auc",
        "acc",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "f1_macro",
        "f1_weighted",
        *OF_PROBABILITIES,
        *OF_SETS,
        "label_precision",
        "label_recall",
        "label_f1",
        "label_average_precision",
        "label_coverage",
    )
    figures: ClassVar[tuple[str, ...]] = ("confusion", "roc", "precision_recall")

    def __post_init__(self) -> None:
        if len(self.labels) != 2:
            raise DataError(f"A binary task has two labels, {len(self.labels)} came: {', '.join(self.labels)}.")

    @property
    def questions(self) -> tuple[Question, ...]:
        """Whether the second class is there."""
        return (Question(self.labels[1], (1,)),)

    @property
    def n_logits(self) -> int:
        """One, for the second class."""
        return 1

    def reading(self, *, head: str, rule: str) -> "Binary":
        """See `Task.reading`; there is nothing to choose."""
        return self

    def encode(self, y: NDArray[np.integer]) -> Indicators:
        """See `Task.encode`; `y` holds 0 and 1, (N, 1) or (N,)."""
        return encode_classes(y, self.labels)

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Sigmoid of the one logit, and its complement in the first column."""
        z = np.asarray(logits, np.float64).reshape(len(logits), 1)
        return np.concatenate([sigmoid(-z), sigmoid(z)], axis=1)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-odds of the second column."""
        return logit(prob[:, 1:])

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """Positive where the second column is above its threshold (0.5 unless given)."""
        cut = 0.5 if thresholds is None else thresholds[1]
        return one_hot((prob[:, 1] > cut).astype(np.int64), 2)
