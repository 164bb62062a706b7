"""What the commands, the server and a notebook call: train, evaluate, score.

Each function takes plain values, raises a PenlightError where a user can help, and gives a result whose
`to_dict()` is the JSON of the command.
"""

import contextlib
import csv
import io
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penlight.data import ViewedDataset, ViewedSplit, apply_view, fetch_dataset, open_dataset
from penlight.data.audit import Problem
from penlight.data.audit import audit as find_problems
from penlight.data.summary import DataDescription, describe
from penlight.errors import PredictionsError, RunError
from penlight.evaluation import Decision, MetricRow, SeedsRow, find_decision, score_seeds
from penlight.evaluation import score as score_rows
from penlight.recipes import (
    Linear,
    Majority,
    Recipe,
    load_recipe,
    preset_header,
    preset_names,
    with_overrides,
)
from penlight.recipes.space import Space, Trial, default_space, load_space, with_values
from penlight.runs import Predictions, Run, RunWriter, machine, open_run, read_claim, versions, write_json, write_text
from penlight.runs.folder import MANIFEST
from penlight.tasks import Task
from penlight.training import Epoch, Fitted, fit

if TYPE_CHECKING:
    from penlight.report.study_content import StudyContent
    from penlight.report.tuning import TuningContent
    from penlight.study import Place, Plan

BASELINE_MODELS: dict[str, Majority | Linear] = {"majority": Majority(), "linear": Linear()}
SUMMARY = "summary.json"
STUDY = "study.json"
_TIMED = 512


class Watcher:
    """Is told how a training goes on; a command draws it, a notebook may ignore it."""

    def step(self, what: str) -> None:
        """Say what is being done now."""

    def epoch(self, row: Epoch, planned: int) -> None:
        """Say that an epoch is done, of `planned`."""

    def run(self, place: "Place") -> None:
        """Say which run of a study begins."""

    def trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """Say that `done` trials of a tuning are finished; `best` is NaN before the first is complete."""


@dataclass(frozen=True)
class Scores:
    """Scores of one run: rows of the split, and those of the baselines on the same images."""

    split: str
    metrics: Sequence[MetricRow]
    baselines: Mapping[str, Sequence[MetricRow]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        return {
            "split": self.split,
            "metrics": [row.to_dict() for row in self.metrics],
            "baselines": {name: [row.to_dict() for row in rows] for name, rows in self.baselines.items()},
        }


@dataclass(frozen=True)
class SeedsScores:
    """Scores over the runs of several seeds, and those of the baselines on the same images."""

    split: str
    seeds: Sequence[int]
    metrics: Sequence[SeedsRow]
    baselines: Mapping[str, Sequence[MetricRow]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        return {"seeds": list(self.seeds), **Scores.to_dict(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Trained:
    """What `train` made: the folder, its report, the scores on test."""

    folder: Path
    report: Path
    scores: Scores | SeedsScores

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"folder": str(self.folder), "report": str(self.report), **self.scores.to_dict()}


def resolve_recipe(
    dataset: str | None,
    recipe: str = "cnn",
    overrides: Sequence[str] = (),
    *,
    view: str | None = None,
    size: int | None = None,
) -> Recipe:
    """Read a preset or a recipe file, put dataset, view and size into it, then apply the overrides."""
    chosen = load_recipe(recipe)
    given = {"dataset": dataset, "view": view, "size": size}
    data = chosen.data.model_copy(update={key: value for key, value in given.items() if value is not None})
    return with_overrides(chosen.model_copy(update={"data": data}), overrides)


def resolve_request(
    dataset: str, recipe: str, overrides: Sequence[str], *, view: str | None = None, size: int | None = None
) -> tuple[Recipe, str]:
    """Resolve what `penlight train` was given, and name it: a dataset with a recipe, or a run's recipe.toml alone."""
    if dataset.endswith(".toml") and is_recipe_file(Path(dataset)):
        chosen = resolve_recipe(None, dataset, overrides, view=view, size=size)
        return chosen, chosen.model.backbone
    return resolve_recipe(dataset, recipe, overrides, view=view, size=size), Path(recipe).stem


def is_recipe_file(path: Path) -> bool:
    """Tell a recipe that names its dataset from the description of a dataset."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values.get("data"), dict) and "dataset" in values["data"]


def train(
    recipe: Recipe,
    *,
    name: str = "custom",
    out: Path | None = None,
    seed: int = 0,
    seeds: int = 1,
    watcher: Watcher | None = None,
) -> Trained:
    """Train a recipe with one seed, or with `seeds` of them from `seed` on; score it on test; write the report.

    `out` is the folder to write; by default the next free runs/<dataset>-<name>-<n>, or the unfinished one of the
    same recipe, which is continued.
    """
    watcher = watcher or Watcher()
    watcher.step("Opening the dataset")
    view = apply_view(open_dataset(recipe.data.dataset, recipe.data.size), recipe.data.view)
    folder = out or _default_folder(recipe, name, seed, seeds)
    baselines = _Baselines(view, watcher)
    if seeds == 1:
        run = _train_one(recipe, view, seed, folder, baselines, watcher)
        return Trained(folder, folder / "report.html", evaluate_run(run))
    runs = [_train_one(recipe, view, s, folder / f"seed-{s}", baselines, watcher) for s in range(seed, seed + seeds)]
    watcher.step("Writing the summary")
    scores = _summarise(folder, runs, view)
    return Trained(folder, folder / "report.html", scores)


def _summarise(folder: Path, runs: Sequence[Run], view: ViewedDataset) -> SeedsScores:
    """Write the summary and the report of a folder with a run per seed."""
    from penlight.report import Rival, seeds_report
    from penlight.report.gather import content_of_run

    scores = _seeds_scores(runs, "test")
    contents = [content_of_run(run, view) for run in runs]
    rivals = [Rival(rival, rows) for rival, rows in scores.baselines.items()]
    write_text(folder / "report.html", seeds_report(folder.name, contents, scores.metrics, rivals))
    write_json(folder / SUMMARY, {"schema": 1, "recipe_hash": runs[0].recipe.hash, **scores.to_dict()})
    return scores


@dataclass(frozen=True)
class Studied:
    """What `study` made: the folder, its report, and what its study.json holds."""

    folder: Path
    report: Path
    record: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"folder": str(self.folder), "report": str(self.report), **self.record}


def plan_study(name: str, *, out: Path | None = None, seeds: int | None = None) -> "Plan":
    """List the runs of a study, by the name of one that ships or its file, and which are done; nothing is trained.

    `out` is its folder, by default runs/study-<name>; `seeds` changes how many seeds there are of rows that do not
    say so themselves.
    """
    from penlight.recipes.study import load_study
    from penlight.study import plan_study as plan

    study = load_study(name)
    study = study if seeds is None else study.model_copy(update={"seeds": seeds})
    return plan(
        study, name, out or Path("runs") / f"study-{study.name}", lambda: open_dataset(study.dataset, study.size).md5
    )


def study(name: str, *, out: Path | None = None, seeds: int | None = None, watcher: Watcher | None = None) -> Studied:
    """Train what is missing of a study, keep what is done, compare all, and write study.json and the report.

    Arguments as in `plan_study`. RunError, naming them, if finished runs are of another recipe than the study's.
    """
    from penlight.report.study import study_report
    from penlight.study import record_of, require_no_changed, run_plan

    watcher = watcher or Watcher()
    watcher.step("Reading the study")
    plan = plan_study(name, out=out, seeds=seeds)
    require_no_changed(plan)
    watcher.step("Opening the dataset")
    dataset = open_dataset(plan.study.dataset, plan.study.size)
    views = {view: apply_view(dataset, view) for view in plan.views}
    baselines = {view: _Baselines(views[view], watcher) for view in plan.views}

    def train_run(recipe: Recipe, seed: int, folder: Path) -> Run:
        view = recipe.data.view
        if not (folder / MANIFEST).exists():
            # A summary of other runs than those that will be here must not outlive them.
            (folder.parent / SUMMARY).unlink(missing_ok=True)
        return _train_one(recipe, views[view], seed, folder, baselines[view], watcher)

    runs = run_plan(plan, train_run, watcher.run)
    content = _compare(plan, runs, views, watcher)
    watcher.step("Writing the study's report")
    write_text(plan.folder / "report.html", study_report(content))
    record = record_of(plan, content)
    write_json(plan.folder / STUDY, record)
    return Studied(plan.folder, plan.folder / "report.html", record)


def _compare(
    plan: "Plan", runs: Mapping[str, Sequence[Run]], views: Mapping[str, ViewedDataset], watcher: Watcher
) -> "StudyContent":
    """Score the rows of a study over their seeds, and compare them."""
    from penlight.study import content_of_study, rows_of_one

    rows: dict[str, Sequence[SeedsRow]] = {}
    for name, own in runs.items():
        watcher.step(f"Scoring {name}")
        view = views[own[0].recipe.data.view]
        rows[name] = rows_of_one(own[0]) if len(own) == 1 else _summary_rows(plan.folder / name, own, view)
    watcher.step("Comparing the recipes")
    return content_of_study(plan, runs, views, rows)


def _summary_rows(folder: Path, runs: Sequence[Run], view: ViewedDataset) -> Sequence[SeedsRow]:
    """Read the scores over seeds from the summary that is there, if it is of these runs; else write it."""
    from penlight.study import rows_of_summary

    wanted = runs[0].recipe.hash, [run.seed for run in runs]
    if (folder / SUMMARY).exists() and (folder / "report.html").exists():
        known = rows_of_summary(folder / SUMMARY, *wanted)
        if known is not None:
            return known
    return _summarise(folder, runs, view).metrics


def _report_of_study(folder: Path) -> str:
    """Make the report of a study from what is on disk; RunError if a run of it is missing."""
    from penlight.report.study import study_report
    from penlight.study import plan_study, read_study, require_complete

    kept, source = read_study(folder)
    dataset = open_dataset(kept.dataset, kept.size)
    plan = plan_study(kept, source, folder, lambda: dataset.md5)
    require_complete(plan)
    runs: dict[str, list[Run]] = {}
    for run in plan.runs:
        runs.setdefault(run.row.id, []).append(open_run(run.folder))
    views = {view: apply_view(dataset, view) for view in plan.views}
    return study_report(_compare(plan, runs, views, Watcher()))


@dataclass(frozen=True)
class Tuned:
    """What `tune` found: the folder, the best recipe's file, the page, and the trials.

    `metric` on `judged_on` ("3 folds of train") is what trials are worth; `best` and `start` (the recipe as it was;
    None where its values lie outside the space) are numbers of trials; `importance` is empty with too few trials.
    """

    folder: Path
    recipe: Path
    report: Path
    metric: str
    judged_on: str
    trials: Sequence[Trial]
    best: int
    start: int | None
    importance: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {
            "folder": str(self.folder),
            "recipe": str(self.recipe),
            "report": str(self.report),
            "metric": self.metric,
            "judged_on": self.judged_on,
            "best": self.best,
            "start": self.start,
            "importance": dict(self.importance),
            "trials": [trial.to_dict() for trial in self.trials],
        }


def tune(
    recipe: Recipe,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    sampler: str = "gp",
    space: Path | None = None,
    storage: str | None = None,
    workers: int = 1,
    seeds: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    watcher: Watcher | None = None,
) -> Tuned:
    """Search values of a recipe's keys, judged on val or, where that is small, on folds of train; test is not read.

    Up to `trials` in all (15, if no time is given either); none begins after `seconds`. `space` is a TOML file, by
    default the one that ships for the model. `storage` is an Optuna URL, by default tune.db in the folder. `seeds`
    trainings of each trial are judged on val, whatever its size. `out` is the folder; by default the next free
    runs/<dataset>-tune-<n>, or the unfinished one of the same search, which is continued.
    """
    searched = load_space(space, recipe) if space else default_space(recipe)
    watcher = watcher or Watcher()
    watcher.step("Opening the dataset")
    view = apply_view(open_dataset(recipe.data.dataset, recipe.data.size), recipe.data.view)
    from penlight.training import tuning

    setup = tuning.make_setup(recipe, searched, view, sampler=sampler, seeds=seeds, seed=seed)
    limits = tuning.make_limits(trials, seconds)
    with tuning.TuningFolder(out or tuning.default_folder(setup), setup) as folder:
        watcher.step("Tuning")
        found = tuning.run(folder, view, limits, watcher, storage=storage, workers=workers)
        watcher.step("Writing the report")
        from penlight.report.tuning import write_tuning

        result = Tuned(
            folder.path,
            folder.path / "best.toml",
            folder.path / "report.html",
            view.task.headline,
            setup.repeats.words,
            found.trials,
            found.best.number,
            found.start.number if found.start else None,
            found.importance,
        )
        write_tuning(folder.path, _tuning_content(result, recipe, searched, view, sampler, seed))
        folder.finish()
    return result


def evaluate(path: Path, split: str = "test") -> Scores | SeedsScores:
    """Score a run again, or the runs of several seeds, from the predictions on disk."""
    if (path / SUMMARY).exists():
        return _seeds_scores([open_run(p) for p in seed_folders(path)], split)
    return evaluate_run(open_run(path), split)


def seed_folders(path: Path) -> list[Path]:
    """List the run folders, one per seed, of a folder with several seeds, in the order of the seeds."""
    return sorted(path.glob("seed-*"), key=lambda p: int(p.name.removeprefix("seed-")))


def evaluate_run(run: Run, split: str = "test") -> Scores:
    """Score one run from its predictions and its decision."""
    rows = rows_of(run.predictions(split), run.decision)
    return Scores(split, rows, _baseline_rows(run, split))


def rows_of(predictions: Predictions, decision: Decision) -> list[MetricRow]:
    """Every metric of predictions, with intervals."""
    p = predictions
    return score_rows(p.task, p.y_true, p.prob, decision.decide(p.task, p.prob), groups=p.groups)


def score(file: Path, dataset: str, *, view: str = "native", size: int = 28, split: str | None = None) -> Scores:
    """Score a file in the official result format, `index,p0,p1,...` without a header, made by anybody.

    The split is taken from an official file name, else it is "test". PredictionsError says what does not fit.
    """
    split = split or _split_of_name(file.name)
    viewed = apply_view(open_dataset(dataset, size), view)
    predictions = _read_official(file, viewed, dataset, split)
    return Scores(split, rows_of(predictions, Decision(found_on="none")))


def report(path: Path, out: Path | None = None) -> Path:
    """Write the report of a run, of a folder with several seeds, or of a study, from what is on disk; give its path.

    A run's own report is part of it and stays as `train` wrote it; `out` is another file to write.
    """
    if (path / STUDY).exists():
        target = out or (path / "report.html")
        write_text(target, _report_of_study(path))
        return target
    from penlight.report import Rival, run_report, seeds_report
    from penlight.report.gather import content_of_run

    many = (path / SUMMARY).exists()
    runs = [open_run(p) for p in seed_folders(path)] if many else [open_run(path)]
    data = runs[0].recipe.data
    view = apply_view(open_dataset(data.dataset, data.size), data.view)
    contents = [content_of_run(run, view) for run in runs]
    if many:
        scores = _seeds_scores(runs, "test")
        rivals = [Rival(rival, rows) for rival, rows in scores.baselines.items()]
        page = seeds_report(path.name, contents, scores.metrics, rivals)
    else:
        page = run_report(contents[0])
    target = out or (path / "report.html")
    if out is not None or many:
        write_text(target, page)
    else:
        runs[0].replace("report.html", page.encode())
    return target


def list_recipes() -> list[dict[str, str]]:
    """List the presets: name and the text of their header (what, command, cost, expected score)."""
    return [{"name": name, "about": preset_header(name)} for name in preset_names()]


def fetch(dataset: str, size: int = 28) -> Path:
    """Get a dataset onto disk, checked and ready to open; give the folder of its arrays."""
    return fetch_dataset(dataset, size)


@dataclass(frozen=True)
class Audited:
    """What `audit` found in a dataset, the serious problems first."""

    dataset: str
    problems: Sequence[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"dataset": self.dataset, "problems": [problem.to_dict() for problem in self.problems]}


def audit(dataset: str, size: int = 28) -> Audited:
    """Look for what would make scores false; see `penlight.data.audit`."""
    opened = open_dataset(dataset, size)
    return Audited(opened.info.name, find_problems(opened))


@dataclass(frozen=True)
class Shown:
    """What `show` made: the description in numbers, and the files written."""

    description: DataDescription
    files: Sequence[Path]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {**self.description.to_dict(), "files": [str(file) for file in self.files]}


def show(dataset: str, size: int = 28, out: Path | None = None, view: str | None = None) -> Shown:
    """Describe a dataset in numbers and pictures: through a view or, without one, as stored, whatever its flaws.

    The page goes to `out`, by default runs/data-<name>-<size>, with -<view> after it.
    """
    from penlight.data.show import write_show

    opened = open_dataset(dataset, size)
    seen = opened if view is None else apply_view(opened, view)
    name = "-".join(["data", opened.info.name, str(size), *([view] if view else [])])
    files = write_show(seen, out or Path("runs") / name)
    return Shown(describe(seen), files)


def _train_one(
    recipe: Recipe, view: ViewedDataset, seed: int, folder: Path, baselines: "_Baselines", watcher: Watcher
) -> Run:
    """Train one seed into its folder; a folder that already holds this very run is left as it is."""
    if (folder / MANIFEST).exists():
        done = open_run(folder)
        if (done.recipe.hash, done.seed) == (recipe.hash, seed):
            return done
    with RunWriter(folder, recipe, seed) as writer:
        begun = time.perf_counter()
        task = view.task.reading(head=recipe.data.head, rule=recipe.decide.rule)
        watcher.step(f"Training with seed {seed}")
        fitted = fit(recipe, view, task, seed, progress=watcher.epoch, checkpoint=writer.state / "checkpoint.npz")
        _write_model(writer, fitted)
        watcher.step("Choosing on val, then reading test")
        val = _predict(fitted, view, task, "val", recipe)
        decision = _decide(recipe, val, view)
        test = _predict(fitted, view, task, "test", recipe)
        answering = _seconds_to_answer(fitted, view.splits["test"])
        writer.write_predictions("predictions-val", val)
        writer.write_predictions("predictions-test", test)
        writer.write_json("decision.json", decision.to_dict())
        watcher.step("Scoring")
        rows = rows_of(test, decision)
        rivals = baselines.write(writer)
        writer.write_json("metrics.json", Scores("test", rows, rivals).to_dict())
        total = time.perf_counter() - begun
        durations = {"fit": fitted.seconds, "predict": answering, "total": total}
        writer.write_json("provenance.json", _provenance(recipe, view, seed, fitted, durations))
        watcher.step("Writing the report")
        _write_report(writer, view)
        writer.finish()
    return open_run(folder)


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
        groups=_groups(part),
    )


def _seconds_to_answer(fitted: Fitted, part: ViewedSplit) -> float:
    """Time the answers to a split that has been answered once, so that nothing is compiled; a large one by a part."""
    few = ViewedSplit(part.images, part.index[:_TIMED], part.y_true[:_TIMED])
    begun = time.perf_counter()
    fitted.logits(few)
    return (time.perf_counter() - begun) * len(part) / len(few)


def _groups(part: ViewedSplit) -> Any:
    """Number the patients of a split, so that their names stay in the dataset."""
    return None if part.patients is None else np.unique(part.patients, return_inverse=True)[1].astype(np.int64)


def _decide(recipe: Recipe, val: Predictions, view: ViewedDataset) -> Decision:
    prevalence = view.splits["train"].y_true.mean(axis=0)
    rule, wanted = recipe.decide.thresholds, recipe.decide.wanted
    return find_decision(val.task, val.y_true, val.prob, prevalence, rule=rule, wanted=wanted)


class _Baselines:
    """The baselines of a view, fitted once for all recipes and seeds that read it alike, and only when needed."""

    def __init__(self, view: ViewedDataset, watcher: Watcher) -> None:
        self.view, self.watcher = view, watcher
        self._made: dict[str, tuple[Predictions, Predictions, Decision, list[MetricRow]]] = {}

    def write(self, writer: RunWriter) -> dict[str, list[MetricRow]]:
        """Write the predictions of each baseline into a run, and give their rows on test."""
        rows = {}
        for name, model in BASELINE_MODELS.items():
            if model.backbone == writer.recipe.model.backbone:
                continue
            recipe = Recipe(data=writer.recipe.data, model=model, decide=writer.recipe.decide)
            if recipe.hash not in self._made:
                self._made[recipe.hash] = self._fit(name, recipe)
            val, test, decision, rows[name] = self._made[recipe.hash]
            writer.write_predictions(f"baseline-{name}-val", val)
            writer.write_predictions(f"baseline-{name}-test", test)
            writer.write_json(f"baseline-{name}-decision.json", decision.to_dict())
        return rows

    def _fit(self, name: str, recipe: Recipe) -> tuple[Predictions, Predictions, Decision, list[MetricRow]]:
        self.watcher.step(f"Fitting the baseline: {name}")
        task = self.view.task.reading(head=recipe.data.head, rule=recipe.decide.rule)
        fitted = fit(recipe, self.view, task, seed=0)
        val = _predict(fitted, self.view, task, "val", recipe)
        decision = _decide(recipe, val, self.view)
        test = _predict(fitted, self.view, task, "test", recipe)
        return val, test, decision, rows_of(test, decision)


def _baseline_rows(run: Run, split: str) -> dict[str, list[MetricRow]]:
    return {
        name: rows_of(run.baseline_predictions(name, split), run.baseline_decision(name))
        for name in BASELINE_MODELS
        if name in run.baselines
    }


def _seeds_scores(runs: Sequence[Run], split: str) -> SeedsScores:
    predictions = [run.predictions(split) for run in runs]
    first = predictions[0]
    for run, other in zip(runs, predictions, strict=True):
        if (other.data_hash, other.view, other.recipe_hash) != (first.data_hash, first.view, first.recipe_hash):
            raise RunError(f"{run.path} is a run of another recipe, view or dataset than the seeds beside it.")
    decisions = [run.decision.decide(p.task, p.prob) for run, p in zip(runs, predictions, strict=True)]
    probs = [p.prob for p in predictions]
    rows = score_seeds(first.task, first.y_true, probs, decisions, groups=first.groups)
    return SeedsScores(split, [run.seed for run in runs], rows, _baseline_rows(runs[0], split))


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
        "durations": {name: round(seconds, 3) for name, seconds in durations.items()},
        "versions": versions(),
        "machine": machine(),
    }


def _write_report(writer: RunWriter, view: ViewedDataset) -> None:
    from penlight.report import run_card, run_report
    from penlight.report.gather import content_of_run

    content = content_of_run(writer.draft(), view)
    writer.write("report.html", run_report(content))
    writer.write("card.md", run_card(content))


def _tuning_content(
    result: Tuned, recipe: Recipe, space: Space, view: ViewedDataset, sampler: str, seed: int
) -> "TuningContent":
    from penlight.report.tuning import TuningContent

    numbered = {trial.number: trial for trial in result.trials}
    best = numbered[result.best]
    about = {
        "dataset": view.dataset.info.name,
        "view": view.view,
        "size": f"{view.dataset.size} px",
        "data": view.dataset.md5,
        "recipe": recipe.hash,
        "seed": seed,
    }
    return TuningContent(
        name=result.folder.name,
        title=view.dataset.info.title,
        metric=result.metric,
        judged_on=result.judged_on,
        sampler=sampler,
        space=space,
        trials=result.trials,
        best=best,
        start=numbered.get(result.start or 0),
        importance=result.importance,
        recipe=recipe,
        best_recipe=with_values(recipe, best.params),
        command=f"penlight train {result.recipe}",
        provenance=[(name, str(value)) for name, value in (about | machine() | versions()).items()],
    )


def _default_folder(recipe: Recipe, name: str, seed: int, seeds: int) -> Path:
    """Find the next free runs/<dataset>-<name>-<n>, or the unfinished one of this very recipe and seed."""
    stem = Path(recipe.data.dataset).stem
    for number in range(1, 10_000):
        folder = Path("runs") / f"{stem}-{name}-{number}"
        if not folder.exists() or _continues(folder, recipe, seed, seeds):
            return folder
    raise RunError(f"There are 10,000 folders named runs/{stem}-{name}-*.", "Choose a folder with --out.")


def _continues(folder: Path, recipe: Recipe, seed: int, seeds: int) -> bool:
    wanted = {"recipe_hash": recipe.hash, "seed": seed}
    if seeds == 1:
        return bool(read_claim(folder) == wanted)
    if (folder / SUMMARY).exists():
        return False
    first = folder / f"seed-{seed}"
    with contextlib.suppress(RunError):
        done = open_run(first)
        return bool({"recipe_hash": done.recipe.hash, "seed": done.seed} == wanted)
    return bool(read_claim(first) == wanted)


def _split_of_name(name: str) -> str:
    return next((split for split in ("train", "val", "test") if f"_{split}_" in name), "test")


def _read_official(file: Path, view: ViewedDataset, dataset: str, split: str) -> Predictions:
    part = view.splits[split]
    table = _numbers(file)
    n, labels = len(part), view.task.labels
    if len(table) != n:
        raise PredictionsError(f"{file} has {len(table)} rows; {split} of {dataset} has {n} images in this view.")
    order = np.argsort(table[:, 0], kind="stable")
    if not np.array_equal(table[order, 0], np.arange(n)):
        raise PredictionsError(f"The first column of {file} must hold each index from 0 to {n - 1} once.")
    prob = _official_columns(table[order, 1:], view.task)
    if prob.shape[1] != len(labels):
        raise PredictionsError(
            f"{file} has {prob.shape[1]} probabilities a row; {dataset} has {len(labels)}: {', '.join(labels)}."
        )
    return Predictions(
        index=part.index,
        y_true=part.y_true,
        prob=prob,
        logits=view.task.logits(prob),
        task=view.task,
        dataset=view.dataset.info.name,
        view=view.view,
        split=split,
        data_hash=view.dataset.md5,
        groups=_groups(part),
    )


def _official_columns(prob: Any, task: Task) -> Any:
    """Of two classes the official evaluator reads the last column alone."""
    if len(task.labels) == 2 and task.exclusive and prob.shape[1] in (1, 2):
        return np.stack([1 - prob[:, -1], prob[:, -1]], axis=1)
    return prob


def _numbers(file: Path) -> Any:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(_float_rows(file, csv.reader(lines)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PredictionsError(f"{file} cannot be read: {error}.", "Check the path.") from error
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        raise PredictionsError(f"{file} must have rows of one length: index,p0,p1,... without a header.")
    return np.array(rows)


def _float_rows(file: Path, reader: Iterator[list[str]]) -> Iterator[list[float]]:
    for number, row in enumerate(reader, start=1):
        try:
            yield [float(cell) for cell in row]
        except ValueError as error:
            raise PredictionsError(
                f"Line {number} of {file} is not numbers: {error}.", "The format is index,p0,p1,... without a header."
            ) from error
