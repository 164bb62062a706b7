"""Maps from inside a Keras network, whose operations are walked in order, nested networks opened.

Class activation maps: Zhou et al., Learning Deep Features for Discriminative Localization (2016). Grad-CAM: Selvaraju
et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (2017). HiResCAM: Draelos and
Carin, Use HiResCAM instead of Grad-CAM for faithful explanations (2020). Gradients for explanations are taken here
alone, by one small function per backend.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import at_once
from penlight.explanation.maps import Floats, Images, Subject
from penlight.models import load_keras
from penlight.models.backend import graph_of
from penlight.tasks.links import SIGMOIDS, SOFTMAX, Columns

Tensor = Any
Tap = Callable[[Any, Tensor], Tensor]
"""Is shown every operation with its output, and gives what goes on in its place."""

ValueOf = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From what is added to the maps (B, h, w, F) to the sum that is derived, and the maps themselves."""

_MAKE_MAPS = {"Activation", "Add", "BatchNormalization", "Conv2D", "DepthwiseConv2D", "ReLU"}
_READ_FEATURES = {"Dense", "Dropout"}

_BATCH = 32
# Of large images a batch has so many pixels at most, since the maps of all layers are held.
_PIXELS = 2**18


@dataclass(frozen=True)
class Step:
    """An operation of a network, and the shape of its output without the batch."""

    operation: Any
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.operation).__name__


@dataclass(frozen=True)
class LinearEnd:
    """The end of a network whose logits are a linear function of averaged maps: the operation whose output (h, w, F)
    is averaged, and the `kernel` (F, K) and `bias` (K,) that follow."""

    maps: Any
    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]


def walk(network: Any, images: Tensor, tap: Tap) -> Tensor:
    """Compute a functional network as it is in use, showing each operation's output to `tap`."""

    def of(operation: Any) -> Callable[..., Tensor]:
        if (inner := graph_of(operation)) is not None:
            return lambda value, **_: walk(inner, value, tap)
        return lambda *args, **options: tap(operation, operation(*args, **options))

    # The walk over the graph is Keras' own; only what is done at each node differs.
    outputs = network._run_through_graph([images], operation_fn=of)
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def _steps(network: Any) -> list[Step]:
    """List the operations of a network in the order they are computed."""
    found: list[Step] = []

    def note(operation: Any, out: Tensor) -> Tensor:
        found.append(Step(operation, tuple(out.shape[1:])))
        return out

    walk(network, load_keras().ops.zeros((1, *network.input_shape[1:])), note)
    return found


def last_maps(network: Any) -> Step | None:
    """Find the last operation that makes maps (h, w, F), before any pooling of them; None where none does."""
    makes = [step for step in _steps(network) if step.kind in _MAKE_MAPS and len(step.shape) == 3]
    return makes[-1] if makes else None


def linear_end(network: Any) -> LinearEnd | None:
    """Give the end of a network if it is a global average and one dense layer without an activation, else None."""
    found = _steps(network)
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


def has_linear_end(subject: Subject) -> bool:
    """Say whether the logits are a linear function of averaged maps, and a fixed sum of them speaks for a label."""
    return subject.class_maps is not None or (
        subject.network is not None
        and subject.task.link.contrasts is not None
        and linear_end(subject.network) is not None
    )


def has_maps(subject: Subject) -> bool:
    """Say whether there is a network with maps."""
    return subject.network is not None and last_maps(subject.network) is not None


def cam(subject: Subject, images: Images, columns: Columns) -> Floats:
    """Give (N, h, w): the exact share of each place of the last maps in what the logits say for a label.

    The mean of a map, with what the bias adds, is `contrasts` applied to the logits.
    """
    if subject.class_maps is not None:
        # Of each label, whatever the logits are: log-odds of findings, log-probabilities of classes and of grades.
        link = SOFTMAX if subject.task.exclusive else SIGMOIDS
        assert link.contrasts is not None
        own = link.contrasts(columns, len(subject.task.labels))
        return np.asarray(np.einsum("nhwc,nc->nhw", subject.class_maps(images), own))
    end, contrasts = linear_end(subject.network), subject.task.link.contrasts
    if end is None or contrasts is None:
        raise ValueError("CAM was asked of a network that does not end in a global average and a dense layer.")
    maps = np.concatenate([_maps(subject.network, end.maps, images[cut]) for cut in _batches(images)])
    of_label = end.kernel @ contrasts(columns, subject.task.n_logits).T
    out: Floats = np.einsum("nhwf,fn->nhw", maps, of_label)
    return out


def gradcam(subject: Subject, images: Images, columns: Columns) -> Floats:
    """Give (N, h, w): the last maps summed by how much each, on average over its places, raises the evidence for a
    label; equations 1 and 2 of the paper, whose score is here the label's log-odds."""
    maps, gradients = _maps_and_gradients(subject, images, columns)
    out: Floats = np.maximum(np.einsum("nhwf,nf->nhw", maps, gradients.mean(axis=(1, 2))), 0)
    return out


def hirescam(subject: Subject, images: Images, columns: Columns) -> Floats:
    """Give (N, h, w): the last maps summed by how much each raises the evidence at that very place.

    Where the maps are averaged this is Grad-CAM; where a dense layer reads each place by its own weights, averaging
    the gradients first would lose the places.
    """
    maps, gradients = _maps_and_gradients(subject, images, columns)
    out: Floats = np.maximum(np.einsum("nhwf,nhwf->nhw", maps, gradients), 0)
    return out


def _batches(images: Images) -> list[slice]:
    batch = at_once(images.shape, _BATCH, _PIXELS)
    return [slice(start, start + batch) for start in range(0, len(images), batch)]


def _maps(network: Any, operation: Any, images: Images) -> Floats:
    keras, seen = load_keras(), []

    def keep(at: Any, out: Tensor) -> Tensor:
        if at is operation:
            seen.append(np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(out, "float32")), np.float64))
        return out

    walk(network, keras.ops.convert_to_tensor(images.astype(np.float32)), keep)
    return seen[0]


def _maps_and_gradients(subject: Subject, images: Images, columns: Columns) -> tuple[Floats, Floats]:
    """Give the last maps (N, h, w, F), and the gradient of the evidence by them."""
    at = last_maps(subject.network)
    if at is None:
        raise ValueError("Gradients by maps were asked of a network without maps.")
    slope = subject.task.link.slopes(subject.logits(images), columns).astype(np.float32)
    parts = [_of_batch(subject.network, at, images[cut], slope[cut]) for cut in _batches(images)]
    maps, gradients = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    return maps, gradients


def _of_batch(network: Any, at: Step, images: Images, slope: NDArray[np.float32]) -> tuple[Any, Any]:
    ops = load_keras().ops
    inputs = ops.convert_to_tensor(images.astype(np.float32))

    def value_of(added: Tensor) -> tuple[Tensor, Tensor]:
        seen = []

        def tap(operation: Any, out: Tensor) -> Tensor:
            if operation is not at.operation:
                return out
            seen.append(out)
            return out + ops.cast(added, out.dtype)

        logits = walk(network, inputs, tap)
        return ops.sum(ops.cast(logits, "float32") * slope), ops.cast(seen[0], "float32")

    gradient = GRADIENTS[load_keras().backend.backend()]
    return gradient(value_of, ops.zeros((len(images), *at.shape)))


def _tensorflow(value_of: ValueOf, added: Tensor) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(added)
        value, maps = value_of(added)
    return maps.numpy(), tape.gradient(value, added).numpy()


def _jax(value_of: ValueOf, added: Tensor) -> tuple[Any, Any]:
    import jax

    (_, maps), gradient = jax.value_and_grad(value_of, has_aux=True)(added)
    return np.asarray(maps), np.asarray(gradient)


GRADIENTS: dict[str, Callable[[ValueOf, Tensor], tuple[Any, Any]]] = {"tensorflow": _tensorflow, "jax": _jax}
