"""What an audit gives: problems, the pairs of alike images, the shifts between splits."""

from typing import Final, Literal

from penlight.data.audit.shift import Shift
from penlight.data.problems import CODES as CODES
from penlight.data.problems import Place as Place
from penlight.data.problems import Problem as Problem
from penlight.data.problems import Problems
from penlight.records import Counts, Flag, Name, Number, Record

SCHEMA: Final = 2
"""Version of what an audit looks for and of its JSON; a kept audit of another version is made again."""


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
