"""One of C ordered grades."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError, UnknownNameError
from penlight.escaping import label_list, named, shown
from penlight.numbers import decimal_text
from penlight.tasks.base import (
    NATIVE,
    OF_PROBABILITIES,
    OF_SETS,
    Indicators,
    Question,
    Task,
    View,
    ViewResult,
    one_hot,
    two_columns,
)
from penlight.tasks.binary import Binary
from penlight.tasks.links import CUMULATIVE, SOFTMAX, Floats, Link

RULES = ("argmax", "expected", "kappa")
HEADS = ("cumulative", "softmax")

_SEVERITY: Mapping[str, int] = {
    **dict.fromkeys(("none", "no", "normal", "healthy", "absent", "negative"), 0),
    **dict.fromkeys(("minimal", "questionable", "doubtful"), 1),
    **dict.fromkeys(("mild", "low", "early", "slight"), 2),
    **dict.fromkeys(("moderate", "medium", "intermediate"), 3),
    **dict.fromkeys(("severe", "high", "late", "advanced"), 4),
    **dict.fromkeys(("proliferative", "critical"), 5),
}
_ORDERED_WORDS = {word for word, rank in _SEVERITY.items() if rank}


@dataclass(frozen=True)
class Ordinal(Task):
    """One of C grades in their natural order.

    `head` says what logits are: with "cumulative", C-1 of them, logit k being the log-odds of a grade above k; with
    "softmax", one per grade, which forgets the order in training (the official tables do so).
    `rule` says how a distribution over grades becomes one grade: "argmax", the most probable (the official one);
    "expected", the mean grade rounded half up, which costs less squared error and so a higher weighted kappa; or
    "kappa", the mean grade cut at points that were found for the best weighted kappa (`evaluation.thresholds`).
    `referable` is the lowest grade that needs a referral; None where the notion does not apply.
    """

    labels: tuple[str, ...]
    referable: int | None = None
    head: str = "cumulative"
    rule: str = "argmax"

    kind: ClassVar[str] = "ordinal"
    ordered: ClassVar[bool] = True
    sets: ClassVar[str] = "contiguous"
    nouns: ClassVar[tuple[str, str]] = ("grade", "grades")
    options: ClassVar[Mapping[str, type]] = {"referable": int}

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise UnknownNameError("head of ordinal tasks", self.head, HEADS)
        if self.rule not in RULES:
            raise UnknownNameError("decision rule", self.rule, RULES)
        if not 0 <= (self.referable or 0) < len(self.labels):
            raise DataError(f"The lowest grade that needs a referral is none of {len(self.labels)}.")

    @property
    def link(self) -> Link:
        """As `head` says."""
        return SOFTMAX if self.head == "softmax" else CUMULATIVE

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
    def views(self) -> Mapping[str, View]:
        """Native, and referable or not where that is defined."""
        return NATIVE if self.referable is None else {**NATIVE, "referable": _REFERABLE}

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

    def with_head(self, *, head: str, rule: str) -> "Ordinal":
        """See `Task.with_head`; "auto" is the cumulative head."""
        return replace(self, head=HEADS[0] if head == "auto" else head, rule=rule)

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

    def why_decided(self, prob: Floats, thresholds: Sequence[float] | None) -> str:
        """See `Task.why_decided`; the expected grade is another."""
        cuts = self.cut_points if thresholds is None else tuple(thresholds)
        how = f"cut at {', '.join(decimal_text(cut, 2) for cut in cuts)}" if cuts else "rounded"
        grade = decimal_text(float(self.expected(prob[None])[0]), 2)
        return f"the answer is the expected grade, {grade} with {self.labels[0]} as 0, {how}."

    @classmethod
    def suggested_by(cls, values: Sequence[str], several: int, without: int) -> str:
        """Names never show an order for certain: DataError where they may have one."""
        numbered = all(re.search(r"\d", value) for value in values)
        if len(values) > 2 and (numbered or sum(bool(_words(value) & _ORDERED_WORDS) for value in values) > 1):
            raise DataError(
                f"The labels {named(values)} may be grades in their order or not, which only you can say.",
                "Give --task ordinal or --task multi-class.",
            )
        return ""

    @classmethod
    def in_order(cls, values: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """The lowest grade first, by numbers or words of severity in the names."""
        ranks = [_rank(value) for value in values]
        if None in ranks or len(set(ranks)) < len(ranks):
            raise DataError(
                f"The order of {label_list(values)} cannot be read from their names.",
                "Give it, the lowest first, as --order.",
            )
        return tuple(value for _, value in sorted(zip(ranks, values, strict=True))), ""

    @classmethod
    def described(cls, labels: tuple[str, ...], options: Mapping[str, Any]) -> "Ordinal":
        """See `Task.described`; `referable` is the lowest grade that needs a referral."""
        first = options.get("referable")
        if first is not None and not 0 < first < len(labels):
            raise DataError(f"referable must be a grade from 1 to {len(labels) - 1}, {shown(first)} came.")
        return cls(labels, first)


def cut(expected: Floats, points: NDArray[np.floating] | Sequence[float]) -> NDArray[np.int64]:
    """Give the grade of each expected grade (N,): the number of `points`, which rise, that it reaches."""
    return np.searchsorted(np.asarray(points, np.float64), expected, side="right").astype(np.int64)


def _rank(value: str) -> float | None:
    if number := re.search(r"\d+(?:\.\d+)?", value):
        return float(number[0])
    return next((_SEVERITY[word] for word in sorted(_words(value)) if word in _SEVERITY), None)


def _words(value: str) -> set[str]:
    return set(re.split(r"[^a-z]+", value.casefold()))


def _referable(task: Task, native: Mapping[str, Indicators]) -> ViewResult:
    """Every image: is its grade one that needs a referral."""
    columns = list(task.questions[0].columns)
    splits = {name: two_columns(y[:, columns].sum(axis=1) > 0) for name, y in native.items()}
    return ViewResult(Binary(("not referable", "referable"), finding="referable"), splits)


_REFERABLE = View("every image, as one whose grade needs a referral or one whose grade does not", _referable)
