"""Labels that are not known of every image: a mask beside the indicators, and what is done with it alike everywhere.

N images, C labels. Where a label of an image is not known, its indicator is 0 and its place in the mask False. All
known is None, so that data without unknown labels take the way, and give the numbers, that they always did.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", np.uint8, np.float64)

KnownLabels = NDArray[np.bool_] | None
"""(N, C) which labels of which images are known; None where all are."""


def known_or_none(known: KnownLabels) -> KnownLabels:
    """Give a mask, or None for one that is true throughout."""
    return None if known is None or known.all() else known


def among(known: KnownLabels, column: int) -> NDArray[np.bool_] | slice:
    """Give what selects the images of which a label is known."""
    return slice(None) if known is None else known[:, column]


def select_known(known: KnownLabels, rows: NDArray[np.generic] | slice) -> KnownLabels:
    """Give the mask of some images, by their numbers, by (N,) true or false, or by a slice."""
    return None if known is None else known_or_none(known[rows])


def join_known(parts: Sequence[tuple[KnownLabels, NDArray[np.generic]]]) -> KnownLabels:
    """Put masks one below the other, each given with the indicators that it is of."""
    if all(known is None for known, _ in parts):
        return None
    return np.concatenate([np.ones(y.shape, bool) if known is None else known for known, y in parts])


def count_known(known: KnownLabels, y: NDArray[np.generic]) -> NDArray[np.int64]:
    """Count the images of which each label is known, (C,), of indicators (N, C)."""
    counts: NDArray[np.int64] = np.full(y.shape[1], len(y)) if known is None else known.sum(axis=0)
    return counts


def absent(y: NDArray[T], known: KnownLabels) -> NDArray[T]:
    """Mark the labels that are known not to be there, (N, C) 0/1."""
    out: NDArray[T] = 1 - y if known is None else (1 - y) * known
    return out


def shares(y: NDArray[np.number[Any]], known: KnownLabels = None) -> NDArray[np.float64]:
    """Give the share of the images with each label, (C,), of those of which it is known; NaN where none is."""
    if known is None:
        return np.asarray(y.mean(axis=0), np.float64)
    n, out = known.sum(axis=0), np.full(y.shape[1], np.nan)
    np.divide(y.sum(axis=0), n, out=out, where=n > 0)
    return out
