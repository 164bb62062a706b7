"""Inside a Keras network: its operations in order, nested networks opened, and the maps that they pass on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.models import load_keras

Tensor = Any
Tap = Callable[[Any, Tensor], Tensor]
"""Is shown every operation with its output, and gives what goes on in its place."""

_MAKE_MAPS = {"Activation", "Add", "BatchNormalization", "Conv2D", "DepthwiseConv2D", "ReLU"}
_READ_FEATURES = {"Dense", "Dropout"}


@dataclass(frozen=True)
class Step:
    """An operation of a network, and the shape of its output without the batch."""

    operation: Any
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.operation).__name__


def walk(network: Any, images: Tensor, tap: Tap) -> Tensor:
    """Compute a functional network as it is in use, showing each operation's output to `tap`."""
    keras = load_keras()

    def of(operation: Any) -> Callable[..., Tensor]:
        if isinstance(operation, keras.Model):
            return lambda value, **_: walk(operation, value, tap)
        return lambda *args, **options: tap(operation, operation(*args, **options))

    # The walk over the graph is Keras' own; only what is done at each node differs.
    outputs = network._run_through_graph([images], operation_fn=of)
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def steps(network: Any) -> list[Step]:
    """List the operations of a network in the order they are computed."""
    keras, found = load_keras(), []

    def note(operation: Any, out: Tensor) -> Tensor:
        found.append(Step(operation, tuple(out.shape[1:])))
        return out

    walk(network, keras.ops.zeros((1, *network.input_shape[1:])), note)
    return found


def last_maps(network: Any) -> Step | None:
    """Find the last operation that makes maps (h, w, F), before any pooling of them; None where none does."""
    makes = [step for step in steps(network) if step.kind in _MAKE_MAPS and len(step.shape) == 3]
    return makes[-1] if makes else None


@dataclass(frozen=True)
class LinearEnd:
    """The end of a network whose logits are a linear function of averaged maps: the operation whose output (h, w, F)
    is averaged, and the `kernel` (F, K) and `bias` (K,) that follow."""

    maps: Any
    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]


def linear_end(network: Any) -> LinearEnd | None:
    """Give the end of a network if it is a global average and one dense layer without an activation, else None."""
    found = steps(network)
    at = [i for i, step in enumerate(found) if step.kind == "GlobalAveragePooling2D"]
    if not at or at[-1] == 0:
        return None
    before, after = found[at[-1] - 1], found[at[-1] + 1 :]
    dense = [step.operation for step in after if step.kind == "Dense"]
    linear = len(dense) == 1 and getattr(dense[0].activation, "__name__", "") == "linear"
    if not linear or any(step.kind not in _READ_FEATURES for step in after) or len(before.shape) != 3:
        return None
    kernel, bias = (
        np.asarray(load_keras().ops.convert_to_numpy(w), np.float64) for w in (dense[0].kernel, dense[0].bias)
    )
    return LinearEnd(before.operation, kernel, bias)


def _numpy(weights: Any) -> NDArray[np.float64]:
    return np.asarray(load_keras().ops.convert_to_numpy(weights), np.float64)
