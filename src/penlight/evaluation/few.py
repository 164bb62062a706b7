"""Intervals of scores that rest on few images, where resampling says less than it should.

A percentile interval of one positive has no width, and of five it holds the truth in 70 to 85 of 100 samples instead
of 95 (`tests/evaluation/test_few.py` simulates it). Shares take Wilson's interval, areas under the ROC curve that of
Newcombe. With patients, n counts patients, not images: those of one patient are taken to say the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import RARE
from penlight.evaluation.metrics import Sample

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_OF_A_KIND = 5
"""A share with fewer hits or fewer misses than this takes Wilson's interval, however many images it is of."""

_NORMAL_95 = 1.959963984540054
_TINY = 1e-12


def wilson(hits: Floats, n: Floats) -> tuple[Floats, Floats]:
    """95 % interval of the share `hits` / `n` (Wilson 1927), elementwise; NaN where n is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / n
        spread = 1 + _NORMAL_95**2 / n
        middle = (share + _NORMAL_95**2 / (2 * n)) / spread
        half = _NORMAL_95 * np.sqrt(share * (1 - share) / n + _NORMAL_95**2 / (4 * n**2)) / spread
    # At shares of 0 and 1 the end is exact, but for rounding.
    return np.minimum(middle - half, share), np.maximum(middle + half, share)


def newcombe(area: float, n_positive: float, n_negative: float) -> Interval:
    """95 % interval of an area under the ROC curve from the numbers of cases alone.

    Newcombe (2006, Statistics in Medicine 25:559), method 5: the areas whose standard error, by Hanley and McNeil's
    formula with both numbers of cases set to their mean in its two last terms, reaches the one that was found.
    """
    middling = (n_positive + n_negative) / 2 - 1

    def beyond(a: float) -> float:
        terms = 1 + middling * (1 - a) / (2 - a) + middling * a / (1 + a)
        return abs(area - a) - _NORMAL_95 * math.sqrt(a * (1 - a) * terms / (n_positive * n_negative))

    # Areas of 0 and 1 have no error themselves, and so solve the equation; those just inside do not.
    inside = min(max(area, _TINY), 1 - _TINY)
    low = _root(beyond, 0.0, inside) if area > 0 else 0.0
    high = _root(beyond, 1.0, inside) if area < 1 else 1.0
    return low, high


def _root(f: Callable[[float], float], above: float, below: float) -> float:
    """Give where `f` crosses 0 between `above`, where it is not negative, and `below`, where it is.

    To the last digit, by halves: SciPy's solvers take longer to load than all intervals of a run to find.
    """
    while (middle := (above + below) / 2) not in (above, below):
        above, below = (middle, below) if f(middle) >= 0 else (above, middle)
    return above


@dataclass(frozen=True)
class Few:
    """What a score rests on: `interval` (low, high) of its value and of the counts of each of `of` that are truly so.

    `of` gives one (N, K) 0/1 array of images per count, K the number of values of the metric.
    """

    of: Callable[[Sample], Sequence[NDArray[np.generic]]]
    interval: Callable[[float, Sequence[float]], Interval | None]


def _share(value: float, n: Sequence[float]) -> Interval | None:
    """Wilson's interval of a share where it is of few, or nearly all are of one kind."""
    few = n[0] < RARE or min(value, 1 - value) * n[0] < FEWEST_OF_A_KIND
    return _wilson(value, n[0]) if few else None


def _wilson(share: float, n: float) -> Interval:
    low, high = wilson(np.array(share * n), np.array(n))
    return float(low), float(high)


def _area(value: float, n: Sequence[float]) -> Interval | None:
    return newcombe(value, *n) if min(n) < RARE else None


def _average_precision(value: float, n: Sequence[float]) -> Interval | None:
    """Boyd, Eng and Page (2013, ECML): a share of the positives."""
    return _wilson(value, n[0]) if n[0] < RARE else None


def _f1(value: float, n: Sequence[float]) -> Interval | None:
    """F1 is 2 J / (1 + J) of the share J of images that are both true and answered, of those that are either."""
    found = _share(value / (2 - value), n)
    return None if found is None else (2 * found[0] / (1 + found[0]), 2 * found[1] / (1 + found[1]))


def _last(of: Callable[[Sample], NDArray[np.generic]]) -> Callable[[Sample], Sequence[NDArray[np.generic]]]:
    return lambda s: [of(s)[:, -1:]]


def _all(s: Sample) -> NDArray[np.generic]:
    return np.ones((len(s.y), 1), np.uint8)


_REFERABLE = {True: lambda s: [s.referable[0][:, None]], False: lambda s: [1 - s.referable[0][:, None]]}

FEW: Mapping[str, Few] = {
    "label_recall": Few(lambda s: [s.y], _share),
    "label_specificity": Few(lambda s: [1 - s.y], _share),
    "label_precision": Few(lambda s: [s.decided], _share),
    "label_f1": Few(lambda s: [s.y | s.decided], _f1),
    "label_auc": Few(lambda s: [s.y, 1 - s.y], _area),
    "label_average_precision": Few(lambda s: [s.y], _average_precision),
    "label_prevalence": Few(lambda s: [np.ones_like(s.y)], _share),
    "sensitivity": Few(_last(lambda s: s.y), _share),
    "specificity": Few(_last(lambda s: 1 - s.y), _share),
    "acc": Few(lambda s: [_all(s)], _share),
    "exact_match": Few(lambda s: [_all(s)], _share),
    "auc_referable": Few(lambda s: [*_REFERABLE[True](s), *_REFERABLE[False](s)], _area),
    "sensitivity_referable": Few(_REFERABLE[True], _share),
    "specificity_referable": Few(_REFERABLE[False], _share),
}
"""By key of `METRICS`. Means over labels are not here: see `LONE` in `scores`."""


def few_intervals(
    key: str, values: Floats, samples: Sequence[Sample], groups: NDArray[np.generic] | None
) -> list[Interval | None]:
    """Give the interval of each of the (K,) values of a metric, None where resampling is to be trusted.

    `values` are means over the samples, one per seed; the counts are means over them too.
    """
    few = FEW.get(key)
    if few is None:
        return [None] * len(values)
    counts = np.mean([[_units(of, groups) for of in few.of(s)] for s in samples], axis=0)
    return [
        few.interval(float(v), n) if np.isfinite(v) and min(n) > 0 else None
        for v, n in zip(values, counts.T.tolist(), strict=True)
    ]


def _units(of: NDArray[np.generic], groups: NDArray[np.generic] | None) -> list[int]:
    """Count images, or the patients they are of, in each column of (N, K) 0/1."""
    if groups is None:
        return [int(column.sum()) for column in of.T]
    return [len(np.unique(groups[column > 0])) for column in of.T]
