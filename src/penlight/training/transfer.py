"""Training a pre-trained network in two phases: a new head on the frozen base, then the base's last layers.

Where nothing is augmented the features of the frozen base are computed once, and reused by every epoch and seed.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset
from penlight.models.pretrained import frozen_base, joined, new_head, thaw
from penlight.recipes import Pretrained, Recipe
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
    planned = recipe.train.epochs + (options.fine_tune.epochs if options.fine_tune.layers else 0)
    if is_active(recipe.train.augment):
        first = run_epochs(Trainer(recipe, view, task, seed, network), planned, progress, checkpoints)
    else:
        featured, seconds = _as_features(view, base, options)
        trained = run_epochs(Trainer(recipe, featured, task, seed, head), planned, progress, checkpoints)
        first = replace(trained, network=network, before=seconds)
    if not options.fine_tune.layers:
        return first
    thaw(base, options.fine_tune.layers)
    tuning = {"epochs": options.fine_tune.epochs, "learning_rate": options.fine_tune.learning_rate}
    second_recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update=tuning)})
    trainer = Trainer(second_recipe, view, task, seed + 1, network, from_here=True)
    done = len(first.history)
    later = None if progress is None else lambda row, _: progress(_after(row, done), planned)
    second = run_epochs(trainer, planned, later, checkpoints and checkpoints.beside("fine-tune"))
    history = first.history + [_after(row, done) for row in second.history]
    kept = done + second.best_epoch if second.best_epoch else first.best_epoch
    return TrainedNetwork(network, history, kept, first.before)


def _as_features(view: ViewedDataset, base: Any, options: Pretrained) -> tuple[ViewedDataset, float]:
    """Give the view with features (n, F) in the place of the images of train and val, and the seconds that takes.

    The seconds are those of the first time: each seed would need them, were it alone.
    """
    key = (view.dataset.md5, view.view, options.backbone, options.weights, options.width, options.input_size)
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
