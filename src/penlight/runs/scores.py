"""Scores of a run, of several seeds and of several folds: what commands print, metrics.json and summary.json hold."""

from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from penlight.evaluation.checks.check import Checks
from penlight.evaluation.duplicates import DuplicateScores
from penlight.evaluation.operating import OperatingPoints
from penlight.evaluation.rows import Rows, RowsByModel, Score
from penlight.evaluation.standing import AheadOf
from penlight.evaluation.subgroups import Subgroups
from penlight.numbers import decimal_text
from penlight.records import Count, Name, Numbers, Record, Seed, Sentences, json_key

if TYPE_CHECKING:
    import pandas as pd

_FIRST = 5
"""How many scores a line names."""


class ScoreTable:
    """What scores of one run, of several seeds and of folds have in common: a table, and a line."""

    split: Name
    metrics: Rows
    baselines: RowsByModel

    def frame(self) -> "pd.DataFrame":
        """Give the scores of the whole, a line each, with those of the baselines beside them."""
        import pandas as pd

        whole = [row.to_dict() for row in self.metrics if row.label is None]
        table = pd.DataFrame(whole).set_index("name").drop(columns=["label", "note"])
        for name, others in self.baselines.items():
            table[name] = pd.Series({row.name: row.value for row in others if row.label is None})
        return table

    def __repr__(self) -> str:
        """Give the first scores of the whole with their intervals."""
        whole = [row for row in self.metrics if row.label is None]
        said = [f"{row.name} {decimal_text(row.value)} ({decimal_text(row.low)} to {decimal_text(row.high)})"
                for row in whole[:_FIRST]]  # fmt: skip
        return f"{type(self).__name__}({self.split}: {', '.join(said)})"


class Scores(ScoreTable, Record):
    """Scores of one run: rows of the split, and those of the baselines on the same images.

    `points` are the operating points of its yes-or-no questions; `before` are metrics of the probabilities before
    calibration, empty where nothing was calibrated; `unavailable` says what could not be found, and why; `checks` are
    those that reported a problem, the serious ones first; `subgroups` are empty where the dataset names none; `ahead`
    is how far the headline score is above that of each baseline; `duplicates` are scores of test with and without the
    images that have a duplicate in another split, None where none has.
    """

    split: Name
    metrics: Rows
    baselines: RowsByModel = field(default_factory=dict)
    points: OperatingPoints = json_key("operating_points", default=())
    before: Numbers = json_key("before_calibration", default_factory=dict)
    unavailable: Sentences = ()
    checks: Checks = ()
    subgroups: Subgroups = ()
    ahead: AheadOf = field(default_factory=dict)
    duplicates: DuplicateScores | None = json_key(default=None, if_known=True)


class SeedsScores(ScoreTable, Record):
    """Scores over the runs of several seeds, those of the baselines on the same images, the checks that reported a
    problem in any seed or over all of them, and subgroups, whose scores are means over seeds. In a folder that is not
    `sealed`, as Penlight 0.1.0 wrote them, runs may have been exchanged. `final` are the scores of the model that the
    seeds became, None where they became none."""

    split: Name
    seeds: Annotated[Sequence[Seed], Field(min_length=1, max_length=10_000)]
    metrics: Rows
    baselines: RowsByModel = field(default_factory=dict)
    checks: Checks = ()
    subgroups: Subgroups = ()
    sealed: bool = True
    final: Scores | None = json_key(default=None, if_known=True)


class FoldScore(Score):
    """The headline score of one fold's own images."""

    fold: Count = field(kw_only=True)


class FoldsScores(ScoreTable, Record):
    """Scores of a cross-validation, of the predictions of all folds together; `by_fold` is the headline row of each
    fold's own images, `folds` numbers them from 1. Where the images were divided anew for `repeats`, values and their
    limits are means over these, and checks, subgroups and `ahead` are of the first. `unanswered` says which images
    have no answer, and why, and `unavailable` those and what else could not be found; `sealed` as for seeds. `final`
    are the scores on test of the model that the folds became, None where they became none and test was not read."""

    split: Name
    folds: Annotated[Sequence[Count], Field(min_length=1, max_length=1_000_000)]
    metrics: Rows
    by_fold: Annotated[Sequence[FoldScore], Field(max_length=1_000_000)] = ()
    baselines: RowsByModel = field(default_factory=dict)
    checks: Checks = ()
    subgroups: Subgroups = ()
    unavailable: Sentences = ()
    unanswered: Sentences = json_key(default=(), hidden=True)
    sealed: bool = True
    ahead: AheadOf = field(default_factory=dict)
    repeats: Count | None = json_key(default=None, if_known=True)
    final: Scores | None = json_key(default=None, if_known=True)

    @property
    def divided(self) -> str:
        """Say into how many folds, and how often where that is more than once."""
        often = "" if self.repeats is None else f", {self.repeats} times"
        return f"{len(self.folds) // (self.repeats or 1)} folds{often}"


class SeedsSummary(SeedsScores):
    """summary.json of several seeds."""

    # What is sealed cannot say so itself, and the run of the final model has its own scores.
    sealed: bool = json_key(default=True, hidden=True)
    final: Scores | None = json_key(default=None, hidden=True)
    recipe_hash: Name = field(kw_only=True)
    schema: Count = field(default=1, kw_only=True)


class FoldsSummary(FoldsScores):
    """summary.json of a cross-validation."""

    # What is sealed cannot say so itself, and the run of the final model has its own scores.
    sealed: bool = json_key(default=True, hidden=True)
    final: Scores | None = json_key(default=None, hidden=True)
    recipe_hash: Name = field(kw_only=True)
    schema: Count = field(default=1, kw_only=True)
