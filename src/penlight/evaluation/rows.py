"""Scores: a metric's value, what it is of, how sure it is, and what is to be said about it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """One metric of one model on one split.

    `name` is the field's word for it ("auc", "acc", "qwk", "recall", ...); `label` is the class or finding it is of,
    None for the whole. `value` is that of one run, the mean over the runs of several seeds, or that of the
    predictions of all folds together; `low` and `high` are its 95 % interval over images. `n` counts the images it
    rests on (for a label, the images that truly have it). An undefined value is NaN and `note` says why; else `note`
    may be empty. `sd` is the standard deviation (n-1) of the values of single seeds or folds: NaN of one seed, None
    where the score is of one run.
    """

    name: str
    label: str | None
    value: float
    low: float
    high: float
    n: int
    note: str = ""
    sd: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval; the value itself where it has none, as the AUC of one answer for all."""
        known = math.isfinite(self.low) and math.isfinite(self.high)
        return (self.low, self.high) if known else (self.value, self.value)

    def to_dict(self) -> dict[str, Any]:
        """Give the score for JSON: NaN becomes null; a run's has no `sd`."""
        values: dict[str, Any] = to_json(asdict(self))
        return {key: value for key, value in values.items() if key != "sd" or self.sd is not None}


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


def to_json(value: Any) -> Any:
    """Give a value for JSON, and what it holds: a number that is not finite becomes null, a tuple a list."""
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [to_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def find_row(rows: Iterable[Score], name: str, label: str | None = None) -> Score | None:
    """Find the row of a name and label; None if there is none."""
    return next((row for row in rows if row.name == name and row.label == label), None)


def row_from_dict(values: dict[str, Any]) -> Score:
    """Read what `Score.to_dict` gave."""
    names = ("value", "low", "high", *(["sd"] if "sd" in values else []))
    numbers = {key: math.nan if values[key] is None else float(values[key]) for key in names}
    return Score(values["name"], values["label"], **numbers, n=int(values["n"]), note=values["note"])
