"""Make a plan for a dataset: a recipe from what is known of the data and of this machine, with its reasons."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, name_of
from penlight.api.progress import TrainingView, shows
from penlight.data import ViewedDataset, apply_view, store
from penlight.data.catalog import reference_of
from penlight.disk import is_inside
from penlight.errors import PenlightError
from penlight.experiments.progress import ProgressListener
from penlight.recipes import Override, Recipe, key_of, with_overrides
from penlight.recipes.plan import (
    BUDGET,
    TrainingPlan,
    fingerprint_of_view,
    make_plan,
    training_operations,
)
from penlight.records import read_record
from penlight.runs import machine
from penlight.runs.files import read_file
from penlight.runs.folder import MANIFEST, PLAN, SUMMARY, is_untidy

# Fast enough for any network to be trained as long as is wanted, so that the plan chooses its first choice.
_ANY_RATE = 1e30


@checked
@shows(TrainingView)
def plan(
    dataset: PathLike,
    *,
    view: str | None = None,
    size: int | None = None,
    budget: float | None = None,
    listener: ProgressListener | None = None,
) -> TrainingPlan:
    """Make the plan of a dataset seen through a view, for `budget` seconds of training (10 minutes unless given).

    Models of rising cost are compared by cross-validation on train, and the simplest within one standard error of the
    best is planned; `candidates` has what was compared, `reasons` each step. The answers are kept for the training.
    The budget counts processor time, which is that of a machine that does nothing else: real steps of the network
    that is chosen are timed by it, so that a busy machine does not make another plan. `listener` as in `train`.

    Examples
    --------
    >>> plan = pl.plan("retina-phantom", budget=60)
    >>> plan.frame().columns.to_list()
    ['about', 'choice', 'why']
    """
    return plan_before(name_of(dataset), (), view, size, budget, listener, goes_on=False)


def plan_before(
    dataset: str,
    overrides: Sequence[Override],
    view: str | None,
    size: int | None,
    budget: float | None,
    listener: ProgressListener | None = None,
    *,
    goes_on: bool = True,
) -> TrainingPlan:
    """Make the plan as `plan`, which `overrides` will then change: RecipeError, before anything is timed, if they
    cannot. One that `goes_on` is that of an unfinished run of the same data and budget, where there is one.

    Overrides of the model or its training are of the plan's network, which is then not compared with others.
    """
    viewed = apply_view(store.open_dataset(dataset, size), view or "native")
    about = machine()
    known = {"cores": float(about["cores"]), "memory": float(about.get("memory_gib", 0)) * 2**30, "rate": _ANY_RATE}
    seconds = BUDGET if budget is None else budget
    # Which network is chosen depends on the data; how fast it learns here can then be measured.
    chosen = make_plan(fingerprint_of_view(viewed, known, seconds)).recipe
    with_overrides(chosen, overrides)
    known["rate"] = training_rate(chosen, viewed)
    made = make_plan(fingerprint_of_view(viewed, known, seconds), reference_of(dataset))
    if goes_on and (found := unfinished_plan(made)) is not None:
        return found
    if any(key_of(own).startswith(("model.", "train.")) for own in overrides):
        return made
    from penlight.experiments.ladder import climb

    return climb(made, viewed, listener or ProgressListener())


def training_rate(recipe: Recipe, view: ViewedDataset) -> float:
    """Measure the operations that a second of processor time does in training steps of the recipe's network."""
    from penlight.training.timing import seconds_per_image

    operations = training_operations(recipe, view.dataset.size, view.dataset.info.channels)
    return operations / seconds_per_image(recipe, view, view.task)


def unfinished_plan(made: TrainingPlan) -> TrainingPlan | None:
    """Find the plan of an unfinished run that was asked for alike, since a busier machine may plan otherwise."""
    stem = Path(made.recipe.data.dataset).stem
    for file in sorted(Path("runs").glob(f"{stem}-plan-*/**/{PLAN}")):
        if _is_finished(file.parent):
            continue
        with contextlib.suppress(PenlightError):
            found = read_record(TrainingPlan, read_file(file.parent, PLAN), str(file))
            if found.asks_as(made):
                return found
    return None


def _is_finished(run: Path) -> bool:
    """Say whether a run is complete, and all that were asked for with it: its seeds or folds."""
    if run.name.startswith(("seed-", "fold-")):
        return is_inside(run.parent, SUMMARY) and not is_untidy(run.parent)
    return is_inside(run, MANIFEST) and not is_untidy(run)
