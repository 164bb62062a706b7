"""Which figures a task may name, and what draws them."""

from typing import Any

from penlight.reports.displays.confusion import ConfusionMatrix, LabelConfusion
from penlight.reports.displays.curves import PrecisionRecallCurves, RocCurves
from penlight.reports.displays.taken_for import Confusions

DISPLAYS: dict[str, type[Any]] = {
    "confusion": ConfusionMatrix,
    "confusion_labels": LabelConfusion,
    "taken_for": Confusions,
    "roc": RocCurves,
    "precision_recall": PrecisionRecallCurves,
}
