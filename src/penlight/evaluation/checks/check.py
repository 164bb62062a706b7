"""A check: a numbered question put to the evidence, and what it says when it speaks up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, NamedTuple, TypeVar

from pydantic import Field

from penlight.records import Flag, Name, Record, Text

E = TypeVar("E")


class Check(Record):
    """A check that spoke up: what was `seen`, `why` it matters, what to `do`."""

    code: Name
    serious: Flag
    seen: Text
    why: Text
    do: Text


Checks = Annotated[Sequence[Check], Field(max_length=1_000)]


class Finding(NamedTuple):
    """What a check saw, in whole sentences with the numbers, and whether scores may not be believed for it."""

    text: str
    serious: bool = False


@dataclass(frozen=True)
class CheckRule(Generic[E]):
    """One numbered check.

    `title` names it, `when` says when it speaks up, `why` and `do` are what it says then besides what was seen.
    `look` gives what was seen; None where there is nothing to say, or not the evidence to say it.
    """

    code: str
    title: str
    when: str
    why: str
    do: str
    look: Callable[[E], Finding | None]

    def __call__(self, evidence: E) -> Check | None:
        """Look at the evidence, and speak up or be silent."""
        seen = self.look(evidence)
        return None if seen is None else Check(self.code, seen.serious, seen.text, self.why, self.do)


def serious_first(checks: Iterable[Check]) -> list[Check]:
    """Order checks: the serious ones first, then by number."""
    return sorted(checks, key=lambda check: (not check.serious, check.code))
