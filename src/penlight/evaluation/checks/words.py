"""Numbers and lists as checks write them."""

from collections.abc import Iterable, Sequence

from penlight.escaping import quoted
from penlight.numbers import decimal_text

_MINUS = "\N{MINUS SIGN}"
_MOST = 6


def number(value: float, decimals: int = 3) -> str:
    """Write a number with a true minus sign."""
    return decimal_text(value, decimals).replace("-", _MINUS)


def interval(low: float, high: float) -> str:
    """Write an interval whose ends may be negative."""
    return f"{number(low)} to {number(high)}"


def counted(names: Sequence[str], counts: Iterable[int]) -> str:
    """List names with their counts: "hernia (3), mass (7)"; of many, the rest is counted."""
    return listed([f"{quoted(name)} ({n:,})" for name, n in zip(names, counts, strict=True)])


def listed(names: Sequence[str]) -> str:
    """List names: "a, b"; of many, the rest is counted."""
    rest = len(names) - _MOST
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:_MOST])} and {rest} more"
