"""Models of features, and ensembles, as nodes of an ONNX graph: the same text as in NumPy, with these operations."""

import functools
import hashlib
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.models.encoder import EncoderFeatures
from penlight.models.ensemble import EnsembleModel, FeatureModel, Features
from penlight.models.feature_classifiers import (
    LEAST,
    FeatureClassifier,
    KernelClassifier,
)
from penlight.models.graph import Graph, Value
from penlight.models.handcrafted_features import HandcraftedFeatures, Ops
from penlight.models.nearest import NearestProbe
from penlight.models.probe import Probe

Floats = NDArray[np.float64]


class GraphOps(Ops):
    """The operations of features in an ONNX graph, as `handcrafted_features.Ops` has them; tensors are values without
    their batch."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names: dict[bytes, str] = {}
        self._pixels: dict[int, Value] = {}

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """Give the name of a constant, of any size kept once."""
        array = np.ascontiguousarray(values, dtype)
        key = hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).digest()
        if key not in self._names:
            self._names[key] = self._graph.constant(array, dtype)
        return self._names[key]

    def _node(self, kind: str, inputs: Sequence[str], shape: tuple[int, ...], **options: Any) -> Value:
        return self._graph.node(kind, inputs, shape, dtype=np.float64, **options)

    def pixels(self, down: Floats, across: Floats) -> Value:
        height, width, channels = self._graph.shape
        x = self._graph.double(self._graph.pixels())
        first = self._node("Transpose", [x.name], (channels, height, width), perm=[0, 3, 1, 2]) / 255.0
        if len(down) == height:
            return first
        rows = self.swap(self.matmul(self.swap(first), down.T))
        return self.matmul(rows, across.T)

    def matmul(self, x: Value, constant: Floats) -> Value:
        return self._node("MatMul", [x.name, self.constant(constant)], (*x.shape[:-1], constant.shape[1]))

    def take(self, x: Value, places: NDArray[np.int64]) -> Value:
        index = self.constant(places, np.int64)
        return self._node("Gather", [x.name, index], (*x.shape[:-1], len(places)), axis=len(x.shape))

    def sort(self, x: Value) -> Value:
        return self._graph.sorted(x)

    def swap(self, x: Value) -> Value:
        axes = list(range(len(x.shape) + 1))
        axes[-2:] = axes[-1], axes[-2]
        return self._node("Transpose", [x.name], (*x.shape[:-2], x.shape[-1], x.shape[-2]), perm=axes)

    def _shaped(self, x: Value, shape: tuple[int, ...]) -> Value:
        return self._node("Reshape", [x.name, self.constant([-1, *shape], np.int64)], shape)

    def flat(self, x: Value) -> Value:
        return self._shaped(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))

    def square(self, x: Value, side: int) -> Value:
        return self._shaped(x, (*x.shape[:-1], side, side))

    def channels(self, x: Value, first: int, last: int) -> Value:
        index = self.constant(np.arange(first, last), np.int64)
        return self._node("Gather", [x.name, index], (last - first, *x.shape[1:]), axis=1)

    def windows(self, x: Value, places: NDArray[np.int64]) -> Value:
        count, inside = places.shape
        seen = self._node("Gather", [x.name, self.constant(places, np.int64)], (x.shape[0], count, inside), axis=2)
        turned = self._node("Transpose", [seen.name], (count, x.shape[0], inside), perm=[0, 2, 1, 3])
        return self._shaped(turned, (count, x.shape[0] * inside))

    def join(self, parts: Sequence[Value]) -> Value:
        flat = [self._shaped(part, (int(np.prod(part.shape)),)) for part in parts]
        return self._node("Concat", [part.name for part in flat], (sum(p.shape[0] for p in flat),), axis=1)

    def sqrt(self, x: Value) -> Value:
        return self._graph.unary("Sqrt", x)

    def log(self, x: Value) -> Value:
        return self._graph.log(x)

    def absolute(self, x: Value) -> Value:
        return self._graph.unary("Abs", x)

    def maximum(self, x: Value, other: float) -> Value:
        return self._graph.maximum(x, other)


class GraphFeatures:
    """The features of a graph's images, computed once for all classifiers that share them."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.ops = graph, GraphOps(graph)
        self._known: dict[int, Value] = {}
        self._maps: dict[int, list[Value]] = {}

    @property
    def features(self) -> Value | None:
        """The features (N, F) that were computed first; None without any."""
        return next(iter(self._known.values()), None)

    def scores(self, features: Features, classifier: FeatureClassifier, exclusive: bool) -> Value:
        """Give (N, C) scores of a classifier."""
        if id(features) not in self._known:
            self._known[id(features)] = self._nodes(features)
        z = self._known[id(features)]
        if isinstance(classifier, Probe):
            said = self.ops.matmul(self.graph.double(z), classifier.weights) + classifier.bias
            return self.to_scores(self.to_prob(said, exclusive), exclusive)
        if isinstance(classifier, NearestProbe):
            return self.to_scores(classifier.nodes(self.graph, z), exclusive)
        assert isinstance(classifier, KernelClassifier)
        return self._kernel(classifier, z)

    def _nodes(self, features: Features) -> Value:
        if isinstance(features, EncoderFeatures):
            z, self._maps[id(features)] = features.nodes(self.graph)
            return z
        assert isinstance(features, HandcraftedFeatures)
        numbers: Value = features.numbers(self.ops)
        return numbers

    def class_maps(self, model: EnsembleModel) -> Value | None:
        """Give (N, h, w, C): the share of each place in the scores of labels, whose mean over places is the scores
        less what is the same everywhere. None unless all members are probes on the average of maps."""
        parts: list[Value] = []
        for member, weight in zip(model.members, model.weights.tolist(), strict=True):
            if not (isinstance(member, FeatureModel) and isinstance(member.classifier, Probe)):
                return None
            maps, weights = self._maps.get(id(member.features), []), weight * member.classifier.weights
            if sum(each.shape[-1] for each in maps) != len(weights):
                return None
            ends = np.cumsum([each.shape[-1] for each in maps])[:-1]
            parts += [self._shares(*each) for each in zip(maps, np.split(weights, ends), strict=True)]
        height, width = (max(part.shape[axis] for part in parts) for axis in (0, 1))
        spread = [self._spread(part, height, width) for part in parts]
        return self.graph.channels_last(functools.reduce(operator.add, spread))

    def _shares(self, maps: Value, weights: Floats) -> Value:
        names = [self.graph.channels_first(maps).name, self.graph.constant(weights.T[..., None, None])]
        return self.graph.node("Conv", names, (*maps.shape[:2], weights.shape[1]), first=True)

    def _spread(self, x: Value, height: int, width: int) -> Value:
        """Bring maps to a finer grid, each cell the mean of what it covers of theirs, so that their mean stays."""
        if x.shape[:2] == (height, width):
            return x
        shape = (height, width, x.shape[-1])
        down, across = _overlaps(x.shape[0], height), _overlaps(x.shape[1], width).T
        rows = self.graph.node("MatMul", [self.graph.constant(down), x.name], (height, *x.shape[1:]), first=True)
        return self.graph.node("MatMul", [rows.name, self.graph.constant(across)], shape, first=True)

    def _kernel(self, classifier: KernelClassifier, z: Value) -> Value:
        ops, x = self.ops, z * classifier.scale
        squares = ops.matmul(x * x, np.ones((x.shape[-1], 1))) + (classifier.centres**2).sum(axis=1)
        far = ops.maximum(squares - ops.matmul(x, 2 * classifier.centres.T), 0.0)
        near = self.graph.exp(-far)
        said = ops.matmul(near, classifier.weights) + classifier.mean
        return ops.matmul(said, classifier.STEEP * classifier.links) + classifier.bias

    def to_prob(self, scores: Value, exclusive: bool) -> Value:
        """Turn scores into probabilities."""
        return self.graph.softmax(scores) if exclusive else self.graph.sigmoid(scores)

    def to_scores(self, prob: Value, exclusive: bool) -> Value:
        """Turn probabilities into scores; see `models.feature_classifiers.scores_of`."""
        ops = self.ops
        logs = ops.log(self.graph.minimum(ops.maximum(prob, LEAST), 1.0))
        if exclusive:
            labels = prob.shape[-1]
            return logs - ops.matmul(logs, np.full((labels, 1), 1 / labels))
        return logs - ops.log(self.graph.minimum(ops.maximum(-prob + 1.0, LEAST), 1.0))


def _overlaps(before: int, after: int) -> Floats:
    """Give (after, before): how much of each cell of a finer line lies in each of a coarser one, of one length."""
    fine, coarse = (np.linspace(0, 1, n + 1) for n in (after, before))
    ends, starts = np.minimum(fine[1:, None], coarse[1:]), np.maximum(fine[:-1, None], coarse[:-1])
    return np.asarray(np.maximum(ends - starts, 0) * after)
