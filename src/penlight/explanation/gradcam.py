"""Grad-CAM (Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, 2017)
and HiResCAM (Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations, 2020).

This is the one place that takes gradients for explanations: one small function per backend.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import at_once
from penlight.explanation.networks import Step, last_maps, walk
from penlight.explanation.subject import Subject
from penlight.models import load_keras
from penlight.tasks.links import Columns

Tensor = Any
Floats = NDArray[np.float64]

_BATCH = 32
# Of large images a batch has so many pixels at most, since the maps of all layers are held.
_PIXELS = 2**18

ValueOf = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From what is added to the maps (B, h, w, F) to the sum that is derived, and the maps themselves."""


def fits(subject: Subject) -> bool:
    """Say whether there is a network with maps."""
    return subject.network is not None and last_maps(subject.network) is not None


def gradcam(subject: Subject, images: NDArray[np.uint8], columns: Columns) -> Floats:
    """Give (N, h, w): the last maps summed by how much each, on average over its places, raises the evidence for a
    label; equations 1 and 2 of the paper, whose score is here the label's log-odds."""
    maps, gradients = _maps_and_gradients(subject, images, columns)
    out: Floats = np.maximum(np.einsum("nhwf,nf->nhw", maps, gradients.mean(axis=(1, 2))), 0)
    return out


def hirescam(subject: Subject, images: NDArray[np.uint8], columns: Columns) -> Floats:
    """Give (N, h, w): the last maps summed by how much each raises the evidence at that very place.

    Where the maps are averaged this is Grad-CAM; where a dense layer reads each place by its own weights, as in the
    study's network, averaging the gradients first would lose the places.
    """
    maps, gradients = _maps_and_gradients(subject, images, columns)
    out: Floats = np.maximum(np.einsum("nhwf,nhwf->nhw", maps, gradients), 0)
    return out


def _maps_and_gradients(subject: Subject, images: NDArray[np.uint8], columns: Columns) -> tuple[Floats, Floats]:
    """Give the last maps (N, h, w, F), and the gradient of the evidence by them."""
    at = last_maps(subject.network)
    if at is None:
        raise ValueError("Gradients by maps were asked of a network without maps.")
    slope = subject.task.link.slopes(subject.logits(images), columns).astype(np.float32)
    batch = at_once(images.shape, _BATCH, _PIXELS)
    cuts = [slice(start, start + batch) for start in range(0, len(images), batch)]
    parts = [_of_batch(subject.network, at, images[cut], slope[cut]) for cut in cuts]
    maps, gradients = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    return maps, gradients


def _of_batch(network: Any, at: Step, images: NDArray[np.uint8], slope: NDArray[np.float32]) -> tuple[Any, Any]:
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
