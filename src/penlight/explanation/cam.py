"""Class activation maps (Zhou et al., Learning Deep Features for Discriminative Localization, 2016)."""

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import at_once
from penlight.explanation.networks import linear_end, walk
from penlight.explanation.subject import Subject
from penlight.models import load_keras
from penlight.tasks.links import Columns

Floats = NDArray[np.float64]

_BATCH = 32
# Of large images a batch has so many pixels at most, since the maps of all layers are held.
_PIXELS = 2**18


def fits(subject: Subject) -> bool:
    """Say whether the logits are a linear function of averaged maps, and a fixed sum of them speaks for a label."""
    return (
        subject.network is not None
        and subject.task.link.contrasts is not None
        and linear_end(subject.network) is not None
    )


def cam(subject: Subject, images: NDArray[np.uint8], columns: Columns) -> Floats:
    """Give (N, h, w): the exact share of each place of the last maps in what the logits say for a label.

    The mean of a map, with what the bias adds, is `contrasts` applied to the logits.
    """
    end, contrasts = linear_end(subject.network), subject.task.link.contrasts
    if end is None or contrasts is None:
        raise ValueError("CAM was asked of a network that does not end in a global average and a dense layer.")
    batch = at_once(images.shape, _BATCH, _PIXELS)
    parts = [_maps(subject.network, end.maps, images[s : s + batch]) for s in range(0, len(images), batch)]
    of_label = end.kernel @ contrasts(columns, subject.task.n_logits).T
    out: Floats = np.einsum("nhwf,fn->nhw", np.concatenate(parts), of_label)
    return out


def _maps(network: object, operation: object, images: NDArray[np.uint8]) -> Floats:
    keras, seen = load_keras(), []

    def keep(at: object, out: object) -> object:
        if at is operation:
            seen.append(np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(out, "float32")), np.float64))
        return out

    walk(network, keras.ops.convert_to_tensor(images.astype(np.float32)), keep)
    return seen[0]
