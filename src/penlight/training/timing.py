"""How much processor time a network takes to train, measured on real training steps."""

import time
from dataclasses import replace

from penlight.data import ViewedDataset
from penlight.models import load_keras
from penlight.recipes import Recipe
from penlight.tasks import Task
from penlight.training.batches import draw_epoch
from penlight.training.loop import Trainer

_BATCHES = 2
_REPEATS = 5
_ENOUGH = 2.0


def seconds_per_image(recipe: Recipe, view: ViewedDataset, task: Task) -> float:
    """Measure the processor time, in seconds over all cores, that training takes for one image in one epoch.

    A few batches of train are trained on again and again by a network that is then thrown away, with what goes before
    a step: drawing, balancing, augmenting. The fastest of several repeats counts, after one that compiles. Processor
    time hardly depends on what else the machine does, and the fastest repeat depends on it least.
    """
    keras = load_keras()
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
    # Names of layers are numbered through: those of the network to come must not depend on this one.
    keras.backend.clear_session()
    return fastest / len(drawn)
