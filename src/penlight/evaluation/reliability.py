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

from penlight.tasks import KnownLabels

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_TINY = 1e-300

BINS = 10
"""Bins of probability; equally wide, and for the adaptive error of equally many pairs."""


def bin_of(prob: Floats, bins: int = BINS) -> Places:
    """Number the equally wide bin of each probability; the upper end of a bin belongs to it."""
    found: Places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], prob)
    return found


@dataclass(frozen=True)
class PredictedProbabilities:
    """(N, P) predicted probabilities in [0, 1], and 1.0 where they came true, else 0.0.

    A pair is an image with one of its columns; those whose truth is not `known` (N, P) count nowhere.
    """

    prob: Floats
    true: Floats
    known: KnownLabels = None

    @classmethod
    def of_answers(
        cls, exclusive: bool, y: NDArray[np.uint8], prob: Floats, known: KnownLabels = None
    ) -> "PredictedProbabilities":
        """Of (N, C) truth and probabilities, what an answer states: for exclusive labels the most probable one's
        probability alone, else every label's."""
        if not exclusive:
            return cls(np.clip(prob, 0, 1), y.astype(float), known)
        answer = np.argmax(prob, axis=1)[:, None]
        true = np.take_along_axis(y, answer, axis=1).astype(float)
        return cls(np.clip(np.take_along_axis(prob, answer, axis=1), 0, 1), true)

    @classmethod
    def of_labels(cls, exclusive: bool, y: NDArray[np.uint8], prob: Floats) -> "PredictedProbabilities":
        """Of (N, C) truth and probabilities, every label's; of two exclusive ones the second, which says it all."""
        columns = slice(1, None) if exclusive and y.shape[1] == 2 else slice(None)
        return cls(np.clip(prob[:, columns], 0, 1), y[:, columns].astype(float))

    @property
    def of_pairs(self) -> tuple[Floats, Floats]:
        """What was predicted of each pair, and whether it came true, (M,) both."""
        chosen = slice(None) if self.known is None else self.known.ravel()
        return self.prob.ravel()[chosen], self.true.ravel()[chosen]

    def pairs(self, w: Floats) -> Floats:
        """(B,): how many pairs there are, NaN for none."""
        if self.known is None:
            return np.asarray(w.sum(axis=1) * self.prob.shape[1])
        return _some(w @ self.known.sum(axis=1))

    def pairs_by_column(self, w: Floats) -> Floats:
        """(B, P), or (B, 1) where all are known: how many pairs there are of each column."""
        n: Floats = w.sum(axis=1, keepdims=True) if self.known is None else w @ self.known.astype(float)
        return n

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
            if not len(weight):
                return 0.0
            through = np.cumsum(weight)
            # A bin begins with the first run that has its share of pairs below it, wholly.
            reached = np.searchsorted(through, through[-1] * np.arange(1, BINS) / BINS)
            begins = np.unique(np.r_[0, first[np.searchsorted(first, reached, side="right")]])
            return float(np.abs(np.add.reduceat(weight * gap, begins[begins < len(weight)])).sum())

        out: Floats = np.array([off(row[image]) for row in w]) / self.pairs(w)
        return out

    @cached_property
    def _ordered(self) -> tuple[Places, Floats, Places]:
        """Of the M pairs from the lowest probability to the highest: the image (M,) of each, its gap (M,), and the
        place of the first of each run of equal probabilities, with M after them."""
        prob, true = self.of_pairs
        image = np.repeat(np.arange(len(self.prob)), self.prob.shape[1])
        image = image if self.known is None else image[self.known.ravel()]
        order = np.argsort(prob, kind="stable")
        first = np.flatnonzero(np.r_[True, np.diff(prob[order]) > 0, True])
        return image[order], (prob - true)[order], first

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
        chosen = slice(None) if self.known is None else self.known.ravel()
        place = row[chosen], image[chosen]
        return {name: sparse.csr_array((own.ravel()[chosen], place), shape=shape) for name, own in values.items()}

    def _summed(self, name: str, w: Floats) -> Floats:
        out: Floats = (self._in_bins[name] @ np.ascontiguousarray(w.T)).T.reshape(len(w), -1, BINS)
        return out


def expected_error(gaps: Floats, n: Floats) -> Floats:
    """Expected calibration error over BINS equally wide bins (Naeini, Cooper and Hauskrecht, AAAI 2015).

    The mean over all pairs, whose columns share the bins, of how far the pairs of a bin are off on average; `gaps`
    (B, P, BINS) as `PredictedProbabilities.bin_gaps`, `n` (B,) pairs.
    """
    out: Floats = np.abs(gaps.sum(axis=1)).sum(axis=1) / n
    return out


def _some(n: Floats) -> Floats:
    """Give numbers of pairs to divide by, NaN for none."""
    return np.where(n > 0, n, np.nan)


def outcome_errors(stated: Floats, true: NDArray[np.generic]) -> Floats:
    """Give the expected calibration error (B,) of each of (B, M) outcomes of the same (M,) stated probabilities."""
    which = bin_of(stated)
    order = np.argsort(which, kind="stable")
    starts = np.unique(which[order], return_index=True)[1]
    gaps = np.add.reduceat(stated[order][None] - true[:, order].astype(float), starts, axis=1)
    out: Floats = np.abs(gaps).sum(axis=1) / len(stated)
    return out


def label_errors(gaps: Floats, n: Floats) -> Floats:
    """(B, P): the expected calibration error of each column alone, of `n` (B, P) pairs; NaN for one without any."""
    off: Floats = np.abs(gaps).sum(axis=2)
    out = np.full_like(off, np.nan)
    np.divide(off, n, out=out, where=n > 0)
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
        n = w.sum(axis=1) if self._share_known is None else _some(w @ self._share_known)
        out: Floats = w @ self._distance / n
        return out

    def uncertainty(self, w: Floats) -> Floats:
        """(B,): what the shares of the labels alone would score, share x (1 - share), times N / (N - 1) against its
        bias (Ferro and Fricker 2012)."""
        if self.labels.known is not None:
            n = self.labels.pairs_by_column(w)
            share = w @ self.labels.true / np.maximum(n, _TINY)
            spread = share * (1 - share) * n / np.maximum(n - 1, 1)
            mean: Floats = (n * spread).sum(axis=1) / _some(n.sum(axis=1))
            return mean
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
        if self.labels.known is not None:
            return np.asarray(known.sum(axis=(1, 2)) / _some(counts.sum(axis=(1, 2))))
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
        squares = (self.labels.prob - self.labels.true) ** 2
        return self._over_columns(squares if self.labels.known is None else squares * self.labels.known)

    @cached_property
    def _share_known(self) -> Floats | None:
        """(N,) the share of the columns of each image that are known, None where all are."""
        return None if self.labels.known is None else self.labels.known.mean(axis=1)

    def _over_columns(self, values: Floats) -> Floats:
        out: Floats = values.sum(axis=1) if self.summed else values.mean(axis=1)
        return out
