"""How much processor time models take, measured on real images: training steps of networks, features of encoders."""

import math
import time
from dataclasses import replace

from penlight.data import ViewedDataset
from penlight.models.backend import forget_networks
from penlight.models.encoder import encoder_features
from penlight.models.encoder_file import Encoder
from penlight.recipes import Recipe
from penlight.tasks import Task
from penlight.training.batches import draw_epoch
from penlight.training.loop import Trainer

_BATCHES = 2
_REPEATS = 5
_ENOUGH = 2.0
_IMAGES = 16


def seconds_per_image(recipe: Recipe, view: ViewedDataset, task: Task) -> float:
    """Measure the processor time, in seconds over all cores, that training takes for one image in one epoch.

    A few batches of train are trained on again and again by a network that is then thrown away, with what goes before
    a step: drawing, balancing, augmenting. The fastest of several repeats counts, after one that compiles. Processor
    time hardly depends on what else the machine does, and the fastest repeat depends on it least.
    """
    few = view.splits["train"].part(slice(_BATCHES * recipe.train.batch_size))
    trainer = Trainer(recipe, replace(view, splits={**view.splits, "train": few}), task, seed=0)
    drawn = draw_epoch(few, recipe.train, 0, 1)
    trainer.train_on(drawn)
    begun, fastest = time.perf_counter(), float("inf")
    for _ in range(_REPEATS):
        before = time.process_time()
        trainer.train_on(drawn)
        fastest = min(fastest, time.process_time() - before)
        if time.perf_counter() - begun > _ENOUGH:
            break
    forget_networks()
    return fastest / len(drawn)


def encoder_seconds(encoder: Encoder, view: ViewedDataset) -> float:
    """Measure the processor time, in seconds over all cores, that the features of one image take: the faster of two
    batches, after one that prepares, rounded to a power of two, so that it does not change from day to day."""
    few = view.splits["train"].part(slice(_IMAGES)).chosen[:]
    sessions = encoder_features(encoder, (), view.dataset.size).sessions(few.shape[1:])
    taken = []
    for _ in range(3):
        before = sum(session.seconds() for session in sessions)
        for session in sessions:
            session.run(few)
        taken.append(sum(session.seconds() for session in sessions) - before)
    fastest = min(taken[1:])
    return 2.0 ** round(math.log2(max(fastest, 1e-6) / len(few)))
