"""What an audit finds wrong with a dataset, as runs keep it: reading it loads nothing of the audit itself."""

from dataclasses import field
from typing import Annotated

from pydantic import Field

from penlight.records import Count, Flag, Name, Numbers, Record, Text

Place = tuple[Name, Count]
"""A split's name and the row of an image in it, as stored."""

CODES = (
    "patients-across",
    "patients-in-names",
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
