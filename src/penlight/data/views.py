"""Views of a dataset: which of its images count, and what is to be learned of them. Scores of two views are never
compared. The views that a dataset has are those of its task.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from penlight.data.dataset import Dataset, Split
from penlight.data.reads import Chosen
from penlight.errors import DataError, UnknownNameError
from penlight.escaping import label_list
from penlight.records import Count, Record, json_key
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import NATIVE_VIEW, ViewResult, known_or_none, select_known

Indicators = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ViewedSplit:
    """The images of a split that count in a view: `images` (N, H, W, C) uint8 is the whole split, `index` (n,) its
    rows that count, `y_true` (n, C) their indicators, `patients` (n,) where known, `metadata` as in `Split`, (n,);
    `known` (n, C) says which labels are known, None where all are."""

    images: NDArray[np.uint8]
    index: Rows
    y_true: Indicators
    patients: NDArray[np.generic] | None = None
    metadata: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    known: KnownLabels = None

    def __len__(self) -> int:
        """Count the images that count."""
        return len(self.index)

    def truth_of(self, place: int) -> tuple[Indicators, NDArray[np.bool_] | None]:
        """Give the indicators (C,) of one image, and which are known, as `tasks.label_of` takes them."""
        return self.y_true[place], None if self.known is None else self.known[place]

    @property
    def groups(self) -> Rows | None:
        """Number the patients, (n,), so that their names stay in the dataset; None where they are not known."""
        return None if self.patients is None else np.unique(self.patients, return_inverse=True)[1].astype(np.int64)

    @property
    def chosen(self) -> Chosen:
        """The images that count, read when they are asked for."""
        return Chosen(self.images, self.index)

    def part(self, chosen: NDArray[np.generic] | slice) -> "ViewedSplit":
        """Keep some of the images that count: by number, by (n,) yes or no, or a slice."""
        return ViewedSplit(
            self.images,
            self.index[chosen],
            self.y_true[chosen],
            None if self.patients is None else self.patients[chosen],
            {column: values[chosen] for column, values in self.metadata.items()},
            select_known(self.known, chosen),
        )


class LeftOut(Record):
    """What a view leaves out of a split: images, and positive labels, which includes those of images that stay;
    `undecided` of the images are left out because what they are to the view hangs on labels that are not known, None
    where all are known."""

    images: Count
    positives: Count
    undecided: Count | None = json_key(default=None, if_known=True)


@dataclass(frozen=True)
class ViewedDataset:
    """A dataset seen through a view: what a model is trained on. `left_out` says by split what the view drops."""

    dataset: Dataset
    view: str
    task: Task
    splits: Mapping[str, ViewedSplit]
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)


def apply_view(dataset: Dataset, view: str = "native") -> ViewedDataset:
    """See a dataset through a view.

    UnknownNameError for a view that this dataset does not have. DataError for labels that are not the task's, for a
    label that train never has, for a patient in two splits, and for a view that leaves a split empty.
    """
    task = dataset.info.task
    if view not in task.views:
        raise UnknownNameError(f"view of {dataset.info.name}", view, task.views)
    known = {name: known_or_none(split.known) for name, split in dataset.splits.items()}
    native = {name: task.encode(split.labels) for name, split in dataset.splits.items()}
    native |= {name: native[name] & mask for name, mask in known.items() if mask is not None}
    _require_sound(dataset, native["train"])
    seen, undecided = _seen(task, view, native, known)
    splits = {}
    for name, (rows, y_true) in seen.splits.items():
        if len(rows) == 0:
            raise DataError(
                f"The view '{view}' leaves no image in {name} of {dataset.info.name}.", "Choose another view."
            )
        mask = select_known(known[name], rows) if view == NATIVE_VIEW else None
        splits[name] = viewed(dataset.splits[name], rows, y_true, mask)
    keeps_labels = set(task.labels) <= set(seen.task.labels)
    left_out = {name: _left_out(native[name], splits[name], keeps_labels, undecided.get(name)) for name in splits}
    return ViewedDataset(dataset, view, seen.task, splits, left_out)


def _seen(
    task: Task, view: str, native: Mapping[str, Indicators], known: Mapping[str, KnownLabels]
) -> tuple[ViewResult, dict[str, int]]:
    """Apply a view, and count by split the images that it leaves out because of labels that are not known.

    The native view keeps them all. In any other one an image counts if it has the same answer whether none or all of
    its unknown labels are there: then it has it whatever is true.
    """
    apply, unknown = task.views[view].apply, {name: mask for name, mask in known.items() if mask is not None}
    if view == NATIVE_VIEW or not unknown:
        return apply(task, native), {}
    # In one call, since a view may look at train for what is rare.
    filled = {f"{name}, all unknown labels there": native[name] | ~mask for name, mask in unknown.items()}
    seen, splits, undecided = apply(task, {**native, **filled}), {}, {}
    for name in native:
        rows, y = seen.splits[name]
        if name in unknown:
            full_rows, full_y = seen.splits[f"{name}, all unknown labels there"]
            either = np.union1d(rows, full_rows)
            both, one, other = np.intersect1d(rows, full_rows, return_indices=True)
            same = (y[one] == full_y[other]).all(axis=1)
            rows, y = both[same], y[one[same]]
            undecided[name] = len(either) - len(rows)
        splits[name] = rows, y
    return ViewResult(seen.task, splits), undecided


def viewed(split: Split, rows: Rows, y_true: Indicators, known: KnownLabels = None) -> ViewedSplit:
    """See the rows of a split that count, (n,), with their indicators (n, C), and which of these are known."""
    patients = None if split.patients is None else split.patients[rows]
    metadata = {column: values[rows] for column, values in split.metadata.items()}
    known = known_or_none(known)
    y_true = y_true if known is None else y_true & known
    return ViewedSplit(split.images, rows, y_true, patients, metadata, known)


def _left_out(native: Indicators, split: ViewedSplit, keeps_labels: bool, undecided: int | None) -> LeftOut:
    """Count what is left out of a split. A view that `keeps_labels` names at most some of the findings; one with
    labels of its own, such as whether there is any, says something of all findings of the images that stay."""
    kept = split.y_true[:, -native.shape[1] :] if keeps_labels else native[split.index]
    return LeftOut(len(native) - len(split), int(native.sum()) - int(kept.sum()), undecided)


def _require_sound(dataset: Dataset, train: Indicators) -> None:
    """Raise DataError for a label that no image of train has, and for a patient in two splits."""
    missing = [name for name, n in zip(dataset.info.task.labels, train.sum(axis=0), strict=True) if n == 0]
    if missing:
        has = "has" if dataset.splits["train"].known is None else "is known to have"
        raise DataError(
            f"No image in train of {dataset.info.name} {has} the label {label_list(missing)}.",
            "A model cannot learn it: check the labels, or take it out of the description and of the labels array.",
        )
    require_separate_patients(dataset)


def require_separate_patients(dataset: Dataset) -> None:
    """Raise DataError for a patient in two splits: scores would be those of remembered patients."""
    for one, other, shared in shared_patients(dataset):
        raise DataError(
            f"{len(shared)} patients of {dataset.info.name} are in both {one} and {other}, "
            f"for example {min(map(str, shared))}.",
            "Split the images by patient.",
        )


def shared_patients(dataset: Dataset) -> Iterator[tuple[str, str, set[object]]]:
    """Give pairs of splits with the patients who have images in both; none where the dataset does not name them."""
    known = {name: split.patients for name, split in dataset.splits.items()}
    patients = {name: set[object](names.tolist()) for name, names in known.items() if names is not None}
    for one, other in combinations(patients, 2):
        if shared := patients[one] & patients[other]:
            yield one, other, shared
