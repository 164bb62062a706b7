"""The most similar training images of an image, kept in a run so small that serving needs no dataset.

M training images; F features, what the model's last layer reads, or coarse pixels where its file gives none.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penlight.data.archives import Wanted, read_archive, require_numbers
from penlight.data.reads import Chosen
from penlight.errors import DataError, RunError
from penlight.records.run import NeighboursRecord

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]

SCHEMA = 1

_MOST = 2000
_MOST_BYTES = 8_000_000
_SIDE = 64
_PIXEL_SIDE = 16
_COMPONENTS = 32
_MORE, _POWERS = 10, 5
# A multiple of the images that a predictor answers at once.
_BLOCK = 256


class Featured(Protocol):
    """A predictor, of whose file features may be asked."""

    @property
    def has_features(self) -> bool:
        """Say whether there are features."""

    def features(self, images: Images) -> Floats:
        """Give (N, F)."""


@dataclass(frozen=True)
class Neighbour:
    """A training image that is similar: its `row` in train as stored, its `image` (h, w, C) uint8, the 0/1 `labels`
    (C,) it has, and how similar it is, from -1 to 1 for the same place."""

    row: int
    image: Images
    labels: NDArray[np.uint8]
    similarity: float


@dataclass(frozen=True)
class Neighbours:
    """Training images and their places in a space where similar ones are near.

    `rows` (M,) of train as stored, `images` (M, h, w, C) uint8 of at most 64 px, `labels` (M, C) 0/1, `places` (M, k)
    of length 1; `mean` (F,), `scale` (F,) and `axes` (F, k) make places of features; `by` is "features" or "pixels".
    """

    rows: NDArray[np.int64]
    images: Images
    labels: NDArray[np.uint8]
    places: Floats
    mean: Floats
    scale: Floats
    axes: Floats
    by: str

    @classmethod
    def fit(
        cls, model: Featured | None, images: Images, rows: NDArray[np.integer], labels: NDArray[np.uint8]
    ) -> "Neighbours":
        """Keep images of train, given with their rows (M,) and 0/1 labels (M, C): of many, some spread evenly.

        Places are principal components of standardised features; the same images give the same places.
        """
        kept = evenly(len(rows), _most(images))
        by = "features" if model is not None and model.has_features else "pixels"
        own = Chosen(images, np.asarray(rows[kept], np.int64))
        found = []
        for start in range(0, len(own), _BLOCK):
            part = own[start : start + _BLOCK]
            # Small copies, of which each pixel is the mean of those it stands for.
            large = max(part.shape[1:3]) > _SIDE
            found.append(
                (features_of(model, part, by), np.rint(_averaged(part, _SIDE)).astype(np.uint8) if large else part)
            )
        features, small = (np.concatenate(parts) for parts in zip(*found, strict=True))
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scale = np.where(spread > 0, spread, 1).astype(np.float32)
        axes = _axes((features - mean) / scale)
        places = _unit(((features - mean) / scale) @ axes)
        return cls(own.rows, small, labels[kept], places, mean, scale, axes, by)

    def nearest(self, model: Featured | None, images: Images, most: int = 5) -> list[list[Neighbour]]:
        """Find for each image (N, H, W, C) the `most` similar ones, the most similar first; of equals the first kept.

        `model` is the one that was fitted with. Similarity is the cosine of two places. DataError if the model gives
        other features than those here.
        """
        if self.by == "features" and (model is None or not model.has_features):
            raise DataError(
                "Similar images are kept by features, and this model's file gives none.", "Repeat the run."
            )
        features = features_of(model, images, self.by)
        if features.shape[1] != len(self.mean):
            raise DataError(
                f"{len(self.mean)} features of an image were expected, {features.shape[1]} came.",
                "Ask the model that the run was made with.",
            )
        similarity = _unit(((features - self.mean) / self.scale) @ self.axes) @ self.places.T
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :most]
        return [
            [Neighbour(int(self.rows[i]), self.images[i], self.labels[i], float(np.clip(row[i], -1, 1))) for i in own]
            for own, row in zip(order.tolist(), similarity, strict=True)
        ]

    def to_bytes(self) -> bytes:
        """Give the bytes of a compressed npz; the same neighbours always give the same bytes."""
        buffer = io.BytesIO()
        about = np.array(json.dumps({"schema": SCHEMA, "by": self.by}, sort_keys=True))
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(buffer, about=about, **arrays)
        return buffer.getvalue()


_ARRAYS = ("rows", "images", "labels", "places", "mean", "scale", "axes")
_WANTED = {
    "rows": Wanted(np.int64, 1),
    "images": Wanted(np.uint8, 4),
    "labels": Wanted(np.uint8, 2),
    "places": Wanted(np.float32, 2),
    "mean": Wanted(np.float32, 1),
    "scale": Wanted(np.float32, 1),
    "axes": Wanted(np.float32, 2),
}
_LARGEST = 128 << 20


def neighbours_from_bytes(content: bytes, where: str = "neighbours.npz") -> Neighbours:
    """Read what `Neighbours.to_bytes` gave. RunError, naming `where`, if it is damaged or of another schema."""
    about, arrays = read_archive(
        NeighboursRecord, content, _WANTED, where, "Repeat the run.", largest=_LARGEST, schema=SCHEMA
    )
    kept = {name: arrays[name] for name in _WANTED}
    found = Neighbours(**kept, by=about.by)
    m, (f, k) = len(found.rows), found.axes.shape
    sizes = {"images": m, "labels": m, "places": m, "mean": f, "scale": f}
    fits = all(len(kept[name]) == n for name, n in sizes.items()) and found.places.shape[1] == k
    channels = found.images.shape[3]
    if not fits or channels not in (1, 3) or not all(1 <= side <= _SIDE for side in found.images.shape[1:3]):
        shapes = ", ".join(f"{name} {values.shape}" for name, values in kept.items())
        raise RunError(f"The arrays of {where} do not fit together: {shapes}.", "Repeat the run.")
    require_numbers({name: kept[name] for name in ("places", "mean", "scale", "axes")}, where, "Repeat the run.")
    if (found.scale <= 0).any() or (found.labels > 1).any() or (found.rows < 0).any():
        raise RunError(f"{where} holds values that no training images have.", "Repeat the run.")
    return found


def features_of(model: Featured | None, images: Images, by: str) -> Floats:
    """Describe images (N, H, W, C) by the model's features or by coarse pixels, (N, F)."""
    if by == "features" and model is not None:
        return np.asarray(model.features(images), np.float32)
    coarse: Floats = _averaged(images, _PIXEL_SIDE).reshape(len(images), -1).astype(np.float32)
    return coarse


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Choose at most `most` of n rows, spread evenly over all."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.zeros(0, np.int64)


def _most(images: Images) -> int:
    """So many that their small copies stay within a bound."""
    _, height, width, channels = images.shape
    each = min(height, _SIDE) * min(width, _SIDE) * channels
    return max(1, min(_MOST, _MOST_BYTES // int(each)))


def _axes(standard: Floats) -> Floats:
    """Give the first principal components (F, k) of standardised features (M, F), by a projection that powers of
    their covariance turn (Halko, Martinsson and Tropp, 2011, algorithm 4.4): scikit-learn is slow to import."""
    count = min(_COMPONENTS, *standard.shape)
    width = min(count + _MORE, *standard.shape)
    span = np.random.default_rng(0).normal(size=(standard.shape[1], width)).astype(np.float32)
    for _ in range(_POWERS):
        span = np.linalg.qr(standard.T @ (standard @ span))[0]
    directions = np.linalg.svd(standard @ span, full_matrices=False)[2] @ span.T
    return np.ascontiguousarray(directions[:count].T, np.float32)


def _unit(places: NDArray[np.floating]) -> Floats:
    length = np.linalg.norm(places, axis=1, keepdims=True)
    return np.asarray(places / np.where(length > 0, length, 1), np.float32)


def _averaged(images: Images, side: int) -> NDArray[np.float64]:
    """Mean over whole blocks of pixels, so that at most `side` are left a side; what is left over at the far edges
    does not count."""
    n, height, width, channels = images.shape
    by = -(-max(height, width) // side)
    h, w = max(1, height // by), max(1, width // by)
    blocks = images[:, : h * by, : w * by].reshape(n, h, min(by, height), w, min(by, width), channels)
    out: NDArray[np.float64] = blocks.mean(axis=(2, 4))
    return out


def labelled(labels: Sequence[str], row: NDArray[np.uint8]) -> list[str]:
    """Name the labels (C,) that a row says are there."""
    return [name for name, on in zip(labels, row, strict=True) if on]
