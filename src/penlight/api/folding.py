"""Cross-validation: a training per fold of train and val, and the answers of all folds scored together."""

from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.requests import with_references
from penlight.api.results import Trained
from penlight.api.training import default_folder
from penlight.data.tested import TestAccessLog
from penlight.disk import FolderHold
from penlight.experiments.baselines import Baselines
from penlight.experiments.folds import _claim, _continues, _summarise, _take
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec, cuts, held_by, kept_models, train_run
from penlight.recipes import Recipe
from penlight.recipes.plan import TrainingPlan
from penlight.runs.dataset import view_of
from penlight.runs.folder import run_folder_in
from penlight.runs.scoring import runs_of_folds
from penlight.training.folds import make_folds

if TYPE_CHECKING:
    pass


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
    DataError where there are
    too few images for so many folds; RunError for a folder that holds something else.
    """
    from penlight.models.pretrained import require_weights

    listener, recipe = listener or ProgressListener(), with_references(recipe)
    require_weights(recipe.model)
    listener.on_step("Dividing the dataset")
    divided = make_folds(view_of(recipe), folds, seed)
    claim = _claim(recipe, divided)
    folder = out or default_folder(recipe, name, lambda path: _continues(path, claim))
    with FolderHold(folder):
        _take(folder, claim)
        for number in range(folds):
            listener.on_step(f"Fold {number + 1} of {folds}")
            part, place = divided.fold(number), run_folder_in(folder, f"fold-{number + 1}")
            readings = TestAccessLog(divided.view.dataset, "folds", f"fold {number + 1} of {folds}")
            train_run(RunSpec(recipe, part, seed, place, plan, images), Baselines(part, listener, readings), listener)
        listener.on_step("Scoring all folds")
        scores = _summarise(folder, divided)
    runs, _ = runs_of_folds(folder)
    held = held_by(runs, folder / "report.html")
    about = kept_models(runs), held, cuts(runs), recipe.model.backbone
    return Trained(folder, folder / "report.html", scores, plan, *about)
