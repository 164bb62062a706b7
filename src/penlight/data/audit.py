"""What is wrong with a dataset before anything is trained on it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.dataset import Dataset
from penlight.data.views import shared_patients

_CHUNK = 4096


@dataclass(frozen=True)
class Problem:
    """One thing found: `serious` if scores would be false; `seen` and `do` are whole sentences; `places` are
    (split, row) pairs, at most ten."""

    serious: bool
    seen: str
    do: str
    places: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the problem for JSON."""
        return asdict(self)


def audit(dataset: Dataset) -> list[Problem]:
    """Look for shared patients, identical images within and across splits and with other labels, blank images, and
    labels that a split lacks; the serious ones first."""
    found = [problem for look in _LOOKS for problem in look(dataset)]
    return sorted(found, key=lambda problem: not problem.serious)


def _patients(dataset: Dataset) -> Iterator[Problem]:
    for one, other in combinations(dataset.splits, 2):
        shared = shared_patients(dataset, one, other)
        if shared:
            yield Problem(
                True,
                f"{len(shared)} patients are in both {one} and {other}, for example {min(map(str, shared))}.",
                "Split the images by patient.",
            )


def _duplicates(dataset: Dataset) -> Iterator[Problem]:
    """Identical images, by the hash of their pixels."""
    places: dict[bytes, list[tuple[str, int]]] = {}
    for name, split in dataset.splits.items():
        for row, digest in enumerate(_hashes(split.images)):
            places.setdefault(digest, []).append((name, row))
    groups = [group for group in places.values() if len(group) > 1]
    across = [group for group in groups if len({name for name, _ in group}) > 1]
    within = [group for group in groups if len({name for name, _ in group}) == 1]
    other_label = [group for group in groups if _labels_differ(dataset, group)]
    if across:
        yield Problem(
            True,
            f"{len(across)} images stand, pixel by pixel, in more than one split.",
            "Take them out of all splits but one.",
            _first(across),
        )
    if other_label:
        yield Problem(
            True,
            f"{len(other_label)} images stand more than once with different labels.",
            "Ask who read them which label is right.",
            _first(other_label),
        )
    if within:
        yield Problem(
            False,
            f"{len(within)} images stand more than once in one split.",
            "Keep one of each, or know that they count double.",
            _first(within),
        )


def _blank(dataset: Dataset) -> Iterator[Problem]:
    for name, split in dataset.splits.items():
        flat = [
            start + row
            for start in range(0, len(split), _CHUNK)
            for row in np.flatnonzero(_is_constant(split.images[start : start + _CHUNK]))
        ]
        if flat:
            places = tuple((name, int(row)) for row in flat[:10])
            yield Problem(False, f"{len(flat)} images of {name} have one value everywhere.", "Look at them.", places)


def _absent(dataset: Dataset) -> Iterator[Problem]:
    task = dataset.info.task
    for name, split in dataset.splits.items():
        counts = task.encode(split.labels).sum(axis=0)
        absent = [label for label, n in zip(task.labels, counts, strict=True) if n == 0]
        if absent:
            yield Problem(
                name == "train",
                f"No image of {name} has the label {', '.join(absent)}.",
                "Nothing can be learned of it." if name == "train" else "It has no score there.",
            )


def _hashes(images: NDArray[np.uint8]) -> Iterator[bytes]:
    for image in images:
        yield hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _is_constant(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    flat = images.reshape(len(images), -1)
    return np.asarray(flat.min(axis=1) == flat.max(axis=1))


def _labels_differ(dataset: Dataset, group: list[tuple[str, int]]) -> bool:
    return len({dataset.splits[name].labels[row].tobytes() for name, row in group}) > 1


def _first(groups: list[list[tuple[str, int]]]) -> tuple[tuple[str, int], ...]:
    return tuple(place for group in groups for place in group)[:10]


_LOOKS: tuple[Callable[[Dataset], Iterator[Problem]], ...] = (_patients, _duplicates, _absent, _blank)
