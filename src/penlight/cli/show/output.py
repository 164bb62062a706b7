"""What every printed result needs: the console, JSON alone, plain tables, numbers."""

import json as json_format
import math
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from penlight.escaping import printable

_WIDTH_WITHOUT_TERMINAL = 100


def console() -> Console:
    """Standard output; without a terminal, plain text of a fixed width."""
    return plain_console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def plain_console(**options: Any) -> Console:
    """Make a console that prints text as it is; every console of the command is made here.

    Labels, file names and titles are a user's own, or a stranger's: Rich must not read "[red]" as a style, "[/x]" as
    the end of one, or ":smile:" as a picture, and the terminal must not obey what is in them. Styles are given as
    arguments, or with `rich.text.Text`.
    """
    return _PlainConsole(markup=False, emoji=False, highlight=False, **options)


class _PlainConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, with what would act on a terminal made visible. Colours are no part of the texts."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, lines=True), style, control)


def print_json(values: Any) -> None:
    """Print JSON alone on standard output."""
    sys.stdout.write(json_format.dumps(values, indent=1, allow_nan=False) + "\n")


def plain_table(*, heads: bool = True) -> Table:
    """Give an empty table of aligned columns without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=heads)


def number(value: float) -> str:
    """Write a score by three decimals; what is undefined is a dash."""
    # Here, so that commands that print no score load no arrays.
    from penlight.evaluation.rows import decimal_text

    return "-" if math.isnan(value) else decimal_text(value)
