"""Exactly one of C classes, without order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from penlight.tasks.base import OF_PROBABILITIES, OF_SETS, Task
from penlight.tasks.links import SOFTMAX, Link


@dataclass(frozen=True)
class MultiClass(Task):
    """One of C classes: softmax probabilities, the most probable class is the answer."""

    labels: tuple[str, ...]

    kind: ClassVar[str] = "multi-class"
    head: ClassVar[str] = "softmax"
    link: ClassVar[Link] = SOFTMAX
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

    @classmethod
    def suggested_by(cls, values: Sequence[str], several: int, without: int) -> str:
        """See `Task.suggested_by`; what no other task claims."""
        return f"each picture has one of {len(values)} labels, and their names show no order"
