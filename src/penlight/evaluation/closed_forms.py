"""Intervals by formula, for every metric that has one: shares, areas, and means of these over labels.

A percentile interval of one positive has no width, of five it holds the truth in 70 to 85 of 100 samples instead of
95, and of areas near 1 in 83 to 92 (`benchmarks/coverage.py` simulates it). Shares take Wilson's interval
(`proportions`), areas DeLong's or Newcombe's (`delong`), and a mean over labels combines the intervals of its labels.
With patients, what is counted is what they say independently. Other metrics are resampled (`scores`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.delong import RARE, delong
from penlight.evaluation.intervals import Groups, UnknownPatients, design_effect, number_units
from penlight.evaluation.proportions import Shares, by_unit, shares, wilson
from penlight.evaluation.sample import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """95 % intervals (K,) of the K values of a metric, and what units add to their errors, (U, K), if it is known.

    NaN ends mean that resampling gives the interval.
    """

    low: Floats
    high: Floats
    influence: Floats | None = None


Known = Mapping[str, Intervals]

Rule = Callable[[Sequence[Sample], Groups, Known], Intervals]
"""What is known already of other metrics comes last."""

Counts = tuple[NDArray[np.generic], NDArray[np.generic]]


def _shares_of(counts: Callable[[Sample], Counts], samples: Sequence[Sample], groups: Groups) -> Shares:
    columns = [[np.asarray(part, float).reshape(len(s.y), -1) for part in counts(s)] for s in samples]
    hits, answers = ([own[part] for own in columns] for part in (0, 1))
    return shares(hits, answers, groups)


def share(counts: Callable[[Sample], Counts]) -> Rule:
    """The rule of a share: `counts` gives hits and answers, (N,) or (N, K) each."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        found = _shares_of(counts, samples, groups)
        return Intervals(found.low, found.high, found.influence)

    return rule


def f1_of(counts: Callable[[Sample], Counts]) -> Rule:
    """F1 is 2 J / (1 + J) of the share J of images that are both true and answered, of those that are either."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        found = _shares_of(counts, samples, groups)
        low, high = (2 * end / (1 + end) for end in (found.low, found.high))
        return Intervals(low, high, found.influence)

    return rule


def average_precision(compute: Callable[[Sample, Floats], Floats]) -> Rule:
    """With few positives, average precision of labels, which `compute` gives, is taken as a share of them
    (Boyd, Eng and Page 2013, ECML)."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        unit_of = number_units(len(samples[0].y), groups)
        cases = (by_unit(samples[0].y.astype(float), unit_of, int(unit_of.max(initial=-1)) + 1) > 0).sum(axis=0)
        value = _value(compute, samples)
        n = np.maximum(cases / design_effect(groups), np.minimum(cases, 1))
        low, high = wilson(value * n, n)
        few = (n < RARE) | (np.minimum(value, 1 - value) < 1e-9)
        return Intervals(np.where(few, low, np.nan), np.where(few, high, np.nan))

    return rule


def _value(compute: Callable[[Sample, Floats], Floats], samples: Sequence[Sample]) -> Floats:
    """(K,) values of a metric, means over the samples."""
    whole = np.ones((1, len(samples[0].y)))
    value: Floats = np.mean([compute(s, whole)[0] for s in samples], axis=0)
    return value


def areas(of: Callable[[Sample], tuple[NDArray[np.generic], Floats]]) -> Rule:
    """The rule of K areas: `of` gives truth and scores, (N,) or (N, K) both, of all labels where some are not
    known."""

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        parts = [of(s) for s in samples]
        truth = parts[0][0].reshape(len(samples[0].y), -1)
        scores = np.stack([score.reshape(truth.shape) for _, score in parts])
        mask, fold = samples[0].known, samples[0].fold
        found = [
            delong(truth[:, k], scores[:, :, k], groups, fold, None if mask is None else mask[:, k])
            for k in range(truth.shape[1])
        ]
        low, high = np.array([areas.mean_interval() for areas in found]).reshape(-1, 2).T
        return Intervals(low, high, np.stack([areas.influence.mean(axis=1) for areas in found], axis=1))

    return rule


def micro_area(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
    """All (image, label) pairs together; those of an image are not independent."""
    y, n_labels = samples[0].y, samples[0].y.shape[1]
    pair_of, fold = np.repeat(number_units(len(y), groups), n_labels), samples[0].fold
    areas = delong(
        y.ravel(),
        np.stack([s.prob.ravel() for s in samples]),
        UnknownPatients(groups.images_each, pair_of) if isinstance(groups, UnknownPatients) else pair_of,
        None if fold is None else np.repeat(fold, n_labels),
        None if samples[0].known is None else samples[0].known.ravel(),
    )
    low, high = areas.mean_interval()
    return Intervals(np.array([low]), np.array([high]))


def mean_over_labels(key: str, compute: Callable[[Sample, Floats], Floats], of_labels: Rule | None) -> Rule:
    """The rule of a mean over labels, from the intervals of the labels that have one: `key` is that of their metric,
    `compute` gives its values, `of_labels` their intervals.

    MOVER (Zou and Donner 2008, Statistics in Medicine 27:1693): the distance from the mean to its lower end is the
    root of the sum over pairs of labels of the product of their own distances and their correlation.
    """

    def rule(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        own = known.get(key)
        if own is None and of_labels is not None:
            own = of_labels(samples, groups, known)
        value = _value(compute, samples)
        defined = np.isfinite(value)
        if own is None or own.influence is None or not defined.any():
            return Intervals(np.array([np.nan]), np.array([np.nan]))
        influence = own.influence[:, defined]
        covariance = influence.T @ influence
        scale = np.outer(*[np.sqrt(np.diag(covariance))] * 2)
        correlation: Floats = np.eye(len(covariance))
        np.divide(covariance, scale, out=correlation, where=scale > 0)
        # A label whose value never varies, as the area of a constant score, adds nothing; those alone have none.
        below, above = (np.nan_to_num(distance[defined]) for distance in (value - own.low, own.high - value))
        if not (below.any() or above.any()):
            return Intervals(np.array([np.nan]), np.array([np.nan]))
        mean = value[defined].mean()
        low, high = (float(np.sqrt(max(float(d @ correlation @ d), 0))) / defined.sum() for d in (below, above))
        return Intervals(np.array([mean - low]), np.array([mean + high]))

    return rule


def needs_sets(rule: Rule, *, per_label: bool = False) -> Rule:
    """The rule of a metric of prediction sets: NaN ends where none were fitted."""

    def with_sets(samples: Sequence[Sample], groups: Groups, known: Known) -> Intervals:
        if samples[0].sets is not None:
            return rule(samples, groups, known)
        nothing = np.full(samples[0].y.shape[1] if per_label else 1, np.nan)
        return Intervals(nothing, nothing)

    return with_sets


def share_of_sets(hits: Callable[[Sample], Floats], answers: Callable[[Sample], Floats] | None = None) -> Rule:
    """The rule of a share of sets: `hits` and `answers` (N,) are means over the Q questions of an image; all are
    answers unless given."""

    def counts(s: Sample) -> Counts:
        questions = 1 if s.task.exclusive else len(s.task.labels)
        all_known = np.ones(len(s.y)) if s.share_known is None else s.share_known
        return hits(s) * questions, (all_known if answers is None else answers(s)) * questions

    return needs_sets(share(counts))
