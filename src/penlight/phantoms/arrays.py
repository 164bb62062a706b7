"""The phantoms as arrays in the layout of MedMNIST."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError, UnknownNameError
from penlight.phantoms.chest import draw_chest, sample_findings
from penlight.phantoms.retina import draw_retina
from penlight.phantoms.shared import SPLITS

PHANTOMS = ("retina-phantom", "chest-phantom")
SIZES = (28, 64, 128, 224)

# RetinaMNIST's own counts of the grades 0 to 4.
_GRADE_COUNTS = {"train": (486, 128, 206, 194, 66), "val": (54, 12, 28, 20, 6), "test": (174, 46, 92, 68, 20)}
_SAMPLES = {
    "retina-phantom": {split: sum(counts) for split, counts in _GRADE_COUNTS.items()},
    "chest-phantom": {"train": 2000, "val": 300, "test": 600},
}


def phantom_arrays(
    name: str, size: int, *, seed: int = 0, samples: Mapping[str, int] | None = None
) -> dict[str, NDArray[Any]]:
    """Draw a phantom as the arrays of a MedMNIST npz, with masks.

    `name` is one of PHANTOMS, `size` one of SIZES; `samples` maps splits to counts, those left out keep the default.
    For each split there is `{split}_images` uint8, (N, H, W, 3) of the retina and (N, H, W) of the chest;
    `{split}_labels` uint8, (N, 1) or (N, 14); and `{split}_masks` (N, H, W), a bit for each kind of lesion (uint8) or
    finding (uint16). UnknownNameError for another name; DataError for another size, or a count or seed out of range.
    """
    counts = _checked_counts(name, size, seed, samples)
    arrays: dict[str, NDArray[Any]] = {}
    for split in SPLITS:
        draw = _draw_retina_split if name == "retina-phantom" else _draw_chest_split
        images, labels, masks = draw(split, counts[split], size, split_seed(name, split, seed))
        arrays |= {f"{split}_images": images, f"{split}_labels": labels, f"{split}_masks": masks}
    return arrays


def split_seed(name: str, split: str, seed: int) -> int:
    """Give the seed that a split is drawn with, to draw its images again with other lesions or none."""
    state = np.random.SeedSequence((seed, PHANTOMS.index(name), SPLITS.index(split))).generate_state(1)
    return int(state[0])


def _checked_counts(name: str, size: int, seed: int, samples: Mapping[str, int] | None) -> dict[str, int]:
    if name not in PHANTOMS:
        raise UnknownNameError("phantom", name, PHANTOMS)
    if size not in SIZES:
        raise DataError(f"{name} is drawn at {', '.join(map(str, SIZES))} pixels, {size} was asked for.")
    if seed < 0:
        raise DataError(f"A seed must be 0 or more, {seed} came.")
    unknown = sorted(set(samples or ()) - set(SPLITS))
    if unknown:
        raise DataError(f"Splits are {', '.join(SPLITS)}; counts were given for {', '.join(unknown)}.")
    counts = _SAMPLES[name] | dict(samples or {})
    for split, count in counts.items():
        if count < 1:
            raise DataError(f"A phantom needs at least one image in each split, {count} came for {split}.")
    return counts


def _draw_retina_split(
    split: str, count: int, size: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[Any]]:
    grades = np.repeat(np.arange(5), _grade_quota(np.array(_GRADE_COUNTS[split]), count))
    grades = np.random.default_rng(seed).permutation(grades)
    images, masks = draw_retina(grades, size, seed)
    return images, grades.astype(np.uint8)[:, None], masks


def _draw_chest_split(
    split: str, count: int, size: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[Any]]:
    findings = sample_findings(count, seed)
    images, masks = draw_chest(findings, size, seed)
    return images[..., 0], findings, masks


def _grade_quota(counts: NDArray[np.integer], total: int) -> NDArray[np.int64]:
    """Share `total` among the grades as in `counts`, by largest remainder; each at least once where it can be."""
    shares = counts / counts.sum() * total
    quota: NDArray[np.int64] = np.floor(shares).astype(np.int64)
    short = total - quota.sum()
    quota[np.argsort(quota - shares, kind="stable")[:short]] += 1
    if total >= len(counts):
        missing = quota == 0
        quota[missing] = 1
        quota[np.argmax(quota)] -= missing.sum()
    return quota
