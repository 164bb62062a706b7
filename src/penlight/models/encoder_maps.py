"""The maps whose average an encoder's features are: with a linear probe, each place's share in an answer is exact."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

    from penlight.models.encoder_file import Encoder

_KEEP_NUMBERS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze")
_NEAR = 1e-4


@dataclass(frozen=True)
class AveragedMaps:
    """Maps within an encoder, by the name of the tensor: `shape` (h, w, F), `first` where the channels come first."""

    name: str
    shape: tuple[int, int, int]
    first: bool

    @property
    def places(self) -> tuple[int, int]:
        """The axes of a batch of them that are averaged."""
        return (2, 3) if self.first else (1, 2)


def averaged_maps(encoder: "Encoder", side: int) -> AveragedMaps | None:
    """Find the maps that an encoder averages, for images of `side` pixels a side; None where its features are not
    their average, as computing an image shows."""
    found = _averaged_by(encoder)
    if found is None:
        return None
    name, first = found
    shape = (1, side, side, encoder.channels)
    image = np.random.default_rng(0).integers(0, 256, shape).astype(encoder.dtype)
    image = image if encoder.layout == "NHWC" else np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    maps, features = encoder.compute([name, encoder.output], image)
    if maps.ndim != 4:
        return None
    _, height, width, depth = maps.transpose(0, 2, 3, 1).shape if first else maps.shape
    made = AveragedMaps(name, (height, width, depth), first)
    average = maps.mean(axis=made.places)
    if features.ndim != 4 and not np.allclose(average, features.reshape(average.shape), _NEAR, _NEAR):
        return None
    return made


def _averaged_by(encoder: "Encoder") -> tuple[str, bool] | None:
    """Name what an encoder averages, and say whether its channels come first, by its last operators."""
    if encoder.pooling != "none":
        return (encoder.output, encoder.layout == "NCHW") if encoder.axes == 4 else None
    made_by = {name: node for node in encoder.model.graph.node for name in node.output}
    node = made_by.get(encoder.output)
    while node is not None and node.op_type in _KEEP_NUMBERS:
        node = made_by.get(node.input[0])
    if node is None or node.op_type not in ("GlobalAveragePool", "ReduceMean"):
        return None
    axes = (2, 3) if node.op_type == "GlobalAveragePool" else _axes(encoder.model, node)
    return (node.input[0], axes == (2, 3)) if axes in ((1, 2), (2, 3)) else None


def _axes(model: "onnx.ModelProto", node: "onnx.NodeProto") -> tuple[int, ...]:
    """Give the axes that a node averages, counted from the first of four."""
    from onnx import numpy_helper

    given: Any = next((each.ints for each in node.attribute if each.name == "axes"), None)
    if given is None and len(node.input) > 1:
        tensors = [each for each in model.graph.initializer if each.name == node.input[1]]
        constants = [each for each in model.graph.node if each.op_type == "Constant" and node.input[1] in each.output]
        tensors += [attribute.t for each in constants for attribute in each.attribute if attribute.name == "value"]
        given = numpy_helper.to_array(tensors[0]).ravel() if tensors else None
    return () if given is None else tuple(sorted(int(axis) % 4 for axis in given))
