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
    """Print plain values, or the `to_dict` of a result, as JSON alone on standard output."""
    from json import dumps

    plain = values.to_dict() if hasattr(values, "to_dict") else values
    sys.stdout.write(dumps(plain, indent=1, allow_nan=False) + "\n")
