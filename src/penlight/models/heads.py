"""The training half of each task: the last layer and the loss, in one table keyed by the task's `head`.

B images, C labels, K logits. Losses take y (B, C) in [0, 1] and logits (B, K), and give (B,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penlight.models.backend import load_keras
from penlight.tasks import Task

Tensor = Any


@dataclass(frozen=True)
class Head:
    """`layers` makes logits (B, K) of features (B, F); `loss` compares them with the truth, per image."""

    layers: Callable[[Tensor, Task], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


def _dense(features: Tensor, task: Task) -> Tensor:
    return load_keras().layers.Dense(task.n_logits, name="logits")(features)


def _falling(features: Tensor, task: Task) -> Tensor:
    """Cumulative logits that fall from grade to grade by construction: the first is free, each step is positive."""
    keras = load_keras()
    raw = keras.layers.Dense(task.n_logits, name="steps")(features)
    first, steps = raw[:, :1], keras.ops.softplus(raw[:, 1:])
    return keras.ops.concatenate([first, first - keras.ops.cumsum(steps, axis=1)], axis=1)


def _softmax_cross_entropy(y: Tensor, logits: Tensor) -> Tensor:
    ops = load_keras().ops
    return -ops.sum(y * ops.log_softmax(logits, axis=-1), axis=-1)


def _sigmoid_cross_entropy(y: Tensor, logits: Tensor) -> Tensor:
    """Mean over columns of -y log p - (1 - y) log(1 - p), computed from logits without overflow."""
    ops = load_keras().ops
    terms = ops.relu(logits) - logits * y + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.mean(terms, axis=-1)


def _positive_cross_entropy(y: Tensor, logits: Tensor) -> Tensor:
    return _sigmoid_cross_entropy(y[:, 1:], logits)


def _cumulative_cross_entropy(y: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of each "above grade k" (Frank and Hall 2001; Niu et al. 2016), mean over the C-1 steps."""
    ops = load_keras().ops
    above = ops.flip(ops.cumsum(ops.flip(y, axis=1), axis=1), axis=1)
    return _sigmoid_cross_entropy(above[:, 1:], logits)


HEADS: dict[str, Head] = {
    "softmax": Head(_dense, _softmax_cross_entropy),
    "cumulative": Head(_falling, _cumulative_cross_entropy),
    "sigmoid": Head(_dense, _positive_cross_entropy),
    "sigmoids": Head(_dense, _sigmoid_cross_entropy),
}
