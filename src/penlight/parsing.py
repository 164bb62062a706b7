"""The one reader of JSON and of TOML: what comes from outside is bounded in bytes and depth before it is used.

A file may come from a stranger, or be half of what was written. Whatever is wrong with it becomes one named error.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from penlight.errors import DataError, PenlightError

# A part of a TOML key, and a key of more parts than any file needs: the parser's memory grows with their square.
_PART = rb"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rb"(?<![A-Za-z0-9_-])" + _PART + rb"(?:[ \t]*+\.[ \t]*+" + _PART + rb"){40}")

LARGEST_JSON = 64 << 20
"""Bytes of JSON that are read; the largest that Penlight writes, metrics.json of a hundred labels, has under 2 MB."""

LARGEST_TOML = 1 << 20
"""Bytes of TOML that are read: recipes, studies and descriptions are written by people."""

DEEPEST = 40
"""Levels of lists and tables within one another; what Penlight writes has fewer than ten."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(
    content: bytes | str, what: str, remedy: str = "", *, error: type[PenlightError] = DataError, largest: int = 0
) -> Any:
    """Parse JSON. `error`, naming `what` and ending with `remedy`, for more than `largest` bytes (LARGEST_JSON unless
    given), for more than DEEPEST levels, and for what is no JSON in UTF-8. NaN and infinities are read as such, since
    earlier versions wrote them."""
    content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    most = largest or LARGEST_JSON
    if len(content) > most:
        raise error(f"{what} has {len(content):,} bytes, more than {most:,}.", remedy)
    _require_shallow(content, what, remedy, error)
    try:
        return json.loads(content.decode())
    # RecursionError: brackets within a broken string, which the count above takes for text.
    except (ValueError, RecursionError) as cause:
        raise error(f"{what} is not valid JSON: {_short(cause)}.", remedy) from cause


def parse_json_object(
    content: bytes | str, what: str, remedy: str = "", *, error: type[PenlightError] = DataError, largest: int = 0
) -> dict[str, Any]:
    """Parse JSON that must be an object. Errors as in `parse_json`, and `error` for anything but an object."""
    values = parse_json(content, what, remedy, error=error, largest=largest)
    if not isinstance(values, dict):
        names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
        raise error(f"{what} must hold a JSON object; it holds {names.get(type(values), 'a number')}.", remedy)
    return values


def parse_toml(
    content: bytes | str, what: str, remedy: str = "Correct that line.", *, error: type[PenlightError] = DataError
) -> dict[str, Any]:
    """Parse TOML. `error`, naming `what` and ending with `remedy`, for more than LARGEST_TOML bytes, for more than
    DEEPEST levels, and for what is no TOML in UTF-8."""
    content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(content) > LARGEST_TOML:
        raise error(f"{what} has {len(content):,} bytes, more than {LARGEST_TOML:,}.", "Make it smaller.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise error(f"{what} is not a text in UTF-8: {cause}.", "Save it as UTF-8.") from cause
    if _LONG_KEY.search(content):
        raise _too_deep(what, remedy, error)
    try:
        values = tomllib.loads(text)
    except RecursionError as cause:
        raise _too_deep(what, remedy, error) from cause
    except ValueError as cause:  # TOMLDecodeError, and numbers of too many digits
        raise error(f"{what} is not valid TOML: {_short(cause)}.", remedy) from cause
    if any(depth > DEEPEST for depth in _depths(values)):
        raise _too_deep(what, remedy, error)
    return values


def _require_shallow(content: bytes, what: str, remedy: str, error: type[PenlightError]) -> None:
    if b"\\" in content:
        content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = 0
    # Every other part between quotation marks is outside strings; what is deleted is all but brackets.
    for bracket in b"".join(content.split(b'"')[::2]).translate(None, _NO_BRACKETS):
        if bracket in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise _too_deep(what, remedy, error)
        else:
            depth -= 1


def _too_deep(what: str, remedy: str, error: type[PenlightError]) -> PenlightError:
    return error(f"{what} has more than {DEEPEST} levels of lists and tables within one another.", remedy)


def _depths(values: Any) -> Iterator[int]:
    """Give the depth of every list and table, without recursion: dotted keys nest as deep as a line is long."""
    waiting = [(values, 1)]
    while waiting:
        value, depth = waiting.pop()
        yield depth
        inner = value.values() if isinstance(value, dict) else value
        waiting.extend((item, depth + 1) for item in inner if isinstance(item, dict | list))


def _short(cause: Exception) -> str:
    return (str(cause).strip().rstrip(".") or type(cause).__name__)[:200]
