"""What `penlight export` and `penlight track` print."""

import math
from typing import TYPE_CHECKING

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, number, plain_table, print_list
from penlight.numbers import counted, signed_text

if TYPE_CHECKING:
    from penlight import Copied, Exported, Tracked


def print_exported(result: "Exported") -> None:
    """Print how a file compares with the model: probabilities, then each metric; the last line is its path."""
    out, parity = console(), result.parity
    out.print(
        f"{result.to}, {counted(result.bytes, 'byte')}. Over {counted(parity.images, 'image')} of {parity.split} "
        f"the largest difference of a probability is {parity.difference:.1e}.",
    )
    table = plain_table(parity.split, ">model", ">file", ">change")
    for change in parity.changes:
        # Scores of what the file does not give, as prediction sets, are undefined in both.
        if change.label is None and not (math.isnan(change.model) and math.isnan(change.file)):
            moved = change.file - change.model
            table.add_row(change.name, number(change.model), number(change.file), signed_text(moved, 4))
    out.print(table)
    say(result.file)


def print_copied(result: "Copied") -> None:
    """Print what a copy of a run is without, and what of the data is still in it; the last line is its path."""
    out = console()
    for title, lines in (
        ("Left out", result.left_out),
        ("Remaining data", result.remains),
        ("Not copied, because Penlight does not know the file", result.unknown),
    ):
        if lines:
            out.print(f"{title}:", style="bold")
            print_list(lines, "  ")
    say(result.folder)


def print_tracked(result: "Tracked") -> None:
    """Print what was sent; the last line is the address."""
    known = f"; {counted(result.known, 'run')} {'was' if result.known == 1 else 'were'} there already"
    say(f"Sent {counted(len(result.sent), 'run')}{known if result.known else ''}.")
    say(result.to)
