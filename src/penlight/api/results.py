"""What the API gives: results whose `to_dict()` is the JSON of the command, and who watches the way there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.data.audit import Audit, Problem
from penlight.data.summary import DataDescription
from penlight.evaluation import MetricRow, SeedsRow
from penlight.evaluation.checks import Check
from penlight.evaluation.operating import OperatingPoint
from penlight.recipes.space import Trial
from penlight.training import Epoch

if TYPE_CHECKING:
    from penlight.study import Place


class Watcher:
    """Is told how a training goes on; a command draws it, a notebook may ignore it."""

    def step(self, what: str) -> None:
        """Say what is being done now."""

    def epoch(self, row: Epoch, planned: int) -> None:
        """Say that an epoch is done, of `planned`."""

    def run(self, place: "Place") -> None:
        """Say which run of a study begins."""

    def trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """Say that `done` trials of a tuning are finished; `best` is NaN before the first is complete."""


@dataclass(frozen=True)
class Scores:
    """Scores of one run: rows of the split, and those of the baselines on the same images.

    `points` are the operating points of its yes-or-no questions; `before` are metrics of the probabilities before
    calibration, empty where nothing was calibrated; `unavailable` says what could not be found, and why; `checks` are
    those that spoke up, the serious ones first.
    """

    split: str
    metrics: Sequence[MetricRow]
    baselines: Mapping[str, Sequence[MetricRow]] = field(default_factory=dict)
    points: Sequence[OperatingPoint] = ()
    before: Mapping[str, float] = field(default_factory=dict)
    unavailable: Sequence[str] = ()
    checks: Sequence[Check] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        return {
            **_rows_to_dict(self),
            "operating_points": [point.to_dict() for point in self.points],
            "before_calibration": dict(self.before),
            "unavailable": list(self.unavailable),
        }


@dataclass(frozen=True)
class SeedsScores:
    """Scores over the runs of several seeds, those of the baselines on the same images, and the checks that spoke up
    in any seed or over all of them."""

    split: str
    seeds: Sequence[int]
    metrics: Sequence[SeedsRow]
    baselines: Mapping[str, Sequence[MetricRow]] = field(default_factory=dict)
    checks: Sequence[Check] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the scores as JSON has them."""
        return {"seeds": list(self.seeds), **_rows_to_dict(self)}


def _rows_to_dict(scores: Scores | SeedsScores) -> dict[str, Any]:
    return {
        "split": scores.split,
        "metrics": [row.to_dict() for row in scores.metrics],
        "baselines": {name: [row.to_dict() for row in rows] for name, rows in scores.baselines.items()},
        "checks": [check.to_dict() for check in scores.checks],
    }


@dataclass(frozen=True)
class Trained:
    """What `train` made: the folder, its report, the scores on test."""

    folder: Path
    report: Path
    scores: Scores | SeedsScores

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"folder": str(self.folder), "report": str(self.report), **self.scores.to_dict()}


@dataclass(frozen=True)
class Studied:
    """What `study` made: the folder, its report, and what its study.json holds."""

    folder: Path
    report: Path
    record: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"folder": str(self.folder), "report": str(self.report), **self.record}


@dataclass(frozen=True)
class Tuned:
    """What `tune` found: the folder, the best recipe's file, the page, and the trials.

    `metric` on `judged_on` ("3 folds of train") is what trials are worth; `best` and `start` (the recipe as it was;
    None where its values lie outside the space) are numbers of trials; `importance` is empty with too few trials.
    """

    folder: Path
    recipe: Path
    report: Path
    metric: str
    judged_on: str
    trials: Sequence[Trial]
    best: int
    start: int | None
    importance: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {
            "folder": str(self.folder),
            "recipe": str(self.recipe),
            "report": str(self.report),
            "metric": self.metric,
            "judged_on": self.judged_on,
            "best": self.best,
            "start": self.start,
            "importance": dict(self.importance),
            "trials": [trial.to_dict() for trial in self.trials],
        }


@dataclass(frozen=True)
class Audited:
    """What `audit` found in a dataset, and the page that shows it."""

    dataset: str
    audit: Audit
    page: Path

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems, the serious ones first."""
        return self.audit.problems

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"dataset": self.dataset, **self.audit.to_dict(), "page": str(self.page)}


@dataclass(frozen=True)
class Shown:
    """What `show` made: the description in numbers, and the files written."""

    description: DataDescription
    files: Sequence[Path]

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {**self.description.to_dict(), "files": [str(file) for file in self.files]}
