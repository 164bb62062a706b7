"""Which of several models are better by more than chance: paired differences on the same images.

Every model is resampled with the same images, so what they find hard alike falls out of the difference; the seeds of
each are resampled too, since another seed would have given another network. M models, S seeds, B resamples.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import bootstrap_weights, percentile_interval
from penlight.evaluation.metrics import METRICS, Sample
from penlight.evaluation.rows import to_json

Floats = NDArray[np.float64]

RESAMPLES = 2000

# Small test splits take more resamples: they are cheap there, and a p near 0.05 depends less on the draw.
_MOST_RESAMPLES = 10_000
_RESAMPLED_IMAGES = 5_000_000

LEVEL = 0.05
"""A corrected p below this is more than chance."""


def resamples_for(n_images: int) -> int:
    """Say how many resamples of so many images a comparison takes."""
    return max(RESAMPLES, min(_MOST_RESAMPLES, _RESAMPLED_IMAGES // max(1, n_images)))


@dataclass(frozen=True)
class Draws:
    """One metric of one model: `values` (S,) of its seeds, `resampled` (B,) means over resampled seeds and images."""

    values: Floats
    resampled: Floats

    @property
    def mean(self) -> float:
        """The mean over seeds, on the images as they are."""
        return float(self.values.mean())


@dataclass(frozen=True)
class Difference:
    """The score of `row` less that of `against`, with its 95 % interval.

    `p` is two-sided; `p_holm` is corrected for all differences found together. NaN where a score is undefined.
    """

    row: str
    against: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def more_than_chance(self) -> bool:
        """Whether the corrected p is below `LEVEL`; False where it is undefined."""
        return self.p_holm < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Give the difference for JSON: NaN becomes null."""
        return {key: to_json(value) for key, value in asdict(self).items()}


def paired_draws(
    models: Mapping[str, Sequence[Sample]],
    metric: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> dict[str, Draws]:
    """Resample one metric of all models together; `models` has the samples of each model, one per seed.

    `metric` is a key of `METRICS` that is of the whole. All samples are of the same N images in the same order;
    `groups` (N,) as in `bootstrap_weights`. The result depends on `seed` and on the order of the models alone.
    """
    samples = [sample for own in models.values() for sample in own]
    if not samples:
        return {}
    if any(not np.array_equal(sample.y, samples[0].y) for sample in samples):
        raise ValueError("models are compared on the same images and labels")
    compute = METRICS[metric].compute
    whole = np.ones((1, len(samples[0].y)))
    chunks = bootstrap_weights(samples[0].y, resamples, seed=seed, groups=groups)
    drawn = np.concatenate([np.stack([compute(s, w) for s in samples]) for w in chunks], axis=1)
    values = np.array([compute(s, whole)[0] for s in samples])
    rng = np.random.default_rng([seed, 0x5EED])
    out, start = {}, 0
    for name, own in models.items():
        place = slice(start, start + len(own))
        out[name] = Draws(values[place], _over_seeds(drawn[place], rng))
        start += len(own)
    return out


def _over_seeds(drawn: Floats, rng: np.random.Generator) -> Floats:
    """(B,) means over seeds drawn with replacement from (S, B).

    The spread of a mean over S drawn seeds is too small by (S - 1) / S; it is scaled up, as Rao and Wu (1988) do for
    small strata. One seed says nothing about the others and adds no spread.
    """
    n_seeds, n_draws = drawn.shape
    mean: Floats = drawn.mean(axis=0)
    if n_seeds == 1:
        return mean
    chosen = rng.integers(0, n_seeds, (n_seeds, n_draws))
    other = np.take_along_axis(drawn, chosen, axis=0).mean(axis=0)
    out: Floats = mean + np.sqrt(n_seeds / (n_seeds - 1)) * (other - mean)
    return out


@dataclass(frozen=True)
class Compared:
    """One of the models of a comparison: its score over `seeds`, one `value` each, with the 95 % interval of the mean
    over images and seeds. `sd` (n-1) is NaN for one seed; `source` is what it was named by."""

    name: str
    source: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, name: str, source: str, seeds: tuple[int, ...], draws: Draws) -> "Compared":
        """Sum up what was drawn."""
        low, high = percentile_interval(draws.resampled)
        sd = float(draws.values.std(ddof=1)) if len(draws.values) > 1 else np.nan
        return cls(name, source, seeds, tuple(draws.values.tolist()), draws.mean, sd, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Give the model for JSON: NaN becomes null."""
        lists = {"seeds": list(self.seeds), "values": [to_json(value) for value in self.values]}
        return {key: to_json(value) for key, value in asdict(self).items()} | lists


@dataclass(frozen=True)
class Comparison:
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

    def to_dict(self) -> dict[str, Any]:
        """Give the comparison for JSON."""
        lists = {
            "models": [model.to_dict() for model in self.models],
            "differences": [{**d.to_dict(), "more_than_chance": d.more_than_chance} for d in self.differences],
        }
        return {key: value for key, value in asdict(self).items() if key not in lists} | lists


def differences(draws: Mapping[str, Draws], pairs: Iterable[tuple[str, str]]) -> list[Difference]:
    """Compare each pair (row, against) of models, once, and correct all p together by Holm's method."""
    wanted = list(dict.fromkeys(pairs))
    found = [_difference(draws[row], draws[against]) for row, against in wanted]
    corrected = holm(np.array([p for *_, p in found]))
    return [
        Difference(row, against, value, low, high, p, float(p_holm))
        for (row, against), (value, low, high, p), p_holm in zip(wanted, found, corrected, strict=True)
    ]


def _difference(one: Draws, other: Draws) -> tuple[float, float, float, float]:
    """Value, low, high and p: twice the share of resamples on the other side of zero, which counts itself
    (Davison and Hinkley 1997, section 4.4)."""
    value = one.mean - other.mean
    resampled = one.resampled - other.resampled
    low, high = percentile_interval(resampled)
    if not np.isfinite([value, low]).all():
        return value, np.nan, np.nan, np.nan
    resampled = resampled[np.isfinite(resampled)]
    rarer = min((resampled <= 0).sum(), (resampled >= 0).sum())
    return value, low, high, float(min(1.0, 2 * (rarer + 1) / (len(resampled) + 1)))


@dataclass(frozen=True)
class Margin:
    """How far one model is ahead of another on the same images, in their headline metric, and the standard error of
    that over resampled images."""

    value: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether it is ahead by more than the standard error; False where either is undefined."""
        return self.value > self.error

    def to_dict(self) -> dict[str, Any]:
        """Give the margin for JSON: NaN becomes null."""
        return {key: to_json(value) for key, value in asdict(self).items()}


def margin(
    one: Sample, other: Sample, *, resamples: int = RESAMPLES, groups: NDArray[np.generic] | None = None
) -> Margin:
    """Say how far `one` is ahead of `other`, of the same task and images; `groups` as in `paired_draws`."""
    draws = paired_draws({"one": [one], "other": [other]}, one.task.headline, resamples=resamples, groups=groups)
    apart = draws["one"].resampled - draws["other"].resampled
    apart = apart[np.isfinite(apart)]
    error = float(apart.std(ddof=1)) if len(apart) > resamples / 2 else np.nan
    return Margin(draws["one"].mean - draws["other"].mean, error)


def holm(p: Floats) -> Floats:
    """Correct (P,) p-values for being looked at together (Holm 1979); NaN stays NaN and counts for nothing."""
    p = np.asarray(p, np.float64)
    out = np.full_like(p, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(1, np.maximum.accumulate(steps))
    return out
