"""Link functions: how K logits become C probabilities, in NumPy and in a model's file, and back.

N images, C labels, K logits. In a file `ops` is `keras.ops`, or the ONNX graph, which has functions of the same
names; `in_graph` and `logits_in_graph` say what `probabilities` and `logits` say in NumPy, in a form that keeps its
digits in 32 bits. Tests hold them together.

The evidence for a label is the log-odds of its probability before calibration: of one class or grade against all
others, of a finding against its absence. Every explanation is of this number; `columns` (N,) says which of the C
labels is asked of each image.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = Any
Floats = NDArray[np.float64]
Columns = NDArray[np.integer]

# Probabilities are kept this far from 0 and 1 before a logarithm; far below what float32 logits can express.
_EPSILON = 1e-12
_TINY = np.finfo(np.float64).tiny


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Row-wise softmax in float64."""
    z = np.asarray(logits, np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    out: Floats = e / e.sum(axis=1, keepdims=True)
    return out


def sigmoid(logits: NDArray[np.floating]) -> Floats:
    """Elementwise logistic function in float64, without overflow."""
    z = np.asarray(logits, np.float64)
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def logit(prob: NDArray[np.floating]) -> Floats:
    """Inverse of `sigmoid`; probabilities are kept 1e-12 away from 0 and 1."""
    p = np.clip(np.asarray(prob, np.float64), _EPSILON, 1 - _EPSILON)
    out: Floats = np.log(p) - np.log1p(-p)
    return out


def log_probability(prob: NDArray[np.floating]) -> Floats:
    """Natural logarithm of probabilities that are kept at least 1e-12."""
    out: Floats = np.log(np.maximum(np.asarray(prob, np.float64), _EPSILON))
    return out


@dataclass(frozen=True)
class Link:
    """A link function. A task names the one that its logits are read by.

    `probabilities` turns logits (N, K) into probabilities (N, C), and `logits` turns those back; `in_graph` takes
    `ops`, logits and K, `logits_in_graph` takes `ops`, probabilities and C. `slopes`, of logits and columns, is the
    derivative of the evidence by each logit, (N, K). `contrasts`, of columns and K, are fixed weights (N, K) of the
    logits whose sum speaks for each image's label: a finding's own logit; of classes, the logit less the mean of the
    others'. It is None where no fixed sum does, as for grades between two steps. `n_logits` is K by C; `independent`
    says that each logit is the evidence of its label; `temperature_divides_logits` that dividing log-probabilities,
    or log-odds, by a temperature is dividing the logits.
    """

    probabilities: Callable[[NDArray[np.floating]], Floats]
    logits: Callable[[NDArray[np.floating]], Floats]
    in_graph: Callable[[Any, Tensor, int], Tensor]
    logits_in_graph: Callable[[Any, Tensor, int], Tensor]
    slopes: Callable[[NDArray[np.floating], Columns], Floats]
    contrasts: Callable[[Columns, int], Floats] | None = None
    n_logits: Callable[[int], int] = lambda n_labels: n_labels
    independent: bool = False
    temperature_divides_logits: bool = True

    def evidence(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """Give the log-odds of each image's label, (N,); finite for finite logits."""
        rows = np.arange(len(columns))
        if self.independent:
            return np.asarray(logits, np.float64)[rows, columns]
        prob = self.probabilities(logits)
        others = np.where(np.arange(prob.shape[1]) == np.asarray(columns)[:, None], 0, prob).sum(axis=1)
        out: Floats = np.log(np.maximum(prob[rows, columns], _TINY)) - np.log(np.maximum(others, _TINY))
        return out


def _own(columns: Columns, n_logits: int) -> Floats:
    return np.eye(n_logits)[columns]


def _against_mean(columns: Columns, n_logits: int) -> Floats:
    own = _own(columns, n_logits)
    return own - (1 - own) / max(1, n_logits - 1)


def _for_or_against(columns: Columns, n_logits: int) -> Floats:
    """Of two classes, the one logit speaks for the second."""
    return np.where(np.asarray(columns) == 1, 1.0, -1.0)[:, None]


def _against_others(logits: NDArray[np.floating], columns: Columns) -> Floats:
    own = np.eye(logits.shape[1], dtype=bool)[columns]
    return np.where(own, 1.0, -softmax(np.where(own, -np.inf, logits)))


def _logit_in_graph(ops: Any, p: Tensor, n_labels: int) -> Tensor:
    inside = ops.minimum(ops.maximum(p, _EPSILON), 1 - _EPSILON)
    return ops.log(inside) - ops.log(-inside + 1.0)


def _both(logits: NDArray[np.floating]) -> Floats:
    z = np.asarray(logits, np.float64).reshape(len(logits), 1)
    return np.concatenate([sigmoid(-z), sigmoid(z)], axis=1)


def _falling(logits: NDArray[np.floating]) -> Floats:
    """Where cumulative logits rise from step to step, the lowest so far counts."""
    return np.minimum.accumulate(np.asarray(logits, np.float64), axis=1)


def _differences(logits: NDArray[np.floating]) -> Floats:
    falling = _falling(logits)
    above = np.pad(sigmoid(falling), ((0, 0), (1, 0)), constant_values=1.0)
    not_above = np.pad(sigmoid(-falling), ((0, 0), (0, 1)), constant_values=1.0)
    # P(y = k) = P(y > k-1) - P(y > k); the smaller pair of complements keeps digits in both tails.
    return np.where(
        above <= not_above,
        above - np.pad(above[:, 1:], ((0, 0), (0, 1))),
        not_above - np.pad(not_above[:, :-1], ((0, 0), (1, 0))),
    )


def _steps(prob: NDArray[np.floating]) -> Floats:
    above = np.cumsum(np.asarray(prob, np.float64)[:, ::-1], axis=1)[:, ::-1]
    return logit(above[:, 1:])


def _differences_in_graph(ops: Any, z: Tensor, n_logits: int) -> Tensor:
    """Keep the digits of small differences in 32 bits: s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), and
    1 - exp(-d) = tanh(d / 2) (1 + exp(-d))."""
    columns = [z[:, 0:1]]
    for k in range(1, n_logits):
        columns.append(ops.minimum(columns[-1], z[:, k : k + 1]))
    between = [
        ops.sigmoid(a) * ops.sigmoid(-b) * ops.tanh((a - b) * 0.5) * (ops.exp(b - a) + 1.0)
        for a, b in itertools.pairwise(columns)
    ]
    return ops.concatenate([ops.sigmoid(-columns[0]), *between, ops.sigmoid(columns[-1])], axis=-1)


def _steps_in_graph(ops: Any, p: Tensor, n_labels: int) -> Tensor:
    sums = np.tril(np.ones((n_labels, n_labels)), -1)[:, :-1]
    return _logit_in_graph(ops, ops.matmul(p, np.asarray(sums, p.dtype)), n_labels)


def _between(logits: NDArray[np.floating], columns: Columns) -> Floats:
    """P = s(a) - s(b), with a and b the logits of the steps below and above the grade; each end has only one step."""
    rows, columns, falling = np.arange(len(columns)), np.asarray(columns), _falling(logits)
    steps = np.pad(sigmoid(falling) * sigmoid(-falling), ((0, 0), (1, 1)))
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


SOFTMAX = Link(
    probabilities=softmax,
    logits=log_probability,
    in_graph=lambda ops, z, n: ops.softmax(z, axis=-1),
    logits_in_graph=lambda ops, p, n: ops.log(ops.maximum(p, _EPSILON)),
    slopes=_against_others,
    contrasts=_against_mean,
)
"""One logit for each of the classes, which exclude one another."""

CUMULATIVE = Link(
    probabilities=_differences,
    logits=_steps,
    in_graph=_differences_in_graph,
    logits_in_graph=_steps_in_graph,
    slopes=_between,
    n_logits=lambda n_labels: n_labels - 1,
    temperature_divides_logits=False,
)
"""C - 1 logits of ordered grades; logit k is the log-odds of a grade above k."""

SIGMOID = Link(
    probabilities=_both,
    logits=lambda prob: logit(prob[:, 1:]),
    in_graph=lambda ops, z, n: ops.concatenate([ops.sigmoid(-z), ops.sigmoid(z)], axis=-1),
    logits_in_graph=lambda ops, p, n: _logit_in_graph(ops, p[:, 1:2], n),
    slopes=lambda logits, columns: _for_or_against(columns, 1),
    contrasts=_for_or_against,
    n_logits=lambda n_labels: 1,
)
"""One logit of two classes: the log-odds of the second."""

SIGMOIDS = Link(
    probabilities=sigmoid,
    logits=logit,
    in_graph=lambda ops, z, n: ops.sigmoid(z),
    logits_in_graph=_logit_in_graph,
    slopes=lambda logits, columns: _own(columns, logits.shape[1]),
    contrasts=_own,
    independent=True,
)
"""One logit for each of the findings, which do not exclude one another: its log-odds."""
