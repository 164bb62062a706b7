"""Train a recipe with one seed, several seeds or several folds: into run folders, scored, with a report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penlight.api.requests import Request, with_references
from penlight.api.results import Trained
from penlight.errors import ArgumentError
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.prepare import Prepare
from penlight.experiments.executors.work import do_all
from penlight.experiments.experiment import Summary, default_folder, run_group
from penlight.experiments.final import make_final, require_final
from penlight.experiments.folds import claim_of, continues, fold_specs, summarise_folds
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec
from penlight.experiments.seeds import seed_specs, seeds_go_on, summarise_seeds
from penlight.recipes import Recipe
from penlight.recipes.plan import TrainingPlan
from penlight.records.groups import MOST_REPEATS
from penlight.runs import RunFolder
from penlight.runs.folder import goes_on
from penlight.runs.groups import REPORT
from penlight.runs.holdings import holdings_of
from penlight.runs.scores import FoldsScores, Scores, SeedsScores
from penlight.runs.scoring import averaged, evaluate_run, open_folds
from penlight.training.own import OwnModel, with_own


def train_request(
    asked: Request,
    *,
    seeds: int = 1,
    ensemble: bool = False,
    folds: int | None = None,
    repeats: int = 1,
    test: bool = True,
    **how: Any,
) -> Trained:
    """Train what was asked for with `seeds` seeds or in `folds`; `ensemble` as `train_recipe` has it, `repeats` and
    `test` as `cross_validate_recipe`, and `how` are seed, images, out, on and listener of both."""
    how |= {"name": asked.name, "plan": asked.plan, "own": asked.own}
    if folds is None:
        return train_recipe(asked.recipe, seeds=seeds, ensemble=ensemble, **how)
    return cross_validate_recipe(asked.recipe, folds=folds, repeats=repeats, test=test, **how)


def train_recipe(
    recipe: Recipe,
    *,
    name: str = "custom",
    out: Path | None = None,
    seed: int = 0,
    seeds: int = 1,
    plan: TrainingPlan | None = None,
    images: bool = True,
    own: OwnModel | None = None,
    ensemble: bool = False,
    on: str | Place | None = None,
    listener: ProgressListener | None = None,
) -> Trained:
    """Train a recipe with one seed, or with `seeds` of them from `seed` on; score it on test; write the report.

    With `ensemble` the models of all seeds are averaged into one, which is calibrated on val and scored on test.

    `out` is the folder to write; by default the next free runs/<dataset>-<name>-<n>, or the unfinished one of the
    same recipe, which is continued. `plan` is where the recipe comes from, to be kept with it. Without `images` no
    image of the dataset is kept in the run or shown in its report; its predictions are the same. `own` is the user's
    network or estimator, in place of the recipe's model. `on` is where runs are trained, see `Place.of`. DataError if
    a file of weights is missing, and RecipeError if the network does not fit, before anything is written.
    """
    listener, recipe, place = listener or ProgressListener(), _trainable(recipe), Place.of(on)
    listener.on_step("Opening the dataset")
    data = OpenedData(listener)
    view = data.view(recipe.data)
    recipe, own = with_own(recipe, own, view, listener.on_warning)
    continued = goes_on if seeds == 1 else seeds_go_on
    folder = out or default_folder(recipe.data.dataset, name, lambda path: continued(path, recipe.hash, seed))
    first = RunSpec(recipe, seed, folder, plan=plan, images=images, own=own)
    executor = place.executor(folder, data, listener, first=Prepare([recipe]))
    if seeds == 1:
        with executor:
            [trained] = do_all(iter([first]), executor)
        return _trained(first, [trained.run], trained.scores or evaluate_run(trained.run))

    def summarise(runs: Sequence[RunFolder]) -> Summary[SeedsScores]:
        final = make_final(first, runs, averaged(runs, "val"), data, listener) if ensemble else None
        listener.on_step("Writing the summary")
        return summarise_seeds(folder, runs, view, final)

    return _trained(first, *run_group(folder, seed_specs(first, seeds), summarise, executor, listener))


def cross_validate_recipe(
    recipe: Recipe,
    *,
    folds: int,
    repeats: int = 1,
    name: str = "custom",
    out: Path | None = None,
    seed: int = 0,
    plan: TrainingPlan | None = None,
    images: bool = True,
    test: bool = True,
    own: OwnModel | None = None,
    on: str | Place | None = None,
    listener: ProgressListener | None = None,
) -> Trained:
    """Divide train and val into folds, train on all but one for each, and score the answers to those left out; then
    average the models of all folds into one, calibrate it by these answers, and score it on test.

    With `repeats` the images are divided anew so often, by the seeds after the first one, and all models are
    averaged. Without `test` no model is made, and test is not read. Inside a fold, a part of what it is trained on
    chooses the epoch, thresholds and calibration. The other arguments as in `train_recipe`; the folder has a run per
    fold.
    DataError where there are too few images for so many folds; RunError for a folder that holds something else.
    """
    if repeats > MOST_REPEATS:
        raise ArgumentError(
            f"At most {MOST_REPEATS} repeats were expected; {repeats:,} came.", "Give fewer --repeats."
        )
    listener, recipe, place = listener or ProgressListener(), _trainable(recipe), Place.of(on)
    listener.on_step("Dividing the dataset")
    data = OpenedData(listener)
    recipe, own = with_own(require_final(recipe), own, data.view(recipe.data), listener.on_warning)
    divided = data.folds(recipe, folds, seed)
    claim = claim_of(recipe, divided, repeats)
    folder = out or default_folder(recipe.data.dataset, name, lambda path: continues(path, claim, final=test))
    first = RunSpec(recipe, seed, folder, "folds", plan=plan, images=images, own=own)

    def summarise(runs: Sequence[RunFolder]) -> Summary[FoldsScores]:
        made = open_folds(folder)
        final = make_final(first, made.runs, made.held_out, data, listener, divided) if test else None
        listener.on_step("Scoring all folds")
        return summarise_folds(made, divided, final)

    executor = place.executor(folder, data, listener, first=Prepare([recipe], baselines=False))
    specs = fold_specs(first, claim, listener if place.is_here else ProgressListener())
    return _trained(first, *run_group(folder, specs, summarise, executor, listener))


def _trainable(recipe: Recipe) -> Recipe:
    """Give a recipe without paths of this machine. DataError if a file of weights is missing."""
    from penlight.models.encoder_file import require_weights, with_hashes

    recipe = with_references(recipe)
    require_weights(recipe.model)
    return with_hashes(recipe)


def _trained(spec: RunSpec, runs: Sequence[RunFolder], scores: Scores | SeedsScores | FoldsScores) -> Trained:
    """Say what was made in the folder of `spec`."""
    return trained_of(spec.folder, runs, scores, spec.plan)


def trained_of(
    folder: Path,
    runs: Sequence[RunFolder],
    scores: Scores | SeedsScores | FoldsScores,
    plan: TrainingPlan | None = None,
) -> Trained:
    """Say what was made in a folder: one run, or several with a page of their own."""
    page = folder / REPORT
    holds = held_by(runs, None if runs[0].path == folder else page)
    kept = [run.provenance["model"] for run in runs]
    cut = dict.fromkeys(said for run in runs if (said := run.provenance.get("cut_for_time")))
    return Trained(folder, page, scores, plan, kept, holds, list(cut), runs[0].recipe.model_name)


def held_by(runs: Sequence[RunFolder], page: Path | None = None) -> dict[str, int]:
    """Count what runs, and the page of their folder, hold of the images: "training_images", "maps", "pictures"."""
    from penlight.reports.picture import count_pictures

    held = [holdings_of(run) for run in runs]
    pages = [run.read(REPORT) for run in runs if run.has(REPORT)]
    pages += [] if page is None else [page.read_bytes()]
    return {
        "training_images": sum(own.training_images for own in held),
        "maps": sum(own.maps for own in held),
        "pictures": sum(map(count_pictures, pages)),
    }
