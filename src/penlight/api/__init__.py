"""What the commands, the server and a notebook call: train, evaluate, compare, predict, explain, export, report.

Each function takes plain values, raises a PenlightError where a user can help, and gives a result whose
`to_dict()` is the JSON of the command.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penlight.api.comparing import ComparedRuns, compare
    from penlight.api.datasets import audit, fetch, new_dataset, show
    from penlight.api.explaining import Explained, Explainer, Explanation, Source, explain, open_explainer
    from penlight.api.exports import Exported, export
    from penlight.api.folding import cross_validate
    from penlight.api.planning import plan
    from penlight.api.predicting import Predicted, predict
    from penlight.api.reports import displays, report
    from penlight.api.requests import (
        is_recipe_file,
        list_recipes,
        request,
        resolve_decide,
        resolve_recipe,
        resolve_request,
    )
    from penlight.api.results import (
        Audited,
        FoldsScores,
        Scores,
        SeedsScores,
        Shown,
        Studied,
        Trained,
        Tuned,
        Watcher,
    )
    from penlight.api.robustness import Corrupted, evaluate_corrupted
    from penlight.api.scoring import evaluate, score
    from penlight.api.studies import plan_study, study
    from penlight.api.sweeping import SWEEP, Swept, sweep
    from penlight.api.training import train
    from penlight.api.tuning import tune

# Which file has which names.
_PLACES = {
    "comparing": "ComparedRuns compare",
    "datasets": "audit fetch new_dataset show",
    "explaining": "Explained Explainer Explanation Source explain open_explainer",
    "exports": "Exported export",
    "folding": "cross_validate",
    "planning": "plan",
    "predicting": "Predicted predict",
    "reports": "displays report",
    "requests": "is_recipe_file list_recipes request resolve_decide resolve_recipe resolve_request",
    "results": "Audited FoldsScores Scores SeedsScores Shown Studied Trained Tuned Watcher",
    "robustness": "Corrupted evaluate_corrupted",
    "scoring": "evaluate score",
    "studies": "plan_study study",
    "sweeping": "SWEEP Swept sweep",
    "training": "train",
    "tuning": "tune",
}

__all__ = [
    "SWEEP",
    "Audited",
    "ComparedRuns",
    "Corrupted",
    "Explained",
    "Explainer",
    "Explanation",
    "Exported",
    "FoldsScores",
    "Predicted",
    "Scores",
    "SeedsScores",
    "Shown",
    "Source",
    "Studied",
    "Swept",
    "Trained",
    "Tuned",
    "Watcher",
    "audit",
    "compare",
    "cross_validate",
    "displays",
    "evaluate",
    "evaluate_corrupted",
    "explain",
    "export",
    "fetch",
    "is_recipe_file",
    "list_recipes",
    "new_dataset",
    "open_explainer",
    "plan",
    "plan_study",
    "predict",
    "report",
    "request",
    "resolve_decide",
    "resolve_recipe",
    "resolve_request",
    "score",
    "show",
    "study",
    "sweep",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import a part when it is asked for: `penlight predict` must not wait for what only training needs."""
    for module, names in _PLACES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"penlight.api.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
