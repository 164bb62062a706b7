"""From logits to calibrated probabilities: one text for every format.

`ops` is `keras.ops`, or the ONNX graph, which has functions of the same names. Each line says what the calibration
itself says in NumPy; tests hold them together.
"""

from typing import Any

import numpy as np

from penlight.evaluation import Calibration
from penlight.evaluation.calibration import Steps
from penlight.tasks import Task

Tensor = Any


def answers(ops: Any, task: Task, calibration: Calibration, logits: Tensor) -> Tensor:
    """Turn logits (N, K) into calibrated probabilities (N, C)."""
    if calibration.kind == "temperature":
        return _apply_temperature(
            ops, task, logits, np.array(calibration.temperatures), np.array(calibration.intercepts)
        )
    prob = task.link.in_graph(ops, logits, task.n_logits)
    return _mapped(ops, task, prob, calibration.maps) if calibration.kind == "isotonic" else prob


def _apply_temperature(ops: Any, task: Task, logits: Tensor, temperatures: Any, intercepts: Any) -> Tensor:
    """Divide log-probabilities, or log-odds, by the temperature and add the intercept, if any; where these are the
    logits, those of the logits."""
    if (temperatures == 1).all() or task.link.temperature_divides_logits:
        divided = logits / _like(logits, temperatures)
        moved = divided + _like(logits, intercepts) if len(intercepts) else divided
        return task.link.in_graph(ops, moved, task.n_logits)
    prob = task.link.in_graph(ops, logits, task.n_logits)
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
