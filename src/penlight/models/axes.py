"""Features along their principal axes, where linear models are fitted: of any number of images, a part at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import let_go, room_for
from penlight.errors import TrainingError
from penlight.models.blas import side_by_side

STRENGTHS = tuple(float(f"{10**power:.3g}") for power in np.arange(-5.0, 1.1, 0.5))
"""Inverse penalties C that are tried, from the strongest penalty on, until answers out of fold get worse."""

WORSE = 2
"""So many strengths in succession that are worse end the path."""

_CONSTANT = 1e-6
"""A feature that differs by less than this share of itself, or of the others, is rounding."""

_FLAT = 1e-7
"""Axes whose variance is smaller than this share of the largest say nothing."""

_PART = 8192

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Rows = NDArray[np.int64]
Regression = tuple[Floats, Floats]
"""Weights (R, C) along the axes, and biases (C,)."""


def require_numbers(values: Floats) -> None:
    """Raise TrainingError for what was computed of features that are not numbers."""
    if not np.isfinite(values).all():
        raise TrainingError(
            "A probe got features that are not numbers, or too large for 32 bits.", "Look at what the encoder gives."
        )


def parts_of(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Give rows a part at a time; of a mapped file no more is held."""
    for start in range(0, len(rows), _PART):
        yield rows[start : start + _PART]
        let_go(rows)


def times(rows: Singles, columns: Floats) -> Floats:
    """Multiply rows (N, R) by (R, C), in 32 bits."""
    single = columns.astype(np.float32)
    return np.concatenate(list(side_by_side(lambda part: part @ single, parts_of(rows)))).astype(np.float64)


def summed(rows: Singles, values: Floats) -> Floats:
    """Sum rows (N, R) by values (N, C), into (R, C), in 32 bits."""
    pairs = zip(parts_of(rows), parts_of(values.astype(np.float32)), strict=True)
    return np.asarray(sum(side_by_side(lambda pair: (pair[0].T @ pair[1]).astype(np.float64), pairs)))


@dataclass(frozen=True)
class Turned:
    """Standardised features along their principal axes, `z` (N, R) float32 of which column r has the variance
    `variance` (R,); `axes` (F, R) turn standardised features, which have `mean` and `spread` (F,), into them."""

    z: Singles
    variance: Floats
    axes: Floats
    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, features: NDArray[np.floating], weight: Floats | None = None) -> "Turned":
        """Find the axes of features (N, F), of all rows as they count, (N,): no label is looked at. TrainingError
        where one is no number."""
        (n, f), share = features.shape, np.full(len(features), 1.0) if weight is None else weight
        share = share / share.sum()
        mean, square = np.zeros(f), np.zeros(f)
        for part, own in zip(parts_of(features), parts_of(share), strict=True):
            mean += own @ part.astype(np.float64)
        for part, own in zip(parts_of(features), parts_of(share), strict=True):
            square += own @ (part - mean) ** 2
        require_numbers(square)
        spread = np.sqrt(square)
        least = np.maximum(np.abs(mean), max(spread.max(initial=0.0), 1e-30))
        varies = spread > _CONSTANT * least
        usual = float(np.median(spread[varies])) if varies.any() else 0.0
        spread = np.where(varies, np.hypot(spread, usual), np.inf)

        def standard(part: NDArray[np.floating]) -> Singles:
            return np.asarray((part - mean) / spread, np.float32)

        if n > f:
            gram = np.zeros((f, f))

            def product(pair: tuple[NDArray[np.floating], Floats]) -> Singles:
                x = standard(pair[0]) * np.sqrt(pair[1], dtype=np.float32)[:, None]
                return np.asarray(x.T @ x)

            for own in side_by_side(product, zip(parts_of(features), parts_of(share), strict=True)):
                gram += own
            variance, axes = np.linalg.eigh(gram)
        else:
            x = standard(features) * np.sqrt(share)[:, None].astype(np.float32)
            variance, rows = np.linalg.eigh((x @ x.T).astype(np.float64))
            axes = x.T @ (rows / np.sqrt(np.maximum(variance, _FLAT)))
        kept = variance > _FLAT * variance.max(initial=0.0)
        axes = np.asarray(axes[:, kept], np.float64)
        z, single, start = room_for((n, axes.shape[1]), np.float32), axes.astype(np.float32), 0
        for turned in side_by_side(lambda part: standard(part) @ single, parts_of(features)):
            z[start : start + len(turned)] = turned
            start += len(turned)
            let_go(z)
        return cls(z, variance[kept], axes, mean, spread)

    def scores(self, fitted: Regression) -> Floats:
        """Give (N, C) scores of the rows."""
        return times(self.z, fitted[0]) + fitted[1]

    def of_features(self, fitted: Regression) -> Regression:
        """Give weights (F, C) and biases (C,) of features as they are."""
        weights = (self.axes @ fitted[0]) / self.spread[:, None]
        return weights, fitted[1] - self.mean @ weights
