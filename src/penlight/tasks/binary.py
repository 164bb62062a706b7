"""One of two classes. The second is the official positive class; which of them is the finding may be known."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.escaping import label_list
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
    """Negative or positive, as two columns; one logit, for the positive class.

    `finding` is the label that is looked for, such as "malignant", where it is known; the official tables take the
    second class as positive whichever that is. It changes no probability, so tasks are equal without it.
    """

    labels: tuple[str, ...]
    finding: str | None = field(default=None, compare=False)

    kind: ClassVar[str] = "binary"
    head: ClassVar[str] = "sigmoid"
    exclusive: ClassVar[bool] = True
    uses_thresholds: ClassVar[bool] = True
    ordered: ClassVar[bool] = False
    sets: ClassVar[str] = "adaptive"
    nouns: ClassVar[tuple[str, str]] = ("class", "classes")
    headline: ClassVar[str] = "auc"
    views: ClassVar[tuple[str, ...]] = ("native",)
    figures: ClassVar[tuple[str, ...]] = ("confusion", "roc", "precision_recall")

    def __post_init__(self) -> None:
        if len(self.labels) != 2:
            raise DataError(f"A binary task has two labels, {len(self.labels)} came: {label_list(self.labels)}.")
        if self.finding is not None and self.finding not in self.labels:
            raise DataError(f"The finding must be one of the labels {label_list(self.labels)}; {self.finding} came.")

    @property
    def sought(self) -> int:
        """The column of the finding; the second where it is not known."""
        return 1 if self.finding is None else self.labels.index(self.finding)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The official rows first; sensitivity and specificity are of the second class, and of the finding too where
        that is the first."""
        return (
            "auc",
            "acc",
            "acc_decided",
            "balanced_accuracy",
            "sensitivity",
            "specificity",
            *(() if self.sought == 1 else ("sensitivity_finding", "specificity_finding")),
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

    @property
    def questions(self) -> tuple[Question, ...]:
        """Whether the second class is there, and before it whether the finding is, where that is the first."""
        official = Question(self.labels[1], (1,))
        return (official,) if self.sought == 1 else (Question(self.labels[0], (0,)), official)

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
