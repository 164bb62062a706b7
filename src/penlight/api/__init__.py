"""What the commands, the server and a notebook call: train, study, tune, evaluate, score, compare, export, report.

Each function takes plain values, raises a PenlightError where a user can help, and gives a result whose
`to_dict()` is the JSON of the command.
"""

from penlight.api.comparing import ComparedRuns, compare
from penlight.api.datasets import audit, fetch, new_dataset, show
from penlight.api.exports import Exported, export
from penlight.api.planning import plan
from penlight.api.reports import displays, report
from penlight.api.requests import (
    is_recipe_file,
    list_recipes,
    request,
    resolve_decide,
    resolve_recipe,
    resolve_request,
)
from penlight.api.results import Audited, Scores, SeedsScores, Shown, Studied, Trained, Tuned, Watcher
from penlight.api.robustness import Corrupted, evaluate_corrupted
from penlight.api.scoring import evaluate, score
from penlight.api.studies import plan_study, study
from penlight.api.sweeping import SWEEP, Swept, sweep
from penlight.api.training import train
from penlight.api.tuning import tune

__all__ = [
    "SWEEP",
    "Audited",
    "ComparedRuns",
    "Corrupted",
    "Exported",
    "Scores",
    "SeedsScores",
    "Shown",
    "Studied",
    "Swept",
    "Trained",
    "Tuned",
    "Watcher",
    "audit",
    "compare",
    "displays",
    "evaluate",
    "evaluate_corrupted",
    "export",
    "fetch",
    "is_recipe_file",
    "list_recipes",
    "new_dataset",
    "plan",
    "plan_study",
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
