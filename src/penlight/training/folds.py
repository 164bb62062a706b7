"""Folds: images dealt to parts, by patient and by label, for cross-validation.

`deal` is what tuning judges its trials on, too. `make_folds` divides train and val of a dataset; each fold is the
test of a training on the others, and test itself is left alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.data import Split, ViewedDataset, ViewedSplit
from penlight.data.folds import assign_folds, image_groups
from penlight.data.reads import every, put_together
from penlight.errors import DataError
from penlight.evaluation import headline_value
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import join_known, select_known

INNER = 8
"""One in so many of the images of the other folds choose the epoch, thresholds and calibration, as val does."""

Numbers = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


def deal(y_true: NDArray[np.uint8], units: NDArray[np.generic], count: int, seed: int, fewest: int) -> Numbers:
    """Assign images to folds of which each is judged by a training on the others, (N,) in 0..count-1: `assign_folds`.

    Units with a label that fewer than `fewest` have get -1: they are always trained on and judge nothing, since a
    network cannot be trained without an image of a label.
    """
    unit = np.unique(units, return_inverse=True)[1]
    having = np.zeros((unit.max(initial=-1) + 1, y_true.shape[1]), bool)
    np.logical_or.at(having, unit, y_true > 0)
    rare = having.any(axis=0) & (having.sum(axis=0) < fewest)
    dealt = np.full(len(unit), -1)
    free = np.flatnonzero(~having[unit][:, rare].any(axis=1))
    dealt[free] = assign_folds(y_true[free], unit[free], count, seed)
    return dealt


def can_judge(task: Task, y_true: NDArray[np.uint8], known: KnownLabels = None) -> bool:
    """Say whether images with this truth, (n, C), can give the headline metric."""
    return len(y_true) > 0 and bool(
        np.isfinite(headline_value(task, y_true, np.full(y_true.shape, 1 / y_true.shape[1]), known))
    )


@dataclass(frozen=True)
class Folds:
    """Train and val of a view as one split, `whole`, and the `number` of each image's fold, (N,) in 0..count-1; -1
    for images that every fold is trained on. `units` (N,) are what is never divided: patients, and near duplicates.

    `whole.images` holds those of train, then those of val, as stored; the rows of `whole.index` count them through.
    """

    view: ViewedDataset
    whole: ViewedSplit
    units: Numbers
    number: Numbers
    count: int
    seed: int

    def fold(self, number: int) -> ViewedDataset:
        """Give what a fold is trained on, as a dataset of its own: the fold is its test, and one part in `INNER` of
        the others its val. Its MD5 is that of the dataset and of how it was divided."""
        return self._divided(self.parts(number), self._md5(number))

    def all_as_train(self) -> ViewedDataset:
        """Give all of train and val as the train of a dataset of its own. Its val and test are the first fold: a
        training looks at val, and nothing may be chosen by it."""
        part = self.whole.part(self.number == 0)
        return self._divided({"train": self.whole, "val": part, "test": part}, self._md5(self.count))

    def _divided(self, parts: Mapping[str, ViewedSplit], md5: str) -> ViewedDataset:
        pooled = [self.view.dataset.splits[name] for name in ("train", "val")]
        labels = _joined([split.labels for split in pooled])
        known = join_known([(split.known, split.labels) for split in pooled])
        stored = {
            name: Split(
                put_together([part.chosen]),
                labels[part.index],
                part.patients,
                part.metadata,
                select_known(known, part.index),
            )
            for name, part in parts.items()
        }
        info = replace(self.view.dataset.info, samples=None)
        dataset = replace(self.view.dataset, info=info, splits=stored, md5=md5)
        return ViewedDataset(dataset, self.view.view, self.view.task, parts)

    def parts(self, number: int) -> dict[str, ViewedSplit]:
        """Give train, val and test of a fold, as rows of `whole`."""
        others = self.number != number
        inner = np.zeros(len(self.units), bool)
        rest = np.flatnonzero(others)
        inner[rest] = deal(self.whole.y_true[rest], self.units[rest], INNER, self.seed, 2) == 0
        chosen = {"train": others & ~inner, "val": inner, "test": ~others}
        return {name: self.whole.part(mask) for name, mask in chosen.items()}

    def _md5(self, number: int) -> str:
        about = f"{self.view.dataset.md5} {self.view.view} {self.count} {self.seed} {number} "
        return hashlib.md5(about.encode() + self.number.tobytes(), usedforsecurity=False).hexdigest()


def make_folds(view: ViewedDataset, count: int, seed: int) -> Folds:
    """Divide train and val of a view into `count` folds; the same for the same seed.

    Images of one patient, and those that the audit found to be nearly the same, stay in one fold. DataError where
    there are too few: where a fold, or what chooses for it, cannot give the headline metric, or where what it is
    trained on lacks a label.
    """
    whole, units = _pooled(view), image_groups(view, ("train", "val"))
    n_units = len(np.unique(units))
    if count > n_units:
        raise _too_few(view, count, n_units, f"there are more folds than {_what(view)}")
    folds = Folds(view, whole, units, deal(whole.y_true, units, count, seed, 2), count, seed)
    for number in range(count):
        splits = folds.parts(number)
        for name, part in splits.items():
            if name != "train" and not can_judge(view.task, part.y_true, part.known):
                what = "fold" if name == "test" else "the val inside fold"
                raise _too_few(view, count, n_units, f"{what} {number + 1} cannot give {view.task.headline}")
        missing = [
            label for label, n in zip(view.task.labels, splits["train"].y_true.sum(axis=0), strict=True) if not n
        ]
        if missing:
            raise _too_few(view, count, n_units, f"fold {number + 1} would be trained without {', '.join(missing)}")
    return folds


def _too_few(view: ViewedDataset, count: int, n_units: int, why: str) -> DataError:
    return DataError(
        f"{n_units:,} {_what(view)} in train and val of {view.dataset.info.name} are too few for {count} folds: "
        f"{why}.",
        "Give another number of folds, more images, or another view.",
    )


def _what(view: ViewedDataset) -> str:
    return "images" if view.splits["train"].patients is None else "patients"


def _pooled(view: ViewedDataset) -> ViewedSplit:
    """Put train and val into one split."""
    train, val = view.splits["train"], view.splits["val"]
    known = train.patients is not None and val.patients is not None
    return ViewedSplit(
        put_together([every(part.images) for part in (train, val)]),
        np.concatenate([train.index, len(train.images) + val.index]),
        np.concatenate([train.y_true, val.y_true]),
        np.concatenate([train.patients, val.patients]) if known else None,
        {c: np.concatenate([train.metadata[c], val.metadata[c]]) for c in train.metadata if c in val.metadata},
        join_known([(part.known, part.y_true) for part in (train, val)]),
    )


def _joined(arrays: Sequence[NDArray[T]]) -> NDArray[T]:
    return np.concatenate(list(arrays))
