"""Predictions on disk: what a model said of every image of one split. Every score and figure comes from them."""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.archives import Wanted, read_archive
from penlight.data.dataset import METADATA
from penlight.errors import PenlightError, PredictionsError
from penlight.evaluation.intervals import Groups, units_of
from penlight.records.run import PredictionsRecord
from penlight.tasks import KnownLabels, Task, task_of, task_to_dict
from penlight.tasks.base import known_or_none

if TYPE_CHECKING:
    from penlight.data import ViewedDataset

SCHEMA = 1
_META = "meta_"

_WANTED = {
    "index": Wanted(np.int64, 1),
    "y_true": Wanted(np.uint8, 2),
    "prob": Wanted(np.float64, 2),
    "logits": Wanted(np.float64, 2),
}
_SMALL = 64 << 20
_OFF_ONE = 1e-6
_LONGEST_VALUE = 4 * 1_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_REMEDY = "Repeat the run that made it."


@dataclass(frozen=True)
class Predictions:
    """What a model said of the images of one split; on disk, before any calibration.

    `index` (N,) int64 rows of the split as stored; `y_true` (N, C) uint8; `prob` (N, C) float64 in [0, 1];
    `logits` (N, K) float64, such that `task.probabilities(logits)` is `prob` before any calibration;
    `data_hash` is the hash of the dataset's file; `recipe_hash` is empty for predictions made elsewhere. `groups`
    (N,) int64 numbers the patients, where the dataset names them, so that intervals can draw whole patients;
    `metadata` is that of `data.dataset.Split`, for scores by subgroup. `images_per_patient` is as in `DatasetInfo`.
    `known` (N, C) says which labels are known, None where all are; `y_true` is 0 where they are not.
    """

    index: NDArray[np.int64]
    y_true: NDArray[np.uint8]
    prob: NDArray[np.float64]
    logits: NDArray[np.float64]
    task: Task
    dataset: str
    view: str
    split: str
    data_hash: str = ""
    recipe_hash: str = ""
    groups: NDArray[np.int64] | None = None
    metadata: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    images_per_patient: int = 1
    known: KnownLabels = None

    @classmethod
    def of_split(
        cls, viewed: "ViewedDataset", split: str, task: Task, prob: NDArray[np.float64], logits: NDArray[np.float64],
        recipe_hash: str = "",
    ) -> Self:  # fmt: skip
        """Give what was said of a split of a viewed dataset, with all that the dataset says of its images."""
        part, info = viewed.splits[split], viewed.dataset.info
        return cls(
            index=part.index,
            y_true=part.y_true,
            prob=prob,
            logits=logits,
            task=task,
            dataset=info.name,
            view=viewed.view,
            split=split,
            data_hash=viewed.dataset.md5,
            recipe_hash=recipe_hash,
            groups=part.groups,
            metadata=part.metadata,
            images_per_patient=info.images_per_patient,
            known=part.known,
        )

    def __post_init__(self) -> None:
        n, c = len(self.index), len(self.task.labels)
        if self.y_true.shape != (n, c) or self.prob.shape != (n, c) or len(self.logits) != n:
            raise PredictionsError(
                f"For {n} images and {c} labels, y_true and prob of shape ({n}, {c}) were expected; "
                f"y_true {self.y_true.shape}, prob {self.prob.shape} and logits {self.logits.shape} came."
            )
        if self.known is not None and (self.known.shape != (n, c) or self.task.exclusive):
            raise PredictionsError(
                f"Labels that are not known are for findings: known of shape ({n}, {c}) was expected, "
                f"{self.known.shape} of a {self.task.kind} task came."
            )
        object.__setattr__(self, "known", known_or_none(self.known))
        if self.groups is not None and self.groups.shape != (n,):
            raise PredictionsError(f"For {n} images as many patients were expected; {self.groups.shape} came.")
        if wrong := [column for column, values in self.metadata.items() if values.shape != (n,)]:
            raise PredictionsError(f"For {n} images as many values of {', '.join(wrong)} were expected.")
        if not np.isfinite(self.prob).all() or (self.prob < -1e-9).any() or (self.prob > 1 + 1e-6).any():
            bad = int((~np.isfinite(self.prob) | (self.prob < -1e-9) | (self.prob > 1 + 1e-6)).any(axis=1).sum())
            raise PredictionsError(f"Probabilities must be numbers from 0 to 1; those of {bad} images are not.")

    def __len__(self) -> int:
        """Count the images."""
        return len(self.index)

    @property
    def units(self) -> Groups:
        """What intervals take as independent, see `evaluation.intervals.units_of`."""
        return units_of(self.groups, self.images_per_patient)

    def same_truth(self, other: "Predictions") -> bool:
        """Say whether other predictions are of images with the same labels, as far as both know them."""
        ours, theirs = (1 if own.known is None else own.known for own in (self, other))
        return self.y_true.shape == other.y_true.shape and np.array_equal(self.y_true * theirs, other.y_true * ours)

    def part(self, rows: NDArray[np.generic] | slice) -> "Predictions":
        """Select images by number, by (N,) true or false, or by a slice.

        Every array has one row per image, so each is selected from, and a field added later is too.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen: Any = {name: array[rows] for name, array in values.items() if isinstance(array, np.ndarray)}
        return replace(self, **chosen, metadata={name: array[rows] for name, array in self.metadata.items()})


def to_bytes(predictions: Predictions) -> bytes:
    """Give predictions as the bytes of an npz; the same predictions always give the same bytes."""
    p = predictions
    about = {
        "task": task_to_dict(p.task),
        "dataset": p.dataset,
        "view": p.view,
        "split": p.split,
        "data_hash": p.data_hash,
        "recipe_hash": p.recipe_hash,
        "images_per_patient": p.images_per_patient,
        "schema": SCHEMA,
    }
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"index": p.index, "y_true": p.y_true, "prob": p.prob, "logits": p.logits}
    if p.groups is not None:
        arrays["groups"] = p.groups
    if p.known is not None:
        arrays["known"] = p.known
    arrays |= {_META + column: _plain(values) for column, values in p.metadata.items()}
    np.savez(buffer, about=np.array(json.dumps(about, sort_keys=True)), **arrays)
    return buffer.getvalue()


def _plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Give values as numbers or texts, which are stored without pickles."""
    return values if np.issubdtype(values.dtype, np.number) else values.astype(np.str_)


def predictions_from_bytes(content: bytes, where: str) -> Predictions:
    """Read what `to_bytes` gave.

    PredictionsError, naming `where`, if it is damaged, of another schema, or holds what no model says of images.
    """
    # They are written unpacked, so that a small file has no reason to hold much.
    about, values = read_archive(
        PredictionsRecord, content, _WANTED, where, _REMEDY, largest=max(_SMALL, len(content)), schema=SCHEMA,
        error=PredictionsError,
    )  # fmt: skip
    metadata = {name.removeprefix(_META): values.pop(name) for name in [*values] if name.startswith(_META)}
    groups, known = values.pop("groups", None), values.pop("known", None)
    if known is not None and known.dtype != np.bool_:
        raise PredictionsError(f"known in {where} must be true or false; it is {known.dtype}.", _REMEDY)
    try:
        predictions = Predictions(
            index=values["index"],
            y_true=values["y_true"],
            prob=values["prob"],
            logits=values["logits"],
            task=task_of(about.task),
            dataset=about.dataset,
            view=about.view,
            split=about.split,
            data_hash=about.data_hash,
            recipe_hash=about.recipe_hash,
            groups=groups,
            metadata=metadata,
            images_per_patient=about.images_per_patient or _images_per_patient(about.dataset),
            known=known,
        )
        _require_possible(predictions)
    except PenlightError as error:
        raise PredictionsError(f"{where} is damaged: {error.problem}", _REMEDY) from error
    return predictions


def _images_per_patient(dataset: str) -> int:
    """Give what the catalog says today of a dataset whose predictions were written before that was kept."""
    from penlight.data.catalog import CATALOG  # it is large, and answering for a picture needs none of it

    return CATALOG[dataset].images_per_patient if dataset in CATALOG else 1


def _require_possible(p: Predictions) -> None:
    """Raise PredictionsError for values that no model gives and no dataset has."""
    n = len(p)
    if (p.index < 0).any() or len(np.unique(p.index)) != n:
        raise PredictionsError("Each image must have a row of its own in the split; index has others.")
    if (p.y_true > 1).any():
        raise PredictionsError("The truth must be 0 or 1 for each label; y_true has other values.")
    if p.known is not None and (p.y_true & ~p.known).any():
        raise PredictionsError("The truth of a label that is not known must be 0; y_true has other values.")
    if p.task.exclusive and not (p.y_true.sum(axis=1) == 1).all():
        raise PredictionsError("Each image must have one label; y_true has others.")
    if p.task.exclusive and n and np.abs(p.prob.sum(axis=1) - 1).max() > _OFF_ONE:
        raise PredictionsError("The probabilities of an image must sum to 1; those in prob do not.")
    if p.logits.shape != (n, p.task.n_logits) or not np.isfinite(p.logits).all():
        raise PredictionsError(f"Each image must have {p.task.n_logits} finite logits; logits has others.")
    if p.groups is not None and (p.groups.shape != (n,) or p.groups.dtype.kind not in "iu" or (p.groups < 0).any()):
        raise PredictionsError("Patients must be numbered, one for each image; groups has others.")
    for column, values in p.metadata.items():
        if column not in METADATA or values.dtype.itemsize > _LONGEST_VALUE:
            raise PredictionsError(f"Columns of images are {', '.join(METADATA)}, with short values; others came.")
        if (values.dtype.kind == "U") == (column == "age"):
            raise PredictionsError(f"The column {column} of images has the type {values.dtype}.")
        if values.dtype.kind == "U" and any(_CONTROL.search(str(value)) for value in np.unique(values)):
            raise PredictionsError(f"The column {column} of images holds control characters.")
