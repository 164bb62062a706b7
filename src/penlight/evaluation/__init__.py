"""How good, and how sure: metrics, intervals, calibration, decisions. NumPy alone; whoever made the predictions.

Add a metric by writing its function and putting it into `METRICS`; a task then lists its name.
"""

from typing import TYPE_CHECKING

from penlight.lazy import names_on_request

if TYPE_CHECKING:
    from penlight.evaluation.calibration import Calibration, find_calibration
    from penlight.evaluation.conformal import Conformal, fit_conformal
    from penlight.evaluation.decision import Decision, find_decision
    from penlight.evaluation.intervals import bootstrap_weights
    from penlight.evaluation.metrics import METRICS, Metric, Sample
    from penlight.evaluation.novelty import Novelty
    from penlight.evaluation.rows import FoldsRow, MetricRow, SeedsRow, find_row, row_from_dict
    from penlight.evaluation.scores import headline_value, score, score_seeds

# On request, since a worker process that answers for a picture needs few of them.
_PLACES = {
    "calibration": "Calibration find_calibration",
    "conformal": "Conformal fit_conformal",
    "decision": "Decision find_decision",
    "intervals": "bootstrap_weights",
    "metrics": "METRICS Metric Sample",
    "novelty": "Novelty",
    "rows": "FoldsRow MetricRow SeedsRow find_row row_from_dict",
    "scores": "headline_value score score_seeds",
}
__getattr__ = names_on_request(__name__, _PLACES)

__all__ = [
    "METRICS",
    "Calibration",
    "Conformal",
    "Decision",
    "FoldsRow",
    "Metric",
    "MetricRow",
    "Novelty",
    "Sample",
    "SeedsRow",
    "bootstrap_weights",
    "find_calibration",
    "find_decision",
    "find_row",
    "fit_conformal",
    "headline_value",
    "row_from_dict",
    "score",
    "score_seeds",
]
