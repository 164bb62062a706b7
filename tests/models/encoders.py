"""Small encoders drawn for tests: two convolutions in ONNX, of any layout and type, that end in several ways."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 24
SHAPES = {
    "pool": ["N", WIDTH],
    "map": ["N", WIDTH, "h", "w"],
    "tokens": ["N", "t", WIDTH],
    "classes": ["N", 1000],
}


def draw_encoder(
    path: Path,
    *,
    layout: str = "NHWC",
    dtype: int = TensorProto.UINT8,
    side: int | None = None,
    channels: int = 3,
    ends: str = "pool",
    opset: int = 17,
    properties: dict[str, str] | None = None,
    **changed: Any,
) -> Path:
    """Write an encoder: two convolutions with weights from a seed, then what `ends` says, one of `SHAPES`."""
    rng = np.random.default_rng(3)
    constants = {
        "w1": rng.normal(0, 0.2, (16, channels, 3, 3)),
        "w2": rng.normal(0, 0.2, (WIDTH, 16, 3, 3)),
        "half": np.array(1 / 128),
        "tokens_shape": np.array([0, WIDTH, -1]),
        "dense": rng.normal(0, 0.1, (WIDTH, 1000)),
    }
    arrays = {name: a if a.dtype == np.int64 else a.astype(np.float32) for name, a in constants.items()}
    shape: list[Any] = ["N", channels, side or "H", side or "W"]
    nodes = [helper.make_node("Cast", ["picture"], ["float"], to=TensorProto.FLOAT)]
    if layout == "NHWC":
        shape = ["N", *shape[2:], channels]
        nodes.append(helper.make_node("Transpose", ["float"], ["first"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node("Mul", ["first" if layout == "NHWC" else "float", "half"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["gap"]),
        helper.make_node("Flatten", ["gap"], ["pool"]),
        helper.make_node("Reshape", ["map", "tokens_shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["pool", "dense"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["classes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("picture", dtype, shape)],
        [helper.make_tensor_value_info(ends, TensorProto.FLOAT, SHAPES[ends])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, {"licence": "CC0-1.0", **(properties or {})})
    for name, value in changed.items():
        setattr(model, name, value)
    onnx.save(model, path)
    return path
