"""Search the values of a recipe's keys, without reading test."""

from typing import TYPE_CHECKING, Any

from penlight.api.arguments import checked
from penlight.api.options import Options, request_of
from penlight.api.paths import PathLike, name_of, path_of, path_or_none
from penlight.api.progress import TuningView, shows
from penlight.api.requests import with_references
from penlight.api.results import Tuned
from penlight.data import ViewedDataset
from penlight.disk import short_path
from penlight.errors import RecipeError
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.prepare import Prepare
from penlight.experiments.experiment import default_folder
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.recipes import Estimator, Own, Recipe
from penlight.recipes.space import Space, default_space, load_space, with_values
from penlight.runs import machine, versions
from penlight.tracking.tracker import tracking

if TYPE_CHECKING:
    from penlight.experiments.tuning.search import TuningResult
    from penlight.reports.tuning import TuningContent


@checked
@shows(TuningView)
def tune(
    dataset: PathLike | Recipe,
    recipe: PathLike | Recipe | None = None,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    sampler: str = "tpe",
    space: PathLike | None = None,
    storage: PathLike | None = None,
    workers: int = 1,
    seeds: int | None = None,
    seed: int = 0,
    view: str | None = None,
    size: int | None = None,
    out: PathLike | None = None,
    track: str | None = None,
    on: str | None = None,
    listener: ProgressListener | None = None,
    options: Options | None = None,
    **keywords: Any,
) -> Tuned:
    """Search values of a recipe's keys, judged on val or, where that is small, on folds of train; test is not read.

    `dataset`, `recipe`, which is "cnn" by default, `options` and keywords as in `train`. Up to `trials` in all (15,
    if no time is given either); none begins after `seconds`. `space` is a TOML file, by default the one that ships
    for the model. `storage` is a file that ends in .journal, which machines may share, or an Optuna URL; by default
    tune.journal in the folder. `seeds` trainings of each trial are judged on val, whatever its size. `out` is the
    folder; by default the next free runs/<dataset>-tune-<n>, or the unfinished one of the same search, which is
    continued. `track` is the address of an experiment tracker, as in `train`, which gets each finished trial as a run
    inside that of the tuning. `on` is where trials are trained, as in `train`; `workers`, in short for local:N, is
    how many at once.

    Examples
    --------
    >>> tuned = pl.tune("retina-phantom", "linear", trials=2)
    >>> tuned.frame()[["number", "value"]].shape
    (2, 2)
    >>> run = pl.train(tuned.recipe, out="runs/tuned")
    """
    named = "cnn" if recipe is None and not isinstance(dataset, Recipe) else recipe
    asked = request_of(dataset, named, options, keywords, tune, view=view, size=size, takes_own=False)
    chosen = with_references(asked.recipe)
    if isinstance(chosen.model, Own | Estimator):
        raise RecipeError(
            "A recipe of a network or estimator of your own is not tuned.",
            "Train it with other values of its options.",
        )
    searched = default_space(chosen) if space is None else load_space(path_of(space, "file for space"), chosen)
    listener = listener or ProgressListener()
    listener.on_step("Opening the dataset")
    from penlight.experiments.tuning.folder import continues, finish_tuning, make_setup
    from penlight.experiments.tuning.search import Tuning, make_limits, run_tuning
    from penlight.reports.tuning import tuning_files

    place = Place.of(f"local:{workers}" if on is None else on)
    data = OpenedData(listener)
    viewed = data.view(chosen.data)
    setup = make_setup(chosen, searched, viewed, sampler=sampler, seeds=seeds, seed=seed)
    limits = make_limits(trials, seconds)
    address = None if storage is None else name_of(storage, "storage")
    folder = path_or_none(out, "folder for out")
    folder = folder or default_folder(chosen.data.dataset, "tune", lambda path: continues(path, setup))

    def summarise(found: "TuningResult") -> Tuned:
        listener.on_step("Writing the report")
        start = found.start.number if found.start else None
        about = viewed.task.headline, setup.repeats.words, found.trials, found.best.number, start, found.importance
        result = Tuned(folder, folder / "best.toml", folder / "report.html", *about)
        content = _tuning_content(result, chosen, searched, viewed, sampler, seed)
        finish_tuning(folder, setup, tuning_files(content))
        return result

    with tracking(listener, track) as told:
        first = Prepare([chosen], baselines=False)
        executor = place.executor(folder, data, told, first=first, slots=workers)
        result = run_tuning(Tuning(folder, address), setup, limits, executor, data, told, summarise)
        told.on_group_end(folder)
    return result


def _tuning_content(
    result: Tuned, recipe: Recipe, space: Space, view: ViewedDataset, sampler: str, seed: int
) -> "TuningContent":
    from penlight.reports.tuning import TuningContent

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
        start=None if result.start is None else numbered[result.start],
        importance=result.importance,
        recipe=recipe,
        best_recipe=with_values(recipe, best.params),
        command=f"penlight train {short_path(result.recipe)}",
        provenance=[(name, str(value)) for name, value in (about | machine() | versions()).items()],
    )
