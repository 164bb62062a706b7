"""Lines and JSON as they are printed, without a library of tables: one picture must not wait for that."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from penlight.escaping import printable

_T = TypeVar("_T")


def say(text: object, *, error: bool = False) -> None:
    """Print a line, on standard output or standard error; what in it would act on a terminal is made visible."""
    print(printable(text), file=sys.stderr if error else sys.stdout)


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
