"""The run folder: what was asked for, what was made, and proof that it is whole.

Files are written whole or not at all; a run is complete when its manifest is there, and readers check each file
against it.
"""

from typing import TYPE_CHECKING

from penlight.lazy import names_on_request

if TYPE_CHECKING:
    from penlight.runs.answers import FOLDS_SPLIT, Answers, Joined, answer, join_folds
    from penlight.runs.facts import ModelFacts, facts_from_properties
    from penlight.runs.files import write_bytes, write_json, write_text
    from penlight.runs.folder import Run, RunWriter, open_run, read_claim
    from penlight.runs.predictions import Predictions, predictions_from_bytes, to_bytes
    from penlight.runs.predictor import Predictor, open_predictor
    from penlight.runs.provenance import machine, matrix_rate, versions

# On request, since a worker process that answers for a picture needs few of them.
_PLACES = {
    "answers": "FOLDS_SPLIT Answers Joined answer join_folds",
    "facts": "ModelFacts facts_from_properties",
    "files": "write_bytes write_json write_text",
    "folder": "Run RunWriter open_run read_claim",
    "predictions": "Predictions predictions_from_bytes to_bytes",
    "predictor": "Predictor open_predictor",
    "provenance": "machine matrix_rate versions",
}
__getattr__ = names_on_request(__name__, _PLACES)

__all__ = [
    "FOLDS_SPLIT",
    "Answers",
    "Joined",
    "ModelFacts",
    "Predictions",
    "Predictor",
    "Run",
    "RunWriter",
    "answer",
    "facts_from_properties",
    "join_folds",
    "machine",
    "matrix_rate",
    "open_predictor",
    "open_run",
    "predictions_from_bytes",
    "read_claim",
    "to_bytes",
    "versions",
    "write_bytes",
    "write_json",
    "write_text",
]
