"""A dataset in numbers: how many images each split has, and how many of them carry each label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.dataset import Dataset, DatasetInfo

if TYPE_CHECKING:
    import pandas as pd

NO_FINDING = "no finding"


@dataclass(frozen=True)
class DataDescription:
    """What a dataset holds: `images` counts by split, `counts` maps a split to one number for each of `rows`.

    `rows` are the task's labels; where an image may have several or none, "no finding" follows them.
    """

    info: DatasetInfo
    size: int
    md5: str
    rows: tuple[str, ...]
    images: Mapping[str, int]
    counts: Mapping[str, tuple[int, ...]]

    def shares(self, split: str) -> tuple[float, ...]:
        """Give the part of a split's images that carries each of `rows`, 0 to 1. Findings need not add up to 1."""
        return tuple(count / self.images[split] for count in self.counts[split])

    def split_table(self) -> "pd.DataFrame":
        """Give counts and shares by label: columns `train`, `train_share`, and so on, and a last row `images`."""
        import pandas as pd

        columns: dict[str, list[float]] = {}
        for split, n in self.images.items():
            columns[split] = [*self.counts[split], n]
            columns[f"{split}_share"] = [*self.shares(split), 1.0]
        return pd.DataFrame(columns, index=pd.Index([*self.rows, "images"], name="label"))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        return {
            "name": self.info.name,
            "title": self.info.title,
            "task": self.info.task.kind,
            "modality": self.info.modality,
            "size": self.size,
            "channels": self.info.channels,
            "licence": self.info.licence,
            "source": self.info.source,
            "md5": self.md5,
            "images": dict(self.images),
            "labels": [self._row(i) for i in range(len(self.rows))],
        }

    def _row(self, i: int) -> dict[str, Any]:
        by_split = {split: {"count": self.counts[split][i], "share": self.shares(split)[i]} for split in self.images}
        return {"label": self.rows[i], **by_split}


def describe(dataset: Dataset) -> DataDescription:
    """Count a dataset's images and labels by split. No image is read."""
    indicators = {split: row_indicators(dataset, split) for split in dataset.splits}
    return DataDescription(
        info=dataset.info,
        size=dataset.size,
        md5=dataset.md5,
        rows=row_names(dataset),
        images={split: len(rows) for split, rows in indicators.items()},
        counts={split: tuple(int(n) for n in rows.sum(axis=0)) for split, rows in indicators.items()},
    )


def row_names(dataset: Dataset) -> tuple[str, ...]:
    """Name the task's labels and, where an image need not have one, "no finding"."""
    task = dataset.info.task
    return task.labels if task.exclusive else (*task.labels, NO_FINDING)


def row_indicators(dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Say which images carry which of `row_names`: (N, rows) zeros and ones."""
    y = dataset.info.task.encode(dataset.splits[split].labels).astype(np.int64)
    if dataset.info.task.exclusive:
        return y
    return np.column_stack([y, ~y.any(axis=1)])
