"""Near duplicates: images that are one picture, though not the same bytes.

The distance of two images is 1 - r, r the correlation of their pixels (channels together) after each image was
brought to mean 0 and deviation 1 and the mean image of the dataset was taken away: what all images share, as every
film its lungs, makes none alike, and brightness and contrast do not count. Two images are near duplicates if

- r is at least `LIMIT`: all but 4 % of the variance of one is that of the other, and
- they stand out: seen from either, the other is less than half as far (in Euclidean distance; `RATIO` of 1 - r) as
  the nearest image that is no duplicate. This is the ratio test of Lowe, Int. J. Computer Vision 60:91, 2004, section
  7.1. Where many images are much alike, it asks for more than the limit does.

Covered: brightness, contrast, compression at high quality, noise of about a hundredth of the range, mirror images
left to right, and shifts of a small part of a thumb's pixel, as by a pixel in images of 224. Not covered: shifts by a
whole pixel at 28, rotation, cropping, and groups of more than `NEIGHBOURS` copies of one image.

The search misses no pair of r >= LIMIT: unit vectors x = (p, q), p their part in a basis of few components, obey
x . x' <= p . p' + |q| |q'| (Cauchy and Schwarz), so the product of the short vectors (p, |q|) bounds r from above;
what reaches the limit is verified on all pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penlight.data.audit.thumbs import Floats, Rows, Thumbs
from penlight.data.progress import count_progress

LIMIT = 0.98
RATIO = 0.25
NEIGHBOURS = 32

_COMPONENTS = 64
_SAMPLE = 4096
_CHUNK = 2048
_STRIPE = 2048
_MOST_IN_BLOCK = 1 << 16
_MOST_OF_IMAGE = NEIGHBOURS
_ROUNDING = 1e-4
# Below this deviation, in grey levels, an image is noise of its rounding: as good as blank.
_FLAT = 1.0


class NearPair(NamedTuple):
    """Two images by number, `one` < `other`, and the correlation of their pixels, `other` mirrored if so."""

    one: int
    other: int
    r: float
    mirrored: bool


@dataclass(frozen=True)
class _Space:
    """Unit vectors of images: which ones (`rows`), the mean image that is taken away, and a basis (k, D)."""

    thumbs: Thumbs
    rows: Rows
    mean: Floats
    basis: Floats

    def vectors(self, index: Rows, *, mirrored: bool = False) -> Floats:
        """Give (n, D) unit vectors of the images `rows[index]`."""
        return _unit(_standard(self.thumbs.flat(self.rows[index], mirrored=mirrored)) - self.mean)

    def short(self, *, mirrored: bool = False) -> Floats:
        """Give all images as (n, k + 1): their part in the basis, and the length of the rest."""
        out = np.empty((len(self.rows), len(self.basis) + 1), np.float32)
        for index in _chunks(len(out)):
            inside = self.vectors(index, mirrored=mirrored) @ self.basis.T
            out[index, :-1] = inside
            out[index, -1] = np.sqrt(np.clip(1 - np.square(inside).sum(axis=1), 0, None))
        return out

    def correlations(self, one: Rows, other: Rows, *, mirrored: bool) -> Floats:
        """Give r of pairs (M,), on all pixels."""
        out = np.empty(len(one), np.float32)
        for part in _chunks(len(one)):
            pairs = self.vectors(one[part]) * self.vectors(other[part], mirrored=mirrored)
            out[part] = pairs.sum(axis=1)
        return out


def find_near(thumbs: Thumbs, rows: Rows) -> list[NearPair]:
    """Find near duplicates among the images `rows`, which should hold each exact duplicate once. What is alike both
    as it is and mirrored, as symmetric images are, is given as it is.

    Time grows with n^2: 12.6 G pairs, as they are and mirrored, of 112,120 images. Memory: the thumbs, 65 float32 of
    each image twice, and blocks of fixed size.
    """
    space = _space(thumbs, rows)
    n = len(space.rows)
    found: dict[tuple[int, int], NearPair] = {}
    if n < 3:
        return []
    left = space.short()
    with count_progress("comparing images", 2 * len(range(0, n, _STRIPE))) as bar:
        for mirrored in (False, True):
            right = space.short(mirrored=True) if mirrored else left
            one, other, r = _close(space, left, right, bar.update, mirrored=mirrored)
            stand_out = _standing_out(space, left, right, one, other, mirrored=mirrored)
            parts = (space.rows[one], space.rows[other], r)
            for i, j, correlation in zip(*(part[stand_out].tolist() for part in parts), strict=True):
                found.setdefault((i, j), NearPair(i, j, correlation, mirrored))
    return list(found.values())


def _space(thumbs: Thumbs, rows: Rows) -> _Space:
    from sklearn.utils.extmath import randomized_svd

    deviations = [thumbs.flat(rows[part]).std(axis=1) for part in _chunks(len(rows))]
    rows = rows[np.concatenate([np.zeros(0), *deviations]) >= _FLAT]
    size = int(np.prod(thumbs.pixels.shape[1:]))
    total = np.zeros(size)
    for part in _chunks(len(rows)):
        total += _standard(thumbs.flat(rows[part])).sum(axis=0)
    space = _Space(thumbs, rows, (total / max(1, len(rows))).astype(np.float32), np.zeros((0, size), np.float32))
    if len(rows) < 3:
        return space
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:_SAMPLE])
    k = min(_COMPONENTS, len(chosen) - 1, size)
    basis = randomized_svd(space.vectors(chosen), k, n_iter=2, random_state=0)[2]
    return _Space(thumbs, rows, space.mean, basis.astype(np.float32))


def _close(
    space: _Space, left: Floats, right: Floats, tick: Callable[[int], None], *, mirrored: bool
) -> tuple[Rows, Rows, Floats]:
    """Give the pairs of r >= LIMIT, of each image the nearest few."""
    found = []
    for start in range(0, len(left), _STRIPE):
        one, other = _candidates(left, right, start)
        r = space.correlations(one, other, mirrored=mirrored)
        order = np.lexsort((-r, one))
        order = order[r[order] >= LIMIT]
        order = order[_rank_in_runs(one[order]) < _MOST_OF_IMAGE]
        found.append((one[order], other[order], r[order]))
        tick(1)
    one, other, r = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return one, other, r


def _candidates(left: Floats, right: Floats, start: int) -> tuple[Rows, Rows]:
    """Give the pairs of a stripe of images with all later ones whose bound reaches the limit."""
    stripe, found = left[start : start + _STRIPE], []
    for column in range(start, len(right), _STRIPE):
        bound = stripe @ right[column : column + _STRIPE].T
        if column == start:
            bound[np.tril_indices(len(bound))] = -1
        hit = np.flatnonzero(bound.ravel() >= LIMIT - _ROUNDING)
        if len(hit) > _MOST_IN_BLOCK:
            hit = hit[np.argpartition(-bound.ravel()[hit], _MOST_IN_BLOCK)[:_MOST_IN_BLOCK]]
        found.append((start + hit // bound.shape[1], column + hit % bound.shape[1]))
    one, other = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return one, other


def _standing_out(
    space: _Space, left: Floats, right: Floats, one: Rows, other: Rows, *, mirrored: bool
) -> NDArray[np.bool_]:
    """Say which pairs stand out from what else is near either image."""
    involved = np.unique(np.concatenate([one, other]))
    twins: set[tuple[int, int]] = set()
    for start in range(0, len(involved), _STRIPE // 8):
        rows = involved[start : start + _STRIPE // 8]
        near, distance = _neighbours(space, left, right, rows, mirrored=mirrored)
        reach = _gaps(distance)
        twins |= {(int(row), int(j)) for row, js, n in zip(rows, near, reach, strict=True) for j in js[:n]}
    return np.array(
        [(i, j) in twins and (j, i) in twins for i, j in zip(one.tolist(), other.tolist(), strict=True)], np.bool_
    )


def _neighbours(space: _Space, left: Floats, right: Floats, rows: Rows, *, mirrored: bool) -> tuple[Rows, Floats]:
    """Give the nearest images of each of `rows` and their distances 1 - r, (m, K), nearest first."""
    bound = left[rows] @ right.T
    bound[np.arange(len(rows)), rows] = -2
    k = min(NEIGHBOURS + 1, len(left) - 1)
    near = np.argpartition(-bound, k - 1, axis=1)[:, :k]
    r = space.correlations(np.repeat(rows, k), near.ravel(), mirrored=mirrored).reshape(near.shape)
    order = np.argsort(-r, axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1), 1 - np.take_along_axis(r, order, axis=1)


def _gaps(distance: Floats) -> Rows:
    """Count, in (m, K) ascending distances, those before the last gap that a duplicate must stand before; (m,)."""
    following = np.column_stack([distance[:, 1:], np.ones(len(distance), np.float32)])
    gap = (distance <= 1 - LIMIT) & (distance <= RATIO * following)
    if distance.shape[1] > NEIGHBOURS:
        gap[:, NEIGHBOURS:] = False
    return np.where(gap.any(axis=1), gap.shape[1] - np.argmax(gap[:, ::-1], axis=1), 0)


def _rank_in_runs(values: Rows) -> Rows:
    """Number the elements of each run of equal values from 0."""
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.r_[starts, len(values)]))


def _standard(flat: Floats) -> Floats:
    return _unit(flat - flat.mean(axis=1, keepdims=True))


def _unit(rows: Floats) -> Floats:
    out: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return out


def _chunks(n: int) -> Iterator[Rows]:
    for start in range(0, n, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, n))
