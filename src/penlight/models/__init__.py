"""Models: backbones and heads of networks, and the baselines that any network must beat.

Add a backbone by writing its function and putting it into `BACKBONES`, with its options in `recipes`; add a task's
head in `HEADS`. Importing this package does not load Keras; building a network does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
