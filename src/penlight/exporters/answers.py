"""From logits to calibrated probabilities, and back where a model has probabilities alone: one text for every format.

`ops` is `keras.ops`, or the ONNX graph, which has functions of the same names. Each line says what the task and the
calibration themselves say in NumPy, in a form that keeps its digits in 32 bits; tests hold them together.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from penlight.evaluation import Calibration
from penlight.evaluation.calibration import Steps
from penlight.tasks import Task

Tensor = Any
_LEAST = 1e-12  # as in tasks.base: how far probabilities are kept from 0 and 1 before a logarithm


def answers(ops: Any, task: Task, calibration: Calibration, logits: Tensor) -> Tensor:
    """Turn logits (N, K) into calibrated probabilities (N, C)."""
    if calibration.kind == "temperature":
        return _cooled(ops, task, logits, np.array(calibration.temperatures), np.array(calibration.intercepts))
    prob = _PROBABILITIES[task.head](ops, logits, task.n_logits)
    return _mapped(ops, task, prob, calibration.maps) if calibration.kind == "isotonic" else prob


def _cooled(ops: Any, task: Task, logits: Tensor, temperatures: Any, intercepts: Any) -> Tensor:
    """Divide log-probabilities, or log-odds, by the temperature and add the intercept, if any; where these are the
    logits, those of the logits."""
    if (temperatures == 1).all() or task.head != "cumulative":
        divided = logits / _like(logits, temperatures)
        moved = divided + _like(logits, intercepts) if len(intercepts) else divided
        return _PROBABILITIES[task.head](ops, moved, task.n_logits)
    prob = _PROBABILITIES[task.head](ops, logits, task.n_logits)
    least = float(np.finfo(np.dtype(prob.dtype)).tiny)
    return ops.softmax(ops.log(ops.maximum(prob, least)) / _like(prob, temperatures), axis=-1)


def _mapped(ops: Any, task: Task, prob: Tensor, maps: tuple[Steps, ...]) -> Tensor:
    n = len(task.labels)
    each = maps * n if task.exclusive else maps
    raised = ops.concatenate([_ramps(ops, prob[:, c : c + 1], each[c]) for c in range(n)], axis=-1)
    return raised / ops.matmul(raised, _like(prob, np.ones((n, n)))) if task.exclusive else raised


def _ramps(ops: Any, p: Tensor, steps: Steps) -> Tensor:
    """Map probabilities (N, 1) as a sum of ramps, one from each knot to the next; none is larger than its rise."""
    x = np.unique([0.0, *steps.x, 1.0])
    y = steps(x)
    along = (p - _like(p, x[:-1])) / _like(p, np.diff(x))
    return ops.matmul(ops.minimum(ops.maximum(along, 0.0), 1.0), _like(p, np.diff(y)[:, None])) + float(y[0])


def _like(tensor: Tensor, values: Any) -> Any:
    """Give a constant the type of a tensor, so that neither is widened."""
    return np.asarray(values, tensor.dtype)


def logits_of(ops: Any, task: Task, prob: Tensor) -> Tensor:
    """Turn probabilities (N, C) into logits (N, K)."""
    return _LOGITS[task.head](ops, prob, len(task.labels))


def _softmax(ops: Any, z: Tensor, n: int) -> Tensor:
    return ops.softmax(z, axis=-1)


def _sigmoids(ops: Any, z: Tensor, n: int) -> Tensor:
    return ops.sigmoid(z)


def _both(ops: Any, z: Tensor, n: int) -> Tensor:
    return ops.concatenate([ops.sigmoid(-z), ops.sigmoid(z)], axis=-1)


def _falling(ops: Any, z: Tensor, n: int) -> Tensor:
    """Differences of cumulative probabilities, in a form that keeps the digits of small ones in 32 bits:
    s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), and 1 - exp(-d) = tanh(d / 2) (1 + exp(-d))."""
    columns = [z[:, 0:1]]
    for k in range(1, n):
        columns.append(ops.minimum(columns[-1], z[:, k : k + 1]))
    between = [
        ops.sigmoid(a) * ops.sigmoid(-b) * ops.tanh((a - b) * 0.5) * (ops.exp(b - a) + 1.0)
        for a, b in itertools.pairwise(columns)
    ]
    return ops.concatenate([ops.sigmoid(-columns[0]), *between, ops.sigmoid(columns[-1])], axis=-1)


def _log(ops: Any, p: Tensor, n: int) -> Tensor:
    return ops.log(ops.maximum(p, _LEAST))


def _log_odds(ops: Any, p: Tensor, n: int) -> Tensor:
    kept = ops.minimum(ops.maximum(p, _LEAST), 1 - _LEAST)
    return ops.log(kept) - ops.log(-kept + 1.0)


def _second(ops: Any, p: Tensor, n: int) -> Tensor:
    return _log_odds(ops, p[:, 1:2], n)


def _above(ops: Any, p: Tensor, n: int) -> Tensor:
    return _log_odds(ops, ops.matmul(p, _like(p, np.tril(np.ones((n, n)), -1)[:, :-1])), n)


_PROBABILITIES: dict[str, Callable[[Any, Tensor, int], Tensor]] = {
    "softmax": _softmax,
    "cumulative": _falling,
    "sigmoid": _both,
    "sigmoids": _sigmoids,
}
_LOGITS: dict[str, Callable[[Any, Tensor, int], Tensor]] = {
    "softmax": _log,
    "cumulative": _above,
    "sigmoid": _second,
    "sigmoids": _log_odds,
}
