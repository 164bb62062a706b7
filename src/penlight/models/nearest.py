"""The nearest images: what a probe is compared with, since it learns nothing but where images lie.

An image is answered by the training images whose features have the least angle to its own, the nearer the more: k =
20 and a temperature of 0.07, as in Wu et al., Unsupervised feature learning via non-parametric instance
discrimination (2018), and in what judges encoders by it since (DINO, RETFound). Each weighs by how much more the
next image after them would weigh less, so that answers do not jump where two images are as near.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from penlight.models.axes import require_numbers
from penlight.models.feature_classifiers import FeatureTable, Floats, scores_of
from penlight.models.graph import Graph, Value
from penlight.models.probe import require_learnable, weigh_rows
from penlight.recipes.recipe import Encoded

NEAREST = 20
TEMPERATURE = 0.07
FARTHEST = -4.0
"""Less than any cosine."""
LEAST_LENGTH = 1e-12

_MOST = 10_000
_PART = 256


@dataclass
class NearestProbe:
    """Training images as `places` (F, M) of length 1, with their `votes` (M, 2 C): how much each label of them
    counts, and how much of that says that it is there. `shares` (C,) of train have a vote as the nearest image has.

    Of more than 10,000 images that many are drawn. `held_out` (N, C) has scores of each of them by the others,
    without those of its patient; NaN for images that were not drawn, and where all are of one patient.
    """

    options: Encoded
    exclusive: bool = True
    places: Floats = field(default_factory=lambda: np.empty((0, 0)))
    votes: Floats = field(default_factory=lambda: np.empty((0, 0)))
    shares: Floats = field(default_factory=lambda: np.empty(0))
    held_out: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def fit(self, table: FeatureTable) -> Self:
        """Keep a table of features. TrainingError where there is nothing to learn."""
        require_learnable(table)
        self.exclusive, patients = table.exclusive, table.patients
        rows = np.sort(np.random.default_rng([table.seed, 0xFE3]).permutation(len(table.y))[:_MOST])
        count = np.broadcast_to(weigh_rows(table, self.options.balance), table.y.shape)
        self.shares = (count * table.y).sum(axis=0) / np.maximum(count.sum(axis=0), 1e-9)
        self.votes = np.concatenate([count, count * table.y], axis=1)[rows]
        self.places = np.ascontiguousarray(unit(table.z[rows]).T)
        require_numbers(self.places)
        self.held_out = np.full(table.y.shape, np.nan)
        if len(np.unique(patients)) > 1:
            self.held_out[rows] = self._scores(table.z[rows], patients[rows])
        return self

    def scores(self, z: NDArray[np.floating]) -> Floats:
        """Give (N, C) log-probabilities less their mean, or log-odds, of features (N, F)."""
        return self._scores(z)

    def nodes(self, graph: Graph, z: Value) -> Value:
        """Add to a graph what turns features (N, F) into probabilities (N, C)."""
        x, labels = graph.double(z), len(self.shares)
        length = graph.unary("Sqrt", graph.matmul(x * x, np.ones((x.shape[-1], 1))))
        near = graph.matmul(x / graph.maximum(length, LEAST_LENGTH), self.places)
        near, index = graph.largest(near, min(NEAREST + 1, self.places.shape[1]))
        weight = graph.exp((near - graph.columns(near, slice(1))) / TEMPERATURE)
        weight = weight - graph.columns(weight, slice(-1, None))
        chosen = [graph.constant(self.votes, np.float64), index.name]
        votes = graph.node("Gather", chosen, (*index.shape, 2 * labels), dtype=np.float64, axis=0)
        row = graph.node("Unsqueeze", [weight.name, graph.constant([1], np.int64)], weight.shape, dtype=np.float64)
        summed = graph.node("MatMul", [row.name, votes.name], (2 * labels,), dtype=np.float64)
        summed = graph.node("Squeeze", [summed.name, graph.constant([1], np.int64)], summed.shape, dtype=np.float64)
        count, there = graph.columns(summed, slice(labels)), graph.columns(summed, slice(labels, None))
        return (there + self.shares) / (count + 1.0)

    def _scores(self, z: NDArray[np.floating], patients: NDArray[np.int64] | None = None) -> Floats:
        """Give scores of features (N, F); where these are the places, of `patients` (N,), without their own."""
        said = []
        for start in range(0, len(z), _PART):
            near = unit(z[start : start + _PART]) @ self.places
            if patients is not None:
                near[patients[start : start + _PART, None] == patients] = FARTHEST
            most = min(NEAREST + 1, near.shape[1])
            order = np.argpartition(-near, most - 1, axis=1)[:, :most]
            near = np.take_along_axis(near, order, axis=1)
            weight = np.exp((near - near.max(axis=1, keepdims=True)) / TEMPERATURE)
            weight = weight - weight.min(axis=1, keepdims=True)
            said.append(np.einsum("nk,nkc->nc", weight, self.votes[order]))
        count, there = np.split(np.concatenate(said), 2, axis=1)
        return scores_of((there + self.shares) / (count + 1), exclusive=self.exclusive)


def unit(z: NDArray[np.floating]) -> Floats:
    """Give features (N, F) the length 1."""
    x = z.astype(np.float64)
    return np.asarray(x / np.maximum(np.sqrt((x**2).sum(axis=1, keepdims=True)), LEAST_LENGTH))
