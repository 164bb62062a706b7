"""One of C ordered grades."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import UnknownNameError
from penlight.tasks.base import (
    OF_PROBABILITIES,
    OF_SETS,
    Floats,
    Indicators,
    Question,
    encode_classes,
    log_probability,
    logit,
    one_hot,
    sigmoid,
    softmax,
)

RULES = ("argmax", "expected", "kappa")
HEADS = ("cumulative", "softmax")


@dataclass(frozen=True)
class Ordinal:
    """One of C grades in their natural order.

    `head` says what logits are: with "cumulative", C-1 of them, logit k being the log-odds of a grade above k; with
    "softmax", one per grade, which forgets the order in training (the official tables do so).
    `rule` says how a distribution over grades becomes one grade: "argmax", the most probable (the official one);
    "expected", the mean grade rounded half up, which costs less squared error and so a higher weighted kappa; or
    "kappa", the mean grade cut at points that were found for the best weighted kappa (`evaluation.cut_points`).
    `referable` is the lowest grade that needs a referral; None where the notion does not apply.
    """

    labels: tuple[str, ...]
    referable: int | None = None
    head: str = "cumulative"
    rule: str = "argmax"

    kind: ClassVar[str] = "ordinal"
    exclusive: ClassVar[bool] = True
    uses_thresholds: ClassVar[bool] = False
    ordered: ClassVar[bool] = True
    sets: ClassVar[str] = "contiguous"
    nouns: ClassVar[tuple[str, str]] = ("grade", "grades")
    headline: ClassVar[str] = "auc"
    figures: ClassVar[tuple[str, ...]] = ("confusion", "roc", "precision_recall")

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise UnknownNameError("head of ordinal tasks", self.head, HEADS)
        if self.rule not in RULES:
            raise UnknownNameError("decision rule", self.rule, RULES)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The multi-class rows, those that know the order, and those of referable disease where it is defined;
        accuracy as decided where the answer is not the most probable grade."""
        referable = ("auc_referable", "sensitivity_referable", "specificity_referable")
        return (
            "auc",
            "acc",
            *(() if self.rule == "argmax" else ("acc_decided",)),
            "qwk",
            "mae",
            "balanced_accuracy",
            "f1_macro",
            "f1_weighted",
            *(referable if self.referable is not None else ()),
            *OF_PROBABILITIES,
            *OF_SETS,
            "label_precision",
            "label_recall",
            "label_f1",
            "label_auc",
            "label_coverage",
        )

    @property
    def views(self) -> tuple[str, ...]:
        """Native, and referable or not where that is defined."""
        return ("native",) if self.referable is None else ("native", "referable")

    @property
    def questions(self) -> tuple[Question, ...]:
        """Whether the grade needs a referral, where that is defined."""
        if self.referable is None:
            return ()
        return (Question("referable", tuple(range(self.referable, len(self.labels)))),)

    @property
    def cut_points(self) -> tuple[float, ...]:
        """Halfway between the grades, with the rule "kappa"."""
        return self._halfway if self.rule == "kappa" else ()

    @property
    def answers(self) -> str:
        """The expected grade, as `rule` makes a grade of it."""
        best = "cut where weighted kappa was clearly best on held-out answers, else halfway"
        how = {"expected": "rounded", "kappa": best}
        return f"the expected grade, {how[self.rule]}" if self.rule in how else ""

    @property
    def _halfway(self) -> tuple[float, ...]:
        return tuple(k + 0.5 for k in range(len(self.labels) - 1))

    @property
    def n_logits(self) -> int:
        """One per step from a grade to the next, or one per grade, as `head` says."""
        return len(self.labels) - (self.head == "cumulative")

    def reading(self, *, head: str, rule: str) -> "Ordinal":
        """See `Task.reading`; "auto" is the cumulative head."""
        return replace(self, head=HEADS[0] if head == "auto" else head, rule=rule)

    def encode(self, y: NDArray[np.integer]) -> Indicators:
        """See `Task.encode`; `y` holds grades from 0, (N, 1) or (N,)."""
        return encode_classes(y, self.labels)

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Softmax, or differences of cumulative probabilities; of logits that rise from step to step, the lowest so
        far counts."""
        if self.head == "softmax":
            return softmax(logits)
        falling = np.minimum.accumulate(np.asarray(logits, np.float64), axis=1)
        above = np.pad(sigmoid(falling), ((0, 0), (1, 0)), constant_values=1.0)
        not_above = np.pad(sigmoid(-falling), ((0, 0), (0, 1)), constant_values=1.0)
        # P(y = k) = P(y > k-1) - P(y > k); the smaller pair of complements keeps digits in both tails.
        return np.where(
            above <= not_above,
            above - np.pad(above[:, 1:], ((0, 0), (0, 1))),
            not_above - np.pad(not_above[:, :-1], ((0, 0), (1, 0))),
        )

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-probabilities, or log-odds of a grade above k, for k from 0 to C-2."""
        if self.head == "softmax":
            return log_probability(prob)
        above = np.cumsum(np.asarray(prob, np.float64)[:, ::-1], axis=1)[:, ::-1]
        return logit(above[:, 1:])

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """One grade by `rule`; with "kappa", `thresholds` (C-1,) are the points at which the expected grade is cut,
        halfway between the grades where none were found."""
        if self.rule == "argmax":
            return one_hot(np.argmax(prob, axis=1), len(self.labels))
        points = self._halfway if self.rule == "expected" or thresholds is None else thresholds
        return one_hot(cut(self.expected(prob), points), len(self.labels))

    def expected(self, prob: NDArray[np.floating]) -> Floats:
        """(N,) expected grade of (N, C) probabilities."""
        return np.asarray(prob, np.float64) @ np.arange(len(self.labels))


def cut(expected: Floats, points: NDArray[np.floating] | Sequence[float]) -> NDArray[np.int64]:
    """Give the grade of each expected grade (N,): the number of `points`, which rise, that it reaches."""
    return np.searchsorted(np.asarray(points, np.float64), expected, side="right").astype(np.int64)
