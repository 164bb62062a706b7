"""`pl.train`, and what it gives: a run, or the runs of several seeds or folds."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from penlight.api.arguments import checked
from penlight.api.options import Options, request_of
from penlight.api.paths import PathLike, path_of, path_or_none
from penlight.api.progress import TrainingView, shows
from penlight.api.reports import displays
from penlight.api.requests import Request
from penlight.api.results import ResultPath, Trained
from penlight.api.training import train_request, trained_of
from penlight.api.verdicts import verdict_of
from penlight.errors import RecipeError, RunError, UnknownNameError
from penlight.evaluation.standing import model_words
from penlight.experiments.executors.places import Place
from penlight.experiments.progress import ProgressListener
from penlight.recipes import Recipe
from penlight.records import NotebookResult, shorten, table_html
from penlight.runs import Predictions, RunFolder
from penlight.runs import open_run as open_folder
from penlight.runs.dataset import files_of
from penlight.runs.groups import REPORT, RunGroup, kind_of, open_group
from penlight.runs.predictor import no_model
from penlight.runs.scores import FoldsScores, Scores, SeedsScores
from penlight.tasks import label_of
from penlight.tracking.tracker import tracking

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from penlight.training.own import OwnModel


_RESERVED = ("row", "file", "patient", "truth", "answer")
_OF_FINDINGS = {"confusion": "confusion_labels"}
"""The figures that findings have in the place of another one."""

_LEADING = 5
"""How many scores a card shows."""


@dataclass(frozen=True)
class RunPredictions(NotebookResult, Predictions):
    """A run's predictions of the images of a split: `prob` (N, C) is calibrated, `decided` (N, C) the 0/1 answers,
    and `files` the path of each image in its dataset, where that is here and is one of image files."""

    decided: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    files: NDArray[np.str_] | None = None

    def frame(self) -> "pd.DataFrame":
        """Give a line for each image: its row in the split, file and patient where known, the truth, a probability
        by label, and the answer. A label called as another column has "p " before its name."""
        import pandas as pd

        known = {"file": self.files, "patient": self.groups}
        columns: dict[str, Any] = {"row": self.index, **{k: own for k, own in known.items() if own is not None}}
        masks = [None] * len(self) if self.known is None else self.known
        columns |= {"truth": [label_of(self.task, *own) for own in zip(self.y_true, masks, strict=True)]}
        for i, label in enumerate(self.task.labels):
            columns[f"p {label}" if label in _RESERVED else label] = self.prob[:, i]
        return pd.DataFrame({**columns, "answer": [label_of(self.task, row) for row in self.decided]})

    def _json(self) -> dict[str, Any]:
        return {str(name): column.to_list() for name, column in self.frame().items()}

    def __repr__(self) -> str:
        return f"RunPredictions({self.dataset}, {self.split}: {len(self):,} images, {len(self.task.labels)} labels)"


class _InFolder(NotebookResult):
    """What one run and several have in common: a folder with scores, figures and a report."""

    path: Path

    @property
    def scores(self) -> Scores | SeedsScores | FoldsScores:
        """The scores, and those of the baselines on the same images."""
        raise NotImplementedError

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def report(self) -> ResultPath:
        """The page with figures and checks."""
        return ResultPath(self.path / REPORT)

    def plot(self, name: str, ax: "Axes | None" = None) -> "Axes":
        """Draw a figure of the report, such as "confusion" or "learning", onto axes or onto a figure of its own.

        "confusion" of findings has a matrix for each. UnknownNameError lists the figures that there are.
        """
        figures = displays(self)
        name = _OF_FINDINGS.get(name, name) if name not in figures else name
        if name not in figures:
            raise UnknownNameError("figure", str(name), figures)
        return figures[name].plot(ax)

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        return self.scores.frame()


class Run(_InFolder, RunFolder):
    """A trained model in its folder. Commands take it by its path, functions of `penlight` as it is.

    Examples
    --------
    >>> run = pl.open_run("runs/retina")
    >>> run.scores.frame().loc["auc", ["value", "low", "high", "majority"]].shape
    (4,)
    >>> run.predictions("test").frame()[["truth", "answer"]].head(1)
        truth  answer
    ...
    """

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """Take a folder that was opened, with what it knows already."""
        run = cls.__new__(cls)
        vars(run).update(vars(folder))
        return run

    @property
    def scores(self) -> Scores:
        """The scores on test, and those of the baselines on the same images, as `train` found them."""
        return self.metrics

    def predictions(self, split: str = "test") -> RunPredictions:
        """Give the calibrated probabilities and the answers of each image of "val" or "test". UnknownNameError for
        another split."""
        if split not in self.splits:
            raise UnknownNameError("split with predictions", split, self.splits)
        found = self.answers(split)
        own = {f.name: getattr(found.predictions, f.name) for f in fields(Predictions)}
        files = files_of(self.recipe.data.dataset, self.recipe.data.size, split, found.predictions.data_hash)
        named = None if files is None else np.array(files)[found.predictions.index]
        return RunPredictions(**own, decided=found.decided, files=named)

    def keras_model(self, *, probabilities: bool = False) -> Any:
        """Give the network as an ordinary compiled Keras model, of images float32 (N, H, W, C) of 0 to 255.

        It gives logits (N, K), or with `probabilities` what the run answers: calibrated ones, (N, C). Labels for
        `fit` and `evaluate` are as `pl.load` gives them. The file is read in Keras' safe mode, and runs no code.
        RunError for a run that keeps another kind of model.
        """
        if name := self.made_elsewhere:
            raise no_model(self, name)
        if not self.has("model.keras"):
            raise RunError(
                f"The run {self.path} keeps {model_words(self.kept_model)}, which is no Keras network.",
                "pl.predict and its model.onnx answer with it.",
            )
        from penlight.exporters.keras_file import compiled_network
        from penlight.models.keras_files import network_of

        network, task = network_of(self), self.model_predictions("test").task
        return compiled_network(network, task, self.decision.calibration, probabilities=probabilities)

    def _json(self) -> Trained:
        return trained_of(self.path, [self], self.scores)

    def __repr__(self) -> str:
        about = f"{self.kept_name} on {self.recipe.data.dataset}, seed {self.seed}"
        return shorten(f"Run({str(self.path)!r}, {about}, {self.scores})")

    def _repr_html_(self) -> str:
        return _card(self, verdict_of(self.path, self.scores), {"Report": REPORT, "Model card": "card.md"})


class Runs(_InFolder, Sequence[Run]):
    """The runs of several seeds, or of the folds of a cross-validation, in one folder.

    Examples
    --------
    >>> runs = pl.train("retina-phantom", "majority", seeds=2, out="runs/two")
    >>> [run.seed for run in runs], runs[0].path.name
    ([0, 1], 'seed-0')
    >>> runs.scores.frame().loc["auc", ["value", "sd"]].shape
    (2,)
    """

    def __init__(self, group: RunGroup, opened: Sequence[RunFolder] = ()) -> None:
        self.path = group.path
        self.kind = group.kind
        self._group = group
        self._runs = [Run.of(run) for run in group.runs(opened)]

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        return self._runs[index]

    @cached_property
    def final(self) -> Run | None:
        """The run of the model that became of all of them, by which `pl.predict` and the like answer; None where
        they became none."""
        final = self._group.final
        return None if final is None else Run.of(final)

    @cached_property
    def scores(self) -> SeedsScores | FoldsScores:
        """Scores over seeds with their spread, or of the predictions of all folds together."""
        summary = self._group.summary
        kind = SeedsScores if isinstance(summary, SeedsScores) else FoldsScores
        values = {own.name: getattr(summary, own.name) for own in fields(kind)}
        final = None if self.final is None else self.final.metrics
        return kind(**values | {"sealed": self._group.is_sealed, "final": final})

    def _json(self) -> Trained:
        return trained_of(self.path, self._runs, self.scores)

    def __repr__(self) -> str:
        return shorten(f"Runs({str(self.path)!r}, {len(self)} {self.kind}, {self.scores})")

    def _repr_html_(self) -> str:
        return _card(self, verdict_of(self.path, self.scores), {"Report": REPORT})


def _card(run: Run | Runs, said: str, files: Mapping[str, str]) -> str:
    """Show in a notebook what came of a training: a sentence, leading scores beside baselines, checks, links."""
    scores = run.scores
    table = scores.frame().head(_LEADING)
    table = table[[name for name in ("value", "sd", "low", "high", *scores.baselines) if name in table]]
    checks = "".join(
        f"<li>{'<strong>Serious</strong> ' if own.serious else ''}{own.code}: {html.escape(own.seen)}</li>"
        for own in scores.checks
    )
    links = " · ".join(
        f'<a href="{html.escape(str(run.path / file))}">{title}</a>'
        for title, file in files.items()
        if (run.path / file).is_file()
    )
    return (
        f"<p><strong>{html.escape(said)}</strong></p>{table_html(table)}"
        f"<ul>{checks or '<li>No check reported a problem.</li>'}</ul>"
        f"<p>{links} · <code>{html.escape(str(run.path))}</code></p>"
    )


def open_run(path: PathLike) -> Run | Runs:
    """Open a run folder, or a folder with one run per seed or fold. RunError for what is none.

    Examples
    --------
    >>> run = pl.open_run("runs/retina")
    >>> run.name, run.seed
    ('retina', 0)
    """
    folder = path_of(path, "run folder")
    if kind_of(folder) in ("seeds", "folds"):
        return Runs(open_group(folder))
    return Run.of(open_folder(folder))


@overload
def train(
    dataset: PathLike | Recipe, recipe: "PathLike | Recipe | None" = None, *, model: Any = None, fresh: bool = False,
    callbacks: Sequence[Any] = (), seed: int = 0,
    seeds: Literal[1] = 1, ensemble: Literal[False] = False, folds: None = None, repeats: Literal[1] = 1,
    view: str | None = None, size: int | None = None, budget: float | None = None, images: bool = True,
    out: PathLike | None = None, track: str | None = None, on: str | Place | None = None,
    cluster: PathLike | None = None, listener: ProgressListener | None = None, options: Options | None = None,
    **keywords: Any,
) -> Run: ...  # fmt: skip
@overload
def train(
    dataset: PathLike | Recipe, recipe: "PathLike | Recipe | None" = None, *, folds: int, **keywords: Any
) -> Runs: ...
@overload
def train(
    dataset: PathLike | Recipe, recipe: "PathLike | Recipe | None" = None, *, seeds: int, folds: int | None = None,
    **keywords: Any,
) -> Run | Runs: ...  # fmt: skip
@checked
@shows(TrainingView)
def train(
    dataset: PathLike | Recipe,
    recipe: PathLike | Recipe | None = None,
    *,
    model: Any = None,
    fresh: bool = False,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
    seeds: int = 1,
    ensemble: bool = False,
    folds: int | None = None,
    repeats: int = 1,
    view: str | None = None,
    size: int | None = None,
    budget: float | None = None,
    images: bool = True,
    out: PathLike | None = None,
    track: str | None = None,
    on: str | Place | None = None,
    cluster: PathLike | None = None,
    listener: ProgressListener | None = None,
    options: Options | None = None,
    **keywords: Any,
) -> Run | Runs:
    """Train a model on a dataset, evaluate it on test beside baselines, and write its report.

    Parameters
    ----------
    dataset, recipe
        Names of `pl.list_datasets()` and `pl.list_recipes()`, paths, or a `Recipe`. Without a recipe a plan is made
        for the dataset, for `budget` seconds of training (600 by default).
    model, fresh, callbacks
        Your own: an estimator of scikit-learn, a `keras.Model`, of which each seed trains a copy, with new weights if
        `fresh`, or a function `build(input_shape, n_outputs)` that gives one, also as "FILE.py:NAME". It takes images
        (height, width, channels), float32 of 0 to 255, and gives `n_outputs` logits or the probabilities of these.
    seed, seeds, ensemble, folds, repeats
        The first seed; how many, each a run of its own, and whether their models are averaged into one; or folds of
        train and val, whose models become one that then answers test, and how often images are divided anew.
    view, size, images, out
        A view of the labels; the side of an image in pixels; whether the run keeps images and shows them; its folder,
        by default the next free runs/<dataset>-<recipe>-<n>, or the unfinished one of the same call, which goes on.
    track, listener, on, cluster
        An address as `pl.track` takes; what is told of the progress, `pl.ProgressListener()` to show none; where runs
        are trained: "local:2", "dask:ADDRESS", or "slurm:PARTITION", whose jobs get what a TOML file says.
    options, keywords
        Values of the recipe: `epochs=5`, or by key `options={"train.epochs": 5}`.

    Returns `Run`, or `Runs` of several seeds or folds. RecipeError, DataError and others say what does not fit.

    Examples
    --------
    >>> run = pl.train("retina-phantom", "linear", components=20)
    >>> run.scores.split
    'test'
    """
    if folds is not None and seeds != 1:
        raise RecipeError("folds trains every fold with one seed, and seeds were given.", "Leave seeds out.")
    if ensemble and seeds == 1:
        raise RecipeError("ensemble averages the models of several seeds, and there is one.", "Give seeds=5.")
    if repeats > 1 and folds is None:
        raise RecipeError("repeats is for folds, and none were given.", "Give folds=5.")
    told = listener or ProgressListener()
    told.on_step("Preparing")
    own = _own_model(model, fresh, callbacks)
    data: dict[str, Any] = {"view": view, "size": size, "budget": budget, "own": own, "listener": told}
    asked = request_of(dataset, recipe, options, keywords, train, **data)
    how: dict[str, Any] = {"seeds": seeds, "ensemble": ensemble, "folds": folds, "repeats": repeats}
    place = Place.of(on, path_or_none(cluster, "file for cluster"))
    return open_run(_made(asked, told, track, out, seed=seed, images=images, on=place, **how))


@checked
@shows(TrainingView)
def cross_validate(
    dataset: PathLike | Recipe,
    recipe: PathLike | Recipe | None = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    model: Any = None,
    fresh: bool = False,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
    view: str | None = None,
    size: int | None = None,
    budget: float | None = None,
    images: bool = True,
    out: PathLike | None = None,
    track: str | None = None,
    on: str | Place | None = None,
    cluster: PathLike | None = None,
    listener: ProgressListener | None = None,
    options: Options | None = None,
    **keywords: Any,
) -> Runs:
    """Train a model on all but one of `folds` of train and val, for each, and score the answers to those left out.

    Test is not read, so that recipes may be chosen by it; `train` with folds makes one model of them then, and in the
    same folder `out` trains none of them again. Images are divided anew for each of `repeats`. The other arguments as
    in `train`.

    Examples
    --------
    >>> runs = pl.cross_validate("retina-phantom", "linear", folds=2, out="runs/folds")
    >>> runs.scores.split, runs.final is None
    ('folds', True)
    """
    told, own = listener or ProgressListener(), _own_model(model, fresh, callbacks)
    data: dict[str, Any] = {"view": view, "size": size, "budget": budget, "own": own, "listener": told}
    asked = request_of(dataset, recipe, options, keywords, cross_validate, **data)
    how: dict[str, Any] = {"folds": folds, "repeats": repeats, "test": False}
    place = Place.of(on, path_or_none(cluster, "file for cluster"))
    return Runs(open_group(_made(asked, told, track, out, seed=seed, images=images, on=place, **how)))


def _made(asked: Request, listener: ProgressListener, track: str | None, out: PathLike | None, **how: Any) -> Path:
    """Train what was asked for, and give the folder."""
    folder = path_or_none(out, "folder for out")
    with tracking(listener, track) as told:
        return train_request(asked, out=folder, listener=told, **how).folder


def _own_model(model: Any, fresh: bool, callbacks: Sequence[Any]) -> "OwnModel | None":
    if model is None and (fresh or callbacks):
        raise RecipeError("fresh and callbacks are for a network of your own.", "Hand it in with model=.")
    if model is None:
        return None
    from penlight.training.own import own_model

    return own_model(model, fresh=fresh, callbacks=callbacks)


@checked
def demo(*, out: PathLike | None = None, images: bool = True, listener: ProgressListener | None = None) -> Run:
    """Train, evaluate and report a small network on a synthetic dataset, without a download, in half a minute.

    Arguments as in `train`.

    Examples
    --------
    >>> run = pl.demo(out="runs/demo")
    >>> run.kept_model
    'cnn'
    """
    return train("retina-phantom", "demo", out=out, images=images, listener=listener)
