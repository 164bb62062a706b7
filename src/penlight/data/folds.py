"""Folds: the one place that assigns images to folds, whole patients at a time, near duplicates together, by label.

Whatever is to be said of images that a model has not seen depends on it: out-of-fold probabilities, the calibration
found on them, tuning, cross-validation, and how unlike train an image is. An image of a patient who was trained on is
half known: its answers look better than those to a new patient's.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penlight.data.own.splitting import stratify
from penlight.data.views import ViewedDataset

Numbers = NDArray[np.int64]


def assign_folds(y: NDArray[np.integer], groups: NDArray[np.generic], count: int, seed: int) -> Numbers:
    """Assign images to folds, (N,) in 0..count-1: whole `groups`, (N,), stratified by the indicators `y` (N, C).

    Where each image is a group, the images of a label in two folds differ by at most one. Of larger groups no such
    bound holds: labels are evened out first, and the sizes of folds may differ by several groups.
    """
    return stratify(y, groups, np.full(count, 1 / count), seed)


def assign_folds_by_value(value: NDArray[np.floating], groups: Numbers, count: int) -> Numbers:
    """Assign images to folds, (N,) in 0..count-1: whole `groups`, (N,), in the order of their lowest `value` (N,), so
    that each fold has low and high ones.

    Unlike `assign_folds` it stratifies a number rather than labels, does not depend on the order of the rows or the
    names of groups, and takes no longer than sorting: answers are calibrated label by label.
    """
    order = np.argsort(value, kind="stable")
    _, first, place = np.unique(groups[order], return_index=True, return_inverse=True)
    fold = np.empty(len(value), np.int64)
    fold[order] = np.argsort(np.argsort(first))[place] % count
    return fold


def image_groups(view: ViewedDataset, names: Sequence[str]) -> Numbers:
    """Number what is never divided, (N,), among the images of some splits, one split after the other: the images of a
    patient, where patients are known, and all that a chain of near duplicates holds together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Folds are imported widely, and the audit is large.
    from penlight.data.audit import kept_audit

    parts = [view.splits[name] for name in names]
    place: dict[tuple[str, int], int] = {}
    for name, part in zip(names, parts, strict=True):
        # Of a fold, which is stored by itself, all rows of the split are its images.
        whole = len(part.images) == len(view.dataset.splits[name])
        rows = part.index if whole else np.arange(len(part))
        place |= {(name, row): len(place) + i for i, row in enumerate(rows.tolist())}
    pairs = [(p.one, p.other) for p in kept_audit(view.dataset).pairs if p.one in place and p.other in place]
    linked = [(place[one], place[other]) for one, other in pairs]
    one, other = np.array(linked, np.int64).reshape(-1, 2).T
    patients = [part.patients for part in parts if part.patients is not None]
    if patients and len(patients) == len(parts):
        _, first, number = np.unique(np.concatenate(patients), return_index=True, return_inverse=True)
        one, other = np.r_[one, np.arange(len(place))], np.r_[other, first[number]]
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(place), len(place)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
