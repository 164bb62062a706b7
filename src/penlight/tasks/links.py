"""Link functions: how K logits become C probabilities, in NumPy and in a model's file, and back.

N images, C labels, K logits. In a file `ops` is `keras.ops`, or the ONNX graph, which has functions of the same
names; `in_graph` and `logits_in_graph` say what `probabilities` and `logits` say in NumPy, in a form that keeps its
digits in 32 bits. Tests hold them together.

The evidence for a label is the log-odds of its probability before calibration: of one class or grade against all
others, of a finding against its absence. Every explanation is of this number; `columns` (N,) says which of the C
labels is asked of each image.
"""

import itertools
from abc import ABC, abstractmethod
from typing import Any, ClassVar

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


class Link(ABC):
    """A link function. A task names the one that its logits are read by."""

    temperature_divides_logits: ClassVar[bool] = True
    """Whether dividing log-probabilities, or log-odds, by a temperature is dividing the logits."""

    def n_logits(self, n_labels: int) -> int:
        """K: one logit for each label."""
        return n_labels

    @abstractmethod
    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Turn logits (N, K) into probabilities (N, C)."""

    @abstractmethod
    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Turn probabilities (N, C) into the logits (N, K) that give them."""

    @abstractmethod
    def in_graph(self, ops: Any, logits: Tensor, n_logits: int) -> Tensor:
        """Compute `probabilities` with the operations of a model's file."""

    @abstractmethod
    def logits_in_graph(self, ops: Any, prob: Tensor, n_labels: int) -> Tensor:
        """Compute `logits` with the operations of a model's file."""

    def evidence(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """Give the log-odds of each image's label, (N,); finite for finite logits."""
        prob, rows = self.probabilities(logits), np.arange(len(columns))
        others = np.where(np.arange(prob.shape[1]) == np.asarray(columns)[:, None], 0, prob).sum(axis=1)
        out: Floats = np.log(np.maximum(prob[rows, columns], _TINY)) - np.log(np.maximum(others, _TINY))
        return out

    @abstractmethod
    def slopes(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """Give the derivative of `evidence` by each logit, (N, K)."""

    def contrasts(self, columns: Columns, n_logits: int) -> Floats | None:
        """Give the fixed weights (N, K) of the logits whose sum speaks for each image's label: a finding's own logit;
        of classes, the logit less the mean of the others'. None where no fixed sum does, as for grades between two
        steps."""
        return None


class Softmax(Link):
    """One logit for each of the classes that exclude one another."""

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Softmax over the classes."""
        return softmax(logits)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-probabilities."""
        return log_probability(prob)

    def in_graph(self, ops: Any, logits: Tensor, n_logits: int) -> Tensor:
        """See `Link.in_graph`."""
        return ops.softmax(logits, axis=-1)

    def logits_in_graph(self, ops: Any, prob: Tensor, n_labels: int) -> Tensor:
        """See `Link.logits_in_graph`."""
        return ops.log(ops.maximum(prob, _EPSILON))

    def slopes(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """1 for the label's own logit, less the share of each other in the rest."""
        own = np.eye(logits.shape[1], dtype=bool)[columns]
        return np.where(own, 1.0, -softmax(np.where(own, -np.inf, logits)))

    def contrasts(self, columns: Columns, n_logits: int) -> Floats:
        """The logit less the mean of the others'."""
        own = np.eye(n_logits)[columns]
        return own - (1 - own) / max(1, n_logits - 1)


class Cumulative(Link):
    """C - 1 logits of ordered grades; logit k is the log-odds of a grade above k."""

    temperature_divides_logits: ClassVar[bool] = False

    def n_logits(self, n_labels: int) -> int:
        """One per step from a grade to the next."""
        return n_labels - 1

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Differences of cumulative probabilities; of logits that rise, the lowest so far is taken."""
        falling = np.minimum.accumulate(np.asarray(logits, np.float64), axis=1)
        above = np.pad(sigmoid(falling), ((0, 0), (1, 0)), constant_values=1.0)
        not_above = np.pad(sigmoid(-falling), ((0, 0), (0, 1)), constant_values=1.0)
        # P(y = k) = P(y > k-1) - P(y > k); the smaller pair of complements keeps digits in both tails.
        return np.where(
            above <= not_above,
            above - np.pad(above[:, 1:], ((0, 0), (0, 1))),
            not_above - np.pad(not_above[:, :-1], ((0, 0), (1, 0))),
        )

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-odds of a grade above k, for k from 0 to C-2."""
        above = np.cumsum(np.asarray(prob, np.float64)[:, ::-1], axis=1)[:, ::-1]
        return logit(above[:, 1:])

    def in_graph(self, ops: Any, logits: Tensor, n_logits: int) -> Tensor:
        """Keep the digits of small differences in 32 bits: s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), and
        1 - exp(-d) = tanh(d / 2) (1 + exp(-d))."""
        columns = [logits[:, 0:1]]
        for k in range(1, n_logits):
            columns.append(ops.minimum(columns[-1], logits[:, k : k + 1]))
        between = [
            ops.sigmoid(a) * ops.sigmoid(-b) * ops.tanh((a - b) * 0.5) * (ops.exp(b - a) + 1.0)
            for a, b in itertools.pairwise(columns)
        ]
        return ops.concatenate([ops.sigmoid(-columns[0]), *between, ops.sigmoid(columns[-1])], axis=-1)

    def logits_in_graph(self, ops: Any, prob: Tensor, n_labels: int) -> Tensor:
        """See `Link.logits_in_graph`."""
        sums = np.tril(np.ones((n_labels, n_labels)), -1)[:, :-1]
        return _logit_in_graph(ops, ops.matmul(prob, np.asarray(sums, prob.dtype)))

    def slopes(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """P = s(a) - s(b), with a and b the logits of the steps below and above the grade; each end has only one."""
        logits, columns = np.asarray(logits, np.float64), np.asarray(columns)
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


class Sigmoid(Link):
    """One logit of two classes: the log-odds of the second."""

    def n_logits(self, n_labels: int) -> int:
        """One, for the second class."""
        return 1

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Sigmoid of the one logit, and its complement in the first column."""
        z = np.asarray(logits, np.float64).reshape(len(logits), 1)
        return np.concatenate([sigmoid(-z), sigmoid(z)], axis=1)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-odds of the second column."""
        return logit(prob[:, 1:])

    def in_graph(self, ops: Any, logits: Tensor, n_logits: int) -> Tensor:
        """See `Link.in_graph`."""
        return ops.concatenate([ops.sigmoid(-logits), ops.sigmoid(logits)], axis=-1)

    def logits_in_graph(self, ops: Any, prob: Tensor, n_labels: int) -> Tensor:
        """See `Link.logits_in_graph`."""
        return _logit_in_graph(ops, prob[:, 1:2])

    def slopes(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """1 for the second class, -1 for the first."""
        return self.contrasts(columns, 1)

    def contrasts(self, columns: Columns, n_logits: int) -> Floats:
        """The logit speaks for the second class, and against the first."""
        return np.where(np.asarray(columns) == 1, 1.0, -1.0)[:, None]


class Sigmoids(Link):
    """One logit for each of the findings, which do not exclude one another: its log-odds."""

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Sigmoid of each logit."""
        return sigmoid(logits)

    def logits(self, prob: NDArray[np.floating]) -> Floats:
        """Log-odds of each probability."""
        return logit(prob)

    def in_graph(self, ops: Any, logits: Tensor, n_logits: int) -> Tensor:
        """See `Link.in_graph`."""
        return ops.sigmoid(logits)

    def logits_in_graph(self, ops: Any, prob: Tensor, n_labels: int) -> Tensor:
        """See `Link.logits_in_graph`."""
        return _logit_in_graph(ops, prob)

    def evidence(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """The finding's own logit."""
        return np.asarray(logits, np.float64)[np.arange(len(columns)), columns]

    def slopes(self, logits: NDArray[np.floating], columns: Columns) -> Floats:
        """1 for the finding's own logit."""
        return self.contrasts(columns, logits.shape[1])

    def contrasts(self, columns: Columns, n_logits: int) -> Floats:
        """The finding's own logit."""
        return np.eye(n_logits)[columns]


def _logit_in_graph(ops: Any, p: Tensor) -> Tensor:
    inside = ops.minimum(ops.maximum(p, _EPSILON), 1 - _EPSILON)
    return ops.log(inside) - ops.log(-inside + 1.0)


LINKS: dict[str, Link] = {
    "softmax": Softmax(),
    "cumulative": Cumulative(),
    "sigmoid": Sigmoid(),
    "sigmoids": Sigmoids(),
}
"""Link functions by the name of the head whose logits they read."""
