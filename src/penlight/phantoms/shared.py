"""What phantoms share: names, and what they draw with: random numbers of each image, soft edges, stamped discs."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")

FINDINGS = (
    "atelectasis",
    "cardiomegaly",
    "effusion",
    "infiltration",
    "mass",
    "nodule",
    "pneumonia",
    "pneumothorax",
    "consolidation",
    "edema",
    "emphysema",
    "fibrosis",
    "pleural thickening",
    "hernia",
)
"""The findings of ChestMNIST."""

# Drawn in float32; the wider type is what the checker can follow through arithmetic.
Floats = NDArray[np.floating]

# Pixels drawn at once: a chunk of images with all its layers stays near 100 MB.
_CHUNK_PIXELS = 1 << 18


class ImageStreams:
    """Random numbers for the images `first` to `last - 1`, from a stream for each image.

    An image's numbers depend on `seed` and its own number alone, so neither the count of images nor the chunking
    changes them. `width` bounds how many numbers an image may use; every image takes the same ones in the same
    order, whatever is to be seen on it, so that an image with lesions has a healthy twin.
    """

    def __init__(self, seed: int, first: int, last: int, width: int) -> None:
        self._streams = [np.random.default_rng((seed, index)) for index in range(first, last)]
        self._table = np.stack([stream.random(width, np.float32) for stream in self._streams])
        self._used = 0

    def block(self, rows: NDArray[np.integer], width: int) -> "ImageStreams":
        """Set `width` numbers of every image aside, and give those of some images as draws of their own."""
        part = object.__new__(ImageStreams)
        part._streams = [self._streams[row] for row in rows]
        part._table = self._take(width)[rows]
        part._used = 0
        return part

    def __len__(self) -> int:
        """Count the images."""
        return len(self._table)

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        """Draw numbers of [low, high), (n, *shape)."""
        return low + np.float32(high - low) * self._take(math.prod(shape)).reshape(len(self), *shape)

    def _take(self, count: int) -> Floats:
        taken = self._table[:, self._used : self._used + count]
        if taken.shape[1] < count:
            raise IndexError(f"{self._table.shape[1]} numbers an image were reserved, more are needed.")
        self._used += count
        return taken

    def spread(self, width: float, *shape: int) -> Floats:
        """Draw numbers of [-width, width), (n, *shape)."""
        return self.uniform(-width, width, *shape)

    def angle(self, *shape: int) -> Floats:
        """Draw directions in radians, (n, *shape)."""
        return self.uniform(0, 2 * np.pi, *shape)

    def sign(self, *shape: int) -> Floats:
        """Draw -1 or 1, (n, *shape)."""
        return np.where(self.uniform(0, 1, *shape) < 0.5, np.float32(-1), np.float32(1))

    def pixel_noise(self, *shape: int) -> Floats:
        """Draw standard normal numbers, (n, *shape); the last thing to draw, since its count depends on the size."""
        return np.stack([stream.standard_normal(shape, np.float32) for stream in self._streams])


def chunks(count: int, size: int) -> Iterator[slice]:
    """Cut `count` images of `size` pixels a side into slices that are drawn at once."""
    step = max(1, _CHUNK_PIXELS // size**2)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def per_image(values: Floats) -> Floats:
    """Shape (n,) values so that they broadcast over (n, H, W)."""
    return values[:, None, None]


def ramp(depth: Floats, width: float | Floats) -> Floats:
    """Soft edge: 0 outside, 1 inside, linear over `width` around the edge; `depth` is positive inside."""
    out: Floats = np.clip(depth / width + np.float32(0.5), 0, 1)
    return out


def bell(distance: Floats, width: float | Floats) -> Floats:
    """Gaussian bell of height 1, by distance and standard deviation."""
    out: Floats = np.exp(-0.5 * np.square(distance / width))
    return out


def mottle(draws: ImageStreams, x: Floats, y: Floats, low: float, high: float, waves: int = 5) -> Floats:
    """Give a smooth random pattern over the coordinates (n, H, W), of mean 0 and standard deviation 1.

    It is a sum of plane waves with `low` to `high` radians per unit of length.
    """
    out = np.zeros(x.shape, np.float32)
    for _ in range(waves):
        frequency, direction, phase = draws.uniform(low, high), draws.angle(), draws.angle()
        across, down = per_image(frequency * np.cos(direction)), per_image(frequency * np.sin(direction))
        out += np.sin(x * across + y * down + per_image(phase))
    return out * np.float32(math.sqrt(2 / waves))


def stamp_discs(
    canvas: Floats, image: NDArray[np.integer], x: Floats, y: Floats, radius: Floats, value: Floats
) -> None:
    """Draw soft discs into `canvas` (n, H, W), in place; where discs overlap the larger value stays.

    The other arrays are (m,): the image a disc is on, its centre in pixels (0 is the centre of the first pixel), its
    radius in pixels, and its value in the middle. A disc thinner than a pixel is drawn as one pixel wide and fainter.
    """
    faint = np.minimum(1, 2 * radius)
    radius = np.maximum(radius, 0.5)
    reach = np.ceil(radius + 0.5).astype(np.int64)
    for half in np.unique(reach):
        chosen = np.flatnonzero(reach == half)
        _stamp(canvas, half, image[chosen], x[chosen], y[chosen], radius[chosen], (value * faint)[chosen])


def _stamp(
    canvas: Floats, half: int, image: NDArray[np.integer], x: Floats, y: Floats, radius: Floats, value: Floats
) -> None:
    height, width = canvas.shape[1:]
    row_step, column_step = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, 1, -1)
    row = np.rint(y).astype(np.int64)[:, None] + row_step
    column = np.rint(x).astype(np.int64)[:, None] + column_step
    distance = np.hypot((column - x[:, None]).astype(np.float32), (row - y[:, None]).astype(np.float32))
    ink = np.clip(radius[:, None] + np.float32(0.5) - distance, 0, 1) * value[:, None]
    seen = (ink > 0) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = (image[:, None] * height + row) * width + column
    np.maximum.at(canvas.reshape(-1), flat[seen], ink[seen])
