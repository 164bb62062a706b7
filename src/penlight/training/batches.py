"""The batches of an epoch, read ahead of the training; sets larger than memory are shuffled in blocks.

A split of at most `WHOLE_BYTES` is shuffled as a whole. Of a larger one, blocks of neighbouring images are shuffled;
so many of them as fill a buffer are read at once, and the images in the buffer are shuffled. A disk then reads runs
of images instead of single ones, and memory holds one buffer beside the batches in use and those that come next.

The batches depend on the seed, the epoch and the images alone, never on how fast they are read.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedSplit
from penlight.data.reads import read
from penlight.recipes import Train
from penlight.training.engine import Block

WHOLE_BYTES = 2**29
"""A split with at most so many bytes of images that count is shuffled as a whole."""

BUFFER_BYTES = 2**27
"""A buffer of a larger split: 2,600 grey images of 224 pixels."""

BLOCK_BYTES = 2**18
"""Neighbouring images that come into a buffer together: 5 grey images of 224 pixels.

Where the images lie sorted by label, a buffer has as many independent draws as it has blocks. With 512 of them, and
batches of 64, the number of images of a label in a batch varies by 1 + 64 / 512 of the variance of a perfect shuffle.
"""

_CALL_BYTES = 2**25
"""So many images are given to one call of the compiled steps."""

Numbers = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class EpochOrder:
    """The images of an epoch in their order, (M,), which of them are copies made for balance, (M,), and where in the
    order a buffer begins; None where the split is shuffled as a whole."""

    rows: Numbers
    copies: NDArray[np.bool_]
    buffers: Numbers | None = None

    def __len__(self) -> int:
        """Count the images, copies too."""
        return len(self.rows)


def draw_epoch(split: ViewedSplit, train: Train, seed: int, epoch: int) -> EpochOrder:
    """Draw the images of an epoch by `epoch_order`; of a large split, buffer by buffer. Copies of an image are in the
    buffer of that image."""
    rows, copies = epoch_order(split.y_true, train, seed, epoch)
    if not _is_large(split):
        return EpochOrder(rows, copies)
    buffer = _buffer_of(split, seed, epoch)[rows]
    # The sort is stable: inside a buffer images are in the order in which they were drawn.
    order = np.argsort(buffer, kind="stable")
    return EpochOrder(rows[order], copies[order], np.flatnonzero(np.diff(buffer[order], prepend=-1)))


def _is_large(split: ViewedSplit) -> bool:
    # Features (N, F) are in memory as they are.
    return split.images.ndim == 4 and len(split) * split.images[:1].nbytes > WHOLE_BYTES


def _buffer_of(split: ViewedSplit, seed: int, epoch: int) -> Numbers:
    """Say in which buffer each image of a split is, (n,)."""
    each = split.images[:1].nbytes
    in_block = max(1, BLOCK_BYTES // each)
    in_buffer = max(1, BUFFER_BYTES // (in_block * each))
    rng = np.random.default_rng([seed, epoch, 0xB10C])
    of_block = rng.permutation(-(-len(split) // in_block)) // in_buffer
    return np.asarray(of_block[np.arange(len(split)) // in_block], np.int64)


def epoch_blocks(
    split: ViewedSplit,
    drawn: EpochOrder,
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    batch: int,
    *,
    only_copies: bool,
) -> Iterator[Block]:
    """Give the blocks of an epoch, each of whole batches, then one with what is left; the next is read while one is
    used.

    `targets` (n, C) and `weights` (n,) are those of the split's images; with `only_copies` the strength of
    augmentation is 0 for all that are no copies.
    """

    def blocks() -> Iterator[Block]:
        for cut, images in _images(split, drawn, batch):
            rows, copies = (_in_batches(a[cut], batch) for a in (drawn.rows, drawn.copies))
            strength = copies if only_copies else np.ones_like(copies)
            yield Block(
                images.reshape(*rows.shape, *images.shape[1:]),
                targets[rows],
                weights[rows],
                strength.astype(np.float32),
            )

    return ahead(blocks())


def _in_batches(values: NDArray[T], batch: int) -> NDArray[T]:  # type: ignore[type-var]
    """(k * B,) values as (k, B); fewer than a batch as (1, r)."""
    return values.reshape(-1, min(batch, len(values)))


def _images(split: ViewedSplit, drawn: EpochOrder, batch: int) -> Iterator[tuple[slice, NDArray[np.generic]]]:
    """Give the images of an epoch in order, (k * B, ...), with their places in it; a last part may be shorter."""
    each = split.images[:1].nbytes
    if drawn.buffers is None:
        for cut in _cuts(0, len(drawn), batch, each):
            yield cut, gather(split, drawn.rows[cut])
        return
    # A batch that goes over into the next buffer is read with that, its few first images by themselves.
    bounds = np.unique(np.r_[drawn.buffers // batch * batch, len(drawn)]).tolist()
    for start, stop in pairwise(bounds):
        own, place = np.unique(drawn.rows[start:stop], return_inverse=True)
        held = gather(split, own)
        for cut in _cuts(start, stop, batch, each):
            yield cut, held[place[cut.start - start : cut.stop - start]]
        # Before the next one is read.
        del held


def _cuts(start: int, stop: int, batch: int, image_bytes: int) -> Iterator[slice]:
    """Cut a part of an epoch into whole batches, some in one call, and what is left of less than a batch."""
    whole = stop - (stop - start) % batch
    step = max(1, _CALL_BYTES // (batch * image_bytes)) * batch
    for first in range(start, whole, step):
        yield slice(first, min(first + step, whole))
    if whole < stop:
        yield slice(whole, stop)


def gather(split: ViewedSplit, rows: Numbers) -> NDArray[np.uint8]:
    """Read images of the view by their row numbers, of any shape: (...,) -> (..., H, W, C) uint8."""
    return read(split.images, split.index[rows])


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Give what `items` gives, and let a thread make the next one meanwhile. Its errors are raised here."""
    end = object()
    with ThreadPoolExecutor(1, "reading") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def rarest_label(y: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Give each image its rarest label, (N,) in 0..C; C for an image without any. `y` is (N, C) of 0 and 1.

    Of an exclusive task it is the class; of findings it is the one that balance should work for.
    """
    n_labels = y.shape[1]
    by_count = np.argsort(y.sum(axis=0), kind="stable")
    rank_of = np.argsort(by_count)
    rank = np.where(y > 0, rank_of, n_labels).min(axis=1)
    rarest: NDArray[np.int64] = np.r_[by_count, n_labels][rank]
    return rarest


def image_weights(y: NDArray[np.uint8], balance: str) -> NDArray[np.float32]:
    """Weigh images for the loss, (N,), mean 1: by inverse frequency of their rarest label with "weights", else 1.

    Images without any label are a group like the others, so none weighs nothing.
    """
    if balance != "weights":
        return np.ones(len(y), np.float32)
    group = rarest_label(y)
    weights = 1.0 / np.bincount(group)[group]
    return np.asarray(weights / weights.mean(), np.float32)


def epoch_order(
    y: NDArray[np.uint8], train: Train, seed: int, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose the images of an epoch in their order, (M,), and which of them are copies made for balance, (M,).

    It depends on the seed and the epoch alone, so that a continued run sees what an undisturbed one sees.
    """
    rng = np.random.default_rng([seed, epoch, 0x0BDE])
    n = len(y)
    if train.balance == "sampling":
        group = rarest_label(y)
        share = 1.0 / np.bincount(group)[group]
        return rng.choice(n, n, p=share / share.sum()), np.zeros(n, bool)
    order = np.arange(n)
    if train.balance == "copies":
        order = np.concatenate([order, _copies(rarest_label(y), train.balance_target, rng)])
    mixed = rng.permutation(len(order))
    return order[mixed], mixed >= n


def _copies(group: NDArray[np.int64], target: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many extra images of each group as it lacks to the mean, or the largest, group."""
    present, counts = np.unique(group, return_counts=True)
    wanted = round(counts.mean()) if target == "mean" else counts.max()
    extra = [
        rng.choice(np.flatnonzero(group == g), wanted - c) for g, c in zip(present, counts, strict=True) if c < wanted
    ]
    return np.concatenate([np.empty(0, np.int64), *extra])
