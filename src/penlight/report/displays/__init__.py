"""Displays: compute, then draw. Each is made from predictions, rows or a history, and holds numbers.

Add one by writing its dataclass after `Display`. Those that a task names in `figures` stand in `DISPLAYS`; they are
made by `from_predictions(predictions, decided)`.
"""

from typing import Any

from penlight.report.displays.base import Display, Layout
from penlight.report.displays.classes import ClassDistribution
from penlight.report.displays.confusion import ConfusionMatrix, LabelConfusion
from penlight.report.displays.curves import PrecisionRecallCurves, RocCurves
from penlight.report.displays.data import AlongTheFile, PerImage, Presence, Together
from penlight.report.displays.decision_curve import DecisionCurve
from penlight.report.displays.examples import ErrorStrip, Example, MissStrip, RightStrip
from penlight.report.displays.label_scores import LabelScores
from penlight.report.displays.learning import LearningCurves, SeedCurves
from penlight.report.displays.looked_at import Look, LookedAt
from penlight.report.displays.novelty import UnusualImages
from penlight.report.displays.published import PublishedScores
from penlight.report.displays.rates import LabelRates
from penlight.report.displays.reliability import Reliability
from penlight.report.displays.robustness import CorruptionCurves, CorruptionStrip
from penlight.report.displays.score_bars import ScoreBars, headline_rows
from penlight.report.displays.seeds import SeedDots
from penlight.report.displays.selective import AnswerSets, RiskCurve
from penlight.report.displays.subgroups import SubgroupForest
from penlight.report.displays.taken_for import TakenFor

DISPLAYS: dict[str, type[Any]] = {
    "confusion": ConfusionMatrix,
    "confusion_labels": LabelConfusion,
    "taken_for": TakenFor,
    "roc": RocCurves,
    "precision_recall": PrecisionRecallCurves,
}

__all__ = [
    "DISPLAYS",
    "AlongTheFile",
    "AnswerSets",
    "ClassDistribution",
    "ConfusionMatrix",
    "CorruptionCurves",
    "CorruptionStrip",
    "DecisionCurve",
    "Display",
    "ErrorStrip",
    "Example",
    "LabelConfusion",
    "LabelRates",
    "LabelScores",
    "Layout",
    "LearningCurves",
    "Look",
    "LookedAt",
    "MissStrip",
    "PerImage",
    "PrecisionRecallCurves",
    "Presence",
    "PublishedScores",
    "Reliability",
    "RightStrip",
    "RiskCurve",
    "RocCurves",
    "ScoreBars",
    "SeedCurves",
    "SeedDots",
    "SubgroupForest",
    "TakenFor",
    "Together",
    "UnusualImages",
    "headline_rows",
]
