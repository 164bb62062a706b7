"""A network's training without its compiled step, which takes most of a second to make: for tests of what is around
it. The step itself is that of tests/training and of the commands in README."""

import numpy as np
import pytest

from penlight.training import loop
from penlight.training.engine import Block, Forward, Steps


def stub_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move weights by what is drawn in place of training them; all else of a fit stays: epochs, checkpoints, what val
    says, which weights are kept. Another seed, order or number of epochs gives other weights."""
    monkeypatch.setattr(loop, "make_steps", _moved)
    monkeypatch.setattr(loop, "make_forward", _asked)


def _moved(network, optimizer, loss, change, seeds=()) -> Steps:
    optimizer.build(network.trainable_variables)

    def run(block: Block) -> tuple[np.ndarray, np.ndarray]:
        k, batch = block.weight.shape
        for images in block.images:
            # Where the first batches' brightness lies decides the direction.
            turn = float(np.asarray(images[0], np.float64).mean())
            for variable in network.trainable_variables:
                n = int(np.prod(variable.shape))
                variable.assign_add((0.02 * np.cos(turn + np.arange(n))).reshape(variable.shape).astype(np.float32))
            optimizer.iterations.assign_add(1)
        values = 1 / (float(optimizer.iterations.numpy()) + np.arange(k))
        seen = np.random.default_rng(batch).normal(size=(k, batch, network.output_shape[-1]))
        return values.astype(np.float32), seen.astype(np.float32)

    return run


def _asked(network) -> Forward:
    return lambda images: np.array(network(np.asarray(images, np.float32), training=False))
