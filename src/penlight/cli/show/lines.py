"""Lines and JSON as they are printed, without a library of tables: one picture must not wait for that."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from penlight.escaping import printable

_T = TypeVar("_T")

WIDTH_WITHOUT_TERMINAL = 100
"""Columns of what is printed into a file or a pipe."""


def is_terminal(*, error: bool = False) -> bool:
    """Say whether standard output, or standard error, is a terminal; one that is closed is none."""
    stream = sys.stderr if error else sys.stdout
    return stream is not None and not stream.closed and stream.isatty()


def terminal_width(*, error: bool = False) -> int | None:
    """Give the columns of the terminal that is written to; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if is_terminal(error=error) else None


def say(text: object, *, error: bool = False) -> None:
    """Print a line, on standard output or standard error; what in it would act on a terminal is made visible. It
    stays one line, so that a path or a command can be copied."""
    print(printable(text), file=sys.stderr if error else sys.stdout)


def say_text(text: object, *, error: bool = False) -> None:
    """Print a sentence: on a terminal broken between words, elsewhere as one line."""
    said, width = printable(text), terminal_width(error=error)
    indent = said[: len(said) - len(said.lstrip())]
    for line in [said] if width is None or len(said) <= width else wrapped(said, width, after=indent):
        print(line, file=sys.stderr if error else sys.stdout)


def wrapped(text: str, width: int, first: str = "", after: str = "") -> list[str]:
    """Break a text between words into lines of a width; a word that is longer stays whole. `first` and `after` are
    what the first line and the others begin with."""
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=after, break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def is_coloured(*, error: bool = False) -> bool:
    """Say whether colours may be used: on a terminal, but where NO_COLOR is set, or TERM is "dumb"."""
    return is_terminal(error=error) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def give(result: _T, json: bool, show: Callable[[_T], None]) -> None:
    """Print what a command was asked for: JSON alone, for programs, or by `show`, for people."""
    if json:
        print_json(result)
    else:
        show(result)


def print_json(values: Any) -> None:
    """Print a record or plain values as JSON alone on standard output."""
    from penlight.records import json_text

    sys.stdout.write(json_text(values))
