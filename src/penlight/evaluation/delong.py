"""Areas under the ROC curve without resampling: their covariance by DeLong's method, a cross-check of the bootstrap.

DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44:837), computed from midranks as in Sun and Xu (2014, IEEE
Signal Processing Letters 21:1389). For images that are independent: it knows of no patients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Areas:
    """Areas `auc` (S,) of S scores of the same images, and their `covariance` (S, S).

    NaN where there is no positive or no negative case, and a NaN covariance where there is but one of a kind.
    """

    auc: Floats
    covariance: Floats

    def interval(self, s: int = 0) -> tuple[float, float]:
        """95 % interval of one area, symmetric in its log odds (Pepe 2003, section 5.2.4); NaN for 0 and 1."""
        auc, variance = self.auc[s], self.covariance[s, s]
        if not (0 < auc < 1 and np.isfinite(variance)):
            return np.nan, np.nan
        half = _NORMAL_95 * np.sqrt(variance) / (auc * (1 - auc))
        odds = auc / (1 - auc) * np.exp([-half, half])
        low, high = odds / (1 + odds)
        return float(low), float(high)

    def p_of_difference(self, one: int = 0, other: int = 1) -> float:
        """Two-sided p of two correlated areas being equal; 1 for scores that rank alike, NaN where undefined."""
        from scipy.special import ndtr

        difference = self.auc[one] - self.auc[other]
        c = self.covariance
        variance = c[one, one] + c[other, other] - 2 * c[one, other]
        if difference == 0 and np.isfinite(variance):
            return 1.0
        return float(2 * ndtr(-abs(difference) / np.sqrt(variance))) if variance > 0 else np.nan


def delong(y: NDArray[np.generic], scores: Floats) -> Areas:
    """Compute areas of `scores` (S, N), or (N,), for the truth `y` (N,) 0/1."""
    from scipy.stats import rankdata

    scores, has = np.atleast_2d(scores), np.asarray(y, bool)
    positive, negative = scores[:, has], scores[:, ~has]
    m, n = positive.shape[1], negative.shape[1]
    if min(m, n) == 0:
        return Areas(np.full(len(scores), np.nan), np.full((len(scores),) * 2, np.nan))
    ranks = rankdata(np.hstack([positive, negative]), axis=1)
    # The share of negatives below each positive, and of positives above each negative; ties count half.
    of_positive = (ranks[:, :m] - rankdata(positive, axis=1)) / n
    of_negative = 1 - (ranks[:, m:] - rankdata(negative, axis=1)) / m
    auc: Floats = of_positive.mean(axis=1)
    if min(m, n) == 1:
        return Areas(auc, np.full((len(scores),) * 2, np.nan))
    covariance = np.atleast_2d(np.cov(of_positive)) / m + np.atleast_2d(np.cov(of_negative)) / n
    return Areas(auc, covariance)
