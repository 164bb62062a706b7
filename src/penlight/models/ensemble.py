"""Several models as one: their scores are added by weight. Classifiers of handcrafted features are members too.

Scores are (N, C): log-probabilities of an exclusive task less their mean, log-odds of each label else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.models.baselines import LinearBaseline
from penlight.models.encoder import EncoderFeatures
from penlight.models.feature_classifiers import FeatureClassifier, Floats, prob_of, scores_of
from penlight.tasks import KnownLabels, Task

MOST = 10_000
"""Classifiers of features learn from at most this many images, drawn by the seed."""

_PART = 4096
_NEGLIGIBLE_SHARE = 0.005


class Scorer(Protocol):
    """A member of an ensemble."""

    def scores(self, images: Readable, cache: "FeatureCache") -> Floats:
        """Give (N, C) scores; `cache` has the features of these images, computed at most once."""


class Features(Protocol):
    """What turns images into numbers."""

    def of(self, images: Readable) -> NDArray[Any]:
        """Give (N, F) features of images (N, H, W, C) uint8."""


class FeatureCache:
    """The features of some images, computed when they are first asked for."""

    def __init__(self, images: Readable) -> None:
        self._images = images
        self._known: dict[int, NDArray[Any]] = {}

    def by(self, features: Features) -> NDArray[Any]:
        """Give (N, F) features of the images."""
        if id(features) not in self._known:
            self._known[id(features)] = features.of(self._images)
        return self._known[id(features)]


@dataclass
class FeatureModel:
    """A classifier of features, from images to answers."""

    features: Features
    classifier: FeatureClassifier
    exclusive: bool

    def scores(self, images: Readable, cache: FeatureCache) -> Floats:
        """See `Scorer`."""
        return self.classifier.scores(cache.by(self.features))


@dataclass
class LinearMember:
    """The linear baseline as a member."""

    model: LinearBaseline

    def scores(self, images: Readable, cache: FeatureCache) -> Floats:
        """See `Scorer`."""
        return scores_of(self.model.predict(images), exclusive=self.model.exclusive)


@dataclass
class NetworkMember:
    """A network as a member: `logits` gives (N, K) for images (N, H, W, C)."""

    network: Any
    task: Task
    logits: Callable[[Readable], NDArray[np.floating]]

    def scores(self, images: Readable, cache: FeatureCache) -> Floats:
        """See `Scorer`."""
        prob = self.task.probabilities(np.asarray(self.logits(images), np.float64))
        return scores_of(prob, exclusive=self.task.exclusive)


@dataclass
class EnsembleModel:
    """Members and their weights (M,); `names` are the backbones of the members."""

    members: Sequence[Scorer]
    weights: Floats
    names: Sequence[str]
    exclusive: bool

    def predict(self, images: Readable) -> Floats:
        """Give (N, C) probabilities."""
        parts = (images[start : start + _PART] for start in range(0, len(images), _PART))
        scores = [np.tensordot(self.weights, scores_of_members(self.members, part), axes=1) for part in parts]
        return prob_of(np.concatenate(scores), exclusive=self.exclusive)

    @property
    def features_are_kept(self) -> bool:
        """Say whether `features` are those of an encoder, which were computed for training."""
        return isinstance(next(self._features, None), EncoderFeatures)

    @property
    def has_features(self) -> bool:
        """Say whether a member is a model of features."""
        return next(self._features, None) is not None

    @property
    def _features(self) -> Iterator[Features]:
        return (member.features for member in self.members if isinstance(member, FeatureModel))

    def features(self, images: Readable) -> NDArray[Any]:
        """Give (N, F) what the first model of features reads of images; its file gives the same."""
        return next(self._features).of(images)

    def drop_negligible_members(self) -> Self:
        """Leave out members whose weight says that they add nothing."""
        kept = np.flatnonzero(self.weights > _NEGLIGIBLE_SHARE * self.weights.sum()).tolist()
        parts = [self.members[i] for i in kept], self.weights[kept], [self.names[i] for i in kept]
        return type(self)(*parts, self.exclusive)


def scores_of_members(members: Sequence[Scorer], images: Readable) -> Floats:
    """Give (M, N, C) scores; what members share is computed once."""
    cache = FeatureCache(images)
    return np.stack([member.scores(images, cache) for member in members])


def few_of(n: int, seed: int) -> NDArray[np.int64]:
    """Draw the rows of train that classifiers of features learn from, in order: all, or `MOST` of them."""
    return np.sort(np.random.default_rng([seed, 0xFE3]).permutation(n)[:MOST])


def weigh(
    scores: Floats,
    y: NDArray[np.uint8],
    given: Floats,
    worth: float,
    *,
    exclusive: bool,
    known: KnownLabels = None,
) -> Floats:
    """Find the weights (M,), none below 0, under which scores (M, N, C) explain the truth (N, C) best.

    The loss is the log loss, and away from the `given` weights it counts `worth` images more: those weights are
    the mean of a Gaussian whose precision is that of `worth` images like these. Labels that are not `known` (N, C)
    say nothing.
    """
    from scipy.optimize import minimize

    n = scores.shape[1]
    precision = worth * _curvature(scores, given, exclusive) + 1e-3 * np.eye(len(given))

    def loss(weights: Floats) -> tuple[float, Floats]:
        away = weights - given
        prob = prob_of(np.tensordot(weights, scores, axes=1), exclusive=exclusive)
        if exclusive:
            value = -np.log(np.maximum((prob * y).sum(axis=1), 1e-12)).sum()
            slope = np.einsum("mnc,nc->m", scores, prob - y)
        else:
            off = prob - y if known is None else (prob - y) * known
            value = -np.log(np.maximum(1 - np.abs(off), 1e-12)).sum() / y.shape[1]
            slope = np.einsum("mnc,nc->m", scores, off) / y.shape[1]
        return float(value + away @ precision @ away / 2), slope + precision @ away

    start = np.maximum(given, 0.05)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(given)) if n else None
    return np.asarray(given if found is None else found.x)


def _curvature(scores: Floats, weights: Floats, exclusive: bool) -> Floats:
    """The second derivative of the mean log loss in the weights, (M, M)."""
    prob = prob_of(np.tensordot(weights, scores, axes=1), exclusive=exclusive)
    if not exclusive:
        spread = prob * (1 - prob) / prob.shape[1]
        return np.asarray(np.einsum("mnc,nc,knc->mk", scores, spread, scores) / len(prob))
    mean = np.einsum("mnc,nc->mn", scores, prob)
    return np.asarray((np.einsum("mnc,nc,knc->mk", scores, prob, scores) - mean @ mean.T) / len(prob))
