"""Which figures a task may name, and what draws them."""

from typing import Any

from penlight.reports.displays.confusion import ConfusionMatrix, LabelConfusion
from penlight.reports.displays.confusions import Confusions
from penlight.reports.displays.curves import PrecisionRecallCurves, RocCurves

DISPLAYS: dict[str, type[Any]] = {
    "confusion": ConfusionMatrix,
    "confusion_labels": LabelConfusion,
    "confusions": Confusions,
    "roc": RocCurves,
    "precision_recall": PrecisionRecallCurves,
}
