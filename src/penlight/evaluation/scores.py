"""From predictions to rows: every metric of the task, each with its 95 % interval."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from penlight.escaping import label_list
from penlight.evaluation.closed_forms import Intervals
from penlight.evaluation.intervals import (
    RESAMPLES,
    Groups,
    bootstrap_weights,
    count_units,
    left_out_weights,
    percentile_interval,
)
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.rows import Score
from penlight.evaluation.sample import Sample
from penlight.tasks import KnownLabels, Task

Floats = NDArray[np.float64]

ALL_UNKNOWN = "it is not known of any image"
"""Why a label has no score where no image says whether it is there."""

FEWEST_POSITIVES = 10
"""With fewer positives of a label, a mean over labels has no interval that can be trusted."""


def score(
    task: Task,
    y_true: NDArray[np.uint8],
    prob: Floats,
    decided: NDArray[np.uint8],
    sets: NDArray[np.uint8] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Groups = None,
    fold: NDArray[np.int64] | None = None,
    known: KnownLabels = None,
) -> list[Score]:
    """Score (N, C) probabilities and decisions against the truth: a row per metric of `task.metrics`, and per label.

    The interval is that of the metric's closed form, else the 2.5 to 97.5 percentile of `resamples` bootstrap
    resamples (see `bootstrap_weights`). It is NaN where none can be trusted, and the note says why, and without
    resamples. `groups` (N,) are patients, `sets` (N, Q, K) of answers, see `Conformal.sets`; `fold` (N,) and
    `known` (N, C) as in `Sample`.
    """
    return _scores([Sample(task, y_true, prob, decided, sets, fold, known)], resamples, seed, groups)


def score_seeds(
    task: Task,
    y_true: NDArray[np.uint8],
    probs: Sequence[Floats],
    decisions: Sequence[NDArray[np.uint8]],
    sets: Sequence[NDArray[np.uint8] | None] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Groups = None,
    known: KnownLabels = None,
) -> list[Score]:
    """Score the runs of several seeds on the same images: mean and standard deviation over seeds.

    The interval is that of the mean over these seeds, over resamples of the images, the same for every seed.
    """
    many_sets = [None] * len(probs) if sets is None else sets
    each = zip(probs, decisions, many_sets, strict=True)
    samples = [Sample(task, y_true, p, d, s, known=known) for p, d, s in each]
    return _scores(samples, resamples, seed, groups, over_seeds=True)


def _scores(
    samples: Sequence[Sample], resamples: int, seed: int, groups: Groups, *, over_seeds: bool = False
) -> list[Score]:
    """Score the mean over samples by each metric of the task; `over_seeds` with the standard deviation of them."""
    y, keys = samples[0].y, samples[0].task.metrics
    whole = np.ones((1, len(y)))
    values = {key: np.stack([_columns(METRICS[key].compute(s, whole))[0] for s in samples]) for key in keys}
    means = {key: own.mean(axis=0) for key, own in values.items()}
    forms = _closed_forms(keys, samples, groups) if resamples else {}
    resampled = [key for key in keys if resamples and _is_resampled(key, means[key], forms.get(key))]
    chunks = bootstrap_weights(len(y), resamples, seed=seed, groups=groups)
    drawn = [{key: _means(key, samples, w) for key in resampled} for w in chunks]
    rows: list[Score] = []
    for key, own in values.items():
        low = high = np.full(len(means[key]), np.nan)
        reasons = [""] * len(low)
        if resamples:
            draws = np.concatenate([part[key] for part in drawn]) if key in resampled else np.empty((0, len(low)))
            low, high, reasons = _interval(key, draws, means[key], samples, groups, forms.get(key))
        sd: list[float | None] = [None] * len(low)
        if over_seeds:
            sd = own.std(axis=0, ddof=1).tolist() if len(samples) > 1 else [math.nan] * len(low)
        heads, columns = _heads(key, samples[0], means), (column.tolist() for column in (means[key], low, high))
        for (name, label, n, note), mean, lo, hi, why, s in zip(heads, *columns, reasons, sd, strict=True):
            rows.append(Score(name, label, mean, lo, hi, n, "; ".join(filter(None, (note, why))), s))
    return rows


def _heads(key: str, sample: Sample, means: Mapping[str, Floats]) -> list[tuple[str, str | None, int, str]]:
    """Name, label, n and note of each row of a metric; the note says why a value is undefined, or why a mean over
    labels leaves some out."""
    metric, labels = METRICS[key], sample.task.labels
    notes = [metric.undefined if np.isnan(value) else "" for value in means[key]]
    if sample.known is not None:
        some = [bool(own.any()) for own in (sample.known.T if metric.per_label else [sample.known])]
        notes = [note if own else ALL_UNKNOWN for own, note in zip(some, notes, strict=True)]
    if metric.per_label:
        positives = sample.y.sum(axis=0).tolist()
        return [(metric.name, *own) for own in zip(labels, positives, notes, strict=True)]
    of_labels = metric.mean_of or ""
    if not np.isnan(means[key][0]) and of_labels in means:
        missing = [name for name, value in zip(labels, means[of_labels], strict=True) if np.isnan(value)]
        notes = [f"without {label_list(missing)}: {METRICS[of_labels].undefined}" if missing else ""]
    n = int(sample.complete.sum()) if key == "exact_match" else sample.scored
    return [(metric.name, None, n, notes[0])]


def _closed_forms(keys: Iterable[str], samples: Sequence[Sample], groups: Groups) -> dict[str, Intervals]:
    """Give the intervals of the metrics that have a formula, for the mean over the samples of several seeds."""
    known: dict[str, Intervals] = {}
    # Means over labels last: they are made of the labels' own.
    for key in sorted(keys, key=lambda key: METRICS[key].mean_of is not None):
        rule = METRICS[key].closed_form
        if rule is not None:
            known[key] = rule(samples, groups, known)
    return known


def interval_of_draws(
    key: str, value: float, draws: Floats, samples: Sequence[Sample], groups: Groups = None
) -> tuple[float, float]:
    """Give the interval that `score_seeds` has for one metric of the whole, whose mean over the samples is `value`
    and `draws` (B,) on resampled images."""
    form = _closed_forms([key], samples, groups).get(key)
    low, high, _ = _interval(key, draws[:, None], np.array([value]), samples, groups, form)
    return float(low[0]), float(high[0])


def metric_intervals(
    sample: Sample, key: str, *, resamples: int = RESAMPLES, seed: int = 0, groups: Groups = None
) -> tuple[Floats, Floats, list[str]]:
    """Give low and high of each of the K values of one metric, as `score` has them, and why an interval is missing or
    cannot be trusted."""
    n = len(sample.y)
    values = _means(key, [sample], np.ones((1, n)))[0]
    form = _closed_forms([key], [sample], groups).get(key)
    draws = np.empty((0, len(values)))
    if _is_resampled(key, values, form):
        chunks = bootstrap_weights(n, resamples, seed=seed, groups=groups)
        draws = np.concatenate([_means(key, [sample], w) for w in chunks])
    return _interval(key, draws, values, [sample], groups, form)


def _is_resampled(key: str, values: Floats, by_formula: Intervals | None) -> bool:
    """Say whether one of the (K,) values of a metric has its interval from resamples."""
    if METRICS[key].no_interval or by_formula is None:
        return not METRICS[key].no_interval
    return bool((np.isfinite(values) & ~np.isfinite(by_formula.low)).any())


def _means(key: str, samples: Sequence[Sample], w: Floats) -> Floats:
    """(B, K): a metric's values of weights (B, N), means over the samples."""
    means: Floats = np.mean([_columns(METRICS[key].compute(s, w)) for s in samples], axis=0)
    return means


def _columns(values: Floats) -> Floats:
    return values if values.ndim == 2 else values[:, None]


def headline_value(task: Task, y_true: NDArray[np.uint8], prob: Floats, known: KnownLabels = None) -> float:
    """Give the task's headline metric alone, without interval or thresholds."""
    sample = Sample(task, y_true, prob, task.decide(prob), known=known)
    return float(METRICS[task.headline].compute(sample, np.ones((1, len(prob))))[0])


def values_of(
    task: Task, y_true: NDArray[np.uint8], prob: Floats, decided: NDArray[np.uint8], metrics: Sequence[str],
    known: KnownLabels = None,
) -> dict[str, float]:  # fmt: skip
    """Give some metrics of the whole, by their keys in `METRICS`, without intervals."""
    sample, whole = Sample(task, y_true, prob, decided, known=known), np.ones((1, len(prob)))
    return {key: float(METRICS[key].compute(sample, whole)[0]) for key in metrics}


def _interval(
    key: str,
    draws: Floats,
    values: Floats,
    samples: Sequence[Sample],
    groups: Groups,
    by_formula: Intervals | None,
) -> tuple[Floats, Floats, list[str]]:
    """Low, high and reasons (K,) of the K values of a metric, whose resampled ones are `draws` (B, K)."""
    metric, nothing = METRICS[key], np.full_like(values, np.nan)
    if metric.no_interval:
        return nothing, nothing.copy(), [metric.no_interval if np.isfinite(v) else "" for v in values]
    few = _few_positives(key, samples, groups)
    if few and metric.resampled_mean and np.isfinite(values).any():
        return nothing, nothing.copy(), [f"no interval: {few}"]
    low, high = (nothing, nothing.copy()) if by_formula is None else (by_formula.low.copy(), by_formula.high.copy())
    resampled = np.flatnonzero(np.isfinite(values) & ~np.isfinite(low))
    leave_out = left_out_weights(len(samples[0].y), groups) if len(resampled) else draws[:0]
    without = _means(key, samples, leave_out) if len(leave_out) else draws[:0]
    for k in resampled:
        shift = values[k] - np.nanmean(draws[:, k]) if metric.centred else 0
        low[k], high[k] = percentile_interval(draws[:, k] + shift, without[:, k], groups)
        # An interval of few patients, which is wider than its resamples, ends where the metric does.
        low[k] = low[k] if metric.centred or (draws[:, k] < 0).any() else max(low[k], 0)
    if metric.rate:
        high = np.minimum(high, 1)
    undefined = ~np.isfinite(values)
    low[undefined] = high[undefined] = np.nan
    alike = "no interval: every resample gives the same value"
    untrusted = f"the interval is not trustworthy: {few}" if few else ""
    whys = [untrusted if np.isfinite(lo) else alike for lo in low]
    return low, high, ["" if np.isnan(v) else why for why, v in zip(whys, values, strict=True)]


def _few_positives(key: str, samples: Sequence[Sample], groups: Groups) -> str:
    """Name the labels that have too few positives (or patients with any) for a mean over labels to have an interval
    that can be trusted; empty where there is none, and for what is no such mean."""
    task, y = samples[0].task, samples[0].y
    if METRICS[key].mean_of is None or task.positive is not None:
        return ""
    positives = [count_units(len(y), groups, column) for column in y.T]
    few = [name for name, n in zip(task.labels, positives, strict=True) if 0 < n < FEWEST_POSITIVES]
    what = "positive cases" if groups is None else "patients with a positive case"
    return f"fewer than {FEWEST_POSITIVES} {what} of {label_list(few)}" if few else ""
