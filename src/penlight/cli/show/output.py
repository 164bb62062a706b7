"""What every printed result needs: the console, JSON alone, plain tables, numbers."""

import json as json_format
import math
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 100


def console() -> Console:
    """Standard output; without a terminal, plain text of a fixed width."""
    return plain_console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def plain_console(**options: Any) -> Console:
    """Make a console that prints text as it is; every console of the command is made here.

    Labels, file names and titles are a user's own: Rich must not read "[red]" as a style, "[/x]" as the end of one,
    or ":smile:" as a picture. Styles are given as arguments, or with `rich.text.Text`.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)


def print_json(values: Any) -> None:
    """Print JSON alone on standard output."""
    sys.stdout.write(json_format.dumps(values, indent=1, allow_nan=False) + "\n")


def plain_table(*, heads: bool = True) -> Table:
    """Give an empty table of aligned columns without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=heads)


def number(value: float) -> str:
    """Write a score by three decimals; what is undefined is a dash."""
    return "-" if math.isnan(value) else f"{value:.3f}"
