"""Train a recipe with one seed or several: into run folders, scored on test, with a report."""

from collections.abc import Callable, Sequence
from pathlib import Path

from penlight.api.requests import with_references
from penlight.api.results import Trained
from penlight.data import apply_view, store
from penlight.data.accesses import TestAccessLog
from penlight.disk import is_inside
from penlight.errors import RunError
from penlight.experiments.baselines import Baselines
from penlight.experiments.experiment import Summary, run_experiment
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec, cuts, held_by, kept_models, train_run
from penlight.experiments.seeds import summarise_seeds
from penlight.recipes import Recipe
from penlight.recipes.plan import TrainingPlan
from penlight.runs import Run
from penlight.runs.folder import (
    SUMMARY,
    goes_on,
    is_bare,
    is_run_of,
    is_untidy,
    run_folder_in,
)
from penlight.runs.scores import SeedsScores
from penlight.runs.scoring import evaluate_run


def train(
    recipe: Recipe,
    *,
    name: str = "custom",
    out: Path | None = None,
    seed: int = 0,
    seeds: int = 1,
    plan: TrainingPlan | None = None,
    images: bool = True,
    listener: ProgressListener | None = None,
) -> Trained:
    """Train a recipe with one seed, or with `seeds` of them from `seed` on; score it on test; write the report.

    `out` is the folder to write; by default the next free runs/<dataset>-<name>-<n>, or the unfinished one of the
    same recipe, which is continued. `plan` is where the recipe comes from, to be kept with it. Without `images` no
    image of the dataset is kept in the run or shown in its report; its predictions are the same. DataError if a file
    of weights is missing, before anything is written.
    """
    from penlight.models.pretrained import require_weights

    listener, recipe = listener or ProgressListener(), with_references(recipe)
    require_weights(recipe.model)
    listener.on_step("Opening the dataset")
    view = apply_view(store.open_referenced(recipe.data.dataset, recipe.data.size), recipe.data.view)
    folder = out or default_folder(recipe, name, lambda path: _continues(path, recipe, seed, seeds))
    baselines = Baselines(view, listener, TestAccessLog(view.dataset, "train"))
    if seeds == 1:
        trained = train_run(RunSpec(recipe, view, seed, folder, baselines, plan, images), listener)
        run, scores = trained.run, trained.scores or evaluate_run(trained.run)
        about = kept_models([run]), held_by([run]), cuts([run]), str(recipe.model.backbone)
        return Trained(folder, folder / "report.html", scores, plan, *about)
    specs = [
        RunSpec(recipe, view, s, run_folder_in(folder, f"seed-{s}"), baselines, plan, images)
        for s in range(seed, seed + seeds)
    ]

    def summarise(runs: Sequence[Run]) -> Summary[SeedsScores]:
        listener.on_step("Writing the summary")
        return summarise_seeds(folder, runs, view)

    runs, summary = run_experiment(folder, specs, summarise, listener)
    held = held_by(runs, folder / "report.html")
    about = kept_models(runs), held, cuts(runs), str(recipe.model.backbone)
    return Trained(folder, folder / "report.html", summary, plan, *about)


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
