"""Texts of strangers, such as names of files, labels and notes, made harmless for where they are written.

One function for each place: `printable` for a terminal or a log, `cell` for a table that a spreadsheet may open,
`markdown` and `markdown_code` for a Markdown file. JSON and HTML have escapes of their own, and keep the text as it
is.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What begins a formula in a spreadsheet, in both widths."""

# Spaces before it are dropped by some.
_BEGINS_FORMULA = re.compile(rf"(^|[;,|])(\s*)(?=[{re.escape(_FORMULA)}])")

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,20}://|\bwww\.|\bmailto:)[^\s<>|`]+", re.IGNORECASE)
# An underscore between letters is none of emphasis.
_ACTIVE = re.compile(r"[\\`*\[\]{}|~$]|(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(r"^(?:(#{1,6}|[+>-])(?=\s|$)|(\d{1,9})([.)])(?=\s|$))")
_JOINERS = "\u200c\u200d"
"""What some scripts write between letters."""

_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: object, *, lines: bool = False) -> str:
    r"""Make characters visible that would act on a terminal, a log or the direction of a text: "\x1b" for an escape.

    Those are the categories of Unicode for control, format, surrogate and line or paragraph separator; letters of
    every script stay. `lines` keeps line ends, for texts of several lines that are Penlight's own.
    """
    said = str(text)
    if said.isascii() and said.isprintable():
        return said
    return "".join(c if lines and c == "\n" else _visible(c) for c in said)


def _visible(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(label: str) -> str:
    """Give a label for a list of labels: in quotation marks where it holds a comma, which would look like two."""
    return f'"{label}"' if "," in label and '"' not in label else label


def label_list(labels: Iterable[str]) -> str:
    """Give labels with commas between."""
    return ", ".join(map(quoted, labels))


def cell(text: str) -> str:
    """Give a text for a cell of a CSV file, so that no spreadsheet takes it for a formula.

    An apostrophe stands before what would begin one, at the start and after a comma, semicolon or bar, where another
    spreadsheet may begin a cell. A number stays as it is.
    """
    return text if _NUMBER.fullmatch(text) else _BEGINS_FORMULA.sub(r"\1\2'", printable(text))


def cells(texts: Sequence[str]) -> str:
    """Give several texts for one cell, with semicolons between."""
    return "; ".join(cell(text) for text in texts)


def markdown(text: object) -> str:
    """Give a text for a line of Markdown, or a cell of its tables, that is read as nothing but text: no HTML, image,
    link, heading, list or code comes of it. Addresses stand as code, which no reader makes a link of."""
    line = printable(" ".join(str(text).split()))
    parts, end = [], 0
    for address in _ADDRESS.finditer(line):
        # What ends a sentence or closes a bracket is no part of an address.
        found = address[0].rstrip(".,;:!?)]}'\"")
        parts += [_inactive(line[end : address.start()]), markdown_code(found)]
        end = address.start() + len(found)
    escaped = "".join([*parts, _inactive(line[end:])])
    return _LEADING.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", escaped)


def markdown_code(text: object) -> str:
    """Give a text as code in a line of Markdown, but not in a table; its fence is longer than any in the text."""
    line = printable(" ".join(str(text).split()))
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


def _inactive(text: str) -> str:
    escaped = _ACTIVE.sub(r"\\\g<0>", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")


SHOWN = 10
"""How many of a list an error names; the whole list is in a file or in the JSON."""


def named(items: Iterable[str]) -> str:
    """Name the first of a list, and say how many more there are."""
    listed = list(map(quoted, items))
    more = f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def listed(names: Sequence[str], most: int = 5) -> str:
    """Join names for a sentence: "a, b and c"; beyond `most`, the rest is counted."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def shown(value: object) -> str:
    """Give a value of a description as an error shows it, which may be long."""
    try:
        text = repr(value)
    except ValueError:  # hexadecimal numbers may have more digits than Python turns into decimal ones
        return "a number of very many digits"
    return text if len(text) <= 200 else f"{text[:200]}..."
