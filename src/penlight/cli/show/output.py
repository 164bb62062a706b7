"""What every printed result needs: the console, JSON alone, plain tables, numbers."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from penlight.cli.show.lines import WIDTH_WITHOUT_TERMINAL, terminal_width, wrapped
from penlight.escaping import printable
from penlight.numbers import decimal_text


def console() -> Console:
    """Standard output; without a terminal, plain text of a fixed width."""
    return plain_console(width=terminal_width() or WIDTH_WITHOUT_TERMINAL)


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


def print_list(texts: Iterable[str], mark: str = "- ") -> None:
    """Print sentences as a list: the lines of each after its first stand below its first letter."""
    out = console()
    for text in texts:
        for line in wrapped(printable(text), out.width, mark, " " * len(mark)):
            out.print(line, soft_wrap=True)


def plain_table(*heads: str, show_heads: bool = True) -> Table:
    """Give an empty table of aligned columns without lines, of which no digit and no letter is lost.

    A head that begins with ">" is that of a column of numbers, which stand to the right.
    """
    table = _WholeTable(show_heads)
    for head in heads:
        table.add_column(head.removeprefix(">"), justify="right" if head.startswith(">") else "left")
    return table


class _WholeTable(Table):
    """A table that is never cropped.

    Where it is wider than the terminal, heads and texts take several lines, numbers never do; and where that is not
    enough, the columns that are left over follow below, beside the first column again. One whose first column takes
    more than half of the width, as the path of a file does, gives each of its rows as lines of their own.
    """

    def __init__(self, show_header: bool) -> None:
        super().__init__(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=show_header)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table, in parts if need be."""
        room = options.max_width
        if self.__rich_measure__(console, options.update(width=_ENDLESS)).maximum <= room:
            yield from super().__rich_console__(console, options)
            return
        if 2 * _needed(self.columns[0]) > room:
            yield from self._blocks(room)
            return
        for number, part in enumerate(self._parts(room)):
            if number:
                yield Segment.line()
            yield from Table.__rich_console__(part, console, options)

    def _blocks(self, room: int) -> RenderResult:
        """Give each row as its first cell, and below it a line for each other: head and value."""
        others = self.columns[1:]
        heads = [str(column.header) for column in others]
        widest = max(map(cell_len, heads), default=0)
        for row in zip(*(column.cells for column in self.columns), strict=True):
            yield Text(str(row[0]), overflow="fold")
            for head, cell in zip(heads, row[1:], strict=True):
                value = textwrap.wrap(str(cell), max(1, room - widest - 2 * _GAP)) or [""]
                yield Text(f"\n{' ' * (widest + 2 * _GAP)}".join([f"  {head:<{widest}}  {value[0]}", *value[1:]]))

    def _parts(self, room: int) -> Iterable[Table]:
        first, *others = self.columns
        taken: list[Column] = []
        for column in others:
            if taken and sum(_needed(c) + _GAP for c in (first, *taken, column)) - _GAP > room:
                yield self._of([first, *taken], room)
                taken = []
            taken.append(column)
        yield self._of([first, *taken], room)

    def _of(self, columns: Sequence[Column], room: int) -> Table:
        part = _WholeTable(self.show_header)
        for column, width in zip(columns, _widths(columns, room), strict=True):
            right = column.justify == "right"
            part.add_column(_head(column, width), justify=column.justify, style=column.style, width=width,
                            no_wrap=right and _is_short(column), overflow="fold")  # fmt: skip
        for row in zip(*(column.cells for column in columns), strict=True):
            part.add_row(*row)
        return part


_ENDLESS = 10_000
_GAP = 2
# Longer cells at the right are sentences, as why there is no number.
_LONGEST_NUMBER = 18


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """Divide the width: to each column what it cannot do without, then letter by letter to those that want more.

    Rich would give long columns an equal share, which may be less than one needs, and crop the last column.
    """
    widths = [_needed(column) for column in columns]
    wanted = [max(cell_len(str(text)) for text in (column.header, *column.cells)) for column in columns]
    spare = room - sum(widths) - _GAP * (len(columns) - 1)
    while spare > 0 and (short := [i for i, width in enumerate(widths) if width < wanted[i]]):
        for i in short[:spare]:
            widths[i] += 1
            spare -= 1
    while spare < 0 and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
        spare += 1
    return widths


def _needed(column: Column) -> int:
    """Give the width that a column cannot do without: of its numbers, or of its longest word."""
    texts = [str(cell) for cell in column.cells]
    words = [word for text in (_broken(str(column.header)), *texts) for word in text.split()]
    whole = texts if column.justify == "right" and _is_short(column) else []
    return max(map(cell_len, (*words, *whole)), default=0)


def _is_short(column: Column) -> bool:
    return all(cell_len(str(cell)) <= _LONGEST_NUMBER for cell in column.cells)


def _broken(head: str) -> str:
    """Let a name as average_precision take two lines."""
    return head.replace("_", "_\n")


def _head(column: Column, width: int) -> str:
    head = str(column.header)
    lines = [head] if cell_len(head) <= width else _broken(head).split("\n")
    return "\n".join(textwrap.fill(line, max(1, width)) for line in lines)


def interval(low: float, high: float) -> str:
    """Write an interval by three decimals; a dash for one that is undefined, or without a width: of resamples that
    are all alike and say nothing."""
    return "-" if math.isnan(low) or math.isnan(high) or low == high else f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """Write a score by three decimals; what is undefined is a dash."""
    return decimal_text(value)
