"""Handcrafted features: a few hundred numbers of an image that mirroring does not change, to learn from few images.

Light and colour by rings about the middle, contrast at several scales, slopes, moments, spectrum, and how often small
patches that train has are seen. Mirroring an image changes none of them. They are written once, in operations that
NumPy (`Ops`) and an ONNX graph both have, so that what is trained is what is served.

Shapes: N images, C channels, S pixels a side (28, or less for smaller images; larger ones are averaged down to 28),
P = S * S, F numbers. Radii are in pixels of a 28-pixel image. All in 64 bits.
"""

import functools
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.errors import RecipeError
from penlight.evaluation.novelty import cell_shares

Floats = NDArray[np.float64]
Tensor = Any

SIDE = 28
LEAST_SIDE = 16
_IMAGES_AT_ONCE = 64

_RINGS = ((0, 4), (4, 8), (8, 11), (11, 12.8))
_OUTSIDE = ((12.8, 14.2), (14.2, 20.0))
_DISC, _INNER = 12.6, 11.5
_BLURS = (0.7, 1.5, 3.0)
_STEP = 2
_BANDS = np.arange(0.5, 12.6, 1.5)


class Ops:
    """What features are computed with, here NumPy on images (N, H, W, C) uint8; `exporters` has the same as nodes of
    a graph. Tensors are (N, C, ...), constants NumPy arrays."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = images

    def pixels(self, down: Floats, across: Floats) -> Tensor:
        """Give the images (N, C, S, S), 0 to 1, averaged by rows and columns of pixels, (S, H) and (S, W)."""
        x = np.moveaxis(self._images, 3, 1).astype(np.float64) / 255
        return x if len(down) == x.shape[2] else down @ x @ across.T

    def matmul(self, x: Tensor, constant: Floats) -> Tensor:
        """Multiply the last axis by a constant (K, L)."""
        return x @ constant

    def take(self, x: Tensor, places: NDArray[np.int64]) -> Tensor:
        """Take places of the last axis."""
        return np.take(x, places, axis=-1)

    def sort(self, x: Tensor) -> Tensor:
        """Sort the last axis, smallest first."""
        return np.sort(x, axis=-1)

    def swap(self, x: Tensor) -> Tensor:
        """Exchange the last two axes."""
        return np.swapaxes(x, -1, -2)

    def flat(self, x: Tensor) -> Tensor:
        """Make one axis of the last two."""
        return x.reshape(*x.shape[:-2], -1)

    def square(self, x: Tensor, side: int) -> Tensor:
        """Make two axes, (S, S), of the last one."""
        return x.reshape(*x.shape[:-1], side, side)

    def channels(self, x: Tensor, first: int, last: int) -> Tensor:
        """Take channels from the first to before the last."""
        return x[:, first:last]

    def windows(self, x: Tensor, places: NDArray[np.int64]) -> Tensor:
        """Take windows (L, K) of the last axis of (N, C, P): (N, L, C * K)."""
        return x[:, :, places].transpose(0, 2, 1, 3).reshape(len(x), len(places), -1)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Put parts side by side, each as (N, everything else)."""
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def sqrt(self, x: Tensor) -> Tensor:
        """Square root."""
        return np.sqrt(x)

    def log(self, x: Tensor) -> Tensor:
        """Natural logarithm."""
        return np.log(x)

    def absolute(self, x: Tensor) -> Tensor:
        """Absolute value."""
        return np.abs(x)

    def maximum(self, x: Tensor, other: float) -> Tensor:
        """The larger of each value and a number."""
        return np.maximum(x, other)


@dataclass(frozen=True)
class PixelGrid:
    """The pixels of an image: how far each is from the middle, and what is averaged over which of them."""

    height: int
    width: int

    @property
    def side(self) -> int:
        """Pixels a side that features are computed of."""
        return min(self.height, self.width, SIDE)

    @cached_property
    def down(self) -> Floats:
        """How much each row of pixels counts in each row that features are computed of, (S, H)."""
        return cell_shares(self.height, self.side).astype(np.float64)

    @cached_property
    def across(self) -> Floats:
        """The same for columns, (S, W)."""
        return cell_shares(self.width, self.side).astype(np.float64)

    @cached_property
    def offsets(self) -> tuple[Floats, Floats]:
        """How far down and across from the middle each pixel is, (S, S), in pixels of a 28-pixel image."""
        down, across = np.mgrid[: self.side, : self.side].astype(np.float64)
        middle, unit = (self.side - 1) / 2, SIDE / self.side
        return (down - middle) * unit, (across - middle) * unit

    @cached_property
    def radius(self) -> Floats:
        """How far from the middle each pixel is, (S, S)."""
        return np.hypot(*self.offsets)

    def ring(self, inner: float, outer: float) -> NDArray[np.int64]:
        """The pixels from one radius to before another."""
        return np.flatnonzero((self.radius >= inner) & (self.radius < outer))

    @cached_property
    def disc(self) -> NDArray[np.int64]:
        """The pixels of the disc that a round picture fills."""
        return self.ring(0, _DISC)

    @cached_property
    def in_disc(self) -> Floats:
        """1 in the disc and 0 around it, (S, S)."""
        return np.asarray(self.radius < _DISC, np.float64)

    def blur(self, sd: float) -> Floats:
        """The matrix (S, S) of a Gaussian blur along one axis."""
        from scipy.ndimage import gaussian_filter1d

        return np.asarray(gaussian_filter1d(np.eye(self.side), sd * self.side / SIDE, axis=0, mode="reflect"))


def _mean(ops: Ops, x: Tensor, n: int) -> Tensor:
    """Average the last axis, of length n, and keep it."""
    return ops.matmul(x, np.full((n, 1), 1 / n))


def _spread(ops: Ops, x: Tensor, n: int) -> Tensor:
    """Standard deviation over the last axis, kept."""
    away = x - _mean(ops, x, n)
    return ops.sqrt(_mean(ops, away * away, n))


def _quantiles(ops: Ops, x: Tensor, n: int, percents: Sequence[float]) -> Tensor:
    """Percentiles of the last axis, between neighbours in proportion, as NumPy has them."""
    at = np.asarray(percents) / 100 * (n - 1)
    below = np.minimum(at.astype(np.int64), n - 1)
    above, share = np.minimum(below + 1, n - 1), at - below
    ordered = ops.sort(x)
    return ops.take(ordered, below) * (1 - share) + ops.take(ordered, above) * share


def _of_rings(ops: Ops, flat: Tensor, grid: PixelGrid, rings: Sequence[tuple[float, float]]) -> list[Tensor]:
    """Mean and spread in each ring that has pixels."""
    found = []
    for own in (grid.ring(*ring) for ring in rings):
        if len(own):
            part = ops.take(flat, own)
            found += [_mean(ops, part, len(own)), _spread(ops, part, len(own))]
    return found


def _ratio(ops: Ops, flat: Tensor, grid: PixelGrid, channels: int) -> list[Tensor]:
    disc, n = ops.take(flat, grid.disc), len(grid.disc)
    found = []
    for c in range(channels - 1):
        ratio = ops.channels(disc, c, c + 1) - ops.channels(disc, c + 1, c + 2)
        found += [_quantiles(ops, ratio, n, (5, 25, 50, 75, 95)), _spread(ops, ratio, n)]
    return found


def _local(ops: Ops, light: Tensor, grid: PixelGrid) -> list[Tensor]:
    """Contrast against the neighbourhood at several scales; the blur sees the disc alone."""
    inner, found = grid.ring(0, _INNER), []
    n = len(inner)
    for sd in _BLURS:
        blur = grid.blur(sd)
        seen = blur @ grid.in_disc @ blur.T
        blurred = ops.swap(ops.matmul(ops.swap(ops.matmul(light * grid.in_disc, blur.T)), blur.T))
        contrast = ops.take(ops.flat((light - blurred / np.maximum(seen, 1e-9)) * grid.in_disc), inner)
        spread = ops.maximum(_spread(ops, contrast, n), 1e-6)
        cubed = _mean(ops, contrast * contrast * contrast, n) / (spread * spread * spread)
        found += [_quantiles(ops, contrast, n, (0.5, 2, 10, 90, 98, 99.5)), spread, cubed]
    return found


def _slopes(ops: Ops, light: Tensor, grid: PixelGrid) -> list[Tensor]:
    slope: Floats = np.asarray(np.gradient(np.eye(grid.side), axis=0))
    down = ops.swap(ops.matmul(ops.swap(light), slope.T))
    across = ops.matmul(light, slope.T)
    steep = ops.flat(ops.sqrt(down * down + across * across))
    rings = [own for own in (grid.ring(*ring) for ring in _RINGS) if len(own)]
    return [_mean(ops, ops.take(steep, own), len(own)) for own in rings]


def _moments(ops: Ops, away: Tensor, grid: PixelGrid) -> list[Tensor]:
    """Where the light lies: moments that a mirror image turns round are taken without their sign."""
    dy, dx = (offset.ravel()[grid.disc] for offset in grid.offsets)
    pixels = grid.side**2
    turned = ops.absolute(ops.matmul(away, np.stack([dx, dy, dx * dy], axis=1) / pixels))
    return [turned, ops.matmul(away, np.stack([dx**2 + dy**2, dx**2 - dy**2], axis=1) / pixels)]


def _correlations(ops: Ops, away: Tensor, n: int, channels: int) -> list[Tensor]:
    def together(i: int, j: int) -> Tensor:
        return _mean(ops, ops.channels(away, i, i + 1) * ops.channels(away, j, j + 1), n)

    own = [together(i, i) for i in range(channels)]
    pairs = [(i, j) for i in range(channels) for j in range(i + 1, channels)]
    return [together(i, j) / ops.sqrt(own[i] * own[j] + 1e-9) for i, j in pairs]


def _dark(ops: Ops, flat: Tensor, grid: PixelGrid) -> list[Tensor]:
    """The darkest tones around the disc, where a logarithm of the plain pixels still tells them apart."""
    found = []
    for ring in ((14.6, 20.0), (13.4, 14.6)):
        own = grid.ring(*ring)
        if len(own):
            part, n = ops.take(flat, own), len(own)
            found += [_mean(ops, part, n), _spread(ops, part, n), _quantiles(ops, part, n, (5, 50, 95))]
    return found


def _spectrum(ops: Ops, away: Tensor, grid: PixelGrid) -> list[Tensor]:
    """Log power by bands of frequency, of the disc as it fades towards its rim."""
    taper = grid.in_disc * np.clip((13 - grid.radius) / 3, 0, 1)
    side = grid.side
    frequency = np.fft.fftfreq(side) * side
    angles = 2 * np.pi * np.outer(np.arange(side), frequency) / side
    cos, sin = np.cos(angles), np.sin(angles)
    x = ops.square(away * taper.ravel(), side)
    along = [ops.swap(ops.matmul(x, wave)) for wave in (cos, sin)]
    real = ops.matmul(along[0], cos) - ops.matmul(along[1], sin)
    imaginary = ops.matmul(along[0], sin) + ops.matmul(along[1], cos)
    power = ops.flat(real * real + imaginary * imaginary)
    far = np.hypot(frequency[:, None], frequency[None]).ravel()
    bands = [(far >= band) & (far < band + 1.5) for band in _BANDS]
    shares = np.stack([band / max(1, band.sum()) for band in bands if band.any()], axis=1)
    return [ops.log(ops.matmul(power, shares) + 1e-3)]


@dataclass
class PatchFeatures:
    """How much of each of K small patches an image has, by rings: the activation of Coates and Ng (Learning Feature
    Representations with K-means, 2012, 2.2) with patches drawn from train, whitened; a patch and its mirror images
    count alike."""

    count: int
    window: int = 5
    mean: Floats = field(default_factory=lambda: np.empty(0))
    whiten: Floats = field(default_factory=lambda: np.empty((0, 0)))
    centres: Floats = field(default_factory=lambda: np.empty((0, 0)))

    _DRAWN = 20_000
    _IMAGES = 2_000
    _RINGS = ((0.0, 4.0), (4.0, 8.0), (8.0, 11.5))

    def places(self, grid: PixelGrid, step: int) -> tuple[NDArray[np.int64], Floats]:
        """The pixels of each window (L, window²), and how far from the middle it is, (L,): windows a `step` apart,
        at the same places from either side."""
        last = grid.side - self.window
        half = np.arange(0, last // 2 + 1, step)
        starts = np.unique(np.r_[half, last - half])
        inside = np.arange(self.window)
        rows = (starts[:, None, None, None] + inside[None, None, :, None]) * grid.side
        columns = starts[None, :, None, None] + inside[None, None, None, :]
        middle = self.window // 2
        radius = grid.radius[np.ix_(starts + middle, starts + middle)]
        return (rows + columns).reshape(-1, self.window**2), radius.ravel()

    def fit(self, images: NDArray[np.uint8], grid: PixelGrid, seed: int) -> Self:
        """Draw patches from images (N, H, W, C), and learn their whitening."""
        rng = np.random.default_rng(seed)
        few = images[np.sort(rng.permutation(len(images))[: self._IMAGES])]
        ops = Ops(few)
        pixels, radius = self.places(grid, step=1)
        seen = ops.windows(ops.flat(_log(ops, grid, 0.1)), pixels)
        near = np.flatnonzero(radius < 11)
        drawn = seen[rng.integers(len(few), size=self._DRAWN), near[rng.integers(len(near), size=self._DRAWN)]]
        x = _even(ops, drawn, drawn.shape[-1])
        self.mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((x - self.mean).T))
        self.whiten = (vectors / np.sqrt(values + 0.1 * values.mean())) @ vectors.T
        self.centres = (x[: self.count] - self.mean) @ self.whiten
        return self

    def numbers(self, ops: Ops, light: Tensor, grid: PixelGrid, channels: int) -> Tensor:
        """Give (N, rings, K) mean activations of log-pixels (N, C, P)."""
        pixels, radius = self.places(grid, _STEP)
        width = channels * self.window**2
        x = _even(ops, ops.windows(light, pixels), width)
        rings = [(radius >= inner) & (radius < outer) for inner, outer in self._RINGS]
        shares = np.stack([ring / max(1, ring.sum()) for ring in rings], axis=1) / 4
        # A window (C * window²,) is read as it is, mirrored, upside down, and both.
        plain = np.arange(width).reshape(channels, self.window, self.window)
        orders = [plain[:, ::down, ::across].ravel() for down in (1, -1) for across in (1, -1)]
        total = functools.reduce(operator.add, (self._active(ops, x, order) for order in orders))
        return ops.matmul(ops.swap(total), shares)

    def _active(self, ops: Ops, x: Tensor, order: NDArray[np.int64]) -> Tensor:
        """How much nearer than the average of all patches each one is, (N, L, K), for one mirror image of windows."""
        whiten = self.whiten[np.argsort(order)]
        z = ops.matmul(x, whiten) - self.mean @ self.whiten
        k = len(self.centres)
        squares = ops.matmul(z * z, np.ones((z.shape[-1], 1))) + (self.centres**2).sum(axis=1)
        far = ops.sqrt(ops.maximum(squares - ops.matmul(z, 2 * self.centres.T), 0.0))
        return ops.maximum(_mean(ops, far, k) - far, 0.0)


def _even(ops: Ops, x: Tensor, n: int) -> Tensor:
    """Take light and contrast of each window away: mean 0, spread about 1."""
    away = x - _mean(ops, x, n)
    return away / ops.sqrt(_mean(ops, away * away, n) + 0.01)


def _log(ops: Ops, grid: PixelGrid, offset: float) -> Tensor:
    return ops.log(ops.pixels(grid.down, grid.across) + offset)


@dataclass
class HandcraftedFeatures:
    """Features of images of one shape, standardised by those of train, in named `groups` of columns."""

    patches: PatchFeatures
    shape: tuple[int, int, int] = (0, 0, 0)
    groups: Mapping[str, slice] = field(default_factory=dict)
    mean: Floats = field(default_factory=lambda: np.empty(0))
    scale: Floats = field(default_factory=lambda: np.empty(0))

    def fit(self, images: NDArray[np.uint8], seed: int) -> Self:
        """Learn patches and scales from images (N, H, W, C) uint8. RecipeError for images of under 16 pixels."""
        self.shape = images.shape[1], images.shape[2], images.shape[3]
        if self.grid.side < LEAST_SIDE:
            raise RecipeError(
                f"Handcrafted features need at least {LEAST_SIDE} pixels a side; these have {self.grid.side}.",
                "Choose another model, as --recipe linear.",
            )
        self.patches.fit(images, self.grid, seed)
        raw = self._in_parts(images, self.raw)
        self.mean, spread = raw.mean(axis=0), raw.std(axis=0)
        # What never changes says nothing, and stays 0.
        self.scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
        return self

    @cached_property
    def grid(self) -> PixelGrid:
        """The pixels that features are computed of."""
        return PixelGrid(self.shape[0], self.shape[1])

    def numbers(self, ops: Ops) -> Tensor:
        """Give (N, F) standardised numbers."""
        return (self.raw(ops) - self.mean) * self.scale

    def raw(self, ops: Ops) -> Tensor:
        """Give (N, F) numbers as they are; `groups` says which are which."""
        joined = {name: ops.join(part) for name, part in self.parts(ops).items() if part}
        if not self.groups:
            ends = np.cumsum([0, *(part.shape[-1] for part in joined.values())]).tolist()
            self.groups = {name: slice(a, b) for name, a, b in zip(joined, ends[:-1], ends[1:], strict=True)}
        return ops.join(list(joined.values()))

    def parts(self, ops: Ops) -> dict[str, list[Tensor]]:
        """Give the numbers by what they are of, in order."""
        grid, channels = self.grid, self.shape[2]
        light, dark = (_log(ops, grid, offset) for offset in (0.05, 0.004))
        flat, n = ops.flat(light), len(grid.disc)
        disc = ops.take(flat, grid.disc)
        mean = _mean(ops, disc, n)
        away = disc - mean
        return {
            "rings": _of_rings(ops, flat, grid, _RINGS),
            "outside": _of_rings(ops, flat, grid, _OUTSIDE),
            "ratio": _ratio(ops, flat, grid, channels),
            "local": _local(ops, light, grid),
            "slopes": _slopes(ops, light, grid),
            "moments": _moments(ops, away, grid),
            "correlations": _correlations(ops, away, n, channels),
            "dark": _dark(ops, ops.flat(dark), grid),
            "spectrum": _spectrum(ops, flat - mean, grid),
            "patches": [self.patches.numbers(ops, ops.flat(_log(ops, grid, 0.1)), grid, channels)],
        }

    def of(self, images: Readable) -> Floats:
        """Give (N, F) standardised numbers of images (N, H, W, C) uint8, read part by part."""
        return self._in_parts(images, self.numbers)

    @staticmethod
    def _in_parts(images: Readable, numbers: Callable[[Ops], Floats]) -> Floats:
        def part(start: int) -> Floats:
            return numbers(Ops(np.asarray(images[start : start + _IMAGES_AT_ONCE])))

        # NumPy lets other threads work while it computes; the parts are the same however many there are.
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "features") as pool:
            return np.concatenate(list(pool.map(part, range(0, len(images), _IMAGES_AT_ONCE))))
