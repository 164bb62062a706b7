"""95 % intervals of proportions and of their ratios, the one place for all that are shares of something counted.

A share is hits / answers; images may hold several answers, and patients several images. Where those of one patient
are more alike than others, as many answers say less: the interval is Wilson's (1927) on the effective number of
answers (Kish 1965; Korn and Graubard 1998, Survey Methodology 24:193), which a design effect divides where patients
are not known. S models of the same N images, K shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import NORMAL_95, Groups, design_effect, number_units, t_quantile

Floats = NDArray[np.float64]


def wilson(hits: Floats, n: Floats) -> tuple[Floats, Floats]:
    """95 % interval of the share `hits` / `n` (Wilson 1927), elementwise; NaN where n is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / n
        spread = 1 + NORMAL_95**2 / n
        middle = (share + NORMAL_95**2 / (2 * n)) / spread
        half = NORMAL_95 * np.sqrt(share * (1 - share) / n + NORMAL_95**2 / (4 * n**2)) / spread
    # At shares of 0 and 1 the end is exact, but for rounding.
    return np.minimum(middle - half, share), np.maximum(middle + half, share)


@dataclass(frozen=True)
class Shares:
    """K shares with their 95 % intervals: `value`, `low`, `high` and the effective number `n` of answers, (K,) each;
    `influence` (U, K) is what each unit adds to the error of a share, for covariances between shares."""

    value: Floats
    low: Floats
    high: Floats
    n: Floats
    influence: Floats


def shares(hits: Sequence[Floats], answers: Sequence[Floats], groups: Groups) -> Shares:
    """Give the K shares of `hits` (S, N, K) among `answers` (S, N, K), means over the S models, with intervals.

    `groups` (N,) are patients. NaN where a model has no answer.
    """
    hit, of = (np.asarray(values, np.float64) for values in (hits, answers))
    unit_of = number_units(hit.shape[1], groups)
    total = of.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_model = hit.sum(axis=1) / total
        per_image = ((hit - by_model[:, None] * of) / total[:, None]).mean(axis=0)
    value = by_model.mean(axis=0)
    units = int(unit_of.max(initial=-1)) + 1
    influence = by_unit(per_image, unit_of, units)
    held = by_unit(of.mean(axis=0), unit_of, units)
    single = np.logical_and((held <= 1).all(axis=0), len(of) == 1)
    n = np.array([
        float(total[0, k]) if single[k] else _effective_number(value[k], influence[:, k], held[:, k], len(of))
        for k in range(len(value))
    ])  # fmt: skip
    n = np.maximum(n / design_effect(groups), np.minimum(n, 1))
    low, high = wilson(value * n, n)
    return Shares(value, low, high, n, influence)


def share_interval(
    hits: NDArray[np.generic], answers: NDArray[np.generic], groups: Groups = None
) -> tuple[Floats, Floats]:
    """95 % intervals (K,) of the shares of `hits` (N, K) among `answers` (N, K) of images of `groups` (N,)."""
    found = shares([hits.astype(float)], [answers.astype(float)], groups)
    return found.low, found.high


def ratio_interval(above: tuple[float, float, float], below: tuple[float, float, float]) -> tuple[float, float]:
    """95 % interval of the ratio of two independent shares, each given as value, low and high.

    MOVER-R (Donner and Zou 2012, Statistical Methods in Medical Research 21:347): it combines the score intervals of
    the two, so that a ratio agrees with the shares beside it and holds where one of them is 0. The upper end is
    infinite where the lower share may be 0; NaN where an end is 0/0.
    """
    (p, low_p, high_p), (q, low_q, high_q) = above, below
    product = p * q
    low = _root(product, low_p * (2 * p - low_p), high_q * (2 * q - high_q), -1)
    high = _root(product, high_p * (2 * p - high_p), low_q * (2 * q - low_q), 1)
    return max(low, 0.0), high


def _root(product: float, of_above: float, of_below: float, sign: int) -> float:
    """Solve MOVER-R's equation, of_below r^2 - 2 product r + of_above = 0, for its lower or upper root."""
    root = float(np.sqrt(max(product**2 - of_above * of_below, 0.0)))
    if sign < 0:
        # Written so that the quadratic's leading term may be zero or negative.
        return of_above / (product + root) if product + root > 0 else float("nan") if of_above else 0.0
    return (product + root) / of_below if of_below > 0 else float("inf")


def _effective_number(value: float, influence: Floats, held: Floats, models: int) -> float:
    """Give how many independent answers would be as precise as those of the units, which hold `held` (U,) answers
    each.

    At shares of 0 and 1 the variance says nothing: then all answers of a unit count as one (Kish).
    """
    own = held[held > 0]
    if not len(own) or not np.isfinite(value):
        return np.nan
    student = (NORMAL_95 / t_quantile(max(len(own) - 1, 1))) ** 2
    variance = float((influence**2).sum()) * len(own) / max(len(own) - 1, 1)
    if not 0 < value < 1 or variance <= 0:
        return max(1.0, float(own.sum() ** 2 / (own**2).sum()) * (student if own.max() > 1 else 1))
    return float(np.clip(value * (1 - value) / variance * student, 1, own.sum() * models))


def by_unit(values: Floats, unit_of: NDArray[np.int64], units: int) -> Floats:
    """Sum (N, K) values of images over their units, (U, K)."""
    out = np.zeros((units, values.shape[1]))
    if units == len(values):
        out[unit_of] = values
    else:
        np.add.at(out, unit_of, values)
    return out
