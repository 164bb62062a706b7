"""How far predicted probabilities are from observed frequencies: calibration errors, and the parts of the Brier
score.

As every metric: of weighted images, (B, N) weights to (B,) values, or (B, C). N images, P columns of probabilities, B
resamples. What the weights do not change is prepared once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

BINS = 10
"""Bins of probability; equally wide, and for the adaptive error of equally many pairs."""


def bin_of(prob: Floats, bins: int = BINS) -> Places:
    """Number the equally wide bin of each probability; the upper end of a bin belongs to it."""
    found: Places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], prob)
    return found


@dataclass(frozen=True)
class PredictedProbabilities:
    """(N, P) predicted probabilities in [0, 1], and 1.0 where they came true, else 0.0.

    A pair is an image with one of its columns.
    """

    prob: Floats
    true: Floats

    @classmethod
    def of_answers(cls, exclusive: bool, y: NDArray[np.uint8], prob: Floats) -> "PredictedProbabilities":
        """Of (N, C) truth and probabilities, what an answer states: for exclusive labels the most probable one's
        probability alone, else every label's."""
        if not exclusive:
            return cls(np.clip(prob, 0, 1), y.astype(float))
        answer = np.argmax(prob, axis=1)[:, None]
        true = np.take_along_axis(y, answer, axis=1).astype(float)
        return cls(np.clip(np.take_along_axis(prob, answer, axis=1), 0, 1), true)

    @classmethod
    def of_labels(cls, exclusive: bool, y: NDArray[np.uint8], prob: Floats) -> "PredictedProbabilities":
        """Of (N, C) truth and probabilities, every label's; of two exclusive ones the second, which says it all."""
        columns = slice(1, None) if exclusive and y.shape[1] == 2 else slice(None)
        return cls(np.clip(prob[:, columns], 0, 1), y[:, columns].astype(float))

    def bin_gaps(self, w: Floats) -> Floats:
        """(B, P, BINS): the sum of predicted less true in each bin."""
        return self._summed("gaps", w)

    def bin_counts(self, w: Floats) -> Floats:
        """(B, P, BINS): how many pairs are in each bin."""
        return self._summed("counts", w)

    def bin_squares(self, w: Floats) -> Floats:
        """(B, P, BINS): the sum of squares of predicted less true in each bin."""
        return self._summed("squares", w)

    def adaptive_error(self, w: Floats) -> Floats:
        """Expected calibration error over BINS bins of equally many pairs (Nguyen and O'Connor, EMNLP 2015).

        A pair's bin is BINS times the share of pairs with a lower probability, rounded down; equal ones stay
        together.
        """
        image, gap, first = self._ordered

        def off(weight: Floats) -> float:
            through = np.cumsum(weight)
            # A bin begins with the first run that has its share of pairs below it, wholly.
            reached = np.searchsorted(through, through[-1] * np.arange(1, BINS) / BINS)
            begins = np.unique(np.r_[0, first[np.searchsorted(first, reached, side="right")]])
            return float(np.abs(np.add.reduceat(weight * gap, begins[begins < len(weight)])).sum())

        out: Floats = np.array([off(row[image]) for row in w]) / (w.sum(axis=1) * self.prob.shape[1])
        return out

    @cached_property
    def _ordered(self) -> tuple[Places, Floats, Places]:
        """Of the M pairs from the lowest probability to the highest: the image (M,) of each, its gap (M,), and the
        place of the first of each run of equal probabilities, with M after them."""
        prob, gap = self.prob.ravel(), (self.prob - self.true).ravel()
        order = np.argsort(prob, kind="stable")
        first = np.flatnonzero(np.r_[True, np.diff(prob[order]) > 0, True])
        return order // self.prob.shape[1], gap[order], first

    @cached_property
    def _in_bins(self) -> dict[str, Any]:
        """Sparse matrices (P * BINS, N), each value at the bin of its probability."""
        from scipy import sparse

        n, p = self.prob.shape
        row = (bin_of(self.prob) + BINS * np.arange(p)).ravel()
        image = np.repeat(np.arange(n), p)
        gap = self.prob - self.true
        values = {"gaps": gap, "counts": np.ones_like(gap), "squares": gap**2}
        shape = (p * BINS, n)
        return {name: sparse.csr_array((own.ravel(), (row, image)), shape=shape) for name, own in values.items()}

    def _summed(self, name: str, w: Floats) -> Floats:
        out: Floats = (self._in_bins[name] @ np.ascontiguousarray(w.T)).T.reshape(len(w), -1, BINS)
        return out


def expected_error(gaps: Floats, n: Floats) -> Floats:
    """Expected calibration error over BINS equally wide bins (Naeini, Cooper and Hauskrecht, AAAI 2015).

    The mean over all pairs, whose columns share the bins, of how far the pairs of a bin are off on average; `gaps`
    (B, P, BINS) as `PredictedProbabilities.bin_gaps`, `n` (B,) images.
    """
    out: Floats = np.abs(gaps.sum(axis=1)).sum(axis=1) / (n * gaps.shape[1])
    return out


def outcome_errors(stated: Floats, true: NDArray[np.generic]) -> Floats:
    """Give the expected calibration error (B,) of each of (B, M) outcomes of the same (M,) stated probabilities."""
    which = bin_of(stated)
    order = np.argsort(which, kind="stable")
    starts = np.unique(which[order], return_index=True)[1]
    gaps = np.add.reduceat(stated[order][None] - true[:, order].astype(float), starts, axis=1)
    out: Floats = np.abs(gaps).sum(axis=1) / len(stated)
    return out


def label_errors(gaps: Floats, n: Floats) -> Floats:
    """(B, P): the expected calibration error of each column alone."""
    out: Floats = np.abs(gaps).sum(axis=2) / n[:, None]
    return out


@dataclass(frozen=True)
class Brier:
    """The Brier score of `labels` and its parts, each of columns that are `summed`, else averaged.

    Summed over the classes of an exclusive task (Brier 1950: from 0 to 2), of the second alone where there are two
    (from 0 to 1), averaged over labels that are not exclusive (from 0 to 1). So are the parts.
    """

    labels: PredictedProbabilities
    summed: bool

    def score(self, w: Floats) -> Floats:
        """(B,) mean squared distance of probabilities from the truth."""
        out: Floats = w @ self._distance / w.sum(axis=1)
        return out

    def uncertainty(self, w: Floats) -> Floats:
        """(B,): what the shares of the labels alone would score, share x (1 - share), times N / (N - 1) against its
        bias (Ferro and Fricker 2012)."""
        n = w.sum(axis=1)
        share = w @ self.labels.true / n[:, None]
        out: Floats = self._over_columns(share * (1 - share)) * n / np.maximum(n - 1, 1)
        return out

    def reliability(self, gaps: Floats, w: Floats) -> Floats:
        """(B,): how far bins are off, squared, on average; 0 is calibrated.

        `gaps` are (B, P, BINS), as `PredictedProbabilities` gives them.

        What bins are off by chance is taken off (Ferro and Fricker, QJRMS 138:1954, 2012): of each squared gap the
        variance of its mean, estimated from the gaps in the bin, since their probabilities are not all the same. So
        it may come out slightly below 0. A bin of one pair adds nothing.
        """
        counts, squares = self.labels.bin_counts(w), self.labels.bin_squares(w)
        squared = np.divide(gaps**2, counts, out=np.zeros_like(gaps), where=counts > 0)
        # Half of the weight keeps resampled weights just above 1 from dividing by nothing; from 2 on it is the less.
        fewer = np.maximum(counts - 1, counts / 2)
        by_chance = np.divide(squares - squared, fewer, out=np.zeros_like(gaps), where=counts > 0)
        known = np.where(counts > 1, squared - by_chance, 0)
        out: Floats = self._over_columns(known.sum(axis=2)) / counts[:, 0].sum(axis=1)
        return out

    def resolution(self, w: Floats, reliability: Floats) -> Floats:
        """(B,): what telling images apart gains, in score = reliability - resolution + uncertainty (Murphy, J. Appl.
        Meteorol. 1973).

        What is told apart within bins is counted in (Stephenson, Coelho and Jolliffe, Weather and Forecasting 2008),
        so that the parts sum to the score.
        """
        return reliability + self.uncertainty(w) - self.score(w)

    @cached_property
    def _distance(self) -> Floats:
        return self._over_columns((self.labels.prob - self.labels.true) ** 2)

    def _over_columns(self, values: Floats) -> Floats:
        out: Floats = values.sum(axis=1) if self.summed else values.mean(axis=1)
        return out
