"""Training a pre-trained network in two phases: a new head on the frozen base, then the base's last layers, all at
once or stage by stage.

Where the head learns on images as they are, the features of the frozen base are computed once, and reused by every
epoch and seed.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset
from penlight.models.pretrained import frozen_base, joined, new_head, stages_of, thaw
from penlight.recipes import Augment, Pretrained, Recipe
from penlight.tasks import Task
from penlight.training.augment import is_active
from penlight.training.checkpoints import Checkpoints
from penlight.training.loop import Epoch, Progress, TrainedNetwork, Trainer, predict_logits, run_epochs

_FEATURES: dict[tuple[Any, ...], tuple[dict[str, NDArray[np.float32]], float]] = {}
"""The features computed last and the seconds they took, by base and data: the seeds of one command share them."""


def train_pretrained(
    recipe: Recipe,
    options: Pretrained,
    view: ViewedDataset,
    task: Task,
    seed: int,
    *,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> TrainedNetwork:
    """Train the head, then fine-tune where the recipe asks for it; the second phase begins with the first's weights.

    The fine-tuned weights are kept only where val says they are better. See `train_network` for `checkpoints`.
    """
    size, channels = view.dataset.size, view.dataset.info.channels
    base = frozen_base(options, (size, size, channels))
    head = new_head(options, task, base.output_shape[-1], seed)
    network = joined(base, head, options.backbone)
    tuning = options.fine_tune
    planned = recipe.train.epochs + (tuning.epochs if tuning.layers else 0)
    if is_active(recipe.train.augment) and options.head_on == "images":
        trained = run_epochs(Trainer(recipe, view, task, seed, network), planned, progress, checkpoints)
    else:
        featured, seconds = _as_features(view, base, options)
        trainer = Trainer(_with_train(recipe, augment=Augment()), featured, task, seed, head)
        trained = run_epochs(trainer, planned, progress, checkpoints)
        trained = replace(trained, network=network, before=seconds)
    if not tuning.layers:
        return trained
    stages = stages_of(base, tuning.layers)
    opened = range(1, len(stages) + 1)[-tuning.epochs :] if tuning.gradual else [len(stages)]
    history, kept = trained.history, trained.best_epoch
    for step, (n_stages, epochs) in enumerate(zip(opened, _shares(tuning.epochs, len(opened)), strict=True), start=1):
        thaw(base, stages[:n_stages])
        changed = _with_train(recipe, epochs=epochs, learning_rate=tuning.learning_rate)
        trainer = Trainer(changed, view, task, seed + step, network, from_here=True)
        if tuning.decay < 1:
            slow_down(trainer, stages, tuning.decay)
        done = len(history)
        later = None if progress is None else lambda row, _, done=done: progress(_after(row, done), planned)
        name = "fine-tune" if len(opened) == 1 else f"fine-tune-{step}"
        tuned = run_epochs(trainer, planned, later, checkpoints and checkpoints.beside(name))
        history = history + [_after(row, done) for row in tuned.history]
        kept = done + tuned.best_epoch if tuned.best_epoch else kept
    return TrainedNetwork(network, history, kept, trained.before)


def _with_train(recipe: Recipe, **changes: Any) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})


def _shares(epochs: int, steps: int) -> list[int]:
    """Divide epochs among steps; the last, which trains all layers, has what is left over."""
    return [epochs // steps] * (steps - 1) + [epochs - epochs // steps * (steps - 1)]


def slow_down(trainer: Trainer, stages: Sequence[Sequence[Any]], decay: float) -> None:
    """Have each stage learn at `decay` times the rate of the one above it, the first as the head does.

    Keras' optimisers have one rate; each asks its `update_step` for one variable after the other.
    """
    factor_of = {id(v): decay**i for i, stage in enumerate(stages) for layer in stage for v in layer.variables}
    factors = [factor_of.get(id(v), 1.0) for v in trainer.network.trainable_variables]
    optimizer, update_step = trainer.optimizer, trainer.optimizer.update_step

    def slower(gradient: Any, variable: Any, learning_rate: Any) -> None:
        update_step(gradient, variable, learning_rate * factors[optimizer._get_variable_index(variable)])

    optimizer.update_step = slower


def _as_features(view: ViewedDataset, base: Any, options: Pretrained) -> tuple[ViewedDataset, float]:
    """Give the view with features (n, F) in the place of the images of train and val, and the seconds that takes.

    The seconds are those of the first time: each seed would need them, were it alone.
    """
    side = options.side_of(view.dataset.size)
    key = (view.dataset.md5, view.view, options.backbone, options.weights, options.width, side)
    if key not in _FEATURES:
        _FEATURES.clear()
        begun = time.perf_counter()
        features = {name: predict_logits(base, view.splits[name]) for name in ("train", "val")}
        _FEATURES[key] = features, time.perf_counter() - begun
    features, seconds = _FEATURES[key]
    splits = {}
    for name, own in features.items():
        splits[name] = replace(view.splits[name], images=own, index=np.arange(len(own)))  # type: ignore[arg-type]
    return replace(view, splits=splits), seconds


def _after(row: Epoch, done: int) -> Epoch:
    return replace(row, epoch=row.epoch + done)
