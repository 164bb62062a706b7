"""Runs compared on the same images: which is better by more than chance."""

import contextlib
import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, listed, name_of, path_or_none
from penlight.data.catalog import info_of_reference, referenced
from penlight.errors import DataError, PredictionsError, RunError, UnknownNameError
from penlight.escaping import label_list
from penlight.evaluation import METRICS, Decision
from penlight.evaluation.comparison import Compared, Comparison, Difference, differences, paired_draws
from penlight.evaluation.standing import model_words
from penlight.recipes import BASELINE_MODELS
from penlight.records import Record, json_key, shorten, table_html
from penlight.runs import Answers, Predictions, RunFolder, answer, open_run, write_text
from penlight.runs.groups import kind_of, open_group
from penlight.runs.scoring import answers_of_seeds
from penlight.tasks import Task

_NATIVE = "native"


class ComparedRuns(Record, table="differences"):
    """What `compare` found, the modality of the images, and the page, if one was written."""

    comparison: Comparison = json_key(inline=True)
    modality: str = json_key(hidden=True)
    page: Path | None

    @property
    def differences(self) -> Sequence[Difference]:
        """The difference of each pair, with its interval and p value."""
        return self.comparison.differences

    @property
    def verdict(self) -> str:
        """Which models differ by more than chance, in a sentence."""
        from penlight.reports.verdict import comparison_verdict

        return comparison_verdict(self.comparison, self.modality)

    def __repr__(self) -> str:
        return shorten(f"ComparedRuns({self.verdict})")

    def _repr_html_(self) -> str:
        import pandas as pd

        columns = ("name", "mean", "sd", "low", "high")
        models = pd.DataFrame([{c: getattr(own, c) for c in columns} for own in self.comparison.models])
        return f"<p><strong>{html.escape(self.verdict)}</strong></p>{table_html(models)}{table_html(self.frame())}"


@dataclass(frozen=True)
class _ComparedModel:
    """What is compared: the answers to one split, one per seed; `dataset` is what they were made from, by name or by
    the path of its description."""

    source: str
    dataset: str
    seeds: tuple[int, ...]
    answers: Sequence[Answers]

    @property
    def first(self) -> Predictions:
        """The predictions of the first seed."""
        return self.answers[0].predictions


@checked
def compare(
    *runs: PathLike | Sequence[PathLike],
    metric: str | None = None,
    split: str = "test",
    against: PathLike | None = None,
    every_pair: bool = False,
    dataset: PathLike | None = None,
    view: str | None = None,
    size: int | None = None,
    out: PathLike | None = None,
) -> ComparedRuns:
    """Compare runs by a metric of the whole, the task's headline unless given, on the same images of a split.

    Each of `runs` is a run or its folder, a folder with a run per seed, one of folds or seeds that became one model,
    a baseline of any (`RUN:linear`), or a CSV file in the official result format, which is about `dataset` through
    `view` at `size`, or else about those of the first run. All are compared with `against`, or with the first; with
    `every_pair`, each with each. `out` is the page to write. PredictionsError says in what
    they differ where they are not of the same images.

    Examples
    --------
    >>> compared = pl.compare("runs/retina", "runs/retina:majority")
    >>> compared.frame()[["row", "against", "value", "low", "high", "p"]].shape
    (1, 6)
    """
    first = [] if against is None else [against]
    named = list(dict.fromkeys(name_of(run, "run folder") for run in [*first, *_each(runs)]))
    dataset = None if dataset is None else name_of(dataset)
    out = path_or_none(out, "file for out")
    if len(named) < 2:
        raise RunError(
            "A comparison needs at least two models.", "Give another run, or a run's baseline: RUN:linear."
        )
    about = _about_files(named, dataset, view, size)
    models = [_read(source, split, about) for source in named]
    for model in models[1:]:
        _require_same_images(models[0], model)
    comparison = _compare(models, metric, None if every_pair and len(models) > 2 else 0)
    modality = ""
    # Its description may no longer be where it was.
    with contextlib.suppress(DataError, UnknownNameError):
        modality = info_of_reference(models[0].dataset).modality
    if out is not None:
        from penlight.reports.comparison import comparison_report

        write_text(out, comparison_report(comparison, modality, models[0].first.data_hash))
    return ComparedRuns(comparison, modality, out)


def _each(runs: Sequence[PathLike | Sequence[PathLike]]) -> list[PathLike]:
    """Give runs that were named one by one, or as a list."""
    return [own for run in runs for own in listed(run)]


def _compare(models: Sequence[_ComparedModel], metric: str | None, against: int | None) -> Comparison:
    first = models[0].first
    key = _key(first.task, metric)
    names = _names([model.source for model in models])
    samples = {name: [own.sample for own in model.answers] for name, model in zip(names, models, strict=True)}
    draws = paired_draws(samples, key, groups=first.units)
    wanted = (
        itertools.combinations(names, 2) if against is None
        else ((name, names[against]) for name in names if name != names[against])
    )  # fmt: skip
    return Comparison(
        dataset=first.dataset,
        view=first.view,
        split=first.split,
        images=len(first),
        metric=METRICS[key].name,
        against=None if against is None else names[against],
        models=tuple(
            Compared.from_draws(name, model.source, model.seeds, draws[name])
            for name, model in zip(names, models, strict=True)
        ),
        differences=tuple(differences(draws, wanted)),
    )


def _key(task: Task, metric: str | None) -> str:
    """Find the metric of the whole that a row of the task has by this name."""
    if metric is None:
        return task.headline
    known = {METRICS[key].name: key for key in task.metrics if not METRICS[key].per_label}
    if metric not in known:
        raise UnknownNameError(f"score of the whole for {task.kind} tasks", metric, known)
    return known[metric]


def _names(sources: Sequence[str]) -> list[str]:
    """Name each by the end of its path: as few of its folders as tell it from every other, as "a/seed-0"."""
    parts = [Path(source).parts for source in sources]
    for n_parts in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*own[-n_parts:])) for own in parts]
        if len(set(names)) == len(names):
            return names
    return list(sources)


def _read(source: str, split: str, about: Mapping[str, Any] | None) -> _ComparedModel:
    path = Path(source)
    if path.suffix == ".csv":
        if about is None:
            raise PredictionsError(f"What dataset {source} is about is not known.", "Give it with --dataset.")
        from penlight.api.scoring import official_predictions

        predictions = official_predictions(path, split=split, **about)
        return _ComparedModel(source, str(about["dataset"]), (0,), [answer(predictions, Decision(found_on="none"))])
    folder, baseline = _parts(source)
    runs = _runs(folder)
    if baseline is not None:
        return _baseline(source, runs, baseline, split)
    dataset = runs[0].recipe.data.dataset
    return _ComparedModel(source, dataset, tuple(run.seed for run in runs), answers_of_seeds(runs, split))


def _parts(source: str) -> tuple[Path, str | None]:
    """Take RUN:linear apart; a folder may have a colon in its own name."""
    folder, colon, baseline = source.rpartition(":")
    if colon and not Path(source).exists() and Path(folder).is_dir():
        return Path(folder), baseline
    return Path(source), None


def _runs(folder: Path) -> list[RunFolder]:
    kind = kind_of(folder)
    final = open_group(folder).final if kind in ("folds", "seeds") else None
    if kind == "folds" and final is None:
        raise RunError(f"{folder} is a cross-validation, which has no answers to test.", "Compare trained runs.")
    return open_group(folder).runs() if kind == "seeds" and final is None else [final or open_run(folder)]


def _baseline(source: str, runs: Sequence[RunFolder], name: str, split: str) -> _ComparedModel:
    """Read a baseline; it is the same for every seed, and has none of its own."""
    run = next((own for own in runs if name in own.baselines), runs[0])
    if name == run.kept_model and name not in run.baselines:
        raise RunError(
            f"{source}: what this run keeps as its model is {model_words(name)}.", "Compare the run itself."
        )
    if name not in BASELINE_MODELS or name not in run.baselines:
        raise UnknownNameError(f"baseline of the run {run.path}", name, run.baselines)
    return _ComparedModel(source, run.recipe.data.dataset, (0,), [run.baseline_answers(name, split)])


def _about_files(
    named: Sequence[str], dataset: str | None, view: str | None, size: int | None
) -> Mapping[str, Any] | None:
    """Say what CSV files are about: what was given, else what the first run is; None where neither says."""
    folders = [source for source in named if Path(source).suffix != ".csv"]
    if dataset is None and not folders:
        return None
    if dataset is not None or len(folders) == len(named):
        return {"dataset": dataset, "view": view or _NATIVE, "size": size}
    data = _runs(_parts(folders[0])[0])[0].recipe.data
    if not data.size:
        raise PredictionsError(
            f"{folders[0]} was scored by a labels file, which a CSV file does not name.",
            "Make a run of the file by the same labels: penlight score FILE --truth LABELS --out FOLDER",
        )
    return {"dataset": referenced(data.dataset), "view": view or data.view, "size": size or data.size}


def _require_same_images(one: _ComparedModel, other: _ComparedModel) -> None:
    """Raise PredictionsError, by name and with what differs, if two models are not of the same images and labels."""
    a, b = one.first, other.first
    told = [
        ("dataset", a.dataset, b.dataset),
        ("view", a.view, b.view),
        ("split", a.split, b.split),
        ("file of the dataset (MD5)", a.data_hash, b.data_hash),
        ("labels", label_list(a.task.labels), label_list(b.task.labels)),
        ("number of images", len(a), len(b)),
    ]
    differ = next((f"{what} differs: {own} and {others}" for what, own, others in told if own != others), None)
    if differ is None and not np.array_equal(a.index, b.index):
        differ = "images differ"
    if differ is None and not a.same_truth(b):
        differ = "true labels differ"
    if differ is not None:
        raise PredictionsError(
            f"{one.source} and {other.source} cannot be compared, their {differ}.",
            "Compare runs of the same images and labels.",
        )
