"""From a recipe and a viewed dataset to a fitted model: augmentation, batches, the loop, checkpoints.

`fit` serves networks and baselines alike: what comes back gives logits for images.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
