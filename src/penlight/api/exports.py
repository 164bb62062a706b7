"""Export a run's model to a file, and prove that the file answers as the model does."""

from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, path_of, path_or_none
from penlight.data import ViewedDataset
from penlight.data.accesses import TestAccessLog
from penlight.errors import RunError, UnknownNameError
from penlight.exporters.parity import RECORD, Exported, facts_of
from penlight.recipes import Estimator
from penlight.records import json_text
from penlight.runs import Predictions, RunFolder, open_run, write_bytes, write_json
from penlight.runs.dataset import view_of
from penlight.runs.encoders import require_known_licences
from penlight.runs.predictor import MODEL, no_model

if TYPE_CHECKING:
    from penlight.exporters import ExportSource


@checked
def export(
    run: PathLike, to: str = "onnx", *, out: PathLike | None = None, licence_checked: bool = False
) -> Exported:
    """Write a run's model in one of the formats of `penlight.exporters.EXPORTERS`: "onnx" or "keras".

    What was written is asked the whole test split, one image at a time and by sevens; ExportError, and no file, if
    it does not answer as the model does. `out` is the file to write, with its comparison beside it as
    <file>.json; by default both are in the run. Where the file contains an encoder whose licence is not known, it
    leaves the run only if you say by `licence_checked` that it may be passed on.

    Examples
    --------
    >>> pl.export("runs/retina", "onnx", out="retina.onnx").file.name
    'retina.onnx'
    """
    path, out = path_of(run, "run folder"), path_or_none(out, "file for out")
    from penlight.exporters import EXPORTERS, compare, require_close

    if to not in EXPORTERS:
        raise UnknownNameError("format", to, EXPORTERS)
    opened = open_run(path)
    if name := opened.made_elsewhere:
        raise no_model(opened, name)
    view = view_of(opened.recipe)
    test = opened.model_predictions("test")
    if view.dataset.md5 != test.data_hash:
        raise RunError(
            f"The run {path} was made from another file of {opened.recipe.data.dataset} than the one here.",
            "Put back the file it was made from.",
        )
    TestAccessLog(view.dataset, "export").add(view.view, opened.recipe.hash, opened.seed, opened.name)
    exporter = EXPORTERS[to]
    content = exporter.write(_source(opened, view, test))
    if out is not None and to == "onnx":
        require_known_licences(content, MODEL, checked=licence_checked)
    file = out or opened.path / exporter.file
    parity = compare(exporter.answering(content), view.splits["test"].chosen, test, opened.decision)
    require_close(parity, opened.recipe.train.precision, str(file))
    exported = Exported(file, to, len(content), parity)
    _keep(opened, exported, content, out)
    return exported


def _source(run: RunFolder, view: ViewedDataset, test: Predictions) -> "ExportSource":
    from penlight.exporters import ExportSource

    network, made = None, b""
    if run.has("model.keras"):
        from penlight.models.keras_files import network_of

        network = network_of(run)
    elif run.has(MODEL):
        made = run.read(MODEL)
    elif isinstance(run.recipe.model, Estimator):
        raise RunError(f"The run {run.path} keeps no model.", run.exports[MODEL].reason or "")
    else:
        raise RunError(f"The run {run.path} keeps no model.", f"Repeat it: {run.command} --out FOLDER")
    facts = facts_of(run.recipe, view, test, run.decision, run.seed, run.kept_model)
    return ExportSource(network, made, facts, run.decision.calibration)


def _keep(run: RunFolder, exported: Exported, content: bytes, out: Path | None) -> None:
    """Write the file, then what is known of it."""
    if out is not None:
        write_bytes(out, content)
        write_json(out.with_name(f"{out.name}.json"), exported.record())
        return
    name = exported.file.name
    known = run.exports
    run.replace(name, content)
    run.replace(RECORD, json_text({**known, name: exported.record()}).encode())
