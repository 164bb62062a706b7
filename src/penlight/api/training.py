"""Train a recipe with one seed or several: into run folders, scored on test, with a report."""

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from penlight.api.explaining import write_explained, write_neighbours
from penlight.api.exports import write_onnx
from penlight.api.requests import with_references
from penlight.api.results import ProgressListener, SeedsScores, Trained
from penlight.api.scoring import decide_on, evaluate_run, rows_of, scores_of, seeds_scores
from penlight.data import ViewedDataset, ViewedSplit, apply_view, store
from penlight.data.folds import image_groups
from penlight.data.record import DataRecord, record_of
from penlight.data.summary import DataDescription
from penlight.data.tested import BASELINE, TestAccessLog
from penlight.disk import FolderHold, is_inside
from penlight.errors import RunError
from penlight.evaluation import Decision, MetricRow, Sample
from penlight.evaluation.checks import run_checks
from penlight.evaluation.comparison import Margin, margin
from penlight.evaluation.novelty import Novelty
from penlight.evaluation.novelty_rates import NoveltyRates, measure_novelty
from penlight.numbers import counted
from penlight.recipes import BASELINE_MODELS, Recipe
from penlight.recipes.plan import LONGEST, TrainingPlan
from penlight.runs import (
    Predictions,
    Run,
    RunWriter,
    answer,
    machine,
    open_run,
    versions,
)
from penlight.runs.cases import EXPLAINED
from penlight.runs.evidence import evidence_of_run
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import (
    MANIFEST,
    NOVELTY,
    PLAN,
    SUMMARY,
    clear_away,
    goes_on,
    is_bare,
    is_run_of,
    is_untidy,
    run_folder_in,
)
from penlight.runs.groups import write_group
from penlight.runs.holdings import KEEPS_IMAGES, MAPS_ALIKE, NEIGHBOURS, NOVELTY_RATES, holdings_of, keeps_images
from penlight.tasks import Task
from penlight.training import Checkpoints, Epoch, Fitted, fit

_TIMED = 512
REPORT = "report.html"


def train(
    recipe: Recipe,
    *,
    name: str = "custom",
    out: Path | None = None,
    seed: int = 0,
    seeds: int = 1,
    plan: TrainingPlan | None = None,
    images: bool = True,
    watcher: ProgressListener | None = None,
) -> Trained:
    """Train a recipe with one seed, or with `seeds` of them from `seed` on; score it on test; write the report.

    `out` is the folder to write; by default the next free runs/<dataset>-<name>-<n>, or the unfinished one of the
    same recipe, which is continued. `plan` is where the recipe comes from, to be kept with it. Without `images` no
    image of the dataset is kept in the run or shown in its report; its predictions are the same. DataError if a file
    of weights is missing, before anything is written.
    """
    from penlight.models.pretrained import require_weights

    watcher, recipe = watcher or ProgressListener(), with_references(recipe)
    require_weights(recipe.model)
    watcher.step("Opening the dataset")
    view = apply_view(store.open_referenced(recipe.data.dataset, recipe.data.size), recipe.data.view)
    folder = out or default_folder(recipe, name, lambda path: _continues(path, recipe, seed, seeds))
    baselines = Baselines(view, watcher, TestAccessLog(view.dataset, "train"))
    if seeds == 1:
        run = train_one(recipe, view, seed, folder, baselines, watcher, plan, images)
        about = kept_models([run]), held_by([run]), cuts([run]), str(recipe.model.backbone)
        return Trained(folder, folder / "report.html", evaluate_run(run), plan, *about)
    places = {s: run_folder_in(folder, f"seed-{s}") for s in range(seed, seed + seeds)}
    with FolderHold(folder):
        runs = [train_one(recipe, view, s, place, baselines, watcher, plan, images) for s, place in places.items()]
        watcher.step("Writing the summary")
        scores = summarise(folder, runs, view)
    held = held_by(runs, folder / "report.html")
    about = kept_models(runs), held, cuts(runs), str(recipe.model.backbone)
    return Trained(folder, folder / "report.html", scores, plan, *about)


def cuts(runs: Sequence[Run]) -> list[str]:
    """Say what was cut for time in each of the runs, once where it is the same."""
    return list(dict.fromkeys(said for run in runs if (said := run.provenance.get("cut_for_time"))))


def kept_models(runs: Sequence[Run]) -> list[str]:
    """Name the model that each run ended with."""
    return [run.provenance["model"] for run in runs]


def held_by(runs: Sequence[Run], page: Path | None = None) -> dict[str, int]:
    """Count what runs, and the page of their folder, hold of the images: "training_images", "maps", "pictures"."""
    from penlight.reports.picture import count_pictures

    held = [holdings_of(run) for run in runs]
    pages = [run.read(REPORT) for run in runs if run.has(REPORT)]
    pages += [page.read_bytes()] if page is not None else []
    return {
        "training_images": sum(own.training_images for own in held),
        "maps": sum(own.maps for own in held),
        "pictures": sum(map(count_pictures, pages)),
    }


def summarise(folder: Path, runs: Sequence[Run], view: ViewedDataset | DataDescription) -> SeedsScores:
    """Write the summary and the report of a folder with a run per seed."""
    from penlight.reports import ComparedBaseline, seeds_report
    from penlight.reports.gather import content_of_run

    scores = seeds_scores(runs, "test")
    contents = [content_of_run(run, view) for run in runs]
    rivals = [ComparedBaseline(rival, rows) for rival, rows in scores.baselines.items()]
    page = seeds_report(folder.name, contents, scores.metrics, rivals, scores.subgroups)
    summary = sealed({"schema": 1, "recipe_hash": runs[0].recipe.hash, **scores.to_dict()})
    files = {"report.html": page.encode(), SUMMARY: json_text(summary).encode()}
    write_group(folder, "seeds", files, {run.path.name: run for run in runs})
    return scores


def train_one(
    recipe: Recipe,
    view: ViewedDataset,
    seed: int,
    folder: Path,
    baselines: "Baselines",
    watcher: ProgressListener,
    plan: TrainingPlan | None = None,
    images: bool = True,
) -> Run:
    """Train one seed into its folder; a folder that already holds this very run is left as it is. RunError if that
    one keeps images and none were to be kept."""
    if is_inside(folder, MANIFEST):
        done = open_run(folder)
        if (done.recipe.hash, done.seed) == (recipe.hash, seed):
            if not images:
                require_no_images(done)
            clear_away(folder)
            return done
    with RunWriter(folder, recipe, seed) as writer:
        begun = time.perf_counter()
        task = view.task.reading(head=recipe.data.head, rule=recipe.decide.rule)
        watcher.step(f"Training with seed {seed}")
        if plan is not None:
            writer.write_json(PLAN, plan.to_dict())
        about = {"recipe": recipe.hash, "seed": str(seed), "data": view.dataset.md5}
        checkpoints = Checkpoints(writer.state / "checkpoint", about, watcher.note)
        longest = float("inf") if plan is None else plan.longest
        fitted = fit(recipe, view, task, seed, progress=watcher.epoch, checkpoints=checkpoints, longest=longest)
        fitted_at = time.perf_counter()
        cut = _cut_for_time(plan, recipe, fitted)
        if fitted.timed_out:
            stopped = recipe.train.model_copy(update={"stopped_after": len(fitted.history)})
            recipe = recipe.model_copy(update={"train": stopped})
            writer.write("recipe.toml", recipe.to_toml())
        fitted, kept = _better(fitted, recipe, view, task, baselines)
        _write_model(writer, fitted)
        watcher.step("Choosing on val, then reading test")
        val = _predict(fitted, view, task, "val", recipe)
        decision = decide_on(val, view, recipe.decide, fitted.out_of_fold, epoch_chosen=fitted.best_epoch is not None)
        write_onnx(writer, fitted.model, view, val, decision, kept.model)
        read = baselines.readings.keep(view.view, recipe.hash, seed, folder.name)
        test = _predict(fitted, view, task, "test", recipe)
        answering = _seconds_to_answer(fitted, view.splits["test"])
        writer.write_predictions("predictions-val", val)
        writer.write_predictions("predictions-test", test)
        writer.write_json("decision.json", decision.to_dict())
        answers = answer(test, decision)
        watcher.step("Looking at what it looked at")
        maps_alike = write_explained(writer, fitted, view, answers, keep=images)
        if images:
            write_neighbours(writer, view)
        else:
            # A process that was killed may have been told to keep them.
            for name in (NEIGHBOURS, EXPLAINED):
                (folder / name).unlink(missing_ok=True)
        writer.write(NOVELTY, baselines.novelty.to_bytes())
        watcher.step("Scoring")
        rivals, prevalence = baselines.write(writer, kept.model), recipe.decide.prevalence
        scores = scores_of(answers, answer(val, decision), rivals, prevalence)
        writer.write_json("data.json", baselines.record.to_dict())
        # What was fitted before the training was interrupted is part of it.
        now = time.perf_counter()
        total = max(now - begun, fitted.seconds + now - fitted_at)
        durations = {"fit": fitted.seconds, "predict": answering, "total": total}
        made = _provenance(recipe, view, seed, fitted, durations)
        held: dict[str, Any] = {KEEPS_IMAGES: images} | ({} if images else {MAPS_ALIKE: maps_alike})
        held[NOVELTY_RATES] = baselines.novelty_rates.to_dict()
        writer.write_json("provenance.json", made | kept.to_dict() | {"cut_for_time": cut} | read | held)
        watcher.step("Checking")
        evidence = evidence_of_run(writer.draft(), scores.metrics, scores.subgroups)
        scores = replace(scores, checks=run_checks(evidence), ahead=evidence.ahead, duplicates=evidence.duplicates)
        writer.write_json("metrics.json", scores.to_dict())
        watcher.step("Writing the report")
        _write_report(writer, view)
        writer.finish()
    return open_run(folder)


def require_no_images(run: Run) -> None:
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


@dataclass(frozen=True)
class _Kept:
    """The model that a run keeps and, where there was a choice on val, by how far the recipe's own was ahead, and of
    which epoch that is, if of one that val did not choose."""

    model: str
    ahead: Margin | None = None
    epoch: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give what provenance.json says of it."""
        ahead = None if self.ahead is None else {**self.ahead.to_dict(), "epoch": self.epoch}
        return {"model": self.model, "ahead_of_linear_on_val": ahead}


def _better(
    fitted: Fitted, recipe: Recipe, view: ViewedDataset, task: Task, baselines: "Baselines"
) -> tuple[Fitted, _Kept]:
    """Keep the recipe's model, or the linear baseline where the recipe falls back on it and val does not say clearly
    that the model is better. Where val chose the epoch, the last one is judged: of the chosen one val says too much.
    """
    if recipe.decide.fallback == "none" or recipe.model.backbone == "linear":
        return fitted, _Kept(recipe.model.backbone)
    linear = baselines.fitted("linear", recipe)
    val = _predict(fitted, view, task, "val", recipe)
    prob, epoch = val.prob, None
    if fitted.unchosen is not None:
        prob, epoch = task.probabilities(np.asarray(fitted.unchosen, np.float64)), len(fitted.history)
    one, other = (Sample(task, val.y_true, p, task.decide(p)) for p in (prob, linear.val.prob))
    ahead = margin(one, other, groups=val.units)
    if ahead.is_clear:
        return fitted, _Kept(recipe.model.backbone, ahead, epoch)
    seconds = fitted.seconds + linear.model.seconds
    return replace(linear.model, seconds=seconds), _Kept("linear", ahead, epoch)


def _predict(fitted: Fitted, view: ViewedDataset, task: Task, split: str, recipe: Recipe) -> Predictions:
    part = view.splits[split]
    logits = np.asarray(fitted.logits(part), np.float64)
    return Predictions(
        index=part.index,
        y_true=part.y_true,
        prob=task.probabilities(logits),
        logits=logits,
        task=task,
        dataset=view.dataset.info.name,
        view=view.view,
        split=split,
        data_hash=view.dataset.md5,
        recipe_hash=recipe.hash,
        groups=part.groups,
        metadata=part.metadata,
        images_per_patient=view.dataset.info.images_per_patient,
    )


def _seconds_to_answer(fitted: Fitted, part: ViewedSplit) -> float:
    """Time the answers to a split that has been answered once, so that nothing is compiled; a large one by a part."""
    few = part.part(slice(_TIMED))
    begun = time.perf_counter()
    fitted.logits(few)
    return (time.perf_counter() - begun) * len(part) / len(few)


class Baselines:
    """The baselines of a view, fitted once for all recipes and seeds that read it alike, and only when needed; and
    what is known of its data, counted and audited once. `readings` is where each reading of test is recorded."""

    def __init__(self, view: ViewedDataset, watcher: ProgressListener, readings: TestAccessLog) -> None:
        self.view, self.watcher, self.readings = view, watcher, readings
        self._fitted: dict[str, _FittedBaseline] = {}
        self._tested: dict[str, tuple[Predictions, list[MetricRow]]] = {}

    @cached_property
    def novelty(self) -> Novelty:
        """What tells images unlike those in train; it depends on the images alone, so it too is fitted once."""
        self.watcher.step("Learning what images look like")
        train, val = (self.view.splits[name] for name in ("train", "val"))
        return Novelty.fit(train.chosen, val.chosen, image_groups(self.view, ("train",)))

    @cached_property
    def novelty_rates(self) -> NoveltyRates:
        """What of test, and of drawn images of other kinds, is called unlike those in train."""
        return measure_novelty(self.novelty, self.view.splits["test"].chosen, self.view.dataset.info.modality)

    def write(self, writer: RunWriter, kept: str) -> dict[str, list[MetricRow]]:
        """Write the predictions of each baseline into a run, but for the model that is kept, and give their rows on
        test."""
        rows = {}
        for name in BASELINE_MODELS:
            if name == kept:
                continue
            made = self.fitted(name, writer.recipe)
            test, rows[name] = self._on_test(made)
            writer.write_predictions(f"baseline-{name}-val", made.val)
            writer.write_predictions(f"baseline-{name}-test", test)
            writer.write_json(f"baseline-{name}-decision.json", made.decision.to_dict())
        return rows

    @cached_property
    def record(self) -> DataRecord:
        """What each run keeps of the data."""
        self.watcher.step("Auditing the data")
        return record_of(self.view)

    def fitted(self, name: str, beside: Recipe) -> "_FittedBaseline":
        """Give a baseline as it stands beside a recipe, fitted and decided on val; test is not read."""
        recipe = Recipe(data=beside.data, model=BASELINE_MODELS[name], decide=beside.decide)
        if recipe.hash not in self._fitted:
            self.watcher.step(f"Fitting the baseline: {name}")
            task = self.view.task.reading(head=recipe.data.head, rule=recipe.decide.rule)
            model = fit(recipe, self.view, task, seed=0)
            val = _predict(model, self.view, task, "val", recipe)
            decision = decide_on(val, self.view, recipe.decide, model.out_of_fold)
            self._fitted[recipe.hash] = _FittedBaseline(recipe, model, val, decision)
        return self._fitted[recipe.hash]

    def _on_test(self, made: "_FittedBaseline") -> tuple[Predictions, list[MetricRow]]:
        key = made.recipe.hash
        if key not in self._tested:
            self.readings.add(self.view.view, key, by=BASELINE)
            test = _predict(made.model, self.view, made.val.task, "test", made.recipe)
            self._tested[key] = test, rows_of(answer(test, made.decision))
        return self._tested[key]


@dataclass(frozen=True)
class _FittedBaseline:
    """A baseline, what it says of val, and what was decided on that."""

    recipe: Recipe
    model: Fitted
    val: Predictions
    decision: Decision


def _write_model(writer: RunWriter, fitted: Fitted) -> None:
    if fitted.network is None:
        return
    from penlight.models.files import network_bytes

    writer.write("model.keras", network_bytes(fitted.network))
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(f.name for f in fields(Epoch))
    rows.writerows(asdict(row).values() for row in fitted.history)
    writer.write("history.csv", table.getvalue())


def _provenance(
    recipe: Recipe, view: ViewedDataset, seed: int, fitted: Fitted, durations: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "seed": seed,
        "recipe_hash": recipe.hash,
        "dataset": view.dataset.info.name,
        "size": view.dataset.size,
        "view": view.view,
        "data_md5": view.dataset.md5,
        "images": {name: len(split) for name, split in view.splits.items()},
        "parameters": fitted.parameters,
        "best_epoch": fitted.best_epoch,
        "members": [{"model": name, "weight": round(weight, 4)} for name, weight in fitted.members],
        "durations": {name: round(seconds, 3) for name, seconds in durations.items()},
        "versions": versions(),
        "machine": machine(),
    }


def _write_report(writer: RunWriter, view: ViewedDataset) -> None:
    from penlight.reports import run_card, run_report
    from penlight.reports.gather import content_of_run

    content = content_of_run(writer.draft(), view)
    writer.write("report.html", run_report(content))
    writer.write("card.md", run_card(content))


def default_folder(recipe: Recipe, name: str, continues: Callable[[Path], bool]) -> Path:
    """Find the next free runs/<dataset>-<name>-<n>, or the unfinished one that goes on with what is asked for."""
    stem = Path(recipe.data.dataset).stem
    for number in range(1, 10_000):
        folder = Path("runs") / f"{stem}-{name}-{number}"
        if not folder.exists() or continues(folder):
            return folder
    raise RunError(f"There are 10,000 folders named runs/{stem}-{name}-*.", "Choose a folder with --out.")


def _continues(folder: Path, recipe: Recipe, seed: int, seeds: int) -> bool:
    if seeds == 1:
        return goes_on(folder, recipe.hash, seed)
    if is_inside(folder, SUMMARY) and not is_untidy(folder):
        return False
    first = folder / f"seed-{seed}"
    return is_bare(folder) or goes_on(first, recipe.hash, seed) or is_run_of(first, recipe.hash, seed)
