"""What a task is: the base of all, with what most of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.escaping import label_list
from penlight.tasks.links import Floats, Link

Indicators = NDArray[np.uint8]
Rows = NDArray[np.int64]
T = TypeVar("T", np.uint8, np.float64)

KnownLabels = NDArray[np.bool_] | None
"""(N, C) which labels of which images are known; None where all are."""

NO_FINDING = "no finding"


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

    def known(self, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,): say of which images all of the question's columns are `known` (N, C)."""
        return np.asarray(known[:, list(self.columns)].all(axis=1))


@dataclass(frozen=True)
class ViewResult:
    """What a view makes of native indicators: the task, and for each split the rows that count and their
    indicators."""

    task: "Task"
    splits: Mapping[str, tuple[Rows, Indicators]]


@dataclass(frozen=True)
class View:
    """Which images of a dataset count, and what is learned of them: `words` say it, `apply` turns a task and the
    native indicators (N, C) of each split into that."""

    words: str
    apply: Callable[["Task", Mapping[str, Indicators]], ViewResult]


def _native(task: "Task", native: Mapping[str, Indicators]) -> ViewResult:
    return ViewResult(task, {name: (np.arange(len(y)), y) for name, y in native.items()})


NATIVE_VIEW = "native"
NATIVE = {NATIVE_VIEW: View("the labels as they are stored", _native)}
"""The view that every task has."""


@dataclass(frozen=True)
class ProposedOption:
    """A line of a new description beside its labels: `key` and `value`, and a comment. One that is not `sure` stands
    as a comment itself; of another one `note` tells the user."""

    key: str
    value: Any
    comment: str
    sure: bool
    note: str = ""


class Task(ABC):
    """What labels mean. N images, L label columns on disk, C classes or findings, K logits of a network.

    A task is a frozen dataclass that begins with `labels`, the names of the C classes or findings in the order of the
    columns; `register_task` makes it known. Its other fields are texts, whole numbers or None.
    """

    labels: tuple[str, ...]

    kind: ClassVar[str]
    """Its name in descriptions and files."""
    exclusive: ClassVar[bool] = True
    """Whether an image has exactly one label."""
    uses_thresholds: ClassVar[bool] = False
    """Whether answers depend on thresholds of probabilities."""
    ordered: ClassVar[bool] = False
    """Whether labels have a natural order."""
    sets: ClassVar[str] = "adaptive"
    """Key in `evaluation.conformal.SETS` of how prediction sets are made."""
    nouns: ClassVar[tuple[str, str]] = ("class", "classes")
    """What one label and several labels are called."""
    headline: ClassVar[str] = "auc"
    """Name of the metric that choices are made by."""
    figures: ClassVar[tuple[str, ...]] = ("confusion", "roc", "precision_recall")
    """Names of the displays that a report shows."""
    n_labels: ClassVar[tuple[int, int]] = (2, 10_000)
    """The fewest and the most labels."""
    positive: ClassVar[int | None] = None
    """The one column that the official AUC is of; None where it is the mean over the labels."""
    options: ClassVar[Mapping[str, type]] = {}
    """What a description may say beside the labels: keys and the types of their values."""

    @property
    @abstractmethod
    def head(self) -> str:
        """Key in `models.HEADS` of the last layer and targets that make this task's logits."""

    @property
    @abstractmethod
    def link(self) -> Link:
        """How logits become probabilities, in NumPy, in files and for explanations."""

    @property
    def n_logits(self) -> int:
        """K, the width of a network's last layer."""
        return self.link.n_logits(len(self.labels))

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics in `evaluation.METRICS` that are reported, headline rows first."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """The yes-or-no questions that answers hold, for operating points and decision curves; none of classes."""
        return ()

    @property
    def cut_points(self) -> tuple[float, ...]:
        """The C - 1 points, rising, at which the expected grade is cut unless better ones are found; none where
        answers are not cut from it."""
        return ()

    @property
    def answers(self) -> str:
        """What an answer is, in words, where it is not the most probable label or those above their thresholds."""
        return ""

    @property
    def views(self) -> Mapping[str, View]:
        """The views of these labels by name, "native" first."""
        return NATIVE

    @property
    def tuned_columns(self) -> tuple[int, ...]:
        """Columns that a threshold is chosen for; that of any other column is the complement of the first's."""
        return tuple(range(len(self.labels)))

    @property
    def negative_finding(self) -> str | None:
        """The finding, where the official scores take another label as the positive one."""
        return None

    def with_head(self, *, head: str, rule: str) -> "Task":
        """Give the task as a recipe asks for it: with another head, or another decision rule.

        Tasks that have no such choice return themselves.
        """
        return self

    def encode(self, y: NDArray[np.integer]) -> Indicators:
        """Turn labels as stored, (N, L) integers, into (N, C) zeros and ones. DataError if one is out of range."""
        return encode_classes(y, self.labels)

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Turn (N, K) logits into (N, C) probabilities; rows of exclusive tasks sum to 1."""
        return self.link.probabilities(logits)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Turn (N, C) probabilities into the (N, K) logits that give them: the inverse of `probabilities`."""
        return self.link.logits(prob)

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """Turn (N, C) probabilities into (N, C) zeros and ones: the most probable label here;
        `thresholds` (C,) where the task uses them, or the (C-1,) `cut_points` that were found."""
        return one_hot(np.argmax(prob, axis=1), len(self.labels))

    def question_threshold(self, question: Question, thresholds: Sequence[float]) -> float:
        """Give the threshold of a question's probability, of those of the labels (C,)."""
        return float(thresholds[question.columns[0]])

    def why_decided(self, prob: Floats, thresholds: Sequence[float] | None) -> str:
        """Say why the answer to one image of probabilities (C,) is not the most probable label, as the end of
        "... is more probable, but "."""
        return "the answer is another label"

    @classmethod
    def suggested_by(cls, values: Sequence[str], several: int, without: int) -> str:
        """Say why labels of these names may be this task's, where `several` pictures have more than one and `without`
        none; empty where they show nothing of the kind. DataError where only a person can say."""
        return ""

    @classmethod
    def in_order(cls, values: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """Bring the names of labels into this task's order, and say what a person should look at. DataError where the
        order cannot be read from the names."""
        return tuple(values), ""

    @classmethod
    def proposed_options(cls, values: Sequence[str]) -> tuple[ProposedOption, ...]:
        """Say what a new description should hold beside labels of these names."""
        return ()

    @classmethod
    def described(cls, labels: tuple[str, ...], options: Mapping[str, Any]) -> "Task":
        """Make the task that a description asks for, with those of `options` that it gives. DataError for a value
        that is none of theirs."""
        return cls(labels)  # type: ignore[call-arg]


def one_hot(index: NDArray[np.integer], n_classes: int) -> Indicators:
    """Turn (N,) class numbers into (N, C) indicators."""
    out = np.zeros((len(index), n_classes), np.uint8)
    out[np.arange(len(index)), index] = 1
    return out


def two_columns(positive: NDArray[np.bool_]) -> tuple[Rows, Indicators]:
    """Give every row, and the indicators (N, 2) of whether it is positive."""
    return np.arange(len(positive)), np.stack([~positive, positive], axis=1).astype(np.uint8)


def encode_classes(y: NDArray[np.integer], labels: tuple[str, ...]) -> Indicators:
    """Turn (N, 1) or (N,) class numbers into (N, C) indicators; DataError if they are not 0..C-1."""
    column = np.asarray(y)
    if column.shape not in ((len(column),), (len(column), 1)):
        raise DataError(f"One label per image was expected, an array of shape {column.shape} came.")
    column = column.ravel()
    bad = np.flatnonzero((column < 0) | (column >= len(labels)))
    if len(bad):
        raise DataError(
            f"Labels must be 0 to {len(labels) - 1}; {len(bad)} are not, the first is {column[bad[0]]}"
            f" at row {bad[0]}.",
            "Check the labels array or the list of label names.",
        )
    return one_hot(column.astype(np.int64), len(labels))


_UNKNOWN_NAMED = 3


def label_of(task: Task, row: NDArray[np.integer], known: NDArray[np.bool_] | None = None) -> str:
    """Say one image's (C,) indicators in words: its class, or its findings, and which are not `known` (C,)."""
    there = label_list(name for name, on in zip(task.labels, row, strict=True) if on)
    unknown = [] if known is None else [name for name, said in zip(task.labels, known, strict=True) if not said]
    if not unknown:
        return there or "none"
    named = label_list(unknown) if len(unknown) <= _UNKNOWN_NAMED else f"{len(unknown)} labels"
    return f"{there or ('nothing known' if len(unknown) == len(task.labels) else 'none known')} (unknown: {named})"


def known_or_none(known: KnownLabels) -> KnownLabels:
    """Give a mask, or None for one that is true throughout."""
    return None if known is None or known.all() else known


def among(known: KnownLabels, column: int) -> NDArray[np.bool_] | slice:
    """Give what selects the images of which a label is known."""
    return slice(None) if known is None else known[:, column]


def select_known(known: KnownLabels, rows: NDArray[np.generic] | slice) -> KnownLabels:
    """Give the mask of some images, by their numbers, by (N,) true or false, or by a slice."""
    return None if known is None else known_or_none(known[rows])


def join_known(parts: Sequence[tuple[KnownLabels, NDArray[np.generic]]]) -> KnownLabels:
    """Put masks one below the other, each given with the indicators that it is of."""
    if all(known is None for known, _ in parts):
        return None
    return np.concatenate([np.ones(y.shape, bool) if known is None else known for known, y in parts])


def count_known(known: KnownLabels, y: NDArray[np.generic]) -> NDArray[np.int64]:
    """Count the images of which each label is known, (C,), of indicators (N, C)."""
    counts: NDArray[np.int64] = np.full(y.shape[1], len(y)) if known is None else known.sum(axis=0)
    return counts


def absent(y: NDArray[T], known: KnownLabels) -> NDArray[T]:
    """Mark the labels that are known not to be there, (N, C) 0/1."""
    out: NDArray[T] = 1 - y if known is None else (1 - y) * known
    return out


def shares(y: NDArray[np.number[Any]], known: KnownLabels = None) -> NDArray[np.float64]:
    """Give the share of the images with each label, (C,), of those of which it is known; NaN where none is."""
    if known is None:
        return np.asarray(y.mean(axis=0), np.float64)
    n, out = known.sum(axis=0), np.full(y.shape[1], np.nan)
    np.divide(y.sum(axis=0), n, out=out, where=n > 0)
    return out
