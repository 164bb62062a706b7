"""Networks as bytes: the Keras file of a run, written without a trace of when, and read as a stranger's."""

import math
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from penlight.errors import PenlightError, RunError, first_line, is_out_of_memory
from penlight.models.backend import load_keras
from penlight.models.keras_archive import LARGEST_MAPS, Archive, open_archive, refused


def network_bytes(network: Any) -> bytes:
    """Give a network as a .keras file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.save(path)
        return path.read_bytes()


def network_from_bytes(content: bytes, allowed: Collection[str] = ()) -> Any:
    """Build a network from a .keras file that may come from a stranger. No code in it is run, no class outside
    `keras_archive.CLASSES` and `allowed` is made, and no array is larger than the file. RunError if it is damaged, or
    holds anything else."""
    try:
        archive = open_archive(content, allowed)
        network = _built(archive)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.weights.h5"
            path.write_bytes(archive.weights)
            network.load_weights(path)
    except Exception as error:
        # Keras, HDF5 and the backend each have errors of their own for bytes that make no sense.
        if isinstance(error, PenlightError) or is_out_of_memory(error):
            raise
        raise RunError(f"The network cannot be read: {first_line(error)}.", "Repeat the run.") from error
    return network


def _built(archive: Archive) -> Any:
    """Build the network of a config, with its weights not yet read."""
    keras = load_keras()
    # In this scope variables have a shape and no memory yet, until it is left.
    with keras.StatelessScope(initialize_variables=False) as scope:
        try:
            network = keras.saving.deserialize_keras_object(archive.config, safe_mode=True)
            _require_small(network, archive.n_weights)
        except BaseException:
            from keras.src.backend.common import global_state

            # Keras would allocate the variables of the refused network when a scope is next left.
            global_state.set_global_attribute("uninitialized_variables", [])
            raise
        scope.initialize_variables = True
    return network


def _require_small(network: Any, n_weights: int) -> None:
    n_needed = sum(math.prod(variable.shape) for variable in network.weights)
    if n_needed > n_weights:
        raise refused(f"it has {n_needed:,} weights, and the file holds {n_weights:,}")
    for shape in _output_shapes(network):
        if math.prod(side or 1 for side in shape) > LARGEST_MAPS:
            raise refused(f"a layer gives {' x '.join(map(str, shape[1:]))} numbers for an image")


def _output_shapes(network: Any) -> Iterator[tuple[int | None, ...]]:
    for operation in network.operations:
        for node in operation._inbound_nodes:
            yield from (tensor.shape for tensor in node.outputs)
        if isinstance(operation, load_keras().Model):
            yield from _output_shapes(operation)
