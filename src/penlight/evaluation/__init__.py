"""How good, and how sure: metrics, intervals, decisions. NumPy alone; whoever made the predictions.

Add a metric by writing its function and putting it into `METRICS`; a task then lists its name.
"""

from penlight.evaluation.decision import Decision, find_decision
from penlight.evaluation.intervals import bootstrap_weights
from penlight.evaluation.metrics import METRICS, Metric, Sample
from penlight.evaluation.rows import MetricRow, SeedsRow, find_row, row_from_dict
from penlight.evaluation.scores import headline_value, score, score_seeds

__all__ = [
    "METRICS",
    "Decision",
    "Metric",
    "MetricRow",
    "Sample",
    "SeedsRow",
    "bootstrap_weights",
    "find_decision",
    "find_row",
    "headline_value",
    "row_from_dict",
    "score",
    "score_seeds",
]
