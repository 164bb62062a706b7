"""One run: from a recipe, a viewed dataset and a seed to a run folder."""

import csv
import io
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penlight.data import ViewedDataset
from penlight.data.accesses import merge_reading
from penlight.disk import is_inside
from penlight.errors import RecipeError, RunError, first_line
from penlight.evaluation import Decision, Sample
from penlight.evaluation.checks import run_checks
from penlight.evaluation.comparison import Margin, margin
from penlight.experiments.baselines import Baselines, predict_split
from penlight.experiments.progress import ProgressListener
from penlight.explanation.of_run import write_explained, write_neighbours
from penlight.exporters.parity import write_onnx
from penlight.models.blas import one_blas_thread
from penlight.models.encoder_file import require_unseen
from penlight.models.own import OwnNetwork
from penlight.numbers import counted
from penlight.recipes import Own, Recipe, recipe_from_toml
from penlight.recipes.plan import LONGEST, TrainingPlan
from penlight.recipes.recipe import require_trainable
from penlight.records import without_defaults
from penlight.runs import (
    Answers,
    RunFolder,
    RunWriter,
    answer,
    open_run,
    versions,
)
from penlight.runs.cases import EXPLAINED
from penlight.runs.evidence import evidence_of_run
from penlight.runs.folder import (
    MANIFEST,
    NOVELTY,
    PLAN,
    clear_away,
    is_half_written,
)
from penlight.runs.holdings import KEEPS_IMAGES, MAPS_ALIKE, NEIGHBOURS, NOVELTY_RATES, keeps_images
from penlight.runs.provenance import MarginRow, ProvenanceRecord, machine_of_run
from penlight.runs.scores import Scores
from penlight.runs.scoring import decide_on, scores_of, without_images
from penlight.tasks import Task
from penlight.training import Checkpoints, Epoch, Fitted, fit
from penlight.training.own import OwnModel, require_own

if TYPE_CHECKING:
    from penlight.experiments.opened import OpenedData

_TIMED = 512


@dataclass(frozen=True)
class TrainedRun:
    """A complete run, and its scores on test where it was trained just now; None where it had been done before."""

    run: RunFolder
    scores: Scores | None


@dataclass(frozen=True)
class RunSpec:
    """What one run is asked for: a recipe, which names its dataset and view, a seed, and the folder to write.

    `by` is what its reading of test is recorded under, "train" or "study". Of a cross-validation `fold` is the number
    of the fold, from 0, and how many there are; `seed` divides, too. `plan` is where the recipe comes from, to be
    kept with it; without `images` no image of the dataset is kept. `own` is the network or estimator of a recipe that
    says that the user hands one in. `group` is the folder of several that the run belongs to, None for one by itself.
    `place` says which of several runs it is.
    """

    recipe: Recipe
    seed: int
    folder: Path
    by: str = "train"
    fold: tuple[int, int] | None = None
    plan: TrainingPlan | None = None
    images: bool = True
    own: OwnModel | None = None
    group: Path | None = None
    place: str = ""

    @property
    def name(self) -> str:
        """See `Work`."""
        return self.folder.name if self.group is None else self.folder.relative_to(self.group).as_posix()

    def do(self, data: "OpenedData", listener: ProgressListener) -> TrainedRun:
        """Train the run into its folder; a folder that already holds this very run is left as it is.

        RunError if a run that is there keeps images and none were to be, RecipeError for a recipe of a user's own
        network that was not handed in.
        """
        listener.on_run_begin(self, self.group)
        done = self.done()
        if done is None:
            require_own(require_trainable(self.recipe), self.own)
            require_unseen(self.recipe, data.view(self.recipe.data))
        trained = train_run(self, data.baselines(self), listener) if done is None else TrainedRun(done, None)
        listener.on_run_end(trained.run)
        return trained

    def read(self, listener: ProgressListener) -> TrainedRun:
        """See `Work`."""
        listener.on_run_begin(self, self.group)
        run = open_run(self.folder)
        merge_reading(run.provenance, self.folder.name)
        listener.on_run_end(run)
        return TrainedRun(run, None)

    def to_job(self) -> dict[str, Any]:
        """See `Work`. RecipeError for a network that the user handed in, which JSON does not hold."""
        if self.own is not None:
            raise RecipeError("A network or estimator of your own is trained in this process, not in others.")
        asked = {"seed": self.seed, "folder": str(self.folder.resolve()), "by": self.by, "fold": self.fold}
        plan = None if self.plan is None else self.plan.to_dict()
        return {"task": "run", "recipe": self.recipe.to_toml(), "plan": plan, "images": self.images, **asked}

    @property
    def repeated(self) -> str:
        """See `Work`. A fold, and a run that follows a plan, is nothing that its recipe alone says."""
        recipe = self.folder / "recipe.toml"
        if self.group is None or self.fold is not None or self.plan is not None or not recipe.exists():
            return ""
        words = ["penlight", "train", recipe, "--seed", self.seed, "--out", self.folder]
        words += [] if self.images else ["--no-images"]
        return f"Repeat {self.name} here: {shlex.join(map(str, words))}"

    @classmethod
    def of_job(cls, job: Mapping[str, Any]) -> "RunSpec":
        """Read what `to_job` gave."""
        fold = None if job["fold"] is None else (job["fold"][0], job["fold"][1])
        plan = None if job["plan"] is None else TrainingPlan.from_dict(job["plan"])
        recipe = recipe_from_toml(job["recipe"])
        return cls(recipe, job["seed"], Path(job["folder"]), job["by"], fold, plan, job["images"])

    def done(self) -> RunFolder | None:
        """Give the run that is already complete in the folder; None if it is to be trained."""
        if not is_inside(self.folder, MANIFEST) or is_half_written(self.folder, self.recipe.hash, self.seed):
            return None
        done = open_run(self.folder)
        if (done.recipe.hash, done.seed) != (self.recipe.hash, self.seed):
            return None
        if not self.images:
            require_no_images(done)
        clear_away(self.folder)
        merge_reading(done.provenance, self.folder.name)
        return done


@one_blas_thread()
def train_run(spec: RunSpec, baselines: Baselines, listener: ProgressListener) -> TrainedRun:
    """Train one run on the view of these baselines. Test is read once, after all that is chosen."""
    view = baselines.view
    with RunWriter(spec.folder, spec.recipe, spec.seed) as writer:
        model = fit_model(writer, spec, baselines, listener)
        listener.on_step("Choosing on val, then reading test")
        val = _choose_on_val(writer, view, model, listener)
        scores = read_test_and_complete(writer, spec, baselines, listener, model, val)
    return TrainedRun(open_run(spec.folder), scores)


def read_test_and_complete(
    writer: RunWriter,
    spec: RunSpec,
    baselines: Baselines,
    listener: ProgressListener,
    model: "RunModel",
    val: Answers,
) -> Scores:
    """Answer test by a model of which all is chosen, by its answers to val, and make the run complete."""
    test = _read_test(writer, spec, baselines, model, val.decision)
    listener.on_step("Computing saliency maps")
    maps_alike = _explain(writer, spec, baselines.view, model, test.answers)

    def provenance() -> dict[str, Any]:
        return _provenance(spec, baselines, model, test, maps_alike)

    return complete(writer, baselines, listener, model.recipe, model.kept.model, val, test.answers, provenance)


def complete(
    writer: RunWriter,
    baselines: Baselines,
    listener: ProgressListener,
    recipe: Recipe,
    kept: str,
    val: Answers | None,
    test: Answers,
    provenance: Callable[[], dict[str, Any]],
) -> Scores:
    """Score the answers of a model, named `kept`, beside the baselines, check and report them, and make the run
    complete. `recipe` is as it was carried out, and `provenance` is asked once all is scored."""
    listener.on_step("Scoring")
    if baselines.novelty is not None:
        writer.write(NOVELTY, baselines.novelty.to_bytes())
    beside = baselines.write(writer, kept)
    rows = {name: own.rows for name, own in beside.items()}
    scores = scores_of(test, val, rows, recipe.decide.prevalence)
    scores = scores if baselines.view.dataset.has_images else without_images(scores)
    writer.write_json("data.json", baselines.record)
    made = provenance()
    writer.write_json("provenance.json", made)
    listener.on_step("Checking")
    answers = {f"{name}-test": own.answers for name, own in beside.items()} | {"test": test}
    answers |= {} if val is None else {"val": val}
    known = {"recipe": recipe, "provenance": made, "decision": test.decision}
    known |= {"data": baselines.record, "novelty": baselines.novelty}
    evidence = evidence_of_run(writer.draft(answers, **known), scores.metrics, scores.subgroups)
    scores = replace(scores, checks=run_checks(evidence), ahead=evidence.ahead, duplicates=evidence.duplicates)
    writer.write_json("metrics.json", scores)
    listener.on_step("Writing the report")
    _write_report(writer, writer.draft(answers, **known, metrics=scores), baselines.view)
    writer.finish()
    return scores


@dataclass(frozen=True)
class KeptModel:
    """The model that a run keeps and, where there was a choice on val, by how far the recipe's own was ahead, and of
    which epoch that is, if of one that val did not choose."""

    model: str
    ahead: Margin | None = None
    epoch: int | None = None


@dataclass(frozen=True)
class RunModel:
    """The model that a run keeps, and how it came: the `recipe` as it was carried out, what was `cut` for time, when
    training `begun` and was `done`, in seconds of a clock. `final` says what became of folds or seeds."""

    recipe: Recipe
    task: Task
    fitted: Fitted
    kept: KeptModel
    cut: str
    begun: float
    done: float
    final: str | None = None


@dataclass(frozen=True)
class _TestAnswers:
    """The answers to test, the seconds that they took, and what provenance.json says of earlier readings of test."""

    answers: Answers
    seconds: float
    accesses: Mapping[str, Any]


def fit_model(
    writer: RunWriter,
    spec: RunSpec,
    baselines: Baselines,
    listener: ProgressListener,
    view: ViewedDataset | None = None,
) -> RunModel:
    """Fit the recipe's model, choose between it and the linear baseline on val, and write what is kept. Where another
    `view` is to be trained on, val is in its train: there is nothing to choose then, and no curve to keep."""
    of_all, view = view is not None, view or baselines.view
    recipe, plan, begun = spec.recipe, spec.plan, time.perf_counter()
    task = view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule)
    listener.on_step(f"Training with seed {spec.seed}")
    listener.on_fit(task.headline, spec.place)
    if plan is not None:
        writer.write_json(PLAN, plan)
    if isinstance(spec.own, OwnNetwork):
        writer.write(spec.own.file, spec.own.source)
    about = {"recipe": recipe.hash, "seed": str(spec.seed), "data": view.dataset.md5}
    checkpoints = Checkpoints(writer.state / "checkpoint", about, listener.on_warning)
    longest = float("inf") if plan is None else plan.longest
    how: dict[str, Any] = {"progress": listener.on_epoch, "checkpoints": checkpoints, "longest": longest}
    fitted = fit(recipe, view, task, spec.seed, own=spec.own, **how)
    done = time.perf_counter()
    cut = _cut_for_time(plan, recipe, fitted)
    if fitted.timed_out:
        stopped = recipe.train.model_copy(update={"stopped_after": len(fitted.history)})
        recipe = recipe.model_copy(update={"train": stopped})
        writer.write("recipe.toml", recipe.to_toml())
    if of_all:
        fitted, kept = replace(fitted, history=[], out_of_fold=None), KeptModel(recipe.model.backbone)
    else:
        fitted, kept = choose_model(fitted, recipe, view, task, baselines)
    if fitted.network is not None:
        _write_network(writer, fitted, listener)
    return RunModel(recipe, task, fitted, kept, cut, begun, done)


def _choose_on_val(writer: RunWriter, view: ViewedDataset, model: RunModel, listener: ProgressListener) -> Answers:
    """Predict val, find calibration and thresholds on it, and write the model for others."""
    val = predict_split(model.fitted, view, model.task, "val", model.recipe)
    chose_epoch = model.fitted.best_epoch is not None
    decision = decide_on(val, view, model.recipe.decide, model.fitted.out_of_fold, epoch_chosen=chose_epoch)
    if missing := write_onnx(writer, model.fitted.model, view, val, decision, model.kept.model):
        listener.on_warning(missing)
    writer.write_predictions("predictions-val", val)
    writer.write_json("decision.json", decision)
    return answer(val, decision)


def _read_test(
    writer: RunWriter, spec: RunSpec, baselines: Baselines, model: RunModel, decision: Decision
) -> _TestAnswers:
    view = baselines.view
    accesses = baselines.accesses.keep(view.view, model.recipe.hash, spec.seed, spec.folder.name)
    test = predict_split(model.fitted, view, model.task, "test", model.recipe)
    # What is timed was answered once, so that nothing is compiled; of a large split a part is.
    part = view.splits["test"]
    few, begun = part.part(slice(_TIMED)), time.perf_counter()
    model.fitted.logits(few)
    seconds = (time.perf_counter() - begun) * len(part) / len(few)
    writer.write_predictions("predictions-test", test)
    return _TestAnswers(answer(test, decision), seconds, accesses)


def _explain(writer: RunWriter, spec: RunSpec, view: ViewedDataset, model: RunModel, test: Answers) -> float | None:
    """Write maps of a few answers and the training images most like an image; give how much the maps are like those
    of random weights, None where that is not known."""
    maps_alike = write_explained(writer, model.fitted, view, test, keep=spec.images)
    if spec.images:
        write_neighbours(writer, view, model.fitted.model)
    else:
        # A process that was killed may have been told to keep them.
        for name in (NEIGHBOURS, EXPLAINED):
            (spec.folder / name).unlink(missing_ok=True)
    return maps_alike


def _provenance(
    spec: RunSpec, baselines: Baselines, model: RunModel, test: _TestAnswers, maps_alike: float | None
) -> dict[str, Any]:
    """Say how the run came to be."""
    # What was fitted before the training was interrupted is part of it.
    now = time.perf_counter()
    total = max(now - model.begun, model.fitted.seconds + now - model.done)
    durations = {"fit": model.fitted.seconds, "predict": test.seconds, "total": total}
    fitted = {
        "parameters": model.fitted.parameters,
        "best_epoch": model.fitted.best_epoch,
        "members": [{"model": name, "weight": round(weight, 4)} for name, weight in model.fitted.members],
        "durations": {name: round(seconds, 3) for name, seconds in durations.items()},
    }
    held: dict[str, Any] = {KEEPS_IMAGES: spec.images} | ({} if spec.images else {MAPS_ALIKE: maps_alike})
    ahead = model.kept.ahead
    lead = None if ahead is None else MarginRow(ahead.value, ahead.error, model.kept.epoch)
    kept: dict[str, Any] = {"model": model.kept.model, "ahead_of_linear_on_val": lead, "cut_for_time": model.cut}
    kept |= {} if model.final is None else {"final": model.final}
    return provenance_of(model.recipe, baselines, spec.seed, fitted | kept | dict(test.accesses) | held)


def provenance_of(recipe: Recipe, baselines: Baselines, seed: int, known: Mapping[str, Any]) -> dict[str, Any]:
    """Give what provenance.json holds: what is `known` of a model, beside its recipe, data and machine."""
    view = baselines.view
    about = {
        "seed": seed,
        "recipe_hash": recipe.hash,
        "dataset": view.dataset.info.name,
        "size": view.dataset.size,
        "view": view.view,
        "data_md5": view.dataset.md5,
        "images": {name: len(split) for name, split in view.splits.items()},
        "versions": versions(),
        "machine": machine_of_run(),
        NOVELTY_RATES: baselines.novelty_rates,
        **known,
    }
    return without_defaults(ProvenanceRecord(**about), about)


def require_no_images(run: RunFolder) -> None:
    """Raise RunError for a complete run that keeps images."""
    if keeps_images(run):
        raise RunError(
            f"{run.path} is complete and keeps images, which --no-images does not take out of it.",
            f"Make a copy without: penlight export {run.path} --no-images",
        )


def _cut_for_time(plan: TrainingPlan | None, recipe: Recipe, fitted: Fitted) -> str:
    """Say, in sentences, what was cut for time: by the plan, or by the clock. Empty where nothing was."""
    if plan is None:
        return ""
    said = [plan.cut] if plan.cut and recipe.train.epochs == plan.recipe.train.epochs else []
    if fitted.timed_out:
        minutes = plan.longest / 60
        said.append(
            f"The clock ended the training after {len(fitted.history)} of {counted(recipe.train.epochs, 'epoch')}, "
            f"at {minutes:.3g} min, which is {LONGEST:g} times the budget."
        )
    return " ".join(said)


def choose_model(
    fitted: Fitted, recipe: Recipe, view: ViewedDataset, task: Task, baselines: Baselines
) -> tuple[Fitted, KeptModel]:
    """Keep the recipe's model, or the linear baseline where the recipe falls back on it and val does not say clearly
    that the model is better, or says that it is worse. Where val chose the epoch, the last one is judged: of the
    chosen one val says too much.
    """
    if recipe.decide.fallback == "none" or recipe.model.backbone == "linear":
        return fitted, KeptModel(recipe.model.backbone)
    linear = baselines.fitted("linear", recipe)
    assert linear.val is not None
    val = predict_split(fitted, view, task, "val", recipe)
    prob, epoch = val.prob, None
    if fitted.unchosen is not None:
        prob, epoch = task.probabilities(np.asarray(fitted.unchosen, np.float64)), len(fitted.history)
    one, other = (Sample(task, val.y_true, p, task.decide(p), known=val.known) for p in (prob, linear.val.prob))
    ahead = margin(one, other, groups=val.units)
    if ahead.is_clear or (recipe.decide.fallback == "linear-if-better" and not ahead.value < 0):
        return fitted, KeptModel(recipe.model.backbone, ahead, epoch)
    seconds = fitted.seconds + linear.model.seconds
    return replace(linear.model, seconds=seconds), KeptModel("linear", ahead, epoch)


def _write_network(writer: RunWriter, fitted: Fitted, listener: ProgressListener) -> None:
    """Write the network and its learning curves."""
    from penlight.models.keras_files import network_bytes

    try:
        writer.write("model.keras", network_bytes(fitted.network))
    except (NotImplementedError, TypeError, ValueError) as error:
        if not isinstance(writer.recipe.model, Own):
            raise
        listener.on_warning(f"Keras cannot save this network, so the run has no model.keras: {first_line(error)}.")
    if not fitted.history:
        return
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(f.name for f in fields(Epoch))
    rows.writerows(asdict(row).values() for row in fitted.history)
    writer.write("history.csv", table.getvalue())


def _write_report(writer: RunWriter, draft: RunFolder, view: ViewedDataset) -> None:
    from penlight.reports import run_card, run_report
    from penlight.reports.content import content_of_run

    content = content_of_run(draft, view)
    writer.write("report.html", run_report(content))
    writer.write("card.md", run_card(content))
