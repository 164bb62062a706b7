"""What metrics see of one model's answers: truth, probabilities, decisions, and what several metrics share.

N images, C labels, B resamples, whose weights are (B, N).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.calibration import log_losses, pair_losses
from penlight.evaluation.conformal import candidate_labels
from penlight.evaluation.intervals import Groups, count_cases
from penlight.evaluation.reliability import Brier, PredictedProbabilities
from penlight.evaluation.selective import RiskCoverage, errors_and_confidence, is_singleton
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import absent, known_or_none

Floats = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """What metrics see: `y` (N, C) 0/1 truth, `prob` (N, C) probabilities, `decided` (N, C) 0/1 decisions, and
    prediction sets `sets` (N, Q, K) of candidate labels (see `conformal`), None where none were fitted.

    `known` (N, C) says which labels are known, None where all are: a pair of image and label that is not enters no
    metric, and its truth is 0. Where several models answered, each its own images, `fold` (N,) says which: their
    probabilities are not on one scale, so that images are ranked among those of their fold only.
    """

    task: Task
    y: NDArray[np.uint8]
    prob: Floats
    decided: NDArray[np.uint8]
    sets: NDArray[np.uint8] | None = None
    fold: NDArray[np.int64] | None = None
    known: KnownLabels = None

    def __post_init__(self) -> None:
        """Take a mask that is true throughout for none, and what is not known for no case."""
        object.__setattr__(self, "known", known_or_none(self.known))
        if self.known is not None:
            object.__setattr__(self, "y", self.y & self.known)

    def part(self, rows: NDArray[np.generic]) -> "Sample":
        """Select images by (N,) true or false, with all that is known of each."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "task"}
        chosen: dict[str, Any] = {name: None if own is None else own[rows] for name, own in arrays.items()}
        return replace(self, **chosen)

    @cached_property
    def absent(self) -> NDArray[np.uint8]:
        """(N, C) 1 where a label is known not to be there."""
        return absent(self.y, self.known)

    @cached_property
    def called(self) -> NDArray[np.uint8]:
        """(N, C) 1 where a label is decided to be there, of those that are known."""
        return self.decided if self.known is None else self.decided & self.known

    @cached_property
    def pairs(self) -> NDArray[np.uint8]:
        """(N, C) 1 where a label is known."""
        return np.ones_like(self.y) if self.known is None else self.known.astype(np.uint8)

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """(N,) whether all labels of an image are known."""
        return np.ones(len(self.y), bool) if self.known is None else np.asarray(self.known.all(axis=1))

    def cases(self, groups: Groups = None, inside: NDArray[np.bool_] | None = None) -> list[tuple[int, int]]:
        """Count of each label what has it and what lacks it among the images `inside` (N,), see `count_cases`; those
        of which it is not known do neither."""
        if self.known is None:
            return [count_cases(column, groups, inside) for column in self.y.T]
        among = self.known.T if inside is None else self.known.T & inside
        return [count_cases(column, groups, own) for column, own in zip(self.y.T, among, strict=True)]

    @cached_property
    def scored(self) -> int:
        """How many images have a label that is known."""
        return len(self.y) if self.known is None else int(self.known.any(axis=1).sum())

    @cached_property
    def share_known(self) -> Floats | None:
        """(N,) the share of the labels of each image that are known, None where all are."""
        return None if self.known is None else self.known.mean(axis=1)

    def over_labels(self, values: NDArray[np.generic]) -> Floats:
        """(N,) mean over labels of (N, C) values; what is not known adds nothing, see `share_known`."""
        mean: Floats = (values if self.known is None else values * self.known).mean(axis=1)
        return mean

    @cached_property
    def grade(self) -> NDArray[np.int64]:
        """(N,) true class numbers of an exclusive task."""
        return largest_column(self.y)

    @cached_property
    def decided_grade(self) -> NDArray[np.int64]:
        """(N,) decided class numbers of an exclusive task."""
        return largest_column(self.decided)

    @cached_property
    def referable(self) -> tuple[Floats, Floats, Floats]:
        """(N,) truth, probability and answer of "this grade or a higher one needs a referral"."""
        of = self.task.questions[0].of
        return of(self.y), of(self.prob), of(self.decided)

    @cached_property
    def referable_ranking(self) -> "Rankings":
        """The ranking of images by the probability of a grade that needs a referral."""
        y, prob, _ = self.referable
        return Rankings.of(y, prob, self.fold)

    @cached_property
    def _memory(self) -> dict[str, tuple[Floats, Any]]:
        return {}

    def cached_for_weights(self, what: str, w: Floats, compute: Callable[[], T]) -> T:
        """Compute what several metrics need of the same weights once; the value for the last weights is kept."""
        held = self._memory.get(what)
        if held is None or held[0] is not w:
            held = self._memory[what] = (w, compute())
        value: T = held[1]
        return value

    @cached_property
    def predicted(self) -> PredictedProbabilities:
        """The probabilities that the answers are given with."""
        return PredictedProbabilities.of_answers(self.task.exclusive, self.y, self.prob, self.known)

    @cached_property
    def brier(self) -> Brier:
        """The Brier score and its parts."""
        exclusive = self.task.exclusive
        labels = PredictedProbabilities.of_labels(exclusive, self.y, self.prob) if exclusive else self.predicted
        return Brier(labels, exclusive)

    @cached_property
    def log_losses(self) -> Floats:
        """(N,) log loss of each image; see `over_labels`."""
        if self.known is not None:
            return self.over_labels(pair_losses(self.y, self.prob))
        return log_losses(self.y, self.prob, self.task.exclusive)

    @cached_property
    def rankings_by_label(self) -> "list[Rankings]":
        """One ranking per label."""
        return [
            Rankings.among(self.y[:, c], self.prob[:, c], self.fold, None if self.known is None else self.known[:, c])
            for c in range(self.y.shape[1])
        ]

    @cached_property
    def micro(self) -> "Rankings":
        """The ranking of all (image, label) pairs together."""
        image_of = np.repeat(np.arange(len(self.y)), self.y.shape[1])
        fold = None if self.fold is None else self.fold[image_of]
        known = None if self.known is None else self.known.ravel()
        return Rankings.among(self.y.ravel(), self.prob.ravel(), fold, known, image_of, len(self.y))

    @cached_property
    def counted(self) -> Any:
        """Sparse (3 C, N): which images count as right answers, as truths and as answers, of each label in turn."""
        row, image = np.nonzero(np.hstack([self.y & self.called, self.y, self.called]).T)
        return _summing(row, image, (3 * self.y.shape[1], len(self.y)))

    def by_image(self, w: Floats) -> Floats:
        """Give weights (B, N) as (N, B), all resamples of an image side by side."""
        return self.cached_for_weights("by image", w, lambda: np.ascontiguousarray(w.T))

    @cached_property
    def risk_coverage(self) -> RiskCoverage:
        """The answers from the surest to the least sure."""
        return RiskCoverage.of(*errors_and_confidence(self.task, self.y, self.prob, self.decided), self.known)

    @cached_property
    def set_statistics(self) -> "SetStatistics":
        """Per-image prediction-set statistics, cached across bootstrap resamples. ValueError without sets."""
        if self.sets is None:
            raise ValueError("metrics of sets need sets")
        covered = (candidate_labels(self.task, self.y) & self.sets).max(axis=2)
        singleton = is_singleton(self.sets, candidate_labels(self.task, self.decided))
        possible = self.sets[:, 0] if self.task.exclusive else self.sets[:, :, 1]
        return SetStatistics(
            self.over_labels(covered),
            self.over_labels(self.sets.sum(axis=2)),
            self.over_labels(singleton),
            self.over_labels(singleton & (covered == 1)),
            (self.y & possible).astype(float),
        )


@dataclass(frozen=True)
class SetStatistics:
    """Of the Q prediction sets of each image, (N,), as `Sample.over_labels` has them: the share that hold the truth,
    the mean size, the share that hold the decision alone (`is_singleton`) and that do so rightly; `label_in_set`
    (N, C) marks true labels in the set."""

    covered: Floats
    size: Floats
    is_singleton: Floats
    right_singleton: Floats
    label_in_set: Floats


def largest_column(columns: NDArray[np.generic]) -> NDArray[np.int64]:
    """Give the (N,) column numbers of the largest values of (N, C), the first of equals."""
    place: NDArray[np.int64] = np.argmax(columns, axis=1)
    return place


@dataclass(frozen=True)
class Ranking:
    """Scores sorted once, for all resamples. R runs of equal scores hold all positives; they go from low to high.

    Each matrix sums what weights (N, B) it is multiplied with: `positive` (R, N) those of the positives in each run,
    `tied` (R, N) those of the negatives in it, `between` (R + 1, N) those of the negatives between the run before and
    this one, the last row those above all. Positives are few, so nothing but these sums runs over all images.
    """

    positive: Any
    tied: Any
    between: Any

    @classmethod
    def of(
        cls, y: NDArray[np.generic], score: Floats, image_of: NDArray[np.int64] | None = None, images: int = 0
    ) -> "Ranking":
        """Sort `score` (M,) with its truth `y` (M,) 0/1.

        `image_of` (M,) says which of `images` a score belongs to, where it is not its own number.
        """
        order = np.argsort(score, kind="stable")
        image = order if image_of is None else image_of[order]
        n = images or len(order)
        score, is_positive = score[order], y[order].astype(bool)
        values = np.unique(score[is_positive])
        run = np.searchsorted(values, score, side="left")
        above = np.searchsorted(values, score, side="right")
        in_run = above > run
        negative = ~is_positive
        return cls(
            _summing(run[is_positive], image[is_positive], (len(values), n)),
            _summing(run[in_run & negative], image[in_run & negative], (len(values), n)),
            _summing(run[~in_run], image[~in_run], (len(values) + 1, n)),
        )

    def pairs(self, w: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Sums for weights (N, B), (B,) each: (positive, negative) pairs in the right order, ties counting half; all
        pairs; precision summed over the positives; the positives."""
        positive, between = self.positive @ w, self.between @ w
        if len(positive) == 0:
            nothing = np.zeros(w.shape[1])
            return nothing, nothing, nothing, nothing
        n_positive, hits = positive.sum(axis=0), np.cumsum(positive[::-1], axis=0)[::-1]
        tied = self.tied @ w if self.tied.nnz else None
        if tied is not None:
            between[1:] += tied
        below = np.cumsum(between, axis=0)
        n_negative, below = below[-1], below[:-1]
        right = np.einsum("rb,rb->b", positive, below if tied is None else below + tied / 2)
        called = hits + (n_negative - below)
        precision = np.divide(hits, called, out=np.zeros_like(called), where=called > 0)
        return right, n_positive * n_negative, np.einsum("rb,rb->b", positive, precision), n_positive


@dataclass(frozen=True)
class Rankings:
    """Rankings of the images of each fold; one of all where they are not folded."""

    folds: tuple[Ranking, ...]

    @classmethod
    def of(
        cls,
        y: NDArray[np.generic],
        score: Floats,
        fold: NDArray[np.int64] | None = None,
        image_of: NDArray[np.int64] | None = None,
        images: int = 0,
    ) -> "Rankings":
        """Rank scores (M,) with truth `y` (M,) within each `fold` (M,); the other arguments as in `Ranking.of`."""
        if fold is None:
            return cls((Ranking.of(y, score, image_of, images),))
        image_of = np.arange(len(y)) if image_of is None else image_of
        parts = [np.flatnonzero(fold == number) for number in np.unique(fold)]
        n = images or len(y)
        return cls(tuple(Ranking.of(y[rows], score[rows], image_of[rows], n) for rows in parts))

    @classmethod
    def among(
        cls,
        y: NDArray[np.generic],
        score: Floats,
        fold: NDArray[np.int64] | None,
        known: NDArray[np.bool_] | None,
        image_of: NDArray[np.int64] | None = None,
        images: int = 0,
    ) -> "Rankings":
        """Rank the scores that are `known` (M,) alone, all where it is None."""
        if known is None:
            return cls.of(y, score, fold, image_of, images)
        image_of = np.arange(len(y)) if image_of is None else image_of
        own = None if fold is None or not known.any() else fold[known]
        return cls.of(y[known], score[known], own, image_of[known], images or len(y))

    def areas(self, w: Floats) -> tuple[Floats, Floats]:
        """Area under the ROC curve and average precision, (B,) both, of weights (N, B); NaN where undefined.

        The area is Mann-Whitney's: the share of (positive, negative) pairs of one fold in the right order, ties
        counting half. Average precision is the sum over thresholds of (step in recall) x precision, as scikit-learn
        has it, and of several folds their mean by positives.
        """
        right, pairs, precision, positives = np.sum([fold.pairs(w) for fold in self.folds], axis=0)
        return ratio(right, pairs), ratio(precision, positives)


def _summing(row: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> Any:
    """Give the sparse matrix that adds column j to row i once for each (i, j); `row` (M,) never falls."""
    from scipy.sparse import csr_array

    starts = np.searchsorted(row, np.arange(shape[0] + 1), side="left")
    return csr_array((np.ones(len(row)), column.astype(np.int32), starts.astype(np.int32)), shape=shape)


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide; 0/0 is NaN, without a warning."""
    out: Floats = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def mean_defined(values: Floats) -> Floats:
    """Average (B, C) values over the labels that have one, (B,); NaN where none has."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(float))
