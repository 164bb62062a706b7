"""Areas under the ROC curve with intervals that need no resampling: DeLong's covariance, of whole patients.

DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44:837), computed from midranks as in Sun and Xu (2014, IEEE
Signal Processing Letters 21:1389), summed over the images of a patient as in Obuchowski (1997, Biometrics 53:567).
Areas of few cases, or with next to no pair in the wrong order, whose variance that cannot know, take Newcombe's
interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import NORMAL_95, Groups, count_units, design_effect, number_units, t_quantile
from penlight.evaluation.proportions import by_unit

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RARE = 30
"""With fewer positive or negative cases than this an area has Newcombe's interval."""

_FEWEST_MISPLACED = 1.0
_TINY = 1e-12


@dataclass(frozen=True)
class Areas:
    """Areas `auc` (S,) of S scores of the same images, and their `covariance` (S, S).

    NaN where there is no positive or no negative case, and a NaN covariance where there is but one of a kind.
    `influence` (U, S) is what each unit (patient, or image) adds to the error of an area; `cases` are the numbers of
    positive and negative images and `units` of the patients that have any; `plain` (S, S) is the covariance that
    independent images would have.
    """

    auc: Floats
    covariance: Floats
    influence: Floats
    cases: tuple[int, int]
    units: tuple[int, int]
    plain: Floats

    def mean_interval(self) -> Interval:
        """95 % interval of the mean of the S areas, such as those of several seeds.

        Symmetric in its log odds (Pepe 2003, section 5.2.4); Newcombe's where there are few effective cases, or fewer
        than one misplaced case is expected among the rarer kind. NaN for a constant score, which ranks nothing: its
        area is one half of any images, so that nothing varies.
        """
        # One score for all images is 0.5 in any sample.
        if not self.influence.any() and (self.auc == 0.5).all():
            return np.nan, np.nan
        auc, variance, plain = (
            float(self.auc.mean()),
            float(self.covariance.mean()),
            float(np.diag(self.plain).mean()),
        )
        if not math.isfinite(auc):
            return np.nan, np.nan
        known = math.isfinite(variance) and variance > 0 and 0 < auc < 1
        # Cases as many as independent ones would be with this variance; at least one for each patient.
        effect = plain / variance if known and plain > 0 else 0.0
        positives, negatives = (
            float(np.clip(n * effect, units, n)) for n, units in zip(self.cases, self.units, strict=True)
        )
        fewer = min(positives, negatives)
        if not known or fewer < RARE or min(auc, 1 - auc) * fewer < _FEWEST_MISPLACED:
            return newcombe(auc, positives, negatives)
        half = t_quantile(min(self.units) - 1) * math.sqrt(variance) / (auc * (1 - auc))
        odds = auc / (1 - auc) * np.exp([-half, half])
        low, high = odds / (1 + odds)
        return float(low), float(high)


def delong(
    y: NDArray[np.generic],
    scores: Floats,
    groups: Groups = None,
    fold: NDArray[np.generic] | None = None,
    known: NDArray[np.bool_] | None = None,
) -> Areas:
    """Compute areas of `scores` (S, M), or (M,), for the truth `y` (M,) 0/1.

    Scores of one of `groups` (M,) are not independent. With `fold` (M,), each by a model of its own, only pairs
    within a fold are compared. Those whose truth is not `known` (M,) add nothing.
    """
    scores, has = np.atleast_2d(scores), np.asarray(y, bool)
    lacks = ~has if known is None else ~has & known
    unit_of = number_units(len(has), groups)
    units = int(unit_of.max(initial=-1)) + 1
    cases = int(has.sum()), int(lacks.sum())
    drawn = len(np.unique(unit_of[has])), len(np.unique(unit_of[lacks]))
    of_kind = count_units(len(has), groups, has), count_units(len(has), groups, lacks)
    right, pairs = np.zeros((len(scores), len(has))), np.zeros(len(has))
    inside: list[Any] = [slice(None)] if fold is None else [fold == number for number in np.unique(fold)]
    for rows in inside if known is None else [np.arange(len(has))[own][known[own]] for own in inside]:
        right[:, rows], pairs[rows] = _placements(has[rows], scores[:, rows])
    total = pairs[has].sum()
    if total == 0:
        nothing = np.full((len(scores),) * 2, np.nan)
        return Areas(nothing[0], nothing, np.zeros((units, len(scores))), cases, of_kind, nothing)
    auc: Floats = right[:, has].sum(axis=1) / total
    error = ((right - auc[:, None] * pairs) / total).T
    positive, negative = (by_unit(error * kind[:, None], unit_of, units) for kind in (has, lacks))
    covariance = plain = np.full((len(scores),) * 2, np.nan)
    if min(drawn) > 1:
        more = [n / (n - 1) for n in drawn]
        cross = positive.T @ negative
        covariance = more[0] * positive.T @ positive + more[1] * negative.T @ negative
        n_units = units if known is None else len(np.unique(unit_of[known]))
        covariance = design_effect(groups) * (covariance + n_units / (n_units - 1) * (cross + cross.T))
        many = [n / (n - 1) for n in cases]
        plain = many[0] * error[has].T @ error[has] + many[1] * error[lacks].T @ error[lacks]
    return Areas(auc, covariance, positive + negative, cases, of_kind, plain)


def _placements(has: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """(S, M) pairs with cases of the other kind in the right order, ties counting half, and (M,) pairs in all."""
    m, n = int(has.sum()), int((~has).sum())
    right = np.zeros(scores.shape)
    if min(m, n):
        ranks = _ranks(scores)
        right[:, has] = ranks[:, has] - _ranks(scores[:, has])
        right[:, ~has] = m - (ranks[:, ~has] - _ranks(scores[:, ~has]))
    return right, np.where(has, n, m).astype(float)


def _ranks(scores: Floats) -> Floats:
    """Rank each row of (S, N) from 1, equal scores by the mean of their ranks; scipy.stats takes long to import."""
    ranks = np.empty(scores.shape)
    for own, row in zip(ranks, scores, strict=True):
        _, places, counts = np.unique(row, return_inverse=True, return_counts=True)
        own[:] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def newcombe(area: float, n_positive: float, n_negative: float) -> Interval:
    """95 % interval of an area under the ROC curve from the numbers of cases alone.

    Newcombe (2006, Statistics in Medicine 25:559), method 5: the areas whose standard error, by Hanley and McNeil's
    formula with both numbers of cases set to their mean in its two last terms, reaches the one that was found.
    """
    middling = (n_positive + n_negative) / 2 - 1

    def beyond(a: float) -> float:
        terms = 1 + middling * (1 - a) / (2 - a) + middling * a / (1 + a)
        return abs(area - a) - NORMAL_95 * math.sqrt(a * (1 - a) * terms / (n_positive * n_negative))

    # Areas of 0 and 1 have no error themselves, and so solve the equation; those just inside do not.
    inside = min(max(area, _TINY), 1 - _TINY)
    low = _bisect(beyond, 0.0, inside) if area > 0 else 0.0
    high = _bisect(beyond, 1.0, inside) if area < 1 else 1.0
    return low, high


def _bisect(f: Callable[[float], float], above: float, below: float) -> float:
    """Give where `f` crosses 0 between `above`, where it is not negative, and `below`, where it is.

    To the last digit, by halves: SciPy's solvers take longer to load than all intervals of a run to find.
    """
    while (middle := (above + below) / 2) not in (above, below):
        above, below = (middle, below) if f(middle) >= 0 else (above, middle)
    return above
