"""The baselines: what a score must beat. They train in seconds, without Keras."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.evaluation.novelty import cell_shares
from penlight.models.blas import one_blas_thread, side_by_side
from penlight.recipes import Linear, Majority
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import shares
from penlight.tasks.links import sigmoid, softmax

# Pixels that the linear baseline reads at once, in 64 bits.
_VALUES_AT_ONCE = 2**22

TABLE_BYTES = 2**29
"""The linear baseline holds the log-pixels of train, mirrored copies too, if they have at most this many bytes."""

CELLS = 32
"""Where they have more, the log-pixels of an image are averaged over at most this many cells a side."""

Floats = NDArray[np.float64]


class Baseline(Protocol):
    """A model without epochs. `prob` are (N, C) probabilities of the task it was fitted for."""

    def fit(
        self, images: Readable, y: NDArray[np.uint8], task: Task, *, mirrors: bool, known: KnownLabels = None
    ) -> Self:
        """Learn from images (N, H, W, C) uint8 and indicators (N, C); `mirrors` says that flips are allowed. Of a
        label it learns from the images of which it is `known` (N, C)."""

    def predict(self, images: Readable) -> Floats:
        """Give (N, C) probabilities."""


@dataclass
class MajorityBaseline:
    """Says of every image what is most usual: the shares of the labels in train."""

    options: Majority
    shares: Floats = field(default_factory=lambda: np.empty(0))

    def fit(
        self, images: Readable, y: NDArray[np.uint8], task: Task, *, mirrors: bool, known: KnownLabels = None
    ) -> Self:
        """See `Baseline.fit`."""
        self.shares = np.nan_to_num(shares(y, known))
        return self

    def predict(self, images: Readable) -> Floats:
        """See `Baseline.predict`."""
        return np.tile(self.shares, (len(images), 1))


@dataclass
class LinearBaseline:
    """Log-pixels, mirrored copies, principal components, logistic regression.

    One multinomial regression for exclusive tasks, one regression per label else. Nothing here is random. What is
    kept is one affine map of `LOG_PIXELS`: `weights` (H * W * C, C) and `bias` (C,); its softmax for exclusive tasks,
    else its sigmoid, is the answer.

    Log-pixels of up to `TABLE_BYTES` are held in memory. Where there are more, the images are read twice, block by
    block: once for the mean and the covariance, whose eigenvectors are the components, once for the places along
    them. For images of at most `CELLS` pixels a side that is the same model, found another way. Of larger ones it
    sees the means of log-pixels over cells; the map of pixels then has the same weight all over a cell.
    """

    options: Linear
    weights: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bias: Floats = field(default_factory=lambda: np.empty(0))
    exclusive: bool = True

    @one_blas_thread()
    def fit(
        self, images: Readable, y: NDArray[np.uint8], task: Task, *, mirrors: bool, known: KnownLabels = None
    ) -> Self:
        """See `Baseline.fit`."""
        flips = _FLIPS if mirrors and self.options.flips else _FLIPS[:1]
        table_bytes = 4 * len(flips) * math.prod(images.shape)
        components = (_held if table_bytes <= TABLE_BYTES else _streamed)(images, flips, self.options.components)
        z = components.places
        targets = np.argmax(y, axis=1)[:, None] if task.exclusive else y

        def regression(c: int) -> "_Regression":
            rows = slice(None) if known is None else np.tile(known[:, c], len(flips))
            return self._regression(z[rows], np.tile(targets[:, c], len(flips))[rows])

        maps = list(side_by_side(regression, range(targets.shape[1])))
        if task.exclusive:
            coefficients, bias = _of_classes(*maps[0], y.shape[1])
        else:
            # Scores of absent and present become log-odds, a row for each finding.
            both = [_of_classes(*regression, 2) for regression in maps]
            coefficients = np.stack([rows[1] - rows[0] for rows, _ in both])
            bias = np.array([scores[1] - scores[0] for _, scores in both])
        weights = (coefficients @ components.axes).T
        self.bias = bias - components.mean @ weights
        self.weights = weights if components.cells is None else components.cells.to_pixels(weights)
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

    @one_blas_thread()
    def predict(self, images: Readable) -> Floats:
        """See `Baseline.predict`."""

        def scored(block: NDArray[np.uint8]) -> Floats:
            return np.asarray(_log_pixels(block).astype(np.float64) @ self.weights + self.bias)

        scores = side_by_side(scored, (images[part] for part in _parts(images)))
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


LOG_PIXELS = np.log(np.arange(256, dtype=np.float32) / 255 + 0.1)
"""What the linear baseline sees of a pixel, (256,) float32."""


def _log_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H * W * C) float32 logarithms of pixels: products of light and tissue become sums.

    A tenth of the range is added first, so that noise in the darkest pixels does not outweigh the rest; on
    RetinaMNIST's train the cross-validated AUC is 0.736 with 0.002, 0.740 with 0.004, 0.746 to 0.748 from 0.08 on.
    """
    return LOG_PIXELS[images.reshape(len(images), -1)]


# An image (H, W, C) as it is, mirrored, upside down, and both: steps along its rows and columns.
_FLIPS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class _Components:
    """Principal components of F log-pixels, or of their means over `cells`: the `places` (copies * N, k) of the
    images along them, copy by copy, the `axes` (k, F) and the `mean` (F,)."""

    places: Floats
    axes: Floats
    mean: Floats
    cells: "_Cells | None" = None


@dataclass(frozen=True)
class _Cells:
    """A grid of cells over images (H, W, C): how much each row of pixels counts in the mean of each row of cells,
    (h, H), and each column in each column, (w, W). With as many cells as pixels each is a pixel."""

    down: Floats
    across: Floats
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the cells."""
        return len(self.down), len(self.across), self.channels

    def of(self, images: NDArray[np.uint8]) -> Floats:
        """Give the mean log-pixels of images (N, H, W, C), (N, h * w * C)."""
        n, height, width, channels = images.shape
        x: NDArray[np.float32] = _log_pixels(images)
        if len(self.down) < height:
            x = self.down.astype(np.float32) @ x.reshape(n, height, width * channels)
        if len(self.across) < width:
            x = self.across.astype(np.float32) @ x.reshape(n, len(self.down), width, channels)
        return x.reshape(n, -1).astype(np.float64)

    def to_pixels(self, weights: Floats) -> Floats:
        """Turn weights of the cells, (h * w * C, K), into those of the pixels, (H * W * C, K), which give the same
        sums."""
        of_cells = weights.reshape(*self.shape, -1)
        of_rows = np.tensordot(self.down, of_cells, axes=(0, 0))
        of_pixels: Floats = np.einsum("hjck,jw->hwck", of_rows, self.across)
        return of_pixels.reshape(-1, weights.shape[1])


def _parts(images: Readable) -> list[slice]:
    rows = max(1, _VALUES_AT_ONCE // max(1, math.prod(images.shape[1:])))
    return [slice(start, min(start + rows, len(images))) for start in range(0, len(images), rows)]


def _held(images: Readable, flips: Sequence[tuple[int, int]], most: int) -> _Components:
    """Find components with all log-pixels in memory."""
    from sklearn.decomposition import PCA

    n = len(images)
    x = np.empty((len(flips) * n, math.prod(images.shape[1:])), np.float32)
    for part in _parts(images):
        block = images[part]
        for copy, (down, across) in enumerate(flips):
            x[copy * n + part.start : copy * n + part.stop] = _log_pixels(block[:, ::down, ::across])
    transform = PCA(min(most, *x.shape), copy=False, svd_solver="auto", iterated_power=7, random_state=0)
    places = transform.fit_transform(x).astype(np.float64)
    axes, mean = (np.asarray(a, np.float64) for a in (transform.components_, transform.mean_))
    return _Components(places, axes, mean)


def _streamed(images: Readable, flips: Sequence[tuple[int, int]], most: int) -> _Components:
    """Find components with a block of images in memory, of means over cells where images are large.

    Mirroring an image mirrors its cells, so the moments of the copies are those of the images, mirrored.
    """
    from scipy.linalg import eigh

    n, height, width, channels = images.shape
    down, across = (cell_shares(side, min(side, CELLS)).astype(np.float64) for side in (height, width))
    cells = _Cells(down, across, channels)
    place = np.arange(math.prod(cells.shape)).reshape(cells.shape)
    orders = [place[::one, ::other].ravel() for one, other in flips]
    total, products = np.zeros(place.size), np.zeros((place.size, place.size))

    def moments(block: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        x = cells.of(block)
        return x.sum(axis=0), x.T @ x

    for sums, squares in side_by_side(moments, (images[part] for part in _parts(images))):
        total += sums
        products += squares
    mean = np.mean([total[order] for order in orders], axis=0) / n
    covariance = sum(products[np.ix_(order, order)] for order in orders) / (n * len(orders)) - np.outer(mean, mean)
    k = min(most, n * len(orders), place.size)
    axes = eigh(covariance, subset_by_index=(place.size - k, place.size - 1))[1].T[::-1]
    places = np.empty((len(orders), n, k))

    def put(block: tuple[slice, NDArray[np.uint8]]) -> None:
        x = cells.of(block[1])
        for own, order in zip(places, orders, strict=True):
            own[block[0]] = (x[:, order] - mean) @ axes.T

    for _ in side_by_side(put, ((part, images[part]) for part in _parts(images))):
        pass
    return _Components(places.reshape(-1, k), axes, mean, cells)


BASELINES: dict[str, Callable[[Any], Baseline]] = {"majority": MajorityBaseline, "linear": LinearBaseline}
