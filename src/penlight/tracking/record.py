"""What a tracker gets of a run: parameters, metrics of each epoch, scores, files."""

import hashlib
import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.evaluation import Score, headline_value
from penlight.recipes.space import with_values
from penlight.records import json_text
from penlight.runs import RunFolder
from penlight.runs.folder import FOLDS
from penlight.runs.groups import RunGroup
from penlight.runs.scores import FoldsScores, SeedsScores
from penlight.training import Epoch

if TYPE_CHECKING:
    from penlight.recipes import Recipe
    from penlight.recipes.space import Trial

FILES = (
    *("report.html", "card.md", "recipe.toml", "metrics.json", "summary.json", "study.json", FOLDS, "model.onnx"),
    *("best.toml", "tune.json"),
)
"""Files of a run or of a folder of several that are sent with it, where they are there."""

# MLflow's servers before 2.8 take no longer values of parameters.
_LONGEST = 500


@dataclass(frozen=True)
class TrackedRun:
    """A run, or a folder of several, as a tracker knows it.

    `key` is the same for a recipe in a folder of this machine, finished or not; `parent` is the key of the seeds,
    folds or study that the run belongs to, None for a run by itself. `parameters` are the values of its recipe by
    dotted name. A folder of `several` runs stays one run of the tracker, whatever was added to it.
    """

    key: str
    folder: Path
    name: str
    dataset: str
    parameters: Mapping[str, str]
    parent: str | None = None
    several: bool = False


@dataclass(frozen=True)
class TrackedEpoch:
    """The metrics of an epoch, numbered from 1."""

    number: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrackedScores:
    """What a run ended with: metrics by name, such as "test/auc", "test/auc_low" and "linear/auc", with the step that
    they are logged at, which follows the last epoch. `files` are names of files that `read` gives, checked as those
    of a run are. `version` tells it from another run in its folder."""

    metrics: Mapping[str, float]
    step: int
    files: Sequence[str]
    read: Callable[[str], bytes]
    version: str


def tracked_run(folder: Path, recipe: "Recipe", seed: int, dataset: str, parent: TrackedRun | None) -> TrackedRun:
    """Describe a run by its recipe; one of several is named by where it is among them, such as "seed-0"."""
    name = folder.name if parent is None else folder.relative_to(parent.folder).as_posix()
    parameters = {"seed": str(seed), **_parameters(recipe)}
    key = _key(folder, recipe.hash, str(seed))
    return TrackedRun(key, folder, name, dataset, parameters, None if parent is None else parent.key)


def tracked_group(folder: Path, recipe: "Recipe | None", dataset: str) -> TrackedRun:
    """Describe a folder of several runs by the recipe that all of them have, None for a study."""
    parameters = {} if recipe is None else _parameters(recipe)
    key = _key(folder, "" if recipe is None else recipe.hash, "several")
    return TrackedRun(key, folder, folder.name, dataset, parameters, several=True)


def tracked_trial(
    recipe: "Recipe", trial: "Trial", headline: str, dataset: str, parent: TrackedRun
) -> tuple[TrackedRun, TrackedScores]:
    """Describe a trial of a tuning by the recipe with its values; its metrics are the mean that it is judged by, NaN
    left out, the value of each repeat, and its seconds."""
    tried, own = with_values(recipe, trial.params), f"trial-{trial.number}"
    parameters = {"trial": trial.state, **_parameters(tried)}
    run = TrackedRun(_key(parent.folder, tried.hash, own), parent.folder, own, dataset, parameters, parent.key)
    values = {f"trial/{headline}_{number}": value for number, value in enumerate(trial.values, 1)}
    metrics = _finite({f"trial/{headline}": trial.value, **values, "seconds": trial.seconds})
    version = hashlib.sha256("\n".join((run.key, json_text(trial))).encode()).hexdigest()
    return run, TrackedScores(metrics, 1, (), lambda name: b"", version)


def _key(folder: Path, *more: str) -> str:
    """Hash this machine and a folder: a tracker gets no path of the machine."""
    return hashlib.sha256("\n".join((platform.node(), os.fspath(folder.resolve()), *more)).encode()).hexdigest()[:20]


def tracked_epoch(row: Epoch, headline: str) -> TrackedEpoch:
    """Name the values of an epoch; `headline` is the metric that the task is judged by, such as "auc"."""
    values = {
        "train/loss": row.loss,
        "val/loss": row.val_loss,
        f"train/{headline}": row.headline,
        f"val/{headline}": row.val_headline,
        "learning_rate": row.learning_rate,
        "seconds": row.seconds,
    }
    return TrackedEpoch(row.epoch, _finite(values))


def epochs_of(run: RunFolder) -> list[TrackedEpoch]:
    """Read the epochs of a run; none for a model without epochs. RunError for a damaged run."""
    curves = run.curves
    if curves is None:
        return []
    headline = run.model_predictions("val").task.headline
    rows = zip(*(curves[name].tolist() for name in Epoch.__dataclass_fields__), strict=True)
    return [tracked_epoch(Epoch(*row), headline) for row in rows]


def scores_of_run(run: RunFolder, epochs: int) -> TrackedScores:
    """Read the scores of a run on its test images with their intervals, those of its baselines, and its headline
    score on val; a run of other software's predictions may have none for val. RunError for a damaged run."""
    metrics = _metrics("test", run.metrics.metrics, run.metrics.baselines)
    if run.has("predictions-val.npz"):
        val = run.model_predictions("val")
        metrics[f"val/{val.task.headline}"] = headline_value(val.task, val.y_true, val.prob, val.known)
    return TrackedScores(_finite(metrics), epochs + 1, _files(run), run.read, run.measured)


def scores_of_group(group: RunGroup, runs: Sequence[RunFolder]) -> TrackedScores:
    """Read the scores over seeds or folds; none for a study, each of whose rows has its own."""
    record = group.record
    metrics = {}
    if isinstance(record, SeedsScores | FoldsScores):
        metrics = _metrics(record.split, record.metrics, record.baselines)
    version = hashlib.sha256("\n".join(run.measured for run in runs).encode()).hexdigest()
    return TrackedScores(_finite(metrics), 1, _files(group), group.read, version)


def scores_of_tuning(group: RunGroup, best: Mapping[str, float]) -> TrackedScores:
    """Give what a tuning ended with: the metrics of its `best` trial, and its files."""
    version = hashlib.sha256(b"\n".join(map(group.read, ("tune.json", "best.toml", "report.html")))).hexdigest()
    return TrackedScores(best, 1, _files(group), group.read, version)


_ENDS = (("", "value"), ("_low", "low"), ("_high", "high"), ("_sd", "sd"))


def _metrics(split: str, rows: Iterable[Score], baselines: Mapping[str, Sequence[Score]]) -> dict[str, float | None]:
    return {
        f"{model}/{row.name}{end}": getattr(row, field)
        for model, own in {split: rows, **baselines}.items()
        for row in own
        if row.label is None
        for end, field in _ENDS
    }


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what is undefined: a tracker would draw it as 0, or refuse it."""
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _files(folder: RunFolder | RunGroup) -> list[str]:
    return [name for name in FILES if folder.has(name)]


def _parameters(recipe: "Recipe") -> dict[str, str]:
    return {"recipe_hash": recipe.hash} | {
        name: str(value)[:_LONGEST] for name, value in _flat(recipe.model_dump(mode="json"))
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
