"""Classifiers of features, and the extra trees that learn from handcrafted ones.

Each learns from (N, F) standardised features and indicators (N, C), and answers with log-probabilities (N, C) of an
exclusive task, less their mean, or log-odds of each label else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.folds import assign_folds
from penlight.recipes import Trees
from penlight.tasks import KnownLabels
from penlight.tasks.base import among, select_known
from penlight.tasks.links import sigmoid, softmax

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

LEAST = 1e-6
"""How far probabilities are kept from 0 and 1 before a logarithm."""

_FOLDS = 5

_FEW = 3_000
"""Up to so many training images each is also answered by trees that have not seen it."""


@dataclass(frozen=True)
class FeatureTable:
    """What a classifier learns from: features `z` (N, F), indicators `y` (N, C), and the seed.

    `of_patient` (N,) numbers the images that are left out together where something is learned from images left out;
    by default each is alone. `known` (N, C) says which labels are known, None where all are.
    """

    z: NDArray[np.floating]
    y: NDArray[np.uint8]
    exclusive: bool
    seed: int
    of_patient: Numbers | None = None
    known: KnownLabels = None

    def of_label(self, c: int) -> "FeatureTable":
        """Give the images of which a label is known, with that label alone."""
        rows = among(self.known, c)
        own = None if self.of_patient is None else self.of_patient[rows]
        return replace(self, z=self.z[rows], y=self.y[rows, c : c + 1], of_patient=own, known=None)

    @property
    def labels(self) -> list["FeatureTable"]:
        """Give the table of each label, see `of_label`."""
        return [self.of_label(c) for c in range(self.y.shape[1])]


class FeatureClassifier(Protocol):
    """A model of features; see the module."""

    def fit(self, table: FeatureTable) -> Self:
        """Learn from features and labels."""

    def scores(self, z: Floats) -> Floats:
        """Give (N, C) log-probabilities less their mean, or log-odds."""

    @property
    def held_out(self) -> Floats | None:
        """What is said of the images of train, (N, C) scores, by models that saw none of their patient; None where
        that would take long."""


def scores_of(prob: Floats, *, exclusive: bool) -> Floats:
    """Turn probabilities (N, C) into log-probabilities less their mean, or log-odds, kept finite."""
    p = np.clip(prob, LEAST, 1)
    if exclusive:
        return np.asarray(np.log(p) - np.log(p).mean(axis=1, keepdims=True))
    return np.asarray(np.log(p) - np.log(np.clip(1 - prob, LEAST, 1)))


def prob_of(scores: Floats, *, exclusive: bool) -> Floats:
    """Turn scores (N, C) into probabilities."""
    return np.asarray(softmax(scores) if exclusive else sigmoid(scores))


@dataclass(frozen=True)
class Forest:
    """Trees as arrays, node after node of all of them: `feature` (M,) -1 at a leaf, `threshold` (M,) float32, left
    where a number is at most that, `left` and `right` (M,) nodes, `prob` (M, C) of leaves; `roots` (T,)."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    prob: Floats
    roots: NDArray[np.int64]

    def predict(self, z: NDArray[np.float32]) -> Floats:
        """Average the leaves (N, C) that numbers (N, F) fall into."""
        total = np.zeros((len(z), self.prob.shape[1]))
        rows = np.arange(len(z))
        for root in self.roots:
            at = np.full(len(z), root)
            while (inner := self.feature[at] >= 0).any():
                down = at[inner]
                goes_left = z[rows[inner], self.feature[down]] <= self.threshold[down]
                at[inner] = np.where(goes_left, self.left[down], self.right[down])
            total += self.prob[at]
        return total / len(self.roots)


@dataclass
class TreesClassifier:
    """Extra trees (Geurts, Ernst and Wehenkel 2006): the mean of the shares in the leaves of many random trees."""

    options: Trees
    exclusive: bool = True
    forest: Forest | None = None
    held_out: Floats | None = None

    def fit(self, table: FeatureTable) -> Self:
        """See `FeatureClassifier`. Where not all labels are known, each has trees of its own."""
        self.exclusive, self.forest = table.exclusive, self._grown(table)
        self.held_out = self._out_of_fold(table) if len(table.y) <= _FEW else None
        return self

    def _out_of_fold(self, table: FeatureTable) -> Floats:
        """Answer each image by trees that were grown on no image of its patient, in five folds."""
        own = np.arange(len(table.y)) if table.of_patient is None else table.of_patient
        out, number = np.zeros(table.y.shape), assign_folds(table.y, own, _FOLDS, table.seed)
        for fold in np.unique(number):
            held_out, rest = number == fold, number != fold
            known = select_known(table.known, rest)
            inside = replace(table, z=table.z[rest], y=table.y[rest], of_patient=own[rest], known=known)
            out[held_out] = self._scores(self._grown(inside), table.z[held_out])
        return out

    def _grown(self, table: FeatureTable) -> Forest:
        from sklearn.ensemble import ExtraTreesClassifier

        if table.known is not None:
            return _joined([self._grown(own) for own in table.labels])
        model = ExtraTreesClassifier(
            self.options.trees,
            min_samples_leaf=self.options.leaf,
            max_features=self.options.share,
            random_state=table.seed,
            n_jobs=-1,
        )
        model.fit(table.z.astype(np.float32), _targets(table.y, table.exclusive))
        return forest_of(model, table.y.shape[1], table.exclusive)

    def scores(self, z: Floats) -> Floats:
        """See `FeatureClassifier`."""
        assert self.forest is not None
        return self._scores(self.forest, z)

    def _scores(self, forest: Forest, z: NDArray[np.floating]) -> Floats:
        return scores_of(forest.predict(z.astype(np.float32)), exclusive=self.exclusive)


def _targets(y: NDArray[np.uint8], exclusive: bool) -> NDArray[Any]:
    """Turn indicators (N, C) into scikit-learn's: class numbers (N,), or labels (N, C); one label alone is (N,)."""
    if exclusive:
        return np.asarray(np.argmax(y, axis=1))
    return y[:, 0] if y.shape[1] == 1 else y


def forest_of(model: Any, labels: int, exclusive: bool) -> Forest:
    """Take the trees of a fitted forest of scikit-learn, which averages their leaves, or a tree by itself: of class
    numbers where classes are `exclusive`, else of indicators of `labels`."""
    # Of a single label scikit-learn gives its classes, of several a list of them.
    classes = model.classes_ if exclusive or labels > 1 else [model.classes_]
    feature, threshold, left, right, prob, roots = [], [], [], [], [], []
    start = 0
    for tree in (estimator.tree_ for estimator in getattr(model, "estimators_", [model])):
        leaf = tree.children_left < 0
        roots.append(start)
        feature.append(np.where(leaf, -1, tree.feature))
        # Rounded down to 32 bits, "at most" says the same of every 32-bit number.
        cut = tree.threshold.astype(np.float32)
        threshold.append(np.where(cut > tree.threshold, np.nextafter(cut, np.float32(-np.inf)), cut))
        left.append(np.where(leaf, -1, tree.children_left + start))
        right.append(np.where(leaf, -1, tree.children_right + start))
        prob.append(_leaf_shares(tree.value, classes, labels, exclusive))
        start += tree.node_count
    return Forest(
        np.concatenate(feature),
        np.concatenate(threshold),
        np.concatenate(left),
        np.concatenate(right),
        np.concatenate(prob),
        np.array(roots),
    )


def _joined(each: Sequence[Forest]) -> Forest:
    """Make one forest of those of single labels. The mean is over all trees, of which those of a label are one in C:
    their leaves say C times the share."""
    starts = np.cumsum([0, *(len(own.feature) for own in each)])
    moved = [(own, int(start)) for own, start in zip(each, starts, strict=False)]
    prob = np.zeros((int(starts[-1]), len(each)))
    for c, (own, start) in enumerate(moved):
        prob[start : start + len(own.feature), c] = own.prob[:, 0] * len(each)
    return Forest(
        np.concatenate([own.feature for own in each]),
        np.concatenate([own.threshold for own in each]),
        np.concatenate([np.where(own.left < 0, -1, own.left + start) for own, start in moved]),
        np.concatenate([np.where(own.right < 0, -1, own.right + start) for own, start in moved]),
        prob,
        np.concatenate([own.roots + start for own, start in moved]),
    )


def _leaf_shares(value: Floats, classes: Any, labels: int, exclusive: bool) -> Floats:
    """Shares of the labels at each node, (M, C), from scikit-learn's (M, outputs, classes)."""
    out = np.zeros((len(value), labels))
    if exclusive:
        out[:, classes] = value[:, 0] / value[:, 0].sum(axis=1, keepdims=True)
        return out
    for c in range(labels):
        own = classes[c]
        shares = value[:, c, : len(own)] / value[:, c, : len(own)].sum(axis=1, keepdims=True)
        out[:, c] = shares[:, list(own).index(1)] if 1 in own else 0.0
    return out
