"""The learning rate from step to step, and the optimiser that uses it."""

import math
from typing import Any

from penlight.models import load_keras
from penlight.recipes import Train


def learning_rate(train: Train, steps_per_epoch: int) -> Any:
    """Give a Keras schedule: a linear rise over the warm-up, then constant or half a cosine down to zero."""
    keras = load_keras()
    ops = keras.ops
    warmup = float(train.warmup_epochs * steps_per_epoch)
    steps = float(train.epochs * steps_per_epoch)

    class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc, name-defined]
        def __call__(self, step: Any) -> Any:
            done = ops.cast(step, "float32")
            rise = ops.minimum(1.0, (done + 1.0) / max(warmup, 1.0))
            if train.schedule == "constant":
                return train.learning_rate * rise
            share = ops.clip((done - warmup) / max(steps - warmup, 1.0), 0.0, 1.0)
            return train.learning_rate * rise * 0.5 * (1.0 + ops.cos(math.pi * share))

    return WarmUp()


def optimizer(train: Train, steps_per_epoch: int) -> Any:
    """Give the Keras optimiser of the recipe, its schedule inside."""
    optimizers = load_keras().optimizers
    rate = learning_rate(train, steps_per_epoch)
    if train.optimizer == "adam":
        return optimizers.Adam(rate, weight_decay=train.weight_decay or None)
    if train.optimizer == "adamw":
        return optimizers.AdamW(rate, weight_decay=train.weight_decay)
    return optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=train.weight_decay or None)
