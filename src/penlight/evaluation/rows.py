"""Scores: a metric's value, what it is of, how sure it is, and what is to be said about it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from penlight.records import Count, Name, Number, Record, Text, json_key, nan_of_null


class Score(Record):
    """One metric of one model on one split.

    `name` is the field's word for it ("auc", "acc", "qwk", "recall", ...); `label` is the class or finding it is of,
    None for the whole. `value` is that of one run, the mean over the runs of several seeds, or that of the
    predictions of all folds together; `low` and `high` are its 95 % interval over images. `n` counts the images it
    rests on (for a label, the images that truly have it). An undefined value is NaN and `note` says why; else `note`
    may be empty. `sd` is the standard deviation (n-1) of the values of single seeds or folds: NaN of one seed, None
    where the score is of one run.
    """

    name: Name
    label: Name | None
    # Penlight 0.1.0 wrote the mean over seeds as "mean".
    value: Number = json_key("value", formerly="mean")
    low: Number
    high: Number
    n: Count
    note: Text = ""
    sd: Annotated[Number | None, BeforeValidator(nan_of_null)] = json_key(default=None, if_known=True)

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval; the value itself where it has none, as the AUC of one answer for all."""
        known = math.isfinite(self.low) and math.isfinite(self.high)
        return (self.low, self.high) if known else (self.value, self.value)


Rows = Annotated[Sequence[Score], Field(max_length=200_000)]
RowsByModel = Annotated[Mapping[Name, Rows], Field(max_length=100)]


def class_of(name: str, rows: Sequence[Score]) -> str:
    """Name the class that a row of a two-class table is of, such as that of "sensitivity"; empty for rows of both
    classes, and in tables of other tasks."""
    of_whole = {row.name for row in rows if row.label is None}
    labels = [row.label for row in rows if row.name == "recall" and row.label is not None]
    if len(labels) != 2 or "sensitivity" not in of_whole:
        return ""
    official = dict.fromkeys(("sensitivity", "specificity"), labels[1])
    return (official | dict.fromkeys(("sensitivity_finding", "specificity_finding"), labels[0])).get(name, "")


def row_title(name: str, rows: Sequence[Score]) -> str:
    """Give the name of a row of the whole as a table has it, with the class that it is of: "sensitivity (benign)"."""
    of = class_of(name, rows)
    return f"{name.removesuffix('_finding')} ({of})" if of else name


def find_row(rows: Iterable[Score], name: str, label: str | None = None) -> Score | None:
    """Find the row of a name and label; None if there is none."""
    return next((row for row in rows if row.name == name and row.label == label), None)
