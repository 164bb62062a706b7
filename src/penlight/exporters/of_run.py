"""The model.onnx that every run keeps, proved on a few images of val."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from penlight.data import ViewedDataset
from penlight.data.reads import read
from penlight.errors import ExportError
from penlight.evaluation import Decision
from penlight.recipes import Recipe
from penlight.records import Record, json_key
from penlight.runs import ModelFacts, Predictions, Predictor, RunWriter
from penlight.runs.exports import ExportedFile, Parity
from penlight.runs.predictor import MODEL

RECORD = "export.json"
"""What is known of each exported file of a run, by its name."""


# Training asks its file for so many images of val: enough to see a wrong layer, too few to wait for.
_QUICK = 64


class Exported(Record):
    """What `export` made: the file, its format, and how it compares with the model."""

    file: Path
    to: str = json_key("format")
    bytes: int
    parity: Parity = json_key(inline=True)
    written: bool = True

    def record(self) -> ExportedFile:
        """Give what export.json holds of the file."""
        return ExportedFile(True, format=self.to, bytes=self.bytes, parity=self.parity)


def write_onnx(
    writer: RunWriter, model: Any, view: ViewedDataset, val: Predictions, decision: Decision, kept: str
) -> None:
    """Write model.onnx into a run that is being made, checked on images of val; export.json says how far it is off.
    `kept` names the model.

    A file that does not answer as the model does is not written, and export.json says why.
    """
    from penlight.exporters import compare, require_close
    from penlight.exporters.onnx_file import onnx_file

    facts = facts_of(writer.recipe, view, val, decision, writer.seed, kept)
    few = val.part(slice(_QUICK))
    try:
        content = onnx_file(model, facts, decision.calibration)
        parity = compare(Predictor(content, MODEL).answer, read(view.splits["val"].images, few.index), few, decision)
        require_close(parity, writer.recipe.train.precision, MODEL)
    except ExportError as error:
        writer.write_json(RECORD, {MODEL: ExportedFile(False, str(error))})
        return
    writer.write(MODEL, content)
    # Scores of so few images would say nothing.
    record = Exported(writer.path / MODEL, "onnx", len(content), replace(parity, changes=())).record()
    writer.write_json(RECORD, {MODEL: record})


def facts_of(
    recipe: Recipe, view: ViewedDataset, predictions: Predictions, decision: Decision, seed: int, kept: str
) -> ModelFacts:
    """Gather what a file is to say of the model of a run, which is `kept`: that of the recipe, or a baseline."""
    info = view.dataset.info
    return ModelFacts(
        task=predictions.task,
        size=view.dataset.size,
        channels=info.channels,
        dataset=info.name,
        view=view.view,
        licence=info.licence,
        thresholds=decision.thresholds,
        backbone=kept,
        recipe_hash=recipe.hash,
        seed=seed,
        data_hash=view.dataset.md5,
    )
