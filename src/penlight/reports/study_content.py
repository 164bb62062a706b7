"""What a study's report is made from: plain values and arrays, gathered by the caller from the study's runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from penlight.evaluation.checks import Check
from penlight.evaluation.comparison import Difference
from penlight.evaluation.rows import Score, find_row, to_json
from penlight.reports.content import RunContent
from penlight.tasks import Task

Kind = Literal["baseline", "custom", "pre-trained", "features"]
"""A baseline; a network with random weights, or with those of other images, to begin with; or a model on features of
the images, or an ensemble."""

MAJORITY, LINEAR = "majority", "linear"
"""Backbones of the baselines that findings speak of by name."""


@dataclass(frozen=True)
class Cost:
    """What a recipe costs: `parameters` and `model_bytes` of the saved network, None where there is none; by seed,
    `fit` in seconds and `predict` in milliseconds per test image on the machine that trained it, NaN where it was
    not measured."""

    parameters: int | None
    model_bytes: int | None
    fit: tuple[float, ...]
    predict: tuple[float, ...]

    @property
    def fit_mean(self) -> float:
        """Mean training time in seconds; NaN if it was not measured."""
        return _mean(self.fit)

    @property
    def predict_mean(self) -> float:
        """Mean milliseconds per image; NaN if it was not measured."""
        return _mean(self.predict)

    def to_dict(self) -> dict[str, Any]:
        """Give the cost for JSON, with units in the names: NaN becomes null."""
        return {
            "parameters": self.parameters,
            "model_bytes": self.model_bytes,
            "fit_seconds": [to_json(value) for value in self.fit],
            "predict_ms_per_image": [to_json(value) for value in self.predict],
        }


@dataclass(frozen=True)
class StudyRowResult:
    """A row of a study with what its runs gave, S seeds.

    `rows` are means over seeds on test; `headline_by_seed` (S,); `confusion` are counts summed over seeds, (C, C) of
    true and answered class, or (C, 4) of each finding as `LabelConfusion` has them; `histories` by seed, empty for
    models without epochs; `changes` is what its recipe sets, dotted key -> (default, value); `address` is where its
    runs' report is, seen from the study's; `compare_with` names the entry that it is a variant of; `checks` are those
    that spoke up in any of its runs or over its seeds; `fell_back` says that a baseline was kept in the place of its
    recipe's model with some seed.
    """

    id: str
    title: str
    kind: Kind
    backbone: str
    recipe: str
    recipe_hash: str
    seeds: tuple[int, ...]
    rows: Sequence[Score]
    headline_by_seed: tuple[float, ...]
    cost: Cost
    confusion: NDArray[np.int64]
    histories: tuple[pd.DataFrame, ...]
    changes: Mapping[str, tuple[Any, Any]]
    address: str
    compare_with: str | None = None
    checks: Sequence[Check] = ()
    fell_back: bool = False

    def row(self, name: str) -> Score:
        """Give the row of a metric of the whole; NaN with a note if it was not scored."""
        found = find_row(self.rows, name)
        return found or Score(name, None, math.nan, math.nan, math.nan, 0, "not scored", math.nan)

    def to_dict(self) -> dict[str, Any]:
        """Give the entry for JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "recipe": self.recipe,
            "recipe_hash": self.recipe_hash,
            "seeds": list(self.seeds),
            "metrics": [row.to_dict() for row in self.rows],
            "headline_by_seed": [to_json(value) for value in self.headline_by_seed],
            "cost": self.cost.to_dict(),
            "checks": [check.to_dict() for check in self.checks],
        }


@dataclass(frozen=True)
class StudyTable:
    """The entries of one view, which are compared with each other and with no others. `images` counts by split.

    `on_val` is the same with the headline scores and differences on val, by which is recommended, so that the scores
    on test are of a choice that they took no part in; None where those are not known.
    """

    view: str
    view_text: str
    task: Task
    images: Mapping[str, int]
    entries: tuple[StudyRowResult, ...]
    differences: tuple[Difference, ...]
    on_val: "StudyTable | None" = None

    @property
    def headline(self) -> str:
        """Name of the metric that entries are compared by; higher is better."""
        return self.task.headline

    def score(self, entry: StudyRowResult) -> float:
        """Give the headline score of an entry, the mean over seeds."""
        return entry.row(self.headline).value

    @property
    def best(self) -> StudyRowResult | None:
        """The entry with the highest headline score; None where none is defined."""
        return best_of(self.entries, self.headline)

    @property
    def linear(self) -> StudyRowResult | None:
        """The linear baseline, if the study has it."""
        return linear_of(self.entries)

    @property
    def networks(self) -> list[StudyRowResult]:
        """The entries that are no baselines."""
        return [entry for entry in self.entries if entry.kind != "baseline"]

    def entry(self, name: str) -> StudyRowResult:
        """Give the entry of an id."""
        return next(entry for entry in self.entries if entry.id == name)

    def difference(self, row: StudyRowResult | None, against: StudyRowResult | None) -> Difference | None:
        """Find a difference, turned round if it was computed the other way; None if it was not."""
        if row is None or against is None:
            return None
        for found in self.differences:
            if (found.row, found.against) == (row.id, against.id):
                return found
            if (found.row, found.against) == (against.id, row.id):
                return turned(found)
        return None

    def to_dict(self) -> dict[str, Any]:
        """Give the table for JSON; findings are added by the caller."""
        return {
            "view": self.view,
            "headline": self.headline,
            "images": dict(self.images),
            "best": self.best.id if self.best else None,
            "on_val": None
            if self.on_val is None
            else {entry.id: to_json(self.on_val.score(entry)) for entry in self.on_val.entries},
            "rows": [entry.to_dict() for entry in self.entries],
            "differences": [
                {**found.to_dict(), "more_than_chance": found.more_than_chance} for found in self.differences
            ],
        }


@dataclass(frozen=True)
class StudyContent:
    """All that a study's report shows. `tables` has that of the study's own view first; `example` is any run of it;
    `left_over` names run folders that are not of the study any more; `command` repeats it."""

    name: str
    title: str
    question: str
    tables: tuple[StudyTable, ...]
    example: RunContent
    left_over: tuple[str, ...]
    command: str

    @property
    def n_runs(self) -> int:
        """Count the runs."""
        return sum(len(entry.seeds) for table in self.tables for entry in table.entries)


def best_of(entries: Sequence[StudyRowResult], headline: str) -> StudyRowResult | None:
    """Choose the entry with the highest mean of a metric, the first of equals; None where all are undefined."""
    known = [entry for entry in entries if math.isfinite(entry.row(headline).value)]
    return max(known, key=lambda entry: entry.row(headline).value, default=None)


def linear_of(entries: Sequence[StudyRowResult]) -> StudyRowResult | None:
    """Find the linear baseline: the row whose recipe it is, before one that fell back on it."""
    found = [entry for entry in entries if entry.backbone == LINEAR]
    return min(found, key=lambda entry: entry.fell_back, default=None)


def pairs(entries: Sequence[StudyRowResult], headline: str) -> list[tuple[str, str]]:
    """List what is compared: each with the best and with the linear baseline, the best custom network with the best
    pre-trained one, and each variant with what it is a variant of. The majority answer is compared with nothing."""
    shown = [entry for entry in entries if entry.backbone != MAJORITY]
    best = best_of(shown, headline)
    linear = linear_of(shown)
    custom, pretrained = (
        best_of([e for e in shown if e.kind == kind], headline) for kind in ("custom", "pre-trained")
    )
    found = [(entry.id, one.id) for one in (best, linear) if one for entry in shown]
    found += [(custom.id, pretrained.id)] if custom and pretrained else []
    found += [(entry.id, entry.compare_with) for entry in shown if entry.compare_with]
    seen: dict[frozenset[str], tuple[str, str]] = {}
    for row, against in found:
        if row != against:
            seen.setdefault(frozenset((row, against)), (row, against))
    return list(seen.values())


def turned(found: Difference) -> Difference:
    """Give the same difference seen from the other side."""
    ends = {"value": -found.value, "low": -found.high, "high": -found.low}
    return replace(found, row=found.against, against=found.row, **ends)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan
