"""Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014, section 4.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.explanation.maps import Floats, Images, Subject
from penlight.tasks.links import Columns

# A window covers a seventh of a side and moves by half of that: 169 places, whatever the size. For a slow model
# it moves by all of it: 49 places.
_WINDOW = 1 / 7
# Below this, a difference of two log-odds in 32 bits is rounding.
_LEAST = 1e-5


def occlusion(subject: Subject, images: Images, columns: Columns) -> Floats:
    """Give (N, H, W): how far the evidence for a label falls while a place is covered, the mean over the windows that
    cover it; those in whose middle it lies count most, so that maps are smooth."""
    rows, across = (_bars(side, overlapping=not subject.slow) for side in images.shape[1:3])
    windows = _products(rows, across)
    maps = [_falls(subject, image, column, windows) for image, column in zip(images, columns, strict=True)]
    falls = np.array(maps).reshape(len(images), len(windows))
    if subject.slow:
        # What lies between the middles of windows is interpolated.
        out = falls.reshape(len(images), len(rows), len(across))
    else:
        weights = _products(_tents(rows), _tents(across))
        out = np.tensordot(falls, weights, axes=1) / weights.sum(axis=0)
    return np.asarray(np.where(out > _LEAST, out, 0))


def _falls(subject: Subject, image: Images, column: int, windows: NDArray[np.bool_]) -> Floats:
    """How far the evidence falls under each window, (P,)."""
    covered = np.where(windows[..., None], _filling(image, windows), image)
    logits = subject.logits(np.concatenate([image[None], covered]))
    seen = subject.task.link.evidence(logits, np.full(len(logits), column))
    return np.asarray(seen[0] - seen[1:])


def _filling(image: Images, windows: NDArray[np.bool_]) -> Images:
    """What stands in the place of what is covered, (P, 1, 1, C): the mean of the window itself, so that detail goes
    and brightness stays."""
    inside = windows.reshape(len(windows), -1).astype(np.float64)
    means = inside @ image.reshape(-1, image.shape[-1]) / inside.sum(axis=1, keepdims=True)
    out: Images = np.rint(means).astype(np.uint8)[:, None, None]
    return out


def _products(rows: NDArray[Any], across: NDArray[Any]) -> NDArray[Any]:
    """Give windows (P, H, W), or what each counts at each place, from those of rows (R, H) and columns (S, W)."""
    out: NDArray[Any] = (rows[:, None, :, None] * across[None, :, None, :]).reshape(
        -1, rows.shape[1], across.shape[1]
    )
    return out


def _tents(bars: NDArray[np.bool_]) -> Floats:
    """How much each bar (P, H) counts at each place: most in its middle, falling linearly to its edge."""
    inside = bars.cumsum(axis=1)
    return np.where(bars, np.minimum(inside, inside.max(axis=1, keepdims=True) + 1 - inside) - 0.5, 0.0)


def _bars(side: int, *, overlapping: bool) -> NDArray[np.bool_]:
    """Give bars (P, H), True where they cover; together they cover all, the edges too."""
    length = max(1, min(side, round(side * _WINDOW)))
    starts = np.unique(np.append(np.arange(0, side - length, max(1, length // 2)), side - length))
    if not overlapping:
        starts = np.unique(np.linspace(0, side - length, round(1 / _WINDOW)).round().astype(np.int64))
    place = np.arange(side)
    return (place >= starts[:, None]) & (place < starts[:, None] + length)
