"""What a run keeps of its data, so that it can be judged without the dataset: counts, patients, the audit's finds."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from penlight.data.catalog import is_phantom
from penlight.data.dataset import SPLITS
from penlight.data.pictures import DecodeOptions, OriginalPictures, shows_colour
from penlight.data.problems import Problems
from penlight.data.views import ViewedDataset
from penlight.records import Count, Counts, ImagesPerPatient, Labels, Name, Record, json_key
from penlight.tasks.base import count_known

CountsOfLabels = Annotated[
    Mapping[Name, Annotated[tuple[Count, ...], Field(max_length=10_000)]], Field(max_length=100)
]
"""For each split a number for each label, (C,)."""


_LOOKED_AT = 500


class DataRecord(Record):
    """A dataset seen through a view, in counts; C labels.

    `images` counts the images of each split that the view keeps; `counts` has, for each split, how many of them have
    each label, (C,); `patients` counts the patients of each split, None where the dataset does not name them;
    `patients_with` counts, as `counts`, the patients who have an image with each label, None where it was not kept;
    `known` counts, as `counts`, the images of which each label is known, None where all are; `images_per_patient` is
    as in `DatasetInfo`. `problems` are those of the audit of the whole dataset;
    `reading` says how a picture becomes an image of it, `originals` what its pictures were like. `duplicates` are, by
    split, the rows of the images that have an exact or near duplicate in another split, None where that was not kept.
    """

    labels: Labels
    images: Counts
    counts: CountsOfLabels
    patients: Counts | None = None
    problems: Problems = ()
    reading: DecodeOptions | None = None
    images_per_patient: ImagesPerPatient = 1
    duplicates: (
        Annotated[Mapping[Name, Annotated[tuple[Count, ...], Field(max_length=10_000_000)]], Field(max_length=100)]
        | None
    ) = None
    patients_with: CountsOfLabels | None = None
    known: CountsOfLabels | None = json_key(default=None, if_known=True)
    originals: OriginalPictures | None = json_key(default=None, if_known=True)

    def known_of(self, split: str) -> tuple[int, ...]:
        """Give of how many images of a split each label is known, (C,)."""
        if self.known is not None and split in self.known:
            return tuple(self.known[split])
        return (self.images[split],) * len(self.labels)


class ReadingOfData(Record):
    """What of data.json answering for a picture needs."""

    reading: DecodeOptions | None = None
    originals: OriginalPictures | None = None


def record_of(view: ViewedDataset) -> DataRecord:
    """Count what a view keeps, and audit its dataset, where its images are at hand."""
    at_hand = view.dataset.has_images
    problems = problems_of(view) if at_hand else ()
    across = any(problem.code in _ACROSS for problem in problems)
    return DataRecord(
        view.task.labels,
        {name: len(split) for name, split in view.splits.items()},
        {name: tuple(int(n) for n in split.y_true.sum(axis=0)) for name, split in view.splits.items()},
        _patients(view),
        problems,
        view.dataset.reading,
        view.dataset.info.images_per_patient,
        _duplicates(view) if across else {} if at_hand else None,
        _patients_with(view),
        _known(view),
        view.dataset.originals or (_originals(view) if at_hand else None),
    )


def _originals(view: ViewedDataset) -> OriginalPictures:
    """Give what is known of the pictures behind arrays: some of those in three channels may be grey."""
    images = view.dataset.splits["train"].images
    if images.shape[3] == 1:
        return OriginalPictures(True, False, False, view.dataset.size, 1.0)
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), _LOOKED_AT)).astype(int))
    colour = [shows_colour(images[row]) for row in rows]
    return OriginalPictures(not all(colour), any(colour), False, view.dataset.size, 1.0)


_ACROSS = ("duplicates-across", "near-across")


def _duplicates(view: ViewedDataset) -> dict[str, tuple[int, ...]]:
    """Give the rows of the images that are paired with one of another split, by split."""
    from penlight.data.audit import kept_audit

    pairs = kept_audit(view.dataset).pairs
    paired = {place for pair in pairs if pair.across for place in (pair.one, pair.other)}
    # Of identical images the first stands for all in pairs with others.
    paired |= {p.other for p in pairs if p.kind == "exact" and p.one in paired}
    return {name: tuple(sorted(row for split, row in paired if split == name)) for name in SPLITS}


def problems_of(view: ViewedDataset) -> Problems:
    """Give what the audit of a view's dataset found."""
    from penlight.data.audit import kept_audit

    return kept_audit(view.dataset).problems


def _patients(view: ViewedDataset) -> dict[str, int] | None:
    if not is_phantom(view.dataset.info) and any(split.patients is None for split in view.splits.values()):
        return None
    # A drawn image is nobody else's: each counts as a patient.
    return {
        name: len(split) if split.patients is None else len(np.unique(split.patients))
        for name, split in view.splits.items()
    }


def _known(view: ViewedDataset) -> dict[str, tuple[int, ...]] | None:
    if all(split.known is None for split in view.splits.values()):
        return None
    return {name: tuple(map(int, count_known(split.known, split.y_true))) for name, split in view.splits.items()}


def _patients_with(view: ViewedDataset) -> dict[str, tuple[int, ...]] | None:
    if any(split.patients is None for split in view.splits.values()):
        return None
    return {
        name: tuple(len(np.unique(split.groups[own > 0])) for own in split.y_true.T)  # type: ignore[index]
        for name, split in view.splits.items()
    }
