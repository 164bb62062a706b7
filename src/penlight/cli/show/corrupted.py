"""What `penlight evaluate --corruptions` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, interval, number, plain_table, print_json
from penlight.numbers import counted, signed_text

if TYPE_CHECKING:
    from penlight import Corrupted
    from penlight.evaluation.robustness import Level, Robustness


def print_corrupted(corrupted: "Corrupted", json: bool) -> None:
    """Print the balanced error under each corruption and severity; the last line is the path of the report."""
    if json:
        print_json(corrupted)
        return
    out, found = console(), corrupted.robustness
    out.print(_corruption_table(found))
    over = f", mean over seeds {', '.join(map(str, found.seeds))}" if len(found.seeds) > 1 else ""
    out.print(
        f"Balanced error on {counted(found.n, 'image')} of test{over}; change is against clean images.", style="dim"
    )
    for note in found.notes:
        out.print(f"Unavailable, {note}.", style="dim")
    say(corrupted.report)


def _corruption_table(found: "Robustness") -> Table:
    """Clean, then one line per corruption with its severities, and the mean over corruptions."""
    table = plain_table()
    table.add_column("corruption")
    several = len(found.seeds) > 1
    numbers = [str(s + 1) for s in range(len(found.model.rows[0].severities))]
    for name in (*numbers, "mean", *(["sd"] * several), "95 % interval", "change", *found.baselines):
        table.add_column(name, justify="right")

    def add(
        name: str, severities: Sequence[float], level: "Level", change: "Level | None", rivals: "Sequence[Level]"
    ) -> None:
        cells = [*(map(number, severities) if severities else [""] * len(numbers)), number(level.value)]
        cells += [number(level.sd)] * several
        cells += [interval(level.low, level.high), "" if change is None else signed_text(change.value)]
        table.add_row(name, *cells, *(number(rival.value) for rival in rivals), style=None if severities else "bold")

    model, rivals = found.model, list(found.baselines.values())
    add("clean", (), model.clean, None, [rival.clean for rival in rivals])
    for place, row in enumerate(model.rows):
        add(row.name, row.severities, row.mean, row.change, [rival.rows[place].mean for rival in rivals])
    add("mean", (), model.mean, model.change, [rival.mean for rival in rivals])
    return table
