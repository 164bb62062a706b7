"""From predictions to rows: every metric of the task, each with its 95 % interval."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

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
from penlight.evaluation.metrics import METRICS, Metric
from penlight.evaluation.rows import Score
from penlight.evaluation.sample import Sample
from penlight.tasks import Task

Floats = NDArray[np.float64]

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
) -> list[Score]:
    """Score (N, C) probabilities and decisions against the truth: a row per metric of `task.metrics`, and per label.

    The interval is that of the metric's closed form, else the 2.5 to 97.5 percentile of `resamples` bootstrap
    resamples (see `bootstrap_weights`). It is NaN where none can be trusted, and the note says why, and without
    resamples. `groups` (N,) are patients, `sets` (N, Q, K) of answers, see `Conformal.sets`; `fold` (N,) as in
    `Sample`.
    """
    return _scores([Sample(task, y_true, prob, decided, sets, fold)], resamples, seed, groups)[1]


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
) -> list[Score]:
    """Score the runs of several seeds on the same images: mean and standard deviation over seeds.

    The interval is that of the mean over these seeds, over resamples of the images, the same for every seed.
    """
    many_sets = [None] * len(probs) if sets is None else sets
    samples = [Sample(task, y_true, p, d, s) for p, d, s in zip(probs, decisions, many_sets, strict=True)]
    values, rows = _scores(samples, resamples, seed, groups)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(rows), np.nan)
    return [replace(row, sd=float(own)) for row, own in zip(rows, sd, strict=True)]


def _scores(samples: Sequence[Sample], resamples: int, seed: int, groups: Groups) -> tuple[Floats, list[Score]]:
    """(S, R) values of each sample, and the R scores of their means with intervals."""
    task, y_true = samples[0].task, samples[0].y
    forms = _closed_forms(task.metrics, samples, groups) if resamples else {}
    values, draws = _values_and_draws(samples, resamples, seed, groups, forms)
    mean = values.mean(axis=0)
    low, high, reasons = _intervals(task, draws.mean(axis=0), mean, samples, groups, forms)
    rows = zip(_row_heads(task, y_true, mean), mean, low, high, reasons, strict=True)
    return values, [
        Score(name, label, float(v), float(lo), float(hi), n, _joined(note, why))
        for (name, label, n, note), v, lo, hi, why in rows
    ]


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
    forms = _closed_forms([key], samples, groups)
    low, high, _ = _of_metric(key, draws[:, None], np.array([value]), samples, groups, forms.get(key))
    return float(low[0]), float(high[0])


def metric_intervals(
    samples: Sequence[Sample],
    key: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Groups = None,
) -> tuple[Floats, Floats, list[str]]:
    """Give low and high of each of the K values of one metric, as `score_seeds` has them, and why an interval is
    missing or cannot be trusted."""
    n = len(samples[0].y)
    values = _means(key, samples, np.ones((1, n)))[0]
    by_formula = _closed_forms([key], samples, groups).get(key)
    draws = np.empty((0, len(values)))
    if _is_resampled(key, values, by_formula):
        chunks = bootstrap_weights(n, resamples, seed=seed, groups=groups)
        draws = np.concatenate([_means(key, samples, w) for w in chunks])
    return _of_metric(key, draws, values, samples, groups, by_formula)


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


def headline_value(task: Task, y_true: NDArray[np.uint8], prob: Floats) -> float:
    """Give the task's headline metric alone, without interval or thresholds."""
    sample = Sample(task, y_true, prob, task.decide(prob))
    return float(METRICS[task.headline].compute(sample, np.ones((1, len(prob))))[0])


def values_of(
    task: Task, y_true: NDArray[np.uint8], prob: Floats, decided: NDArray[np.uint8], metrics: Sequence[str]
) -> dict[str, float]:
    """Give some metrics of the whole, by their keys in `METRICS`, without intervals."""
    sample, whole = Sample(task, y_true, prob, decided), np.ones((1, len(prob)))
    return {key: float(METRICS[key].compute(sample, whole)[0]) for key in metrics}


def draws_of(
    sample: Sample, resamples: int = RESAMPLES, *, seed: int = 0, groups: Groups = None
) -> dict[tuple[str, str | None], Floats]:
    """Give the (resamples,) values that each row's interval is made from, by name and label of the row."""
    values, draws = _values_and_draws([sample], resamples, seed, groups, {})
    heads = _row_heads(sample.task, sample.y, values[0])
    return {(name, label): column for (name, label, *_), column in zip(heads, draws[0].T, strict=True)}


def _values_and_draws(
    samples: Sequence[Sample], resamples: int, seed: int, groups: Groups, forms: Mapping[str, Intervals]
) -> tuple[Floats, Floats]:
    """(S, R) values and (S, resamples, R) resampled values, R rows of the table; NaN for metrics whose intervals are
    known from `forms`, or that have none."""
    n, task = len(samples[0].y), samples[0].task
    values = np.stack([_all_rows(s, np.ones((1, n)))[0] for s in samples])
    own = _columns_by_key(task, values.mean(axis=0))
    drawn_keys = {key for key in task.metrics if _is_resampled(key, own[key], forms.get(key))}
    chunks: Iterable[NDArray[np.float64]] = bootstrap_weights(n, resamples, seed=seed, groups=groups)
    drawn = [np.stack([_all_rows(s, w, drawn_keys) for s in samples]) for w in chunks]
    empty = np.empty((len(samples), 0, values.shape[1]))
    return values, np.concatenate([empty, *drawn], axis=1)


def _all_rows(sample: Sample, w: Floats, keys: Container[str] | None = None) -> Floats:
    """(B, R): the metrics of the task side by side, those of labels in C columns; NaN for those not among `keys`."""
    wanted = zip(sample.task.metrics, _widths(sample.task), strict=True)
    return np.concatenate(
        [
            _columns(METRICS[key].compute(sample, w))
            if keys is None or key in keys
            else np.full((len(w), width), np.nan)
            for key, width in wanted
        ],
        axis=1,
    )


def _intervals(
    task: Task,
    draws: Floats,
    values: Floats,
    samples: Sequence[Sample],
    groups: Groups,
    forms: Mapping[str, Intervals],
) -> tuple[Floats, Floats, list[str]]:
    """(R,) low and high, and where an interval cannot be trusted, why; from values (R,) and draws (B, R)."""
    if not len(draws):
        return np.full_like(values, np.nan), np.full_like(values, np.nan), [""] * len(values)
    cuts = np.cumsum(_widths(task))[:-1]
    parts = zip(task.metrics, np.split(values, cuts), np.split(draws, cuts, axis=1), strict=True)
    found = [_of_metric(key, drawn, own, samples, groups, forms.get(key)) for key, own, drawn in parts]
    low, high = (np.concatenate([part[end] for part in found]) for end in (0, 1))
    return low, high, [reason for _, _, reasons in found for reason in reasons]


def _of_metric(
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


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _widths(task: Task) -> list[int]:
    """How many rows each metric of a task takes."""
    return [len(task.labels) if METRICS[key].per_label else 1 for key in task.metrics]


def _row_heads(task: Task, y_true: NDArray[np.uint8], values: Floats) -> list[tuple[str, str | None, int, str]]:
    """Name, label, n and note of each of the R rows, in the order of `_all_rows`."""
    positives = y_true.sum(axis=0)
    by_key = _columns_by_key(task, values)
    heads: list[tuple[str, str | None, int, str]] = []
    for key in task.metrics:
        metric, own = METRICS[key], by_key[key]
        if metric.per_label:
            notes = [metric.undefined if np.isnan(v) else "" for v in own]
            heads += [
                (metric.name, label, int(n), note)
                for label, n, note in zip(task.labels, positives, notes, strict=True)
            ]
        else:
            heads.append((metric.name, None, len(y_true), _note(metric, own[0], task, by_key)))
    return heads


def _columns_by_key(task: Task, values: Floats) -> dict[str, Floats]:
    return dict(zip(task.metrics, np.split(values, np.cumsum(_widths(task))[:-1]), strict=True))


def _note(metric: Metric, value: float, task: Task, by_key: dict[str, Floats]) -> str:
    """Why a mean over labels leaves some out, or why a value is undefined."""
    if np.isnan(value):
        return metric.undefined
    parts = by_key.get(metric.mean_of or "")
    if parts is None:
        return ""
    missing = [name for name, v in zip(task.labels, parts, strict=True) if np.isnan(v)]
    return f"without {label_list(missing)}: {METRICS[metric.mean_of or ''].undefined}" if missing else ""
