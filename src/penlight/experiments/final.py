"""The last step of folds and of seeds: their models become one, in a run folder inside theirs.

It is a run like any other, but for its answers to val: those of folds are the answers out of fold, to train and val.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low

import numpy as np

from penlight.data import ViewedDataset
from penlight.errors import ExportError, RecipeError, RunError
from penlight.evaluation import Decision
from penlight.evaluation.decision import OUT_OF_FOLD
from penlight.experiments.baselines import Baselines, predict_split
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import KeptModel, RunModel, RunSpec, fit_model, read_test_and_complete
from penlight.exporters.parity import Proved, facts_of, prove, write_onnx, write_proved
from penlight.models.averaged import AveragedModel, ServedModel
from penlight.models.blas import one_blas_thread
from penlight.recipes import Ensemble, Pretrained, Recipe
from penlight.runs import Predictions, RunFolder, RunWriter, answer, open_predictor, open_run
from penlight.runs.folder import PLAN, run_folder_in
from penlight.runs.groups import FINAL
from penlight.runs.predictor import MODEL
from penlight.runs.scoring import decide_on
from penlight.training import Fitted
from penlight.training.folds import Folds

_ASKED = 64
"""Images of val by which the file is proved to answer as the model does."""


def require_final(recipe: Recipe) -> Recipe:
    """Raise RecipeError for a recipe that cannot be trained on all of train and val, where that is to be done."""
    uses = {"Ensemble": "its members are weighed", "Pretrained": "fine-tuning is judged"}
    tuned = isinstance(recipe.model, Pretrained) and recipe.model.fine_tune.layers
    if recipe.train.final == "refit" and (tuned or isinstance(recipe.model, Ensemble)):
        raise RecipeError(
            f"Trained once more on all of train and val, this recipe has no val on which "
            f"{uses[type(recipe.model).__name__]}.",
            "Average the folds: --set train.final=ensemble",
        )
    return recipe


@one_blas_thread()
def make_final(
    first: RunSpec,
    runs: Sequence[RunFolder],
    held_out: Predictions,
    data: OpenedData,
    listener: ProgressListener,
    divided: Folds | None = None,
) -> RunFolder | None:
    """Make one model of those of `runs`, the runs of the folder of `first`, and answer test by it, once.

    It is calibrated and decided on `held_out`, answers to images by models that were not trained on them: of folds,
    `divided` so, or of seeds to val, which may have chosen their epochs. A run that is there is left as it is. None,
    and a warning, where models that are to be averaged have no ONNX file, or would be too large together for a run.
    """
    spec = replace(first, folder=run_folder_in(first.folder, FINAL), by="train", fold=None, group=first.folder)
    if (done := spec.done()) is not None:
        return done
    view, begun = data.view(spec.recipe.data), time.perf_counter()
    chosen = divided is None and any(run.provenance["best_epoch"] is not None for run in runs)
    found_on = "val" if divided is None else OUT_OF_FOLD
    decision = decide_on(held_out, view, spec.recipe.decide, epoch_chosen=chosen, found_on=found_on)
    asked = view.splits["val"].part(np.arange(len(view.splits["val"])) < _ASKED)
    few = replace(view, splits={**view.splits, "val": asked})
    proved = None
    if divided is None or spec.recipe.train.final == "ensemble":
        proved = _prove_average(spec, runs, held_out, few, decision, listener)
        if proved is None:
            return None
    listener.on_run_begin(spec, spec.group)
    with RunWriter(spec.folder, spec.recipe, spec.seed) as writer:
        if spec.plan is not None:
            writer.write_json(PLAN, spec.plan)
        baselines = data.baselines(spec)
        if proved is not None:
            model = _averaged(writer, spec, runs, held_out, proved, begun)
        else:
            assert divided is not None
            model = _refitted(writer, spec, runs, divided, baselines, few, decision, listener)
        writer.write_predictions("predictions-val", held_out)
        writer.write_json("decision.json", decision)
        read_test_and_complete(writer, spec, baselines, listener, model, answer(held_out, decision))
    made = open_run(spec.folder)
    listener.on_run_end(made)
    return made


def _kept(recipe: Recipe, runs: Sequence[RunFolder]) -> str:
    """Name the model that most runs kept: the recipe's, or a baseline."""
    kept = Counter(run.kept_model for run in runs)
    return max(kept, key=lambda name: (kept[name], name == recipe.model.backbone))


def _prove_average(
    spec: RunSpec,
    runs: Sequence[RunFolder],
    held_out: Predictions,
    few: ViewedDataset,
    decision: Decision,
    listener: ProgressListener,
) -> Proved | None:
    """Put the models of all runs into one file; None, and a warning, where that cannot be."""
    lacking = next((run for run in runs if not run.has(MODEL)), None)
    if lacking is not None:
        why = lacking.no_model_file or f"{lacking.path} has no {MODEL}."
        listener.on_warning(f"No model was made of these: to be averaged, each must have a {MODEL}. {why}")
        return None
    listener.on_step("Averaging the models")
    averaged = AveragedModel(held_out.task, few.dataset.size, runs)
    prob = averaged.predict(few.splits["val"].chosen)
    asked = Predictions.of_split(few, "val", averaged.task, prob, averaged.task.logits(prob))
    facts = facts_of(spec.recipe, few, held_out, decision, spec.seed, _kept(spec.recipe, runs))
    try:
        return prove(averaged, facts, few, asked, decision, spec.recipe.train.precision)
    except (ExportError, RunError) as error:
        listener.on_warning(f"No model was made of these: {error.text}")
        return None


def _averaged(
    writer: RunWriter, spec: RunSpec, runs: Sequence[RunFolder], held_out: Predictions, proved: Proved, begun: float
) -> RunModel:
    """Write the file of all models, and give it as it answers."""
    write_proved(writer, proved)
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
    kept = KeptModel(_kept(spec.recipe, runs))
    return RunModel(spec.recipe, held_out.task, fitted, kept, cut, begun, time.perf_counter(), "ensemble")


def _refitted(
    writer: RunWriter,
    spec: RunSpec,
    runs: Sequence[RunFolder],
    divided: Folds,
    baselines: Baselines,
    few: ViewedDataset,
    decision: Decision,
    listener: ProgressListener,
) -> RunModel:
    """Train the recipe, or the baseline that most folds kept, on all of train and val for the median best epoch, and
    write it."""
    recipe = spec.recipe.of_kept(_kept(spec.recipe, runs))
    epochs = [run.provenance["best_epoch"] for run in runs if run.provenance["best_epoch"] is not None]
    how = {"keep": "last", "patience": None, "stopped_after": median_low(epochs) if epochs else None}
    of_all = recipe.model_copy(update={"train": recipe.train.model_copy(update=how)})
    once = replace(spec, recipe=of_all, plan=None)
    model = fit_model(writer, once, baselines, listener, divided.all_as_train())
    val = predict_split(model.fitted, few, model.task, "val", of_all)
    if missing := write_onnx(writer, model.fitted.model, few, val, decision, model.kept.model):
        listener.on_warning(missing)
    return replace(model, recipe=spec.recipe, final="refit")
