"""Fit the model that a recipe asks for, network or baseline, behind one face."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset, ViewedSplit
from penlight.errors import MemoryShortError, is_out_of_memory
from penlight.models import BASELINES, Baseline
from penlight.models.estimator import EstimatorModel, OwnEstimator
from penlight.models.own import OwnNetwork
from penlight.recipes import Encoded, Ensemble, FeatureBased, Member, Pretrained, Recipe
from penlight.tasks import Task
from penlight.training.checkpoints import Checkpoints
from penlight.training.ensemble import EnsembleFitter, FittedEnsemble, fit_ensemble
from penlight.training.loop import Epoch, Progress, predict_logits, train_network
from penlight.training.own import OwnModel, train_own
from penlight.training.transfer import train_pretrained


@dataclass(frozen=True)
class Fitted:
    """A fitted model: `logits` gives (N, K) for the images of a split; `model` is the network or the baseline itself,
    `network` is None for a baseline.

    `history` is empty and `best_epoch` None for models without epochs; `seconds` is the time of fitting.
    `out_of_fold` has (N_train, C) probabilities of the images of train, each by a model that did not see it, and NaN
    for an image that every model saw; None where fitting makes none. `members` are the backbones and weights of an
    ensemble. `timed_out` says that the clock ended the fit before its last epoch. `unchosen` are the logits of val,
    (N_val, K), by the weights of the last epoch, where val chose the epoch: of the weights that it chose it says too
    much.
    """

    logits: Callable[[ViewedSplit], NDArray[np.floating]]
    model: Any
    network: Any
    history: list[Epoch]
    best_epoch: int | None
    parameters: int | None
    seconds: float
    out_of_fold: NDArray[np.float64] | None = None
    members: Sequence[tuple[str, float]] = ()
    timed_out: bool = False
    unchosen: NDArray[np.floating] | None = None


def fit(
    recipe: Recipe,
    view: ViewedDataset,
    task: Task,
    seed: int,
    *,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    longest: float = np.inf,
    own: OwnModel | None = None,
) -> Fitted:
    """Fit on train (and choose the epoch on val); test is not looked at. See `train_network` for `checkpoints` and
    `longest`, which is for a network that begins with random weights. `own` is the network or estimator of a recipe
    that says that the user hands one in.

    RecipeError where it is not given, TrainingError if the loss is no longer a number, MemoryShortError if there is
    not enough memory.
    """
    begun = time.perf_counter()
    how: dict[str, Any] = {"progress": progress, "checkpoints": checkpoints}
    with _enough_memory(recipe, view):
        if recipe.model.backbone in BASELINES:
            return _fit_baseline(BASELINES[recipe.model.backbone](recipe.model), view, task, begun)
        if isinstance(recipe.model, FeatureBased | Encoded):
            return _of_ensemble(EnsembleFitter(view, task, seed).fit([Member(model=recipe.model)]), task, begun)
        if isinstance(recipe.model, Ensemble):
            return _of_ensemble(fit_ensemble(recipe, recipe.model, view, task, seed, **how), task, begun)
        if isinstance(own, OwnEstimator):
            of_user = EstimatorModel(own.estimator, seed)
            return _fit_baseline(of_user, view, task, begun)
        if isinstance(own, OwnNetwork):
            trained = train_own(recipe, own, view, task, seed, longest=longest, **how)
        elif isinstance(recipe.model, Pretrained):
            trained = train_pretrained(recipe, recipe.model, view, task, seed, **how)
        else:
            trained = train_network(recipe, view, task, seed, longest=longest, **how)
    network = trained.network
    return Fitted(
        lambda split: predict_logits(network, split),
        network,
        network,
        trained.history,
        trained.best_epoch,
        int(network.count_params()),
        trained.before + sum(row.seconds for row in trained.history),
        timed_out=trained.timed_out,
        unchosen=trained.unchosen,
    )


@contextlib.contextmanager
def _enough_memory(recipe: Recipe, view: ViewedDataset) -> Iterator[None]:
    """Turn out-of-memory errors into MemoryShortError, which says what would need less."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        half = max(1, recipe.train.batch_size // 2)
        raise MemoryShortError(
            f"There is not enough memory to fit {recipe.model.backbone} to images of {view.dataset.size} px in "
            f"batches of {recipe.train.batch_size}.",
            f"Close other programs and repeat the command, or ask for less, as with --set train.batch_size={half}.",
        ) from error


def _fit_baseline(model: Baseline, view: ViewedDataset, task: Task, begun: float) -> Fitted:
    train = view.splits["train"]
    mirrors = not view.dataset.info.position_matters
    model.fit(train.chosen, train.y_true, task, mirrors=mirrors, known=train.known)
    return fitted_baseline(model, task, time.perf_counter() - begun)


def fitted_baseline(model: Baseline, task: Task, seconds: float) -> Fitted:
    """Give a baseline that was fitted, in so many seconds, as what `fit` gives."""
    return Fitted(lambda split: task.logits(model.predict(split.chosen)), model, None, [], None, None, seconds)


def _of_ensemble(made: FittedEnsemble, task: Task, begun: float) -> Fitted:
    model = made.model

    def logits(split: ViewedSplit) -> NDArray[np.floating]:
        return task.logits(model.predict(split.chosen))

    seconds = time.perf_counter() - begun
    members = list(zip(model.names, model.weights.tolist(), strict=True))
    return Fitted(logits, model, None, [], None, made.parameters, seconds, made.out_of_fold, members)
