"""Whether an image is like those a model was trained on at all: a cat is not to be graded by a model of fundus
photographs.

Four descriptions of an image, each against the Gaussian that fits the training images: what is where, at coarse
pixels; which intensities and colours there are; where it is smooth or busy; and its overall shape, from the centre
outwards and against its mirror images. The first three have a few principal components and equal variance in all
other directions (Tipping and Bishop 1999); the last has few features and all of its covariance, so that it stays
tight where training images are few and varied. N images of H x W pixels with C channels.
"""

import functools
import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.data.archives import Wanted, read_archive, require_numbers
from penlight.data.reads import Readable, some
from penlight.errors import DataError, RunError
from penlight.evaluation.conformal import quantile
from penlight.records.run import NoveltyRecord

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]

SHARE = 0.99
"""The share of images like those in train that are not called unusual."""

SCHEMA = 1

_MOST = 2000
_FOLDS = 5
_COMPONENTS = 40
_KEPT_OF_RANK = 0.5
_GRID, _CELLS, _BINS = 10, 4, 16
_LEAST_CONTRAST = 1 / 255
_CHUNK_VALUES = 4_000_000
_RINGS = 9
_WHOLE = 3
_TINY = 1e-9


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian over F features: `mean` (F,), `axes` (F, K) with the `variance` (K,) along each, `rest` the variance
    along any other direction; all but `rest` float32, as on disk."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    variance: NDArray[np.float32]
    rest: float

    @classmethod
    def fit(cls, features: Floats, *, whole: bool = False) -> "Gaussian":
        """Fit to (N, F) features by principal components: by the strongest, or with `whole` by all there are."""
        f = features.shape[1]
        mean = features.mean(axis=0)
        variance, directions = _principal(features - mean)
        rank = int((variance > 1e-9 * variance[:1].sum()).sum())
        k = rank if whole else min(_COMPONENTS, int(rank * _KEPT_OF_RANK))
        # The directions that so few images do not show have some variance too: spread over all, it is small.
        rest = float(variance[k:].sum()) / (f - k) if k < f else float(variance[-1])
        return cls(
            mean.astype(np.float32), directions[:, :k].astype(np.float32), variance[:k].astype(np.float32), rest
        )

    def distance(self, features: Floats) -> Floats:
        """Logarithm of the squared Mahalanobis distance of (N, F) features, (N,)."""
        away = features - self.mean
        along = away @ self.axes
        off = np.maximum((away**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / np.maximum(self.variance, _TINY)).sum(axis=1) + off / max(self.rest, _TINY)
        out: Floats = np.log(np.maximum(squared, _TINY))
        return out


def _principal(centred: Floats) -> tuple[Floats, Floats]:
    """Variances from high to low, and their directions as columns, of centred features (N, F)."""
    n, f = centred.shape
    if n < f:
        _, spread, directions = np.linalg.svd(centred, full_matrices=False)
        return spread**2 / max(1, n - 1), directions.T
    variance, directions = np.linalg.eigh(centred.T @ centred / (n - 1))
    return np.maximum(variance[::-1], 0), directions[:, ::-1]


def describe_images(images: Readable) -> tuple[Floats, Floats, Floats, Floats]:
    """Describe images (N, H, W, C) as four tables of features, (N, F) each with F of its own.

    Coarse pixels, means over the cells of a grid; square roots of the histogram of each channel, whose distance is
    Hellinger's; logarithms of the mean difference of neighbours in each cell of a coarser grid, along rows and along
    columns; and the shape: mean and logarithm of the standard deviation in rings around the centre, and logarithms of
    the mean difference to the image mirrored left to right, upside down, and both.
    """
    n, h, w, c = images.shape
    size = max(1, _CHUNK_VALUES // max(1, h * w * c))
    # At least one part, so that no images have features too.
    parts = [_describe(images[start : start + size]) for start in range(0, max(1, n), size)]
    first, second, third, fourth = (np.concatenate(part) for part in zip(*parts, strict=True))
    return first, second, third, fourth


def _describe(images: Images) -> tuple[Floats, Floats, Floats, Floats]:
    n, h, w, c = images.shape
    x: NDArray[np.float32] = images.astype(np.float32) / np.float32(255)
    pixels = _averaged(x, _GRID)
    level = (images.astype(np.int64) * _BINS // 256).reshape(n, h * w, c)
    place = (np.arange(n)[:, None, None] * c + np.arange(c)) * _BINS + level
    shares = np.bincount(place.ravel(), minlength=n * c * _BINS).reshape(n, c * _BINS) / (h * w)
    busy = np.concatenate([_averaged(np.abs(np.diff(x, axis=axis)), _CELLS) for axis in (2, 1)], axis=1)
    return pixels, np.sqrt(shares), np.log(busy + _LEAST_CONTRAST), _shape(x)


def _shape(x: NDArray[np.float32]) -> Floats:
    """Describe the shape of images (N, H, W, C), (N, (2 rings + 3) * C)."""
    n, h, w, c = x.shape
    flat = x.reshape(n, h * w, c)
    ring, shares = _rings(h, w)
    # Means as products with shares: a server asks for one image at a time, and this takes a third of the time.
    mean = np.matmul(shares, flat)
    spread = np.sqrt(np.matmul(shares, np.square(flat - mean[:, ring])))
    rings = np.stack([mean, np.log(spread + _LEAST_CONTRAST)], axis=2)
    whole = np.full((1, h * w), 1 / (h * w), np.float32)
    mirrored = (x[:, :, ::-1], x[:, ::-1], x[:, ::-1, ::-1])
    away = [np.matmul(whole, np.abs(x - other).reshape(n, h * w, c)) for other in mirrored]
    sides = np.log(np.concatenate(away, axis=2).reshape(n, 3 * c) + _LEAST_CONTRAST)
    out: Floats = np.concatenate([rings.reshape(n, 2 * c * len(shares)), sides], axis=1).astype(np.float64)
    return out


@functools.lru_cache(8)
def _rings(h: int, w: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Give the ring around the centre in which each pixel lies, (H * W,), of rings that have any, and which share
    each pixel is of each ring, (rings, H * W)."""
    down, across = ((np.arange(side) + 0.5) / side * 2 - 1 for side in (h, w))
    radius = np.hypot(down[:, None], across).ravel()
    ring = np.unique(np.digitize(radius, np.linspace(0, 2**0.5, _RINGS + 1)), return_inverse=True)[1]
    inside = ring == np.arange(ring.max() + 1)[:, None]
    return ring, (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _averaged(x: NDArray[np.float32], grid: int) -> Floats:
    """Mean of (N, H, W, C) over the cells of a `grid` x `grid`, (N, grid * grid * C); edges may cut pixels."""
    n, h, w, c = x.shape
    across = np.matmul(cell_shares(h, grid), x.reshape(n, h, w * c)).reshape(n, grid, w, c)
    cells = np.matmul(cell_shares(w, grid), across)
    out: Floats = cells.reshape(n, grid * grid * c).astype(np.float64)
    return out


@functools.lru_cache(32)
def cell_shares(side: int, grid: int) -> NDArray[np.float32]:
    """How much of each of `side` pixels lies in each of `grid` equal cells, as shares of the cell, (grid, side)."""
    edges = np.arange(grid + 1)[:, None] * side / grid
    pixel = np.arange(side)
    inside = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
    out: NDArray[np.float32] = (np.maximum(inside, 0) * grid / side).astype(np.float32)
    out.flags.writeable = False  # it is kept for whoever asks next
    return out


@dataclass(frozen=True)
class Novelty:
    """How unlike the training images an image is.

    `parts` are the Gaussians of the P descriptions, the first three in runs of version 0.1; `usual` (P,) and `far`
    (P,) the median and the `SHARE` quantile of their log-distances for images that were not fitted. `threshold` is
    the score that an image like those in train exceeds once in a hundred times; `shape` (H, W, C) is that of the
    images.
    """

    parts: tuple[Gaussian, ...]
    usual: tuple[float, ...]
    far: tuple[float, ...]
    threshold: float
    shape: tuple[int, int, int]

    @classmethod
    def fit(
        cls, train_images: Readable, val_images: Readable, of_patient: NDArray[np.generic] | None = None
    ) -> "Novelty":
        """Fit to uint8 (N, H, W, C) images of train; `evenly` chosen ones of many. A part of them is read at a time.

        Distances of images that were fitted are too small. So those of train are taken from fits to the other four
        fifths of train, without another image of the same patient, (N,) in `of_patient`; and those of val from the
        fit to all, alone where all of train is one patient. The threshold is the corrected 99 % quantile of both.
        """
        from penlight.data.folds import assign_folds  # for fitting alone; answering for a picture reads this too

        train, val = (describe_images(some(images, evenly(len(images)))) for images in (train_images, val_images))
        parts = tuple(_fit(features, i) for i, features in enumerate(train))
        chosen = evenly(len(train_images))
        patients = chosen if of_patient is None else of_patient[chosen]
        fold = assign_folds(np.zeros((len(patients), 1), np.uint8), patients, _FOLDS, seed=0)
        several = bool((fold != fold[0]).any())
        held_out = np.empty((len(chosen) if several else 0, len(parts)))
        for i, features in enumerate(train):
            for inside in (fold == number for number in np.unique(fold) if several):
                held_out[inside, i] = _fit(features[~inside], i).distance(features[inside])
        of_val = np.stack([part.distance(features) for part, features in zip(parts, val, strict=True)], axis=1)
        unseen = np.concatenate([held_out, of_val])
        usual, far = np.quantile(unseen, [0.5, SHARE], axis=0)
        score = np.sort(_joined(unseen, usual, far))
        cut = float(quantile(score, SHARE))
        threshold = cut if np.isfinite(cut) else float(score[-1])
        h, w, c = train_images.shape[1:]
        return cls(parts, tuple(usual.tolist()), tuple(far.tolist()), threshold, (h, w, c))

    def score(self, images: Readable) -> Floats:
        """Say how unlike the training images these are, (N,): 0 is as usual; by one description alone, 1 is as far
        as one in a hundred. DataError if the images have another shape.
        """
        if len(images.shape) != 4 or images.shape[1:] != self.shape:
            h, w, c = self.shape
            raise DataError(
                f"Images of shape (N, {h}, {w}, {c}) were expected, {images.shape} came.",
                "Resize them as the model's own images are.",
            )
        features = zip(self.parts, describe_images(images), strict=False)
        distances = np.stack([part.distance(own) for part, own in features], axis=1)
        return _joined(distances, np.array(self.usual), np.array(self.far))

    def unusual(self, images: Readable) -> NDArray[np.bool_]:
        """Say which images are too unlike those in train to be answered, (N,)."""
        return self.score(images) > self.threshold

    def to_bytes(self) -> bytes:
        """Give the bytes of an npz; the same images always give the same bytes."""
        about = {
            "schema": SCHEMA,
            "usual": self.usual,
            "far": self.far,
            "threshold": self.threshold,
            "shape": self.shape,
            "rest": [part.rest for part in self.parts],
        }
        arrays = {f"{name}{i}": getattr(p, name) for i, p in enumerate(self.parts) for name in _ARRAYS}
        buffer = io.BytesIO()
        np.savez(buffer, about=np.array(json.dumps(about, sort_keys=True)), **arrays)
        return buffer.getvalue()


_ARRAYS = {"mean": 1, "axes": 2, "variance": 1}
_LARGEST = 64 << 20


def novelty_from_bytes(content: bytes, where: str = "novelty.npz") -> Novelty:
    """Read what `Novelty.to_bytes` gave. RunError, naming `where`, if it is damaged or of another schema."""
    again = "Repeat the run."
    # Names stand in an npz as they are. Version 0.1 had three descriptions.
    count = 1 + _WHOLE if b"mean3.npy" in content else _WHOLE
    wanted = {f"{name}{i}": Wanted(np.float32, axes) for i in range(count) for name, axes in _ARRAYS.items()}
    about, arrays = read_archive(NoveltyRecord, content, wanted, where, again, largest=_LARGEST, schema=SCHEMA)
    require_numbers({name: arrays[name] for name in wanted}, where, again)
    if {len(about.usual), len(about.far), len(about.rest)} != {count}:
        raise RunError(f"{where} does not have the numbers of {count} descriptions.", again)
    parts = tuple(
        Gaussian(arrays[f"mean{i}"], arrays[f"axes{i}"], arrays[f"variance{i}"], rest)
        for i, rest in enumerate(about.rest)
    )
    found = Novelty(parts, about.usual, about.far, about.threshold, about.shape)
    widths = [features.shape[1] for features in describe_images(np.zeros((0, *found.shape), np.uint8))]
    for part, width in zip(parts, widths, strict=False):
        k = len(part.variance)
        if part.mean.shape != (width,) or part.axes.shape != (width, k) or part.rest < 0 or (part.variance < 0).any():
            raise RunError(f"{where} does not fit images of {found.shape[0]} x {found.shape[1]} pixels.", again)
    return found


def evenly(n: int) -> NDArray[np.int64]:
    """Rows of at most two thousand of n images, spread over all: enough to fit to, or to look at."""
    return np.unique(np.linspace(0, n - 1, min(n, _MOST)).astype(np.int64))


def _fit(features: Floats, part: int) -> Gaussian:
    """Fit one of the descriptions, by its number; the last keeps all of its covariance."""
    return Gaussian.fit(features, whole=part == _WHOLE)


def _joined(distances: Floats, usual: Floats, far: Floats) -> Floats:
    """Join them: the root of the sum of squares of what is beyond usual; being more usual than that makes up for
    nothing."""
    beyond = np.maximum((distances - usual) / np.maximum(far - usual, _TINY), 0)
    score: Floats = np.sqrt((beyond**2).sum(axis=1))
    return score
