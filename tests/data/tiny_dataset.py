"""A dataset of eighteen images, as arrays and as a description, and one of sixty that can be learned."""

from pathlib import Path

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


def write_tiny(folder: Path) -> None:
    """Write tiny.toml and its npz: 30, 15 and 15 grey images in three classes that differ in brightness."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 30), ("val", 15), ("test", 15)):
        labels = (np.arange(n) % 3).astype(np.uint8)[:, None]
        noise = rng.integers(0, 150, (n, 28, 28), np.uint8)
        arrays |= {f"{split}_images": noise + 20 * labels[:, :, None], f"{split}_labels": labels}
    np.savez(folder / "tiny.npz", **arrays)
    (folder / "tiny.toml").write_text(DESCRIPTION)
