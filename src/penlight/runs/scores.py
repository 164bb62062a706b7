"""Scores of a run, of several seeds and of several folds, as commands print them and as JSON has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penlight.evaluation import Score
from penlight.evaluation.checks import Check
from penlight.evaluation.duplicates import DuplicateScores
from penlight.evaluation.operating import OperatingPoint
from penlight.evaluation.standing import Ahead
from penlight.evaluation.subgroups import Subgroup

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scores:
    """Scores of one run: rows of the split, and those of the baselines on the same images.

    `points` are the operating points of its yes-or-no questions; `before` are metrics of the probabilities before
    calibration, empty where nothing was calibrated; `unavailable` says what could not be found, and why; `checks` are
    those that reported a problem, the serious ones first; `subgroups` are empty where the dataset names none; `ahead`
    is how far the headline score is above that of each baseline; `duplicates` are scores of test with and without the
    images that have a duplicate in another split, None where none has.
    """

    split: str
    metrics: Sequence[Score]
    baselines: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    points: Sequence[OperatingPoint] = ()
    before: Mapping[str, float] = field(default_factory=dict)
    unavailable: Sequence[str] = ()
    checks: Sequence[Check] = ()
    subgroups: Sequence[Subgroup] = ()
    ahead: Mapping[str, Ahead] = field(default_factory=dict)
    duplicates: DuplicateScores | None = None

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        return _frame(self.metrics, self.baselines)

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        return {
            **_rows_to_dict(self),
            "ahead": {name: own.to_dict() for name, own in self.ahead.items()},
            "operating_points": [point.to_dict() for point in self.points],
            "before_calibration": dict(self.before),
            "unavailable": list(self.unavailable),
            **({} if self.duplicates is None else {"duplicates": self.duplicates.to_dict()}),
        }


@dataclass(frozen=True)
class SeedsScores:
    """Scores over the runs of several seeds, those of the baselines on the same images, the checks that reported a
    problem in any seed or over all of them, and subgroups, whose scores are means over seeds. In a folder that is not
    `sealed`, as Penlight 0.1.0 wrote them, runs may have been exchanged."""

    split: str
    seeds: Sequence[int]
    metrics: Sequence[Score]
    baselines: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    subgroups: Sequence[Subgroup] = ()
    sealed: bool = True

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        return _frame(self.metrics, self.baselines)

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        return {"seeds": list(self.seeds), **_rows_to_dict(self)}


@dataclass(frozen=True)
class FoldsScores:
    """Scores of a cross-validation, of the predictions of all folds together; `by_fold` is the headline row of each
    fold's own images, `folds` numbers them from 1. `unanswered` says which images have no answer, and why, and
    `unavailable` what else could not be found; `sealed` as for seeds."""

    split: str
    folds: Sequence[int]
    metrics: Sequence[Score]
    by_fold: Sequence[Score]
    baselines: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    subgroups: Sequence[Subgroup] = ()
    unavailable: Sequence[str] = ()
    unanswered: Sequence[str] = ()
    sealed: bool = True
    ahead: Mapping[str, Ahead] = field(default_factory=dict)

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        return _frame(self.metrics, self.baselines)

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        by_fold = [{"fold": number, **row.to_dict()} for number, row in zip(self.folds, self.by_fold, strict=True)]
        return {
            "folds": list(self.folds),
            **_rows_to_dict(self),
            "ahead": {name: own.to_dict() for name, own in self.ahead.items()},
            "by_fold": by_fold,
            "unavailable": [*self.unanswered, *self.unavailable],
        }


def _rows_to_dict(scores: Scores | SeedsScores | FoldsScores) -> dict[str, Any]:
    return {
        "split": scores.split,
        "metrics": [row.to_dict() for row in scores.metrics],
        "baselines": {name: [row.to_dict() for row in rows] for name, rows in scores.baselines.items()},
        "checks": [check.to_dict() for check in scores.checks],
        "subgroups": [group.to_dict() for group in scores.subgroups],
    }


def _frame(rows: Sequence[Score], baselines: Mapping[str, Sequence[Score]]) -> "pd.DataFrame":
    import pandas as pd

    whole = [row.to_dict() for row in rows if row.label is None]
    table = pd.DataFrame(whole).set_index("name").drop(columns=["label", "note"])
    for name, others in baselines.items():
        table[name] = pd.Series({row.name: row.value for row in others if row.label is None})
    return table
