"""Small files of a run, and the texts in its npz and ONNX files: what no class of a room is for."""

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from penlight.disk import plain_parts
from penlight.records import Count, Digest, Finite, ImagesPerPatient, Labels, Name, Record, Seed, Side, Text


def _plain(name: str) -> str:
    if plain_parts(name) is None:
        raise ValueError("the name of a file in the folder was expected")
    return name


READING = "test_reading"
"""The key of provenance.json under which a run keeps when it read test."""

FileName = Annotated[Name, AfterValidator(_plain)]


class FilePrint(Record):
    """The size of a file and the SHA-256 of its bytes."""

    bytes: Count
    sha256: Digest


Files = Annotated[dict[FileName, FilePrint], Field(max_length=10_000)]


class ManifestRecord(Record):
    """manifest.json: the recipe and seed of a run, and a print of each of its files."""

    schema: Count
    recipe_hash: Name
    seed: Seed
    files: Files
    pending: Files = field(default_factory=dict)


class ClaimRecord(Record):
    """.state/claim.json: what the unfinished run in a folder is of."""

    recipe_hash: Name
    seed: Seed


class MachineReading(Record):
    """When a run read test, what of it did, and on which machine; see `data.accesses`."""

    time: Annotated[str, Field(strict=True, pattern=r"^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    by: Name
    node: Name


class TaskRecord(Record):
    """What labels mean. What a task has beside its labels is an `OptionRecord`, checked by `tasks.task_of`."""

    __pydantic_config__: ClassVar = ConfigDict(extra="allow")

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

    schema: Count
    usual: OfParts
    far: OfParts
    threshold: Finite
    shape: tuple[Side, Side, Literal[1, 3]]
    rest: OfParts


class PredictionsRecord(Record):
    """The text `about` in predictions."""

    schema: Count
    task: TaskRecord
    dataset: Name
    view: Name
    split: Name
    data_hash: Name = ""
    recipe_hash: Name = ""
    images_per_patient: ImagesPerPatient | None = None


class NeighboursRecord(Record):
    """The text `about` in neighbours.npz."""

    schema: Count
    by: Literal["features", "pixels"]


class ExplainedRecord(Record):
    """The text `about` in explained.npz."""

    schema: Count
    method: Name
    meaning: Text
