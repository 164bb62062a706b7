"""The last step of folds and of seeds: their models become one, in a run folder inside theirs.

It is a run like any other, but for its answers to val: those of folds are the answers out of fold, to train and val.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from penlight.data import ViewedDataset
from penlight.errors import ExportError, RunError
from penlight.evaluation import Decision
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import KeptModel, RunModel, RunSpec, read_test_and_complete
from penlight.exporters.parity import Proved, facts_of, prove, write_proved
from penlight.models.averaged import AveragedModel, ServedModel
from penlight.runs import Predictions, RunFolder, RunWriter, answer, open_predictor, open_run
from penlight.runs.folder import PLAN, run_folder_in
from penlight.runs.groups import FINAL
from penlight.runs.predictor import MODEL
from penlight.runs.scoring import decide_on
from penlight.training import Fitted

_ASKED = 64
"""Images of val by which the file is proved to answer as the models together."""


def make_final(
    first: RunSpec, runs: Sequence[RunFolder], held_out: Predictions, data: OpenedData, listener: ProgressListener
) -> RunFolder | None:
    """Make one model of those of `runs`, the runs of the folder of `first`, and answer test by it, once.

    It is calibrated and decided on `held_out`, answers to images by models that were not trained on them. A run that
    is there is left as it is. None, and a warning, where a model has no ONNX file or the whole would be too large for
    a run.
    """
    spec = replace(first, folder=run_folder_in(first.folder, FINAL), by="train", fold=None, group=first.folder)
    if (done := spec.done()) is not None:
        return done
    lacking = next((run for run in runs if not run.has(MODEL)), None)
    if lacking is not None:
        why = lacking.no_model_file or f"{lacking.path} has no {MODEL}."
        listener.on_warning(f"The models were not averaged into one, as they have no {MODEL}: {why}")
        return None
    listener.on_step("Averaging the models")
    view, begun = data.view(spec.recipe.data), time.perf_counter()
    kept = {run.kept_model for run in runs}
    name = kept.pop() if len(kept) == 1 else spec.recipe.model.backbone
    decision = decide_on(held_out, view, spec.recipe.decide)
    averaged = AveragedModel(held_out.task, view.dataset.size, runs)
    asked = _asked(averaged, view)
    try:
        facts = facts_of(spec.recipe, view, held_out, decision, spec.seed, name)
        proved = prove(averaged, facts, view, asked, decision, spec.recipe.train.precision)
    except (ExportError, RunError) as error:
        listener.on_warning(f"The models were not averaged into one: {error.text}")
        return None
    listener.on_run_begin(spec, spec.group)
    with RunWriter(spec.folder, spec.recipe, spec.seed) as writer:
        model = _written(writer, spec, runs, held_out, decision, proved, name, begun)
        baselines = data.baselines(spec)
        read_test_and_complete(writer, spec, baselines, listener, model, answer(held_out, decision))
    made = open_run(spec.folder)
    listener.on_run_end(made)
    return made


def _asked(model: AveragedModel, view: ViewedDataset) -> Predictions:
    """Answer a few images of val, by one model after the other."""
    few = view.splits["val"].part(np.arange(len(view.splits["val"])) < _ASKED)
    prob = model.predict(few.chosen)
    whole = replace(view, splits={**view.splits, "val": few})
    return Predictions.of_split(whole, "val", model.task, prob, model.task.logits(prob))


def _written(
    writer: RunWriter,
    spec: RunSpec,
    runs: Sequence[RunFolder],
    held_out: Predictions,
    decision: Decision,
    proved: Proved,
    name: str,
    begun: float,
) -> RunModel:
    """Write the model and what was decided, and give it as its file answers."""
    if spec.plan is not None:
        writer.write_json(PLAN, spec.plan)
    write_proved(writer, proved)
    writer.write_predictions("predictions-val", held_out)
    writer.write_json("decision.json", decision)
    served = ServedModel(open_predictor(writer.draft()))
    made = [run.provenance for run in runs]
    sizes = [own["parameters"] for own in made]
    fitted = Fitted(
        logits=lambda split: served.logits(split.chosen),
        model=served,
        network=None,
        history=[],
        best_epoch=None,
        parameters=None if None in sizes else sum(sizes),
        seconds=sum(own["durations"]["fit"] for own in made),
        members=[(run.name, 1 / len(runs)) for run in runs],
    )
    cut = " ".join(dict.fromkeys(said for own in made if (said := own.get("cut_for_time"))))
    return RunModel(spec.recipe, held_out.task, fitted, KeptModel(name), cut, begun, time.perf_counter())
