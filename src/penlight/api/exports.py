"""Export a run's model to a file, and prove that the file answers as the model does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.api.described import view_of
from penlight.data import ViewedDataset
from penlight.data.reads import read
from penlight.data.tested import TestAccessLog
from penlight.errors import ExportError, RunError, UnknownNameError
from penlight.evaluation import Decision
from penlight.recipes import Recipe
from penlight.runs import ModelFacts, Predictions, Predictor, Run, RunWriter, open_run, write_bytes, write_json
from penlight.runs.predictor import MODEL

if TYPE_CHECKING:
    from penlight.exporters import ExportSource, Parity

RECORD = "export.json"
"""What is known of each exported file of a run, by its name."""

# Training asks its file for so many images of val: enough to see a wrong layer, too few to wait for.
_QUICK = 64


@dataclass(frozen=True)
class Exported:
    """What `export` made: the file, its format, and how it compares with the model."""

    file: Path
    to: str
    bytes: int
    parity: "Parity"

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"file": str(self.file), **self.record()}

    def record(self) -> dict[str, Any]:
        """Give what export.json holds of the file."""
        about = {"written": True, "format": self.to, "bytes": self.bytes}
        return {**about, **self.parity.to_dict()}


def export(path: Path, to: str = "onnx", *, out: Path | None = None) -> Exported:
    """Write a run's model as "onnx" or "keras".

    What was written is asked the whole test split, one image at a time and by sevens; ExportError, and no file, if
    it does not answer as the model does. `out` is the file to write, with its comparison beside it as
    <file>.json; by default both are in the run.
    """
    from penlight.exporters import EXPORTERS, compare, require_close

    if to not in EXPORTERS:
        raise UnknownNameError("format", to, EXPORTERS)
    run = open_run(path)
    view = view_of(run.recipe)
    test = run.predictions("test")
    if view.dataset.md5 != test.data_hash:
        raise RunError(
            f"The run {path} was made from another file of {run.recipe.data.dataset} than the one here.",
            "Put back the file it was made from.",
        )
    TestAccessLog(view.dataset, "export").add(view.view, run.recipe.hash, run.seed, run.name)
    exporter = EXPORTERS[to]
    content = exporter.write(_source(run, view, test))
    # model.keras is the network that was trained; what is written answers with calibrated probabilities.
    file = out or path / f"{'answers' if to == 'keras' else 'model'}{exporter.ending}"
    parity = compare(exporter.answering(content), view.splits["test"].chosen, test, run.decision)
    require_close(parity, run.recipe.train.precision, str(file))
    exported = Exported(file, to, len(content), parity)
    _keep(run, exported, content, out)
    return exported


def _source(run: Run, view: ViewedDataset, test: Predictions) -> "ExportSource":
    from penlight.exporters import ExportSource

    network, made = None, b""
    if run.has("model.keras"):
        from penlight.models.files import network_from_bytes

        network = network_from_bytes(run.read("model.keras"))
    elif run.has(MODEL):
        made = run.read(MODEL)
    else:
        raise RunError(f"The run {run.path} keeps no model.", f"Repeat it: {run.command} --out FOLDER")
    facts = facts_of(run.recipe, view, test, run.decision, run.seed, run.kept_model)
    return ExportSource(network, made, facts, run.decision.calibration)


def _keep(run: Run, exported: Exported, content: bytes, out: Path | None) -> None:
    """Write the file, then what is known of it."""
    if out is not None:
        write_bytes(out, content)
        write_json(out.with_name(f"{out.name}.json"), exported.record())
        return
    name = exported.file.name
    known = run.exports
    run.replace(name, content)
    record = json.dumps({**known, name: exported.record()}, indent=1, allow_nan=False)
    run.replace(RECORD, f"{record}\n".encode())


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
        writer.write_json(RECORD, {MODEL: {"written": False, "reason": str(error)}})
        return
    writer.write(MODEL, content)
    record = Exported(writer.path / MODEL, "onnx", len(content), parity).record()
    # Scores of so few images would say nothing.
    writer.write_json(RECORD, {MODEL: {**record, "metrics": []}})


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
