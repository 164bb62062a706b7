"""Search the values of a recipe's keys, without reading test."""

from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.requests import with_references
from penlight.api.results import Tuned
from penlight.data import ViewedDataset, apply_view, store
from penlight.disk import short_path
from penlight.experiments.progress import ProgressListener
from penlight.recipes import Recipe
from penlight.recipes.space import Space, default_space, load_space, with_values
from penlight.runs import machine, versions

if TYPE_CHECKING:
    from penlight.reports.tuning import TuningContent


def tune(
    recipe: Recipe,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    sampler: str = "tpe",
    space: Path | None = None,
    storage: str | None = None,
    workers: int = 1,
    seeds: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    listener: ProgressListener | None = None,
) -> Tuned:
    """Search values of a recipe's keys, judged on val or, where that is small, on folds of train; test is not read.

    Up to `trials` in all (15, if no time is given either); none begins after `seconds`. `space` is a TOML file, by
    default the one that ships for the model. `storage` is an Optuna URL, by default tune.db in the folder. `seeds`
    trainings of each trial are judged on val, whatever its size. `out` is the folder; by default the next free
    runs/<dataset>-tune-<n>, or the unfinished one of the same search, which is continued.
    """
    recipe = with_references(recipe)
    searched = load_space(space, recipe) if space else default_space(recipe)
    listener = listener or ProgressListener()
    listener.on_step("Opening the dataset")
    view = apply_view(store.open_referenced(recipe.data.dataset, recipe.data.size), recipe.data.view)
    from penlight.experiments.tuning import folder as folders
    from penlight.experiments.tuning.search import make_limits, run_tuning
    from penlight.experiments.tuning.setup import make_setup

    setup = make_setup(recipe, searched, view, sampler=sampler, seeds=seeds, seed=seed)
    limits = make_limits(trials, seconds)
    with folders.TuningFolder(out or folders.default_folder(setup), setup) as folder:
        listener.on_step("Tuning")
        found = run_tuning(folder, view, limits, listener, storage=storage, workers=workers)
        listener.on_step("Writing the report")
        from penlight.reports.tuning import write_tuning

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
        start=numbered.get(result.start or 0),
        importance=result.importance,
        recipe=recipe,
        best_recipe=with_values(recipe, best.params),
        command=f"penlight train {short_path(result.recipe)}",
        provenance=[(name, str(value)) for name, value in (about | machine() | versions()).items()],
    )
