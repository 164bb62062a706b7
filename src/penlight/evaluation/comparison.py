"""Which of several models are better by more than chance: paired differences on the same images.

Every model is resampled with the same images, so that what both find hard falls out of the difference. Another seed
would have given another network, so that the spread over seeds counts too: images and the seeds of both models are
three sources of variance, added and tested by Welch's t (1947) with Satterthwaite's degrees of freedom. M models, S
seeds, B resamples.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import NORMAL_95, RESAMPLES, Groups, bootstrap_weights, count_units, t_quantile
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.sample import Sample
from penlight.evaluation.scores import interval_of_draws
from penlight.records import Name, Number, Record, Seed

Floats = NDArray[np.float64]

LEVEL = 0.05
"""A corrected p below this is more than chance."""


@dataclass(frozen=True)
class ResampledMetric:
    """One metric of one model: `values` (S,) of its seeds, and `resampled` (B,) means over these seeds on resampled
    images, drawn as `units` patients or images. `low` and `high` are the interval of the mean that scores have."""

    values: Floats
    resampled: Floats
    units: int
    low: float = math.nan
    high: float = math.nan

    @property
    def mean(self) -> float:
        """The mean over seeds, on the images as they are."""
        return float(self.values.mean())


class Difference(Record, computed=("more_than_chance",)):
    """The score of `row` less that of `against`, with its interval.

    `p` is two-sided; `p_holm` is corrected for all differences found together, and so is the interval: its level is
    that at which Holm's method tests this p, so that it holds zero where `p_holm` is `LEVEL` or more. It is the 95 %
    interval where one difference was looked for. `error` is the standard error, NaN where it was not kept. NaN where
    a score is undefined.
    """

    row: Name
    against: Name
    value: Number
    low: Number
    high: Number
    p: Number
    p_holm: Number
    error: Number = math.nan

    @property
    def more_than_chance(self) -> bool:
        """Whether the corrected p is below `LEVEL`; False where it is undefined."""
        return self.p_holm < LEVEL


def paired_draws(
    models: Mapping[str, Sequence[Sample]],
    metric: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Groups = None,
) -> dict[str, ResampledMetric]:
    """Resample one metric of all models together; `models` has the samples of each model, one per seed.

    `metric` is a key of `METRICS` that is of the whole. All samples are of the same N images in the same order;
    labels that are known to some of them alone are left out. `groups` (N,) as in `bootstrap_weights`. The result
    depends on `seed` and on the order of the models alone.
    """
    models = _on_shared_labels(models)
    samples = [sample for own in models.values() for sample in own]
    if not samples:
        return {}
    if any(not np.array_equal(sample.y, samples[0].y) for sample in samples):
        raise ValueError("models are compared on the same images and labels")
    compute = METRICS[metric].compute
    n = len(samples[0].y)
    chunks = bootstrap_weights(n, resamples, seed=seed, groups=groups)
    drawn = np.concatenate([np.stack([compute(s, w) for s in samples]) for w in chunks], axis=1)
    values = np.array([compute(s, np.ones((1, n)))[0] for s in samples])
    units = count_units(n, groups)
    out, start = {}, 0
    for name, own in models.items():
        place = slice(start, start + len(own))
        low, high = interval_of_draws(metric, values[place].mean(), drawn[place].mean(axis=0), own, groups)
        out[name] = ResampledMetric(values[place], drawn[place].mean(axis=0), units, low, high)
        start += len(own)
    return out


def _on_shared_labels(models: Mapping[str, Sequence[Sample]]) -> Mapping[str, Sequence[Sample]]:
    """Keep of each sample the labels that all of them know."""
    masks = [sample.known for own in models.values() for sample in own if sample.known is not None]
    if not masks:
        return models
    known = np.logical_and.reduce(masks)
    return {
        name: [s if np.array_equal(s.known, known) else replace(s, known=known) for s in own]  # type: ignore[arg-type]
        for name, own in models.items()
    }


class Compared(Record):
    """One of the models of a comparison: its score over `seeds`, one `value` each, with the 95 % interval of the mean
    that its scores have. `sd` (n-1) is NaN for one seed; `source` is what it was named by."""

    name: str
    source: str
    seeds: tuple[Seed, ...]
    values: tuple[Number, ...]
    mean: Number
    sd: Number
    low: Number
    high: Number

    @classmethod
    def from_draws(cls, name: str, source: str, seeds: tuple[int, ...], draws: ResampledMetric) -> "Compared":
        """Sum up what was drawn."""
        sd = float(draws.values.std(ddof=1)) if len(draws.values) > 1 else np.nan
        return cls(name, source, seeds, tuple(draws.values.tolist()), draws.mean, sd, draws.low, draws.high)


class Comparison(Record):
    """Models on the same `images` of one split and view, by one metric.

    `against` is the model that the others are compared with, None where all pairs are.
    """

    dataset: str
    view: str
    split: str
    images: int
    metric: str
    against: str | None
    models: tuple[Compared, ...]
    differences: tuple[Difference, ...]

    def model(self, name: str) -> Compared:
        """Give the model of a name."""
        return next(model for model in self.models if model.name == name)

    def renamed(self, names: Mapping[str, str]) -> "Comparison":
        """Give the comparison with each model, and its source, called by its name in `names`."""
        return replace(
            self,
            against=None if self.against is None else names[self.against],
            models=tuple(replace(m, name=names[m.name], source=names[m.name]) for m in self.models),
            differences=tuple(replace(d, row=names[d.row], against=names[d.against]) for d in self.differences),
        )


def differences(draws: Mapping[str, ResampledMetric], pairs: Iterable[tuple[str, str]]) -> list[Difference]:
    """Compare each pair (row, against) of models, once, and correct all p together by Holm's method."""
    wanted = list(dict.fromkeys(pairs))
    found = [_estimate(draws[row], draws[against]) for row, against in wanted]
    p = np.array([own.p for own in found])
    corrected, steps = holm_steps(p)
    return [
        Difference(row, against, own.value, *own.interval(step), own.p, float(p_holm), own.error)
        for (row, against), own, p_holm, step in zip(wanted, found, corrected, steps, strict=True)
    ]


@dataclass(frozen=True)
class Estimate:
    """A difference with its standard `error` and degrees of freedom; NaN where undefined."""

    value: float
    error: float
    df: float

    @property
    def p(self) -> float:
        """Two-sided p of no difference, by Student's t; 1 for models that are the same on every resample."""
        from scipy.special import stdtr

        if not math.isfinite(self.error):
            return math.nan
        if self.error < _NOTHING:
            return 1.0 if abs(self.value) < _NOTHING else 0.0
        return float(2 * stdtr(self.df, -abs(self.value) / self.error))

    def interval(self, comparisons: float = 1) -> tuple[float, float]:
        """Interval at the level 1 - `LEVEL` / `comparisons`; the value twice where all resamples give it."""
        if not math.isfinite(self.error):
            return math.nan, math.nan
        if self.error < _NOTHING:
            return self.value, self.value
        half = t_quantile(self.df, 1 - LEVEL / comparisons) * self.error
        return self.value - half, self.value + half


# Differences of floating-point sums of the same numbers are below this.
_NOTHING = 1e-12


def estimate(value: float, resampled: Floats, units: int, *seeds: Floats) -> Estimate:
    """Give a difference with the error that `resampled` (B,) differences on images and the values of `seeds` (S,) of
    each model show; undefined where half of the resamples or fewer are."""
    known = resampled[np.isfinite(resampled)]
    if not math.isfinite(value) or len(known) <= len(resampled) / 2:
        return Estimate(value, math.nan, math.nan)
    # Weights of few units are drawn as wide as Student's t is, which comes in below.
    wider = t_quantile(max(units - 1, 1)) / NORMAL_95
    parts = [(float(known.var(ddof=1)) / wider**2, units - 1)]
    parts += [(float(own.var(ddof=1)) / len(own), len(own) - 1) for own in seeds if len(own) > 1]
    variance = sum(part for part, _ in parts)
    below = sum(part**2 / df for part, df in parts if df > 0)
    return Estimate(value, math.sqrt(variance), variance**2 / below if below > 0 else max(units - 1, 1))


def _estimate(one: ResampledMetric, other: ResampledMetric) -> Estimate:
    return estimate(one.mean - other.mean, one.resampled - other.resampled, one.units, one.values, other.values)


CLEAR = 2.0
"""A model is clearly ahead of another by more than this many standard errors of their difference."""


class Margin(Record):
    """How far one model is ahead of another on the same images, in their headline metric, and the standard error of
    that over resampled images."""

    value: Number
    error: Number

    @property
    def is_clear(self) -> bool:
        """Whether it is ahead by more than `CLEAR` standard errors; False where either is undefined."""
        return self.value > CLEAR * self.error


def margin(one: Sample, other: Sample, *, resamples: int = RESAMPLES, groups: Groups = None) -> Margin:
    """Say how far `one` is ahead of `other`, of the same task and images; `groups` as in `paired_draws`."""
    draws = paired_draws({"one": [one], "other": [other]}, one.task.headline, resamples=resamples, groups=groups)
    found = _estimate(draws["one"], draws["other"])
    return Margin(found.value, found.error)


def holm_steps(p: Floats) -> tuple[Floats, Floats]:
    """Correct (P,) p-values for multiple comparisons (Holm 1979), and say how many each was corrected for, (P,) both.

    NaN stays NaN and counts for nothing.
    """
    p = np.asarray(p, np.float64)
    out, steps = np.full_like(p, np.nan), np.ones_like(p)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps[order] = np.arange(len(order), 0, -1)
    raised = np.maximum.accumulate(p[order] * steps[order])
    out[order] = np.minimum(1, raised)
    own = order[p[order] > 0]
    steps[own] = raised[p[order] > 0] / p[own]
    return out, steps
