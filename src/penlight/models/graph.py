"""An ONNX graph in the making: values with operators, nodes with names that depend on nothing but their order.

Shapes leave out the batch. A value of shape (H, W, C) is held with the channels last, as Keras has it, or first, as
ONNX's convolutions want it; `first` says which, and whoever needs the other asks for it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from penlight.errors import ExportError, first_line
from penlight.models.feature_classifiers import Forest

_ML = "ai.onnx.ml"

# Old enough for runtimes of 2023, new enough for everything used here.
OPSETS = {"": 18, _ML: 3}
"""Versions of the operators by their domain."""

_IR_VERSION = 8

_SMALL = 64

IMAGE = "image"
"""The name of the input."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name, its shape (H, W, C) or (F,) without the batch, its layout and its type.

    Operators work elementwise, with broadcasting.
    """

    graph: "Graph"
    name: str
    shape: Shape
    first: bool = False
    dtype: type[np.floating] = np.float32

    def __add__(self, other: "Operand") -> "Value":
        return self.graph.elementwise("Add", self, other)

    def __sub__(self, other: "Operand") -> "Value":
        return self.graph.elementwise("Sub", self, other)

    def __mul__(self, other: "Operand") -> "Value":
        return self.graph.elementwise("Mul", self, other)

    def __truediv__(self, other: "Operand") -> "Value":
        return self.graph.elementwise("Div", self, other)

    def __neg__(self) -> "Value":
        return self.graph.unary("Neg", self)

    def __getitem__(self, key: tuple[slice, slice]) -> "Value":
        """Take columns of (N, F): the first slice, over the batch, must be whole."""
        return self.graph.columns(self, key[1])


def tree_attributes(forest: Forest) -> dict[str, Any]:
    """Say decision trees as the attributes of ONNX's TreeEnsembleRegressor; a leaf's shares are divided by the number
    of trees, and sums of 32 bits are averages then. Shares of 0 are left out."""
    count, own = len(forest.feature), np.append(forest.roots, len(forest.feature))
    tree = np.repeat(np.arange(len(forest.roots)), np.diff(own))
    leaf = forest.feature < 0
    number = np.arange(count) - forest.roots[tree]
    leaves, labels = np.nonzero(leaf[:, None] & (forest.prob > 0))
    shares = forest.prob[leaves, labels] / len(forest.roots)
    return {
        "n_targets": forest.prob.shape[1],
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_featureids": np.maximum(forest.feature, 0).tolist(),
        "nodes_values": np.where(leaf, 0, forest.threshold).astype(np.float32).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, forest.left - forest.roots[tree]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, forest.right - forest.roots[tree]).tolist(),
        "target_treeids": tree[leaves].tolist(),
        "target_nodeids": number[leaves].tolist(),
        "target_ids": labels.tolist(),
        "target_weights": shares.astype(np.float32).tolist(),
    }


Operand = Value | float | NDArray[np.floating]


class Graph:
    """Nodes and constants in the order they were asked for.

    The methods named as functions of `keras.ops` do the same, so that what is written for one can run on the other.
    """

    def __init__(self, shape: Shape, *, free: bool = False) -> None:
        """Begin with the input `image`, (N, *shape) uint8; of a `free` graph height and width may be others too."""
        self.shape, self.free = shape, free
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, Shape, bytes], str] = {}
        self._initializers: list[TensorProto] = []
        self._opsets, self._ir_version = dict(OPSETS), _IR_VERSION
        self.properties: dict[str, str] = {}
        """What the file is to say of the encoders in it."""
        # What embedded models added, by its content: the name of a constant, or those of a node's outputs.
        self._shared: dict[bytes, list[str]] = {}
        self.features: Value | None = None
        """What the last dense layer so far reads, (N, F)."""
        self.class_maps: Value | None = None
        """What each place of an image says for each label, (N, h, w, C), where it is known exactly."""

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        shape: Shape,
        *,
        first: bool = False,
        dtype: type[np.floating] = np.float32,
        **options: Any,
    ) -> Value:
        """Add a node with one output of the given shape, layout and type; `options` are its attributes."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **options))
        return Value(self, name, shape, first, dtype)

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """Give the name of a constant; equal ones are kept once, unless they are large."""
        values = np.array(array, dtype, order="C")
        key = (str(values.dtype), values.shape, values.tobytes() if values.size < _SMALL else b"")
        if key in self._constants and values.size < _SMALL:
            return self._constants[key]
        name = self._constants[key] = f"constant_{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(values, name))
        return name

    def unary(self, kind: str, x: Value, **options: Any) -> Value:
        """Add a node that leaves shape, layout and type as they are."""
        return self.node(kind, [x.name], x.shape, first=x.first, dtype=x.dtype, **options)

    def elementwise(self, kind: str, x: Value, other: Operand) -> Value:
        """Add a node of two operands that broadcast, as the last axes of (H, W, C) say."""
        if not isinstance(other, Value):
            array = np.asarray(other, x.dtype)
            # A constant is () or (C,); with the channels first it must stand beside them.
            beside = self.constant(array.reshape(-1, 1, 1) if x.first and array.ndim else array, x.dtype)
            shape = np.broadcast_shapes(x.shape, array.shape)
            return self.node(kind, [x.name, beside], shape, first=x.first, dtype=x.dtype)
        x, other = self.same_layout([x, other])
        shape = np.broadcast_shapes(x.shape, other.shape)
        return self.node(kind, [x.name, other.name], shape, first=x.first, dtype=x.dtype)

    def same_layout(self, values: Sequence[Value]) -> list[Value]:
        """Bring values to one layout: channels first where any is."""
        if any(value.first for value in values):
            return [self.channels_first(value) for value in values]
        return list(values)

    def channels_first(self, x: Value) -> Value:
        """Give a value of shape (H, W, C) with the channels first."""
        if x.first:
            return x
        return self.node("Transpose", [x.name], x.shape, first=True, perm=[0, 3, 1, 2])

    def channels_last(self, x: Value) -> Value:
        """Give a value with the channels last; what has no channels is as it was."""
        if not x.first:
            return x
        return self.node("Transpose", [x.name], x.shape, perm=[0, 2, 3, 1])

    def reshape(self, x: Value, shape: Shape) -> Value:
        """Give a value another shape, reading it as Keras would: channels last."""
        target = self.constant([-1, *shape], np.int64)
        return self.node("Reshape", [self.channels_last(x).name, target], shape)

    def columns(self, x: Value, part: slice) -> Value:
        """Take columns of (N, F)."""
        start, stop, step = part.indices(x.shape[-1])
        bounds = [self.constant([bound], np.int64) for bound in (start, stop, 1, step)]
        return self.node("Slice", [x.name, *bounds], (len(range(start, stop, step)),), dtype=x.dtype)

    def concatenate(self, values: Sequence[Value], axis: int = -1) -> Value:
        """Put values side by side along their last axis, the channels."""
        values = self.same_layout(values)
        shape = (*values[0].shape[:-1], sum(value.shape[-1] for value in values))
        first, dtype = values[0].first, values[0].dtype
        names = [value.name for value in values]
        return self.node("Concat", names, shape, first=first, dtype=dtype, axis=1 if first else len(shape))

    def minimum(self, x: Value, other: Operand) -> Value:
        """Take the smaller of two, elementwise."""
        return self.elementwise("Min", x, other)

    def maximum(self, x: Value, other: Operand) -> Value:
        """Take the larger of two, elementwise."""
        return self.elementwise("Max", x, other)

    def sigmoid(self, x: Value) -> Value:
        """Logistic function."""
        return self.unary("Sigmoid", x)

    def softmax(self, x: Value, axis: int = -1) -> Value:
        """Softmax over the last axis of (N, F)."""
        return self.unary("Softmax", x, axis=axis)

    def tanh(self, x: Value) -> Value:
        """Hyperbolic tangent."""
        return self.unary("Tanh", x)

    def exp(self, x: Value) -> Value:
        """Exponential function."""
        return self.unary("Exp", x)

    def log(self, x: Value) -> Value:
        """Natural logarithm."""
        return self.unary("Log", x)

    def dense(self, x: Value, kernel: NDArray[Any], bias: NDArray[Any] | None) -> Value:
        """Multiply (N, F) by a kernel (F, G) and add a bias (G,)."""
        self.features = x
        names = [self.constant(array, x.dtype) for array in (kernel, bias) if array is not None]
        return self.node("Gemm", [x.name, *names], (kernel.shape[1],), dtype=x.dtype)

    def matmul(self, x: Value, kernel: NDArray[Any]) -> Value:
        """Multiply (N, F) by a constant (F, G)."""
        return self.node("MatMul", [x.name, self.constant(kernel, x.dtype)], (kernel.shape[1],), dtype=x.dtype)

    def double(self, x: Value) -> Value:
        """Go on with 64 bits."""
        return self.node("Cast", [x.name], x.shape, first=x.first, dtype=np.float64, to=TensorProto.DOUBLE)

    def pixels(self) -> Value:
        """Give the input as float32, 0 to 255."""
        return self.node("Cast", [IMAGE], self.shape, to=TensorProto.FLOAT)

    def look_up(self, table: NDArray[np.float64]) -> Value:
        """Give what `table` (256,) says of each pixel, as (N, H * W * C) of 64 bits."""
        width = int(np.prod(self.shape))
        flat = self.node("Reshape", [IMAGE, self.constant([-1, width], np.int64)], (width,))
        index = self.node("Cast", [flat.name], (width,), to=TensorProto.INT32)
        return self.node("Gather", [self.constant(table, np.float64), index.name], (width,), dtype=np.float64)

    def sorted(self, x: Value) -> Value:
        """Sort the last axis, smallest first."""
        return self._topk(x, x.shape[-1], largest=0)[0]

    def largest(self, x: Value, count: int) -> tuple[Value, Value]:
        """Give the `count` largest of the last axis, the largest first, and their places."""
        return self._topk(x, count, largest=1)

    def _topk(self, x: Value, count: int, largest: int) -> tuple[Value, Value]:
        names = [f"topk_{len(self._nodes)}", f"topk_{len(self._nodes)}_places"]
        wanted, shape = [x.name, self.constant([count], np.int64)], (*x.shape[:-1], count)
        self._nodes.append(
            helper.make_node("TopK", wanted, names, name=names[0], axis=len(x.shape), largest=largest, sorted=1)
        )
        return Value(self, names[0], shape, x.first, x.dtype), Value(self, names[1], shape, x.first)

    def trees(self, x: Value, forest: Forest) -> Value:
        """Average the leaves (C,) of decision trees that (N, F) of 32 bits fall into."""
        name = f"trees_{len(self._nodes)}"
        self._nodes.append(helper.make_node(
            "TreeEnsembleRegressor", [x.name], [name], name=name, domain=_ML, **tree_attributes(forest)
        ))  # fmt: skip
        return Value(self, name, (forest.prob.shape[1],))

    def repeated(self, row: NDArray[np.float64]) -> Value:
        """Give the same row (F,) of 64 bits for every image."""
        batch = self.node("Shape", [IMAGE], (), start=0, end=1)
        sizes = self.node("Concat", [batch.name, self.constant([len(row)], np.int64)], (), axis=0)
        return self.node("Expand", [self.constant(row, np.float64), sizes.name], row.shape, dtype=np.float64)

    def embed(self, model: onnx.ModelProto, given: str, value: str, wanted: Mapping[str, Shape]) -> list[Value]:
        """Add the nodes of another model, from what it reads as `given`, here `value`, to what it calls by the names
        `wanted`, of their shapes. Constants and nodes that an embedded model has added already are taken from there:
        models with one encoder hold and compute it once. ExportError where its operators have no form of this
        graph's age or a later one."""
        model = self._same_age(model)
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        names = {given: value, "": ""}
        for node in _needed(model, wanted):
            names |= {name: self._shared_constant(tensors[name]) for name in node.input if name not in names}
            names |= zip(node.output, self._shared_node(node, [names[name] for name in node.input]), strict=True)
        return [Value(self, names[name], shape) for name, shape in wanted.items()]

    def _shared_constant(self, tensor: TensorProto) -> str:
        """Give the name of a constant of an embedded model; equal ones are kept once."""
        key = _content(tensor)
        if key not in self._shared:
            self._shared[key] = [f"constant_{len(self._initializers)}"]
            self._initializers.append(TensorProto())
            self._initializers[-1].CopyFrom(tensor)
            self._initializers[-1].name = self._shared[key][0]
        return self._shared[key][0]

    def _shared_node(self, node: onnx.NodeProto, inputs: Sequence[str]) -> list[str]:
        """Give the outputs of a node of an embedded model, which here has these inputs; equal nodes are kept once."""
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = inputs
        # Outputs that are left out are part of what a node computes, the names of the others are not.
        copied.output[:] = ["_" if name else "" for name in node.output]
        key = _content(copied)
        if key not in self._shared:
            copied.name = f"embedded_{len(self._nodes)}"
            copied.output[:] = [name and f"{copied.name}_{i}" for i, name in enumerate(node.output)]
            self._shared[key] = list(copied.output)
            self._nodes.append(copied)
        return self._shared[key]

    def _same_age(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Bring a model and this graph to one version of ONNX's operators."""
        age = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
        own = self._opsets[""]
        if age < own:
            try:
                return version_converter.convert_version(model, own)
            except Exception as error:  # the converter raises what it likes
                raise ExportError(
                    f"Operators of ONNX's version {age} cannot be brought to {own}: {first_line(error)}.",
                    f"Export the network with opset {own} or later.",
                ) from error
        self._opsets[""], self._ir_version = age, max(self._ir_version, model.ir_version)
        return model

    @property
    def _declared(self) -> list[int | str]:
        return ["H", "W", *self.shape[2:]] if self.free else [*self.shape]

    def model(self, outputs: dict[str, Value], version: str, properties: dict[str, str]) -> onnx.ModelProto:
        """Give the checked model with its outputs (N, F) as float32, and its properties.

        The same graph always gives the same bytes.
        """
        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Cast", [value.name], [name], name=name, to=TensorProto.FLOAT))
        used = {"", *(node.domain for node in self._nodes)}
        opsets = [helper.make_opsetid(domain, version) for domain, version in self._opsets.items() if domain in used]
        made = helper.make_model(
            helper.make_graph(
                self._nodes,
                "penlight",
                [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["N", *self._declared])],
                [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *v.shape]) for n, v in outputs.items()],
                self._initializers,
            ),
            opset_imports=opsets,
            ir_version=self._ir_version,
            producer_name="penlight",
            producer_version=version,
        )
        helper.set_model_props(made, {**properties, **self.properties})
        if not any(tensor.external_data for tensor in self._initializers):  # for which the checker looks on the disk
            onnx.checker.check_model(made)
        return made


def _content(part: TensorProto | onnx.NodeProto) -> bytes:
    """Hash a constant or a node, whatever it is called."""
    nameless = type(part)()
    nameless.CopyFrom(part)
    nameless.ClearField("name")
    nameless.ClearField("doc_string")
    return hashlib.sha256(nameless.SerializeToString(deterministic=True)).digest()


def _needed(model: onnx.ModelProto, wanted: Iterable[str]) -> list[onnx.NodeProto]:
    """Give the nodes that some values are computed from, in order."""
    made_by = {name: i for i, node in enumerate(model.graph.node) for name in node.output}
    needed: set[int] = set()
    left = list(wanted)
    while left:
        number = made_by.get(left.pop())
        if number is not None and number not in needed:
            needed.add(number)
            left += model.graph.node[number].input
    return [model.graph.node[i] for i in sorted(needed)]
