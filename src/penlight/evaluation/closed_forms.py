"""Intervals by formula, for every metric that has one: shares, areas, and means of these over labels.

A percentile interval of one positive has no width, of five it holds the truth in 70 to 85 of 100 samples instead of
95, and of areas near 1 in 83 to 92 (`benchmarks/coverage.py` simulates it). Shares take Wilson's interval
(`proportions`), areas DeLong's or Newcombe's (`delong`), and a mean over labels combines the intervals of its labels.
With patients, what is counted is what they say independently. Other metrics are resampled (`scores`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.delong import RARE, delong
from penlight.evaluation.intervals import Groups, UnknownPatients, design_effect, number_units
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.proportions import Shares, by_unit, shares, wilson
from penlight.evaluation.sample import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """95 % intervals (K,) of the K values of a metric, and what units add to their errors, (U, K), if it is known.

    NaN ends with a `reason` mean that no interval is to be trusted; without a reason, that resampling gives it.
    """

    low: Floats
    high: Floats
    influence: Floats | None = None
    reason: str = ""


Known = Mapping[str, Intervals]

Rule = Callable[[Sequence[Sample], Groups, Known], Intervals]
"""What is known already of other metrics comes last."""

Counts = tuple[NDArray[np.generic], NDArray[np.generic]]


def closed_forms(keys: Iterable[str], samples: Sequence[Sample], groups: Groups) -> dict[str, Intervals]:
    """Give the intervals of the metrics that have a formula, for the mean over the samples of several seeds."""
    known: dict[str, Intervals] = {}
    # Means over labels last: they are made of the labels' own.
    for key in sorted(set(keys) & set(CLOSED_FORMS), key=lambda key: METRICS[key].mean_of is not None):
        known[key] = CLOSED_FORMS[key](samples, groups, known)
    return known


def _shares_of(counts: Callable[[Sample], Counts], samples: Sequence[Sample], groups: Groups) -> Shares:
    columns = [[np.asarray(part, float).reshape(len(s.y), -1) for part in counts(s)] for s in samples]
    hits, answers = ([own[part] for own in columns] for part in (0, 1))
    return shares(hits, answers, groups)


def _share(counts: Callable[[Sample], Counts]) -> Rule:
    """The rule of a share: `counts` gives hits and answers, (N,) or (N, K) each."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        found = _shares_of(counts, samples, groups)
        return Intervals(found.low, found.high, found.influence)

    return rule


def _f1(counts: Callable[[Sample], Counts]) -> Rule:
    """F1 is 2 J / (1 + J) of the share J of images that are both true and answered, of those that are either."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        found = _shares_of(counts, samples, groups)
        low, high = (2 * end / (1 + end) for end in (found.low, found.high))
        return Intervals(low, high, found.influence)

    return rule


def _average_precision(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
    """With few positives, as a share of them (Boyd, Eng and Page 2013, ECML)."""
    unit_of = number_units(len(samples[0].y), groups)
    cases = (by_unit(samples[0].y.astype(float), unit_of, int(unit_of.max(initial=-1)) + 1) > 0).sum(axis=0)
    whole = np.ones((1, len(samples[0].y)))
    value = np.mean([METRICS["label_average_precision"].compute(s, whole)[0] for s in samples], axis=0)
    n = np.maximum(cases / design_effect(groups), np.minimum(cases, 1))
    low, high = wilson(value * n, n)
    few = (n < RARE) | (np.minimum(value, 1 - value) < 1e-9)
    return Intervals(np.where(few, low, np.nan), np.where(few, high, np.nan))


def _areas(of: Callable[[Sample], tuple[NDArray[np.generic], Floats]]) -> Rule:
    """The rule of K areas: `of` gives truth and scores, (N,) or (N, K) both."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        parts = [of(s) for s in samples]
        truth = parts[0][0].reshape(len(samples[0].y), -1)
        scores = np.stack([score.reshape(truth.shape) for _, score in parts])
        found = [delong(truth[:, k], scores[:, :, k], groups, samples[0].fold) for k in range(truth.shape[1])]
        low, high = np.array([areas.mean_interval() for areas in found]).reshape(-1, 2).T
        return Intervals(low, high, np.stack([areas.influence.mean(axis=1) for areas in found], axis=1))

    return rule


def _micro_area(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
    """All (image, label) pairs together; those of an image are not independent."""
    y, n_labels = samples[0].y, samples[0].y.shape[1]
    pair_of, fold = np.repeat(number_units(len(y), groups), n_labels), samples[0].fold
    areas = delong(
        y.ravel(),
        np.stack([s.prob.ravel() for s in samples]),
        UnknownPatients(groups.images_each, pair_of) if isinstance(groups, UnknownPatients) else pair_of,
        None if fold is None else np.repeat(fold, n_labels),
    )
    low, high = areas.mean_interval()
    return Intervals(np.array([low]), np.array([high]))


def _mean(key: str) -> Rule:
    """The rule of a mean over labels, from the intervals of the labels that have one.

    MOVER (Zou and Donner 2008, Statistics in Medicine 27:1693): the distance from the mean to its lower end is the
    root of the sum over pairs of labels of the product of their own distances and their correlation.
    """

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        own = known.get(key) or CLOSED_FORMS[key](samples, groups, known)
        whole = np.ones((1, len(samples[0].y)))
        value = np.mean([METRICS[key].compute(s, whole)[0] for s in samples], axis=0)
        defined = np.isfinite(value)
        if own.influence is None or not defined.any():
            return Intervals(np.array([np.nan]), np.array([np.nan]))
        correlation = _correlation(own.influence[:, defined])
        below, above = (value - own.low)[defined], (own.high - value)[defined]
        mean = value[defined].mean()
        low, high = (float(np.sqrt(max(d @ correlation @ d, 0))) / defined.sum() for d in (below, above))
        return Intervals(np.array([mean - low]), np.array([mean + high]))

    return rule


def _correlation(influence: Floats) -> Floats:
    covariance = influence.T @ influence
    sd = np.sqrt(np.diag(covariance))
    out: Floats = np.eye(len(sd))
    np.divide(covariance, np.outer(sd, sd), out=out, where=np.outer(sd, sd) > 0)
    return out


def _official_auc(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
    column = samples[0].task.positive
    if column is None:
        return _mean("label_auc")(samples, groups, known)
    return _areas(lambda s: (s.y[:, column], s.prob[:, column]))(samples, groups, known)


def _last(counts: Callable[[Sample], Counts]) -> Callable[[Sample], Counts]:
    """Count the last label alone: the positive class of a binary task."""

    def last(s: Sample) -> Counts:
        hits, answers = counts(s)
        return hits[:, -1], answers[:, -1]

    return last


def _first(counts: Callable[[Sample], Counts]) -> Callable[[Sample], Counts]:
    """Count the first label alone: the finding of a binary task whose positive class is the other."""

    def first(s: Sample) -> Counts:
        hits, answers = counts(s)
        return hits[:, 0], answers[:, 0]

    return first


def _of_images(hits: NDArray[np.generic], each: int = 1) -> Counts:
    """Count `hits` (N,) among `each` answers of every image."""
    return hits, np.full(len(hits), each)


def _recall(s: Sample) -> Counts:
    return s.y & s.decided, s.y


def _specificity(s: Sample) -> Counts:
    return (1 - s.y) & (1 - s.decided), 1 - s.y


def _referable(s: Sample) -> Counts:
    y, _, decided = s.referable
    return y * decided, y


def _not_referable(s: Sample) -> Counts:
    y, _, decided = s.referable
    return (1 - y) * (1 - decided), 1 - y


def _in_sets(hits: Callable[[Sample], Floats], answers: Callable[[Sample], Floats] | None = None) -> Rule:
    """The rule of a share of sets: `hits` and `answers` (N,) are means over the Q questions of an image; all are
    answers unless given. NaN without sets."""

    def counts(s: Sample) -> Counts:
        questions = s.known_sets.shape[1]
        return hits(s) * questions, (np.ones(len(s.y)) if answers is None else answers(s)) * questions

    rule = _share(counts)
    nothing = Intervals(np.array([np.nan]), np.array([np.nan]))
    return lambda samples, groups, known: nothing if samples[0].sets is None else rule(samples, groups, known)


def _label_coverage(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
    if samples[0].sets is None:
        nothing = np.full(samples[0].y.shape[1], np.nan)
        return Intervals(nothing, nothing)
    return _share(lambda s: (s.of_sets.held, s.y))(samples, groups, known)


CLOSED_FORMS: Mapping[str, Rule] = {
    "acc": _share(lambda s: _of_images(np.argmax(s.prob, axis=1) == s.grade)),
    "acc_mean": _share(lambda s: _of_images(((s.prob > 0.5) == s.y).sum(axis=1), s.y.shape[1])),
    "exact_match": _share(lambda s: _of_images((s.decided == s.y).all(axis=1))),
    "hamming_loss": _share(lambda s: _of_images((s.decided != s.y).sum(axis=1), s.y.shape[1])),
    "acc_decided": _share(lambda s: _of_images(s.decided_grade == s.grade)),
    "acc_mean_decided": _share(lambda s: _of_images((s.decided == s.y).sum(axis=1), s.y.shape[1])),
    "sensitivity": _share(_last(_recall)),
    "specificity": _share(_last(_specificity)),
    "sensitivity_finding": _share(_first(_recall)),
    "specificity_finding": _share(_first(_specificity)),
    "sensitivity_referable": _share(_referable),
    "specificity_referable": _share(_not_referable),
    "coverage": _in_sets(lambda s: s.of_sets.covered),
    "single_answers": _in_sets(lambda s: s.of_sets.answered),
    "acc_single": _in_sets(lambda s: s.of_sets.right, lambda s: s.of_sets.answered),
    "label_coverage": _label_coverage,
    "label_recall": _share(_recall),
    "label_specificity": _share(_specificity),
    "label_precision": _share(lambda s: (s.y & s.decided, s.decided)),
    "label_prevalence": _share(lambda s: (s.y, np.ones_like(s.y))),
    "label_f1": _f1(lambda s: (s.y & s.decided, s.y | s.decided)),
    "f1_micro": _f1(lambda s: ((s.y & s.decided).sum(axis=1), (s.y | s.decided).sum(axis=1))),
    "label_auc": _areas(lambda s: (s.y, s.prob)),
    "auc_micro": _micro_area,
    "auc_referable": _areas(lambda s: s.referable[:2]),
    "label_average_precision": _average_precision,
    "auc": _official_auc,
    "balanced_accuracy": _mean("label_recall"),
    "f1_macro": _mean("label_f1"),
}
"""By key of `METRICS`."""
