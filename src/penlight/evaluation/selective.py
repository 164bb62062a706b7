"""Answering only where one is sure: how the error falls with the share of questions that are left unanswered.

A question is one of those of `conformal`: an image of an exclusive task, or an image and a finding of a multi-label
one. N images, Q questions an image, M = N Q questions in all, B resamples.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.conformal import candidate_labels
from penlight.tasks import KnownLabels, Task

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]


def is_singleton(sets: NDArray[np.uint8], decided: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say where a prediction set (N, Q, K) holds the decision (N, Q, K) and nothing else, (N, Q): there it is given.

    A set without the decision, which a threshold far from the cut can bring about, does not count.
    """
    alone: NDArray[np.bool_] = (sets == decided).all(axis=2)
    return alone


def errors_and_confidence(
    task: Task, y: NDArray[np.uint8], prob: Floats, decided: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], Floats]:
    """Say of each decision, (N, Q) both, whether it is wrong and how probable it was said to be; all are (N, C)."""
    chosen = candidate_labels(task, decided).astype(bool)
    wrong: NDArray[np.bool_] = (candidate_labels(task, y).astype(bool) & chosen).sum(axis=2) == 0
    return wrong, np.where(chosen, candidate_labels(task, prob), 0).sum(axis=2)


@dataclass(frozen=True)
class RiskCoverage:
    """The error of the surest answers against the share of questions that they are.

    `confidence` (G,) are the distinct ones from high to low, `right` and `wrong` (G,) how many answers have each.
    `stretches` (2 R + 1, N) and `errors` (R, N) are what resamples need: how many questions of each image lie before,
    in and between the R runs of equal confidence that have a wrong answer, and how many wrong ones in each run.
    """

    confidence: Floats
    right: NDArray[np.int64]
    wrong: NDArray[np.int64]
    stretches: "csr_array"
    errors: "csr_array"

    @classmethod
    def of(cls, wrong: NDArray[np.bool_], confidence: Floats, known: KnownLabels = None) -> "RiskCoverage":
        """Group the answers (N, Q) by `confidence`, the highest first; those whose truth is not `known` (N, Q) are
        left out."""
        from scipy.sparse import csr_array

        n, q = wrong.shape
        chosen = slice(None) if known is None else known.ravel()
        image = np.repeat(np.arange(n), q)[chosen]
        wrong, confidence = wrong.ravel()[chosen], confidence.ravel()[chosen]
        values, run = np.unique(-confidence, return_inverse=True)
        n_wrong = np.bincount(run, wrong, len(values)).astype(np.int64)
        erring = np.flatnonzero(n_wrong)
        stretch = np.searchsorted(erring, run, side="left") + np.searchsorted(erring, run, side="right")
        mistake = np.flatnonzero(wrong)
        place = np.searchsorted(erring, run[mistake])
        return cls(
            -values,
            np.bincount(run, minlength=len(values)) - n_wrong,
            n_wrong,
            csr_array((np.ones(len(image)), (stretch, image)), shape=(2 * len(erring) + 1, n)),
            csr_array((np.ones(len(mistake)), (place, image[mistake])), shape=(len(erring), n)),
        )

    def curve(self) -> tuple[Floats, Floats]:
        """Share answered and error among these, (G,) both, if answers are given down to each confidence."""
        n = np.cumsum(self.right + self.wrong)
        return n / max(1, n[-1]), np.cumsum(self.wrong) / n

    def area(self, w: Floats) -> Floats:
        """Area under the curve of weights (B, N), (B,): the error, averaged over all shares answered (Geifman and
        El-Yaniv 2017). Of equally sure answers any is as likely to be left out, so their errors come evenly.

        With E wrong of the x surest answers the error is E / x: its integral is E times a difference of logarithms
        where no wrong answer comes in, and d + (E - d s / l) times it over a run from s of length l with d wrong.
        """
        # Through each stretch; the runs with wrong answers are the odd ones.
        through = np.cumsum(self.stretches @ w.T, axis=0)
        came_in = self.errors @ w.T
        before = np.cumsum(came_in, axis=0) - came_in
        # What is nothing has no error either, so that any finite logarithm serves.
        logs = np.log(np.maximum(through, 1e-300))
        start, length = through[:-1:2], np.maximum(through[1::2] - through[:-1:2], 1e-300)
        in_runs = came_in + (before - came_in * (start / length)) * (logs[1::2] - logs[:-1:2])
        between = (before + came_in) * (logs[2::2] - logs[1::2])
        area: Floats = (in_runs + between).sum(axis=0) / np.where(through[-1] > 0, through[-1], np.nan)
        return area
