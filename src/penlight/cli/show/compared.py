"""What `penlight compare` prints."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, interval, number, plain_table
from penlight.numbers import signed_text

if TYPE_CHECKING:
    from penlight import ComparedRuns


def print_compared(result: "ComparedRuns", full: bool = False) -> None:
    """Print the verdict, the models and, if `full` or where there are several, their differences; the last line is
    the page, if one was written."""
    from penlight.reports.words import p_value

    found, out = result.comparison, console()
    out.print(result.verdict, style="bold")
    out.print()
    scores = plain_table(f"{found.split}, {found.metric}", ">seeds", ">mean", ">sd", ">95 % interval")
    for model in found.models:
        bounds = interval(model.low, model.high)
        scores.add_row(model.name, str(len(model.seeds)), number(model.mean), number(model.sd), bounds)
    out.print(scores)
    table = plain_table("difference", "against", ">", ">interval, corrected", ">p", ">p, Holm")
    for pair in found.differences:
        cells = (signed_text(pair.value), interval(pair.low, pair.high), p_value(pair.p), p_value(pair.p_holm))
        table.add_row(pair.row, pair.against, *cells, style="bold" if pair.more_than_chance else None)
    if full or len(found.differences) > 1:
        out.print()
        out.print(table)
    if result.page is not None:
        say(result.page)
