"""Files of a folder of several runs that no class of a room is for: its seal, and what was asked of folds, a sweep, a
tuning."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from penlight.records import Count, Digest, Flag, Name, Record, Seed, Text, json_key
from penlight.records.run import FileName, Files

MOST_REPEATS = 100
"""How often the images of a cross-validation may be divided anew."""


class SealRecord(Record):
    """group.json: a print of each file of a folder of runs, and of what was measured in each of its runs."""

    schema: Count
    kind: Literal["seeds", "folds", "study", "sweep", "tuning"]
    files: Files
    runs: Annotated[dict[FileName, Digest], Field(max_length=10_000)] = field(default_factory=dict)
    pending: Files = field(default_factory=dict)


class FoldsRecord(Record):
    """folds.json: what a folder is a cross-validation of."""

    schema: Count
    recipe_hash: Name
    data_md5: Name
    folds: Annotated[int, Field(strict=True, ge=2, le=10_000)]
    seed: Seed
    images: Count
    repeats: Annotated[int, Field(strict=True, ge=2, le=MOST_REPEATS)] | None = json_key(default=None, if_known=True)

    @property
    def runs(self) -> int:
        """Count the runs: one for each fold of each time that the images are divided."""
        return self.folds * (self.repeats or 1)


class SweepRecord(Record):
    """sweep.json: the sets that were trained, each a `reports.sweep.SweepRow`, and those not on disk."""

    schema: Count
    sets: Annotated[tuple[dict[str, object], ...], Field(max_length=1_000)]
    folder: Text = ""
    report: Text | None = None
    planned: Annotated[tuple[Name, ...], Field(max_length=1_000)] = ()
    absent: Annotated[tuple[Name, ...], Field(max_length=1_000)] = ()


class TuningRecord(Record):
    """tune.json: what a tuning searches. The recipe and the space are checked as recipes and spaces are."""

    schema: Count
    recipe: Text
    space: Annotated[dict[Name, object], Field(max_length=1_000)]
    sampler: Name
    repeats: tuple[Literal["folds", "seeds"], Annotated[int, Field(strict=True, ge=1, le=10_000)]]
    seed: Seed
    data_md5: Name
    finished: Flag
