"""What answering for a picture reads of a run: its manifest, its decision, how pictures are read, its novelty."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field

from penlight.disk import plain_parts
from penlight.records import Count, Finite, Flag, Name, Number, Record, Share, Side, Text, nan_of_null

Digest = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Labels = Annotated[tuple[Name, ...], Field(min_length=1, max_length=10_000)]
ImagesPerPatient = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Notes = Annotated[tuple[Text, ...], Field(max_length=10_000)]


def _plain(name: str) -> str:
    if plain_parts(name) is None:
        raise ValueError("the name of a file in the folder was expected")
    return name


FileName = Annotated[Name, AfterValidator(_plain)]


class FilePrint(Record):
    """The size of a file and the SHA-256 of its bytes."""

    bytes: Count
    sha256: Digest


Files = Annotated[dict[FileName, FilePrint], Field(max_length=10_000)]


class ManifestRecord(Record):
    """manifest.json: the recipe and seed of a run, and a print of each of its files."""

    schema_version: Count = Field(alias="schema")
    recipe_hash: Name
    seed: Seed
    files: Files
    pending: Files = Field(default_factory=dict)


class ClaimRecord(Record):
    """.state/claim.json: what the unfinished run in a folder is of."""

    recipe_hash: Name
    seed: Seed


class StepsRecord(Record):
    """The knots of a monotone map of probabilities."""

    x: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100_000)]
    y: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100_000)]


Temperature = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class CalibrationRecord(Record):
    """How probabilities are corrected."""

    kind: Literal["temperature", "isotonic", "none"]
    temperatures: Annotated[tuple[Temperature, ...], Field(max_length=10_000)]
    maps: Annotated[tuple[StepsRecord, ...], Field(max_length=10_000)]
    notes: Notes = ()
    intercepts: Annotated[tuple[Finite, ...], Field(max_length=10_000)] = ()


class ConformalRecord(Record):
    """What makes prediction sets; a cut that is null makes an option always possible."""

    coverage: Annotated[float, Field(strict=True, gt=0, lt=1)]
    cuts: Annotated[
        tuple[Annotated[tuple[Number, ...], Field(min_length=1, max_length=10_000)], ...],
        Field(min_length=1, max_length=10_000),
    ]
    notes: Notes = ()


class DecisionRecord(Record):
    """decision.json: how probabilities become answers."""

    thresholds: Annotated[tuple[Finite, ...], Field(max_length=10_000)] | None
    calibration: CalibrationRecord | None = None
    found_on: Name
    notes: Notes
    conformal: ConformalRecord | None = None
    images: Count | None = None


class ReadingRecord(Record):
    """How a picture becomes an image."""

    size: Side
    channels: Literal[1, 3]
    fit: Literal["crop", "pad", "stretch"] = "crop"
    bits: Annotated[int, Field(strict=True, ge=1, le=16)] = 16


class ReadsRecord(Record):
    """The part of data.json that says how pictures are read."""

    reading: ReadingRecord | None = None


class TaskRecord(Record):
    """What labels mean. What a task has beside its labels is an `OptionRecord`, checked by `tasks.task_of`."""

    model_config = ConfigDict(extra="allow")

    kind: Name
    labels: Labels


class OptionRecord(Record):
    """What a task has beside its labels, such as the lowest grade that needs a referral."""

    value: Count | Name


class FactsRecord(Record):
    """What model.onnx says of its model, once its values are parsed."""

    task: TaskRecord
    thresholds: Annotated[tuple[Finite, ...], Field(max_length=10_000)] | None
    size: Side
    channels: Literal[1, 3]
    dataset: Name
    view: Name
    licence: Text
    backbone: Name
    recipe_hash: Name
    seed: Seed
    data_md5: Name
    penlight_version: Name


OfParts = Annotated[tuple[Finite, ...], Field(min_length=3, max_length=4)]


class NoveltyRecord(Record):
    """The text `about` in novelty.npz."""

    schema_version: Count = Field(alias="schema")
    usual: OfParts
    far: OfParts
    threshold: Finite
    shape: tuple[Side, Side, Literal[1, 3]]
    rest: OfParts


class PredictionsRecord(Record):
    """The text `about` in predictions."""

    schema_version: Count = Field(alias="schema")
    task: TaskRecord
    dataset: Name
    view: Name
    split: Name
    data_hash: Name = ""
    recipe_hash: Name = ""
    images_per_patient: ImagesPerPatient | None = None


class NeighboursRecord(Record):
    """The text `about` in neighbours.npz."""

    schema_version: Count = Field(alias="schema")
    by: Literal["features", "pixels"]


class ExplainedRecord(Record):
    """The text `about` in explained.npz."""

    schema_version: Count = Field(alias="schema")
    method: Name
    meaning: Text


class ScoreRecord(Record):
    """A metric of one model on one split, or over several seeds or folds, which then has their deviation `sd`."""

    name: Name
    label: Name | None
    # Penlight 0.1.0 wrote the mean over seeds as "mean".
    value: Number = Field(validation_alias=AliasChoices("value", "mean"))
    low: Number
    high: Number
    n: Count
    note: Text
    sd: Annotated[Number | None, BeforeValidator(nan_of_null)] = None


Rows = Annotated[tuple[ScoreRecord, ...], Field(max_length=200_000)]
Baselines = Annotated[dict[Name, Rows], Field(max_length=100)]


class CheckRow(Record):
    """A check that reported something."""

    code: Name
    serious: Flag
    seen: Text
    why: Text
    do: Text


Checks = Annotated[tuple[CheckRow, ...], Field(max_length=1_000)]


class AheadRow(Record):
    """How far the headline score is above that of a baseline on the same images, with the 95 % interval."""

    value: Number
    low: Number
    high: Number


Ahead = Annotated[dict[Name, AheadRow], Field(max_length=100)]


class StandingRecord(Record):
    """What of metrics.json is said beside each answer: scores, those of the baselines, checks."""

    metrics: Rows
    baselines: Baselines
    checks: Checks
    ahead: Ahead = Field(default_factory=dict)


class KeptModelRecord(Record):
    """What of provenance.json is said beside each answer: the model that was kept."""

    model: Name
