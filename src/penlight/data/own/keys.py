"""Checks of what a description may say, which a stranger may have written: the types of its keys, and its texts."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from penlight.errors import DataError
from penlight.escaping import named, shown

_WORDS = {str: "a text", list: "a list", dict: "a table", int: "a whole number", bool: "true or false"}

# Control characters, halves of characters, separators of lines; and what turns the direction of a text.
_REFUSED = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

# Characters of a text; names of labels stand in tables and figures.
_LONGEST: Mapping[str, int] = {"labels": 200, "values": 200, "cautions": 1000, "separator": 10, "source": 2000}
_LONGEST_TEXT = 500


def check_types(values: Mapping[str, Any], known: Mapping[str, type]) -> None:
    """Raise DataError for a key that is not known, a value of another type, and a text that `check_text` refuses."""
    if unknown := sorted(values.keys() - known.keys()):
        raise DataError(f"Unknown key {named(map(plain_key, unknown))}.", f"Known are {', '.join(known)}.")
    for key, value in values.items():
        # bool is a subclass of int, but `channels = true` is a mistake.
        if type(value) is not known[key]:
            raise DataError(f"{key} must be {_WORDS[known[key]]}, {shown(value)} came.")
        if isinstance(value, str):
            check_text(value, key)


def check_text(text: str, key: str) -> None:
    """Refuse a text that is too long for its place, and control characters: a terminal would obey them."""
    if len(text) > (most := _LONGEST.get(key, _LONGEST_TEXT)):
        raise DataError(f"{key} may have {most:,} characters; one has {len(text):,}.", "Shorten it.")
    if strange := next((c for c in text if unicodedata.category(c) in _REFUSED or c in _TURNING), ""):
        raise DataError(f"{key} has the control character U+{ord(strange):04X} in {shown(text)}.", "Remove it.")


def plain_key(key: str) -> str:
    """Give a key as an error shows it."""
    return key if key.isprintable() and len(key) <= 100 else shown(key)


def checked_map(names: Mapping[str, Any]) -> Mapping[str, str]:
    """Check the table `map` of a description, labels for what is written. DataError for what is no text."""
    for text in (*names, *names.values()):
        if not isinstance(text, str):
            raise DataError(f"map must hold texts; {shown(text)} came.", "Correct it.")
        check_text(text, "values")
    return names
