"""study.json: what a study asked, and what came out."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from penlight.evaluation.checks.check import Checks
from penlight.evaluation.comparison import Difference
from penlight.evaluation.rows import Rows
from penlight.records import Count, Counts, Name, Number, Numbers, Record, Seed, Sentences, Side, Text, json_key

Kind = Literal["baseline", "custom", "pre-trained", "features"]
"""A baseline; a network with random weights, or with those of other images, to begin with; or a model on features of
the images, or an ensemble."""

NumbersBySeed = Annotated[tuple[Number, ...], Field(max_length=10_000)]


class Cost(Record):
    """What a recipe costs: `parameters` and `model_bytes` of the saved network, None where there is none; by seed,
    `fit` in seconds and `predict` in milliseconds per test image on the machine that trained it, NaN where it was
    not measured."""

    parameters: Count | None
    model_bytes: Count | None
    fit: NumbersBySeed = json_key("fit_seconds")
    predict: NumbersBySeed = json_key("predict_ms_per_image")

    @property
    def fit_mean(self) -> float:
        """Mean training time in seconds; NaN if it was not measured."""
        return _mean(self.fit)

    @property
    def predict_mean(self) -> float:
        """Mean milliseconds per image; NaN if it was not measured."""
        return _mean(self.predict)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


class StudyEntry(Record):
    """A row of a study over its seeds: `rows` are means over seeds on test, `headline_by_seed` (S,); `checks` are
    those that reported a problem in any of its runs or over its seeds; `size` is that of the images, where the study
    has several."""

    id: Name
    title: Text
    kind: Kind
    recipe: Name
    recipe_hash: Name
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=10_000)]
    rows: Rows = json_key("metrics")
    headline_by_seed: NumbersBySeed
    cost: Cost
    checks: Checks = ()
    size: Side | None = json_key(default=None, if_known=True)


class StudyTableRecord(Record):
    """The rows of a study that see the data through one view; `best` is the id of the best one, `on_val` the headline
    score of each on val."""

    view: Name
    headline: Name
    images: Counts
    best: Name | None
    rows: Annotated[Sequence[StudyEntry], Field(min_length=1, max_length=1_000)]
    on_val: Numbers | None = None
    differences: Annotated[Sequence[Difference], Field(max_length=100_000)] = ()
    findings: Sentences = ()


class StudyRowAsked(Record):
    """A row of a study as it was asked for."""

    id: Annotated[Name, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")]
    recipe: Name
    title: Text
    overrides: Annotated[tuple[Text, ...], Field(max_length=1_000)] = ()
    view: Name | None = json_key(default=None, if_known=True)
    size: Side | None = json_key(default=None, if_known=True)
    seeds: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = json_key(default=None, if_known=True)
    compare_with: Name | None = json_key(default=None, if_known=True)


class StudyAsked(Record):
    """A study as it was asked for."""

    name: Name
    title: Text
    question: Text
    dataset: Name
    rows: Annotated[tuple[StudyRowAsked, ...], Field(min_length=1, max_length=1_000)]
    view: Name = "native"
    size: Side = 28
    seeds: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 3
    notes: Sentences = ()


class StudyRecord(Record):
    """study.json: `study` as it was asked for, and a table for each view of it."""

    schema: Count
    source: Name
    study: StudyAsked
    dataset: Name
    data_md5: Name
    tables: Annotated[Sequence[StudyTableRecord], Field(min_length=1, max_length=100)]
    left_over: Sentences = ()
