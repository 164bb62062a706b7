"""Models: backbones and heads of networks, and the baselines that any network must beat.

Add a backbone by writing its function and putting it into `BACKBONES`, with its options in `recipes`; add a task's
head in `HEADS`. Importing this package does not load Keras; building a network does.
"""

from penlight.models.backend import load_keras
from penlight.models.baselines import BASELINES, Baseline, LinearBaseline, MajorityBaseline

__all__ = ["BASELINES", "Baseline", "LinearBaseline", "MajorityBaseline", "load_keras"]
