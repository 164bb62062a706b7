"""One run: from a recipe, a viewed dataset and a seed to a run folder."""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from penlight.data import ViewedDataset, ViewedSplit
from penlight.disk import is_inside
from penlight.errors import RunError
from penlight.evaluation import Sample
from penlight.evaluation.checks import run_checks
from penlight.evaluation.comparison import Margin, margin
from penlight.experiments.baselines import Baselines, _predict
from penlight.experiments.progress import ProgressListener
from penlight.explanation.of_run import write_explained, write_neighbours
from penlight.exporters.of_run import write_onnx
from penlight.numbers import counted
from penlight.recipes import Recipe
from penlight.recipes.plan import LONGEST, TrainingPlan
from penlight.runs import (
    Run,
    RunWriter,
    answer,
    machine,
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
)
from penlight.runs.holdings import KEEPS_IMAGES, MAPS_ALIKE, NEIGHBOURS, NOVELTY_RATES, holdings_of, keeps_images
from penlight.runs.scoring import decide_on, scores_of
from penlight.tasks import Task
from penlight.training import Checkpoints, Epoch, Fitted, fit

_TIMED = 512


REPORT = "report.html"


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


def _seconds_to_answer(fitted: Fitted, part: ViewedSplit) -> float:
    """Time the answers to a split that has been answered once, so that nothing is compiled; a large one by a part."""
    few = part.part(slice(_TIMED))
    begun = time.perf_counter()
    fitted.logits(few)
    return (time.perf_counter() - begun) * len(part) / len(few)


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
