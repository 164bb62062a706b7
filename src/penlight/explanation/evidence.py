"""How much speaks for a label: one number of the logits, and its slope. Every method explains this number.

It is the log-odds of the label's probability before calibration: of one class or grade against all others, of a
finding against its absence. N images, K logits; `columns` (N,) says which of the C labels is asked of each image.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penlight.tasks import Task
from penlight.tasks.base import sigmoid, softmax

Floats = NDArray[np.float64]
Columns = NDArray[np.integer]

_TINY = np.finfo(np.float64).tiny


def evidence(task: Task, logits: NDArray[np.floating], columns: Columns) -> Floats:
    """Give the log-odds of each image's label, (N,); finite for finite logits."""
    rows = np.arange(len(columns))
    if not task.exclusive:
        return np.asarray(logits, np.float64)[rows, columns]
    prob = task.probabilities(logits)
    own = prob[rows, columns]
    others = np.where(np.arange(prob.shape[1]) == np.asarray(columns)[:, None], 0, prob).sum(axis=1)
    out: Floats = np.log(np.maximum(own, _TINY)) - np.log(np.maximum(others, _TINY))
    return out


def slopes(task: Task, logits: NDArray[np.floating], columns: Columns) -> Floats:
    """Give the derivative of `evidence` by each logit, (N, K)."""
    return _SLOPES[task.head](np.asarray(logits, np.float64), np.asarray(columns))


def contrasts(task: Task, columns: Columns) -> Floats | None:
    """Give the fixed weights (N, K) of the logits whose sum speaks for each image's label: a finding's own logit; of
    classes, the logit less the mean of the others'. None where no fixed sum does, as for grades between two steps."""
    make = _CONTRASTS.get(task.head)
    return None if make is None else make(np.asarray(columns), task.n_logits)


def _own(columns: Columns, n: int) -> Floats:
    return np.eye(n)[columns]


def _against_mean(columns: Columns, n: int) -> Floats:
    own = np.eye(n)[columns]
    return own - (1 - own) / max(1, n - 1)


def _for_or_against(columns: Columns, n: int) -> Floats:
    """Of two classes, the one logit speaks for the second."""
    return np.where(columns == 1, 1.0, -1.0)[:, None]


def _against_others(logits: Floats, columns: Columns) -> Floats:
    own = np.eye(logits.shape[1], dtype=bool)[columns]
    return np.where(own, 1.0, -softmax(np.where(own, -np.inf, logits)))


def _between(logits: Floats, columns: Columns) -> Floats:
    """P = s(a) - s(b), with a and b the logits of the steps below and above the grade; each end has only one step."""
    rows = np.arange(len(columns))
    falling = np.minimum.accumulate(logits, axis=1)
    step = sigmoid(falling) * sigmoid(-falling)
    steps = np.pad(step, ((0, 0), (1, 1)))
    above = np.pad(sigmoid(falling), ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    below = np.pad(sigmoid(-falling), ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1)))
    a, b = columns, columns + 1
    others = below[rows, a] + above[rows, b]
    own = np.minimum(above[rows, a] - above[rows, b], below[rows, b] - below[rows, a])
    scale = 1 / np.maximum(own * others, _TINY)
    out = np.zeros((len(columns), logits.shape[1] + 2))
    out[rows, a] = steps[rows, a] * scale
    out[rows, b] = -steps[rows, b] * scale
    return out[:, 1:-1]


_SLOPES: dict[str, Callable[[Floats, Columns], Floats]] = {
    "softmax": _against_others,
    "cumulative": _between,
    "sigmoid": lambda logits, columns: _for_or_against(columns, 1),
    "sigmoids": lambda logits, columns: _own(columns, logits.shape[1]),
}
_CONTRASTS: dict[str, Callable[[Columns, int], Floats]] = {
    "softmax": _against_mean,
    "sigmoid": _for_or_against,
    "sigmoids": _own,
}
