"""What a run keeps of its data, so that it can be judged without the dataset: counts, patients, the audit's finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penlight.data.catalog import is_phantom
from penlight.data.dataset import SPLITS
from penlight.data.pictures import DecodeOptions
from penlight.data.views import ViewedDataset

if TYPE_CHECKING:
    from penlight.records.scores import DataJson


@dataclass(frozen=True)
class DataRecord:
    """A dataset seen through a view, in counts; C labels.

    `images` counts the images of each split that the view keeps; `counts` has, for each split, how many of them have
    each label, (C,); `patients` counts the patients of each split, None where the dataset does not name them;
    `images_per_patient` is as in `DatasetInfo`. `problems` are those of the audit of the whole dataset, as
    `Problem.to_dict` gives them; `reading` says how a picture becomes an image of it. `duplicates` are, by split, the
    rows of the images that have an exact or near duplicate in another split, None where that was not kept.
    """

    labels: tuple[str, ...]
    images: Mapping[str, int]
    counts: Mapping[str, tuple[int, ...]]
    patients: Mapping[str, int] | None = None
    problems: tuple[Mapping[str, Any], ...] = ()
    reading: DecodeOptions | None = None
    images_per_patient: int = 1
    duplicates: Mapping[str, tuple[int, ...]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the record for JSON."""
        return {
            "labels": list(self.labels),
            "images": dict(self.images),
            "counts": {split: list(counts) for split, counts in self.counts.items()},
            "patients": None if self.patients is None else dict(self.patients),
            "problems": [dict(problem) for problem in self.problems],
            "reading": None if self.reading is None else self.reading.to_dict(),
            "images_per_patient": self.images_per_patient,
            "duplicates": None
            if self.duplicates is None
            else {split: list(rows) for split, rows in self.duplicates.items()},
        }


def record_of_json(values: "DataJson") -> DataRecord:
    """Give what data.json of a run says, which was checked as it was read."""
    return DataRecord(
        values.labels,
        values.images,
        values.counts,
        values.patients,
        tuple(problem.to_json() for problem in values.problems),
        None if values.reading is None else DecodeOptions(**values.reading.model_dump()),
        values.images_per_patient,
        values.duplicates,
    )


def record_of(view: ViewedDataset) -> DataRecord:
    """Count what a view keeps, and audit its dataset."""
    problems = tuple(problems_of(view))
    return DataRecord(
        view.task.labels,
        {name: len(split) for name, split in view.splits.items()},
        {name: tuple(int(n) for n in split.y_true.sum(axis=0)) for name, split in view.splits.items()},
        _patients(view),
        problems,
        view.dataset.reading,
        view.dataset.info.images_per_patient,
        _duplicates(view) if any(problem["code"] in _ACROSS for problem in problems) else {},
    )


_ACROSS = ("duplicates-across", "near-across")


def _duplicates(view: ViewedDataset) -> dict[str, tuple[int, ...]]:
    """Give the rows of the images that are paired with one of another split, by split."""
    from penlight.data.audit import kept_audit

    pairs = kept_audit(view.dataset).pairs
    paired = {place for pair in pairs if pair.across for place in (pair.one, pair.other)}
    # Of identical images the first stands for all in pairs with others.
    paired |= {p.other for p in pairs if p.kind == "exact" and p.one in paired}
    return {name: tuple(sorted(row for split, row in paired if split == name)) for name in SPLITS}


def problems_of(view: ViewedDataset) -> Sequence[Mapping[str, Any]]:
    """Give what the audit of a view's dataset found."""
    from penlight.data.audit import kept_audit

    return [problem.to_dict() for problem in kept_audit(view.dataset).problems]


def _patients(view: ViewedDataset) -> dict[str, int] | None:
    if not is_phantom(view.dataset.info) and any(split.patients is None for split in view.splits.values()):
        return None
    # A drawn image is nobody else's: each counts as a patient.
    return {
        name: len(split) if split.patients is None else len(np.unique(split.patients))
        for name, split in view.splits.items()
    }
