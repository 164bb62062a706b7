"""From a recipe and a viewed dataset to a fitted model: augmentation, batches, the loop, checkpoints.

`fit` serves networks and baselines alike: what comes back gives logits for images.
"""

from penlight.training.checkpoints import Checkpoints
from penlight.training.fit import Fitted, fit
from penlight.training.loop import Epoch, Progress

__all__ = ["Checkpoints", "Epoch", "Fitted", "Progress", "fit"]
