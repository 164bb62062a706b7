"""What an audit gives: problems, the pairs of alike images, the shifts between splits; and its JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from penlight.data.audit.shift import Shift

SCHEMA = 2
"""Version of what an audit looks for and of its JSON; a kept audit of another version is made again."""

Place = tuple[str, int]
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


@dataclass(frozen=True)
class Problem:
    """One thing found: `serious` if scores would be false; `seen` and `do` are whole sentences; `places` are
    (split, row) pairs, at most ten. `code` is one of `CODES`, `splits` those it is about, `numbers` what was counted
    or measured, by names that stay the same for a code."""

    code: str
    serious: bool
    seen: str
    do: str
    splits: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    places: tuple[Place, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the problem for JSON."""
        return {
            **asdict(self),
            "splits": list(self.splits),
            "numbers": {name: None if math.isnan(value) else value for name, value in self.numbers.items()},
            "places": [list(place) for place in self.places],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make the problem that `to_dict` gave. KeyError, TypeError or ValueError if it gave no such thing."""
        return cls(
            code=str(values["code"]),
            serious=bool(values["serious"]),
            seen=str(values["seen"]),
            do=str(values["do"]),
            splits=tuple(map(str, values["splits"])),
            numbers={name: math.nan if value is None else value for name, value in values["numbers"].items()},
            places=tuple((str(split), int(row)) for split, row in values["places"]),
        )


@dataclass(frozen=True)
class Pair:
    """Two images that are one: `kind` is "exact", "near" or "mirrored"; `correlation` is that of their pixels, the
    dataset's mean image removed, 1 for exact ones. `same_label` compares labels as stored."""

    one: Place
    other: Place
    kind: str
    correlation: float
    same_label: bool

    @property
    def across(self) -> bool:
        """Say whether the images are in two splits."""
        return self.one[0] != self.other[0]

    def to_dict(self) -> dict[str, Any]:
        """Give the pair for JSON."""
        return {**asdict(self), "one": list(self.one), "other": list(self.other)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make the pair that `to_dict` gave. KeyError, TypeError or ValueError if it gave no such thing."""
        one, other = ((str(split), int(row)) for split, row in (values["one"], values["other"]))
        return cls(
            one, other, str(values["kind"]), float(values["correlation"]), same_label=bool(values["same_label"])
        )


@dataclass(frozen=True)
class Audit:
    """What was found in a dataset: problems, the serious ones first; alike pairs, those across splits first; how val
    and test differ from train. `images` counts the images of each split."""

    images: Mapping[str, int]
    problems: tuple[Problem, ...]
    pairs: tuple[Pair, ...]
    shifts: tuple[Shift, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the audit for JSON."""
        return {
            "schema": SCHEMA,
            "images": dict(self.images),
            "problems": [problem.to_dict() for problem in self.problems],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "shifts": [shift.to_dict() for shift in self.shifts],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make the audit that `to_dict` gave. KeyError, TypeError or ValueError if it gave no such thing."""
        if values["schema"] != SCHEMA:
            raise ValueError(f"An audit of schema {SCHEMA} was expected, {values['schema']} came.")
        return cls(
            images={str(split): int(n) for split, n in values["images"].items()},
            problems=tuple(map(Problem.from_dict, values["problems"])),
            pairs=tuple(map(Pair.from_dict, values["pairs"])),
            shifts=tuple(map(Shift.from_dict, values["shifts"])),
        )
