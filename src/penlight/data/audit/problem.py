"""What an audit gives: problems, the pairs of alike images, the shifts between splits; and its JSON."""

from dataclasses import field
from typing import Annotated, Final, Literal

from pydantic import Field

from penlight.data.audit.shift import Shift
from penlight.records import Count, Counts, Flag, Name, Number, Numbers, Record, Text

SCHEMA: Final = 2
"""Version of what an audit looks for and of its JSON; a kept audit of another version is made again."""

Place = tuple[Name, Count]
"""A split's name and the row of an image in it, as stored."""

CODES = (
    "patients-across",
    "duplicates-across",
    "duplicates-conflict",
    "duplicates-within",
    "near-across",
    "near-conflict",
    "near-within",
    "near-patients",
    "absent-label",
    "few-of-label",
    "blank",
    "images-shifted",
    "labels-shifted",
)
"""Every `Problem.code`, in the order that problems of equal weight are given in."""


class Problem(Record):
    """One thing found: `serious` if scores would be false; `seen` and `do` are whole sentences; `places` are
    (split, row) pairs, at most ten. `code` is one of `CODES`, `splits` those it is about, `numbers` what was counted
    or measured, by names that stay the same for a code."""

    code: Name
    serious: Flag
    seen: Text
    do: Text
    splits: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    numbers: Numbers = field(default_factory=dict)
    places: Annotated[tuple[Place, ...], Field(max_length=1_000_000)] = ()


Problems = Annotated[tuple[Problem, ...], Field(max_length=10_000)]


class Pair(Record):
    """Two images that are one: `kind` is "exact", "near" or "mirrored"; `correlation` is that of their pixels, the
    dataset's mean image removed, 1 for exact ones. `same_label` compares labels as stored."""

    one: Place
    other: Place
    kind: Name
    correlation: Number
    same_label: Flag

    @property
    def across(self) -> bool:
        """Say whether the images are in two splits."""
        return self.one[0] != self.other[0]


class Audit(Record):
    """What was found in a dataset: problems, the serious ones first; alike pairs, those across splits first; how val
    and test differ from train. `images` counts the images of each split."""

    images: Counts
    problems: Problems
    pairs: tuple[Pair, ...]
    shifts: tuple[Shift, ...]
    schema: Literal[2] = SCHEMA
