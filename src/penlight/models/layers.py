"""From a Keras network to ONNX nodes: one function per class of layer or operation, in one table.

Keras' own route (`model.export(format="onnx")`) goes by way of tf2onnx: for TensorFlow alone, with other bytes each
time, and with warnings under NumPy 2. What Penlight's networks are made of is little enough to be written down.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import ExportError
from penlight.models.backend import graph_of, load_keras
from penlight.models.graph import Graph, Value
from penlight.models.keras_files import TRAINING_LAYERS
from penlight.numbers import counted

Layer = Any
Floats = NDArray[np.float32]


def network_nodes(graph: Graph, network: Any, image: Value) -> Value:
    """Add the nodes of a functional Keras network, and give its one output. ExportError names a layer that has no
    counterpart here."""

    _require_known(network)

    def of(operation: Any) -> Callable[..., Value]:
        if (inner := graph_of(operation)) is not None:
            return lambda value, **_: network_nodes(graph, inner, value)
        return partial(_convert, graph, operation)

    # The walk over the graph is Keras' own; only what is done at each node differs.
    outputs = network._run_through_graph([image], operation_fn=of)
    value: Value = outputs[0] if isinstance(outputs, list | tuple) else outputs
    return value


def _require_known(network: Any) -> None:
    """Raise ExportError with a list of the layers that have no counterpart here."""
    inner = [operation for operation in network.operations if graph_of(operation) is None]
    unknown = [own for own in inner if type(own).__name__ not in {*LAYERS, "InputLayer"}]
    if unknown:
        listed = ", ".join(f"{own.name} ({type(own).__name__})" for own in unknown)
        raise ExportError(
            f"The network has {counted(len(unknown), 'layer')} without an ONNX form in Penlight: {listed}.",
            "Use layers that have one, or add functions for them to penlight/models/layers.py.",
        )


def _convert(graph: Graph, operation: Any, *args: Any, **_: Any) -> Value:
    # What Keras passes by name, `training` and `mask`, says nothing about a network in use.
    return LAYERS[type(operation).__name__](graph, operation, *args)


def _require(layer: Layer, holds: bool, what: str) -> None:
    if not holds:
        raise ExportError(
            f"The layer {layer.name} ({type(layer).__name__}) {what}, which has no ONNX form in Penlight.",
            "Extend its function in penlight/models/layers.py.",
        )


def _numpy(variable: Any) -> Floats:
    return np.asarray(load_keras().ops.convert_to_numpy(variable), np.float32)


def _activated(graph: Graph, layer: Layer, x: Value) -> Value:
    name = getattr(layer.activation, "__name__", str(layer.activation))
    _require(layer, name in _ACTIVATIONS, f"has the activation {name}")
    return _ACTIVATIONS[name](graph, x)


_ACTIVATIONS: dict[str, Callable[[Graph, Value], Value]] = {
    "elu": lambda graph, x: graph.unary("Elu", x),
    "hard_sigmoid": lambda graph, x: graph.unary("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    "hard_silu": lambda graph, x: graph.unary("HardSwish", x),
    "gelu": lambda graph, x: x * 0.5 * (graph.unary("Erf", x * math.sqrt(0.5)) + 1.0),
    "leaky_relu": lambda graph, x: graph.unary("LeakyRelu", x, alpha=0.2),
    "linear": lambda graph, x: x,
    "relu": lambda graph, x: graph.unary("Relu", x),
    "sigmoid": lambda graph, x: graph.sigmoid(x),
    "silu": lambda graph, x: x * graph.sigmoid(x),
    "softmax": lambda graph, x: graph.softmax(graph.channels_last(x)),
    "tanh": lambda graph, x: graph.tanh(x),
}


def _padding(
    graph: Graph, layer: Layer, sides: Sequence[int], window: Sequence[int]
) -> tuple[dict[str, Any], list[int]]:
    """Give ONNX's attributes of padding and the output's sides; "same" puts the odd pixel after."""
    dilation = getattr(layer, "dilation_rate", (1, 1))
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    if layer.padding == "valid":
        out = [(n - r) // s + 1 for n, r, s in zip(sides, reach, layer.strides, strict=True)]
        return {"pads": [0, 0, 0, 0]}, out
    out = [-(-n // s) for n, s in zip(sides, layer.strides, strict=True)]
    total = [max((o - 1) * s + r - n, 0) for o, s, r, n in zip(out, layer.strides, reach, sides, strict=True)]
    if graph.free:
        return {"auto_pad": "SAME_UPPER"}, out
    return {"pads": [t // 2 for t in total] + [t - t // 2 for t in total]}, out


def _conv(graph: Graph, layer: Layer, x: Value) -> Value:
    kernel = _numpy(layer.kernel).transpose(3, 2, 0, 1)
    return _activated(graph, layer, _convolved(graph, layer, x, kernel, layer.bias, layer.groups))


def _depthwise(graph: Graph, layer: Layer, x: Value) -> Value:
    return _activated(graph, layer, _convolved(graph, layer, x, *_of_each(layer.kernel, layer.bias)))


def _separable(graph: Graph, layer: Layer, x: Value) -> Value:
    x = _convolved(graph, layer, x, *_of_each(layer.depthwise_kernel, None))
    names = [x.name, graph.constant(_numpy(layer.pointwise_kernel).transpose(3, 2, 0, 1))]
    names += [] if layer.bias is None else [graph.constant(_numpy(layer.bias))]
    return _activated(graph, layer, graph.node("Conv", names, (*x.shape[:2], layer.filters), first=True))


def _of_each(kernel: Any, bias: Any) -> tuple[Floats, Any, int]:
    """Give the kernel, the bias and the groups of a convolution of each channel by itself."""
    turned = _numpy(kernel).transpose(2, 3, 0, 1)
    return turned.reshape(-1, 1, *turned.shape[2:]), bias, len(turned)


def _convolved(graph: Graph, layer: Layer, x: Value, kernel: Floats, bias: Any, groups: int) -> Value:
    """Convolve with a kernel (out, in / groups, height, width)."""
    padding, sides = _padding(graph, layer, x.shape[:2], kernel.shape[2:])
    names = [graph.channels_first(x).name, graph.constant(kernel)]
    names += [] if bias is None else [graph.constant(_numpy(bias))]
    return graph.node(
        "Conv",
        names,
        (*sides, len(kernel)),
        first=True,
        kernel_shape=list(kernel.shape[2:]),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        **padding,
    )


def _normalised(graph: Graph, layer: Layer, x: Value) -> Value:
    _require(layer, layer.axis in (-1, len(x.shape)), "does not normalise the last axis")
    mean, variance = _numpy(layer.moving_mean), _numpy(layer.moving_variance)
    scale = _numpy(layer.gamma) if layer.scale else np.ones_like(mean)
    shift = _numpy(layer.beta) if layer.center else np.zeros_like(mean)
    x = graph.channels_first(x) if len(x.shape) == 3 else x
    names = [graph.constant(array) for array in (scale, shift, mean, variance)]
    return graph.node("BatchNormalization", [x.name, *names], x.shape, first=x.first, epsilon=float(layer.epsilon))


def _normalised_places(graph: Graph, layer: Layer, x: Value) -> Value:
    """Normalise the channels of each place by themselves."""
    _require(layer, tuple(np.atleast_1d(layer.axis)) in ((-1,), (len(x.shape),)), "does not normalise the last axis")
    ones = np.ones(x.shape[-1], np.float32)
    scale, shift = _numpy(layer.gamma) if layer.scale else ones, _numpy(layer.beta) if layer.center else 0 * ones
    names = [graph.channels_last(x).name, graph.constant(scale), graph.constant(shift)]
    return graph.node("LayerNormalization", names, x.shape, axis=-1, epsilon=float(layer.epsilon))


def _relu(graph: Graph, layer: Layer, x: Value) -> Value:
    _require(layer, not layer.threshold, "has a threshold")
    if layer.negative_slope:
        _require(layer, layer.max_value is None, "has a slope and a largest value")
        return graph.unary("LeakyRelu", x, alpha=float(layer.negative_slope))
    if layer.max_value is None:
        return graph.unary("Relu", x)
    bounds = [graph.constant(bound) for bound in (0.0, float(layer.max_value))]
    return graph.node("Clip", [x.name, *bounds], x.shape, first=x.first)


def _pooled(kind: str, graph: Graph, layer: Layer, x: Value) -> Value:
    padding, sides = _padding(graph, layer, x.shape[:2], layer.pool_size)
    return graph.node(
        kind,
        [graph.channels_first(x).name],
        (*sides, x.shape[-1]),
        first=True,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **padding,
    )


def _averaged(graph: Graph, layer: Layer, x: Value) -> Value:
    width = x.shape[-1]
    mean = graph.node("GlobalAveragePool", [graph.channels_first(x).name], (1, 1, width), first=True)
    return mean if layer.keepdims else graph.node("Flatten", [mean.name], (width,))


def _largest(graph: Graph, layer: Layer, x: Value) -> Value:
    width = x.shape[-1]
    most = graph.node("GlobalMaxPool", [graph.channels_first(x).name], (1, 1, width), first=True)
    return most if layer.keepdims else graph.node("Flatten", [most.name], (width,))


def _dense(graph: Graph, layer: Layer, x: Value) -> Value:
    kernel, bias = _numpy(layer.kernel), _numpy(layer.bias) if layer.use_bias else None
    if len(x.shape) == 1:
        return _activated(graph, layer, graph.dense(x, kernel, bias))
    shape = (*x.shape[:-1], kernel.shape[1])
    made = graph.node("MatMul", [graph.channels_last(x).name, graph.constant(kernel)], shape)
    return _activated(graph, layer, made if bias is None else made + bias)


def _side_by_side(graph: Graph, layer: Layer, values: list[Value]) -> Value:
    _require(layer, layer.axis in (-1, len(values[0].shape)), "does not join the last axis")
    return graph.concatenate(values)


def _rescaled(graph: Graph, layer: Layer, x: Value) -> Value:
    scaled = x * np.asarray(layer.scale, np.float32)
    return scaled + np.asarray(layer.offset, np.float32)


def _standardised(graph: Graph, layer: Layer, x: Value) -> Value:
    _require(layer, not layer.invert, "is inverted")
    spread: Floats = np.maximum(np.sqrt(_numpy(layer.variance)), load_keras().config.epsilon())
    return (x - _numpy(layer.mean).reshape(-1)) / spread.reshape(-1)


def _resized(graph: Graph, layer: Layer, x: Value) -> Value:
    plain = not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias)
    _require(layer, layer.interpolation == "bilinear" and plain, "does more than bilinear resizing")
    if x.shape[:2] == (layer.height, layer.width) and not graph.free:
        return x
    x = graph.channels_first(x)
    sides = graph.constant([layer.height, layer.width], np.int64)
    return graph.node(
        "Resize",
        [x.name, "", "", sides],
        (layer.height, layer.width, x.shape[-1]),
        first=True,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
        axes=[2, 3],
    )


def _padded(graph: Graph, layer: Layer, x: Value) -> Value:
    (top, bottom), (left, right) = layer.padding
    pads = graph.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
    shape = (x.shape[0] + top + bottom, x.shape[1] + left + right, x.shape[2])
    return graph.node("Pad", [graph.channels_first(x).name, pads], shape, first=True)


def _cropped(graph: Graph, layer: Layer, x: Value) -> Value:
    (top, bottom), (left, right) = layer.cropping
    # Counted from the end, so that sides may be others.
    bounds = [[top, left], [-bottom or 2**31, -right or 2**31], [2, 3]]
    shape = (x.shape[0] - top - bottom, x.shape[1] - left - right, x.shape[2])
    names = [graph.channels_first(x).name, *(graph.constant(bound, np.int64) for bound in bounds)]
    return graph.node("Slice", names, shape, first=True)


def _column(graph: Graph, layer: Layer, x: Value) -> Value:
    return graph.reshape(x, (int(np.prod(x.shape)),))


def _reshaped(graph: Graph, layer: Layer, x: Value) -> Value:
    sizes = np.array(layer.target_shape)
    sizes[sizes == -1] = -(np.prod(x.shape) // np.prod(sizes))
    return graph.reshape(x, tuple(int(size) for size in sizes))


def _as_it_is(graph: Graph, layer: Layer, x: Value) -> Value:
    return x


def _taken(graph: Graph, operation: Any, x: Value, key: tuple[slice, slice]) -> Value:
    _require(operation, len(key) == 2 and key[0] == slice(None) and len(x.shape) == 1, "takes more than columns")
    return x[key]


def _cumulated(graph: Graph, operation: Any, x: Value) -> Value:
    _require(operation, operation.axis in (-1, 1) and len(x.shape) == 1, "adds up another axis than columns")
    return graph.node("CumSum", [x.name, graph.constant(1, np.int64)], x.shape)


def _turned(graph: Graph, operation: Any, x: Value) -> Value:
    _require(operation, operation.axis == -1, "turns another axis than the last")
    backwards = graph.constant(np.arange(x.shape[-1])[::-1], np.int64)
    axis = 1 if x.first else len(x.shape)
    return graph.node("Gather", [x.name, backwards], x.shape, first=x.first, axis=axis)


def _mean(graph: Graph, operation: Any, x: Value) -> Value:
    _require(operation, tuple(operation.axis) == (1, 2, 3) and operation.keepdims, "is not over whole images")
    axes = graph.constant([1, 2, 3], np.int64)
    return graph.node("ReduceMean", [x.name, axes], (1, 1, 1), first=x.first, keepdims=1)


def _deviation(graph: Graph, operation: Any, x: Value) -> Value:
    distance = x - _mean(graph, operation, x)
    return graph.unary("Sqrt", _mean(graph, operation, distance * distance))


def _operated(operate: Callable[[Any, Any], Value], graph: Graph, operation: Any, *values: Any) -> Value:
    """Layers such as `keras.layers.Add` take a list, operations such as `keras.ops.add` two operands; their classes
    have one name."""
    many = values[0] if isinstance(values[0], list) else list(values)
    _require(operation, isinstance(many[0], Value), "begins with a constant")
    total: Value = functools.reduce(operate, many)
    return total


LAYERS: dict[str, Callable[..., Value]] = {
    "Activation": _activated,
    "Add": partial(_operated, operator.add),
    "AveragePooling2D": partial(_pooled, "AveragePool"),
    "BatchNormalization": _normalised,
    "Concatenate": _side_by_side,
    "Conv2D": _conv,
    "Cropping2D": _cropped,
    "Cumsum": _cumulated,
    # Of the networks of keras.applications alone.
    "CustomScaleLayer": lambda graph, layer, x: x[0] + x[1] * float(layer.scale),
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _as_it_is,
    "ELU": lambda graph, layer, x: graph.unary("Elu", x, alpha=float(layer.alpha)),
    "Flatten": _column,
    "Flip": _turned,
    "GetItem": _taken,
    "GlobalAveragePooling2D": _averaged,
    "GlobalMaxPooling2D": _largest,
    "LayerNormalization": _normalised_places,
    "LayerScale": lambda graph, layer, x: x * _numpy(layer.gamma),
    "LeakyReLU": lambda graph, layer, x: graph.unary("LeakyRelu", x, alpha=float(layer.negative_slope)),
    "MaxPooling2D": partial(_pooled, "MaxPool"),
    "Mean": _mean,
    "Multiply": partial(_operated, operator.mul),
    "Normalization": _standardised,
    "ReLU": _relu,
    "Relu": lambda graph, operation, x: graph.unary("Relu", x),
    "Rescaling": _rescaled,
    "Reshape": _reshaped,
    "Resizing": _resized,
    "SeparableConv2D": _separable,
    "Softplus": lambda graph, operation, x: graph.unary("Softplus", x),
    "StochasticDepth": _as_it_is,
    "Std": _deviation,
    "Subtract": partial(_operated, operator.sub),
    "TrueDivide": partial(_operated, operator.truediv),
    "ZeroPadding2D": _padded,
    # Layers that do something in training alone.
    **dict.fromkeys(TRAINING_LAYERS, _as_it_is),
}
"""What Penlight's networks are made of, by the name of its class in Keras."""
