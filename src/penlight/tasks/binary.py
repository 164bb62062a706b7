"""One of two classes. The second is the official positive class; which of them is the finding may be known."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.escaping import label_list, shown
from penlight.numbers import decimal_text
from penlight.tasks.base import OF_PROBABILITIES, OF_SETS, Indicators, ProposedOption, Question, Task, one_hot
from penlight.tasks.links import SIGMOID, Floats, Link

_NEGATIVE = {"normal", "no", "negative", "neg", "benign", "healthy", "none", "0", "control", "absent", "false"}
# What says by itself that nothing was found, and what is neither that nor a finding. "0", "no" and "false" alone
# answer a question that is not known.
_FOUND_NOTHING = {"normal", "normals", "negative", "neg", "benign", "healthy", "absent"}
_WITHOUT = {"no", "non", "without", "not"}
_NEITHER = {
    *("unknown", "uncertain", "unsure", "unclear", "indeterminate", "other", "others", "rest", "excluded"),
    *("usable", "unusable", "gradable", "ungradable", "diagnostic", "nondiagnostic"),
    *("quality", "good", "poor", "bad"),
}
_FINDING = "the finding, of whose images sensitivity is the share that is found"


@dataclass(frozen=True)
class Binary(Task):
    """Negative or positive, as two columns; one logit, for the positive class.

    `finding` is the label that is looked for, such as "malignant", where it is known; the official tables take the
    second class as positive whichever that is. It changes no probability, so tasks are equal without it.
    """

    labels: tuple[str, ...]
    finding: str | None = field(default=None, compare=False)

    kind: ClassVar[str] = "binary"
    head: ClassVar[str] = "sigmoid"
    link: ClassVar[Link] = SIGMOID
    uses_thresholds: ClassVar[bool] = True
    n_labels: ClassVar[tuple[int, int]] = (2, 2)
    positive: ClassVar[int | None] = 1
    options: ClassVar[Mapping[str, type]] = {"positive": str}

    def __post_init__(self) -> None:
        if len(self.labels) != 2:
            raise DataError(f"A binary task has two labels, {len(self.labels)} came: {label_list(self.labels)}.")
        if self.finding is not None and self.finding not in self.labels:
            raise DataError(f"The finding of a binary task is none of its labels {label_list(self.labels)}.")

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
    def tuned_columns(self) -> tuple[int, ...]:
        """That of the finding."""
        return (self.sought,)

    @property
    def negative_finding(self) -> str | None:
        """The first class, where that is the finding."""
        return None if self.sought == 1 else self.labels[0]

    def decide(self, prob: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None) -> Indicators:
        """Positive where the second column is above its threshold (0.5 unless given)."""
        cut = 0.5 if thresholds is None else thresholds[1]
        return one_hot((prob[:, 1] > cut).astype(np.int64), 2)

    def question_threshold(self, question: Question, thresholds: Sequence[float]) -> float:
        """The second class is cut, and the first is answered below that."""
        cut = float(thresholds[1])
        return cut if question.columns[0] else 1 - cut

    def why_decided(self, prob: Floats, thresholds: Sequence[float] | None) -> str:
        """See `Task.why_decided`; the threshold is not 0.5."""
        cut = 0.5 if thresholds is None else thresholds[1]
        above = "above" if prob[1] > cut else "not above"
        return f"{self.labels[1]} is answered above {decimal_text(cut)}, and {decimal_text(prob[1])} is {above} it."

    @classmethod
    def suggested_by(cls, values: Sequence[str], several: int, without: int) -> str:
        """See `Task.suggested_by`."""
        return "each picture has one of two labels" if len(values) == 2 else ""

    @classmethod
    def in_order(cls, values: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """The finding last, where the names say which it is."""
        finding = propose_finding(values)
        negative = [value for value in values if (_is_negative(value) if finding is None else value != finding)]
        if len(negative) == 1:
            return (negative[0], next(value for value in values if value != negative[0])), ""
        return tuple(values), f"'{values[1]}' is taken as what is looked for; if it is '{values[0]}', give --order."

    @classmethod
    def proposed_options(cls, values: Sequence[str]) -> tuple[ProposedOption, ...]:
        """Which of the two is the finding."""
        finding = propose_finding(values)
        if finding is None:
            comment = f"{_FINDING}; remove the first # if it is this label, or name the other"
            return (ProposedOption("positive", values[1], comment, sure=False),)
        comment = f"{_FINDING}; change it if it is the other label"
        note = f"'{finding}' is taken as the finding; correct `positive` in the description if it is the other."
        return (ProposedOption("positive", finding, comment, sure=True, note=note),)

    @classmethod
    def described(cls, labels: tuple[str, ...], options: Mapping[str, Any]) -> "Binary":
        """See `Task.described`; `positive` is the finding."""
        finding = options.get("positive")
        if finding is not None and finding not in labels:
            raise DataError(
                f"positive must be one of the labels; {shown(finding)} came.",
                f"Give it as `labels` has it: {label_list(labels)}.",
            )
        return cls(labels, finding)


def propose_finding(values: Sequence[str]) -> str | None:
    """Give the one of two labels that is the finding, where the words of the other say that there is none of it, as
    "normal", "benign", "healthy" or "no X" do beside X; None where they do not say it plainly."""
    if len(values) != 2:
        return None
    nothing = [_says_nothing_found(value) for value in values]
    finding = values[nothing.index(False)] if any(nothing) and not all(nothing) else ""
    words = [word for word in re.split(r"[\W_]+", finding.casefold()) if word]
    if not words or set(words) & _NEITHER or all(word.isdigit() for word in words):
        return None
    return finding


def _says_nothing_found(value: str) -> bool:
    words = re.split(r"[\W_]+", value.casefold().strip(" _-"))
    if words[0] in _WITHOUT and len(words) > 1:
        return not set(words[1:]) & _FOUND_NOTHING  # "not normal" is a finding
    return bool(set(words) & _FOUND_NOTHING)


def _is_negative(value: str) -> bool:
    text = value.casefold().replace("_", " ")
    return text in _NEGATIVE or text.startswith(("no ", "non ", "non-", "not "))
