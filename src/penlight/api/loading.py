"""A dataset as arrays, as a table, and as the datasets of TensorFlow and PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, name_of
from penlight.data import ViewedDataset, ViewedSplit, apply_view, store
from penlight.data.catalog import reference_of
from penlight.errors import UnknownNameError
from penlight.records import NotebookResult
from penlight.runs.dataset import files_of
from penlight.tasks import Task, label_of

if TYPE_CHECKING:
    import pandas as pd


UNKNOWN_LABEL = -1
"""What stands among the labels (N, L) for one that is not known."""


class _Arrays(NamedTuple):
    images: NDArray[np.uint8]
    labels: NDArray[np.integer]


class LoadedSplit(NotebookResult, _Arrays):
    """The images of a split, uint8 (N, H, W, C), with their labels: class numbers int64 (N,), or, where an image may
    have several, uint8 (N, L) of 0 and 1. `X, y = loaded` gives both."""

    task: Task
    name: str
    split: str
    _part: ViewedSplit
    _origin: tuple[str, int, str, str]

    @classmethod
    def of(cls, view: ViewedDataset, split: str, reference: str) -> Self:
        """Take a split of a dataset in a view, whose images stay mapped on disk where the view has all of them;
        `reference` is what a recipe calls the dataset."""
        part = view.splits[split]
        whole = len(part) == len(part.images)
        labels = part.y_true.argmax(axis=1) if view.task.exclusive else part.y_true
        if part.known is not None:
            labels = np.where(part.known, part.y_true, UNKNOWN_LABEL).astype(np.int8)
        made = cls(part.images if whole else part.chosen[:], labels)
        made.task, made.name, made.split, made._part = view.task, view.dataset.info.name, split, part
        made._origin = reference, view.dataset.size, split, view.dataset.md5
        return made

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the class numbers, or the columns, are called."""
        return self.task.labels

    def frame(self) -> "pd.DataFrame":
        """Give a line for each image: its row in the split, file, patient and metadata where known, and its label;
        of labels that are not exclusive also a column of 0 and 1 for each, empty where it is not known."""
        import pandas as pd

        part = self._part
        columns: dict[str, Any] = {"row": part.index}
        if (files := files_of(*self._origin)) is not None:
            columns["file"] = np.array(files)[part.index]
        columns |= {} if part.patients is None else {"patient": part.patients}
        columns |= part.metadata
        columns["label"] = [label_of(self.task, *part.truth_of(i)) for i in range(len(part))]
        if not self.task.exclusive:
            columns |= {name: _with_gaps(part, i) for i, name in enumerate(self.task.labels)}
        return pd.DataFrame(columns)

    def _json(self) -> dict[str, Any]:
        # As many numbers as the images have are in the arrays.
        counts = self._part.y_true.sum(axis=0).tolist()
        about: Mapping[str, Any] = {"dataset": self.name, "split": self.split, "shape": list(self.images.shape)}
        return {**about, "labels": dict(zip(self.task.labels, counts, strict=True))}

    def tensorflow(self, batch_size: int = 32, *, shuffle: int | None = None) -> Any:
        """Give a `tf.data.Dataset` of batches: images float32 of 0 to 255, as Penlight's networks take them, and
        labels; with a seed in `shuffle` in another order each pass. MissingExtraError without TensorFlow."""
        from penlight.training.loaders import tensorflow_dataset

        return tensorflow_dataset(self._part.chosen, self.labels, batch_size, shuffle)

    def torch(self) -> Any:
        """Give a `torch.utils.data.Dataset`: images float32 (C, H, W) of 0 to 1, and labels. MissingExtraError
        without PyTorch."""
        from penlight.training.loaders import torch_dataset

        return torch_dataset(self._part.chosen, self.labels)

    def __repr__(self) -> str:
        return f"LoadedSplit({self.name}, {self.split}: images {self.images.shape}, labels {self.labels.shape})"


def _with_gaps(part: ViewedSplit, column: int) -> Any:
    """Give a label's column, missing where it is not known."""
    if part.known is None:
        return part.y_true[:, column]
    import pandas as pd

    return pd.arrays.IntegerArray(part.y_true[:, column], ~part.known[:, column])


@checked
def load(dataset: PathLike, split: str = "train", *, view: str = "native", size: int | None = None) -> LoadedSplit:
    """Load a split of a dataset as arrays: images uint8 (N, H, W, C) and labels.

    `dataset` is a name or the path of a description; `split` is "train", "val" or "test"; `view` is one of its views
    of the labels; `size` is the side in pixels, by default 28, or that of the description. Labels are class numbers
    (N,), or, where an image may have several, 0 and 1 (N, L), and -1 for one that is not known. What comes also has
    `.frame()`, `.label_names`, `.tensorflow()` and `.torch()`. UnknownNameError for another dataset, split or view.

    Examples
    --------
    >>> X, y = pl.load("retina-phantom", split="val")
    >>> X.shape[1:], y.shape == (len(X),)
    ((28, 28, 3), True)
    """
    name = name_of(dataset)
    reference = reference_of(name)
    seen = apply_view(store.open_dataset(name, size), view)
    if split not in seen.splits:
        raise UnknownNameError("split", split, seen.splits)
    return LoadedSplit.of(seen, split, reference)
