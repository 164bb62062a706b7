"""From predictions to rows: every metric of the task, each with its 95 % interval."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.few import few_intervals
from penlight.evaluation.intervals import bootstrap_weights
from penlight.evaluation.metrics import METRICS, Metric, Sample
from penlight.evaluation.rows import MetricRow, SeedsRow
from penlight.tasks import Task

Floats = NDArray[np.float64]

RESAMPLES = 1000

LONE = 5
"""A label with fewer positives than this adds less than it should to the interval of a mean over labels."""


def score(
    task: Task,
    y_true: NDArray[np.uint8],
    prob: Floats,
    decided: NDArray[np.uint8],
    sets: NDArray[np.uint8] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
    fold: NDArray[np.int64] | None = None,
) -> list[MetricRow]:
    """Score (N, C) probabilities and decisions against the truth: a row per metric of `task.metrics`, and per label.

    The interval is the 2.5 to 97.5 percentile of `resamples` bootstrap resamples (see `bootstrap_weights`); with
    fewer than half of them defined, or none asked for, it is NaN. Scores of few images have that of
    `penlight.evaluation.few`. `sets` (N, Q, K) of answers, see `Conformal.sets`; `fold` (N,) as in `Sample`.
    """
    samples = [Sample(task, y_true, prob, decided, sets, fold)]
    values, draws = _values_and_draws(samples, resamples, seed, groups)
    low, high = _intervals(task, draws[0], values[0], samples, groups)
    return [
        MetricRow(name, label, float(v), float(lo), float(hi), n, note)
        for (name, label, n, note), v, lo, hi in zip(
            _row_heads(task, y_true, values[0]), values[0], low, high, strict=True
        )
    ]


def score_seeds(
    task: Task,
    y_true: NDArray[np.uint8],
    probs: Sequence[Floats],
    decisions: Sequence[NDArray[np.uint8]],
    sets: Sequence[NDArray[np.uint8] | None] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> list[SeedsRow]:
    """Score the runs of several seeds on the same images: mean and standard deviation over seeds.

    The interval is that of the mean over these seeds, over resamples of the images, the same for every seed.
    """
    many_sets = [None] * len(probs) if sets is None else sets
    samples = [Sample(task, y_true, p, d, s) for p, d, s in zip(probs, decisions, many_sets, strict=True)]
    values, draws = _values_and_draws(samples, resamples, seed, groups)
    mean = values.mean(axis=0)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full_like(mean, np.nan)
    low, high = _intervals(task, draws.mean(axis=0), mean, samples, groups)
    return [
        SeedsRow(name, label, float(m), float(s), float(lo), float(hi), n, note)
        for (name, label, n, note), m, s, lo, hi in zip(
            _row_heads(task, y_true, mean), mean, sd, low, high, strict=True
        )
    ]


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
    sample: Sample, resamples: int = RESAMPLES, *, seed: int = 0, groups: NDArray[np.generic] | None = None
) -> dict[tuple[str, str | None], Floats]:
    """Give the (resamples,) values that each row's interval is made from, by name and label of the row."""
    values, draws = _values_and_draws([sample], resamples, seed, groups)
    heads = _row_heads(sample.task, sample.y, values[0])
    return {(name, label): column for (name, label, *_), column in zip(heads, draws[0].T, strict=True)}


def _values_and_draws(
    samples: Sequence[Sample], resamples: int, seed: int, groups: NDArray[np.generic] | None
) -> tuple[Floats, Floats]:
    """(S, R) values and (S, resamples, R) resampled values, R rows of the table."""
    n = len(samples[0].y)
    values = np.stack([_all_rows(s, np.ones((1, n)))[0] for s in samples])
    chunks: Iterable[NDArray[np.float64]] = bootstrap_weights(samples[0].y, resamples, seed=seed, groups=groups)
    drawn = [np.stack([_all_rows(s, w) for s in samples]) for w in chunks]
    empty = np.empty((len(samples), 0, values.shape[1]))
    return values, np.concatenate([empty, *drawn], axis=1)


def _all_rows(sample: Sample, w: Floats) -> Floats:
    """(B, R): every metric of the task side by side; metrics of labels take C columns."""
    computed = (METRICS[key].compute(sample, w) for key in sample.task.metrics)
    return np.concatenate([v if v.ndim == 2 else v[:, None] for v in computed], axis=1)


def _intervals(
    task: Task, draws: Floats, values: Floats, samples: Sequence[Sample], groups: NDArray[np.generic] | None
) -> tuple[Floats, Floats]:
    """(R,) low and high: by resampling, and of few images by formula."""
    low, high = _percentiles(task, draws, values)
    if len(draws):
        by_key = _columns_by_key(task, values)
        found = [one for key, own in by_key.items() for one in few_intervals(key, own, samples, groups)]
        for row, interval in enumerate(found):
            if interval is not None:
                low[row], high[row] = interval
    return low, high


def _percentiles(task: Task, draws: Floats, values: Floats) -> tuple[Floats, Floats]:
    """(R,) low and high of (B, R) draws; those of centred metrics, which are never negative, lie about the value."""
    low, high = np.full_like(values, np.nan), np.full_like(values, np.nan)
    enough = (np.isfinite(draws).sum(axis=0) > len(draws) / 2) & np.isfinite(values)
    if enough.any():
        low[enough], high[enough] = np.nanpercentile(draws[:, enough], [2.5, 97.5], axis=0)
    centred = enough & _each_row(task, [METRICS[key].centred for key in task.metrics])
    if centred.any():
        shift = values[centred] - np.nanmean(draws[:, centred], axis=0)
        low[centred], high[centred] = np.maximum(low[centred] + shift, 0), np.maximum(high[centred] + shift, 0)
    return low, high


def _each_row(task: Task, of_metrics: Sequence[bool]) -> NDArray[np.bool_]:
    """(R,): say for each row what is said of its metric."""
    return np.repeat(of_metrics, _widths(task))


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
            heads.append((metric.name, None, len(y_true), _note(metric, own[0], task, by_key, positives)))
    return heads


def _columns_by_key(task: Task, values: Floats) -> dict[str, Floats]:
    return dict(zip(task.metrics, np.split(values, np.cumsum(_widths(task))[:-1]), strict=True))


def _note(metric: Metric, value: float, task: Task, by_key: dict[str, Floats], positives: NDArray[np.integer]) -> str:
    """Why a mean over labels leaves some out or is surer than it should be, or why a value is undefined."""
    if np.isnan(value):
        return metric.undefined
    parts = by_key.get(metric.mean_of or "")
    if parts is None:
        return ""
    missing = [name for name, v in zip(task.labels, parts, strict=True) if np.isnan(v)]
    lone = [
        name for name, n, v in zip(task.labels, positives, parts, strict=True) if 0 < n < LONE and not np.isnan(v)
    ]
    said = [f"without {', '.join(missing)}: {METRICS[metric.mean_of or ''].undefined}"] if missing else []
    if lone:
        said.append(f"fewer than {LONE} positive cases of {', '.join(lone)}, so the interval is too narrow")
    return "; ".join(said)
