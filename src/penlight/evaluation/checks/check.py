"""A check: a numbered rule that looks at the evidence and may report a finding; and how checks write numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, NamedTuple, TypeVar

from pydantic import Field

from penlight.numbers import decimal_text
from penlight.records import Flag, Name, Record, Text

E = TypeVar("E")

number = decimal_text

_MOST_LISTED = 6


class Check(Record):
    """A check that reported a problem: what was `seen`, `why` it matters, what to `do`."""

    code: Name
    serious: Flag
    seen: Text
    why: Text
    do: Text


Checks = Annotated[Sequence[Check], Field(max_length=1_000)]


class Finding(NamedTuple):
    """What a check found, in whole sentences with the numbers, and whether scores may not be believed for it."""

    text: str
    serious: bool = False


@dataclass(frozen=True)
class CheckRule(Generic[E]):
    """One numbered check.

    `title` names it, `when` says when it reports, `why` and `do` are what it says then besides what was seen.
    `find` gives what was seen; None where there is nothing to say, or not the evidence to say it.
    """

    code: str
    title: str
    when: str
    why: str
    do: str
    find: Callable[[E], Finding | None]

    def __call__(self, evidence: E) -> Check | None:
        """Give the check where it has a finding in the evidence."""
        found = self.find(evidence)
        return None if found is None else Check(self.code, found.serious, found.text, self.why, self.do)


def rule(
    code: str, title: str, *, when: str, why: str, do: str
) -> Callable[[Callable[[E], Finding | None]], CheckRule[E]]:
    """Make a rule of the function that finds its problem, and of the words of `CheckRule`."""
    return lambda find: CheckRule(code, title, when, why, do, find)


def serious_first(checks: Iterable[Check]) -> list[Check]:
    """Order checks: the serious ones first, then by number."""
    return sorted(checks, key=lambda check: (not check.serious, check.code))


def interval(low: float, high: float) -> str:
    """Write an interval whose ends may be negative."""
    return f"{number(low)} to {number(high)}"


def listed(names: Sequence[str]) -> str:
    """List names: "a, b"; of many, the rest is counted."""
    rest = len(names) - _MOST_LISTED
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:_MOST_LISTED])} and {rest} more"
