"""Several devices: a batch is shared out among them, by Keras' own distribution on JAX.

The network is on every device, each computes its share of the batch, and what goes over images (gradients, batch
normalisation) goes over all shares. So the numbers are those of one device within rounding.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.models import load_keras

Tensor = Any


@dataclass(frozen=True)
class Devices:
    """Devices that compute a batch together; `together` is a `keras.distribution.DataParallel`, None for one."""

    together: Any = None

    def __len__(self) -> int:
        """Count the devices."""
        return 1 if self.together is None else int(self.together.num_model_replicas)

    def whole(self, values: Tensor) -> Tensor:
        """Put all of an array on every device."""
        return self._put(values, None)

    def shared(self, values: NDArray[np.generic], axis: int) -> Tensor:
        """Put an equal part of an array, cut along an axis, on each device."""
        return self._put(values, axis)

    def _put(self, values: Tensor, cut: int | None) -> Tensor:
        if self.together is None:
            return values
        distribution = load_keras().distribution
        axes = [self.together.batch_dim_name if axis == cut else None for axis in range(values.ndim)]
        layout = distribution.TensorLayout(axes, self.together.device_mesh)
        return distribution.distribute_tensor(values, layout)


@functools.cache
def devices_for(batch: int) -> Devices:
    """Take as many of JAX's devices as give equal shares of a batch of so many images."""
    distribution = load_keras().distribution
    there = distribution.list_devices()
    count = max(n for n in range(1, len(there) + 1) if batch % n == 0)
    if count == 1:
        return Devices()
    return Devices(distribution.DataParallel(devices=there[:count], auto_shard_dataset=False))
