"""What `penlight compare` prints."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, interval, number, plain_table, print_json

if TYPE_CHECKING:
    from penlight import ComparedRuns


def print_compared(result: "ComparedRuns", json: bool) -> None:
    """Print the verdict, the models and their differences; the last line is the page, if one was written."""
    if json:
        print_json(result.to_dict())
        return
    from penlight.reports.verdict import comparison_verdict
    from penlight.reports.words import p_value

    found, out = result.comparison, console()
    out.print(comparison_verdict(found, result.modality), style="bold")
    scores = plain_table()
    scores.add_column(f"{found.split}, {found.metric}")
    for name in ("seeds", "mean", "sd", "95 % interval"):
        scores.add_column(name, justify="right")
    for m in found.models:
        bounds = interval(m.low, m.high)
        scores.add_row(m.name, str(len(m.seeds)), number(m.mean), number(m.sd), bounds)
    out.print(scores)
    table = plain_table()
    table.add_column("difference")
    table.add_column("against")
    for name in ("", "interval, corrected", "p", "p, Holm"):
        table.add_column(name, justify="right")
    for d in found.differences:
        bounds = interval(d.low, d.high)
        style = "bold" if d.more_than_chance else None
        table.add_row(d.row, d.against, number(d.value), bounds, p_value(d.p), p_value(d.p_holm), style=style)
    out.print(table)
    if result.page is not None:
        say(result.page)
