"""A dataset of eighteen images, as arrays and as a description."""

import numpy as np

DESCRIPTION = """
name = "tiny"
title = "Tiny"
task = "ordinal"
labels = ["none", "some", "much"]
licence = "CC0"
source = "made up"
files = { "28" = "tiny.npz" }
"""

Arrays = dict[str, np.ndarray]


def tiny_arrays(*, labels: int = 3, channels: int = 3, size: int = 28) -> Arrays:
    """Nine, six and three images in the layout of MedMNIST, every class in every split."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 9), ("val", 6), ("test", 3)):
        shape = (n, size, size, 3) if channels == 3 else (n, size, size)
        arrays[f"{split}_images"] = random.integers(0, 256, shape, np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n) % labels).astype(np.uint8)[:, None]
    return arrays
