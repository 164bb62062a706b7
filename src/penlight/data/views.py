"""Views: readings of a dataset's labels. A view says which images count, and what is to be learned of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.data.dataset import Dataset
from penlight.errors import UnknownNameError
from penlight.tasks import Task


@dataclass(frozen=True)
class ViewedSplit:
    """The images of a split that count in a view: `images` (N, H, W, C) uint8 is the whole split, `index` (n,) its
    rows that count, `y_true` (n, C) their indicators, `patients` (n,) where known."""

    images: NDArray[np.uint8]
    index: NDArray[np.int64]
    y_true: NDArray[np.uint8]
    patients: NDArray[np.generic] | None = None

    def __len__(self) -> int:
        """Count the images that count."""
        return len(self.index)


@dataclass(frozen=True)
class ViewedDataset:
    """A dataset seen through a view: what a model is trained on."""

    dataset: Dataset
    view: str
    task: Task
    splits: Mapping[str, ViewedSplit]


VIEWS = ("native",)


def apply_view(dataset: Dataset, view: str = "native") -> ViewedDataset:
    """See a dataset through a view.

    UnknownNameError for a view that this dataset does not have; DataError for labels that are not the task's.
    """
    if view not in VIEWS:
        raise UnknownNameError(f"view of {dataset.info.name}", view, VIEWS)
    task = dataset.info.task
    splits = {
        name: ViewedSplit(split.images, np.arange(len(split)), task.encode(split.labels), split.patients)
        for name, split in dataset.splits.items()
    }
    return ViewedDataset(dataset, view, task, splits)
