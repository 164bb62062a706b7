"""Every metric as one function of weighted images.

A metric takes a `Sample` and weights (B, N), one row per resample, and gives (B,) values, or (B, C) where it is of
each label. The score itself is the row of ones; a bootstrap resample is a row of counts. So the number and its
interval are one line of code, and a thousand resamples are one matrix product. N images, C labels, B resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.reliability import PredictedProbabilities, expected_error, label_errors
from penlight.evaluation.sample import Sample, largest_column, ratio

Floats = NDArray[np.float64]


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
    return ratio(c.true_positive, c.called)


def _label_recall(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return ratio(c.true_positive, c.positive)


def _label_specificity(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    negative = c.n - c.positive
    return ratio(negative - (c.called - c.true_positive), negative)


def _label_f1(s: Sample, w: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN); without a positive case it is undefined, as recall is."""
    c = _counts(s, w)
    return np.where(c.positive > 0, ratio(2 * c.true_positive, c.positive + c.called), np.nan)


def _label_prevalence(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return c.positive / c.n


def _mean_defined(values: Floats) -> Floats:
    """Mean over the labels that have a value."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(float))


def _macro(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    return lambda s, w: _mean_defined(of(s, w))


def _weighted(of: Callable[[Sample, Floats], Floats]) -> Callable[[Sample, Floats], Floats]:
    def mean(s: Sample, w: Floats) -> Floats:
        values = of(s, w)
        support = np.where(np.isnan(values), 0, _counts(s, w).positive)
        return ratio(np.nansum(values * support, axis=1), support.sum(axis=1))

    return mean


def _mean(s: Sample, w: Floats, per_image: NDArray[np.generic]) -> Floats:
    return _total(w, per_image) / _counts(s, w).n[:, 0]


def _total(w: Floats, per_image: NDArray[np.generic]) -> Floats:
    """Sum (N,) values over weighted images, (B,). No BLAS: its idle threads would spin on the core that draws."""
    out: Floats = np.einsum("bn,n->b", w, per_image.astype(float))
    return out


def _acc(s: Sample, w: Floats) -> Floats:
    """Official ACC of exclusive tasks: the most probable class is the true one."""
    return _mean(s, w, largest_column(s.prob) == s.grade)


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
    return ratio(2 * c.true_positive.sum(axis=1), (c.positive + c.called).sum(axis=1))


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
    return 1 - ratio(observed, expected)


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
    return ratio(_total(w, y * decided), _total(w, y))


def _specificity_referable(s: Sample, w: Floats) -> Floats:
    y, _, decided = s.referable
    return ratio(_total(w, (1 - y) * (1 - decided)), _total(w, 1 - y))


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
    return ratio(w @ s.of_sets.right, w @ s.of_sets.answered)


def _label_coverage(s: Sample, w: Floats) -> Floats:
    """Of the images that have a label, the share whose set has it too."""
    if s.sets is None:
        return np.full((len(w), s.y.shape[1]), np.nan)
    return ratio(w @ s.of_sets.held, _counts(s, w).positive)


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
