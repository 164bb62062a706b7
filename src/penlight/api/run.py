"""`pl.train`, and what it gives: a run, or the runs of several seeds or folds."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from penlight.api import requests
from penlight.api.options import Options, overrides_of
from penlight.api.paths import PathLike, path_of, path_or_none
from penlight.api.training import cross_validate_recipe, train_recipe, trained_of
from penlight.errors import RecipeError
from penlight.experiments.progress import ProgressListener
from penlight.recipes import Recipe, load_recipe
from penlight.runs import RunFolder
from penlight.runs import open_run as open_folder
from penlight.runs.groups import RunGroup, kind_of, open_group
from penlight.runs.scores import FoldsScores, Scores, SeedsScores
from penlight.tracking.tracker import tracking

if TYPE_CHECKING:
    import pandas as pd

    from penlight.training.own import OwnModel


class Run(RunFolder):
    """A trained model in its folder, which `penlight` commands take by its path and functions of `pl` as it is."""

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """Take a folder that was opened, with what it knows already."""
        run = cls.__new__(cls)
        vars(run).update(vars(folder))
        return run

    def __fspath__(self) -> str:
        return str(self.path)

    @cached_property
    def scores(self) -> Scores:
        """The scores on test, and those of the baselines on the same images."""
        return self.metrics

    @property
    def report(self) -> Path:
        """The page with figures and checks."""
        return self.path / "report.html"

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        return self.scores.frame()

    def to_dict(self) -> dict[str, Any]:
        """Give what `penlight train --json` prints."""
        return trained_of(self.path, [self], self.scores).to_dict()


class Runs(Sequence[Run]):
    """The runs of several seeds, or of the folds of a cross-validation, in one folder."""

    def __init__(self, group: RunGroup, opened: Sequence[RunFolder] = ()) -> None:
        self.path = group.path
        self.kind = group.kind
        self._group = group
        self._runs = [Run.of(run) for run in group.runs(opened)]

    def __fspath__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        return self._runs[index]

    @cached_property
    def scores(self) -> SeedsScores | FoldsScores:
        """Scores over seeds with their spread, or of the predictions of all folds together."""
        summary = self._group.summary
        kind = SeedsScores if isinstance(summary, SeedsScores) else FoldsScores
        values = {own.name: getattr(summary, own.name) for own in fields(kind)}
        return kind(**values | {"sealed": self._group.is_sealed})

    @property
    def report(self) -> Path:
        """The page with figures and checks over all runs."""
        return self.path / "report.html"

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        return self.scores.frame()

    def to_dict(self) -> dict[str, Any]:
        """Give what `penlight train --seeds N --json` prints."""
        return trained_of(self.path, self._runs, self.scores).to_dict()


def open_run(path: PathLike) -> Run | Runs:
    """Open a run folder, or a folder with one run per seed or fold. RunError for what is none."""
    folder = path_of(path, "run folder")
    if kind_of(folder) in ("seeds", "folds"):
        return Runs(open_group(folder))
    return Run.of(open_folder(folder))


@overload
def train(
    dataset: PathLike | Recipe, recipe: "PathLike | Recipe | None" = None, *, model: Any = None, fresh: bool = False,
    callbacks: Sequence[Any] = (), seed: int = 0,
    seeds: Literal[1] = 1, folds: None = None, view: str | None = None, size: int | None = None,
    budget: float | None = None, images: bool = True,
    out: PathLike | None = None, track: str | None = None, listener: ProgressListener | None = None,
    options: Options | None = None, **keywords: Any,
) -> Run: ...  # fmt: skip
@overload
def train(
    dataset: PathLike | Recipe, recipe: "PathLike | Recipe | None" = None, *, seed: int = 0, folds: int,
    view: str | None = None, size: int | None = None, budget: float | None = None, images: bool = True,
    out: PathLike | None = None, track: str | None = None, listener: ProgressListener | None = None,
    options: Options | None = None, **keywords: Any,
) -> Runs: ...  # fmt: skip
@overload
def train(
    dataset: PathLike | Recipe, recipe: "PathLike | Recipe | None" = None, *, seed: int = 0, seeds: int,
    folds: int | None = None, view: str | None = None, size: int | None = None, budget: float | None = None,
    images: bool = True, out: PathLike | None = None, track: str | None = None,
    listener: ProgressListener | None = None, options: Options | None = None, **keywords: Any,
) -> Run | Runs: ...  # fmt: skip
def train(
    dataset: PathLike | Recipe,
    recipe: PathLike | Recipe | None = None,
    *,
    model: Any = None,
    fresh: bool = False,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
    seeds: int = 1,
    folds: int | None = None,
    view: str | None = None,
    size: int | None = None,
    budget: float | None = None,
    images: bool = True,
    out: PathLike | None = None,
    track: str | None = None,
    listener: ProgressListener | None = None,
    options: Options | None = None,
    **keywords: Any,
) -> Run | Runs:
    """Train a recipe on a dataset, evaluate it on test, and write its report.

    `dataset` is a name, the path of a description, or a recipe that names its dataset. `recipe` is a preset, the path
    of a recipe, or a `Recipe`; without one a plan is made for the dataset, for `budget` seconds of training. Keywords
    change its values: `epochs=5` is `--set train.epochs=5`, as is `options={"train.epochs": 5}`. With `seeds` there
    is a run for each seed from `seed` on; with `folds` one for each fold of train and val, and test is not read.
    `out` is the folder, by default the next free runs/<dataset>-<recipe>-<n>, or the unfinished one of the same
    call, which is continued. Without `images` no image of the dataset is kept. `track` is the address of an
    experiment tracker that gets the run as it goes on, such as "mlflow:sqlite:///runs.db"; see `pl.track`.

    `model` is your own: an estimator of scikit-learn, or a network, as a function `build(input_shape, n_outputs)`, as
    "FILE.py:NAME", or as a `keras.Model`, of which each seed trains a copy, with new weights if `fresh`. Optimizer
    and loss are its own where it is compiled; `callbacks` are Keras'.
    """
    if folds is not None and seeds != 1:
        raise RecipeError("folds trains every fold with one seed, and seeds were given.", "Leave seeds out.")
    if recipe is None and isinstance(dataset, Recipe):
        recipe = dataset
    chosen = recipe if recipe is None or isinstance(recipe, Recipe) else str(path_of(recipe, "recipe"))
    of_model = load_recipe(chosen) if isinstance(chosen, str) else chosen
    overrides = overrides_of(options, keywords, of_model, _PARAMETERS)
    name = None if isinstance(dataset, Recipe) else str(path_of(dataset, "dataset"))
    own = _own_model(model, fresh, callbacks)
    asked = requests.request(name, chosen, overrides, view=view, size=size, budget=budget, own=own)
    how: dict[str, Any] = {"name": asked.name, "out": path_or_none(out, "folder for out"), "seed": seed}
    how |= {"plan": asked.plan, "images": images, "own": asked.own}
    with tracking(listener or ProgressListener(), track) as how["listener"]:
        made = (
            train_recipe(asked.recipe, seeds=seeds, **how)
            if folds is None
            else cross_validate_recipe(asked.recipe, folds=folds, **how)
        )
    return open_run(made.folder)


def _own_model(model: Any, fresh: bool, callbacks: Sequence[Any]) -> "OwnModel | None":
    if model is None and (fresh or callbacks):
        raise RecipeError("fresh and callbacks are for a network of your own.", "Hand it in with model=.")
    if model is None:
        return None
    from penlight.training.own import own_model

    return own_model(model, fresh=fresh, callbacks=callbacks)


_PARAMETERS = tuple(inspect.signature(train).parameters)
