"""Every metric as one function of weighted images.

A metric takes a `Sample` and weights (B, N), one row per resample, and gives (B,) values, or (B, C) where it is of
each label. The score itself is the row of ones; a bootstrap resample is a row of counts. So the number and its
interval are one line of code, and a thousand resamples are one matrix product. N images, C labels, B resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.calibration import log_losses
from penlight.evaluation.conformal import options
from penlight.evaluation.reliability import Brier, PredictedProbabilities, expected_error, label_errors
from penlight.evaluation.selective import RiskCoverage, answered, certainty
from penlight.tasks import Task

Floats = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """What metrics see: `y` (N, C) 0/1 truth, `prob` (N, C) probabilities, `decided` (N, C) 0/1 answers, and `sets`
    (N, Q, K) of possible answers, the prediction sets (see `conformal`), None where none were fitted.

    Where several models answered, each its own images, `fold` (N,) says which: their probabilities are not on one
    scale, so that images are ranked among those of their fold only.
    """

    task: Task
    y: NDArray[np.uint8]
    prob: Floats
    decided: NDArray[np.uint8]
    sets: NDArray[np.uint8] | None = None
    fold: NDArray[np.int64] | None = None

    def part(self, rows: NDArray[np.generic]) -> "Sample":
        """Select images by (N,) true or false, with all that is known of each."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "task"}
        chosen: dict[str, Any] = {name: None if own is None else own[rows] for name, own in arrays.items()}
        return replace(self, **chosen)

    @cached_property
    def grade(self) -> NDArray[np.int64]:
        """(N,) true class numbers of an exclusive task."""
        return _argmax(self.y)

    @cached_property
    def decided_grade(self) -> NDArray[np.int64]:
        """(N,) decided class numbers of an exclusive task."""
        return _argmax(self.decided)

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

    def once(self, what: str, w: Floats, compute: Callable[[], T]) -> T:
        """Compute what several metrics need of the same weights one time; only the last weights are remembered."""
        held = self._memory.get(what)
        if held is None or held[0] is not w:
            held = self._memory[what] = (w, compute())
        value: T = held[1]
        return value

    @cached_property
    def stated(self) -> PredictedProbabilities:
        """What the answers state."""
        return PredictedProbabilities.of_answers(self.task.exclusive, self.y, self.prob)

    @cached_property
    def brier(self) -> Brier:
        """The Brier score and its parts."""
        exclusive = self.task.exclusive
        labels = PredictedProbabilities.of_labels(exclusive, self.y, self.prob) if exclusive else self.stated
        return Brier(labels, exclusive)

    @cached_property
    def log_losses(self) -> Floats:
        """(N,) log loss of each image."""
        return log_losses(self.y, self.prob, self.task.exclusive)

    @cached_property
    def columns(self) -> "list[Rankings]":
        """One ranking per label."""
        return [Rankings.of(self.y[:, c], self.prob[:, c], self.fold) for c in range(self.y.shape[1])]

    @cached_property
    def micro(self) -> "Rankings":
        """The ranking of all (image, label) pairs together."""
        image_of = np.repeat(np.arange(len(self.y)), self.y.shape[1])
        fold = None if self.fold is None else self.fold[image_of]
        return Rankings.of(self.y.ravel(), self.prob.ravel(), fold, image_of, len(self.y))

    @cached_property
    def counted(self) -> Any:
        """Sparse (3 C, N): which images count as right answers, as truths and as answers, of each label in turn."""
        row, image = np.nonzero(np.hstack([self.y & self.decided, self.y, self.decided]).T)
        return _summing(row, image, (3 * self.y.shape[1], len(self.y)))

    def by_image(self, w: Floats) -> Floats:
        """Give weights (B, N) as (N, B), all resamples of an image side by side."""
        return self.once("by image", w, lambda: np.ascontiguousarray(w.T))

    @cached_property
    def risk_coverage(self) -> RiskCoverage:
        """The answers from the surest to the least sure."""
        return RiskCoverage.of(*certainty(self.task, self.y, self.prob, self.decided))

    @cached_property
    def of_sets(self) -> "SetCounts":
        """What metrics count in the sets, once for all resamples."""
        return SetCounts.of(self)

    @property
    def known_sets(self) -> NDArray[np.uint8]:
        """The sets, where there are any."""
        if self.sets is None:
            raise ValueError("metrics of sets need sets")
        return self.sets


@dataclass(frozen=True)
class SetCounts:
    """Of the Q sets of each image, (N,): the share that hold the truth, the mean size, the share that leave the
    decision alone (`answered`) and that do so rightly; `held` (N, C) marks labels that are there and in the set."""

    covered: Floats
    size: Floats
    answered: Floats
    right: Floats
    held: Floats

    @classmethod
    def of(cls, s: Sample) -> "SetCounts":
        """Count; the sample must have sets."""
        sets = s.known_sets
        covered = (options(s.task, s.y) & sets).max(axis=2)
        alone = answered(sets, options(s.task, s.decided))
        possible = sets[:, 0] if s.task.exclusive else sets[:, :, 1]
        return cls(
            covered.mean(axis=1),
            sets.sum(axis=2).mean(axis=1),
            alone.mean(axis=1),
            (alone & (covered == 1)).mean(axis=1),
            (s.y & possible).astype(float),
        )


def _argmax(columns: NDArray[np.generic]) -> NDArray[np.int64]:
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

    def areas(self, w: Floats) -> tuple[Floats, Floats]:
        """Area under the ROC curve and average precision, (B,) both, of weights (N, B); NaN where undefined.

        The area is Mann-Whitney's: the share of (positive, negative) pairs of one fold in the right order, ties
        counting half. Average precision is the sum over thresholds of (step in recall) x precision, as scikit-learn
        has it, and of several folds their mean by positives.
        """
        right, pairs, precision, positives = np.sum([fold.pairs(w) for fold in self.folds], axis=0)
        return _ratio(right, pairs), _ratio(precision, positives)


def _summing(row: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> Any:
    """Give the sparse matrix that adds column j to row i once for each (i, j); `row` (M,) never falls."""
    from scipy.sparse import csr_array

    starts = np.searchsorted(row, np.arange(shape[0] + 1), side="left")
    return csr_array((np.ones(len(row)), column.astype(np.int32), starts.astype(np.int32)), shape=shape)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide; 0/0 is NaN, without a warning."""
    out: Floats = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


@dataclass(frozen=True)
class _Counts:
    """Weighted (B, C) counts of true positives, positives, positive answers, and (B, 1) images."""

    true_positive: Floats
    positive: Floats
    called: Floats
    n: Floats


def _counts(s: Sample, w: Floats) -> _Counts:
    return s.once("counts", w, lambda: _count(s, w))


def _count(s: Sample, w: Floats) -> _Counts:
    right, true, called = np.split((s.counted @ s.by_image(w)).T, 3, axis=1)
    return _Counts(right, true, called, w.sum(axis=1, keepdims=True))


def _label_areas(s: Sample, w: Floats) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision of each label, (B, C) both."""

    def compute() -> tuple[Floats, Floats]:
        areas = [column.areas(s.by_image(w)) for column in s.columns]
        return np.stack([auc for auc, _ in areas], axis=1), np.stack([ap for _, ap in areas], axis=1)

    return s.once("areas", w, compute)


def _micro_areas(s: Sample, w: Floats) -> tuple[Floats, Floats]:
    return s.once("micro", w, lambda: s.micro.areas(s.by_image(w)))


def _auc(s: Sample, w: Floats) -> Floats:
    """Official AUC of MedMNIST: of two classes that of the second, else the mean over labels that have one."""
    if s.task.positive is not None:
        return s.columns[s.task.positive].areas(s.by_image(w))[0]
    return _mean_defined(_label_auc(s, w))


def _label_auc(s: Sample, w: Floats) -> Floats:
    return _label_areas(s, w)[0]


def _label_average_precision(s: Sample, w: Floats) -> Floats:
    return _label_areas(s, w)[1]


def _label_precision(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return _ratio(c.true_positive, c.called)


def _label_recall(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return _ratio(c.true_positive, c.positive)


def _label_specificity(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    negative = c.n - c.positive
    return _ratio(negative - (c.called - c.true_positive), negative)


def _label_f1(s: Sample, w: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN); without a positive case it is undefined, as recall is."""
    c = _counts(s, w)
    return np.where(c.positive > 0, _ratio(2 * c.true_positive, c.positive + c.called), np.nan)


def _label_prevalence(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return c.positive / c.n


def _mean_defined(values: Floats) -> Floats:
    """Mean over the labels that have a value."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(float))


def _macro(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    return lambda s, w: _mean_defined(of(s, w))


def _weighted(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    def mean(s: Sample, w: Floats) -> Floats:
        values = of(s, w)
        support = np.where(np.isnan(values), 0, _counts(s, w).positive)
        return _ratio(np.nansum(values * support, axis=1), support.sum(axis=1))

    return mean


def _mean(s: Sample, w: Floats, per_image: NDArray[np.generic]) -> Floats:
    return _total(w, per_image) / _counts(s, w).n[:, 0]


def _total(w: Floats, per_image: NDArray[np.generic]) -> Floats:
    """Sum (N,) values over weighted images, (B,). No BLAS: its idle threads would spin on the core that draws."""
    out: Floats = np.einsum("bn,n->b", w, per_image.astype(float))
    return out


def _acc(s: Sample, w: Floats) -> Floats:
    """Official ACC of exclusive tasks: the most probable class is the true one."""
    return _mean(s, w, _argmax(s.prob) == s.grade)


def _acc_mean(s: Sample, w: Floats) -> Floats:
    """Official ACC of multi-label sets: mean over labels of accuracy at 0.5."""
    return _mean(s, w, ((s.prob > 0.5) == s.y).mean(axis=1))


def _acc_decided(s: Sample, w: Floats) -> Floats:
    """Share of images whose answer, by the thresholds or cut points that were found, is right."""
    return _mean(s, w, s.decided_grade == s.grade)


def _acc_mean_decided(s: Sample, w: Floats) -> Floats:
    """Mean over labels of the accuracy of the answers, by the thresholds that were found."""
    return _mean(s, w, (s.decided == s.y).mean(axis=1))


def _f1_micro(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return _ratio(2 * c.true_positive.sum(axis=1), (c.positive + c.called).sum(axis=1))


def _exact_match(s: Sample, w: Floats) -> Floats:
    return _mean(s, w, (s.decided == s.y).all(axis=1))


def _hamming_loss(s: Sample, w: Floats) -> Floats:
    return _mean(s, w, (s.decided != s.y).mean(axis=1))


def _mae(s: Sample, w: Floats) -> Floats:
    """Mean absolute error of the decided grade, in grades."""
    return _mean(s, w, np.abs(s.decided_grade - s.grade))


def _qwk(s: Sample, w: Floats) -> Floats:
    """Quadratic weighted kappa (Cohen 1968): 1 - observed / expected squared disagreement."""
    grades = np.arange(s.y.shape[1], dtype=float)
    observed, c = _total(w, (s.decided_grade - s.grade) ** 2), _counts(s, w)
    expected = np.einsum("bi,bj,ij->b", c.positive, c.called, (grades[:, None] - grades) ** 2) / c.n[:, 0]
    return 1 - _ratio(observed, expected)


def _positive(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    """The last column of a metric of labels: the positive class of a binary task."""
    return lambda s, w: of(s, w)[:, -1]


def _first(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    """The first column of a metric of labels: the finding of a binary task whose positive class is the other."""
    return lambda s, w: of(s, w)[:, 0]


def _auc_referable(s: Sample, w: Floats) -> Floats:
    return s.referable_ranking.areas(s.by_image(w))[0]


def _sensitivity_referable(s: Sample, w: Floats) -> Floats:
    y, _, decided = s.referable
    return _ratio(_total(w, y * decided), _total(w, y))


def _specificity_referable(s: Sample, w: Floats) -> Floats:
    y, _, decided = s.referable
    return _ratio(_total(w, (1 - y) * (1 - decided)), _total(w, 1 - y))


def _log_loss(s: Sample, w: Floats) -> Floats:
    """Mean over images of the log loss of the true class, or of all labels."""
    return _mean(s, w, s.log_losses)


def _gaps(s: Sample, w: Floats, stated: PredictedProbabilities) -> Floats:
    """Of what answers state or of all labels, which is the same where these are not exclusive."""
    return s.once("gaps" if stated is s.stated else "gaps of labels", w, lambda: stated.gaps(w))


def _ece(s: Sample, w: Floats) -> Floats:
    return expected_error(_gaps(s, w, s.stated), w.sum(axis=1))


def _label_ece(s: Sample, w: Floats) -> Floats:
    return label_errors(_gaps(s, w, s.stated), w.sum(axis=1))


def _brier_reliability(s: Sample, w: Floats) -> Floats:
    labels = s.brier.labels
    return s.once("reliability", w, lambda: s.brier.reliability(_gaps(s, w, labels), w))


def _brier_resolution(s: Sample, w: Floats) -> Floats:
    return s.brier.resolution(w, _brier_reliability(s, w))


def _aurc(s: Sample, w: Floats) -> Floats:
    return s.risk_coverage.area(w)


def _of_sets(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    """A metric of the whole that is undefined without sets."""
    return lambda s, w: np.full(len(w), np.nan) if s.sets is None else of(s, w)


def _coverage(s: Sample, w: Floats) -> Floats:
    return _mean(s, w, s.of_sets.covered)


def _set_size(s: Sample, w: Floats) -> Floats:
    """Mean number of options in a set: labels of an exclusive task, else 1 or, where it may be either, 2."""
    return _mean(s, w, s.of_sets.size)


def _single_answers(s: Sample, w: Floats) -> Floats:
    return _mean(s, w, s.of_sets.answered)


def _acc_single(s: Sample, w: Floats) -> Floats:
    """Share of right answers among those that the set leaves alone."""
    return _ratio(w @ s.of_sets.right, w @ s.of_sets.answered)


def _label_coverage(s: Sample, w: Floats) -> Floats:
    """Of the images that have a label, the share whose set has it too."""
    if s.sets is None:
        return np.full((len(w), s.y.shape[1]), np.nan)
    return _ratio(w @ s.of_sets.held, _counts(s, w).positive)


_NO_POSITIVE = "no positive case"
_NO_SETS = "no sets, which are fitted on val"
_NO_INTERVAL = "no interval holds: chance alone makes it positive where probabilities are calibrated (see PL006)"
_ONE_KIND = "no positive or no negative case"


@dataclass(frozen=True)
class Metric:
    """A row of the score table: `name` in rows, its function, whether it is of each label, why it may be undefined,
    for means over labels, the metric of labels that it is the mean of, and whether its resamples are `centred`.

    A sum of squares grows with the noise of resampling, so that most resamples lie above the value itself; their
    spread is then taken about the value. `no_interval` says why no interval of the metric is to be trusted.
    """

    name: str
    compute: Callable[[Sample, Floats], Floats]
    per_label: bool = False
    undefined: str = _ONE_KIND
    mean_of: str | None = None
    centred: bool = False
    no_interval: str = ""


METRICS: dict[str, Metric] = {
    "auc": Metric("auc", _auc, mean_of="label_auc"),
    "acc": Metric("acc", _acc),
    "acc_mean": Metric("acc", _acc_mean),
    "acc_decided": Metric("acc_decided", _acc_decided),
    "acc_mean_decided": Metric("acc_decided", _acc_mean_decided),
    "qwk": Metric("qwk", _qwk, undefined="all images have one grade and one answer"),
    "mae": Metric("mae", _mae),
    "balanced_accuracy": Metric("balanced_accuracy", _macro(_label_recall), mean_of="label_recall"),
    "f1_macro": Metric("f1_macro", _macro(_label_f1), mean_of="label_f1"),
    "f1_micro": Metric("f1_micro", _f1_micro, undefined=_NO_POSITIVE),
    "f1_weighted": Metric("f1_weighted", _weighted(_label_f1), mean_of="label_f1"),
    "auc_micro": Metric("auc_micro", lambda s, w: _micro_areas(s, w)[0]),
    "auc_weighted": Metric("auc_weighted", _weighted(_label_auc), mean_of="label_auc"),
    "average_precision": Metric(
        "average_precision", _macro(_label_average_precision), mean_of="label_average_precision"
    ),
    "average_precision_micro": Metric(
        "average_precision_micro", lambda s, w: _micro_areas(s, w)[1], undefined=_NO_POSITIVE
    ),
    "average_precision_weighted": Metric(
        "average_precision_weighted", _weighted(_label_average_precision), mean_of="label_average_precision"
    ),
    "exact_match": Metric("exact_match", _exact_match),
    "hamming_loss": Metric("hamming_loss", _hamming_loss),
    "sensitivity": Metric("sensitivity", _positive(_label_recall), undefined=_NO_POSITIVE),
    "specificity": Metric("specificity", _positive(_label_specificity), undefined="no negative case"),
    "sensitivity_finding": Metric("sensitivity_finding", _first(_label_recall), undefined=_NO_POSITIVE),
    "specificity_finding": Metric("specificity_finding", _first(_label_specificity), undefined="no negative case"),
    "auc_referable": Metric("auc_referable", _auc_referable),
    "sensitivity_referable": Metric("sensitivity_referable", _sensitivity_referable, undefined=_NO_POSITIVE),
    "specificity_referable": Metric("specificity_referable", _specificity_referable, undefined="no negative case"),
    "log_loss": Metric("log_loss", _log_loss),
    "brier": Metric("brier", lambda s, w: s.brier.score(w)),
    "brier_reliability": Metric("brier_reliability", _brier_reliability, centred=True),
    "brier_resolution": Metric("brier_resolution", _brier_resolution, centred=True),
    "brier_uncertainty": Metric("brier_uncertainty", lambda s, w: s.brier.uncertainty(w)),
    "ece": Metric("ece", _ece, no_interval=_NO_INTERVAL),
    "ece_adaptive": Metric("ece_adaptive", lambda s, w: s.stated.adaptive_error(w), no_interval=_NO_INTERVAL),
    "aurc": Metric("aurc", _aurc),
    "coverage": Metric("coverage", _of_sets(_coverage), undefined=_NO_SETS),
    "set_size": Metric("set_size", _of_sets(_set_size), undefined=_NO_SETS),
    "single_answers": Metric("single_answers", _of_sets(_single_answers), undefined=_NO_SETS),
    "acc_single": Metric("acc_single", _of_sets(_acc_single), undefined="no answer is the only one left, or no sets"),
    "label_coverage": Metric("coverage", _label_coverage, per_label=True, undefined=f"{_NO_POSITIVE}, or {_NO_SETS}"),
    "label_auc": Metric("auc", _label_auc, per_label=True),
    "label_average_precision": Metric(
        "average_precision", _label_average_precision, per_label=True, undefined=_NO_POSITIVE
    ),
    "label_precision": Metric("precision", _label_precision, per_label=True, undefined="never given as the answer"),
    "label_recall": Metric("recall", _label_recall, per_label=True, undefined=_NO_POSITIVE),
    "label_specificity": Metric("specificity", _label_specificity, per_label=True, undefined="no negative case"),
    "label_f1": Metric("f1", _label_f1, per_label=True, undefined=_NO_POSITIVE),
    "label_ece": Metric("ece", _label_ece, per_label=True, no_interval=_NO_INTERVAL),
    "label_prevalence": Metric("prevalence", _label_prevalence, per_label=True),
}
