"""Where to look next: a spread of first points, then a Gaussian process, or tree-structured Parzen estimators.

Each proposal depends on the seed and the trials so far alone, so a stopped search goes on as if it had not been.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from penlight.parsing import parse_json
from penlight.recipes.space import Parameter, Range, Space

Floats = NDArray[np.float64]
Values = Mapping[str, Any]

FIRST_POINTS = 5
"""So many trials come before a sampler has something to go by: the recipe as it is, then points spread evenly."""

_CANDIDATES = 1024
_NEAR_BEST = 256


class SpaceSampler(BaseSampler):
    """Proposes whole points of a space: `start` and spread points first, then what `propose` says.

    Trials that failed, as those of a killed process are, count for nothing. `start` is None where the recipe's own
    values lie outside the space.
    """

    def __init__(self, space: Space, start: Values | None, seed: int, propose: "Propose") -> None:
        self.space, self.seed, self.propose = space, seed, propose
        self.distributions = {p.key: distribution(p) for p in space.parameters}
        self.first = first_points(space, start, seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Give the whole space: points are proposed as a whole."""
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Give the next first point that was not tried, or what the proposer says."""
        told = [t for t in study.get_trials(deepcopy=False) if _counts(t) and t.number != trial.number]
        tried = [_point(t.params) for t in told]
        fresh = [point for point in self.first if _point(point) not in tried]
        if len(told) < FIRST_POINTS and fresh:
            return dict(fresh[0])
        return self.propose(study, trial, self, told)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """Every key is proposed by `sample_relative`."""
        raise AssertionError(f"{param_name} is not in the space")


Propose = Callable[[Study, FrozenTrial, SpaceSampler, Sequence[FrozenTrial]], dict[str, Any]]


def distribution(parameter: Parameter) -> BaseDistribution:
    """Give a parameter as Optuna has it. Choices are JSON texts, since a storage cannot hold lists."""
    if not isinstance(parameter, Range):
        return CategoricalDistribution([json.dumps(choice) for choice in parameter.choices])
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def first_points(space: Space, start: Values | None, seed: int) -> list[dict[str, Any]]:
    """Give `start` and then points of a scrambled Sobol sequence, which leave no large hole."""
    from scipy.stats import qmc

    unit = qmc.Sobol(len(space.parameters), rng=np.random.default_rng([seed, 0x50B0])).random_base2(3)
    points = [to_values(space, row) for row in unit]
    return [stored(space, start), *points] if start is not None else points


def propose_gp(
    study: Study, trial: FrozenTrial, sampler: SpaceSampler, told: Sequence[FrozenTrial]
) -> dict[str, Any]:
    """Propose the point of largest expected improvement under a Gaussian process (Jones et al. 1998).

    Optuna's own needs PyTorch, which Penlight does not ask for; this one fits scikit-learn's regressor with a Matern
    5/2 kernel, a length for every dimension and a noise term. A pruned trial counts with its estimate (see `worth`),
    one that diverged as the worst so far, one that still runs elsewhere as the mean.
    """
    x, y = _observed(sampler.space, told)
    rng = np.random.default_rng([sampler.seed, len(told), 0x69])
    if np.unique(y).size < 2:
        return to_values(sampler.space, rng.random(len(sampler.space.parameters)))
    candidates = _candidates(sampler.space, x[np.argmax(y)], rng)
    gain = _expected_improvement(x, y, np.array([encode(sampler.space, c) for c in candidates]), rng)
    return candidates[int(np.argmax(gain))]


def propose_tpe(
    study: Study, trial: FrozenTrial, sampler: SpaceSampler, told: Sequence[FrozenTrial]
) -> dict[str, Any]:
    """Propose by tree-structured Parzen estimators (Bergstra et al. 2011), Optuna's own."""
    seed = int(np.random.default_rng([sampler.seed, len(told), 0x79]).integers(2**31))
    inner = TPESampler(n_startup_trials=0, seed=seed)
    return {key: inner.sample_independent(study, trial, key, place) for key, place in sampler.distributions.items()}


SAMPLERS: dict[str, Propose] = {"gp": propose_gp, "tpe": propose_tpe}


def to_values(space: Space, unit: Floats) -> dict[str, Any]:
    """Turn a point of the unit cube, (D,), one dimension per parameter, into values as a storage has them."""
    return {p.key: _value(p, float(u)) for p, u in zip(space.parameters, unit, strict=True)}


def stored(space: Space, values: Values) -> dict[str, Any]:
    """Turn values of a recipe into those of a storage: choices become JSON texts."""
    return {p.key: values[p.key] if isinstance(p, Range) else json.dumps(values[p.key]) for p in space.parameters}


def from_stored(space: Space, values: Values) -> dict[str, Any]:
    """Turn values of a storage into those of a recipe."""
    return {
        p.key: values[p.key] if isinstance(p, Range) else parse_json(values[p.key], p.key) for p in space.parameters
    }


def encode(space: Space, values: Values) -> Floats:
    """Turn values of a storage into (E,) numbers from 0 to 1: one per range, one per choice."""
    parts: list[float] = []
    for p in space.parameters:
        if isinstance(p, Range):
            parts.append(_place(p, float(values[p.key])))
        else:
            parts += [float(json.dumps(choice) == values[p.key]) for choice in p.choices]
    return np.array(parts)


def _value(parameter: Parameter, unit: float) -> Any:
    if not isinstance(parameter, Range):
        return json.dumps(parameter.choices[min(int(unit * len(parameter.choices)), len(parameter.choices) - 1)])
    low, high = _ends(parameter)
    value = low + unit * (high - low)
    value = float(np.exp(value)) if parameter.log else value
    value = min(max(value, parameter.low), parameter.high)
    return round(value) if parameter.whole else value


def _place(parameter: Range, value: float) -> float:
    low, high = _ends(parameter)
    return 0.5 if high == low else ((np.log(value) if parameter.log else value) - low) / (high - low)


def _ends(parameter: Range) -> tuple[float, float]:
    if parameter.log:
        return float(np.log(parameter.low)), float(np.log(parameter.high))
    return parameter.low, parameter.high


def _counts(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING) and bool(trial.params)


def _point(values: Values) -> dict[str, Any]:
    # A database may give back a number with its last digits rounded.
    return {key: float(f"{v:.12g}") if isinstance(v, int | float) else v for key, v in values.items()}


def _observed(space: Space, told: Sequence[FrozenTrial]) -> tuple[Floats, Floats]:
    """Points (T, E) and values (T,) of the trials so far, with stand-ins for those that have no value."""
    complete = [t for t in told if t.state == TrialState.COMPLETE]
    known = [v for t in told if t.state.is_finished() and not np.isnan(v := worth(t, complete))]
    worst, mean = (min(known), float(np.mean(known))) if known else (0.0, 0.0)
    values = [worth(t, complete) if t.state.is_finished() else mean for t in told]
    y = np.array([worst if np.isnan(v) else v for v in values])
    return np.array([encode(space, t.params) for t in told]), y


def worth(trial: FrozenTrial, complete: Sequence[FrozenTrial]) -> float:
    """Give a finished trial's value; NaN where it cannot be told.

    Of a pruned trial it is an estimate: as far from the mean of the complete ones as it was at the epoch where it
    stopped. What it had reached cannot stand for it, since folds differ more than trials do.
    """
    if trial.state == TrialState.COMPLETE:
        return float("nan") if trial.value is None else trial.value
    step = trial.last_step
    beside = [(t.intermediate_values[step], t.value) for t in complete if step in t.intermediate_values]
    if step is None or not beside:
        return float("nan")
    then, final = np.mean(np.array(beside, float), axis=0)
    return float(final + trial.intermediate_values[step] - then)


def _candidates(space: Space, best: Floats, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw points from everywhere, and some near the best."""
    n = len(space.parameters)
    centre, column = np.full(n, 0.5), 0
    for i, p in enumerate(space.parameters):
        if isinstance(p, Range):
            centre[i] = best[column]
            column += 1
        else:
            centre[i] = (int(np.argmax(best[column : column + len(p.choices)])) + 0.5) / len(p.choices)
            column += len(p.choices)
    near = np.clip(centre + rng.normal(0, 0.08, (_NEAR_BEST, n)), 0, 1)
    return [to_values(space, row) for row in np.concatenate([rng.random((_CANDIDATES, n)), near])]


def _expected_improvement(x: Floats, y: Floats, at: Floats, rng: np.random.Generator) -> Floats:
    """(M,) expected gain at (M, E) over the best posterior mean at the points (T, E) seen, in units of y's spread."""
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scaled = (y - y.mean()) / y.std()
    smooth = ConstantKernel(1.0, (0.05, 20)) * Matern(np.full(x.shape[1], 0.5), (0.05, 10), nu=2.5)
    model = GaussianProcessRegressor(
        smooth + WhiteKernel(0.1, (1e-3, 1)), n_restarts_optimizer=2, random_state=int(rng.integers(2**31))
    )
    with warnings.catch_warnings():
        # A length at its bound says that a key does not matter, which is an answer.
        warnings.simplefilter("ignore")
        model.fit(x, scaled)
        mean, sd = model.predict(at, return_std=True)
        best = model.predict(x).max()
    sd = np.sqrt(np.maximum(sd**2 - model.kernel_.k2.noise_level, 1e-12))
    z = (mean - best) / sd
    gain: Floats = sd * (z * norm.cdf(z) + norm.pdf(z))
    return gain
