"""Resamples of a test split as weights, and the intervals that they give.

Every image, or every patient where patients are known, gets a random positive weight: the Bayesian bootstrap (Rubin
1981, The Annals of Statistics 9:130). Drawing with replacement leaves rare labels out of some resamples, and drawing
them in strata of their own takes their variation away; positive weights do neither.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CORRELATION = 0.47
"""How much images of one patient are taken to err alike, from 0 to 1, where the source of a dataset says that there
are several of each and not which: by it, standard errors of four images of each patient are 1.55 times those of
independent images, the upper end of what was found for DeepDRiD, of which RetinaMNIST is made (1.2 to 1.55)."""


@dataclass(frozen=True)
class UnknownPatients:
    """Images of patients of whom each has `images_each`, without saying which.

    What they say is worth less than as many independent images: every variance is multiplied by the design effect of
    Kish (1965). `image_of` (N,) says of which image a value is, where an image has several.
    """

    images_each: int
    image_of: NDArray[np.int64] | None = None

    @property
    def design_effect(self) -> float:
        """1 + (m - 1) rho, with m images of a patient that are correlated by rho, here `CORRELATION`."""
        return 1 + (self.images_each - 1) * CORRELATION


Groups = NDArray[np.generic] | UnknownPatients | None
"""What images belong together: the patient of each, (N,); patients who are not known by name; or None, where every
image is independent of the others."""

RESAMPLES = 1000
"""Resamples of every interval, so that one number has one interval wherever it stands."""

NORMAL_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

_CHUNK_VALUES = 500_000
_FEW_UNITS = 500
_LEAST_SHAPE = 0.1


def bootstrap_weights(
    n_images: int, resamples: int = RESAMPLES, *, seed: int = 0, groups: Groups = None
) -> Iterator[Floats]:
    """Yield (b, N) positive weights of N images, `resamples` rows in all, in chunks that fit memory; rows sum to N.

    With `groups` (N,), such as patients, all images of a group have one weight. The weights are exponential, or
    gamma with the shape of `_shape` where there are few units, or patients who are not known. A second thread draws
    the next chunk while the caller works on one; the draws are those of `seed` alone.
    """
    chunks = _draw(n_images, resamples, seed, groups)
    if n_images * resamples <= _CHUNK_VALUES:
        yield from chunks
        return
    with ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(next, chunks, None)
        while (chunk := ahead.result()) is not None:
            ahead = thread.submit(next, chunks, None)
            yield chunk


def left_out_weights(n_images: int, groups: Groups = None) -> Floats:
    """Give (U, N) weights, each of which leaves one unit (patient, or image) out; (0, N) for many units, whose
    resamples need no correction."""
    unit_of = number_units(n_images, groups)
    units = int(unit_of.max(initial=-1)) + 1
    if units > _FEW_UNITS:
        return np.empty((0, n_images))
    weights: Floats = np.not_equal(np.arange(units)[:, None], unit_of).astype(float)
    return weights


def percentile_interval(
    resampled: Floats, left_out: Floats | None = None, groups: Groups = None
) -> tuple[float, float]:
    """Give the 2.5 to 97.5 percentile of (B,) values that are defined; NaN where half of them or fewer are, or where
    all are the same, since resampling then says nothing.

    `left_out` (U,) are the values without one unit each. Where the standard error of the jackknife (Efron and
    Tibshirani 1993, chapter 11) is the larger, the interval is stretched by the ratio: of few units that weigh much,
    as the few patients of a high grade do in a weighted kappa, positive weights vary too little. `groups` are those
    of the images.
    """
    known = resampled[np.isfinite(resampled)]
    if len(known) <= len(resampled) / 2:
        return float("nan"), float("nan")
    low, middle, high = np.percentile(known, [2.5, 50, 97.5])
    if high - low <= 1e-12:
        return float("nan"), float("nan")
    wider, without = 1.0, np.empty(0) if left_out is None else left_out[np.isfinite(left_out)]
    if (units := len(without)) > 1:
        error = np.sqrt(design_effect(groups) * (units - 1) * without.var()) * t_quantile(units - 1) / NORMAL_95
        wider = float(max(1.0, error / known.std()))
    return float(middle - wider * (middle - low)), float(middle + wider * (high - middle))


def t_quantile(df: float, level: float = 0.95) -> float:
    """Give the quantile of Student's t that bounds the middle `level`; infinity without a degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2)) if df > 0 else float("inf")


def units_of(patients: NDArray[np.generic] | None, images_per_patient: int) -> Groups:
    """Say what is independent: `patients` (N,) where they are known; images of which each patient has several, where
    only that is known; else images."""
    if patients is None and images_per_patient > 1:
        return UnknownPatients(images_per_patient)
    return patients


def design_effect(groups: Groups) -> float:
    """Give what variances are multiplied by beyond what the groups say: 1 but for patients who are not known."""
    return groups.design_effect if isinstance(groups, UnknownPatients) else 1.0


def exceeds_error(gain: float, influence: Floats, groups: Groups) -> bool:
    """Say whether what a calibration, a threshold or cut points gain on images held out is above 0 by more than its
    standard error: the one rule by which what val suggests is taken.

    `influence` (N,) is what each image adds to the error of the gain, of sum 0, as its influence function over N;
    the images of a unit, such as a patient, add together. False for fewer than two units.
    """
    by_unit = np.bincount(number_units(len(influence), groups), influence)
    units = len(by_unit)
    if units < 2:
        return False
    return gain > float(np.sqrt(design_effect(groups) * units / (units - 1) * (by_unit**2).sum()))


def number_units(n_images: int, groups: Groups) -> NDArray[np.int64]:
    """Number the units, (N,) from 0 in the order in which they first occur: the groups, or else the images.

    So draws depend on which images belong together and not on what the groups are called: a copy of a run whose
    patients have other numbers has the same intervals.
    """
    named = groups.image_of if isinstance(groups, UnknownPatients) else groups
    if named is None:
        return np.arange(n_images)
    _, first, unit_of = np.unique(named, return_index=True, return_inverse=True)
    order: NDArray[np.int64] = np.argsort(np.argsort(first))[unit_of]
    return order


def count_units(n_images: int, groups: Groups, inside: NDArray[np.generic] | None = None) -> int:
    """Count the patients of all images, or of those `inside` (N,); images where no patients are said to be.

    Of patients who are not known it is the fewest that there may be.
    """
    rows = slice(None) if inside is None else np.flatnonzero(inside)
    units = len(np.unique(number_units(n_images, groups)[rows]))
    return -(-units // groups.images_each) if isinstance(groups, UnknownPatients) else units


def count_cases(
    y: NDArray[np.generic], groups: Groups = None, inside: NDArray[np.bool_] | None = None
) -> tuple[int, int]:
    """Count what has a label y (N,), and what lacks it, among the images `inside` (N,): patients where they are
    known, or images."""
    has = np.asarray(y, bool)
    among = np.ones(len(has), bool) if inside is None else inside
    return count_units(len(has), groups, among & has), count_units(len(has), groups, among & ~has)


def select_groups(groups: Groups, rows: NDArray[np.generic] | slice) -> Groups:
    """Give the groups of some images, which are chosen by (N,) true or false, by numbers, or by a slice."""
    if isinstance(groups, UnknownPatients):
        return groups if groups.image_of is None else replace(groups, image_of=groups.image_of[rows])
    return None if groups is None else groups[rows]


def unit_noun(groups: Groups) -> str:
    """Say what `count_units` counts: "image", or "patient" where images are said to be of some."""
    return "image" if groups is None else "patient"


def _draw(n_images: int, resamples: int, seed: int, groups: Groups) -> Iterator[Floats]:
    rng = np.random.default_rng([seed, 0xB007])
    unit_of = None if groups is None else number_units(n_images, groups)
    units = n_images if unit_of is None else int(unit_of.max(initial=-1)) + 1
    shape = _shape(units, count_units(n_images, groups), design_effect(groups))
    rows = max(1, _CHUNK_VALUES // max(1, n_images))
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), units)
        weights = rng.standard_exponential(size) if shape == 1 else rng.standard_gamma(shape, size)
        drawn = weights if unit_of is None else weights[:, unit_of]
        drawn *= n_images / drawn.sum(axis=1, keepdims=True)
        yield drawn


def _shape(units: int, independent: int, effect: float) -> float:
    """Give the shape of the gamma weights of `units` units, of `independent` patients and a design `effect`; 1, which
    is exponential, for many.

    Exponential weights give a mean of U units the variance s2 / (U + 1) with s2 divided by U: too narrow a 95 %
    interval by (U - 1) / (U + 1), and by the square of the quantiles of Student's t and the normal. Dirichlet weights
    of shape a give s2 / (U a + 1), so that a solves for the variance that the t interval has, times the effect.
    """
    if units > 2000 and effect == 1:
        return 1.0
    wider = effect * (t_quantile(max(independent - 1, 1)) / NORMAL_95) ** 2
    return max(_LEAST_SHAPE, ((units - 1) / wider - 1) / max(units, 1))
