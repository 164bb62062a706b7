"""Any number of C findings at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.numbers import counted
from penlight.tasks.base import (
    NATIVE,
    NO_FINDING,
    OF_PROBABILITIES,
    OF_SETS,
    Indicators,
    Question,
    Rows,
    Task,
    View,
    ViewResult,
    two_columns,
)
from penlight.tasks.binary import Binary
from penlight.tasks.links import SIGMOIDS, Link
from penlight.tasks.multi_class import MultiClass


@dataclass(frozen=True)
class MultiLabel(Task):
    """C findings, each present or absent on its own: a sigmoid and a threshold per finding."""

    labels: tuple[str, ...]

    kind: ClassVar[str] = "multi-label"
    head: ClassVar[str] = "sigmoids"
    link: ClassVar[Link] = SIGMOIDS
    exclusive: ClassVar[bool] = False
    uses_thresholds: ClassVar[bool] = True
    sets: ClassVar[str] = "per-finding"
    nouns: ClassVar[tuple[str, str]] = ("finding", "findings")
    n_labels: ClassVar[tuple[int, int]] = (1, 10_000)
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
    figures: ClassVar[tuple[str, ...]] = ("confusion_labels", "confusions", "roc", "precision_recall")

    @property
    def questions(self) -> tuple[Question, ...]:
        """Whether each finding is there."""
        return tuple(Question(label, (c,)) for c, label in enumerate(self.labels))

    @property
    def views(self) -> Mapping[str, View]:
        """Native; and of images with one finding, the rarest of several, any, and one or none."""
        return _VIEWS

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

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """Present where the probability is above the finding's threshold (0.5 unless given)."""
        cut = np.full(len(self.labels), 0.5) if thresholds is None else thresholds
        return (np.asarray(prob) > cut).astype(np.uint8)

    @classmethod
    def suggested_by(cls, values: Sequence[str], several: int, without: int) -> str:
        """See `Task.suggested_by`."""
        if several:
            return f"there are several labels at once, in {counted(several, 'picture')}"
        return f"{counted(without, 'picture')} without a label" if without else ""


def _single(task: Task, native: Mapping[str, Indicators]) -> ViewResult:
    """Images with exactly one finding, as one of C classes."""
    return ViewResult(MultiClass(task.labels), {name: _where(y.sum(axis=1) == 1, y) for name, y in native.items()})


def _dominant(task: Task, native: Mapping[str, Indicators]) -> ViewResult:
    """Images with any finding; of several, the one that is rarest in train stands for the image."""
    rank = np.argsort(np.argsort(native["train"].sum(axis=0), kind="stable"))

    def rarest(y: Indicators) -> Indicators:
        chosen = np.where(y > 0, rank, len(rank)).argmin(axis=1)
        out = np.zeros_like(y)
        out[np.arange(len(y)), chosen] = 1
        return out

    splits = {name: _where(y.sum(axis=1) > 0, rarest(y)) for name, y in native.items()}
    return ViewResult(MultiClass(task.labels), splits)


def _any(task: Task, native: Mapping[str, Indicators]) -> ViewResult:
    """Every image: has it a finding or none."""
    splits = {name: two_columns(y.sum(axis=1) > 0) for name, y in native.items()}
    return ViewResult(Binary((NO_FINDING, "finding"), finding="finding"), splits)


def _single_and_normal(task: Task, native: Mapping[str, Indicators]) -> ViewResult:
    """Images with one finding or none, as one of C + 1 classes, "no finding" first."""

    def with_none(y: Indicators) -> Indicators:
        return np.concatenate([(y.sum(axis=1) == 0)[:, None], y], axis=1).astype(np.uint8)

    splits = {name: _where(y.sum(axis=1) <= 1, with_none(y)) for name, y in native.items()}
    return ViewResult(MultiClass((NO_FINDING, *task.labels)), splits)


def _where(counts: NDArray[np.bool_], y: Indicators) -> tuple[Rows, Indicators]:
    rows = np.flatnonzero(counts)
    return rows, y[rows]


_VIEWS = {
    **NATIVE,
    "single": View("only images with exactly one finding, each as one of the classes", _single),
    "dominant": View(
        "every image with a finding as one class; of several findings, the one that is rarest in train", _dominant
    ),
    "any": View("every image, as one with a finding or one without", _any),
    "single+normal": View("only images with one finding or none, each as one of the classes", _single_and_normal),
}
