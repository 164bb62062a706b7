"""Resamples of a test split, as weights: how often each image is drawn."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

RARE = 30
"""A label with fewer positives than this is resampled in a stratum of its own, so that no resample lacks it."""

_CHUNK_VALUES = 500_000


def bootstrap_weights(
    y_true: NDArray[np.uint8],
    resamples: int = 1000,
    *,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield (b, N) counts of how often each of N images is drawn, `resamples` rows in all, in chunks that fit memory.

    `y_true` (N, C) decides the strata: an image belongs to its rarest label where that has fewer than `RARE`
    positives, else to the rest. With `groups` (N,), such as patients, whole groups are drawn. Efron and Tibshirani,
    An Introduction to the Bootstrap (1993), chapters 6 and 8. A second thread draws the next chunk while the caller
    works on one; the draws are those of `seed` alone.
    """
    chunks = _draw(y_true, resamples, seed, groups)
    with ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(next, chunks, None)
        while (chunk := ahead.result()) is not None:
            ahead = thread.submit(next, chunks, None)
            yield chunk


def percentile_interval(resampled: NDArray[np.float64]) -> tuple[float, float]:
    """Give the 2.5 to 97.5 percentile of (B,) values that are defined; NaN with half of them or fewer."""
    known = resampled[np.isfinite(resampled)]
    if len(known) <= len(resampled) / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def _draw(
    y_true: NDArray[np.uint8], resamples: int, seed: int, groups: NDArray[np.generic] | None
) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng([seed, 0xB007])
    unit_of = number_units(len(y_true), groups)
    stratum = strata(y_true, unit_of, RARE)
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    rows = max(1, _CHUNK_VALUES // max(1, len(y_true)))
    for start in range(0, resamples, rows):
        b = min(rows, resamples - start)
        drawn = np.zeros((b, len(stratum)))
        for units in members:
            drawn[:, units] = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=b)
        yield drawn[:, unit_of]


def number_units(n: int, groups: NDArray[np.generic] | None) -> NDArray[np.int64]:
    """Number the units that are drawn whole, (n,), in the order in which they first occur: n images, or their groups.

    So draws depend on which images belong together and not on what the groups are called: a copy of a run whose
    patients have other numbers has the same intervals.
    """
    if groups is None:
        return np.arange(n)
    _, first, unit_of = np.unique(groups, return_index=True, return_inverse=True)
    order: NDArray[np.int64] = np.argsort(np.argsort(first))[unit_of]
    return order


def strata(y_true: NDArray[np.uint8], unit_of: NDArray[np.int64], rare: float = np.inf) -> NDArray[np.int64]:
    """Give each unit (image or group) the number of its rarest label, or C for none; (U,) integers.

    `unit_of` (N,) numbers the units; labels with `rare` positives or more do not count.
    """
    n_labels = y_true.shape[1]
    positives = y_true.sum(axis=0)
    rank = np.argsort(np.argsort(positives, kind="stable"), kind="stable")
    rank = np.where((positives < rare) & (positives > 0), rank, n_labels)
    of_image = np.where(y_true > 0, rank, n_labels).min(axis=1, initial=n_labels)
    of_unit = np.full(int(unit_of.max(initial=-1)) + 1, n_labels)
    np.minimum.at(of_unit, unit_of, of_image)
    return of_unit
