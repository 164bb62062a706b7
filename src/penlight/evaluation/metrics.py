"""Every metric as one function of weighted images.

A metric takes a `Sample` and weights (B, N), one row per resample, and gives (B,) values, or (B, C) where it is of
each label. The score itself is the row of ones; a bootstrap resample is a row of counts. So the number and its
interval are one line of code, and a thousand resamples are one matrix product. N images, C labels, B resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.closed_forms import (
    Counts,
    Intervals,
    Known,
    Rule,
    areas,
    average_precision,
    f1_of,
    mean_over_labels,
    micro_area,
    needs_sets,
    share,
    share_of_sets,
)
from penlight.evaluation.intervals import Groups
from penlight.evaluation.reliability import expected_error, label_errors
from penlight.evaluation.sample import Sample, largest_column, mean_defined, ratio

Floats = NDArray[np.float64]
Compute = Callable[[Sample, Floats], Floats]
PerImage = Callable[[Sample], NDArray[np.generic]]


@dataclass(frozen=True)
class _Counts:
    """Weighted (B, C) counts of true positives, positives, positive answers, and of the images of which a label is
    known, (B, 1) where all are."""

    true_positive: Floats
    positive: Floats
    called: Floats
    n: Floats


def _counts(s: Sample, w: Floats) -> _Counts:
    def compute() -> _Counts:
        right, true, called = np.split((s.counted @ s.by_image(w)).T, 3, axis=1)
        n = w.sum(axis=1, keepdims=True) if s.known is None else w @ s.pairs.astype(float)
        return _Counts(right, true, called, n)

    return s.cached_for_weights("counts", w, compute)


def _label_areas(s: Sample, w: Floats) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision of each label, (B, C) both."""

    def compute() -> tuple[Floats, Floats]:
        auc, precision = np.stack([column.areas(s.by_image(w)) for column in s.rankings_by_label], axis=2)
        return auc, precision

    return s.cached_for_weights("areas", w, compute)


def _micro_areas(s: Sample, w: Floats) -> tuple[Floats, Floats]:
    return s.cached_for_weights("micro", w, lambda: s.micro.areas(s.by_image(w)))


def _auc(s: Sample, w: Floats) -> Floats:
    """Official AUC of MedMNIST: of two classes that of the second, else the mean over labels that have one."""
    if s.task.positive is not None:
        return s.rankings_by_label[s.task.positive].areas(s.by_image(w))[0]
    return mean_defined(_label_areas(s, w)[0])


def _label_auc(s: Sample, w: Floats) -> Floats:
    return _label_areas(s, w)[0]


def _label_average_precision(s: Sample, w: Floats) -> Floats:
    return _label_areas(s, w)[1]


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


def _macro(of: Compute) -> Compute:
    return lambda s, w: mean_defined(of(s, w))


def _weighted(of: Compute) -> Compute:
    def mean(s: Sample, w: Floats) -> Floats:
        values = of(s, w)
        support = np.where(np.isnan(values), 0, _counts(s, w).positive)
        return ratio(np.nansum(values * support, axis=1), support.sum(axis=1))

    return mean


def _column(of: Compute, column: int) -> Compute:
    """One column of a metric of labels: of a binary task the last is the positive class, the first may be the
    finding."""
    return lambda s, w: of(s, w)[:, column]


def _mean(per_image: PerImage) -> Compute:
    """The mean over images of (N,) values, which are means over labels where there may be several; where not all are
    known, the mean over the pairs of image and label that are."""

    def mean(s: Sample, w: Floats) -> Floats:
        if s.share_known is not None:
            return ratio(_total(w, per_image(s)), _total(w, s.share_known))
        return _total(w, per_image(s)) / _counts(s, w).n[:, 0]

    return mean


def _total(w: Floats, per_image: NDArray[np.generic]) -> Floats:
    """Sum (N,) values over weighted images, (B,). No BLAS: its idle threads would spin on the core that draws."""
    out: Floats = np.einsum("bn,n->b", w, per_image.astype(float))
    return out


def _f1_micro(s: Sample, w: Floats) -> Floats:
    c = _counts(s, w)
    return ratio(2 * c.true_positive.sum(axis=1), (c.positive + c.called).sum(axis=1))


def _qwk(s: Sample, w: Floats) -> Floats:
    """Quadratic weighted kappa (Cohen 1968): 1 - observed / expected squared disagreement."""
    grades = np.arange(s.y.shape[1], dtype=float)
    observed, c = _total(w, (s.decided_grade - s.grade) ** 2), _counts(s, w)
    expected = np.einsum("bi,bj,ij->b", c.positive, c.called, (grades[:, None] - grades) ** 2) / c.n[:, 0]
    return 1 - ratio(observed, expected)


def _bin_gaps(s: Sample, w: Floats, labels: bool = False) -> Floats:
    """Gaps by bin of what answers predict, or of all `labels`; the same where these are not exclusive."""
    predicted = s.brier.labels if labels else s.predicted
    return s.cached_for_weights(f"bin gaps {predicted is s.predicted}", w, lambda: predicted.bin_gaps(w))


def _brier_reliability(s: Sample, w: Floats) -> Floats:
    return s.cached_for_weights("reliability", w, lambda: s.brier.reliability(_bin_gaps(s, w, labels=True), w))


def _label_coverage(s: Sample, w: Floats) -> Floats:
    if s.sets is None:
        return np.full((len(w), s.y.shape[1]), np.nan)
    return ratio(w @ s.set_statistics.label_in_set, _counts(s, w).positive)


def _true_positives(s: Sample) -> Counts:
    return s.y & s.decided, s.y


def _true_negatives(s: Sample) -> Counts:
    return s.absent & (1 - s.decided), s.absent


def _referred(s: Sample) -> Counts:
    y, _, decided = s.referable
    return y * decided, y


def _not_referred(s: Sample) -> Counts:
    y, _, decided = s.referable
    return (1 - y) * (1 - decided), 1 - y


def _of_one(counts: Callable[[Sample], Counts], column: int) -> Callable[[Sample], Counts]:
    """Count one label alone, as `_column`."""

    def of_one(s: Sample) -> Counts:
        hits, answers = counts(s)
        return hits[:, column], answers[:, column]

    return of_one


_NO_POSITIVE = "no positive case"
_NO_NEGATIVE = "no negative case"
_NO_SETS = "no sets, which are fitted on val"
_NO_INTERVAL = "no interval holds: chance alone makes it positive where probabilities are calibrated (see PL006)"
_ONE_KIND = "no positive or no negative case"


@dataclass(frozen=True)
class Metric:
    """All that Penlight knows of a metric: how it is computed, how sure it is, how it is written.

    `name` is that of its scores; `compute` takes a sample and weights (B, N) and gives (B,) values, or (B, C) where
    it is `per_label`. `title` heads tables, `short` (the title unless given) is for figures and sentences, `meaning`
    is a sentence for the manual. `rate` says that 1 is the best possible value and 0 no skill or none, so that it
    fits an axis from 0 to 1; `official` marks a row of the MedMNIST tables; `leads` says that it may stand among the
    large numbers of a report. `undefined` says where it is NaN, empty if it never is.

    The interval is that of `closed_form`; without one, and where its ends are NaN, that of resamples. A sum of
    squares grows with the noise of resampling, so that most resamples lie above the value itself: the spread of one
    that is `centred` is taken about the value. `no_interval` says why no interval is to be trusted. `mean_of` is the
    key of the metric of labels that this is a mean of: with few positives of a label its interval is not
    trustworthy, and a `resampled_mean` has none.
    """

    name: str
    compute: Compute
    title: str
    meaning: str
    short: str = ""
    better: Literal["higher", "lower", "neither"] = "higher"
    rate: bool = True
    official: bool = False
    leads: bool = False
    per_label: bool = False
    undefined: str = ""
    closed_form: Rule | None = None
    mean_of: str | None = None
    resampled_mean: bool = False
    centred: bool = False
    no_interval: str = ""

    def __post_init__(self) -> None:
        """Refuse a metric without words."""
        if not (self.name and self.title and self.meaning):
            raise ValueError("a metric needs a name, a title and a sentence that says what it is")
        object.__setattr__(self, "short", self.short or self.title)

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value is better; also where neither is."""
        return self.better != "lower"


def _hits(name: str, hits: PerImage, title: str, meaning: str, **others: Any) -> Metric:
    """A share of images, `hits` (N,), or of pairs of image and label, (N, C): its mean and Wilson's interval. Where
    not all labels are known, it is of the images of which all are, and of the pairs that are."""

    def counts(s: Sample) -> Counts:
        of = hits(s)
        if s.known is not None:
            inside = s.complete if of.ndim == 1 else s.known
            right, among = (own.reshape(len(s.y), -1).sum(axis=1) for own in (of.astype(bool) & inside, inside))
            return right, among
        of = of.reshape(len(s.y), -1)
        return of.sum(axis=1), np.full(*of.shape)

    def compute(s: Sample, w: Floats) -> Floats:
        if s.known is not None:
            right, answers = counts(s)
            return ratio(_total(w, right), _total(w, answers))
        return _total(w, hits(s).reshape(len(s.y), -1).mean(axis=1)) / _counts(s, w).n[:, 0]

    return Metric(name, compute, title, meaning, closed_form=share(counts), **others)


def _ratio(name: str, counts: Callable[[Sample], Counts], title: str, meaning: str, **others: Any) -> Metric:
    """A share of those images that `counts` has as its second part."""

    def compute(s: Sample, w: Floats) -> Floats:
        hits, among = counts(s)
        return ratio(_total(w, hits), _total(w, among))

    return Metric(name, compute, title, meaning, closed_form=share(counts), **others)


def _of_sets(name: str, of: Compute, title: str, meaning: str, **others: Any) -> Metric:
    """A metric of the whole that is undefined without prediction sets."""
    others = {"undefined": _NO_SETS} | others
    return Metric(
        name, lambda s, w: np.full(len(w), np.nan) if s.sets is None else of(s, w), title, meaning, **others
    )


# Each of the two or three lines: the name and what computes it, its words, how it is judged.
# fmt: off
_OF_LABELS: dict[str, Metric] = {
    "label_coverage": Metric("coverage", _label_coverage, "coverage of the prediction sets",
        "Proportion of the images with the label whose prediction set contains it.", short="coverage", per_label=True,
        closed_form=needs_sets(share(lambda s: (s.set_statistics.label_in_set, s.y)), per_label=True),
        undefined=f"{_NO_POSITIVE}, or {_NO_SETS}"),
    "label_auc": Metric("auc", _label_auc, "AUC", "Area under the ROC curve of the label against the rest.",
        per_label=True, closed_form=areas(lambda s: (s.y, s.prob)), undefined=_ONE_KIND),
    "label_average_precision": Metric("average_precision", _label_average_precision, "average precision",
        "Area under the steps of the precision-recall curve.", short="avg. precision", per_label=True,
        closed_form=average_precision(_label_average_precision), undefined=_NO_POSITIVE),
    "label_precision": Metric("precision",
        lambda s, w: ratio(_counts(s, w).true_positive, _counts(s, w).called), "precision",
        "Proportion of the images predicted to have the label that have it.", per_label=True,
        closed_form=share(lambda s: (s.y & s.called, s.called)), undefined="never predicted"),
    "label_recall": Metric("recall", _label_recall, "sensitivity (recall)",
        "Proportion of the images with the label that are predicted to have it: sensitivity.", short="sensitivity",
        per_label=True, closed_form=share(_true_positives), undefined=_NO_POSITIVE),
    "label_specificity": Metric("specificity", _label_specificity, "specificity",
        "Proportion of the images without the label that are predicted not to have it.", per_label=True,
        closed_form=share(_true_negatives), undefined=_NO_NEGATIVE),
    "label_f1": Metric("f1", _label_f1, "F1", "Harmonic mean of precision and recall.", per_label=True,
        closed_form=f1_of(lambda s: (s.y & s.called, s.y | s.called)), undefined=_NO_POSITIVE),
    "label_ece": Metric("ece",
        lambda s, w: label_errors(_bin_gaps(s, w), _counts(s, w).n), "calibration error",
        "Calibration error of the label's own probability, in ten bins of equal width.", better="lower", rate=False,
        per_label=True, no_interval=_NO_INTERVAL),
    "label_prevalence": Metric("prevalence", lambda s, w: ratio(_counts(s, w).positive, _counts(s, w).n),
        "prevalence", "Proportion of images that have the label.", better="neither", per_label=True,
        closed_form=share(lambda s: (s.y, s.pairs))),
}
# fmt: on


def _mean_over(key: str) -> Rule:
    """The rule of a mean over labels of a metric of labels."""
    return mean_over_labels(key, _OF_LABELS[key].compute, _OF_LABELS[key].closed_form)


def _official_auc_interval(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
    column = samples[0].task.positive
    if column is None:
        return _mean_over("label_auc")(samples, groups, known)
    return areas(lambda s: (s.y[:, column], s.prob[:, column]))(samples, groups, known)


# fmt: off
_OF_ALL: dict[str, Metric] = {
    "auc": Metric("auc", _auc, "AUC (macro, one against rest)",
        "Mean over labels of the area under the ROC curve; undefined labels are left out.", short="AUC",
        official=True, leads=True, mean_of="label_auc", closed_form=_official_auc_interval, undefined=_ONE_KIND),
    "acc": _hits("acc", lambda s: largest_column(s.prob) == s.grade, "accuracy",
        "Proportion of images whose most probable class is the true one.", official=True, leads=True),
    "acc_mean": _hits("acc", lambda s: (s.prob > 0.5) == s.y, "accuracy",
        "Mean over labels of the proportion of images classified correctly at a probability of 0.5.",
        official=True, leads=True),
    "acc_decided": _hits("acc_decided", lambda s: s.decided_grade == s.grade, "accuracy as decided",
        "Proportion of images that are classified correctly with the fitted thresholds or cut points."),
    "acc_mean_decided": _hits("acc_decided", lambda s: s.decided == s.y, "accuracy as decided",
        "Mean over labels of the proportion of images classified correctly with the label's threshold."),
    "qwk": Metric("qwk", _qwk, "quadratic weighted kappa",
        "1 minus the ratio of observed to expected squared disagreement of grades (Cohen 1968).",
        short="weighted kappa",
        leads=True, undefined="all images have one grade and one prediction"),
    "mae": Metric("mae", _mean(lambda s: np.abs(s.decided_grade - s.grade)), "mean absolute error, in grades",
        "Mean distance between predicted and true grade.", short="mean error", better="lower", rate=False),
    "balanced_accuracy": Metric("balanced_accuracy", _macro(_label_recall), "balanced accuracy",
        "Mean over labels of sensitivity.", leads=True, mean_of="label_recall",
        closed_form=_mean_over("label_recall"), undefined=_ONE_KIND),
    "f1_macro": Metric("f1_macro", _macro(_label_f1), "F1 (macro)", "Mean over labels of F1.", leads=True,
        mean_of="label_f1", closed_form=_mean_over("label_f1"), undefined=_ONE_KIND),
    "f1_micro": Metric("f1_micro", _f1_micro, "F1 (micro)", "F1 of all pairs of image and label together.",
        closed_form=f1_of(lambda s: ((s.y & s.called).sum(axis=1), (s.y | s.called).sum(axis=1))),
        undefined=_NO_POSITIVE),
    "f1_weighted": Metric("f1_weighted", _weighted(_label_f1), "F1 (weighted by class size)",
        "Mean of F1, weighted by the positives of each label.",
        short="F1 (weighted)", mean_of="label_f1", undefined=_ONE_KIND),
    "auc_micro": Metric("auc_micro", lambda s, w: _micro_areas(s, w)[0], "AUC (micro, all pairs of image and label)",
        "Area under the ROC curve of all pairs of image and label together.", short="AUC (micro)",
        closed_form=micro_area, undefined=_ONE_KIND),
    "auc_weighted": Metric("auc_weighted", _weighted(_label_auc), "AUC (weighted by class size)",
        "Mean AUC of the labels, weighted by their positives.", short="AUC (weighted)", mean_of="label_auc",
        undefined=_ONE_KIND),
    "average_precision": Metric("average_precision", _macro(_label_average_precision), "average precision (macro)",
        "Mean over labels of average precision.", short="average precision", leads=True,
        mean_of="label_average_precision", resampled_mean=True, undefined=_ONE_KIND),
    "average_precision_micro": Metric("average_precision_micro", lambda s, w: _micro_areas(s, w)[1],
        "average precision (micro)", "Average precision of all pairs of image and label together.",
        short="AP (micro)", undefined=_NO_POSITIVE),
    "average_precision_weighted": Metric("average_precision_weighted", _weighted(_label_average_precision),
        "average precision (weighted by class size)", "Mean average precision of the labels, weighted by "
        "their positives.",
        short="AP (weighted)", mean_of="label_average_precision", undefined=_ONE_KIND),
    "exact_match": _hits("exact_match", lambda s: (s.decided == s.y).all(axis=1), "exact match, all labels right",
        "Proportion of images with all labels predicted correctly, of those whose labels are all known.",
        short="exact match", undefined="no image has all labels known"),
    "hamming_loss": _hits("hamming_loss", lambda s: s.decided != s.y, "Hamming loss, share of labels wrong",
        "Proportion of all pairs of image and label that are predicted wrongly.",
        short="Hamming loss", better="lower"),
    "sensitivity": Metric("sensitivity", _column(_label_recall, -1), "sensitivity",
        "Proportion of the images of the second class that are predicted as such.",
        closed_form=share(_of_one(_true_positives, -1)),
        undefined=_NO_POSITIVE),
    "specificity": Metric("specificity", _column(_label_specificity, -1), "specificity",
        "Proportion of the images of the first class that are predicted as such.",
        closed_form=share(_of_one(_true_negatives, -1)),
        undefined=_NO_NEGATIVE),
    "sensitivity_finding": Metric("sensitivity_finding", _column(_label_recall, 0), "sensitivity",
        "Proportion of the images with the finding, if that is the first class, that are predicted as such.",
        closed_form=share(_of_one(_true_positives, 0)), undefined=_NO_POSITIVE),
    "specificity_finding": Metric("specificity_finding", _column(_label_specificity, 0), "specificity",
        "Proportion of the images without the finding that are predicted as such.",
        closed_form=share(_of_one(_true_negatives, 0)),
        undefined=_NO_NEGATIVE),
    "auc_referable": Metric("auc_referable", lambda s, w: s.referable_ranking.areas(s.by_image(w))[0],
        "AUC, referable disease",
        "Area under the ROC curve of the probability of a grade that needs a referral.", short="AUC, referable",
        closed_form=areas(lambda s: s.referable[:2]), undefined=_ONE_KIND),
    "sensitivity_referable": _ratio("sensitivity_referable", _referred, "sensitivity, referable disease",
        "Proportion of the images that need a referral that are predicted with such a grade.",
        short="sens., referable",
        undefined=_NO_POSITIVE),
    "specificity_referable": _ratio("specificity_referable", _not_referred, "specificity, referable disease",
        "Proportion of the images that need no referral that are predicted with such a grade.",
        short="spec., referable",
        undefined=_NO_NEGATIVE),
    "log_loss": Metric("log_loss", _mean(lambda s: s.log_losses), "log loss",
        "Mean negative logarithm of the probability of the true label.", better="lower", rate=False),
    "brier": Metric("brier", lambda s, w: s.brier.score(w), "Brier score",
        "Mean squared distance from the truth, summed over the classes of an exclusive task (0 to 2).",
        better="lower", rate=False),
    "brier_reliability": Metric("brier_reliability", _brier_reliability, "Brier score, reliability",
        "The part of the Brier score that calibration could remove.", short="reliability", better="lower",
        rate=False, centred=True),
    "brier_resolution": Metric("brier_resolution",
        lambda s, w: s.brier.resolution(w, _brier_reliability(s, w)), "Brier score, resolution",
        "The reduction of the Brier score by discriminating between images.", short="resolution", rate=False,
        centred=True),
    "brier_uncertainty": Metric("brier_uncertainty", lambda s, w: s.brier.uncertainty(w),
        "Brier score, uncertainty (of the labels)", "The Brier score of predicting the label frequencies.",
        short="uncertainty", better="neither", rate=False),
    "ece": Metric("ece", lambda s, w: expected_error(_bin_gaps(s, w), s.predicted.pairs(w)),
        "expected calibration error, 10 equal bins",
        "Mean distance between predicted and observed frequency, in ten bins of equal width.",
        short="calibration error", better="lower", rate=False, no_interval=_NO_INTERVAL),
    "ece_adaptive": Metric("ece_adaptive", lambda s, w: s.predicted.adaptive_error(w),
        "expected calibration error, 10 bins of equal count", "The same in ten bins of equal count.",
        short="adaptive error", better="lower", rate=False, no_interval=_NO_INTERVAL),
    "aurc": Metric("aurc", lambda s, w: s.risk_coverage.area(w), "area under the risk-coverage curve",
        "Mean error over all coverages when the least confident predictions are left out first.",
        short="risk-coverage area",
        better="lower", rate=False),
    "coverage": _of_sets("coverage", _mean(lambda s: s.set_statistics.covered),
        "coverage, truth in the prediction set", "Share of images whose truth is in the prediction set.",
        short="coverage", closed_form=share_of_sets(lambda s: s.set_statistics.covered)),
    "set_size": _of_sets("set_size", _mean(lambda s: s.set_statistics.size), "mean size of the prediction sets",
        "Mean number of labels in a prediction set.", short="set size", better="lower", rate=False),
    "single_answers": _of_sets("single_answers", _mean(lambda s: s.set_statistics.is_singleton),
        "prediction sets with a single label",
        "Proportion of prediction sets with a single label.", short="single answers",
        closed_form=share_of_sets(lambda s: s.set_statistics.is_singleton)),
    "acc_single": _of_sets("acc_single",
        lambda s, w: ratio(w @ s.set_statistics.right_singleton, w @ s.set_statistics.is_singleton),
        "accuracy of prediction sets with a single label", "Proportion of the single-label prediction sets whose "
        "label is correct.",
        short="accuracy, single answers", undefined="no prediction set has a single label, or no sets",
        closed_form=share_of_sets(
            lambda s: s.set_statistics.right_singleton, lambda s: s.set_statistics.is_singleton)),
}
# fmt: on

METRICS: dict[str, Metric] = _OF_ALL | _OF_LABELS
"""By key; a task lists the keys of those that it has."""


def over_labels(key: str, columns: Sequence[int]) -> Compute:
    """Give a metric of the whole; one that is a mean over labels, as the mean over these columns alone."""
    compute = METRICS[METRICS[key].mean_of or key].compute

    def values(s: Sample, w: Floats) -> Floats:
        computed = compute(s, w)
        return computed if computed.ndim == 1 else computed[:, columns].mean(axis=1)

    return values


def metric_words(name: str, label: str | None = None) -> Metric:
    """Find the metric that a score, of the whole or of a label, is of, by the score's name: for its words.

    A name that is not known, such as that of a loss or of another version's metric, is spelt out.
    """
    known = (m for m in METRICS.values() if (m.name, m.per_label) == (name, label is not None))
    plain = name.replace("_", " ")
    return next(known, Metric(name, lambda s, w: np.full(len(w), np.nan), plain, plain, rate=False))
