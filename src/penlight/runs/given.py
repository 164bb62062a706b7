"""Predictions that other software made: an array, a table, or a CSV file of probabilities, brought onto the images of
a split."""

import csv
import hashlib
import io
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.answers import CSV_HEADS
from penlight.data import ViewedDataset
from penlight.data.own.limits import LARGEST_TABLE, MOST_COLUMNS
from penlight.data.own.tables import Table, columns_of, columns_of_frame
from penlight.errors import PredictionsError
from penlight.escaping import label_list, named
from penlight.numbers import counted
from penlight.runs.predictions import Predictions
from penlight.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

PredictionsLike: TypeAlias = Union[str, Path, NDArray[Any], "pd.DataFrame"]

_SHOWN = 12
_SUM_TOLERANCE = 0.01
"""How far from 1 exclusive probabilities may sum, by rounding to few decimals."""

_EXACT = 1e-7
_BELOW, _ABOVE = -1e-9, 1 + 1e-6


@dataclass(frozen=True)
class GivenPredictions:
    """Probabilities as they were given: `prob` (N, K), of images that `ids` name, (N,), and of `labels`, (K,); either
    is None where nothing names them. `where` names the source in a sentence."""

    where: str
    prob: NDArray[np.float64]
    ids: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None

    @property
    def has_row_numbers(self) -> bool:
        """Say whether the ids are the numbers of the rows, from 0."""
        return self.ids is not None and set(self.ids) == {str(row) for row in range(len(self.prob))}

    def known_as(self, names: Collection[str]) -> "GivenPredictions":
        """Take ids that are row numbers from 0 for the order of the rows, where images have other names."""
        if self.ids is None or not self.has_row_numbers or set(self.ids) & set(names):
            return self
        return replace(self, prob=self.prob[np.argsort(list(map(int, self.ids)))], ids=None)

    def at(self, row: int) -> str:
        """Name a row in a sentence."""
        return f"row {row}" if self.ids is None else f"index {self.ids[row]}"


def read_given(
    source: PredictionsLike, what: str, labels: Collection[str], rows: int | None = None
) -> GivenPredictions:
    """Read a file, an array (N, K) or a table of probabilities of some of these labels.

    A file is in the official result format, index,p0,p1,... without a header, or has a header: the first column names
    the images, unless it is that of a label. `what` names what has no name of its own; a file without a header may
    have `rows` rows. PredictionsError and DataError say what is wrong.
    """
    if isinstance(source, str | Path):
        return _read_file(Path(source), labels, rows)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return _of_columns(columns_of_frame(source), labels, f"The table of {what}")
    return GivenPredictions(f"The array of {what}", _of_array(source, f"The array of {what}"))


def predictions_of(
    given: GivenPredictions, view: ViewedDataset, split: str, ids: Sequence[str] | None = None
) -> Predictions:
    """Bring probabilities onto the images of a split, which `ids` name, (N,), or else their numbers from 0.

    PredictionsError for other images or labels, for what is no probability, and for exclusive labels whose
    probabilities do not sum to 1.
    """
    task, dataset = view.task, view.dataset.info.name
    ordered = _in_order(given, len(view.splits[split]), f"{split} of {dataset}", ids)
    prob = _of_labels(ordered, task, dataset)
    _require_probabilities(ordered, prob, task)
    if len(task.labels) == 2 and task.exclusive:
        # Of two classes the official evaluator reads the last column alone.
        prob = np.stack([1 - prob[:, -1], prob[:, -1]], axis=1)
    return Predictions.of_split(view, split, task, prob, task.logits(prob))


def with_exact_sums(predictions: Predictions) -> Predictions:
    """Make exclusive probabilities that were rounded sum to 1, as those of a run folder do."""
    sums = predictions.prob.sum(axis=1, keepdims=True)
    if not predictions.task.exclusive or (np.abs(sums - 1) <= _EXACT).all():
        return predictions
    prob = predictions.prob / sums
    return replace(predictions, prob=prob, logits=predictions.task.logits(prob))


def short_hash(predictions: Predictions) -> str:
    """Give what a reading of test by predictions made elsewhere is recorded under: a hash of their numbers."""
    return hashlib.sha256(predictions.prob.tobytes()).hexdigest()[:16]


def _of_array(source: Any, where: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionsError(
            f"{where} is a {type(source).__name__}, which NumPy does not read: {str(error)[:200]}",
            "Give an array (N, C) of probabilities; of a tensor, tensor.detach().cpu().numpy().",
        ) from error
    if array.dtype.kind not in "fiu":
        raise PredictionsError(
            f"{where} has the type {array.dtype}; numbers were expected.",
            "Give an array (N, C) of probabilities, or a file or a table of them.",
        )
    if array.ndim not in (1, 2) or not array.size:
        raise PredictionsError(f"{where} has the shape {array.shape}; (N, C) was expected, a row for each image.")
    return array.reshape(len(array), -1).astype(np.float64)


def _read_file(path: Path, labels: Collection[str], rows: int | None) -> GivenPredictions:
    if path.suffix.lower() in (".npy", ".npz"):
        raise PredictionsError(
            f"{path} is a NumPy file; a CSV file with rows index,p0,p1,... was expected.",
            "Write one with numpy.savetxt: the index of each image, then its probabilities, separated by commas.",
        )
    try:
        content = disk.read_named(path, LARGEST_TABLE)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise PredictionsError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise PredictionsError(
            f"{path} is not a text file; a CSV file with rows index,p0,p1,... was expected.", "Check the path."
        ) from error
    # With a header, the first column has a name; without one, it is the index of an image.
    if text.strip() and not _is_number(
        text.lstrip().partition("\n")[0].replace(";", ",").replace("\t", ",").partition(",")[0]
    ):
        return _of_columns(columns_of(content, path), labels, str(path))
    table = _numbers(path, text, rows)
    return GivenPredictions(str(path), table[:, 1:], tuple(f"{index:.15g}" for index in table[:, 0]))


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _numbers(path: Path, text: str, rows: int | None) -> NDArray[np.float64]:
    """Read the numbers of a CSV file without a header, of which at most `rows` rows are expected."""
    remedy = "The format is index,p0,p1,... without a header, or a header: a first column, then one for each label."
    found: list[list[float]] = []
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), start=1):
            if (rows is not None and number > rows) or len(row) > MOST_COLUMNS:
                count = f"{len(row):,} columns" if rows is None or number <= rows else f"more than {rows:,} rows"
                raise PredictionsError(
                    f"{path} has {count}; {rows or 0:,} rows of a few columns are expected.", remedy
                )
            found.append([float(cell) for cell in row])
    except csv.Error as error:
        raise PredictionsError(f"{path} cannot be read: {error}.", remedy) from error
    except ValueError as error:
        raise PredictionsError(f"Line {number} of {path} is not numbers: {str(error)[:200]}.", remedy) from error
    if not found or len({len(row) for row in found}) != 1 or len(found[0]) < 2:
        raise PredictionsError(f"{path} must have rows of one length: index,p0,p1,... without a header.")
    return np.array(found)


def _of_columns(columns: Table, labels: Collection[str], where: str) -> GivenPredictions:
    """Take a table apart: the names of the images, where its first column has them, and the numbers of the others."""
    ids: tuple[str, ...] | None = None
    names = list(columns)
    if names[:4] == list(CSV_HEADS[0]):
        # What `penlight predict --csv` writes beside the probabilities of labels.
        names = [names[0], *names[4 : -len(CSV_HEADS[1])]]
    if names and names[0] not in labels:
        ids, names = tuple(columns[names[0]]), names[1:]
    if not names or not columns[names[0]]:
        raise PredictionsError(
            f"{where} has no probabilities; its columns are {named(columns)}.",
            "Give a first column that names the images, then one for each label.",
        )
    prob = np.empty((len(columns[names[0]]), len(names)))
    for column, name in enumerate(names):
        for row, cell in enumerate(columns[name]):
            try:
                prob[row, column] = float(cell) if cell else np.nan
            except ValueError as error:
                raise PredictionsError(
                    f"{where} has {cell[:50]!r} in the column {name} where a probability is expected.",
                    f"Give one column for each label: {label_list(labels)}." if labels else "",
                ) from error
    return GivenPredictions(where, prob, ids, tuple(names))


def _in_order(given: GivenPredictions, n: int, of: str, ids: Sequence[str] | None) -> GivenPredictions:
    """Bring the rows into the order of `ids`, or of their numbers; rows without names are in order already."""
    if (ids is None or given.ids is None) and len(given.prob) != n:
        has = f"{given.where} has {counted(len(given.prob), 'row')}; {of} has {counted(n, 'image')}"
        raise PredictionsError(f"{has} in this view." if ids is None else f"{has}.")
    if given.ids is None:
        return given
    if twice := [name for name, count in Counter(given.ids).items() if count > 1]:
        raise PredictionsError(f"{given.where} has several rows of {named(twice)}.", "Keep one row for each image.")
    place = {name: row for row, name in enumerate(given.ids)}
    wanted = [str(i) for i in range(n)] if ids is None else ids
    absent, strange = [name for name in wanted if name not in place], sorted(place.keys() - set(wanted))
    if ids is None and (absent or strange):
        raise PredictionsError(
            f"The first column of {given.where} must hold each index from 0 to {n - 1} once.",
            f"Images of {of} are known by their row numbers alone." if not _is_number(given.ids[0]) else "",
        )
    if absent or strange:
        parts = [f"lacks {counted(len(absent), 'image')} of {of}: {named(absent)}"] if absent else []
        parts += [f"has {counted(len(strange), 'row')} of no image of {of}: {named(strange)}"] if strange else []
        raise PredictionsError(
            f"{given.where} {', and '.join(parts)}.", "Give one row for each image, under the name it has there."
        )
    rows = [place[name] for name in wanted]
    return replace(given, prob=given.prob[rows], ids=tuple(wanted))


def _of_labels(given: GivenPredictions, task: Task, dataset: str) -> NDArray[np.float64]:
    """Give (N, C) columns in the order of the task's labels; of two classes (N, 1), that of the second, may do."""
    n, labels, prob = given.prob.shape[1], task.labels, given.prob
    binary = len(labels) == 2 and task.exclusive
    names = None if given.labels is None or _is_numbered(given.labels) else given.labels
    if names is not None and binary and len(names) == 1 and names[0] in labels:
        return prob if names[0] == labels[1] else 1 - prob
    if names is not None and set(names) != set(labels):
        absent = [label for label in labels if label not in names]
        strange = [name for name in names if name not in labels]
        parts = [f"no column for {named(absent)}"] if absent else []
        parts += [f"columns that are no label: {named(strange)}"] if strange else []
        raise PredictionsError(
            f"{given.where} has {', and '.join(parts)}.",
            f"The labels of {dataset} are {label_list(labels)}: give each a column of that name.",
        )
    if names is not None:
        return prob[:, [names.index(label) for label in labels]]
    if n != len(labels) and not (binary and n == 1):
        known = f"{dataset} has {len(labels)}: {label_list(labels)}"
        raise PredictionsError(f"{given.where} has {counted(n, 'probability', 'probabilities')} a row; {known}.")
    return prob


def _is_numbered(names: Sequence[str]) -> bool:
    """Say whether columns are named by their numbers alone: 0, 1, 2 or p0, p1, p2."""
    return [name.removeprefix("p") for name in names] == [str(i) for i in range(len(names))]


def _require_probabilities(given: GivenPredictions, prob: NDArray[np.float64], task: Task) -> None:
    """Refuse what is no probability, and rows of an exclusive task that do not sum to 1; one column alone is of the
    second class."""
    bad = np.flatnonzero(~(np.isfinite(prob) & (prob >= _BELOW) & (prob <= _ABOVE)).all(axis=1))
    if len(bad):
        own = prob[bad[0]]
        value = own[~(np.isfinite(own) & (own >= _BELOW) & (own <= _ABOVE))][0]
        how = "softmax" if task.exclusive else "sigmoid"
        raise PredictionsError(
            f"Probabilities must be numbers from 0 to 1; those of {counted(len(bad), 'image')} of {given.where} are "
            f"not, the first that of {given.at(bad[0])}: {value:g}.",
            f"If they are logits, give their {how}." if np.isfinite(prob).all() else "Fill in or correct them.",
        )
    if not task.exclusive or prob.shape[1] < 2:
        return
    off = np.abs(prob.sum(axis=1) - 1)
    worst = int(np.argmax(off))
    if off[worst] <= _SUM_TOLERANCE:
        return
    row = ", ".join(f"{p:g}" for p in prob[worst, :_SHOWN]) + (", ..." if prob.shape[1] > _SHOWN else "")
    n = int((off > _SUM_TOLERANCE).sum())
    raise PredictionsError(
        f"The probabilities of an image must sum to 1; those of {counted(n, 'row')} of {given.where} do not, "
        f"the worst that of {given.at(worst)}: {row} sum to {prob[worst].sum():g}.",
        "Give probabilities of the classes, such as a softmax of logits.",
    )
