"""Class balance: which training images an epoch sees, how often, and how much each weighs."""

import numpy as np
from numpy.typing import NDArray

from penlight.recipes import Train


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
