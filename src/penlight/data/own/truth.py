"""A labels file: what is true of images that are not at hand, so that predictions of them can be scored."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penlight.data.dataset import METADATA, SPLITS, Dataset, DatasetInfo, Split
from penlight.data.description import slug
from penlight.data.own import naming
from penlight.data.own.keys import check_text
from penlight.data.own.known_columns import columns_called, is_label_column
from penlight.data.own.listing import MOST_LABELS, AskedLayout, PictureRow, sorted_labels
from penlight.data.own.manifest import Manifest
from penlight.data.own.merging import require_sound
from penlight.data.own.prepare import known_labels, known_of, label_numbers
from penlight.data.own.proposing import propose_task
from penlight.data.own.questions import UndecidedError, ask
from penlight.data.own.table_rules import UNCERTAIN, require_known
from penlight.data.own.tables import columns_of_frame, read_table
from penlight.data.summary import as_viewed
from penlight.data.views import ViewedDataset, require_separate_patients
from penlight.errors import DataError
from penlight.escaping import label_list, named
from penlight.numbers import counted
from penlight.tasks import TASKS, Task, task_to_dict

if TYPE_CHECKING:
    import pandas as pd

_SAID = tuple(what for what in UNCERTAIN if what != "drop")
"""What -1 may say of a finding here, where every row has a prediction."""

_WITHOUT_IMAGES = "Scored by a labels file alone: the images were not at hand, and nothing here was checked on them."


@dataclass(frozen=True)
class Truth:
    """The rows of a labels file, each image's name being its `path`, and their `labels` as they are written, sorted;
    `where` names the file in a sentence, `name` is that of the dataset that it makes."""

    where: str
    name: str
    rows: Sequence[PictureRow]
    labels: tuple[str, ...]

    def divided(self, ids: Mapping[str, Sequence[str] | None]) -> dict[str, list[PictureRow]]:
        """Give the rows of each split: as the file divides them, or by the names that predictions of val and test
        have, `ids`. DataError for rows that are in neither, and where nothing says which rows are of val."""
        if any(row.split for row in self.rows):
            splits = {split: [row for row in self.rows if row.split == split] for split in SPLITS}
            if empty := [split for split in ids if not splits[split]]:
                raise DataError(
                    f"{self.where} has no row of {' and '.join(empty)} in its column of splits.",
                    "Name the split of each row train, val or test.",
                )
            return {split: rows for split, rows in splits.items() if rows}
        if len(ids) == 1:
            return {split: list(self.rows) for split in ids}
        if any(names is None for names in ids.values()):
            raise DataError(
                f"{self.where} does not say which of its rows are of val.",
                "Add a column split (train, val, test), or name the images in the predictions as the file does.",
            )
        of = {name: split for split, names in ids.items() for name in names or ()}
        if absent := [row.path for row in self.rows if row.path not in of]:
            raise DataError(
                f"{self.where} has {counted(len(absent), 'row')} without a prediction: {named(absent)}.",
                "Predict these images, take their rows out, or add a column split.",
            )
        return {split: [row for row in self.rows if of[row.path] == split] for split in SPLITS if split in ids}

    def task(self, named_labels: Collection[str] | None, kind: str | None) -> Task:
        """Say what the labels mean: `kind` where it is given, else what they show. `named_labels` are those that the
        predictions name; DataError for predictions without names, where the order of their columns is not plain."""
        labels = self.labels
        if named_labels is not None and set(labels) < set(named_labels):
            # A class that no image of the file has.
            labels = tuple(sorted_labels(named_labels))
        proposal = propose_task(self.rows, labels, kind, ())
        if named_labels is None and proposal.values != labels:
            raise DataError(
                f"The order of the labels {label_list(labels)} in the predictions is not known.",
                "Give predictions with names: a CSV file with a header, or a data frame.",
            )
        options = {own.key: own.value for own in TASKS[proposal.task].proposed_options(proposal.values) if own.sure}
        return TASKS[proposal.task].described(proposal.values, options)

    def dataset(self, task: Task, splits: Mapping[str, Sequence[PictureRow]]) -> ViewedDataset:
        """Make a dataset without images, of 0 px. DataError for a label that the task does not have, and for a
        patient in two splits."""
        info = DatasetInfo(
            name=slug(self.name),
            title=self.name,
            task=task,
            channels=0,
            samples={split: len(rows) for split, rows in splits.items()},
            licence="",
            source="",
            position_matters=True,
            cautions=(_WITHOUT_IMAGES,),
        )
        known = {split: known_of(rows) for split, rows in splits.items()}
        made = {
            split: Split(
                np.empty((len(rows), 0, 0, 1), np.uint8),
                label_numbers(rows, task.labels, info),
                known[split].pop("patients", None),
                known[split],
                known_labels(rows, task.labels, task),
            )
            for split, rows in splits.items()
        }
        dataset = Dataset(info, 0, made, _hash_of(task, splits))
        require_separate_patients(dataset)
        return as_viewed(dataset)


def read_truth(
    source: "str | Path | pd.DataFrame",
    kind: str | None = None,
    *,
    uncertain: str | None = None,
    blank: str | None = None,
) -> Truth:
    """Read a labels file, CSV or Parquet with a header, or a data frame.

    It has a column that names the images, called path, file, image or id, or else the first; a column label with one
    label of each image, or columns of 0 and 1 for findings; and where they are known, columns for the patient, the
    split (train, val, test) and METADATA. `kind` is a task; `uncertain` and `blank` say what -1 and an empty cell say
    of a finding, as in `manifest.TableRules`. DataError says what is wrong.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        table, where = read_table(path.parent, path.name), str(path)
    else:
        table, path, where = columns_of_frame(source), Path("labels"), "The table of labels"
        if not table or not next(iter(table.values())):
            raise DataError(f"{where} has no rows.", "Give a row for each image.")
    counted_rows = [name for name in table if naming.plain(name) == "index"]
    files = [*columns_called(table, "path"), *counted_rows, *table][0]
    if is_label_column(files):
        raise DataError(
            f"{where} has no column that names the images; it has {named(table)}.", "Put one before the labels."
        )
    for name, value, known in (("--uncertain", uncertain, _SAID), ("--blank", blank, _SAID[1:])):
        require_known(value, known, name)
    several = kind in TASKS and not TASKS[kind].exclusive
    asked = AskedLayout(several=several, uncertain=uncertain, blank=blank)
    try:
        manifest = Manifest.of_table(table, path, files, asked)
        rows = manifest.rows_of(table, path)
    except UndecidedError as error:
        # Every row has a prediction, so none is left out.
        question = error.question
        kept = [each for each in question.readings if not each.option.endswith(("drop", "--drop-unlabelled"))]
        if not kept:
            raise DataError(
                question.sentence, "Correct them, or take these rows and their predictions out."
            ) from error
        raise ask(question.about, question.sentence, *((each.words, each.option) for each in kept)) from error
    answers = {naming.yes_or_no(value) for row in rows for value in row.values}
    if manifest.label is not None and not is_label_column(manifest.label) and None not in answers:
        # The one column of 0 and 1 has the name of a finding.
        named_so = {True: manifest.label, False: f"no {manifest.label}"}
        rows = [
            replace(row, values=tuple(named_so[naming.yes_or_no(value) is True] for value in row.values))
            for row in rows
        ]
    require_sound(rows, path)
    labels = manifest.labels or tuple(sorted_labels(set(chain.from_iterable(row.values for row in rows))))
    if len(labels) > MOST_LABELS:
        raise DataError(f"{where} has {len(labels):,} different labels, more than {MOST_LABELS:,}.", "Check it.")
    for text in (*labels, *(value for row in rows for value in row.metadata.values())):
        check_text(text, "labels")
    return Truth(where, path.stem, rows, labels)


def _hash_of(task: Task, splits: Mapping[str, Sequence[PictureRow]]) -> str:
    rows: dict[str, Any] = {
        split: [
            [
                row.path,
                row.values,
                row.patient,
                *(row.metadata.get(kind) for kind in METADATA),
                *([row.unknown] if row.unknown else []),
            ]
            for row in rows
        ]
        for split, rows in sorted(splits.items())
    }
    return hashlib.md5(json.dumps([task_to_dict(task), rows]).encode(), usedforsecurity=False).hexdigest()
