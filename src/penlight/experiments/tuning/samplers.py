"""Optuna's samplers by name, and the values of a space as a storage has them."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler

from penlight.errors import MissingExtraError
from penlight.parsing import parse_json
from penlight.recipes.space import Parameter, Range, Space

FIRST_POINTS = 5
"""Trials before a sampler has something to go by: the recipe as it is, then random points."""


def _gp(seed: int) -> BaseSampler:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(
            "Optuna's Gaussian process needs PyTorch, which is not installed.",
            "Install it: pip install torch. Or leave --sampler out.",
        )
    return GPSampler(seed=seed, n_startup_trials=FIRST_POINTS)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=FIRST_POINTS),
    "gp": _gp,
}
"""Tree-structured Parzen estimators (Bergstra et al. 2011) and a Gaussian process, both Optuna's own, by a seed."""


def make_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Make the sampler of one proposal, by its number from 0.

    Each proposal depends on the seed and the trials so far alone, so a stopped search goes on as if it had not been.
    MissingExtraError where its needs are not installed.
    """
    return SAMPLERS[name](int(np.random.default_rng([seed, number]).integers(2**31)))


def distribution(parameter: Parameter) -> BaseDistribution:
    """Give a parameter as Optuna has it. Choices are JSON texts, since a storage cannot hold lists."""
    if not isinstance(parameter, Range):
        return CategoricalDistribution([json.dumps(choice) for choice in parameter.choices])
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def stored(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values of a recipe into those of a storage: choices become JSON texts."""
    return {p.key: values[p.key] if isinstance(p, Range) else json.dumps(values[p.key]) for p in space.parameters}


def from_stored(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values of a storage into those of a recipe."""
    return {
        p.key: values[p.key] if isinstance(p, Range) else parse_json(values[p.key], p.key) for p in space.parameters
    }
