"""Small copies of all images of a dataset: what images are compared on, whatever their size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.data.dataset import Dataset, Split
from penlight.data.progress import count_progress
from penlight.data.reads import read

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

SIDE = 28
"""Images are averaged down to the smallest side of at least so many pixels that a whole factor gives."""

_BLOCK_VALUES = 1 << 24


@dataclass(frozen=True)
class Thumbs:
    """`pixels` (N, h, w, C) uint8, the images of all splits one after another; `starts` maps a split to its first."""

    pixels: NDArray[np.uint8]
    starts: Mapping[str, int]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def place(self, index: int) -> tuple[str, int]:
        """Say which split and row an image is."""
        split = max((name for name, start in self.starts.items() if start <= index), key=self.starts.__getitem__)
        return split, index - self.starts[split]

    def index(self, place: tuple[str, int]) -> int:
        """Give the number of the image of a split and row."""
        return self.starts[place[0]] + place[1]

    def flat(self, rows: Rows, *, mirrored: bool = False) -> Floats:
        """Give images as (n, D) rows of 0 to 255, mirrored left to right if wanted."""
        pixels = self.pixels[rows]
        return (pixels[:, :, ::-1] if mirrored else pixels).reshape(len(rows), -1).astype(np.float32)


def make_thumbs(dataset: Dataset) -> Thumbs:
    """Read every image once and average it down. Memory: the thumbs, and one block of images."""
    sizes = [len(split) for split in dataset.splits.values()]
    starts = dict(zip(dataset.splits, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    with count_progress("reading images", sum(sizes)) as bar:
        parts = []
        for split in dataset.splits.values():
            for images in blocks(split):
                parts.append(_averaged(images))
                bar.update(len(images))
    return Thumbs(np.concatenate(parts), starts)


def blocks(split: Split) -> Iterator[NDArray[np.uint8]]:
    """Give a split's images in blocks that fit memory."""
    step = max(1, _BLOCK_VALUES // max(1, int(np.prod(split.images.shape[1:]))))
    for start in range(0, len(split), step):
        yield read(split.images, slice(start, start + step))


def _averaged(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    n, height, width, channels = images.shape
    factor = max(1, min(height, width) // SIDE)
    if factor == 1:
        return images
    h, w = height // factor, width // factor
    cut = images[:, : h * factor, : w * factor].reshape(n, h, factor, w, factor, channels)
    averaged: NDArray[np.uint8] = np.rint(cut.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    return averaged
