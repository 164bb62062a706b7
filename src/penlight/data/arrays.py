"""The arrays of a dataset: their names, what they must look like, each fault with its own error, and their hash."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from penlight.data.dataset import METADATA, SPLITS, DatasetInfo, Split
from penlight.data.reads import read
from penlight.errors import DataError, PenlightError
from penlight.numbers import counted
from penlight.tasks.base import known_or_none

NAMES = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels", "known", "patients", *METADATA))
"""The arrays that are kept of a dataset: images and labels must be there, the others may."""

_BLOCK = 1 << 20


class ArrayLike(Protocol):
    """Anything with a shape and a dtype: an array, or the header of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""


def check_layout(info: DatasetInfo, size: int, arrays: Mapping[str, ArrayLike], where: str) -> None:
    """Check names, types, shapes and counts of a dataset's arrays against what is known of it.

    `where` names the file in errors. DataError for the first fault.
    """
    for split in SPLITS:
        for name in (f"{split}_images", f"{split}_labels"):
            if name not in arrays:
                raise DataError(
                    f"{where} has no array {name}; it has {', '.join(sorted(arrays)) or 'none'}.",
                    "A dataset has images and labels for each of train, val and test, named as in train_images.",
                )
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        _check_images(info, size, images, f"{where}: {split}_images")
        _check_label_shape(info, labels, f"{where}: {split}_labels")
        _check_counts(info, split, images, labels, where)
        if f"{split}_known" in arrays:
            _check_known(info, labels, arrays[f"{split}_known"], f"{where}: {split}_known")
        for name in (f"{split}_{kind}" for kind in ("patients", *METADATA)):
            if name in arrays and arrays[name].shape != labels.shape[:1]:
                raise DataError(
                    f"{where}: {name} must have the shape ({labels.shape[0]},), one for each image; it has "
                    f"{arrays[name].shape}.",
                    "Check how the array was made, or leave it out.",
                )
    if len({channels_of(arrays[f"{split}_images"]) for split in SPLITS}) > 1:
        raise DataError(f"{where}: some splits are grey and some are in colour.", "Make them all the same.")


def splits_of(
    info: DatasetInfo, size: int, arrays: Mapping[str, np.ndarray[Any, Any]], where: str
) -> dict[str, Split]:
    """Check arrays in the layout of MedMNIST and make splits of them: images as they are, with a channel axis, and
    copies of the rest. DataError as in `check_layout`, and for a label that is not among the task's."""
    check_layout(info, size, arrays, where)
    for split in SPLITS:
        try:
            info.task.encode(split_of(arrays, split).labels)
        except PenlightError as error:
            raise DataError(f"{info.name}: {split}_labels: {error.problem}", error.remedy) from error
    return {split: split_of(arrays, split) for split in SPLITS}


def split_of(arrays: Mapping[str, np.ndarray[Any, Any]], split: str) -> Split:
    """Make one split of arrays in the layout of MedMNIST, without a check; labels that are not known are 0."""
    images, labels = arrays[f"{split}_images"], np.array(arrays[f"{split}_labels"])
    patients, mask = arrays.get(f"{split}_patients"), arrays.get(f"{split}_known")
    known = None if mask is None else known_or_none(np.array(mask, bool))
    if known is not None:
        labels = np.where(known, labels, 0).astype(labels.dtype)
    return Split(
        images=images if images.ndim == 4 else images[..., np.newaxis],
        labels=labels if labels.ndim == 2 else labels[:, np.newaxis],
        patients=None if patients is None else np.array(patients),
        metadata={kind: np.array(arrays[f"{split}_{kind}"]) for kind in METADATA if f"{split}_{kind}" in arrays},
        known=known,
    )


def md5_of(arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Hash arrays (N, ...) by name, type, shape and content, a block of them in memory."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        rows = max(1, _BLOCK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            digest.update(read(array, slice(start, start + rows)).data)
    return digest.hexdigest()


def channels_of(images: ArrayLike) -> int:
    """Give the number of channels of images (N, H, W) or (N, H, W, C)."""
    return images.shape[3] if len(images.shape) == 4 else 1


def _check_images(info: DatasetInfo, size: int, images: ArrayLike, what: str) -> None:
    if images.dtype != np.uint8:
        raise DataError(
            f"{what} must be uint8, values 0 to 255; it is {images.dtype}.", "Scale it to 0..255 and convert it."
        )
    sides, channels = images.shape[1:3], images.shape[3:]
    if sides != (size, size) or channels not in ((), (1,), (3,)):
        raise DataError(
            f"{what} must have the shape (N, {size}, {size}) or (N, {size}, {size}, 3); it has {images.shape}.",
            "Check the size that was asked for, and the order of the axes.",
        )
    if info.channels and channels_of(images) != info.channels:
        raise DataError(
            f"{what} must have {info.channels} channel(s), as {info.name} has; it has {channels_of(images)}.",
            "Check that this file is of that dataset.",
        )


def _check_label_shape(info: DatasetInfo, labels: ArrayLike, what: str) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{what} must be integers; it is {labels.dtype}.", "Convert it, with .astype('uint8').")
    columns = 1 if info.task.exclusive else len(info.task.labels)
    shapes = ((), (1,)) if columns == 1 else ((columns,),)
    if not labels.shape or labels.shape[1:] not in shapes:
        raise DataError(
            f"{what} must have the shape (N, {columns}) for this {info.task.kind} task; it has {labels.shape}.",
            "Check the labels, or the task and the label names in the description.",
        )


def _check_known(info: DatasetInfo, labels: ArrayLike, known: ArrayLike, what: str) -> None:
    if info.task.exclusive:
        raise DataError(
            f"{what} says which labels are known, and a {info.task.kind} task has one label for each image.",
            "Leave these images out, and the array too.",
        )
    if known.shape != labels.shape or known.dtype != np.bool_:
        raise DataError(
            f"{what} must be true or false for each label, of the shape {labels.shape}; it is {known.dtype} of the "
            f"shape {known.shape}.",
            "Save it with .astype(bool), or leave it out.",
        )


def _check_counts(info: DatasetInfo, split: str, images: ArrayLike, labels: ArrayLike, where: str) -> None:
    n_images, n_labels = images.shape[0], labels.shape[0]
    if n_images != n_labels:
        raise DataError(
            f"{where}: {split} has {counted(n_images, 'image')} and {counted(n_labels, 'label')}.",
            "There must be one row for each image.",
        )
    if not n_images:
        raise DataError(f"{where}: {split} has no images.", "Every split needs some.")
    if info.samples is not None and n_images != info.samples[split]:
        raise DataError(
            f"{where}: {split} must have {info.samples[split]} images, as {info.name} has; it has {n_images}.",
            "Check that this file is of that dataset.",
        )
