"""Training a network that a user hands in: by the same loop, with the optimizer, loss and callbacks of the user."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from penlight.data import ViewedDataset
from penlight.errors import PenlightError, RecipeError, TrainingError, is_out_of_memory
from penlight.models import load_keras
from penlight.models.estimator import OwnEstimator, is_estimator, own_estimator
from penlight.models.heads import find_head
from penlight.models.own import OwnNetwork, described, own_network, said
from penlight.recipes import Estimator, Own, Recipe
from penlight.tasks import Task
from penlight.training.checkpoints import Checkpoints
from penlight.training.loop import Epoch, Progress, TrainedNetwork, Trainer, make_optimizer, run_epochs

Tensor = Any
OwnModel = OwnNetwork | OwnEstimator


def own_model(given: Any, *, fresh: bool = False, callbacks: Any = ()) -> OwnModel:
    """Take what a user hands in: a function that builds a network, a `keras.Model`, "FILE.py:NAME", or an estimator
    of scikit-learn. RecipeError for anything else."""
    if is_estimator(given):
        if fresh or callbacks:
            raise RecipeError("fresh and callbacks are for networks, and an estimator was given.")
        return own_estimator(given)
    if isinstance(given, type) and hasattr(given, "fit") and hasattr(given, "get_params"):
        name = given.__name__
        raise RecipeError(f"The class {name} is no network, nor an estimator.", f"Give one of it: model={name}().")
    return own_network(given, fresh=fresh, callbacks=callbacks)


def require_own(recipe: Recipe, own: OwnModel | None) -> None:
    """Raise RecipeError for a recipe of a user's own network or estimator that was not named with it: code that a
    recipe or run names is never run."""
    if own is not None or not isinstance(recipe.model, Own | Estimator):
        return
    name = recipe.model.name
    if isinstance(recipe.model, Estimator):
        raise RecipeError(
            f"This recipe is of an estimator of scikit-learn, {name}, which recipes do not hold.",
            "Hand it in from Python: pl.train(..., model=estimator).",
        )
    raise RecipeError(
        f"This recipe is of a network of your own, {name}, and code that a recipe names is not run.",
        "Name it: --set model.backbone=FILE.py:NAME",
    )


def with_own(
    recipe: Recipe, own: OwnModel | None, view: ViewedDataset, tell: Callable[[str], None]
) -> tuple[Recipe, OwnModel | None]:
    """Give a recipe that says which network or estimator was handed in, and that, checked on the dataset before
    anything is written. RecipeError where it does not fit; `tell` is told where it is another than the recipe's.

    Grades get a softmax over them, unless the recipe asks for `data.head` cumulative.
    """
    require_own(recipe, own)
    if own is None:
        return recipe, None
    if isinstance(own, OwnNetwork):
        if recipe.train.precision != "float32":
            raise RecipeError("train.precision is not for a network of your own.", "Leave it out of the recipe.")
        if recipe.data.head == "auto":
            recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"head": "softmax"})})
        task = view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule)
        own = own.checked(task, (view.dataset.size, view.dataset.size, view.dataset.info.channels))
        if isinstance(recipe.model, Own) and recipe.model.sha256 not in ("", own.section.sha256):
            tell(f"{own.section.name} is not the network that this recipe is of, so this is another recipe.")
    return recipe.model_copy(update={"model": own.section}), own


def train_own(
    recipe: Recipe,
    own: OwnNetwork,
    view: ViewedDataset,
    task: Task,
    seed: int,
    *,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    longest: float = np.inf,
) -> TrainedNetwork:
    """Train the network of a seed; see `train_network`.

    The optimizer and loss that it was compiled with are used, in place of the recipe's. Callbacks are called when
    training and epochs begin and end, not for batches. If anything of the user's raises, epochs that are done are
    kept, and the same call continues: RecipeError; before the first is done, TrainingError.
    """
    size, channels = view.dataset.size, view.dataset.info.channels
    built, name = own.built(task, (size, size, channels), seed), own.section.name
    loss = None if built.loss is None else _loss_of(built.loss, built.ending, task)
    optimizer = built.optimizer
    if optimizer is None and own.callbacks and recipe.train.schedule == "constant" and not recipe.train.warmup_epochs:
        # A rate that callbacks can change, which a schedule's is not.
        optimizer = make_optimizer(recipe.train, 1, recipe.train.learning_rate)
    trainer = _CalledTrainer(own.callbacks, recipe, view, task, seed, built.network, optimizer=optimizer, loss=loss)
    try:
        trainer.begin()
        trained = run_epochs(trainer, recipe.train.epochs, progress, checkpoints, longest)
        trainer.call("on_train_end", {})
    except Exception as error:
        if isinstance(error, PenlightError) or is_out_of_memory(error):
            raise
        kept = checkpoints is not None and len(trainer.history) > 1
        what = f"{trainer.calling} of {name}" if trainer.calling else f"{name} failed in training"
        raise (RecipeError if kept else TrainingError)(
            f"{what}: {said(error)}.",
            "The epochs before are kept: mend it, and the same call continues." if kept else "",
        ) from error
    return trained


class _CalledTrainer(Trainer):
    """A trainer that calls callbacks of Keras when training and epochs begin and end."""

    def __init__(self, callbacks: Sequence[Any], recipe: Recipe, view: ViewedDataset, *how: Any, **more: Any) -> None:
        super().__init__(recipe, view, *how, **more)
        self.callbacks, self.calling = callbacks, ""

    def begin(self) -> None:
        """Tell callbacks that training begins."""
        if not self.callbacks:
            return
        # What they see has the same weights and optimizer; what is saved was never compiled.
        self.seen = load_keras().Model(self.network.inputs, self.network.outputs)
        self.seen.compile(optimizer=self.optimizer)
        self.seen.stop_training = False
        self.call("set_model", self.seen)
        self.call("set_params", {"epochs": self.train.epochs, "verbose": 0})
        self.call("on_train_begin", {})

    def call(self, hook: str, *values: Any) -> None:
        """Call a hook of all callbacks; while one runs, `calling` says which."""
        for callback in self.callbacks:
            self.calling = f"The callback {type(callback).__name__} failed in {hook}"
            getattr(callback, hook)(*values)
        self.calling = ""

    def epoch(self) -> Epoch:
        """See `Trainer.epoch`; what a callback changes at its end is in the checkpoint of the epoch."""
        self.call("on_epoch_begin", len(self.history), {})
        row, headline = super().epoch(), self.task.headline
        scores = {headline: row.headline, f"val_{headline}": row.val_headline}
        logs = {"loss": row.loss, "val_loss": row.val_loss, "learning_rate": row.learning_rate, **scores}
        self.call("on_epoch_end", row.epoch - 1, logs)
        self.stopped = bool(self.callbacks) and bool(self.seen.stop_training)
        return row


def _loss_of(given: Any, ending: str, task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a user's loss one of (B, C) truth and (B, K) logits, (B,).

    A cross-entropy of Keras is computed from the logits, which is the same and more exact; any other loss gets what
    the network gave as it was built. Sparse ones get class numbers, others indicators.
    """
    keras = load_keras()
    ops = keras.ops
    value, from_logits = _per_image(keras.losses.get(given))
    is_sparse = described(given).lower().startswith("sparse")
    targets = find_head(task.head).targets
    activation = getattr(keras.activations, ending) if ending and not from_logits else None

    def loss(y: Tensor, logits: Tensor) -> Tensor:
        truth = ops.argmax(y, axis=-1) if is_sparse else ops.cast(targets(y), "float32")
        values = ops.convert_to_tensor(value(truth, logits if activation is None else activation(logits)))
        if len(values.shape) == 0:
            return values + ops.zeros_like(logits[:, 0])
        return ops.mean(ops.reshape(values, (ops.shape(logits)[0], -1)), axis=1)

    return loss


def _per_image(loss: Any) -> tuple[Callable[[Tensor, Tensor], Tensor], bool]:
    """Give a loss of Keras before it is averaged over images, and whether it was made one of logits."""
    if isinstance(loss, load_keras().losses.Loss):
        options = loss.get_config() if type(loss).__module__.startswith("keras.") else {}
        if "from_logits" in options:
            return type(loss).from_config({**options, "from_logits": True}).call, True
        return loss.call, False
    if "from_logits" in inspect.signature(loss).parameters:
        return partial(loss, from_logits=True), True
    return loss, False
