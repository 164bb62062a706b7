"""What a study's report is made from: plain values and arrays, gathered by the caller from the study's runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pandas as pd

from penlight.evaluation.comparison import Difference
from penlight.evaluation.rows import Score, find_row
from penlight.records import json_key
from penlight.reports.content import RunContent
from penlight.runs.studies import StudyEntry, StudyTableRecord
from penlight.tasks import Task

MAJORITY, LINEAR = "majority", "linear"
"""Backbones of the baselines that findings speak of by name."""


class StudyRowResult(StudyEntry):
    """A row of a study with what its runs gave, S seeds.

    `rows` are means over seeds on test; `headline_by_seed` (S,); `confusion` are counts summed over seeds, (C, C) of
    true and answered class, or (C, 4) of each finding as `LabelConfusion` has them; `histories` by seed, empty for
    models without epochs; `changes` is what its recipe sets, dotted key -> (default, value); `address` is where its
    runs' report is, seen from the study's; `compare_with` names the entry that it is a variant of; `checks` are those
    that reported a problem in any of its runs or over its seeds; `fell_back` says that a baseline was kept in the
    place of its recipe's model with some seed; `baseline` is the headline score of the linear baseline on images of
    this size.
    """

    backbone: str = json_key(hidden=True, kw_only=True)
    confusion: Any = json_key(hidden=True, kw_only=True)
    histories: tuple[pd.DataFrame, ...] = json_key(hidden=True, kw_only=True)
    changes: Mapping[str, tuple[Any, Any]] = json_key(hidden=True, kw_only=True)
    address: str = json_key(hidden=True, kw_only=True)
    compare_with: str | None = json_key(hidden=True, kw_only=True, default=None)
    fell_back: bool = json_key(hidden=True, kw_only=True, default=False)
    baseline: float = json_key(hidden=True, kw_only=True, default=math.nan)

    def row(self, name: str) -> Score:
        """Give the row of a metric of the whole; NaN with a note if it was not scored."""
        found = find_row(self.rows, name)
        return found or Score(name, None, math.nan, math.nan, math.nan, 0, "not scored", math.nan)


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
    def sizes(self) -> list[StudyRowResult]:
        """The entries of the recipe that the study has at several sizes, the smallest first; none where that is no
        one recipe."""
        return by_size(self.entries)

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

    def record(self, findings: Sequence[str] = ()) -> StudyTableRecord:
        """Give what study.json holds of the table, with what is found in it, in sentences."""
        on_val = None if self.on_val is None else {own.id: self.on_val.score(own) for own in self.on_val.entries}
        best = self.best.id if self.best else None
        return StudyTableRecord(
            self.view, self.headline, self.images, best, self.entries, on_val, self.differences, findings
        )


@dataclass(frozen=True)
class StudyContent:
    """All that a study's report shows. `tables` has that of the study's own view first; `example` is any run of it;
    `left_over` names run folders that are not of the study any more; `command` repeats it; `notes` say what it leaves
    out."""

    name: str
    title: str
    question: str
    tables: tuple[StudyTable, ...]
    example: RunContent
    left_over: tuple[str, ...]
    command: str
    notes: tuple[str, ...] = ()

    @property
    def n_runs(self) -> int:
        """Count the runs."""
        return sum(len(entry.seeds) for table in self.tables for entry in table.entries)


def best_of(entries: Sequence[StudyRowResult], headline: str) -> StudyRowResult | None:
    """Choose the entry with the highest mean of a metric, the first of equals; None where all are undefined."""
    known = [entry for entry in entries if math.isfinite(entry.row(headline).value)]
    return max(known, key=lambda entry: entry.row(headline).value, default=None)


def by_size(entries: Sequence[StudyRowResult]) -> list[StudyRowResult]:
    """List the entries of the recipe that stands at several sizes, the smallest first; none where several do."""
    sizes: dict[str, dict[int, StudyRowResult]] = {}
    for entry in entries:
        if entry.size is not None:
            sizes.setdefault(entry.recipe, {})[entry.size] = entry
    found = [own for own in sizes.values() if len(own) > 1]
    return [own for _, own in sorted(found[0].items())] if len(found) == 1 else []


def linear_of(entries: Sequence[StudyRowResult]) -> StudyRowResult | None:
    """Find the linear baseline: the row whose recipe it is, before one that fell back on it."""
    found = [entry for entry in entries if entry.backbone == LINEAR]
    return min(found, key=lambda entry: entry.fell_back, default=None)


def pairs(entries: Sequence[StudyRowResult], headline: str) -> list[tuple[str, str]]:
    """List what is compared: each with the best and with the linear baseline, the best custom network with the best
    pre-trained one, each variant with what it is a variant of, and each size of a recipe with the others. The
    majority answer is compared with nothing."""
    shown = [entry for entry in entries if entry.backbone != MAJORITY]
    best = best_of(shown, headline)
    linear = linear_of(shown)
    custom, pretrained = (
        best_of([e for e in shown if e.kind == kind], headline) for kind in ("custom", "pre-trained")
    )
    found = [(entry.id, one.id) for one in (best, linear) if one for entry in shown]
    found += [(custom.id, pretrained.id)] if custom and pretrained else []
    found += [(entry.id, entry.compare_with) for entry in shown if entry.compare_with]
    found += [(large.id, small.id) for small, large in combinations(by_size(shown), 2)]
    seen: dict[frozenset[str], tuple[str, str]] = {}
    for row, against in found:
        if row != against:
            seen.setdefault(frozenset((row, against)), (row, against))
    return list(seen.values())


def turned(found: Difference) -> Difference:
    """Give the same difference seen from the other side."""
    return replace(found, row=found.against, against=found.row, value=-found.value, low=-found.high, high=-found.low)
