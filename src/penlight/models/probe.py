"""A probe: logistic regression on features, as strong as cross-validation by patient says.

One multinomial regression of an exclusive task, else one per label, with an L2 penalty on standardised features
(Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016). The penalty stays the same
when features are turned, so all is computed along their principal axes, where a regression's curvature is nearly
diagonal: with steps scaled by it, L-BFGS needs a dozen of them, and the next strength of a path fewer.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.folds import assign_folds
from penlight.models.feature_classifiers import FeatureTable, Floats, prob_of, scores_of
from penlight.recipes.recipe import Encoded

STRENGTHS = tuple(float(f"{10**power:.3g}") for power in np.arange(-5.0, 1.1, 0.5))
"""Inverse penalties C that are tried, from the strongest penalty on, until answers out of fold get worse."""

_FOLDS = 5
_WORSE = 2
"""So many strengths in succession that are worse end the path."""

_CHOOSE = 10_000
"""Of more images than this, that many say how strong the penalty is."""

_RARE = 1e-4
_LEAST_CURVATURE = 1e-3
_FLAT = 1e-7
"""Axes whose variance is smaller than this share of the largest say nothing."""

_PART = 8192
_STEPS, _TOLERANCE = 300, 1e-6

Singles = NDArray[np.float32]
Regression = tuple[Floats, Floats]
"""Weights (R, C) along the axes, and biases (C,)."""


@dataclass
class Probe:
    """A fitted probe: `weights` (F, C) and `bias` (C,) of features as they are, the `strength` that was chosen, and
    `held_out`, (N, C) scores of each image of train by a probe that saw none of its patient."""

    options: Encoded
    exclusive: bool = True
    weights: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bias: Floats = field(default_factory=lambda: np.empty(0))
    strength: float = 0.0
    held_out: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def fit(self, table: FeatureTable) -> Self:
        """Learn from a table of features; the rows of one patient are left out together."""
        self.exclusive = table.exclusive
        of_patient = np.arange(len(table.y)) if table.of_patient is None else table.of_patient
        folds = assign_folds(table.y, of_patient, _FOLDS, table.seed)
        turned = _Turned.of(np.asarray(table.z, np.float32))
        weight = self._weights_of_rows(table)
        self.strength = self.options.strength or _chosen(turned, table, weight, folds)
        path = [strength for strength in STRENGTHS if strength < self.strength] + [self.strength]
        self.held_out = np.zeros(table.y.shape)
        for fold in np.unique(folds):
            rows = folds == fold
            fitted = _fit_path(turned, table, _without(weight, rows), path[-3:])
            self.held_out[rows] = turned.scores(fitted, rows)
        weights, bias = _fit_path(turned, table, weight, path[-3:])
        self.weights = (turned.axes @ weights) / turned.spread[:, None]
        self.bias = bias - turned.mean @ self.weights
        self.held_out = self._scores(self.held_out)
        return self

    def scores(self, z: NDArray[np.floating]) -> Floats:
        """Give (N, C) log-probabilities less their mean, or log-odds, of features (N, F)."""
        return self._scores(z @ self.weights + self.bias)

    def _scores(self, said: Floats) -> Floats:
        return scores_of(prob_of(said, exclusive=self.exclusive), exclusive=self.exclusive)

    def _weights_of_rows(self, table: FeatureTable) -> Floats:
        """Weigh images (N, 1): all alike, or those of rare classes more, with the mean 1; or each label of them,
        (N, C), where some are not known."""
        if self.options.balance == "balanced" and table.exclusive:
            weight = table.y @ (1 / np.maximum(table.y.sum(axis=0), 1))
            return np.asarray(weight / weight.mean())[:, None]
        return np.ones((len(table.y), 1)) if table.known is None else table.known.astype(np.float64)


@dataclass(frozen=True)
class _Turned:
    """Standardised features along their principal axes, `z` (N, R) float32 of which column r has the variance
    `variance` (R,); `axes` (F, R) turn standardised features, which have `mean` and `spread` (F,), into them."""

    z: Singles
    variance: Floats
    axes: Floats
    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, features: Singles) -> "_Turned":
        """Find the axes of features (N, F), of all rows: no label is looked at."""
        mean = features.mean(axis=0, dtype=np.float64)
        spread = features.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 1e-6 * max(spread.max(initial=0.0), 1e-30), spread, np.inf)
        x = ((features - mean) / spread).astype(np.float32)
        n, f = x.shape
        if n > f:
            variance, axes = np.linalg.eigh(_gram(x) / n)
        else:
            variance, rows = np.linalg.eigh((x @ x.T).astype(np.float64) / n)
            axes = x.T @ (rows / np.sqrt(np.maximum(variance, _FLAT) * n))
        kept = variance > _FLAT * variance.max(initial=0.0)
        axes = np.asarray(axes[:, kept], np.float64)
        return cls(x @ axes.astype(np.float32), variance[kept], axes, mean, spread)

    def rows(self, chosen: NDArray[np.int64]) -> "_Turned":
        """Keep some of the rows."""
        return _Turned(self.z[chosen], self.variance, self.axes, self.mean, self.spread)

    def scores(self, fitted: Regression, rows: NDArray[np.bool_]) -> Floats:
        """Give (n, C) scores of some rows."""
        return np.asarray(self.z[rows] @ fitted[0] + fitted[1])


def _gram(x: Singles) -> Floats:
    """Give the products of columns (F, F) in 64 bits, a part at a time."""
    parts = (x[start : start + _PART] for start in range(0, len(x), _PART))
    return np.asarray(sum((part.T @ part).astype(np.float64) for part in parts))


def _chosen(turned: _Turned, table: FeatureTable, weight: Floats, folds: NDArray[np.int64]) -> float:
    """Choose the strength whose answers out of fold have the least log loss."""
    if len(weight) > _CHOOSE:
        rows = np.sort(np.random.default_rng([table.seed, 0xC0DE]).permutation(len(weight))[:_CHOOSE])
        table = replace(table, y=table.y[rows])
        turned, weight, folds = turned.rows(rows), weight[rows], folds[rows]
    fitted: dict[int, Regression] = {}
    losses: list[float] = []
    for strength in STRENGTHS:
        scores = np.zeros(table.y.shape)
        for fold in np.unique(folds).tolist():
            rows_out = folds == fold
            fitted[fold] = _fit(turned, table, _without(weight, rows_out), strength, fitted.get(fold))
            scores[rows_out] = turned.scores(fitted[fold], rows_out)
        losses.append(float((_losses(scores, table.y, table.exclusive) * weight).sum()))
        if len(losses) - 1 - int(np.argmin(losses)) >= _WORSE:
            break
    return STRENGTHS[int(np.argmin(losses))]


def _without(weight: Floats, rows: NDArray[np.bool_]) -> Floats:
    return np.where(rows[:, None], 0.0, weight)


def _losses(scores: Floats, y: NDArray[np.uint8], exclusive: bool) -> Floats:
    """Log loss of each image's class, (N, 1), or of each of its labels, (N, C)."""
    if exclusive:
        return np.asarray(np.logaddexp.reduce(scores, axis=1) - (scores * y).sum(axis=1))[:, None]
    return np.asarray(np.logaddexp(0, scores) - scores * y)


def _fit_path(turned: _Turned, table: FeatureTable, weight: Floats, path: list[float]) -> Regression:
    fitted = None
    for strength in path:
        fitted = _fit(turned, table, weight, strength, fitted)
    assert fitted is not None
    return fitted


def _fit(
    turned: _Turned, table: FeatureTable, weight: Floats, strength: float, start: Regression | None
) -> Regression:
    """Fit one strength to rows, or labels of them, weighed by `weight`, 0 for what is left out, from `start` on."""
    from scipy.optimize import minimize

    z, y, exclusive = turned.z, table.y.astype(np.float64), table.exclusive
    labels, n = y.shape[1], np.maximum(weight.sum(axis=0), 1.0)
    share = np.clip((weight * y).sum(axis=0) / n, _RARE, 1 - _RARE)
    curvature = np.maximum(share * (1 - share), _LEAST_CURVATURE) * n
    # Steps in these units see a curvature of about 1 everywhere.
    unit = np.sqrt(turned.variance[:, None] * curvature + 1 / strength)
    unit_of_bias = np.sqrt(curvature)
    if start is None:
        start = np.zeros(unit.shape), np.log(share) - (0.0 if exclusive else np.log(1 - share))

    def parts(at: Floats) -> Regression:
        both = at.reshape(-1, labels)
        return both[:-1] / unit, both[-1] / unit_of_bias

    def loss(at: Floats) -> tuple[float, Floats]:
        weights, bias = parts(at)
        scores = np.asarray(z @ weights.astype(np.float32), np.float64) + bias
        prob = prob_of(scores, exclusive=exclusive)
        away = weight * (prob - y)
        slope = np.asarray(z.T @ away.astype(np.float32), np.float64) + weights / strength
        value = float((_losses(scores, table.y, exclusive) * weight).sum()) + (weights**2).sum() / (2 * strength)
        return value, np.concatenate([(slope / unit).ravel(), away.sum(axis=0) / unit_of_bias])

    begin = np.concatenate([(start[0] * unit).ravel(), start[1] * unit_of_bias])
    options: dict[str, Any] = {
        "maxiter": _STEPS,
        "ftol": 0.1 * _TOLERANCE,
        "gtol": _TOLERANCE * float(np.sqrt(n.max())),
    }
    return parts(minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x)
