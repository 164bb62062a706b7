"""The training half of each task, the last layer and its targets, in one table keyed by its `head`; and the losses.

B images, C labels, K logits. Losses take y (B, C) in [0, 1] and logits (B, K), and give (B,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import RecipeError, UnknownNameError
from penlight.models.backend import load_keras
from penlight.recipes import Loss
from penlight.tasks import KnownLabels, Task

Tensor = Any
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """What a head does: `layers` makes logits (B, K) of features (B, F); `targets` says what each logit is to learn,
    (B, C) -> (B, K); `exclusive` logits share one softmax, others have a sigmoid each."""

    layers: Callable[[Tensor, Task], Tensor]
    targets: Callable[[Tensor], Tensor]
    exclusive: bool = False


def _dense(features: Tensor, task: Task) -> Tensor:
    return load_keras().layers.Dense(task.n_logits, name="logits", dtype="float32")(features)


def _falling(features: Tensor, task: Task) -> Tensor:
    """Cumulative logits that fall from grade to grade by construction: the first is free, each step is positive."""
    keras = load_keras()
    raw = keras.layers.Dense(task.n_logits, name="steps", dtype="float32")(features)
    first, steps = raw[:, :1], keras.ops.softplus(raw[:, 1:])
    return keras.ops.concatenate([first, first - keras.ops.cumsum(steps, axis=1)], axis=1)


def _above(y: Tensor) -> Tensor:
    """Say for each step whether the grade is above it (Frank and Hall 2001; Niu et al. 2016)."""
    ops = load_keras().ops
    return ops.flip(ops.cumsum(ops.flip(y, axis=1), axis=1), axis=1)[:, 1:]


HEADS: dict[str, Head] = {
    "softmax": Head(_dense, lambda y: y, exclusive=True),
    "cumulative": Head(_falling, _above),
    "sigmoid": Head(_dense, lambda y: y[:, 1:]),
    "sigmoids": Head(_dense, lambda y: y),
}


def register_head(name: str, head: Head) -> None:
    """Make the head of a task known. That of an installed package is found by an entry point of the group
    "penlight.heads", whose name is the head's."""
    HEADS[name] = head


def find_head(name: str) -> Head:
    """Find a head by the name that a task gives it, also among those of installed packages. UnknownNameError."""
    if name not in HEADS:
        from importlib.metadata import entry_points

        for point in entry_points(group="penlight.heads", name=name):
            register_head(name, point.load())
    if name not in HEADS:
        raise UnknownNameError("head", name, HEADS)
    return HEADS[name]


UNKNOWN_TARGET = -1.0
"""What stands among targets (B, C) for a label that is not known; see `of_known_labels`."""

_SURELY_ABSENT = -30.0


def of_known_labels(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a loss of truth and logits (B, C) one that leaves out labels whose truth is UNKNOWN_TARGET.

    It sees them as absent, and as called absent beyond doubt: that adds nothing, and no slope reaches the network.
    So a loss that anybody wrote for a sigmoid per label is masked, without knowing of masks.
    """

    def masked(y: Tensor, logits: Tensor) -> Tensor:
        ops = load_keras().ops
        known = y >= 0
        return loss(ops.where(known, y, 0.0), ops.where(known, logits, _SURELY_ABSENT))

    return masked


def make_loss(
    head: str, options: Loss, y_train: NDArray[np.uint8], known: KnownLabels = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """Make the loss of a head: (B, C) truth in [0, 1] and (B, K) logits to (B,), the mean over sigmoid logits.

    `y_train` (N, C) is what positive weights are counted on, as far as it is `known`. RecipeError for a loss that the
    head does not have.
    """
    table = find_head(head)
    kinds = _EXCLUSIVE if table.exclusive else _SIGMOID
    if options.kind not in kinds:
        raise RecipeError(
            f"The {options.kind} loss is not for tasks "
            f"{'with one label per image' if table.exclusive else 'with a sigmoid per label'}, as this one.",
            f"Choose --set train.loss.kind={' or '.join(kinds)}.",
        )
    targets = load_keras().ops.convert_to_numpy(table.targets(y_train.astype(np.float32)))
    weight = positive_weights(targets, options.positive_weight, exclusive=table.exclusive, known=known)
    value = kinds[options.kind]
    return lambda y, logits: value(table.targets(y), logits, weight, options)


def positive_weights(
    targets: NDArray[np.floating], kind: str, *, exclusive: bool, known: KnownLabels = None
) -> Floats:
    """Weigh the positives of each logit, (K,): 1 with "none".

    With "balanced" the positives of a label weigh as much as its negatives, or, of exclusive labels, all classes
    weigh alike; "sqrt" is the square root of that, gentler on rare labels. Negatives keep weight 1, so an image
    without findings keeps its weight too. A label without positives has weight 1.
    """
    positives = np.maximum(targets.sum(axis=0), 1)
    n = len(targets) if known is None else known.sum(axis=0)
    full = n / (targets.shape[1] * positives) if exclusive else np.maximum(n - positives, 1) / positives
    exponent = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind]
    return np.asarray(np.where(targets.sum(axis=0) > 0, full**exponent, 1), np.float32)


_LEAST = 1e-7
"""What is raised to a power below 1 is at least this: the slope of such a power at 0 is infinite."""


def _cross_entropy(t: Tensor, logits: Tensor, weight: Floats, options: Loss) -> Tensor:
    ops = load_keras().ops
    return ops.mean(weight * t * ops.softplus(-logits) + (1 - t) * ops.softplus(logits), axis=-1)


def _focal(t: Tensor, logits: Tensor, weight: Floats, options: Loss) -> Tensor:
    """Lin et al., Focal Loss for Dense Object Detection (2017), equation 4."""
    ops = load_keras().ops
    # Powers of probabilities by their logarithms, whose slope is finite where a probability is 0 and gamma below 1.
    to_positive, to_negative = ops.softplus(-logits), ops.softplus(logits)
    positive = weight * t * ops.exp(-options.gamma * to_negative) * to_positive
    return ops.mean(positive + (1 - t) * ops.exp(-options.gamma * to_positive) * to_negative, axis=-1)


def _asymmetric(t: Tensor, logits: Tensor, weight: Floats, options: Loss) -> Tensor:
    """Ridnik et al., Asymmetric Loss for Multi-Label Classification (2021), equations 4 to 7: negatives are focused
    with `gamma` and shifted by `margin`, positives are not focused."""
    ops = load_keras().ops
    shifted = ops.maximum(ops.sigmoid(logits) - options.margin, _LEAST)
    negative = -(shifted**options.gamma) * ops.log(1 - shifted + 1e-7)
    return ops.mean(weight * t * ops.softplus(-logits) + (1 - t) * negative, axis=-1)


def _softmax_cross_entropy(t: Tensor, logits: Tensor, weight: Floats, options: Loss) -> Tensor:
    ops = load_keras().ops
    return -ops.sum(weight * t * ops.log_softmax(logits, axis=-1), axis=-1)


def _softmax_focal(t: Tensor, logits: Tensor, weight: Floats, options: Loss) -> Tensor:
    ops = load_keras().ops
    log_p = ops.log_softmax(logits, axis=-1)
    return -ops.sum(weight * t * ops.maximum(1 - ops.exp(log_p), _LEAST) ** options.gamma * log_p, axis=-1)


_Value = Callable[[Tensor, Tensor, Floats, Loss], Tensor]
_SIGMOID: dict[str, _Value] = {"cross-entropy": _cross_entropy, "focal": _focal, "asymmetric": _asymmetric}
_EXCLUSIVE: dict[str, _Value] = {"cross-entropy": _softmax_cross_entropy, "focal": _softmax_focal}
