"""What every method is asked of, and what it gives in the end: a map of each image at its resolution, from 0 to 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.tasks import Task

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Subject:
    """A model to be explained: `logits` turns uint8 images (N, H, W, C) into (N, K); `network` is its Keras network,
    None where there is none or Keras is not to be loaded; `class_maps` gives what each place says for each label,
    (N, h, w, C), where the model knows that, of `map_side` places a side. Of one that is `slow` less is asked."""

    task: Task
    logits: Callable[[Images], NDArray[np.floating]]
    network: Any = None
    class_maps: Callable[[Images], Floats] | None = None
    map_side: int = 0
    slow: bool = False


def relative(raw: NDArray[np.floating]) -> Floats:
    """Bring maps (N, H, W) to 0..1: 0 where nothing speaks for the label, 1 where most does, each image by itself.

    A map in which nothing does is 0 everywhere.
    """
    positive = np.maximum(np.asarray(raw, np.float64), 0)
    most = positive.max(axis=(1, 2), keepdims=True)
    out: Floats = np.divide(positive, most, out=np.zeros_like(positive), where=most > 0)
    return out


def peaks(maps: NDArray[np.floating]) -> list[tuple[int, int] | None]:
    """Give row and column of the highest place of each map (N, H, W), the first of equals; None for an empty map."""
    width = maps.shape[2]
    flat = maps.reshape(len(maps), -1)
    best = flat.argmax(axis=1)
    return [divmod(int(i), width) if flat[n, i] > 0 else None for n, i in enumerate(best)]


def enlarged(maps: NDArray[np.floating], height: int, width: int) -> Floats:
    """Resize maps (N, h, w) by bilinear interpolation; the outer edges of both grids lie on each other."""
    rows, columns = _weights(maps.shape[1], height), _weights(maps.shape[2], width)
    out: Floats = rows @ np.asarray(maps, np.float64) @ columns.T
    return out


def _weights(before: int, after: int) -> Floats:
    """Weights (after, before) of linear interpolation; beyond the middle of the outermost cells their value holds."""
    place = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    left = np.minimum(np.floor(place).astype(np.int64), max(before - 2, 0))
    out = np.zeros((after, before))
    rows = np.arange(after)
    out[rows, left] = 1 - (place - left)
    out[rows, np.minimum(left + 1, before - 1)] += place - left
    return out
