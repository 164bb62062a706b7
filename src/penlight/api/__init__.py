"""What the commands, the server and a notebook call: train, evaluate, compare, predict, explain, export, report.

Each function takes plain values, raises a PenlightError where a user can help, and gives a result whose
`to_dict()` is the JSON of the command.
"""

from typing import TYPE_CHECKING

from penlight.lazy import names_on_request

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
    from penlight.api.sharing import Copied, export_for_sharing, export_without_images
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
    "sharing": "Copied export_for_sharing export_without_images",
    "studies": "plan_study study",
    "sweeping": "SWEEP Swept sweep",
    "training": "train",
    "tuning": "tune",
}

__all__ = [
    "SWEEP",
    "Audited",
    "ComparedRuns",
    "Copied",
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
    "export_for_sharing",
    "export_without_images",
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

# `penlight predict` must not wait for what only training needs.
__getattr__ = names_on_request(__name__, _PLACES)
