"""Classifiers of features, and the kernel ridge regression that learns from handcrafted ones.

Each learns from (N, F) standardised features and indicators (N, C), and answers with log-probabilities (N, C) of an
exclusive task, less their mean, or log-odds of each label else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.folds import assign_folds
from penlight.recipes import Kernel
from penlight.tasks import KnownLabels
from penlight.tasks.base import among, select_known
from penlight.tasks.links import sigmoid, softmax

Floats = NDArray[np.float64]
Groups = Mapping[str, slice]
Numbers = NDArray[np.int64]

LEAST = 1e-6
"""How far probabilities are kept from 0 and 1 before a logarithm."""

_FOLDS = 5

_FEW = 3_000
"""Up to so many training images each is also answered by models that have not seen it."""


@dataclass(frozen=True)
class FeatureTable:
    """What a classifier learns from: features `z` (N, F), indicators `y` (N, C), and the seed.

    `of_patient` (N,) numbers the images that are left out together where something is learned from images left out;
    by default each is alone. `known` (N, C) says which labels are known, None where all are; `groups` are
    columns of handcrafted features of one kind.
    """

    z: NDArray[np.floating]
    y: NDArray[np.uint8]
    exclusive: bool
    seed: int
    of_patient: Numbers | None = None
    known: KnownLabels = None
    groups: Groups = field(default_factory=dict)

    def of_label(self, c: int) -> "FeatureTable":
        """Give the images of which a label is known, with that label alone."""
        rows = among(self.known, c)
        own = None if self.of_patient is None else self.of_patient[rows]
        return replace(self, z=self.z[rows], y=self.y[rows, c : c + 1], of_patient=own, known=None)

    @property
    def patients(self) -> Numbers:
        """What is left out together, (N,): by default each image."""
        return np.arange(len(self.y)) if self.of_patient is None else np.asarray(self.of_patient)

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


@dataclass
class KernelClassifier:
    """Kernel ridge regression with a Gaussian kernel in which every group of features counts alike, rare classes
    more; what it says of an image of train when all of its patient are left out teaches a logistic regression the
    probabilities.

    The leave-one-out answers have a closed form (Rasmussen and Williams, Gaussian Processes for Machine Learning,
    2006, 5.4.2), and so have those with several images left out at once (the same with blocks of the inverse).
    Of more than `landmarks` images that number is drawn, and the function is a sum of kernels about those (Nystroem's
    way).
    """

    options: Kernel
    scale: Floats = field(default_factory=lambda: np.empty(0))
    centres: Floats = field(default_factory=lambda: np.empty((0, 0)))
    weights: Floats = field(default_factory=lambda: np.empty((0, 0)))
    mean: Floats = field(default_factory=lambda: np.empty(0))
    links: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bias: Floats = field(default_factory=lambda: np.empty(0))
    held_out: Floats | None = None

    STEEP = 4.0

    def fit(self, table: FeatureTable) -> Self:
        """See `FeatureClassifier`. Where not all labels are known, each is fitted on the images of which it is."""
        self.held_out = self._out_of_fold(table) if len(table.y) <= _FEW else None
        return self._fit(table)

    def _out_of_fold(self, table: FeatureTable) -> Floats:
        """Answer each image by a kernel that learned from no image of its patient, in five folds."""
        own = table.patients
        out, number = np.zeros(table.y.shape), assign_folds(table.y, own, _FOLDS, table.seed)
        for fold in np.unique(number):
            left_out, rest = number == fold, number != fold
            known = select_known(table.known, rest)
            inside = replace(table, z=table.z[rest], y=table.y[rest], of_patient=own[rest], known=known)
            out[left_out] = type(self)(self.options)._fit(inside).scores(table.z[left_out])
        return out

    def _fit(self, table: FeatureTable) -> Self:
        if table.known is not None:
            scale = _group_scales(table.z, table.groups, self.options.width)
            return self._side_by_side([type(self)(self.options, scale)._fit(own) for own in table.labels])
        z, y, exclusive = table.z, table.y, table.exclusive
        if not len(self.scale):
            self.scale = _group_scales(z, table.groups, self.options.width)
        x, targets = z * self.scale, y.astype(np.float64)
        weight = np.ones(len(y))
        if exclusive:
            weight = (targets @ np.maximum(targets.mean(axis=0), 1 / len(targets)) ** -0.5).astype(np.float64)
            weight = np.asarray(weight / weight.mean())
        self.mean = np.average(targets, axis=0, weights=weight)
        away = targets - self.mean
        rng = np.random.default_rng([table.seed, 0xCE])
        rows = np.sort(rng.permutation(len(x))[: self.options.landmarks])
        self.centres = x[rows]
        near = _gauss(x, self.centres)
        if len(rows) == len(x):
            inverse = np.linalg.inv(near + np.diag(self.options.ridge / weight))
            self.weights = inverse @ away
            left_out = targets - self.weights / np.diag(inverse)[:, None]
            for block in rows_of_several(table.patients):
                left_out[block] = targets[block] - np.linalg.solve(inverse[np.ix_(block, block)], self.weights[block])
        else:
            gram = near.T @ (weight[:, None] * near) + self.options.ridge * near[rows]
            gram[np.diag_indices_from(gram)] += 1e-8 * len(x)
            found = np.linalg.solve(gram, np.concatenate([near.T @ (weight[:, None] * away), near.T], axis=1))
            self.weights, hat = found[:, : y.shape[1]], found[:, y.shape[1] :]
            own = weight * np.einsum("nm,mn->n", near, hat)
            residual = away - near @ self.weights
            left_out = targets - residual / np.maximum(1 - own, 1e-3)[:, None]
            for block in rows_of_several(table.patients):
                shared = (near[block] @ hat[:, block]) * weight[block]
                left_out[block] = targets[block] - np.linalg.solve(
                    (1 + 1e-6) * np.eye(len(block)) - shared, residual[block]
                )
        self.links, self.bias = _link(self.STEEP * left_out, y, exclusive)
        return self

    def _side_by_side(self, each: Sequence["KernelClassifier"]) -> Self:
        """Make one classifier of those of single labels, which share a scale: kernels about the centres of any."""
        from scipy.linalg import block_diag

        self.scale = each[0].scale
        centres = np.concatenate([own.centres for own in each])
        self.centres, place = np.unique(centres, axis=0, return_inverse=True)
        self.weights = np.zeros((len(self.centres), len(each)))
        np.add.at(self.weights, place.ravel(), block_diag(*[own.weights for own in each]))
        self.links = block_diag(*[own.links for own in each])
        self.mean, self.bias = (np.concatenate(own) for own in ([e.mean for e in each], [e.bias for e in each]))
        return self

    def scores(self, z: Floats) -> Floats:
        """See `FeatureClassifier`."""
        said = _gauss(z * self.scale, self.centres) @ self.weights + self.mean
        return np.asarray(self.STEEP * said @ self.links + self.bias)


def rows_of_several(of_patient: Numbers) -> list[Numbers]:
    """Give the rows of each patient with more than one image."""
    order = np.argsort(of_patient, kind="stable")
    starts = np.flatnonzero(np.diff(of_patient[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]


def _gauss(x: Floats, centres: Floats) -> Floats:
    """Gaussian kernel exp(-|x - c|²), (N, M)."""
    far = (x**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * x @ centres.T
    return np.asarray(np.exp(-np.maximum(far, 0)))


def _group_scales(z: NDArray[np.floating], groups: Groups, width: float) -> Floats:
    """Scale each number so that the mean squared distance within a group, over pairs of images, is the same for all
    groups and `width` in all."""
    spread = z.var(axis=0)
    scale = np.zeros(z.shape[1])
    for place in groups.values():
        total = 2 * spread[place].sum()
        if total > 0:
            scale[place] = np.sqrt(width / len(groups) / total)
    return scale


def _link(said: Floats, y: NDArray[np.uint8], exclusive: bool) -> tuple[Floats, Floats]:
    """Learn scores from what was said of images left out: a map (C, C) and a bias (C,)."""
    from sklearn.linear_model import LogisticRegression

    labels = y.shape[1]
    links, bias = np.zeros((labels, labels)), np.full(labels, np.log(LEAST))
    if exclusive:
        truth = np.argmax(y, axis=1)
        present = np.unique(truth)
        bias[present] = 0.0
        if len(present) > 1:
            fitted = LogisticRegression(max_iter=1000).fit(said, truth)
            both = len(present) == 2
            coefficients = np.vstack([0 * fitted.coef_, fitted.coef_]) if both else fitted.coef_
            links[:, present] = coefficients.T
            bias[present] = np.r_[0.0, fitted.intercept_] if both else fitted.intercept_
        return links, bias
    for c in range(labels):
        if 0 < y[:, c].sum() < len(y):
            fitted = LogisticRegression(max_iter=1000).fit(said[:, c : c + 1], y[:, c])
            links[c, c], bias[c] = fitted.coef_[0, 0], fitted.intercept_[0]
        elif y[:, c].all():
            bias[c] = -np.log(LEAST)
    return links, bias


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
