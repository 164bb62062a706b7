"""The protocol of a task, and what the exclusive ones share."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.escaping import label_list

Floats = NDArray[np.float64]
Indicators = NDArray[np.uint8]

# Probabilities are kept this far from 0 and 1 before a logarithm; far below what float32 logits can express.
_EPSILON = 1e-12


OF_PROBABILITIES = (
    "log_loss",
    "brier",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "ece",
    "ece_adaptive",
)
"""Names of the metrics that ask whether probabilities mean what they say; every task has them."""

OF_SETS = ("aurc", "coverage", "set_size", "single_answers", "acc_single")
"""Names of the metrics that ask when not to answer; every task has them, and "label_coverage"."""


@dataclass(frozen=True)
class Question:
    """What can be answered by yes or no: whether any of `columns` of the labels is true of an image."""

    name: str
    columns: tuple[int, ...]

    def of(self, values: NDArray[np.generic]) -> Floats:
        """(N,): sum the question's columns of (N, C) truth, answers, or probabilities."""
        summed: Floats = values[:, list(self.columns)].sum(axis=1, dtype=float)
        return summed


class Ungraded:
    """What tasks without grades have in common: nothing is cut, and an answer is what is usual. See `Task`."""

    @property
    def cut_points(self) -> tuple[float, ...]:
        """None; there are no grades."""
        return ()

    @property
    def answers(self) -> str:
        """Nothing else than is usual."""
        return ""


class Task(Protocol):
    """What labels mean. N images, L label columns on disk, C classes or findings, K logits of a network.

    `metrics` names rows of `evaluation.METRICS`, headline rows first; `headline` is the one that early stopping
    and comparisons use; `figures` names displays of `report`. `kind` is the key in `TASKS`;
    `exclusive` says that an image has exactly one label, `uses_thresholds` that answers depend on thresholds,
    `ordered` that labels have a natural order; `sets` is the key in `evaluation.conformal.SETS` of how sets of
    answers are made; `nouns` are what one label and several labels are called.
    """

    kind: ClassVar[str]
    exclusive: ClassVar[bool]
    uses_thresholds: ClassVar[bool]
    ordered: ClassVar[bool]
    sets: ClassVar[str]
    nouns: ClassVar[tuple[str, str]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the C classes or findings, in the order of the columns."""

    @property
    def head(self) -> str:
        """Key in `models.HEADS` of the last layer and loss that make this task's logits."""

    @property
    def n_logits(self) -> int:
        """K, the width of a network's last layer."""

    @property
    def headline(self) -> str:
        """Name of the metric that choices are made by."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that are reported, headline rows first."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """The yes-or-no questions that answers hold, for operating points and decision curves; none of classes."""

    @property
    def cut_points(self) -> tuple[float, ...]:
        """The C - 1 points, rising, at which the expected grade is cut unless better ones are found; none where
        answers are not cut from it."""

    @property
    def answers(self) -> str:
        """What an answer is, in words, where it is not the most probable label or those above their thresholds."""

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the readings of these labels in `data.views`, "native" first."""

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the displays that a report shows."""

    def reading(self, *, head: str, rule: str) -> "Task":
        """Give the task read as a recipe asks: with another head, or another decision rule.

        Tasks that have no such choice return themselves.
        """

    def encode(self, y: NDArray[np.integer]) -> Indicators:
        """Turn labels as stored, (N, L) integers, into (N, C) zeros and ones. DataError if one is out of range."""

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Turn (N, K) logits into (N, C) probabilities; rows of exclusive tasks sum to 1."""

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Turn (N, C) probabilities into the (N, K) logits that give them: the inverse of `probabilities`."""

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """Turn (N, C) probabilities into (N, C) zeros and ones; `thresholds` (C,) where the task uses them, or
        the (C-1,) `cut_points` that were found."""


def one_hot(index: NDArray[np.integer], n_classes: int) -> Indicators:
    """Turn (N,) class numbers into (N, C) indicators."""
    out = np.zeros((len(index), n_classes), np.uint8)
    out[np.arange(len(index)), index] = 1
    return out


def encode_classes(y: NDArray[np.integer], labels: tuple[str, ...]) -> Indicators:
    """Turn (N, 1) or (N,) class numbers into (N, C) indicators; DataError if they are not 0..C-1."""
    column = _one_column(y)
    bad = np.flatnonzero((column < 0) | (column >= len(labels)))
    if len(bad):
        raise DataError(
            f"Labels must be 0 to {len(labels) - 1}; {len(bad)} are not, the first is {column[bad[0]]}"
            f" at row {bad[0]}.",
            "Check the labels array or the list of label names.",
        )
    return one_hot(column.astype(np.int64), len(labels))


def _one_column(y: NDArray[np.integer]) -> NDArray[np.integer]:
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.ndim == 1:
        return y
    raise DataError(f"One label per image was expected, an array of shape {y.shape} came.")


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Row-wise softmax in float64."""
    z = np.asarray(logits, np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    out: Floats = e / e.sum(axis=1, keepdims=True)
    return out


def sigmoid(logits: NDArray[np.floating]) -> Floats:
    """Elementwise logistic function in float64, without overflow."""
    z = np.asarray(logits, np.float64)
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def logit(prob: NDArray[np.floating]) -> Floats:
    """Inverse of `sigmoid`; probabilities are kept 1e-12 away from 0 and 1."""
    p = np.clip(np.asarray(prob, np.float64), _EPSILON, 1 - _EPSILON)
    out: Floats = np.log(p) - np.log1p(-p)
    return out


def log_probability(prob: NDArray[np.floating]) -> Floats:
    """Natural logarithm of probabilities that are kept at least 1e-12."""
    out: Floats = np.log(np.maximum(np.asarray(prob, np.float64), _EPSILON))
    return out


def label_of(task: Task, row: NDArray[np.integer]) -> str:
    """Say one image's (C,) indicators in words: its class, or its findings."""
    return label_list(name for name, on in zip(task.labels, row, strict=True) if on) or "none"
