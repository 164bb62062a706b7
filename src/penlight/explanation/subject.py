"""What explanations are asked of: anything that gives logits for images, and its network where it is at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.tasks import Task


@dataclass(frozen=True)
class Subject:
    """A model to be explained: `logits` turns uint8 images (N, H, W, C) into (N, K); `network` is its Keras network,
    None where there is none or Keras is not to be loaded."""

    task: Task
    logits: Callable[[NDArray[np.uint8]], NDArray[np.floating]]
    network: Any = None
