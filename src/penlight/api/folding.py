"""Cross-validation: a training per fold of train and val, and the answers of all folds scored together."""

from collections.abc import Sequence
from pathlib import Path

from penlight.api.requests import with_references
from penlight.api.results import Trained
from penlight.api.training import default_folder
from penlight.experiments.experiment import Summary, run_experiment
from penlight.experiments.folds import claim_of, continues, fold_specs, summarise_folds
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import cuts, held_by, kept_models
from penlight.recipes import Recipe
from penlight.recipes.plan import TrainingPlan
from penlight.runs import Run
from penlight.runs.dataset import view_of
from penlight.runs.scores import FoldsScores
from penlight.training.folds import make_folds


def cross_validate(
    recipe: Recipe,
    *,
    folds: int,
    name: str = "custom",
    out: Path | None = None,
    seed: int = 0,
    plan: TrainingPlan | None = None,
    images: bool = True,
    listener: ProgressListener | None = None,
) -> Trained:
    """Divide train and val into folds, train on all but one for each, and score the answers to those left out.

    Test is not read, and stays for later. Inside a fold, a part of what it is trained on chooses the epoch,
    thresholds and calibration. `out` is the folder to write, with a run per fold; by default the next free
    runs/<dataset>-<name>-<n>, or the unfinished one of the same recipe, which is continued. `images` as in `train`.
    DataError where there are too few images for so many folds; RunError for a folder that holds something else.
    """
    from penlight.models.pretrained import require_weights

    listener, recipe = listener or ProgressListener(), with_references(recipe)
    require_weights(recipe.model)
    listener.on_step("Dividing the dataset")
    divided = make_folds(view_of(recipe), folds, seed)
    claim = claim_of(recipe, divided)
    folder = out or default_folder(recipe, name, lambda path: continues(path, claim))

    def summarise(runs: Sequence[Run]) -> Summary[FoldsScores]:
        listener.on_step("Scoring all folds")
        return summarise_folds(folder, divided)

    specs = fold_specs(folder, recipe, divided, plan, images, listener)
    runs, scores = run_experiment(folder, specs, summarise, listener)
    held = held_by(runs, folder / "report.html")
    about = kept_models(runs), held, cuts(runs), recipe.model.backbone
    return Trained(folder, folder / "report.html", scores, plan, *about)
