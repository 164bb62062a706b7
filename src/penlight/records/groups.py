"""What is read of a folder of several runs: its seal, and the records of seeds, folds, studies and tunings."""

from typing import Annotated, Literal

from pydantic import Field

from penlight.records import Count, Flag, Name, Number, Record, Side, Text
from penlight.records.run import Ahead, Baselines, Checks, Digest, FileName, Files, Rows, ScoreRecord, Seed
from penlight.records.scores import Counts, Sentences, Subgroups


class SealRecord(Record):
    """group.json: a print of each file of a folder of runs, and of what was measured in each of its runs."""

    schema_version: Count = Field(alias="schema")
    kind: Literal["seeds", "folds", "study", "sweep", "tuning"]
    files: Files
    runs: Annotated[dict[FileName, Digest], Field(max_length=10_000)] = Field(default_factory=dict)
    pending: Files = Field(default_factory=dict)


class SummaryOfSeeds(Record):
    """summary.json of several seeds."""

    schema_version: Count = Field(1, alias="schema")
    recipe_hash: Name
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=10_000)]
    split: Name
    metrics: Rows
    baselines: Baselines
    checks: Checks = ()
    subgroups: Subgroups = ()


class FoldRow(ScoreRecord):
    """The headline metric of one fold's own images."""

    fold: Count


class SummaryOfFolds(Record):
    """summary.json of a cross-validation."""

    schema_version: Count = Field(1, alias="schema")
    recipe_hash: Name
    folds: Annotated[tuple[Count, ...], Field(min_length=1, max_length=10_000)]
    split: Name
    metrics: Rows
    baselines: Baselines
    checks: Checks = ()
    subgroups: Subgroups = ()
    by_fold: Annotated[tuple[FoldRow, ...], Field(max_length=10_000)] = ()
    unavailable: Sentences = ()
    ahead: Ahead = Field(default_factory=dict)


class FoldsRecord(Record):
    """folds.json: what a folder is a cross-validation of."""

    schema_version: Count = Field(alias="schema")
    recipe_hash: Name
    data_md5: Name
    folds: Annotated[int, Field(strict=True, ge=2, le=10_000)]
    seed: Seed
    images: Count


class CostRow(Record):
    """What the runs of a row cost."""

    parameters: Count | None
    model_bytes: Count | None
    fit_seconds: Annotated[tuple[Number, ...], Field(max_length=10_000)]
    predict_ms_per_image: Annotated[tuple[Number, ...], Field(max_length=10_000)]


class EntryRow(Record):
    """A recipe of a study, over its seeds."""

    id: Name
    title: Text
    kind: Name
    recipe: Name
    recipe_hash: Name
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=10_000)]
    metrics: Rows
    headline_by_seed: Annotated[tuple[Number, ...], Field(max_length=10_000)]
    cost: CostRow
    checks: Checks = ()


class DifferenceRow(Record):
    """The difference between two rows of a study."""

    row: Name
    against: Name
    value: Number
    low: Number
    high: Number
    p: Number
    p_holm: Number
    more_than_chance: Flag


class TableRow(Record):
    """The rows of a study that see the data through one view."""

    view: Name
    headline: Name
    images: Counts
    best: Name | None
    rows: Annotated[tuple[EntryRow, ...], Field(min_length=1, max_length=1_000)]
    differences: Annotated[tuple[DifferenceRow, ...], Field(max_length=100_000)] = ()
    findings: Sentences = ()


class PlannedRow(Record):
    """A row of a study as it was asked for."""

    id: Annotated[Name, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")]
    recipe: Name
    title: Text
    overrides: Annotated[tuple[Text, ...], Field(max_length=1_000)] = ()
    view: Name | None = None
    seeds: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    compare_with: Name | None = None


class StudyAsked(Record):
    """A study as it was asked for."""

    name: Name
    title: Text
    question: Text
    dataset: Name
    view: Name = "native"
    size: Side = 28
    seeds: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 3
    rows: Annotated[tuple[PlannedRow, ...], Field(min_length=1, max_length=1_000)]


class StudyRecord(Record):
    """study.json: what a study asked, and what came out."""

    schema_version: Count = Field(alias="schema")
    source: Name
    study: StudyAsked
    dataset: Name
    data_md5: Name
    tables: Annotated[tuple[TableRow, ...], Field(min_length=1, max_length=100)]
    left_over: Sentences = ()


class SweepRecord(Record):
    """sweep.json: the sets that were trained, as `SweepRow.to_dict` gives them, and those that are not on disk."""

    schema_version: Count = Field(alias="schema")
    folder: Text = ""
    report: Text | None = None
    sets: Annotated[tuple[dict[str, object], ...], Field(max_length=1_000)]
    planned: Annotated[tuple[Name, ...], Field(max_length=1_000)] = ()
    absent: Annotated[tuple[Name, ...], Field(max_length=1_000)] = ()


class TuningRecord(Record):
    """tune.json: what a tuning searches. The recipe and the space are checked as recipes and spaces are."""

    schema_version: Count = Field(alias="schema")
    recipe: Text
    space: Annotated[dict[Name, object], Field(max_length=1_000)]
    sampler: Name
    repeats: tuple[Literal["folds", "seeds"], Annotated[int, Field(strict=True, ge=1, le=10_000)]]
    seed: Seed
    data_md5: Name
    finished: Flag
