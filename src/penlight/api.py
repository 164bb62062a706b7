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
from typing import Any

import numpy as np

from penlight.data import ViewedDataset, ViewedSplit, apply_view, fetch_dataset, open_dataset
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
from penlight.runs import Predictions, Run, RunWriter, machine, open_run, read_claim, versions, write_json, write_text
from penlight.runs.folder import MANIFEST
from penlight.tasks import Task
from penlight.training import Epoch, Fitted, fit

BASELINE_MODELS: dict[str, Majority | Linear] = {"majority": Majority(), "linear": Linear()}
SUMMARY = "summary.json"


class Watcher:
    """Is told how a training goes on; a command draws it, a notebook may ignore it."""

    def step(self, what: str) -> None:
        """Say what is being done now."""

    def epoch(self, row: Epoch, planned: int) -> None:
        """Say that an epoch is done, of `planned`."""


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
    baselines = _Baselines(view, recipe, watcher)
    if seeds == 1:
        run = _train_one(recipe, view, seed, folder, baselines, watcher)
        return Trained(folder, folder / "report.html", evaluate_run(run))
    runs = [_train_one(recipe, view, s, folder / f"seed-{s}", baselines, watcher) for s in range(seed, seed + seeds)]
    watcher.step("Writing the summary")
    scores = _seeds_scores(runs, "test")
    write_json(folder / SUMMARY, {"schema": 1, "recipe_hash": recipe.hash, **scores.to_dict()})
    from penlight.report import Rival, seeds_report
    from penlight.report.gather import content_of_run

    contents = [content_of_run(run, view) for run in runs]
    rivals = [Rival(rival, rows) for rival, rows in scores.baselines.items()]
    write_text(folder / "report.html", seeds_report(folder.name, contents, scores.metrics, rivals))
    return Trained(folder, folder / "report.html", scores)


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
    """Write the report of a run, or of a folder with several seeds, from what is on disk; give its path.

    A run's own report is part of it and stays as `train` wrote it; `out` is another file to write.
    """
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
        writer.write_predictions("predictions-val", val)
        writer.write_predictions("predictions-test", test)
        writer.write_json("decision.json", decision.to_dict())
        watcher.step("Scoring")
        rows = rows_of(test, decision)
        rivals = baselines.write(writer)
        writer.write_json("metrics.json", Scores("test", rows, rivals).to_dict())
        durations = {"fit": fitted.seconds, "total": time.perf_counter() - begun}
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


def _groups(part: ViewedSplit) -> Any:
    """Number the patients of a split, so that their names stay in the dataset."""
    return None if part.patients is None else np.unique(part.patients, return_inverse=True)[1].astype(np.int64)


def _decide(recipe: Recipe, val: Predictions, view: ViewedDataset) -> Decision:
    prevalence = view.splits["train"].y_true.mean(axis=0)
    rule, wanted = recipe.decide.thresholds, recipe.decide.wanted
    return find_decision(val.task, val.y_true, val.prob, prevalence, rule=rule, wanted=wanted)


class _Baselines:
    """The baselines of a view, fitted once for all seeds, and only when they are needed."""

    def __init__(self, view: ViewedDataset, recipe: Recipe, watcher: Watcher) -> None:
        self.view, self.recipe, self.watcher = view, recipe, watcher
        self._made: dict[str, tuple[Predictions, Predictions, Decision]] = {}
        self._rows: dict[str, list[MetricRow]] = {}

    def write(self, writer: RunWriter) -> dict[str, list[MetricRow]]:
        """Write the predictions of each baseline into a run, and give their rows on test."""
        for name, model in BASELINE_MODELS.items():
            if model.backbone == self.recipe.model.backbone:
                continue
            if name not in self._made:
                self._fit(name, model)
            val, test, decision = self._made[name]
            writer.write_predictions(f"baseline-{name}-val", val)
            writer.write_predictions(f"baseline-{name}-test", test)
            writer.write_json(f"baseline-{name}-decision.json", decision.to_dict())
        return self._rows

    def _fit(self, name: str, model: Majority | Linear) -> None:
        self.watcher.step(f"Fitting the baseline: {name}")
        recipe = self.recipe.model_copy(update={"model": model})
        task = self.view.task.reading(head=recipe.data.head, rule=recipe.decide.rule)
        fitted = fit(recipe, self.view, task, seed=0)
        val = _predict(fitted, self.view, task, "val", recipe)
        decision = _decide(recipe, val, self.view)
        test = _predict(fitted, self.view, task, "test", recipe)
        self._made[name] = val, test, decision
        self._rows[name] = rows_of(test, decision)


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
