"""What is read of a run to show and to judge it: scores, checks, provenance, counts of its data, exports."""

from typing import Annotated, Literal

from pydantic import Field

from penlight.records import Count, Finite, Flag, Name, Number, Record, Side, Text, Whole
from penlight.records.run import (
    Ahead,
    Baselines,
    Checks,
    FileName,
    ImagesPerPatient,
    Labels,
    ReadingRecord,
    Rows,
    Seed,
)
from penlight.records.run import ScoreRecord as ScoreRecord

Sentences = Annotated[tuple[Text, ...], Field(max_length=10_000)]
Counts = Annotated[dict[Name, Count], Field(max_length=100)]
Numbers = Annotated[dict[Name, Number], Field(max_length=100)]


class SubgroupRow(Record):
    """The headline score of a group of images beside that of all others."""

    column: Name
    group: Name
    metric: Name
    n: Count
    units: Count
    value: Number
    low: Number
    high: Number
    difference: Number
    difference_low: Number
    difference_high: Number
    p: Number
    p_holm: Number
    left_out: Annotated[tuple[Name, ...], Field(max_length=10_000)]
    note: Text
    more_than_chance: Flag


Subgroups = Annotated[tuple[SubgroupRow, ...], Field(max_length=10_000)]


class RateRow(Record):
    """A value with its interval."""

    value: Number
    low: Number
    high: Number
    note: Text


class PointRow(Record):
    """A question answered at one threshold."""

    question: Name
    chosen: Name
    threshold: Number
    prevalence: Number
    stated: Number
    rates: Annotated[dict[Name, RateRow], Field(max_length=100)]
    note: Text


class DuplicatesRow(Record):
    """Scores with and without the images that have a duplicate in another split."""

    duplicates: Count
    images: Count
    without: Rows
    alone: Rows


class MetricsRecord(Record):
    """metrics.json: the scores of a run on test."""

    split: Name
    metrics: Rows
    baselines: Baselines
    checks: Checks
    subgroups: Subgroups = ()
    operating_points: Annotated[tuple[PointRow, ...], Field(max_length=100_000)] = ()
    before_calibration: Numbers = Field(default_factory=dict)
    unavailable: Sentences = ()
    ahead: Ahead = Field(default_factory=dict)
    duplicates: DuplicatesRow | None = None


class MemberRow(Record):
    """A model of an ensemble."""

    model: Name
    weight: Number


class MarginRow(Record):
    """How far the network was ahead of the linear baseline on val."""

    value: Number
    error: Number
    epoch: Count | None = None


class DurationsRow(Record):
    """Seconds that parts of a training took."""

    fit: Number
    total: Number
    predict: Number


class SharedRow(Record):
    """How a copy to be shared was made: the hash of the run's own recipe, and the columns of values of single images
    that were left out."""

    recipe_hash: Name
    metadata: Annotated[tuple[Name, ...], Field(max_length=100)] = ()


class NoveltyRateRow(Record):
    """How many images of a kind are called unlike those in train."""

    images: Count
    unusual: Count


class NoveltyRatesRow(Record):
    """What a run's novelty calls unusual of test images, and of drawn images of other kinds."""

    test: NoveltyRateRow
    drawn: Annotated[dict[Name, NoveltyRateRow], Field(max_length=100)]


class ProvenanceRecord(Record):
    """provenance.json: where a run comes from."""

    seed: Seed
    recipe_hash: Name
    dataset: Name
    size: Side
    view: Name
    data_md5: Name
    images: Counts
    parameters: Count | None
    best_epoch: Count | None
    members: Annotated[tuple[MemberRow, ...], Field(max_length=1_000)] = ()
    durations: DurationsRow
    versions: Annotated[dict[Name, Name], Field(max_length=100)] = Field(default_factory=dict)
    machine: Annotated[dict[Name, Name | Whole], Field(max_length=100)] = Field(default_factory=dict)
    model: Name
    ahead_of_linear_on_val: MarginRow | None = None
    cut_for_time: Text = ""
    test_readings_before: Count | None = None
    keeps_images: Flag = True
    maps_alike: Finite | None = None
    novelty: NoveltyRatesRow | None = None
    shared: SharedRow | None = None


Place = tuple[Name, Count]


class ProblemRow(Record):
    """What the audit found in the data."""

    code: Name
    serious: Flag
    seen: Text
    do: Text
    splits: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    numbers: Numbers = Field(default_factory=dict)
    places: Annotated[tuple[Place, ...], Field(max_length=1_000_000)] = ()


class DataJson(Record):
    """data.json: a dataset seen through a view, in counts."""

    labels: Labels
    images: Counts
    counts: Annotated[
        dict[Name, Annotated[tuple[Count, ...], Field(max_length=10_000)]],
        Field(max_length=100),
    ]
    patients: Counts | None = None
    problems: Annotated[tuple[ProblemRow, ...], Field(max_length=10_000)] = ()
    reading: ReadingRecord | None = None
    images_per_patient: ImagesPerPatient = 1
    duplicates: (
        Annotated[dict[Name, Annotated[tuple[Count, ...], Field(max_length=10_000_000)]], Field(max_length=100)]
        | None
    ) = None
    patients_with: (
        Annotated[dict[Name, Annotated[tuple[Count, ...], Field(max_length=10_000)]], Field(max_length=100)] | None
    ) = None


class ChangeRow(Record):
    """A metric of the model and of its exported file."""

    name: Name
    label: Name | None
    model: Number
    file: Number
    change: Number


class ExportRow(Record):
    """An exported file: how far it is off the model, or why it was not written."""

    written: Flag
    reason: Text | None = None
    format: Name | None = None
    precision: Name | None = None
    bytes: Count | None = None
    split: Name | None = None
    images: Count | None = None
    batch_sizes: Annotated[tuple[Count, ...], Field(max_length=100)] | None = None
    largest_difference: Number | None = None
    largest_difference_before_calibration: Number | None = None
    largest_difference_by_calibration: Number | None = None
    metrics: Annotated[tuple[ChangeRow, ...], Field(max_length=200_000)] | None = None


class ExportsRecord(Record):
    """export.json, whose keys are names of files."""

    files: Annotated[dict[FileName, ExportRow], Field(max_length=1_000)]


class ReasonRow(Record):
    """A choice of a plan, and why."""

    about: Name
    choice: Text
    why: Text


class FingerprintRow(Record):
    """What a plan is made from."""

    dataset: Name
    view: Name
    size: Side
    channels: Literal[1, 3]
    modality: Name
    flips: Annotated[tuple[Name, ...], Field(max_length=10)]
    images: Counts
    labels: Labels
    positives: Annotated[tuple[Count, ...], Field(min_length=1, max_length=10_000)]
    ordered: Flag
    exclusive: Flag
    uses_thresholds: Flag
    cores: Count
    memory: Count | Number
    rate: Number
    budget: Number


class PlanRecord(Record):
    """plan.json: the plan that a recipe came from. The recipe is checked as recipes are."""

    fingerprint: FingerprintRow
    seconds: Number
    reasons: Annotated[tuple[ReasonRow, ...], Field(max_length=1_000)]
    recipe: dict[Name, object]
    cut: Text = ""


class LevelRow(Record):
    """A balanced error with its interval."""

    value: Number
    low: Number
    high: Number
    sd: Number


class CorruptionRecord(Record):
    """What one corruption does."""

    name: Name
    strengths: Annotated[
        tuple[Annotated[tuple[Number, ...], Field(max_length=10)], ...], Field(min_length=5, max_length=5)
    ]
    severities: Annotated[tuple[Number, ...], Field(min_length=5, max_length=5)]
    mean: LevelRow
    change: LevelRow


class RobustRow(Record):
    """Balanced errors of one model under corruptions."""

    clean: LevelRow
    rows: Annotated[tuple[CorruptionRecord, ...], Field(max_length=1_000)]
    mean: LevelRow
    change: LevelRow


class CorruptionsRecord(RobustRow):
    """corruptions.json: how a run, or the runs of several seeds, answered to corrupted images of test."""

    n: Count
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=10_000)]
    baselines: Annotated[dict[Name, RobustRow], Field(max_length=100)]
    notes: Sentences
