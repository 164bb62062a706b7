"""The baselines: what a score must beat. They train in seconds, without Keras."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from penlight.recipes import Linear, Majority
from penlight.tasks import Task
from penlight.tasks.base import sigmoid, softmax

# The linear baseline reads so many pixels at once, in 64 bits.
_VALUES_AT_ONCE = 2**22

Floats = NDArray[np.float64]


class Baseline(Protocol):
    """A model without epochs. `prob` are (N, C) probabilities of the task it was fitted for."""

    def fit(self, images: NDArray[np.uint8], y: NDArray[np.uint8], task: Task, *, mirrors: bool) -> Self:
        """Learn from images (N, H, W, C) uint8 and indicators (N, C); `mirrors` says that flips are allowed."""

    def predict(self, images: NDArray[np.uint8]) -> Floats:
        """Give (N, C) probabilities."""


@dataclass
class MajorityBaseline:
    """Says of every image what is most usual: the shares of the labels in train."""

    options: Majority
    shares: Floats = field(default_factory=lambda: np.empty(0))

    def fit(self, images: NDArray[np.uint8], y: NDArray[np.uint8], task: Task, *, mirrors: bool) -> Self:
        """See `Baseline.fit`."""
        self.shares = y.mean(axis=0)
        return self

    def predict(self, images: NDArray[np.uint8]) -> Floats:
        """See `Baseline.predict`."""
        return np.tile(self.shares, (len(images), 1))


@dataclass
class LinearBaseline:
    """Log-pixels, mirrored copies, principal components, logistic regression.

    One multinomial regression for exclusive tasks, one regression per label else. Nothing here is random. What is
    kept is one affine map of `LOG_PIXELS`: `weights` (H * W * C, C) and `bias` (C,); its softmax for exclusive tasks,
    else its sigmoid, is the answer.
    """

    options: Linear
    weights: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bias: Floats = field(default_factory=lambda: np.empty(0))
    exclusive: bool = True

    def fit(self, images: NDArray[np.uint8], y: NDArray[np.uint8], task: Task, *, mirrors: bool) -> Self:
        """See `Baseline.fit`."""
        from sklearn.decomposition import PCA

        copies = _mirrored(images) if mirrors and self.options.flips else [images]
        x = np.concatenate([_log_pixels(copy) for copy in copies])
        components = min(self.options.components, *x.shape)
        transform = PCA(components, svd_solver="auto", iterated_power=7, random_state=0)
        z = transform.fit_transform(x).astype(np.float64)
        targets = np.argmax(y, axis=1)[:, None] if task.exclusive else y
        maps = [self._regression(z, np.tile(column, len(copies))) for column in targets.T]
        coefficients, bias = _of_classes(*maps[0], y.shape[1]) if task.exclusive else _of_findings(maps)
        axes = np.asarray(transform.components_, np.float64)
        self.weights = (coefficients @ axes).T
        self.bias = bias - np.asarray(transform.mean_, np.float64) @ self.weights
        self.exclusive = task.exclusive
        return self

    def _regression(self, z: Floats, target: NDArray[Any]) -> "_Regression":
        """Fit one regression: coefficients and bias of each class that is there, and which those are."""
        from sklearn.linear_model import LogisticRegression

        present = np.unique(target)
        if len(present) == 1:
            return np.zeros((1, z.shape[1])), np.zeros(1), present
        fitted = LogisticRegression(C=self.options.strength, max_iter=1000).fit(z, target)
        if len(present) == 2:
            # Of two classes scikit-learn keeps the log-odds of the second.
            return np.vstack([np.zeros_like(fitted.coef_), fitted.coef_]), np.r_[0.0, fitted.intercept_], present
        return fitted.coef_, fitted.intercept_, present

    def predict(self, images: NDArray[np.uint8]) -> Floats:
        """See `Baseline.predict`."""
        rows = max(1, _VALUES_AT_ONCE // len(self.weights))
        parts = [images[start : start + rows] for start in range(0, len(images), rows)]
        scores = [_log_pixels(part).astype(np.float64) @ self.weights + self.bias for part in parts]
        joined = np.concatenate([np.empty((0, len(self.bias))), *scores])
        return softmax(joined) if self.exclusive else sigmoid(joined)


_Regression = tuple[Floats, Floats, NDArray[Any]]

# The score of what train does not have; its exponential is zero.
_NEVER = -1e4


def _of_classes(coefficients: Floats, bias: Floats, present: NDArray[Any], n_classes: int) -> tuple[Floats, Floats]:
    """Put the scores of the classes that train has among those of all classes."""
    rows, scores = np.zeros((n_classes, coefficients.shape[1])), np.full(n_classes, _NEVER)
    rows[present], scores[present] = coefficients, bias
    return rows, scores


def _of_findings(regressions: list[_Regression]) -> tuple[Floats, Floats]:
    """Turn scores of absent and present into log-odds, a row for each finding."""
    both = [_of_classes(*regression, 2) for regression in regressions]
    return np.stack([rows[1] - rows[0] for rows, _ in both]), np.array([scores[1] - scores[0] for _, scores in both])


LOG_PIXELS = np.log(np.arange(256, dtype=np.float32) / 255 + 0.1)
"""What the linear baseline sees of a pixel, (256,) float32."""


def _log_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H * W * C) float32 logarithms of pixels: products of light and tissue become sums.

    A tenth of the range is added first, so that noise in the darkest pixels does not outweigh the rest; on
    RetinaMNIST's train the cross-validated AUC is 0.736 with 0.002, 0.740 with 0.004, 0.746 to 0.748 from 0.08 on.
    """
    return LOG_PIXELS[images.reshape(len(images), -1)]


def _mirrored(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The images as they are, mirrored, upside down, and both."""
    return [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]


BASELINES: dict[str, Callable[[Any], Baseline]] = {"majority": MajorityBaseline, "linear": LinearBaseline}
